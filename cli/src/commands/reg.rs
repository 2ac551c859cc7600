//! `wimforge reg`

mod check;
mod edit;
mod export;
mod get;
mod source;

use std::process::ExitCode;

use hive::paths::Mount;
use hive::reg::KeyPath;
use hive::{Hive, Key};
use image::Error;

use crate::args::{Common, Reg, RegCommand, RegPlace};

pub(crate) fn run(args: &Reg, common: &Common) -> anyhow::Result<ExitCode> {
    match &args.command {
        RegCommand::Get(get) => get::run(get, common),
        RegCommand::Set(set) => edit::set(set, common),
        RegCommand::Delete(delete) => edit::delete(delete, common),
        RegCommand::Import(import) => edit::import(import, common),
        RegCommand::Export(export) => export::run(export, common),
        RegCommand::Check(check) => check::run(check, common),
    }
}

/// Where the hive is mounted: as the user says, or by what it holds.
fn mount(hive: &Hive, place: &RegPlace) -> Mount {
    match &place.mount {
        Some(prefix) => Mount::at(hive.root(), &KeyPath::parse(prefix)),
        None => Mount::of(hive.root()),
    }
}

/// The key of a hive that a path means. Paths that lead into other hives are a matter of usage.
fn resolve(mount: &Mount, file: &str, path: &str) -> Result<KeyPath, Error> {
    mount.key(&KeyPath::parse(path)).map_err(|problem| {
        let advice = match problem {
            hive::paths::Error::OtherHive { .. } => "; --as says what it is",
            _ => "",
        };
        Error::Recipe(format!("{file}: {problem}{advice}"))
    })
}

/// The key at a path, or an error that says how far the path leads.
fn open<'h>(hive: &'h Hive, mount: &Mount, file: &str, path: &KeyPath) -> Result<&'h Key, Error> {
    let mut key = hive.root();
    for (depth, name) in path.names().iter().enumerate() {
        let Some(next) = key.subkey_named(name) else {
            let there = mount.full(&KeyPath::new(&path.names()[..depth]));
            let name = name.to_string();
            let there_are: Vec<String> = key.subkeys().map(|key| key.name().to_string()).collect();
            let meant = image::did_you_mean(&name, there_are.iter().map(String::as_str));
            let what = format!("no key {}: {there} has {}{meant}", mount.full(path), some_names(key, &name));
            return Err(Error::NotFound { path: file.into(), what });
        };
        key = next;
    }
    Ok(key)
}

/// What there is instead of a key that is not there: of many, those that begin most like it.
fn some_names(key: &Key, wanted: &str) -> String {
    const SOME: usize = 5;
    let count = key.subkeys().len();
    let mut names: Vec<String> = key.subkeys().map(|key| key.name().to_string()).collect();
    let same = |name: &str| {
        let pairs = name.chars().zip(wanted.chars());
        pairs.take_while(|(a, b)| a.to_lowercase().eq(b.to_lowercase())).count()
    };
    names.sort_by_key(|name| std::cmp::Reverse(same(name)));
    names.truncate(SOME);
    match count {
        0 => "no subkeys".to_owned(),
        _ if count > SOME => {
            names.push(format!("{} more", count - SOME));
            format!("the subkeys {}", names.join(", "))
        }
        1 => format!("the subkey {}", names[0]),
        _ => format!("the subkeys {}", names.join(", ")),
    }
}

/// A value's name for people.
fn value_name(name: &str) -> String {
    if name.is_empty() { "(default)".to_owned() } else { name.to_owned() }
}

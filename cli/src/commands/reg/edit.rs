//! `wimforge reg set`, `delete` and `import`: changes of a hive file, all at once or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use hive::file::HiveFile;
use hive::paths::Mount;
use hive::reg::{self, Applied, Operation, RegFile};
use hive::{Kind, data};
use image::{Error, FileKind, registry};
use picture::printable;
use serde_json::json;

use super::source::is_hive;
use super::{open, resolve, value_name};
use crate::args::{Common, RegDelete, RegImport, RegPlace, RegSet};
use crate::report::say;
use crate::signal;

/// A hive file that is being changed.
struct Edit {
    name: String,
    file: HiveFile,
    mount: Mount,
}

impl Edit {
    fn open(path: &Path, place: &RegPlace, common: &Common) -> anyhow::Result<Self> {
        signal::hold()?;
        let kind = if is_hive(path)? { FileKind::Raw } else { FileKind::of(path)?.0 };
        if kind != FileKind::Raw {
            let what = "is no hive: those inside an image are changed by `wimforge build --reg`".to_owned();
            return Err(Error::Unsupported { path: path.to_owned(), what }.into());
        }
        let file = registry::read_hive(path)?;
        if file.recovery().dirty && !common.quiet {
            say(&format!("note: {}: {}", path.display(), file.recovery()));
        }
        let mount = super::mount(file.hive(), place);
        Ok(Self { name: path.display().to_string(), file, mount })
    }

    fn save(
        mut self,
        schema: &str,
        key: &str,
        applied: Applied,
        common: &Common,
    ) -> anyhow::Result<ExitCode> {
        let changed = applied != Applied::default();
        if changed {
            let path = self.name.clone().into();
            signal::check()?;
            self.file.save().map_err(|source| Error::Hive { path, source })?;
        }
        // Taking a hundred thousand keys apart takes a tenth of the time; the process ends here anyway.
        std::mem::forget(self.file);
        let Applied { keys_created, keys_deleted, values_set, values_deleted } = applied;
        let mut out = io::stdout().lock();
        if common.json {
            let value = json!({
                "schema": schema,
                "path": self.name,
                "key": key,
                "keys_created": keys_created,
                "keys_deleted": keys_deleted,
                "values_set": values_set,
                "values_deleted": values_deleted,
            });
            writeln!(out, "{value:#}")?;
        } else {
            let counts = [
                (keys_created, "keys created"),
                (keys_deleted, "keys deleted"),
                (values_set, "values set"),
                (values_deleted, "values deleted"),
            ];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<String> = counts.map(|(count, what)| format!("{what}: {count}")).collect();
            let done = if changed { counts.join(", ") } else { "nothing to change".to_owned() };
            writeln!(out, "{}: {done}", printable(&self.name))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn set(args: &RegSet, common: &Common) -> anyhow::Result<ExitCode> {
    let data = bytes(args.kind, &args.data)?;
    let mut edit = Edit::open(&args.hive, &args.place, common)?;
    let path = resolve(&edit.mount, &edit.name, &args.key)?;
    let operations = [Operation::set(&path, &args.name, args.kind, data)];
    let root = edit.file.hive_mut().root_mut();
    let applied = reg::apply(root, &operations, None, &mut |operation| Ok(Some(operation.key.clone())));
    let applied = applied.map_err(|source| Error::Reg { path: args.hive.clone(), source })?;
    let full = edit.mount.full(&path).to_string();
    edit.save("wimforge.reg.set/1", &full, applied, common)
}

pub(super) fn delete(args: &RegDelete, common: &Common) -> anyhow::Result<ExitCode> {
    let mut edit = Edit::open(&args.hive, &args.place, common)?;
    let path = resolve(&edit.mount, &edit.name, &args.key)?;
    let full = edit.mount.full(&path).to_string();
    let key = open(edit.file.hive(), &edit.mount, &edit.name, &path)?;
    let operation = match &args.value {
        Some(name) if key.value(name).is_none() => {
            let what =
                format!("{full} has no value {}; `wimforge reg get` lists what it has", value_name(name));
            return Err(Error::NotFound { path: args.hive.clone(), what }.into());
        }
        Some(name) => Operation::unset(&path, name),
        None if key.subkeys().len() > 0 && !args.recursive => {
            let what = format!("{full} has subkeys ({}); --recursive deletes them, too", key.subkeys().len());
            return Err(Error::Recipe(what).into());
        }
        None => Operation::delete(&path),
    };
    let root = edit.file.hive_mut().root_mut();
    let applied = reg::apply(root, &[operation], None, &mut |operation| Ok(Some(operation.key.clone())));
    let applied = applied.map_err(|source| Error::Reg { path: args.hive.clone(), source })?;
    edit.save("wimforge.reg.delete/1", &full, applied, common)
}

pub(super) fn import(args: &RegImport, common: &Common) -> anyhow::Result<ExitCode> {
    let mut edit = Edit::open(&args.hive, &args.place, common)?;
    if let Some(at) = &args.at {
        let [file] = &args.files[..] else {
            return Err(Error::Recipe("--at is for one hive".to_owned()).into());
        };
        if !is_hive(file)? {
            let what = format!(
                "{} is no hive; --at is for one, the keys of a .reg file say where they go",
                file.display()
            );
            return Err(Error::Recipe(what).into());
        }
        let other = registry::read_hive(file)?;
        let other_name = file.display().to_string();
        let other_mount = Mount::of(other.hive().root());
        let from = resolve(&other_mount, &other_name, args.from.as_deref().unwrap_or_default())?;
        let subtree = open(other.hive(), &other_mount, &other_name, &from)?;
        let path = resolve(&edit.mount, &edit.name, at)?;
        let full = edit.mount.full(&path).to_string();
        if path.names().is_empty() {
            let what =
                format!("--at {at}: is the root; copy {other_name} over {} to replace all of it", edit.name);
            return Err(Error::Recipe(what).into());
        }
        let root = edit.file.hive_mut().root_mut();
        let applied = registry::insert_subtree(root, &path, subtree, None)
            .map_err(|source| Error::Hive { path: args.hive.clone(), source })?;
        return edit.save("wimforge.reg.import/1", &full, applied, common);
    }
    let mut applied = Applied::default();
    for path in &args.files {
        if is_hive(path)? {
            let what = format!("{} is a hive; --at KEY says whose place it takes", path.display());
            return Err(Error::Recipe(what).into());
        }
        let bytes = fs::read(path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let wrong = |source| Error::Reg { path: path.clone(), source };
        let file = RegFile::parse(&bytes).map_err(wrong)?;
        let mount = &edit.mount;
        let mut locate = |operation: &Operation| {
            let wrong = |problem| reg::Error::Path { line: operation.line, problem };
            mount.key(&operation.key).map(Some).map_err(wrong)
        };
        let root = edit.file.hive_mut().root_mut();
        applied += reg::apply(root, &file.operations, None, &mut locate).map_err(wrong)?;
    }
    let full = edit.mount.full(&hive::reg::KeyPath::default()).to_string();
    edit.save("wimforge.reg.import/1", &full, applied, common)
}

/// The bytes of a value, from what was typed.
fn bytes(kind: Kind, typed: &[String]) -> Result<Vec<u8>, Error> {
    let wrong = |what: String| Error::Recipe(format!("{kind}: {what}"));
    let one = || match typed {
        [one] => Ok(one.as_str()),
        _ => Err(wrong(format!("takes one DATA, found {}", typed.len()))),
    };
    let number = |limit: u64| {
        let text = one()?;
        let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        let parsed = parsed.filter(|&number| number <= limit);
        parsed.ok_or_else(|| wrong(format!("{text:?} is no number from 0 to {limit} (or {limit:#x})")))
    };
    match kind {
        Kind::SZ | Kind::EXPAND_SZ if typed.is_empty() => Ok(data::sz("")),
        Kind::SZ | Kind::EXPAND_SZ => one().map(data::sz),
        Kind::LINK => one().map(data::link),
        Kind::MULTI_SZ if typed.iter().any(String::is_empty) => {
            Err(wrong("an empty text would end the list".to_owned()))
        }
        Kind::MULTI_SZ => Ok(data::multi_sz(typed)),
        Kind::DWORD => Ok((number(u32::MAX.into())? as u32).to_le_bytes().to_vec()),
        Kind::DWORD_BIG_ENDIAN => Ok((number(u32::MAX.into())? as u32).to_be_bytes().to_vec()),
        Kind::QWORD => Ok(number(u64::MAX)?.to_le_bytes().to_vec()),
        _ => {
            let mut bytes = Vec::new();
            for word in typed.iter().flat_map(|text| text.split([' ', ',', '\t', '\n'])) {
                let (pairs, odd) = word.as_bytes().as_chunks::<2>();
                let byte = |pair: &[u8; 2]| {
                    let digits = str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
                    u8::from_str_radix(digits, 16).ok()
                };
                let parsed: Option<Vec<u8>> = pairs.iter().map(byte).collect();
                match parsed {
                    Some(parsed) if odd.is_empty() => bytes.extend(parsed),
                    _ => return Err(wrong(format!("{word:?} is no bytes: two hexadecimal digits each"))),
                }
            }
            Ok(bytes)
        }
    }
}

//! `wimforge bcd set` and `delete`: a store in a file of its own, changed in place.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use bcd::{Object, Store, names, parse_value};
use hive::file::{Allow, HiveFile};
use image::{DiskPlace, Error};

use super::{no_object, object_id, wrap};
use crate::args::Common;
use crate::args::bcd::{BcdDelete, BcdSet};
use crate::report::say;
use crate::signal;

/// Changes the store in a file; the file is replaced only when `change` succeeds.
fn change(path: &Path, change: impl FnOnce(&mut Store) -> Result<(), Error>) -> anyhow::Result<()> {
    signal::hold()?;
    let hive_error = |source| Error::Hive { path: path.to_owned(), source };
    if !is_hive(path) {
        let what = "is no BCD store in a file of its own; stores on disks and in WIMs can be shown and checked, not changed";
        return Err(Error::Unsupported { path: path.to_owned(), what: what.to_owned() }.into());
    }
    let mut file = HiveFile::open(path, Allow::default()).map_err(hive_error)?;
    let mut store = Store::from_hive(file.hive().clone()).map_err(|error| wrap(path, error))?;
    change(&mut store)?;
    *file.hive_mut() = store.to_hive().map_err(|error| wrap(path, error))?;
    signal::check()?;
    file.save().map_err(hive_error)?;
    Ok(())
}

/// Whether it is one, or cannot be told: what is wrong with reading it, who opens it will say.
fn is_hive(path: &Path) -> bool {
    if DiskPlace::parse(path).partition.is_some() {
        return false;
    }
    let mut signature = [0; 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut signature)) {
        Ok(()) => &signature == b"regf",
        Err(error) => error.kind() != io::ErrorKind::UnexpectedEof,
    }
}

pub(super) fn set(args: &BcdSet) -> anyhow::Result<ExitCode> {
    change(&args.store, |store| {
        let id = object_id(store, &args.object)?;
        if store.object(id).is_none() {
            let kind = args.create.or_else(|| names::type_of_named(id));
            let kind = kind.ok_or_else(|| {
                let Error::NotFound { path, what } = no_object(&args.store, store, &args.object) else {
                    return no_object(&args.store, store, &args.object);
                };
                Error::NotFound { path, what: format!("{what}; --create TYPE makes it") }
            })?;
            store.insert(Object::new(id, kind));
        }
        let object = store.object_mut(id).expect("it was made if it was missing");
        let element = names::element_named(object.kind, &args.element).ok_or_else(|| {
            let known = names::ELEMENTS.iter().map(|info| info.name);
            let known = known.filter(|name| names::element_named(object.kind, name).is_some());
            let meant = image::did_you_mean(&args.element, known);
            let what = format!(
                "{} ({}) has no element {:?}; one without a name is written custom:26000022{meant}",
                args.object,
                object.kind.title(),
                args.element
            );
            Error::Recipe(what)
        })?;
        let value =
            parse_value(object.kind, element, &args.value).map_err(|error| wrap(&args.store, error))?;
        object.set(element, value);
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn delete(args: &BcdDelete, common: &Common) -> anyhow::Result<ExitCode> {
    let mut references = 0;
    change(&args.store, |store| {
        let id = object_id(store, &args.object)?;
        let Some(name) = &args.element else {
            if store.remove(id).is_none() {
                return Err(no_object(&args.store, store, &args.object));
            }
            references = store.remove_references(id);
            return Ok(());
        };
        let Some(object) = store.object_mut(id) else {
            return Err(no_object(&args.store, store, &args.object));
        };
        let element = names::element_named(object.kind, name);
        if element.and_then(|element| object.elements.remove(&element)).is_none() {
            let known: Vec<String> =
                object.elements.keys().map(|element| names::element_name(object.kind, *element)).collect();
            let meant = image::did_you_mean(name, known.iter().map(String::as_str));
            let what = format!("{} has no element {name:?}; it has {}{meant}", args.object, known.join(", "));
            return Err(Error::NotFound { path: args.store.clone(), what });
        }
        Ok(())
    })?;
    if references > 0 && !common.quiet {
        say(&format!("note: {references} references to it were removed, too"));
    }
    Ok(ExitCode::SUCCESS)
}

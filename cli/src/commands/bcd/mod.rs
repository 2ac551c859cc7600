//! `wimforge bcd`

mod create;
mod edit;
mod find;
mod show;

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use bcd::check::Severity;
use bcd::{Store, names};
use disk::Guid;
use image::Error;
use picture::printable;
use serde_json::{Value, json};

use crate::args::Common;
use crate::args::bcd::{Bcd, BcdCheck, BcdCommand};
use crate::report;

pub(crate) fn run(args: &Bcd, common: &Common) -> anyhow::Result<ExitCode> {
    match &args.command {
        BcdCommand::Show(args) => show::run(args, common),
        BcdCommand::Set(args) => edit::set(args),
        BcdCommand::Delete(args) => edit::delete(args, common),
        BcdCommand::Create(args) => create::run(args),
        BcdCommand::Check(args) => check(args, common),
    }
}

/// The name of the format of all that these commands print as JSON.
const SCHEMA: &str = "wimforge.bcd/1";

fn check(args: &BcdCheck, common: &Common) -> anyhow::Result<ExitCode> {
    let stores = find::stores(&args.store)?;
    let mut clean = true;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut values = Vec::new();
    for store in &stores {
        let report = bcd::check_bytes(&store.bytes);
        clean &= report.is_clean();
        if common.json {
            values.push(json!({
                "store": store.name,
                "clean": report.is_clean(),
                "objects": report.objects,
                "errors": report.errors,
                "warnings": report.warnings,
                "notes": report.notes,
                "findings": report.findings.iter().map(|finding| json!({
                    "severity": finding.severity.as_str(),
                    "code": finding.code.as_str(),
                    "object": finding.object.map(|id| id.to_string()),
                    "element": finding.element.map(|element| element.to_string()),
                    "text": finding.text,
                })).collect::<Vec<Value>>(),
            }));
            continue;
        }
        writeln!(out, "{}", printable(&store.name))?;
        let shown = report.findings.iter().filter(|finding| args.notes || finding.severity < Severity::Note);
        for finding in shown {
            writeln!(out, "  {}", printable(&finding.to_string()))?;
        }
        let verdict = if report.is_clean() { "clean" } else { "DAMAGED" };
        writeln!(
            out,
            "  {verdict}: {} objects, {} errors, {} warnings, {} notes",
            report.objects, report.errors, report.warnings, report.notes
        )?;
    }
    if common.json {
        let path = args.store.to_string_lossy();
        let value = json!({ "schema": SCHEMA, "path": path, "clean": clean, "stores": values });
        writeln!(out, "{value:#}")?;
    }
    out.flush()?;
    Ok(if clean { ExitCode::SUCCESS } else { report::VERIFICATION.into() })
}

/// The object that a name on the command line means in a store: of `{default}` the entry itself.
fn object_id(store: &Store, name: &str) -> Result<Guid, Error> {
    let Some(id) = names::parse_object_name(name) else {
        let known: Vec<&str> = names::OBJECTS.iter().map(|(name, _)| *name).collect();
        let meant = image::nearest(name.trim_matches(['{', '}']), known.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {{{meant}}}?"));
        let what = format!("{name:?} is neither a GUID nor one of {}{meant}", known.join(", "));
        return Err(Error::Recipe(what));
    };
    match id {
        names::DEFAULT => store.default_entry().ok_or_else(|| {
            Error::Recipe("the store has no default entry; name one by its GUID".to_owned())
        }),
        names::CURRENT => Err(Error::Recipe(
            "{current} is the entry that a running system was started by; in a file, name {default} or a GUID".to_owned(),
        )),
        id => Ok(id),
    }
}

/// There is no such object: says which there are.
fn no_object(path: &Path, store: &Store, name: &str) -> Error {
    let known: Vec<String> = store.objects().iter().map(|object| names::object_name(object.id)).collect();
    let what = format!("has no object {name}; it has {}", known.join(", "));
    Error::NotFound { path: path.to_owned(), what }
}

/// An error of the store in a file.
fn wrap(path: &Path, error: bcd::Error) -> Error {
    match error {
        bcd::Error::Hive(source) => Error::Hive { path: path.to_owned(), source },
        bcd::Error::NotAStore(what) => {
            Error::Unsupported { path: path.to_owned(), what: format!("is not a BCD store: {what}") }
        }
        other => Error::Recipe(other.to_string()),
    }
}

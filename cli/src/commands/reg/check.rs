//! `wimforge reg check`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use hive::Recovery;
use hive::check::{Report, Severity};
use hive::paths::KnownHive;
use image::registry::{self, HiveBytes};
use image::{DiskPlace, Error};
use picture::{human, printable};
use serde_json::{Value, json};

use super::source::{self, Inside};
use crate::args::{Common, RegCheck};
use crate::report;

/// A hive that was checked.
struct Checked {
    found: HiveBytes,
    report: Report,
    /// What its logs had, or why they could not be used.
    recovery: Result<Recovery, String>,
}

impl Checked {
    fn of(found: HiveBytes) -> Self {
        let (report, recovery) = match found.replay() {
            Ok((bytes, recovery)) => (hive::check(&bytes), Ok(recovery)),
            // As it is, then: the check says what is wrong with it.
            Err(error) => (hive::check(&found.bytes), Err(error.to_string())),
        };
        Self { found, report, recovery }
    }

    fn is_clean(&self) -> bool {
        self.report.is_clean() && self.recovery.is_ok()
    }
}

pub(crate) fn run(args: &RegCheck, common: &Common) -> anyhow::Result<ExitCode> {
    let checked = hives(args)?;
    let clean = checked.iter().all(Checked::is_clean);
    let mut out = BufWriter::new(io::stdout().lock());
    if common.json {
        let hives: Vec<Value> = checked.iter().map(as_json).collect();
        let path = args.source.file.to_string_lossy();
        let value = json!({ "schema": "wimforge.reg.check/1", "path": path, "clean": clean, "hives": hives });
        writeln!(out, "{value:#}")?;
    } else {
        checked.iter().try_for_each(|checked| as_text(checked, args.notes, &mut out))?;
    }
    out.flush()?;
    Ok(if clean { ExitCode::SUCCESS } else { report::VERIFICATION.into() })
}

fn hives(args: &RegCheck) -> anyhow::Result<Vec<Checked>> {
    let place = DiskPlace::parse(&args.source.file);
    if place.partition.is_none() && source::is_hive(&args.source.file)? {
        if let Some(key) = &args.key {
            let what = format!(
                "{} is a hive and is checked as a whole; leave {key:?} out",
                args.source.file.display()
            );
            return Err(Error::Recipe(what).into());
        }
        return Ok(vec![Checked::of(registry::hive_bytes(&args.source.file)?)]);
    }
    if args.key.is_some() || !place.path.trim_matches(['/', '\\']).is_empty() {
        let inside = Inside::open(&args.source, &place, args.key.as_deref().unwrap_or_default())?;
        return Ok(vec![Checked::of(inside.read()?)]);
    }
    let inside = Inside::of(&args.source, &place, KnownHive::System)?;
    let mut checked = Vec::new();
    for which in KnownHive::all() {
        match inside.find(which) {
            Ok(found) => checked.push(Checked::of(found)),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if checked.is_empty() {
        let what = "holds none of the hives of Windows, such as Windows/System32/config/SYSTEM".to_owned();
        return Err(Error::NotFound { path: args.source.file.clone(), what }.into());
    }
    Ok(checked)
}

fn as_text(checked: &Checked, notes: bool, out: &mut dyn Write) -> io::Result<()> {
    let Checked { found, report, recovery } = checked;
    writeln!(out, "{}", printable(&found.path))?;
    match recovery {
        Ok(recovery) if recovery.dirty => writeln!(out, "  logs: {}", printable(&recovery.to_string()))?,
        Ok(_) => {}
        Err(problem) => writeln!(out, "  error: {}", printable(problem))?,
    }
    let shown = |severity: Severity| notes || severity < Severity::Note;
    for finding in report.findings.iter().filter(|finding| shown(finding.severity)) {
        writeln!(out, "  {}", printable(&finding.to_string()))?;
    }
    for more in report.more.iter().filter(|more| shown(more.severity)) {
        writeln!(out, "  {}: {}: and {} more", more.severity, more.code, more.count)?;
    }
    let verdict = if checked.is_clean() { "clean" } else { "DAMAGED" };
    writeln!(
        out,
        "  {verdict}: {} keys, {} values, {} of which {} unused; {} errors, {} warnings, {} notes",
        report.keys,
        report.values,
        human(report.bins_size),
        human(report.free),
        report.errors,
        report.warnings,
        report.notes
    )
}

fn as_json(checked: &Checked) -> Value {
    let Checked { found, report, recovery } = checked;
    let findings = report.findings.iter().map(|finding| {
        json!({
            "severity": finding.severity.as_str(),
            "code": finding.code.as_str(),
            "offset": finding.offset,
            "key": finding.path,
            "text": finding.text,
        })
    });
    let more = report.more.iter().map(
        |more| json!({ "severity": more.severity.as_str(), "code": more.code.as_str(), "count": more.count }),
    );
    json!({
        "hive": found.path,
        "clean": checked.is_clean(),
        "dirty": recovery.as_ref().is_ok_and(|recovery| recovery.dirty),
        "recovery": recovery.as_ref().ok().filter(|recovery| recovery.dirty).map(ToString::to_string),
        "problem": recovery.as_ref().err(),
        "errors": report.errors,
        "warnings": report.warnings,
        "notes": report.notes,
        "keys": report.keys,
        "values": report.values,
        "size": report.bins_size,
        "unused": report.free,
        "findings": findings.collect::<Vec<_>>(),
        "more": more.collect::<Vec<_>>(),
    })
}

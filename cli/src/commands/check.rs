//! `wimforge check`

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use image::chain::{ChainReport, check_chain};
use image::{DiskFile, DiskPlace, Error, ErrorKind, FatReport, FileKind, VolumeCheck, check_disk};
use picture::{human, printable};
use serde_json::{Value, json};

use super::boot_chain;
use crate::args::{Check, Common};
use crate::{progress, report};

pub(crate) fn run(args: &Check, common: &Common) -> anyhow::Result<ExitCode> {
    let place = DiskPlace::parse(&args.file);
    if FileKind::of(&place.file)?.0 == FileKind::Wim {
        let what = "is a WIM; `wimforge verify` checks it".to_owned();
        return Err(Error::Unsupported { path: place.file, what }.into());
    }
    let opened = DiskFile::open_with(&place.file, &args.chain.parents());
    let checked = opened.and_then(|disk| {
        let container = progress::unmeasured("checking container", common.quiet, || disk.check())?;
        Ok((disk, container))
    });
    let (disk, container) = match checked {
        Ok(checked) => checked,
        Err(error) if error.kind() == ErrorKind::Verification => {
            return container_fault(&error, &place, common);
        }
        Err(error) => return Err(error.into()),
    };
    // A chain goes through several partitions: whoever asks for one asks for its volume.
    let wants_chain = args.boot || !args.no_boot && place.partition.is_none();
    let follow = || progress::unmeasured("following boot chain", common.quiet, || check_chain(&disk));
    let chain = wants_chain.then(follow).transpose()?;
    let starts = chain.as_ref().is_some_and(|chain| !chain.chains.is_empty());
    let mut trouble = None;
    let mut checks = Vec::new();
    if args.boot {
        if !starts {
            let notes = chain.map_or_else(Vec::new, |chain| chain.notes);
            return Err(Error::Unsupported { path: place.file, what: notes.join("; ") }.into());
        }
    } else {
        let volumes = || check_disk(&disk, place.partition, args.strict);
        match progress::unmeasured("checking volumes", common.quiet, volumes) {
            Ok(found) => checks = found,
            // A disk that nothing can read still has a chain to speak of.
            Err(error) if starts => trouble = Some(error),
            // What the host does not let be read is no property of the disk.
            Err(Error::Read { path, source }) if source.raw_os_error().is_some() => {
                return Err(Error::Read { path, source }.into());
            }
            // And a container that is sound may hold anything.
            Err(error) if container.is_some() && place.partition.is_none() => {
                if !common.quiet {
                    report::say(&format!("note: {:#}", anyhow::Error::from(error)));
                }
            }
            Err(error) => return Err(error.into()),
        }
        if container.is_none() && !starts && !checks.iter().any(VolumeCheck::is_checked) {
            let what = "holds no NTFS or FAT volume".to_owned();
            return Err(Error::Unsupported { path: place.file, what }.into());
        }
    }
    let clean = checks.iter().all(VolumeCheck::is_clean)
        && !chain.as_ref().is_some_and(ChainReport::is_broken)
        && trouble.is_none();
    let read_error = disk.read_error();
    let mut out = BufWriter::new(io::stdout().lock());
    if common.json {
        if let Some(error) = read_error {
            return Err(error.into());
        }
        let volumes: Vec<Value> = checks.iter().map(as_json).collect();
        let path = place.file.to_string_lossy();
        let value = json!({
            "schema": "wimforge.check/1",
            "path": path,
            "clean": clean,
            "container": container,
            "volumes": volumes,
            "boot": chain,
        });
        writeln!(out, "{value:#}")?;
    } else {
        if let Some(container) = container.filter(|_| !args.boot) {
            let counts: Vec<String> =
                container.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
            writeln!(out, "container: {}, sound: {}", container.format, counts.join(", "))?;
        }
        for check in &checks {
            as_text(check, args.notes, read_error.is_none(), &mut out)?;
        }
        if let Some(chain) = &chain {
            boot_chain::text(chain, &mut out)?;
        }
    }
    out.flush()?;
    if let Some(error) = trouble {
        report::say(&format!("error: {:#}", anyhow::Error::from(error)));
    }
    report::verdict(clean, read_error)
}

/// A container whose structure is damaged: nothing on the disk in it is looked at.
fn container_fault(error: &Error, place: &DiskPlace, common: &Common) -> anyhow::Result<ExitCode> {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    let mut out = io::stdout().lock();
    if common.json {
        let path = place.file.to_string_lossy();
        let value = json!({
            "schema": "wimforge.check/1",
            "path": path,
            "clean": false,
            "container": { "fault": text },
            "volumes": [],
            "boot": null,
        });
        writeln!(out, "{value:#}")?;
    } else {
        writeln!(out, "container DAMAGED: {}", printable(&text))?;
    }
    Ok(report::VERIFICATION.into())
}

/// `whole`: all of the disk could be read.
fn as_text(check: &VolumeCheck, notes: bool, whole: bool, out: &mut dyn Write) -> io::Result<()> {
    let partition = &check.partition;
    let found = partition.file_system.as_ref().map_or("no known file system", |found| found.name);
    let number = partition.number;
    writeln!(out, "partition {number}: {found}, {} at {}", human(partition.size), human(partition.start))?;
    if let Some(report) = &check.fat {
        return fat_as_text(report, whole, out);
    }
    let Some(report) = &check.report else { return Ok(()) };
    let shown = |severity: image::CheckSeverity| notes || severity < image::CheckSeverity::Note;
    for finding in report.findings.iter().filter(|finding| shown(finding.severity)) {
        writeln!(out, "  {}", printable(&finding.to_string()))?;
    }
    for more in report.more.iter().filter(|more| shown(more.severity)) {
        writeln!(out, "  {}: {}: and {} more", more.severity, more.code, more.count)?;
    }
    for what in &report.not_checked {
        writeln!(out, "  not checked: {what}")?;
    }
    let verdict = verdict(report.is_clean(), whole);
    let (errors, warnings) = (report.errors, report.warnings);
    writeln!(
        out,
        "  {verdict}: {} files, {errors} errors, {warnings} warnings, {} notes",
        report.files, report.notes
    )
}

fn verdict(clean: bool, whole: bool) -> &'static str {
    match (clean, whole) {
        (true, _) => "clean",
        (false, true) => "DAMAGED",
        // What is found to be wrong may be what could not be read.
        (false, false) => "NOT CHECKED",
    }
}

fn fat_as_text(report: &FatReport, whole: bool, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "  {}", printable(&finding.to_string()))?;
    }
    if report.more > 0 {
        writeln!(out, "  and {} more", report.more)?;
    }
    let verdict = verdict(report.is_clean(), whole);
    let (errors, warnings) = (report.errors, report.warnings);
    writeln!(out, "  {verdict}: {} files, {errors} errors, {warnings} warnings", report.files)
}

fn fat_as_json(report: &FatReport) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "severity": finding.severity.to_string(),
                "code": finding.code,
                "path": finding.path,
                "offset": finding.offset,
                "text": finding.text,
            })
        })
        .collect();
    json!({
        "clean": report.is_clean(),
        "errors": report.errors,
        "warnings": report.warnings,
        "files": report.files,
        "clusters": report.clusters,
        "cluster_size": report.cluster_size,
        "findings": findings,
        "not_listed": report.more,
    })
}

fn as_json(check: &VolumeCheck) -> Value {
    let report = check.report.as_ref().map(|report| {
        let findings: Vec<Value> = report
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "severity": finding.severity.as_str(),
                    "code": finding.code.as_str(),
                    "record": finding.record,
                    "path": finding.path,
                    "offset": finding.offset,
                    "text": finding.text,
                })
            })
            .collect();
        let more: Vec<Value> = report
            .more
            .iter()
            .map(|more| json!({ "severity": more.severity.as_str(), "code": more.code.as_str(), "count": more.count }))
            .collect();
        json!({
            "clean": report.is_clean(),
            "errors": report.errors,
            "warnings": report.warnings,
            "notes": report.notes,
            "files": report.files,
            "records": report.records,
            "clusters": report.clusters,
            "cluster_size": report.cluster_size,
            "findings": findings,
            "more": more,
            "not_checked": report.not_checked,
        })
    });
    let partition = &check.partition;
    json!({
        "partition": partition.number,
        "start": partition.start,
        "size": partition.size,
        "file_system": partition.file_system.as_ref().map(|found| found.name),
        "report": report.or_else(|| check.fat.as_ref().map(fat_as_json)),
    })
}

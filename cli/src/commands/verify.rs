//! `wimforge verify`

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use image::{Error, FileKind, WimSource};
use picture::{human, printable};
use serde_json::{Value, json};
use wim::verify::{FileRange, Integrity, Place, Progress, Report};

use crate::args::{Common, Verify};
use crate::report::{self, say};
use crate::{progress, signal};

pub(crate) fn run(args: &Verify, common: &Common) -> anyhow::Result<ExitCode> {
    if let Some(against) = &args.against {
        return super::against::run(args, against, common);
    }
    let cancel = signal::cancel_flag()?;
    if !matches!(FileKind::of(&args.file)?.0, FileKind::Wim | FileKind::Iso) {
        let what =
            "is not a WIM; compare a disk with --against SOURCE, and check its volumes with `wimforge check`"
                .to_owned();
        return Err(Error::Unsupported { path: args.file.clone(), what }.into());
    }
    let source = WimSource::open_choice(&args.file, args.in_iso.choice().as_ref())?;
    source.wim().set_memory(args.resources.memory);
    let pool = super::pool(&args.resources)?;
    let checked = AtomicU64::new(0);
    let total = wim::verify::total_bytes(source.wim());
    let poll = || (checked.load(Ordering::Relaxed), total);
    let started = Instant::now();
    let report = progress::during("verifying", common.quiet, &poll, || {
        pool.install(|| wim::verify::verify(source.wim(), &Progress { checked: &checked, cancel }))
    })
    .map_err(|source| match source {
        wim::Error::Cancelled => Error::Cancelled,
        source => Error::Wim { path: args.file.clone(), source },
    })?;
    let seconds = started.elapsed().as_secs_f64();

    let read_error = source.read_error();
    let mut out = BufWriter::new(io::stdout().lock());
    if common.json {
        if let Some(error) = read_error {
            return Err(error.into());
        }
        writeln!(out, "{:#}", as_json(args, &report, seconds))?;
    } else {
        if !common.quiet {
            let of_images = report.images.iter().flat_map(|image| &image.warnings);
            report.warnings.iter().chain(of_images).for_each(|warning| say(&format!("warning: {warning}")));
        }
        as_text(&source, &report, seconds, &mut out)?;
    }
    out.flush()?;
    report::verdict(report.is_intact(), read_error)
}

/// Content that is wrong, or that could not be read.
struct Problem {
    /// Where it is noticed; nowhere if no file has this content.
    places: Vec<String>,
    text: String,
    /// Whether it could be read.
    read: bool,
}

fn problems(report: &Report) -> Vec<Problem> {
    let paths = |places: &[Place]| -> Vec<String> {
        places.iter().map(|place| format!("image {}: {}", place.image, place.path)).collect()
    };
    let mut found = Vec::new();
    for image in &report.images {
        if let Err(error) = &image.dentries {
            found.push(Problem {
                places: vec![format!("image {}: metadata", image.index)],
                text: Chain(error.root()).to_string(),
                read: !is_hosts(error),
            });
        }
    }
    for damage in &report.damaged {
        found.push(Problem {
            places: paths(&damage.places),
            text: Chain(&damage.error).to_string(),
            read: !is_hosts(&damage.error),
        });
    }
    for missing in &report.missing {
        found.push(Problem {
            places: paths(&missing.places),
            text: format!("content with SHA-1 {} is not in the file", disk::hex(&missing.sha1)),
            read: true,
        });
    }
    found
}

fn as_text(source: &WimSource, report: &Report, seconds: f64, out: &mut dyn Write) -> io::Result<()> {
    for Problem { places, text, read } in problems(report) {
        let word = if read { "damaged" } else { "unreadable" };
        if places.is_empty() {
            writeln!(out, "{word}: (used by no file): {text}")?;
        }
        for place in places {
            writeln!(out, "{word}: {}: {}", printable(&place), printable(&text))?;
        }
    }
    if let Integrity::Checked { damaged, unread, .. } = &report.integrity {
        let name = |range: &FileRange| source.parts()[usize::from(range.part) - 1].display();
        for range in damaged {
            let (bytes, name) = (&range.bytes, name(range));
            writeln!(
                out,
                "damaged: bytes {:#x}..{:#x} of {name} do not match the integrity table",
                bytes.start, bytes.end
            )?;
        }
        for (range, error) in unread {
            let (bytes, name) = (&range.bytes, name(range));
            writeln!(
                out,
                "unreadable: bytes {:#x}..{:#x} of {name}: {}",
                bytes.start,
                bytes.end,
                Chain(error)
            )?;
        }
    }
    let verdict = match (report.is_intact(), source.read_error()) {
        (true, _) => "intact",
        (false, None) => "DAMAGED",
        // Whether what was not read is sound is not known.
        (false, Some(_)) => "NOT VERIFIED",
    };
    let speed = human((report.bytes as f64 / seconds.max(1e-9)) as u64);
    writeln!(
        out,
        "{verdict}: {} blobs, {}, {} images, integrity table {}; {seconds:.1} s, {speed}/s",
        report.blobs,
        human(report.bytes),
        report.images.len(),
        integrity(&report.integrity)
    )
}

/// Whether the host said it, and not the file.
fn is_hosts(error: &wim::Error) -> bool {
    matches!(error.root(), wim::Error::Io { source, .. } if source.raw_os_error().is_some())
}

fn integrity(integrity: &Integrity) -> String {
    match integrity {
        Integrity::Absent => "absent".to_owned(),
        Integrity::Checked { damaged, unread, .. } if damaged.is_empty() => match unread.is_empty() {
            true => "matches".to_owned(),
            false => "could not be compared".to_owned(),
        },
        Integrity::Checked { .. } => "does not match".to_owned(),
        Integrity::Unusable(error) => format!("unusable ({})", Chain(error)),
        other => format!("{other:?}"),
    }
}

fn as_json(args: &Verify, report: &Report, seconds: f64) -> Value {
    let damaged: Vec<Value> = problems(report)
        .into_iter()
        .map(|problem| json!({ "paths": problem.places, "problem": problem.text }))
        .collect();
    let of_images = report.images.iter().flat_map(|image| &image.warnings);
    json!({
        "schema": "wimforge.verify.wim/1",
        "path": args.file.to_string_lossy(),
        "intact": report.is_intact(),
        "blobs": report.blobs,
        "bytes": report.bytes,
        "images": report.images.len(),
        "integrity_table": integrity(&report.integrity),
        "damaged": damaged,
        "warnings": report.warnings.iter().chain(of_images).map(ToString::to_string).collect::<Vec<_>>(),
        "seconds": seconds,
    })
}

/// An error with its causes, on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

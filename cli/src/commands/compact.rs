//! `wimforge compact`

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use image::unused::{Cleared, Dropped, Outcome, Place, Survey, SurveyOptions, Trimmed, in_place, survey};
use image::{DiskFile, DiskPlace};
use picture::{human, printable};
use serde_json::{Value, json};

use super::convert::{From, Packed};
use crate::args::{Common, Compact};
use crate::report::say;
use crate::{progress, signal};

/// What was done with what was found.
enum Done<'a> {
    Nothing,
    InPlace(Cleared),
    Packed(Packed<'a>),
}

pub(crate) fn run(args: &Compact, common: &Common) -> anyhow::Result<ExitCode> {
    let place = DiskPlace::parse(&args.source);
    let disk = DiskFile::open_with(&place.file, &args.chain.parents())?;
    let dropped =
        Dropped { pagefile: args.drop_pagefile, swapfile: args.drop_swapfile, hiberfil: args.drop_hiberfil };
    let mut options = SurveyOptions::default();
    (options.dropped, options.partition) = (dropped, place.partition);
    let survey = progress::unmeasured("surveying", common.quiet, || survey(&disk, &options))?;
    let require_all = || if args.skip_unsound { Ok(()) } else { survey.require_all(&place.file) };
    if !args.dry_run {
        require_all()?;
    }
    let done = match args.output() {
        _ if args.dry_run => Done::Nothing,
        Some(output) => {
            let trimmed = Trimmed::new(disk.disk().clone(), survey.clone());
            let from = From { path: &place.file, file: &disk, disk: &trimmed, sectors: disk.sector_size() };
            Done::Packed(Packed::pack(from, output, &args.container, &args.resources, common)?)
        }
        None => {
            let cancel = signal::cancel_flag()?;
            let (counter, total) = (AtomicU64::new(0), unused_stored(&survey));
            let poll = || (counter.load(Ordering::Relaxed), total);
            Done::InPlace(progress::during("clearing", common.quiet, &poll, || {
                in_place(&disk, &survey, cancel, &counter)
            })?)
        }
    };
    report(&place.file, &survey, &done, args, common)?;
    // Of a dry run, which has shown by now what it is about.
    require_all()?;
    Ok(ExitCode::SUCCESS)
}

fn unused_stored(survey: &Survey) -> u64 {
    survey.places.iter().map(|place| place.unused_stored).sum()
}

/// On standard error when the disk went to standard output.
fn report(
    path: &Path,
    survey: &Survey,
    done: &Done<'_>,
    args: &Compact,
    common: &Common,
) -> anyhow::Result<()> {
    let text = if common.json {
        let value = json!({
            "schema": "wimforge.compact/1",
            "path": path.to_string_lossy(),
            "unused": survey.places.iter().map(|place| place.unused).sum::<u64>(),
            "unused_stored": unused_stored(survey),
            "places": survey.places,
            "in_place": match done {
                Done::InPlace(cleared) => json!(cleared),
                _ => Value::Null,
            },
            "converted": match done {
                Done::Packed(packed) => packed.json(),
                _ => Value::Null,
            },
        });
        format!("{value:#}\n")
    } else {
        as_text(survey, done)
    };
    if args.output() == Some(Path::new("-")) {
        if !common.quiet {
            text.lines().for_each(say);
        }
    } else {
        io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(())
}

fn as_text(survey: &Survey, done: &Done<'_>) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    for place in &survey.places {
        let _ = place_as_text(place, &mut text);
    }
    let unused: u64 = survey.places.iter().map(|place| place.unused).sum();
    let _ = writeln!(text, "{} unused, {} of it stored", human(unused), human(unused_stored(survey)));
    let _ = match done {
        Done::Nothing => Ok(()),
        Done::InPlace(Cleared { punched, zeroed, structures, .. }) => writeln!(
            text,
            "cleared in place: {} as holes, {} with zeros, and remains in {structures} structures",
            human(*punched),
            human(*zeroed)
        ),
        Done::Packed(packed) => write!(text, "{}", packed.text("compacted to")),
    };
    text
}

fn place_as_text(place: &Place, out: &mut String) -> std::fmt::Result {
    match place.partition {
        Some(number) => write!(out, "partition {number}: {}", place.what)?,
        None => write!(out, "{}", place.what)?,
    }
    write!(out, ", {} at {}: ", human(place.size), human(place.start))?;
    match &place.outcome {
        Outcome::Known => {
            write!(out, "{} unused, {} of it stored", human(place.unused), human(place.unused_stored))?;
            let parts = place.parts;
            let named = [
                ("free", parts.free),
                ("behind ends of files", parts.tails),
                ("index blocks", parts.index_blocks),
                ("emptied files", parts.emptied),
            ];
            let named: Vec<String> = named
                .into_iter()
                .filter(|part| part.1 > 0 && place.partition.is_some())
                .map(|(name, bytes)| format!("{name} {}", human(bytes)))
                .collect();
            if !named.is_empty() {
                write!(out, " ({})", named.join(", "))?;
            }
            match parts.structures {
                0 => writeln!(out)?,
                count => writeln!(out, "; remains in {count} structures")?,
            }
        }
        Outcome::Kept { why } => writeln!(out, "kept: {}", printable(why))?,
        Outcome::Refused { why, .. } => writeln!(out, "REFUSED: {}", printable(why))?,
    }
    for kept in &place.kept {
        writeln!(out, "  kept: {}", printable(kept))?;
    }
    Ok(())
}

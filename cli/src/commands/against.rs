//! `wimforge verify DISK --against SOURCE`

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use image::{
    Change, CompareOptions, Comparison, DiskFile, DiskPlace, DiskVolume, Error, ImageChoice, Partitions,
    VolumeOptions, WimSource, compare, compare_with_record,
};
use picture::{human, printable};
use serde_json::json;

use crate::args::{Common, Verify};
use crate::report::{self, say};
use crate::{progress, signal};

pub(crate) fn run(args: &Verify, against: &Path, common: &Common) -> anyhow::Result<ExitCode> {
    let cancel = signal::cancel_flag()?;
    let source = WimSource::open_choice(against, args.in_iso.choice().as_ref())?;
    let index = source.choose(args.image.as_ref())?;
    let place = DiskPlace::parse(&args.file);
    let disk = DiskFile::open_with(&place.file, &args.chain.parents())?;
    let volume = choose(&disk, place.partition)?;
    let pool = super::pool(&args.resources)?;
    let (hashed, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let poll = || (hashed.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
    let started = Instant::now();
    let record = match &args.record {
        Some(path) => read_record(path)?,
        None => Vec::new(),
    };
    let options = CompareOptions { pool: &pool, cancel, hashed: &hashed, total: &total, record: &record };
    let found =
        progress::during("comparing", common.quiet, &poll, || compare(&volume, &source, index, options))?;
    let partition = volume.partition().number;
    let mut compared = vec![(partition, found)];
    // What the build put on the other partitions, unless just one was named.
    let mut others: Vec<u32> = record.iter().map(|change| change.partition).collect();
    others.sort_unstable();
    others.dedup();
    for number in others.into_iter().filter(|&number| place.partition.is_none() && number != partition) {
        let volume = choose(&disk, Some(number))?;
        compared.push((number, compare_with_record(&volume, &source, index, options)?));
    }
    let seconds = started.elapsed().as_secs_f64();
    let same = compared.iter().all(|(_, found)| found.different == 0);
    // A difference may be what could not be read.
    if let Some(error) = disk.read_error().or_else(|| source.read_error()) {
        return Err(error.into());
    }

    let mut out = BufWriter::new(io::stdout().lock());
    if common.json {
        let others: Vec<_> = compared[1..]
            .iter()
            .map(|(number, found)| json!({ "partition": number, "comparison": found }))
            .collect();
        let value = json!({
            "schema": "wimforge.verify.disk/1",
            "path": place.file.to_string_lossy(),
            "against": against.to_string_lossy(),
            "image": index,
            "partition": partition,
            "same": same,
            "comparison": compared[0].1,
            "others": others,
            "seconds": seconds,
        });
        writeln!(out, "{value:#}")?;
    } else {
        for (number, found) in &compared {
            if !common.quiet {
                found.notes.iter().for_each(|note| say(&format!("note: {note}")));
            }
            text(found, *number, index, seconds, &mut out)?;
        }
        if !same && args.record.is_none() && !common.quiet {
            say("note: what the build changed on purpose counts as different without its record (--record)");
        }
    }
    out.flush()?;
    Ok(if same { ExitCode::SUCCESS } else { report::VERIFICATION.into() })
}

/// What a build changed on purpose: of what `build --json` printed, or `build --record` wrote.
fn read_record(path: &Path) -> anyhow::Result<Vec<Change>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{}: is not JSON", path.display()))?;
    let changes = value.get("changes").or_else(|| value.get("build")?.get("changes"));
    let changes = changes.with_context(|| {
        format!(
            "{}: is no record of a build (no \"changes\" in it); build --record writes one",
            path.display()
        )
    })?;
    serde_json::from_value(changes.clone())
        .with_context(|| format!("{}: is no record of a build", path.display()))
}

/// The volume that was named, or else the largest: of the disks that are built here, that of Windows.
fn choose(disk: &DiskFile, number: Option<u32>) -> Result<DiskVolume, Error> {
    let partitions = Partitions::of(disk)?;
    let largest = partitions.partitions.iter().filter(|found| found.is_ntfs()).max_by_key(|found| found.size);
    let number = number.or(largest.map(|found| found.number));
    DiskVolume::choose(disk, &partitions, number.map(ImageChoice::Index).as_ref(), VolumeOptions::default())
}

fn text(found: &Comparison, partition: u32, index: u32, seconds: f64, out: &mut dyn Write) -> io::Result<()> {
    for difference in &found.differences {
        writeln!(out, "differs: {}: {}", printable(&difference.path), printable(&difference.what))?;
    }
    let listed = found.differences.len() as u64;
    if found.different > listed {
        writeln!(out, "differs: and {} more", found.different - listed)?;
    }
    for note in &found.expected {
        writeln!(out, "expected: {}", printable(note))?;
    }
    let verdict =
        if found.different == 0 { "same".to_owned() } else { format!("{} DIFFERENCES", found.different) };
    let speed = human((found.bytes as f64 / seconds.max(1e-9)) as u64);
    writeln!(
        out,
        "{verdict}: partition {partition} and image {index}: {} files and directories, {} names, {} hashed; \
         {seconds:.1} s, {speed}/s",
        found.files,
        found.names,
        human(found.bytes)
    )
}

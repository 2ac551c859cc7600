//! `wimforge verify DISK --against SOURCE`

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use image::{
    CompareOptions, Comparison, DiskFile, DiskPlace, DiskVolume, Error, ImageChoice, Partitions,
    VolumeOptions, WimSource, compare,
};
use serde_json::json;

use crate::args::{Common, Verify};
use crate::report::{self, printable, say};
use crate::size::human;
use crate::{progress, signal};

pub(crate) fn run(args: &Verify, against: &Path, common: &Common) -> anyhow::Result<ExitCode> {
    let cancel = signal::cancel_flag()?;
    let source = WimSource::open(against)?;
    let index = source.choose(args.image.as_ref())?;
    let place = DiskPlace::parse(&args.file);
    let disk = DiskFile::open(&place.file)?;
    let volume = choose(&disk, place.partition)?;
    let pool = super::pool(&args.resources)?;
    let (hashed, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let poll = || (hashed.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
    let started = Instant::now();
    let options = CompareOptions { pool: &pool, cancel, hashed: &hashed, total: &total };
    let found =
        progress::during("comparing", common.quiet, &poll, || compare(&volume, &source, index, options))?;
    let seconds = started.elapsed().as_secs_f64();

    let mut out = BufWriter::new(io::stdout().lock());
    let partition = volume.partition().number;
    if common.json {
        let value = json!({
            "schema": "wimforge.verify.disk/1",
            "path": place.file.to_string_lossy(),
            "against": against.to_string_lossy(),
            "image": index,
            "partition": partition,
            "same": found.different == 0,
            "comparison": found,
            "seconds": seconds,
        });
        writeln!(out, "{value:#}")?;
    } else {
        if !common.quiet {
            found.notes.iter().for_each(|note| say(&format!("note: {note}")));
        }
        text(&found, partition, index, seconds, &mut out)?;
    }
    out.flush()?;
    Ok(if found.different == 0 { ExitCode::SUCCESS } else { report::VERIFICATION.into() })
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

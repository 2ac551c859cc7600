//! How fast and how small grains become zlib streams, on one core, next to zlib-rs.
//!
//! ```sh
//! cargo run --release -p wimforge-codec --example deflate_speed -- FILE-OR-DIRECTORY... [--megabytes N] [--rounds N] \
//!     [--every N] [--levels 1,3,6,9]
//! ```
//!
//! The files are cut into grains of 64 KiB, the first megabytes of all of them, in the order of their names;
//! `--every 8` takes one grain in eight. Every round compresses all grains, each with one encoder after the other, so
//! that whatever else the machine does hits them alike; of each grain the best round counts. All streams are inflated
//! again and compared. `VMDK` is the size in sectors, with the marker of 12 bytes before each grain.

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::read::ZlibDecoder;
use flate2::{Compress, Compression, FlushCompress};
use wimforge_codec::{Deflater, Effort, Tokens};

const GRAIN: usize = 64 << 10;

enum Encoder {
    Ours(Box<Deflater>),
    Zlib(Compress),
}

impl Encoder {
    fn encode(&mut self, grain: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
        out.clear();
        match self {
            Self::Ours(deflater) => deflater.zlib(grain, &Tokens::new(), 0, out),
            Self::Zlib(zlib) => {
                zlib.reset();
                zlib.compress_vec(grain, out, FlushCompress::Finish)?;
            }
        }
        Ok(())
    }
}

struct Row {
    name: String,
    encoder: Encoder,
    times: Vec<Duration>,
    bytes: usize,
    sectors: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut paths, mut rounds, mut megabytes, mut every) = (Vec::new(), 5_usize, 64_usize, 1_usize);
    let mut levels = vec![1, 3, 6, 9];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().unwrap_or_default().parse()?,
            "--megabytes" => megabytes = args.next().unwrap_or_default().parse()?,
            "--every" => every = args.next().unwrap_or_default().parse()?,
            "--levels" => {
                let list = args.next().unwrap_or_default();
                levels = list.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
            }
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    if paths.is_empty() || every == 0 || levels.iter().any(|level| *level > 9) {
        return Err(
            "usage: deflate_speed FILE-OR-DIRECTORY... [--megabytes N] [--rounds N] [--every N]".into()
        );
    }
    let mut data = Vec::new();
    for path in paths {
        read(&path, megabytes * 1_000_000, &mut data)?;
    }
    let grains: Vec<&[u8]> = data.chunks(GRAIN).step_by(every).collect();

    let efforts = [("fast", Effort::Fast), ("default", Effort::Default), ("best", Effort::Best)];
    let ours =
        efforts.map(|(name, effort)| (name.to_string(), Encoder::Ours(Box::new(Deflater::new(effort)))));
    let theirs = levels.iter().map(|level| {
        (format!("zlib-rs {level}"), Encoder::Zlib(Compress::new(Compression::new(*level), true)))
    });
    let times = vec![Duration::MAX; grains.len()];
    let row = |(name, encoder)| Row { name, encoder, times: times.clone(), bytes: 0, sectors: 0 };
    let mut rows: Vec<Row> = ours.into_iter().chain(theirs).map(row).collect();
    for round in 0..rounds.max(1) {
        for (index, grain) in grains.iter().enumerate() {
            for row in &mut rows {
                measure(row, grain, index, round == 0)?;
            }
        }
    }

    let total = grains.iter().map(|grain| grain.len()).sum::<usize>() as f64;
    println!("{:<10} {:>8} {:>7} {:>7}   of {:.1} MB", "encoder", "MB/s", "ratio", "VMDK", total / 1e6);
    for row in rows {
        let seconds = row.times.iter().sum::<Duration>().as_secs_f64();
        println!(
            "{:<10} {:>8.1} {:>7.4} {:>7.4}",
            row.name,
            total / seconds / 1e6,
            row.bytes as f64 / total,
            (row.sectors * 512) as f64 / total
        );
    }
    Ok(())
}

fn measure(row: &mut Row, grain: &[u8], index: usize, first: bool) -> Result<(), Box<dyn Error>> {
    let mut out = Vec::with_capacity(2 * GRAIN);
    let start = Instant::now();
    row.encoder.encode(grain, &mut out)?;
    row.times[index] = row.times[index].min(start.elapsed());
    if first {
        row.bytes += out.len();
        row.sectors += (out.len() + 12).div_ceil(512);
        let mut back = Vec::with_capacity(GRAIN);
        ZlibDecoder::new(&out[..]).read_to_end(&mut back)?;
        if back != grain {
            return Err(format!("{}: grain {index} comes back as another", row.name).into());
        }
    }
    Ok(())
}

/// Reads files, of directories in the order of their names, until there is enough.
fn read(path: &Path, enough: usize, data: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            entries.push(entry?.path());
        }
        entries.sort();
        for entry in entries {
            read(&entry, enough, data)?;
        }
    } else if path.is_file() && data.len() < enough {
        data.extend_from_slice(&std::fs::read(path)?);
        data.truncate(enough);
    }
    Ok(())
}

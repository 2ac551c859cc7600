//! How fast and how small grains of 64 KiB are re-coded from the chunks of a WIM, on one core, in CPU time.
//!
//! ```sh
//! cargo run --release -p wimforge-codec --example recode_speed -- FILE.wim [--megabytes N] [--rounds N] [--dump FILE] [--only NAME]
//! ```
//!
//! The chunks are laid out one after the other as a volume would have them, files beginning on clusters of 4 KiB, and cut
//! into grains. `--dump` writes those to a file, for other compressors to be tried on.

use std::error::Error;
use std::io::Write;

use wimforge_codec::{Deflater, Effort, Lzx, Note, Tokens, Xpress};

#[path = "../tests/support/wim_chunks.rs"]
mod wim_chunks;

const GRAIN: usize = 64 << 10;
const CLUSTER: usize = 4096;

/// Nanoseconds of the processor that this thread has used.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut path, mut rounds, mut megabytes, mut dump, mut only) = (None, 3_usize, 100_usize, None, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().unwrap_or_default().parse()?,
            "--megabytes" => megabytes = args.next().unwrap_or_default().parse()?,
            "--only" => only = args.next(),
            "--dump" => dump = args.next(),
            _ => path = Some(arg),
        }
    }
    let wim = std::fs::read(path.ok_or("usage: recode_speed FILE.wim")?)?;
    let wim_chunks::Chunks { codec, chunk_size, chunks } = wim_chunks::read(&wim);

    // One buffer and its tokens per unit of 16 grains, as the pass has them.
    let mut data: Vec<u8> = Vec::new();
    let mut tokens = Tokens::new();
    let (mut lzx, mut xpress) = (Lzx::new(chunk_size.max(1 << 15))?, Xpress::new());
    let mut decoding = 0;
    for (chunk, size) in &chunks {
        if data.len() >= megabytes * 1_000_000 {
            break;
        }
        let at = data.len();
        data.resize(at + size, 0);
        let mut note = Note::new(&mut tokens, at);
        let start = cpu();
        match codec {
            wim_chunks::Codec::Lzx => lzx.decode_noting(chunk, &mut data[at..], &mut note)?,
            wim_chunks::Codec::Xpress => xpress.decode_noting(chunk, &mut data[at..], &mut note)?,
            wim_chunks::Codec::Lzms => return Err("no tokens in LZMS".into()),
        }
        decoding += cpu() - start;
        if *size < chunk_size {
            data.resize(data.len().next_multiple_of(CLUSTER), 0);
        }
    }
    data.resize(data.len().next_multiple_of(GRAIN), 0);
    println!(
        "{} MB decoded with tokens: {:.0} MB/s",
        data.len() / 1_000_000,
        data.len() as f64 * 1e3 / decoding as f64
    );
    if let Some(dump) = dump {
        std::fs::File::create(dump)?.write_all(&data)?;
    }
    let nothing = Tokens::new();
    for (name, effort, known) in [
        ("re-coded", Effort::Default, &tokens),
        ("fast", Effort::Fast, &nothing),
        ("default", Effort::Default, &nothing),
        ("best", Effort::Best, &nothing),
    ] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let mut deflater = Deflater::new(effort);
        let (mut plain, mut sectors, mut best) = (0, 0, u64::MAX);
        let mut out = Vec::new();
        for _ in 0..rounds {
            (plain, sectors) = (0, 0);
            let start = cpu();
            for (index, grain) in data.chunks(GRAIN).enumerate() {
                out.clear();
                deflater.zlib(grain, known, index * GRAIN, &mut out);
                plain += out.len();
                sectors += (out.len() + 12).div_ceil(512);
            }
            best = best.min(cpu() - start);
        }
        println!(
            "{name:<10} {:>6.0} MB/s  plain {plain:>10} {:.4}  in sectors {:>10} {:.4}",
            data.len() as f64 * 1e3 / best as f64,
            plain as f64 / data.len() as f64,
            sectors * 512,
            (sectors * 512) as f64 / data.len() as f64,
        );
    }
    Ok(())
}

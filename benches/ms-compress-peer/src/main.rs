//! Times the decoders of the crate ms-compress on given chunks, as `codec-peer` does libwim's; the protocol is described
//! there.

use std::error::Error;
use std::io::{BufRead, Write};

use ms_compress::context::Decompressor;

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::fs::read(std::env::args().nth(1).ok_or("usage: ms-compress-peer FILE")?)?;
    let mut rest = data.as_slice();
    let (codec, chunk_size, count) = (word(&mut rest)?, word(&mut rest)? as usize, word(&mut rest)?);
    let mut chunks = Vec::new();
    for _ in 0..count {
        let (stored, size) = (word(&mut rest)? as usize, word(&mut rest)? as usize);
        let (chunk, behind) = rest.split_at_checked(stored).ok_or("the file of chunks is cut off")?;
        chunks.push((chunk, size));
        rest = behind;
    }
    let mut decompressor = Decompressor::new(i32::try_from(codec)?, chunk_size)?;
    let mut out = vec![0; chunk_size];
    let mut stdout = std::io::stdout();
    // The version that the manifest pins.
    writeln!(stdout, "0.2.1")?;
    let mut hash = None;
    for line in std::io::stdin().lock().lines() {
        line?;
        let hash = match hash {
            Some(hash) => hash,
            None => {
                let mut fnv = 0xcbf2_9ce4_8422_2325_u64;
                for (chunk, size) in &chunks {
                    decompressor.decompress(chunk, &mut out[..*size])?;
                    for byte in &out[..*size] {
                        fnv = (fnv ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
                    }
                }
                *hash.insert(fnv)
            }
        };
        let start = cpu_nanoseconds()?;
        for (chunk, size) in &chunks {
            decompressor.decompress(chunk, &mut out[..*size])?;
        }
        writeln!(stdout, "{} {hash:016x}", (cpu_nanoseconds()? - start) / 1000)?;
    }
    Ok(())
}

fn word(data: &mut &[u8]) -> Result<u32, Box<dyn Error>> {
    let (word, rest) = data.split_first_chunk().ok_or("the file of chunks is cut off")?;
    *data = rest;
    Ok(u32::from_le_bytes(*word))
}

/// CPU time of this thread.
fn cpu_nanoseconds() -> Result<u64, Box<dyn Error>> {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(account.split(' ').next().ok_or("no number in schedstat")?.parse()?)
}

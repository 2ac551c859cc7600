//! Reads a hive, writes it again, and says how long that took and how large the result is.
#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::Instant;

use wimforge_hive::{Hive, Key, Recovery};

fn count(key: &Key) -> (usize, usize) {
    key.subkeys().map(count).fold((1, key.values().len()), |sum, below| (sum.0 + below.0, sum.1 + below.1))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let input = args.next().ok_or("usage: rewrite HIVE [OUTPUT]")?;
    let bytes = std::fs::read(&input)?;
    let start = Instant::now();
    let logs: Vec<Vec<u8>> = [".LOG1", ".LOG2", ".log1", ".log2"]
        .iter()
        .filter_map(|suffix| {
            let mut name = input.clone();
            name.push(suffix);
            std::fs::read(name).ok()
        })
        .collect();
    let (hive, recovery) = match Hive::recover(&bytes, &logs.iter().map(Vec::as_slice).collect::<Vec<_>>()) {
        Ok(done) => done,
        Err(error) => {
            println!("{}: {error}", input.display());
            (Hive::parse_without_logs(&bytes)?, Recovery::default())
        }
    };
    println!("{recovery}");
    let parsed = start.elapsed();
    let start = Instant::now();
    let written = hive.to_bytes()?;
    let emitted = start.elapsed();
    let (keys, values) = count(hive.root());
    println!(
        "{}: {keys} keys, {values} values; read {parsed:.1?}, written {emitted:.1?}; {} bytes -> {}",
        input.display(),
        bytes.len(),
        written.len()
    );
    assert!(Hive::parse(&written)? == hive, "the same tree");
    if let Some(output) = args.next() {
        std::fs::write(output, written)?;
    }
    Ok(())
}

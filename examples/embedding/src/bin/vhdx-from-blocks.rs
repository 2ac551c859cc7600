//! Writes a VHDX from blocks that come one after the other, to something that cannot seek.
//!
//!     vhdx-from-blocks > OUTPUT.vhdx

use std::error::Error;
use std::io::{self, BufWriter, IsTerminal as _};
use std::ops::Range;

use codec::Tokens;
use disk::{OrderedSink, Seed};

/// Size of the disk: 64 GiB, of which next to nothing is stored.
const DISK: u64 = 64 << 30;

/// What the disk is to hold: blocks at ascending offsets.
fn blocks() -> impl Iterator<Item = (u64, Vec<u8>)> {
    (0..5u8).map(|number| (u64::from(number) << 30, vec![number + 1; 64 << 10]))
}

fn main() -> Result<(), Box<dyn Error>> {
    if io::stdout().is_terminal() {
        return Err("a disk is not for a terminal; redirect standard output".into());
    }
    // The seed is all that identities are made of: the same seed and blocks give the same file.
    let options = vhdx::Options::new(DISK, &Seed::new(b"example"));
    // A VHDX begins with its table, so where blocks will lie has to be known before the first of them.
    let ranges = blocks().map(|(offset, block)| offset..offset + block.len() as u64);
    let sink = vhdx::ordered(BufWriter::new(io::stdout()), &options, ranges)?;
    write(Box::new(sink), blocks())?;
    Ok(())
}

/// Works with every container that is written front to back: VHD, VHDX, VMDK, VDI, qcow2.
fn write(
    mut sink: Box<dyn OrderedSink + '_>,
    blocks: impl Iterator<Item = (u64, Vec<u8>)>,
) -> io::Result<()> {
    // One encoder a thread; containers that compress do their work here. `tokens` is how the data was compressed
    // before, if that is known.
    let mut encoder = sink.encoder();
    let tokens = Tokens::new();
    let mut encoded = Vec::new();
    for (offset, block) in blocks {
        let Range { start, end } = offset..offset + block.len() as u64;
        encoded.clear();
        encoder.encode(start, &block, &tokens, &mut encoded)?;
        sink.commit(start, end - start, &encoded)?;
    }
    sink.finish()
}

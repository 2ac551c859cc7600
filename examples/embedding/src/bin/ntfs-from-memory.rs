//! Makes an NTFS volume of files that exist nowhere but here, and has it checked.
//!
//!     ntfs-from-memory OUTPUT
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::fs::File;
use std::io;
use std::sync::Arc;

use disk::{FileTime, WriteAt as _};
use ntfs_writer::{Builder, Name, Node, NodeId, Options, ReadBlob, Source, Times, check};

/// Contents that are made when they are asked for: the plan needs to know no more than how long they are.
struct Counting;

impl ReadBlob for Counting {
    fn read_blob(&self, _blob: u32, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        for (byte, position) in buf.iter_mut().zip(offset..) {
            *byte = (position / 512) as u8;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let output = std::env::args_os().nth(1).ok_or("usage: ntfs-from-memory OUTPUT")?;
    let now = FileTime::from_unix_seconds(1_700_000_000);
    let times = Times { created: now, modified: now, changed: now, accessed: now };

    let mut builder = Builder::new(Options { label: "Example".into(), created: now, ..Options::default() })?;
    let folder = builder.add_node(Node { attributes: 0x10, times, ..Node::default() })?;
    builder.link(NodeId::ROOT, Name::new("docs"), folder)?;
    let text = Source::Bytes(Arc::from(*b"made of nothing but a program\n"));
    let text = builder.add_node(Node { times, data: Some(text), ..Node::default() })?;
    builder.link(folder, Name::new("readme.txt"), text)?;
    // A second name of the same file, which NTFS calls a hard link.
    builder.link(NodeId::ROOT, Name::new("README"), text)?;
    let large = Source::Blob { blob: 0, len: 5_000_000 };
    let large = builder.add_node(Node { times, data: Some(large), ..Node::default() })?;
    builder.link(folder, Name::new("large.bin"), large)?;

    let plan = builder.plan()?;
    let volume = plan.lay_out(plan.min_size().max(16 << 20))?;

    // The map says what is not zero; everything else stays a hole of the file.
    let file = File::create_new(&output)?;
    file.set_len(volume.map().len())?;
    let mut buffer = vec![0; 1 << 20];
    for range in volume.map().allocated(4096) {
        for start in range.clone().step_by(buffer.len()) {
            let len = (range.end - start).min(buffer.len() as u64) as usize;
            volume.render(start, &mut buffer[..len], &Counting)?;
            file.write_all_at(&buffer[..len], start)?;
        }
    }

    // As strict as possible: a volume from here has no excuse for anything.
    let report = check::check(&File::open(&output)?, &check::Options::ours())?;
    println!("{} bytes, {} findings", volume.map().len(), report.findings.len());
    if report.findings.is_empty() { Ok(()) } else { Err(report.to_string().into()) }
}

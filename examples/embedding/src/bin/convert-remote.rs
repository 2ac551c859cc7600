//! Converts a disk that is not a file: it is fetched range by range, as from a web server that knows `Range:`.
//!
//!     convert-remote DISK OUTPUT
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use disk::{RawDisk, ReadAt};
use image::{Conversion, Counters, Output, Run, convert};

/// What stands for the server: it answers requests for ranges, of at most 256 KiB each.
struct Server(std::fs::File);

impl Server {
    fn get(&self, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; len.min(256 << 10)];
        self.0.read_exact_at(&mut answer, from)?;
        Ok(answer)
    }
}

/// A disk behind requests. This is all that wimforge has to know of a source: no file, no path, no cursor.
struct Remote {
    server: Server,
    size: u64,
    requests: AtomicU64,
}

impl ReadAt for Remote {
    // Called from several threads at once, each with its own range.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !buf.is_empty() {
            let answer = self.server.get(offset, buf.len())?;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let (part, rest) = buf.split_at_mut(answer.len());
            part.copy_from_slice(&answer);
            (buf, offset) = (rest, offset + answer.len() as u64);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(source), Some(output)) = (args.next(), args.next()) else {
        return Err("usage: convert-remote DISK OUTPUT".into());
    };
    let file = std::fs::File::open(&source)?;
    let remote = Remote { size: file.size()?, server: Server(file), requests: AtomicU64::new(0) };

    // The bytes are a disk as it is. Those of a VHDX would be `vhdx::Vhdx::open(remote)?`, which is a disk, too.
    let disk = RawDisk(&remote);
    let wish = Conversion::new(Output::File(output.into()));
    let pool = rayon::ThreadPoolBuilder::new().build()?;
    let (cancel, counters) = (AtomicBool::new(false), Counters::default());
    let converted = convert(Path::new(&source), &disk, &wish, Run::new(&pool, &cancel, &counters))?;
    println!("{} of {} bytes are stored", converted.stored, converted.disk_size);
    println!("{} requests", remote.requests.load(Ordering::Relaxed));
    Ok(())
}

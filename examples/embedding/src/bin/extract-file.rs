//! Copies one file of a WIM's image to the host, and keeps it only if it is what the WIM says.
//!
//!     extract-file FILE.wim INDEX PATH OUTPUT
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};
use wim::{StreamRef, Wim};

/// How much is held in memory, however large the file is.
const PART: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(file), Some(index), Some(path), Some(output)) =
        (args.next(), args.next(), args.next(), args.next())
    else {
        return Err("usage: extract-file FILE.wim INDEX PATH OUTPUT".into());
    };
    let wim = Wim::open(Arc::new(File::open(file)?))?;
    let image = wim.image(index.parse()?)?;
    // Names are compared as Windows does, without regard to case.
    let entry = image.lookup(&path).ok_or_else(|| format!("no {path} in image {index}"))?;
    let blob = match image.inode(image.dentry(entry).inode).data {
        Some(StreamRef::Blob { id, .. }) => id,
        Some(StreamRef::Missing { .. }) => return Err(format!("the WIM lacks the content of {path}").into()),
        _ => return Err(format!("{path} has no content").into()),
    };

    let mut target = File::create_new(&output)?;
    let copied = copy(&wim, blob, &mut target);
    if copied.is_err() {
        std::fs::remove_file(&output)?;
    }
    println!("{} bytes", copied?);
    Ok(())
}

/// Copies a blob in parts. Each part decodes the chunks that it touches and no others.
fn copy(wim: &Wim, id: wim::BlobId, target: &mut File) -> Result<u64, Box<dyn Error>> {
    let (size, sha1) = (wim.blob(id).size, wim.blob(id).sha1);
    let mut reader = wim.reader();
    let mut hasher = Sha1::new();
    let mut buffer = vec![0; PART.min(size) as usize];
    let mut offset = 0;
    while offset < size {
        let part = &mut buffer[..PART.min(size - offset) as usize];
        reader.read_at(id, offset, part)?;
        hasher.update(&*part);
        target.write_all(part)?;
        offset += part.len() as u64;
    }
    // Reading in parts cannot check a hash of the whole: that is up to whoever read all of it.
    if hasher.finalize()[..] != sha1 {
        return Err("the content is not what its hash says".into());
    }
    Ok(size)
}

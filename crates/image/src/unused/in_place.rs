//! Making what is unused zero where it lies.
//!
//! A raw disk, a fixed VHD and a block device hold the disk as it is, so unused bytes of it can be made zero in place;
//! where the system can, they become holes. The order makes every moment safe:
//!
//! 1. Ranges that nothing leads to, in any order. Whatever part of them was done when the power fails, the volumes are as
//!    sound as they were.
//! 2. All of that reaches the disk.
//! 3. Structures in use, each read, changed and written as one. A part of a structure being new and a part old is sound, too
//!    ([`ntfs_writer::unused`]).
//! 4. That reaches the disk.
//!
//! Doing it again goes on where it ended. Nothing here may run while somebody else has the disk open: a block device is
//! opened exclusively, which fails while it is mounted; of a file, the caller has to know.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use disk::{ReadAt, WriteAt};
use serde::Serialize;

use super::Survey;
use crate::{DiskFile, Error, Result};

/// Containers that hold the disk from their first byte on, as it is.
const PLAIN: [&str; 2] = ["raw", "vhd-fixed"];
/// Bytes that become zero between two looks at whether to stop.
const STEP: u64 = 64 << 20;
/// Shorter ranges are written: a hole has to be a block of the file system.
const LEAST_HOLE: u64 = 4096;
/// Zeros that are written at once.
const ZEROS: usize = 1 << 20;

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Cleared {
    /// Bytes that became holes.
    pub punched: u64,
    /// Bytes that were overwritten with zeros.
    pub zeroed: u64,
    /// Structures that were written anew.
    pub structures: u64,
}

/// Makes what the survey found zero, in the file or device that the disk was opened from. `done` counts bytes, of all that
/// the survey's places call stored.
///
/// # Errors
/// [`Error::Unsupported`] for other containers than raw disks and fixed VHDs; [`Error::Read`], [`Error::Write`],
/// [`Error::Cancelled`], after which the disk is sound, and some of what is unused not zero yet.
pub fn in_place(disk: &DiskFile, survey: &Survey, cancel: &AtomicBool, done: &AtomicU64) -> Result<Cleared> {
    let path = disk.path();
    let format = disk.info()?.container.format;
    if !PLAIN.contains(&format.as_str()) {
        let what = format!(
            "is {format}, in which nothing can be made zero in place; `wimforge compact {} OUT` writes a compact copy",
            path.display()
        );
        return Err(Error::Unsupported { path: path.to_owned(), what });
    }
    let read = |source| Error::Read { path: path.to_owned(), source };
    let write = |source| Error::Write { path: path.to_owned(), source };
    let stored = survey.stored(disk.disk().as_ref()).map_err(read)?;
    let file = open(path).map_err(write)?;
    let mut cleared = Cleared::default();
    let mut can_punch = true;
    for range in stored {
        let mut at = range.start;
        while at < range.end {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let part = at..range.end.min(at + STEP);
            clear(&file, part.clone(), &mut can_punch, &mut cleared).map_err(write)?;
            done.fetch_add(part.end - part.start, Ordering::Relaxed);
            at = part.end;
        }
    }
    file.sync_all().map_err(write)?;
    let mut bytes = Vec::new();
    for (start, patch) in &survey.patches {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let at = start + patch.offset;
        bytes.resize(patch.len as usize, 0);
        file.read_exact_at(&mut bytes, at).map_err(read)?;
        patch.apply(&mut bytes).map_err(|fault| {
            let text = format!("the disk has changed since it was looked at: structure at {at:#x}: {fault}");
            read(io::Error::new(io::ErrorKind::InvalidData, text))
        })?;
        file.write_all_at(&bytes, at).map_err(write)?;
        cleared.structures += 1;
    }
    file.sync_all().map_err(write)?;
    Ok(cleared)
}

/// Opens for writing what must not be open elsewhere.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
        if std::fs::metadata(path)?.file_type().is_block_device() {
            // EBUSY while it is mounted.
            options.custom_flags(rustix::fs::OFlags::EXCL.bits() as i32);
        }
    }
    options.open(path)
}

/// Makes a range zero: a hole where there can be one.
fn clear(file: &File, range: Range<u64>, can_punch: &mut bool, cleared: &mut Cleared) -> io::Result<()> {
    let len = range.end - range.start;
    if *can_punch && len >= LEAST_HOLE {
        if punch(file, &range)? {
            cleared.punched += len;
            return Ok(());
        }
        *can_punch = false;
    }
    static ZERO: [u8; ZEROS] = [0; ZEROS];
    let mut at = range.start;
    while at < range.end {
        let part = (range.end - at).min(ZEROS as u64) as usize;
        file.write_all_at(&ZERO[..part], at)?;
        at += part as u64;
    }
    cleared.zeroed += len;
    Ok(())
}

/// Makes a hole, which reads as zero; `false` where the system or the file system has none.
#[cfg(target_os = "linux")]
fn punch(file: &File, range: &Range<u64>) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let punched = loop {
        match fallocate(file, flags, range.start, range.end - range.start) {
            Err(Errno::INTR) => {}
            punched => break punched,
        }
    };
    match punched {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV | Errno::INVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: &Range<u64>) -> io::Result<bool> {
    Ok(false)
}

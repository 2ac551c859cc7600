//! A package in the making: one archive, in one pass.
//!
//! What is compressed already (streamOptimized VMDK) is stored in a plain tar, or goes through gzip that looks for nothing
//! but padding. What is not (VHDX, qcow2, monolithicSparse) goes through [`ParallelGzip`]. What surrounds the disk says how
//! large it is, and comes before it: it is written again when the disk is complete, which needs a file that can be written
//! anywhere. Whoever has none (a pipe) says the size first, and gets no manifest.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::WriteAt;
use sha2::{Digest as _, Sha256};

use crate::gzip::{HEAD_AT, Level, ParallelGzip};
use crate::package::{Facts, Kind, Package};
use crate::{Error, Result, tar};

impl Package {
    /// Begins a plain tar in an empty file. The disk is written next, front to back, through [`Archive::writer`]; then
    /// [`Archive::finish`].
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Limit`] for names that are too long.
    pub fn stored<'a, F: WriteAt + 'a>(self, file: F) -> Result<Archive<'a>> {
        let head = self.head(None)?;
        file.write_all_at(&head, 0).map_err(Error::writing("archive", 0))?;
        let hasher = (self.kind() == Kind::Ova).then(Sha256::new);
        Ok(Archive::new(Plain { package: self, file, head_len: head.len() as u64, size: 0, hasher }))
    }

    /// Begins a tar in a gzip stream in an empty file, for a disk whose file has an unknown size. The disk is written
    /// next, front to back, through [`Archive::writer`]; then [`Archive::finish`]. The bytes do not depend on `threads`.
    ///
    /// What surrounds the disk is stored at the front of the stream, where it is replaced at the end.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Impossible`] for packages that are plain tars; [`Error::Limit`].
    pub fn compressed_behind<'a, F: WriteAt + 'a>(
        self,
        file: F,
        level: Level,
        threads: usize,
    ) -> Result<Archive<'a>> {
        self.refuse_plain()?;
        let head = self.head(None)?;
        let file = Arc::new(file);
        let appended = Appended { file: Arc::clone(&file), offset: 0 };
        let gzip = ParallelGzip::behind(appended, &head, level, threads);
        let gzip = Some(gzip.map_err(Error::writing("archive", 0))?);
        Ok(Archive::new(CompressedBehind { package: self, file, head_len: head.len(), gzip, size: 0 }))
    }

    /// Begins a tar in a gzip stream, where the disk's file has `disk_size` bytes. The disk is written next, front to
    /// back, through [`Archive::writer`]; then [`Archive::finish`]. The bytes do not depend on `threads`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Impossible`] for packages that need more than the size; [`Error::Limit`].
    pub fn compressed<'a, W: Write + Send + 'a>(
        self,
        writer: W,
        disk_size: u64,
        level: Level,
        threads: usize,
    ) -> Result<Archive<'a>> {
        self.refuse_plain()?;
        let head = self.head(Some(&Facts { size: disk_size, sha256: [0; 32] }))?;
        let mut gzip = ParallelGzip::new(writer, level, threads).map_err(Error::writing("archive", 0))?;
        gzip.write_all(&head).map_err(Error::writing("archive", 0))?;
        Ok(Archive::new(Compressed { disk_size, gzip: Some(gzip), left: disk_size }))
    }

    fn refuse_plain(&self) -> Result<()> {
        match self.kind() {
            Kind::Ova => Err(Error::impossible("an OVA is a plain tar")),
            Kind::Box(_) => Ok(()),
        }
    }
}

/// A package in the making; see [`Package::stored`], [`Package::compressed_behind`] and [`Package::compressed`].
pub struct Archive<'a>(Arc<Mutex<dyn Form + 'a>>);

/// Where the disk goes, front to back.
pub struct DiskWriter<'a>(Arc<Mutex<dyn Form + 'a>>);

impl<'a> Archive<'a> {
    fn new(form: impl Form + 'a) -> Self {
        Self(Arc::new(Mutex::new(form)))
    }

    /// Where the disk goes.
    pub fn writer(&self) -> DiskWriter<'a> {
        DiskWriter(Arc::clone(&self.0))
    }

    /// Writes what follows the disk, and what had to wait for it, and flushes. The disk is complete when this is called.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Impossible`]: the disk was not what was said.
    pub fn finish(self) -> Result<()> {
        lock(&self.0).finish()
    }
}

impl fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

impl fmt::Debug for DiskWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskWriter").finish_non_exhaustive()
    }
}

impl Write for DiskWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        lock(&self.0).take(data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<'m, 'a>(form: &'m Mutex<dyn Form + 'a>) -> MutexGuard<'m, dyn Form + 'a> {
    form.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finished() -> io::Error {
    io::Error::other("the archive is finished")
}

/// The zeros behind a disk of `size` bytes, and the end of the tar.
fn tail(size: u64) -> Vec<u8> {
    let mut tail = vec![0; tar::padding(size) as usize];
    tail.extend_from_slice(&tar::END);
    tail
}

/// One of the ways in which an archive is written.
trait Form: Send {
    /// Takes the next bytes of the disk, all of them.
    fn take(&mut self, data: &[u8]) -> io::Result<()>;

    /// Writes what is left, once.
    fn finish(&mut self) -> Result<()>;
}

/// A plain tar in a file.
struct Plain<F> {
    package: Package,
    file: F,
    /// Where the disk's bytes begin.
    head_len: u64,
    /// How many there are so far.
    size: u64,
    /// For packages with a manifest.
    hasher: Option<Sha256>,
}

impl<F: WriteAt> Form for Plain<F> {
    fn take(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, self.head_len + self.size)?;
        self.size += data.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(data);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let sha256 = self.hasher.take().map_or([0; 32], |hasher| hasher.finalize().into());
        let head = self.package.head(Some(&Facts { size: self.size, sha256 }))?;
        assert_eq!(head.len() as u64, self.head_len, "what surrounds a disk has one length");
        // The end first: as long as the head says that the disk is empty, the archive is not mistaken for a whole one.
        let end = self.head_len + self.size;
        self.file.write_all_at(&tail(self.size), end).map_err(Error::writing("end of the archive", end))?;
        self.file.write_all_at(&head, 0).map_err(Error::writing("archive", 0))
    }
}

/// A tar in a gzip stream, in a file.
struct CompressedBehind<F> {
    package: Package,
    file: Arc<F>,
    head_len: usize,
    /// Until it is finished.
    gzip: Option<ParallelGzip<Appended<F>>>,
    size: u64,
}

/// A file that is written front to back.
#[derive(Debug)]
struct Appended<F> {
    file: Arc<F>,
    offset: u64,
}

impl<F: WriteAt> Write for Appended<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(data, self.offset)?;
        self.offset += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: WriteAt> Form for CompressedBehind<F> {
    fn take(&mut self, data: &[u8]) -> io::Result<()> {
        self.gzip.as_mut().ok_or_else(finished)?.write_all(data)?;
        self.size += data.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let Some(mut gzip) = self.gzip.take() else { return Ok(()) };
        let head = self.package.head(Some(&Facts { size: self.size, sha256: [0; 32] }))?;
        assert_eq!(head.len(), self.head_len, "what surrounds a disk has one length");
        gzip.write_all(&tail(self.size))
            .and_then(|()| gzip.finish_behind(&head))
            .map_err(Error::writing("end of the archive", 0))?;
        self.file.write_all_at(&head, HEAD_AT).map_err(Error::writing("archive", HEAD_AT))
    }
}

/// A tar in a gzip stream that need not seek.
struct Compressed<W> {
    disk_size: u64,
    /// Until it is finished.
    gzip: Option<ParallelGzip<W>>,
    /// What is missing of the disk.
    left: u64,
}

impl<W: Write + Send> Form for Compressed<W> {
    fn take(&mut self, data: &[u8]) -> io::Result<()> {
        let Some(left) = self.left.checked_sub(data.len() as u64) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "disk larger than was said"));
        };
        self.gzip.as_mut().ok_or_else(finished)?.write_all(data)?;
        self.left = left;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.left != 0 {
            let (said, left) = (self.disk_size, self.left);
            return Err(Error::impossible(format!(
                "a disk of {} bytes that was said to have {said}",
                said - left
            )));
        }
        let Some(mut gzip) = self.gzip.take() else { return Ok(()) };
        gzip.write_all(&tail(self.disk_size))
            .and_then(|()| gzip.finish())
            .map_err(Error::writing("end of the archive", 0))?;
        Ok(())
    }
}

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;

use crate::{MappedRange, RangeKind};

/// Positioned reading through a shared reference. There is no cursor, so many threads read one file at once.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` from byte `offset`. Past the end it fails with [`io::ErrorKind::UnexpectedEof`], never reading short.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// What is known of the bytes from `offset` on without reading them: a hole of a sparse file is
    /// [`Zero`](RangeKind::Zero). `None` at or past the end; the range holds `offset` and may begin before it. What cannot tell
    /// says that all of it is stored.
    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let len = self.size()?;
        Ok((offset < len).then_some(MappedRange { start: 0, len, kind: RangeKind::Data }))
    }
}

/// Positioned writing through a shared reference, to ranges that concurrent callers keep disjoint.
pub trait WriteAt: Send + Sync {
    /// Writes all of `buf` at byte `offset`, growing the file when it ends before.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Sets the length; what is added reads as zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

fn eof() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end")
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buf, offset) {
                Ok(0) => return Err(eof()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    #[cfg(not(any(unix, windows)))]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let _cursor = cursor::hold();
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        io::Read::read_exact(&mut file, buf)
    }

    fn size(&self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if metadata.is_file() {
            return Ok(metadata.len());
        }
        // A block device says 0 for its length; its end is where seeking to the end leads. The cursor belongs to whoever
        // else has this file, so it goes back to where it was.
        let mut file = self;
        let before = file.stream_position()?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(before))?;
        Ok(end)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        use rustix::fs::{SeekFrom, seek};

        let end = self.size()?;
        if offset >= end {
            return Ok(None);
        }
        let range = |to: u64, kind| {
            let to = to.clamp(offset + 1, end);
            Ok(Some(MappedRange { start: offset, len: to - offset, kind }))
        };
        // Devices have no holes, and their cursor is somebody's. Of files it is nobody's: all reading is positioned.
        if !self.metadata()?.is_file() {
            return range(end, RangeKind::Data);
        }
        match seek(self, SeekFrom::Data(offset)) {
            Ok(data) if data > offset => range(data, RangeKind::Zero),
            Ok(_) => range(seek(self, SeekFrom::Hole(offset)).unwrap_or(end), RangeKind::Data),
            Err(rustix::io::Errno::NXIO) => range(end, RangeKind::Zero),
            // A file system that does not keep account of holes.
            Err(_) => range(end, RangeKind::Data),
        }
    }
}

impl WriteAt for File {
    #[cfg(unix)]
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(self, buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    buf = &buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    #[cfg(not(any(unix, windows)))]
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let _cursor = cursor::hold();
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        io::Write::write_all(&mut file, buf)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// WASI's positioned reading is not in the stable library. Files are read by their cursor there, one thread at a time.
#[cfg(not(any(unix, windows)))]
mod cursor {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    static CURSOR: Mutex<()> = Mutex::new(());

    pub(super) fn hold() -> MutexGuard<'static, ()> {
        CURSOR.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| eof())?;
        let end = start.checked_add(buf.len()).ok_or_else(eof)?;
        buf.copy_from_slice(self.get(start..end).ok_or_else(eof)?);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }
}

/// A map that the caller made, and answers for: the file must not shrink while it is mapped (SIGBUS otherwise).
#[cfg(feature = "mmap")]
impl ReadAt for memmap2::Mmap {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_ref().read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        (**self).stored_at(offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        (**self).stored_at(offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        (**self).stored_at(offset)
    }
}

impl<T: WriteAt + ?Sized> WriteAt for Arc<T> {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        (**self).write_all_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        (**self).set_len(len)
    }
}

/// A file in memory that grows as it is written: what tests write containers to.
impl WriteAt for std::sync::Mutex<Vec<u8>> {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.lock().map_err(|_| io::Error::other("another writer panicked"))?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(buf.len()).ok_or_else(|| io::Error::other("offset overflow"))?;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(buf);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.lock().map_err(|_| io::Error::other("another writer panicked"))?;
        bytes.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        Ok(())
    }
}

/// A part of something readable, as a whole of its own: a partition of a disk, a file of an ISO.
#[derive(Clone, Debug)]
pub struct SubRange<R> {
    inner: R,
    start: u64,
    len: u64,
}

impl<R: ReadAt> SubRange<R> {
    /// `len` bytes of `inner` from byte `start`; `None` when they do not lie inside it.
    pub fn new(inner: R, start: u64, len: u64) -> io::Result<Option<Self>> {
        let end = start.checked_add(len);
        let inside = matches!(end, Some(end) if end <= inner.size()?);
        Ok(inside.then_some(Self { inner, start, len }))
    }
}

impl<R: ReadAt> ReadAt for SubRange<R> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(buf.len() as u64) {
            // `start + len` was checked against the inner size, so `start + offset` cannot overflow.
            Some(end) if end <= self.len => self.inner.read_exact_at(buf, self.start + offset),
            _ => Err(eof()),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        if offset >= self.len {
            return Ok(None);
        }
        let Some(inner) = self.inner.stored_at(self.start + offset)? else { return Err(eof()) };
        let end = inner.start.saturating_add(inner.len).min(self.start + self.len);
        let start = inner.start.max(self.start);
        Ok(Some(MappedRange { start: start - self.start, len: end.saturating_sub(start), kind: inner.kind }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_never_come_short() {
        let bytes = vec![1u8, 2, 3, 4];
        let mut buf = [0; 2];
        bytes.read_exact_at(&mut buf, 2).unwrap();
        assert_eq!(buf, [3, 4]);
        assert_eq!(bytes.read_exact_at(&mut buf, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(bytes.read_exact_at(&mut buf, u64::MAX).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn sub_range_stays_inside() {
        let bytes = vec![1u8, 2, 3, 4];
        assert!(SubRange::new(&bytes, 2, 3).unwrap().is_none());
        assert!(SubRange::new(&bytes, u64::MAX, 2).unwrap().is_none());
        let part = SubRange::new(&bytes, 1, 2).unwrap().unwrap();
        let mut buf = [0; 2];
        part.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(buf, [2, 3]);
        assert!(part.read_exact_at(&mut buf, 1).is_err());
        assert!(part.read_exact_at(&mut buf, u64::MAX).is_err());
    }

    #[test]
    fn holes_are_seen_where_the_file_system_tells() {
        let file = tempfile::tempfile().unwrap();
        let mib = 1u64 << 20;
        file.set_len(64 * mib).unwrap();
        file.write_all_at(&[1; 4096], 32 * mib).unwrap();
        let (mut at, mut stored) = (0, 0);
        while let Some(range) = file.stored_at(at).unwrap() {
            assert!(range.len > 0 && range.start <= at);
            let end = range.start + range.len;
            if range.kind == RangeKind::Data {
                stored += end - at;
            } else {
                assert!(end <= 32 * mib || at > 32 * mib, "the data is said to be a hole");
            }
            at = end;
        }
        assert_eq!(at, 64 * mib);
        assert!(stored >= 4096, "{stored}");
        if cfg!(target_os = "linux") {
            assert!(stored <= mib, "the test's own file system knows no holes: {stored}");
        }
        let part = SubRange::new(&file, 32 * mib, mib).unwrap().unwrap();
        let first = part.stored_at(0).unwrap().unwrap();
        assert_eq!((first.start, first.kind), (0, RangeKind::Data));
        assert!(first.len <= mib);
        assert_eq!(part.stored_at(mib).unwrap(), None);
    }
}

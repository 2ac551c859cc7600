//! A plan as a disk: what is read of it is rendered when it is read.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use disk::{BlockMap, Content, MappedRange, PieceContent, RangeKind, ReadAt};
use ntfs_writer as ntfs;

use crate::blobs::BuildBlobs;
use crate::pipeline::{BlobRead, BlobStore as _};
use crate::{DiskFile, Plan};

/// See the module.
pub(super) struct PlannedDisk {
    plan: Arc<Plan>,
    /// Whether the contents of files are read. If not, they are zero.
    contents: bool,
}

impl PlannedDisk {
    /// The disk that a plan is.
    pub(super) fn of(plan: &Arc<Plan>, contents: bool) -> DiskFile {
        let path = plan.title().into();
        DiskFile::planned(path, Arc::new(Self { plan: Arc::clone(plan), contents }))
    }
}

/// Reads blobs with one reader, which is made when the first is read.
struct Contents<'a> {
    blobs: &'a BuildBlobs<'a>,
    reader: Mutex<Option<Box<dyn BlobRead + Send + 'a>>>,
    wanted: bool,
}

impl ntfs::ReadBlob for Contents<'_> {
    fn read_blob(&self, blob: u32, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if !self.wanted {
            buf.fill(0);
            return Ok(());
        }
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = reader.get_or_insert_with(|| self.blobs.reader());
        reader.read_at(blob, offset, buf).map_err(io::Error::other)
    }
}

impl ReadAt for PlannedDisk {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let map = self.plan.map();
        let end = offset.checked_add(buf.len() as u64).filter(|&end| end <= map.len());
        let Some(end) = end else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let blobs = self.plan.blobs();
        let contents = Contents { blobs: &blobs, reader: Mutex::new(None), wanted: self.contents };
        for piece in map.pieces(offset..end) {
            let target = &mut buf[(piece.start - offset) as usize..][..piece.len as usize];
            match piece.content {
                PieceContent::Zero => target.fill(0),
                PieceContent::Bytes(bytes) => target.copy_from_slice(bytes),
                PieceContent::Blob { blob, offset } => {
                    ntfs::ReadBlob::read_blob(&contents, blob, offset, target)?;
                }
                PieceContent::Made { maker, offset } => {
                    let volume = &self.plan.volumes()[maker as usize];
                    volume.render(offset, target, &contents).map_err(io::Error::other)?;
                }
            }
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.plan.map().len())
    }
}

impl BlockMap for PlannedDisk {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let extents = self.plan.map().extents();
        let at = extents.partition_point(|extent| extent.end() <= offset);
        Ok(extents.get(at).map(|extent| {
            let kind = if extent.content == Content::Zero { RangeKind::Zero } else { RangeKind::Data };
            MappedRange { start: extent.start, len: extent.len, kind }
        }))
    }
}

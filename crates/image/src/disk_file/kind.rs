//! What a file is, by what it begins and ends with. Never by its name: a disk that says of itself what it is is not taken
//! for a raw one because somebody renamed it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use disk::ReadAt;

use crate::source::open_file;
use crate::{Error, Result};

/// What a file is, by its first and last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A WIM, of whatever version.
    Wim,
    /// A VHD.
    Vhd,
    /// A VHDX.
    Vhdx,
    /// A VMDK.
    Vmdk,
    /// A VDI.
    Vdi,
    /// A qcow2 file.
    Qcow2,
    /// An ISO image: ISO 9660 or UDF.
    Iso,
    /// Nothing with a signature: a raw disk, perhaps.
    Raw,
}

impl FileKind {
    /// Looks at a file.
    pub fn of(path: &Path) -> Result<(Self, Arc<File>)> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        let file = Arc::new(open_file(path)?);
        let size = file.size().map_err(read)?;
        let mut start = [0; 8];
        let known = size.min(8) as usize;
        file.read_exact_at(&mut start[..known], 0).map_err(read)?;
        let kind = if start == *b"MSWIM\0\0\0" || start == *b"WLPWM\0\0\0" {
            Self::Wim
        } else if vmdk::is_vmdk(file.as_ref()).map_err(read)? {
            Self::Vmdk
        } else if vhdx::is_vhdx(file.as_ref()).map_err(read)? {
            Self::Vhdx
        } else if vdi::is_vdi(file.as_ref()).map_err(read)? {
            Self::Vdi
        } else if qcow2::is_qcow2(file.as_ref()).map_err(read)? {
            Self::Qcow2
        } else if vhd::is_vhd(file.as_ref()).map_err(read)? {
            Self::Vhd
        } else if iso::is_iso(file.as_ref()).map_err(read)? {
            Self::Iso
        } else {
            Self::Raw
        };
        Ok((kind, file))
    }
}

/// What a file is that is no raw disk either, and what to do with it. A raw disk has code, zeros or a file system at its
/// start, none of which looks like these.
pub(super) fn unsupported(file: &dyn ReadAt) -> io::Result<Option<&'static str>> {
    const KNOWN: [(u64, &[u8], &str); 4] = [
        (0, b"MSCF", "is a cabinet, which this version does not read"),
        (
            0,
            b"\x1F\x8B\x08",
            "is compressed by gzip; decompress it first (`tar -xf` takes the disk out of a box)",
        ),
        (257, b"ustar", "is a tar archive; `tar -xf` takes the disk out of a box or an OVA"),
        (0, b"PK\x03\x04", "is a ZIP archive; extract it first"),
    ];
    let size = file.size()?;
    for (offset, magic, what) in KNOWN {
        let mut found = [0; 8];
        let found = &mut found[..magic.len()];
        if size >= offset + magic.len() as u64 {
            file.read_exact_at(found, offset)?;
            if found == magic {
                return Ok(Some(what));
            }
        }
    }
    Ok(None)
}

//! The volume: its geometry, its `$MFT`, and what its system files say of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use disk::ReadAt;

use super::error::quoted;
use super::file::File;
use super::record::{Cache, open_mft};
use super::security::Secure;
use super::stream::Stream;
use super::{Budget, Error, Place, Result};
use crate::layout::number;
use crate::parse::{self, Boot, kind};
use crate::upcase;

/// How to read a volume.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Show files that Windows compressed (WOF) as they lie on the volume: an empty sparse stream, the stream
    /// `WofCompressedData`, and a reparse point.
    pub raw: bool,
}

/// An NTFS volume.
pub struct Volume {
    source: Arc<dyn ReadAt>,
    size: u64,
    pub(super) boot: Boot,
    options: Options,
    pub(super) mft: Stream,
    pub(super) cache: Cache,
    upcase: Box<[u16]>,
    pub(super) secure: OnceLock<Secure>,
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume")
            .field("boot", &self.boot)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Volume {
    /// Opens the volume that begins at byte 0 of `source`.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no NTFS volume or has no readable `$MFT`; [`Error::Unsupported`] for one that is
    /// encrypted as a whole (BitLocker).
    pub fn open(source: Arc<dyn ReadAt>, options: Options) -> Result<Self> {
        let mut sector = [0; 512];
        source
            .read_exact_at(&mut sector, 0)
            .map_err(|source| Error::Io { place: Box::new(Place::offset(0)), source })?;
        if sector[3..11] == *b"-FVE-FS-" {
            return Err(Error::unsupported(Place::default(), "encrypted by BitLocker"));
        }
        let boot = parse::boot(&sector).map_err(Error::fault(Place::offset(0)))?;
        let size = source.size().map_err(|source| Error::Io { place: Box::new(Place::default()), source })?;
        let mut volume = Self {
            source,
            size,
            boot,
            options,
            mft: Stream::empty(),
            cache: Cache::new(),
            upcase: upcase::table().into(),
            secure: OnceLock::new(),
        };
        volume.mft = open_mft(&volume)?;
        // Without it names are compared by the table of Windows 10: hardly any volume has another.
        if let Ok(table) = volume.read_upcase() {
            volume.upcase = table;
        }
        Ok(volume)
    }

    fn read_upcase(&self) -> Result<Box<[u16]>> {
        let file = self.file(number::UPCASE)?;
        let missing = || Error::malformed(Place::record(number::UPCASE), "$UpCase has no $DATA");
        let bytes = file.raw_stream(self, &[])?.ok_or_else(missing)?.read_all(self, upcase::LEN as u64)?;
        if bytes.len() != upcase::LEN {
            return Err(Error::malformed(Place::record(number::UPCASE), "$UpCase is too short"));
        }
        Ok(bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect())
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.source.read_exact_at(buf, offset)
    }

    pub(super) fn upcase(&self, unit: u16) -> u16 {
        self.upcase[usize::from(unit)]
    }

    /// What the boot sector says.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Bytes that there are to be read: those of the volume, or fewer when it was cut off.
    pub fn available(&self) -> u64 {
        self.boot.len().min(self.size)
    }

    /// How it was opened.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether a file is the file system's own: `$MFT` and what else has a record below 16.
    pub fn is_system(number: u64) -> bool {
        number < number::FIRST_USER
    }

    /// The root directory.
    pub fn root(&self) -> Result<File> {
        self.file(number::ROOT)
    }

    /// The label, in UTF-16; empty when there is none.
    pub fn label(&self) -> Result<Vec<u16>> {
        let file = self.file(number::VOLUME)?;
        let Some(name) = file.stream(self, kind::VOLUME_NAME, &[])? else { return Ok(Vec::new()) };
        // 128 characters at the most; Windows allows 32.
        let bytes = name.read_all(self, 256)?;
        Ok(parse::Utf16::new(&bytes).to_units())
    }

    /// Version and flags.
    pub fn information(&self) -> Result<parse::VolumeInformation> {
        let place = || Place::attribute(number::VOLUME, kind::VOLUME_INFORMATION, &[]);
        let file = self.file(number::VOLUME)?;
        let Some(value) = file.stream(self, kind::VOLUME_INFORMATION, &[])? else {
            return Err(Error::malformed(place(), "missing"));
        };
        parse::volume_information(&value.read_all(self, 64)?).map_err(Error::fault(place()))
    }

    /// Where files with object ids were born: volume, object and domain, by object id. Empty when the volume has no such
    /// index.
    pub fn object_births(&self, budget: &mut Budget) -> Result<BTreeMap<[u8; 16], [u8; 48]>> {
        let mut births = BTreeMap::new();
        let extend = self.file(number::EXTEND)?;
        let name: Vec<u16> = "$ObjId".encode_utf16().collect();
        let Some(entry) = self.lookup(&extend, &name)? else { return Ok(births) };
        let file = self.file_within(entry.target, budget)?;
        self.view_entries(&file, "$O", budget, |key, data| {
            // The data begins with the reference to the file.
            let birth = data.get(8..).and_then(|birth| birth.first_chunk::<48>());
            if let (Some(id), Some(birth)) = (key.first_chunk::<16>(), birth) {
                births.insert(*id, *birth);
            }
        })?;
        Ok(births)
    }

    /// The file at a path; slashes and backslashes separate.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn find(&self, path: &str) -> Result<File> {
        let mut file = self.root()?;
        for part in path.split(['/', '\\']).filter(|part| !part.is_empty()) {
            let part: Vec<u16> = part.encode_utf16().collect();
            let missing =
                || Error::not_found(Place::record(file.number()), format!("no {} here", quoted(&part)));
            let entry = self.lookup(&file, &part)?.ok_or_else(missing)?;
            file = self.file(entry.target)?;
        }
        Ok(file)
    }
}

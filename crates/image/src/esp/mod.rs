//! The EFI system partition: boot files as a planned FAT32 volume.
//!
//! A file's bytes are shared, never copied: whoever reads boot files for other reasons (their names are in the BCD, their
//! hashes are checked) hands over what it has read.

use std::sync::Arc;

use disk::{ExtentMap, FileTime, SectorSize, Seed};

use crate::{Error, Result};

/// A file of an EFI system partition, or a directory that is to have attributes or times of its own.
#[derive(Clone, Debug)]
pub struct EspFile {
    /// Its path from the root, with backslashes or slashes; directories on the way are made.
    pub path: String,
    /// Its attributes: the lowest byte of a Windows file's. 0x10 makes it a directory.
    pub attributes: u8,
    /// Time of creation.
    pub created: FileTime,
    /// Time of the last write.
    pub written: FileTime,
    /// What it holds; nothing for a directory.
    pub data: Arc<[u8]>,
}

/// A planned EFI system partition.
#[derive(Debug)]
pub struct Esp {
    plan: fat::Plan,
    serial: u32,
}

/// Plans the files as a FAT32 volume that begins at byte `start` of a disk with sectors of 512 bytes. `time` is that of
/// directories that no file gives one.
///
/// # Errors
/// [`Error::Fat`] for names that FAT cannot have, and for two files of one name.
pub fn plan(files: Vec<EspFile>, start: u64, seed: &Seed, label: &str, time: FileTime) -> Result<Esp> {
    let serial = seed.child(label).u32_nonzero("volume serial");
    let sector = SectorSize::B512;
    let hidden_sectors = u32::try_from(start / u64::from(sector.bytes()))
        .map_err(|_| Error::Recipe(format!("the {label} partition would begin past 2 TiB")))?;
    let options = fat::Options { sector, hidden_sectors, serial, label: label.to_owned(), time };
    let nodes = files.into_iter().map(|file| fat::Node {
        path: file.path,
        attributes: file.attributes,
        created: file.created,
        modified: file.written,
        data: (file.attributes & fat::layout::ATTRIBUTE_DIRECTORY == 0)
            .then_some(fat::Data::Bytes(file.data)),
    });
    let plan = fat::Plan::new(options, nodes.collect()).map_err(|source| Error::Fat { source })?;
    Ok(Esp { plan, serial })
}

impl Esp {
    /// The smallest whole number of MiB, in bytes, that would do.
    pub fn min_size(&self) -> u64 {
        self.plan.min_size()
    }

    /// The volume serial number.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The volume in `len` bytes, every byte labelled; it needs no planner to render it.
    ///
    /// # Errors
    /// [`Error::Fat`] when that is too small.
    pub fn lay_out(&self, len: u64) -> Result<ExtentMap> {
        self.plan.lay_out(len).map_err(|source| Error::Fat { source })
    }
}

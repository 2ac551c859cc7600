//! The EFI system partition: a tree as a planned FAT32 volume.
//!
//! Of what a tree can hold, FAT has names, attributes, times and one stream of data; a file of several names becomes
//! several files. File data stays where it is: the plan points at blobs of the source, as that of an NTFS volume does.

use disk::{ExtentMap, FileTime, SectorSize, Seed};

use crate::tree::{Content, Tree};
use crate::{Error, Result};

/// A planned EFI system partition.
#[derive(Debug)]
pub(crate) struct Esp {
    plan: fat::Plan,
    serial: u32,
}

impl Esp {
    /// Plans the tree as a FAT32 volume that begins at byte `start` of a disk with sectors of 512 bytes. The root has no
    /// times in FAT; the label has `time`.
    ///
    /// # Errors
    /// [`Error::Fat`] for names that FAT cannot have, and for names that differ in case alone.
    pub(crate) fn new(tree: Tree, start: u64, seed: &Seed, label: &str, time: FileTime) -> Result<Self> {
        let serial = seed.child(label).u32_nonzero("volume serial");
        let sector = SectorSize::B512;
        let hidden_sectors = u32::try_from(start / u64::from(sector.bytes()))
            .map_err(|_| Error::Recipe(format!("the {label} partition would begin past 2 TiB")))?;
        let options = fat::Options { sector, hidden_sectors, serial, label: label.to_owned(), time };
        let plan = fat::Plan::new(options, nodes(&tree)).map_err(|source| Error::Fat { source })?;
        Ok(Self { plan, serial })
    }

    /// The smallest whole number of MiB, in bytes, that would do.
    pub(crate) fn min_size(&self) -> u64 {
        self.plan.min_size()
    }

    /// The volume serial number.
    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    /// The volume in `len` bytes, every byte labelled; it needs no planner to render it.
    ///
    /// # Errors
    /// [`Error::Fat`] when that is too small.
    pub(crate) fn lay_out(&self, len: u64) -> Result<ExtentMap> {
        self.plan.lay_out(len).map_err(|source| Error::Fat { source })
    }
}

/// Every name of a tree, as FAT has it.
fn nodes(tree: &Tree) -> Vec<fat::Node> {
    let mut paths = vec![String::new(); tree.nodes.len()];
    let mut nodes = Vec::with_capacity(tree.names.len());
    for name in &tree.names {
        // A parent's name comes before its children's.
        let path = format!("{}/{}", paths[name.parent.0 as usize], String::from_utf16_lossy(&name.long));
        let node = &tree.nodes[name.node.0 as usize];
        let data = match &node.data {
            _ if node.is_directory() => None,
            Some(Content::Bytes(bytes)) => Some(fat::Data::Bytes(bytes.clone())),
            Some(Content::Blob { blob, len }) => Some(fat::Data::Blob { blob: *blob, len: *len }),
            Some(Content::Hole { len }) => Some(fat::Data::Zeros { len: *len }),
            Some(Content::Empty) | None => Some(fat::Data::Zeros { len: 0 }),
            Some(Content::Missing { .. }) => unreachable!("a tree with gaps is not built from"),
        };
        if data.is_none() {
            paths[name.node.0 as usize].clone_from(&path);
        }
        nodes.push(fat::Node {
            path,
            attributes: node.attributes as u8,
            created: node.times.created,
            modified: node.times.written,
            data,
        });
    }
    nodes
}

//! Disks with volumes of our own writer.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use disk::{Content, FileTime, WriteAt};
use ntfs_writer::{Builder, Name, Node, NodeId, Options, ReadBlob, Source};
use wimforge_bootsector::{Mbr, Partition, PartitionType, mbr_boot_code, ntfs_boot_record};

pub const SECTOR: u64 = 512;

/// Files of a volume are bytes, not blobs.
struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read_blob(&self, _: u32, _: u64, _: &mut [u8]) -> std::io::Result<()> {
        unreachable!("no file is a blob")
    }
}

/// A volume that our writer makes.
pub struct Volume {
    pub options: Options,
    /// The name of the file in the root directory, and its content.
    pub bootmgr: Option<(&'static str, Vec<u8>)>,
    /// That file, without its content.
    pub bootmgr_node: Node,
    /// Other files in the root directory: by name, and so many.
    pub more: Vec<(&'static str, Vec<u8>)>,
    pub others: usize,
}

impl Volume {
    pub fn new(bootmgr: Vec<u8>) -> Self {
        let options = Options {
            label: "System".into(),
            serial: 0x1234_5678_9ABC_DEF0,
            created: FileTime::from_unix_seconds(1_750_000_000),
            boot_code: Some(Box::new(*ntfs_boot_record())),
            ..Options::default()
        };
        let bootmgr_node = Node { attributes: 0x20, ..Node::default() };
        Self { options, bootmgr: Some(("bootmgr", bootmgr)), bootmgr_node, more: Vec::new(), others: 3 }
    }

    /// Writes it at `start` (in sectors) of `disk`; returns its sectors.
    pub fn write(mut self, disk: &File, start: u64) -> u64 {
        self.options.hidden_sectors = start.try_into().unwrap();
        let mut builder = Builder::new(self.options.clone()).unwrap();
        let mut add = |name: &str, node: Node, data: Vec<u8>| {
            let data = (node.attributes & 0x10 == 0).then(|| Source::Bytes(Arc::from(data)));
            let node = builder.add_node(Node { data, ..node }).unwrap();
            builder
                .link(NodeId::ROOT, Name { long: name.encode_utf16().collect(), short: None }, node)
                .unwrap();
        };
        let plain = || Node { attributes: 0x20, ..Node::default() };
        for i in 0..self.others {
            // Names before and behind the wanted one.
            let name = format!("{} another file with a name, number {i:05}", ["a", "x"][i % 2]);
            add(&name, plain(), vec![i as u8; 9]);
        }
        for (name, data) in self.more {
            add(name, plain(), data);
        }
        if let Some((name, data)) = self.bootmgr {
            add(name, self.bootmgr_node, data);
        }
        let plan = builder.plan().unwrap();
        let volume = plan.lay_out(plan.min_size().max(8 << 20)).unwrap();
        for extent in volume.map().extents() {
            if extent.content == Content::Zero {
                continue;
            }
            let mut done = 0;
            while done < extent.len {
                let mut piece = vec![0; (extent.len - done).min(1 << 20) as usize];
                volume.render(extent.start + done, &mut piece, &NoBlobs).unwrap();
                disk.write_all_at(&piece, start * SECTOR + extent.start + done).unwrap();
                done += piece.len() as u64;
            }
        }
        volume.map().len() / SECTOR
    }
}

/// The master boot record of a disk with one active partition, and our code.
pub fn write_mbr(disk: &File, start: u64, sectors: u64) {
    let bytes = start * SECTOR..(start + sectors) * SECTOR;
    let mut mbr = Mbr::new(0x1234_ABCD);
    mbr.boot_code = *mbr_boot_code();
    mbr.partitions[1] =
        Some(Partition::new(&bytes, disk::SectorSize::B512, PartitionType::NTFS, true).unwrap());
    disk.write_all_at(&mbr.to_sector().unwrap(), 0).unwrap();
}

/// A disk with one volume.
pub fn disk(path: &Path, start: u64, volume: Volume) {
    let file = File::create(path).unwrap();
    let sectors = volume.write(&file, start);
    file.set_len((start + sectors + 2048) * SECTOR).unwrap();
    write_mbr(&file, start, sectors);
}

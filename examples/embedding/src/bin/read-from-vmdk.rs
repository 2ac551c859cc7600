//! Reads a file of the Windows partition of a VMDK, without mounting or unpacking anything.
//!
//! ```text
//! read-from-vmdk DISK.vmdk 'Windows\System32\config\SYSTEM' > SYSTEM
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use bootsector::{Mbr, PartitionType, SECTOR_LEN};
use disk::{ReadAt as _, SectorSize, SubRange};
use ntfs_writer::read::{Options, Volume};
use vmdk::Vmdk;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(wanted)) = (args.next(), args.next()) else {
        return Err(r"usage: read-from-vmdk DISK.vmdk PATH\OF\FILE".into());
    };
    // Each layer is a `ReadAt` on top of another: the file, the disk in it, the partition, the volume.
    let disk = Arc::new(Vmdk::open(Arc::new(File::open(path)?))?);

    let mut sector = [0; SECTOR_LEN];
    disk.read_exact_at(&mut sector, 0)?;
    let mbr = Mbr::parse(&sector)?;
    let windows = mbr.partitions.iter().flatten().filter(|partition| partition.kind == PartitionType::NTFS);
    let windows = windows.max_by_key(|partition| partition.sectors).ok_or("no NTFS partition")?;
    let range = windows.bytes(SectorSize::B512).ok_or("the partition ends nowhere")?;
    let partition =
        SubRange::new(disk, range.start, range.end - range.start)?.ok_or("it ends past the disk")?;

    let volume = Volume::open(Arc::new(partition), Options::default())?;
    // Streams that NTFS or WOF ("Compact OS") compressed are decoded by the part, as they are read.
    let file = volume.find(&wanted)?;
    let mut stream = file.open(&volume, &[])?;
    let mut out = io::stdout().lock();
    let mut buffer = vec![0; 64 << 10];
    let mut offset = 0;
    while offset < stream.size() {
        let part = (stream.size() - offset).min(buffer.len() as u64) as usize;
        stream.read_at(offset, &mut buffer[..part])?;
        out.write_all(&buffer[..part])?;
        offset += part as u64;
    }
    Ok(())
}

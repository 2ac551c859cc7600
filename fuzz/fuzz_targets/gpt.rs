//! Any disk has a GUID partition table, or logical partitions, or is refused; what is read can be written and is read as the same,
//! also when only the copy at the end is left.
//!
//! An input is what lies in the first and last sectors. Checksums would stop nearly every mutation: they are made right.
#![no_main]

use bootsector::{Gpt, Mbr};
use disk::{ReadAt, SectorSize, WriteAt};
use libfuzzer_sys::fuzz_target;

const SECTORS: usize = 256;

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    (!sum).to_le_bytes()
}

/// Makes the checksums of a header and of its entries right, as far as they lie on the disk.
fn seal(disk: &mut [u8], header: usize, sector: usize) {
    if disk.len() < header + 512 {
        return;
    }
    let entries = u64::from_le_bytes(disk[header + 72..header + 80].try_into().expect("eight bytes"));
    let len = u32_at(disk, header + 80).saturating_mul(u32_at(disk, header + 84));
    if let Some(start) = usize::try_from(entries).ok().and_then(|lba| lba.checked_mul(sector))
        && let Some(bytes) = start.checked_add(len).and_then(|end| disk.get(start..end))
    {
        let sum = crc(bytes);
        disk[header + 88..header + 92].copy_from_slice(&sum);
    }
    let size = u32_at(disk, header + 12).clamp(92, 512);
    disk[header + 16..header + 20].fill(0);
    let sum = crc(&disk[header..header + size]);
    disk[header + 16..header + 20].copy_from_slice(&sum);
}

fn judge(disk: &[u8]) {
    let Ok(gpt) = Gpt::read(&disk).expect("memory can be read") else { return };
    for partition in &gpt.partitions {
        assert!(partition.sectors > 0);
        let _ = partition.kind_name();
    }
    // Whoever made it may have had another idea of what is usable.
    let Ok(bytes) = gpt.to_bytes(disk.len() as u64) else { return };
    let mut again = std::sync::Mutex::new(vec![0; disk.len()]);
    again.write_all_at(&bytes.start, 0).expect("memory");
    again.write_all_at(&bytes.end, bytes.end_offset).expect("memory");
    let again = again.get_mut().expect("one thread");
    assert_eq!(again.len(), disk.len(), "it goes past the end of the disk");
    let read = Gpt::read(again).expect("memory can be read").expect("what was written can be read");
    assert!(read.primary_fault.is_none());
    assert_eq!((read.disk, &read.partitions), (gpt.disk, &gpt.partitions));
    let sector = gpt.sector.bytes() as usize;
    again[sector..sector + 8].fill(0);
    let copy = Gpt::read(again).expect("memory can be read").expect("the copy can be read");
    assert!(copy.primary_fault.is_some() && copy.partitions == gpt.partitions);
}

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, low, high], rest)) = data.split_first_chunk::<3>() else { return };
    let mut disk = vec![0; SECTORS * 512];
    // What begins the disk, and what ends it.
    let (start, end) = rest.split_at(usize::from(u16::from_le_bytes([low, high])).min(rest.len()));
    let start = &start[..start.len().min(disk.len())];
    disk[..start.len()].copy_from_slice(start);
    let end = &end[..end.len().min(disk.len())];
    let at = disk.len() - end.len();
    disk[at..].copy_from_slice(end);
    let sector = if mode & 2 == 0 { SectorSize::B512 } else { SectorSize::B4096 };
    let bytes = sector.bytes() as usize;
    if mode & 1 == 0 {
        disk[510..512].copy_from_slice(&[0x55, 0xAA]);
        seal(&mut disk, bytes, bytes);
        let last = disk.len() - bytes;
        seal(&mut disk, last, bytes);
    }
    judge(&disk);
    if let Some(Ok(mbr)) = disk.first_chunk().map(Mbr::parse)
        && let Ok(logical) = mbr.logical(&disk, sector).expect("memory can be read")
    {
        assert!(logical.len() <= SECTORS);
        let size = disk.size().expect("memory");
        assert!(
            logical.iter().all(|partition| partition.bytes(sector).is_some_and(|bytes| bytes.end <= size))
        );
    }
});

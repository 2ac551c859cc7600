//! Logical partitions: a chain of boot records inside an extended partition.
//!
//! Each has two entries: a partition, counted from that record, and the next record, counted from the extended partition.

use std::io::{self, Cursor};

use binrw::BinRead;
use disk::{At, Lba, ReadAt, SectorSize};

use crate::layout::{BOOT_SIGNATURE, RawMbr};
use crate::mbr::SECTOR_LEN;
use crate::{Error, Mbr, Partition, PartitionType, Result};

/// Records in a chain; more than letters for drives by far.
const MAX_LOGICAL: usize = 128;

/// What a chain holds.
#[derive(Default)]
struct Chain {
    records: Vec<Lba>,
    partitions: Vec<Partition>,
}

impl Mbr {
    /// The logical partitions of a disk, in the order of their chain. (Everybody numbers them from 5.)
    ///
    /// # Errors
    /// The outer error is the disk's. [`Error::Malformed`] for a chain that leads outside its extended partition,
    /// backwards, or to no boot record, [`Error::Limit`] for an endless one.
    pub fn logical(&self, disk: &dyn ReadAt, sector: SectorSize) -> io::Result<Result<Vec<Partition>>> {
        Ok(self.chain(disk, sector)?.map(|chain| chain.partitions))
    }

    /// The sectors that the chain of logical partitions itself lies in: they are no partition's, and in use.
    ///
    /// # Errors
    /// As [`logical`](Self::logical).
    pub fn boot_records(&self, disk: &dyn ReadAt, sector: SectorSize) -> io::Result<Result<Vec<Lba>>> {
        Ok(self.chain(disk, sector)?.map(|chain| chain.records))
    }

    fn chain(&self, disk: &dyn ReadAt, sector: SectorSize) -> io::Result<Result<Chain>> {
        let mut found = Chain::default();
        for extended in self.partitions.iter().flatten().filter(|partition| partition.kind.is_extended()) {
            if let Err(error) = follow(disk, sector, extended, &mut found)? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(found))
    }
}

fn follow(
    disk: &dyn ReadAt,
    sector: SectorSize,
    extended: &Partition,
    found: &mut Chain,
) -> io::Result<Result<()>> {
    let mut record = extended.start;
    loop {
        let offset = sector.offset_of(record).unwrap_or(u64::MAX);
        let fault = |reason: String| {
            Ok(Err(Error::Malformed { at: At::new("extended boot record", offset), reason }))
        };
        if found.partitions.len() == MAX_LOGICAL {
            let (at, limit) = (At::new("extended boot record", offset), MAX_LOGICAL as u64);
            return Ok(Err(Error::Limit { at, what: "logical partitions", found: limit + 1, limit }));
        }
        if offset.checked_add(SECTOR_LEN as u64).is_none_or(|end| disk.size().is_ok_and(|size| end > size)) {
            return fault("lies past the disk's end".to_owned());
        }
        let mut bytes = [0; SECTOR_LEN];
        disk.read_exact_at(&mut bytes, offset)?;
        let raw = RawMbr::read(&mut Cursor::new(&bytes)).expect("every 512 bytes have this shape");
        if raw.boot_signature != BOOT_SIGNATURE {
            return fault(format!("signature {:#06x}, expected {BOOT_SIGNATURE:#06x}", raw.boot_signature));
        }
        found.records.push(record);
        let [own, next, ..] = raw.entries;
        if own.kind != 0 {
            // Sector numbers of two 32-bit fields each: their sums fit.
            let start = Lba(record.0 + u64::from(own.first_lba));
            let partition = Partition {
                start,
                sectors: own.sectors.into(),
                kind: PartitionType(own.kind),
                active: false,
            };
            if own.first_lba == 0 || own.sectors == 0 || partition.end() > extended.end() {
                return fault(format!(
                    "partition of sectors {}..{}, expected some within {}..{}",
                    start.0,
                    partition.end().0,
                    extended.start.0,
                    extended.end().0
                ));
            }
            found.partitions.push(partition);
        }
        if next.kind == 0 || next.sectors == 0 {
            return Ok(Ok(()));
        }
        let after = Lba(extended.start.0 + u64::from(next.first_lba));
        if after <= record || after >= extended.end() {
            return fault(format!(
                "leads to sector {}, expected one within {}..{}",
                after.0,
                record.0 + 1,
                extended.end().0
            ));
        }
        record = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(disk: &mut [u8], lba: usize, index: usize, kind: u8, start: u32, sectors: u32) {
        let record = &mut disk[lba * 512..(lba + 1) * 512];
        let entry = &mut record[0x1BE + 16 * index..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors.to_le_bytes());
        record[510..].copy_from_slice(&[0x55, 0xAA]);
    }

    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 100 * 512];
        entry(&mut disk, 0, 0, 0x07, 1, 9);
        entry(&mut disk, 0, 1, 0x0F, 10, 80);
        entry(&mut disk, 10, 0, 0x07, 1, 20);
        entry(&mut disk, 10, 1, 0x05, 40, 30);
        entry(&mut disk, 50, 0, 0x27, 2, 10);
        disk
    }

    fn read(disk: &[u8]) -> Result<Vec<Partition>> {
        let sector: &[u8; 512] = disk[..512].try_into().unwrap();
        Mbr::parse(sector).unwrap().logical(&disk, SectorSize::B512).unwrap()
    }

    #[test]
    fn a_chain() {
        let found = read(&disk()).unwrap();
        let seen: Vec<_> = found.iter().map(|p| (p.start.0, p.sectors, p.kind.0)).collect();
        assert_eq!(seen, [(11, 20, 7), (52, 10, 0x27)]);
        let disk = disk();
        let sector: &[u8; 512] = disk[..512].try_into().unwrap();
        let records = Mbr::parse(sector).unwrap().boot_records(&disk, SectorSize::B512).unwrap();
        assert_eq!(records.unwrap(), [Lba(10), Lba(50)]);
    }

    #[test]
    fn chains_that_lead_elsewhere() {
        for (lba, index, start, sectors) in [
            (10, 1, 0, 30),
            (10, 1, 80, 5),
            (10, 1, u32::MAX, 5),
            (50, 0, 38, 10),
            (50, 0, 0, 3),
            (50, 1, 40, 3),
        ] {
            let mut disk = disk();
            entry(&mut disk, lba, index, 5, start, sectors);
            assert!(read(&disk).is_err(), "{lba} {index} {start}");
        }
        let mut unsigned = disk();
        unsigned[50 * 512 + 511] = 0;
        assert!(read(&unsigned).is_err());
    }
}

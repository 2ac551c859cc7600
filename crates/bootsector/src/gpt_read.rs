//! GUID partition tables, read (UEFI 2.10, chapter 5).
//!
//! The `gpt` crate, which writes them, wants a device that can be written, asserts the entry size of a table it has not
//! checked yet, and takes memory for as many entries as the header claims; here the header is trusted only as far as its
//! checksum and limits go.

use std::io::{self, Cursor};

use binrw::{BinRead, binread};
use disk::{At, Guid, Lba, ReadAt, SectorSize};

use crate::{Error, Result};

/// Bytes of all entries: Windows writes 16 KiB (128 entries of 128 bytes).
const MAX_TABLE: u64 = 1 << 20;
/// Bytes of an entry that have a meaning.
const ENTRY: usize = 128;
/// Bytes of the header that its checksum covers at least.
const HEADER: usize = 92;

/// The header, as it lies in sector 1 and in the last.
#[binread]
#[br(little)]
#[derive(Clone, Debug)]
struct RawHeader {
    signature: [u8; 8],
    #[br(temp)]
    _revision: u32,
    len: u32,
    crc: u32,
    #[br(temp)]
    _reserved: u32,
    own: u64,
    #[br(temp)]
    _other: u64,
    #[br(temp)]
    _first_usable: u64,
    #[br(temp)]
    _last_usable: u64,
    disk: [u8; 16],
    entries: u64,
    count: u32,
    entry_len: u32,
    entries_crc: u32,
}

/// An entry of the table.
#[binread]
#[br(little)]
#[derive(Clone, Debug)]
struct RawEntry {
    kind: [u8; 16],
    id: [u8; 16],
    first: u64,
    last: u64,
    attributes: u64,
    name: [u16; 36],
}

/// A GUID partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpt {
    /// The disk's id.
    pub disk: Guid,
    /// Bytes in a sector, which the table counts in.
    pub sector: SectorSize,
    /// The partitions.
    pub partitions: Vec<GptPartition>,
    /// Why the table at the start was not used, when it was not but the copy at the end.
    pub primary_fault: Option<Error>,
}

/// A partition of a GUID partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GptPartition {
    /// From 1: its place in the table.
    pub number: u32,
    /// What it holds.
    pub kind: Guid,
    /// Its own id.
    pub id: Guid,
    /// First sector.
    pub start: Lba,
    /// How many sectors, at least 1.
    pub sectors: u64,
    /// Attribute bits.
    pub attributes: u64,
    /// Its name, with unpaired surrogates replaced.
    pub name: String,
}

/// What partitions hold, by their types (UEFI 2.10, table 5.7; Microsoft, `CREATE_PARTITION_PARAMETERS`).
#[derive(Clone, Copy, Debug)]
pub struct GptKind;

impl GptKind {
    /// c12a7328-f81f-11d2-ba4b-00a0c93ec93b: what firmware starts from.
    pub const EFI_SYSTEM: Guid = guid(0xC12A7328, 0xF81F, 0x11D2, 0xBA4B_00A0_C93E_C93B);
    /// e3c9e316-0b5c-4db8-817d-f92df00215ae: room that Windows keeps for itself.
    pub const MICROSOFT_RESERVED: Guid = guid(0xE3C9E316, 0x0B5C, 0x4DB8, 0x817D_F92D_F002_15AE);
    /// ebd0a0a2-b9e5-4433-87c0-68b6b72699c7: a volume of Windows.
    pub const BASIC_DATA: Guid = guid(0xEBD0A0A2, 0xB9E5, 0x4433, 0x87C0_68B6_B726_99C7);
    /// de94bba4-06d1-4d40-a16a-bfd50179d6ac: Windows' recovery environment.
    pub const RECOVERY: Guid = guid(0xDE94BBA4, 0x06D1, 0x4D40, 0xA16A_BFD5_0179_D6AC);
    /// 0fc63daf-8483-4772-8e79-3d69d8477de4: a file system of Linux.
    pub const LINUX: Guid = guid(0x0FC63DAF, 0x8483, 0x4772, 0x8E79_3D69_D847_7DE4);
    /// 21686148-6449-6e6f-744e-656564454649: code that a BIOS loads.
    pub const BIOS_BOOT: Guid = guid(0x21686148, 0x6449, 0x6E6F, 0x744E_6565_6445_4649);

    /// 5808c8aa-7e8f-42e0-85d2-e1e90434cfb3: the tables of a disk in Windows' dynamic form (LDM).
    pub const DYNAMIC_METADATA: Guid = guid(0x5808C8AA, 0x7E8F, 0x42E0, 0x85D2_E1E9_0434_CFB3);
    /// af9b60a0-1431-4f62-bc68-3311714a69ad: the volumes of such a disk.
    pub const DYNAMIC_DATA: Guid = guid(0xAF9B60A0, 0x1431, 0x4F62, 0xBC68_3311_714A_69AD);
    /// e75caf8f-f680-4cee-afa3-b001e56efc2d: a part of a storage space.
    pub const STORAGE_SPACES: Guid = guid(0xE75CAF8F, 0xF680, 0x4CEE, 0xAFA3_B001_E56E_FC2D);

    const NAMES: [(Guid, &str); 6] = [
        (Self::EFI_SYSTEM, "EFI system"),
        (Self::MICROSOFT_RESERVED, "Microsoft reserved"),
        (Self::BASIC_DATA, "basic data"),
        (Self::RECOVERY, "recovery"),
        (Self::LINUX, "Linux"),
        (Self::BIOS_BOOT, "BIOS boot"),
    ];
}

/// A GUID by its groups, the last two as one number.
const fn guid(first: u32, second: u16, third: u16, rest: u64) -> Guid {
    let ([a, b, c, d], [e, f], [g, h]) = (first.to_le_bytes(), second.to_le_bytes(), third.to_le_bytes());
    let [i, j, k, l, m, n, o, p] = rest.to_be_bytes();
    Guid([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

impl GptPartition {
    /// The attribute of partitions that the machine needs: nobody should delete them.
    pub const REQUIRED: u64 = 1;
    /// The attribute of basic data (and of what Windows treats like it) that keeps Windows from giving it a letter.
    pub const NO_DRIVE_LETTER: u64 = 1 << 63;

    /// What a well-known type holds, in words.
    pub fn kind_name(&self) -> Option<&'static str> {
        GptKind::NAMES.iter().find(|(guid, _)| *guid == self.kind).map(|(_, name)| *name)
    }
}

impl Gpt {
    /// Reads the table of a disk whose first sector protects one: that at the start, or the copy at the end. Sectors of 512 bytes are
    /// tried before those of 4 KiB.
    ///
    /// # Errors
    /// The outer error is the disk's. [`Error::Malformed`] and [`Error::Limit`] are those of the table at the start, when
    /// the copy is no better.
    pub fn read(disk: &dyn ReadAt) -> io::Result<Result<Self>> {
        let size = disk.size()?;
        let mut first_fault = None;
        for sector in [SectorSize::B512, SectorSize::B4096] {
            let bytes = u64::from(sector.bytes());
            let sectors = size / bytes;
            if sectors < 3 {
                continue;
            }
            let fault = match read_at(disk, sector, 1, sectors)? {
                Ok(gpt) => return Ok(Ok(gpt)),
                Err(fault) => fault,
            };
            if let Ok(gpt) = read_at(disk, sector, sectors - 1, sectors)? {
                return Ok(Ok(Self { primary_fault: Some(fault), ..gpt }));
            }
            first_fault = first_fault.or(Some(fault));
        }
        Ok(Err(first_fault.unwrap_or_else(|| {
            fault("GPT header", 512, format!("the disk has {size} bytes, too few for a GUID partition table"))
        })))
    }
}

fn fault(what: &'static str, offset: u64, reason: impl Into<String>) -> Error {
    Error::Malformed { at: At::new(what, offset), reason: reason.into() }
}

/// Reads the table whose header lies in sector `lba` of a disk of `sectors` sectors.
fn read_at(disk: &dyn ReadAt, sector: SectorSize, lba: u64, sectors: u64) -> io::Result<Result<Gpt>> {
    let bytes = u64::from(sector.bytes());
    let mut block = vec![0; sector.bytes() as usize];
    disk.read_exact_at(&mut block, lba * bytes)?;
    let header = match header(&block, lba, bytes) {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let len = u64::from(header.count) * u64::from(header.entry_len);
    let start = header.entries.checked_mul(bytes).filter(|start| {
        start.checked_add(len).is_some_and(|end| end <= sectors * bytes) && header.entries > 0
    });
    let Some(start) = start else {
        let reason =
            format!("{len:#x} bytes of entries at sector {:#x}, past the disk's end", header.entries);
        return Ok(Err(fault("GPT header", lba * bytes, reason)));
    };
    let mut table = vec![0; len as usize];
    disk.read_exact_at(&mut table, start)?;
    let crc = crc32fast::hash(&table);
    if crc != header.entries_crc {
        let reason = format!("CRC-32 {crc:#010x}, expected {:#010x}", header.entries_crc);
        return Ok(Err(fault("GPT entries", start, reason)));
    }
    let mut partitions = Vec::new();
    for (index, bytes) in (0u32..).zip(table.chunks_exact(header.entry_len as usize)) {
        let entry =
            RawEntry::read(&mut Cursor::new(&bytes[..ENTRY])).expect("every 128 bytes have this shape");
        if entry.kind == [0; 16] {
            continue;
        }
        if entry.first == 0 || entry.first > entry.last || entry.last >= sectors {
            let reason =
                format!("sectors {:#x}..={:#x}, expected them within {sectors:#x}", entry.first, entry.last);
            let at = start + u64::from(index) * u64::from(header.entry_len);
            return Ok(Err(fault("GPT entry", at, reason)));
        }
        let name = entry.name.split(|&unit| unit == 0).next().unwrap_or_default();
        partitions.push(GptPartition {
            number: index + 1,
            kind: Guid(entry.kind),
            id: Guid(entry.id),
            start: Lba(entry.first),
            sectors: entry.last - entry.first + 1,
            attributes: entry.attributes,
            name: String::from_utf16_lossy(name),
        });
    }
    Ok(Ok(Gpt { disk: Guid(header.disk), sector, partitions, primary_fault: None }))
}

fn header(block: &[u8], lba: u64, bytes: u64) -> Result<RawHeader> {
    let at = lba * bytes;
    let header = RawHeader::read(&mut Cursor::new(block)).expect("a sector is longer than the header");
    if header.signature != *b"EFI PART" {
        let found = String::from_utf8_lossy(&header.signature).escape_default().to_string();
        return Err(fault("GPT header", at, format!("signature \"{found}\", expected \"EFI PART\"")));
    }
    let len = header.len as usize;
    if !(HEADER..=block.len()).contains(&len) {
        let reason = format!("length {len:#x}, expected {HEADER:#x}..={:#x}", block.len());
        return Err(fault("GPT header", at, reason));
    }
    let mut covered = block[..len].to_vec();
    covered[16..20].fill(0);
    let crc = crc32fast::hash(&covered);
    if crc != header.crc {
        return Err(fault("GPT header", at, format!("CRC-32 {crc:#010x}, expected {:#010x}", header.crc)));
    }
    if header.own != lba {
        return Err(fault("GPT header", at, format!("says that it lies in sector {:#x}", header.own)));
    }
    if header.entry_len < ENTRY as u32 || !header.entry_len.is_power_of_two() {
        let reason = format!("entries of {} bytes, expected 128 times a power of two", header.entry_len);
        return Err(fault("GPT header", at, reason));
    }
    let found = u64::from(header.count) * u64::from(header.entry_len);
    if found > MAX_TABLE {
        let at = At::new("GPT header", at);
        return Err(Error::Limit { at, what: "bytes of entries", found, limit: MAX_TABLE });
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of 64 sectors with one partition, its table at the start and the copy at the end.
    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 64 * 512];
        let mut entries = vec![0; 4 * 128];
        entries[128..144].copy_from_slice(&"ebd0a0a2-b9e5-4433-87c0-68b6b72699c7".parse::<Guid>().unwrap().0);
        entries[144..160].fill(7);
        entries[160..168].copy_from_slice(&34u64.to_le_bytes());
        entries[168..176].copy_from_slice(&39u64.to_le_bytes());
        entries[184..190].copy_from_slice(b"C\0:\0\0\0");
        for (lba, table) in [(1u64, 2u64), (63, 62)] {
            disk[table as usize * 512..][..512].copy_from_slice(&entries);
            let at = lba as usize * 512;
            let header = &mut disk[at..at + 92];
            header[..8].copy_from_slice(b"EFI PART");
            header[12..16].copy_from_slice(&92u32.to_le_bytes());
            header[24..32].copy_from_slice(&lba.to_le_bytes());
            header[56..72].fill(9);
            header[72..80].copy_from_slice(&table.to_le_bytes());
            header[80..84].copy_from_slice(&4u32.to_le_bytes());
            header[84..88].copy_from_slice(&128u32.to_le_bytes());
            header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
            seal(&mut disk, lba);
        }
        disk
    }

    fn seal(disk: &mut [u8], lba: u64) {
        let header = &mut disk[lba as usize * 512..][..92];
        header[16..20].fill(0);
        let crc = crc32fast::hash(header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
    }

    #[test]
    fn a_table_and_its_copy() {
        let mut bytes = disk();
        let found = Gpt::read(&bytes).unwrap().unwrap();
        assert_eq!((found.partitions.len(), found.primary_fault.clone()), (1, None));
        let partition = &found.partitions[0];
        assert_eq!((partition.number, partition.start, partition.sectors), (2, Lba(34), 6));
        assert_eq!((partition.name.as_str(), partition.kind_name()), ("C:", Some("basic data")));
        bytes[600] ^= 1;
        let copy = Gpt::read(&bytes).unwrap().unwrap();
        assert!(copy.primary_fault.is_some_and(|fault| fault.to_string().contains("CRC-32")));
        assert_eq!(copy.partitions, found.partitions);
        bytes[62 * 512 + 130] ^= 1;
        assert!(Gpt::read(&bytes).unwrap().unwrap_err().to_string().contains("GPT header at 0x200"));
    }

    #[test]
    fn kinds() {
        assert_eq!(GptKind::EFI_SYSTEM.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(GptKind::MICROSOFT_RESERVED.to_string(), "e3c9e316-0b5c-4db8-817d-f92df00215ae");
        assert_eq!(GptKind::BASIC_DATA.to_string(), "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
        assert_eq!(GptKind::RECOVERY.to_string(), "de94bba4-06d1-4d40-a16a-bfd50179d6ac");
        assert_eq!(GptKind::LINUX.to_string(), "0fc63daf-8483-4772-8e79-3d69d8477de4");
        assert_eq!(GptKind::BIOS_BOOT.to_string(), "21686148-6449-6e6f-744e-656564454649");
    }

    #[test]
    fn every_field_is_checked() {
        for (at, value) in [
            (0, vec![0]),
            (12, vec![91]),
            (12, vec![0, 16]),
            (24, vec![2]),
            (72, vec![0]),
            (72, vec![64]),
            (72, vec![0xFF; 8]),
            (80, vec![5]),
            (80, vec![0xFF; 4]),
            (84, vec![64]),
            (84, vec![192]),
            (84, vec![0, 0, 0, 0x80]),
            (88, vec![0]),
        ] {
            let mut bytes = disk();
            bytes[63 * 512] = 0;
            bytes[512 + at..512 + at + value.len()].copy_from_slice(&value);
            seal(&mut bytes, 1);
            assert!(Gpt::read(&bytes).unwrap().is_err(), "{at}: {value:x?}");
        }
        for len in (0..4096).step_by(512) {
            assert!(Gpt::read(&vec![0xFF; len]).unwrap().is_err());
        }
    }
}

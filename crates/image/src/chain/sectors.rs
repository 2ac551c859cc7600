//! What a BIOS runs: the master boot record's code, and the boot record of the partition it starts.
//!
//! Code is told apart by its first instructions and by the texts in it, not run. Microsoft's is known by the bytes that
//! all of its versions since Vista begin with; what is neither known nor empty is taken to do its work, with a warning.

use bootsector::layout::BOOT_CODE_LEN;

use super::WindowsError as Code;
use super::disk::{BootDisk, Identity, Slot, Table, counted, sized};
use super::report::{Link, Step};

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// There is none.
    Nobody,
    /// wimforge.
    Ours,
    /// Windows since Vista, which starts BOOTMGR.
    Windows,
    /// Windows up to Server 2003, which starts NTLDR.
    OldWindows,
    /// Another boot loader.
    Other(&'static str),
    /// Code that only says that there is none.
    Refuses,
    /// Not known.
    Unknown,
}

/// Microsoft's master boot record since Vista: `xor ax,ax; mov ss,ax; mov sp,7C00h; mov es,ax; mov ds,ax; ...`.
const MBR_WINDOWS: &[u8] =
    &[0x33, 0xC0, 0x8E, 0xD0, 0xBC, 0x00, 0x7C, 0x8E, 0xC0, 0x8E, 0xD8, 0xBE, 0x00, 0x7C, 0xBF, 0x00, 0x06];
/// That of Windows 2000 to Server 2003 starts alike and goes on with `sti; push ax; pop es`.
const MBR_OLD_WINDOWS: &[u8] = &[0x33, 0xC0, 0x8E, 0xD0, 0xBC, 0x00, 0x7C, 0xFB, 0x50, 0x07];
/// Microsoft's NTFS boot record, at 0x54: `cli; xor ax,ax; mov ss,ax; mov sp,7C00h`.
const VBR_WINDOWS: &[u8] = &[0xFA, 0x33, 0xC0, 0x8E, 0xD0, 0xBC, 0x00, 0x7C];
/// What our volumes have when they are not to be started: `int 18h`, then `hlt` for ever.
const VBR_REFUSES: &[u8] = &[0xCD, 0x18, 0xF4, 0xEB, 0xFD];
/// Bytes of an NTFS boot record.
const BOOT_RECORD: u64 = 8192;

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Who wrote the code of a master boot record.
pub(super) fn mbr_author(code: &[u8]) -> Author {
    const TEXTS: [(&[u8], &str); 6] = [
        (b"GRUB ", "GRUB"),
        (b"LILO", "LILO"),
        (b"SYSLINUX", "Syslinux"),
        (b"isolinux", "Isolinux"),
        (b"Operating system load error", "Syslinux"),
        (b"rEFInd", "rEFInd"),
    ];
    if code.iter().all(|&byte| byte == 0) {
        Author::Nobody
    } else if code == bootsector::mbr_boot_code() {
        Author::Ours
    } else if code.starts_with(MBR_WINDOWS) {
        Author::Windows
    } else if code.starts_with(MBR_OLD_WINDOWS) {
        Author::OldWindows
    } else if let Some((_, name)) = TEXTS.iter().find(|(text, _)| contains(code, text)) {
        Author::Other(name)
    } else {
        Author::Unknown
    }
}

/// Who wrote an NTFS boot record, of which `bytes` are the first ones.
pub(super) fn vbr_author(bytes: &[u8]) -> Author {
    let Some(code) = bytes.get(0x54..510) else { return Author::Nobody };
    let name_at = |length: u16, name: &str| {
        let units = std::iter::once(length).chain(name.encode_utf16());
        let wanted: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
        bytes.get(0x200..0x200 + wanted.len()) == Some(&wanted[..])
    };
    let ours = bootsector::ntfs_boot_record();
    if code.iter().all(|&byte| byte == 0) {
        Author::Nobody
    } else if *code == ours[0x54..510] && bytes.get(512..) == Some(&ours[512..]) {
        Author::Ours
    } else if code.starts_with(VBR_REFUSES) || contains(code, b"not a bootable") {
        Author::Refuses
    } else if name_at(5, "NTLDR") {
        Author::OldWindows
    } else if code.starts_with(VBR_WINDOWS) || name_at(7, "BOOTMGR") {
        Author::Windows
    } else if contains(bytes, b"GRUB") {
        Author::Other("GRUB")
    } else if contains(bytes, b"SYSLINUX") || contains(bytes, b"EXTLINUX") {
        Author::Other("Syslinux")
    } else {
        Author::Unknown
    }
}

const BOOTSECT: &str = "write boot code: `wimforge build` does, or on Windows `bootsect /nt60 X: /mbr`";

/// The link of the master boot record's code.
pub(super) fn boot_code(disk: &BootDisk<'_>) -> Link {
    let mut link = Link::new(Step::BootCode);
    link.detail = match mbr_author(&disk.first[..BOOT_CODE_LEN]) {
        Author::Nobody => {
            link.broken(
                "the first sector holds no code: a BIOS runs zeros and hangs, or goes on to the next device",
                Code::NoBootableDevice,
                BOOTSECT,
            );
            "none".to_owned()
        }
        Author::Ours => "wimforge's".to_owned(),
        Author::Windows => "Windows' (Vista or later)".to_owned(),
        Author::OldWindows => "Windows' (2000 to Server 2003)".to_owned(),
        Author::Refuses => "none, and says so".to_owned(),
        Author::Other(name) => {
            link.warn(
                format!("{name} is started instead of Windows; whether it goes on to the active partition cannot be told"),
                "to start Windows directly, write a master boot record that does (`bootsect /nt60 X: /mbr`)",
            );
            name.to_owned()
        }
        Author::Unknown => {
            link.warn(
                "the code is not one that is known; it should start the active partition",
                "if it does not, write one that does (`bootsect /nt60 X: /mbr`)",
            );
            "not known".to_owned()
        }
    };
    link
}

/// The partition that boot code starts, and its link.
pub(super) fn active<'s>(disk: &'s BootDisk<'_>) -> (Link, Option<&'s Slot>) {
    let mut link = Link::new(Step::SystemPartition);
    let slot = disk.slots.iter().find(|slot| slot.active);
    match slot {
        Some(slot) => {
            link.detail = format!(
                "partition {}, {}, {} at {}",
                slot.number,
                slot.file_system(),
                sized(slot.size),
                sized(slot.start)
            );
            if slot.number > 4 {
                link.broken(
                    format!("partition {} is a logical one, which no boot code starts", slot.number),
                    Code::NoBootableDevice,
                    "make the primary partition with BOOTMGR active",
                );
            }
        }
        None => {
            let with = disk.slots.iter().filter(|slot| holds(disk, slot, "\\bootmgr"));
            let with: Vec<String> = with.map(|slot| slot.number.to_string()).collect();
            let advice = match &with[..] {
                [] => "mark the partition that is to hold BOOTMGR active (`sfdisk --activate DISK 1`)"
                    .to_owned(),
                [number] => format!(
                    "mark partition {number}, which holds BOOTMGR, active (`sfdisk --activate DISK {number}`)"
                ),
                several => {
                    format!("mark one of partitions {}, which hold BOOTMGR, active", several.join(", "))
                }
            };
            link.detail = "none".to_owned();
            let text = format!("none of {} is active", counted(disk.slots.len(), "partition"));
            link.broken(text, Code::NoBootableDevice, advice);
        }
    }
    (link, slot)
}

fn holds(disk: &BootDisk<'_>, slot: &Slot, path: &str) -> bool {
    disk.volume(slot).is_ok_and(|volume| volume.has(path))
}

/// The link of the boot record of the active partition, and who wrote it.
pub(super) fn boot_record(disk: &BootDisk<'_>, slot: &Slot) -> (Link, Author) {
    let mut link = Link::new(Step::BootRecord);
    let mut bytes = vec![0; slot.size.min(BOOT_RECORD) as usize];
    let read = disk
        .range(slot)
        .and_then(|range| range.read_exact_at(&mut bytes, 0).map_err(|error| error.to_string()));
    if let Err(error) = read {
        link.detail = "cannot be read".to_owned();
        link.broken(error, Code::ErrorLoadingSystem, "the disk was cut off, or its table is another disk's");
        return (link, Author::Nobody);
    }
    if bytes.get(510..512) != Some(&[0x55, 0xAA]) {
        link.detail = "none".to_owned();
        link.broken(
            format!("partition {} does not begin with a sector that ends with 55 AA", slot.number),
            Code::MissingSystem,
            "restore it from its copy in the partition's last sector (`testdisk`, Boot), or format the partition",
        );
        return (link, Author::Nobody);
    }
    match slot.file_system() {
        "NTFS" => ntfs_record(link, disk, slot, &bytes),
        "BitLocker" => {
            link.detail = "BitLocker's".to_owned();
            (link, Author::Other("BitLocker"))
        }
        other if slot.is_fat() => {
            link.detail = format!("{other}'s");
            check_hidden(&mut link, disk, slot, &bytes);
            if bytes[0x5A..510].iter().filter(|&&byte| byte != 0).count() < 64 {
                no_code(&mut link, slot);
            }
            (link, Author::Unknown)
        }
        _ => {
            link.detail = "of no known file system".to_owned();
            link.warn(
                format!("partition {} holds code of another system", slot.number),
                "to start Windows, mark the partition with BOOTMGR active",
            );
            (link, Author::Unknown)
        }
    }
}

fn no_code(link: &mut Link, slot: &Slot) {
    link.broken(
        format!("the boot record of partition {} holds no code to start from", slot.number),
        Code::MissingSystem,
        "write a boot record: `wimforge build` does, or on Windows `bootsect /nt60 X:`",
    );
}

fn ntfs_record(mut link: Link, disk: &BootDisk<'_>, slot: &Slot, bytes: &[u8]) -> (Link, Author) {
    let author = vbr_author(bytes);
    match author {
        Author::Nobody | Author::Refuses => {
            link.detail = "no code".to_owned();
            no_code(&mut link, slot);
        }
        Author::Ours => link.detail = "wimforge's".to_owned(),
        Author::Windows => link.detail = "Windows' (Vista or later)".to_owned(),
        Author::OldWindows => {
            link.detail = "Windows' (2000 to Server 2003)".to_owned();
            link.broken(
                "it starts NTLDR, not BOOTMGR",
                Code::BootmgrMissing,
                "write the boot record of a later Windows (`bootsect /nt60 X:`)",
            );
        }
        Author::Other(name) => {
            link.detail = format!("{name}'s");
            link.warn(
                format!("{name} is started instead of BOOTMGR"),
                "to start Windows directly, write its boot record (`bootsect /nt60 X:`)",
            );
        }
        Author::Unknown => {
            link.detail = "not known".to_owned();
            link.warn("the code is not one that is known; it should start BOOTMGR", "");
        }
    }
    check_bpb(&mut link, disk, slot, bytes, author);
    (link, author)
}

fn u16_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether the record knows where its partition begins: boot code adds that to every sector it reads, and BOOTMGR finds
/// its own partition by it.
fn check_hidden(link: &mut Link, disk: &BootDisk<'_>, slot: &Slot, bytes: &[u8]) {
    let sector = u64::from(disk.sector.bytes());
    let (hidden, start) = (u32_at(bytes, 0x1C), slot.start / sector);
    if u64::from(hidden) != start {
        link.broken(
            format!("it says that {hidden} sectors lie before the partition (at 0x1c); there are {start}"),
            Code::DiskRead,
            format!("write {start} at byte 0x1c of the boot record and of its copy, or move the partition to {hidden}"),
        );
    }
}

/// Whether the fields that boot code reads are those of this partition.
fn check_bpb(link: &mut Link, disk: &BootDisk<'_>, slot: &Slot, bytes: &[u8], author: Author) {
    const FORMAT: &str =
        "the record is another volume's, or damaged: restore it from its copy in the last sector";
    if !matches!(bytes[0], 0xEB | 0xE9) {
        link.broken(
            format!("it begins with {:#04x}, not with a jump to its code", bytes[0]),
            Code::MissingSystem,
            FORMAT,
        );
    } else if bytes[2] == 0 {
        link.warn(
            "byte 2 is 0: boot managers of Windows 8 and later want it set (0x90)",
            "write 0x90 at byte 2",
        );
    }
    check_hidden(link, disk, slot, bytes);
    let sector = u16_at(bytes, 0x0B);
    if sector != disk.sector.bytes() {
        let disks = disk.sector.bytes();
        link.broken(
            format!("it counts in sectors of {sector} bytes, the disk has {disks}"),
            Code::DiskRead,
            "a volume works on disks of its own sector size only: build or copy it anew",
        );
        return;
    }
    let total = u64::from(u32_at(bytes, 0x28)) | u64::from(u32_at(bytes, 0x2C)) << 32;
    let sectors = slot.size / u64::from(sector);
    if total >= sectors {
        link.broken(
            format!("it says that the volume has {total} sectors and one more for its copy; the partition has {sectors}"),
            Code::DiskRead,
            "make the partition as large as the volume",
        );
    }
    if bytes[0x0D] > 0x80 && author == Author::Windows {
        link.broken(
            format!(
                "clusters above 64 KiB (code {:#04x}): the boot record does not understand these",
                bytes[0x0D]
            ),
            Code::DiskRead,
            "keep BOOTMGR on a partition with clusters of 64 KiB or less",
        );
    }
    // Sectors are addressed by 32 bits from the beginning of the disk.
    if slot.start / u64::from(sector) > u64::from(u32::MAX) {
        link.broken(
            "the partition begins beyond 2^32 sectors, where boot code does not reach",
            Code::DiskRead,
            FORMAT,
        );
    }
    if let (Table::Mbr(_), Identity::Mbr(kind)) = (disk.table, slot.identity)
        && !matches!(kind, 0x07 | 0x17 | 0x27)
    {
        link.warn(
            format!("the table calls an NTFS partition type {kind:#04x}, expected 0x07"),
            "set the type to 07",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_of_master_boot_records() {
        let code = |start: &[u8]| {
            let mut code = vec![0; BOOT_CODE_LEN];
            code[..start.len()].copy_from_slice(start);
            code
        };
        assert_eq!(mbr_author(&code(&[])), Author::Nobody);
        assert_eq!(mbr_author(bootsector::mbr_boot_code()), Author::Ours);
        assert_eq!(mbr_author(&code(MBR_WINDOWS)), Author::Windows);
        assert_eq!(mbr_author(&code(MBR_OLD_WINDOWS)), Author::OldWindows);
        assert_eq!(mbr_author(&code(b"\xEB\x63\x90 GRUB \0Geom")), Author::Other("GRUB"));
        assert_eq!(mbr_author(&code(&[0xFA, 0x31])), Author::Unknown);
    }

    #[test]
    fn authors_of_boot_records() {
        let record = |code: &[u8], name: &str| {
            let mut bytes = vec![0; 8192];
            bytes[0x54..0x54 + code.len()].copy_from_slice(code);
            let units = std::iter::once(name.len() as u16).chain(name.encode_utf16());
            let text: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
            bytes[0x200..0x200 + text.len()].copy_from_slice(&text);
            bytes
        };
        assert_eq!(vbr_author(&record(&[], "")), Author::Nobody);
        assert_eq!(vbr_author(bootsector::ntfs_boot_record()), Author::Ours);
        assert_eq!(vbr_author(&record(VBR_WINDOWS, "BOOTMGR")), Author::Windows);
        assert_eq!(vbr_author(&record(VBR_WINDOWS, "NTLDR")), Author::OldWindows);
        assert_eq!(vbr_author(&record(b"\x0e\x1fThis is not a bootable disk", "")), Author::Refuses);
        assert_eq!(vbr_author(&record(VBR_REFUSES, "")), Author::Refuses);
        assert_eq!(vbr_author(&record(&[1, 2, 3], "")), Author::Unknown);
        assert_eq!(vbr_author(&[]), Author::Nobody);
    }
}

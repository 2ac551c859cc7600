//! The boot sector and its copy: the geometry that everything else is read by.

use disk::ReadAt;

use super::Severity;
use super::report::{Code, Collector, Place};
use crate::parse::{self, Boot, Fault};

const FIELDS: [(usize, usize, &str); 12] = [
    (0x03, 8, "file system signature"),
    (0x0B, 2, "bytes per sector"),
    (0x0D, 1, "sectors per cluster"),
    (0x15, 1, "media descriptor"),
    (0x1C, 4, "hidden sectors"),
    (0x28, 8, "total sectors"),
    (0x30, 8, "cluster of $MFT"),
    (0x38, 8, "cluster of $MFTMirr"),
    (0x40, 1, "file record size"),
    (0x44, 1, "index block size"),
    (0x48, 8, "serial number"),
    (0x1FE, 2, "end signature"),
];

/// The first field in which two boot sectors differ.
fn difference(a: &[u8], b: &[u8]) -> Option<(usize, String)> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    for (at, len, name) in FIELDS {
        let (x, y) = (&a[at..at + len], &b[at..at + len]);
        if x != y {
            return Some((at, format!("{name}: {:#x}, in the copy {:#x}", number(x), number(y))));
        }
    }
    let at = a.iter().zip(b).position(|(x, y)| x != y)?;
    Some((at, format!("byte {at:#x}: {:#x}, in the copy {:#x}", a[at], b[at])))
}

/// Whether there is a file record where a boot sector says that `$MFT` begins.
fn leads_to_mft(volume: &dyn ReadAt, boot: &Boot) -> bool {
    let mut bytes = vec![0; boot.record_size as usize];
    let at = boot.mft_lcn.saturating_mul(boot.cluster_size.into());
    volume.read_exact_at(&mut bytes, at).is_ok()
        && bytes[..4] == *b"FILE"
        && parse::unprotect(&mut bytes, "file record").is_ok()
        && parse::record(&bytes).is_ok_and(|record| record.header.allocated == boot.record_size)
}

/// The geometry of the volume: by the boot sector, or by its copy where that leads to `$MFT` and the sector does not.
pub(super) fn boot(volume: &dyn ReadAt, size: u64, found: &mut Collector) -> Option<Boot> {
    const SECTOR: usize = 512;
    let mut first = [0; SECTOR];
    let start = Place::volume(0);
    if let Err(error) = volume.read_exact_at(&mut first, 0) {
        found.add(Severity::Error, Code::BootSector, start, format_args!("boot sector: {error}"));
        return None;
    }
    let own = parse::boot(&first);
    let mut fault = |fault: &Fault| {
        found.add(Severity::Error, Code::BootSector, start.plus(fault.offset), format_args!("{fault}"));
    };
    if let Err(own) = &own {
        fault(own);
    }
    if first[0x1FE..] != [0x55, 0xAA] {
        let found = format_args!("{:#x}", u16::from_le_bytes([first[0x1FE], first[0x1FF]]));
        fault(&Fault::new("boot sector", "end signature", 0x1FE, found, "0xaa55"));
    }
    let zero = [(0x0E, 7, "reserved fields"), (0x16, 2, "sectors per FAT"), (0x20, 4, "short sector count")];
    for (at, len, name) in zero {
        if first[at..at + len].iter().any(|&byte| byte != 0) {
            let text = format_args!("boot sector: {name}: found {:x?}, expected zeros", &first[at..at + len]);
            found.add(Severity::Warning, Code::BootSector, start.plus(at), text);
        }
    }
    // The sector behind the last of the volume; where the size is wrong, the last there is.
    let by_size = own.as_ref().ok().map(Boot::len);
    let places =
        [by_size, size.checked_sub(512), size.checked_sub(4096), by_size.map(|len| len / 2 / 512 * 512)];
    let mut copy = None;
    for at in places.into_iter().flatten().filter(|&at| at > 0) {
        let mut bytes = [0; SECTOR];
        if volume.read_exact_at(&mut bytes, at).is_ok() && (bytes == first || bytes[3..11] == *b"NTFS    ") {
            copy = Some((at, bytes));
            break;
        }
    }
    match &copy {
        None => {
            let text = format_args!("no copy of the boot sector at the end of the volume");
            found.add(Severity::Error, Code::BootBackup, Place { record: None, offset: by_size }, text);
        }
        Some((at, bytes)) => {
            if let Some((offset, text)) = difference(&first, bytes) {
                let text = format_args!("boot sector and copy at {at:#x} differ: {text}");
                found.add(Severity::Error, Code::BootBackup, start.plus(offset), text);
            }
            if by_size.is_some_and(|wanted| wanted != *at) {
                let text = format_args!(
                    "the copy of the boot sector is at {at:#x}, expected {:#x}",
                    by_size.unwrap_or(0)
                );
                found.add(Severity::Error, Code::BootBackup, Place::volume(*at), text);
            }
        }
    }
    let other = copy.and_then(|(_, bytes)| parse::boot(&bytes).ok());
    let mut boot = match (own, other) {
        (Ok(own), Some(other)) if !leads_to_mft(volume, &own) && leads_to_mft(volume, &other) => {
            let text = format_args!(
                "there is no $MFT where the boot sector has it; where its copy has it, there is"
            );
            found.add(Severity::Error, Code::BootSector, start, text);
            other
        }
        (Ok(own), _) => own,
        (Err(_), Some(other)) => other,
        (Err(_), None) => return None,
    };
    let needed = boot.len().saturating_add(boot.sector_size.into());
    if size < needed {
        let text = format_args!(
            "{size} bytes, expected {needed}: the volume's sectors and one for the copy of the first"
        );
        found.add(Severity::Error, Code::VolumeSize, start.plus(0x28), text);
        // What is not there cannot be checked.
        boot.clusters = boot.clusters.min(size / u64::from(boot.cluster_size));
    } else if size - needed >= u64::from(boot.cluster_size).max(4096) {
        let text = format_args!("{size} bytes, the volume ends at {needed}");
        found.add(Severity::Note, Code::VolumeSize, start.plus(0x28), text);
    }
    Some(boot)
}

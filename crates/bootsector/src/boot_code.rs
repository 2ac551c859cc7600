//! Code that a BIOS starts: our own, and where to find Microsoft's.
//!
//! The bytes here are assembled from readable source by `tests/boot_code`, which also compares them on every run. They
//! are committed, so that neither a build nor a user needs an assembler.

use crate::layout::BOOT_CODE_LEN;

/// Length in bytes of an NTFS boot record: 16 sectors of 512 bytes, the content of `$Boot`.
pub const NTFS_BOOT_RECORD_LEN: usize = 8192;

static MBR: [u8; BOOT_CODE_LEN] = *include_bytes!("boot_code/mbr.bin");
static NTFS: [u8; NTFS_BOOT_RECORD_LEN] = *include_bytes!("boot_code/ntfs.bin");

/// Our boot code for [`Mbr::boot_code`](crate::Mbr::boot_code): it starts the boot sector of the active partition.
pub fn mbr_boot_code() -> &'static [u8; BOOT_CODE_LEN] {
    &MBR
}

/// Our NTFS boot record: it loads `\BOOTMGR` and starts it.
///
/// It is a template: the volume's own fields, bytes 0x0B to 0x53, are zeros.
pub fn ntfs_boot_record() -> &'static [u8; NTFS_BOOT_RECORD_LEN] {
    &NTFS
}

/// What Microsoft's master boot record begins with.
const MBR_START: [u8; 17] =
    [0x33, 0xC0, 0x8E, 0xD0, 0xBC, 0x00, 0x7C, 0x8E, 0xC0, 0x8E, 0xD8, 0xBE, 0x00, 0x7C, 0xBF, 0x00, 0x06];
const SIGNATURE: (usize, [u8; 2]) = (0x1FE, [0x55, 0xAA]);

/// What Microsoft's NTFS boot record begins with, the first code in it, and the name that it looks for.
const NTFS_START: [u8; 11] = *b"\xEB\x52\x90NTFS    ";
const NTFS_CODE: (usize, [u8; 8]) = (0x54, [0xFA, 0x33, 0xC0, 0x8E, 0xD0, 0xBC, 0x00, 0x7C]);
const NTFS_NAME: (usize, [u8; 16]) = (0x200, *b"\x07\0B\0O\0O\0T\0M\0G\0R\0");
/// How much of the 8192 bytes Microsoft's code and data take.
const NTFS_LEN: usize = 0x1028;

/// Microsoft's code for a master boot record, from a file of a Windows image that carries it (`vdsutil.dll`,
/// `winsetup.dll`, `bootsect.exe`, where the image has them). `None` when it is not in `file`.
///
/// It is found by its first instructions and the signature at its end. Nothing of it is part of this crate.
pub fn find_mbr_code(file: &[u8]) -> Option<[u8; BOOT_CODE_LEN]> {
    let sector = find(file, &MBR_START, 512, |sector| has(sector, &SIGNATURE.1, SIGNATURE.0))?;
    Some(std::array::from_fn(|at| sector[at]))
}

/// Microsoft's NTFS boot record, as [`ntfs_boot_record`] has ours, from a file of a Windows image that carries it
/// (`untfs.dll`, `winsetup.dll`, `bootsect.exe`). `None` when it is not in `file`.
///
/// It is found by its head, its first instructions and the name that it looks for. The volume's fields in it are
/// cleared.
pub fn find_ntfs_code(file: &[u8]) -> Option<Box<[u8; NTFS_BOOT_RECORD_LEN]>> {
    let found = find(file, &NTFS_START, NTFS_LEN, |record| {
        has(record, &SIGNATURE.1, SIGNATURE.0)
            && has(record, &NTFS_CODE.1, NTFS_CODE.0)
            && has(record, &NTFS_NAME.1, NTFS_NAME.0)
    })?;
    let mut record = Box::new([0; NTFS_BOOT_RECORD_LEN]);
    record[..NTFS_LEN].copy_from_slice(found);
    record[NTFS_START.len()..NTFS_CODE.0].fill(0);
    Some(record)
}

fn has(bytes: &[u8], part: &[u8], at: usize) -> bool {
    bytes[at..].starts_with(part)
}

/// The first `len` bytes of `file` that begin with `start` and satisfy `is_it`.
fn find<'a>(file: &'a [u8], start: &[u8], len: usize, is_it: impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
    file.windows(len).find(|window| window[0] == start[0] && window.starts_with(start) && is_it(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a loader of Microsoft's looks like to the search: the bytes that identify it, and noise.
    fn ntfs() -> Vec<u8> {
        let mut record: Vec<u8> = (0..NTFS_LEN).map(|at| (at * 7 % 253) as u8).collect();
        record[..NTFS_START.len()].copy_from_slice(&NTFS_START);
        for (at, part) in
            [(NTFS_CODE.0, &NTFS_CODE.1[..]), (NTFS_NAME.0, &NTFS_NAME.1), (SIGNATURE.0, &SIGNATURE.1)]
        {
            record[at..][..part.len()].copy_from_slice(part);
        }
        record
    }

    #[test]
    fn ntfs_record_in_a_file() {
        let record = ntfs();
        let file = |record: &[u8]| [b"MZ\xEB\x52\x90NTFS    ".repeat(9).as_slice(), record].concat();
        let found = find_ntfs_code(&file(&record)).unwrap();
        assert_eq!(found[..11], record[..11]);
        assert!(found[11..0x54].iter().all(|&byte| byte == 0));
        assert_eq!(found[0x54..NTFS_LEN], record[0x54..]);
        assert!(found[NTFS_LEN..].iter().all(|&byte| byte == 0));
        for at in [0, 2, 10, 0x54, 0x5B, 0x1FE, 0x1FF, 0x200, 0x20F] {
            let mut other = record.clone();
            other[at] ^= 1;
            assert_eq!(find_ntfs_code(&file(&other)), None, "{at:#x}");
        }
        assert_eq!(find_ntfs_code(&file(&record[..NTFS_LEN - 1])), None);
        assert_eq!(find_ntfs_code(&[]), None);
        // Ours is not taken for Microsoft's.
        assert_eq!(find_ntfs_code(ntfs_boot_record()), None);
    }

    #[test]
    fn mbr_code_in_a_file() {
        let mut sector: Vec<u8> = (0..512).map(|at| (at * 11 % 251) as u8).collect();
        sector[..MBR_START.len()].copy_from_slice(&MBR_START);
        sector[SIGNATURE.0..].copy_from_slice(&SIGNATURE.1);
        let file = |sector: &[u8]| [&[0x33; 99][..], &MBR_START, &[0; 600], sector].concat();
        assert_eq!(find_mbr_code(&file(&sector)).unwrap()[..], sector[..440]);
        for at in [0, 16, 0x1FE, 0x1FF] {
            let mut other = sector.clone();
            other[at] ^= 1;
            assert_eq!(find_mbr_code(&file(&other)), None, "{at:#x}");
        }
        assert_eq!(find_mbr_code(&file(&sector[..511])), None);
        assert_eq!(find_mbr_code(&[]), None);
    }
}

//! The boot code's source, and that the committed bytes are what it makes.
//!
//! After a change of the source: `UPDATE_BOOT_CODE=1 cargo test -p wimforge-bootsector --test boot_code` writes the bytes
//! anew, and `tests/boot` says whether they still boot.

// One step for each instruction of a block.
#![recursion_limit = "512"]
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, reason = "a test")]

mod mbr;
mod ntfs;

use wimforge_bootsector::{mbr_boot_code, ntfs_boot_record};

/// `code`, which runs at 0:7C00 or wherever, and then a jump to what follows it when it lies at 0:`target`.
fn far_jump(mut code: Vec<u8>, target: u16) -> Vec<u8> {
    const LEN: u16 = 5;
    let next = target + code.len() as u16 + LEN;
    code.push(0xEA);
    code.extend(next.to_le_bytes());
    code.extend([0, 0]);
    code
}

#[track_caller]
fn compare(name: &str, assembled: &[u8], committed: &[u8]) {
    if std::env::var_os("UPDATE_BOOT_CODE").is_some() {
        let path = format!("{}/src/boot_code/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, assembled).unwrap();
        return;
    }
    assert_eq!(assembled.len(), committed.len(), "{name}");
    if let Some(at) = (0..assembled.len()).find(|&at| assembled[at] != committed[at]) {
        panic!(
            "{name} is not what its source makes: from {at:#x} on. See the head of tests/boot_code/main.rs."
        );
    }
}

#[test]
fn committed_bytes_are_what_the_source_makes() {
    let mut sector = mbr::assemble();
    println!("the master boot record has {} bytes of code", sector.len());
    assert!(sector.len() <= 440, "{} bytes", sector.len());
    sector.resize(440, 0);
    compare("mbr.bin", &sector, mbr_boot_code());
    compare("ntfs.bin", &ntfs::assemble(), ntfs_boot_record());
}

#[test]
fn the_record_has_the_shape_of_one() {
    let record = ntfs_boot_record();
    assert_eq!(record[..11], *b"\xEB\x52\x90NTFS    ");
    assert!(record[11..0x54].iter().all(|&byte| byte == 0));
    assert_eq!(record[0x1FE..0x200], [0x55, 0xAA]);
}

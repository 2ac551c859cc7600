//! The structures of the smallest files, byte for byte: every byte that is not zero is accounted for.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use common::{GRAIN, options, sparse, stream};

/// The part of `bytes` up to its last byte that is not zero.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

/// A disk of 40 MiB with one byte in grain 3 and one in grain 513, which the second table holds.
fn two_grains() -> Vec<u8> {
    let mut disk = vec![0; 40 << 20];
    disk[3 * GRAIN] = 1;
    disk[513 * GRAIN + 7] = 2;
    disk
}

const DESCRIPTOR: &str = r#"# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=12345678
parentCID=ffffffff
createType="KIND"

# Extent description
RW 81920 SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "5"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.toolsInstallType = "4"
ddb.toolsVersion = "2147483647"
ddb.virtualHWVersion = "8"
"#;

#[test]
fn stream_optimized() {
    let file = stream(&two_grains(), &options(&two_grains()));
    let sector = |index: usize| &file[index * 512..][..512];
    let header = |directory: [u8; 8]| {
        let head = [
            &b"KDMV"[..],
            &[3, 0, 0, 0, 1, 0, 3, 0], // version 3; check bytes, compressed, markers
            &[0, 0x40, 1, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0], // 81920 sectors in grains of 128
            &[1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0], // descriptor: 20 sectors from sector 1
            &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // 512 entries; no second directory
            &directory,
            &[128, 0, 0, 0, 0, 0, 0, 0], // grains from sector 128
            b"\0\n \r\n\x01",
        ];
        head.concat()
    };
    assert_eq!(trimmed(sector(0)), header([0xFF; 8]));
    assert_eq!(trimmed(&file[512..128 * 512]), DESCRIPTOR.replace("KIND", "streamOptimized").as_bytes());
    // Grain 3: LBA 384; a zlib stream.
    assert_eq!(sector(128)[..8], [0x80, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(sector(128)[12], 0x78);
    // Its table: entry 3 is sector 128.
    assert_eq!(trimmed(sector(129)), [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(trimmed(&file[130 * 512..134 * 512]), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128]);
    // Grain 513: LBA 65664, and its table: entry 1 is sector 134.
    assert_eq!(sector(134)[..8], [0x80, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(trimmed(sector(135)), [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(trimmed(&file[136 * 512..140 * 512]), [0, 0, 0, 0, 134]);
    // The directory: tables at 130 and 136.
    assert_eq!(trimmed(sector(140)), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(trimmed(sector(141)), [130, 0, 0, 0, 136]);
    // Footer, end.
    assert_eq!(trimmed(sector(142)), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(trimmed(sector(143)), header([141, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(sector(144), [0; 512]);
    assert_eq!(file.len(), 145 * 512);
}

#[test]
fn monolithic_sparse() {
    let file = sparse(&two_grains(), &options(&two_grains()));
    let sector = |index: usize| &file[index * 512..][..512];
    let header = [
        &b"KDMV"[..],
        &[1, 0, 0, 0, 3, 0, 0, 0], // version 1; check bytes, two directories
        &[0, 0x40, 1, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0],
        &[0, 2, 0, 0, 21, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0], // directories at 21 and 30
        &[128, 0, 0, 0, 0, 0, 0, 0],
        b"\0\n \r\n",
    ];
    assert_eq!(trimmed(sector(0)), header.concat());
    assert_eq!(trimmed(&file[512..21 * 512]), DESCRIPTOR.replace("KIND", "monolithicSparse").as_bytes());
    for (directory, first) in [(21, 22), (30, 31)] {
        assert_eq!(trimmed(sector(directory)), [first, 0, 0, 0, first + 4]);
        let first = usize::from(first);
        assert_eq!(trimmed(&file[first * 512..][..2048]), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128]);
        assert_eq!(trimmed(&file[(first + 4) * 512..][..2048]), [0, 0, 0, 0, 0, 1]);
    }
    assert!(trimmed(&file[39 * 512..128 * 512]).is_empty());
    assert_eq!(trimmed(&file[128 * 512..256 * 512]), [1]);
    assert_eq!(trimmed(&file[256 * 512..]), [0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(file.len(), 384 * 512);
}

//! Index blocks of every size. No writer at hand makes other than 4 KiB, so the root directory is rewritten here.

use testkit::qemu::Machine;

use crate::ours::{self, SECTOR};
use crate::refused::{LAST_WORDS, said};
use crate::volume::{BITMAP, FILE_NAME, INDEX_ALLOCATION, INDEX_ROOT, ROOT, Volume};
use crate::{reached, select, stub};

const HEADER: usize = 0x18;
const LAST: u16 = 2;

/// An index entry for file `reference` with the $FILE_NAME `key`.
fn entry(reference: u64, key: &[u8], flags: u16) -> Vec<u8> {
    let len = (0x10 + key.len()).next_multiple_of(8);
    let mut entry = reference.to_le_bytes().to_vec();
    entry.extend((len as u16).to_le_bytes());
    entry.extend((key.len() as u16).to_le_bytes());
    entry.extend(u32::from(flags).to_le_bytes());
    entry.extend(key);
    entry.resize(len, 0);
    entry
}

/// An index block of `len` bytes with `entries`, its update sequence applied.
fn block(len: usize, entries: &[u8]) -> Vec<u8> {
    let sectors = len / 512;
    let first = (0x28 + 2 * (sectors + 1)).next_multiple_of(8);
    let mut block = vec![0; len];
    block[..4].copy_from_slice(b"INDX");
    block[4..6].copy_from_slice(&0x28_u16.to_le_bytes());
    block[6..8].copy_from_slice(&(sectors as u16 + 1).to_le_bytes());
    let sizes = [first - HEADER, first - HEADER + entries.len(), len - HEADER];
    for (size, at) in sizes.iter().zip((HEADER..).step_by(4)) {
        block[at..][..4].copy_from_slice(&(*size as u32).to_le_bytes());
    }
    block[first..][..entries.len()].copy_from_slice(entries);
    let number = 0x1234_u16.to_le_bytes();
    block[0x28..0x2A].copy_from_slice(&number);
    for sector in 0..sectors {
        let end = sector * 512 + 510;
        let word = [block[end], block[end + 1]];
        block[0x2A + 2 * sector..][..2].copy_from_slice(&word);
        block[end..][..2].copy_from_slice(&number);
    }
    block
}

/// Replaces the blocks of the root directory by two of `len` bytes: the first is free and full of rubbish, the second is
/// full of names, and BOOTMGR's is the last.
fn rewrite(volume: &Volume, len: usize) {
    let number = volume.find("bootmgr");
    let key = volume.value(number, FILE_NAME);
    let mut other = key.clone();
    other[0x42] = b'A';
    let reference = 1 << 48 | number;
    let room = len - 0x28 - 2 * (len / 512 + 1) - 8;
    let (wanted, end) = (entry(reference, &key, 0), entry(0, &[], LAST));
    let others = (room - end.len()) / wanted.len() - 1;
    let entries = [entry(reference, &other, 0).repeat(others), wanted, end].concat();

    // The middle of the volume is free.
    let place = volume.sectors() / 2 * SECTOR / volume.cluster * volume.cluster;
    assert!(volume.read(volume.start + place, 2 * len).iter().all(|&byte| byte == 0), "free");
    volume.write(volume.start + place, &vec![0xBD; len]);
    volume.write(volume.start + place + len as u64, &block(len, &entries));

    let root = volume.attribute(ROOT, INDEX_ROOT).unwrap();
    let root_value = root + u64::from(u16::from_le_bytes(volume.read(root + 0x14, 2).try_into().unwrap()));
    volume.write(root_value + 8, &(len as u32).to_le_bytes());
    let allocation = volume.attribute(ROOT, INDEX_ALLOCATION).unwrap();
    let clusters = (2 * len as u64).div_ceil(volume.cluster);
    let mut run = vec![0x42];
    run.extend(&(clusters as u16).to_le_bytes());
    run.extend(&((place / volume.cluster) as u32).to_le_bytes());
    run.push(0);
    for at in [0x28, 0x30, 0x38] {
        volume.write(allocation + at, &(2 * len as u64).to_le_bytes());
    }
    volume.write(allocation + 0x48, &run);
    set_bitmap(volume, 0b10);
}

fn set_bitmap(volume: &Volume, bits: u64) {
    let bitmap = volume.attribute(ROOT, BITMAP).unwrap();
    let value = u64::from(u16::from_le_bytes(volume.read(bitmap + 0x14, 2).try_into().unwrap()));
    volume.write(bitmap + value, &bits.to_le_bytes());
}

#[test]
fn every_size_of_index_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let sizes: Vec<usize> = (9..=16).map(|shift| 1 << shift).collect();
    for len in select(&sizes, &[0, 1, 5, 7]) {
        for cluster_size in select(&[512, 4096, 65_536], &[0, 2]) {
            let mut volume = stub(50_000);
            volume.others = 100;
            volume.options.cluster_size = cluster_size;
            ours::disk(&path, 2048, volume);
            rewrite(&Volume::open(&path, 2048 * SECTOR), len);
            let what = format!("index blocks of {len}, clusters of {cluster_size}");
            if !reached(&Machine::new(&path), 2048, 50_000, &what) {
                return;
            }
        }
    }
    // It was that block, and none other, and blocks that are free are not looked at.
    set_bitmap(&Volume::open(&path, 2048 * SECTOR), 0);
    assert_eq!(said(&path, LAST_WORDS).unwrap(), "BOOTMGR is missing in the root of this volume");
}

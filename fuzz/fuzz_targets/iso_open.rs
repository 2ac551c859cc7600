//! Any bytes open as an ISO image or are refused; what opens is walked and its files are read.
//!
//! An input is an image without its zeros: records of a sector's number, the length of what it begins with, and that, the
//! numbers little-endian in 16 bits. Tags of UDF are made right, which would stop nearly every mutation.
#![no_main]

use std::sync::Arc;

use disk::ReadAt;
use iso::{EntryKind, Iso, TreeKind};
use libfuzzer_sys::fuzz_target;

const SECTOR: usize = 2048;
/// Images of at most 4 MiB.
const SECTORS: usize = 2048;

fn half(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).map_or(0, |half| usize::from(u16::from_le_bytes([half[0], half[1]])))
}

fn unpack(mut input: &[u8]) -> Vec<u8> {
    let mut image = Vec::new();
    while input.len() >= 4 {
        let (sector, len) = (half(input, 0) % SECTORS, half(input, 2) % (SECTOR + 1));
        let len = len.min(input.len() - 4);
        if image.len() < (sector + 1) * SECTOR {
            image.resize((sector + 1) * SECTOR, 0);
        }
        image[sector * SECTOR..][..len].copy_from_slice(&input[4..4 + len]);
        input = &input[4 + len..];
    }
    image
}

/// Makes address, CRC and checksum of a descriptor right; gives the length of a file identifier.
fn seal(bytes: &mut [u8], location: usize) -> Option<usize> {
    if bytes.len() < 40 {
        return None;
    }
    let id = half(bytes, 0);
    let identifier = (id == 257).then(|| (38 + usize::from(bytes[19]) + half(bytes, 36)).next_multiple_of(4));
    let room = identifier.unwrap_or(bytes.len()).min(bytes.len()) - 16;
    let covered = half(bytes, 10).min(room);
    bytes[2] = 2;
    bytes[10..12].copy_from_slice(&(covered as u16).to_le_bytes());
    bytes[12..16].copy_from_slice(&(location as u32).to_le_bytes());
    let crc = iso::crc16(&bytes[16..16 + covered]);
    bytes[8..10].copy_from_slice(&crc.to_le_bytes());
    bytes[4] = 0;
    bytes[4] = bytes[..16].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    identifier
}

fn seal_all(image: &mut [u8]) {
    let partition = image.chunks_exact(SECTOR).find(|sector| half(sector, 0) == 5);
    let partition = partition.map_or(257, |sector| half(sector, 188));
    for (number, sector) in image.chunks_exact_mut(SECTOR).enumerate() {
        match half(sector, 0) {
            1..=9 => drop(seal(sector, number)),
            257 => {
                let mut at = 0;
                while half(sector, at) == 257 {
                    let Some(len) = seal(&mut sector[at..], number.saturating_sub(partition)) else { break };
                    at += len;
                }
            }
            256..=266 => drop(seal(sector, number.saturating_sub(partition))),
            _ => {}
        }
    }
}

fn read(iso: &Iso) {
    assert!(iso.trees().contains(&iso.tree_kind()) && !iso.reason().is_empty());
    let mut steps = 0;
    for step in iso.walk(iso.root()) {
        steps += 1;
        if steps > 500 {
            break;
        }
        let Ok(step) = step else { continue };
        assert!(!step.entry.name.is_empty());
        let Ok(file) = iso.file(&step.entry) else { continue };
        assert_eq!(step.entry.kind, EntryKind::File);
        let size = file.size().expect("known");
        assert_eq!(size, step.entry.size);
        let mut next = 0;
        for run in file.runs() {
            assert!(run.offset == next && run.len > 0);
            assert!(run.place.is_none_or(|place| place + run.len <= iso.size()));
            next += run.len;
        }
        assert_eq!(next, size);
        // However it is read, it is the same.
        let len = size.min(5000);
        let (mut end, mut half) = (vec![0; len as usize], vec![0; len as usize / 2]);
        file.read_exact_at(&mut end, size - len).expect("all of it is in the image");
        file.read_exact_at(&mut half, size - len / 2).expect("it was read before");
        assert!(end.ends_with(&half));
        assert!(file.read_exact_at(&mut [0], size).is_err());
    }
    let _ = iso.find("SUB/deeper\\c.txt");
}

fuzz_target!(|data: &[u8]| {
    let mut image = unpack(data);
    seal_all(&mut image);
    let image = Arc::new(image);
    if let Ok(iso) = Iso::open(Arc::clone(&image) as Arc<dyn ReadAt>) {
        read(&iso);
    }
    for kind in [TreeKind::Joliet, TreeKind::RockRidge, TreeKind::Iso9660] {
        if let Ok(iso) = Iso::open_tree(Arc::clone(&image) as Arc<dyn ReadAt>, kind) {
            read(&iso);
        }
    }
});

//! Any bytes open as a FAT volume or are refused; what opens is walked and its files are read. Of a volume that the
//! checker finds sound, every file can be read.
#![no_main]

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use disk::ReadAt;
use fat::{Target, Volume};
use libfuzzer_sys::fuzz_target;

/// Bytes, with zeros behind them up to the length that the volume states: what is free need not be in an input.
struct Padded(Vec<u8>, u64);

impl ReadAt for Padded {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        offset
            .checked_add(buf.len() as u64)
            .filter(|&end| end <= self.1)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        if let Some(there) = self.0.get(offset as usize..) {
            let len = there.len().min(buf.len());
            buf[..len].copy_from_slice(&there[..len]);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.1)
    }
}

const LARGEST: u64 = 16 << 20;

fuzz_target!(|data: &[u8]| {
    let mut data = data.to_vec();
    if let Some(signature) = data.get_mut(510..512) {
        signature.copy_from_slice(&[0x55, 0xAA]);
    }
    let field = |at: usize, len: usize| {
        let bytes = data.get(at..at + len).unwrap_or_default();
        bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte))
    };
    let stated = field(0x0B, 2) * field(0x13, 2).max(field(0x20, 4));
    let len = stated.clamp(data.len() as u64, LARGEST.max(data.len() as u64));
    let disk = Arc::new(Padded(data, len));
    let checked = fat::check::check(Arc::clone(&disk) as Arc<dyn ReadAt>).expect("memory can be read");
    let Ok(volume) = Volume::open(disk) else {
        assert!(!checked.is_clean());
        return;
    };
    let _ = (volume.label(), volume.free_clusters());
    let mut seen = HashSet::from([volume.root()]);
    let mut stack = vec![volume.root()];
    let mut budget = 2_000;
    while let Some(directory) = stack.pop() {
        let entries = volume.entries(directory);
        assert!(entries.is_ok() || !checked.is_clean());
        for entry in entries.unwrap_or_default() {
            budget -= 1;
            if budget == 0 {
                return;
            }
            assert!(!entry.name.is_empty() || entry.short.is_none());
            match entry.target {
                Target::Directory(below) if volume.check_directory(below).is_ok() && seen.insert(below) => {
                    stack.push(below);
                }
                Target::Directory(_) => assert!(!checked.is_clean()),
                Target::File(start) => {
                    assert!(volume.first_byte(start) < len);
                    let Ok(mut file) = volume.file(start) else {
                        assert!(!checked.is_clean());
                        continue;
                    };
                    let mut whole = vec![0; file.size().min(1 << 16) as usize];
                    if file.read_at(0, &mut whole).is_ok() {
                        // However it is read, it is the same.
                        let mut half = vec![0; whole.len() / 2];
                        let from = whole.len() - half.len();
                        file.read_at(from as u64, &mut half).expect("it was read before");
                        assert!(half == whole[from..]);
                    } else {
                        assert!(!checked.is_clean());
                    }
                    assert!(file.read_at(file.size(), &mut [0]).is_err());
                }
            }
        }
    }
});

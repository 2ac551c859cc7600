//! Any bytes open as a VHD or are refused; what opens is mapped and read.
#![no_main]

use std::sync::Arc;

use disk::{BlockMap, ReadAt};
use libfuzzer_sys::fuzz_target;
use vhd::Vhd;

fuzz_target!(|data: &[u8]| {
    // Checksums would stop nearly every mutation: make them right.
    let mut data = data.to_vec();
    let len = data.len();
    for (structure, length, field) in [(Some(0), 512, 64), (len.checked_sub(512), 512, 64), (Some(512), 1024, 36)] {
        if let Some(bytes) = structure.and_then(|start| data.get_mut(start..start + length)) {
            let sum = vhd::layout::checksum(bytes, field);
            bytes[field..field + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    let Ok(vhd) = Vhd::open(Arc::new(data)) else { return };
    let size = vhd.disk_size();
    let mut buf = vec![0; 100_000];
    let len = buf.len().min(size as usize);
    // Opening checked every offset.
    for offset in [0, size / 2, size] {
        vhd.read_exact_at(&mut buf[..len], offset.min(size - len as u64)).expect("an open disk can be read");
    }
    assert!(vhd.read_exact_at(&mut buf, u64::MAX).is_err());
    let mut offset = 0;
    for _ in 0..1000 {
        let Ok(Some(range)) = vhd.range_at(offset) else { break };
        assert!(range.start <= offset && range.len > 0 && range.start + range.len > offset);
        offset = range.start + range.len;
        assert!(offset <= size);
    }
});

//! Any bytes open as a qcow2 file or are refused; what opens is checked, mapped and read.
#![no_main]

use std::sync::Arc;

use disk::{BlockMap, ReadAt};
use libfuzzer_sys::fuzz_target;
use qcow2::Qcow2;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = Qcow2::open(data.to_vec()) else { return };
    let _ = file.snapshots();
    let checked = file.check();
    let size = file.disk_size();
    let walk = |file: &Qcow2| {
        let mut buf = vec![0; 100_000];
        let mut failed = false;
        for offset in [0, 1, 65_535, size / 2, size.saturating_sub(buf.len() as u64), u64::MAX] {
            failed |= file.read_exact_at(&mut buf, offset).is_err()
                && offset <= size.saturating_sub(buf.len() as u64);
        }
        let mut offset = 0;
        for _ in 0..1000 {
            let Ok(Some(range)) = file.range_at(offset) else { break };
            assert!(range.start <= offset && range.len > 0 && range.start + range.len > offset);
            offset = range.start + range.len;
            assert!(offset <= size);
        }
        failed
    };
    let failed = walk(&file);
    // A structure that passed the check can be read, but for what only inflating or a backing file shows.
    if let Ok(usage) = checked
        && usage.compressed == 0
        && file.parent().is_none()
        && size >= 100_000
    {
        assert!(!failed, "a checked disk can be read");
    }
    if file.parent().is_some() {
        // Below it, the same bytes as a disk of their own.
        let Ok(parent) = Qcow2::open(data.to_vec()) else { return };
        if let Ok(both) = file.with_parent(Arc::new(parent)) {
            walk(&both);
        }
    }
});

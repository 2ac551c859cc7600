//! Any bytes open as a VDI or are refused; what opens is checked, mapped and read.
#![no_main]

use std::sync::Arc;

use disk::{BlockMap, ReadAt};
use libfuzzer_sys::fuzz_target;
use vdi::{Kind, Vdi};

fuzz_target!(|data: &[u8]| {
    let Ok(file) = Vdi::open(data.to_vec()) else { return };
    let checked = file.check().is_ok();
    let size = file.disk_size();
    let mut buf = vec![0; 100_000];
    let mut walk = |file: &Vdi| {
        for offset in [0, 1, 65_535, size / 2, size.saturating_sub(buf.len() as u64), u64::MAX] {
            let _ = file.read_exact_at(&mut buf, offset);
        }
        let mut offset = 0;
        for _ in 0..1000 {
            let Ok(Some(range)) = file.range_at(offset) else { break };
            assert!(range.start <= offset && range.len > 0 && range.start + range.len > offset);
            offset = range.start + range.len;
            assert!(offset <= size);
        }
    };
    walk(&file);
    if let Some(identity) = file.parent() {
        let Ok(parent) = Vdi::open(data.to_vec()) else { return };
        let both = file.with_parent(Arc::new(parent), identity).expect("the identity that it asks for");
        walk(&both);
    } else if checked {
        // A structure that passed the check can be read.
        assert!(file.kind() != Kind::Differencing);
        let len = buf.len().min(size as usize);
        file.read_exact_at(&mut buf[..len], 0).expect("a checked disk can be read");
    }
});

//! Any bytes open as a VMDK or are refused; what opens is checked, mapped and read.
#![no_main]

use std::sync::Arc;

use disk::{BlockMap, ReadAt};
use libfuzzer_sys::fuzz_target;
use vmdk::Vmdk;

fuzz_target!(|data: &[u8]| {
    let Ok(vmdk) = Vmdk::open(Arc::new(data.to_vec())) else { return };
    let checked = vmdk.check().is_ok();
    let size = vmdk.disk_size();
    let mut buf = vec![0; 100_000];
    for offset in [0, 1, 65_535, size / 2, size.saturating_sub(buf.len() as u64), u64::MAX] {
        let _ = vmdk.read_exact_at(&mut buf, offset);
    }
    let mut offset = 0;
    for _ in 0..1000 {
        let Ok(Some(range)) = vmdk.range_at(offset) else { break };
        assert!(range.start <= offset && range.len > 0 && range.start + range.len > offset);
        offset = range.start + range.len;
        assert!(offset <= size);
    }
    // A structure that passed the check can be read, but for what only inflating shows.
    if checked && vmdk.kind() == vmdk::Kind::MonolithicSparse {
        let len = buf.len().min(size as usize);
        vmdk.read_exact_at(&mut buf[..len], 0).expect("a checked disk can be read");
    }
});

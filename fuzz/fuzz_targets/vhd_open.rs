//! Any bytes open as a VHD or are refused; what opens is mapped, read and checked, with and without a parent.
#![no_main]

use std::io;
use std::sync::Arc;

use disk::{BlockMap, MappedRange, RangeKind, ReadAt};
use libfuzzer_sys::fuzz_target;
use vhd::{Kind, Vhd};

/// A parent of any size: ones, and zeros in every second 64 KiB.
struct Parent(u64);

impl ReadAt for Parent {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(offset + buf.len() as u64 <= self.0, "read past the parent's end");
        for (index, byte) in buf.iter_mut().enumerate() {
            *byte = (((offset + index as u64) >> 16) & 1) as u8;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0)
    }
}

impl BlockMap for Parent {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let start = offset & !0xFFFF;
        let kind = if offset >> 16 & 1 == 0 { RangeKind::Zero } else { RangeKind::Data };
        Ok((offset < self.0).then(|| MappedRange { start, len: (self.0 - start).min(1 << 16), kind }))
    }
}

fn walk(vhd: &Vhd) {
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
        if range.kind == RangeKind::Zero {
            let mut byte = [1];
            vhd.read_exact_at(&mut byte, offset).expect("zeros");
            assert_eq!(byte, [0]);
        }
        offset = range.start + range.len;
        assert!(offset <= size);
    }
}

fuzz_target!(|data: &[u8]| {
    // Checksums would stop nearly every mutation: make them right.
    let mut data = data.to_vec();
    let len = data.len();
    for (structure, length, field) in
        [(Some(0), 512, 64), (len.checked_sub(512), 512, 64), (Some(512), 1024, 36)]
    {
        if let Some(bytes) = structure.and_then(|start| data.get_mut(start..start + length)) {
            let sum = vhd::layout::checksum(bytes, field);
            bytes[field..field + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    let Ok(vhd) = Vhd::open(Arc::new(data)) else { return };
    let _ = vhd.check();
    let Some(reference) = vhd.parent() else {
        assert_ne!(vhd.kind(), Kind::Differencing);
        return walk(&vhd);
    };
    let _ = (vhd.read_exact_at(&mut [0; 512], 0), vhd.range_at(0));
    let (parent, id) = (Arc::new(Parent(vhd.disk_size())), reference.unique_id);
    walk(&vhd.with_parent(parent, id).expect("its id and size"));
});

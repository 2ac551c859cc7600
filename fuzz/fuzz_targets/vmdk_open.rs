//! Any bytes open as a VMDK or are refused; what opens is checked, mapped and read.
//!
//! Bytes that begin as a descriptor are one up to the first zero byte; behind it lie the files that it names, in the order
//! in which they are asked for, each after its length in three bytes.
#![no_main]

use std::io;
use std::sync::Arc;

use disk::{BlockMap, MappedRange, RangeKind, ReadAt};
use libfuzzer_sys::fuzz_target;
use vmdk::Vmdk;

/// The parent of a snapshot: a disk of this size, all of one byte.
struct Parent(u64);

impl ReadAt for Parent {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(offset + buf.len() as u64 <= self.0, "a read past the parent's end");
        buf.fill(0x5A);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0)
    }
}

impl BlockMap for Parent {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let start = offset / 10_000 * 10_000;
        let range = MappedRange { start, len: 10_000.min(self.0 - start), kind: RangeKind::Data };
        Ok((offset < self.0).then_some(range))
    }
}

fn open(data: &[u8]) -> vmdk::Result<Vmdk> {
    if !data.starts_with(b"#") {
        return Vmdk::open(Arc::new(data.to_vec()));
    }
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (text, mut rest) = data.split_at(end);
    rest = rest.get(1..).unwrap_or_default();
    let mut next = |name: &str| {
        assert!(
            !name.is_empty() && !name.contains(['/', '\\', ':', '\0']) && name != "..",
            "asked for {name:?}"
        );
        let (len, behind) = rest.split_first_chunk::<3>().ok_or(io::ErrorKind::NotFound)?;
        let len = u32::from_le_bytes([len[0], len[1], len[2], 0]) as usize;
        let (file, behind) = behind.split_at(len.min(behind.len()));
        rest = behind;
        Ok(Arc::new(file.to_vec()) as Arc<dyn ReadAt>)
    };
    Vmdk::open_with(Arc::new(text.to_vec()), &mut next)
}

fuzz_target!(|data: &[u8]| {
    let Ok(mut vmdk) = open(data) else { return };
    let checked = vmdk.check().is_ok();
    let size = vmdk.disk_size();
    if let Some(parent) = vmdk.parent() {
        vmdk = vmdk.with_parent(Arc::new(Parent(size)), parent.cid).expect("the parent that it asks for");
    }
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
    let compressed = vmdk.header().is_some_and(|header| header.compression != 0);
    if checked && !compressed && vmdk.extent_names().count() <= 1 {
        let len = buf.len().min(size as usize);
        vmdk.read_exact_at(&mut buf[..len], 0).expect("a checked disk can be read");
    }
});

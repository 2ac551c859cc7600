//! Any file opens as a VHDX or is refused; what opens is mapped, read and checked.
//!
//! A VHDX begins with megabytes of zeros, so the input is no file but patches to one: a mode, a length, and then for each
//! patch a place, an offset, a length and bytes.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use disk::{BlockMap, PositionedSink, RangeKind, ReadAt, Seed, WriteAt};
use libfuzzer_sys::fuzz_target;
use vhdx::layout::{CHUNK_SECTORS, PARENT_LOCATOR, checksum, table_entry};
use vhdx::{Options, Vhdx, positioned};

const PAGE: usize = 4096;
/// Mode: patches go to a good file, not to an empty one.
const GOOD: u8 = 1;
/// Mode: the good file is a differencing one.
const DIFFERENCING: u8 = 2;
/// Mode: headers and region tables get right checksums.
const SIGN: u8 = 4;
/// Mode: so do log entries.
const SIGN_LOG: u8 = 8;
/// Mode: a differencing file gets a parent.
const PARENT: u8 = 16;

/// Where patches can go: the structures, and blocks.
const PLACES: [u64; 13] = [
    0,
    64 << 10,
    128 << 10,
    192 << 10,
    256 << 10,
    1 << 20,
    (1 << 20) + 8192,
    (2 << 20) - 4096,
    2 << 20,
    (2 << 20) + (64 << 10),
    3 << 20,
    4 << 20,
    8 << 20,
];

/// A file that is mostly zeros.
#[derive(Clone, Default)]
struct Sparse {
    len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let at = offset + index as u64;
            let page = at / PAGE as u64;
            if *byte != 0 || self.pages.contains_key(&page) {
                self.pages.entry(page).or_insert_with(|| vec![0; PAGE])[at as usize % PAGE] = *byte;
            }
        }
    }

    fn sign(&mut self, offset: u64, len: usize) {
        let mut bytes = vec![0; len];
        if self.read_exact_at(&mut bytes, offset).is_ok() {
            self.put(offset + 4, &checksum(&bytes).to_le_bytes());
        }
    }
}

impl ReadAt for Sparse {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        let end = offset + buf.len() as u64;
        for (page, bytes) in self.pages.range(offset / PAGE as u64..end.div_ceil(PAGE as u64)) {
            let start = page * PAGE as u64;
            let (from, to) = (offset.max(start), end.min(start + PAGE as u64));
            buf[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

struct Shared(Mutex<Sparse>);

impl WriteAt for Shared {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.lock().expect("one thread").put(offset, buf);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().expect("one thread").len = len;
        Ok(())
    }
}

/// Four blocks of 1 MiB, of which the third is not stored.
static DYNAMIC: LazyLock<Sparse> = LazyLock::new(|| {
    let options = Options { block_size: 1 << 20, ..Options::new(4 << 20, &Seed::new(b"fuzz")) };
    let file = Arc::new(Shared(Mutex::default()));
    let sink =
        positioned(Arc::clone(&file), &options, [0..2 << 20, 3 << 20..4 << 20].into_iter()).expect("options");
    sink.write_at(4096, b"content").expect("memory");
    Box::new(sink).finish().expect("memory");
    file.0.lock().expect("one thread").clone()
});

/// The same with a parent, of which the second block is stored in part.
static CHILD: LazyLock<Sparse> = LazyLock::new(|| {
    let mut file = DYNAMIC.clone();
    let (key, value) = ("parent_linkage", "{66757a7a-0000-0000-0000-000000000000}");
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut locator = vhdx::layout::LOCATOR_TYPE_VHDX.0.to_vec();
    locator.extend_from_slice(&[0, 0, 1, 0, 32, 0, 0, 0, 60, 0, 0, 0, 28, 0, 76, 0]);
    locator.extend(utf16(key));
    locator.extend(utf16(value));
    let region = 2 << 20;
    file.put(region + 10, &[6]);
    file.put(region + 32 + 5 * 32, &PARENT_LOCATOR.0);
    file.put(region + 32 + 5 * 32 + 16, &[0, 0, 2, 0, locator.len() as u8, 0, 0, 0, 4]);
    file.put(region + 0x2_0000, &locator);
    file.put(region + 0x1_0004, &[2]);
    file.put((3 << 20) + 8, &table_entry(7, 5 << 20).to_le_bytes());
    let bitmap = (CHUNK_SECTORS * 512) >> 20;
    file.put((3 << 20) + bitmap * 8, &table_entry(6, 7 << 20).to_le_bytes());
    file.put((7 << 20) + 256, &[0x0F, 0xFF, 0x81]);
    file.len = 8 << 20;
    file
});

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, len], mut patches)) = data.split_first_chunk::<2>() else { return };
    let mut file = match mode & (GOOD | DIFFERENCING) {
        GOOD => DYNAMIC.clone(),
        DIFFERENCING.. => CHILD.clone(),
        _ => Sparse::default(),
    };
    file.len = match len >> 6 {
        0 => u64::from(len & 63) << 20,
        1 => file.len + u64::from(len & 63),
        2 => file.len.saturating_sub(u64::from(len & 63)),
        _ => file.len,
    };
    while let Some((&[place, low, high, count], rest)) = patches.split_first_chunk::<4>() {
        let (bytes, rest) = rest.split_at(rest.len().min(count.into()));
        let place = PLACES[usize::from(place) % PLACES.len()];
        file.put(place + u64::from(u16::from_le_bytes([low, high])), bytes);
        patches = rest;
    }
    if mode & SIGN_LOG != 0 {
        for at in (1 << 20..2 << 20).step_by(PAGE) {
            let mut head = [0; 12];
            if file.read_exact_at(&mut head, at).is_ok() && head.starts_with(b"loge") {
                let len = u32::from_le_bytes(head[8..].try_into().expect("four bytes"));
                file.sign(at, len.clamp(64, 1 << 16) as usize);
            }
        }
    }
    if mode & SIGN != 0 {
        for (at, len) in [(64 << 10, 4096), (128 << 10, 4096), (192 << 10, 1 << 16), (256 << 10, 1 << 16)] {
            file.sign(at, len);
        }
    }
    let Ok(mut vhdx) = Vhdx::open(file) else { return };
    if let Some(reference) = vhdx.parent().filter(|_| mode & PARENT != 0).cloned() {
        let parent = Arc::new(Vhdx::open(DYNAMIC.clone()).expect("a good file"));
        vhdx = vhdx.with_parent(parent, reference.data_write_id).expect("its own id");
    }
    let size = vhdx.disk_size();
    let mut buf = vec![0; 100_000];
    let len = buf.len().min(size as usize);
    // Opening checked every offset: what can be missing is a parent.
    let mut read = |offset: u64| match vhdx.read_exact_at(&mut buf[..len], offset.min(size - len as u64)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            assert!(vhdx.parent().is_some() && mode & PARENT == 0)
        }
        result => result.expect("an open disk can be read"),
    };
    for offset in [0, (1 << 20) + 100, size / 2, size] {
        read(offset);
    }
    assert!(vhdx.read_exact_at(&mut [0; 2], u64::MAX).is_err());
    let _ = vhdx.check();
    let mut offset = 0;
    for _ in 0..1000 {
        let Some(range) = vhdx.range_at(offset).expect("a good parent") else { break };
        assert!(range.start <= offset && range.len > 0 && range.start + range.len > offset);
        if range.kind == RangeKind::Zero {
            let mut byte = [1];
            vhdx.read_exact_at(&mut byte, offset).expect("zeros");
            assert_eq!(byte, [0]);
        }
        offset = range.start + range.len;
        assert!(offset <= size);
    }
});

//! Whatever of a disk is stored, and in whatever pieces: it is converted to every container, from that to another, and is the same disk.
#![no_main]

#[path = "../support/scratch.rs"]
mod scratch;

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use arbitrary::{Result, Unstructured};
use disk::{BlockMap, MappedRange, RangeKind, ReadAt};
use image::{Conversion, Counters, DiskFile, Format, Output, Run, convert};
use libfuzzer_sys::fuzz_target;
use scratch::Scratch;

/// A disk whose map says less than is so: what is not stored is zero, and some of what is stored, too.
struct Source {
    bytes: Vec<u8>,
    /// Ends of ranges, in ascending order, and whether each is stored.
    ranges: Vec<(u64, bool)>,
}

impl Source {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut source = Self { bytes: Vec::new(), ranges: Vec::new() };
        for _ in 0..u.int_in_range(1..=16)? {
            let sectors = u.int_in_range(1..=100)? * *u.choose(&[1, 1, 8, 40])?;
            let (stored, byte, noisy) = u.arbitrary::<(bool, u8, bool)>()?;
            let start = source.bytes.len();
            source.bytes.resize(start + sectors * 512, if stored { byte } else { 0 });
            if stored && noisy {
                for (index, byte) in source.bytes[start..].iter_mut().enumerate() {
                    *byte ^= (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0];
                }
            }
            source.ranges.push((source.bytes.len() as u64, stored));
        }
        Ok(source)
    }
}

impl ReadAt for Source {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes.read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }
}

impl BlockMap for Source {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let index = self.ranges.partition_point(|(end, _)| *end <= offset);
        let Some(&(end, stored)) = self.ranges.get(index) else { return Ok(None) };
        let start = index.checked_sub(1).map_or(0, |before| self.ranges[before].0);
        let kind = if stored { RangeKind::Data } else { RangeKind::Zero };
        Ok(Some(MappedRange { start, len: end - start, kind }))
    }
}

/// Two threads, always the same.
fn pool() -> &'static rayon::ThreadPool {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads"))
}

const FORMATS: [Format; 12] = [
    Format::Raw,
    Format::Vhd,
    Format::VhdFixed,
    Format::Vhdx,
    Format::VhdxFixed,
    Format::Vmdk,
    Format::VmdkSparse,
    Format::VmdkFlat,
    Format::Vdi,
    Format::VdiFixed,
    Format::Qcow2,
    Format::Qcow2Compressed,
];

fn attempt(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let formats = [*u.choose(&FORMATS)?, *u.choose(&FORMATS)?];
    let source = Source::new(&mut u)?;
    let scratch = Scratch::new();
    let (cancel, counters) = (AtomicBool::new(false), Counters::default());
    let run = Run { pool: pool(), memory: 64 << 20, cancel: &cancel, counters: &counters, profile: None };
    let mut from: Option<DiskFile> = None;
    for (step, format) in formats.into_iter().enumerate() {
        let path = scratch.file(&format!("disk{step}.{}", format.extension()), b"");
        let wish =
            Conversion { format: Some(format), force: true, ..Conversion::new(Output::File(path.clone())) };
        let map: &dyn BlockMap = from.as_ref().map_or(&source, |file| file.disk().as_ref());
        let made = convert("source".as_ref(), map, &wish, run).expect("every disk can be converted");
        assert_eq!((made.format, made.disk_size), (format, map.size().expect("it is open")));
        let file = DiskFile::open(&path).expect("what was written can be read");
        file.check().expect("what was written is sound");
        // Some containers have whole grains or tracks.
        let size = file.size().expect("it is open");
        assert!(size >= source.bytes.len() as u64);
        let mut bytes = vec![0xAA; size as usize];
        file.disk().read_exact_at(&mut bytes, 0).expect("what was written can be read");
        let (disk, behind) = bytes.split_at(source.bytes.len());
        assert!(disk == source.bytes, "another disk");
        assert!(behind.iter().all(|byte| *byte == 0));
        from = Some(file);
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = attempt(data);
});

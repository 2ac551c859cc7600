//! Whatever of a disk is stored, and however large it is: what each container's writer writes, our reader takes for sound
//! and reads as the same disk, and the file is as long as it was said to be.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use arbitrary::{Result, Unstructured};
use codec::Tokens;
use disk::{BlockMap, Guid, OrderedSink, PositionedSink, RangeKind, ReadAt, SectorSize, Seed};
use libfuzzer_sys::fuzz_target;

type File = Arc<Mutex<Vec<u8>>>;

/// Granules of which a disk is made: what no container cuts in two.
const GRANULE: usize = 64 << 10;

/// A disk, and the ranges of it that are announced as stored; some of those hold only zeros.
struct Wanted {
    disk: Vec<u8>,
    stored: Vec<Range<u64>>,
    /// Sectors of a write.
    step: usize,
    backwards: bool,
}

impl Wanted {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        // An odd number of sectors, or a whole number of granules.
        let size = u.int_in_range(1..=8191)? * 512;
        let size = if u.arbitrary()? { usize::next_multiple_of(size, GRANULE) } else { size };
        let mut disk = vec![0; size];
        let mut stored: Vec<Range<u64>> = Vec::new();
        let mut at = 0;
        for _ in 0..u.int_in_range(0..=24)? {
            let start = at + GRANULE * u.int_in_range(0..=20)?;
            let end = (start + GRANULE * u.int_in_range(1..=8)?).min(size);
            if start >= end {
                break;
            }
            let (pattern, from) = (u.arbitrary::<u8>()?, u.int_in_range(0..=GRANULE - 1)?);
            match pattern % 4 {
                0 => {}
                1 => disk[start..end].fill(pattern),
                2 => disk[start..end].iter_mut().enumerate().for_each(|(index, byte)| {
                    *byte = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0] ^ pattern;
                }),
                _ => disk[(start + from).min(end - 1)] = pattern,
            }
            stored.push(start as u64..end as u64);
            at = end;
        }
        Ok(Self { disk, stored, step: u.int_in_range(1..=300)?, backwards: u.arbitrary()? })
    }

    fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.stored.iter().cloned()
    }

    /// The pieces in which a sink gets it, of whole `granularity`s.
    fn pieces(&self, granularity: u64) -> Vec<Range<usize>> {
        assert!((GRANULE as u64).is_multiple_of(granularity));
        let step = (self.step * 512).next_multiple_of(granularity as usize);
        let cut = |range: &Range<u64>| {
            let (start, end) = (range.start as usize, range.end as usize);
            (start..end).step_by(step).map(move |at| at..(at + step).min(end))
        };
        self.stored.iter().flat_map(cut).collect()
    }

    fn positioned(&self, sink: impl PositionedSink) {
        let mut pieces = self.pieces(sink.granularity());
        if self.backwards {
            pieces.reverse();
        }
        for piece in pieces {
            sink.write_at(piece.start as u64, &self.disk[piece]).expect("memory");
        }
        Box::new(sink).finish().expect("memory");
    }

    fn ordered(&self, mut sink: impl OrderedSink) {
        let mut encoders = [sink.encoder(), sink.encoder()];
        for (index, piece) in self.pieces(sink.granularity()).into_iter().enumerate() {
            let mut encoded = Vec::new();
            let (at, len) = (piece.start as u64, piece.len() as u64);
            encoders[index % 2].encode(at, &self.disk[piece], &Tokens::new(), &mut encoded).expect("memory");
            sink.commit(at, len, &encoded).expect("memory");
        }
        drop(encoders);
        Box::new(sink).finish().expect("memory");
    }

    /// What is read is the disk, and what is said to be zero is.
    fn is(&self, read: &dyn BlockMap) {
        let mut found = vec![0xAA; self.disk.len()];
        assert!(read.size().expect("memory") >= found.len() as u64);
        read.read_exact_at(&mut found, 0).expect("what was written can be read");
        assert!(found == self.disk, "another disk");
        let mut at = 0;
        while let Some(range) = read.range_at(at).expect("what was written can be read") {
            let end = range.start + range.len;
            assert!(range.start <= at && end > at);
            if range.kind == RangeKind::Zero {
                let bytes = self.disk.get(at as usize..(end as usize).min(self.disk.len()));
                assert!(bytes.is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0)), "no zeros");
            }
            at = end;
        }
        assert_eq!(at, read.size().expect("memory"));
    }
}

fn file() -> File {
    Arc::default()
}

fn taken(file: &File) -> Vec<u8> {
    std::mem::take(&mut *file.lock().expect("one thread"))
}

fn vhd(wanted: &Wanted, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut options = vhd::Options::new(wanted.disk.len() as u64, Guid([7; 16]));
    options.block_size = if u.arbitrary()? { 512 << 10 } else { 2 << 20 };
    let (fixed, ordered) = u.arbitrary::<(bool, bool)>()?;
    let size = match fixed {
        true => vhd::fixed::file_size(&options),
        false => vhd::dynamic::file_size(&options, wanted.ranges()).expect("a size"),
    };
    let (file, mut bytes) = (file(), Vec::new());
    match (fixed, ordered) {
        (true, true) => wanted.ordered(vhd::fixed::ordered(&mut bytes, &options).expect("options")),
        (true, false) => {
            wanted.positioned(vhd::fixed::positioned(Arc::clone(&file), &options).expect("options"))
        }
        (false, true) => {
            wanted.ordered(vhd::dynamic::ordered(&mut bytes, &options, wanted.ranges()).expect("options"));
        }
        (false, false) => wanted.positioned(
            vhd::dynamic::positioned(Arc::clone(&file), &options, wanted.ranges()).expect("options"),
        ),
    }
    let bytes = if ordered { bytes } else { taken(&file) };
    assert_eq!(bytes.len() as u64, size);
    let read = vhd::Vhd::open(Arc::new(bytes.clone())).expect("what was written is sound");
    read.check().expect("what was written is sound");
    wanted.is(&read);
    Ok(bytes)
}

fn vhdx(wanted: &Wanted, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut options = vhdx::Options::new(wanted.disk.len() as u64, &Seed::new(b"fuzz"));
    options.block_size = 1 << u.int_in_range(20..=21)?;
    options.fixed = u.arbitrary()?;
    if wanted.disk.len().is_multiple_of(4096) && u.arbitrary()? {
        options.sector_size = SectorSize::B4096;
    }
    let size = vhdx::file_size(&options, wanted.ranges()).expect("a size");
    let (file, mut bytes) = (file(), Vec::new());
    if u.arbitrary()? {
        wanted.ordered(vhdx::ordered(&mut bytes, &options, wanted.ranges()).expect("options"));
    } else {
        wanted.positioned(vhdx::positioned(Arc::clone(&file), &options, wanted.ranges()).expect("options"));
        bytes = taken(&file);
    }
    assert_eq!(bytes.len() as u64, size);
    let read = vhdx::Vhdx::open(bytes.clone()).expect("what was written is sound");
    read.check().expect("what was written is sound");
    wanted.is(&read);
    Ok(bytes)
}

fn vdi(wanted: &Wanted, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let options = vdi::Options::new(wanted.disk.len() as u64, Guid([7; 16]), Guid([8; 16]));
    let (file, mut bytes) = (file(), Vec::new());
    let size = match u.int_in_range(0..=3)? {
        0 => {
            wanted.ordered(vdi::fixed::ordered(&mut bytes, &options).expect("options"));
            vdi::fixed::file_size(&options)
        }
        1 => {
            wanted.positioned(vdi::fixed::positioned(Arc::clone(&file), &options).expect("options"));
            vdi::fixed::file_size(&options)
        }
        2 => {
            wanted.ordered(vdi::dynamic::ordered(&mut bytes, &options, wanted.ranges()).expect("options"));
            vdi::dynamic::file_size(&options, wanted.ranges())
        }
        _ => {
            let sink = vdi::dynamic::positioned(Arc::clone(&file), &options, wanted.ranges());
            wanted.positioned(sink.expect("options"));
            vdi::dynamic::file_size(&options, wanted.ranges())
        }
    };
    if bytes.is_empty() {
        bytes = taken(&file);
    }
    assert_eq!(bytes.len() as u64, size.expect("a size"));
    let read = vdi::Vdi::open(bytes.clone()).expect("what was written is sound");
    read.check().expect("what was written is sound");
    wanted.is(&read);
    Ok(bytes)
}

fn qcow2(wanted: &Wanted, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut options = qcow2::Options::new(wanted.disk.len() as u64);
    let (file, mut bytes) = (file(), Vec::new());
    let way = u.int_in_range(0..=2)?;
    match way {
        0 => wanted.ordered(qcow2::plain::ordered(&mut bytes, &options, wanted.ranges()).expect("options")),
        1 => {
            let sink = qcow2::plain::positioned(Arc::clone(&file), &options, wanted.ranges());
            wanted.positioned(sink.expect("options"));
        }
        _ => {
            options.level = *u.choose(&[qcow2::Level::Fast, qcow2::Level::Default])?;
            wanted.ordered(qcow2::compressed::in_file(Arc::clone(&file), &options).expect("options"));
        }
    }
    if way > 0 {
        bytes = taken(&file);
    }
    if way < 2 {
        assert_eq!(bytes.len() as u64, qcow2::plain::file_size(&options, wanted.ranges()).expect("a size"));
    }
    let read = qcow2::Qcow2::open(bytes.clone()).expect("what was written is sound");
    read.check().expect("what was written is sound");
    wanted.is(&read);
    Ok(bytes)
}

fn vmdk(wanted: &Wanted, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut options = vmdk::Options::new(wanted.disk.len() as u64, "disk.vmdk", 7);
    let (file, mut bytes) = (file(), Vec::new());
    let way = u.int_in_range(0..=6)?;
    let kinds = [
        vmdk::Kind::MonolithicFlat,
        vmdk::Kind::TwoGbMaxExtentSparse,
        vmdk::Kind::TwoGbMaxExtentFlat,
        vmdk::Kind::Vmfs,
    ];
    match way {
        0 => {
            options.level = *u.choose(&[vmdk::Level::Fast, vmdk::Level::Default])?;
            wanted.ordered(vmdk::stream_optimized(&mut bytes, &options).expect("options"));
        }
        1 => wanted.ordered(
            vmdk::monolithic_sparse_ordered(&mut bytes, &options, wanted.ranges()).expect("options"),
        ),
        2 => {
            let sink = vmdk::monolithic_sparse(Arc::clone(&file), &options, wanted.ranges());
            wanted.positioned(sink.expect("options"));
            bytes = taken(&file);
        }
        _ => {
            let kind = kinds[way - 3];
            let mut extents: BTreeMap<String, File> = BTreeMap::new();
            let make = |extent: &vmdk::ExtentFile| {
                Ok(Arc::clone(extents.entry(extent.name.clone()).or_insert_with(self::file)))
            };
            let sink =
                vmdk::split(kind, Arc::clone(&file), make, &options, wanted.ranges()).expect("options");
            wanted.positioned(sink);
            let mut open = |name: &str| {
                let extent = extents.get(name).ok_or(io::ErrorKind::NotFound)?;
                Ok(Arc::new(taken(extent)) as Arc<dyn ReadAt>)
            };
            let read =
                vmdk::Vmdk::open_with(Arc::new(taken(&file)), &mut open).expect("what was written is sound");
            read.check().expect("what was written is sound");
            wanted.is(&read);
            return Ok(Vec::new());
        }
    }
    if way > 0 {
        let size = vmdk::monolithic_sparse_size(&options, wanted.ranges()).expect("a size");
        assert_eq!(bytes.len() as u64, size);
    }
    let read = vmdk::Vmdk::open(Arc::new(bytes.clone())).expect("what was written is sound");
    read.check().expect("what was written is sound");
    wanted.is(&read);
    Ok(bytes)
}

fuzz_target!(|data: &[u8]| {
    let write = |data| {
        let mut u = Unstructured::new(data);
        let container = u.int_in_range(0..=4)?;
        let wanted = Wanted::new(&mut u)?;
        [vhd, vhdx, vdi, qcow2, vmdk][container](&wanted, &mut u)
    };
    let _: Result<Vec<u8>> = write(data);
});

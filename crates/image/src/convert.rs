//! A disk from one container into another.
//!
//! Nothing of the disk is interpreted: it is the same pass as a build's ([`pipeline`](crate::pipeline)) over a map with one
//! kind of extent, "read from the source". What the source does not store is never read. What it stores is looked at
//! once before the pass, if the new container has tables in front of its data: a block counts only if a byte of it is not
//! zero. That look is cheap, as it ends at the first such byte, and it makes the tables, and so every byte of the file,
//! independent of the order in which threads come by.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use disk::{BlockMap, Content, ExtentMap, FileTime, Label, PositionedSink, SectorSize, Seed, Sink, is_zero};
use rayon::prelude::*;
use serde::Serialize;

use crate::container::{Packing, package};
use crate::disk_file::Ranges;
use crate::output::{self, Opened};
use crate::pipeline::{self, BlobRead, BlobStore, CheckedBlobs, Maker, Settings, Stage, Stopwatch};
use crate::recipe::{Format, Level, MachineWish, Output, Platform};
use crate::{Error, Result, Run, Stamp};

/// What a conversion is to make.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Where the disk goes.
    pub output: Output,
    /// The container; `None` chooses by the output's extension.
    pub format: Option<Format>,
    /// Where the disk is to start, which decides on the container, too.
    pub platform: Option<Platform>,
    /// Compression of containers that compress.
    pub level: Level,
    /// Text from which the container's ids derive; `None` takes the beginning of the disk.
    pub seed: Option<String>,
    /// When the disk was made, for containers that say so; `None` is the earliest that they can say.
    pub time: Option<FileTime>,
    /// The size of the disk's sectors.
    pub sector_size: SectorSize,
    /// The machine that a package describes.
    pub machine: MachineWish,
    /// Replace an existing output, or overwrite a block device.
    pub force: bool,
    /// The files that the disk is read from, as they were when they were opened: when they are not at the end, the
    /// conversion fails ([`DiskFile::stamps`](crate::DiskFile::stamps)).
    pub stamps: Vec<Stamp>,
}

impl Conversion {
    /// A conversion with the defaults for all but the output.
    pub fn new(output: Output) -> Self {
        Self {
            output,
            format: None,
            platform: None,
            level: Level::default(),
            seed: None,
            time: None,
            sector_size: SectorSize::B512,
            machine: MachineWish::default(),
            force: false,
            stamps: Vec::new(),
        }
    }
}

/// What a conversion made.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Converted {
    /// The container.
    pub format: Format,
    /// Size of the disk in bytes.
    pub disk_size: u64,
    /// Disk bytes that the source stores.
    pub source_stored: u64,
    /// Disk bytes that were looked at for the output: whole blocks of its tables, without those that are zero.
    pub stored: u64,
}

/// How much of the disk's beginning its ids derive from, when nothing else is given.
const IDENTITY: u64 = 64 << 10;
/// How much a thread looks through at once.
const LOOK: u64 = 64 << 20;
/// How much of a block is read at first to see whether it holds anything: nearly all that are stored begin with something.
const FIRST_LOOK: usize = 4096;
/// How much of it is read at once after that.
const NEXT_LOOK: usize = 256 << 10;
/// 2000-01-01, before which a VHD cannot have been made.
const EARLIEST: i64 = 946_684_800;
/// Zeros of at least this length are not written to files that can have holes. A hole costs a system call and an entry
/// in the file system's maps, so it should be worth several pages.
const HOLE: usize = 32 << 10;

/// Writes the disk in `source`, of which `path` is the name for messages, to a new container.
///
/// On any failure nothing is left under the output's name (a block device excepted, which is overwritten in place).
///
/// # Errors
/// [`Error::Recipe`] when the container cannot hold the disk, [`Error::Read`], [`Error::Write`], [`Error::Exists`],
/// [`Error::Cancelled`].
pub fn convert(path: &Path, source: &dyn BlockMap, wish: &Conversion, run: Run<'_>) -> Result<Converted> {
    let format = match (wish.platform, wish.format) {
        (Some(platform), asked) => platform.format(asked, &wish.output)?,
        (None, Some(format)) => format,
        (None, None) => Format::of_output(&wish.output)?,
    };
    output::refuse_source(path, &wish.output)?;
    package::check(format, &wish.machine, &wish.output, wish.force)?;
    if wish.sector_size != SectorSize::B512 && !format.says_sector_size() {
        return Err(Error::Recipe(format!(
            "the disk has sectors of {} bytes, which {format} cannot say: Windows would not find its partitions; VHDX can, and \
             raw leaves it to you",
            wish.sector_size.bytes()
        )));
    }
    let named = |error: Error| match &wish.output {
        Output::File(path) => error.at_output(path),
        Output::Stdout => error.at_output("standard output".as_ref()),
    };
    let mut stopwatch = Stopwatch::start(run.profile, "main");
    let reading = |source| Error::Read { path: path.to_owned(), source };
    let disk_size = source.size().map_err(reading)?;
    if disk_size == 0 {
        return Err(Error::Unsupported { path: path.to_owned(), what: "holds a disk of 0 bytes".to_owned() });
    }
    wish.platform.map_or(Ok(()), |platform| platform.check_size(disk_size))?;
    let reader = Reader { path: path.to_owned(), disk: source };
    let seed = match &wish.seed {
        Some(text) => Seed::new(text.as_bytes()),
        None => seed_of(source, disk_size).map_err(reading)?,
    };
    let stored = Ranges::stored(source).map_err(reading)?;
    let source_stored = stored.iter().map(|range| range.end - range.start).sum();
    let stored = match format.table_granularity() {
        Some(block) => reader.holding(&stored, block, disk_size, run)?,
        None => stored,
    };
    let map = map_of(&stored, disk_size);
    stopwatch.lap(Stage::Plan);
    let packing = Packing {
        output: &wish.output,
        level: wish.level,
        format,
        map: &map,
        seed: &seed,
        time: wish.time.unwrap_or(FileTime::from_unix_seconds(EARLIEST)),
        sector_size: wish.sector_size,
        machine: &wish.machine,
        firmware: package::firmware(source, wish.sector_size.bytes().into()).map_err(reading)?,
        threads: run.pool.current_num_threads(),
    };
    let opened = Opened::open(&wish.output, wish.force)?;
    let sink = match packing.open(&opened).map_err(named)? {
        Sink::Positioned(sink) => Sink::Positioned(Box::new(WithHoles(sink)) as Box<dyn PositionedSink>),
        ordered => ordered,
    };
    let settings = Settings::within(run.memory, run.pool.current_num_threads());
    stopwatch.lap(Stage::Open);
    drop(stopwatch);
    let Run { pool, cancel, counters, profile, .. } = run;
    output::flush_meanwhile(opened.file()?, counters, || {
        pipeline::run(&map, &NoBlobs, &reader, sink, pool, settings, cancel, counters, profile)
    })
    .map_err(named)?;
    let mut stopwatch = Stopwatch::start(profile, "main");
    wish.stamps.iter().try_for_each(Stamp::check)?;
    opened.commit().map_err(named)?;
    packing.write_catalog(wish.force)?;
    stopwatch.lap(Stage::Sync);
    let stored = stored.iter().map(|range| range.end - range.start).sum();
    Ok(Converted { format, disk_size, source_stored, stored })
}

/// What a disk's ids derive from when nothing else is given: how it begins, and how large it is.
fn seed_of(disk: &dyn BlockMap, size: u64) -> std::io::Result<Seed> {
    let mut start = vec![0; size.min(IDENTITY) as usize];
    disk.read_exact_at(&mut start, 0)?;
    start.extend_from_slice(&size.to_le_bytes());
    Ok(Seed::new(&start).child("convert"))
}

/// A map of the disk in which these ranges come from the source and the rest is zero.
fn map_of(stored: &[Range<u64>], size: u64) -> ExtentMap {
    let mut map = ExtentMap::new();
    for range in stored {
        map.pad_to(range.start);
        map.push(
            range.end - range.start,
            Content::Made { maker: 0, offset: range.start },
            Label::new("source"),
        );
    }
    map.pad_to(size);
    map
}

/// The source, as the pass reads it.
struct Reader<'a> {
    path: PathBuf,
    disk: &'a dyn BlockMap,
}

impl Maker for Reader<'_> {
    fn render(&self, _: u32, offset: u64, buf: &mut [u8], _: &CheckedBlobs<'_>) -> Result<()> {
        self.read(buf, offset)
    }
}

impl Reader<'_> {
    fn read(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let reading = |source| Error::Read { path: self.path.clone(), source };
        self.disk.read_exact_at(buf, offset).map_err(reading)
    }

    /// The blocks of `block` bytes that touch `stored` and hold anything but zeros, neighbours merged.
    fn holding(&self, stored: &[Range<u64>], block: u64, size: u64, run: Run<'_>) -> Result<Vec<Range<u64>>> {
        // Whole blocks, each once, in pieces for the threads.
        let mut pieces: Vec<Range<u64>> = Vec::new();
        let piece = LOOK.next_multiple_of(block);
        let mut done = 0;
        for range in stored {
            let end = range.end.next_multiple_of(block).min(size);
            let mut at = (range.start / block * block).max(done);
            while at < end {
                let next = end.min(at + piece);
                pieces.push(at..next);
                at = next;
            }
            done = done.max(end);
        }
        let looked = AtomicU64::new(0);
        let total: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
        run.counters.total.store(total, Ordering::Relaxed);
        let found: Result<Vec<Vec<Range<u64>>>> = run.pool.install(|| {
            pieces
                .into_par_iter()
                .map(|piece| {
                    let found = self.holding_in(piece.clone(), block, run.cancel)?;
                    let len = piece.end - piece.start;
                    let looked = looked.fetch_add(len, Ordering::Relaxed) + len;
                    run.counters.rendered.fetch_max(looked, Ordering::Relaxed);
                    Ok(found)
                })
                .collect()
        });
        run.counters.rendered.store(0, Ordering::Relaxed);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in found?.into_iter().flatten() {
            match merged.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => merged.push(range),
            }
        }
        Ok(merged)
    }

    fn holding_in(&self, piece: Range<u64>, block: u64, cancel: &AtomicBool) -> Result<Vec<Range<u64>>> {
        let mut found: Vec<Range<u64>> = Vec::new();
        let mut buf = vec![0; block.min(NEXT_LOOK as u64) as usize];
        let mut start = piece.start;
        while start < piece.end {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let end = piece.end.min(start + block);
            if self.holds_anything(start..end, &mut buf)? {
                match found.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => found.push(start..end),
                }
            }
            start = end;
        }
        Ok(found)
    }

    fn holds_anything(&self, block: Range<u64>, buf: &mut [u8]) -> Result<bool> {
        let mut at = block.start;
        let mut len = FIRST_LOOK.min(buf.len());
        while at < block.end {
            let part = &mut buf[..(len as u64).min(block.end - at) as usize];
            self.read(part, at)?;
            if !is_zero(part) {
                return Ok(true);
            }
            at += part.len() as u64;
            len = buf.len();
        }
        Ok(false)
    }
}

/// A container in a sparse file, whose longer zeros are not written.
#[derive(Debug)]
struct WithHoles(Box<dyn PositionedSink>);

impl PositionedSink for WithHoles {
    fn granularity(&self) -> u64 {
        self.0.granularity()
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let step = HOLE.next_multiple_of(self.0.granularity().clamp(1, 1 << 30) as usize);
        let mut start = 0;
        let mut pieces = data.chunks(step).peekable();
        let mut at = 0;
        while let Some(piece) = pieces.next() {
            let zero = is_zero(piece);
            if zero {
                if at > start {
                    self.0.write_at(offset + start as u64, &data[start..at])?;
                }
                start = at + piece.len();
            }
            at += piece.len();
            if pieces.peek().is_none() && at > start {
                self.0.write_at(offset + start as u64, &data[start..at])?;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> std::io::Result<()> {
        self.0.finish()
    }
}

/// A conversion has no blobs: all it reads is the source.
struct NoBlobs;

impl BlobStore for NoBlobs {
    fn blob_count(&self) -> usize {
        0
    }

    fn blob_len(&self, _: u32) -> u64 {
        0
    }

    fn chunk_size(&self, _: u32) -> Option<u64> {
        None
    }

    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        Box::new(NoBlobs)
    }

    fn states_sha1(&self) -> bool {
        false
    }

    fn sha1(&self, _: u32) -> [u8; 20] {
        unreachable!("nothing states a hash")
    }

    fn damaged(&self, _: u32, source: wim::Error) -> Error {
        Error::Wim { path: PathBuf::new(), source }
    }

    fn mismatch(&self, _: u32, _: [u8; 20]) -> Error {
        unreachable!("nothing states a hash")
    }
}

impl BlobRead for NoBlobs {
    fn read(&mut self, _: u32, _: u64, _: &mut [u8], _: Option<codec::Note<'_>>) -> Result<()> {
        unreachable!("the map holds no blob")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use disk::{MappedRange, RangeKind, ReadAt, WriteAt};

    use super::*;

    struct Memory(Vec<u8>, Vec<MappedRange>);

    impl ReadAt for Memory {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            self.0.read_exact_at(buf, offset)
        }
        fn size(&self) -> std::io::Result<u64> {
            self.0.size()
        }
    }

    impl BlockMap for Memory {
        fn range_at(&self, offset: u64) -> std::io::Result<Option<MappedRange>> {
            Ok(self.1.iter().copied().find(|range| offset < range.start + range.len))
        }
    }

    fn data(start: u64, len: u64) -> MappedRange {
        MappedRange { start, len, kind: RangeKind::Data }
    }

    #[test]
    fn blocks_count_only_with_a_byte_in_them() {
        let mut bytes = vec![0; 100_000];
        bytes[0] = 1; // block 0
        bytes[3 * 8192 - 1] = 1; // block 2, at its end
        bytes[99_999] = 1; // the last, which is short
        let disk = Memory(bytes, vec![data(0, 100_000)]);
        let stored = Ranges::stored(&disk).unwrap();
        assert_eq!((stored.len(), stored[0].clone()), (1, 0..100_000));
        let reader = Reader { path: PathBuf::new(), disk: &disk };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let (cancel, counters) = (AtomicBool::new(false), crate::Counters::default());
        let run = Run { pool: &pool, memory: 1 << 20, cancel: &cancel, counters: &counters, profile: None };
        let holding = reader.holding(&stored, 8192, 100_000, run).unwrap();
        assert_eq!(holding, [0..8192, 16384..24576, 98_304..100_000]);
    }

    #[test]
    fn a_map_without_end_is_an_error() {
        struct Endless;
        impl ReadAt for Endless {
            fn read_exact_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
                Ok(())
            }
            fn size(&self) -> std::io::Result<u64> {
                Ok(100)
            }
        }
        impl BlockMap for Endless {
            fn range_at(&self, _: u64) -> std::io::Result<Option<MappedRange>> {
                Ok(Some(data(0, 10)))
            }
        }
        assert!(Ranges::stored(&Endless).is_err());
    }

    #[test]
    fn long_zeros_stay_holes_and_nothing_else_does() {
        #[derive(Debug, Default)]
        struct Sink(Mutex<Vec<u8>>, Mutex<u64>);
        impl PositionedSink for &'static Sink {
            fn granularity(&self) -> u64 {
                512
            }
            fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
                *self.1.lock().unwrap() += data.len() as u64;
                self.0.write_all_at(data, offset)
            }
            fn finish(self: Box<Self>) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sink: &'static Sink = Box::leak(Box::default());
        let mut bytes = vec![0u8; 10 * HOLE + 100];
        for at in [5 * HOLE + 1, 6 * HOLE, 10 * HOLE + 99] {
            bytes[at] = 7;
        }
        WithHoles(Box::new(sink)).write_at(0, &bytes).unwrap();
        assert!(*sink.0.lock().unwrap() == bytes);
        assert_eq!(*sink.1.lock().unwrap(), 2 * HOLE as u64 + 100);
    }
}

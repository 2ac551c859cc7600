use codec::Note;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::AtomicUsize;

use disk::{Content, Label};
use proptest::prelude::*;
use sha1::{Digest, Sha1};

use super::*;
use crate::container::raw;

const L: Label = Label::new("test");

/// Blobs in memory, with a count of how often each was read.
struct Blobs {
    blobs: Vec<Vec<u8>>,
    lies_about: BTreeSet<u32>,
    fails_on: Option<u32>,
    reads: Vec<AtomicUsize>,
}

impl Blobs {
    fn new(lengths: &[usize]) -> Self {
        let blob = |(n, &len): (usize, &usize)| (0..len).map(|i| (i * 31 + n * 7 + 1) as u8).collect();
        Self {
            blobs: lengths.iter().enumerate().map(blob).collect(),
            lies_about: BTreeSet::new(),
            fails_on: None,
            reads: lengths.iter().map(|_| AtomicUsize::new(0)).collect(),
        }
    }
}

impl BlobStore for Blobs {
    fn blob_count(&self) -> usize {
        self.blobs.len()
    }
    fn blob_len(&self, blob: u32) -> u64 {
        self.blobs[blob as usize].len() as u64
    }
    fn chunk_size(&self, _: u32) -> Option<u64> {
        Some(32768)
    }
    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        Box::new(Reader(self))
    }
    fn sha1(&self, blob: u32) -> [u8; 20] {
        let mut hash: [u8; 20] = Sha1::digest(&self.blobs[blob as usize]).into();
        hash[0] ^= u8::from(self.lies_about.contains(&blob));
        hash
    }
    fn damaged(&self, blob: u32, _: wim::Error) -> Error {
        Error::Recipe(format!("damaged {blob}"))
    }
    fn mismatch(&self, blob: u32, _: [u8; 20]) -> Error {
        Error::Recipe(format!("mismatch {blob}"))
    }
}

struct Reader<'a>(&'a Blobs);

impl BlobRead for Reader<'_> {
    fn read(&mut self, blob: u32, offset: u64, buf: &mut [u8], _: Option<Note<'_>>) -> Result<()> {
        if self.0.fails_on == Some(blob) {
            return Err(Error::Recipe(format!("unreadable {blob}")));
        }
        self.0.reads[blob as usize].fetch_add(buf.len(), Ordering::Relaxed);
        buf.copy_from_slice(&self.0.blobs[blob as usize][offset as usize..][..buf.len()]);
        Ok(())
    }
}

/// Renders every byte as the low byte of its offset, and panics where told to.
struct Made {
    panics_at: Option<u64>,
}

impl Maker for Made {
    fn render(&self, _: u32, offset: u64, buf: &mut [u8], _: &CheckedBlobs<'_>) -> Result<()> {
        assert_ne!(Some(offset), self.panics_at, "asked to panic");
        buf.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = at as u8);
        Ok(())
    }
}

/// What the disk must hold, byte by byte.
fn expected(map: &ExtentMap, blobs: &Blobs) -> Vec<u8> {
    let mut disk = Vec::new();
    for extent in map.extents() {
        let len = extent.len as usize;
        match &extent.content {
            Content::Zero => disk.resize(disk.len() + len, 0),
            Content::Bytes { bytes, offset } => disk.extend_from_slice(&bytes[*offset as usize..][..len]),
            Content::Made { offset, .. } => disk.extend((*offset..).take(len).map(|at| at as u8)),
            Content::Blob { blob, offset } => {
                disk.extend_from_slice(&blobs.blobs[*blob as usize][*offset as usize..][..len]);
            }
        }
    }
    disk
}

fn sample(lengths: &[usize], align: u64) -> ExtentMap {
    let mut map = ExtentMap::new();
    map.push(512, Content::bytes(vec![0xAA; 512]), L);
    for (blob, &len) in lengths.iter().enumerate() {
        for _copy in 0..1 + blob % 2 {
            map.pad_to(map.len().next_multiple_of(align));
            map.push(len as u64, Content::Blob { blob: blob as u32, offset: 0 }, L);
        }
    }
    map.pad_to((map.len() + 10_000_000).next_multiple_of(4096));
    map.push(3_000_000, Content::Made { maker: 0, offset: 5 }, L);
    map.pad_to(map.len().next_multiple_of(1 << 20));
    map
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

enum Kind {
    Ordered,
    Positioned,
}

fn run_on(
    map: &ExtentMap,
    blobs: &Blobs,
    made: &Made,
    threads: usize,
    kind: &Kind,
    window: usize,
) -> Result<Vec<u8>> {
    let settings = Settings { window, unit: 1 << 20 };
    let cancel = AtomicBool::new(false);
    let counters = Counters::default();
    let file = Mutex::new(Vec::new());
    let mut stream = Vec::new();
    {
        let sink = match kind {
            Kind::Ordered => Sink::Ordered(Box::new(raw::stream(&mut stream, map.len()))),
            Kind::Positioned => {
                Sink::Positioned(Box::new(raw::Sparse::new(SharedFile(&file), map.len()).unwrap()))
            }
        };
        run(map, blobs, made, sink, &pool(threads), settings, &cancel, &counters, None)?;
    }
    assert_eq!(counters.rendered.into_inner(), counters.total.into_inner());
    Ok(match kind {
        Kind::Ordered => stream,
        Kind::Positioned => file.into_inner().unwrap(),
    })
}

struct SharedFile<'a>(&'a Mutex<Vec<u8>>);

impl disk::WriteAt for SharedFile<'_> {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

const LENGTHS: &[usize] = &[10, 70_000, 4096, 5_000_000, 1, 40_000, 2_500_001];

#[test]
fn any_number_of_threads_and_either_kind_of_sink_give_the_same_disk() {
    let blobs = Blobs::new(LENGTHS);
    let map = sample(LENGTHS, 4096);
    let disk = expected(&map, &blobs);
    for threads in [1, 2, 3, 8] {
        for kind in [Kind::Ordered, Kind::Positioned] {
            for window in [1, 32] {
                let found = run_on(&map, &blobs, &Made { panics_at: None }, threads, &kind, window).unwrap();
                assert!(found == disk, "{threads} threads, window {window}");
            }
        }
    }
}

#[test]
fn blobs_inside_a_unit_are_read_once_even_when_stored_twice() {
    let lengths = [1000; 40];
    let blobs = Blobs::new(&lengths);
    let map = sample(&lengths, 4096);
    run_on(&map, &blobs, &Made { panics_at: None }, 2, &Kind::Positioned, 8).unwrap();
    for (blob, reads) in blobs.reads.iter().enumerate() {
        assert_eq!(reads.load(Ordering::Relaxed), 1000, "blob {blob}");
    }
}

#[test]
fn a_wrong_hash_is_found_wherever_the_blob_lies() {
    let map = sample(LENGTHS, 4096);
    for wrong in 0..LENGTHS.len() as u32 {
        let mut blobs = Blobs::new(LENGTHS);
        blobs.lies_about.insert(wrong);
        for kind in [Kind::Ordered, Kind::Positioned] {
            for threads in [1, 4] {
                let error = run_on(&map, &blobs, &Made { panics_at: None }, threads, &kind, 4).unwrap_err();
                assert_eq!(error.to_string(), format!("mismatch {wrong}"));
            }
        }
    }
}

#[test]
fn an_error_ends_the_pass_and_is_the_one_reported() {
    let map = sample(LENGTHS, 4096);
    let mut blobs = Blobs::new(LENGTHS);
    blobs.fails_on = Some(3);
    for kind in [Kind::Ordered, Kind::Positioned] {
        let error = run_on(&map, &blobs, &Made { panics_at: None }, 4, &kind, 4).unwrap_err();
        assert_eq!(error.to_string(), "unreadable 3");
    }
}

#[test]
fn a_full_disk_ends_the_pass() {
    #[derive(Debug)]
    struct Full(u64);
    impl PositionedSink for Full {
        fn granularity(&self) -> u64 {
            4096
        }
        fn write_at(&self, offset: u64, _: &[u8]) -> io::Result<()> {
            if offset >= self.0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
        fn finish(self: Box<Self>) -> io::Result<()> {
            Ok(())
        }
    }
    let (map, blobs) = (sample(LENGTHS, 4096), Blobs::new(LENGTHS));
    let sink = Sink::Positioned(Box::new(Full(3 << 20)));
    let settings = Settings { window: 8, unit: 1 << 20 };
    let result = run(
        &map,
        &blobs,
        &Made { panics_at: None },
        sink,
        &pool(3),
        settings,
        &AtomicBool::new(false),
        &Counters::default(),
        None,
    );
    assert!(matches!(result, Err(Error::Write { .. })));
}

#[test]
fn cancelling_ends_the_pass() {
    let (map, blobs) = (sample(LENGTHS, 4096), Blobs::new(LENGTHS));
    let sink = Sink::Ordered(Box::new(raw::stream(io::sink(), map.len())));
    let settings = Settings { window: 8, unit: 1 << 20 };
    let cancel = AtomicBool::new(true);
    let made = Made { panics_at: None };
    let result = run(&map, &blobs, &made, sink, &pool(2), settings, &cancel, &Counters::default(), None);
    assert!(matches!(result, Err(Error::Cancelled)));
}

#[test]
fn a_panic_in_a_worker_reaches_the_caller() {
    let (map, blobs) = (sample(LENGTHS, 4096), Blobs::new(LENGTHS));
    let panics_at = map.extents().iter().find_map(|extent| match extent.content {
        Content::Made { offset, .. } => Some(offset),
        _ => None,
    });
    for kind in [Kind::Ordered, Kind::Positioned] {
        let pass = || run_on(&map, &blobs, &Made { panics_at }, 3, &kind, 4);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(pass)).is_err());
    }
}

#[test]
fn units_do_not_cut_chunks_when_they_need_not() {
    let lengths = [5_000_000, 3_000_000];
    let blobs = Blobs::new(&lengths);
    let map = sample(&lengths, 65536);
    for granularity in [4096, 65536] {
        for unit in Units::new(&map, &blobs, granularity, 1 << 20) {
            if let Some(PieceContent::Blob { offset, .. }) =
                map.pieces(unit.offset..unit.offset + 1).next().map(|piece| piece.content)
            {
                assert_eq!(offset % 32768, 0, "{unit:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn random_disks(lengths in prop::collection::vec(1usize..300_000, 1..30), align in prop::sample::select(vec![512u64, 4096, 65536])) {
        let blobs = Blobs::new(&lengths);
        let map = sample(&lengths, align);
        let disk = expected(&map, &blobs);
        let found = run_on(&map, &blobs, &Made { panics_at: None }, 3, &Kind::Ordered, 5).unwrap();
        prop_assert!(found == disk);
    }
}

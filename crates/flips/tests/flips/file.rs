//! A file in memory of which one byte is another, and which counts what is asked of it.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use disk::ReadAt;

/// One changed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flip {
    /// Which of the fixture's files.
    pub(crate) file: usize,
    pub(crate) offset: usize,
    /// What is exclusive-ored to it.
    pub(crate) mask: u8,
}

/// A range of bytes that was asked for, and of which file.
pub(crate) type Asked = (usize, Range<usize>);

/// What a reading asks of all files of a fixture together.
#[derive(Debug, Default)]
pub(crate) struct Work {
    reads: AtomicU64,
    bytes: AtomicU64,
    /// Where it ends. No clock is asked, so that a busy machine proves nothing.
    most: Option<Amount>,
    /// The ranges, by file, while it is told which are asked for.
    ranges: Option<Mutex<Vec<Asked>>>,
}

/// An amount of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) reads: u64,
    pub(crate) bytes: u64,
}

impl Work {
    /// Work that panics when it is more than `most`.
    pub(crate) fn up_to(most: Amount) -> Arc<Self> {
        Arc::new(Self { most: Some(most), ..Self::default() })
    }

    /// Work that is written down.
    pub(crate) fn noted() -> Arc<Self> {
        Arc::new(Self { ranges: Some(Mutex::default()), ..Self::default() })
    }

    pub(crate) fn amount(&self) -> Amount {
        Amount { reads: self.reads.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// What was asked for since the last call.
    pub(crate) fn take_ranges(&self) -> Vec<Asked> {
        self.ranges
            .as_ref()
            .map_or_else(Vec::new, |ranges| std::mem::take(&mut ranges.lock().expect("one thread")))
    }

    fn add(&self, bytes: u64) {
        let amount = Amount {
            reads: self.reads.fetch_add(1, Ordering::Relaxed) + 1,
            bytes: self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes,
        };
        let within = self.most.is_none_or(|most| amount.reads <= most.reads && amount.bytes <= most.bytes);
        assert!(within, "unbounded work: {amount:?}, expected at most {:?}", self.most);
    }
}

/// A file with at most one changed byte.
#[derive(Clone)]
pub(crate) struct Changed {
    number: usize,
    bytes: Arc<Vec<u8>>,
    flip: Option<Flip>,
    work: Arc<Work>,
}

impl Changed {
    /// The files of a fixture.
    pub(crate) fn all(files: &[Arc<Vec<u8>>], flip: Option<Flip>, work: &Arc<Work>) -> Vec<Arc<Self>> {
        let of = |(number, bytes): (usize, &Arc<Vec<u8>>)| {
            let flip = flip.filter(|flip| flip.file == number);
            Arc::new(Self { number, bytes: bytes.clone(), flip, work: work.clone() })
        };
        files.iter().enumerate().map(of).collect()
    }

    /// All of it, for readers that take bytes.
    pub(crate) fn content(&self) -> Vec<u8> {
        let mut content = vec![0; self.bytes.len()];
        self.read_exact_at(&mut content, 0).expect("all of it");
        content
    }
}

impl ReadAt for Changed {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.work.add(buf.len() as u64);
        let range = usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(buf.len())?));
        let found = range.and_then(|range| Some((self.bytes.get(range.clone())?, range)));
        let Some((bytes, range)) = found else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        buf.copy_from_slice(bytes);
        if let Some(flip) = self.flip.filter(|flip| range.contains(&flip.offset)) {
            buf[flip.offset - range.start] ^= flip.mask;
        }
        if let Some(ranges) = &self.work.ranges {
            ranges.lock().expect("one thread").push((self.number, range));
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}

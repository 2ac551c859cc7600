//! Gzip by several threads, with the same bytes whatever their number.
//!
//! The data is cut into blocks of a fixed size. Each is compressed by itself, but sees the last 32 KiB of the one before
//! (DEFLATE's window), so that little is lost; each ends at a byte, behind an empty stored block (a "sync flush"), so that
//! they can be put one after the other. It is one gzip member (RFC 1952), which every reader takes; readers of
//! several members exist that stop after the first.
//!
//! Threads of our own, not a pool's: whoever writes here is often the thread that commits what a pool made, and waits for
//! these; threads of the same pool could wait for one another.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::padding;

/// How hard is tried, from 0 (stored) to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// In a hurry.
    pub const FAST: Self = Self(2);
    /// What `gzip` and `bsdtar` take.
    pub const DEFAULT: Self = Self(6);
    /// For what is compressed already: nothing but longer runs of zeros is made smaller, and hardly any time taken.
    pub const PADDING: Self = Self(u8::MAX);
    /// As small as DEFLATE gets here.
    pub const BEST: Self = Self(9);

    /// 0 to 9.
    pub fn new(level: u8) -> Option<Self> {
        (level <= 9).then_some(Self(level))
    }
}

/// Where the bytes lie in the file that a stream [begins with](ParallelGzip::behind): behind the member's header and that
/// of a stored block.
pub const HEAD_AT: u64 = 10 + 5;
/// The most of them: what a stored block holds.
pub const MAX_HEAD: usize = 0xFFFF;

/// Bytes that are compressed as one.
const CHUNK: usize = 512 << 10;
/// How far back DEFLATE refers.
const WINDOW: usize = 32 << 10;
/// Most threads that are of use; what they hold is a few MiB each.
const MAX_THREADS: usize = 64;

struct Job {
    data: Vec<u8>,
    dictionary: Vec<u8>,
    last: bool,
    done: SyncSender<io::Result<Block>>,
}

struct Block {
    compressed: Vec<u8>,
    crc: crc32fast::Hasher,
}

/// A gzip stream in the making.
#[derive(Debug)]
pub struct ParallelGzip<W> {
    writer: W,
    buffer: Vec<u8>,
    dictionary: Vec<u8>,
    crc: crc32fast::Hasher,
    len: u64,
    /// What is being compressed, in order.
    pending: VecDeque<Receiver<io::Result<Block>>>,
    most: usize,
    pool: Pool,
}

#[derive(Debug)]
struct Pool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Threads end when there is nobody left to send.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has been noticed by who waited for its block.
            let _ = thread.join();
        }
    }
}

impl<W: Write> ParallelGzip<W> {
    /// Begins a stream that `threads` threads compress (at least one). Nothing of it depends on their number.
    ///
    /// # Errors
    /// Those of `writer`; no thread can be started.
    pub fn new(mut writer: W, level: Level, threads: usize) -> io::Result<Self> {
        let threads = threads.clamp(1, MAX_THREADS);
        let most = 2 * threads + 1;
        let (jobs, queue) = mpsc::sync_channel(most);
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Pool { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let work = std::thread::Builder::new().name("gzip".to_owned());
            pool.threads.push(work.spawn(move || compress_all(&queue, level))?);
        }
        // No time, no name, no system: nothing that differs from one run to the next.
        writer.write_all(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF])?;
        Ok(Self {
            writer,
            buffer: Vec::with_capacity(CHUNK),
            dictionary: Vec::new(),
            crc: crc32fast::Hasher::new(),
            len: 0,
            pending: VecDeque::new(),
            most,
            pool,
        })
    }

    /// Begins a stream whose first bytes are stored as they are, so that others of the same length can be put in their place
    /// when all else is known: see [`finish_behind`](Self::finish_behind).
    ///
    /// # Errors
    /// Those of `writer`; no thread can be started; a head of more than [`MAX_HEAD`] bytes.
    pub fn behind(writer: W, head: &[u8], level: Level, threads: usize) -> io::Result<Self> {
        let len = u16::try_from(head.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "head longer than a stored block"))?;
        let mut gzip = Self::new(writer, level, threads)?;
        // Not the last block, stored; its length, and that once more with all bits turned (RFC 1951, 3.2.4).
        gzip.writer.write_all(&[0])?;
        gzip.writer.write_all(&len.to_le_bytes())?;
        gzip.writer.write_all(&(!len).to_le_bytes())?;
        gzip.writer.write_all(head)?;
        gzip.len = len.into();
        Ok(gzip)
    }

    /// As [`finish`](Self::finish), for a stream that begins with `head`. Whoever began it [with others](Self::behind) writes
    /// them at [`HEAD_AT`].
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish_behind(mut self, head: &[u8]) -> io::Result<W> {
        // The rest has to be counted before it can be put behind the head.
        self.submit(true)?;
        while !self.pending.is_empty() {
            self.take_one()?;
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(head);
        crc.combine(&self.crc);
        self.crc = crc;
        self.end()
    }

    /// Compresses what is left, ends the stream, and returns what it was written to.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        while !self.pending.is_empty() {
            self.take_one()?;
        }
        self.end()
    }

    fn end(mut self) -> io::Result<W> {
        self.writer.write_all(&self.crc.finalize().to_le_bytes())?;
        // The length modulo 2^32, as the format has it.
        self.writer.write_all(&(self.len as u32).to_le_bytes())?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn submit(&mut self, last: bool) -> io::Result<()> {
        let data = std::mem::replace(&mut self.buffer, Vec::with_capacity(if last { 0 } else { CHUNK }));
        self.len += data.len() as u64;
        let window = data[data.len().saturating_sub(WINDOW)..].to_vec();
        let dictionary = std::mem::replace(&mut self.dictionary, window);
        let (done, result) = mpsc::sync_channel(1);
        let jobs = self.pool.jobs.as_ref().expect("the pool is open until it is dropped");
        jobs.send(Job { data, dictionary, last, done }).map_err(|_| thread_died())?;
        self.pending.push_back(result);
        while self.pending.len() >= self.most {
            self.take_one()?;
        }
        Ok(())
    }

    /// Waits for the oldest block, and writes it.
    fn take_one(&mut self) -> io::Result<()> {
        let Some(next) = self.pending.pop_front() else { return Ok(()) };
        let block = next.recv().map_err(|_| thread_died())??;
        self.crc.combine(&block.crc);
        self.writer.write_all(&block.compressed)
    }
}

fn thread_died() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK {
            self.submit(false)?;
        }
        let taken = data.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&data[..taken]);
        Ok(taken)
    }

    /// Does nothing: where blocks end must depend on the data alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a thread does until there are no more jobs.
fn compress_all(queue: &Mutex<Receiver<Job>>, level: Level) {
    let padding = level == Level::PADDING;
    let level = if padding { 0 } else { level.0.into() };
    let mut state = Compress::new(Compression::new(level), false);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { data, dictionary, last, done }) = job else { return };
        // If nobody waits any more, the stream was given up.
        if padding {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&data);
            let _ = done.send(Ok(Block { compressed: padding::compress(&data, last), crc }));
            continue;
        }
        let _ = done.send(compress(&mut state, &data, &dictionary, last));
    }
}

fn compress(state: &mut Compress, data: &[u8], dictionary: &[u8], last: bool) -> io::Result<Block> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(data);
    state.reset();
    if !dictionary.is_empty() {
        state.set_dictionary(dictionary)?;
    }
    // Room for data that cannot be compressed: 5 bytes a stored block of 16 KiB or more, and the flush.
    let mut compressed = Vec::with_capacity(data.len() + data.len() / 1024 + 64);
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let before = state.total_in();
    loop {
        let consumed = (state.total_in() - before) as usize;
        let status = state.compress_vec(&data[consumed..], &mut compressed, flush)?;
        let consumed = (state.total_in() - before) as usize;
        let whole = consumed == data.len() && compressed.len() < compressed.capacity();
        if status == Status::StreamEnd || (!last && whole) {
            return Ok(Block { compressed, crc });
        }
        compressed.reserve(64 << 10);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Something that compresses, in places.
    fn content(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..len)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at / 5000 % 3 == 0 { (state >> 24) as u8 } else { (at / 7 % 64) as u8 }
            })
            .collect()
    }

    fn gzip(data: &[u8], level: Level, threads: usize) -> Vec<u8> {
        let mut writer = ParallelGzip::new(Vec::new(), level, threads).unwrap();
        // In pieces of no particular size.
        for piece in data.chunks(70_001) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_head_can_be_replaced() {
        for len in [0, 1, 3000, MAX_HEAD] {
            let (before, after) = (vec![0; len], content(len));
            let data = content(2 * CHUNK + 77);
            let mut writer = ParallelGzip::behind(Vec::new(), &before, Level::FAST, 3).unwrap();
            writer.write_all(&data).unwrap();
            let mut file = writer.finish_behind(&after).unwrap();
            file[HEAD_AT as usize..][..len].copy_from_slice(&after);
            let mut found = Vec::new();
            // Which compares the checksum and the length.
            flate2::read::GzDecoder::new(&file[..]).read_to_end(&mut found).unwrap();
            assert!(found == [after, data].concat(), "{len}");
        }
        assert!(ParallelGzip::behind(Vec::new(), &[0; MAX_HEAD + 1], Level::FAST, 1).is_err());
    }

    #[test]
    fn comes_back_at_every_level_and_length() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            let data = content(len);
            for level in (0..=9).map(|level| Level::new(level).unwrap()) {
                let packed = gzip(&data, level, 2);
                let mut back = Vec::new();
                flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
                assert!(back == data, "{len} bytes, {level:?}");
            }
        }
        assert!(Level::new(10).is_none());
    }

    #[test]
    fn the_number_of_threads_cannot_be_seen() {
        let data = content(5 * CHUNK);
        let one = gzip(&data, Level::DEFAULT, 1);
        for threads in [0, 2, 4, 9] {
            assert!(gzip(&data, Level::DEFAULT, threads) == one, "{threads} threads");
        }
    }

    #[test]
    fn blocks_see_what_came_before() {
        // Random data twice, 32 KiB less than a block apart: the second half of it lies in the next block.
        let noise: Vec<u8> = content(15_000).into_iter().filter(|byte| *byte != 0).collect();
        let mut data = vec![0; CHUNK - noise.len()];
        data.extend_from_slice(&noise);
        data.extend_from_slice(&noise);
        let together = gzip(&data, Level::DEFAULT, 1).len();
        assert!(together < gzip(&data[..CHUNK], Level::DEFAULT, 1).len() + noise.len() / 4);
    }

    #[test]
    fn a_writer_that_fails_fails_it() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                if data.len() > 64 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(data.len()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = ParallelGzip::new(Full, Level::FAST, 2).unwrap();
        let result = writer.write_all(&content(40 * CHUNK)).and_then(|()| writer.finish().map(drop));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}

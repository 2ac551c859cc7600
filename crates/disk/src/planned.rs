//! Containers that know where everything lies before the first byte: what precedes the data, the data in the order of the
//! disk, what follows it. The same file comes out of [`PlannedStream`], which writes it front to back, and of
//! [`PlannedFile`], which many threads write at once.

use std::fmt;
use std::io::{self, Write};

use codec::Tokens;

use crate::{OrderedSink, PositionedSink, Runs, UnitEncoder, WriteAt};

/// The sector that every container counts in: units may begin and end on each.
const SECTOR: u64 = 512;

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The encoder of containers that hold the disk's bytes as they are.
#[derive(Clone, Copy, Debug)]
pub struct Verbatim;

impl UnitEncoder for Verbatim {
    fn encode(&mut self, _: u64, data: &[u8], _: &Tokens, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(data);
        Ok(())
    }
}

/// A file that is written front to back, to something that need not seek. What is left out is written as zeros.
pub struct FrontToBack<W> {
    writer: W,
    position: u64,
}

impl<W> fmt::Debug for FrontToBack<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontToBack").field("position", &self.position).finish_non_exhaustive()
    }
}

impl<W: Write> FrontToBack<W> {
    /// An empty file.
    pub fn new(writer: W) -> Self {
        Self { writer, position: 0 }
    }

    /// Writes zeros up to byte `offset`, if that is not reached yet.
    pub fn zeros_up_to(&mut self, offset: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.position < offset {
            let len = (offset - self.position).min(ZEROS.len() as u64);
            self.append(&ZEROS[..len as usize])?;
        }
        Ok(())
    }

    /// Writes what follows.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Writes `bytes` at byte `offset`, which must not be behind what is written.
    pub fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset < self.position {
            return Err(refused("unit out of order"));
        }
        self.zeros_up_to(offset)?;
        self.append(bytes)
    }

    /// Hands everything on to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A planned container that is written front to back. Parts of stored blocks that are never handed over become zeros.
pub struct PlannedStream<W> {
    out: FrontToBack<W>,
    runs: Runs,
    /// What follows the data.
    tail: Vec<u8>,
}

impl<W> fmt::Debug for PlannedStream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedStream")
            .field("out", &self.out)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

impl<W: Write> PlannedStream<W> {
    /// A container whose data lies as `runs` say. What comes before it is written to `out` by now, zeros at its end
    /// excepted; nothing follows it.
    pub fn new(out: FrontToBack<W>, runs: Runs) -> Self {
        Self { out, runs, tail: Vec::new() }
    }

    /// The same with something behind the data.
    pub fn with_tail(mut self, tail: impl Into<Vec<u8>>) -> Self {
        self.tail = tail.into();
        self
    }
}

impl<W: Write + Send> OrderedSink for PlannedStream<W> {
    fn granularity(&self) -> u64 {
        SECTOR
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(Verbatim)
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        if encoded.len() as u64 != len {
            return Err(refused("unit is not as long as its range"));
        }
        if len == 0 {
            return Ok(());
        }
        self.out.write_at(encoded, self.runs.place(offset, len).ok_or_else(not_announced)?)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.out.zeros_up_to(self.runs.file().end)?;
        self.out.append(&self.tail)?;
        self.out.flush()
    }
}

/// A planned container that is written in any order.
pub struct PlannedFile<F> {
    file: F,
    runs: Runs,
    /// What makes the file one of its format, and where it lies.
    last: Vec<(u64, Vec<u8>)>,
}

impl<F> fmt::Debug for PlannedFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedFile").field("runs", &self.runs).finish_non_exhaustive()
    }
}

impl<F: WriteAt> PlannedFile<F> {
    /// A container whose data lies as `runs` say, in a file that has its length and everything besides the data but
    /// `last`: offsets and bytes that are written when all else is there. Until then nothing should take the file for a
    /// container.
    pub fn new(file: F, runs: Runs, last: Vec<(u64, Vec<u8>)>) -> Self {
        Self { file, runs, last }
    }
}

impl<F: WriteAt> PositionedSink for PlannedFile<F> {
    fn granularity(&self) -> u64 {
        SECTOR
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.runs.write_at(&self.file, offset, data)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.last.iter().try_for_each(|(offset, bytes)| self.file.write_all_at(bytes, *offset))
    }
}

impl Runs {
    /// Writes `data`, which begins at byte `offset` of the disk, to its place in `file`.
    ///
    /// # Errors
    /// Those of writing, and [`io::ErrorKind::InvalidInput`] for what is not stored, or not on the disk.
    pub fn write_at<F: WriteAt>(&self, file: &F, offset: u64, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        file.write_all_at(data, self.place(offset, data.len() as u64).ok_or_else(not_announced)?)
    }
}

fn not_announced() -> io::Error {
    refused("write to a range that was not announced as allocated, or is past the disk's end")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const HEAD: &[u8] = b"head";
    const DISK: u64 = 10 << 10;

    /// Two runs of blocks of 4 KiB behind some room, the last of which passes the disk's end.
    fn runs() -> Runs {
        Runs::new(DISK, 4096, [0..1, 9000..DISK].into_iter()).unwrap().starting_at(100)
    }

    fn stream(out: &mut Vec<u8>) -> PlannedStream<&mut Vec<u8>> {
        let mut out = FrontToBack::new(out);
        out.append(HEAD).unwrap();
        PlannedStream::new(out, runs()).with_tail(*b"tail")
    }

    #[test]
    fn both_ways_give_the_same_file() {
        let mut streamed = Vec::new();
        let mut sink = Box::new(stream(&mut streamed));
        let mut encoded = Vec::new();
        sink.encoder().encode(512, &[1; 512], &Tokens::new(), &mut encoded).unwrap();
        sink.commit(512, 512, &encoded).unwrap();
        sink.commit(700, 0, &[]).unwrap();
        sink.commit(DISK - 512, 512, &[2; 512]).unwrap();
        sink.finish().unwrap();

        let file = Arc::new(Mutex::new(Vec::new()));
        let end = runs().file().end;
        file.set_len(end + 4).unwrap();
        let last = vec![(0, HEAD.to_vec()), (end, b"tail".to_vec())];
        let sink = Box::new(PlannedFile::new(Arc::clone(&file), runs(), last));
        sink.write_at(DISK - 512, &[2; 512]).unwrap();
        sink.write_at(512, &[1; 512]).unwrap();
        sink.write_at(DISK, &[]).unwrap();
        assert!(!file.lock().unwrap().starts_with(HEAD), "complete before its end");
        sink.finish().unwrap();

        let mut expected = vec![0; 100 + 2 * 4096];
        expected[..4].copy_from_slice(HEAD);
        expected[612..1124].fill(1);
        expected[100 + 4096 + 1536..][..512].fill(2);
        expected.extend_from_slice(b"tail");
        assert!(streamed == expected);
        assert!(*file.lock().unwrap() == expected);
    }

    #[test]
    fn long_zeros_are_as_long_as_they_should_be() {
        let mut out = Vec::new();
        let mut file = FrontToBack::new(&mut out);
        file.write_at(&[1], 200_000).unwrap();
        file.zeros_up_to(7).unwrap();
        file.write_at(&[2], 200_001).unwrap();
        assert_eq!((out.len(), &out[199_999..]), (200_002, &[0, 1, 2][..]));
    }

    #[test]
    fn units_that_are_not_where_they_should_be_are_refused() {
        let mut out = Vec::new();
        let mut sink = stream(&mut out);
        sink.commit(1024, 512, &[1; 512]).unwrap();
        for (offset, len) in
            [(512, 512), (1024, 512), (4096, 512), (3584, 1024), (DISK, 512), (DISK - 512, 513)]
        {
            let error = sink.commit(offset, len, &vec![1; len as usize]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{offset}: {error}");
        }
        assert!(sink.commit(2048, 2, &[1]).is_err(), "not as long as its range");
        sink.commit(1536, 512, &[1; 512]).unwrap();
        let file = PlannedFile::new(Mutex::new(Vec::new()), runs(), Vec::new());
        for (offset, len) in [(4096, 512), (3584, 1024), (8191, 2), (DISK, 1), (u64::MAX, 1)] {
            let error = file.write_at(offset, &vec![1; len]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{offset}: {error}");
        }
    }
}

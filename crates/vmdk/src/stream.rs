//! streamOptimized: compressed grains in ascending order, written and readable front to back.
//!
//! The order of things is VMware's own (observed: `iotest-version3.vmdk`): header without a directory, descriptor, then
//! from sector 128 grains; after the grains of each 32 MiB of disk that holds any, their table behind a marker; last
//! the directory, the footer (the header with the directory's place) and a sector of zeros, each where a reader that
//! seeks expects it. A reader that cannot seek needs more: VirtualBox's importer refuses a grain with a smaller LBA than
//! the one before, takes any sector of zeros for the end, and wants every grain whole; VMware's tools hash the stream up
//! to that end and compare with the manifest, so nothing may follow it.

use std::fmt;
use std::io::{self, Write};

use disk::{OrderedSink, UnitEncoder};

use crate::grain::{GrainEncoder, HEAD_LEN, record_len};
use crate::layout::{
    DIRECTORY_AT_END, Header, MARKER_DIRECTORY, MARKER_FOOTER, MARKER_TABLE, Marker, SECTOR, TABLE_ENTRIES,
    TABLE_SECTORS,
};
use crate::options::{GRAIN_SECTORS, GRAIN_SIZE, Options, tables};
use crate::{Error, Kind, Level, Result, descriptor};

/// Where the first marker lies (observed: VMware, always).
const OVERHEAD: u64 = 128;

/// A streamOptimized VMDK that is being written; see [`stream_optimized`].
pub struct StreamOptimized<W> {
    writer: W,
    header: Header,
    /// Size of the disk in bytes.
    size: u64,
    level: Level,
    take_tokens: bool,
    /// The sector at which the next byte lands.
    sector: u64,
    /// The LBA below which nothing may come any more.
    next_lba: u64,
    /// For each grain table the sector it was written to, or 0.
    directory: Vec<u32>,
    /// The table that is being filled.
    table: [u32; TABLE_ENTRIES],
    /// Its place in the directory, once it holds a grain.
    table_index: Option<usize>,
}

impl<W> fmt::Debug for StreamOptimized<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamOptimized")
            .field("sector", &self.sector)
            .field("next_lba", &self.next_lba)
            .finish_non_exhaustive()
    }
}

/// A streamOptimized VMDK, written front to back to something that need not seek. Header and descriptor are written at
/// once. Memory: a directory of 4 bytes per 32 MiB of disk, and a table.
///
/// # Errors
/// [`Error::Impossible`]; [`Error::Io`].
pub fn stream_optimized<W: Write + Send>(mut writer: W, options: &Options) -> Result<StreamOptimized<W>> {
    options.check(Kind::StreamOptimized)?;
    let header = Header { overhead: OVERHEAD, ..options.compressed_header() };
    let mut head = header.to_sector().to_vec();
    head.extend_from_slice(&descriptor::embedded(options, Kind::StreamOptimized));
    head.resize((OVERHEAD * SECTOR) as usize, 0);
    writer.write_all(&head).map_err(Error::writing("VMDK header", 0))?;
    Ok(StreamOptimized {
        writer,
        header,
        size: options.size,
        level: options.level,
        take_tokens: options.take_tokens,
        sector: OVERHEAD,
        next_lba: 0,
        directory: vec![0; tables(options.size) as usize],
        table: [0; TABLE_ENTRIES],
        table_index: None,
    })
}

/// A sector number as tables store it.
fn sector_number(sector: u64) -> io::Result<u32> {
    u32::try_from(sector)
        .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "VMDK file larger than 2 TiB"))
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl<W: Write> StreamOptimized<W> {
    fn write(&mut self, sectors: &[u8]) -> io::Result<()> {
        debug_assert!((sectors.len() as u64).is_multiple_of(SECTOR), "whole sectors");
        self.writer.write_all(sectors)?;
        self.sector += sectors.len() as u64 / SECTOR;
        Ok(())
    }

    fn write_marked(&mut self, kind: u32, sectors: &[u8]) -> io::Result<u32> {
        let marker = Marker { value: sectors.len() as u64 / SECTOR, size: 0, kind };
        self.write(&marker.to_sector())?;
        let sector = sector_number(self.sector)?;
        self.write(sectors)?;
        Ok(sector)
    }

    /// Writes the table that was being filled.
    fn flush_table(&mut self) -> io::Result<()> {
        let Some(index) = self.table_index.take() else { return Ok(()) };
        let bytes: Vec<u8> = self.table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        debug_assert_eq!(bytes.len() as u64, TABLE_SECTORS * SECTOR);
        self.directory[index] = self.write_marked(MARKER_TABLE, &bytes)?;
        self.table = [0; TABLE_ENTRIES];
        Ok(())
    }
}

impl<W: Write + Send> OrderedSink for StreamOptimized<W> {
    fn granularity(&self) -> u64 {
        GRAIN_SIZE
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(GrainEncoder::new(self.level, self.size))
    }

    fn wants_tokens(&self) -> bool {
        // The best level looks for itself; noting tokens would cost the decoder for nothing.
        self.take_tokens && self.level != Level::Best
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        let Some(end) = end else { return Err(invalid("unit past the disk's end")) };
        if offset < self.next_lba * SECTOR {
            return Err(invalid("unit out of order"));
        }
        self.next_lba = offset.div_ceil(SECTOR);

        // Records go to the file in runs: only a change of table interrupts one.
        let (mut run, mut rest) = (0, encoded);
        while let Some((head, _)) = rest.split_first_chunk::<HEAD_LEN>() {
            let lba = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
            let size = u32::from_le_bytes(head[8..].try_into().expect("four bytes"));
            let record = record_len(size);
            if !lba.is_multiple_of(GRAIN_SECTORS)
                || lba < self.next_lba
                || lba >= end / SECTOR
                || record > rest.len() as u64
            {
                return Err(invalid("unit holds a grain record that is not its own"));
            }
            self.next_lba = lba + GRAIN_SECTORS;
            let grain = (lba / GRAIN_SECTORS) as usize;
            let table_index = Some(grain / TABLE_ENTRIES);
            let done = encoded.len() - rest.len();
            if self.table_index != table_index {
                self.write(&encoded[run..done])?;
                run = done;
                self.flush_table()?;
                self.table_index = table_index;
            }
            self.table[grain % TABLE_ENTRIES] = sector_number(self.sector + (done - run) as u64 / SECTOR)?;
            rest = &rest[record as usize..];
        }
        if !rest.is_empty() {
            return Err(invalid("unit ends inside a grain record"));
        }
        self.next_lba = end.div_ceil(SECTOR);
        self.write(&encoded[run..])
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush_table()?;
        let mut directory: Vec<u8> = self.directory.iter().flat_map(|sector| sector.to_le_bytes()).collect();
        directory.resize(directory.len().next_multiple_of(SECTOR as usize), 0);
        let grain_directory = u64::from(self.write_marked(MARKER_DIRECTORY, &directory)?);
        debug_assert_eq!(self.header.grain_directory, DIRECTORY_AT_END);
        let footer = Header { grain_directory, ..self.header.clone() };
        self.write_marked(MARKER_FOOTER, &footer.to_sector())?;
        self.write(&[0; SECTOR as usize])?;
        self.writer.flush()
    }
}

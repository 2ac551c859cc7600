//! Choosing and opening the container of a disk. The containers themselves are crates of their own; only the plain
//! disk is here.

pub(crate) mod raw;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use disk::{ExtentMap, FileTime, OrderedSink, PositionedSink, Seed, Sink};

use crate::output::Opened;
use crate::recipe::{Format, Level, Output};
use crate::{Error, Result};

/// Bytes that a stream output collects before it writes.
const STREAM_BUFFER: usize = 1 << 20;

/// A disk that is to go into a container.
pub(crate) struct Packing<'a> {
    pub(crate) output: &'a Output,
    pub(crate) level: Level,
    pub(crate) format: Format,
    pub(crate) map: &'a ExtentMap,
    pub(crate) seed: &'a Seed,
    /// When the disk was made, for containers that say so.
    pub(crate) time: FileTime,
}

impl Packing<'_> {
    /// Opens the container: every table that the plan determines is computed here, before the first byte is written.
    pub(crate) fn open(&self, to: &Opened) -> Result<Sink<'static>> {
        match to {
            Opened::Stdout if self.format.is_stream() => self.ordered(io::stdout()),
            Opened::Stdout => Err(Error::Recipe(format!(
                "{} cannot be written to standard output; formats that can are raw, vhd-fixed and vmdk",
                self.format
            ))),
            Opened::Device(_) if self.format != Format::Raw => Err(Error::Recipe(format!(
                "a block device takes the disk itself (--format raw), not a {} file",
                self.format
            ))),
            Opened::Device(device) => {
                let device = device.try_clone().map_err(Error::writing)?;
                let room = disk::ReadAt::size(&device).map_err(Error::writing)?;
                if room < self.map.len() {
                    let needed = self.map.len();
                    return Err(Error::Recipe(format!(
                        "the device holds {room} bytes, the disk needs {needed}"
                    )));
                }
                self.ordered(device)
            }
            // The one format with tables behind compressed data of unknown size.
            Opened::File(file) if self.format == Format::Vmdk => self.ordered(file.file()?),
            Opened::File(file) => self.positioned(file.file()?),
        }
    }

    fn ordered(&self, writer: impl io::Write + Send + 'static) -> Result<Sink<'static>> {
        let writer = BufWriter::with_capacity(STREAM_BUFFER, writer);
        let sink: Box<dyn OrderedSink> = match self.format {
            Format::VhdFixed => {
                Box::new(vhd::fixed::ordered(writer, &self.vhd_options()).map_err(|e| self.vhd_error(e))?)
            }
            Format::Vmdk => Box::new(
                vmdk::stream_optimized(writer, &self.vmdk_options()).map_err(|e| self.vmdk_error(e))?,
            ),
            _ => Box::new(raw::Stream::new(writer, self.map.len())),
        };
        Ok(Sink::Ordered(sink))
    }

    fn positioned(&self, file: File) -> Result<Sink<'static>> {
        let sink: Box<dyn PositionedSink> = match self.format {
            Format::Vhd => {
                let options = self.vhd_options();
                let allocated = self.map.allocated(options.block_size.into());
                Box::new(vhd::dynamic::positioned(file, &options, allocated).map_err(|e| self.vhd_error(e))?)
            }
            Format::VhdFixed => {
                Box::new(vhd::fixed::positioned(file, &self.vhd_options()).map_err(|e| self.vhd_error(e))?)
            }
            Format::VmdkSparse => {
                let allocated = self.map.allocated(vmdk::GRAIN_SIZE);
                let options = self.vmdk_options();
                Box::new(vmdk::monolithic_sparse(file, &options, allocated).map_err(|e| self.vmdk_error(e))?)
            }
            Format::Raw | Format::Vmdk => {
                Box::new(raw::Sparse::new(file, self.map.len()).map_err(Error::writing)?)
            }
        };
        Ok(Sink::Positioned(sink))
    }

    fn vhd_options(&self) -> vhd::Options {
        let timestamp = vhd::timestamp(self.time);
        vhd::Options { timestamp, ..vhd::Options::new(self.map.len(), self.seed.guid("vhd")) }
    }

    fn vmdk_options(&self) -> vmdk::Options {
        let name =
            self.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        // The descriptor has no way to quote these.
        let name = name.replace(|c: char| c.is_control() || "\"/\\".contains(c), "_");
        let level = match self.level {
            Level::Fast => vmdk::Level::Fast,
            Level::Default => vmdk::Level::Default,
            Level::Best => vmdk::Level::Best,
        };
        vmdk::Options { level, ..vmdk::Options::new(self.map.len(), name, self.seed.u32_nonzero("vmdk cid")) }
    }

    /// The output's name; a stream has none, and is called what it will likely be saved as.
    fn path(&self) -> &Path {
        match self.output {
            Output::File(path) => path,
            Output::Stdout => Path::new("disk.vmdk"),
        }
    }

    fn vhd_error(&self, source: vhd::Error) -> Error {
        Error::Vhd { path: PathBuf::from(self.path()), source }
    }

    fn vmdk_error(&self, source: vmdk::Error) -> Error {
        Error::Vmdk { path: PathBuf::from(self.path()), source }
    }
}

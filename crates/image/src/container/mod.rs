//! Choosing and opening the container of a disk. The containers themselves are crates of their own; only the plain
//! disk is here.

pub(crate) mod package;
mod planned;
pub(crate) mod raw;

use std::io::{self, BufWriter};
use std::path::Path;

use disk::{ContainerError, ExtentMap, FileTime, OrderedSink, SectorSize, Seed, Sink};

use self::planned::Planned;
use crate::output::{DiskPart, Opened, PartialSet};
use crate::recipe::{Format, Level, MachineWish, Output};
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
    /// The size of the disk's sectors, which only VHDX can say.
    pub(crate) sector_size: SectorSize,
    /// The machine that a package describes.
    pub(crate) machine: &'a MachineWish,
    /// How that machine starts.
    pub(crate) firmware: appliance::Firmware,
    /// Threads for containers that bring their own.
    pub(crate) threads: usize,
}

impl Packing<'_> {
    /// Opens the container: every table that the plan determines is computed here, before the first byte is written.
    pub(crate) fn open(&self, to: &Opened) -> Result<Sink<'static>> {
        match to {
            Opened::Stdout if self.format.is_stream() => self.ordered(io::stdout()),
            Opened::Stdout => Err(Error::Recipe(format!(
                "{} cannot be written to standard output; formats that can are {}",
                self.format,
                Format::streams()
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
            Opened::File(set) => self.in_file(set),
        }
    }

    /// A container that is written front to back, to what need not seek.
    fn ordered(&self, writer: impl io::Write + Send + 'static) -> Result<Sink<'static>> {
        let writer = BufWriter::with_capacity(STREAM_BUFFER, writer);
        if let Some(kind) = package::kind(self.format) {
            return self.package_stream(kind, writer);
        }
        let sink: Box<dyn OrderedSink> = match (Planned::of(self), self.format) {
            (Some(planned), _) => planned.ordered(writer, self.map).map_err(|e| self.failed(e))?,
            (None, Format::Raw) => Box::new(raw::stream(writer, self.map.len())),
            (None, Format::Vmdk) => {
                Box::new(vmdk::stream_optimized(writer, &self.vmdk_options()).map_err(|e| self.failed(e))?)
            }
            (None, other) => unreachable!("{other} is not a stream"),
        };
        Ok(Sink::Ordered(sink))
    }

    /// A container in a file, by all workers at once where its tables come first.
    fn in_file(&self, set: &PartialSet) -> Result<Sink<'static>> {
        if let Some(planned) = Planned::of(self) {
            let sink = planned.positioned(set.file()?, self.map).map_err(|e| self.failed(e))?;
            return Ok(Sink::Positioned(sink));
        }
        match self.format {
            Format::Raw => {
                let sink = raw::Sparse::new(set.file()?, self.map.len()).map_err(Error::writing)?;
                Ok(Sink::Positioned(Box::new(sink)))
            }
            // Compressed data lies before the tables that say where it is, and the header says where these are.
            Format::Qcow2Compressed => {
                let sink = qcow2::compressed::in_file(set.file()?, &self.qcow2_options());
                Ok(Sink::Ordered(Box::new(sink.map_err(|e| self.failed(e))?)))
            }
            Format::VmdkFlat => self.in_files(vmdk::Kind::MonolithicFlat, set),
            Format::VmdkSplit => self.in_files(vmdk::Kind::TwoGbMaxExtentSparse, set),
            Format::Oci => {
                Err(Error::Recipe("an OCI image is made from a Windows image, not from a disk".to_owned()))
            }
            format => match package::kind(format) {
                Some(kind) if kind.disk().is_stream() => self.package_in_file(kind, set.file()?),
                // The length of what is compressed is not known before, so what comes behind it has no place yet.
                _ => self.ordered(set.file()?),
            },
        }
    }

    /// A VMDK whose data is in files beside the descriptor.
    fn in_files(&self, kind: vmdk::Kind, set: &PartialSet) -> Result<Sink<'static>> {
        let options = self.vmdk_options();
        // What keeps a file from being made is an error of ours, on its way through the crate.
        let mut failed = None;
        let make = |extent: &vmdk::ExtentFile| {
            set.beside(&extent.name).map_err(|error| {
                failed = Some(error);
                io::Error::other("see above")
            })
        };
        let allocated = self.map.allocated(vmdk::GRAIN_SIZE);
        let sink = vmdk::split(kind, DiskPart::Main(set.file()?), make, &options, allocated);
        match (sink, failed) {
            (Ok(sink), _) => Ok(Sink::Positioned(Box::new(sink))),
            (Err(_), Some(error)) => Err(error),
            (Err(error), None) => Err(self.failed(error)),
        }
    }

    fn effort(&self) -> codec::Effort {
        match self.level {
            Level::Fast => codec::Effort::Fast,
            Level::Default => codec::Effort::Default,
            Level::Best => codec::Effort::Best,
        }
    }

    fn vhd_options(&self) -> vhd::Options {
        let timestamp = vhd::timestamp(self.time);
        vhd::Options { timestamp, ..vhd::Options::new(self.map.len(), self.seed.guid("vhd")) }
    }

    fn vhdx_options(&self) -> vhdx::Options {
        let fixed = self.format == Format::VhdxFixed;
        vhdx::Options {
            fixed,
            sector_size: self.sector_size,
            ..vhdx::Options::new(self.map.len(), self.seed)
        }
    }

    fn vdi_options(&self) -> vdi::Options {
        vdi::Options::new(self.map.len(), self.seed.guid("vdi"), self.seed.guid("vdi content"))
    }

    fn qcow2_options(&self) -> qcow2::Options {
        qcow2::Options { level: self.effort(), ..qcow2::Options::new(self.map.len()) }
    }

    fn vmdk_options(&self) -> vmdk::Options {
        let name =
            self.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        // The descriptor has no way to quote these.
        let name = name.replace(|c: char| c.is_control() || "\"/\\".contains(c), "_");
        let cid = self.seed.u32_nonzero("vmdk cid");
        vmdk::Options { level: self.effort(), ..vmdk::Options::new(self.map.len(), name, cid) }
    }

    /// The output's name; a stream has none, and is called what it will likely be saved as.
    fn path(&self) -> &Path {
        match self.output {
            Output::File(path) => path,
            Output::Stdout => Path::new("disk.vmdk"),
        }
    }

    fn failed(&self, source: ContainerError) -> Error {
        Error::Container { path: self.path().to_owned(), source }
    }
}

//! Choosing and opening the container of a disk. The containers themselves are crates of their own; only the plain
//! disk is here.

pub(crate) mod package;
pub(crate) mod raw;

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use disk::{ExtentMap, FileTime, OrderedSink, PositionedSink, SectorSize, Seed, Sink};

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
        let sink: Box<dyn OrderedSink> = match self.format {
            Format::Vhd => {
                let options = self.vhd_options();
                let allocated = self.map.allocated(options.block_size.into());
                Box::new(vhd::dynamic::ordered(writer, &options, allocated).map_err(|e| self.vhd_error(e))?)
            }
            Format::VhdFixed => {
                Box::new(vhd::fixed::ordered(writer, &self.vhd_options()).map_err(|e| self.vhd_error(e))?)
            }
            Format::Vhdx | Format::VhdxFixed => {
                let options = self.vhdx_options();
                let allocated = self.map.allocated(options.block_size.into());
                Box::new(vhdx::ordered(writer, &options, allocated).map_err(|e| self.vhdx_error(e))?)
            }
            Format::Vmdk => Box::new(
                vmdk::stream_optimized(writer, &self.vmdk_options()).map_err(|e| self.vmdk_error(e))?,
            ),
            Format::Vdi => {
                let allocated = self.map.allocated(vdi::BLOCK_SIZE);
                let options = self.vdi_options();
                Box::new(vdi::dynamic::ordered(writer, &options, allocated).map_err(|e| self.vdi_error(e))?)
            }
            Format::VdiFixed => {
                let options = self.vdi_options();
                Box::new(vdi::fixed::ordered(writer, &options).map_err(|e| self.vdi_error(e))?)
            }
            Format::Qcow2 => {
                let allocated = self.map.allocated(qcow2::CLUSTER_SIZE);
                let options = self.qcow2_options();
                Box::new(qcow2::plain::ordered(writer, &options, allocated).map_err(|e| self.qcow2_error(e))?)
            }
            Format::VmdkSparse => {
                let allocated = self.map.allocated(vmdk::GRAIN_SIZE);
                let options = self.vmdk_options();
                let sink = vmdk::monolithic_sparse_ordered(writer, &options, allocated);
                Box::new(sink.map_err(|e| self.vmdk_error(e))?)
            }
            Format::Raw => Box::new(raw::stream(writer, self.map.len())),
            Format::VmdkFlat
            | Format::VmdkSplit
            | Format::Qcow2Compressed
            | Format::BoxVirtualbox
            | Format::BoxHyperv
            | Format::BoxLibvirt
            | Format::BoxVmware
            | Format::Ova
            | Format::Oci => unreachable!("{} is not a stream", self.format),
        };
        Ok(Sink::Ordered(sink))
    }

    /// A container in a file, by all workers at once where its tables come first.
    fn in_file(&self, set: &PartialSet) -> Result<Sink<'static>> {
        let sink: Box<dyn PositionedSink> = match self.format {
            Format::Raw => Box::new(raw::Sparse::new(set.file()?, self.map.len()).map_err(Error::writing)?),
            Format::Vhd => {
                let options = self.vhd_options();
                let allocated = self.map.allocated(options.block_size.into());
                let file = set.file()?;
                Box::new(vhd::dynamic::positioned(file, &options, allocated).map_err(|e| self.vhd_error(e))?)
            }
            Format::VhdFixed => {
                let file = set.file()?;
                Box::new(vhd::fixed::positioned(file, &self.vhd_options()).map_err(|e| self.vhd_error(e))?)
            }
            Format::Vhdx | Format::VhdxFixed => {
                let options = self.vhdx_options();
                let allocated = self.map.allocated(options.block_size.into());
                let file = set.file()?;
                Box::new(vhdx::positioned(file, &options, allocated).map_err(|e| self.vhdx_error(e))?)
            }
            // Tables follow compressed data of unknown size.
            Format::Vmdk => return self.ordered(set.file()?),
            Format::VmdkSparse => {
                let allocated = self.map.allocated(vmdk::GRAIN_SIZE);
                let (file, options) = (set.file()?, self.vmdk_options());
                Box::new(vmdk::monolithic_sparse(file, &options, allocated).map_err(|e| self.vmdk_error(e))?)
            }
            Format::Vdi => {
                let allocated = self.map.allocated(vdi::BLOCK_SIZE);
                let (file, options) = (set.file()?, self.vdi_options());
                Box::new(vdi::dynamic::positioned(file, &options, allocated).map_err(|e| self.vdi_error(e))?)
            }
            Format::VdiFixed => {
                let (file, options) = (set.file()?, self.vdi_options());
                Box::new(vdi::fixed::positioned(file, &options).map_err(|e| self.vdi_error(e))?)
            }
            Format::Qcow2 => {
                let allocated = self.map.allocated(qcow2::CLUSTER_SIZE);
                let (file, options) = (set.file()?, self.qcow2_options());
                Box::new(
                    qcow2::plain::positioned(file, &options, allocated).map_err(|e| self.qcow2_error(e))?,
                )
            }
            // Compressed data lies before the tables that say where it is, and the header says where these are.
            Format::Qcow2Compressed => {
                let (file, options) = (set.file()?, self.qcow2_options());
                let sink = qcow2::compressed::in_file(file, &options).map_err(|e| self.qcow2_error(e))?;
                return Ok(Sink::Ordered(Box::new(sink)));
            }
            Format::BoxVirtualbox
            | Format::BoxHyperv
            | Format::BoxLibvirt
            | Format::BoxVmware
            | Format::Ova => {
                let kind = package::kind(self.format).expect("these are packages");
                return match kind.disk().is_stream() {
                    true => self.package_in_file(kind, set.file()?),
                    false => self.ordered(set.file()?),
                };
            }
            Format::Oci => {
                return Err(Error::Recipe(
                    "an OCI image is made from a Windows image, not from a disk".to_owned(),
                ));
            }
            Format::VmdkFlat => return self.in_files(vmdk::Kind::MonolithicFlat, set),
            Format::VmdkSplit => return self.in_files(vmdk::Kind::TwoGbMaxExtentSparse, set),
        };
        Ok(Sink::Positioned(sink))
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
            (Err(error), None) => Err(self.vmdk_error(error)),
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
        let level = match self.level {
            Level::Fast => qcow2::Level::Fast,
            Level::Default => qcow2::Level::Default,
            Level::Best => qcow2::Level::Best,
        };
        qcow2::Options { level, ..qcow2::Options::new(self.map.len()) }
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

    fn vhdx_error(&self, source: vhdx::Error) -> Error {
        Error::Vhdx { path: PathBuf::from(self.path()), source }
    }

    fn vdi_error(&self, source: vdi::Error) -> Error {
        Error::Vdi { path: PathBuf::from(self.path()), source }
    }

    fn qcow2_error(&self, source: qcow2::Error) -> Error {
        Error::Qcow2 { path: PathBuf::from(self.path()), source }
    }

    fn vmdk_error(&self, source: vmdk::Error) -> Error {
        Error::Vmdk { path: PathBuf::from(self.path()), source }
    }
}

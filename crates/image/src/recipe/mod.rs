//! What to build: the resolved form of a command line or a [recipe file](file), and what an embedding program fills in
//! directly.

pub mod file;
mod keys;
mod machine;
mod platform;
pub mod presets;
mod spelled;
mod wishes;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use disk::FileTime;

pub use firstboot::{Account, FirewallRule, Interface, Secret};

pub use self::file::{CompactOs, RecipeFile};
pub use self::machine::MachineWish;
pub use self::platform::Platform;
pub use self::spelled::{Size, Spelled};
pub use self::wishes::{CopyChoice, Customize, Data, HttpsChoice, RegistryValue, ValueType};
use crate::iso_source::WimChoice;
use crate::registry::HiveChoice;
use crate::{Error, Result};

/// Everything that describes a build. Together with its inputs it determines every byte of the output.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Recipe {
    /// The WIM, or the ISO that it is in.
    pub source: PathBuf,
    /// Which WIM of an ISO; `None` for the usual one, and for what is no ISO.
    pub wim: Option<WimChoice>,
    /// Which image of the source; `None` when it holds just one.
    pub image: Option<ImageChoice>,
    /// Where the disk goes.
    pub output: Output,
    /// The container; `None` chooses by the output's extension.
    pub format: Option<Format>,
    /// The partitions.
    pub layout: Layout,
    /// Size of the disk in bytes, a whole number of MiB; `None` lets content and growth decide.
    pub size: Option<u64>,
    /// Size of the System partition in bytes, a whole number of MiB; `None` for what is usual for the layout.
    pub system_size: Option<u64>,
    /// Size of the Recovery partition in bytes, a whole number of MiB; `None` for 500 MiB, or more when the image has a
    /// recovery environment that needs it.
    pub recovery_size: Option<u64>,
    /// Cluster size of the Windows volume in bytes.
    pub cluster_size: u32,
    /// Make 8.3 names for files that have none in the image.
    pub short_names: bool,
    /// Keep files compressed on the Windows volume; `None` stores them as they are.
    pub compact: Option<Compact>,
    /// `.reg` files that are imported into the image's hives, in this order.
    pub registry: Vec<PathBuf>,
    /// Hives that take a place in the image's registry, before any `.reg` file is imported.
    pub hives: Vec<HiveChoice>,
    /// How the disk starts.
    pub boot: Boot,
    /// What is changed in the image.
    #[serde(skip)]
    pub customize: Customize,
    /// Text from which all identities derive; `None` takes the source's own hashes.
    pub seed: Option<String>,
    /// The time of everything that has none of its own; `None` takes the image's.
    #[serde(skip)]
    pub time: Option<FileTime>,
    /// Compression of containers that compress.
    pub level: Level,
    /// The machine that a package describes.
    pub machine: MachineWish,
    /// Replace an existing output, or overwrite a block device.
    pub force: bool,
}

impl Recipe {
    /// A recipe with the defaults for everything but the source and the output.
    pub fn new(source: impl Into<PathBuf>, output: Output) -> Self {
        Self {
            source: source.into(),
            wim: None,
            image: None,
            output,
            format: None,
            layout: Layout::default(),
            size: None,
            system_size: None,
            recovery_size: None,
            cluster_size: 4096,
            short_names: false,
            compact: None,
            registry: Vec::new(),
            hives: Vec::new(),
            boot: Boot::default(),
            customize: Customize::default(),
            seed: None,
            time: None,
            level: Level::default(),
            machine: MachineWish::default(),
            force: false,
        }
    }

    /// The container, as asked for or by the output's extension.
    pub fn format(&self) -> Result<Format> {
        self.format.map_or_else(|| Format::of_output(&self.output), Ok)
    }
}

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// Which image of a WIM.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ImageChoice {
    /// By number, from 1.
    Index(u32),
    /// By name, as the XML gives it; must be unique.
    Name(String),
}

impl FromStr for ImageChoice {
    type Err = std::convert::Infallible;

    /// A number is an index, all else a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Index))
    }
}

/// Where a disk goes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Output {
    /// A file, or a block device.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// A disk container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// The disk's bytes, sparse where the file system allows it.
    Raw,
    /// Dynamic VHD.
    Vhd,
    /// Fixed VHD.
    VhdFixed,
    /// Dynamic VHDX.
    Vhdx,
    /// Fixed VHDX.
    VhdxFixed,
    /// streamOptimized VMDK: compressed, for import and distribution.
    Vmdk,
    /// monolithicSparse VMDK: writable, for running.
    VmdkSparse,
    /// monolithicFlat VMDK: a descriptor, and the raw disk in a file beside it.
    VmdkFlat,
    /// twoGbMaxExtentSparse VMDK: a descriptor, and sparse files of 2 GiB beside it.
    VmdkSplit,
    /// Dynamic VDI.
    Vdi,
    /// Fixed VDI.
    VdiFixed,
    /// qcow2, not compressed: for running.
    Qcow2,
    /// qcow2 with compressed clusters: for distribution. It can be run, too; what is written then is not compressed.
    Qcow2Compressed,
    /// Vagrant box for VirtualBox.
    BoxVirtualbox,
    /// Vagrant box for Hyper-V.
    BoxHyperv,
    /// Vagrant box for libvirt.
    BoxLibvirt,
    /// Vagrant box for VMware Workstation and Fusion.
    BoxVmware,
    /// OVA: an appliance for VMware and VirtualBox.
    Ova,
    /// OCI image with a Windows base layer, in a tar; made from an image, not from a disk.
    Oci,
}

impl Format {
    /// All names, for messages.
    pub const NAMES: &'static str = "raw, vhd, vhd-fixed, vhdx, vhdx-fixed, vmdk, vmdk-sparse, vmdk-flat, vmdk-split, vdi, vdi-fixed, qcow2, \
         qcow2-compressed, box-virtualbox, box-hyperv, box-libvirt, box-vmware, ova, oci";
    /// Those that can be written front to back.
    pub(crate) const STREAMS: &'static str = "raw, vhd, vhd-fixed, vhdx, vhdx-fixed, vmdk, vmdk-sparse, vdi, vdi-fixed, qcow2, box-hyperv, box-libvirt and \
         box-vmware";

    /// The usual container for a file of this name.
    pub fn of_path(path: &Path) -> Option<Self> {
        if is_block_device(path) {
            return Some(Self::Raw);
        }
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "raw" | "img" | "dd" | "bin" => Some(Self::Raw),
            "vhd" => Some(Self::Vhd),
            "vhdx" => Some(Self::Vhdx),
            "vmdk" => Some(Self::Vmdk),
            "vdi" => Some(Self::Vdi),
            "qcow2" => Some(Self::Qcow2),
            "box" => Some(Self::BoxVirtualbox),
            "ova" => Some(Self::Ova),
            _ => None,
        }
    }

    /// What files of it are called.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Vhd | Self::VhdFixed => "vhd",
            Self::Vhdx | Self::VhdxFixed => "vhdx",
            Self::Vmdk | Self::VmdkSparse | Self::VmdkFlat | Self::VmdkSplit => "vmdk",
            Self::Vdi | Self::VdiFixed => "vdi",
            Self::Qcow2 | Self::Qcow2Compressed => "qcow2",
            Self::BoxVirtualbox | Self::BoxHyperv | Self::BoxLibvirt | Self::BoxVmware => "box",
            Self::Ova => "ova",
            Self::Oci => "tar",
        }
    }

    /// The container that an output's name asks for.
    pub(crate) fn of_output(output: &Output) -> Result<Self> {
        match output {
            Output::Stdout => Err(Error::Recipe(format!(
                "writing to standard output needs --format, one of {}",
                Self::STREAMS
            ))),
            Output::File(path) => Self::of_path(path).ok_or_else(|| {
                Error::Recipe(format!(
                    "cannot tell the format of {} from its name; give --format ({})",
                    path.display(),
                    Self::NAMES
                ))
            }),
        }
    }

    /// The size in bytes of the blocks that its tables list, when they are written before the data: what must be known
    /// of the disk before the first byte.
    pub(crate) fn table_granularity(self) -> Option<u64> {
        match self {
            Self::Raw | Self::VhdFixed | Self::VhdxFixed | Self::VmdkFlat | Self::VdiFixed => None,
            Self::Vmdk | Self::Qcow2Compressed | Self::BoxVirtualbox | Self::Ova | Self::Oci => None,
            Self::Vdi => Some(vdi::BLOCK_SIZE),
            Self::Qcow2 | Self::BoxLibvirt => Some(qcow2::CLUSTER_SIZE),
            Self::Vhdx | Self::BoxHyperv => Some(vhdx::DEFAULT_BLOCK_SIZE.into()),
            Self::Vhd => Some(vhd::DEFAULT_BLOCK_SIZE.into()),
            Self::VmdkSparse | Self::VmdkSplit | Self::BoxVmware => Some(vmdk::GRAIN_SIZE),
        }
    }

    /// Whether it can be written front to back, and so to standard output.
    pub fn is_stream(self) -> bool {
        matches!(
            self,
            Self::Raw
                | Self::Vhd
                | Self::VhdFixed
                | Self::Vhdx
                | Self::VhdxFixed
                | Self::Vmdk
                | Self::VmdkSparse
                | Self::Vdi
                | Self::VdiFixed
                | Self::Qcow2
                | Self::BoxHyperv
                | Self::BoxLibvirt
                | Self::BoxVmware
        )
    }

    /// Whether it is more than a disk: a Vagrant box or an appliance.
    pub fn is_package(self) -> bool {
        crate::container::package::kind(self).is_some()
    }

    /// Whether it can say that sectors have another size than 512, or says nothing of them at all.
    pub(crate) fn says_sector_size(self) -> bool {
        matches!(self, Self::Raw | Self::Vhdx | Self::VhdxFixed | Self::BoxHyperv)
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Vhd => "vhd",
            Self::VhdFixed => "vhd-fixed",
            Self::Vhdx => "vhdx",
            Self::VhdxFixed => "vhdx-fixed",
            Self::Vmdk => "vmdk",
            Self::VmdkSparse => "vmdk-sparse",
            Self::VmdkFlat => "vmdk-flat",
            Self::VmdkSplit => "vmdk-split",
            Self::Vdi => "vdi",
            Self::VdiFixed => "vdi-fixed",
            Self::Qcow2 => "qcow2",
            Self::Qcow2Compressed => "qcow2-compressed",
            Self::BoxVirtualbox => "box-virtualbox",
            Self::BoxHyperv => "box-hyperv",
            Self::BoxLibvirt => "box-libvirt",
            Self::BoxVmware => "box-vmware",
            Self::Ova => "ova",
            Self::Oci => "oci",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "raw" => Ok(Self::Raw),
            "vhd" => Ok(Self::Vhd),
            "vhd-fixed" => Ok(Self::VhdFixed),
            "vhdx" => Ok(Self::Vhdx),
            "vhdx-fixed" => Ok(Self::VhdxFixed),
            "vmdk" => Ok(Self::Vmdk),
            "vmdk-sparse" => Ok(Self::VmdkSparse),
            "vmdk-flat" => Ok(Self::VmdkFlat),
            "vmdk-split" => Ok(Self::VmdkSplit),
            "vdi" => Ok(Self::Vdi),
            "vdi-fixed" => Ok(Self::VdiFixed),
            "qcow2" => Ok(Self::Qcow2),
            "qcow2-compressed" => Ok(Self::Qcow2Compressed),
            "box-virtualbox" => Ok(Self::BoxVirtualbox),
            "box-hyperv" => Ok(Self::BoxHyperv),
            "box-libvirt" => Ok(Self::BoxLibvirt),
            "box-vmware" => Ok(Self::BoxVmware),
            "ova" => Ok(Self::Ova),
            "oci" => Ok(Self::Oci),
            _ => Err(format!("unknown format (known: {})", Self::NAMES)),
        }
    }
}

/// The partitions of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layout {
    /// MBR: System (active), Windows, Recovery.
    #[default]
    Mbr3,
    /// MBR: one active partition.
    Mbr1,
    /// GPT: the EFI system partition, the Microsoft reserved partition, Windows, Recovery.
    Gpt,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mbr3" => Ok(Self::Mbr3),
            "mbr1" => Ok(Self::Mbr1),
            "gpt" => Ok(Self::Gpt),
            _ => Err("unknown layout (known: mbr3, mbr1, gpt)".to_owned()),
        }
    }
}

/// How a disk starts: the boot code, and what the boot configuration data (BCD) says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Boot {
    /// Copy the image's boot files, write the BCD, move the recovery environment. Without, every volume is the image as
    /// it is, or empty.
    pub files: bool,
    /// Whose boot code is written.
    pub code: BootCode,
    /// How the BCD names partitions.
    pub device: BcdDevice,
    /// Take the boot files that are signed by the newer authority ("Windows UEFI CA 2023"), where the image has them.
    pub ex: bool,
    /// Seconds that the boot menu waits; `None` for 30, which matters only when there is a choice.
    pub timeout: Option<u32>,
    /// What the boot menu looks like; `None` for what suits the edition.
    pub menu: Option<BootMenu>,
    /// Emergency management services: boot manager, loader and Windows talk on a serial port.
    pub ems: Option<Serial>,
    /// Kernel debugging.
    pub debug: Option<Debug>,
    /// Load drivers that are signed with a test certificate.
    pub test_signing: bool,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            files: true,
            code: BootCode::default(),
            device: BcdDevice::default(),
            ex: false,
            timeout: None,
            menu: None,
            ems: None,
            debug: None,
            test_signing: false,
        }
    }
}

/// Whose boot code a disk gets. UEFI machines run none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BootCode {
    /// Ours.
    #[default]
    Own,
    /// Microsoft's, found in files of the image that carry it.
    FromImage,
    /// None: the disk does not start on a BIOS.
    None,
}

impl FromStr for BootCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "own" => Ok(Self::Own),
            "from-image" => Ok(Self::FromImage),
            "none" => Ok(Self::None),
            _ => Err("unknown boot code (known: own, from-image, none)".to_owned()),
        }
    }
}

/// How the BCD names the partitions that things are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BcdDevice {
    /// By disk signature and offset, or by GUIDs: exact.
    #[default]
    Partition,
    /// By what is on them: the first partition that has the file. Survives that a clone gets another signature, as with
    /// differencing disks.
    Locate,
}

impl FromStr for BcdDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "partition" => Ok(Self::Partition),
            "locate" => Ok(Self::Locate),
            _ => Err("unknown device (known: partition, locate)".to_owned()),
        }
    }
}

/// What the boot menu looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BootMenu {
    /// Text, before Windows is loaded; can be used on a serial console.
    Legacy,
    /// Graphics, after Windows was loaded.
    Standard,
}

impl FromStr for BootMenu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "legacy" => Ok(Self::Legacy),
            "standard" => Ok(Self::Standard),
            _ => Err("unknown boot menu (known: legacy, standard)".to_owned()),
        }
    }
}

/// A serial port and its speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Serial {
    /// 1 for COM1, up to 255.
    pub port: u8,
    /// Bits per second.
    pub baud: u32,
}

impl FromStr for Serial {
    type Err = String;

    /// `1`, or `1,115200`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (port, baud) = text.split_once(',').unwrap_or((text, "115200"));
        let port = port.trim();
        let digits =
            port.get(..3).filter(|name| name.eq_ignore_ascii_case("com")).map_or(port, |_| &port[3..]);
        match (digits.parse(), baud.trim().parse()) {
            (Ok(port @ 1..), Ok(baud @ 1..)) => Ok(Self { port, baud }),
            _ => Err(format!("{text:?} is no serial port (expected PORT or PORT,BAUD, as in 1,115200)")),
        }
    }
}

/// How a kernel debugger reaches Windows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Debug {
    /// Over a serial port.
    Serial(Serial),
    /// Over the network (Windows 8 and later).
    Net {
        /// The debugger's address.
        host: std::net::Ipv4Addr,
        /// Its UDP port.
        port: u16,
        /// What encrypts the connection: four numbers in base 36, with dots.
        key: String,
    },
    /// Over USB.
    Usb {
        /// The name of the target.
        target: String,
    },
    /// Over IEEE 1394.
    Ieee1394 {
        /// The channel.
        channel: u8,
    },
    /// From the machine itself.
    Local,
}

impl FromStr for Debug {
    type Err = String;

    /// `serial`, `serial:1,115200`, `net:HOST:PORT:KEY`, `usb:TARGET`, `1394:CHANNEL` or `local`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no way to debug (expected serial[:PORT[,BAUD]], net:IPV4:PORT:KEY, usb:TARGET, \
                 1394:CHANNEL or local)"
            )
        };
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("serial", "") => Ok(Self::Serial(Serial { port: 1, baud: 115_200 })),
            ("serial", serial) => serial.parse().map(Self::Serial),
            ("net", net) => {
                let mut parts = net.splitn(3, ':');
                let mut next = || parts.next().ok_or_else(wrong);
                let host = next()?.parse().map_err(|_| wrong())?;
                let port = next()?.parse().map_err(|_| wrong())?;
                let key = next()?.to_owned();
                let groups: Vec<&str> = key.split('.').collect();
                let number = |group: &&str| {
                    (1..=13).contains(&group.len()) && group.bytes().all(|c| c.is_ascii_alphanumeric())
                };
                match groups.len() == 4 && groups.iter().all(number) {
                    true => Ok(Self::Net { host, port, key }),
                    false => Err(wrong()),
                }
            }
            ("usb", target) if !target.is_empty() => Ok(Self::Usb { target: target.to_owned() }),
            ("1394", channel) => {
                channel.parse().map(|channel| Self::Ieee1394 { channel }).map_err(|_| wrong())
            }
            ("local", "") => Ok(Self::Local),
            _ => Err(wrong()),
        }
    }
}

/// How files are kept compressed ("Compact OS").
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Compact {
    /// How they are compressed; `None` takes what the source has, or XPRESS with chunks of 8 KiB where Windows has no
    /// such thing.
    pub algorithm: Option<Algorithm>,
    /// Take for granted that Windows will find the driver that reads such files, though the image lacks it.
    pub assume_driver: bool,
    /// Decode what is copied in compressed form, to compare its SHA-1. Without, only its chunk tables are checked.
    pub verify_source: bool,
}

/// A codec of Compact OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Algorithm {
    /// LZX in chunks of 32 KiB: the smallest. Only ever copied from a source that has it.
    Lzx,
    /// XPRESS in chunks of 4 KiB: the fastest to read.
    Xpress4k,
    /// XPRESS in chunks of 8 KiB.
    Xpress8k,
    /// XPRESS in chunks of 16 KiB.
    Xpress16k,
}

impl Algorithm {
    /// The number that a reparse point gives it (`FILE_PROVIDER_COMPRESSION_*`).
    pub fn number(self) -> u32 {
        match self {
            Self::Xpress4k => 0,
            Self::Lzx => 1,
            Self::Xpress8k => 2,
            Self::Xpress16k => 3,
        }
    }

    /// Bytes that are compressed together.
    pub fn chunk_size(self) -> u32 {
        match self {
            Self::Xpress4k => 4 << 10,
            Self::Xpress8k => 8 << 10,
            Self::Xpress16k => 16 << 10,
            Self::Lzx => 32 << 10,
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lzx => "lzx",
            Self::Xpress4k => "xpress4k",
            Self::Xpress8k => "xpress8k",
            Self::Xpress16k => "xpress16k",
        })
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lzx" => Ok(Self::Lzx),
            "xpress4k" => Ok(Self::Xpress4k),
            "xpress8k" => Ok(Self::Xpress8k),
            "xpress16k" => Ok(Self::Xpress16k),
            _ => Err("unknown algorithm (known: lzx, xpress4k, xpress8k, xpress16k)".to_owned()),
        }
    }
}

/// How hard a compressing container tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Least time.
    Fast,
    /// A good balance.
    #[default]
    Default,
    /// Smallest file.
    Best,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fast" => Ok(Self::Fast),
            "default" => Ok(Self::Default),
            "best" => Ok(Self::Best),
            _ => Err("unknown level (known: fast, default, best)".to_owned()),
        }
    }
}

#[cfg(unix)]
pub(crate) fn is_block_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

#[cfg(not(unix))]
pub(crate) fn is_block_device(_: &Path) -> bool {
    false
}

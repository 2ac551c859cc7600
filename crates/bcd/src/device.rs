//! Devices: where a boot application finds a file.
//!
//! A device element is an options object's GUID and one descriptor. A descriptor is a header (type, flags, size) and a
//! body that may hold another descriptor: a RAM disk lies in a file, which lies on a partition. The layout is nowhere
//! documented; every form here was derived from elements that Windows wrote, and the tests hold each against them.
//!
//! A descriptor counts as understood only if the model gives the same bytes back. Whatever does not (kinds that are not
//! modelled, reserved fields in use, a second terminator) becomes [`Device::Other`] and keeps its bytes, so an edited
//! store never loses what its author knew and this crate does not.

use disk::Guid;

mod bytes;
mod words;

use crate::ElementType;

/// Descriptors inside descriptors that are followed. Windows writes up to four (a locate of a virtual disk in a file
/// that is located itself).
const MAX_DEPTH: u32 = 8;

/// The value of a device element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceElement {
    /// The object with further options for the device: of a RAM disk the one that names its SDI file.
    pub options: Option<Guid>,
    /// The device.
    pub device: Device,
}

/// A place that holds files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The partition that the boot manager itself was started from.
    Boot,
    /// A partition.
    Partition(Partition),
    /// The first partition on which a file exists.
    Locate {
        /// Which file.
        by: LocateBy,
        /// Where to look; everywhere if `None`. A virtual disk in practice.
        parent: Option<Box<Device>>,
    },
    /// A file, as a device: what a virtual disk lies in.
    File(FileDevice),
    /// A RAM disk filled from a file (an SDI container or, with an options object, a WIM).
    Ramdisk(FileDevice),
    /// The disk inside a VHD or VHDX file.
    VirtualDisk(Box<Device>),
    /// A complete descriptor that is not understood, header included.
    Other(Vec<u8>),
}

/// A partition as the boot manager recognises it: by what identifies its disk, and where or who it is on that disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// Of a disk with a master boot record.
    Mbr {
        /// The disk signature at 0x1B8 of the master boot record.
        signature: u32,
        /// Where the partition begins, in bytes.
        offset: u64,
    },
    /// Of a disk with a GUID partition table.
    Gpt {
        /// The disk's GUID.
        disk: Guid,
        /// The partition's own GUID (not its type).
        partition: Guid,
    },
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocateBy {
    /// The path that another element of the same object holds.
    Element(ElementType),
    /// This path.
    Path(String),
}

/// A file on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDevice {
    /// The device that holds the file.
    pub parent: Box<Device>,
    /// Its path from the root, with backslashes.
    pub path: String,
}

impl DeviceElement {
    /// Of a device that needs no options.
    pub fn new(device: Device) -> Self {
        Self { options: None, device }
    }

    /// A RAM disk of a WIM `path` on `parent`, with the SDI file that `options` names.
    pub fn ramdisk(parent: Device, path: impl Into<String>, options: Guid) -> Self {
        let file = FileDevice { parent: Box::new(parent), path: path.into() };
        Self { options: Some(options), device: Device::Ramdisk(file) }
    }

    /// The value from its bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) when a size is wrong: the boot manager refuses such an object.
    pub fn from_bytes(bytes: &[u8]) -> crate::Result<Self> {
        bytes::parse(bytes)
    }

    /// The value's bytes, as the registry holds them.
    ///
    /// # Errors
    /// [`Error::Impossible`](crate::Error::Impossible) for a path that contains a NUL, and
    /// [`Error::Limit`](crate::Error::Limit) when it is nested or sized beyond the format.
    pub fn to_bytes(&self) -> crate::Result<Vec<u8>> {
        bytes::emit(self)
    }
}

impl Device {
    /// The partition at the bottom: of a file, RAM disk or virtual disk the one that holds the file.
    ///
    /// `None` for what does not name one ([`Boot`](Self::Boot), [`Locate`](Self::Locate) of any partition).
    pub fn partition(&self) -> Option<Partition> {
        match self.innermost() {
            Self::Partition(partition) => Some(*partition),
            _ => None,
        }
    }

    /// The device that holds the outermost file, if this is a file, a RAM disk or a disk in one: what has to exist
    /// before any of it can be opened.
    pub fn innermost(&self) -> &Device {
        let mut device = self;
        loop {
            device = match device {
                Self::File(file) | Self::Ramdisk(file) => &file.parent,
                Self::VirtualDisk(parent) => parent,
                Self::Locate { parent: Some(parent), .. } => parent,
                _ => return device,
            };
        }
    }

    /// The files that have to be opened to get at this device, the innermost first: of a virtual disk its VHD.
    pub fn files(&self) -> Vec<&FileDevice> {
        let mut files = Vec::new();
        let mut device = self;
        loop {
            device = match device {
                Self::File(file) | Self::Ramdisk(file) => {
                    files.push(file);
                    &file.parent
                }
                Self::VirtualDisk(parent) => parent,
                Self::Locate { parent: Some(parent), .. } => parent,
                _ => break,
            };
        }
        files.reverse();
        files
    }

    /// Whether it is a virtual disk's partition: what bcdedit calls `vhd=`.
    pub(crate) fn as_vhd(&self) -> Option<(&FileDevice, ElementType)> {
        let Self::Locate { by: LocateBy::Element(element), parent: Some(parent) } = self else { return None };
        let Self::VirtualDisk(file) = &**parent else { return None };
        let Self::File(file) = &**file else { return None };
        Some((file, *element))
    }
}

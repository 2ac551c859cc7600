//! What a user of the disk would see, in Windows' or the boot code's own terms.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// How a start fails, as whoever gives up says it.
///
/// The messages of the master boot record and of the NTFS boot record are those of Microsoft's code; other code says the
/// same in other words. Which status is shown for which fault is partly Microsoft's documentation (support articles on
/// machines that do not start), partly observation; the meaning of each is that of `ntstatus.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WindowsError {
    /// The firmware found nothing to start.
    NoBootableDevice,
    /// The master boot record refuses the table.
    InvalidPartitionTable,
    /// The master boot record cannot read the partition.
    ErrorLoadingSystem,
    /// The partition that the master boot record reads has no boot record.
    MissingSystem,
    /// The NTFS boot record cannot read the disk, or does not agree with the BIOS about it.
    DiskRead,
    /// The NTFS boot record finds no BOOTMGR.
    BootmgrMissing,
    /// The NTFS boot record does not decompress BOOTMGR.
    BootmgrCompressed,
    /// BOOTMGR does not find its own parts intact.
    BootmgrCorrupt,
    /// `STATUS_NO_SUCH_DEVICE`
    NoSuchDevice,
    /// `STATUS_NO_SUCH_FILE`
    NoSuchFile,
    /// `STATUS_OBJECT_NAME_NOT_FOUND`
    NameNotFound,
    /// `STATUS_INVALID_IMAGE_FORMAT`
    InvalidImage,
    /// `STATUS_FILE_INVALID`
    FileInvalid,
    /// `STATUS_REGISTRY_CORRUPT`
    RegistryCorrupt,
    /// `STATUS_CANNOT_LOAD_REGISTRY_FILE`
    CannotLoadRegistry,
    /// `STATUS_NOT_FOUND`
    NotFound,
    /// Stop `INACCESSIBLE_BOOT_DEVICE`
    InaccessibleBootDevice,
}

impl WindowsError {
    /// The number or, where there is none, the message on the screen.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoBootableDevice => "no bootable device",
            Self::InvalidPartitionTable => "Invalid partition table",
            Self::ErrorLoadingSystem => "Error loading operating system",
            Self::MissingSystem => "Missing operating system",
            Self::DiskRead => "A disk read error occurred",
            Self::BootmgrMissing => "BOOTMGR is missing",
            Self::BootmgrCompressed => "BOOTMGR is compressed",
            Self::BootmgrCorrupt => "BOOTMGR image is corrupt",
            Self::NoSuchDevice => "0xc000000e",
            Self::NoSuchFile => "0xc000000f",
            Self::NameNotFound => "0xc0000034",
            Self::InvalidImage => "0xc000007b",
            Self::FileInvalid => "0xc0000098",
            Self::RegistryCorrupt => "0xc000014c",
            Self::CannotLoadRegistry => "0xc0000218",
            Self::NotFound => "0xc0000225",
            Self::InaccessibleBootDevice => "stop 0x7B",
        }
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NoBootableDevice => {
                "the firmware finds nothing to start (\"Operating System not found\", \"No bootable device\", ...)"
            }
            Self::InvalidPartitionTable | Self::ErrorLoadingSystem | Self::MissingSystem => {
                "the master boot record gives up"
            }
            Self::DiskRead | Self::BootmgrMissing | Self::BootmgrCompressed => "the boot record gives up",
            Self::BootmgrCorrupt => "the boot manager gives up",
            Self::NoSuchDevice => "a required device is not connected or cannot be accessed",
            Self::NoSuchFile => "a file that is needed to start is missing",
            Self::NameNotFound => "the boot configuration lacks required information",
            Self::InvalidImage => "a program is damaged, or made for another kind of machine",
            Self::FileInvalid => "the boot configuration holds no valid entry for an operating system",
            Self::RegistryCorrupt => "a registry file is missing or contains errors",
            Self::CannotLoadRegistry => "a registry file cannot be loaded",
            Self::NotFound => "something that is needed to start was not found",
            Self::InaccessibleBootDevice => {
                "INACCESSIBLE_BOOT_DEVICE: Windows cannot reach the disk that it was started from"
            }
        }
    }
}

impl fmt::Display for WindowsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for WindowsError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("WindowsError", 2)?;
        error.serialize_field("code", self.code())?;
        error.serialize_field("meaning", self.meaning())?;
        error.end()
    }
}

//! How a disk starts: layout, boot code, and what the boot configuration data (BCD) says.

use bcd::{Debug, Ems};

use super::named::named;

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

named! { Layout, "layout":
    Mbr3 => "mbr3",
    Mbr1 => "mbr1",
    Gpt => "gpt",
}

/// How a disk starts: the boot code, and what the boot configuration data (BCD) says.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub ems: Option<Ems>,
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

named! { BootCode, "boot code":
    Own => "own",
    FromImage => "from-image",
    None => "none",
}

named! { BcdDevice, "device":
    Partition => "partition",
    Locate => "locate",
}

named! { BootMenu, "boot menu":
    Legacy => "legacy",
    Standard => "standard",
}

//! How a disk starts: layout, boot code, and what the boot configuration data (BCD) says.

use std::str::FromStr;

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

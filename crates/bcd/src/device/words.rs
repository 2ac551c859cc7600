//! Devices in words, in the spirit of bcdedit, but complete: what is printed can be typed.
//!
//! ```text
//! boot
//! partition=mbr:36234DA4@0x100000          disk signature and byte offset
//! partition=gpt:DISK:PARTITION             two GUIDs
//! locate=custom:12000002                   the partition that has the file which that element names
//! locate=\path                             the partition that has this file
//! file=[DEVICE]\path
//! ramdisk=[DEVICE]\path,{OPTIONS}
//! vhd=[DEVICE]\path,locate=custom:12000002
//! bytes=00..                               a descriptor that is not understood
//! ```
//!
//! Two forms are for what bcdedit cannot say, either: `disk=[DEVICE]`, a whole virtual disk, and
//! `locate=…,in=[DEVICE]`, a locate that looks somewhere else than on a disk of a VHD.

use std::fmt;
use std::str::FromStr;

use disk::Guid;

use super::{Device, DeviceElement, FileDevice, LocateBy, MAX_DEPTH, Partition};
use crate::names;
use crate::{ElementType, Error};

const EXPECTED: &str = "a device: boot, partition=mbr:SIGNATURE@OFFSET, partition=gpt:DISK:PARTITION, \
    locate=custom:ELEMENT, locate=\\path, file=[DEVICE]\\path, ramdisk=[DEVICE]\\path,{OPTIONS} or vhd=[DEVICE]\\path";

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mbr { signature, offset } => write!(f, "mbr:{signature:08X}@{offset:#x}"),
            Self::Gpt { disk, partition } => write!(f, "gpt:{disk}:{partition}"),
        }
    }
}

impl fmt::Display for FileDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]{}", self.parent, self.path)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, element)) = self.as_vhd() {
            return write!(f, "vhd={file},locate=custom:{element}");
        }
        match self {
            Self::Boot => f.write_str("boot"),
            Self::Partition(partition) => write!(f, "partition={partition}"),
            Self::Locate { by, parent } => {
                match by {
                    LocateBy::Element(element) => write!(f, "locate=custom:{element}")?,
                    LocateBy::Path(path) => write!(f, "locate={path}")?,
                }
                parent.as_ref().map_or(Ok(()), |parent| write!(f, ",in=[{parent}]"))
            }
            Self::File(file) => write!(f, "file={file}"),
            Self::Ramdisk(file) => write!(f, "ramdisk={file}"),
            Self::VirtualDisk(parent) => write!(f, "disk=[{parent}]"),
            Self::Other(bytes) => {
                f.write_str("bytes=")?;
                f.write_str(&disk::hex(bytes))
            }
        }
    }
}

/// Words that can be typed; a device whose paths would be misread (`\\a,{b}`) is printed as its bytes.
impl fmt::Display for DeviceElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options =
            self.options.map_or_else(String::new, |options| format!(",{}", names::object_name(options)));
        let words = format!("{}{options}", self.device);
        if words.parse::<Self>().is_ok_and(|again| *self == again) {
            return f.write_str(&words);
        }
        match (Self { options: None, device: self.device.clone() }).to_bytes() {
            Ok(bytes) => write!(f, "{}{options}", Device::Other(bytes[16..].to_vec())),
            // It cannot be stored, either.
            Err(_) => f.write_str(&words),
        }
    }
}

impl FromStr for DeviceElement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some((device, options)) = text.rsplit_once(",{") {
            let options = options.strip_suffix('}').and_then(names::parse_object_name);
            let options = options.ok_or_else(|| Error::text(text, EXPECTED))?;
            return Ok(Self { options: Some(options), device: device.parse()? });
        }
        Ok(Self::new(text.parse()?))
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, 0).ok_or_else(|| Error::text(text, EXPECTED))
    }
}

fn parse(text: &str, depth: u32) -> Option<Device> {
    if depth > MAX_DEPTH {
        return None;
    }
    if text.eq_ignore_ascii_case("boot") {
        return Some(Device::Boot);
    }
    let (kind, rest) = text.split_once('=')?;
    match kind.to_ascii_lowercase().as_str() {
        "partition" => partition(rest).map(Device::Partition),
        "locate" => {
            let (by, parent) = match rest.split_once(",in=") {
                Some((by, parent)) => {
                    let (parent, "") = bracketed(parent)? else { return None };
                    (by, Some(Box::new(parse(parent, depth + 1)?)))
                }
                None => (rest, None),
            };
            let by = match custom(by) {
                Some(element) => LocateBy::Element(element),
                None => LocateBy::Path(path(by)?),
            };
            Some(Device::Locate { by, parent })
        }
        "file" => file(rest, depth).map(Device::File),
        "ramdisk" => file(rest, depth).map(Device::Ramdisk),
        "disk" => {
            let (parent, "") = bracketed(rest)? else { return None };
            Some(Device::VirtualDisk(Box::new(parse(parent, depth + 1)?)))
        }
        "vhd" => {
            let (file_text, element) = match rest.rsplit_once(",locate=") {
                Some((file, by)) => (file, custom(by)?),
                None => (rest, ElementType::PATH),
            };
            let file = Device::File(file(file_text, depth)?);
            let parent = Some(Box::new(Device::VirtualDisk(Box::new(file))));
            Some(Device::Locate { by: LocateBy::Element(element), parent })
        }
        "bytes" => {
            let element = [vec![0; 16], disk::parse_hex(rest)?].concat();
            DeviceElement::from_bytes(&element).ok().map(|element| element.device)
        }
        _ => None,
    }
}

fn partition(text: &str) -> Option<Partition> {
    let (kind, rest) = text.split_once(':')?;
    match kind.to_ascii_lowercase().as_str() {
        "mbr" => {
            let (signature, offset) = rest.split_once('@')?;
            let signature = signature.strip_prefix("0x").unwrap_or(signature);
            Some(Partition::Mbr {
                signature: u32::from_str_radix(signature, 16).ok()?,
                offset: names::parse_number(offset)?,
            })
        }
        "gpt" => {
            let (disk, partition) = rest.split_once(':')?;
            let guid = |text: &str| text.parse::<Guid>().ok();
            Some(Partition::Gpt { disk: guid(disk)?, partition: guid(partition)? })
        }
        _ => None,
    }
}

/// `custom:12000002`.
fn custom(text: &str) -> Option<ElementType> {
    let (word, digits) = text.split_once(':')?;
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let number = (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok())??;
    word.eq_ignore_ascii_case("custom").then_some(ElementType(number))
}

fn file(text: &str, depth: u32) -> Option<FileDevice> {
    let (parent, rest) = bracketed(text)?;
    Some(FileDevice { parent: Box::new(parse(parent, depth + 1)?), path: path(rest)? })
}

/// A path as the boot environment takes it: from the root, with backslashes.
fn path(text: &str) -> Option<String> {
    (text.starts_with('\\') && !text.contains('\0')).then(|| text.to_owned())
}

/// What is between a bracket at the beginning and its counterpart, and the rest.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?;
    let mut open = 1_usize;
    for (at, c) in inner.char_indices() {
        match c {
            '[' => open += 1,
            ']' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&inner[..at], &inner[at + 1..]));
        }
    }
    None
}

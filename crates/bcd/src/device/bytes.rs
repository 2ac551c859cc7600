//! The bytes of a device element.
//!
//! ```text
//! element     0x00  16  GUID of the options object, or zero
//!             0x10      descriptor; its size and 16 make the whole length
//! descriptor  0x00   4  type: 0 local, 5 boot, 6 partition, 8 locate
//!             0x04   4  flags: 1 for a RAM disk, else 0
//!             0x08   4  size, with this header
//!             0x0C   4  0
//!             0x10      body
//! partition   0x10  16  GPT: the partition's GUID; MBR: u64 byte offset, then zero
//!             0x20   4  kind of the local device: 0, a disk
//!             0x24   4  0 GPT, 1 MBR
//!             0x28  16  GPT: the disk's GUID; MBR: u32 signature, then zero
//!             0x38  16  zero
//! locate      0x10   4  0: the path in an element, 1: the path below
//!             0x14   4  type of that element, or 0
//!             0x18   4  where the parent's descriptor begins, from this descriptor; 0 without
//!             0x1C      path with NUL, then the parent's descriptor
//! local       0x10   4  3 RAM disk, 5 file, 6 virtual disk
//!   file      0x14      path structure
//!   RAM disk  0x14  20  image base, size (u64), offset (u32): zero, then the path structure
//!   virtual   0x14  20  zero, then the parent's descriptor
//! path        0x00   4  1
//!             0x04   4  length, with this header
//!             0x08   4  5: a device and a path on it
//!             0x0C      descriptor, then the path with NUL, to the end
//! ```
//!
//! Derived from stores that Windows 7, 8.1, 10 and 11 wrote. Structures follow each other without padding, so fields
//! behind a path are aligned to two bytes only.

use disk::{At, Guid};

use super::{Device, DeviceElement, FileDevice, LocateBy, MAX_DEPTH, Partition};
use crate::{ElementType, Error, Result};

const HEADER: usize = 16;
/// Size of the descriptors of boot and partition.
const FIXED_SIZE: usize = 0x48;
const PATH_HEADER: usize = 12;
/// Between the kind of a local RAM disk or virtual disk and what it lies in.
const IMAGE_FIELDS: usize = 20;
const LOCATE_PATH: usize = 0x1C;
/// The registry holds values of up to 1 MiB; no device comes near.
const MAX_SIZE: usize = 0x1_0000;

const TYPE_LOCAL: u32 = 0;
const TYPE_BOOT: u32 = 5;
const TYPE_PARTITION: u32 = 6;
const TYPE_LOCATE: u32 = 8;
const FLAG_RAMDISK: u32 = 1;
const LOCAL_DISK: u32 = 0;
const LOCAL_RAMDISK: u32 = 3;
const LOCAL_FILE: u32 = 5;
const LOCAL_VIRTUAL_DISK: u32 = 6;
const STYLE_GPT: u32 = 0;
const STYLE_MBR: u32 = 1;
const PATH_VERSION: u32 = 1;
const PATH_ON_DEVICE: u32 = 5;

pub(super) fn parse(bytes: &[u8]) -> Result<DeviceElement> {
    let Some((options, descriptor)) = bytes.split_first_chunk::<16>() else {
        let reason = format!("{:#x} bytes, expected at least {:#x}", bytes.len(), 16 + HEADER);
        return Err(Error::malformed("device element", 0, reason));
    };
    let size = descriptor_size(descriptor, 16)?;
    if size != descriptor.len() {
        let reason = format!("size {size:#x}, but {:#x} bytes follow the options GUID", descriptor.len());
        return Err(Error::malformed("device descriptor", 16, reason));
    }
    let options = Guid(*options);
    let options = (!options.is_nil()).then_some(options);
    Ok(DeviceElement { options, device: device(descriptor, 16, 0)? })
}

/// The size that the descriptor at the beginning of `bytes` gives itself: it has its header, and is all there.
/// `at` is where it lies in the element.
fn descriptor_size(bytes: &[u8], at: usize) -> Result<usize> {
    let Some(size) = u32_at(bytes, 8).filter(|_| bytes.len() >= HEADER) else {
        let reason = format!("{:#x} bytes left, its header needs {HEADER:#x}", bytes.len());
        return Err(Error::malformed("device descriptor", at, reason));
    };
    let size = size as usize;
    if !(HEADER..=bytes.len()).contains(&size) {
        let reason = format!("size {size:#x}, expected {HEADER:#x} to {:#x}", bytes.len());
        return Err(Error::malformed("device descriptor", at, reason));
    }
    Ok(size)
}

/// What a descriptor that fills `bytes` says, or [`Device::Other`].
fn device(bytes: &[u8], at: usize, depth: u32) -> Result<Device> {
    if depth > MAX_DEPTH {
        let at = At::new("device descriptor", at as u64);
        return Err(Error::Limit { at, what: "nesting", found: depth.into(), limit: MAX_DEPTH.into() });
    }
    let known = known(bytes, at, depth)?;
    // What the model cannot say exactly, it does not say at all.
    let exact = known.filter(|device| {
        let mut again = Vec::new();
        emit_device(device, &mut again, depth).is_ok() && again == bytes
    });
    Ok(exact.unwrap_or_else(|| Device::Other(bytes.to_vec())))
}

fn known(bytes: &[u8], at: usize, depth: u32) -> Result<Option<Device>> {
    let (Some(kind), Some(flags)) = (u32_at(bytes, 0), u32_at(bytes, 4)) else { return Ok(None) };
    Ok(match (kind, flags, u32_at(bytes, 0x10)) {
        (TYPE_BOOT, 0, _) => Some(Device::Boot),
        (TYPE_PARTITION, 0, _) => partition(bytes).map(Device::Partition),
        (TYPE_LOCATE, 0, Some(mode)) => locate(bytes, mode, at, depth)?,
        (TYPE_LOCAL, 0, Some(LOCAL_FILE)) => path(bytes, 0x14, at, depth)?.map(Device::File),
        (TYPE_LOCAL, FLAG_RAMDISK, Some(LOCAL_RAMDISK)) => {
            path(bytes, 0x14 + IMAGE_FIELDS, at, depth)?.map(Device::Ramdisk)
        }
        (TYPE_LOCAL, 0, Some(LOCAL_VIRTUAL_DISK)) => {
            let start = 0x14 + IMAGE_FIELDS;
            let parent = nested(bytes, start, at, depth)?;
            parent.map(|(parent, _)| Device::VirtualDisk(Box::new(parent)))
        }
        _ => None,
    })
}

fn partition(bytes: &[u8]) -> Option<Partition> {
    match u32_at(bytes, 0x24)? {
        STYLE_GPT => Some(Partition::Gpt { disk: guid_at(bytes, 0x28)?, partition: guid_at(bytes, 0x10)? }),
        STYLE_MBR => {
            let offset = bytes.get(0x10..)?.first_chunk()?;
            Some(Partition::Mbr { signature: u32_at(bytes, 0x28)?, offset: u64::from_le_bytes(*offset) })
        }
        _ => None,
    }
}

fn locate(bytes: &[u8], mode: u32, at: usize, depth: u32) -> Result<Option<Device>> {
    let (Some(element), Some(parent)) = (u32_at(bytes, 0x14), u32_at(bytes, 0x18)) else { return Ok(None) };
    let parent_at = parent as usize;
    let (end, parent) = match parent_at {
        0 => (bytes.len(), None),
        _ => match nested(bytes, parent_at, at, depth)? {
            Some((parent, _)) => (parent_at, Some(Box::new(parent))),
            None => return Ok(None),
        },
    };
    let Some(path) = bytes.get(LOCATE_PATH..end).and_then(text) else { return Ok(None) };
    let by = match mode {
        0 if path.is_empty() => LocateBy::Element(ElementType(element)),
        1 => LocateBy::Path(path),
        _ => return Ok(None),
    };
    Ok(Some(Device::Locate { by, parent }))
}

/// A path structure that begins at `start` and ends with the descriptor.
fn path(bytes: &[u8], start: usize, at: usize, depth: u32) -> Result<Option<FileDevice>> {
    let Some(structure) = bytes.get(start..) else { return Ok(None) };
    let Some((parent, size)) = nested(bytes, start + PATH_HEADER, at, depth)? else { return Ok(None) };
    let path = structure.get(PATH_HEADER + size..).and_then(text);
    Ok(path.map(|path| FileDevice { parent: Box::new(parent), path }))
}

/// The descriptor that begins at `start`, and its size.
fn nested(bytes: &[u8], start: usize, at: usize, depth: u32) -> Result<Option<(Device, usize)>> {
    let Some(inner) = bytes.get(start..) else { return Ok(None) };
    let size = descriptor_size(inner, at + start)?;
    Ok(Some((device(&inner[..size], at + start, depth + 1)?, size)))
}

/// UTF-16 with exactly one NUL, at the end.
fn text(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let (0, text) = units.split_last()? else { return None };
    if text.contains(&0) {
        return None;
    }
    String::from_utf16(text).ok()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn guid_at(bytes: &[u8], offset: usize) -> Option<Guid> {
    bytes.get(offset..)?.first_chunk().map(|bytes| Guid(*bytes))
}

pub(super) fn emit(element: &DeviceElement) -> Result<Vec<u8>> {
    let mut out = element.options.unwrap_or(Guid::NIL).0.to_vec();
    emit_device(&element.device, &mut out, 0)?;
    Ok(out)
}

fn emit_device(device: &Device, out: &mut Vec<u8>, depth: u32) -> Result<()> {
    let at = At::new("device descriptor", out.len() as u64);
    if depth > MAX_DEPTH {
        return Err(Error::Limit { at, what: "nesting", found: depth.into(), limit: MAX_DEPTH.into() });
    }
    let start = out.len();
    match device {
        Device::Boot => {
            header(out, TYPE_BOOT, 0);
            out.resize(start + FIXED_SIZE, 0);
        }
        Device::Partition(partition) => {
            header(out, TYPE_PARTITION, 0);
            let (own, style, disk) = match *partition {
                Partition::Gpt { disk, partition } => (partition, STYLE_GPT, disk),
                Partition::Mbr { signature, offset } => {
                    let (mut own, mut disk) = (Guid::NIL, Guid::NIL);
                    own.0[..8].copy_from_slice(&offset.to_le_bytes());
                    disk.0[..4].copy_from_slice(&signature.to_le_bytes());
                    (own, STYLE_MBR, disk)
                }
            };
            out.extend(own.0);
            words(out, &[LOCAL_DISK, style]);
            out.extend(disk.0);
            out.resize(start + FIXED_SIZE, 0);
        }
        Device::Locate { by, parent } => {
            header(out, TYPE_LOCATE, 0);
            let (mode, element, path) = match by {
                LocateBy::Element(element) => (0, element.0, ""),
                LocateBy::Path(path) => (1, 0, path.as_str()),
            };
            words(out, &[mode, element, 0]);
            put_text(path, out)?;
            if let Some(parent) = parent {
                let offset = (out.len() - start) as u32;
                out[start + 0x18..start + 0x1C].copy_from_slice(&offset.to_le_bytes());
                emit_device(parent, out, depth + 1)?;
            }
        }
        Device::File(file) => {
            header(out, TYPE_LOCAL, 0);
            words(out, &[LOCAL_FILE]);
            emit_path(file, out, depth)?;
        }
        Device::Ramdisk(file) => {
            header(out, TYPE_LOCAL, FLAG_RAMDISK);
            words(out, &[LOCAL_RAMDISK]);
            out.extend([0; IMAGE_FIELDS]);
            emit_path(file, out, depth)?;
        }
        Device::VirtualDisk(parent) => {
            header(out, TYPE_LOCAL, 0);
            words(out, &[LOCAL_VIRTUAL_DISK]);
            out.extend([0; IMAGE_FIELDS]);
            emit_device(parent, out, depth + 1)?;
        }
        Device::Other(bytes) => {
            let size = descriptor_size(bytes, start)?;
            if size != bytes.len() {
                let reason = format!("size {size:#x} of {:#x} bytes", bytes.len());
                return Err(Error::malformed("device descriptor", start, reason));
            }
            out.extend(bytes);
        }
    }
    let size = out.len() - start;
    if size > MAX_SIZE {
        return Err(Error::Limit { at, what: "size", found: size as u64, limit: MAX_SIZE as u64 });
    }
    out[start + 8..start + 12].copy_from_slice(&(size as u32).to_le_bytes());
    Ok(())
}

fn emit_path(file: &FileDevice, out: &mut Vec<u8>, depth: u32) -> Result<()> {
    let start = out.len();
    words(out, &[PATH_VERSION, 0, PATH_ON_DEVICE]);
    emit_device(&file.parent, out, depth + 1)?;
    put_text(&file.path, out)?;
    let length = (out.len() - start) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// A descriptor's header; the size is filled in when it is known.
fn header(out: &mut Vec<u8>, kind: u32, flags: u32) {
    words(out, &[kind, flags, 0, 0]);
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn put_text(text: &str, out: &mut Vec<u8>) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::Impossible(format!("path {text:?} contains a NUL")));
    }
    out.extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    Ok(())
}

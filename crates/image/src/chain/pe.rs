//! Programs: for which machine they are made, what they are linked with, and of which version they are.
//!
//! Offsets are those of the PE format as Microsoft documents it ("PE Format"). Everything is read by ranges, so a kernel of
//! 10 MiB costs a few sectors.

use std::fmt;

/// Sections that are looked at; Windows stops at 96.
const MAX_SECTIONS: usize = 96;
/// Names of imported modules that are read. The kernel has about 20.
const MAX_IMPORTS: usize = 256;
/// Bytes of resources in which a version is looked for.
const MAX_RESOURCES: u64 = 1 << 20;

/// What a program runs on ("Machine Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine(pub(super) u16);

impl Machine {
    pub(super) const X86: Self = Self(0x014C);
    pub(super) const X64: Self = Self(0x8664);
    pub(super) const ARM: Self = Self(0x01C4);
    pub(super) const ARM64: Self = Self(0xAA64);

    /// The name that firmware looks for on a disk nobody told it about (UEFI 2.10, 3.5.1.1).
    pub(super) const FALLBACKS: [(Self, &'static str); 4] = [
        (Self::X64, "bootx64.efi"),
        (Self::ARM64, "bootaa64.efi"),
        (Self::X86, "bootia32.efi"),
        (Self::ARM, "bootarm.efi"),
    ];
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::X86 => f.write_str("x86"),
            Self::X64 => f.write_str("x64"),
            Self::ARM => f.write_str("ARM"),
            Self::ARM64 => f.write_str("ARM64"),
            Self(other) => write!(f, "machine {other:#06x}"),
        }
    }
}

/// A version: major, minor, build, revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) [u16; 4]);

impl Version {
    /// Windows 10 and Server 2016 to today's.
    pub(super) const WINDOWS_10: Self = Self([10, 0, 0, 0]);
    /// Windows 8 and Server 2012.
    pub(super) const WINDOWS_8: Self = Self([6, 2, 0, 0]);
    /// Windows 7 and Server 2008 R2.
    pub(super) const WINDOWS_7: Self = Self([6, 1, 0, 0]);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

/// A program.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) machine: Machine,
    /// `IMAGE_SUBSYSTEM_...`: 1 native, 10 EFI application, 16 boot application.
    pub(super) subsystem: u16,
    pub(super) version: Option<Version>,
    /// Modules that it is linked with, in lower case.
    pub(super) imports: Vec<String>,
}

/// An EFI application.
pub(super) const EFI_APPLICATION: u16 = 10;

#[derive(Clone, Copy)]
struct Section {
    address: u64,
    size: u64,
    offset: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads up to so many bytes from an offset of the file; fewer at its end.
pub(super) type Reader<'r> = &'r mut dyn FnMut(u64, u64) -> Result<Vec<u8>, String>;

impl Program {
    /// Looks at a program.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(super) fn parse(read: Reader<'_>) -> Result<Self, String> {
        let head = read(0, 4096)?;
        if !head.starts_with(b"MZ") {
            return Err("is no program (it does not begin with MZ)".to_owned());
        }
        let cut = || "is no program (its headers are cut off)".to_owned();
        let pe = u64::from(u32_at(&head, 0x3C).ok_or_else(cut)?);
        // The file header, an optional header of up to 64 KiB, sections of 40 bytes.
        let head = read(pe, 8192)?;
        if !head.starts_with(b"PE\0\0") {
            return Err(format!("is no program of Windows (no PE header at {pe:#x})"));
        }
        let machine = Machine(u16_at(&head, 4).ok_or_else(cut)?);
        let sections = usize::from(u16_at(&head, 6).ok_or_else(cut)?).min(MAX_SECTIONS);
        let optional = usize::from(u16_at(&head, 20).ok_or_else(cut)?);
        let directories = match u16_at(&head, 24).ok_or_else(cut)? {
            0x10B => 24 + 96,
            0x20B => 24 + 112,
            magic => return Err(format!("is no program of Windows (optional header {magic:#x})")),
        };
        let subsystem = u16_at(&head, 24 + 68).ok_or_else(cut)?;
        let count = u32_at(&head, directories - 4).ok_or_else(cut)?;
        let directory = |number: usize| -> Option<u64> {
            let at = directories + 8 * number;
            let inside = number < count as usize && at + 8 <= 24 + optional;
            inside.then(|| u32_at(&head, at)).flatten().map(u64::from).filter(|&address| address != 0)
        };
        let table = (0..sections).map_while(|number| {
            let at = 24 + optional + 40 * number;
            Some(Section {
                address: u32_at(&head, at + 12)?.into(),
                size: u32_at(&head, at + 16)?.into(),
                offset: u32_at(&head, at + 20)?.into(),
            })
        });
        let table: Vec<Section> = table.collect();
        let imports = match directory(1) {
            Some(address) => imports(read, &table, address)?,
            None => Vec::new(),
        };
        let version = match directory(2) {
            Some(address) => version(read, &table, address)?,
            None => None,
        };
        Ok(Self { machine, subsystem, version, imports })
    }
}

/// Where an address lies in the file, and how many bytes of its section follow.
fn place(table: &[Section], address: u64) -> Option<(u64, u64)> {
    let section =
        table.iter().find(|section| (section.address..section.address + section.size).contains(&address))?;
    let within = address - section.address;
    Some((section.offset + within, section.size - within))
}

fn imports(read: Reader<'_>, table: &[Section], address: u64) -> Result<Vec<String>, String> {
    let Some((offset, left)) = place(table, address) else { return Ok(Vec::new()) };
    let descriptors = read(offset, left.min(20 * MAX_IMPORTS as u64))?;
    let mut names = Vec::new();
    for descriptor in descriptors.chunks_exact(20) {
        let name = u32_at(descriptor, 12).map_or(0, u64::from);
        if name == 0 {
            break;
        }
        let Some((offset, left)) = place(table, name) else { continue };
        let text = read(offset, left.min(64))?;
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let name = String::from_utf8_lossy(&text[..end]).to_lowercase();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The file version in the version resource: found by the signature of `VS_FIXEDFILEINFO`, which lies on a multiple of
/// four bytes.
fn version(read: Reader<'_>, table: &[Section], address: u64) -> Result<Option<Version>, String> {
    let Some((offset, left)) = place(table, address) else { return Ok(None) };
    let resources = read(offset, left.min(MAX_RESOURCES))?;
    let mut words = resources.chunks_exact(4);
    let Some(at) = words.position(|word| word == [0xBD, 0x04, 0xEF, 0xFE]) else { return Ok(None) };
    let number = |field: usize| u32_at(&resources, 4 * at + field);
    let (Some(high), Some(low)) = (number(8), number(12)) else { return Ok(None) };
    // The low halves are meant.
    Ok(Some(Version([(high >> 16) as u16, high as u16, (low >> 16) as u16, low as u16])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Program, String> {
        Program::parse(&mut |offset, limit| {
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            let end = start.saturating_add(limit as usize).min(bytes.len());
            Ok(bytes[start..end].to_vec())
        })
    }

    #[test]
    fn a_program_says_what_it_is() {
        let bytes = testkit::program::Program::x64()
            .version([10, 0, 14393, 0])
            .imports(&["HAL.dll", "kd.dll"])
            .to_bytes();
        let found = parse(&bytes).unwrap();
        assert_eq!((found.machine, found.subsystem), (Machine::X64, 1));
        assert_eq!(found.imports, ["hal.dll", "kd.dll"]);
        assert_eq!(found.version, Some(Version([10, 0, 14393, 0])));
        assert!(found.version > Some(Version::WINDOWS_10));
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_is_a_panic() {
        let bytes =
            testkit::program::Program::x64().version([6, 1, 7601, 0]).imports(&["hal.dll"]).to_bytes();
        for end in 0..bytes.len() {
            let _ = parse(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for value in [0, 0x7F, 0xFF] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let _ = parse(&bytes);
            }
        }
        assert!(parse(b"MZ").is_err());
        assert!(parse(&vec![0; 5000]).is_err());
    }
}

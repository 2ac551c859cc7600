//! The Authenticode hash of a program: what of a file a signature covers.
//!
//! Source: Microsoft, "Windows Authenticode Portable Executable Signature Format". Three parts are left out, since a
//! signature changes them: the checksum, the entry of the security directory, and the signatures themselves, which lie
//! at the end of the file.

use disk::At;

use super::digest::Digests;
use crate::{Error, Result};

/// The checksum's place in the optional header; the same in both formats.
const CHECKSUM: usize = 64;

/// Which directory holds the signatures.
const SECURITY_DIRECTORY: usize = 4;

/// A program's machine type, and the hashes that a signature would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The machine type of its header: 0x8664 for amd64.
    pub machine: u16,
    /// Its Authenticode hashes.
    pub digests: Digests,
    /// The same with zeros behind it up to eight bytes, as tools sign a file of another length. The same as the above
    /// when that says nothing new.
    pub padded: Digests,
    /// Whether there are signatures in the file.
    pub has_signature: bool,
}

/// Whether a file claims to be a program.
pub fn is_program(file: &[u8]) -> bool {
    file.starts_with(b"MZ")
}

/// Reads a program's header and hashes it.
///
/// # Errors
/// [`Error::Malformed`] when it is no PE file, or its signatures do not lie at its end.
pub fn read(file: &[u8]) -> Result<Program> {
    let malformed = |what: &'static str, offset: usize, reason: String| Error::Malformed {
        at: At::new(what, offset as u64),
        reason,
    };
    let bytes = |at: usize, len: usize, what: &'static str| {
        file.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(|| {
            malformed(what, at, format!("{len} bytes expected in a file of {:#x} bytes", file.len()))
        })
    };
    let u16_at = |at, what| bytes(at, 2, what).map(|found| u16::from_le_bytes([found[0], found[1]]));
    let u32_at = |at, what| {
        bytes(at, 4, what).map(|found| u32::from_le_bytes([found[0], found[1], found[2], found[3]]) as usize)
    };
    if !is_program(file) {
        return Err(malformed("program", 0, "does not begin with MZ".to_owned()));
    }
    let header = u32_at(0x3C, "offset of the PE header")?;
    if bytes(header, 4, "PE header")? != b"PE\0\0" {
        return Err(malformed("PE header", header, "is not PE\\0\\0".to_owned()));
    }
    let machine = u16_at(header + 4, "machine type")?;
    let optional = header + 24;
    let directories = match u16_at(optional, "optional header")? {
        0x010B => optional + 96,
        0x020B => optional + 112,
        found => {
            return Err(malformed(
                "optional header",
                optional,
                format!("magic {found:#x}, expected 0x10b or 0x20b"),
            ));
        }
    };
    let checksum = optional + CHECKSUM;
    let count = u32_at(directories - 4, "number of directories")?;
    let entry = directories + 8 * SECURITY_DIRECTORY;
    let mut end = file.len();
    let mut parts = vec![bytes(0, checksum, "header")?];
    let mut has_signature = false;
    if count > SECURITY_DIRECTORY {
        let (start, size) = (u32_at(entry, "security directory")?, u32_at(entry + 4, "security directory")?);
        if size != 0 {
            if start < entry + 8 || start.checked_add(size) != Some(file.len()) {
                let reason =
                    format!("signatures at {start:#x}+{size:#x} in a file of {:#x} bytes", file.len());
                return Err(malformed("security directory", entry, reason));
            }
            end = start;
            has_signature = true;
        }
        parts.push(bytes(checksum + 4, entry - checksum - 4, "header")?);
        parts.push(&file[entry + 8..end]);
    } else {
        bytes(checksum, 4, "checksum")?;
        parts.push(&file[checksum + 4..end]);
    }
    let digests = Digests::of(parts.iter().copied());
    let missing = end.next_multiple_of(8) - end;
    let padded = if missing == 0 || has_signature {
        digests
    } else {
        parts.push(&[0; 8][..missing]);
        Digests::of(parts)
    };
    Ok(Program { machine, digests, padded, has_signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE32+ header with sixteen directories and some bytes behind it.
    fn program(len: usize) -> Vec<u8> {
        let mut file = vec![0; len];
        file[..2].copy_from_slice(b"MZ");
        file[0x3C] = 0x40;
        file[0x40..0x44].copy_from_slice(b"PE\0\0");
        file[0x44..0x46].copy_from_slice(&0x8664_u16.to_le_bytes());
        file[0x58..0x5A].copy_from_slice(&0x020B_u16.to_le_bytes());
        file[0x58 + 108] = 16;
        file
    }

    const SECURITY: usize = 0x58 + 112 + 32;

    #[test]
    fn a_signature_changes_nothing() {
        let plain = program(0x200);
        let before = read(&plain).unwrap();
        let mut signed = plain.clone();
        signed.extend([7; 0x40]);
        signed[0x58 + 64..0x58 + 68].copy_from_slice(&[1, 2, 3, 4]);
        signed[SECURITY..SECURITY + 8].copy_from_slice(&[0, 2, 0, 0, 0x40, 0, 0, 0]);
        let after = read(&signed).unwrap();
        assert_eq!((after.digests, after.has_signature, after.machine), (before.digests, true, 0x8664));
        // Every other byte counts.
        for at in [2, 0x58 + 63, 0x58 + 68, SECURITY - 1, SECURITY + 8, 0x1FF] {
            let mut changed = plain.clone();
            changed[at] ^= 1;
            assert_ne!(read(&changed).unwrap().digests, before.digests, "{at:#x}");
        }
        assert_eq!(before.padded, before.digests);
        let odd = read(&program(0x1FD)).unwrap();
        assert_eq!(odd.padded, before.digests);
        assert_ne!(odd.padded, odd.digests);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let whole = program(0x200);
        for len in 0..SECURITY + 8 {
            assert!(read(&whole[..len]).is_err(), "{len:#x}");
        }
        assert!(read(&whole[..SECURITY + 8]).is_ok());
        for (at, byte) in [(0, 0), (0x3F, 0xFF), (0x40, 0), (0x58, 0x0C)] {
            let mut changed = whole.clone();
            changed[at] = byte;
            assert!(read(&changed).is_err(), "{at:#x}");
        }
        for entry in [[0, 2, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 2, 0, 0], [0xFF; 8]] {
            let mut changed = whole.clone();
            changed[SECURITY..SECURITY + 8].copy_from_slice(&entry);
            assert!(read(&changed).is_err(), "{entry:?}");
        }
        // Without the directory there is nothing to leave out but the checksum.
        let mut few = whole.clone();
        few[0x58 + 108] = 4;
        few[SECURITY] = 9;
        assert!(!read(&few).unwrap().has_signature);
    }
}

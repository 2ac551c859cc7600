//! The values of attributes whose form is known.

use std::io::Cursor;

use binrw::BinRead;
use binrw::meta::ReadEndian;

use super::{Fault, Result, Utf16, part, u16_at, u32_at};
use crate::layout::attribute::{
    EaInformation, FILE_NAME_LEN, FileNameHead, ReparseHead, STANDARD_INFORMATION_LEN,
    STANDARD_INFORMATION_OLD_LEN, StandardInformation, VolumeInformation,
};
use crate::layout::security::{SDS_HEADER_LEN, SdsHeader};

fn fixed<T>(bytes: &[u8], len: usize, what: &'static str) -> Result<T>
where
    T: BinRead + ReadEndian,
    for<'a> T::Args<'a>: Default,
{
    let bytes = part(bytes, 0, len, what, "value")?;
    T::read(&mut Cursor::new(bytes)).map_err(|error| Fault::new(what, "value", 0, error, "the structure"))
}

/// The value of `$STANDARD_INFORMATION`; the fields of NTFS 3.0 are zero when it has only the 48 bytes before them.
///
/// # Errors
/// When it is shorter than that.
pub fn standard_information(value: &[u8]) -> Result<StandardInformation> {
    const WHAT: &str = "$STANDARD_INFORMATION";
    if value.len() >= STANDARD_INFORMATION_LEN {
        return fixed(value, STANDARD_INFORMATION_LEN, WHAT);
    }
    let old = part(value, 0, STANDARD_INFORMATION_OLD_LEN, WHAT, "value")?;
    let mut whole = [0; STANDARD_INFORMATION_LEN];
    whole[..old.len()].copy_from_slice(old);
    fixed(&whole, STANDARD_INFORMATION_LEN, WHAT)
}

/// The value of a `$FILE_NAME`, or the key of a directory's entry.
#[derive(Clone, Copy, Debug)]
pub struct FileName<'a> {
    /// Parent, times, sizes, attributes, namespace.
    pub head: FileNameHead,
    /// The name.
    pub name: Utf16<'a>,
}

/// The name in the value of `$FILE_NAME`.
///
/// # Errors
/// When the value is shorter than it says.
pub fn file_name(value: &[u8]) -> Result<FileName<'_>> {
    const WHAT: &str = "$FILE_NAME";
    let head: FileNameHead = fixed(value, FILE_NAME_LEN, WHAT)?;
    let name = part(value, FILE_NAME_LEN, 2 * usize::from(head.name_len), WHAT, "name")?;
    Ok(FileName { head, name: Utf16::new(name) })
}

/// The value of `$VOLUME_INFORMATION`.
///
/// # Errors
/// When it is shorter than 12 bytes.
pub fn volume_information(value: &[u8]) -> Result<VolumeInformation> {
    fixed(value, 12, "$VOLUME_INFORMATION")
}

/// The value of `$EA_INFORMATION`.
///
/// # Errors
/// When it is shorter than 8 bytes.
pub fn ea_information(value: &[u8]) -> Result<EaInformation> {
    fixed(value, 8, "$EA_INFORMATION")
}

/// The value of a `$REPARSE_POINT`.
#[derive(Clone, Copy, Debug)]
pub struct Reparse<'a> {
    /// Tag and length.
    pub head: ReparseHead,
    /// The GUID of a tag that is not Microsoft's.
    pub guid: Option<&'a [u8]>,
    /// The data.
    pub data: &'a [u8],
}

/// The reparse point in `value` ([MS-FSCC] 2.1.2).
///
/// # Errors
/// When the value is shorter or longer than it says.
pub fn reparse(value: &[u8]) -> Result<Reparse<'_>> {
    const WHAT: &str = "$REPARSE_POINT";
    const HEAD: usize = 8;
    let head: ReparseHead = fixed(value, HEAD, WHAT)?;
    let guid_len = if head.tag & 0x8000_0000 == 0 { 16 } else { 0 };
    let len = usize::from(head.len);
    if value.len() != HEAD + guid_len + len {
        let expected = value.len().saturating_sub(HEAD + guid_len);
        return Err(Fault::new(WHAT, "length of the data", 4, len, expected));
    }
    let (guid, data) = value[HEAD..].split_at(guid_len);
    Ok(Reparse { head, guid: (guid_len > 0).then_some(guid), data })
}

/// An extended attribute.
#[derive(Clone, Copy, Debug)]
pub struct Ea<'a> {
    /// Where its entry begins in `$EA`.
    pub offset: usize,
    /// Flags: 0x80 for one that must be understood.
    pub flags: u8,
    /// Its name, without the NUL.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

/// The entries of `$EA`; ends after the first fault.
#[derive(Clone, Debug)]
pub struct Eas<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The extended attributes in the value of `$EA`.
pub const fn eas(value: &[u8]) -> Eas<'_> {
    Eas { bytes: value, at: 0 }
}

fn ea(bytes: &[u8], at: usize) -> Result<(Ea<'_>, usize)> {
    const WHAT: &str = "$EA";
    let rest = &bytes[at..];
    let head = part(rest, 0, 8, WHAT, "header of an entry").map_err(|fault| fault.moved(at))?;
    let (name_len, value_len) = (usize::from(head[5]), usize::from(u16_at(head, 6).unwrap_or_default()));
    let len = 8 + name_len + 1 + value_len;
    let next = match u32_at(head, 0).unwrap_or_default() as usize {
        // Some writers end the list so.
        0 => rest.len(),
        next => next,
    };
    if next < len || next > rest.len() {
        let expected = format_args!("{len:#x}..={:#x}", rest.len());
        return Err(Fault::new(WHAT, "offset of the next entry", at, format_args!("{next:#x}"), expected));
    }
    let name = &rest[8..8 + name_len];
    let value = &rest[8 + name_len + 1..len];
    Ok((Ea { offset: at, flags: head[4], name, value }, next))
}

impl<'a> Iterator for Eas<'a> {
    type Item = Result<Ea<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let outcome = ea(self.bytes, self.at);
        self.at = match &outcome {
            Ok((_, next)) => self.at + next,
            Err(_) => self.bytes.len(),
        };
        Some(outcome.map(|(ea, _)| ea))
    }
}

/// The header of a descriptor in `$Secure:$SDS`, which is also the data of the entries of `$SII` and `$SDH`.
///
/// # Errors
/// When there are less than 20 bytes.
pub fn sds_header(bytes: &[u8]) -> Result<SdsHeader> {
    fixed(bytes, SDS_HEADER_LEN, "$SDS entry")
}

/// The hash by which `$Secure:$SDH` finds a descriptor: rotate and add, over little-endian words (observed: Windows 10).
pub fn security_hash(descriptor: &[u8]) -> u32 {
    descriptor.chunks(4).fold(0, |hash: u32, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.rotate_left(3).wrapping_add(u32::from_le_bytes(word))
    })
}

/// The parts of a self-relative security descriptor ([MS-DTYP] 2.4.6).
#[derive(Clone, Copy, Debug)]
pub struct Descriptor<'a> {
    /// Control flags.
    pub control: u16,
    /// The owner's SID.
    pub owner: Option<&'a [u8]>,
    /// The group's SID.
    pub group: Option<&'a [u8]>,
    /// The system access control list.
    pub sacl: Option<&'a [u8]>,
    /// The discretionary access control list.
    pub dacl: Option<&'a [u8]>,
}

const DESCRIPTOR: &str = "security descriptor";

/// The security descriptor in `bytes`.
///
/// # Errors
/// When its revision is not 1, it is not self-relative, or a part of it does not lie in it or is impossible.
pub fn descriptor(bytes: &[u8]) -> Result<Descriptor<'_>> {
    let head = part(bytes, 0, 20, DESCRIPTOR, "header")?;
    if head[0] != 1 {
        return Err(Fault::new(DESCRIPTOR, "revision", 0, head[0], 1));
    }
    let control = u16_at(head, 2).unwrap_or_default();
    if control & 0x8000 == 0 {
        return Err(Fault::new(
            DESCRIPTOR,
            "control",
            2,
            format_args!("{control:#x}"),
            "the bit 0x8000 (self-relative)",
        ));
    }
    let offset = |at| Some(u32_at(head, at).unwrap_or_default() as usize).filter(|&offset| offset != 0);
    let sid = |at, field| offset(at).map(|offset| sid(bytes, offset, field)).transpose();
    let acl = |at, present: u16, field| match offset(at) {
        Some(offset) if control & present != 0 => acl(bytes, offset, field).map(Some),
        _ => Ok(None),
    };
    Ok(Descriptor {
        control,
        owner: sid(4, "owner")?,
        group: sid(8, "group")?,
        sacl: acl(12, 0x10, "system ACL")?,
        dacl: acl(16, 0x04, "discretionary ACL")?,
    })
}

fn sid<'a>(bytes: &'a [u8], at: usize, field: &'static str) -> Result<&'a [u8]> {
    let head = part(bytes, at, 8, DESCRIPTOR, field)?;
    if head[0] != 1 || head[1] > 15 {
        let found = format_args!("revision {}, {} subauthorities", head[0], head[1]);
        return Err(Fault::new(DESCRIPTOR, field, at, found, "revision 1, at most 15"));
    }
    part(bytes, at, 8 + 4 * usize::from(head[1]), DESCRIPTOR, field)
}

fn acl<'a>(bytes: &'a [u8], at: usize, field: &'static str) -> Result<&'a [u8]> {
    let head = part(bytes, at, 8, DESCRIPTOR, field)?;
    let len = usize::from(u16_at(head, 2).unwrap_or_default());
    let acl = part(bytes, at, len.max(8), DESCRIPTOR, field)?;
    if !matches!(head[0], 2 | 4) || len < 8 {
        let found = format_args!("revision {}, {len} bytes", head[0]);
        return Err(Fault::new(DESCRIPTOR, field, at, found, "revision 2 or 4, 8 bytes or more"));
    }
    ace_count(acl).map_err(|fault| fault.moved(at))?;
    Ok(acl)
}

/// How many entries an access control list has.
///
/// # Errors
/// When they do not lie in it.
pub fn ace_count(acl: &[u8]) -> Result<u16> {
    let count = u16_at(acl, 4).unwrap_or_default();
    let mut at = 8;
    for _ in 0..count {
        let len = usize::from(acl.get(at..).and_then(|ace| u16_at(ace, 2)).unwrap_or_default());
        let left = acl.len().saturating_sub(at);
        if len < 8 || len > left || !len.is_multiple_of(4) {
            let expected = format_args!("a multiple of 4 in 8..={left}");
            return Err(Fault::new(DESCRIPTOR, "length of an entry", at + 2, len, expected));
        }
        at += len;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::put;

    #[test]
    fn standard_information_of_both_lengths() {
        let mut value = vec![0; 72];
        put(&mut value, 0, &StandardInformation { created: 5, security: 0x101, ..Default::default() });
        assert_eq!(standard_information(&value).unwrap().security, 0x101);
        let old = standard_information(&value[..48]).unwrap();
        assert_eq!((old.created, old.security), (5, 0));
        assert!(standard_information(&value[..47]).is_err());
    }

    #[test]
    fn names() {
        let mut value = vec![0; 66];
        put(&mut value, 0, &FileNameHead { parent: 5, name_len: 1, namespace: 3, ..Default::default() });
        value.extend_from_slice(b"x\0");
        let found = file_name(&value).unwrap();
        assert!(found.name == "x" && found.head.parent == 5);
        assert!(file_name(&value[..67]).is_err() && file_name(&value[..65]).is_err());
    }

    #[test]
    fn reparse_points() {
        let mut value = vec![0x17, 0, 0, 0x80, 2, 0, 0, 0, 8, 9];
        let found = reparse(&value).unwrap();
        assert_eq!((found.head.tag, found.guid, found.data), (0x8000_0017, None, &[8, 9][..]));
        value[3] = 0;
        assert!(reparse(&value).is_err());
        value.splice(8..8, [7; 16]);
        assert_eq!(reparse(&value).unwrap().guid, Some(&[7; 16][..]));
        value.pop();
        assert_eq!(reparse(&value).unwrap_err().offset, 4);
        assert!(reparse(&[]).is_err());
    }

    #[test]
    fn extended_attributes() {
        let mut value = vec![16, 0, 0, 0, 0x80, 1, 4, 0, b'A', 0, 1, 2, 3, 4, 0, 0];
        value.extend_from_slice(&[12, 0, 0, 0, 0, 2, 0, 0, b'B', b'C', 0, 0]);
        let found: Vec<_> = eas(&value).collect::<Result<_>>().unwrap();
        assert_eq!((found[0].name, found[0].value, found[0].flags), (&b"A"[..], &[1, 2, 3, 4][..], 0x80));
        assert_eq!((found[1].name, found[1].value), (&b"BC"[..], &[][..]));
        for (at, byte) in [(0, 8), (0, 200), (16, 13), (21, 9), (22, 1)] {
            let mut bad = value.clone();
            bad[at] = byte;
            assert!(eas(&bad).any(|ea| ea.is_err()) || (at, byte) == (22, 1), "{at}");
        }
        assert!(eas(&value[..20]).last().unwrap().is_err());
    }

    #[test]
    fn descriptors() {
        let mut bytes = vec![1, 0, 4, 0x80];
        for offset in [48u32, 60, 0, 20] {
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        bytes.extend_from_slice(&[2, 0, 28, 0, 1, 0, 0, 0, 0, 3, 20, 0, 0xFF, 1, 0x1F, 0]);
        bytes.extend_from_slice(&[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]);
        let found = descriptor(&bytes).unwrap();
        assert_eq!((found.owner.unwrap().len(), found.dacl.unwrap().len(), found.sacl), (12, 28, None));
        for (at, byte) in
            [(0, 2), (3, 0), (4, 72), (16, 66), (20, 9), (22, 7), (24, 2), (30, 19), (48, 2), (49, 16)]
        {
            let mut bad = bytes.clone();
            bad[at] = byte;
            assert!(descriptor(&bad).is_err(), "{at}");
        }
        for len in 0..bytes.len() {
            assert!(descriptor(&bytes[..len]).is_err(), "{len}");
        }
        assert_eq!(security_hash(&[1, 0, 0, 0, 2]), 10);
    }
}

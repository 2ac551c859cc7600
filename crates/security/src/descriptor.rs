//! Security descriptors ([MS-DTYP] 2.4.6), self-relative: as NTFS, hives and WIM files store them.

use crate::{Ace, Acl, Error, Kind, Result, Sid, flags};

/// Bits of [`Descriptor::control`] ([MS-DTYP] 2.4.6).
pub mod control {
    /// The owner was not given.
    pub const OWNER_DEFAULTED: u16 = 0x0001;
    /// The group was not given.
    pub const GROUP_DEFAULTED: u16 = 0x0002;
    /// There is a discretionary list. Without one in spite of this bit, everybody may do everything.
    pub const DACL_PRESENT: u16 = 0x0004;
    /// The discretionary list was not given.
    pub const DACL_DEFAULTED: u16 = 0x0008;
    /// There is a system list.
    pub const SACL_PRESENT: u16 = 0x0010;
    /// The system list was not given.
    pub const SACL_DEFAULTED: u16 = 0x0020;
    /// What is below inherits the discretionary list.
    pub const DACL_AUTO_INHERIT_REQ: u16 = 0x0100;
    /// What is below inherits the system list.
    pub const SACL_AUTO_INHERIT_REQ: u16 = 0x0200;
    /// The discretionary list knows which of its entries are inherited.
    pub const DACL_AUTO_INHERITED: u16 = 0x0400;
    /// The system list knows which of its entries are inherited.
    pub const SACL_AUTO_INHERITED: u16 = 0x0800;
    /// The discretionary list does not inherit.
    pub const DACL_PROTECTED: u16 = 0x1000;
    /// The system list does not inherit.
    pub const SACL_PROTECTED: u16 = 0x2000;
    /// [`Descriptor::resource_manager`](super::Descriptor::resource_manager) has a meaning.
    pub const RM_CONTROL_VALID: u16 = 0x4000;
    /// Parts are found by offsets.
    pub const SELF_RELATIVE: u16 = 0x8000;
}

/// A security descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// [`control`] bits. [`to_bytes`](Self::to_bytes) adds those that the parts need.
    pub control: u16,
    /// The byte that is the resource manager's own, 0 in what Windows writes.
    pub resource_manager: u8,
    /// The owner.
    pub owner: Option<Sid>,
    /// The group, which Windows keeps for POSIX.
    pub group: Option<Sid>,
    /// Who may do what. `None` with [`control::DACL_PRESENT`]: everybody everything.
    pub dacl: Option<Acl>,
    /// What is audited, and the integrity label.
    pub sacl: Option<Acl>,
}

const HEADER: usize = 20;

impl Descriptor {
    /// The most bytes of a descriptor: two lists, two SIDs and the header, each padded, rounded up.
    pub const MAX_LEN: usize = 0x2_0100;

    /// Only the system and administrators, everything, and nothing inherited: for what holds secrets. What is created
    /// below a directory or a key gets the same.
    pub fn secret(kind: Kind) -> Self {
        let below = match kind {
            Kind::File => 0,
            Kind::Directory => flags::OBJECT_INHERIT | flags::CONTAINER_INHERIT,
            Kind::Key => flags::CONTAINER_INHERIT,
        };
        let full = |sid| Ace::allow(sid, kind.all_access()).with_flags(below);
        Self {
            control: control::SELF_RELATIVE | control::DACL_PRESENT | control::DACL_PROTECTED,
            resource_manager: 0,
            owner: Some(Sid::ADMINISTRATORS),
            group: Some(Sid::SYSTEM),
            dacl: Some(Acl::from(vec![full(Sid::SYSTEM), full(Sid::ADMINISTRATORS)])),
            sacl: None,
        }
    }

    /// The descriptor that `bytes` are, in self-relative form. Bytes that no part uses are dropped, and so is a list that
    /// the control bits do not mention.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a part leaves the descriptor or contradicts the format, [`Error::Limit`] when it is
    /// longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let at = disk::At::new("security descriptor", 0);
        let fault = |reason: String| Error::Malformed { at, reason };
        if bytes.len() > Self::MAX_LEN {
            let (found, limit) = (bytes.len() as u64, Self::MAX_LEN as u64);
            return Err(Error::Limit { at, what: "length", found, limit });
        }
        let head: &[u8; HEADER] = bytes
            .first_chunk()
            .ok_or_else(|| fault(format!("{} bytes, expected at least {HEADER}", bytes.len())))?;
        if head[0] != 1 {
            return Err(fault(format!("revision {}, expected 1", head[0])));
        }
        let control = u16::from_le_bytes([head[2], head[3]]);
        if control & control::SELF_RELATIVE == 0 {
            return Err(fault(format!("control bits {control:#x} without self-relative, {:#x}", 0x8000)));
        }
        let part = |field: usize, what: &'static str| -> Result<Option<(&[u8], usize)>> {
            let offset =
                u32::from_le_bytes([head[field], head[field + 1], head[field + 2], head[field + 3]]) as usize;
            match offset {
                0 => Ok(None),
                // The header is not a part.
                _ if offset >= HEADER && offset < bytes.len() => Ok(Some((&bytes[offset..], offset))),
                _ => Err(fault(format!("{what} at {offset:#x}, expected {HEADER:#x} to {:#x}", bytes.len()))),
            }
        };
        let sid = |part: Option<(&[u8], usize)>| part.map(|(bytes, at)| Sid::parse(bytes, at)).transpose();
        let list = |part: Option<(&[u8], usize)>, present: u16| match part {
            Some((bytes, at)) if control & present != 0 => Acl::parse(bytes, at).map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            control,
            resource_manager: head[1],
            owner: sid(part(4, "owner")?)?,
            group: sid(part(8, "group")?)?,
            sacl: list(part(12, "system list")?, control::SACL_PRESENT)?,
            dacl: list(part(16, "discretionary list")?, control::DACL_PRESENT)?,
        })
    }

    /// Its self-relative form. Parts lie in the order in which Windows writes them: system list, discretionary list,
    /// owner, group.
    ///
    /// # Errors
    /// [`Error::Limit`] and [`Error::Malformed`] when a list does not fit its 16-bit size, or an opaque entry has a length
    /// that is no multiple of 4.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = vec![0; HEADER];
        let mut offsets = [0_u32; 4];
        let mut control = self.control | control::SELF_RELATIVE;
        for (list, present, field) in
            [(&self.sacl, control::SACL_PRESENT, 2), (&self.dacl, control::DACL_PRESENT, 3)]
        {
            if let Some(list) = list {
                control |= present;
                offsets[field] = out.len() as u32;
                list.emit(out.len(), &mut out)?;
            }
        }
        for (field, sid) in [self.owner, self.group].into_iter().enumerate() {
            if let Some(sid) = sid {
                offsets[field] = out.len() as u32;
                sid.emit(&mut out);
            }
        }
        out[0] = 1;
        out[1] = self.resource_manager;
        out[2..4].copy_from_slice(&control.to_le_bytes());
        for (field, offset) in out[4..HEADER].as_chunks_mut::<4>().0.iter_mut().zip(offsets) {
            *field = offset.to_le_bytes();
        }
        Ok(out)
    }

    /// Whether everything in the discretionary list came from above: an object that nobody gave rights of its own.
    pub fn is_all_inherited(&self) -> bool {
        self.control & control::DACL_PROTECTED == 0
            && self.dacl.as_ref().is_some_and(|dacl| {
                !dacl.entries.is_empty()
                    && dacl.entries.iter().all(|entry| entry.flags & flags::INHERITED != 0)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Descriptor {
        "O:SYG:BAD:PAI(A;;FA;;;SY)(A;OICI;0x1200a9;;;BU)(D;;CC;;;WD)S:AI(AU;SAFA;GA;;;WD)(ML;;NW;;;HI)"
            .parse()
            .unwrap()
    }

    #[test]
    fn parses_what_it_writes() {
        let bytes = sample().to_bytes().unwrap();
        assert_eq!(bytes[2..4], 0x9C14_u16.to_le_bytes());
        let back = Descriptor::parse(&bytes).unwrap();
        assert_eq!(back, Descriptor { control: 0x9C14, ..sample() });
        assert_eq!(back.to_bytes().unwrap(), bytes);
    }

    /// No list with the bit of one is another thing than no list.
    #[test]
    fn lists_that_are_not_there() {
        let open: Descriptor = "D:NO_ACCESS_CONTROL".parse().unwrap();
        assert_eq!((open.control, &open.dacl), (0x8004, &None));
        let none: Descriptor = "O:SY".parse().unwrap();
        assert_eq!((none.control, &none.dacl), (0x8000, &None));
        let empty: Descriptor = "D:".parse().unwrap();
        assert_eq!(empty.dacl, Some(Acl::default()));
        for text in ["D:NO_ACCESS_CONTROL", "O:SY", "D:"] {
            let bytes = text.parse::<Descriptor>().unwrap().to_bytes().unwrap();
            assert_eq!(crate::sddl(&bytes).unwrap(), text);
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let bytes = sample().to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(Descriptor::parse(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let Ok(parsed) = Descriptor::parse(&changed) {
                    // What is understood is kept.
                    let again = Descriptor::parse(&parsed.to_bytes().unwrap()).unwrap();
                    assert_eq!(again, parsed);
                }
            }
        }
        for (what, at, value) in [
            ("revision", 0, 2),
            ("self-relative", 3, 0),
            ("owner", 4, 1),
            ("discretionary list", 17, 0x70),
            ("revision", 20, 1),
            ("multiple of 4", 20 + 8 + 2, 21),
        ] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let error = Descriptor::parse(&changed).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
        let error = Descriptor::parse(&vec![0; Descriptor::MAX_LEN + 1]).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }

    #[test]
    fn lists_that_do_not_fit() {
        let many = vec![Ace::allow(Sid::SYSTEM, 1); 3277];
        let big = Descriptor { dacl: Some(Acl::from(many)), ..Descriptor::default() };
        assert!(matches!(big.to_bytes(), Err(Error::Limit { found: 65_548, .. })));
        let mut odd = Ace::allow(Sid::SYSTEM, 1);
        odd.trustee = crate::Trustee::Opaque(vec![0; 3]);
        let odd = Descriptor { dacl: Some(Acl::from(vec![odd])), ..Descriptor::default() };
        assert!(matches!(odd.to_bytes(), Err(Error::Malformed { .. })));
    }

    #[test]
    fn secrets() {
        let text = |kind| Descriptor::secret(kind).to_string();
        assert_eq!(text(Kind::File), "O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)");
        assert_eq!(text(Kind::Directory), "O:BAG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)");
        assert_eq!(text(Kind::Key), "O:BAG:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)");
    }
}

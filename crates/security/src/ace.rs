//! Access control entries and lists ([MS-DTYP] 2.4.4, 2.4.5).

use crate::{Error, Result, Sid};

/// Bits of [`Ace::flags`] ([MS-DTYP] 2.4.4.1).
pub mod flags {
    /// Objects that hold no others (files) inherit it.
    pub const OBJECT_INHERIT: u8 = 0x01;
    /// Objects that hold others (directories, keys) inherit it.
    pub const CONTAINER_INHERIT: u8 = 0x02;
    /// What inherits it does not pass it on.
    pub const NO_PROPAGATE_INHERIT: u8 = 0x04;
    /// It is there to be inherited, and means nothing for the object itself.
    pub const INHERIT_ONLY: u8 = 0x08;
    /// It came from the parent.
    pub const INHERITED: u8 = 0x10;
    /// Of an allowing entry: it must not be removed by central policies.
    pub const CRITICAL: u8 = 0x20;
    /// Of an audit entry: successful accesses.
    pub const SUCCESSFUL_ACCESS: u8 = 0x40;
    /// Of an audit entry: refused accesses.
    pub const FAILED_ACCESS: u8 = 0x80;

    /// The bits that say how it is inherited.
    pub(crate) const INHERITANCE: u8 = 0x0F;
}

/// What an entry does ([MS-DTYP] 2.4.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AceKind {
    /// Type 0.
    Allow,
    /// Type 1.
    Deny,
    /// Type 2.
    Audit,
    /// Type 3.
    Alarm,
    /// Type 0x11: an integrity level, and what those below it may not do.
    MandatoryLabel,
    /// Type 0x13: a central access policy.
    ScopedPolicy,
    /// Any other type: those with object types, conditions, resource attributes. They are kept as they are.
    Other(u8),
}

impl AceKind {
    /// From the type byte.
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0x00 => Self::Allow,
            0x01 => Self::Deny,
            0x02 => Self::Audit,
            0x03 => Self::Alarm,
            0x11 => Self::MandatoryLabel,
            0x13 => Self::ScopedPolicy,
            other => Self::Other(other),
        }
    }

    /// The type byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Allow => 0x00,
            Self::Deny => 0x01,
            Self::Audit => 0x02,
            Self::Alarm => 0x03,
            Self::MandatoryLabel => 0x11,
            Self::ScopedPolicy => 0x13,
            Self::Other(byte) => byte,
        }
    }
}

/// Whom an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trustee {
    /// Somebody.
    Sid(Sid),
    /// What follows the mask of an [`AceKind::Other`], and of an entry that has more bytes than its SID needs.
    Opaque(Vec<u8>),
}

/// An access control entry. All types have a mask behind their header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ace {
    /// What it does.
    pub kind: AceKind,
    /// How it is inherited, what it audits: [`flags`].
    pub flags: u8,
    /// The rights it is about ([MS-DTYP] 2.4.3).
    pub mask: u32,
    /// Whom it is about.
    pub trustee: Trustee,
}

impl Ace {
    /// An entry that allows `sid` what `mask` says, here and nowhere below.
    pub const fn allow(sid: Sid, mask: u32) -> Self {
        Self { kind: AceKind::Allow, flags: 0, mask, trustee: Trustee::Sid(sid) }
    }

    /// The same entry with other [`flags`].
    #[must_use]
    pub const fn with_flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Whom it is about, unless that is opaque.
    pub const fn sid(&self) -> Option<&Sid> {
        match &self.trustee {
            Trustee::Sid(sid) => Some(sid),
            Trustee::Opaque(_) => None,
        }
    }

    const fn len(&self) -> usize {
        8 + match &self.trustee {
            Trustee::Sid(sid) => sid.len(),
            Trustee::Opaque(bytes) => bytes.len(),
        }
    }

    /// The entry at the beginning of `bytes`, and its length.
    fn parse(bytes: &[u8], offset: usize) -> Result<(Self, usize)> {
        let fault = |reason: String| Error::malformed("access control entry", offset, reason);
        let head: &[u8; 8] =
            bytes.first_chunk().ok_or_else(|| fault(format!("{} bytes are left of its 8", bytes.len())))?;
        let [kind, flags, size_low, size_high, mask @ ..] = *head;
        let size = usize::from(u16::from_le_bytes([size_low, size_high]));
        if size % 4 != 0 {
            return Err(fault(format!("size {size:#x}, expected a multiple of 4")));
        }
        let body = bytes
            .get(8..size)
            .ok_or_else(|| fault(format!("size {size:#x}, expected 8 to {:#x}", bytes.len())))?;
        let kind = AceKind::from_byte(kind);
        let trustee = match kind {
            AceKind::Other(_) => Trustee::Opaque(body.to_vec()),
            _ => match Sid::parse(body, offset + 8)? {
                sid if sid.len() == body.len() => Trustee::Sid(sid),
                _ => Trustee::Opaque(body.to_vec()),
            },
        };
        Ok((Self { kind, flags, mask: u32::from_le_bytes(mask), trustee }, size))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.kind.byte(), self.flags]);
        // `Acl::emit` has checked the sum of all sizes.
        out.extend((self.len() as u16).to_le_bytes());
        out.extend(self.mask.to_le_bytes());
        match &self.trustee {
            Trustee::Sid(sid) => sid.emit(out),
            Trustee::Opaque(bytes) => out.extend(bytes),
        }
    }
}

/// An access control list. Its order has a meaning: the first entry that fits decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// 2, or 4 for lists with object types. 3 occurs in old lists.
    pub revision: u8,
    /// The entries, in their order.
    pub entries: Vec<Ace>,
}

impl Default for Acl {
    fn default() -> Self {
        Self { revision: 2, entries: Vec::new() }
    }
}

impl From<Vec<Ace>> for Acl {
    fn from(entries: Vec<Ace>) -> Self {
        Self { revision: 2, entries }
    }
}

impl Acl {
    /// The most bytes of a list: its size has 16 bits, and is a multiple of 4.
    pub const MAX_LEN: usize = 0xFFFC;

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        8 + self.entries.iter().map(Ace::len).sum::<usize>()
    }

    /// The list at the beginning of `bytes`. Room behind its entries is dropped.
    pub(crate) fn parse(bytes: &[u8], offset: usize) -> Result<Self> {
        let fault = |reason: String| Error::malformed("access control list", offset, reason);
        let head: &[u8; 8] =
            bytes.first_chunk().ok_or_else(|| fault(format!("{} bytes are left of its 8", bytes.len())))?;
        let revision = head[0];
        if !(2..=4).contains(&revision) {
            return Err(fault(format!("revision {revision}, expected 2 to 4")));
        }
        let size = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let count = u16::from_le_bytes([head[4], head[5]]);
        let all = bytes
            .get(..size)
            .filter(|all| all.len() >= 8)
            .ok_or_else(|| fault(format!("size {size:#x}, expected 8 to {:#x}", bytes.len())))?;
        let mut at = 8;
        // An entry has 8 bytes at least, so the list's size bounds what is reserved.
        let mut entries = Vec::with_capacity(usize::from(count).min(size / 8));
        for _ in 0..count {
            let (entry, len) = Ace::parse(&all[at..], offset + at)?;
            entries.push(entry);
            at += len;
        }
        Ok(Self { revision, entries })
    }

    pub(crate) fn emit(&self, offset: usize, out: &mut Vec<u8>) -> Result<()> {
        let len = self.len();
        let at = disk::At::new("access control list", offset as u64);
        if len > Self::MAX_LEN {
            let limit = Self::MAX_LEN as u64;
            return Err(Error::Limit { at, what: "size", found: len as u64, limit });
        }
        if let Some(odd) = self.entries.iter().find(|entry| entry.len() % 4 != 0) {
            let reason = format!("an entry of {:#x} bytes, expected a multiple of 4", odd.len());
            return Err(Error::Malformed { at, reason });
        }
        out.extend([self.revision, 0]);
        out.extend((len as u16).to_le_bytes());
        // Each entry has 8 bytes or more, and all fit in 16 bits.
        out.extend((self.entries.len() as u16).to_le_bytes());
        out.extend([0, 0]);
        self.entries.iter().for_each(|entry| entry.emit(out));
        Ok(())
    }
}

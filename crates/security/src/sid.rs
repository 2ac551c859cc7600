//! Security identifiers ([MS-DTYP] 2.4.2): who somebody is.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A security identifier: an authority, and up to 15 numbers below it.
#[derive(Clone, Copy)]
pub struct Sid {
    /// 48 bits.
    authority: u64,
    count: u8,
    parts: [u32; Sid::MAX_PARTS],
}

impl Sid {
    /// The most sub-authorities of a SID.
    pub const MAX_PARTS: usize = 15;
    /// The longest SID in bytes.
    pub const MAX_LEN: usize = 8 + 4 * Self::MAX_PARTS;

    /// `S-1-5-18`, the operating system.
    pub const SYSTEM: Self = Self::well_known(5, &[18]);
    /// `S-1-5-19`.
    pub const LOCAL_SERVICE: Self = Self::well_known(5, &[19]);
    /// `S-1-5-20`.
    pub const NETWORK_SERVICE: Self = Self::well_known(5, &[20]);
    /// `S-1-5-32-544`, the group of this machine's administrators.
    pub const ADMINISTRATORS: Self = Self::well_known(5, &[32, 544]);
    /// `S-1-5-32-545`, the group of this machine's users.
    pub const USERS: Self = Self::well_known(5, &[32, 545]);
    /// `S-1-5-11`, who gave a password.
    pub const AUTHENTICATED_USERS: Self = Self::well_known(5, &[11]);
    /// `S-1-1-0`.
    pub const EVERYONE: Self = Self::well_known(1, &[0]);
    /// `S-1-3-0`: in an inheritable entry, the owner of the new object.
    pub const CREATOR_OWNER: Self = Self::well_known(3, &[0]);
    /// `S-1-3-1`: in an inheritable entry, the group of the new object.
    pub const CREATOR_GROUP: Self = Self::well_known(3, &[1]);
    /// `NT SERVICE\TrustedInstaller`, who owns the files of Windows. The numbers are the SHA-1 of the service's name, so
    /// they are the same on every machine.
    pub const TRUSTED_INSTALLER: Self =
        Self::well_known(5, &[80, 956_008_885, 3_418_522_649, 1_831_038_044, 1_853_292_631, 2_271_478_464]);

    /// A SID that the source code names.
    pub(crate) const fn well_known(authority: u8, numbers: &[u32]) -> Self {
        let mut parts = [0; Self::MAX_PARTS];
        let mut at = 0;
        while at < numbers.len() {
            parts[at] = numbers[at];
            at += 1;
        }
        // `numbers` indexed `parts`, so there are at most 15.
        Self { authority: authority as u64, count: numbers.len() as u8, parts }
    }

    /// The SID of `authority` with the numbers `parts` below it.
    ///
    /// # Errors
    /// [`Error::NotUnderstood`] when the authority needs more than 48 bits, or there are more than 15 numbers.
    pub fn new(authority: u64, parts: &[u32]) -> Result<Self> {
        let mut own = [0; Self::MAX_PARTS];
        match own.get_mut(..parts.len()) {
            Some(own) if authority >> 48 == 0 => own.copy_from_slice(parts),
            _ => return Err(Error::not_understood(&format!("S-1-{authority} with {} numbers", parts.len()))),
        }
        Ok(Self { authority, count: parts.len() as u8, parts: own })
    }

    /// The identifier authority.
    pub const fn authority(&self) -> u64 {
        self.authority
    }

    /// The sub-authorities.
    pub fn parts(&self) -> &[u32] {
        &self.parts[..usize::from(self.count)]
    }

    /// Its length in bytes, 8 to 68.
    #[expect(clippy::len_without_is_empty, reason = "no SID is empty")]
    pub const fn len(&self) -> usize {
        8 + 4 * self.count as usize
    }

    /// The SID at the beginning of `bytes`, of which `offset` is the place in the descriptor.
    pub(crate) fn parse(bytes: &[u8], offset: usize) -> Result<Self> {
        let fault = |reason: String| Error::malformed("security identifier", offset, reason);
        let head: &[u8; 8] =
            bytes.first_chunk().ok_or_else(|| fault(format!("{} bytes are left of its 8", bytes.len())))?;
        let (revision, count) = (head[0], head[1]);
        if revision != 1 {
            return Err(fault(format!("revision {revision}, expected 1")));
        }
        if usize::from(count) > Self::MAX_PARTS {
            return Err(fault(format!("{count} sub-authorities, expected at most {}", Self::MAX_PARTS)));
        }
        let numbers = bytes.get(8..8 + 4 * usize::from(count)).ok_or_else(|| {
            fault(format!("{count} sub-authorities in {} bytes", bytes.len().saturating_sub(8)))
        })?;
        let mut parts = [0; Self::MAX_PARTS];
        for (part, number) in parts.iter_mut().zip(numbers.as_chunks().0) {
            *part = u32::from_le_bytes(*number);
        }
        let authority = head[2..].iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        Ok(Self { authority, count, parts })
    }

    /// Appends its bytes.
    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        out.extend([1, self.count]);
        out.extend(&self.authority.to_be_bytes()[2..]);
        self.parts().iter().for_each(|part| out.extend(part.to_le_bytes()));
    }

    /// Its bytes ([MS-DTYP] 2.4.2.2).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.emit(&mut out);
        out
    }

    /// The SID that `bytes` are.
    ///
    /// # Errors
    /// [`Error::Malformed`] when they are not one, or more than one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let sid = Self::parse(bytes, 0)?;
        if sid.len() != bytes.len() {
            let reason = format!("{} bytes, of which it uses {}", bytes.len(), sid.len());
            return Err(Error::malformed("security identifier", 0, reason));
        }
        Ok(sid)
    }
}

impl PartialEq for Sid {
    fn eq(&self, other: &Self) -> bool {
        (self.authority, self.parts()) == (other.authority, other.parts())
    }
}

impl Eq for Sid {}

/// `S-1-5-32-544`. The authority is hexadecimal from 2³² on ([MS-DTYP] 2.4.2.1).
impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.authority {
            small if small >> 32 == 0 => write!(f, "S-1-{small}")?,
            large => write!(f, "S-1-{large:#014x}")?,
        }
        self.parts().iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// From `S-1-…` with decimal or `0x…` numbers. Letters are [`Descriptor::from_sddl`](crate::Descriptor::from_sddl)'s.
impl FromStr for Sid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fault = || Error::not_understood(text);
        let rest = text.strip_prefix("S-1-").or_else(|| text.strip_prefix("s-1-")).ok_or_else(fault)?;
        let mut numbers = rest.split('-').map(number);
        let authority = numbers.next().flatten().ok_or_else(fault)?;
        let mut parts = Vec::new();
        for part in numbers.take(Self::MAX_PARTS + 1) {
            parts.push(part.and_then(|part| part.try_into().ok()).ok_or_else(fault)?);
        }
        Self::new(authority, &parts).map_err(|_| fault())
    }
}

/// A number without a sign, decimal or `0x…`.
pub(crate) fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` takes a sign.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes() {
        let text = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
        assert_eq!(text.parse::<Sid>().unwrap(), Sid::TRUSTED_INSTALLER);
        assert_eq!(Sid::TRUSTED_INSTALLER.to_string(), text);
        let bytes = Sid::ADMINISTRATORS.to_bytes();
        assert_eq!(bytes, [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]);
        assert_eq!(Sid::from_bytes(&bytes).unwrap(), Sid::ADMINISTRATORS);
        // [MS-DTYP] 2.4.2.1: an authority from 2³² on has twelve hexadecimal digits.
        let large = Sid::new(0x1_0000_0000, &[7]).unwrap();
        assert_eq!(large.to_string(), "S-1-0x000100000000-7");
        assert_eq!(large.to_string().parse::<Sid>().unwrap(), large);
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["", "S-1-", "S-2-5-18", "S-1-5-", "S-1-5-+1", "S-1-5-4294967296", "S-1-281474976710656"]
        {
            assert!(text.parse::<Sid>().is_err(), "{text}");
        }
        let sixteen = format!("S-1-5{}", "-1".repeat(16));
        assert!(sixteen.parse::<Sid>().is_err());
        assert!(sixteen[..sixteen.len() - 2].parse::<Sid>().is_ok());
        assert!(Sid::new(5, &[0; 16]).is_err());
        assert!(Sid::from_bytes(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0]).is_err());
        assert!(Sid::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 5, 18]).is_err());
        assert!(Sid::from_bytes(&[2, 0, 0, 0, 0, 0, 0, 5]).is_err());
        assert!(Sid::from_bytes(&[1, 16, 0, 0, 0, 0, 0, 5]).is_err());
    }
}

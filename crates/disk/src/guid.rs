use std::fmt;
use std::str::FromStr;

/// A GUID, kept as the 16 bytes that Microsoft's formats store: the first three groups little-endian, the rest in
/// the order they are printed ([MS-DTYP] 2.3.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// All zero bytes.
    pub const NIL: Self = Self([0; 16]);

    /// Marks the bytes as a random (version 4, RFC 9562) identifier, so that consumers that look accept it.
    pub const fn into_v4(mut self) -> Self {
        self.0[7] = self.0[7] & 0x0F | 0x40;
        self.0[8] = self.0[8] & 0x3F | 0x80;
        self
    }

    /// Whether every byte is zero.
    pub fn is_nil(self) -> bool {
        self == Self::NIL
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-",
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            u16::from_le_bytes([b[4], b[5]]),
            u16::from_le_bytes([b[6], b[7]]),
            b[8],
            b[9]
        )?;
        b[10..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text was not a GUID of the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, with or without braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID (expected 32 hexadecimal digits in groups of 8-4-4-4-12)")]
pub struct ParseGuidError;

impl FromStr for Guid {
    type Err = ParseGuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let groups: Vec<&str> = text.split('-').collect();
        let well_formed = groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
            && groups.iter().all(|g| g.bytes().all(|c| c.is_ascii_hexdigit()));
        if !well_formed {
            return Err(ParseGuidError);
        }
        let number = u128::from_str_radix(&groups.concat(), 16).map_err(|_| ParseGuidError)?;
        let mut bytes = number.to_be_bytes();
        bytes[0..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_swaps_the_first_three_groups() {
        let text = "2fa54224-cd1b-4876-b211-5dbed83bf4b8";
        let guid: Guid = text.parse().unwrap();
        assert_eq!(guid.0[..4], [0x24, 0x42, 0xa5, 0x2f]);
        assert_eq!(guid.0[8..10], [0xb2, 0x11]);
        assert_eq!(guid.to_string(), text);
        assert_eq!(format!("{{{text}}}").parse(), Ok(guid));
    }

    #[test]
    fn refuses_what_is_not_a_guid() {
        for text in [
            "",
            "2fa54224cd1b4876b2115dbed83bf4b8",
            "2fa54224-cd1b-4876-b211-5dbed83bf4bg",
            "+fa54224-cd1b-4876-b211-5dbed83bf4b8",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(ParseGuidError), "{text}");
        }
    }

    #[test]
    fn version_4_marks() {
        let guid = Guid([0xFF; 16]).into_v4();
        assert_eq!(guid.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}

//! The bytes of a `.reg` file as UTF-16 units, and back.
//!
//! Everything between is in units, not in `str`, because the names of a registry are units, too: some are no valid
//! UTF-16, and a file that regedit wrote carries them as they are.

use super::Error;

/// How a `.reg` file is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-16, little-endian, with a byte order mark: what regedit writes for version 5.00.
    Utf16,
    /// UTF-8, with or without a mark: what editors and other tools write.
    Utf8,
    /// Windows-1252, the ANSI code page of Western Windows: what regedit writes for REGEDIT4.
    Ansi,
}

/// The longest file that is read, in bytes. A whole SOFTWARE hive, exported, has about half of it.
pub const MAX_LEN: usize = 512 << 20;

/// The text of a file. Without a mark it is UTF-8 when it is valid UTF-8, and in the ANSI code page otherwise, or when
/// it begins with `REGEDIT4`.
pub(super) fn decode(bytes: &[u8]) -> Result<(Vec<u16>, Encoding), Error> {
    if bytes.len() > MAX_LEN {
        return Err(Error::Limit { what: "bytes", found: bytes.len() as u64, limit: MAX_LEN as u64 });
    }
    let units = |rest: &[u8], of: fn([u8; 2]) -> u16| -> Result<Vec<u16>, Error> {
        let (pairs, odd) = rest.as_chunks();
        if !odd.is_empty() {
            let what = format!("is UTF-16 with an odd number of bytes ({})", bytes.len());
            return Err(Error::Encoding(what));
        }
        Ok(pairs.iter().map(|&pair| of(pair)).collect())
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => Ok((units(rest, u16::from_le_bytes)?, Encoding::Utf16)),
        [0xFE, 0xFF, rest @ ..] => Ok((units(rest, u16::from_be_bytes)?, Encoding::Utf16)),
        // Text cannot begin with a zero unit, so this is UTF-16 whose mark was lost.
        [_, 0, ..] => Ok((units(bytes, u16::from_le_bytes)?, Encoding::Utf16)),
        [0xEF, 0xBB, 0xBF, rest @ ..] => match std::str::from_utf8(rest) {
            Ok(text) => Ok((text.encode_utf16().collect(), Encoding::Utf8)),
            Err(error) => {
                let at = error.valid_up_to() + 3;
                Err(Error::Encoding(format!("has the mark of UTF-8, but is not valid UTF-8 at byte {at:#x}")))
            }
        },
        _ => match std::str::from_utf8(bytes) {
            Ok(text) if !is_regedit4(bytes) => Ok((text.encode_utf16().collect(), Encoding::Utf8)),
            _ => Ok((bytes.iter().map(|&byte| from_ansi(byte)).collect(), Encoding::Ansi)),
        },
    }
}

fn is_regedit4(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"REGEDIT4")
}

/// What the bytes 0x80 to 0x9F are in Windows-1252. The five that are undefined stand for themselves, as in the
/// "best fit" table that Windows uses.
const ANSI: [u16; 32] = [
    0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152,
    0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161,
    0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
];

/// A byte of Windows-1252.
pub(super) fn from_ansi(byte: u8) -> u16 {
    match byte {
        0x80..=0x9F => ANSI[usize::from(byte - 0x80)],
        _ => byte.into(),
    }
}

/// A unit in Windows-1252, if it is in there.
pub(super) fn to_ansi(unit: u16) -> Option<u8> {
    match unit {
        0..0x80 | 0xA0..=0xFF => Some(unit as u8),
        _ => ANSI.iter().position(|&known| known == unit).map(|at| at as u8 + 0x80),
    }
}

/// Whether the units hold no unpaired surrogate.
pub(super) fn is_utf16(units: &[u16]) -> bool {
    char::decode_utf16(units.iter().copied()).all(|unit| unit.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> (String, Encoding) {
        let (units, encoding) = decode(bytes).unwrap();
        (String::from_utf16(&units).unwrap(), encoding)
    }

    #[test]
    fn every_encoding_is_recognised() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(text(&wide("\u{feff}Köln€")), ("Köln€".to_owned(), Encoding::Utf16));
        assert_eq!(text(&wide("Köln€")), ("Köln€".to_owned(), Encoding::Utf16));
        assert_eq!(text(&[0xFE, 0xFF, 0, b'a', 0x20, 0xAC]), ("a€".to_owned(), Encoding::Utf16));
        assert_eq!(text("\u{feff}Köln€".as_bytes()), ("Köln€".to_owned(), Encoding::Utf8));
        assert_eq!(text("Köln€".as_bytes()), ("Köln€".to_owned(), Encoding::Utf8));
        assert_eq!(text(b"K\xF6ln\x80"), ("Köln€".to_owned(), Encoding::Ansi));
        assert_eq!(text("REGEDIT4 ö".as_bytes()), ("REGEDIT4 Ã¶".to_owned(), Encoding::Ansi));
        assert_eq!(text(b""), (String::new(), Encoding::Utf8));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(matches!(decode(&[0xFF, 0xFE, b'a']), Err(Error::Encoding(_))));
        assert!(matches!(decode(b"\xEF\xBB\xBFa\xFF"), Err(Error::Encoding(what)) if what.contains("0x4")));
    }

    #[test]
    fn ansi_there_and_back() {
        for byte in 0..=255 {
            assert_eq!(to_ansi(from_ansi(byte)), Some(byte));
        }
        assert_eq!(to_ansi(0x100), None);
        assert_eq!(to_ansi(0x80), None);
    }
}

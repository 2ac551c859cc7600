//! From bytes to text.
//!
//! Windows takes an INF file without a byte order mark for text in its ANSI code page, and offline nobody knows which
//! that is. What is valid UTF-8 is taken for it, as authors meant it; anything else for Windows-1252. ASCII, which
//! nearly all files without a mark are, is the same in each.

/// How an INF file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// ASCII, or UTF-8 without a mark.
    Utf8,
    /// UTF-8 with a mark.
    Utf8Mark,
    /// UTF-16, little-endian, with or without a mark.
    Utf16Le,
    /// UTF-16, big-endian, with a mark.
    Utf16Be,
    /// None of these: read as Windows-1252.
    Ansi,
}

/// The characters that Windows-1252 has at 0x80 to 0x9F; the five holes are what Windows makes of them.
const CP1252: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2C6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}', '\u{90}', '\u{2018}',
    '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2DC}', '\u{2122}', '\u{161}',
    '\u{203A}', '\u{153}', '\u{9D}', '\u{17E}', '\u{178}',
];

/// The text of a file, and how it was stored. Unpaired surrogates become U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> (String, Encoding) {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => (utf16(rest, u16::from_le_bytes), Encoding::Utf16Le),
        [0xFE, 0xFF, rest @ ..] => (utf16(rest, u16::from_be_bytes), Encoding::Utf16Be),
        [0xEF, 0xBB, 0xBF, rest @ ..] => (String::from_utf8_lossy(rest).into_owned(), Encoding::Utf8Mark),
        _ if looks_like_utf16(bytes) => (utf16(bytes, u16::from_le_bytes), Encoding::Utf16Le),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), Encoding::Utf8),
            Err(_) => (bytes.iter().map(|&byte| ansi(byte)).collect(), Encoding::Ansi),
        },
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Without a mark: the file begins with two ASCII characters of two bytes each.
fn looks_like_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [a, 0, b, 0, ..] if a.is_ascii() && b.is_ascii() && *a != 0 && *b != 0)
}

fn ansi(byte: u8) -> char {
    match byte {
        0x80..=0x9F => CP1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding() {
        let le: Vec<u8> = "[aé]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = "[aé]".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, encoding) in [
            ([&[0xFF, 0xFE][..], &le].concat(), Encoding::Utf16Le),
            ([&[0xFE, 0xFF][..], &be].concat(), Encoding::Utf16Be),
            (le, Encoding::Utf16Le),
            ("\u{FEFF}[aé]".as_bytes().to_vec(), Encoding::Utf8Mark),
            ("[aé]".as_bytes().to_vec(), Encoding::Utf8),
            (b"[a\xE9]".to_vec(), Encoding::Ansi),
        ] {
            assert_eq!(decode(&bytes), ("[aé]".to_owned(), encoding));
        }
        assert_eq!(decode(b"\x80\x9F").0, "\u{20AC}\u{178}");
    }

    #[test]
    fn half_a_character_is_no_panic() {
        assert_eq!(decode(b"\xFF\xFEa").0, "");
        assert_eq!(decode(&[0xFF, 0xFE, 0, 0xD8]).0, "\u{FFFD}");
    }
}

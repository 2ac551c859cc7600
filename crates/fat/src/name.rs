//! Names: 8.3, and the long ones in front of them.

use std::collections::HashSet;

use crate::layout::{LONG_UNITS, MAX_NAME};

/// A name of eight and three bytes, padded with spaces.
pub(crate) type ShortName = [u8; 11];

/// Why a name cannot be stored, if it cannot.
pub(crate) fn fault(name: &str) -> Option<String> {
    let units = name.encode_utf16().count();
    if name.is_empty() || name == "." || name == ".." {
        return Some(format!("{name:?} is no name"));
    }
    if units > MAX_NAME {
        return Some(format!("a name of {units} UTF-16 units, FAT has {MAX_NAME}"));
    }
    if let Some(bad) = name.chars().find(|&c| c < ' ' || "\"*/:<>?\\|".contains(c) || c == '\u{7F}') {
        return Some(format!("{bad:?} cannot be in a name"));
    }
    // Windows opens no such file by its name.
    name.ends_with(['.', ' ']).then(|| format!("{name:?} ends with a dot or a space"))
}

/// What names of one directory are compared by.
pub(crate) fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).collect()
}

/// Whether two names in UTF-16 are the same to those who look for a file.
pub fn same_name(a: &[u16], b: &[u16]) -> bool {
    let folded = |name: &[u16]| -> Vec<Result<char, u16>> {
        let units = char::decode_utf16(name.iter().copied());
        let upper = |unit: Result<char, _>| match unit {
            Ok(char) => char.to_uppercase().map(Ok).collect(),
            Err(error) => vec![Err(std::char::DecodeUtf16Error::unpaired_surrogate(&error))],
        };
        units.flat_map(upper).collect()
    };
    a == b || folded(a) == folded(b)
}

/// Whether a byte may be in a short name as it is.
fn is_short(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"$%'-_@~`!(){}^#&".contains(&byte)
}

/// The short name that a long one is without loss, case apart.
pub(crate) fn exact(name: &str) -> Option<ShortName> {
    let upper = name.to_ascii_uppercase();
    let (base, extension) = upper.split_once('.').unwrap_or((&upper, ""));
    let fits = |part: &str, len: usize| part.len() <= len && part.bytes().all(is_short);
    let whole = !base.is_empty() && (upper.len() == base.len() || !extension.is_empty());
    (whole && fits(base, 8) && fits(extension, 3)).then(|| padded(base.as_bytes(), extension.as_bytes()))
}

fn padded(base: &[u8], extension: &[u8]) -> ShortName {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

/// Makes a short name with a number for a long one that none fits, different from those `taken`.
pub(crate) fn numbered(name: &str, taken: &HashSet<ShortName>) -> ShortName {
    let part = |text: &str, len: usize| -> Vec<u8> {
        let kept = text.chars().filter(|c| !matches!(c, ' ' | '.'));
        kept.map(|c| match u8::try_from(c.to_ascii_uppercase()) {
            Ok(byte) if is_short(byte) => byte,
            _ => b'_',
        })
        .take(len)
        .collect()
    };
    let name = name.trim_start_matches(['.', ' ']);
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let (base, extension) = (part(base, 8), part(extension, 3));
    (1u32..)
        .map(|number| {
            let tail = format!("~{number}");
            let keep = base.len().min(8 - tail.len().min(8));
            padded(&[&base[..keep], tail.as_bytes()].concat(), &extension)
        })
        .find(|short| !taken.contains(short))
        .expect("a directory has fewer entries than there are numbers")
}

/// What a long name states of the short one it belongs to.
pub(crate) fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The pieces of a long name, in order: padded with one zero and then 0xFFFF.
pub(crate) fn pieces(name: &str) -> Vec<[u16; LONG_UNITS]> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let piece = |chunk: &[u16]| {
        let mut piece = [0xFFFF; LONG_UNITS];
        piece[..chunk.len()].copy_from_slice(chunk);
        if let Some(after) = piece.get_mut(chunk.len()) {
            *after = 0;
        }
        piece
    };
    units.chunks(LONG_UNITS).map(piece).collect()
}

/// The upper half of code page 437, which short names are in where nobody says otherwise.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
                     αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}";

/// A short name as text, in lower case where the entry says so.
pub(crate) fn shown(short: &ShortName, case: u8) -> String {
    let part = |bytes: &[u8], lower: bool| -> String {
        let len = bytes.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
        let text: String = bytes[..len].iter().map(|&byte| decoded(byte)).collect();
        if lower { text.to_lowercase() } else { text }
    };
    let mut bytes = *short;
    if bytes[0] == 0x05 {
        bytes[0] = 0xE5; // which as itself would mark a deleted file
    }
    let (base, extension) = (part(&bytes[..8], case & 0x08 != 0), part(&bytes[8..], case & 0x10 != 0));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

fn decoded(byte: u8) -> char {
    if byte < 0x80 {
        return char::from(byte);
    }
    CP437.chars().nth(usize::from(byte) - 0x80).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A volume's label as text.
pub(crate) fn label(bytes: &ShortName) -> String {
    let text: String = bytes.iter().map(|&byte| decoded(byte)).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_their_own_short_names() {
        for (name, short) in [
            ("BOOTX64.EFI", Some(b"BOOTX64 EFI")),
            ("bootx64.efi", Some(b"BOOTX64 EFI")),
            ("BCD", Some(b"BCD        ")),
            ("a.b", Some(b"A       B  ")),
            ("bootmgfw.efi", Some(b"BOOTMGFWEFI")),
            ("bootmgr.efi.mui", None),
            ("ninechars", None),
            ("a b", None),
            (".x", None),
            ("x.", None),
            ("a+b", None),
            ("é", None),
            ("x.html", None),
        ] {
            assert_eq!(exact(name), short.copied(), "{name}");
        }
    }

    #[test]
    fn numbered_names() {
        let mut taken = HashSet::new();
        for (name, short) in [
            ("bootmgr.efi.mui", b"BOOTMG~1MUI"),
            ("bootmgr.xyz.mui", b"BOOTMG~2MUI"),
            (".profile", b"PROFIL~1   "),
            ("a b.é", b"AB~1    _  "),
            ("segmono_boot.ttf", b"SEGMON~1TTF"),
        ] {
            let made = numbered(name, &taken);
            assert_eq!(made, *short, "{name}");
            taken.insert(made);
        }
        for number in 3..=1000 {
            taken.insert(numbered("bootmgr.efi.mui", &taken));
            assert_eq!(taken.len(), number + 3);
        }
        assert!(taken.contains(b"BOOTM~10MUI") && taken.contains(b"BOOT~100MUI"));
    }

    #[test]
    fn refused_names() {
        for name in ["", ".", "..", "a/b", "a:b", "a\0", "a.", "a ", &"x".repeat(256)] {
            assert!(fault(name).is_some(), "{name:?}");
        }
        assert_eq!(fault(&"x".repeat(255)), None);
        assert_eq!(fault("a+b [c];=,.é"), None);
    }

    #[test]
    fn known_checksum() {
        // From the specification's formula, computed apart: rotate right, add.
        let expected = b"BOOTMGFWEFI".iter().fold(0u32, |sum, &byte| {
            ((if sum & 1 != 0 { 0x80 } else { 0 }) + (sum >> 1) + u32::from(byte)) & 0xFF
        });
        assert_eq!(u32::from(checksum(b"BOOTMGFWEFI")), expected);
    }

    #[test]
    fn shown_names() {
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(shown(b"README  TXT", 0), "README.TXT");
        assert_eq!(shown(b"README  TXT", 0x18), "readme.txt");
        assert_eq!(shown(b"README     ", 0x08), "readme");
        assert_eq!(shown(b"\x05\x81      \xFF  ", 0), "σü.\u{A0}");
    }
}

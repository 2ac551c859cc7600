//! Names: how they are compared, and which of them are Win32 or DOS names.
//!
//! A directory's index is sorted by upper-cased units, shorter before longer, and names that are equal then by their
//! own units. Every name carries a namespace, and Windows' checker judges by it: a long name with a DOS partner (2) is
//! Win32 (1), a name that was given as its own short name is both (3), and all others are POSIX (0), which allows
//! anything. POSIX is what Windows 10 itself gives to every new name while it makes no short ones, `desktop.ini` as
//! well as `System Volume Information` (observed); and it keeps apart, for whoever captures the volume again, the names
//! that came with a short name from those that came without.

use std::cmp::Ordering;

/// Namespaces of `$FILE_NAME`.
pub(crate) const POSIX: u8 = 0;
pub(crate) const WIN32: u8 = 1;
pub(crate) const DOS: u8 = 2;
pub(crate) const WIN32_AND_DOS: u8 = 3;

/// The longest name, in UTF-16 units.
pub(crate) const MAX_UNITS: usize = 255;

/// Compares two names as if their case were the same.
pub(crate) fn compare_ignoring_case(upcase: &[u16], a: &[u16], b: &[u16]) -> Ordering {
    for (&x, &y) in a.iter().zip(b) {
        if x != y {
            match upcase[usize::from(x)].cmp(&upcase[usize::from(y)]) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
    }
    a.len().cmp(&b.len())
}

/// Whether two names are the same when their case is ignored. Siblings begin alike, so it looks at their ends first.
pub(crate) fn equal_ignoring_case(upcase: &[u16], a: &[u16], b: &[u16]) -> bool {
    let same = |(&x, &y): (&u16, &u16)| x == y || upcase[usize::from(x)] == upcase[usize::from(y)];
    a.len() == b.len() && a.iter().zip(b).rev().all(same)
}

/// The order of a directory: [`compare_ignoring_case`], then unit by unit, so that only the same name is equal.
pub(crate) fn compare(upcase: &[u16], a: &[u16], b: &[u16]) -> Ordering {
    compare_ignoring_case(upcase, a, b).then_with(|| a.cmp(b))
}

/// What is wrong with a name of a file, if anything. Stricter than the POSIX namespace (which forbids only `/` and NUL)
/// where no Windows could ever open the file.
pub(crate) fn fault(name: &[u16]) -> Option<&'static str> {
    if name.is_empty() {
        return Some("empty name");
    }
    if name.len() > MAX_UNITS {
        return Some("name longer than 255 UTF-16 units");
    }
    if name == [u16::from(b'.')] || name == [u16::from(b'.'); 2] {
        return Some("`.` and `..` cannot be names");
    }
    name.iter().find_map(|&unit| match u8::try_from(unit) {
        Ok(0) => Some("NUL in a name"),
        Ok(b'/') => Some("`/` in a name"),
        Ok(b'\\') => Some("`\\` in a name"),
        Ok(b':') => Some("`:` in a name"),
        _ => None,
    })
}

/// What is wrong with the name of a stream, if anything.
pub(crate) fn stream_fault(name: &[u16]) -> Option<&'static str> {
    if name.is_empty() {
        return Some("empty stream name");
    }
    if name.len() > MAX_UNITS {
        return Some("stream name longer than 255 UTF-16 units");
    }
    name.iter().find_map(|&unit| match u8::try_from(unit) {
        Ok(0) => Some("NUL in a stream name"),
        Ok(b'/') => Some("`/` in a stream name"),
        Ok(b'\\') => Some("`\\` in a stream name"),
        Ok(b':') => Some("`:` in a stream name"),
        _ => None,
    })
}

/// A set of ASCII characters, as bits: names are checked by the million.
const fn set(characters: &[u8]) -> u128 {
    let mut set = 0;
    let mut at = 0;
    while at < characters.len() {
        set |= 1 << characters[at];
        at += 1;
    }
    set
}

const NOT_WIN32: u128 = set(b"\"*/:<>?\\|");
const NOT_DOS: u128 = set(b" +,;=[]");

fn has(set: u128, unit: u16) -> bool {
    unit < 128 && set >> unit & 1 != 0
}

/// Whether Win32 accepts the name: no control characters, none of `"*<>?|`, no dot or space at the end.
pub(crate) fn is_win32(name: &[u16]) -> bool {
    let last = name.last().copied();
    last != Some(u16::from(b'.'))
        && last != Some(u16::from(b' '))
        && name.iter().all(|&unit| unit >= 0x20 && !has(NOT_WIN32, unit))
}

/// Whether a name has the shape of 8.3: up to 8 units, and after one dot up to 3, none of them forbidden in DOS.
pub(crate) fn is_short(name: &[u16]) -> bool {
    let mut parts = name.split(|&unit| unit == u16::from(b'.'));
    let stem = parts.next().unwrap_or_default();
    let extension = parts.next();
    (1..=8).contains(&stem.len())
        && extension.is_none_or(|extension| (1..=3).contains(&extension.len()))
        && parts.next().is_none()
        && is_win32(name)
        && !name.iter().any(|&unit| has(NOT_DOS, unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upcase;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn order() {
        let sorted = ["$MFT", ".", "a", "A.TXT", "a.txt", "AB", "ab", "aC", "Z", "z1", "Ä", "ä", "\u{4e00}"];
        let table = upcase::table();
        for pair in sorted.windows(2) {
            let (a, b) = (units(pair[0]), units(pair[1]));
            assert_eq!(compare(table, &a, &b), Ordering::Less, "{pair:?}");
            assert_eq!(compare(table, &b, &a), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare_ignoring_case(table, &units("ä"), &units("Ä")), Ordering::Equal);
        for (a, b) in sorted.iter().flat_map(|a| sorted.map(|b| (units(a), units(b)))) {
            assert_eq!(equal_ignoring_case(table, &a, &b), compare_ignoring_case(table, &a, &b).is_eq());
        }
    }

    #[test]
    fn shapes() {
        for (name, win32, short) in [
            ("README.TXT", true, true),
            ("readme.txt", true, true),
            ("LONGNA~1.TXT", true, true),
            ("a", true, true),
            ("ÄRGER.TXT", true, true),
            ("ninechars.txt", true, false),
            ("a.html", true, false),
            (".cfg", true, false),
            ("a.b.c", true, false),
            ("a b", true, false),
            ("a+b", true, false),
            ("a.", false, false),
            ("a ", false, false),
            ("a*b", false, false),
            ("a\u{1}", false, false),
        ] {
            let name_units = units(name);
            assert_eq!(is_win32(&name_units), win32, "{name}");
            assert_eq!(is_short(&name_units), short, "{name}");
        }
    }

    #[test]
    fn faults() {
        for name in ["", ".", "..", "a/b", "a\\b", "a:b", "a\0", &"x".repeat(256)] {
            assert!(fault(&units(name)).is_some(), "{name:?}");
        }
        for name in ["...", " ", "a*b", "\u{1F600}", &"x".repeat(255)] {
            assert_eq!(fault(&units(name)), None, "{name:?}");
        }
        assert!(stream_fault(&units("a:$DATA")).is_some());
        assert_eq!(stream_fault(&units(".")), None);
    }
}

//! 8.3 names as Windows makes them, for names that came without one.
//!
//! Six characters of the name, a tilde and a number up to 4; where those are taken, two characters and four hexadecimal
//! digits of a checksum of the name. (Source: the analysis of ntoskrnl that research/ntfs.md §2 quotes, with its test
//! vectors.) What no code page of DOS can be sure to have becomes an underscore.

use crate::names;

/// The first short name for `long` that `is_taken` does not have, in upper case; `None` when a thousand are taken.
pub(crate) fn generate(long: &[u16], is_taken: impl Fn(&[u16]) -> bool) -> Option<Box<[u16]>> {
    let (stem, extension) = parts(long);
    let candidate = |prefix: &str, number: u32| -> Box<[u16]> {
        let dot = if extension.is_empty() { "" } else { "." };
        format!("{prefix}~{number}{dot}{extension}").encode_utf16().collect()
    };
    let free = |name: Box<[u16]>| (!is_taken(&name)).then_some(name);
    let six: String = stem.chars().take(6).collect();
    // Names of one or two characters take the checksum at once: the number alone would hardly tell them apart.
    if stem.len() > 2
        && let Some(found) = (1..=4).find_map(|number| free(candidate(&six, number)))
    {
        return Some(found);
    }
    let hash = format!("{:04X}", checksum(long));
    (1..1000u32).find_map(|number| {
        let room = 8 - 1 - number.to_string().len();
        let two: String = stem.chars().take(room.saturating_sub(hash.len()).min(2)).collect();
        let prefix: String = format!("{two}{hash}").chars().take(room).collect();
        free(candidate(&prefix, number))
    })
}

/// What is left of stem and extension in 8.3.
fn parts(long: &[u16]) -> (String, String) {
    let dot = u16::from(b'.');
    let first = long.iter().position(|&unit| unit != dot).unwrap_or(long.len());
    let name = &long[first..];
    let (stem, extension) = match name.iter().rposition(|&unit| unit == dot) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (name, &[][..]),
    };
    let fold = |units: &[u16]| -> String {
        units
            .iter()
            .filter_map(|&unit| match u8::try_from(unit) {
                Ok(b' ' | b'.') => None,
                Ok(byte) if byte.is_ascii_graphic() && !b"+,;=[]".contains(&byte) => {
                    Some(byte.to_ascii_uppercase().into())
                }
                _ => Some('_'),
            })
            .collect()
    };
    (fold(stem), fold(extension).chars().take(3).collect())
}

/// Windows' checksum of a name, which tells apart what six characters do not.
fn checksum(long: &[u16]) -> u16 {
    let sum = long.iter().fold(0u16, |sum, &unit| sum.wrapping_mul(0x25).wrapping_add(unit));
    let spread = i32::from(sum).wrapping_mul(314_159_269);
    let spread = u64::from(spread.unsigned_abs());
    let rest = spread.wrapping_sub((spread.wrapping_mul(1_152_921_497) >> 60).wrapping_mul(1_000_000_007));
    let low = rest as u16;
    low >> 12 | low >> 4 & 0x00F0 | low << 4 & 0x0F00 | low << 12
}

/// Whether a name needs a short one beside it.
pub(crate) fn is_needed(long: &[u16]) -> bool {
    names::is_win32(long) && !names::is_short(long)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn checksums_are_those_of_windows() {
        assert_eq!(checksum(&units("a.txt3")), 0xEE90);
        assert_eq!(checksum(&units("a.txt7")), 0xB720);
        assert_eq!(checksum(&units("test file.txt")), 0xB00D);
    }

    #[test]
    fn names_as_windows_makes_them() {
        let mut taken: HashSet<Vec<u16>> = HashSet::new();
        let mut next = |long: &str| {
            let found = generate(&units(long), |name| taken.contains(name)).unwrap();
            assert!(names::is_short(&found), "{long}");
            taken.insert(found.to_vec());
            String::from_utf16(&found).unwrap()
        };
        assert_eq!(next("Program Files"), "PROGRA~1");
        assert_eq!(next("Program Files (x86)"), "PROGRA~2");
        assert_eq!(next("ProgramData"), "PROGRA~3");
        assert_eq!(next("test file.txt"), "TESTFI~1.TXT");
        assert_eq!(next("archive.tar.gz"), "ARCHIV~1.GZ");
        assert_eq!(next(".gitignore"), "GITIGN~1");
        assert_eq!(next("a+b=c.html"), "A_B_C~1.HTM");
        assert_eq!(next("Gr\u{fc}\u{df}e.text"), "GR__E~1.TEX");
        assert_eq!(next("Program Four"), "PROGRA~4");
        // Two characters, and the checksum.
        let fifth = next("Program Five");
        assert!(fifth.starts_with("PR") && fifth.ends_with("~1") && fifth.len() == 8, "{fifth}");
        for number in 0..3000 {
            next(&format!("a long name, number {number}.data"));
        }
    }

    #[test]
    fn no_name_is_left_without_characters() {
        for long in ["\u{65e5}\u{672c}\u{8a9e}", "+", ". .x y", "=.=", "a b"] {
            let found = generate(&units(long), |_| false).unwrap();
            assert!(names::is_short(&found), "{long}: {}", String::from_utf16_lossy(&found));
        }
    }
}

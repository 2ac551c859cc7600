//! The path of a file of an NTFS volume, from its own name and those of the directories above it.

use ntfs_writer::parse::record_of;
use ntfs_writer::read::Volume;

/// The longest path of Windows, in UTF-16 units. What is longer is a circle of directories.
const LONGEST: usize = 32_767;
/// The namespace of the short name beside a long one.
const DOS: u8 = 2;

/// The path of file `number`: `separator` before each name. One that does not lead to the root begins with the number.
pub(crate) fn path_of(volume: &Volume, number: u64, separator: &str) -> String {
    let (names, whole) = names_above(number, |reference| {
        let names = volume.file(reference).and_then(|file| file.names()).ok()?;
        let name = names.iter().find(|name| name.namespace != DOS).or(names.first())?;
        Some((name.parent, name.name.clone()))
    });
    let begin = if whole { String::new() } else { format!("(record {})", record_of(number)) };
    names.iter().rev().fold(begin, |path, name| path + separator + name)
}

/// The names of a file and of the directories above it, the file's first, and whether they lead to the root. `name_of`
/// gives the parent of a file, and its name.
fn names_above(file: u64, mut name_of: impl FnMut(u64) -> Option<(u64, Box<[u16]>)>) -> (Vec<String>, bool) {
    let (mut names, mut units, mut reference) = (Vec::new(), 0, file);
    loop {
        let Some((parent, name)) = name_of(reference) else { return (names, false) };
        if record_of(parent) == record_of(reference) {
            return (names, true);
        }
        units += 1 + name.len();
        if units > LONGEST {
            return (names, false);
        }
        names.push(String::from_utf16_lossy(&name));
        reference = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(len: usize) -> Box<[u16]> {
        vec![u16::from(b'x'); len].into()
    }

    #[test]
    fn the_deepest_path_is_whole() {
        let (names, whole) = names_above(16_383, |file| Some((file.saturating_sub(1), units(1))));
        assert!(whole);
        assert_eq!(names.len(), 16_383);
    }

    #[test]
    fn circles_end_after_the_longest_path() {
        let mut asked = 0;
        let (names, whole) = names_above(7, |file| {
            asked += 1;
            Some((15 - file, units(255)))
        });
        assert!(!whole);
        assert_eq!((names.len(), asked), (127, 128));
    }

    #[test]
    fn what_has_no_name_ends_it() {
        let (names, whole) = names_above(9, |file| (file == 9).then(|| (8, units(3))));
        assert_eq!((names, whole), (vec!["xxx".to_owned()], false));
    }
}

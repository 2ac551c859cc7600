//! What users type for a file of a disk: `disk.vhd:2/Windows/win.ini`.

use std::path::{Path, PathBuf};

/// A disk's file, and where on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPlace {
    /// The file.
    pub file: PathBuf,
    /// The number of the partition, if given.
    pub partition: Option<u32>,
    /// A path inside, empty when not given.
    pub path: String,
}

impl DiskPlace {
    /// Reads `FILE`, `FILE:NUMBER` or `FILE:NUMBER/PATH`. What exists as a file is a file, colons and all.
    pub fn parse(text: &Path) -> Self {
        let whole = || Self { file: text.to_owned(), partition: None, path: String::new() };
        let Some(utf8) = text.to_str() else { return whole() };
        if text.exists() {
            return whole();
        }
        let split = utf8.match_indices(':').find_map(|(at, _)| {
            let (partition, path) = numbered(&utf8[at + 1..])?;
            let file = Path::new(&utf8[..at]);
            file.exists().then(|| Self {
                file: file.to_owned(),
                partition: Some(partition),
                path: path.to_owned(),
            })
        });
        split.unwrap_or_else(whole)
    }
}

/// The number that a path begins with, and the rest, if the first component is nothing but a number.
pub(super) fn numbered(path: &str) -> Option<(u32, &str)> {
    let path = path.trim_start_matches(['/', '\\']);
    let end = path.find(['/', '\\']).unwrap_or(path.len());
    let (number, rest) = path.split_at(end);
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Some((number.parse().ok()?, rest)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("odd:3.vhd");
        std::fs::write(&disk, b"").unwrap();
        let text = |suffix: &str| PathBuf::from(format!("{}{suffix}", disk.display()));
        let place =
            |partition, path: &str| DiskPlace { file: disk.clone(), partition, path: path.to_owned() };
        assert_eq!(DiskPlace::parse(&text("")), place(None, ""));
        assert_eq!(DiskPlace::parse(&text(":2")), place(Some(2), ""));
        assert_eq!(DiskPlace::parse(&text(":2/")), place(Some(2), "/"));
        assert_eq!(DiskPlace::parse(&text(":12\\Windows\\a:b")), place(Some(12), "\\Windows\\a:b"));
        for other in [":", ":x/y", ":2x/y", ":99999999999/y", "/2"] {
            assert_eq!(DiskPlace::parse(&text(other)).file, text(other), "{other}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(numbered("2/Windows"), Some((2, "/Windows")));
        assert_eq!(numbered("/2"), Some((2, "")));
        assert_eq!(numbered("2a/Windows"), None);
        assert_eq!(numbered("/"), None);
        assert_eq!(numbered("99999999999"), None);
    }
}

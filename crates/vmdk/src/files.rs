//! The files of a disk in several files: which there are, and which names are taken for theirs.

use crate::options::{Options, TWO_GB_EXTENT};
use crate::{Kind, Result, impossible};

/// A file with a part of the disk, beside the descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtentFile {
    /// Its name, without directories: what the descriptor says.
    pub name: String,
    /// The first byte of the disk that is in it.
    pub start: u64,
    /// How many bytes of the disk are in it.
    pub len: u64,
}

/// The files beside the descriptor that a disk of this kind and these options is made of, in disk order: before any is
/// made. None for kinds that are one file.
///
/// Names are VMware's: the descriptor's, with `-flat`, `-s001` or `-f001` before the extension.
///
/// # Errors
/// [`Error::Impossible`](crate::Error::Impossible) for options that contradict each other, and kinds that are only read.
pub fn extent_files(kind: Kind, options: &Options) -> Result<Vec<ExtentFile>> {
    options.check(kind)?;
    let (mark, most) = match kind {
        Kind::StreamOptimized | Kind::MonolithicSparse => return Ok(Vec::new()),
        Kind::MonolithicFlat | Kind::Vmfs => ("-flat", options.size),
        Kind::TwoGbMaxExtentSparse => ("-s", TWO_GB_EXTENT),
        Kind::TwoGbMaxExtentFlat => ("-f", TWO_GB_EXTENT),
        Kind::VmfsSparse | Kind::Custom => {
            return Err(impossible(format!("{kind} files are only read")));
        }
    };
    let stem = options.name.len().checked_sub(5).and_then(|dot| options.name.split_at_checked(dot));
    let (stem, extension) = match stem {
        Some((stem, extension)) if !stem.is_empty() && extension.eq_ignore_ascii_case(".vmdk") => {
            (stem, extension)
        }
        _ => (options.name.as_str(), ".vmdk"),
    };
    let extents = (0..options.size.div_ceil(most)).map(|index| {
        let start = index * most;
        let name = match mark {
            "-flat" => format!("{stem}{mark}{extension}"),
            _ => format!("{stem}{mark}{:03}{extension}", index + 1),
        };
        ExtentFile { name, start, len: most.min(options.size - start) }
    });
    Ok(extents.collect())
}

/// What keeps `name` from being that of a file beside the descriptor.
///
/// A descriptor is somebody's text, and names files that would be opened with the rights of whoever reads it
/// (CVE-2022-47951: `FLAT "/etc/passwd"`). Products also read absolute paths; here a name is a name.
pub(crate) fn fault_of_name(name: &str) -> Option<&'static str> {
    let device = |stem: &str| {
        let numbered = |prefix: &str| {
            let rest = stem.get(prefix.len()..).filter(|_| stem[..prefix.len()].eq_ignore_ascii_case(prefix));
            rest.is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
        };
        ["con", "prn", "aux", "nul"].iter().any(|device| stem.eq_ignore_ascii_case(device))
            || (stem.len() == 4 && stem.is_ascii() && (numbered("com") || numbered("lpt")))
    };
    if name.is_empty() {
        Some("has no name")
    } else if name.len() > 255 {
        Some("has a name of more than 255 bytes")
    } else if name.contains(['/', '\\']) || name == "." || name == ".." {
        Some("is not beside the descriptor")
    } else if name.contains(|c: char| c.is_control() || "\":*?<>|".contains(c)) {
        Some("has a character in its name that not every system has")
    } else if name.contains(char::REPLACEMENT_CHARACTER) {
        Some("has a name in an encoding other than UTF-8")
    } else if device(name.split('.').next().unwrap_or_default().trim_end()) {
        Some("has the name of a device")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn names_of_files_beside_the_descriptor() {
        for name in ["disk-flat.vmdk", "größe 1.vmdk", "..disk", "a..b", "com10", "console.vmdk", "x"] {
            assert_eq!(fault_of_name(name), None, "{name}");
        }
        let long = "x".repeat(256);
        for name in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "../x",
            "a/b",
            "a\\b",
            "..\\x",
            "C:x",
            "C:\\x",
            "x:stream",
            "a\0b",
            "a\nb",
            "a\"",
            "nul",
            "NUL.vmdk",
            "Com1.vmdk",
            "lpt9",
            "con .txt",
            "\\\\.\\PhysicalDrive0",
            "gr\u{fffd}",
            &long,
        ] {
            assert!(fault_of_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn names_and_sizes() {
        let of = |kind, size, name: &str| extent_files(kind, &Options::new(size, name, 1)).unwrap();
        assert!(of(Kind::MonolithicSparse, 1 << 20, "disk.vmdk").is_empty());
        let flat = of(Kind::MonolithicFlat, (1 << 20) + 512, "Disk.VMDK");
        assert_eq!(flat, [ExtentFile { name: "Disk-flat.VMDK".into(), start: 0, len: (1 << 20) + 512 }]);
        assert_eq!(of(Kind::Vmfs, 512, "disk")[0].name, "disk-flat.vmdk");
        assert_eq!(of(Kind::Vmfs, 512, ".vmdk")[0].name, ".vmdk-flat.vmdk");
        assert_eq!(of(Kind::TwoGbMaxExtentFlat, 512, "größ")[0].name, "größ-f001.vmdk");
        let split = of(Kind::TwoGbMaxExtentSparse, 2040 << 30, "a.vmdk");
        assert_eq!(split.len(), 1021);
        assert_eq!(
            split[1],
            ExtentFile { name: "a-s002.vmdk".into(), start: 4_192_256 * 512, len: 4_192_256 * 512 }
        );
        assert_eq!(split[1020].name, "a-s1021.vmdk");
        assert_eq!(split[1020].start + split[1020].len, 2040 << 30);
        // A disk that is a whole number of extents has no empty one at its end.
        assert_eq!(of(Kind::TwoGbMaxExtentSparse, TWO_GB_EXTENT, "a.vmdk").len(), 1);
        assert!(matches!(
            extent_files(Kind::Custom, &Options::new(512, "a.vmdk", 1)),
            Err(Error::Impossible { .. })
        ));
    }
}

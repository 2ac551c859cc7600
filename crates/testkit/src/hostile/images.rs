//! Images with an odd tree.

use crate::wimfile::{Content, Entry, WimFile};

/// A directory list that is its own descendant: `/outer/inner` has the entries of `/outer`, `inner` among them.
/// Walking it never ends; wimlib has a fixture of this kind because WIMGAPI once did not.
pub fn cyclic() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Cyclic");
    let root = image.root();
    let outer = image.add(root, Entry::directory("outer"));
    let inner = image.add(outer, Entry::directory("inner"));
    image.add(outer, Entry::file("file.txt", "seen from every level"));
    image.share_entries(inner, outer);
    wim
}

/// Sixty levels, in each two directories with the same list: a kilobyte or ten of metadata that spell 2^60 paths.
/// A limit on depth does not help; the entries themselves have to be counted.
pub fn exploding() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Exploding");
    let mut directory = image.root();
    for _ in 0..60 {
        let first = image.add(directory, Entry::directory("a"));
        let second = image.add(directory, Entry::directory("b"));
        image.share_entries(second, first);
        directory = first;
    }
    image.add(directory, Entry::file("bottom.txt", "2^60 names"));
    wim
}

/// Twenty thousand directories, one inside the other: recursion overflows the stack.
pub fn deep() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Deep");
    let mut directory = image.root();
    for _ in 0..20_000 {
        directory = image.add(directory, Entry::directory("d"));
    }
    wim
}

/// The names that [`names`] has beside `honest.txt`.
pub const NAMES: [&str; 10] =
    [".", "..", "", "../escape.txt", "..\\escape.txt", "a/b", "a\\b", "nul\0inside", "stream:name", "C:"];

/// Names that lead out of the directory, into another, or to nothing, beside one honest file. WIMGAPI follows `..`.
pub fn names() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Names");
    let root = image.root();
    image.add(root, Entry::file("honest.txt", "honest"));
    for name in NAMES {
        image.add(root, Entry::file(name, "hostile"));
    }
    wim
}

/// A name of 256 units: one more than NTFS has room for.
pub fn long_name() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Long name");
    let root = image.root();
    image.add(root, Entry::file(&"n".repeat(256), "too long"));
    wim
}

/// Two entries of the same name in one directory, and two that differ only in case (which is legal).
pub fn duplicate_names() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Duplicates");
    let root = image.root();
    image.add(root, Entry::file("twice.txt", "first"));
    image.add(root, Entry::file("twice.txt", "second"));
    image.add(root, Entry::file("Case.txt", "upper"));
    image.add(root, Entry::file("case.txt", "lower"));
    wim
}

/// The path in [`missing_blob`] whose content nobody has.
pub const MISSING: &str = "folder/missing.bin";

/// A file whose hash is not in the blob table, as in one part of a split set, or after a failed edit.
pub fn missing_blob() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Missing blob");
    let root = image.root();
    image.add(root, Entry::file("present.txt", "present"));
    let folder = image.add(root, Entry::directory("folder"));
    image.add(folder, Entry { data: Content::Absent([0xAB; 20]), ..Entry::file("missing.bin", "") });
    wim
}

/// Two files with the same hard-link group and different content. Windows 7's own `install.wim` has such groups:
/// they are two files.
pub fn false_links() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("False links");
    let root = image.root();
    for (name, data) in [("one.txt", "one"), ("two.txt", "two"), ("one again.txt", "one")] {
        image.add(root, Entry { link_group: 0x77, ..Entry::file(name, data) });
    }
    wim
}

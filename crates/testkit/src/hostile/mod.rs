//! WIMs that no honest tool writes. Each has its story; what a reader may do with it is up to the reader, as long as it
//! ends soon, takes little memory, and says something useful.
//!
//! Among them are images with an odd tree, for any test to use. [`fixtures`] are the files of `testdata/hostile`: every
//! kind of attack that WIM readers are known to have met, one fault in each file, with the answer that is expected.

mod blobs;
mod bombs;
mod chunks;
mod codecs;
mod dentries;
mod encoders;
mod header;
mod images;
mod readme;
mod split;
mod xml;

pub use images::{
    MISSING, NAMES, cyclic, deep, duplicate_names, exploding, false_links, long_name, missing_blob, names,
};
pub use readme::readme;

use std::path::PathBuf;
use std::sync::LazyLock;

/// Who or what an error blames, as the readers' error types have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The file contradicts itself or the format.
    Malformed,
    /// The file uses what is not read.
    Unsupported,
    /// A size or count is above a limit.
    Limit,
    /// The content does not have its hash.
    Hash,
    /// A split set lacks a part.
    MissingPart,
}

/// What a reader has to make of a file. The words are part of what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does not open.
    Refused(Family, &'static str),
    /// It opens, but its image cannot be used.
    NoImage(Family, &'static str),
    /// Image and names can be used; the content of at least one file cannot, all others can.
    Damaged(&'static str),
    /// All of it can be used: a warning says what was worked around. Without words, nothing is wrong with it.
    Recovered(&'static str),
}

/// A file, or the parts of a split set, with one fault.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The number of its class, as in the README.
    pub class: usize,
    /// What it is called, unique in its class; in a set the name of its directory.
    pub name: &'static str,
    /// Names and contents of its files. The first one is opened.
    pub files: Vec<(String, Vec<u8>)>,
    /// What is wrong, and where.
    pub wrong: &'static str,
    /// What a reader would do that believes it.
    pub naive: &'static str,
    /// What ours does.
    pub answer: Answer,
    /// The exit code of `build --dry-run`, where it does not follow from the answer.
    pub build: Option<i32>,
}

impl Fixture {
    /// Where its files lie below `testdata/hostile`.
    pub fn paths(&self) -> Vec<PathBuf> {
        let class = PathBuf::from(CLASSES[self.class - 1].0);
        let directory = if self.files.len() == 1 && !self.is_set() { class } else { class.join(self.name) };
        self.files.iter().map(|(file, _)| directory.join(file)).collect()
    }

    /// Whether it has a directory of its own.
    fn is_set(&self) -> bool {
        self.class == 10
    }

    /// With this exit code of `build --dry-run`.
    #[must_use]
    fn build(mut self, code: i32) -> Self {
        self.build = Some(code);
        self
    }
}

/// The classes, in order: directory and title.
pub const CLASSES: [(&str, &str); 11] = [
    ("01-header", "Header fields"),
    ("02-blob-table", "Blob table and solid resources"),
    ("03-chunk-tables", "Chunk tables"),
    ("04-bombs", "Small files with much in them"),
    ("05-dentries", "Directory entries"),
    ("06-lzx", "LZX chunks"),
    ("07-xpress", "XPRESS chunks"),
    ("08-lzms", "LZMS chunks"),
    ("09-xml", "XML data"),
    ("10-split", "Split sets"),
    ("11-io", "Input and output"),
];

/// All of them, in the order of the classes. Class 11 has none: see the README.
pub fn fixtures() -> &'static [Fixture] {
    static ALL: LazyLock<Vec<Fixture>> = LazyLock::new(make);
    &ALL
}

fn make() -> Vec<Fixture> {
    [
        header::fixtures(),
        blobs::fixtures(),
        chunks::fixtures(),
        bombs::fixtures(),
        dentries::fixtures(),
        codecs::lzx(),
        codecs::xpress(),
        codecs::lzms(),
        xml::fixtures(),
        split::fixtures(),
    ]
    .concat()
}

/// A fixture of one file.
fn one(
    class: usize,
    name: &'static str,
    bytes: Vec<u8>,
    wrong: &'static str,
    naive: &'static str,
    answer: Answer,
) -> Fixture {
    let files = vec![(format!("{name}.wim"), bytes)];
    Fixture { class, name, files, wrong, naive, answer, build: None }
}

/// The image that most fixtures begin as: one honest file.
fn honest() -> crate::wimfile::WimFile {
    let mut wim = crate::wimfile::WimFile::new();
    let image = wim.image("hostile");
    let root = image.root();
    image.add(root, crate::wimfile::Entry::file("honest.txt", "honest"));
    wim
}

/// SHA-1 of content that a fixture talks about and that nobody has.
const NOBODY: [u8; 20] = [0xC6; 20];

/// The same with a file `odd.bin` whose content has the hash `sha1`, which is not in the blob table yet.
fn with_odd(sha1: [u8; 20]) -> Vec<u8> {
    use crate::wimfile::{Content, Entry};
    let mut wim = crate::wimfile::WimFile::new();
    let image = wim.image("hostile");
    let root = image.root();
    image.add(root, Entry::file("honest.txt", "honest"));
    image.add(root, Entry { data: Content::Absent(sha1), ..Entry::file("odd.bin", "") });
    wim.to_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn small_files_with_large_claims() {
        for (wim, limit) in [(cyclic(), 2_000), (exploding(), 20_000), (names(), 4_000), (deep(), 3_000_000)]
        {
            let size = wim.to_bytes().len();
            assert!(size < limit, "{size}");
        }
    }

    #[test]
    fn every_class_and_no_name_twice() {
        let fixtures = fixtures();
        for class in 1..=10 {
            assert!(fixtures.iter().any(|fixture| fixture.class == class), "{class}");
        }
        let paths: BTreeSet<PathBuf> = fixtures.iter().flat_map(Fixture::paths).collect();
        assert_eq!(paths.len(), fixtures.iter().map(|fixture| fixture.files.len()).sum::<usize>());
        for (fixture, (path, bytes)) in
            fixtures.iter().flat_map(|fixture| fixture.files.iter().map(move |file| (fixture, file)))
        {
            assert!(bytes.len() < 16_000, "{} {path}: {} bytes", fixture.name, bytes.len());
        }
    }
}

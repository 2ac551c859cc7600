//! WIM files: of every codec, solid, pipable, split, with an integrity table and without.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use disk::ReadAt;
use image::WimSource;
use image::pipeline::BlobStore;
use testkit::testdata;
use wim::verify::{Integrity, Progress, Report};
use wim::{BlobId, Source, Wim};

use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Opened, Seen, Subject};

/// More than any fixture holds in one file.
const MAX_BLOB: u64 = 4 << 20;

/// One WIM, as `wimforge` reads it.
struct One;

/// A split set.
struct Set;

impl Subject for One {
    fn open(&self, files: &[Arc<Changed>]) -> Result<Box<dyn Opened + '_>, String> {
        let source: Arc<dyn ReadAt> = files[0].clone();
        let source = WimSource::open_reader(Path::new("flipped.wim"), source);
        Ok(Box::new(OpenedOne(source.map_err(|error| error.to_string())?)))
    }
}

impl Subject for Set {
    fn open(&self, files: &[Arc<Changed>]) -> Result<Box<dyn Opened + '_>, String> {
        let sources = files.iter().map(|file| file.clone() as Source).collect();
        Ok(Box::new(OpenedSet(Wim::open_set(sources).map_err(|error| error.to_string())?)))
    }
}

struct OpenedOne(WimSource);
struct OpenedSet(Wim);

fn shown(wim: &Wim) -> Seen {
    let header = wim.header();
    let told = format!(
        "{:#x} {:#x} {} {} {} {}/{} {} {} {:?}",
        header.version,
        header.flags,
        header.codec,
        header.chunk_size,
        header.guid,
        header.part,
        header.parts,
        header.pipable,
        wim.has_integrity(),
        wim.xml()
    );
    let data = format!("{:?} {}", wim.boot_index(), wim.image_count()).into_bytes();
    Seen { told, data, warnings: wim.warnings().iter().map(ToString::to_string).collect() }
}

fn parts(wim: &Wim) -> usize {
    wim.image_count() as usize + wim.blobs().len()
}

/// The tree of an image.
fn image(wim: &Wim, index: usize) -> Result<Seen, String> {
    let image = wim.image(index as u32 + 1).map_err(|error| error.to_string())?;
    let warnings = image.warnings().iter().map(ToString::to_string).collect();
    let parts = image.into_parts();
    let data = format!("{:?} {:?} {:?}", parts.dentries, parts.inodes, parts.security).into_bytes();
    Ok(Seen { told: String::new(), data, warnings })
}

/// What is said of a blob besides its content.
fn blob(wim: &Wim, id: u32, data: Vec<u8>) -> Seen {
    let blob = wim.blob(BlobId(id));
    Seen { told: format!("{:?} {}", blob.sha1, blob.refcount), data, warnings: Vec::new() }
}

/// `wimforge verify`
fn verify(wim: &Wim) -> Vec<String> {
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    let report = wim::verify::verify(wim, &Progress { checked: &checked, cancel: &cancel })
        .expect("nobody cancels it");
    let Report { damaged, missing, images, integrity, warnings, .. } = &report;
    let mut found: Vec<String> = damaged.iter().map(|damage| damage.error.to_string()).collect();
    found.extend(missing.iter().map(|missing| format!("missing: {}", disk::hex(&missing.sha1))));
    for image in images {
        found.extend(image.dentries.as_ref().err().map(ToString::to_string));
        found.extend(image.warnings.iter().map(ToString::to_string));
    }
    match integrity {
        Integrity::Checked { damaged, .. } => found.extend(damaged.iter().map(|range| format!("{range:?}"))),
        Integrity::Unusable(error) => found.push(error.to_string()),
        _ => {}
    }
    found.extend(warnings.iter().map(ToString::to_string));
    assert!(report.is_intact() || !found.is_empty(), "{report:?}");
    found
}

impl Opened for OpenedOne {
    fn shown(&self) -> Seen {
        shown(self.0.wim())
    }

    fn parts(&self) -> usize {
        parts(self.0.wim())
    }

    fn part(&self, index: usize) -> Result<Seen, String> {
        let wim = self.0.wim();
        let images = wim.image_count() as usize;
        if index < images {
            return image(wim, index);
        }
        let id = (index - images) as u32;
        // As `extract` and `cat` do. The names of what has this content are only for messages.
        let blobs = self.0.blobs(0);
        let mut reader = blobs.reader();
        let mut data = Vec::new();
        let mut keep = |bytes: &[u8]| {
            data.extend_from_slice(bytes);
            assert!(data.len() as u64 <= MAX_BLOB, "unbounded output: {} bytes of a blob", data.len());
            Ok(())
        };
        image::copy_blob(&blobs, reader.as_mut(), id, &mut Vec::new(), &mut keep)
            .map_err(|error| error.to_string())?;
        drop(reader);
        Ok(blob(wim, id, data))
    }

    fn check(&self) -> Vec<String> {
        verify(self.0.wim())
    }
}

impl Opened for OpenedSet {
    fn shown(&self) -> Seen {
        shown(&self.0)
    }

    fn parts(&self) -> usize {
        parts(&self.0)
    }

    fn part(&self, index: usize) -> Result<Seen, String> {
        let images = self.0.image_count() as usize;
        if index < images {
            return image(&self.0, index);
        }
        let id = (index - images) as u32;
        // Unlike the other, without its hash: that is left to `verify`.
        let data = self.0.reader().read_all(BlobId(id), MAX_BLOB).map_err(|error| error.to_string())?;
        Ok(blob(&self.0, id, data))
    }

    fn check(&self) -> Vec<String> {
        verify(&self.0)
    }
}

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    bytes[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Where the resource lies that a resource header describes.
fn resource(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let start = number(bytes, at + 8, 8);
    start..start + number(bytes, at, 7)
}

/// What the format says of each byte of a WIM.
fn fields(bytes: &[u8]) -> Fields {
    use Guard::{By, Nobody, Unused};
    let mut fields = Fields::new("between resources");
    let pipable = bytes.starts_with(b"WLPWM\0\0\0");
    let header = if pipable {
        fields.add(0..8, "signature", By("has one value"));
        bytes.len() - 208
    } else {
        0
    };
    fields.run(
        header,
        header + 208,
        &[
            (0, "signature, size, version", By("have one value")),
            (0x10, "flags", Nobody("another codec is refused; what else they say of the file is believed")),
            (0x14, "chunk size", By("what contents decode to")),
            (0x18, "identity", Nobody("another one")),
            (0x28, "number of the part, of images", By("the blob table; the other parts")),
            (0x30, "places of tables", By("what lies there, and SHA-1")),
            (0x60, "place of the bootable image", By("a second copy")),
            (0x78, "bootable image", By("the second copy of the place of its metadata")),
            (0x7C, "place of the integrity table", By("what lies there")),
            (0x94, "unused", Unused),
        ],
    );
    let table = resource(bytes, header + 0x30);
    let integrity = number(bytes, header + 0x7C, 7) > 0;
    fields.add(resource(bytes, header + 0x48), "XML data", Nobody("other names, times and counts"));
    if integrity {
        fields.add(resource(bytes, header + 0x7C), "integrity table", Unused);
    }
    // Pipable files may compress it.
    let compressed = bytes[header + 0x37] & 4 != 0;
    if compressed {
        fields.add(208..table.start, "contents", By("SHA-1 of what it decodes to"));
    }
    for entry in table.clone().step_by(50).filter(|_| !compressed) {
        let flags = bytes[entry + 7];
        let solid = flags & 0x10 != 0;
        // Of a blob in a solid resource this is the place in there.
        if solid && number(bytes, entry + 16, 8) != 1 << 32 {
            continue;
        }
        let name = if flags & 2 != 0 { "metadata of images" } else { "contents" };
        fields.add(resource(bytes, entry), name, By("SHA-1 of what it decodes to"));
    }
    let guard = if integrity {
        By("the integrity table, and SHA-1 of contents")
    } else {
        By("SHA-1 of contents, and reference counts")
    };
    fields.add(table, "blob table", guard);
    fields
}

fn one(name: &str, bytes: Vec<u8>) -> Fixture {
    let fields = fields(&bytes);
    Fixture::new(format!("WIM, {name}"), One, vec![(bytes, fields)])
}

fn seed(name: &str) -> Vec<u8> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/wim_open");
    std::fs::read(corpus.join(format!("wimlib-{name}"))).expect("a committed seed")
}

/// Files of a few KiB that wimlib wrote, one of everything.
pub(crate) fn small() -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = [
        ("none", "not compressed, two images"),
        ("xpress-4k", "XPRESS"),
        ("xpress-64k-check", "XPRESS, integrity table"),
        ("lzx-32k", "LZX"),
        ("lzx-64k-two", "LZX, two images"),
        ("lzms-32k", "LZMS, integrity table"),
        ("solid-lzms-32k", "solid LZMS, two images"),
        ("solid-lzms-esd", "solid LZMS, integrity table"),
        ("solid-lzx-32k", "solid LZX"),
        ("solid-xpress-4k", "solid XPRESS"),
        ("pipable-lzx", "pipable, LZX, integrity table"),
        ("pipable-none", "pipable, not compressed"),
    ]
    .into_iter()
    .map(|(file, name)| one(name, seed(file)))
    .collect();
    // Its parts lie one behind the other.
    let set = seed("split-lzx");
    let starts: Vec<usize> = (0..set.len()).filter(|at| set[*at..].starts_with(b"MSWIM\0\0\0")).collect();
    let parts = starts.iter().enumerate().map(|(index, start)| {
        let part = set[*start..starts.get(index + 1).copied().unwrap_or(set.len())].to_vec();
        let fields = fields(&part);
        (part, fields)
    });
    fixtures.push(Fixture::new("WIM, split, LZX", Set, parts.collect()));
    fixtures
}

/// The small Windows image of the other tests.
pub(crate) fn nano() -> Fixture {
    one("nano-small.wim", std::fs::read(testdata("nano-small.wim")).expect("test data"))
}

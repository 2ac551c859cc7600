//! ISO images: every tree that an image can have.

use std::path::Path;
use std::sync::Arc;

use disk::ReadAt;
use iso::{Entry, EntryKind, Iso, TreeKind};

use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Opened, Seen, Subject};

const SECTOR: usize = 2048;

struct Image;

struct OpenedIso {
    iso: Iso,
    told: String,
    files: Vec<Entry>,
}

impl Subject for Image {
    fn open(&self, files: &[Arc<Changed>]) -> Result<Box<dyn Opened + '_>, String> {
        let iso = Iso::open(files[0].clone()).map_err(|error| error.to_string())?;
        let mut told = format!("{:?} {} {} {:?}\n", iso.label(), iso.tree_kind(), iso.reason(), iso.trees());
        let mut files = Vec::new();
        for step in iso.walk(iso.root()) {
            let step = step.map_err(|error| error.to_string())?;
            let Entry { name, kind, size, hidden, .. } = &step.entry;
            let times = [step.entry.created, step.entry.modified, step.entry.accessed];
            told += &format!("{} {name:?} {kind:?} {size} {hidden} {times:?}\n", step.depth);
            if *kind == EntryKind::File {
                files.push(step.entry);
            }
        }
        Ok(Box::new(OpenedIso { iso, told, files }))
    }
}

impl Opened for OpenedIso {
    fn shown(&self) -> Seen {
        Seen::told(self.told.clone())
    }

    fn parts(&self) -> usize {
        self.files.len()
    }

    fn part(&self, index: usize) -> Result<Seen, String> {
        let file = self.iso.file(&self.files[index]).map_err(|error| error.to_string())?;
        let size = file.size().map_err(|error| error.to_string())?;
        // Larger than the image are only files with holes.
        let mut data = vec![0; size.min(1 << 20) as usize];
        file.read_exact_at(&mut data, 0).map_err(|error| error.to_string())?;
        Ok(Seen { data, ..Seen::default() })
    }

    fn check(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A committed image without its zeros: sector, length, bytes.
fn seed(name: &str) -> Vec<u8> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/iso_open");
    let packed = std::fs::read(corpus.join(name)).expect("a committed seed");
    let mut rest = packed.as_slice();
    let mut image = Vec::new();
    while let [a, b, c, d, behind @ ..] = rest {
        let (sector, len) =
            (usize::from(u16::from_le_bytes([*a, *b])), usize::from(u16::from_le_bytes([*c, *d])));
        image.resize(image.len().max((sector + 1) * SECTOR), 0);
        image[sector * SECTOR..][..len].copy_from_slice(&behind[..len]);
        rest = &behind[len..];
    }
    image
}

fn half(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// The sum over a descriptor's tag is right.
fn is_tagged(sector: &[u8]) -> bool {
    let sum = sector[..16].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_sub(sector[4]);
    sector[0] != 0 && matches!(half(sector, 0), 1..=9 | 256 | 258..=266) && sum == sector[4]
}

fn fields(image: &[u8]) -> Fields {
    use Guard::{By, Nobody, Unused};
    let mut fields = Fields::new("other sectors");
    let mut contents = vec![false; image.len() / SECTOR];
    let iso = Iso::open(Arc::new(image.to_vec())).expect("a good image");
    for step in iso.walk(iso.root()).map(|step| step.expect("a good image")) {
        let Ok(file) = iso.file(&step.entry) else { continue };
        for run in file.runs() {
            let Some(place) = run.place else { continue };
            let (start, end) = (place as usize, (place + run.len) as usize);
            fields.add(start..end, "contents", Nobody("the files' own data"));
            fields.add(end..end.next_multiple_of(SECTOR), "behind the ends of files", Unused);
            contents[start / SECTOR..end.div_ceil(SECTOR)].fill(true);
        }
    }
    let udf = iso.tree_kind() == TreeKind::Udf;
    for (number, sector) in image.chunks_exact(SECTOR).enumerate().filter(|(number, _)| !contents[*number]) {
        let start = number * SECTOR;
        if number < 16 || sector.iter().all(|byte| *byte == 0) {
            fields.add(start..start + SECTOR, "system area and empty sectors", Unused);
        } else if is_tagged(sector) {
            let end = start + 16 + half(sector, 10).min(SECTOR - 16);
            fields.add(start..end, "UDF descriptors", By("CRC-16 and a sum"));
            fields.add(end..start + SECTOR, "behind UDF descriptors", Unused);
        } else if half(sector, 0) == 257 {
            fields.add(start..start + SECTOR, "UDF directories", By("CRC-16 and a sum"));
        } else if &sector[1..6] == b"CD001"
            || &sector[1..4] == b"BEA"
            || &sector[1..4] == b"NSR"
            || &sector[1..4] == b"TEA"
        {
            fields.add(start..start + SECTOR, "volume descriptors", Nobody("other labels, times, sizes"));
        } else if udf {
            fields.add(start..start + SECTOR, "the other tree", Unused);
        } else {
            fields.add(
                start..start + SECTOR,
                "directories and path tables",
                Nobody("other names, times, sizes, places"),
            );
        }
    }
    fields
}

pub(crate) fn all() -> Vec<Fixture> {
    let seeds = [
        ("genisoimage-udf", "UDF"),
        ("genisoimage-joliet", "Joliet"),
        ("xorriso-joliet-rock-ridge", "Joliet and Rock Ridge"),
        ("genisoimage-rock-ridge", "Rock Ridge"),
        ("genisoimage-level-1", "ISO 9660 alone"),
    ];
    let fixture = |(file, name)| {
        let image = seed(file);
        let fields = fields(&image);
        Fixture::new(format!("ISO, {name}"), Image, vec![(image, fields)])
    };
    seeds.into_iter().map(fixture).collect()
}

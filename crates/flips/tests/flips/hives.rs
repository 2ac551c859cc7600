//! Registry hives, and hives with transaction logs.

use std::io::Write as _;
use std::sync::Arc;

use hive::{Hive, Key};
use testkit::testdata;

use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Opened, Seen, Subject};

/// A hive alone: the first file. With logs: the others.
struct Registry;

struct OpenedHive {
    hive: Hive,
    told: String,
    bytes: Vec<u8>,
}

impl Subject for Registry {
    fn open(&self, files: &[Arc<Changed>]) -> Result<Box<dyn Opened + '_>, String> {
        let contents: Vec<Vec<u8>> = files.iter().map(|file| file.content()).collect();
        let (bytes, logs) = contents.split_first().expect("a hive");
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let (hive, recovery) = Hive::recover(bytes, &logs).map_err(|error| error.to_string())?;
        Ok(Box::new(OpenedHive { hive, told: recovery.to_string(), bytes: bytes.clone() }))
    }
}

fn walk(key: &Key, depth: usize, data: &mut Vec<u8>) {
    let _ = writeln!(
        data,
        "{depth} {:?} {:?} {:?} {:#x} {:?}",
        key.name(),
        key.written(),
        key.class(),
        key.flags(),
        key.security()
    );
    for value in key.values() {
        let _ = writeln!(data, "{depth} {:?} {:?} {}", value.name(), value.kind(), value.data().len());
        data.extend_from_slice(value.data());
    }
    key.subkeys().for_each(|key| walk(key, depth + 1, data));
}

impl Opened for OpenedHive {
    fn shown(&self) -> Seen {
        let Self { hive, told, .. } = self;
        let told = format!(
            "{told} {} {:?} {} {}\n",
            hive.sequence(),
            hive.written(),
            hive.minor(),
            hive.file_name()
        );
        let mut data = Vec::new();
        walk(hive.root(), 0, &mut data);
        Seen { told, data, warnings: Vec::new() }
    }

    fn parts(&self) -> usize {
        0
    }

    fn part(&self, _: usize) -> Result<Seen, String> {
        unreachable!("it has none")
    }

    fn check(&self) -> Vec<String> {
        hive::check(&self.bytes).findings.iter().map(ToString::to_string).collect()
    }
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

fn fields(bytes: &[u8]) -> Fields {
    use Guard::{By, Nobody, Unused};
    let mut fields = Fields::new("behind the bins");
    fields.add(0..512, "base block", By("a checksum"));
    fields.add(512..4096, "rest of the base block", Unused);
    let end = 4096 + word(bytes, 0x28);
    let mut bin = 4096;
    while bin < end {
        let next = bin + word(bytes, bin + 8);
        fields.add(bin..bin + 32, "heads of bins", By("the bins and cells that have to follow each other"));
        let mut cell = bin + 32;
        while cell < next {
            let size = word(bytes, cell) as u32 as i32;
            let behind = cell + size.unsigned_abs() as usize;
            let (name, guard) = match &bytes[cell + 4..cell + 6] {
                _ if size > 0 => ("free cells", By("the cells that have to follow each other")),
                b"nk" => ("keys", Nobody("other times, flags, classes, security; the letter case of names")),
                b"vk" => ("values", Nobody("other names and types")),
                b"sk" => ("security descriptors", Nobody("others, where they stay well-formed")),
                b"lf" | b"lh" | b"li" | b"ri" => {
                    ("lists of keys", By("the order of keys, and their parents"))
                }
                _ => ("data, lists of values, classes", Nobody("other data")),
            };
            fields.add(cell..behind, name, guard);
            cell = behind;
        }
        bin = next;
    }
    fields
}

/// The hives of the small image, and those with logs.
pub(crate) fn all() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for name in ["SAM", "SOFTWARE", "SYSTEM"] {
        let bytes = std::fs::read(testdata("hives").join(name)).expect("test data");
        let fields = fields(&bytes);
        fixtures.push(Fixture::new(format!("hive, {name}"), Registry, vec![(bytes, fields)]));
    }
    fixtures
}

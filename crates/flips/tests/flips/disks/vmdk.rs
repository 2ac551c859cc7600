//! VMDK: in one file, streamed, and in several files.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use disk::ReadAt;
use vmdk::{Kind, Options, Vmdk, monolithic_sparse, split, stream_optimized};

use super::{Format, KIB, MIB, content, le, ordered, positioned};
use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Subject};

const GRAIN: usize = 64 * KIB;
const SECTOR: usize = 512;
/// What the files of a disk in several are called, after the descriptor.
const EXTENTS: [&str; 2] = ["disk-s001.vmdk", "disk-flat.vmdk"];

fn subject() -> impl Subject {
    Format(|files: &[Arc<Changed>]| {
        let mut beside = |name: &str| match files.get(1) {
            Some(file) if EXTENTS.contains(&name) => Ok(file.clone() as Arc<dyn ReadAt>),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let disk = Vmdk::open_with(files[0].clone(), &mut beside)?;
        let told =
            format!("{:?} {:?} {:?} {:?}", disk.kind(), disk.descriptor(), disk.header(), disk.parent());
        let check = |disk: &Vmdk| disk.check().err().map(|error| error.to_string());
        Ok::<_, vmdk::Error>((disk, told, Vec::new(), check))
    })
}

fn options(disk: &[u8]) -> Options {
    Options::new(disk.len() as u64, "disk.vmdk", 0x1234_5678)
}

fn header(fields: &mut Fields, at: usize) {
    use Guard::{By, Nobody, Unused};
    fields.run(
        at,
        at + SECTOR,
        &[
            (0, "signature and version", By("have one value")),
            (8, "flags", Nobody("unknown ones, which readers ignore")),
            (12, "size of disk and grains", Nobody("another capacity, by less than a grain")),
            (28, "place of the descriptor", Nobody("a descriptor with more room")),
            (44, "entries of a table", By("has one value")),
            (48, "places of directories", By("what lies there; the second copy")),
            (64, "overhead", By("where the first grain lies")),
            (72, "mark of an unclean shutdown", Nobody("a disk in use")),
            (73, "check bytes", By("have one value")),
            (77, "compression", By("the flags")),
            (79, "unused", Unused),
        ],
    );
}

/// Header, descriptor, directories and tables at their places, grains wherever the tables say.
fn fields_of_sparse(file: &[u8]) -> Fields {
    use Guard::{By, Nobody, Unused};
    let mut fields = Fields::new("room between");
    header(&mut fields, 0);
    let sectors = |at: usize| le(file, at, 8) * SECTOR;
    fields.add(
        sectors(28)..sectors(28) + sectors(36),
        "descriptor",
        Nobody("other identities, words and names; a size that is less than a grain smaller"),
    );
    let tables = le(file, 12, 8).div_ceil(512 * GRAIN / SECTOR);
    for (at, directory, table) in [
        (48, ("second grain directory", Unused), ("second grain tables", Unused)),
        (56, ("grain directory", By("the second copy")), ("grain tables", By("the second copy"))),
    ] {
        let directory_at = sectors(at);
        fields.add(directory_at..directory_at + 4 * tables, directory.0, directory.1);
        for entry in (0..tables).map(|index| le(file, directory_at + 4 * index, 4) * SECTOR) {
            fields.add(entry..entry + 2048, table.0, table.1);
            if at == 56 {
                for grain in
                    (0..512).map(|index| le(file, entry + 4 * index, 4) * SECTOR).filter(|grain| *grain != 0)
                {
                    fields.add(grain..grain + GRAIN, "data", Nobody("the disk's own data"));
                }
            }
        }
    }
    fields
}

/// Header, descriptor, and then one marker after the other.
fn fields_of_stream(file: &[u8]) -> Fields {
    use Guard::{By, Nobody};
    let mut fields = Fields::new("room between");
    header(&mut fields, 0);
    let (descriptor, len) = (le(file, 28, 8) * SECTOR, le(file, 36, 8) * SECTOR);
    fields.add(
        descriptor..descriptor + len,
        "descriptor",
        Nobody("other identities, words and names; a size that is less than a grain smaller"),
    );
    let mut at = le(file, 64, 8) * SECTOR;
    while at < file.len() {
        let (value, size, kind) = (le(file, at, 8), le(file, at + 8, 4), le(file, at + 12, 4));
        if size > 0 {
            fields.add(at..at + 12, "heads of grains", By("the grain tables"));
            fields.add(at + 12..at + 12 + size, "compressed data", By("Adler-32"));
            at = (at + 12 + size).next_multiple_of(SECTOR);
            continue;
        }
        fields.add(at..at + SECTOR, "markers", By("the tables that lead to them"));
        at += SECTOR;
        match kind {
            1 => fields.add(
                at..at + value * SECTOR,
                "grain tables",
                By("the second copy; the head of each grain"),
            ),
            2 => fields.add(at..at + value * SECTOR, "grain directory", By("the second copy; markers")),
            3 => header(&mut fields, at),
            _ => {}
        }
        at += value * SECTOR;
    }
    fields
}

fn descriptor(file: &[u8]) -> Fields {
    let mut fields = Fields::new("room between");
    fields.add(
        0..file.len(),
        "descriptor",
        Guard::Nobody("other identities, words and names; a size that is less than a grain smaller"),
    );
    fields
}

/// The files of a disk, the descriptor first.
fn in_several(kind: Kind, disk: &[u8]) -> Vec<Vec<u8>> {
    let files = Mutex::new(BTreeMap::new());
    let keep = |name: &str| {
        let file = Arc::new(Mutex::new(Vec::new()));
        files.lock().expect("one thread").insert(name.to_owned(), file.clone());
        file
    };
    let ranges = testkit::container::allocated(disk, 4 * KIB);
    let sink = split(kind, keep(""), |extent| Ok(keep(&extent.name)), &options(disk), ranges.iter().cloned());
    testkit::container::drive_positioned(Box::new(sink.expect("a disk")), disk, &ranges, usize::MAX);
    let files = files.lock().expect("one thread");
    files.values().map(|file| std::mem::take(&mut *file.lock().expect("one thread"))).collect()
}

pub(crate) fn fixtures() -> Vec<Fixture> {
    let disk = content(4 * MIB);
    let sparse = positioned(
        |file, ranges| {
            Box::new(monolithic_sparse(file, &options(&disk), ranges.iter().cloned()).expect("a disk"))
        },
        &disk,
    );
    let mut stream = Vec::new();
    ordered(Box::new(stream_optimized(&mut stream, &options(&disk)).expect("a disk")), &disk, GRAIN);
    let split = in_several(Kind::TwoGbMaxExtentSparse, &disk);
    let small = content(80 * KIB);
    let flat = in_several(Kind::MonolithicFlat, &small);
    let mut of_flat = Fields::new("room between");
    of_flat.add(0..flat[1].len(), "data", Guard::Nobody("the disk's own data"));
    let of_split = fields_of_sparse(&split[1]);
    let with = |file: Vec<u8>, fields: fn(&[u8]) -> Fields| {
        let fields = fields(&file);
        (file, fields)
    };
    let mut split = split.into_iter();
    let mut flat = flat.into_iter();
    let next = |files: &mut std::vec::IntoIter<Vec<u8>>| files.next().expect("two files");
    vec![
        Fixture::new("VMDK, monolithicSparse", subject(), vec![with(sparse, fields_of_sparse)]),
        Fixture::new("VMDK, streamOptimized", subject(), vec![with(stream, fields_of_stream)]),
        Fixture::new(
            "VMDK, twoGbMaxExtentSparse",
            subject(),
            vec![with(next(&mut split), descriptor), (next(&mut split), of_split)],
        ),
        Fixture::new(
            "VMDK, monolithicFlat",
            subject(),
            vec![with(next(&mut flat), descriptor), (next(&mut flat), of_flat)],
        ),
    ]
}

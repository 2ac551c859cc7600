//! qcow2: plain and compressed.

use std::sync::{Arc, Mutex};

use qcow2::{CLUSTER_SIZE, Options, Qcow2, compressed, plain};

use super::{Format, MIB, be, content, ordered, positioned};
use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Subject};

const CLUSTER: usize = CLUSTER_SIZE as usize;

fn subject() -> impl Subject {
    Format(|files: &[Arc<Changed>]| {
        let disk = Qcow2::open(files[0].clone())?;
        let told = format!(
            "{:?} {:?} {:?} {:?}",
            disk.header(),
            disk.parent(),
            disk.compression(),
            disk.has_bitmaps()
        );
        let warnings = [(disk.is_dirty(), "dirty"), (disk.is_corrupt(), "corrupt")];
        let warnings = warnings.into_iter().filter(|(is, _)| *is).map(|(_, what)| what.to_owned()).collect();
        let check = |disk: &Qcow2| disk.check().err().map(|error| error.to_string());
        Ok::<_, qcow2::Error>((disk, told, warnings, check))
    })
}

fn fields(file: &[u8]) -> Fields {
    use Guard::{By, Nobody, Unused};
    let mut fields = Fields::new("room between");
    fields.run(
        0,
        112,
        &[
            (0, "signature and version", By("have one value")),
            (8, "backing file", Nobody("a name where there is none, of no length")),
            (20, "cluster size", By("the tables")),
            (24, "size of the disk", Nobody("a smaller or larger disk, as far as the L1 table reaches")),
            (32, "encryption", By("has one value")),
            (36, "places of tables", Nobody("a longer L1 table, which reads as before")),
            (60, "snapshots", Nobody("other places of what is not there")),
            (72, "incompatible features", By("all others are refused")),
            (80, "compatible features", Nobody("some more, which readers may ignore")),
            (96, "width of reference counts", By("all that a version 3 file may have are refused or agree")),
            (100, "length of the header", Nobody("a longer header")),
            (104, "compression and extensions", By("unknown ones are passed over")),
        ],
    );
    let (l1_entries, l1, refcounts, refcount_clusters) =
        (be(file, 36, 4), be(file, 40, 8), be(file, 48, 8), be(file, 56, 4));
    fields.add(refcounts..refcounts + refcount_clusters * CLUSTER, "refcount table", Unused);
    let table = |at: usize, entries: usize| {
        (0..entries).map(move |index| be(file, at + 8 * index, 8)).filter(|entry| *entry != 0)
    };
    for block in table(refcounts, refcount_clusters * CLUSTER / 8) {
        fields.add(block..block + CLUSTER, "refcount blocks", Unused);
    }
    fields.add(l1..l1 + 8 * l1_entries, "L1 table", By("reference counts, and the bit in each entry"));
    let mut compressed = Vec::new();
    for l2 in table(l1, l1_entries).map(|entry| entry & 0x00FF_FFFF_FFFF_FE00) {
        fields.add(l2..l2 + CLUSTER, "L2 tables", By("reference counts, and the bit in each entry"));
        for entry in table(l2, CLUSTER / 8) {
            if entry & 1 << 62 != 0 {
                // 62 - (16 - 8) bits of offset, above them the number of further sectors.
                let (start, sectors) = (entry & ((1 << 54) - 1), entry >> 54 & 0xFF);
                compressed.push((start, (start / 512 + 1 + sectors) * 512));
            } else if entry & 0x00FF_FFFF_FFFF_FE00 != 0 {
                let start = entry & 0x00FF_FFFF_FFFF_FE00;
                fields.add(start..start + CLUSTER, "data", Nobody("the disk's own data"));
            }
        }
    }
    compressed.sort_unstable();
    for (index, (start, end)) in compressed.iter().enumerate() {
        let end = compressed.get(index + 1).map_or(*end, |(next, _)| *next.min(end)).min(file.len());
        fields.add(
            *start..end,
            "compressed data",
            Nobody("other data, where it still is a deflate stream: it has no checksum"),
        );
    }
    fields
}

pub(crate) fn fixtures() -> Vec<Fixture> {
    let disk = content(4 * MIB);
    let options = Options::new(disk.len() as u64);
    let plain = positioned(
        |file, ranges| Box::new(plain::positioned(file, &options, ranges.iter().cloned()).expect("a disk")),
        &disk,
    );
    let file = Arc::new(Mutex::new(Vec::new()));
    ordered(Box::new(compressed::in_file(file.clone(), &options).expect("a disk")), &disk, CLUSTER);
    let compressed = std::mem::take(&mut *file.lock().expect("one thread"));
    let (of_plain, of_compressed) = (fields(&plain), fields(&compressed));
    vec![
        Fixture::new("qcow2, plain", subject(), vec![(plain, of_plain)]),
        Fixture::new("qcow2, compressed", subject(), vec![(compressed, of_compressed)]),
    ]
}

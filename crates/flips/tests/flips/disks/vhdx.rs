//! VHDX: dynamic.

use std::sync::Arc;

use disk::Seed;
use vhdx::{Options, Vhdx};

use super::{Format, KIB, MIB, content, le, positioned};
use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Subject};

fn subject() -> impl Subject {
    Format(|files: &[Arc<Changed>]| {
        let disk = Vhdx::open(files[0].clone())?;
        // Not which of the two headers counts: that one is left is what the second is for.
        let header = disk.header();
        let told = format!(
            "{:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            disk.kind(),
            disk.creator(),
            (header.file_write_id, header.data_write_id, header.log_id),
            disk.disk_id(),
            disk.block_size(),
            disk.logical_sector_size(),
            disk.physical_sector_size(),
            disk.replay(),
            disk.parent()
        );
        let check = |disk: &Vhdx| disk.check().err().map(|error| error.to_string());
        Ok::<_, vhdx::Error>((disk, told, Vec::new(), check))
    })
}

fn fields(file: &[u8]) -> Fields {
    use Guard::{By, Nobody, Unused};
    let mut fields = Fields::new("room between");
    fields.add(0..8, "signature", By("has one value"));
    fields.add(8..520, "name of the creator", Nobody("another name"));
    fields.add(64 * KIB..68 * KIB, "headers", By("CRC-32C, and a second one"));
    fields.add(128 * KIB..132 * KIB, "headers", By("CRC-32C, and a second one"));
    fields.add(192 * KIB..320 * KIB, "region tables", By("CRC-32C, and a second one"));
    let (log, log_len) = (le(file, 64 * KIB + 72, 8), le(file, 64 * KIB + 68, 4));
    fields.add(log..log + log_len, "log", Unused);
    // Two regions, each with a GUID, an offset, a length.
    for entry in [192 * KIB + 16, 192 * KIB + 48] {
        let (offset, len) = (le(file, entry + 16, 8), le(file, entry + 24, 4));
        if file[offset..].starts_with(b"metadata") {
            let items = le(file, offset + 10, 2);
            fields.add(
                offset..offset + 32 + 32 * items,
                "metadata table",
                Nobody("another identity, from another place"),
            );
            for item in (0..items).map(|index| offset + 32 + 32 * index) {
                let (at, len) = (offset + le(file, item + 16, 4), le(file, item + 20, 4));
                fields.add(
                    at..at + len,
                    "metadata items",
                    Nobody("another identity; a larger disk, as far as the table reaches"),
                );
            }
        } else {
            // Four blocks, in one chunk, and the place of its bitmap.
            let entries = 4;
            fields.add(
                offset..offset + 8 * entries,
                "block allocation table",
                By("each block in a place of its own, within the file; the entry's state"),
            );
            fields.add(offset + 8 * entries..offset + len, "behind the table's entries", Unused);
            for entry in
                (0..entries).map(|index| le(file, offset + 8 * index, 8)).filter(|entry| entry & 7 == 6)
            {
                let start = entry >> 20 << 20;
                fields.add(start..start + MIB, "data", Nobody("the disk's own data"));
            }
        }
    }
    fields
}

pub(crate) fn fixtures() -> Vec<Fixture> {
    let disk = content(4 * MIB);
    let options = Options { block_size: MIB as u32, ..Options::new(disk.len() as u64, &Seed::new(b"flips")) };
    let file = positioned(
        |file, ranges| Box::new(vhdx::positioned(file, &options, ranges.iter().cloned()).expect("a disk")),
        &disk,
    );
    let fields = fields(&file);
    vec![Fixture::new("VHDX, dynamic", subject(), vec![(file, fields)])]
}

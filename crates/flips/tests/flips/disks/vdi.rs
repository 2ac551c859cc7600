//! VDI: dynamic.

use std::sync::Arc;

use disk::Guid;
use vdi::{Options, Vdi, dynamic};

use super::{Format, MIB, content, le, positioned};
use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Subject};

fn subject() -> impl Subject {
    Format(|files: &[Arc<Changed>]| {
        let disk = Vdi::open(files[0].clone())?;
        let told = format!("{:?} {:?}", disk.header(), disk.parent());
        let check = |disk: &Vdi| disk.check().err().map(|error| error.to_string());
        Ok::<_, vdi::Error>((disk, told, Vec::new(), check))
    })
}

fn fields(file: &[u8]) -> Fields {
    use Guard::{By, Nobody, Unused};
    let mut fields = Fields::new("room between");
    fields.run(
        0,
        512,
        &[
            (0, "text", Nobody("other words")),
            (0x40, "signature and version", Nobody("another minor version")),
            (0x48, "length of the header", Nobody("a header without its last fields")),
            (0x4C, "kind", By("what follows from it")),
            (0x50, "flags and comment", Nobody("other words")),
            (0x154, "places of map and data", By("the size of the file")),
            (0x15C, "geometry", Nobody("another geometry, which nobody uses")),
            (0x168, "sector size", By("has one value")),
            (0x16C, "unused", Unused),
            (0x170, "size of the disk", By("the number of blocks")),
            (0x178, "size and number of blocks", By("the number of blocks, and the size of the disk")),
            (0x188, "identities", Nobody("others")),
            (0x1C8, "geometry", Nobody("another geometry, which nobody uses")),
            (0x1D8, "unused", Unused),
        ],
    );
    let (map, data, blocks) = (le(file, 0x154, 4), le(file, 0x158, 4), le(file, 0x180, 4));
    fields.add(
        map..map + 4 * blocks,
        "block map",
        By("the number of stored blocks, which has to be that of the header, each once"),
    );
    fields.add(data..file.len(), "data", Nobody("the disk's own data"));
    fields
}

pub(crate) fn fixtures() -> Vec<Fixture> {
    let disk = content(4 * MIB);
    let options = Options::new(disk.len() as u64, Guid(*b"0123456789abcdef"), Guid(*b"fedcba9876543210"));
    let file = positioned(
        |file, ranges| Box::new(dynamic::positioned(file, &options, ranges.iter().cloned()).expect("a disk")),
        &disk,
    );
    let fields = fields(&file);
    vec![Fixture::new("VDI, dynamic", subject(), vec![(file, fields)])]
}

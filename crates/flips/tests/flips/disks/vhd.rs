//! VHD: fixed and dynamic.

use std::sync::Arc;

use disk::Guid;
use vhd::{Options, Vhd, dynamic, fixed};

use super::{Format, MIB, be, content, positioned};
use crate::file::Changed;
use crate::fixture::{Fields, Fixture, Guard, Subject};

fn subject() -> impl Subject {
    Format(|files: &[Arc<Changed>]| {
        let disk = Vhd::open(files[0].clone())?;
        let told = format!("{:?} {:?} {:?}", disk.footer(), disk.header(), disk.parent());
        let warnings = (disk.footer_copy_equal() == Some(false)).then(|| "the footers differ".to_owned());
        let check = |disk: &Vhd| disk.check().err().map(|error| error.to_string());
        Ok::<_, vhd::Error>((disk, told, warnings.into_iter().collect(), check))
    })
}

fn options(disk: &[u8]) -> Options {
    Options {
        timestamp: 0x2F00_0000,
        block_size: MIB as u32,
        ..Options::new(disk.len() as u64, Guid(*b"0123456789abcdef"))
    }
}

const PAYLOAD: Guard = Guard::Nobody("the disk's own data");

fn fields_of_fixed(file: &[u8]) -> Fields {
    let mut fields = Fields::new("room between");
    let footer = file.len() - 512;
    fields.add(0..footer, "data", PAYLOAD);
    fields.add(footer..file.len(), "footer", Guard::By("a checksum"));
    fields
}

fn fields_of_dynamic(file: &[u8]) -> Fields {
    let mut fields = Fields::new("room between");
    fields.add(0..512, "copy of the footer", Guard::By("a checksum"));
    fields.add(512..1536, "header", Guard::By("a checksum"));
    let (table, entries, block) = (be(file, 512 + 16, 8), be(file, 512 + 28, 4), be(file, 512 + 32, 4));
    fields.add(
        table..table + entries * 4,
        "block allocation table",
        Guard::Nobody("a block begins elsewhere, in room that nothing uses"),
    );
    let bitmap = (block / 512 / 8).next_multiple_of(512);
    for entry in
        (0..entries).map(|index| be(file, table + index * 4, 4)).filter(|entry| *entry != 0xFFFF_FFFF)
    {
        let start = entry * 512;
        fields.add(start..start + bitmap, "bitmaps of blocks", Guard::Unused);
        fields.add(start + bitmap..start + bitmap + block, "data", PAYLOAD);
    }
    fields.add(file.len() - 512..file.len(), "footer", Guard::By("a checksum"));
    fields
}

pub(crate) fn fixtures() -> Vec<Fixture> {
    let disk = content(4 * MIB);
    let dynamic = positioned(
        |file, ranges| {
            Box::new(dynamic::positioned(file, &options(&disk), ranges.iter().cloned()).expect("a disk"))
        },
        &disk,
    );
    let small = content(80_384);
    let fixed =
        positioned(|file, _| Box::new(fixed::positioned(file, &options(&small)).expect("a disk")), &small);
    let of_dynamic = fields_of_dynamic(&dynamic);
    let of_fixed = fields_of_fixed(&fixed);
    vec![
        Fixture::new("VHD, fixed", subject(), vec![(fixed, of_fixed)]),
        Fixture::new("VHD, dynamic", subject(), vec![(dynamic, of_dynamic)]),
    ]
}

//! A second reader of streamOptimized files, which never goes back, by the rules of VirtualBox's importer (containers
//! are the only part of an appliance that it reads as a stream) and of VMware's tools, which hash up to the end marker.
//! It shares no code with the crate. What it refuses, they refuse.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::io::Read;

use ::disk::OrderedSink;
use common::{GRAIN, disk, drive_ordered, options, stream};
use proptest::prelude::*;
use wimforge_vmdk::{Options, stream_optimized};

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Bytes that are taken in order.
struct Stream<'a> {
    file: &'a [u8],
    position: usize,
}

impl<'a> Stream<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let end = self.position + len;
        let bytes = self.file.get(self.position..end).ok_or("ends without an end marker")?;
        self.position = end;
        Ok(bytes)
    }
}

/// The disk in `file`, or the rule that it breaks.
fn read_sequentially(file: &[u8]) -> Result<Vec<u8>, String> {
    let mut input = Stream { file, position: 0 };
    let rule = |holds: bool, text: &str| if holds { Ok(()) } else { Err(text.to_owned()) };

    let header = input.take(512)?;
    rule(&header[..4] == b"KDMV", "magic")?;
    rule(u32_at(header, 4) == 3, "ESXi: version 3")?;
    rule(u32_at(header, 8) == 0x3_0001, "flags")?;
    let (capacity, grain) = (u64_at(header, 12), u64_at(header, 20));
    rule(grain == 128 && capacity.is_multiple_of(grain), "whole grains of 64 KiB")?;
    rule(u64_at(header, 28) == 1, "qemu: descriptor in sector 1")?;
    rule(u32_at(header, 44) == 512 && u64_at(header, 48) == 0, "512 entries, no second directory")?;
    rule(u64_at(header, 56) == u64::MAX, "directory at the end")?;
    rule(&header[72..79] == b"\0\n \r\n\x01\0", "clean, check bytes, deflate")?;
    rule(header[79..].iter().all(|byte| *byte == 0), "padding")?;
    let (overhead, descriptor_sectors) = (u64_at(header, 64), u64_at(header, 36));
    let descriptor = input.take(descriptor_sectors as usize * 512)?;
    rule(descriptor.starts_with(b"# Disk DescriptorFile\nversion=1\n"), "VirtualBox: first lines")?;
    rule(!descriptor.contains(&b'\r'), "line ends")?;
    let gap = input.take((overhead - 1 - descriptor_sectors) as usize * 512)?;
    rule(gap.iter().all(|byte| *byte == 0), "nothing between descriptor and grains")?;

    let mut disk = vec![0; (capacity * 512) as usize];
    let mut next_lba = 0;
    let mut table = vec![0u32; 512];
    let mut tables = vec![0u32; capacity.div_ceil(128 * 512) as usize];
    let mut directory_at = None;
    let mut footer = None;
    loop {
        let at = input.position as u64;
        let sector = input.take(512)?;
        let (value, size, kind) = (u64_at(sector, 0), u32_at(sector, 8), u32_at(sector, 12));
        if size != 0 {
            rule(footer.is_none() && directory_at.is_none(), "grain after the directory")?;
            rule(
                value >= next_lba && value.is_multiple_of(128) && value < capacity,
                "VirtualBox: ascending LBAs",
            )?;
            // A grain in another table's span comes after that table was written.
            rule(
                table.iter().all(|e| *e == 0) || value / (128 * 512) == (next_lba - 1) / (128 * 512),
                "table is late",
            )?;
            next_lba = value + 128;
            rule(size as usize + 12 <= 66_048, "VirtualBox: room for a grain")?;
            let mut data = sector[12..].to_vec();
            data.extend_from_slice(input.take((size as usize + 12).next_multiple_of(512) - 512)?);
            rule(data[size as usize..].iter().all(|byte| *byte == 0), "padding of a grain")?;
            let mut inflated = Vec::new();
            let mut zlib = flate2::read::ZlibDecoder::new(&data[..size as usize]);
            zlib.read_to_end(&mut inflated).map_err(|error| format!("inflate: {error}"))?;
            rule(zlib.total_in() == u64::from(size), "nothing after the zlib stream")?;
            rule(inflated.len() == GRAIN, "VirtualBox: a grain is whole")?;
            rule(inflated.iter().any(|byte| *byte != 0), "grain of zeros stored")?;
            disk[(value * 512) as usize..][..GRAIN].copy_from_slice(&inflated);
            table[(value / 128 % 512) as usize] = (at / 512) as u32;
            continue;
        }
        rule(sector[16..].iter().all(|byte| *byte == 0), "padding of a marker")?;
        match kind {
            0 => {
                rule(value == 0, "end marker")?;
                break;
            }
            1 => {
                rule(value == 4 && next_lba > 0, "table marker")?;
                let found: Vec<u32> = input.take(2048)?.chunks(4).map(|entry| u32_at(entry, 0)).collect();
                rule(found == table, "table does not name the grains before it")?;
                rule(found.iter().any(|entry| *entry != 0), "empty table stored")?;
                tables[((next_lba - 1) / (128 * 512)) as usize] = (at / 512) as u32 + 1;
                table.fill(0);
            }
            2 => {
                let sectors = (tables.len() * 4).div_ceil(512);
                rule(value == sectors as u64, "directory marker")?;
                rule(table.iter().all(|entry| *entry == 0), "grains without a table")?;
                directory_at = Some(at / 512 + 1);
                let bytes = input.take(sectors * 512)?;
                let found: Vec<u32> = bytes.chunks(4).map(|entry| u32_at(entry, 0)).collect();
                rule(found[..tables.len()] == tables, "directory does not name the tables before it")?;
                rule(found[tables.len()..].iter().all(|entry| *entry == 0), "padding of the directory")?;
            }
            3 => {
                rule(value == 1, "footer marker")?;
                footer = Some((at + 512, input.take(512)?));
            }
            other => return Err(format!("marker type {other}")),
        }
    }
    let (footer_at, footer) = footer.ok_or("no footer")?;
    rule(footer_at == file.len() as u64 - 1024, "footer 1024 bytes before the end")?;
    rule(Some(u64_at(footer, 56)) == directory_at, "footer names the directory")?;
    rule(footer[..56] == header[..56] && footer[64..] == header[64..], "footer repeats the header")?;
    rule(input.take(1).is_err(), "something follows the end marker")?;
    Ok(disk)
}

#[test]
fn our_files_can_be_read_as_a_stream() {
    for mib in [1, 32, 129] {
        let disk = disk(mib);
        assert!(read_sequentially(&stream(&disk, &options(&disk))).unwrap() == disk);
    }
    let empty = vec![0; 40 << 20];
    assert!(read_sequentially(&stream(&empty, &options(&empty))).unwrap() == empty);
}

/// The checker is checked: it refuses what its rules are about.
#[test]
fn broken_streams_are_refused() {
    let disk = disk(40);
    let good = stream(&disk, &options(&disk));
    let fault = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = good.clone();
        change(&mut file);
        read_sequentially(&file).unwrap_err()
    };
    assert_eq!(fault(&|file| file[4] = 1), "ESXi: version 3");
    assert_eq!(fault(&|file| file.truncate(file.len() - 512)), "ends without an end marker");
    assert_eq!(fault(&|file| file.extend([0; 512])), "footer 1024 bytes before the end");
    // The way qemu-img leaves its files: a gap of zeros before the first marker.
    let gap = |file: &mut Vec<u8>| drop(file.splice(65_536..65_536, [0; 512]));
    assert_eq!(fault(&gap), "no footer");
    assert_eq!(fault(&|file| file[65_536] = 0x80), "VirtualBox: ascending LBAs");
    assert_eq!(fault(&|file| file[8] = 3), "flags");
    assert!(fault(&|file| file[65_536 + 100] ^= 1).starts_with("inflate: "));
}

/// qemu-img's own output is what VirtualBox and VMware refuse: the reason this crate's writer exists.
#[test]
fn qemu_img_does_not_pass() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vmdk"));
    std::fs::write(&raw, disk(40)).unwrap();
    let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
    qemu.run(args.iter().map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
    read_sequentially(&std::fs::read(&path).unwrap()).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    /// Whatever grains hold something and however the disk is cut into units, the file is the same and reads back.
    #[test]
    fn any_disk_comes_back(
        grains in prop::collection::btree_map(0usize..1100, any::<u8>(), 0..12), unit in 1usize..700,
    ) {
        let mut disk = vec![0; 1100 * GRAIN];
        for (grain, byte) in grains {
            disk[grain * GRAIN + usize::from(byte) * 100] = byte;
        }
        let file = stream(&disk, &options(&disk));
        prop_assert!(read_sequentially(&file).unwrap() == disk);
        let mut other = Vec::new();
        drive_ordered(Box::new(stream_optimized(&mut other, &options(&disk)).unwrap()), &disk, unit * GRAIN);
        prop_assert!(other == file);
    }
}

#[test]
fn callers_that_break_the_order_are_refused() {
    let options = Options::new(1 << 20, "disk.vmdk", 1);
    let grain = GRAIN as u64;
    let mut unit = Vec::new();
    stream_optimized(Vec::new(), &options)
        .unwrap()
        .encoder()
        .encode(4 * grain, &vec![1; GRAIN], &codec::Tokens::new(), &mut unit)
        .unwrap();
    let half = &unit[..unit.len() - 1];
    let accepted = |offset: u64, bytes: &[u8]| {
        stream_optimized(Vec::new(), &options).unwrap().commit(offset, grain, bytes).is_ok()
    };
    assert!(accepted(4 * grain, &unit));
    assert!(!accepted(5 * grain, &unit), "another unit's records");
    assert!(!accepted(3 * grain, &unit), "another unit's records");
    assert!(!accepted(4 * grain, half), "half a record");
    assert!(!accepted(16 * grain, &[]), "past the end");
    assert!(!accepted(u64::MAX, &[]), "past the end");
    let mut sink = stream_optimized(Vec::new(), &options).unwrap();
    sink.commit(4 * grain, grain, &unit).unwrap();
    sink.commit(5 * grain, grain, &[]).unwrap();
    assert!(sink.commit(5 * grain, grain, &[]).is_err(), "again");
    assert!(sink.commit(0, grain, &[]).is_err(), "backwards");
}

//! Our streamOptimized files in a reader that never goes back (`testkit::vmdk_stream`): the rules of VirtualBox's importer
//! and of VMware's tools, which hash up to the end marker. What it refuses, they refuse.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::io::Write;

use ::disk::OrderedSink;
use common::{GRAIN, disk, drive_ordered, noise, options, stream};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use testkit::vmdk_stream;
use wimforge_vmdk::{Options, stream_optimized};

/// The disk in `file`, or the rule that it breaks. No grain of zeros is stored.
fn read_sequentially(file: &[u8]) -> Result<Vec<u8>, String> {
    let mut disk = Vec::new();
    let found = vmdk_stream::read(&mut &*file, &mut |offset, grain| {
        assert!(grain.iter().any(|byte| *byte != 0), "grain of zeros at {offset:#x}");
        disk.resize(offset as usize, 0);
        disk.extend_from_slice(grain);
    })?;
    let size = found.disk_size as usize;
    assert!(
        disk.get(size..).unwrap_or_default().iter().all(|byte| *byte == 0),
        "zeros behind the disk's end"
    );
    disk.resize(size, 0);
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

/// A disk that ends inside a grain: the grain is whole, the header's capacity rounded up, the descriptor exact.
#[test]
fn sizes_that_are_no_whole_grains() {
    for (sectors, last) in [(1, true), (127, true), (129, true), (4101, true), (4101, false), (70_001, true)]
    {
        let mut disk = noise(5, 3 * GRAIN);
        disk.resize(sectors * 512, 0);
        if last {
            *disk.last_mut().unwrap() = 1;
        } else {
            disk[4000 * 512..].fill(0);
        }
        let file = stream(&disk, &options(&disk));
        assert!(read_sequentially(&file).unwrap() == disk, "{sectors}");
        let capacity = u64::from_le_bytes(file[12..20].try_into().unwrap());
        assert_eq!(capacity, (sectors as u64).next_multiple_of(128));
    }
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
    assert_eq!(fault(&|file| file[4] = 1), "ESXi: header of version 3");
    assert_eq!(fault(&|file| file[8] = 5), "VirtualBox: no marks for grains of zeros");
    assert_eq!(fault(&|file| file[8] = 0), "VirtualBox: check bytes, compressed, markers");
    assert_eq!(fault(&|file| file[12] = 1), "technical note: capacity of whole grains");
    assert_eq!(fault(&|file| file.truncate(file.len() - 512)), "ends without an end marker");
    assert_eq!(fault(&|file| file.extend([0; 512])), "VMware: nothing behind the end marker");
    let gap = |file: &mut Vec<u8>| drop(file.splice(65_536..65_536, [0; 512]));
    assert_eq!(fault(&gap), "no footer");
    let before_footer = |file: &mut Vec<u8>| {
        let footer = file.len() - 1536;
        drop(file.splice(footer..footer, [0; 512]));
    };
    assert_eq!(fault(&before_footer), "no footer");
    let behind_footer = |file: &mut Vec<u8>| {
        let end = file.len() - 512;
        let mut marker = [0; 512];
        marker[12] = 4;
        drop(file.splice(end..end, marker));
    };
    assert_eq!(fault(&behind_footer), "VirtualBox, qemu: footer 1024 bytes before the end");
    assert!(fault(&|file| file[65_536 + 100] ^= 1).starts_with("inflate: "));
    assert_eq!(fault(&|file| file[65_536] = 1), "grains on the disk");

    let text = |old: &'static str, new: &'static str| {
        let mut file = good.clone();
        let at = file.windows(old.len()).position(|window| window == old.as_bytes()).unwrap();
        file[at..at + old.len()].copy_from_slice(new.as_bytes());
        read_sequentially(&file).unwrap_err()
    };
    assert_eq!(text("# Disk D", "# disk D"), "VirtualBox: first line");
    assert_eq!(text("CID=12345678", "CID=ffffffff"), "VMware: reserved content ids");
    assert_eq!(
        text("CID=12345678\nparentCID=ffffffff", "parentCID=ffffffff\nCID=12345678"),
        "qemu: the first CID is the disk's"
    );
    assert_eq!(text("ddb.toolsVersion", "tools.ddbVersion"), "VirtualBox: keys, extents, database");
    assert_eq!(text("version=1", "version=2"), "VirtualBox: version 1");
    assert_eq!(text("RW 81920", "RW 81792"), "descriptor and header of one size");
}

/// The record of a grain with this zlib stream.
fn record(lba: u64, data: &[u8]) -> Vec<u8> {
    let mut record = lba.to_le_bytes().to_vec();
    record.extend((data.len() as u32).to_le_bytes());
    record.extend(data);
    record.resize(record.len().next_multiple_of(512), 0);
    record
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(bytes).unwrap();
    zlib.finish().unwrap()
}

/// The faults that qemu-img's files are known for, each alone, in a file that is otherwise ours.
#[test]
fn the_faults_of_qemu_img_are_refused() {
    let mut disk = vec![0; 3 * GRAIN];
    for (index, grain) in disk.chunks_mut(GRAIN).enumerate() {
        grain.copy_from_slice(&noise(index as u64 + 1, GRAIN));
    }
    let good = stream(&disk, &options(&disk));
    // Three records of one size: noise is stored as it is.
    let len = record(0, &[0; 2 + 2 * 5 + GRAIN + 4]).len();
    let (head, rest) = good.split_at(65_536);
    let (records, tail) = rest.split_at(3 * len);
    let (first, others) = records.split_at(len);
    let with = |records: &[&[u8]]| read_sequentially(&[head, &records.concat(), tail].concat());
    assert!(with(&[first, others]).unwrap() == disk);
    assert_eq!(with(&[others, first]).unwrap_err(), "VirtualBox: ascending LBAs");
    let short = record(256, &zlib(&disk[2 * GRAIN..][..2560]));
    assert_eq!(with(&[first, &others[..len], &short]).unwrap_err(), "VirtualBox: a grain is whole");
    let long = record(256, &zlib(&noise(9, GRAIN + 512)));
    assert_eq!(with(&[first, &others[..len], &long]).unwrap_err(), "VirtualBox: room for a grain");
    // The space that was set aside for the last grain, left as zeros.
    let slack = [good.as_slice(), &[0; 40_960]].concat();
    assert_eq!(read_sequentially(&slack).unwrap_err(), "VMware: nothing behind the end marker");
}

/// qemu-img's own output is what VirtualBox and VMware refuse: the reason this crate's writer exists.
#[test]
fn qemu_img_does_not_pass() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vmdk"));
    let fault = |disk: &[u8]| {
        std::fs::write(&raw, disk).unwrap();
        let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
        qemu.run(args.iter().map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
        read_sequentially(&std::fs::read(&path).unwrap()).unwrap_err()
    };
    assert_eq!(fault(&disk(40)), "VMware: nothing behind the end marker");
    assert_eq!(fault(&noise(3, (2 << 20) + 5 * 512)), "technical note: capacity of whole grains");
}

/// VMware's own files pass, in both shapes; the third is another program's, whose descriptor ends without a line end.
#[test]
fn vmware_passes() {
    let Some(samples) = testkit::samples() else { return };
    for (name, tool, expected) in [
        ("iotest-version3.vmdk.bz2", "bzip2", Ok((16 << 30, 151))),
        ("vmware-streamOptimized.vmdk.gz", "gzip", Ok((10 << 20, 52))),
        ("vmware-streamOptimizedWithMarkers.vmdk.gz", "gzip", Err("line ends".to_owned())),
    ] {
        let Some(tool) = testkit::tool(tool) else { return };
        let path = samples.join("disks").join(name);
        let file = tool.run(["-dc".as_ref(), path.as_os_str()]).stdout;
        let mut grains = 0;
        let found = vmdk_stream::read(&mut file.as_slice(), &mut |_, _| grains += 1);
        assert_eq!(found.map(|found| (found.disk_size, found.grains)), expected, "{name}");
        assert_eq!(grains > 0, expected.is_ok());
    }
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

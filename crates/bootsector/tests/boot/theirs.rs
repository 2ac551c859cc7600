//! Disks with volumes of mkntfs, worn by ntfs-3g.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use disk::WriteAt;
use testkit::reader::Mount;
use testkit::{args, tool};
use wimforge_bootsector::ntfs_boot_record;

use crate::ours::{SECTOR, write_mbr};
use crate::volume::{ATTRIBUTE_LIST, DATA, INDEX_ALLOCATION, MFT, ROOT, Volume};

/// How a volume is worn.
#[derive(Clone, Copy, Debug)]
pub struct Wear {
    pub cluster: u32,
    pub size: u64,
    /// Names in the root directory, half of them deleted again.
    pub names: usize,
    /// Whether free space is in pieces when the rest is written.
    pub fragmented: bool,
    pub seed: u64,
}

/// What came of it: runs in the base record, or that there is an attribute list; and BOOTMGR's record.
#[derive(Debug)]
pub struct Shape {
    pub bootmgr: u64,
    pub mft_runs: usize,
    pub mft_list: bool,
    pub root_runs: Option<usize>,
    pub root_list: bool,
    pub bootmgr_runs: Option<usize>,
    pub bootmgr_list: bool,
}

pub const START: u64 = 2048;

/// Makes the disk. `None`, visibly, when a tool is missing.
pub fn disk(path: &Path, wear: Wear, bootmgr: &[u8]) -> Option<Shape> {
    let scratch = tempfile::tempdir().unwrap();
    let volume = scratch.path().join("volume");
    File::create(&volume).unwrap().set_len(wear.size).unwrap();
    tool("mkntfs")?.run(args![
        "-q",
        "-F",
        "-p",
        &START.to_string(),
        "-H",
        "255",
        "-S",
        "63",
        "-c",
        &wear.cluster.to_string(),
        &volume
    ]);
    let file = {
        let mount = Mount::new(&volume, "rw")?;
        write(mount.path(), wear, bootmgr);
        // ntfs-3g's inodes are file records.
        fs::metadata(mount.path().join("BootMgr")).unwrap().ino()
    };
    // What is ours in the boot record, around what mkntfs wrote about the volume.
    let own = File::options().read(true).write(true).open(&volume).unwrap();
    let record = ntfs_boot_record();
    own.write_all_at(&record[..0x0B], 0).unwrap();
    own.write_all_at(&record[0x54..], 0x54).unwrap();
    drop(own);

    let disk = File::create(path).unwrap();
    let bytes = fs::read(&volume).unwrap();
    for (piece, at) in bytes.chunks(1 << 16).zip((START * SECTOR..).step_by(1 << 16)) {
        if piece.iter().any(|&byte| byte != 0) {
            disk.write_all_at(piece, at).unwrap();
        }
    }
    disk.set_len(START * SECTOR + wear.size + (1 << 20)).unwrap();
    write_mbr(&disk, START, wear.size / SECTOR);

    let volume = Volume::open(path, START * SECTOR);
    Some(Shape {
        bootmgr: file,
        mft_runs: volume.runs(MFT, DATA).unwrap(),
        mft_list: volume.attribute(MFT, ATTRIBUTE_LIST).is_some(),
        root_runs: volume.runs(ROOT, INDEX_ALLOCATION),
        root_list: volume.attribute(ROOT, ATTRIBUTE_LIST).is_some(),
        bootmgr_runs: volume.runs(file, DATA),
        bootmgr_list: volume.attribute(file, ATTRIBUTE_LIST).is_some(),
    })
}

fn write(root: &Path, wear: Wear, bootmgr: &[u8]) {
    let mut random = Random(wear.seed);
    // Reserves a record near the beginning of $MFT, where the test finds it.
    File::create(root.join("BootMgr")).unwrap();
    if wear.fragmented {
        // Files that grow in turn share the volume cluster by cluster; then every other one goes.
        let mut files: Vec<_> =
            (0..8).map(|i| File::create(root.join(format!("filler {i}"))).unwrap()).collect();
        let cluster = vec![0xA5; wear.cluster as usize];
        let mut turn = 0;
        // Where the volume is full, some writes still succeed; eight failures in a row are its end.
        let mut failures = 0;
        while failures < 8 {
            let times = 1 + random.below(2);
            for _ in 0..times {
                match files[turn % 8].write_all(&cluster) {
                    Ok(()) => failures = 0,
                    Err(_) => failures += 1,
                }
            }
            turn += 1;
        }
        drop(files);
        for i in (0..8).step_by(2) {
            fs::remove_file(root.join(format!("filler {i}"))).unwrap();
        }
    }
    let name =
        |i: usize| format!("{} name number {i} of the root directory", ["a", "bo", "boot", "x"][i % 4]);
    let mut file = File::options().append(true).open(root.join("BootMgr")).unwrap();
    let mut other = File::create(root.join("grows in turn with BootMgr")).unwrap();
    let pieces = bootmgr.chunks(if wear.fragmented { wear.cluster as usize } else { bootmgr.len() });
    let mut numbers = 0..wear.names;
    let names_per_piece = wear.names.div_ceil(pieces.len());
    for piece in pieces {
        file.write_all(piece).unwrap();
        other.write_all(&vec![0x5A; piece.len()]).unwrap();
        for _ in 0..names_per_piece {
            let Some(number) = numbers.next() else { break };
            // ntfs-3g gives up in directories whose index is in too many pieces; what is there by then will do.
            if fs::write(root.join(name(number)), number.to_string()).is_err() {
                println!("ntfs-3g created {number} names");
                numbers = 0..0;
            }
        }
    }
    drop(file);
    for number in 0..wear.names {
        if random.below(2) == 0 {
            let _ = fs::remove_file(root.join(name(number)));
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

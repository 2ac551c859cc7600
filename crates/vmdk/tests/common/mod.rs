//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use disk::{OrderedSink, ReadAt};
pub use testkit::container::{allocated, read_all, walk};
use testkit::container::{drive_positioned, write_sparse};
pub use testkit::content::noise;
use wimforge_vmdk::{GRAIN_SIZE, Kind, Options, Result, Vmdk, monolithic_sparse, split, stream_optimized};

pub const GRAIN: usize = GRAIN_SIZE as usize;

/// A disk of `mib` MiB with everything that matters: text, noise, single bytes, long gaps, a gap of more than a grain
/// table's span when it is large enough, and something in its last sector.
pub fn disk(mib: usize) -> Vec<u8> {
    let mut disk = vec![0; mib << 20];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = disk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let text: Vec<u8> = (0..40_000u32).flat_map(|i| format!("{i} grains, ").into_bytes()).collect();
    put(0, &noise(1, 512));
    put(100_000, &text);
    put((1 << 20) - 1, b"x");
    put(2 << 20, &noise(2, 300_000));
    put((32 << 20) - 70_000, &noise(3, 140_000));
    put((98 << 20) + 5, &text);
    let last = disk.len() - 1;
    disk[last] = 0xEE;
    disk
}

/// Hands `disk` to `sink` in units of `unit` bytes, leaving out the units that are zero.
pub fn drive_ordered(mut sink: Box<dyn OrderedSink + '_>, disk: &[u8], unit: usize) {
    let mut encoder = sink.encoder();
    let mut encoded = Vec::new();
    for (index, data) in disk.chunks(unit).enumerate() {
        if data.iter().all(|byte| *byte == 0) {
            continue;
        }
        encoded.clear();
        encoder.encode((index * unit) as u64, data, &codec::Tokens::new(), &mut encoded).unwrap();
        sink.commit((index * unit) as u64, data.len() as u64, &encoded).unwrap();
    }
    sink.finish().unwrap();
}

/// `disk` as a streamOptimized file.
pub fn stream(disk: &[u8], options: &Options) -> Vec<u8> {
    let mut file = Vec::new();
    drive_ordered(Box::new(stream_optimized(&mut file, options).unwrap()), disk, 8 * GRAIN);
    file
}

/// `disk` as a monolithicSparse file.
pub fn sparse(disk: &[u8], options: &Options) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let ranges = allocated(disk, GRAIN);
    let sink = monolithic_sparse(Arc::clone(&file), options, ranges.iter().cloned()).unwrap();
    drive_positioned(Box::new(sink), disk, &ranges, 700 * 512);
    std::mem::take(&mut *file.lock().unwrap())
}

pub fn options(disk: &[u8]) -> Options {
    Options::new(disk.len() as u64, "disk.vmdk", 0x1234_5678)
}

/// The files of a disk: the descriptor's name is empty.
pub type Files = BTreeMap<String, Vec<u8>>;

/// `disk` in several files.
pub fn files(kind: Kind, disk: &[u8], options: &Options) -> Files {
    let descriptor = Arc::new(Mutex::new(Vec::new()));
    let mut made = BTreeMap::from([(String::new(), Arc::clone(&descriptor))]);
    let ranges = allocated(disk, GRAIN);
    let make = |extent: &wimforge_vmdk::ExtentFile| {
        let file = Arc::new(Mutex::new(Vec::new()));
        made.insert(extent.name.clone(), Arc::clone(&file));
        Ok(file)
    };
    let sink = split(kind, descriptor, make, options, ranges.iter().cloned()).unwrap();
    drive_positioned(Box::new(sink), disk, &ranges, 700 * 512);
    made.into_iter().map(|(name, file)| (name, std::mem::take(&mut *file.lock().unwrap()))).collect()
}

/// Opens what [`files`] made.
pub fn open_files(files: &Files) -> Result<Vmdk> {
    let find = |name: &str| {
        let file = files.get(name).filter(|_| !name.is_empty());
        Ok(Arc::new(file.ok_or(io::ErrorKind::NotFound)?.clone()) as Arc<dyn ReadAt>)
    };
    Vmdk::open_with(Arc::new(files[""].clone()), &mut { find })
}

/// Opens a VMDK and the files beside it.
pub fn open_path(path: &Path) -> Result<Vmdk> {
    let beside = |name: &str| {
        assert!(!name.contains('/'), "{name}");
        Ok(Arc::new(File::open(path.with_file_name(name))?) as Arc<dyn ReadAt>)
    };
    Vmdk::open_with(Arc::new(File::open(path).unwrap()), &mut { beside })
}

/// qemu-img finds the disk that we read in `path` equal to the one that it reads.
pub fn qemu_agrees(qemu: &testkit::Tool, path: &Path, vmdk: &Vmdk) {
    let raw = path.with_extension("ours");
    write_sparse(vmdk, &raw);
    qemu.run(testkit::args!["compare", "-f", "vmdk", "-F", "raw", path, &raw]);
    std::fs::remove_file(raw).unwrap();
}

/// A copy-on-write extent of ESX, of so many sectors, and what is on it: two runs of sectors, one backwards.
pub fn cowd(sectors: usize) -> (Vec<u8>, Vec<u8>) {
    let mut disk = vec![0; sectors * 512];
    let tables = sectors.div_ceil(4096);
    let mut file = vec![0; (5 + tables * 32) * 512];
    let put = |file: &mut Vec<u8>, at: usize, value: usize| {
        file[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    };
    file[..4].copy_from_slice(b"COWD");
    // Version, flags, sectors, sectors of a grain, the directory's place and entries.
    for (index, value) in [1, 3, sectors, 1, 4, tables].into_iter().enumerate() {
        put(&mut file, 4 + index * 4, value);
    }
    for table in 0..tables {
        put(&mut file, 4 * 512 + table * 4, 5 + table * 32);
    }
    let backwards = (3500..4500).rev();
    for sector in (100..1100).chain(backwards) {
        let data = noise(sector as u64 + 1, 512);
        disk[sector * 512..][..512].copy_from_slice(&data);
        let (at, entry) = (file.len() / 512, (5 + sector / 4096 * 32) * 512 + sector % 4096 * 4);
        put(&mut file, entry, at);
        file.extend(data);
    }
    let free = file.len() / 512;
    put(&mut file, 28, free);
    (file, disk)
}

pub fn cowd_descriptor(sectors: usize) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=11223344\nparentCID=ffffffff\ncreateType=\"vmfsSparse\"\n\
         # Extent description\nRW {sectors} VMFSSPARSE \"old-delta.vmdk\"\n\
         # The Disk Data Base\n#DDB\nddb.adapterType = \"lsilogic\"\n"
    )
}

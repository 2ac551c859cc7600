//! Any bytes are a file with a disk in it or are refused, and then everything is done with it that the commands do: container and
//! volumes are checked, partitions listed, volumes walked and files read, what is unused is found and left out, the boot
//! chain is followed, the disk gets another size.
//!
//! The first byte says whether the rest is a file, or changes to a good disk, which is then put into a container.
#![no_main]

#[path = "../support/ntfs.rs"]
mod ntfs;
#[path = "../support/scratch.rs"]
mod scratch;

use std::sync::{Arc, LazyLock, Mutex};

use bootsector::{Gpt, GptKind, GptPartition, Mbr, Partition, PartitionType};
use disk::{BlockMap, Guid, Lba, PositionedSink, ReadAt, SectorSize};
use image::pipeline::BlobStore;
use image::resize::{Options as ResizeOptions, Resized};
use image::unused::{SurveyOptions, Trimmed, survey};
use image::{DiskFile, DiskVolume, ImageChoice, Partitions, Scope, VolumeOptions, check_disk};
use libfuzzer_sys::fuzz_target;
use ntfs::{BASE, Patched};
use scratch::Scratch;

/// First sector of the volume.
const START: u64 = 64;

fn disk_len() -> usize {
    (START as usize * 512 + BASE.len() + 64 * 512).next_multiple_of(1 << 20)
}

/// A disk with a master boot record, and one with a GUID partition table, without their volume.
static TABLES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let sectors = BASE.len() as u64 / 512;
    let mut mbr = Mbr::new(7);
    mbr.partitions[0] =
        Some(Partition { start: Lba(START), sectors, kind: PartitionType::NTFS, active: true });
    let mut first = vec![0; disk_len()];
    first[..512].copy_from_slice(&mbr.to_sector().expect("a good table"));
    let mut gpt = Gpt::new(Guid([1; 16]), SectorSize::B512);
    gpt.partitions.push(GptPartition {
        number: 1,
        kind: GptKind::BASIC_DATA,
        id: Guid([2; 16]),
        start: Lba(START),
        sectors,
        attributes: 0,
        name: "Windows".to_owned(),
    });
    let mut second = vec![0; disk_len()];
    let bytes = gpt.to_bytes(second.len() as u64).expect("a good table");
    second[..bytes.start.len()].copy_from_slice(&bytes.start);
    second[bytes.end_offset as usize..].copy_from_slice(&bytes.end);
    [first, second]
});

/// A good disk with changes: first of its table (a count, then places and bytes), then of the volume.
fn changed(mode: u8, mut data: &[u8]) -> Vec<u8> {
    let mut disk = TABLES[usize::from(mode & 1)].clone();
    let count = data.split_off_first().copied().unwrap_or(0) % 8;
    for _ in 0..count {
        let Some((&[place, low, byte], rest)) = data.split_first_chunk::<3>() else { break };
        let at = match place & 3 {
            0 => 0x1B0 + usize::from(low) % 80,
            1 => 512 + usize::from(low),
            2 => 1024 + usize::from(low),
            _ => disk_len() - 512 + usize::from(low),
        };
        disk[at] = byte;
        data = rest;
    }
    let start = START as usize * 512;
    Patched::new(data).read_exact_at(&mut disk[start..start + BASE.len()], 0).expect("memory");
    disk
}

/// The disk in a container; all of it is stored.
fn contained(mode: u8, disk: Vec<u8>) -> Vec<u8> {
    let len = disk.len() as u64;
    let file = Arc::new(Mutex::new(Vec::new()));
    let all = || std::iter::once(0..len);
    let write = |sink: Box<dyn PositionedSink>| {
        sink.write_at(0, &disk).expect("memory");
        sink.finish().expect("memory");
    };
    match mode >> 1 & 7 {
        1 => {
            let options = vhd::Options::new(len, Guid([7; 16]));
            write(Box::new(vhd::dynamic::positioned(Arc::clone(&file), &options, all()).expect("options")));
        }
        2 => {
            let options = qcow2::Options::new(len);
            write(Box::new(qcow2::plain::positioned(Arc::clone(&file), &options, all()).expect("options")));
        }
        3 => {
            let options = vdi::Options::new(len, Guid([7; 16]), Guid([8; 16]));
            write(Box::new(vdi::dynamic::positioned(Arc::clone(&file), &options, all()).expect("options")));
        }
        4 => {
            let options = vmdk::Options::new(len, "disk", 7);
            write(Box::new(vmdk::monolithic_sparse(Arc::clone(&file), &options, all()).expect("options")));
        }
        _ => return disk,
    }
    std::mem::take(&mut *file.lock().expect("one thread"))
}

fn walk(disk: &DiskFile, partitions: &Partitions) {
    for partition in &partitions.partitions {
        for raw in [false, true] {
            let Ok(volume) = DiskVolume::open(disk, partition, VolumeOptions { raw }) else { continue };
            let _ = volume.info();
            let _ = volume.label();
            let Ok((tree, blobs)) = volume.tree(&Scope::all()) else { continue };
            for name in &tree.names[1..] {
                assert!(
                    (name.node.0 as usize) < tree.nodes.len() && (name.parent.0 as usize) < tree.nodes.len()
                );
            }
            let mut reader = blobs.reader();
            let mut buf = vec![0; 4096];
            for blob in 0..blobs.blob_count().min(300) as u32 {
                let len = blobs.blob_len(blob).min(buf.len() as u64) as usize;
                let _ = reader.read_at(blob, 0, &mut buf[..len]);
            }
        }
    }
    let _ = DiskVolume::choose(disk, partitions, None, VolumeOptions::default());
    let choice = ImageChoice::Name("a volume".to_owned());
    let _ = DiskVolume::choose(disk, partitions, Some(&choice), VolumeOptions::default());
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    let bytes = if mode & 0x80 == 0 { data.to_vec() } else { contained(mode, changed(mode, data)) };
    let scratch = Scratch::new();
    let path = scratch.file("disk", &bytes);
    let Ok(file) = DiskFile::open(&path) else { return };
    // Containers can promise more than there is.
    let size = file.size().expect("it is open");
    let _ = (file.check(), file.info());
    let mut at = 0;
    for range in file.ranges().take(1000) {
        let Ok(range) = range else { break };
        assert!(range.start == at && range.len > 0);
        at += range.len;
    }
    let partitions = Partitions::of(&file);
    if let Ok(partitions) = &partitions {
        walk(&file, partitions);
    }
    for strict in [false, true] {
        if let Ok(checks) = check_disk(&file, None, strict) {
            assert!(!checks.is_empty());
        }
    }
    let _ = image::chain::check_chain(&file).map(|report| report.is_broken());
    if let Ok(found) = survey(&file, &SurveyOptions::default()) {
        let trimmed = Trimmed::new(Arc::clone(file.disk()), found);
        assert_eq!(trimmed.size().expect("it is open"), size);
        let mut buf = vec![0; 100_000.min(size as usize)];
        let _ = trimmed.read_exact_at(&mut buf, size / 2 / 512 * 512);
    }
    for wanted in [size.saturating_add(1 << 20) & !511, size.saturating_sub(1 << 20) & !511] {
        let Ok(resized) = Resized::plan(Arc::clone(file.disk()), wanted, &ResizeOptions::default()) else {
            continue;
        };
        let disk = resized.disk();
        assert_eq!(disk.size().expect("it is open"), wanted);
        let mut at = 0;
        for _ in 0..1000 {
            let Ok(Some(range)) = disk.range_at(at) else { break };
            assert!(range.start <= at && range.start + range.len > at);
            at = range.start + range.len;
            assert!(at <= wanted);
        }
    }
});

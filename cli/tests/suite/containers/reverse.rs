//! What others write, converted to raw.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use testkit::{args, disk_reader, tool};

use super::source::Source;
use crate::support::{names, scratch, wimforge};

/// Every way in which qemu-img writes a disk: format, options, and whether it compresses.
const WRITTEN_BY_QEMU: &[(&str, &str, bool)] = &[
    ("raw", "preallocation=off", false),
    ("vpc", "subformat=dynamic,force_size=on", false),
    ("vpc", "subformat=fixed,force_size=on", false),
    ("vhdx", "subformat=dynamic", false),
    ("vhdx", "subformat=dynamic,block_size=1M,log_size=2M", false),
    ("vhdx", "subformat=dynamic,block_state_zero=off", false),
    ("vhdx", "subformat=fixed", false),
    ("vmdk", "subformat=monolithicSparse", false),
    ("vmdk", "subformat=monolithicSparse,zeroed_grain=on,adapter_type=lsilogic", false),
    ("vmdk", "subformat=monolithicFlat", false),
    ("vmdk", "subformat=twoGbMaxExtentSparse", false),
    ("vmdk", "subformat=twoGbMaxExtentFlat", false),
    ("vmdk", "subformat=streamOptimized", false),
    ("vdi", "static=off", false),
    ("vdi", "static=on", false),
    ("qcow2", "compat=1.1", false),
    ("qcow2", "compat=1.1", true),
    ("qcow2", "compat=0.10", false),
    ("qcow2", "compat=0.10", true),
    ("qcow2", "cluster_size=512", false),
    ("qcow2", "cluster_size=4k", true),
    ("qcow2", "cluster_size=2M", true),
    ("qcow2", "refcount_bits=1,lazy_refcounts=on", false),
    ("qcow2", "refcount_bits=64,preallocation=metadata", false),
    ("qcow2", "preallocation=falloc", false),
    ("qcow2", "extended_l2=on", false),
    ("qcow2", "compression_type=zstd", true),
];

fn extension(format: &str) -> &str {
    if format == "vpc" { "vhd" } else { format }
}

/// `path` holds the disk of `source`; what its format adds at the end is zero.
fn holds(path: &Path, source: &Source, what: &str) {
    let file = File::open(path).expect("a raw disk");
    let size = file.metadata().expect("a size").len();
    assert!(size >= source.size && size - source.size < 1 << 20, "{what}: {size} bytes");
    let step = 1 << 20;
    for start in (0..size).step_by(step as usize) {
        let range = start..size.min(start + step);
        let mut found = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut found, start).expect("inside");
        assert!(found == source.bytes(&range), "{what}: differs in {range:?}");
    }
}

#[test]
fn what_qemu_writes() {
    let Some(qemu) = tool("qemu-img") else { return };
    let directory = scratch();
    for source in Source::all().iter().filter(|source| ["odd", "mixed"].contains(&source.name)) {
        let raw = directory.path().join(source.name);
        source.write(&raw).expect("a raw disk");
        for (format, options, compressed) in WRITTEN_BY_QEMU {
            let what = format!("{} as {format} {options}", source.name);
            let beside = tempfile::tempdir_in(directory.path()).expect("a directory");
            let written = beside.path().join(format!("disk.{}", extension(format)));
            let mut args = vec!["convert", "-f", "raw", "-O", format, "-o", options];
            args.extend(compressed.then_some("-c"));
            qemu.run(args.into_iter().map(AsRef::as_ref).chain([raw.as_os_str(), written.as_os_str()]));
            let back = beside.path().join("back.img");
            wimforge(args!["convert", &written, &back, "--format", "raw"]).well();
            holds(&back, source, &what);
            wimforge(args!["compare", &written, &raw]).well();
            // A raw disk is judged by what is on it, and there is nothing.
            if *format != "raw" {
                wimforge(args!["check", &written]).well();
            }
        }
        std::fs::remove_file(raw).expect("was just made");
    }
}

/// Disks over disks, made by qemu: read with their parents where they are allowed, refused where not.
#[test]
fn what_qemu_writes_over_a_parent() {
    let (Some(qemu), Some(qemu_io)) = (tool("qemu-img"), tool("qemu-io")) else { return };
    let directory = scratch();
    let source = Source::mixed();
    let raw = directory.path().join("source.raw");
    source.write(&raw).expect("a raw disk");
    for format in ["vmdk", "qcow2"] {
        let place = |name: &str| directory.path().join(format!("{name}.{format}"));
        let (base, child) = (place("base"), place("child"));
        wimforge(args![
            "convert",
            &raw,
            &base,
            "--format",
            if format == "vmdk" { "vmdk-sparse" } else { format }
        ])
        .well();
        qemu.run(args!["create", "-f", format, "-F", format, "-b", &base, &child]);
        for write in ["write -P 1 1M 64k", "write -P 2 40M 1000k", "write -P 3 135265792 512"] {
            qemu_io.run(args!["-f", format, "-c", write, &child]);
        }
        let back = place("back");
        wimforge(args!["convert", &child, &back, "--format", "raw"]).badly(&[2, 3, 4]).says(&["--parent"]);
        assert!(!back.exists());
        wimforge(args!["convert", &child, "--parent", directory.path(), &back, "--format", "raw"]).well();
        qemu.run(args!["compare", "-f", format, "-F", "raw", &child, &back]);
        std::fs::remove_file(&back).expect("was just made");
        wimforge(args!["convert", &child, "--parent", &base, &back, "--format", "vhdx"]).well();
        qemu.run(args!["compare", "-f", format, "-F", "vhdx", &child, &back]);
    }
}

/// Files of real products. Which others read them: qemu (after it replayed a log, in a copy), libyal, dissect.
struct Sample {
    file: &'static str,
    qemu: Qemu,
    others: &'static [&'static str],
}

#[derive(PartialEq)]
enum Qemu {
    Reads,
    /// It replays the log in the file first.
    Replays,
    Refuses,
}

const SAMPLES: &[Sample] = &[
    Sample { file: "btrfs.vhdx.gz", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "d2v-zerofilled.vhd.bz2", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "hyperv2012r2-dynamic.vhd.bz2", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "iotest-dirtylog-10G-4M.vhdx.bz2", qemu: Qemu::Replays, others: &[] },
    Sample { file: "iotest-dynamic-1G.vhdx.bz2", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "iotest-version3.vmdk.bz2", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "sleuthkit-image.vhd", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "swap.vhdx.gz", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "test-disk2vhd.vhdx.bz2", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "vhdx-log-replay.vhdx.gz", qemu: Qemu::Replays, others: &[] },
    Sample { file: "virtualpc-dynamic.vhd.bz2", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "vmware-monolithicSparse.vmdk.gz", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample { file: "vmware-streamOptimized.vmdk.gz", qemu: Qemu::Reads, others: &["libyal", "dissect"] },
    Sample {
        file: "vmware-streamOptimizedWithMarkers.vmdk.gz",
        qemu: Qemu::Reads,
        // libvmdk wants another first line of the descriptor.
        others: &["dissect"],
    },
];

/// A sample as a file of its own: zeros of an archive become holes.
fn unpacked(sample: &Path, directory: &Path) -> Option<PathBuf> {
    let packer = match sample.extension()?.to_str()? {
        "gz" => "gzip",
        "bz2" => "bzip2",
        _ => {
            let path = directory.join(sample.file_name()?);
            std::fs::copy(sample, &path).expect("a copy");
            return Some(path);
        }
    };
    let packer = tool(packer)?;
    let path = directory.join(sample.file_stem()?);
    tool("sh")?.run(args![
        "-c",
        "\"$1\" -dc \"$2\" | dd of=\"$3\" bs=64k iflag=fullblock conv=sparse status=none",
        "sh",
        packer.path(),
        sample,
        &path
    ]);
    Some(path)
}

#[test]
fn what_products_write() {
    let Some(samples) = testkit::samples() else { return };
    let samples = samples.join("disks");
    let known: Vec<_> = SAMPLES.iter().map(|sample| sample.file).collect();
    assert_eq!(names(&samples), known, "every sample is read here");
    let Some(qemu) = tool("qemu-img") else { return };
    for sample in SAMPLES {
        let directory = scratch();
        let Some(path) = unpacked(&samples.join(sample.file), directory.path()) else { return };
        let back = directory.path().join("back.raw");
        wimforge(args!["convert", &path, &back, "--format", "raw"]).well();
        wimforge(args!["check", &path]).well();
        let kind = path.extension().and_then(|kind| kind.to_str()).expect("an extension");
        let raw = File::open(&back).expect("a raw disk");
        let size = raw.metadata().expect("a size").len();
        let probes = probes(size);
        let expected: Vec<_> = probes.iter().map(|range| sha1_of(&raw, range)).collect();
        for reader in sample.others {
            if let Some(found) = disk_reader::read(reader, kind, &[&path], &probes) {
                assert_eq!((found.size, &found.sha1), (size, &expected), "{}: {reader}", sample.file);
            }
        }
        if sample.qemu == Qemu::Refuses {
            continue;
        }
        let format = if kind == "vhd" { "vpc" } else { kind };
        if sample.qemu == Qemu::Replays {
            qemu.run(args!["check", "-r", "all", "-f", format, &path]);
        }
        qemu.run(args!["compare", "-f", format, "-F", "raw", &path, &back]);
    }
}

/// All of a small disk; of a large one its beginning, its end, and pieces in between (qemu compares all of it).
fn probes(size: u64) -> Vec<Range<u64>> {
    if size <= 300 << 20 {
        return std::iter::once(0..size).collect();
    }
    let mut probes = vec![0..64 << 20, size - (1 << 20)..size];
    probes.extend((1..8).map(|part| (size / 8 * part) & !0xFFFF).map(|start| start..start + (1 << 20)));
    probes
}

/// Of at most 300 MiB at once.
fn sha1_of(file: &File, range: &Range<u64>) -> String {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start).expect("inside");
    disk_reader::sha1(&bytes)
}

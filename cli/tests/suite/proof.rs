//! Disks that everybody else reads, finding in them exactly what the WIM has.

use std::path::{Path, PathBuf};

use testkit::disk::{self, Format};
use testkit::tree::Tree;
use testkit::{args, fixture, reader, testdata, tool};

use crate::support::{build, compressed, scratch, wimforge};

/// Cuts the Windows partition out of a raw disk and holds what wimlib captures of it against image `index` of `wim`.
/// Returns the volume.
#[track_caller]
fn recapture(raw: &Path, wim: &Path, index: u32, scratch: &Path) -> Option<(PathBuf, Tree)> {
    let (volume, again) = (scratch.join("volume.img"), scratch.join("again.wim"));
    disk::cut(raw, None, &volume)?;
    disk::capture(&volume, &again)?;
    let meant = Tree::of_wim(wim, index)?;
    meant.compare(&Tree::of_wim(&again, 1)?).assert_none();
    std::fs::remove_file(&again).expect("was just made");
    Some((volume, meant))
}

/// Every format, every reader.
#[track_caller]
fn proof(wim: &Path) {
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    build(wim, &raw, &[]).well();
    for (format, name, theirs) in [
        ("vhd", "dynamic.vhd", Format::Vpc),
        ("vhd-fixed", "fixed.vhd", Format::Vpc),
        ("vmdk", "stream.vmdk", Format::Vmdk),
        ("vmdk-sparse", "sparse.vmdk", Format::Vmdk),
    ] {
        let container = scratch.path().join(name);
        build(wim, &container, &["--format", format]).well();
        disk::same(&raw, Format::Raw, &container, theirs);
        reader::seven_zip(&container);
        std::fs::remove_file(&container).expect("was just made");
    }
    reader::seven_zip(&raw);
    if let Some((volume, tree)) = recapture(&raw, wim, 1, scratch.path()) {
        std::fs::remove_file(&raw).expect("was just made");
        reader::all(&volume, &tree, true, &mut |_| {});
    }
}

#[test]
fn the_small_image() {
    proof(&testdata("nano-small.wim"));
}

#[test]
fn the_feature_rich_image_with_lzx() {
    let scratch = scratch();
    let (plain, wim) = (scratch.path().join("plain.wim"), scratch.path().join("rich.wim"));
    fixture::rich().save(&plain);
    if fixture::through_wimlib(&plain, &["Feature-rich"], 512 << 20, "LZX", &wim).is_some() {
        proof(&wim);
    }
}

#[test]
fn the_feature_rich_image_with_xpress_and_small_clusters() {
    let scratch = scratch();
    let Some(wim) = compressed(&fixture::rich(), "XPRESS", scratch.path()) else { return };
    let raw = scratch.path().join("disk.raw");
    build(&wim, &raw, &["--cluster-size", "512"]).well();
    if let Some((volume, tree)) = recapture(&raw, &wim, 1, scratch.path()) {
        reader::ntfsprogs(&volume);
        reader::sleuthkit(&volume, &tree);
        reader::ntfs_3g(&volume, &tree);
    }
}

#[test]
fn a_hundred_thousand_files() {
    let scratch = scratch();
    let Some(wim) = compressed(&fixture::many(100_000), "XPRESS", scratch.path()) else { return };
    let raw = scratch.path().join("disk.raw");
    build(&wim, &raw, &[]).well();
    if let Some((volume, tree)) = recapture(&raw, &wim, 1, scratch.path()) {
        assert!(tree.nodes.len() > 100_000);
        std::fs::remove_file(&raw).expect("was just made");
        reader::all(&volume, &tree, true, &mut |_| {});
    }
}

#[test]
fn every_cluster_size() {
    let wim = testdata("nano-small.wim");
    for size in ["512", "1KiB", "2KiB", "4KiB", "8KiB", "16KiB", "32KiB", "64KiB"] {
        let scratch = scratch();
        let raw = scratch.path().join("disk.raw");
        build(&wim, &raw, &["--cluster-size", size]).well();
        if let Some((volume, tree)) = recapture(&raw, &wim, 1, scratch.path()) {
            reader::ntfsprogs(&volume);
            // Where clusters are larger than index blocks, fls scans the second block of a cluster once more without
            // its fixups and reports one deleted name with the wrong character at a sector's end.
            let deleted = reader::sleuthkit(&volume, &tree).unwrap_or(0);
            let large = ["8KiB", "16KiB", "32KiB", "64KiB"].contains(&size);
            assert!(deleted <= usize::from(large), "{deleted} deleted names with clusters of {size}");
            reader::seven_zip(&volume);
            reader::ntfs_3g(&volume, &tree);
        }
    }
}

#[test]
fn either_of_two_images() {
    let wim = testdata("nano-small-two.wim");
    for (choice, index) in [("1", 1), ("2", 2), ("Second edition", 2)] {
        let scratch = scratch();
        let raw = scratch.path().join("disk.raw");
        build(&wim, &raw, &["--image", choice]).well();
        recapture(&raw, &wim, index, scratch.path());
    }
}

#[test]
fn short_names_on_request() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    build(&wim, &raw, &["--layout", "mbr1", "--size", "64MiB", "--short-names", "--no-boot-files"]).well();
    wimforge(args!["check", &raw, "--strict", "--no-boot"]).well();
    wimforge(args!["verify", &raw, "--against", &wim]).well();
    let listed = wimforge(args!["ls", &raw, "-R", "--detailed"]).well();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    for short in ["PROGRA~1", "LONGFI~1.TXT"] {
        assert!(text.contains(short), "no {short} in {text}");
    }
    let volume = scratch.path().join("volume.img");
    if disk::cut(&raw, None, &volume).is_some() {
        reader::ntfsprogs(&volume);
        let tree = Tree::of_wim(&wim, 1).expect("wimlib is there");
        reader::ntfs_3g(&volume, &tree);
        assert_eq!(reader::sleuthkit(&volume, &tree), Some(0));
    }
}

#[test]
fn one_partition() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    build(&wim, &raw, &["--layout", "mbr1", "--size", "64MiB", "--no-boot-files"]).well();
    assert_eq!(std::fs::metadata(&raw).expect("the disk").len(), 64 << 20);
    let Some(table) = disk::partitions(&raw) else { return };
    let [windows] = table.partitions.as_slice() else { panic!("{table:?}") };
    assert!(windows.bootable && windows.kind == "7" && windows.start == 2_048, "{table:?}");
    recapture(&raw, &wim, 1, scratch.path());
}

#[test]
fn three_partitions() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    build(&wim, &raw, &[]).well();
    let Some(table) = disk::partitions(&raw) else { return };
    let kinds: Vec<_> =
        table.partitions.iter().map(|partition| (partition.kind.as_str(), partition.bootable)).collect();
    assert_eq!(kinds, [("7", true), ("7", false), ("27", false)]);
    assert!(table.partitions.iter().all(|partition| partition.start % 2_048 == 0), "{table:?}");
    assert_eq!(table.partitions[0].size * 512, 350 << 20);
    assert_ne!(table.id, "0x00000000");
    assert!(std::fs::metadata(&raw).expect("the disk").len() >= 4 << 30, "at least 4 GiB");

    // Each boot sector says where its volume lies, with Windows' own geometry, and has its copy at the end.
    for (number, partition) in (1..).zip(&table.partitions) {
        let volume = scratch.path().join("volume.img");
        disk::cut(&raw, Some(number), &volume);
        let bytes = std::fs::read(&volume).expect("the volume");
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!((word(0x18), word(0x1A)), (63, 255), "partition {number}");
        assert_eq!(
            u32::from_le_bytes(bytes[0x1C..0x20].try_into().expect("4 bytes")),
            partition.start as u32
        );
        assert_eq!(bytes[..512], bytes[bytes.len() - 512..], "partition {number}");
        reader::ntfsprogs(&volume);
        reader::seven_zip(&volume);
        if let Some(mount) = reader::Mount::new(&volume, "ro") {
            assert_eq!(crate::support::names(mount.path()).is_empty(), number == 3, "partition {number}");
        }
    }
}

/// The container of the contents makes no difference to the disk: not that it is solid, not that it is split, if only the
/// contents lie in one order.
#[test]
fn solid_and_split_sources_make_the_same_disk() {
    let scratch = scratch();
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let path = |name: &str| scratch.path().join(name);
    let (solid, wim) = (path("solid.esd"), path("plain.wim"));
    let compress = ["--solid", "--solid-chunk-size=32768"];
    wimlib.run(args![
        "export",
        "--quiet",
        &testdata("nano-small.wim"),
        "all",
        &solid,
        compress[0],
        compress[1]
    ]);
    // From a solid file wimlib writes the contents in the order in which they come.
    wimlib.run(args!["export", "--quiet", &solid, "all", &wim, "--compress=LZX"]);
    wimlib.run(args!["split", "--quiet", &wim, &path("x.swm"), "0.1"]);
    std::fs::rename(path("x2.swm"), path("the second.SWM")).expect("there are several parts");
    // Not as a streamOptimized VMDK, whose grains also depend on how the source was compressed.
    let disk = |source: &Path, options: &[&str]| {
        let out = path("disk.vhd");
        build(source, &out, &[&["--seed", "1", "--layout", "mbr1"], options].concat()).well();
        let bytes = std::fs::read(&out).expect("the disk");
        std::fs::remove_file(&out).expect("was just made");
        bytes
    };
    let expected = disk(&wim, &[]);
    for memory in ["1KiB", "256MiB"] {
        assert!(disk(&solid, &["--memory", memory]) == expected);
    }
    // Any part stands for all.
    for part in ["x.swm", "the second.SWM"] {
        assert!(disk(&path(part), &[]) == expected);
    }

    wimforge(args!["verify", &path("x3.swm")]).well();
    std::fs::rename(path("the second.SWM"), path("gone")).expect("it is there");
    std::fs::copy(testdata("nano-small.wim"), path("other.wim")).expect("a copy");
    wimlib.run(args!["split", "--quiet", &path("other.wim"), &path("y.swm"), "0.1"]);
    let out = path("disk.vmdk");
    build(&path("x.swm"), &out, &[]).badly(&[1]).says(&[
        "x.swm: is part 1 of a split set of",
        "not in its directory: part 2; y2.swm is part 2 of another set",
    ]);
    // The other set is complete.
    wimforge(args!["verify", &path("y2.swm")]).well();
    // A damaged part is called by its own name.
    let mut bytes = std::fs::read(path("y2.swm")).expect("a part");
    bytes[5000..5100].fill(0);
    std::fs::write(path("y2.swm"), bytes).expect("a part");
    build(&path("y.swm"), &out, &[]).badly(&[3]).says(&["y2.swm"]);
    // And no part is written over.
    build(&path("y.swm"), &path("y3.swm"), &["--force", "--format", "raw"])
        .badly(&[2])
        .says(&["is the source"]);
}

#[test]
fn every_codec_at_its_smallest_and_largest_chunks() {
    let scratch = scratch();
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let source = testdata("nano-small.wim");
    for options in [
        &["--compress=none"][..],
        &["--compress=XPRESS", "--chunk-size=4096"],
        &["--compress=XPRESS", "--chunk-size=65536"],
        &["--compress=LZX", "--chunk-size=2097152"],
        &["--compress=LZX", "--chunk-size=65536"],
        &["--compress=LZMS", "--chunk-size=32768"],
        &["--compress=LZX", "--pipable"],
        &["--solid"],
        &["--solid", "--solid-chunk-size=32768"],
        &["--solid", "--solid-compress=LZX", "--solid-chunk-size=65536"],
        &["--solid", "--solid-compress=XPRESS", "--solid-chunk-size=4096"],
    ] {
        let (wim, raw) = (scratch.path().join("source.wim"), scratch.path().join("disk.raw"));
        let mut arguments = args!["export", "--quiet", &source, "all", &wim].to_vec();
        arguments.extend(options.iter().map(std::ffi::OsStr::new));
        wimlib.run(arguments);
        build(&wim, &raw, &["--layout", "mbr1", "--no-boot-files"]).well();
        recapture(&raw, &wim, 1, scratch.path());
        for path in [&wim, &raw] {
            std::fs::remove_file(path).expect("was just made");
        }
    }
}

//! The oracles are content with a volume made by mkntfs and wimlib, and not with a damaged one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use testkit::disk::{self, Format};
use testkit::tree::Tree;
use testkit::{args, content, fixture, kernel, reader, testdata, tool};

/// A volume with the small tree, the tree, and the directory that holds both files.
fn volume() -> Option<(tempfile::TempDir, PathBuf, Tree)> {
    let (wimlib, mkntfs) = (tool("wimlib-imagex")?, tool("mkntfs")?);
    let scratch = tempfile::tempdir().expect("a directory");
    let wim = testdata("nano-small.wim");
    let path = scratch.path().join("volume.img");
    std::fs::File::create(&path).and_then(|file| file.set_len(64 << 20)).expect("a sparse file");
    mkntfs.run(args!["-q", "-F", "-T", "-s", "512", "-p", "2048", "-H", "255", "-S", "63", &path]);
    wimlib.run(args!["apply", "--quiet", &wim, "1", &path, "--strict-acls"]);
    let tree = Tree::of_wim(&wim, 1)?;
    Some((scratch, path, tree))
}

fn fails(check: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("the check should have failed");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// Replaces the one place in `file` where `bytes` lie.
fn overwrite(file: &Path, bytes: &[u8], with: &[u8]) {
    let mut image = std::fs::read(file).expect("the file");
    let places: Vec<usize> =
        (0..image.len() - bytes.len()).filter(|&at| image[at..].starts_with(bytes)).collect();
    assert_eq!(places.len(), 1, "where the bytes lie");
    image[places[0]..places[0] + with.len()].copy_from_slice(with);
    std::fs::write(file, image).expect("written");
}

#[test]
fn a_good_volume_passes() {
    let Some((scratch, volume, tree)) = volume() else { return };
    reader::ntfsprogs(&volume);
    reader::sleuthkit(&volume, &tree);
    reader::seven_zip(&volume);
    reader::ntfs_3g(&volume, &tree);
    let again = scratch.path().join("again.wim");
    if disk::capture(&volume, &again).is_some() {
        tree.compare(&Tree::of_wim(&again, 1).expect("wimlib was there")).assert_none();
    }
    let (tried, names) = tree.largest_directory();
    assert_eq!((tried.as_str(), names), ("Windows/System32/drivers", 26));
    if let Some(report) = kernel::ntfs3(&volume, &tried) {
        assert_eq!(report.faults(&tree), [""; 0]);
        assert!(report.files.len() > 90 && report.others.len() > 20, "{report:?}");
    }
    reader::ntfs_3g_writes(&volume, &tried);
    reader::ntfsprogs(&volume);
}

#[test]
fn a_changed_byte_of_a_file_is_found() {
    let Some((scratch, volume, tree)) = volume() else { return };
    let text = content::text(500, 90_000);
    overwrite(&volume, &text[2_000..2_500], b"!");
    let noise = content::Random::new(5).bytes(40_000);
    overwrite(&volume, &noise[39_000..39_500], b"!!!!");
    let text = fails(|| {
        assert!(reader::ntfs_3g(&volume, &tree), "random.bin: ntfs-3g is not there");
    });
    assert!(text.contains("random.bin"), "{text}");
    if let Some(report) = kernel::ntfs3(&volume, "Users") {
        let faults = report.faults(&tree);
        assert!(faults.len() == 1 && faults[0].contains("random.bin reads as"), "{faults:?}");
    }
    let again = scratch.path().join("again.wim");
    if disk::capture(&volume, &again).is_some() {
        let differences = tree.compare(&Tree::of_wim(&again, 1).expect("wimlib was there"));
        assert_eq!(differences.total, 2, "{:?}", differences.shown);
        let text = differences.shown.join("\n");
        assert!(
            text.contains("random.bin: data") && text.contains("streams.txt: stream \"large\""),
            "{text}"
        );
    }
}

#[test]
fn a_damaged_mirror_is_found() {
    let Some((_scratch, volume, tree)) = volume() else { return };
    let mut image = std::fs::read(&volume).expect("the volume");
    let cluster = usize::from(image[13]) * 512;
    let mirror = u64::from_le_bytes(image[0x38..0x40].try_into().expect("8 bytes"));
    let at = usize::try_from(mirror).expect("a small volume") * cluster + 0x100;
    image[at] ^= 1;
    std::fs::write(&volume, image).expect("written");
    fails(|| {
        assert!(reader::ntfsprogs(&volume), "ntfsfix is not there");
    });
    let missing = fails(|| {
        let mut tree = tree.clone();
        let path: Vec<u16> = "/no such file".encode_utf16().collect();
        let node = tree.nodes.values().next().expect("the root").clone();
        tree.nodes.insert(path, node);
        assert!(reader::sleuthkit(&volume, &tree).is_some(), "no such file, and no fls");
    });
    assert!(missing.contains("no such file"), "{missing}");
}

#[test]
fn a_container_with_another_disk_is_found() {
    let Some(qemu_img) = tool("qemu-img") else { return };
    let scratch = tempfile::tempdir().expect("a directory");
    let raw = scratch.path().join("disk.raw");
    std::fs::write(&raw, content::Random::new(1).bytes(3 << 20)).expect("written");
    for (format, name, options) in
        [(Format::Vpc, "vpc", "force_size=on"), (Format::Vmdk, "vmdk", "subformat=streamOptimized")]
    {
        let container = scratch.path().join(name);
        qemu_img.run(args!["convert", "-f", "raw", &raw, "-O", name, "-o", options, &container]);
        assert!(disk::same(&raw, Format::Raw, &container, format));
        let info = disk::inspect(&container, format).expect("qemu-img is there");
        assert_eq!(info["virtual-size"], 3 << 20);
        let mut bytes = std::fs::read(&raw).expect("the disk");
        bytes[2 << 20] ^= 1;
        let other = scratch.path().join("other.raw");
        std::fs::write(&other, &bytes).expect("written");
        fails(|| {
            disk::same(&other, Format::Raw, &container, format);
        });
        bytes.extend([0; 512]);
        bytes[2 << 20] ^= 1;
        std::fs::write(&other, &bytes).expect("written");
        fails(|| {
            disk::same(&other, Format::Raw, &container, format);
        });
    }
}

#[test]
fn a_partition_is_cut_at_its_place() {
    let Some(sfdisk) = tool("sfdisk") else { return };
    let scratch = tempfile::tempdir().expect("a directory");
    let disk = scratch.path().join("disk.raw");
    let mut bytes = vec![0; 16 << 20];
    bytes[4 << 20..6 << 20].copy_from_slice(&content::Random::new(2).bytes(2 << 20));
    std::fs::write(&disk, &bytes).expect("written");
    let table = "label: dos\nlabel-id: 0x12345678\nstart=2048, size=6144, type=7, bootable\nstart=8192, size=4096, type=27\n";
    let mut command = sfdisk.command();
    command.arg("-q").arg(&disk).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = command.spawn().expect("sfdisk");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), table.as_bytes()).expect("read");
    assert!(child.wait().expect("its end").success());

    let volume = scratch.path().join("volume.img");
    let Some(table) = disk::cut(&disk, Some(2), &volume) else { return };
    assert_eq!(std::fs::read(&volume).expect("the volume"), bytes[4 << 20..6 << 20]);
    assert_eq!((table.label.as_str(), table.id.as_str()), ("dos", "0x12345678"));
    let [first, second] = table.partitions.as_slice() else { panic!("{table:?}") };
    assert!(first.bootable && !second.bootable && first.kind == "7" && second.kind == "27", "{table:?}");

    // A partition that reaches beyond the end of the disk.
    std::fs::File::options().write(true).open(&disk).and_then(|file| file.set_len(5 << 20)).expect("shorter");
    fails(|| {
        disk::partitions(&disk);
    });
}

#[test]
fn fixtures_survive_a_volume_of_wimlib() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (plain, captured) = (scratch.path().join("plain.wim"), scratch.path().join("captured.wim"));
    fixture::two_images().save(&plain);
    let names = ["First edition", "Second edition"];
    if fixture::through_wimlib(&plain, &names, 64 << 20, "XPRESS", &captured).is_none() {
        return;
    }
    for index in 1..=2 {
        let (meant, found) = (Tree::of_wim(&plain, index), Tree::of_wim(&captured, index));
        meant.expect("wimlib is there").compare(&found.expect("wimlib is there")).assert_none();
    }
}

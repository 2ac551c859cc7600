//! Volumes judged by other people's programs: ntfs-3g and its tools, sleuthkit, 7-Zip, wimlib, and a Linux kernel.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::path::Path;

use common::{Tree, feature_rich, noise};
use testkit::{args, reader, tool};
use wimforge_ntfs_writer::Options;
use wimforge_ntfs_writer::check::{Options as CheckOptions, check};

fn write(tree: &Tree, options: Options, len: u64, path: &Path) {
    let (plan, blobs) = tree.plan(options).unwrap();
    let volume = plan.lay_out(len.max(plan.min_size().next_multiple_of(4096))).unwrap();
    common::write(&volume, &blobs, path);
}

fn options(cluster_size: u32, record_size: u32) -> Options {
    Options {
        cluster_size,
        record_size,
        label: "oracles".into(),
        serial: 0x0123_4567_89AB_CDEF,
        created: common::times(1).created,
        ..Options::default()
    }
}

/// What the driver leaves of a volume must be sound, too: it found and kept everything that it has to keep.
fn check_written(report: &testkit::kernel::Report) {
    let volume = File::open(report.written()).unwrap();
    let found = check(&volume, &CheckOptions::default()).unwrap();
    assert!(found.is_clean(), "{found}");
}

/// wimlib reads the volume through libntfs-3g, and what it captures is compared field by field.
#[test]
fn wimlib_captures_what_was_meant() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let mut tree = feature_rich();
    // wimlib has no way to read these, or (resident streams of them) no way to tell.
    for file in &mut tree.files {
        file.object_id = None;
        file.eas.clear();
    }
    let scratch = tempfile::tempdir().unwrap();
    for (cluster, record) in [(4096, 1024), (512, 4096), (4096, 4096), (65_536, 1024)] {
        if cluster > 4096 {
            // There is no compression on such clusters: the planner clears the bit, and says so.
            tree.files.iter_mut().for_each(|file| file.attributes &= !common::COMPRESSED);
        }
        let (image, wim) = (scratch.path().join("volume.img"), scratch.path().join("captured.wim"));
        write(&tree, options(cluster, record), 64 << 20, &image);
        wimlib.run(args!["capture", &image, &wim, "--compress=none"]);
        let found = testkit::tree::Tree::of_wim(&wim, 1).unwrap();
        common::as_wim(&tree).compare(&found).assert_none();
        std::fs::remove_file(&wim).unwrap();
    }
}

/// Everybody reads everything, and ntfs-3g and the kernel's ntfs3 write into the largest directory.
#[test]
fn everybody_reads_and_writes_a_volume_with_one_of_everything() {
    let mut tree = feature_rich();
    // Readers on Linux that ignore case would see one file there, and the shell of the kernel's machine cannot name
    // the others.
    tree.links.retain(|link| link.long != "case");
    let orphan = tree.files.len();
    let kept: Vec<usize> =
        (0..orphan).filter(|&node| node == 0 || tree.links.iter().any(|link| link.node == node)).collect();
    let renumber = |node: usize| kept.binary_search(&node).unwrap();
    for link in &mut tree.links {
        (link.parent, link.node) = (renumber(link.parent), renumber(link.node));
    }
    tree.files = kept.iter().map(|&node| tree.files[node].clone()).collect();
    // sleuthkit forgets the name of an empty stream.
    for (_, data) in
        tree.files.iter_mut().flat_map(|file| &mut file.named).filter(|(_, data)| data.is_empty())
    {
        data.push(b'x');
    }
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("volume.img");
    let wanted = common::as_wim(&tree);
    for (cluster, record) in [(4096, 1024), (512, 1024)] {
        write(&tree, options(cluster, record), 128 << 20, &image);
        reader::all(&image, &wanted, true, &mut |who| eprintln!("{cluster}/{record}: {who}"));
    }
    // All but sleuthkit, which looks for one index block in a cluster, whatever the size of the cluster.
    write(&tree, options(65_536, 4096), 128 << 20, &image);
    reader::ntfsprogs(&image);
    reader::seven_zip(&image);
    reader::ntfs_3g(&image, &wanted);
    let (largest, _) = wanted.largest_directory();
    if let Some(report) = testkit::kernel::ntfs3(&image, &largest) {
        assert_eq!(report.faults(&wanted), Vec::<String>::new());
        check_written(&report);
    }
    reader::ntfs_3g_writes(&image, &largest);
    reader::ntfsprogs(&image);
}

#[test]
fn everybody_reads_and_writes_thirty_thousand_names() {
    let mut tree = Tree::default();
    let flat = tree.dir(0, "flat");
    for i in 0..30_000 {
        tree.file(flat, &format!("one of the many files, number {i:05}.txt"), noise(i, (i % 7) as usize));
    }
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("volume.img");
    write(&tree, options(4096, 1024), 128 << 20, &image);
    reader::all(&image, &common::as_wim(&tree), true, &mut |who| eprintln!("{who}"));
}

/// What the attributes say, in the words of ntfs-3g: object ids, extended attributes, reparse data.
#[test]
fn ntfs_3g_shows_the_attributes_that_wimlib_does_not() {
    let (Some(_), Some(getfattr)) = (tool("ntfs-3g"), tool("getfattr")) else { return };
    let tree = feature_rich();
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("volume.img");
    write(&tree, options(4096, 1024), 64 << 20, &image);
    let Some(mount) = reader::Mount::new(&image, "ro") else { return };
    let show = |name: &str, file: &str| {
        let path = mount.path().join(file);
        let text = getfattr.text(args!["--absolute-names", "-e", "hex", "-h", "-n", name, &path]);
        text.split_once("=0x").expect("a value").1.trim().to_owned()
    };
    let id = show("system.ntfs_object_id", "with an object id");
    assert_eq!(id[..32], "11".repeat(16));
    let eas = show("system.ntfs_ea", "with attributes");
    // Offset of the next, flags, lengths, name: as ntfs-3g hands them out, which is as they are stored.
    assert_eq!(eas[..16], *"1400000000060400");
    assert!(eas.contains("244c585549440001000000"));
    assert_eq!(show("system.ntfs_ea", "with large attributes").len(), 2 * (8 + 4 + 20_000));
    let link = show("system.ntfs_reparse_data", "Windows/link");
    assert_eq!(link[..8], *"0c0000a0");
    let attributes = |file: &str| show("system.ntfs_attrib_be", file);
    assert_eq!(attributes("sparse.bin"), "00000220");
    assert_eq!(attributes("compressed.bin"), "00000820");
}

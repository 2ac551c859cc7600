//! Input that is damaged, hostile or too large. Whatever it is: an error in words, soon, in little memory, and nothing
//! left under the output's name.

use std::path::Path;

use testkit::tree::{Tree, show};
use testkit::wimfile::{Entry, Layout, WimFile};
use testkit::{args, disk, hostile, reader, testdata, tool};

use crate::support::{Ended, build, confined, names, scratch, shell, wimforge};

/// Builds from `wim`, which has to fail, and leave nothing.
#[track_caller]
fn refused(wim: &Path, codes: &[i32]) -> Ended {
    let scratch = scratch();
    let ended = confined(args!["build", wim, "-o", &scratch.path().join("disk.vmdk")]).badly(codes);
    assert_eq!(names(scratch.path()), [""; 0]);
    ended
}

#[test]
fn truncated_at_every_structure() {
    let source = testdata("nano-small.wim");
    let bytes = std::fs::read(&source).expect("the fixture");
    let layout = Layout::of(&source);
    let middle = |range: &std::ops::Range<u64>| (range.start + range.end) / 2;
    let metadata = layout.resources.iter().find(|resource| resource.metadata).expect("an image");
    let file =
        layout.resources.iter().filter(|resource| !resource.metadata).max_by_key(|resource| resource.size);
    let file = file.expect("a file");
    let integrity = layout.integrity.clone().expect("the fixture has a table");
    let mut cuts = vec![0, 7, 8, 100, 207, 208];
    for range in [&file.range, &metadata.range, &layout.table, &layout.xml, &integrity] {
        cuts.extend([range.start, range.start + 1, middle(range), range.end - 1]);
    }
    let scratch = scratch();
    let wim = scratch.path().join("cut.wim");
    for cut in cuts {
        std::fs::write(&wim, &bytes[..usize::try_from(cut).expect("small")]).expect("written");
        let ended = refused(&wim, &[1, 3, 4]);
        assert!(ended.stderr.contains("cut.wim"), "cut at {cut}: {}", ended.stderr);
    }
}

#[test]
fn a_flipped_byte_names_the_file() {
    let source = testdata("nano-small.wim");
    let bytes = std::fs::read(&source).expect("the fixture");
    let Some(tree) = Tree::of_wim(&source, 1) else { return };
    let layout = Layout::of(&source);
    let scratch = scratch();
    let wim = scratch.path().join("flipped.wim");
    let mut files = 0;
    for resource in layout.resources.iter().filter(|resource| !resource.metadata) {
        let owners: Vec<String> = tree
            .nodes
            .iter()
            .filter(|(_, node)| {
                let reparse = node.reparse.iter().map(|(_, hash)| hash);
                [&node.data]
                    .into_iter()
                    .chain(node.streams.values())
                    .chain(reparse)
                    .any(|hash| *hash == resource.hash)
            })
            .map(|(path, _)| show(path).rsplit('/').next().expect("a name").to_owned())
            .collect();
        // Once in the chunk table or at the first bytes, once in the middle, once at the end.
        for at in
            [resource.range.start, (resource.range.start + resource.range.end) / 2, resource.range.end - 1]
        {
            let mut damaged = bytes.clone();
            damaged[usize::try_from(at).expect("small")] ^= 0x10;
            std::fs::write(&wim, damaged).expect("written");
            let out = scratch.path().join("disk.vmdk");
            let ended = build(&wim, &out, &[]);
            if ended.code == Some(0) {
                // The unused bits at the end of a compressed chunk decide nothing.
                assert!(resource.compressed, "{owners:?} at {at:#x}");
                std::fs::remove_file(out).expect("the disk");
                continue;
            }
            let ended = ended.badly(&[3]);
            let named = owners.iter().any(|name| ended.stderr.contains(name.as_str()));
            assert!(named && ended.stderr.contains("flipped.wim"), "{owners:?} at {at:#x}: {}", ended.stderr);
            assert_eq!(names(scratch.path()), ["flipped.wim"]);
            files += 1;
        }
    }
    assert!(files > 150, "{files}");
}

#[test]
fn flipped_metadata() {
    let source = testdata("nano-small.wim");
    let bytes = std::fs::read(&source).expect("the fixture");
    let layout = Layout::of(&source);
    let metadata = layout.resources.iter().find(|resource| resource.metadata).expect("an image");
    let scratch = scratch();
    let wim = scratch.path().join("flipped.wim");
    let mut damaged = bytes.clone();
    damaged[usize::try_from((metadata.range.start + metadata.range.end) / 2).expect("small")] ^= 0x10;
    std::fs::write(&wim, damaged).expect("written");
    refused(&wim, &[1, 3]).says(&["flipped.wim"]);
}

fn save(wim: &WimFile, scratch: &Path) -> std::path::PathBuf {
    let path = scratch.join("hostile.wim");
    wim.save(&path);
    path
}

#[test]
fn a_hash_that_is_missing() {
    let scratch = scratch();
    let wim = save(&hostile::missing_blob(), scratch.path());
    let name = hostile::MISSING.rsplit('/').next().expect("a name");
    refused(&wim, &[1, 3]).says(&["hostile.wim", name, "abababab"]);
}

#[test]
fn trees_without_end() {
    for (what, wim) in
        [("cyclic", hostile::cyclic()), ("exploding", hostile::exploding()), ("deep", hostile::deep())]
    {
        let scratch = scratch();
        let wim = save(&wim, scratch.path());
        let ended = refused(&wim, &[1, 3, 4]);
        assert!(ended.stderr.contains("hostile.wim"), "{what}: {}", ended.stderr);
        for command in [&["ls", "-R"][..], &["info"], &["verify"]] {
            let mut arguments = args![&command[0], &wim].to_vec();
            arguments.extend(command[1..].iter().map(std::ffi::OsStr::new));
            let ended = confined(arguments);
            assert!(
                ended.code.is_some_and(|code| code < 5),
                "{what}, {command:?}: {:?} {}",
                ended.code,
                ended.stderr
            );
            assert!(!ended.stderr.contains("panicked"), "{what}, {command:?}: {}", ended.stderr);
        }
        let outside = scratch.path().join("outside");
        std::fs::create_dir(&outside).expect("a directory");
        let ended = confined(args!["extract", &wim, "-C", &outside.join("inside")]);
        assert!(
            ended.code.is_some_and(|code| (1..5).contains(&code)),
            "{what}: {:?} {}",
            ended.code,
            ended.stderr
        );
    }
}

/// Each hostile name alone beside an honest one: either the build fails and says which name, or the name is left out
/// and the volume has the honest file only.
#[test]
fn names_that_lead_elsewhere() {
    for name in hostile::NAMES {
        let scratch = scratch();
        let mut wim = WimFile::new();
        let image = wim.image("Names");
        let root = image.root();
        image.add(root, Entry::file("honest.txt", "honest"));
        image.add(root, Entry::file(name, "hostile"));
        image.secure_with_default();
        let wim = save(&wim, scratch.path());
        let raw = scratch.path().join("disk.raw");
        let ended = confined(args!["build", &wim, "-o", &raw]);
        if ended.code == Some(0) {
            assert!(ended.stderr.contains("note: "), "{name:?} is left out without a word: {}", ended.stderr);
            let volume = scratch.path().join("volume.img");
            if disk::cut(&raw, None, &volume).is_some()
                && let Some(mount) = reader::Mount::new(&volume, "ro")
            {
                assert_eq!(names(mount.path()), ["honest.txt"], "{name:?}");
            }
        } else {
            ended.badly(&[1, 3, 4]);
            assert_eq!(names(scratch.path()), ["hostile.wim"]);
        }

        // And nothing leaves the directory that is extracted to.
        let outside = scratch.path().join("outside");
        std::fs::create_dir(&outside).expect("a directory");
        let ended = confined(args!["extract", &wim, "-C", &outside.join("inside")]);
        assert!(ended.code.is_some_and(|code| code < 5), "{name:?}: {:?} {}", ended.code, ended.stderr);
        assert!(names(&outside).iter().all(|name| name == "inside"), "{name:?}: {:?}", names(&outside));
        assert!(!scratch.path().join("escape.txt").exists(), "{name:?}");
    }
}

#[test]
fn a_name_that_ntfs_has_no_room_for() {
    let scratch = scratch();
    let wim = save(&hostile::long_name(), scratch.path());
    refused(&wim, &[1, 3, 4]).says(&["nnnnnnnn", "255"]);
}

/// Two entries of one name, links that are none: real files have both, so they build.
#[test]
fn what_real_images_get_wrong() {
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    let contents = |wim: &WimFile| -> Option<Vec<(String, String)>> {
        let wim = save(wim, scratch.path());
        build(&wim, &raw, &["--force"]).well();
        let volume = scratch.path().join("volume.img");
        disk::cut(&raw, None, &volume)?;
        let mount = reader::Mount::new(&volume, "ro")?;
        let read = |name: &String| std::fs::read_to_string(mount.path().join(name)).expect("a file");
        Some(names(mount.path()).into_iter().map(|name| (name.clone(), read(&name))).collect())
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|&(name, data)| (name.to_owned(), data.to_owned())).collect()
    };
    if let Some(found) = contents(&hostile::duplicate_names()) {
        assert_eq!(found, pairs(&[("Case.txt", "upper"), ("case.txt", "lower"), ("twice.txt", "first")]));
    }
    if let Some(found) = contents(&hostile::false_links()) {
        assert_eq!(found, pairs(&[("one again.txt", "one"), ("one.txt", "one"), ("two.txt", "two")]));
    }
}

/// The error says how large the disk must be, and that is true to the mebibyte.
#[test]
fn a_volume_that_is_too_small() {
    let wim = testdata("nano-small.wim");
    for layout in ["mbr1", "mbr3"] {
        let scratch = scratch();
        let out = scratch.path().join("disk.vmdk");
        let ended =
            build(&wim, &out, &["--layout", layout, "--size", "3MiB"]).badly(&[1, 2]).says(&["--size "]);
        assert_eq!(names(scratch.path()), [""; 0]);
        let after = ended.stderr.split("--size ").nth(1).expect("checked");
        let needed: u64 = after.split("MiB").next().expect("a number").trim().parse().expect("mebibytes");
        build(&wim, &out, &["--layout", layout, "--size", &format!("{needed}MiB")]).well();
        let less = format!("{}MiB", needed - 1);
        build(&wim, &out, &["--layout", layout, "--force", "--size", &less]).badly(&[1, 2]);
        // The good one is still there.
        assert_eq!(names(scratch.path()), ["disk.vmdk"]);
        wimforge(args!["info", &out]).well();
    }
}

#[test]
fn a_disk_that_is_full() {
    let wim = testdata("nano-small.wim");
    // A real one: a small volume, mounted by ntfs-3g.
    if let (Some(mkntfs), scratch) = (tool("mkntfs"), scratch()) {
        let volume = scratch.path().join("small.img");
        std::fs::File::create(&volume).and_then(|file| file.set_len(3 << 20)).expect("a sparse file");
        mkntfs.run(args!["-q", "-F", "-T", "-s", "512", "-p", "0", "-H", "255", "-S", "63", &volume]);
        if let Some(mount) = reader::Mount::new(&volume, "rw") {
            for (name, format) in
                [("d.raw", "raw"), ("d.vhd", "vhd"), ("d.vmdk", "vmdk"), ("s.vmdk", "vmdk-sparse")]
            {
                let out = mount.path().join(name);
                let ended = build(&wim, &out, &["--format", format, "--size", "2GiB"]);
                if ended.code == Some(0) {
                    assert_eq!(format, "vmdk", "{format} should not fit");
                    std::fs::remove_file(&out).expect("the disk");
                    continue;
                }
                ended.badly(&[1]);
                assert_eq!(names(mount.path()), [""; 0], "{format}");
            }
        }
    }
    // One that takes no file of more than 128 KiB, for the small outputs; blocks of 512 bytes in every shell.
    for format in ["raw", "vhd", "vhd-fixed", "vmdk", "vmdk-sparse"] {
        let scratch = scratch();
        let out = scratch.path().join("disk");
        let line = "trap '' XFSZ; ulimit -f 128; exec \"$@\"";
        shell(line, args!["build", &wim, "-o", &out, "--format", format]).badly(&[1]).says(&["disk"]);
        assert_eq!(names(scratch.path()), [""; 0], "{format}");
    }
    // And standard output.
    for format in ["raw", "vmdk"] {
        let line = "exec \"$@\" > /dev/full";
        shell(line, args!["build", &wim, "-o", "-", "--format", format]).badly(&[1]);
    }
}

#[test]
fn not_a_wim_at_all() {
    let scratch = scratch();
    let odd = scratch.path().join("odd");
    for bytes in [&b""[..], b"MZ", b"\x7fELF and more", &[0; 4096], b"MSWIM\0\0\0", &[0xFF; 300]] {
        std::fs::write(&odd, bytes).expect("written");
        refused(&odd, &[1, 3, 4]).says(&["odd"]);
    }
    refused(&scratch.path().join("not there.wim"), &[1]).says(&["not there.wim"]);
    refused(scratch.path(), &[1, 4]);
}

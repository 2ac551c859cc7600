//! Disks from container to container: what `convert`, `compare`, `map`, `info` and `check` promise, and which files a disk
//! image may make the program open.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;
use testkit::disk::{Format, same};
use testkit::{args, testdata, tool};

use crate::support::{build, names, scratch, wimforge};

/// Every plain container, and what qemu calls it.
const CONTAINERS: [(&str, Format); 13] = [
    ("raw", Format::Raw),
    ("vhd", Format::Vpc),
    ("vhd-fixed", Format::Vpc),
    ("vhdx", Format::Vhdx),
    ("vhdx-fixed", Format::Vhdx),
    ("vmdk", Format::Vmdk),
    ("vmdk-sparse", Format::Vmdk),
    ("vmdk-flat", Format::Vmdk),
    ("vmdk-split", Format::Vmdk),
    ("vdi", Format::Vdi),
    ("vdi-fixed", Format::Vdi),
    ("qcow2", Format::Qcow2),
    ("qcow2-compressed", Format::Qcow2),
];

/// A disk of 40 MiB: noise, text, zeros that are stored, holes.
fn mixed(path: &Path) {
    let file = File::create(path).expect("a file");
    file.set_len(40 << 20).expect("grown");
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(3 << 20)
    .collect();
    file.write_all_at(&noise, (5 << 20) + 512).expect("written");
    file.write_all_at(&b"All work and no play. ".repeat(100_000), 17 << 20).expect("written");
    file.write_all_at(&vec![0; 4 << 20], 25 << 20).expect("written");
    file.write_all_at(b"the end", (40 << 20) - 7).expect("written");
}

fn json(ended: &crate::support::Ended) -> Value {
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

#[test]
fn every_container_from_every_container() {
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    mixed(&raw);
    let mut made = Vec::new();
    for (format, theirs) in CONTAINERS {
        let out = scratch.path().join(format);
        wimforge(args!["convert", &raw, &out, "--format", format, "--quiet"]).well();
        if !same(&raw, Format::Raw, &out, theirs) {
            return;
        }
        wimforge(args!["compare", "--strict", &raw, &out, "--quiet"]).well();
        let info = json(&wimforge(args!["info", &out, "--json"]).well());
        let said = info["disk"]["container"]["format"].as_str().expect("a format");
        assert_eq!(said, if format == "qcow2-compressed" { "qcow2" } else { format });
        made.push((format, out));
    }
    // Each from the one before it, with another number of threads: the same bytes as from the raw disk.
    let again = scratch.path().join("again");
    fs::create_dir(&again).expect("a folder");
    for (turn, pair) in made.windows(2).enumerate() {
        let ((_, from), (format, meant)) = (&pair[0], &pair[1]);
        let out = again.join(format);
        let threads = ["1", "2", "7"][turn % 3];
        wimforge(args!["convert", from, &out, "--format", format, "-j", threads, "--quiet"]).well();
        for name in names(&again) {
            let (found, meant) = (fs::read(again.join(&name)), fs::read(meant.with_file_name(&name)));
            assert!(found.expect("a file") == meant.expect("a file"), "{name} from {}", from.display());
            fs::remove_file(again.join(&name)).expect("was just made");
        }
    }
    // What is zero is stored nowhere.
    for format in ["vhd", "vhdx", "vmdk-sparse", "vdi", "qcow2"] {
        let map = json(&wimforge(args!["map", &scratch.path().join(format), "--json"]).well());
        let stored = map["stored"].as_u64().expect("a number");
        assert!((5 << 20..=15 << 20).contains(&stored), "{format}: {stored}");
        let ranges = map["ranges"].as_array().expect("ranges");
        let end = ranges.iter().fold(0, |at, range| {
            assert_eq!(range["start"], at);
            at + range["length"].as_u64().expect("a length")
        });
        assert_eq!(end, 40 << 20);
    }
}

#[test]
fn streams_are_the_files() {
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    mixed(&raw);
    for format in
        ["raw", "vhd", "vhd-fixed", "vhdx", "vhdx-fixed", "vmdk", "vmdk-sparse", "vdi", "vdi-fixed", "qcow2"]
    {
        // What a VMDK without a name calls itself.
        let name = if format.starts_with("vmdk") { "disk.vmdk" } else { format };
        let out = scratch.path().join(name);
        let _ = fs::remove_file(&out);
        wimforge(args!["convert", &raw, &out, "--format", format, "--quiet"]).well();
        let ended = wimforge(args!["convert", &raw, "-", "--format", format, "--quiet"]).well();
        assert!(ended.stdout == fs::read(&out).expect("the disk"), "{format}");
    }
    for format in ["vmdk-flat", "qcow2-compressed"] {
        let ended = wimforge(args!["convert", &raw, "-", "--format", format]).badly(&[2]);
        ended.says(&["cannot be written to standard output"]);
    }
}

#[test]
fn differences_have_names() {
    let scratch = scratch();
    let (a, b) = (scratch.path().join("a.vhd"), scratch.path().join("b.raw"));
    build(&testdata("nano-small.wim"), &a, &["--quiet"]).well();
    wimforge(args!["convert", &a, &b, "--quiet"]).well();
    let module = wimforge(args!["cat", &a, "2/Windows/System32/module6.dll"]).well().stdout;
    let file = File::options().read(true).write(true).open(&b).expect("the disk");
    // Where it lies: its first 4096 bytes, which begin a cluster.
    let mut page = vec![0; 4096];
    let start = (0..file.metadata().expect("its size").len()).step_by(4096).find(|at| {
        file.read_exact_at(&mut page, *at).expect("read");
        page == module[..4096]
    });
    let at = start.expect("the module is on the disk") + 5000;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
    let found = json(&wimforge(args!["compare", &a, &b, "--json"]).differ());
    assert_eq!(found["equal"], false);
    assert_eq!(found["first"]["offset"], at);
    assert_eq!(found["first"]["partition"], 2);
    let name = found["first"]["file"].as_str().expect("a file");
    assert!(name.starts_with("Windows\\") && name.ends_with("\\module6.dll"), "{name}");
    let text = wimforge(args!["compare", &a, &b]).differ();
    assert!(String::from_utf8_lossy(&text.stdout).contains("module6.dll"));
    file.write_all_at(&byte, at).expect("written");

    // A longer disk with zeros is the same disk, unless sizes count.
    file.set_len(file.metadata().expect("its size").len() + (1 << 20)).expect("grown");
    wimforge(args!["compare", &a, &b]).well();
    wimforge(args!["compare", &a, &b, "--strict"]).differ();
    let end = file.metadata().expect("its size").len() - 1;
    file.write_all_at(b"x", end).expect("written");
    let found = json(&wimforge(args!["compare", &a, &b, "--json"]).differ());
    assert_eq!((&found["first"]["offset"], &found["first"]["file"]), (&end.into(), &Value::Null));
}

#[test]
fn parents_where_they_are_allowed() {
    let Some(qemu_img) = tool("qemu-img") else { return };
    let scratch = scratch();
    let path = |name: &str| scratch.path().join(name);
    let (base, top, above) = (path("base.qcow2"), path("top.qcow2"), path("above.qcow2"));
    mixed(&path("disk.raw"));
    qemu_img.run(args!["convert", "-O", "qcow2", &path("disk.raw"), &base]);
    qemu_img.run(args!["create", "-q", "-f", "qcow2", "-b", &base, "-F", "qcow2", &top]);
    qemu_img.run(args!["create", "-q", "-f", "qcow2", "-b", &top, "-F", "qcow2", &above]);
    let out = path("out.raw");
    let refused = wimforge(args!["convert", &above, &out]).badly(&[4]);
    refused.says(&["top.qcow2", "--parent"]);
    // Of a chain all are needed.
    wimforge(args!["convert", &above, &out, "--parent", &top]).badly(&[4]);
    for allowed in [&args!["--parent", &top, "--parent", &base][..], &args!["--parent", scratch.path()]] {
        wimforge([&args!["convert", &above, &out, "--force", "--quiet"], allowed].concat()).well();
        assert!(same(&out, Format::Raw, &path("disk.raw"), Format::Raw));
    }
    let info = json(&wimforge(args!["info", &above, "--json", "--parent", scratch.path()]).well());
    assert_eq!(info["disk"]["chain"].as_array().map(Vec::len), Some(2));
    let over = wimforge(args!["convert", &above, &base, "--force", "--parent", scratch.path()]).badly(&[2]);
    over.says(&["is the parent of the source"]);
    // A circle is not followed for ever.
    qemu_img.run(args!["rebase", "-u", "-f", "qcow2", "-b", &above, "-F", "qcow2", &base]);
    let circle = wimforge(args!["info", &above, "--parent", scratch.path()]).badly(&[4]);
    circle.says(&["is the disk itself, or made on it"]);
}

#[test]
fn a_descriptor_opens_no_file_elsewhere() {
    let scratch = scratch();
    let path = |name: &str| scratch.path().join(name);
    mixed(&path("disk.raw"));
    fs::create_dir(path("below")).expect("a folder");
    fs::write(path("secret"), [b's'; 1 << 20]).expect("written");
    let descriptor = path("below/disk.vmdk");
    wimforge(args!["convert", &path("disk.raw"), &descriptor, "--format", "vmdk-flat", "--quiet"]).well();
    assert_eq!(names(&path("below")), ["disk-flat.vmdk", "disk.vmdk"]);
    let text = fs::read_to_string(&descriptor).expect("a descriptor");
    let absolute = path("secret").display().to_string();
    for name in ["../secret", &absolute, "..\\secret", "/etc/passwd"] {
        fs::write(&descriptor, text.replace("disk-flat.vmdk", name)).expect("written");
        wimforge(args!["convert", &descriptor, &path("out.raw")]).badly(&[1, 3, 4]);
    }
    // Nor through a link, nor what is no file.
    fs::write(&descriptor, text.replace("disk-flat.vmdk", "link")).expect("written");
    std::os::unix::fs::symlink(path("secret"), path("below/link")).expect("a link");
    wimforge(args!["convert", &descriptor, &path("out.raw")]).badly(&[1, 3, 4]).says(&["is a link"]);
    fs::write(&descriptor, text.replace("disk-flat.vmdk", "pipe")).expect("written");
    if let Some(mkfifo) = tool("mkfifo") {
        mkfifo.run(args![&path("below/pipe")]);
        wimforge(args!["convert", &descriptor, &path("out.raw")])
            .badly(&[1, 3, 4])
            .says(&["not a regular file"]);
    }
    assert!(!path("out.raw").exists());
}

#[test]
fn outputs_of_several_files_are_kept_and_replaced_whole() {
    let scratch = scratch();
    let path = |name: &str| scratch.path().join(name);
    mixed(&path("disk.raw"));
    let folder = path("out");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("disk-s001.vmdk"), "precious").expect("written");
    let (raw, out) = (path("disk.raw"), folder.join("disk.vmdk"));
    let all = args!["convert", &raw, &out, "--format", "vmdk-split", "--quiet"];
    wimforge(all).badly(&[2]).says(&["disk-s001.vmdk", "--force"]);
    assert_eq!(names(&folder), ["disk-s001.vmdk"]);
    assert_eq!(fs::read(folder.join("disk-s001.vmdk")).expect("still there"), b"precious");
    wimforge([&all[..], &args!["--force"]].concat()).well();
    assert_eq!(names(&folder), ["disk-s001.vmdk", "disk.vmdk"]);
    assert!(same(&path("disk.raw"), Format::Raw, &folder.join("disk.vmdk"), Format::Vmdk));
}

#[test]
fn platforms_get_what_they_take() {
    let scratch = scratch();
    let path = |name: &str| scratch.path().join(name);
    mixed(&path("disk.raw"));
    let raw = path("disk.raw");
    wimforge(args!["convert", &raw, &path("azure.vhd"), "--for", "azure", "--quiet"]).well();
    assert_eq!(fs::metadata(path("azure.vhd")).expect("a file").len(), (40 << 20) + 512);
    wimforge(args!["convert", &raw, &path("x.vmdk"), "--for", "azure"]).badly(&[2]).says(&["vhd-fixed"]);
    wimforge(args!["convert", &raw, &path("x.vhd"), "--for", "hyperv"]).badly(&[2]).says(&["vhdx"]);
    wimforge(args!["convert", &raw, &path("x"), "--for", "kvm", "--format", "vdi"]).badly(&[2]);
    let odd = path("odd.raw");
    File::create(&odd).expect("a file").set_len((40 << 20) + 512).expect("grown");
    let refused = wimforge(args!["convert", &odd, &path("x.vhd"), "--for", "azure"]).badly(&[2]);
    refused.says(&["--size 41MiB"]);
    // A build gets the layout as well.
    let disk = path("gen2.vhdx");
    build(&testdata("nano-small.wim"), &disk, &["--for", "hyperv", "--quiet"]).well();
    let info = json(&wimforge(args!["info", &disk, "--json"]).well());
    assert_eq!(info["volumes"]["table"], "gpt");
    let wim = testdata("nano-small.wim");
    build(&wim, &path("gen1.vhd"), &["--for", "hyperv-gen1", "--layout", "gpt"]).badly(&[2]).says(&["BIOS"]);
}

#[test]
fn containers_are_checked_and_warned_of() {
    let scratch = scratch();
    let path = |name: &str| scratch.path().join(name);
    mixed(&path("disk.raw"));
    let vhdx = path("disk.vhdx");
    wimforge(args!["convert", &path("disk.raw"), &vhdx, "--quiet"]).well();
    let sound = wimforge(args!["check", &vhdx]).well();
    assert!(String::from_utf8_lossy(&sound.stdout).contains("container: vhdx, sound"));
    // Two blocks in one place.
    let file = File::options().read(true).write(true).open(&vhdx).expect("the disk");
    let mut table = [0; 40 * 8];
    file.read_exact_at(&mut table, 3 << 20).expect("the table");
    let present: Vec<usize> = (0..40).filter(|entry| table[entry * 8] & 7 == 6).collect();
    let first: [u8; 8] = table[present[0] * 8..][..8].try_into().expect("an entry");
    file.write_all_at(&first, (3 << 20) + present[1] as u64 * 8).expect("written");
    let damaged = json(&wimforge(args!["check", &vhdx, "--json"]).differ());
    assert_eq!(damaged["clean"], false);
    assert!(damaged["container"]["fault"].as_str().is_some_and(|fault| fault.contains("VHDX")), "{damaged}");

    // A VHD of VirtualBox: what older versions of qemu make of it.
    let vhd = path("disk.vhd");
    wimforge(args!["convert", &path("disk.raw"), &vhd, "--format", "vhd-fixed", "--quiet"]).well();
    let mut footer = [0; 512];
    let file = File::options().read(true).write(true).open(&vhd).expect("the disk");
    file.read_exact_at(&mut footer, 40 << 20).expect("a footer");
    footer[28..32].copy_from_slice(b"vbox");
    footer[64..68].fill(0);
    let sum = !footer.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    footer[64..68].copy_from_slice(&sum.to_be_bytes());
    file.write_all_at(&footer, 40 << 20).expect("written");
    let info = json(&wimforge(args!["info", &vhd, "--json"]).well());
    let warnings = info["disk"]["container"]["warnings"].to_string();
    assert!(warnings.contains("qemu before version 8"), "{warnings}");
}

/// A disk of another size: everybody finds the larger volume sound, and all files on it.
#[test]
fn sizes_change_with_partition_and_file_system() {
    let scratch = scratch();
    let path = |name: &str| scratch.path().join(name);
    let wim = testdata("nano-small.wim");
    let (disk, large, small) = (path("disk.vhd"), path("large.raw"), path("small.raw"));
    for layout in ["mbr1", "mbr3", "gpt"] {
        let options = ["--layout", layout, "--size", "4GiB", "--no-boot-files", "--quiet", "--force"];
        build(&wim, &disk, &options).well();
        let all = args!["--force", "--quiet"];
        wimforge([&args!["convert", &disk, &large, "--size", "6GiB"][..], &all].concat()).well();
        let least = if layout == "mbr1" { "1GiB" } else { "2GiB" };
        wimforge([&args!["convert", &large, &small, "--size", least][..], &all].concat()).well();
        for (disk, size) in [(&large, 6 << 30), (&small, if layout == "mbr1" { 1u64 << 30 } else { 2 << 30 })]
        {
            assert_eq!(fs::metadata(disk).expect("the disk").len(), size, "{layout}");
            let Some(table) = testkit::disk::partitions(disk) else { return };
            let last = table.partitions.iter().map(|part| part.start + part.size).max().expect("partitions");
            assert!(size / 512 - last <= 4096, "{layout}: {last} of {}", size / 512);
            wimforge(args!["check", disk, "--no-boot"]).well();
            wimforge(args!["verify", disk, "--against", &wim]).well();
        }
    }
    let refused = wimforge(args!["convert", &disk, &small, "--size", "300MiB", "--force"]).badly(&[2]);
    refused.says(&["needs at least"]);
}

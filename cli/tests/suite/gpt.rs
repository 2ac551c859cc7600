//! Disks for UEFI: their tables and system partitions as others read them, and firmware that starts them.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde_json::Value;
use testkit::efi_app::{GREETING, LAST_WORDS, STORE};
use testkit::qemu::{Controller, Machine};
use testkit::tree::Tree;
use testkit::{args, disk, ovmf, payload, reader, testdata, tool};

use crate::support::{build, scratch, wimforge};

/// The sector before the first partition, in bytes: where `mtools` finds the system partition.
const ESP: &str = "@@1M";

fn text(output: Vec<u8>) -> String {
    String::from_utf8(output).expect("the program prints UTF-8")
}

#[test]
fn everybody_reads_the_disk() {
    let scratch = scratch();
    let (wim, raw) = (testdata("nano-small.wim"), scratch.path().join("disk.raw"));
    let record = scratch.path().join("record.json");
    let options = ["--layout", "gpt", "--json", "--record", record.to_str().expect("UTF-8")];
    let built = build(&wim, &raw, &options).well();
    let built: Value = serde_json::from_slice(&built.stdout).expect("JSON");
    let partitions = built["build"]["partitions"].as_array().expect("a list");
    let seen: Vec<_> = partitions
        .iter()
        .map(|found| {
            (found["name"].as_str().unwrap(), found["kind"].as_str().unwrap(), found["file_system"].as_str())
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("System", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", Some("FAT32")),
            ("Reserved", "e3c9e316-0b5c-4db8-817d-f92df00215ae", None),
            ("Windows", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", Some("NTFS")),
            ("Recovery", "de94bba4-06d1-4d40-a16a-bfd50179d6ac", Some("NTFS")),
        ]
    );
    assert_eq!(built["build"]["boot"]["firmware"], "uefi");
    if let Some(table) = disk::partitions(&raw) {
        assert_eq!((table.label.as_str(), table.partitions.len()), ("gpt", 4));
        assert_eq!(table.id.to_lowercase(), built["build"]["disk_guid"].as_str().unwrap());
    }
    if let Some(sgdisk) = tool("sgdisk") {
        let said = sgdisk.text(args!["-v", &raw]);
        assert!(said.contains("No problems found"), "{said}");
    }
    reader::seven_zip(&raw);
    let esp = scratch.path().join("esp.img");
    if let (Some(_), Some(fsck)) = (disk::cut(&raw, Some(1), &esp), tool("fsck.fat")) {
        fsck.run(args!["-n", &esp]);
    }
    // What was put into the system partition is in the record, and nothing else is there.
    wimforge(args!["verify", &raw, "--against", &wim, "--record", &record]).well();
    checks(&raw);
    let (volume, again) = (scratch.path().join("volume.img"), scratch.path().join("again.wim"));
    if disk::cut(&raw, None, &volume).is_some() && disk::capture(&volume, &again).is_some() {
        let tree = |wim| Tree::of_wim(wim, 1).expect("wimlib is there");
        tree(&wim).compare(&tree(&again)).assert_none();
    }
    for (name, theirs) in [("disk.vhd", disk::Format::Vpc), ("disk.vmdk", disk::Format::Vmdk)] {
        let container = scratch.path().join(name);
        build(&wim, &container, &["--layout", "gpt", "-j", "1"]).well();
        disk::same(&raw, disk::Format::Raw, &container, theirs);
    }
}

/// `check` finds nothing in any volume, and a fault that is put into the system partition.
fn checks(raw: &Path) {
    let check = |partition: u32| {
        let ended = wimforge(args!["check", &format!("{}:{partition}", raw.display()), "--json"]);
        let found: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        (ended.code, found["volumes"][0]["report"].clone())
    };
    for partition in [1, 3, 4] {
        let (code, report) = check(partition);
        assert_eq!(
            (code, report["errors"].as_u64(), report["warnings"].as_u64()),
            (Some(0), Some(0), Some(0))
        );
    }
    // The first entry of the root directory behind the label: /EFI, which then begins nowhere.
    let Some(mut file) = std::fs::OpenOptions::new().read(true).write(true).open(raw).ok() else { return };
    let mut esp = vec![0; 2 << 20];
    file.seek(SeekFrom::Start(1 << 20)).and_then(|_| file.read_exact(&mut esp)).expect("the disk");
    let entry = esp.windows(11).position(|bytes| bytes == b"EFI        ").expect("a directory") as u64;
    let mut put = |byte: u8| {
        file.seek(SeekFrom::Start((1 << 20) + entry + 21))
            .and_then(|_| file.write_all(&[byte]))
            .expect("the disk");
    };
    put(0x0F);
    let (code, report) = check(1);
    assert_eq!((code, report["findings"][0]["code"].as_str()), (Some(3), Some("chain")), "{report}");
    put(0);
}

#[test]
fn files_of_the_system_partition() {
    let scratch = scratch();
    let (wim, disk) = (testdata("nano-small.wim"), scratch.path().join("disk.vhd"));
    build(&wim, &disk, &["--layout", "gpt"]).well();
    let first = format!("{}:1", disk.display());
    let listed = text(wimforge(args!["ls", "-R", &first]).well().stdout);
    for path in
        ["/EFI/Boot/bootx64.efi", "/EFI/Microsoft/Boot/BCD", "/EFI/Microsoft/Boot/Fonts/wgl4_boot.ttf"]
    {
        assert!(listed.lines().any(|line| line == path), "{listed}");
    }
    // However it is written, and by its short name.
    let loader = wimforge(args!["cat", &wim, "Windows/Boot/EFI/bootmgfw.efi"]).well().stdout;
    for path in [r"EFI\BOOT\BOOTX64.EFI", "efi/Microsoft/boot/BootMgFw.efi", "EFI/MICROS~1/Boot/bootmgfw.efi"]
    {
        assert!(wimforge(args!["cat", &first, path]).well().stdout == loader, "{path}");
    }
    let labelled = wimforge(args!["cat", &disk, "EFI/Boot/bootx64.efi", "--image", "system"]).well();
    assert!(labelled.stdout == loader);
    let out = scratch.path().join("out");
    wimforge(args!["extract", &first, "-C", &out]).well();
    assert!(std::fs::read(out.join("EFI/Boot/bootx64.efi")).unwrap() == loader);
    let store = std::fs::read(out.join("EFI/Microsoft/Boot/BCD")).unwrap();
    assert!(store.starts_with(b"regf") && store.len().is_multiple_of(4096));
    let info: Value =
        serde_json::from_slice(&wimforge(args!["info", &disk, "--json"]).well().stdout).unwrap();
    let volume = &info["volumes"]["partitions"][0]["volume"];
    assert_eq!(
        (volume["label"].as_str(), volume["file_system"].as_str()),
        (Some("SYSTEM"), Some("FAT32")),
        "{info}"
    );
    wimforge(args!["cat", &first, "EFI/nothing"]).badly(&[1]);
    wimforge(args!["ls", &format!("{}:2", disk.display())]).badly(&[4]).says(&["no file system"]);
}

#[test]
fn a_system_partition_that_is_too_small() {
    let scratch = scratch();
    let (wim, disk) = (testdata("nano-small.wim"), scratch.path().join("disk.vhd"));
    build(&wim, &disk, &["--layout", "gpt", "--system-size", "32MiB"])
        .badly(&[2])
        .says(&["--system-size", "33MiB"]);
    build(&wim, &disk, &["--layout", "gpt", "--system-size", "33MiB"]).well();
}

#[test]
fn firmware_starts_the_disk() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.vmdk");
    build(&testdata("nano-small.wim"), &disk, &["--layout", "gpt"]).well();
    let machine = Machine { format: "vmdk", controller: Controller::Nvme, ..Machine::new(&disk) };
    let Some(ended) = machine.run_uefi() else { return };
    for words in [GREETING, &format!("{STORE}: regf"), LAST_WORDS] {
        assert!(ended.text.contains(words), "no {words:?} in {}", ended.text);
    }
    assert_eq!(ended.status, Some(payload::CONTENT), "{}", ended.text);
}

/// GRUB's own NTFS driver, in the firmware, on the disk as it was built; and mtools, which puts GRUB there.
#[test]
fn grub_hashes_files_of_windows() {
    const FILES: [&str; 3] = [
        "Windows/System32/module6.dll",
        "Windows/System32/kernel.exe",
        "Users/Public/Documents/text 700.txt",
    ];
    let scratch = scratch();
    let (wim, raw) = (testdata("nano-small.wim"), scratch.path().join("disk.raw"));
    build(&wim, &raw, &["--layout", "gpt"]).well();
    let (Some(mcopy), Some(sha1sum)) = (tool("mcopy"), tool("sha1sum")) else { return };
    let mut script = "serial --unit=0\nterminal_output serial\n".to_owned();
    let mut expected = Vec::new();
    for path in FILES {
        script += &format!("sha1sum \"(hd0,gpt3)/{path}\"\n");
        let file = scratch.path().join("file");
        std::fs::write(&file, wimforge(args!["cat", &wim, path]).well().stdout).unwrap();
        let said = sha1sum.text(args![&file]);
        let hash = said.split(' ').next().unwrap();
        expected.push(format!("{hash}  (hd0,gpt3)/{path}"));
    }
    script += "echo ended\nhalt\n";
    let Some(program) = ovmf::grub(&script, scratch.path()) else { return };
    let program_path = scratch.path().join("program.efi");
    std::fs::write(&program_path, &program).unwrap();
    let image = format!("{}{ESP}", raw.display());
    mcopy.run(args!["-o", "-i", &image, &program_path, "::/EFI/Boot/bootx64.efi"]);
    let ours = wimforge(args!["cat", &format!("{}:1", raw.display()), "EFI/Boot/bootx64.efi"]).well();
    assert!(ours.stdout == program, "what mtools wrote");

    let machine = Machine { last_words: &["ended"], ..Machine::new(&raw) };
    let Some(ended) = machine.run_uefi() else { return };
    // GRUB breaks lines to fit its screen.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = words(&ended.text);
    for line in expected {
        assert!(said.contains(&words(&line)), "no {line:?} in {}", ended.text);
    }
}

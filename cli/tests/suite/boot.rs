//! What makes a disk start: the boot files, the store, the recovery environment, and the machine that runs them.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use testkit::content::Random;
use testkit::payload;
use testkit::qemu::{Controller, Machine};
use testkit::wimfile::{Entry, WimFile};
use testkit::{args, fixture, testdata, tool};

use crate::support::{Ended, build, compressed, scratch, wimforge};

const GREETING: &str = "Your image reached its boot manager.";

fn json(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

/// Starts the disk on a BIOS and expects the greeting of the image's stand-in for BOOTMGR.
fn greets(disk: &Path, format: &str, controller: Controller) {
    let machine = Machine { format, controller, ..Machine::new(disk) };
    let Some(ended) = machine.run() else { return };
    assert!(ended.text.contains(GREETING), "{}: {:?}", disk.display(), ended);
    assert_eq!(ended.status, Some(payload::CONTENT), "{}", ended.text);
}

/// The README's promise: what was built from the small image says something when it is started.
#[test]
fn the_small_image_greets_from_every_container() {
    let scratch = scratch();
    let wim = testdata("nano-small.wim");
    for (name, format, controller, options) in [
        ("mbr3.vmdk", "vmdk", Controller::Ide, &[][..]),
        ("mbr3.vhd", "vpc", Controller::VirtioBlk, &[]),
        ("mbr1.raw", "raw", Controller::Ahci, &["--layout", "mbr1", "--compact-os", "--assume-wof"]),
        ("large.raw", "raw", Controller::Ide, &["--layout", "mbr1", "--cluster-size", "64KiB"]),
    ] {
        let out = scratch.path().join(name);
        build(&wim, &out, options).well();
        greets(&out, format, controller);
    }
}

/// What a build changes is in its record, and nothing else is changed.
#[test]
fn the_record_explains_every_difference() {
    let scratch = scratch();
    let (disk, record) = (scratch.path().join("disk.raw"), scratch.path().join("record.json"));
    let wim = testdata("nano-small.wim");
    let reg = scratch.path().join("edit.reg");
    std::fs::write(
        &reg,
        "REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\new]\n\"Start\"=dword:3\n",
    )
    .unwrap();
    for layout in ["mbr3", "mbr1"] {
        let options = [
            "--layout",
            layout,
            "--force",
            "--record",
            record.to_str().unwrap(),
            "--reg",
            reg.to_str().unwrap(),
        ];
        build(&wim, &disk, &options).well();
        let verify = |more: &[&Path]| {
            let more = more.iter().map(|path| path.as_os_str());
            wimforge(args!["verify", &disk, "--against", &wim, "--json"].into_iter().chain(more))
        };
        let found = verify(&["--record".as_ref(), record.as_ref()]).well();
        let found = json(&found);
        assert_eq!(found["same"], true);
        let expected = found["comparison"]["expected"].to_string();
        assert!(expected.contains("config\\\\SYSTEM: changed: registry"), "{expected}");
        let elsewhere = found["others"].as_array().unwrap().len();
        assert_eq!(elsewhere, usize::from(layout == "mbr3"), "{found}");

        // Without the record, the changes are differences; with a wrong one, too.
        let without = verify(&[]);
        assert_eq!(without.code, Some(3));
        let text = std::fs::read_to_string(&record).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        for (index, change) in value["changes"].as_array().unwrap().iter().enumerate() {
            let Some(sha1) = change["sha1"].as_str() else { continue };
            let mut other = value.clone();
            let flipped = if sha1.starts_with('0') { "1" } else { "0" };
            other["changes"][index]["sha1"] = format!("{flipped}{}", &sha1[1..]).into();
            std::fs::write(&record, other.to_string()).unwrap();
            let ended = verify(&["--record".as_ref(), record.as_ref()]);
            assert_eq!(ended.code, Some(3), "{change}");
            let mut other = value.clone();
            other["changes"].as_array_mut().unwrap().remove(index);
            std::fs::write(&record, other.to_string()).unwrap();
            let ended = verify(&["--record".as_ref(), record.as_ref()]);
            assert_eq!(ended.code, Some(3), "{change} removed");
        }
        let mut other = value.clone();
        let more = serde_json::json!({
            "partition": 1, "path": "\\nothing", "action": "added", "reason": "", "size": 1, "sha1": "00".repeat(20)
        });
        other["changes"].as_array_mut().unwrap().push(more);
        std::fs::write(&record, other.to_string()).unwrap();
        assert_eq!(verify(&["--record".as_ref(), record.as_ref()]).code, Some(3));
    }
    std::fs::write(&record, "[]").unwrap();
    wimforge(args!["verify", &disk, "--against", &wim, "--record", &record]).badly(&[1]).says(&["no record"]);
}

/// Where bcdboot puts things, with the attributes that it gives them.
#[test]
fn boot_files_lie_where_the_boot_manager_looks() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    build(&testdata("nano-small.wim"), &disk, &[]).well();
    let listed = wimforge(args!["ls", &format!("{}:1", disk.display()), "-lR"]).well();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let found: Vec<(&str, &str)> = text
        .lines()
        .map(|line| (line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap()))
        .collect();
    for expected in [
        ("-rhsa-----", "/bootmgr"),
        ("--hsa-----", "/BOOTNXT"),
        ("d-hs------", "/Boot"),
        ("----a-----", "/Boot/BCD"),
        ("----a-----", "/Boot/memtest.exe"),
        ("----a-----", "/Boot/en-US/bootmgr.exe.mui"),
        ("----a-----", "/Boot/Fonts/wgl4_boot.ttf"),
        ("----a-----", "/Boot/Resources/bootres.dll"),
    ] {
        assert!(found.contains(&expected), "no {expected:?} in\n{text}");
    }
    assert_eq!(found.len(), 11, "{text}");
}

/// The boot options reach the store, as another reader of hives sees it.
#[test]
fn options_are_in_the_store() {
    let Some(hivexsh) = tool("hivexsh") else { return };
    let scratch = scratch();
    let (disk, store) = (scratch.path().join("disk.raw"), scratch.path().join("BCD"));
    let options =
        ["--ems=2,57600", "--test-signing", "--debug=net:10.0.0.1:50000:a.b.c.d", "--boot-timeout", "7"];
    let options: Vec<&str> = options.into_iter().chain(["--boot-menu", "legacy", "--json"]).collect();
    let built = json(&build(&testdata("nano-small.wim"), &disk, &options).well());
    let entry = built["build"]["boot"]["entry"].as_str().unwrap();
    std::fs::write(
        &store,
        wimforge(args!["cat", &format!("{}:1", disk.display()), "Boot/BCD"]).well().stdout,
    )
    .unwrap();
    let element = |object: &str, element: &str| {
        let script = scratch.path().join("script");
        std::fs::write(&script, format!("cd \\Objects\\{object}\\Elements\\{element}\nlsval\n")).unwrap();
        hivexsh.text(args!["-f", &script, &store]).trim().to_owned()
    };
    let manager = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}";
    let ems = "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}";
    let debugger = "{4636856e-540f-4170-a130-a84776f4c654}";
    assert!(element(manager, "25000004").ends_with("07,00,00,00,00,00,00,00"));
    assert!(element(manager, "23000003").contains(entry));
    assert!(element(ems, "15000022").ends_with("02,00,00,00,00,00,00,00"));
    assert!(element(ems, "15000023").ends_with("00,e1,00,00,00,00,00,00"));
    assert!(element(entry, "260000b0").ends_with("01"));
    assert!(element(entry, "16000049").ends_with("01"));
    assert!(element(entry, "250000c2").ends_with("00,00,00,00,00,00,00,00"));
    assert!(element(debugger, "1500001a").ends_with("01,00,00,0a,00,00,00,00"));
    assert!(element(debugger, "1200001d").contains("a.b.c.d"));
    // The disk's signature and where Windows begins.
    let signature = built["build"]["disk_signature"].as_u64().unwrap() as u32;
    let start = built["build"]["partitions"][1]["start"].as_u64().unwrap();
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(",");
    let device = element(entry, "21000001");
    assert!(device.contains(&bytes(&start.to_le_bytes())), "{device}");
    assert!(device.contains(&bytes(&signature.to_le_bytes())), "{device}");
}

/// Located by what is on them, partitions are found again, also by BOOTMGR, which has no path to be located by.
#[test]
fn located_partitions_resolve() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    for layout in ["mbr3", "mbr1", "gpt"] {
        let options = ["--layout", layout, "--bcd-device", "locate", "--force"];
        build(&testdata("nano-small.wim"), &disk, &options).well();
        let found = json(&wimforge(args!["check", &disk, "--boot", "--json"]).well());
        let links = found["boot"]["chains"][0]["links"].as_array().unwrap();
        let devices = links.iter().find(|link| link["step"] == "devices").unwrap();
        assert_eq!(devices["state"], "ok", "{layout}: {devices}");
    }
}

/// The recovery environment moves to the partition that is for it, which grows with it.
#[test]
fn recovery_moves() {
    let scratch = scratch();
    let mut wim = WimFile::new();
    let mut folders = fixture::Folders::new(wim.image("With a recovery environment"), None);
    let boot = folders.get("Windows/Boot/PCAT");
    let recovery = folders.get("Windows/System32/Recovery");
    let sdi = folders.get("Windows/Boot/DVD/PCAT");
    let image = folders.image;
    image.add(boot, Entry::file("bootmgr", payload::greeter()));
    image.add(recovery, Entry::file("Winre.wim", Random::new(7).bytes(9_000_000)));
    image.add(recovery, Entry::file("ReAgent.xml", "<WindowsRE/>"));
    image.add(sdi, Entry::file("boot.sdi", Random::new(8).bytes(3_000_000)));
    let Some(wim) = compressed(&wim, "XPRESS", scratch.path()) else { return };
    let (disk, record) = (scratch.path().join("disk.raw"), scratch.path().join("record.json"));
    let cat = |path: &str| wimforge(args!["cat", &format!("{}:{path}", disk.display())]);
    for (layout, windows, recovery) in [("mbr3", 2, 3), ("gpt", 3, 4)] {
        let options = ["--layout", layout, "--force", "--json", "--record", record.to_str().unwrap()];
        let built = json(&build(&wim, &disk, &options).well());
        assert_eq!(built["build"]["boot"]["recovery"], true);
        wimforge(args!["verify", &disk, "--against", &wim, "--record", &record]).well();
        // The image has nothing to start.
        wimforge(args!["check", &disk, "--strict", "--no-boot"]).well();
        let moved = cat(&format!("{recovery}/Recovery/WindowsRE/Winre.wim")).well();
        assert_eq!(moved.stdout, Random::new(7).bytes(9_000_000));
        cat(&format!("{windows}/Windows/System32/Recovery/Winre.wim")).badly(&[1]);
        let start = built["build"]["partitions"][recovery - 1]["start"].as_u64().unwrap();
        let there = cat(&format!("{windows}/Windows/System32/Recovery/ReAgent.xml")).well();
        let copy = cat(&format!("{recovery}/Recovery/WindowsRE/ReAgent.xml")).well();
        assert_eq!(there.stdout, copy.stdout);
        let agent = String::from_utf8(there.stdout).unwrap();
        assert!(agent.contains(&format!("offset=\"{start}\"")), "{agent}");
        if let Some(id) = built["build"]["disk_guid"].as_str() {
            assert!(agent.contains(id), "{agent}");
        }
    }

    // A partition that is too small for it is refused, with the size that it needs.
    build(&wim, &disk, &["--force", "--recovery-size", "10MiB"])
        .badly(&[2])
        .says(&["--recovery-size", "MiB"]);
    // With one partition, or without boot files, it stays.
    for options in [&["--layout", "mbr1"][..], &["--no-boot-files"]] {
        build(&wim, &disk, &[options, &["--force"]].concat()).well();
        let partition = if options.len() == 2 { 1 } else { 2 };
        cat(&format!("{partition}/Windows/System32/Recovery/Winre.wim")).well();
    }
}

#[test]
fn what_an_image_lacks_is_said() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    let mut wim = WimFile::new();
    let image = wim.image("Empty");
    let root = image.root();
    image.add(root, Entry::file("x", "y"));
    let plain = scratch.path().join("plain.wim");
    wim.save(&plain);
    let ended = build(&plain, &disk, &[]).well().says(&["no boot manager for BIOS"]);
    assert!(String::from_utf8_lossy(&ended.stdout).contains("does not start by itself"));
    build(&plain, &disk, &["--force", "--boot-code", "from-image"]).badly(&[1]).says(&["--boot-code own"]);
    build(&plain, &disk, &["--force", "--boot-code", "none"]).well();
    let mut code = [1; 440];
    std::fs::File::open(&disk).unwrap().read_exact(&mut code).unwrap();
    assert_eq!(code, [0; 440]);
    for (option, value) in [("--ems", "0"), ("--debug", "smoke"), ("--boot-menu", "x"), ("--bcd-device", "x")]
    {
        build(&plain, &disk, &["--force", &format!("{option}={value}")]).badly(&[2]);
    }
}

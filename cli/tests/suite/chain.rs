//! `check` on whether a disk starts: built disks whose chain is whole, in every container, then broken with other
//! people's tools (`ntfs-3g`, `sfdisk`, `mtools`) and with the program's own; what it says, in words, JSON and exit codes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{args, testdata, tool};

use crate::support::{build, scratch, wimforge};

const SMALL: &str = "nano-small.wim";

/// What `check --boot --json` says, and its exit code.
fn boot(disk: &Path) -> (Value, i32) {
    let ended = wimforge(args!["check", disk, "--boot", "--json"]);
    let code = ended.code.expect("it ended by itself");
    let value = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| panic!("no JSON: {}", ended.stderr));
    (value, code)
}

/// The link of a chain that is the only one.
fn link<'v>(value: &'v Value, step: &str) -> &'v Value {
    let chains = value["boot"]["chains"].as_array().expect("chains");
    assert_eq!(chains.len(), 1, "{value:#}");
    let links = chains[0]["links"].as_array().expect("links");
    links.iter().find(|link| link["step"] == step).unwrap_or_else(|| panic!("no {step}: {value:#}"))
}

/// The disk is broken at a link, with what a user would see.
#[track_caller]
fn broken_at(disk: &Path, step: &str, code: &str) {
    let (value, exit) = boot(disk);
    assert_eq!(exit, 3, "{value:#}");
    assert_eq!(value["clean"], false);
    let verdict = &value["boot"]["chains"][0]["verdict"];
    assert_eq!(
        (&verdict["step"], &verdict["code"]["code"]),
        (&Value::from(step), &Value::from(code)),
        "{value:#}"
    );
    assert!(verdict["advice"].is_string(), "{verdict:#}");
    assert_eq!(link(&value, step)["state"], "broken");
}

#[test]
fn built_disks_have_a_chain_in_every_container() {
    let scratch = scratch();
    for (name, options, firmware, steps) in [
        ("disk.raw", &["--layout", "mbr1"][..], "bios", 16),
        ("disk.vhd", &[], "bios", 16),
        ("disk.vmdk", &[], "bios", 16),
        ("gpt.vhd", &["--layout", "gpt"], "uefi", 14),
    ] {
        let disk = scratch.path().join(name);
        build(&testdata(SMALL), &disk, options).well();
        let (value, exit) = boot(&disk);
        assert_eq!(exit, 0, "{name}: {value:#}");
        assert_eq!((&value["schema"], &value["clean"]), (&"wimforge.check/1".into(), &true.into()));
        let chain = &value["boot"]["chains"][0];
        assert_eq!(
            (&chain["firmware"], &chain["verdict"]["step"]),
            (&firmware.into(), &Value::Null),
            "{name}"
        );
        let links = chain["links"].as_array().expect("links");
        assert_eq!(links.len(), steps, "{name}: {chain:#}");
        // The boot manager is the image's own, which is no Windows'.
        for link in links.iter().filter(|link| link["step"] != "boot_manager") {
            assert_eq!(link["state"], "ok", "{name}: {link:#}");
        }
        // By default both are checked, and of one partition its volume only.
        let whole = wimforge(args!["check", &disk]).well();
        let text = String::from_utf8(whole.stdout).expect("UTF-8");
        assert!(text.contains("partition 1: ") && text.contains("boot chain by "), "{text}");
        let one = wimforge(args!["check", &format!("{}:1", disk.display()), "--json"]);
        let one: Value = serde_json::from_slice(&one.stdout).unwrap_or_default();
        assert!(one["boot"].is_null(), "{one:#}");
        let volumes = wimforge(args!["check", &disk, "--no-boot", "--json"]).well();
        let volumes: Value = serde_json::from_slice(&volumes.stdout).expect("JSON");
        assert!(volumes["boot"].is_null() && !volumes["volumes"].as_array().expect("volumes").is_empty());
    }
}

/// Somebody else's tool makes another partition active.
#[test]
fn sfdisk_moves_the_active_flag() {
    let Some(sfdisk) = tool("sfdisk") else { return };
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    build(&testdata(SMALL), &disk, &[]).well();
    sfdisk.run(args!["--quiet", "--activate", &disk, "2"]);
    broken_at(&disk, "boot_manager", "BOOTMGR is missing");
    let advice = boot(&disk).0["boot"]["chains"][0]["verdict"]["advice"].to_string();
    assert!(advice.contains("partition 1 holds one"), "{advice}");
    sfdisk.run(args!["--quiet", "--activate", &disk, "-"]);
    broken_at(&disk, "system_partition", "no bootable device");
    let ended = wimforge(args!["check", &disk, "--boot"]);
    assert_eq!(ended.code, Some(3));
    let text = String::from_utf8(ended.stdout).expect("UTF-8");
    for words in [
        "  BROKEN   system partition  none\n",
        "none of 3 partitions is active [no bootable device]",
        "> mark partition 1, which holds BOOTMGR, active",
        "  ok       loader            \\Windows\\system32\\winload.exe 10.0.14393.0 for x64 on partition 2\n",
        "  verdict: does not start by BIOS: system partition (no bootable device: ",
        "  to do: mark partition 1, which holds BOOTMGR, active (`sfdisk --activate DISK 1`)\n",
    ] {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= 130 || line.contains("to do:") || line.contains("verdict:")),
        "{text}"
    );
    sfdisk.run(args!["--quiet", "--activate", &disk, "1"]);
    assert_eq!(boot(&disk).1, 0);
}

/// A clone's new disk signature: what names the disk no longer finds it, what searches does.
#[test]
fn a_new_disk_signature() {
    let Some(sfdisk) = tool("sfdisk") else { return };
    let scratch = scratch();
    for (name, options, found) in
        [("partition.raw", &[][..], false), ("locate.raw", &["--bcd-device", "locate"], true)]
    {
        let disk = scratch.path().join(name);
        build(&testdata(SMALL), &disk, options).well();
        sfdisk.run(args!["--quiet", "--disk-id", &disk, "0x11223344"]);
        if found {
            assert_eq!(boot(&disk).1, 0);
        } else {
            broken_at(&disk, "devices", "0xc000000e");
            let (value, _) = boot(&disk);
            let finding = &link(&value, "devices")["findings"][0]["text"];
            assert!(finding.as_str().is_some_and(|text| text.contains("11223344")), "{finding}");
        }
    }
}

/// ntfs-3g changes files on the volumes, mtools on the EFI system partition.
#[test]
fn files_that_others_take_away() {
    let (Some(ntfscp), Some(mdel)) = (tool("ntfscp"), tool("mdel")) else { return };
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    build(&testdata(SMALL), &disk, &["--layout", "mbr1"]).well();
    let volume = scratch.path().join("volume.raw");
    testkit::disk::cut(&disk, Some(1), &volume).expect("sfdisk");
    // Nothing there to be executed any more.
    let nothing = scratch.path().join("nothing");
    std::fs::write(&nothing, vec![0u8; 9000]).expect("written");
    ntfscp.run(args!["-q", &volume, &nothing, "Windows/System32/winload.exe"]);
    put_back(&disk, &volume);
    broken_at(&disk, "loader", "0xc000007b");
    ntfscp.run(args!["-q", &volume, &nothing, "Boot/BCD"]);
    put_back(&disk, &volume);
    broken_at(&disk, "boot_store", "0xc000014c");

    let disk = scratch.path().join("gpt.raw");
    build(&testdata(SMALL), &disk, &["--layout", "gpt"]).well();
    let esp = format!("{}@@1M", disk.display());
    mdel.run(args!["-i", &esp, "::/EFI/Boot/bootx64.efi"]);
    let (value, exit) = boot(&disk);
    assert_eq!((exit, &link(&value, "boot_manager")["state"]), (0, &"warning".into()), "{value:#}");
    mdel.run(args!["-i", &esp, "::/EFI/Microsoft/Boot/bootmgfw.efi"]);
    broken_at(&disk, "boot_manager", "no bootable device");
    mdel.run(args!["-i", &esp, "::/EFI/Microsoft/Boot/BCD"]);
    // Neither a manager nor a store: but there is Windows, and nothing starts it.
    broken_at(&disk, "boot_manager", "no bootable device");
}

/// Writes a volume back to where it came from, 1 MiB into the disk.
fn put_back(disk: &Path, volume: &Path) {
    let status = Command::new("dd")
        .args(["bs=1M", "seek=1", "conv=notrunc,sparse", "status=none"])
        .arg(format!("if={}", volume.display()))
        .arg(format!("of={}", disk.display()))
        .status();
    assert!(status.expect("dd").success());
}

/// The program's own edits of the registry.
#[test]
fn a_build_that_disables_its_disk_driver() {
    let scratch = scratch();
    let (disk, reg) = (scratch.path().join("disk.vhd"), scratch.path().join("edit.reg"));
    let key = "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\storahci";
    std::fs::write(&reg, format!("REGEDIT4\n\n{key}\\StartOverride]\n\"0\"=dword:3\n")).expect("written");
    build(&testdata(SMALL), &disk, &["--reg", reg.to_str().expect("UTF-8")]).well();
    broken_at(&disk, "disk_drivers", "stop 0x7B");
}

/// A disk that was never meant to start is not broken.
#[test]
fn data_disks() {
    let scratch = scratch();
    let mut wim = testkit::wimfile::WimFile::new();
    let image = wim.image("data");
    let root = image.root();
    image.add(root, testkit::wimfile::Entry::file("notes.txt", "nothing to start"));
    let (source, disk) = (scratch.path().join("data.wim"), scratch.path().join("data.vhd"));
    wim.save(&source);
    build(&source, &disk, &["--layout", "mbr1"]).well();
    let ended = wimforge(args!["check", &disk]).well();
    let text = String::from_utf8(ended.stdout).expect("UTF-8");
    assert!(text.contains("no boot chain: ") && !text.contains("BROKEN"), "{text}");
    // Unless one asks for nothing else.
    wimforge(args!["check", &disk, "--boot"]).badly(&[4]).says(&["no boot chain: "]);
    wimforge(args!["check", &disk, "--boot", "--no-boot"]).badly(&[2]);
}

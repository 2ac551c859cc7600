//! OVF descriptors: the DMTF's schema, another reader, and VirtualBox's rules as far as they are known.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use disk::Guid;
use support::{CAPACITY, beside, machine, machines};
use testkit::{args, tool};
use wimforge_appliance::ovf::{DiskReference, Family, descriptor};
use wimforge_appliance::{Controller, Firmware, Machine};

fn reference() -> DiskReference<'static> {
    DiskReference { href: "disk.vmdk", capacity: CAPACITY, file_size: 123_456_789, uuid: Guid([0xAB; 16]) }
}

/// Descriptors of all machines, on all controllers, for both families.
fn descriptors(mut take: impl FnMut(&Machine, Family, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("machine.ovf");
    for machine in machines() {
        for controller in [Controller::Ide, Controller::Sata, Controller::LsiSas] {
            let mut machine = machine.clone();
            machine.controller = controller;
            for family in [Family::VMware, Family::VirtualBox] {
                fs::write(&path, descriptor(&machine, &reference(), family)).unwrap();
                take(&machine, family, &path);
            }
        }
    }
}

/// The schema is the DMTF's, and in no package registry: whoever has it puts `dsp8023_1.1.1.xsd` and what it imports
/// into the cache or beside the samples.
fn schema() -> Option<PathBuf> {
    let cache = std::env::var_os("WIMFORGE_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/wimforge-oracles")));
    let samples = std::env::var_os("WIMFORGE_SAMPLES").map(PathBuf::from);
    let places = [cache, samples].into_iter().flatten();
    let found = places.map(|place| place.join("ovf-schema/dsp8023_1.1.1.xsd")).find(|path| path.is_file());
    if found.is_none() {
        testkit::skip_here("no OVF schema (dsp8023_1.1.1.xsd) in the cache's or the samples' ovf-schema");
    }
    found
}

#[test]
fn the_schema_holds() {
    let (Some(xmllint), Some(schema)) = (tool("xmllint"), schema()) else { return };
    let valid = |path: &Path| {
        let output =
            xmllint.command().args(args!["--nonet", "--noout", "--schema", &schema, path]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    descriptors(|machine, family, path| {
        // The schema has no place for VirtualBox's own element in a machine; its own exports are as invalid.
        let text = fs::read_to_string(path).unwrap();
        let text = match (text.find("    <vbox:Machine"), text.find("  </VirtualSystem>")) {
            (Some(start), Some(end)) => text[..start].to_owned() + &text[end..],
            _ => text,
        };
        fs::write(path, &text).unwrap();
        let (ok, said) = valid(path);
        assert!(ok, "{machine:?} {family:?}: {said}");
        // The checker notices: properties of an item out of order, a disk without an id.
        for (from, to) in [("rasd:Description", "rasd:VirtualQuantity"), ("ovf:diskId=", "ovf:diskID=")] {
            assert!(text.contains(from));
            fs::write(path, text.replace(from, to)).unwrap();
            assert!(!valid(path).0, "{from} -> {to}");
        }
    });
}

#[test]
fn virtualbox_would_take_it() {
    let Some(python) = tool("python3") else { return };
    descriptors(|machine, family, path| {
        let text = python.text(args![&beside("ovf_rules.py"), path]);
        let guest = machine.guest;
        let mut lines = text.lines();
        let first = format!("{} {} {} {}", machine.name, guest.cim(), guest.vmware(), guest.virtualbox());
        assert_eq!(lines.next().unwrap(), first);
        let controller = match machine.controller {
            Controller::Ide => "ide",
            Controller::Sata => "sata",
            _ => "scsi",
        };
        let nic = if family == Family::VMware { "E1000e" } else { "E1000" };
        let rest = match machine.firmware {
            Firmware::Efi => {
                format!("firmware=efi mac={} memory={} nic={nic}", machine.mac_text(), machine.memory)
            }
            Firmware::Bios => format!("firmware=bios memory={} nic={nic}", machine.memory),
        };
        let second =
            format!("controller={controller} cpus={} disk=disk.vmdk {rest} size=123456789", machine.cpus);
        assert_eq!(lines.next().unwrap(), second);
    });
}

/// The checker notices what VirtualBox refuses.
#[test]
fn the_rules_are_noticed() {
    let Some(python) = tool("python3") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("machine.ovf");
    let text = descriptor(&machine(Firmware::Efi), &reference(), Family::VMware);
    for (from, to) in [
        ("vmware.sata.ahci", "nvme"),
        ("byte * 2^20", "byte * 2^30"),
        ("vbox:uuid=\"abab", "vbox:uuid=\"acab"),
        (">NAT<", ">VM Network<"),
        ("<Memory RAMSize", "<Memory Size"),
        ("streamOptimized", "sparse"),
        ("ovf:fileRef=\"file1\"", "ovf:fileRef=\"file2\""),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let output = python.command().args(args![&beside("ovf_rules.py"), &path]).output().unwrap();
        assert!(!output.status.success(), "{from} -> {to} passes");
    }
}

/// packer's Vagrant post-processor finds the address with this expression.
#[test]
fn packer_finds_the_address() {
    let Some(python) = tool("python3") else { return };
    let text = descriptor(&machine(Firmware::Efi), &reference(), Family::VirtualBox);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("box.ovf");
    fs::write(&path, text).unwrap();
    let script = "
import re, sys
print(re.search(r'<Adapter slot=\"0\".*?MACAddress=\"(.+?)\"', open(sys.argv[1]).read()).group(1))
";
    assert_eq!(python.text(args!["-c", script, &path]).trim(), machine(Firmware::Efi).mac_text());
}

//! Drivers: a signed one of Oracle's, as Windows would have registered it, and one that nobody signed.

use std::fs;

use serde_json::Value;
use testkit::disk::Format;
use testkit::program::Program;
use testkit::{args, samples};

use super::nano;
use super::seen::{Descriptor, Seen};
use super::world::{Desk, medium};
use crate::support::wimforge;

const PACKAGES: &str = "DriverDatabase\\DriverPackages";
const STORE: &str = "Windows\\System32\\DriverStore\\FileRepository";

/// The USB driver of VirtualBox, as it was signed: git has taken the line ends of the INF file for its own.
pub(super) fn vboxusb(desk: &Desk) -> Option<[Vec<u8>; 3]> {
    let folder = samples()?.join("drivers/vboxusb-x64");
    let read = |name: &str| fs::read(folder.join(name)).expect("a sample");
    let inf = String::from_utf8(read("VBoxUSB.inf")).expect("ASCII").replace('\n', "\r\n");
    let files = [inf.into_bytes(), read("VBoxUSB.sys"), read("VBoxUSB.cat")];
    for (name, content) in ["VBoxUSB.inf", "VBoxUSB.sys", "VBoxUSB.cat"].into_iter().zip(&files) {
        desk.put(&format!("vboxusb/{name}"), content);
    }
    Some(files)
}

#[test]
fn a_signed_driver() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    let Some([inf, sys, cat]) = vboxusb(&desk) else { return };
    let disk = desk.path("disk.vhd");
    let ended = nano(&medium.iso, &disk, &args!["--driver", &desk.path("vboxusb"), "--json"]).well();
    let report: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let driver = &report["build"]["customized"]["drivers"][0];
    assert_eq!((&driver["inf"], &driver["class"]), (&"VBoxUSB.inf".into(), &"USB".into()));
    assert_eq!(driver["devices"], serde_json::json!(["USB\\VID_80EE&PID_CAFE"]));
    // This machine had twelve, oem0 to oem11.
    assert_eq!(driver["published"], "oem12.inf");
    wimforge(args!["check", &disk]).well();

    let Some(seen) = Seen::of(&disk, Format::Vpc) else { return };
    let package = driver["package"].as_str().expect("a name");
    assert!(package.starts_with("vboxusb.inf_amd64_") && package.len() == 34, "{package}");
    let place = format!("{STORE}\\{package}");
    assert!(seen.read(&format!("{place}\\VBoxUSB.inf")) == inf);
    assert!(seen.read(&format!("{place}\\VBoxUSB.sys")) == sys);
    assert!(seen.read(&format!("{place}\\VBoxUSB.cat")) == cat);
    assert!(seen.read("Windows\\INF\\oem12.inf") == inf);
    let catalogs = "Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
    assert!(seen.read(&format!("{catalogs}\\oem12.cat")) == cat);
    // It is for the system and its administrators to change, and for everybody to read.
    let descriptor =
        Descriptor::of(seen.node(&format!("{place}\\VBoxUSB.sys")).security.as_ref().expect("one"));
    let write = 0x0000_0002;
    for (_, flags, mask, trustee) in &descriptor.dacl {
        let may =
            ["S-1-5-18", "S-1-5-32-544"].contains(&trustee.as_str()) || trustee.starts_with("S-1-5-80-");
        assert!(may || mask & write == 0 || flags & 8 != 0, "{descriptor:?}");
    }

    let inf_files = seen.key("SYSTEM", "DriverDatabase\\DriverInfFiles\\oem12.inf");
    assert_eq!(
        (inf_files.texts(""), inf_files.text("Active")),
        (vec![package.to_owned()], package.to_owned())
    );
    let device = seen.key("SYSTEM", "DriverDatabase\\DeviceIds\\USB\\VID_80EE&PID_CAFE");
    assert_eq!(device.data("oem12.inf", 3), [1, 0xFF, 0, 0]);
    let key = seen.key("SYSTEM", &format!("{PACKAGES}\\{package}"));
    assert_eq!((key.text(""), key.text("InfName")), ("oem12.inf".to_owned(), "VBoxUSB.inf".to_owned()));
    assert_eq!(
        (key.text("Provider"), key.text("Catalog")),
        ("Oracle Corporation".to_owned(), "VBoxUSB.cat".to_owned())
    );
    assert_eq!(key.subkeys, ["Configurations", "Descriptors", "Strings"]);
    // USB's class, {36fc9e60-c465-11cf-8056-444553540000}, and version 7.2.16.24877, backwards.
    let version = key.data("Version", 3);
    let class = [0x60, 0x9E, 0xFC, 0x36, 0x65, 0xC4, 0xCF, 0x11, 0x80, 0x56, 0x44, 0x45, 0x53, 0x54, 0, 0];
    assert_eq!((version.len(), &version[8..24]), (48, &class[..]));
    assert_eq!(version[32..40], [0x2D, 0x61, 16, 0, 2, 0, 7, 0]);
    let database = seen.key("SYSTEM", "DriverDatabase");
    assert_eq!(database.data("OemInfMap", 3), [0xFF, 0xF8], "a bit for each, the highest first");
    let service = seen.keys("SYSTEM", &[&format!("{PACKAGES}\\{package}\\Configurations")]);
    let name = service[0].as_ref().expect("configurations").subkeys[0].clone();
    let configuration = seen.key("SYSTEM", &format!("{PACKAGES}\\{package}\\Configurations\\{name}"));
    assert_eq!(configuration.text("Service"), "VBoxUSB");
}

/// What does not fit its catalog is refused, and nothing is written.
#[test]
fn drivers_that_were_changed() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    let Some([inf, mut sys, _]) = vboxusb(&desk) else { return };
    let disk = desk.path("disk.vhd");
    let folder = desk.path("vboxusb");
    let refused = |words: &[&str]| {
        nano(&medium.iso, &disk, &args!["--driver", &folder]).badly(&[1, 2, 3]).says(words);
        assert!(!disk.exists());
    };
    let text = String::from_utf8(inf.clone()).expect("ASCII");
    desk.put("vboxusb/VBoxUSB.inf", text.replace("\r\n", "\n"));
    refused(&["VBoxUSB.inf", "LF"]);
    desk.put("vboxusb/VBoxUSB.inf", text.replace("Oracle", "Orakle"));
    refused(&["VBoxUSB.inf"]);
    desk.put("vboxusb/VBoxUSB.inf", &inf);
    let middle = sys.len() / 2;
    sys[middle] ^= 1;
    desk.put("vboxusb/VBoxUSB.sys", &sys);
    refused(&["VBoxUSB.sys"]);
    fs::remove_file(desk.path("vboxusb/VBoxUSB.cat")).expect("was there");
    refused(&["VBoxUSB"]);
    nano(&medium.iso, &disk, &args!["--driver", &folder, "--allow-unsigned"]).well();
}

const STORAGE: &str = r#"[Version]
Signature = "$Windows NT$"
Class = SCSIAdapter
ClassGuid = {4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider = %me%
DriverVer = 07/16/2016,1.2.3.4
CatalogFile = forged.cat
[DestinationDirs]
DefaultDestDir = 12
[SourceDisksNames]
1 = %me%
[SourceDisksFiles]
forged.sys = 1
[Manufacturer]
%me% = Models,NTamd64
[Models.NTamd64]
%device% = Install, PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00, PCI\VEN_1AF4&DEV_1001
[Install]
CopyFiles = Files
[Files]
forged.sys
[Install.Services]
AddService = forged,0x2,Service
[Service]
DisplayName = %device%
ServiceType = 1
StartType = 0
ErrorControl = 1
ServiceBinary = %12%\forged.sys
LoadOrderGroup = SCSI miniport
AddReg = Parameters
[Parameters]
HKR, "Parameters", "BusType", 0x00010001, 1
[Strings]
me = "Somebody"
device = "Forged storage"
"#;

/// A driver that Windows starts from, which needs to be there before Windows can look.
#[test]
fn a_storage_driver_that_nobody_signed() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    desk.put("storage/forged.inf", STORAGE.replace('\n', "\r\n"));
    let program = Program::x64().imports(&["storport.sys"]).to_bytes();
    desk.put("storage/forged.sys", &program);
    let (disk, folder) = (desk.path("disk.vhd"), desk.path("storage"));
    nano(&medium.iso, &disk, &args!["--driver", &folder])
        .badly(&[1, 2, 3])
        .says(&["forged.cat is not there"]);
    assert!(!disk.exists());
    nano(&medium.iso, &disk, &args!["--driver", &folder, "--allow-unsigned"]).well();
    let chain = wimforge(args!["check", &disk]).well();
    let chain = String::from_utf8(chain.stdout).expect("UTF-8");
    assert!(chain.contains("49 drivers start at 0"), "{chain}");

    let Some(seen) = Seen::of(&disk, Format::Vpc) else { return };
    assert!(seen.read("Windows\\System32\\drivers\\forged.sys") == program);
    let service = seen.key("SYSTEM", "ControlSet001\\Services\\forged");
    assert_eq!((service.dword("Start"), service.dword("Type"), service.dword("ErrorControl")), (0, 1, 1));
    assert_eq!(service.text("Group"), "SCSI miniport");
    let path = String::from_utf16_lossy(
        &service
            .data("ImagePath", 2)
            .chunks(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect::<Vec<_>>(),
    );
    assert!(path.trim_end_matches('\0').to_lowercase().ends_with("system32\\drivers\\forged.sys"), "{path}");
    assert!(
        !service.subkeys.iter().any(|key| key.eq_ignore_ascii_case("StartOverride")),
        "{:?}",
        service.subkeys
    );
    assert_eq!(seen.key("SYSTEM", "ControlSet001\\Services\\forged\\Parameters").dword("BusType"), 1);
    for id in ["VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", "VEN_1AF4&DEV_1001"] {
        let device = seen.key("SYSTEM", &format!("DriverDatabase\\DeviceIds\\PCI\\{id}"));
        assert_eq!(device.data("oem12.inf", 3).len(), 4);
    }
}

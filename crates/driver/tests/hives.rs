//! Real driver databases: they satisfy the validator, broken ones do not, and a package of ours fits in with the others.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::{nano, virtio};
use disk::FileTime;
use hive::{Hive, Key, Kind};
use testkit::{args, tool};
use wimforge_driver::plan::{HiveName, Reflect, Request, Signer};
use wimforge_driver::validate::validate;
use wimforge_driver::{Folders, ImageState, Inf, Plan, Target, compile, plan};

/// The real hives with a driver database: file, build, packages.
const HIVES: [(&str, u32, usize); 3] =
    [("SYSTEM_2", 9600, 159), ("SYSTEM_B", 10240, 222), ("SYSTEM_WIN_10_1709", 18362, 238)];

fn real(name: &str) -> Option<Hive> {
    let path = testkit::samples()?.join("hives").join(format!("{name}.xz"));
    let xz = tool("xz")?;
    let mut bytes = xz.run(args!["-dc", &path]).stdout;
    // They were copied from running systems. What their logs would add does not matter here: the header says that there
    // is nothing.
    bytes.copy_within(4..8, 8);
    let words = bytes[..508].chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let sum = words.fold(0, |sum, word| sum ^ word);
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    Some(Hive::parse(&bytes).expect("a hive"))
}

#[test]
fn every_real_package_is_valid() {
    let mut all = 0;
    for (name, _, packages) in HIVES {
        let Some(hive) = real(name) else { return };
        let database = hive.root().subkey("DriverDatabase").expect("a database");
        let found = validate(database);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [] as [&str; 0], "{name}");
        let count = database.subkey("DriverPackages").unwrap().subkeys().len();
        assert_eq!(count, packages);
        all += count;
    }
    assert_eq!(all, 619);
}

#[test]
fn what_is_broken_is_found() {
    const PACKAGE: &str = r"DriverPackages\pvscsi.inf_amd64_b0d59727d712523f";
    const CONFIGURED: &str = r"DriverPackages\mshdc.inf_amd64_18632ebfbf46b676";
    type Break = fn(&mut Key);
    fn at<'k>(database: &'k mut Key, path: &str) -> &'k mut Key {
        database.open_mut(path).expect("a key of the sample")
    }
    fn text(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }
    let breaks: &[(Break, &str)] = &[
        (|d| drop(d.unset("Version")), "has no Version"),
        (|d| drop(at(d, PACKAGE).unset("Provider")), "has no Provider"),
        (|d| drop(at(d, PACKAGE).unset("")), "has no (default)"),
        (|d| drop(at(d, PACKAGE).unset("InfName")), "InfName"),
        (|d| drop(at(d, PACKAGE).unset("SignerName")), "SignerName"),
        (|d| at(d, PACKAGE).set("Provider", Kind::DWORD, [0; 4]).unwrap(), "expected REG_SZ"),
        (|d| at(d, PACKAGE).set("Version", Kind::BINARY, [0; 47]).unwrap(), "47 bytes"),
        (|d| at(d, PACKAGE).set("", Kind::SZ, text("oem99.inf")).unwrap(), "does not name it"),
        (|d| drop(d.subkey_mut("DriverInfFiles").unwrap().remove("oem4.inf")), "does not name it"),
        (|d| drop(at(d, "DriverInfFiles").remove("mshdc.inf")), "there is no INF file mshdc.inf"),
        (
            |d| drop(at(d, "DriverPackages").remove("pvscsi.inf_amd64_b0d59727d712523f")),
            "there is no package pvscsi",
        ),
        (|d| d.set("OemInfMap", Kind::BINARY, [0xF7, 0xF0]).unwrap(), "OemInfMap has no oem4.inf"),
        (|d| drop(at(d, CONFIGURED).remove("Strings")), "has some of"),
        (|d| drop(at(d, CONFIGURED).subkey_mut("Strings").unwrap().unset("ms-ahci")), "not in Strings"),
        (
            |d| drop(at(d, CONFIGURED).subkey_mut("Configurations").unwrap().remove("msahci_Inst")),
            "its configuration msahci_Inst does not exist",
        ),
        (
            |d| drop(at(d, CONFIGURED).open_mut(r"Configurations\atapi_Inst").unwrap().unset("ConfigScope")),
            "has no ConfigScope",
        ),
        (
            |d| {
                at(d, CONFIGURED)
                    .open_mut(r"Configurations\atapi_Inst\Device")
                    .unwrap()
                    .set("x", Kind(0x5_0001), [])
                    .unwrap()
            },
            "x has the type 0x50001",
        ),
        (|d| drop(at(d, r"DeviceIds\PCI").remove("CC_010601")), "the id in DeviceIds does not know"),
        (
            |d| at(d, r"DeviceIds\PCI\CC_010601").set("mshdc.inf", Kind::BINARY, [1, 0xFF, 0]).unwrap(),
            "mshdc.inf is",
        ),
        (
            |d| {
                let class = at(d, r"DeviceIds\{4d36e96a-e325-11ce-bfc1-08002be10318}");
                drop(class.unset("mshdc.inf"));
            },
            "does not know mshdc.inf",
        ),
        (
            |d| {
                at(d, "DriverInfFiles\\mshdc.inf").set("Active", Kind::SZ, text("x")).unwrap();
            },
            "none of its packages",
        ),
    ];
    let Some(hive) = real("SYSTEM_WIN_10_1709") else { return };
    let good = hive.root().subkey("DriverDatabase").unwrap();
    for (number, (break_it, expected)) in breaks.iter().enumerate() {
        let mut database = good.clone();
        break_it(&mut database);
        let found: Vec<String> = validate(&database).iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|line| line.contains(expected)), "{number} {expected}: {found:?}");
    }
}

fn planned(inf: &Inf, target: &Target, image: &ImageState, reflect: Reflect) -> Plan {
    let folders = Folders::new(target, &format!("{}_amd64_0123456789abcdef", inf.name()));
    let driver = compile(inf, target, &folders, &()).unwrap();
    let request = Request {
        target,
        folders: &folders,
        image,
        reflect,
        signer: Signer::of(Some("Microsoft Windows Hardware Compatibility Publisher")),
        submission: Some("1_2_3"),
        origin: r"C:\drivers",
        time: FileTime(0x01D6_0000_0000_0000),
    };
    plan(&driver, &request).expect("a new package")
}

#[test]
fn our_packages_are_valid_among_real_ones() {
    for (name, build, packages) in HIVES {
        let Some(mut hive) = real(name) else { return };
        let target = Target::new(
            wimforge_driver::Architecture::Amd64,
            build,
            wimforge_driver::ProductType::Workstation,
        );
        let mut added = 0;
        for source in [
            "viostor.inx",
            "vioscsi.inx",
            "vioser.inx",
            "balloon.inx",
            "smbus.inf",
            "pvpanic.inf",
            "fwcfg.inf",
        ] {
            let Some(inf) = virtio(source) else { return };
            let mut image = ImageState::read(hive.root(), None, []);
            let plan = planned(&inf, &target, &image, Reflect::All);
            assert!(!image.oem_numbers.contains(&common::oem_number(&plan.published)));
            plan.apply(HiveName::System, hive.root_mut(), FileTime(1)).unwrap();
            added += 1;
            let found = validate(hive.root().subkey("DriverDatabase").unwrap());
            assert_eq!(
                found.iter().map(ToString::to_string).collect::<Vec<_>>(),
                [] as [&str; 0],
                "{name} {source}"
            );
            let after = ImageState::read(hive.root(), None, []);
            image.record(&plan);
            assert_eq!((&image.packages, &image.oem_numbers), (&after.packages, &after.oem_numbers));
            assert!(after.packages.contains_key(&plan.package.to_lowercase()));
        }
        let count = hive.root().open(r"DriverDatabase\DriverPackages").unwrap().subkeys().len();
        assert_eq!(count, packages + added);
        // As a hive of our writer, and a reader of others.
        let Some(hivexsh) = tool("hivexsh") else { return };
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::write(&path, hive.to_bytes().unwrap()).unwrap();
        let script = format!("{}.txt", path.display());
        std::fs::write(&script, "cd \\ControlSet001\\Services\\viostor\nlsval\n").unwrap();
        let text = hivexsh.text(args!["-f", &script, &path]);
        assert!(text.contains("\"Start\"=dword:00000000") && text.contains("SCSI miniport"), "{text}");
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&script).unwrap();
    }
}

/// The override that Windows sets for boot drivers that it did not need goes, and owners are added to those there.
#[test]
fn a_service_that_exists_is_taken_over() {
    let Some(mut hive) = real("SYSTEM_WIN_10_1709") else { return };
    let Some(inf) = virtio("viostor.inx") else { return };
    let services = hive.root_mut().open_mut(r"ControlSet001\Services").unwrap();
    let service = services.create(r"viostor\StartOverride").unwrap();
    service.set("0", Kind::DWORD, 3_u32.to_le_bytes()).unwrap();
    let owners: Vec<u8> = "oem77.inf\0\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    services.subkey_mut("viostor").unwrap().set("Owners", Kind::MULTI_SZ, owners).unwrap();
    let image = ImageState::read(hive.root(), None, ["OEM12.INF", "oem13.pnf"]);
    assert_eq!(image.control_set, "ControlSet001");
    let plan = planned(&inf, &nano(), &image, Reflect::BootCritical);
    assert_eq!(plan.published, "oem13.inf"); // 0 to 11 are registered, 12 is a file
    plan.apply(HiveName::System, hive.root_mut(), FileTime(1)).unwrap();
    let service = hive.root().open(r"ControlSet001\Services\viostor").unwrap();
    assert!(service.subkey("StartOverride").is_none());
    let owners = service.value("Owners").unwrap().as_multi().unwrap();
    assert_eq!(owners, ["oem77.inf", "oem13.inf"]);
    let map = hive.root().open("DriverDatabase").unwrap().value("OemInfMap").unwrap();
    assert_eq!(map.data(), [0xFF, 0xFC]);
}

/// What classes of a real image decide: the hive that a package is registered in.
#[test]
fn classes_decide_the_hive() {
    let Some(hive) = real("SYSTEM_WIN_10_1709") else { return };
    let Some(inf) = virtio("balloon.inx") else { return };
    let drivers = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(0)).unwrap();
    let image = ImageState::read(hive.root(), Some(drivers.root()), []);
    let plan = planned(&inf, &nano(), &image, Reflect::BootCritical);
    assert_eq!(plan.changes_to(HiveName::Drivers).count(), 0);
    let text = common::virtio_text("balloon.inx")
        .unwrap()
        .replace("4d36e97d-e325-11ce-bfc1-08002be10318", "4d36e972-e325-11ce-bfc1-08002be10318");
    let net = Inf::parse("balloon.inf", text.as_bytes()).unwrap();
    let plan = planned(&net, &nano(), &image, Reflect::BootCritical);
    assert!(plan.changes_to(HiveName::Drivers).count() > 20);
    // The map of numbers is in the SYSTEM hive for both.
    assert_eq!(plan.changes_to(HiveName::System).count(), 1);
    let without = ImageState::read(hive.root(), None, []);
    assert_eq!(
        planned(&net, &nano(), &without, Reflect::BootCritical).changes_to(HiveName::Drivers).count(),
        0
    );
}

/// Windows 7 has no driver database. Our entries of its critical device database are like those that it has.
#[test]
fn a_critical_device_database() {
    const DATABASE: &str = r"ControlSet001\Control\CriticalDeviceDatabase";
    fn shape(entry: &Key) -> Vec<(String, Kind)> {
        entry.values().map(|value| (value.name().to_string(), value.kind())).collect()
    }
    let Some(mut hive) = real("SYSTEM") else { return };
    let database = hive.root().open(DATABASE).unwrap();
    assert_eq!(database.subkeys().len(), 2548);
    let shapes: Vec<_> = database.subkeys().map(shape).collect();
    let image = ImageState::read(hive.root(), None, ["oem0.inf"]);
    assert!(!image.has_driver_database && image.packages.is_empty());
    let seven =
        Target::new(wimforge_driver::Architecture::X86, 7601, wimforge_driver::ProductType::Workstation);
    let inf = Inf::parse("disk.inf", include_bytes!("data/disk.inf")).unwrap();
    let plan = planned(&inf, &seven, &image, Reflect::BootCritical);
    assert_eq!(plan.published, "oem1.inf");
    plan.apply(HiveName::System, hive.root_mut(), FileTime(1)).unwrap();
    assert!(hive.root().subkey("DriverDatabase").is_none());
    let entry = hive.root().open(DATABASE).unwrap().subkey("PCI#VEN_1AF4&DEV_1001").expect("an entry");
    let wanted: std::collections::BTreeSet<_> =
        shape(entry).into_iter().map(|(name, kind)| (name, kind.0)).collect();
    let same = |found: &Vec<(String, Kind)>| {
        found.iter().map(|(name, kind)| (name.clone(), kind.0)).collect::<std::collections::BTreeSet<_>>()
            == wanted
    };
    assert!(shapes.iter().filter(|found| same(found)).count() > 1000, "{wanted:?}");
    let class = entry.value("ClassGUID").unwrap().as_str().unwrap();
    assert_eq!(class, "{4D36E97B-E325-11CE-BFC1-08002BE10318}");
    let package = entry.value("DriverPackageId").unwrap().as_str().unwrap();
    assert_eq!(package, plan.package);
    // The folder is searched for INF files. Applied twice, it is there once.
    let mut software = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(0)).unwrap();
    let path: Vec<u8> = "%SystemRoot%\\inf\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let key = software.root_mut().create(r"Microsoft\Windows\CurrentVersion").unwrap();
    key.set("DevicePath", Kind::EXPAND_SZ, path).unwrap();
    for _ in 0..2 {
        plan.apply(HiveName::Software, software.root_mut(), FileTime(1)).unwrap();
    }
    let key = software.root().open(r"Microsoft\Windows\CurrentVersion").unwrap();
    let folder = format!(r"%SystemRoot%\System32\DriverStore\FileRepository\{}", plan.package);
    assert_eq!(key.value("DevicePath").unwrap().as_str().unwrap(), format!("%SystemRoot%\\inf;{folder}"));
}

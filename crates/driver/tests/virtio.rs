//! The virtio drivers: what is compiled from their sources, and what is registered, is what the open injectors are
//! known to write (distrobuilder's tables, as facts), where their INF files have not changed since.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::{compiled, nano, virtio};
use disk::{FileTime, Guid};
use wimforge_driver::compile::{Action, CompiledDriver, FileSource, Mode, kind, start_type};
use wimforge_driver::plan::{HiveName, KeyChange, Reflect, Request, Signer};
use wimforge_driver::{Folders, ImageState, Plan, Target, plan};

const SCSI_CLASS: &str = "4d36e97b-e325-11ce-bfc1-08002be10318";

fn image() -> ImageState {
    ImageState {
        control_set: "ControlSet001".to_owned(),
        oem_numbers: [0].into(),
        system_classes: [SCSI_CLASS.parse::<Guid>().expect("a GUID")].into(),
        has_driver_database: true,
        ..ImageState::default()
    }
}

fn planned(driver: &CompiledDriver, target: &Target, image: &ImageState, reflect: Reflect) -> Plan {
    let folders = Folders::new(target, &format!("{}_amd64_0123456789abcdef", driver.inf));
    let signer = Signer::of(Some("Microsoft Windows Hardware Compatibility Publisher"));
    let time = FileTime(0x01D6_0000_0000_0000);
    let request = Request {
        target,
        folders: &folders,
        image,
        reflect,
        signer,
        submission: Some("1_2_3"),
        origin: r"C:\drivers",
        time,
    };
    plan(driver, &request).expect("a package that is not there")
}

/// The values that are set, by path and name, as `type:data` with text as text.
fn values(plan: &Plan, hive: HiveName) -> BTreeMap<String, String> {
    plan.changes_to(hive).filter_map(shown).collect()
}

fn shown(change: &KeyChange) -> Option<(String, String)> {
    let Action::Set { name, kind, data, .. } = &change.action else { return None };
    let path = format!("{}!{name}", change.key.join("\\"));
    let text = || {
        let units: Vec<u16> =
            data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        String::from_utf16(&units).expect("text").replace('\0', "|")
    };
    let value = match *kind {
        kind::SZ | kind::EXPAND_SZ | kind::MULTI_SZ => text(),
        kind::DWORD => u32::from_le_bytes(data[..].try_into().expect("four bytes")).to_string(),
        _ => data.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    Some((path, format!("{kind}:{value}")))
}

fn expect(found: &BTreeMap<String, String>, path: &str, wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}\\{name}") };
        assert_eq!(found.get(&path).map(String::as_str), Some(*value), "{path}\n{found:#?}");
    }
}

#[test]
fn a_boot_driver_is_compiled() {
    let Some(inf) = virtio("viostor.inx") else { return };
    let driver = compiled(&inf, &nano());
    assert_eq!(driver.warnings, []);
    assert_eq!(driver.version.class_guid, SCSI_CLASS.parse().ok());
    assert_eq!(driver.version.version, [1, 3, 15, 0]);
    assert_eq!(driver.version.provider, "Red Hat, Inc.");
    assert_eq!(driver.version.catalog.as_deref(), Some("viostor.cat"));
    assert!(driver.version.lockdown && driver.is_boot_critical());
    let ids: Vec<&str> = driver.ids().map(|(id, _)| id).collect();
    assert_eq!(
        ids,
        [
            r"PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00",
            r"PCI\VEN_1AF4&DEV_1001",
            r"PCI\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01",
            r"PCI\VEN_1AF4&DEV_1042"
        ]
    );
    let [configuration] = &driver.configurations[..] else { panic!("{:?}", driver.configurations) };
    assert_eq!(configuration.section, "scsi_inst");
    let [file] = &configuration.files[..] else { panic!("{:?}", configuration.files) };
    assert_eq!(file.source, FileSource::Package("viostor.sys".to_owned()));
    assert_eq!(file.destination, r"Windows\System32\drivers\viostor.sys");
    assert_eq!((file.dirid, file.flags), (12, 2));
    let [service] = &configuration.services[..] else { panic!("{:?}", configuration.services) };
    assert_eq!(service.config.start, Some(start_type::BOOT));
    assert_eq!(service.config.binary.as_deref(), Some(r"Windows\System32\drivers\viostor.sys"));
    assert_eq!(service.config.load_order_group.as_deref(), Some("SCSI miniport"));
    // KEYONLY makes a key and no value.
    assert_eq!(configuration.device[0].key, "Interrupt Management");
    assert_eq!(configuration.device[0].action, Action::CreateKey);
}

#[test]
fn a_boot_driver_is_registered_as_the_field_does_it() {
    let Some(inf) = virtio("viostor.inx") else { return };
    let driver = compiled(&inf, &nano());
    let plan = planned(&driver, &nano(), &image(), Reflect::BootCritical);
    assert_eq!((plan.published.as_str(), plan.boot_critical), ("oem1.inf", true));
    assert_eq!(plan.notes, [] as [&str; 0]);
    let system = values(&plan, HiveName::System);
    expect(
        &system,
        "",
        &[
            (r"ControlSet001\Services\viostor!ErrorControl", "4:1"),
            (r"ControlSet001\Services\viostor!Group", "1:SCSI miniport|"),
            (r"ControlSet001\Services\viostor!ImagePath", r"2:System32\drivers\viostor.sys|"),
            (r"ControlSet001\Services\viostor!Owners", "7:oem1.inf||"),
            (r"ControlSet001\Services\viostor!Start", "4:0"),
            (r"ControlSet001\Services\viostor!Type", "4:1"),
            (r"ControlSet001\Services\viostor\Parameters!BusType", "4:1"),
            (r"ControlSet001\Services\viostor\Parameters\PnpInterface!5", "4:1"),
            (
                r"ControlSet001\Services\EventLog\System\viostor!EventMessageFile",
                r"2:%SystemRoot%\System32\IoLogMsg.dll|",
            ),
            (r"ControlSet001\Services\EventLog\System\viostor!TypesSupported", "4:7"),
        ],
    );
    let package = "viostor.inf_amd64_0123456789abcdef";
    expect(
        &system,
        "DriverDatabase",
        &[
            (r"DeviceIds\PCI\VEN_1AF4&DEV_1001!oem1.inf", "3:02ff0000"),
            (r"DeviceIds\PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00!oem1.inf", "3:01ff0000"),
            (r"DeviceIds\PCI\VEN_1AF4&DEV_1042!oem1.inf", "3:02ff0000"),
            (r"DeviceIds\PCI\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01!oem1.inf", "3:01ff0000"),
            (r"DeviceIds\{4d36e97b-e325-11ce-bfc1-08002be10318}!oem1.inf", "0:"),
            (r"DriverInfFiles\oem1.inf!", &format!("7:{package}||")),
            (r"DriverInfFiles\oem1.inf!Active", &format!("1:{package}|")),
            (r"DriverInfFiles\oem1.inf!Configurations", "7:scsi_inst||"),
        ],
    );
    expect(&system, "", &[("DriverDatabase!OemInfMap", "3:c0")]);
    let below = |name: &str| format!(r"DriverDatabase\DriverPackages\{package}{name}");
    expect(
        &system,
        "",
        &[
            (&below("!"), "1:oem1.inf|"),
            (&below("!Catalog"), "1:viostor.cat|"),
            (&below("!InfName"), "1:viostor.inf|"),
            (&below("!OemPath"), r"1:C:\drivers|"),
            (&below("!Provider"), "1:Red Hat, Inc.|"),
            (&below("!SignerName"), "1:Microsoft Windows Hardware Compatibility Publisher|"),
            (&below("!SignerScore"), &format!("4:{}", 0x0D00_0005)),
            (&below("!StatusFlags"), "4:18"),
            // As in a real database: a SCSI driver of 2019-08-02 with version 1.3.15.0.
            (
                &below("!Version"),
                &format!(
                    "3:00ff0900000000007be9364d25e3ce11bfc108002be1031800003b3ac548d50100000f0003000100{:016}",
                    0
                ),
            ),
            (&below(r"\Configurations\scsi_inst!ConfigFlags"), "4:0"),
            (&below(r"\Configurations\scsi_inst!ConfigScope"), "4:7"),
            (&below(r"\Configurations\scsi_inst!Service"), "1:viostor|"),
            (
                &below(r"\Configurations\scsi_inst\Device\Interrupt Management\Affinity Policy!DevicePolicy"),
                "4:5",
            ),
            (
                &below(
                    r"\Configurations\scsi_inst\Device\Interrupt Management\MessageSignaledInterruptProperties!MSISupported",
                ),
                "4:1",
            ),
            (&below(r"\Configurations\scsi_inst\Services\viostor\Parameters!BusType"), "4:1"),
            (&below(r"\Configurations\scsi_inst\Services\viostor\Parameters\PnpInterface!5"), "4:1"),
            (&below(r"\Descriptors\PCI\VEN_1AF4&DEV_1001!Configuration"), "1:scsi_inst|"),
            (&below(r"\Descriptors\PCI\VEN_1AF4&DEV_1001!Description"), "1:%viostorscsi.devicedesc%|"),
            (&below(r"\Descriptors\PCI\VEN_1AF4&DEV_1001!Manufacturer"), "1:%vendor%|"),
            (&below(r"\Strings!vendor"), "1:Red Hat, Inc.|"),
            (&below(r"\Strings!viostorscsi.devicedesc"), "1:Red Hat VirtIO SCSI controller|"),
        ],
    );
    let lockdown =
        r"Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles\%SystemRoot%/System32/drivers/viostor.sys";
    expect(
        &values(&plan, HiveName::Software),
        "",
        &[
            (&format!("{lockdown}!Class"), "4:4"),
            (&format!("{lockdown}!Owners"), "7:oem1.inf||"),
            (
                &format!("{lockdown}!Source"),
                &format!(r"2:%SystemRoot%\System32\DriverStore\FileRepository\{package}\viostor.sys|"),
            ),
        ],
    );
    let destinations: Vec<&str> = plan.files.iter().map(|file| file.destination.as_str()).collect();
    assert_eq!(
        destinations,
        [
            r"Windows\INF\oem1.inf",
            r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}\oem1.cat",
            r"Windows\System32\drivers\viostor.sys",
            r"Windows\System32\DriverStore\FileRepository\viostor.inf_amd64_0123456789abcdef\viostor.cat",
            r"Windows\System32\DriverStore\FileRepository\viostor.inf_amd64_0123456789abcdef\viostor.inf",
            r"Windows\System32\DriverStore\FileRepository\viostor.inf_amd64_0123456789abcdef\viostor.sys",
        ]
    );
}

#[test]
fn vioscsi_says_what_bus_it_is() {
    let Some(inf) = virtio("vioscsi.inx") else { return };
    let plan = planned(&compiled(&inf, &nano()), &nano(), &image(), Reflect::BootCritical);
    expect(
        &values(&plan, HiveName::System),
        r"ControlSet001\Services\vioscsi",
        &[(r"Parameters!BusType", "4:10")],
    );
    expect(
        &values(&plan, HiveName::System),
        "",
        &[(
            r"ControlSet001\Services\vioscsi!DisplayName",
            "1:@oem1.inf,%VirtioScsi.SVCDESC%;Red Hat VirtIO SCSI pass-through Service|",
        )],
    );
}

#[test]
fn other_drivers_are_staged_and_configured_by_windows() {
    let Some(inf) = virtio("vioser.inx") else { return };
    let driver = compiled(&inf, &nano());
    let plan = planned(&driver, &nano(), &image(), Reflect::BootCritical);
    let system = values(&plan, HiveName::System);
    assert!(!plan.boot_critical && !system.keys().any(|key| key.contains(r"ControlSet001\Services")));
    let base = r"DriverDatabase\DriverPackages\vioser.inf_amd64_0123456789abcdef\Configurations\VirtioSerial_Device.NT";
    let device = format!(r"{base}\Device\Interrupt Management\MessageSignaledInterruptProperties");
    expect(
        &system,
        "",
        &[
            (&format!("{base}!ConfigScope"), "4:263"), // 0x107
            (&format!("{base}!Service"), "1:VirtioSerial|"),
            (&format!("{device}!MessageNumberLimit"), "4:2"),
            (r"DriverDatabase\DriverInfFiles\oem1.inf!Configurations", "7:VirtioSerial_Device.NT||"),
        ],
    );
    // Everything beforehand, as distrobuilder does it.
    let plan = planned(&driver, &nano(), &image(), Reflect::All);
    expect(
        &values(&plan, HiveName::System),
        "",
        &[
            (r"ControlSet001\Services\VirtioSerial!ImagePath", r"2:\SystemRoot\System32\drivers\vioser.sys|"),
            (
                r"ControlSet001\Services\VirtioSerial!DisplayName",
                "1:@oem1.inf,%VirtioSerial.ServiceDesc%;VirtIO Serial Service|",
            ),
            (r"ControlSet001\Services\VirtioSerial\Parameters\Wdf!KmdfLibraryVersion", "1:1.15|"),
        ],
    );
}

#[test]
fn all_sources_compile() {
    for (name, class_of_service) in [
        ("balloon.inx", Some("BALLOON")),
        ("fwcfg.inf", Some("FwCfg")),
        ("pvpanic.inf", Some("PVPanic")),
        ("vioscsi.inx", Some("vioscsi")),
        ("vioser.inx", Some("VirtioSerial")),
        ("viostor.inx", Some("viostor")),
        ("smbus.inf", Some("")),
    ] {
        let Some(inf) = virtio(name) else { return };
        let driver = compiled(&inf, &nano());
        assert_eq!(driver.warnings, [], "{name}");
        assert_eq!(driver.configurations[0].service.as_deref(), class_of_service, "{name}");
        assert!(driver.ids().count() > 0, "{name}");
    }
}

#[test]
fn security_of_a_device_is_a_property() {
    let Some(inf) = virtio("balloon.inx") else { return };
    let plan = planned(&compiled(&inf, &nano()), &nano(), &image(), Reflect::BootCritical);
    let system = values(&plan, HiveName::System);
    let property =
        r"Configurations\BALLOON_Device.NT\Properties\{a45c254e-df1c-4efd-8020-67d146a850e0}\0019!";
    let path = format!(r"DriverDatabase\DriverPackages\balloon.inf_amd64_0123456789abcdef\{property}");
    let value = &system[&path];
    assert!(value.starts_with("4294901779:01000490"), "{value}"); // 0xFFFF0013
}

#[test]
fn windows_7_has_a_critical_device_database() {
    let Some(inf) = virtio("viostor.inx") else { return };
    let seven = Target::new(wimforge_driver::Architecture::Amd64, 7601, wimforge_driver::ProductType::Server);
    let driver = compiled(&inf, &seven);
    let plan = planned(&driver, &seven, &image(), Reflect::BootCritical);
    let system = values(&plan, HiveName::System);
    assert!(!system.keys().any(|key| key.starts_with("DriverDatabase")));
    let entry = r"ControlSet001\Control\CriticalDeviceDatabase\PCI#VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00";
    expect(
        &system,
        "",
        &[
            (&format!("{entry}!ClassGUID"), "1:{4D36E97B-E325-11CE-BFC1-08002BE10318}|"),
            (&format!("{entry}!Service"), "1:viostor|"),
            (&format!("{entry}!DriverPackageId"), "1:viostor.inf_amd64_0123456789abcdef|"),
            (r"ControlSet001\Services\viostor!Start", "4:0"),
        ],
    );
    let path = plan.changes_to(HiveName::Software).find_map(|change| match &change.action {
        Action::Set { name, mode, .. } if name == "DevicePath" => Some(*mode),
        _ => None,
    });
    assert_eq!(path, Some(Mode::AppendPath));
}

#[test]
fn a_package_is_not_registered_twice() {
    let Some(inf) = virtio("viostor.inx") else { return };
    let driver = compiled(&inf, &nano());
    let mut image = image();
    image.packages.insert("viostor.inf_amd64_0123456789abcdef".to_owned(), "oem0.inf".to_owned());
    let folders = Folders::new(&nano(), "viostor.inf_amd64_0123456789ABCDEF");
    let request = Request {
        target: &nano(),
        folders: &folders,
        image: &image,
        reflect: Reflect::All,
        signer: Signer::of(None),
        submission: None,
        origin: "",
        time: FileTime(0),
    };
    let refused = plan(&driver, &request).unwrap_err().to_string();
    assert_eq!(refused, "viostor.inf_amd64_0123456789ABCDEF is in the image already, as oem0.inf");
    let image = ImageState::default();
    let request = Request { image: &image, ..request };
    let without = |change: &dyn Fn(&mut CompiledDriver)| {
        let mut driver = driver.clone();
        change(&mut driver);
        plan(&driver, &request).unwrap_err().to_string()
    };
    assert_eq!(
        without(&|driver| driver.version.provider.clear()),
        "viostor.inf has no Provider in [Version]"
    );
    assert_eq!(
        without(&|driver| driver.version.class_guid = None),
        "viostor.inf has no ClassGuid in [Version]"
    );
    assert_eq!(without(&|driver| driver.version.date = None), "viostor.inf has no DriverVer in [Version]");
    assert_eq!(without(&|driver| driver.devices.clear()), "viostor.inf has no device");
}

/// Services that are programs, and co-installers, which have to be run when the device is there.
#[test]
fn programs_and_co_installers() {
    let inf = common::parse(
        "[Version]\nSignature=$Windows NT$\nClassGuid={4d36e97d-e325-11ce-bfc1-08002be10318}\nProvider=p\n\
         DriverVer=1/2/2020,1\n[Manufacturer]\nm=m,NTamd64\n[m.NTamd64]\nd=i,X\n[i]\n[i.Services]\n\
         AddService=s,,S\n[S]\nServiceType=0x10\nStartType=2\nErrorControl=1\nServiceBinary=%11%\\s.exe\n\
         [i.CoInstallers]\nAddReg=c\n[c]\nHKR,,CoInstallers32,0x00010000,\"c.dll,Entry\"\n",
    );
    let plan = planned(&compiled(&inf, &nano()), &nano(), &image(), Reflect::All);
    let configuration = r"DriverDatabase\DriverPackages\test.inf_amd64_0123456789abcdef\Configurations\i";
    expect(
        &values(&plan, HiveName::System),
        "",
        &[
            (r"ControlSet001\Services\s!ImagePath", r"2:%SystemRoot%\System32\s.exe|"),
            (r"ControlSet001\Services\s!ObjectName", "1:LocalSystem|"),
            (&format!("{configuration}!ConfigFlags"), "4:1024"),
        ],
    );
    let property = format!(r"{configuration}\Properties\{{a8b865dd-2e3d-4094-ad97-e593a70c75d6}}\000B!");
    assert!(values(&plan, HiveName::System)[&property].starts_with("4294909970:")); // 0xFFFF2012
}

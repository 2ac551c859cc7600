//! Packages from what XML says to what is planned, by all three ways; and packages that nobody should believe.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use hive::paths::Mount;
use hive::reg::{self, KeyPath};
use hive::{FileTime, Hive, Kind, data};
use support::package::{TRUST, cabinet, component, driver, file, identity, manifest, mum};
use wimforge_servicing::plan::stage_paths;
use wimforge_servicing::{About, Assessment, Error, Identity, Package, PackageKind, Verdict, Version, Way};

fn nano() -> About {
    About {
        architecture: "amd64".to_owned(),
        version: Version([10, 0, 14393, 0]),
        edition: "ServerStandardNano".to_owned(),
        packages: Vec::new(),
    }
}

fn open(files: &[(&str, &[u8])]) -> Result<Package, Error> {
    Package::open(Arc::new(cabinet(files)), "test.cab")
}

fn assess(files: &[(&str, &[u8])]) -> Assessment {
    open(files).unwrap().assess(&nano()).unwrap()
}

const SERVICE: &str = r#"<memberships>
  <categoryMembership><id name="Microsoft.Windows.Categories.Services" version="1" publicKeyToken="x" typeName="Service" />
    <categoryInstance subcategory="demo"><serviceData name="demo" displayName="@%SystemRoot%\x.dll,-1" errorControl="normal"
      start="delayedAuto" type="win32ShareProcess" dependOnService="RPCSS,NSI" group="G"
      imagePath="%SystemRoot%\System32\svchost.exe -k netsvcs" objectName="LocalSystem" requiredPrivileges="SeA,SeB"
      sidType="unrestricted"><failureActions resetPeriod="86400"><actions><action delay="60000" type="restartService" />
      <action delay="0" type="none" /></actions></failureActions></serviceData></categoryInstance></categoryMembership>
  <categoryMembership><id name="Microsoft.Windows.Categories" version="1" publicKeyToken="x" typeName="SvcHost" />
    <categoryInstance subcategory="netsvcs"><serviceGroup position="last" serviceName="demo" /></categoryInstance>
  </categoryMembership></memberships>
  <registryKeys><registryKey keyName="HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\demo\Parameters">
    <overridable name="x" scope="Microsoft" type="REG_SZ" />
    <registryValue name="ServiceDll" valueType="REG_EXPAND_SZ" value="%SystemRoot%\System32\demo.dll" />
    <registryValue name="List" valueType="REG_MULTI_SZ" value="&quot;a&quot;,&quot;$(runtime.windows)\b&quot;" />
    <registryValue name="" valueType="REG_DWORD" value="0x00000005" /></registryKey>
    <registryKey keyName="HKEY_LOCAL_MACHINE\SOFTWARE\Demo"><securityDescriptor name="WRP_FILE" /></registryKey></registryKeys>
  <directories><directory destinationPath="$(runtime.programData)\Demo" owner="true" attributes="hidden" /></directories>
  <migration settingsVersion="0"><migXml><anything /></migXml></migration>"#;

const DLL: &[u8] = b"MZ the program";

/// A package of a deployment, which leads to a component with everything that is understood.
fn simple() -> Vec<(String, Vec<u8>)> {
    let depends = format!(
        "<deployment/><dependency discoverable=\"yes\"><dependentAssembly dependencyType=\"install\">{}</dependentAssembly></dependency>",
        identity("Demo-Component", "versionScope=\"nonSxS\"")
    );
    let content = format!("{}{SERVICE}{TRUST}", file("demo.dll", "$(runtime.system32)\\", DLL));
    [
        ("update.mum", mum("Demo-Package", "", &[component("Demo-Deployment")]).into_bytes()),
        ("update.cat", b"a catalog".to_vec()),
        ("Demo-Deployment.manifest", manifest("Demo-Deployment", "", &depends).into_bytes()),
        ("Demo-Component.manifest", manifest("Demo-Component", "", &content).into_bytes()),
        ("Demo-Component/demo.dll", DLL.to_vec()),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .to_vec()
}

fn borrow(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect()
}

/// The same package with a text in one of its files replaced.
fn changed(path: &str, from: &str, to: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = simple();
    let bytes = &mut files.iter_mut().find(|(other, _)| other == path).unwrap().1;
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from), "{from}");
    *bytes = text.replace(from, to).into_bytes();
    files
}

#[test]
fn a_simple_package_is_applied() {
    let assessment = assess(&borrow(&simple()));
    assert_eq!(assessment.verdict, Verdict::Applicable);
    assert_eq!(assessment.not_applied, [""; 0]);
    assert!(!assessment.not_drivers.is_empty());
    let Way::Apply(plan) = assessment.way else { panic!("{assessment:?}") };
    let mut files: Vec<_> = plan
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.links.join(","), file.source.as_str()))
        .collect();
    files.sort_unstable();
    let id = "Demo-Package~31bf3856ad364e35~amd64~~10.0.14393.0";
    let store = r"Windows\WinSxS";
    assert_eq!(files.len(), 5);
    assert!(
        files[0].0.starts_with(
            r"Windows\WinSxS\Manifests\amd64_demo-component_31bf3856ad364e35_10.0.14393.0_none_"
        )
    );
    assert!(files[1].0.starts_with(&format!(r"{store}\Manifests\amd64_demo-deployment_")));
    assert!(
        files[2].0.starts_with(&format!(r"{store}\amd64_demo-component_"))
            && files[2].0.ends_with(r"\demo.dll")
    );
    assert_eq!((files[2].1.as_str(), files[2].2), (r"Windows\System32\demo.dll", "Demo-Component/demo.dll"));
    assert_eq!(files[3].0, format!(r"Windows\servicing\Packages\{id}.cat"));
    assert_eq!(
        files[3].1,
        format!(r"Windows\System32\CatRoot\{{F750E6C3-38EE-11D1-85E5-00C04FC295EE}}\{id}.cat")
    );
    assert_eq!(
        (files[4].0, files[4].2),
        (format!(r"Windows\servicing\Packages\{id}.mum").as_str(), "update.mum")
    );
    let dll = plan.files.iter().find(|file| file.source == "Demo-Component/demo.dll").unwrap();
    assert_eq!(dll.sddl.as_deref(), Some("O:BAG:BAD:P(A;;FA;;;BA)"));
    assert_eq!((plan.folders[0].path.as_str(), plan.folders[0].hidden), (r"ProgramData\Demo", true));
    let software_key = KeyPath::parse(r"HKEY_LOCAL_MACHINE\SOFTWARE\Demo");
    assert_eq!(plan.key_descriptors, [(software_key, "O:BAG:BAD:P(A;;FA;;;BA)".to_owned())]);
    assert!(plan.registration.iter().all(|operation| operation.key.to_string().contains(id)));
}

#[test]
fn what_is_applied_is_in_the_hives() {
    let Way::Apply(plan) = assess(&borrow(&simple())).way else { panic!("it is simple") };
    let new = || Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(0)).unwrap();
    let (mut system, mut software) = (new(), new());
    let select = system.root_mut().create("Select").unwrap();
    select.set("Current", Kind::DWORD, data::dword(1)).unwrap();
    system.root_mut().create("ControlSet001").unwrap();
    let svchost = software.root_mut().create(r"Microsoft\Windows NT\CurrentVersion\SvcHost").unwrap();
    svchost.set("netsvcs", Kind::MULTI_SZ, data::multi_sz(["one", "two"])).unwrap();
    let groups = plan.group_operations(software.root());
    let is_system =
        |operation: &&reg::Operation| operation.key.to_string().to_uppercase().contains("\\SYSTEM\\");
    let (of_system, of_software): (Vec<_>, Vec<_>) = plan.registry.iter().chain(&groups).partition(is_system);
    for (hive, name, operations) in
        [(&mut system, "SYSTEM", of_system), (&mut software, "SOFTWARE", of_software)]
    {
        let operations: Vec<_> = operations.into_iter().cloned().collect();
        let mount = Mount::of(hive.root());
        let mut locate = |operation: &reg::Operation| {
            mount.key(&operation.key).map(Some).map_err(|problem| reg::Error::Path { line: 0, problem })
        };
        reg::apply(hive.root_mut(), &operations, None, &mut locate)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let key = system.root().open(r"ControlSet001\Services\demo").unwrap();
    let number = |name| key.value(name).unwrap().as_u32().unwrap();
    assert_eq!(
        ["Type", "Start", "DelayedAutostart", "ErrorControl", "ServiceSidType"].map(number),
        [0x20, 2, 1, 1, 1]
    );
    assert_eq!(key.value("DependOnService").unwrap().as_multi().unwrap(), ["RPCSS", "NSI"]);
    assert_eq!(key.value("RequiredPrivileges").unwrap().as_multi().unwrap(), ["SeA", "SeB"]);
    assert_eq!(key.value("ImagePath").unwrap().kind(), Kind::EXPAND_SZ);
    let parameters = key.subkey("Parameters").unwrap();
    assert_eq!(parameters.value("").unwrap().as_u32(), Some(5));
    assert_eq!(parameters.value("List").unwrap().as_multi().unwrap(), ["a", r"C:\Windows\b"]);
    let svchost = software.root().open(r"Microsoft\Windows NT\CurrentVersion\SvcHost").unwrap();
    assert_eq!(svchost.value("netsvcs").unwrap().as_multi().unwrap(), ["one", "two", "demo"]);
    // Once more changes nothing.
    let again = plan.group_operations(software.root());
    assert!(
        matches!(&again[0].change, reg::Change::SetValue { data, .. } if *data == data::multi_sz(["one", "two", "demo"]))
    );
}

/// `FailureActions` of real services have the form that ours get.
#[test]
fn failure_actions_look_like_those_of_windows() {
    let Some(samples) = std::env::var_os("WIMFORGE_SAMPLES") else {
        return testkit::skip_here("WIMFORGE_SAMPLES is not set");
    };
    let Way::Apply(plan) = assess(&borrow(&simple())).way else { panic!("it is simple") };
    let ours = plan.registry.iter().find_map(|operation| match &operation.change {
        reg::Change::SetValue { name, data, .. } if name.to_text().as_deref() == Some("FailureActions") => {
            Some(data)
        }
        _ => None,
    });
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at * 4..][..4].try_into().unwrap());
    let form = |bytes: &[u8]| (word(bytes, 3) as usize * 8 + 20 == bytes.len(), word(bytes, 4));
    assert_eq!(form(ours.unwrap()), (true, 20));
    let Some(xz) = testkit::tool("xz") else { return };
    let path = std::path::Path::new(&samples).join("hives/SYSTEM_B.xz");
    let output = xz.command().arg("-dc").arg(path).output().unwrap();
    let hive = Hive::parse_without_logs(&output.stdout).unwrap();
    let services = hive.root().open(r"ControlSet001\Services").unwrap();
    let real: Vec<_> = services.subkeys().filter_map(|key| key.value("FailureActions")).collect();
    assert!(real.len() > 50);
    let same =
        real.iter().filter(|value| value.data().len() >= 20 && form(value.data()) == (true, 20)).count();
    assert!(same * 10 >= real.len() * 8, "{same} of {}", real.len());
}

fn drivers() -> Vec<(String, Vec<u8>)> {
    let parts = [driver("disk.inf"), driver("net.inf")];
    let dual = |inf: &str, bytes: &[u8]| {
        let content = format!("{}{TRUST}", file(inf, "$(runtime.inf)\\", bytes));
        manifest(&format!("dual_{inf}"), "type=\"dualModeDriver\"", &content).into_bytes()
    };
    [
        ("update.mum", mum("Drivers-Package", "", &parts).into_bytes()),
        ("update.cat", b"a catalog".to_vec()),
        ("amd64_dual_disk.inf_x.manifest", dual("disk.inf", b"[Version]")),
        ("amd64_dual_disk.inf_x/disk.inf", b"[Version]".to_vec()),
        ("amd64_dual_disk.inf_x/disk.sys", b"MZ".to_vec()),
        ("amd64_dual_net.inf_x.manifest", dual("net.inf", b"[Version]2")),
        ("amd64_dual_net.inf_x/NET.INF", b"[Version]2".to_vec()),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .to_vec()
}

#[test]
fn drivers_become_drivers() {
    let assessment = assess(&borrow(&drivers()));
    assert_eq!(assessment.not_applied, ["it has drivers and nothing else"]);
    let Way::Drivers(plan) = assessment.way else { panic!("{assessment:?}") };
    let folders: Vec<_> =
        plan.drivers.iter().map(|driver| (driver.folder.as_str(), driver.files.len())).collect();
    assert_eq!(folders, [("amd64_dual_disk.inf_x", 2), ("amd64_dual_net.inf_x", 1)]);
    assert_eq!(plan.drivers[1].inf, "amd64_dual_net.inf_x/NET.INF");
    assert_eq!(plan.drivers[0].catalogs, ["update.cat"]);

    let mut wrong = drivers();
    wrong[3].1.push(b' ');
    let assessment = assess(&borrow(&wrong));
    assert!(matches!(assessment.way, Way::Stage(_)));
    assert!(assessment.not_drivers[0].contains("SHA-256 of amd64_dual_disk.inf_x/disk.inf"));
    let mut missing = drivers();
    missing.remove(3);
    assert!(assess(&borrow(&missing)).not_drivers[0].contains("disk.inf is not in the cabinet"));
    let mut packed = drivers();
    packed[4].1 = b"DCS\x01....".to_vec();
    assert!(assess(&borrow(&packed)).not_drivers[0].contains("disk.sys is compressed in blocks (DCS)"));
}

/// Manifests of drivers may be stored as differences. Their folders can be told by name, and the rest follows from the INF.
#[test]
fn drivers_without_readable_manifests() {
    let name = |inf: &str| {
        let mut identity = Identity::from_package_id("x~31bf3856ad364e35~amd64~~10.0.14393.0").unwrap();
        identity.name = format!("dual_{inf}");
        identity.kind = Some("dualModeDriver".to_owned());
        identity.version_scope = Some("nonSxS".to_owned());
        identity.keyform()
    };
    let mut files = drivers();
    files[2] = (format!("{}.manifest", name("disk.inf")), b"DCM\x01PA30".to_vec());
    files[3].0 = format!("{}/disk.inf", name("disk.inf"));
    files[4].0 = format!("{}/disk.sys", name("disk.inf"));
    let Way::Drivers(plan) = assess(&borrow(&files)).way else { panic!("all of it can be told") };
    assert_eq!((plan.drivers.len(), plan.drivers[0].files.len()), (2, 2));
    assert!(plan.drivers[0].inf.starts_with("amd64_dual_disk.inf_31bf3856ad364e35_10.0.14393.0_none_"));
    files.remove(3);
    assert!(assess(&borrow(&files)).not_drivers[0].ends_with("/disk.inf is not in the cabinet"));
}

#[test]
fn drivers_and_other_things() {
    // A component that installs something, beside the drivers: all of it is applied, or none.
    let mut files = drivers();
    let mut parts = vec![driver("disk.inf"), driver("net.inf")];
    parts.push(component("Demo-Deployment"));
    files[0].1 = mum("Mixed-Package", "", &parts).into_bytes();
    files.extend(simple().into_iter().skip(2));
    let assessment = assess(&borrow(&files));
    let Way::Apply(plan) = assessment.way else { panic!("{assessment:?}") };
    assert_eq!((plan.drivers.len(), plan.groups.len()), (2, 1));
    assert!(assessment.not_drivers[0].contains("Demo-Component and 0 other components"));

    let component = files.iter_mut().find(|(path, _)| path == "Demo-Component.manifest").unwrap();
    component.1 = manifest("Demo-Component", "", "<instrumentation/>").into_bytes();
    let assessment = assess(&borrow(&files));
    assert!(matches!(assessment.way, Way::Stage(_)));
    assert_eq!(assessment.not_applied[0], "Demo-Component: instrumentation");
}

#[test]
fn whatever_is_not_understood_is_named() {
    let manifest = "Demo-Component.manifest";
    for (path, from, to, reason) in [
        (manifest, "position=\"last\"", "position=\"middle\"", "serviceGroup/@position"),
        (manifest, "typeName=\"SvcHost\"", "typeName=\"BootCritical\"", "categoryMembership BootCritical"),
        (manifest, "REG_DWORD", "REG_LINK", "the type \"REG_LINK\""),
        (manifest, "0x00000005", "five", "is no REG_DWORD"),
        (manifest, "$(runtime.programData)", "$(runtime.userProfile)", "$(runtime.userProfile) is not known"),
        (manifest, "HKEY_LOCAL_MACHINE\\SOFTWARE", "HKEY_CURRENT_USER", "belong to users"),
        (manifest, "#sha256", "#sha1", "not the SHA-256"),
        (manifest, "operationHint=\"replace\"", "operationHint=\"merge\"", "@operationHint"),
        (
            manifest,
            "name=\"demo.dll\" dest",
            "name=\"demo.dll\" writeableType=\"x\" dest",
            "file/@writeableType",
        ),
        (
            manifest,
            "<securityDescriptorDefinition name=\"WRP_FILE\"",
            "<securityDescriptorDefinition name=\"Y\"",
            "WRP_FILE is not defined",
        ),
        (manifest, "type=\"win32ShareProcess\"", "type=\"pico\"", "@type pico"),
        (manifest, "type=\"none\"", "type=\"explode\"", "failureActions"),
        (
            "update.mum",
            "releaseType=\"Feature Pack\"",
            "releaseType=\"Security Update\"",
            "it is an update (Security Update)",
        ),
        ("update.mum", "releaseType=", "targetPartition=\"data\" releaseType=", "package/@targetPartition"),
        ("update.mum", "releaseType=", "psfName=\"x\" releaseType=", "Demo-Package: package/@psfName"),
        ("update.mum", "</package>", "<declareCapability/></package>", "package/declareCapability"),
        (
            "update.mum",
            "name=\"Demo-Deployment\"",
            "name=\"Other\"",
            "the component Other 10.0.14393.0 amd64 is not in the cabinet",
        ),
        ("Demo-Deployment.manifest", "install", "prerequisite", "@dependencyType prerequisite"),
        ("Demo-Component/demo.dll", "MZ", "ZM", "the SHA-256 of Demo-Component/demo.dll"),
        ("Demo-Component/demo.dll", "MZ the program", "PA30...", "demo.dll is a patch (PA30)"),
    ] {
        let assessment = assess(&borrow(&changed(path, from, to)));
        assert!(matches!(assessment.way, Way::Stage(_)), "{from}");
        let found = assessment.not_applied.iter().any(|found| found.contains(reason));
        assert!(found, "{reason}: {:?}", assessment.not_applied);
        assert!(!assessment.not_drivers.is_empty());
    }
    // What installs nothing does not stand in the way.
    for (from, to) in [
        (
            "releaseType=",
            "restart=\"possible\" permanence=\"permanent\" targetPartition=\"MainOS\" binaryPartition=\"false\" releaseType=",
        ),
        (
            "<update ",
            "<installerAssembly name=\"x\" version=\"6.0.0.0\"/><packageExtended packageSize=\"1\"/><customInformation/><update ",
        ),
    ] {
        let assessment = assess(&borrow(&changed("update.mum", from, to)));
        assert!(matches!(assessment.way, Way::Apply(_)), "{:?}", assessment.not_applied);
    }
    let mut packed = simple();
    packed[3].1 = b"DCM\x01PA30".to_vec();
    let assessment = assess(&borrow(&packed));
    assert!(
        assessment.not_applied[0]
            .contains("one of 1 that cannot be read: Demo-Component.manifest: unsupported"),
        "{assessment:?}"
    );
    let unreadable = changed("Demo-Component.manifest", "</assembly>", "");
    assert!(assess(&borrow(&unreadable)).not_applied[0].contains("<assembly> does not end"));
    let mut missing = simple();
    missing.pop();
    assert!(assess(&borrow(&missing)).not_applied[0].contains("demo.dll is not in the cabinet"));
}

#[test]
fn two_components_that_install_one_file() {
    let mut files = simple();
    files[0].1 = mum("Demo-Package", "", &[component("Demo-Deployment"), component("Rival")]).into_bytes();
    let content = format!("{}{TRUST}", file("demo.dll", "$(runtime.windows)\\system32", DLL));
    files.push(("Rival.manifest".to_owned(), manifest("Rival", "", &content).into_bytes()));
    files.push(("Rival/demo.dll".to_owned(), DLL.to_vec()));
    let assessment = assess(&borrow(&files));
    assert!(matches!(assessment.way, Way::Stage(_)));
    assert!(
        assessment.not_applied[0].contains("by Demo-Component and by Rival"),
        "{:?}",
        assessment.not_applied
    );
}

#[test]
fn whether_it_belongs_there() {
    let package = open(&borrow(&simple())).unwrap();
    let verdict = |about: &About| package.assess(about).unwrap().verdict;
    assert_eq!(verdict(&nano()), Verdict::Applicable);
    let reasons = |about: &About| match verdict(about) {
        Verdict::NotApplicable(reasons) => reasons.join("; "),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reasons(&About { architecture: "arm64".to_owned(), ..nano() }),
        "it is for amd64, the image is arm64"
    );
    let later = About { version: Version([10, 0, 17763, 1]), ..nano() };
    assert_eq!(reasons(&later), "it is part of Windows 10.0.14393.0, the image is 10.0.17763");
    // A build that is another one with a few things enabled, and says so by its packages.
    let mut enabled = About { version: Version([10, 0, 14394, 1]), ..nano() };
    assert!(matches!(verdict(&enabled), Verdict::NotApplicable(_)));
    enabled.add_files(["Edition~31bf3856ad364e35~amd64~~10.0.14393.99.mum"]);
    assert_eq!(verdict(&enabled), Verdict::Applicable);
    assert_eq!(verdict(&About::default()), Verdict::Applicable);
    let mut about = nano();
    about.add_package(&package);
    assert_eq!(verdict(&about), Verdict::Installed(Version([10, 0, 14393, 0])));
    let mut about = nano();
    about.add_files(["Demo-Package~31bf3856ad364e35~amd64~~10.0.14393.7.mum", "x.cat", "y"]);
    assert_eq!(verdict(&about), Verdict::Installed(Version([10, 0, 14393, 7])));
    let mut about = nano();
    about.add_files([
        "Demo-Package~31bf3856ad364e35~amd64~~10.0.14393.-1.mum",
        "Demo-Package~31bf3856ad364e35~amd64~de-DE~10.0.14393.7.mum",
    ]);
    assert_eq!(verdict(&about), Verdict::Applicable);
}

#[test]
fn what_it_needs() {
    let parent = |attributes: &str, names: &[&str]| {
        let identities: String = names.iter().map(|name| identity(name, "")).collect();
        format!("<parent disposition=\"detect\" {attributes}>{identities}</parent>")
    };
    let with = |parents: &str| {
        let mut files = simple();
        files[0].1 = mum("Demo-Package", parents, &[component("Demo-Deployment")]).into_bytes();
        open(&borrow(&files)).unwrap()
    };
    let verdict = |package: &Package, about: &About| package.assess(about).unwrap().verdict.to_string();
    // Of all parents, one is enough: an image is a client or a server.
    let package = with(
        &(parent("buildCompare=\"EQ\"", &["Client", "Core"]) + &parent("buildCompare=\"GE\"", &["Server"])),
    );
    assert_eq!(package.mum().unwrap().not_understood.len(), 0);
    // Nothing is said to be missing where nothing is known to be there.
    assert_eq!(verdict(&package, &nano()), "applicable");
    let having = |id: &str| {
        let mut about = nano();
        about.add_files([format!("{id}.mum").as_str()]);
        about
    };
    let needs = "needs Client 10.0.14393.0 amd64 or Core 10.0.14393.0 amd64 or Server 10.0.14393.0 amd64";
    for (id, expected) in [
        ("Other~31bf3856ad364e35~amd64~~10.0.14393.0", needs),
        ("Core~31bf3856ad364e35~amd64~~10.0.14393.9", "applicable"),
        ("Core~31bf3856ad364e35~amd64~~10.0.14394.0", needs),
        ("Server~31bf3856ad364e35~amd64~~10.0.14394.0", "applicable"),
        ("Server~31bf3856ad364e35~amd64~~10.0.14392.0", needs),
        ("Server~31bf3856ad364e35~amd64~de-DE~10.0.14393.0", needs),
        ("Server~0000000000000000~amd64~~10.0.14393.0", needs),
    ] {
        assert_eq!(verdict(&package, &having(id)), expected, "{id}");
    }
    let edition = with(&parent("", &["Microsoft-Windows-ServerStandardNanoEdition"]));
    let other = having("Other~31bf3856ad364e35~amd64~~10.0.14393.0");
    assert_eq!(verdict(&edition, &other), "applicable");
    let datacenter = About { edition: "ServerDatacenterNano".to_owned(), ..other };
    assert!(verdict(&edition, &datacenter).starts_with("needs Microsoft-Windows-ServerStandardNanoEdition"));
    let absent = with("<parent disposition=\"absent\"/>");
    assert_eq!(
        absent.assess(&nano()).unwrap().not_applied,
        ["Demo-Package: package/parent/@disposition absent"]
    );
    // The same from a registry.
    let mut hive = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(0)).unwrap();
    let mut about = nano();
    assert!(!about.add_installed(hive.root()));
    for (id, state) in [
        ("Core~31bf3856ad364e35~amd64~~10.0.14393.0", 0x40),
        ("Other~31bf3856ad364e35~amd64~~10.0.14393.0", 0x80),
    ] {
        let path = format!(r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\{id}");
        hive.root_mut().create(&path).unwrap().set("CurrentState", Kind::DWORD, data::dword(state)).unwrap();
    }
    assert!(about.add_installed(hive.root()));
    assert_eq!(about.packages.len(), 1);
    assert_eq!(verdict(&package, &about), needs);
    about.packages.push(Identity::from_package_id("Core~31bf3856ad364e35~amd64~~10.0.14393.0").unwrap());
    assert_eq!(verdict(&package, &about), "applicable");
}

#[test]
fn updates_are_staged_in_order() {
    let xml = format!(
        "<unattend><servicing><package action=\"install\">{}</package></servicing></unattend>",
        identity("KB-Package", "")
    );
    let msu = cabinet(&[
        ("WSUSSCAN.cab", b"x"),
        ("Windows10.0-KB1-x64.cab", b"x"),
        ("SSU-14393.1-x64.cab", b"x"),
        ("Windows10.0-KB1-x64.psf", b"x"),
        ("Windows10.0-KB1-x64.xml", xml.as_bytes()),
    ]);
    let update = Package::open(Arc::new(msu), "windows10.0-kb1.msu").unwrap();
    assert_eq!(
        (update.kind(), update.identity().unwrap().name.as_str()),
        (PackageKind::Collection, "KB-Package")
    );
    let assessment = update.assess(&nano()).unwrap();
    assert_eq!(assessment.verdict, Verdict::Unknown);
    let Way::Stage(first) = assessment.way else { panic!("it is an update") };
    let wim = Package::open(Arc::new(b"MSWIM\0\0\0rest".to_vec()), "windows11 kb2.msu").unwrap();
    let Way::Stage(second) = wim.assess(&nano()).unwrap().way else { panic!("it is an update") };
    let plans = [first, second];
    let found: Vec<_> = stage_paths(&plans)
        .into_iter()
        .map(|(path, file)| (path, file.inner.as_deref(), file.is_package))
        .collect();
    let folder = r"Windows\Setup\Scripts\wimforge\packages";
    assert_eq!(
        found,
        [
            (format!(r"{folder}\01-SSU-14393.1-x64.cab"), Some("SSU-14393.1-x64.cab"), true),
            (format!(r"{folder}\01-Windows10.0-KB1-x64.cab"), Some("Windows10.0-KB1-x64.cab"), true),
            (format!(r"{folder}\01-Windows10.0-KB1-x64.psf"), Some("Windows10.0-KB1-x64.psf"), false),
            (format!(r"{folder}\02-windows11_kb2.msu"), None, true),
        ]
    );
    let package = open(&borrow(&simple())).unwrap();
    let staged = package.assess(&nano()).unwrap().stage_instead(&package, "its file is there".to_owned());
    assert!(matches!(staged.way, Way::Stage(_)) && staged.not_applied == ["its file is there"]);
}

#[test]
fn staged_files_have_names_of_their_own() {
    let msu = cabinet(&[("p/a.cab", b"x"), ("q/A.cab", b"y"), ("1-a.cab", b"z"), ("r/a.cab", b"w")]);
    let update = Package::open(Arc::new(msu), "update.msu").unwrap();
    let Way::Stage(plan) = update.assess(&nano()).unwrap().way else { panic!("it is an update") };
    let names: BTreeSet<String> = plan.files.iter().map(|file| file.name.to_lowercase()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn what_is_no_package() {
    let error = |files: &[(&str, &[u8])]| open(files).unwrap_err().to_string();
    assert!(error(&[("x.inf", b"[Version]")]).contains("a cabinet of drivers"));
    assert!(error(&[("x.txt", b"hello")]).contains("no package of Windows"));
    let of = |bytes: &[u8]| Package::open(Arc::new(bytes.to_vec()), "x").unwrap_err().to_string();
    assert!(of(b"").contains("neither a cabinet nor a WIM"));
    assert!(of(b"PA30....").contains("unsupported"));
    let mut chain = String::new();
    let mut error = &open(&[("update.mum", b"<assembly>")]).unwrap_err() as &dyn std::error::Error;
    loop {
        chain += &format!("{error}: ");
        let Some(source) = error.source() else { break };
        error = source;
    }
    assert_eq!(chain, "update.mum: malformed XML at 0xa: <assembly> does not end: ");
}

#[test]
fn hostile_packages() {
    let nested = |n: usize| {
        let inner =
            format!("<package contained=\"false\">{}</package>", identity(&format!("P{}", n + 1), ""));
        mum(&format!("P{n}"), "", &[inner]).into_bytes()
    };
    // Packages inside of packages, without an end and in a circle.
    let mut files: Vec<(String, Vec<u8>)> = vec![("update.mum".to_owned(), nested(0))];
    files.extend((1..200).map(|n| (format!("p{n}.mum"), nested(n))));
    let assessment = assess(&borrow(&files));
    assert!(
        assessment.not_applied.iter().any(|why| why.contains("deeper than 16")),
        "{:?}",
        assessment.not_applied
    );
    files.truncate(3);
    let circle = format!("<package contained=\"false\">{}</package>", identity("P1", ""));
    files.push(("p3.mum".to_owned(), mum("P3", "", &[circle]).into_bytes()));
    assert!(matches!(assess(&borrow(&files)).way, Way::Stage(_)));
    // Names that lead elsewhere.
    for (from, to) in [
        ("name=\"demo.dll\" dest", "name=\"..\\..\\demo.dll\" dest"),
        ("sourceName=\"demo.dll\"", "sourceName=\"..\\Other\\demo.dll\""),
        ("serviceData name=\"demo\"", "serviceData name=\"..\\demo\""),
        ("name=\"Demo-Component\"", "name=\"..\\Demo\""),
        ("version=\"10.0.14393.0\"", "version=\"..\""),
        ("language=\"neutral\"", "language=\"a\\b\""),
    ] {
        let assessment = assess(&borrow(&changed("Demo-Component.manifest", from, to)));
        assert!(matches!(assessment.way, Way::Stage(_)), "{to}");
        assert!(
            assessment.not_applied[0].contains("that cannot be read: Demo-Component.manifest: malformed"),
            "{to}: {assessment:?}"
        );
    }
    let files =
        changed("Demo-Component.manifest", "$(runtime.system32)\\\"", "$(runtime.system32)\\..\\..\\..\\\"");
    assert!(assess(&borrow(&files)).not_applied.iter().any(|why| why.contains("stays where it belongs")));
    // Texts that grow.
    let grow = format!(
        "<registryValue name=\"x\" valueType=\"REG_SZ\" value=\"{}\" />",
        "$(runtime.windows)".repeat(60_000)
    );
    let files = changed(
        "Demo-Component.manifest",
        "<overridable name=\"x\" scope=\"Microsoft\" type=\"REG_SZ\" />",
        &grow,
    );
    assert!(assess(&borrow(&files)).not_applied.iter().any(|why| why.contains("longer than")));
    let bomb = "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><assembly>&b;</assembly>";
    assert!(open(&[("update.mum", bomb.as_bytes())]).is_err());
    let deep = "<a>".repeat(100_000);
    assert!(open(&[("update.mum", deep.as_bytes())]).is_err());
    let many = format!("<assembly>{}</assembly>", "<a/>".repeat(600_000));
    assert!(open(&[("update.mum", many.as_bytes())]).is_err());
}

//! Packages as a Nano Server medium has them, made with `gcab` from texts of ours, one for each way that packages go.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::disk::Format;
use testkit::{args, tool};

use super::nano;
use super::seen::Seen;
use super::world::{Desk, medium};
use crate::support::wimforge;

const KEY: &str = "31bf3856ad364e35";
const PROGRAM: &[u8] = b"MZ a program of ours\r\n";
const PREFIX: &str = "Microsoft-NanoServer-";

fn identity(name: &str, more: &str) -> String {
    format!(
        "<assemblyIdentity name=\"{name}\" version=\"10.0.14393.0\" processorArchitecture=\"amd64\" language=\"neutral\" \
         buildType=\"release\" publicKeyToken=\"{KEY}\" {more}/>"
    )
}

fn assembly(identity: &str, content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\n<assembly \
         xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\">{identity}{content}</assembly>"
    )
}

fn package(name: &str, part: &str) -> String {
    let content = format!(
        "<package identifier=\"{name}\" releaseType=\"Feature Pack\"><update name=\"one\">{part}</update></package>"
    );
    assembly(&identity(&format!("{PREFIX}{name}-Package"), ""), &content)
}

/// What a manifest says of a file.
fn file(desk: &Desk, name: &str, folder: &str, content: &[u8]) -> Option<String> {
    let place = desk.put("hashed", content);
    let script = "import base64, hashlib, sys\n\
                  data = open(sys.argv[1], 'rb').read()\n\
                  print(base64.b64encode(hashlib.sha256(data).digest()).decode())";
    let hash = tool("python3")?.text(args!["-c", script, &place]);
    Some(format!(
        "<file name=\"{name}\" destinationPath=\"{folder}\\\" sourceName=\"{name}\" sourcePath=\".\\\"><asmv2:hash \
         xmlns:asmv2=\"urn:schemas-microsoft-com:asm.v2\" xmlns:dsig=\"http://www.w3.org/2000/09/xmldsig#\">\
         <dsig:Transforms><dsig:Transform Algorithm=\"urn:schemas-microsoft-com:HashTransforms.Identity\" />\
         </dsig:Transforms><dsig:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha256\" />\
         <dsig:DigestValue>{}</dsig:DigestValue></asmv2:hash></file>",
        hash.trim()
    ))
}

/// A component with a file and registry values, and whatever more.
fn component(desk: &Desk, name: &str, more: &str) -> Option<String> {
    let file = file(desk, &format!("{name}.dll"), "$(runtime.system32)", PROGRAM)?;
    let content = format!(
        "{file}\
         <registryKeys><registryKey keyName=\"HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\{name}\">\
         <registryValue name=\"Number\" valueType=\"REG_DWORD\" value=\"0x0000002a\" />\
         <registryValue name=\"Path\" valueType=\"REG_EXPAND_SZ\" value=\"%SystemRoot%\\{name}\" /></registryKey></registryKeys>{more}"
    );
    Some(assembly(&identity(name, "versionScope=\"nonSxS\""), &content))
}

/// Makes a cabinet of files in a folder of the desk.
fn cabinet(desk: &Desk, out: &Path, files: &[(&str, &[u8])]) -> Option<()> {
    let folder = desk.path("files");
    let _ = fs::remove_dir_all(&folder);
    let mut command = tool("gcab")?.command();
    fs::create_dir_all(out.parent().expect("a folder")).expect("a folder");
    command.args(["-c", "-z"]).arg(out);
    for (name, content) in files {
        desk.put(&format!("files/{name}"), content);
        command.arg(name);
    }
    let status = command.current_dir(&folder).status().expect("it runs");
    assert!(status.success(), "{command:?}");
    Some(())
}

const DRIVER: &str = r#"[Version]
Signature = "$Windows NT$"
Class = Net
ClassGuid = {4D36E972-E325-11CE-BFC1-08002BE10318}
Provider = "Somebody"
DriverVer = 07/16/2016,10.0.14393.0
[DestinationDirs]
DefaultDestDir = 12
[SourceDisksNames]
1 = "disk"
[SourceDisksFiles]
forgednic.sys = 1
[Manufacturer]
"Somebody" = Models,NTamd64
[Models.NTamd64]
"Forged network card" = Install, PCI\VEN_8086&DEV_FFFE
[Install]
Characteristics = 0x84
CopyFiles = Files
[Files]
forgednic.sys
[Install.Services]
AddService = forgednic,0x2,Service
[Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %12%\forgednic.sys
"#;

/// Puts them into the folder. `None`, visibly, without the tools.
pub(super) fn put(packages: &Path) -> Option<()> {
    let desk = Desk::new();
    let part = |name: &str| format!("<component>{}</component>", identity(name, "versionScope=\"nonSxS\""));
    let path = |name: &str| packages.join(format!("{PREFIX}{name}-Package.cab"));
    // Understood: a file, registry values.
    let simple = component(&desk, "SimplePart", "")?;
    let mum = package("DNS", &part("SimplePart"));
    // Names in a cabinet are of any case.
    let files: [(&str, &[u8]); 3] = [
        ("Update.MUM", mum.as_bytes()),
        ("SimplePart.manifest", simple.as_bytes()),
        ("SimplePart/SimplePart.dll", PROGRAM),
    ];
    cabinet(&desk, &path("DNS"), &files)?;
    let language = package("DNS", "").replace("language=\"neutral\"", "language=\"en-US\"");
    let name = format!("en-us/{PREFIX}DNS-Package_en-us.cab");
    cabinet(&desk, &packages.join(name), &[("update.mum", language.as_bytes())])?;
    // Not understood: something that only Windows' own installer can do.
    let odd = component(
        &desk,
        "OddPart",
        "<genericCommands><genericCommand executableName=\"x.exe\" /></genericCommands>",
    )?;
    let mum = package("IIS", &part("OddPart"));
    let files: [(&str, &[u8]); 3] = [
        ("update.mum", mum.as_bytes()),
        ("OddPart.manifest", odd.as_bytes()),
        ("OddPart/OddPart.dll", PROGRAM),
    ];
    cabinet(&desk, &path("IIS"), &files)?;
    // Drivers.
    let driver = identity("dual_forgednic.inf", "versionScope=\"nonSxS\" type=\"dualModeDriver\"");
    let mum = package(
        "OEM-Drivers",
        &format!("<driver inf=\"forgednic.inf\" ranking=\"normal\">{driver}</driver>"),
    );
    let inf = DRIVER.replace('\n', "\r\n");
    let content = file(&desk, "forgednic.inf", "$(runtime.drivers)", inf.as_bytes())?
        + &file(&desk, "forgednic.sys", "$(runtime.drivers)", PROGRAM)?;
    let manifest = assembly(&driver, &content);
    cabinet(
        &desk,
        &path("OEM-Drivers"),
        &[
            ("update.mum", mum.as_bytes()),
            ("dual_forgednic.inf.manifest", manifest.as_bytes()),
            ("dual_forgednic.inf/forgednic.inf", inf.as_bytes()),
            ("dual_forgednic.inf/forgednic.sys", PROGRAM),
        ],
    )
}

/// Each goes its way, and says so before anything is written.
#[test]
fn three_ways() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    let disk = desk.path("disk.vhd");
    let options = args!["--packages", "DNS,IIS", "--oem-drivers", "--allow-unsigned", "--json"];
    let ways = |ended: crate::support::Ended| {
        let report: Value = serde_json::from_slice(&ended.well().stdout).expect("JSON");
        report["build"]["customized"].clone()
    };
    let planned = ways(nano(&medium.iso, &disk, &[&options[..], &args!["--dry-run"]].concat()));
    assert!(!disk.exists());
    let done = ways(nano(&medium.iso, &disk, &options));
    assert_eq!(planned["packages"], done["packages"], "what is planned is done");
    wimforge(args!["check", &disk]).well();

    let Some(seen) = Seen::of(&disk, Format::Vpc) else { return };
    let way = |name: &str| {
        let all = done["packages"].as_array().expect("a list");
        let found =
            all.iter().find(|package| package["path"].as_str().is_some_and(|path| path.ends_with(name)));
        found.unwrap_or_else(|| panic!("no {name} in {done:#}"))["way"].clone()
    };
    for (name, expected) in [
        ("DNS-Package.cab", "applied"),
        ("IIS-Package.cab", "installed at the first boot"),
        ("OEM-Drivers-Package.cab", "drivers"),
    ] {
        assert_eq!(way(name), expected, "{name}: {done:#}");
    }
    // Applied: the file has two names, one of them in the component store.
    let program = seen.node("Windows\\System32\\SimplePart.dll");
    assert_eq!(seen.read("Windows\\System32\\SimplePart.dll"), PROGRAM);
    assert_ne!(program.link_group, 0, "{program:?}");
    let linked = |path: &String| seen.node(path).link_group == program.link_group;
    let names: Vec<String> = seen.files().filter(linked).collect();
    assert!(
        names.len() == 2 && names.iter().any(|name| name.starts_with("Windows\\WinSxS\\amd64_simplepart_")),
        "{names:?}"
    );
    let key = seen.key("SOFTWARE", "Vendor\\SimplePart");
    assert_eq!(
        (key.dword("Number"), key.data("Path", 2).len()),
        (42, 2 * "%SystemRoot%\\SimplePart\0".len())
    );
    // Staged: nothing of it is in place, the cabinet waits, and the script installs it with a limit in time.
    assert!(seen.find("Windows\\System32\\OddPart.dll").is_none());
    assert!(seen.keys("SOFTWARE", &["Vendor\\OddPart"])[0].is_none());
    let script = seen.text("Windows\\Setup\\Scripts\\SetupComplete.cmd");
    let waiting =
        seen.files().find(|path| path.to_lowercase().ends_with("microsoft-nanoserver-iis-package.cab"));
    let waiting = waiting.expect("the cabinet");
    let theirs = medium.wim.with_file_name("Packages").join(format!("{PREFIX}IIS-Package.cab"));
    assert!(seen.read(&waiting) == fs::read(theirs).expect("a cabinet"));
    assert!(script.to_lowercase().contains("/add-package"), "{script}");
    // Drivers: as any other that Windows need not start from, in the store until a device asks for it, and in the
    // hive for those.
    let driver = &done["drivers"][0];
    let place = format!(
        "Windows\\System32\\DriverStore\\FileRepository\\{}",
        driver["package"].as_str().expect("a name")
    );
    assert_eq!(seen.read(&format!("{place}\\forgednic.sys")), PROGRAM);
    let device = "DriverDatabase\\DeviceIds\\PCI\\VEN_8086&DEV_FFFE";
    assert_eq!(seen.key("DRIVERS", device).data(driver["published"].as_str().expect("a name"), 3).len(), 4);

    nano(&medium.iso, &disk, &args!["--packages", "Nothing"]).badly(&[1, 2]).says(&["Nothing", "DNS"]);
}

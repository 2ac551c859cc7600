//! One recipe with everything, and what became of each line of it. More of drivers and packages is in `drivers` and
//! `packages`.

use std::fs;
use std::path::Path;

use testkit::descriptor::{FULL, READ, sid};
use testkit::disk::{Format, same};
use testkit::windows_image::GENERIC_ALL;
use testkit::{args, tool};

use super::seen::{Descriptor, Seen};
use super::world::{Desk, Medium, medium};
use super::{answer, drivers, nano};
use crate::support::{names, wimforge};

pub(super) const ADMINISTRATOR: &str = "Adm1n-s3cret!";
pub(super) const WORKER: &str = "W0rker's <&> \u{20ac}uro";

const RECIPE: &str = r#"
source = "SOURCE"
nano = true
image = "Windows Server 2016 SERVERSTANDARDNANO"
output = "nano.vmdk"
layout = "mbr1"
size = "300MiB"
preset = ["winrm-https", "own.toml"]

computer-name = "NANO7"
admin-password-file = "secrets/administrator"
time-zone = "W. Europe Standard Time"
locale = "de-DE"
owner = "Somebody & Söhne"
remote-administrators = true
private-network = true
grow = true
setup-complete = "commands.txt"
first-boot = ["echo second > C:\\second.txt"]
ssh-key = ["authorized_keys"]
copy = ['tools=\Tools', "hosts=Windows/System32/drivers/etc/hosts"]
reg = ["extra.reg"]
winrm-name = ["nano7.example.org", "192.0.2.7"]
driver = ["vboxusb"]
packages = ["DNS", "IIS"]
oem-drivers = true
# The medium's card is ours, and nobody signed it.
allow-unsigned = true

[[account]]
name = "worker"
password-file = "secrets/worker"
full-name = "A Worker"
groups = ["Administrators", "Remote Management Users"]
password-never-expires = true

[[network]]
interface = "Ethernet"
addresses = ["192.0.2.7/24", "2001:db8::7/64"]
gateways = ["192.0.2.1"]
dns = ["192.0.2.53", "2001:db8::53"]

[[firewall]]
name = "Web"
ports = [80, "8000-8010"]
profiles = ["private", "domain"]

[[registry]]
key = 'HKLM\SOFTWARE\Vendor\Typed'
name = "Many"
value = ["a", "b"]

[[registry]]
key = 'HKLM\SYSTEM\CurrentControlSet\Control\CrashControl'
name = "AutoReboot"
value = 0
"#;

const REG: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\FromReg]
"Text"="from a .reg file"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\CrashControl]
"CrashDumpEnabled"=dword:00000002

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Vendor]
"Number"=dword:0000002a
"#;

/// The recipe and all that it names.
pub(super) fn put(desk: &Desk, medium: &Medium) {
    drivers::vboxusb(desk).expect("there are samples where there is a medium");
    desk.put("nano.toml", RECIPE.replace("SOURCE", medium.iso.to_str().expect("UTF-8")));
    desk.put(
        "own.toml",
        "boot-timeout = 7\norganization = \"Everybody\"\nowner = \"the recipe says another\"\n",
    );
    desk.put("secrets/administrator", format!("{ADMINISTRATOR}\n"));
    desk.put("secrets/worker", format!("{WORKER}\r\n"));
    desk.put("commands.txt", "echo first > C:\\first.txt\r\n");
    desk.put(
        "authorized_keys",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJm8xSlrLVXGJEQJ1Cu3LoBPOVYHlrfdxPpjaGKvsFCI me\n",
    );
    desk.put("tools/bin/tool.exe", vec![0x4D; 70_000]);
    desk.put("hosts", "192.0.2.1 gateway\r\n");
    desk.put("extra.reg", REG);
}

#[test]
fn everything_is_read_back() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    put(&desk, &medium);
    let recipe = desk.path("nano.toml");
    wimforge(args!["build", "--recipe", &recipe]).well();
    let (vmdk, vhd) = (desk.path("nano.vmdk"), desk.path("other.vhd"));
    // The key is where the first build left it. Its own name is in the certificate's file.
    let key = desk.path("nano.winrm.key");
    wimforge(args!["build", "--recipe", &recipe, "-o", &vhd, "--winrm-key", &key]).well();
    if !same(&vmdk, Format::Vmdk, &vhd, Format::Vpc) {
        return;
    }
    wimforge(args!["check", &vhd]).well();
    let Some(seen) = Seen::of(&vmdk, Format::Vmdk) else { return };
    identity(&seen, &desk);
    remote(&seen);
    registry(&seen);
    first_boot(&seen);
    files(&seen);
    drivers_and_packages(&seen);
    certificate(&seen, &desk);
    assert_eq!(
        names(desk.folder()).iter().filter(|name| name.contains("winrm")).collect::<Vec<_>>(),
        ["nano.winrm.key", "nano.winrm.pem", "other.winrm.pem"]
    );
    assert!(
        fs::read(desk.path("nano.winrm.pem")).expect("one")
            == fs::read(desk.path("other.winrm.pem")).expect("one")
    );
}

fn identity(seen: &Seen, desk: &Desk) {
    let name = seen.key("SYSTEM", "ControlSet001\\Control\\ComputerName\\ComputerName");
    assert_eq!(name.text("ComputerName"), "NANO7");
    let tcpip = seen.key("SYSTEM", "ControlSet001\\Services\\Tcpip\\Parameters");
    // As this image spells them.
    assert_eq!((tcpip.text("HostName"), tcpip.text("NV HostName")), ("NANO7".to_owned(), "NANO7".to_owned()));
    let zone = seen.key("SYSTEM", "ControlSet001\\Control\\TimeZoneInformation");
    // An hour east, daylight saving time from March to October.
    assert_eq!(zone.text("TimeZoneKeyName"), "W. Europe Standard Time");
    assert_eq!((zone.dword("Bias"), zone.dword("DaylightBias")), (-60_i32 as u32, -60_i32 as u32));
    assert_eq!(zone.data("StandardStart", 3)[..8], [0, 0, 10, 0, 5, 0, 3, 0]);
    assert_eq!(zone.data("DaylightStart", 3)[..8], [0, 0, 3, 0, 5, 0, 2, 0]);

    let file = desk.put("unattend.xml", seen.read("Windows\\Panther\\unattend.xml"));
    let Some(texts) = answer::texts(&file, "amd64") else { return };
    let shell = "Microsoft-Windows-Shell-Setup";
    let text = |path: &str| texts.get(path).unwrap_or_else(|| panic!("no {path} in {texts:?}")).as_slice();
    assert_eq!(text(&format!("specialize/{shell}/ComputerName")), ["NANO7"]);
    assert_eq!(text(&format!("specialize/{shell}/RegisteredOwner")), ["Somebody & Söhne"]);
    assert_eq!(text(&format!("specialize/{shell}/RegisteredOrganization")), ["Everybody"]);
    assert_eq!(text(&format!("oobeSystem/{shell}/TimeZone")), ["W. Europe Standard Time"]);
    let accounts = format!("oobeSystem/{shell}/UserAccounts");
    // Base64 of UTF-16 of the password and the element's name, made by hand.
    assert_eq!(
        text(&format!("{accounts}/AdministratorPassword/Value")),
        ["QQBkAG0AMQBuAC0AcwAzAGMAcgBlAHQAIQBBAGQAbQBpAG4AaQBzAHQAcgBhAHQAbwByAFAAYQBzAHMAdwBvAHIAZAA="]
    );
    assert_eq!(text(&format!("{accounts}/AdministratorPassword/PlainText")), ["false"]);
    let account = format!("{accounts}/LocalAccounts/LocalAccount");
    assert_eq!(text(&format!("{account}/Name")), ["worker"]);
    assert_eq!(text(&format!("{account}/DisplayName")), ["A Worker"]);
    assert_eq!(text(&format!("{account}/Group")), ["Administrators;Remote Management Users"]);
    let hidden = &text(&format!("{account}/Password/Value"))[0];
    let script = "import base64, sys; sys.stdout.buffer.write(base64.b64decode(sys.argv[1]).decode('utf-16-le').encode())";
    let shown = tool("python3").expect("was there").text(["-c", script, hidden]);
    assert_eq!(shown, format!("{WORKER}Password"));
}

fn remote(seen: &Seen) {
    let service = seen.key("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\WSMAN\\Service");
    assert_eq!(service.dword("auth_basic"), 1);
    assert!(service.values.get("allow_unencrypted").is_none_or(|(_, data)| data == &[0; 4]));
    let policies = seen.key("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\Policies\\System");
    assert_eq!(policies.dword("LocalAccountTokenFilterPolicy"), 1);
    let network = seen.key(
        "SOFTWARE",
        "Policies\\Microsoft\\Windows NT\\CurrentVersion\\NetworkList\\Signatures\\FirstNetwork",
    );
    assert_eq!(network.dword("Category"), 1);

    let place = "ControlSet001\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules";
    let rules = seen.key("SYSTEM", place);
    let rules: Vec<String> = rules.values.keys().map(|name| rules.text(name)).collect();
    let with = |words: &[&str]| {
        let found = rules.iter().filter(|rule| words.iter().all(|word| rule.contains(&format!("|{word}|"))));
        found.collect::<Vec<_>>()
    };
    // The version is that of the rules which the image has.
    let own = &with(&["LPort=5985"])[0];
    let version = own.split('|').next().expect("a version");
    for (words, count) in [
        (&["Name=Web", "LPort=80", "LPort2_10=8000-8010", "Profile=Domain", "Profile=Private"][..], 1),
        (&["LPort=5986", "Protocol=6", "Dir=In"], 1),
    ] {
        let found = with(words);
        assert!(found.len() >= count, "{words:?}: {found:?}");
        for rule in found {
            assert!(rule.starts_with(&format!("{version}|Action=Allow|Active=TRUE|")), "{rule}");
        }
    }
}

fn registry(seen: &Seen) {
    assert_eq!(seen.key("SOFTWARE", "Vendor\\Typed").texts("Many"), ["a", "b"]);
    let key = seen.key("SOFTWARE", "Vendor\\FromReg");
    assert_eq!(key.text("Text"), "from a .reg file");
    let crash = seen.key("SYSTEM", "ControlSet001\\Control\\CrashControl");
    assert_eq!((crash.dword("AutoReboot"), crash.dword("CrashDumpEnabled")), (0, 2));
    // What is handed down by the root of this hive, which like some of Windows 10 does not say what was inherited, so
    // neither does the new key; and by `Control` of the real hive, which does.
    let expected: Vec<_> = [(READ_KEY, sid::USERS), (FULL_KEY, sid::ADMINISTRATORS), (FULL_KEY, sid::SYSTEM)]
        .map(|(mask, sid)| (0, 0x02, mask, sid.to_owned()))
        .into();
    assert_eq!(Descriptor::of(&key.security).dacl, expected);
    let (parent, child) =
        (seen.key("SYSTEM", "ControlSet001\\Control"), seen.key("SYSTEM", "ControlSet001\\Control\\Vendor"));
    let (parent, child) = (Descriptor::of(&parent.security), Descriptor::of(&child.security));
    assert_eq!(child.trustees(), parent.trustees());
    assert!(child.dacl.iter().all(|ace| ace.1 & 0x10 != 0), "{child:?}");
}

const READ_KEY: u32 = 0x0002_0019;
const FULL_KEY: u32 = 0x000F_003F;

fn first_boot(seen: &Seen) {
    let script = seen.text("Windows\\Setup\\Scripts\\SetupComplete.cmd");
    assert!(script.lines().count() > 20 && !script.replace("\r\n", "").contains(['\r', '\n']), "{script}");
    let first = script.find("echo first > C:\\first.txt\r\n").expect("the file's line");
    assert!(script.find("echo second > C:\\second.txt\r\n").expect("the recipe's line") > first);
    for words in
        ["192.0.2.7 255.255.255.0 192.0.2.1", "2001:db8::7", "192.0.2.53", "2001:db8::53", "Resize-Partition"]
    {
        assert!(script.contains(words), "no {words} in {script}");
    }
    // Each file with a secret is deleted.
    for file in ["Panther\\unattend.xml", "Scripts\\wimforge-winrm.pfx", "Scripts\\wimforge-winrm.txt"] {
        assert!(
            script.lines().any(|line| line.contains("DEL /F /Q") && line.contains(file)),
            "{file}: {script}"
        );
    }
    let keys = seen.text("ProgramData\\ssh\\administrators_authorized_keys");
    assert!(keys.starts_with("ssh-ed25519 AAAA"), "{keys}");
}

/// Content, and who may do what.
fn files(seen: &Seen) {
    assert!(seen.read("Tools\\bin\\tool.exe") == [0x4D; 70_000]);
    assert_eq!(seen.text("Windows\\System32\\drivers\\etc\\hosts"), "192.0.2.1 gateway\r\n");
    let descriptor = |path: &str| Descriptor::of(seen.node(path).security.as_ref().expect("a descriptor"));
    let owned = |list: &[(u8, u32, &str)]| -> Vec<(u8, u8, u32, String)> {
        list.iter().map(|(flags, mask, sid)| (0, *flags, *mask, (*sid).to_owned())).collect()
    };
    // A folder below the root: generic rights count as files' rights here, and stay generic for what comes below.
    let folder = owned(&[
        (0x10, FULL, sid::SYSTEM),
        (0x1B, GENERIC_ALL, sid::SYSTEM),
        (0x10, FULL, sid::ADMINISTRATORS),
        (0x1B, GENERIC_ALL, sid::ADMINISTRATORS),
        (0x13, READ, sid::USERS),
    ]);
    let file =
        owned(&[(0x10, FULL, sid::SYSTEM), (0x10, FULL, sid::ADMINISTRATORS), (0x10, READ, sid::USERS)]);
    assert_eq!(descriptor("Tools").dacl, folder);
    assert_eq!(descriptor("Tools\\bin").dacl, folder);
    assert_eq!(descriptor("Tools\\bin\\tool.exe").dacl, file);
    let below_windows = descriptor("Windows\\System32\\drivers\\etc\\hosts");
    for (sid, mask) in [(sid::SYSTEM, FULL), (sid::ADMINISTRATORS, FULL), (sid::USERS, READ)] {
        assert!(below_windows.dacl.contains(&(0, 0x10, mask, sid.to_owned())), "{below_windows:?}");
    }
    for secret in [
        "Windows\\Panther\\unattend.xml",
        "Windows\\Setup\\Scripts\\wimforge-winrm.pfx",
        "Windows\\Setup\\Scripts\\wimforge-winrm.txt",
        "ProgramData\\ssh\\administrators_authorized_keys",
    ] {
        let found = descriptor(secret);
        assert_eq!(found.trustees(), [sid::SYSTEM, sid::ADMINISTRATORS], "{secret}");
        assert!([sid::SYSTEM, sid::ADMINISTRATORS].contains(&found.owner.as_str()), "{found:?}");
    }
    // What was there keeps what it had.
    let hive = descriptor("Windows\\System32\\config\\SOFTWARE");
    assert_eq!(hive.dacl, owned(&[(0x10, FULL, sid::SYSTEM), (0x10, FULL, sid::ADMINISTRATORS)]));
    assert_eq!(descriptor("Windows\\System32\\ntoskrnl.exe").owner, sid::TRUSTED_INSTALLER);
}

/// The driver of the recipe, that of a package, and packages of both other ways.
fn drivers_and_packages(seen: &Seen) {
    let store = |name: &str| {
        let place = format!("Windows\\System32\\DriverStore\\FileRepository\\{name}_amd64_").to_lowercase();
        seen.files().filter(|path| path.to_lowercase().starts_with(&place)).count()
    };
    assert_eq!((store("vboxusb.inf"), store("forgednic.inf")), (3, 2));
    let database = seen.key("SYSTEM", "DriverDatabase");
    assert_eq!(database.data("OemInfMap", 3), [0xFF, 0xFC], "twelve that were there, two that came");
    let usb = seen.key("SYSTEM", "DriverDatabase\\DeviceIds\\USB\\VID_80EE&PID_CAFE");
    let card = seen.key("DRIVERS", "DriverDatabase\\DeviceIds\\PCI\\VEN_8086&DEV_FFFE");
    assert_eq!((usb.data("oem13.inf", 3).len(), card.data("oem12.inf", 3).len()), (4, 4));
    assert!(seen.find("Windows\\System32\\SimplePart.dll").is_some(), "applied");
    assert!(seen.find("Windows\\System32\\OddPart.dll").is_none(), "staged");
    assert!(seen.text("Windows\\Setup\\Scripts\\SetupComplete.cmd").to_lowercase().contains("/add-package"));
}

/// What Windows will import is what lies beside the output.
fn certificate(seen: &Seen, desk: &Desk) {
    let Some(openssl) = tool("openssl") else { return };
    let scripts = "Windows\\Setup\\Scripts";
    let pfx = desk.put("seen.pfx", seen.read(&format!("{scripts}\\wimforge-winrm.pfx")));
    // One line, as `SET /P` reads it.
    let line = seen.text(&format!("{scripts}\\wimforge-winrm.txt"));
    let password = desk.put("seen.txt", line.strip_suffix("\r\n").expect("a line"));
    let all = desk.path("seen.pem");
    let password = format!("file:{}", password.display());
    openssl.run(args!["pkcs12", "-legacy", "-in", &pfx, "-passin", &password, "-nodes", "-out", &all]);
    let pem = desk.path("nano.winrm.pem");
    assert_eq!(openssl.text(args!["x509", "-in", &all]), openssl.text(args!["x509", "-in", &pem]));
    assert_eq!(
        openssl.text(args!["pkey", "-in", &all]),
        openssl.text(args!["pkey", "-in", &desk.path("nano.winrm.key")])
    );
    for name in [
        ["-verify_hostname", "NANO7"],
        ["-verify_hostname", "nano7.example.org"],
        ["-verify_ip", "192.0.2.7"],
    ] {
        let options =
            [&["verify".as_ref(), "-CAfile".as_ref(), pem.as_os_str()][..], &args![name[0], name[1], &pem]];
        openssl.run(options.concat());
    }
    let print = openssl.text(args!["x509", "-in", &pem, "-noout", "-fingerprint"]);
    let print = print.trim().rsplit('=').next().expect("a hash").replace(':', "");
    let script = seen.text(&format!("{scripts}\\SetupComplete.cmd"));
    assert!(script.matches(&print).count() >= 2, "{print} in {script}");
}

/// The same recipe and inputs, the same bytes; another key, others.
#[test]
fn the_same_again() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    put(&desk, &medium);
    let (recipe, out) = (desk.path("nano.toml"), desk.path("nano.vmdk"));
    let make = |options: &[&str]| {
        let options: Vec<&Path> = options.iter().map(Path::new).collect();
        let all = [
            &args!["build", "--recipe", &recipe, "--force"][..],
            &options.iter().map(|path| path.as_os_str()).collect::<Vec<_>>(),
        ];
        wimforge(all.concat()).well();
        (fs::read(&out).expect("a disk"), fs::read(desk.path("nano.winrm.pem")).expect("a certificate"))
    };
    let first = make(&["-j", "1"]);
    assert!(make(&["-j", "2"]) == first);
    assert!(make(&["-j", "1", "--memory", "64MiB"]) == first);
    fs::remove_file(desk.path("nano.winrm.key")).expect("a key");
    let other = make(&["-j", "2"]);
    assert!(other.0 != first.0 && other.1 != first.1);
}

/// What cannot be is refused before anything is written.
#[test]
fn refusals() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    let (disk, empty) = (desk.path("disk.vhd"), desk.put("empty", "\n"));
    nano(&medium.iso, &disk, &args!["--admin-password-file", &empty]).badly(&[1, 2]).says(&["empty"]);
    nano(&medium.iso, &disk, &args!["--computer-name", "12345"]).badly(&[1, 2]);
    nano(&medium.iso, &disk, &args!["--time-zone", "Middle Earth Standard Time"]).badly(&[1, 2]);
    let recipe = desk.put("recipe.toml", "computer-nam = \"x\"\n");
    nano(&medium.iso, &disk, &args!["--recipe", &recipe])
        .badly(&[1, 2])
        .says(&["recipe.toml:1", "computer-name"]);
    assert!(!disk.exists() && names(desk.folder()).len() == 2);
}

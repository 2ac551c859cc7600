//! Vagrant itself takes the boxes, and understands what is in them.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use disk::{Guid, Seed};
use support::{CAPACITY, KINDS, TIME, beside, disk_bytes, machine, machines, write};
use testkit::{args, tool};
use wimforge_appliance::vagrant::catalog::{Hosted, catalog};
use wimforge_appliance::{Firmware, Kind, Machine, Package, Provider, Remote, Transport};

/// A home of Vagrant's own, where nothing else is installed.
struct Home {
    dir: tempfile::TempDir,
    vagrant: testkit::Tool,
}

impl Home {
    fn new() -> Option<Self> {
        let vagrant = tool("vagrant")?;
        Some(Self { dir: tempfile::tempdir().unwrap(), vagrant })
    }

    fn prepare(&self, mut command: Command) -> Command {
        command
            .current_dir(self.dir.path())
            .env("VAGRANT_HOME", self.dir.path().join("home"))
            .env("HOME", self.dir.path())
            .env("VAGRANT_CHECKPOINT_DISABLE", "1")
            .env("VAGRANT_NO_PLUGINS", "1");
        command
    }

    fn run(&self, args: &[&str]) -> (bool, String) {
        let output = self.prepare(self.vagrant.command()).args(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// What Vagrant makes of a box that is installed.
    fn config(&self, name: &str, provider: Provider) -> Option<Vec<String>> {
        let ruby = tool("ruby")?;
        let text = format!("Vagrant.configure('2') {{ |config| config.vm.box = '{name}' }}\n");
        fs::write(self.dir.path().join("Vagrantfile"), text).unwrap();
        let mut command = self.prepare(ruby.command());
        command.arg(beside("vagrant_config.rb")).args([name, provider.name()]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }
}

fn package(provider: Provider, machine: Machine) -> Package {
    Package::new(Kind::Box(provider), machine, CAPACITY, TIME).unwrap()
}

#[test]
fn vagrant_adds_every_box() {
    let Some(home) = Home::new() else { return };
    let path = home.dir.path().join("x.box");
    for kind in KINDS {
        let Kind::Box(provider) = kind else { continue };
        write(package(provider, machine(Firmware::Efi)), &path, &disk_bytes(), 2);
        let (ok, said) = home.run(&["box", "add", "--name", "try/nano", path.to_str().unwrap()]);
        assert!(ok, "{provider:?}: {said}");
        let (_, list) = home.run(&["box", "list"]);
        assert!(list.contains(&format!("({}, 0", provider.name())), "{list}");
    }
    // The checker notices: a box without metadata that says nothing is not taken.
    fs::write(&path, b"no archive").unwrap();
    assert!(!home.run(&["box", "add", "--name", "try/none", path.to_str().unwrap()]).0);
}

#[test]
fn vagrant_understands_the_vagrantfile() {
    let Some(home) = Home::new() else { return };
    let path = home.dir.path().join("x.box");
    let hostile = "a'b\\c#{raise}\"$x";
    let remotes = [
        (Remote::default(), "negotiate", false, true),
        (Remote { transport: Transport::Plaintext, user: None, password: None }, "plaintext", true, true),
        (
            Remote {
                transport: Transport::Ssl,
                user: Some(hostile.to_owned()),
                password: Some(format!("{hostile}\\")),
            },
            "ssl",
            false,
            false,
        ),
    ];
    for (number, (remote, transport, basic, verify)) in remotes.into_iter().enumerate() {
        let mut machine = machine(Firmware::Bios);
        machine.remote = remote.clone();
        machine.hardware_uuid = Some(Guid([0x11; 16]));
        for provider in [Provider::VirtualBox, Provider::HyperV] {
            let name = format!("try/{}{number}", provider.name());
            write(package(provider, machine.clone()), &path, b"disk", 1);
            let (ok, said) = home.run(&["box", "add", "--name", &name, path.to_str().unwrap()]);
            assert!(ok, "{said}");
            let Some(found) = home.config(&name, provider) else { return };
            let mac = if provider == Provider::VirtualBox { machine.mac_text() } else { String::new() };
            let mut expected = vec![
                format!("provider={}", provider.name()),
                "guest=windows".to_owned(),
                "communicator=winrm".to_owned(),
                format!("base_mac={mac}"),
                format!("transport={transport}"),
                format!("basic={basic}"),
                format!("verify={verify}"),
                format!("user={}", remote.user.as_deref().unwrap_or("vagrant")),
                format!("password={}", remote.password.as_deref().unwrap_or("vagrant")),
                "rdp=3389".to_owned(),
                "ssh=22".to_owned(),
                "winrm-ssl=5986".to_owned(),
                "winrm=5985".to_owned(),
            ];
            expected.push(match provider {
                Provider::VirtualBox => "customize=[[\"pre-boot\", [\"modifyvm\", :id, \"--hardwareuuid\", \
                                         \"11111111-1111-1111-1111-111111111111\"]]]"
                    .to_owned(),
                _ => "timeout=240".to_owned(),
            });
            assert_eq!(found, expected, "{provider:?}");
        }
    }
}

/// A server's catalog: Vagrant downloads the box it names, and compares the checksum.
#[test]
fn vagrant_follows_the_catalog() {
    let (Some(home), Some(sha256sum)) = (Home::new(), tool("sha256sum")) else { return };
    let path = home.dir.path().join("x.box");
    let machine = machine(Firmware::Efi);
    write(package(Provider::Libvirt, machine.clone()), &path, &disk_bytes(), 1);
    let hex = sha256sum.text(args![&path])[..64].to_owned();
    let mut sha256 = [0; 32];
    for (at, byte) in sha256.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    }
    let url = format!("file://{}", path.display());
    let add = |hosted: &Hosted<'_>| {
        let json = home.dir.path().join("catalog.json");
        fs::write(&json, catalog(&machine, Provider::Libvirt, hosted).unwrap()).unwrap();
        home.run(&["box", "add", "--force", json.to_str().unwrap()])
    };
    let hosted = Hosted { name: "try/nano", version: "1.20.3", url: &url, sha256 };
    let (ok, said) = add(&hosted);
    assert!(ok, "{said}");
    let (_, list) = home.run(&["box", "list"]);
    assert!(list.contains("try/nano (libvirt, 1.20.3"), "{list}");
    sha256[0] ^= 1;
    let (ok, said) = add(&Hosted { sha256, ..hosted });
    assert!(!ok && said.contains("checksum"), "{said}");

    for (name, version) in
        [("a/b", ""), ("a/b", "1."), ("a/b", "1-2"), ("a/b", "v1"), ("a/b/c", "1"), ("", "1")]
    {
        let hosted = Hosted { name, version, ..hosted };
        assert!(catalog(&machine, Provider::Libvirt, &hosted).is_err(), "{name:?} {version:?}");
    }
}

fn extract(provider: Provider, machine: &Machine, member: &str, to: &Path) -> Option<String> {
    let bsdtar = tool("bsdtar")?;
    let path = to.join("x.box");
    write(package(provider, machine.clone()), &path, b"disk", 1);
    Some(bsdtar.text(args!["-xOf", &path, member]))
}

#[test]
fn hyperv_configurations_say_what_is_looked_up() {
    let Some(python) = tool("python3") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("box.xml");
    for machine in machines() {
        let Some(xml) = extract(Provider::HyperV, &machine, "Virtual Machines/box.xml", dir.path()) else {
            return;
        };
        fs::write(&path, &xml).unwrap();
        let efi = machine.firmware == Firmware::Efi;
        let (memory, secure) = (machine.memory, if machine.secure_boot { "True" } else { "False" });
        let expected = format!(
            "generation {}\nname {}\nboot HardDrive\nsecure {secure}\ncpus {}\ndynamic_memory_enabled False\n\
             limit {memory}\nsize {memory}\nreservation {memory}\ndrive {} 0\n",
            if efi { 2 } else { 1 },
            machine.name,
            machine.cpus,
            if efi { "SCSI" } else { "IDE" },
        );
        assert_eq!(python.text(args![&beside("hyperv_rules.py"), &path]), expected);
        // The checker notices a leaf without an attribute.
        fs::write(&path, xml.replace("<count type=\"integer\">", "<count>")).unwrap();
        assert!(python.text(args![&beside("hyperv_rules.py"), &path]).contains("cpus None"));
    }
}

#[test]
fn libvirt_metadata_rounds_up() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(Firmware::Bios);
    let Some(text) = extract(Provider::Libvirt, &machine, "metadata.json", dir.path()) else { return };
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "provider": "libvirt", "architecture": "amd64", "format": "qcow2", "virtual_size": 40,
    });
    assert_eq!(value, expected);
    let (path, Some(bsdtar)) = (dir.path().join("odd.box"), tool("bsdtar")) else { return };
    let odd = Package::new(Kind::Box(Provider::Libvirt), machine, CAPACITY + 512, TIME).unwrap();
    write(odd, &path, b"disk", 1);
    assert!(bsdtar.text(args!["-xOf", &path, "metadata.json"]).contains("\"virtual_size\": 41"));
}

#[test]
fn a_vmx_has_each_key_once() {
    let dir = tempfile::tempdir().unwrap();
    for machine in machines() {
        let Some(text) = extract(Provider::VMware, &machine, "box.vmx", dir.path()) else { return };
        let mut keys: Vec<&str> = Vec::new();
        for line in text.lines() {
            let (key, value) = line.split_once(" = ").unwrap();
            assert!(value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{line}");
            assert!(!value[1..value.len() - 1].contains('"'), "{line}");
            keys.push(key);
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(text.contains("firmware = \"efi\""), machine.firmware == Firmware::Efi);
        assert_eq!(text.contains("uefi.secureBoot.enabled = \"TRUE\""), machine.secure_boot);
        assert!(text.contains(":0.fileName = \"disk.vmdk\""));
        assert_eq!(text.contains("uuid.bios"), machine.hardware_uuid.is_some());
    }
}

/// Two machines from one recipe with other seeds are other machines; none has an id stamped unasked.
#[test]
fn identities_come_from_the_seed() {
    let dir = tempfile::tempdir().unwrap();
    let read = |seed: &[u8]| {
        let mut machine = machine(Firmware::Efi);
        machine.seed = Seed::new(seed);
        extract(Provider::VirtualBox, &machine, "box.ovf", dir.path())
    };
    let (Some(one), Some(two), Some(again)) = (read(b"1"), read(b"2"), read(b"1")) else { return };
    assert_ne!(one, two);
    assert_eq!(one, again);
    assert!(!one.contains("<Hardware uuid"));
}

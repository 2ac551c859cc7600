//! What Vagrant finds beside a disk: `metadata.json`, the `Vagrantfile`, and what describes the machine to its provider.
//!
//! Facts: research 6 (Vagrant 35f3160 and vagrant-libvirt a94ce0d, read). Ruby strings are quoted, not trusted.

pub mod catalog;
mod hyperv;
mod vmware;

pub(crate) use self::hyperv::configuration as hyperv_configuration;
pub(crate) use self::vmware::vmx;

use serde_json::json;

use crate::machine::{Controller, Firmware, Machine, Transport};

/// A provider of Vagrant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// VirtualBox.
    VirtualBox,
    /// Hyper-V.
    HyperV,
    /// libvirt and QEMU, through plugins.
    Libvirt,
    /// VMware Workstation and Fusion.
    VMware,
}

impl Provider {
    /// The word that Vagrant has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtualBox => "virtualbox",
            Self::HyperV => "hyperv",
            Self::Libvirt => "libvirt",
            Self::VMware => "vmware_desktop",
        }
    }
}

/// Pretty JSON with a line's end.
fn text(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("keys are strings");
    text.push('\n');
    text
}

/// `metadata.json`. `capacity` is the disk's size in bytes.
pub(crate) fn metadata(machine: &Machine, provider: Provider, capacity: u64) -> String {
    let mut value = json!({
        "provider": provider.name(),
        "architecture": machine.guest.architecture.go_name(),
    });
    if provider == Provider::Libvirt {
        // The plugin rounds up, too, and refuses a size that is smaller than the image's.
        value["format"] = json!("qcow2");
        value["virtual_size"] = json!(capacity.div_ceil(1 << 30));
    }
    text(&value)
}

/// A string of Ruby's that stands for nothing but itself.
fn ruby(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The `Vagrantfile`: how to talk to Windows, and what the provider cannot read elsewhere.
pub(crate) fn vagrantfile(machine: &Machine, provider: Provider) -> String {
    let mut lines = vec!["Vagrant.configure('2') do |config|".to_owned()];
    let mut line = |text: String| lines.push(format!("  {text}"));
    line("config.vm.guest = :windows".to_owned());
    line("config.vm.communicator = 'winrm'".to_owned());
    if matches!(provider, Provider::VirtualBox) {
        // Without, Vagrant gives every machine another address, and Windows sees a new network each time.
        line(format!("config.vm.base_mac = {}", ruby(&machine.mac_text())));
    }
    let remote = &machine.remote;
    match remote.transport {
        Transport::Negotiate => line("config.winrm.transport = :negotiate".to_owned()),
        Transport::Plaintext => {
            line("config.winrm.transport = :plaintext".to_owned());
            line("config.winrm.basic_auth_only = true".to_owned());
        }
        Transport::Ssl => {
            line("config.winrm.transport = :ssl".to_owned());
            line("config.winrm.ssl_peer_verification = false".to_owned());
        }
    }
    if let Some(user) = &remote.user {
        line(format!("config.winrm.username = {}", ruby(user)));
    }
    if let Some(password) = &remote.password {
        line(format!("config.winrm.password = {}", ruby(password)));
    }
    // Nano Server needs longer than Vagrant's ten minutes for nothing; a Windows that configures itself does.
    line("config.vm.boot_timeout = 1200".to_owned());
    // Vagrant's own ports for these; said here, because other versions of it had others, or none.
    for (id, guest, host) in [("winrm", 5985, 55_985), ("winrm-ssl", 5986, 55_986), ("rdp", 3389, 53_389)] {
        line(format!(
            "config.vm.network :forwarded_port, guest: {guest}, host: {host}, host_ip: '127.0.0.1', id: '{id}', \
             auto_correct: true"
        ));
    }
    for text in provider_lines(machine, provider) {
        line(text);
    }
    lines.push("end\n".to_owned());
    lines.join("\n")
}

/// What only the provider's block can say.
fn provider_lines(machine: &Machine, provider: Provider) -> Vec<String> {
    let mut inside = Vec::new();
    match provider {
        Provider::VirtualBox => {
            if let Some(id) = machine.hardware_uuid.filter(|_| machine.firmware == Firmware::Bios) {
                // In what describes an EFI machine there is a place for it.
                inside.push(format!("p.customize ['modifyvm', :id, '--hardwareuuid', '{id}']"));
            }
        }
        Provider::HyperV => {
            // Nano Server takes its time before its address can be seen.
            inside.push("p.ip_address_timeout = 240".to_owned());
        }
        Provider::Libvirt => {
            let bus = match machine.controller {
                Controller::Ide => "ide",
                Controller::Sata => "sata",
                Controller::LsiSas => "scsi",
            };
            inside.push("p.driver = 'kvm'".to_owned());
            inside.push(format!("p.disk_bus = '{bus}'"));
            inside.push("p.nic_model_type = 'e1000e'".to_owned());
            inside.push(format!("p.memory = {}", machine.memory));
            inside.push(format!("p.cpus = {}", machine.cpus));
            inside.push("p.clock_offset = 'localtime'".to_owned());
            if machine.firmware == Firmware::Efi {
                inside.push("p.loader = '/usr/share/OVMF/OVMF_CODE.fd'".to_owned());
                inside.push("p.machine_type = 'q35'".to_owned());
            } else if machine.controller == Controller::Sata {
                inside.push("p.machine_type = 'q35'".to_owned());
            }
            if let Some(id) = machine.hardware_uuid {
                inside.push(format!("p.uuid = '{id}'"));
            }
        }
        Provider::VMware => {}
    }
    if inside.is_empty() {
        return inside;
    }
    let mut lines = vec![format!("config.vm.provider '{}' do |p|", provider.name())];
    lines.extend(inside.into_iter().map(|line| format!("  {line}")));
    lines.push("end".to_owned());
    lines
}

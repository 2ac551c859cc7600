//! The `.vmx` of a box for VMware Workstation and Fusion.

use crate::machine::{Controller, Firmware, Machine};

/// A `.vmx` file that starts from `disk`, a VMDK beside it.
pub(crate) fn vmx(machine: &Machine, disk: &str) -> String {
    let (bus, device) = match machine.controller {
        Controller::Ide => ("ide0", None),
        Controller::Sata => ("sata0", None),
        Controller::LsiSas => ("scsi0", Some("lsisas1068")),
    };
    let mut keys: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: &str| keys.push((key.to_owned(), value.to_owned()));
    set(".encoding", "UTF-8");
    set("config.version", "8");
    set("virtualHW.version", &machine.guest.vmware_hardware().to_string());
    set("displayName", &machine.name);
    set("guestOS", &machine.guest.vmx());
    set("memsize", &machine.memory.to_string());
    set("numvcpus", &machine.cpus.to_string());
    // Where PCI Express devices find their place; without, the network adapter has none.
    set("pciBridge0.present", "TRUE");
    for bridge in 4..8 {
        set(&format!("pciBridge{bridge}.present"), "TRUE");
        set(&format!("pciBridge{bridge}.virtualDev"), "pcieRootPort");
        set(&format!("pciBridge{bridge}.functions"), "8");
    }
    if machine.firmware == Firmware::Efi {
        set("firmware", "efi");
        if machine.secure_boot {
            set("uefi.secureBoot.enabled", "TRUE");
        }
    }
    // IDE is always there.
    if machine.controller != Controller::Ide {
        set(&format!("{bus}.present"), "TRUE");
    }
    if let Some(device) = device {
        set(&format!("{bus}.virtualDev"), device);
    }
    set(&format!("{bus}:0.present"), "TRUE");
    set(&format!("{bus}:0.fileName"), disk);
    set("ethernet0.present", "TRUE");
    set("ethernet0.connectionType", "nat");
    set("ethernet0.virtualDev", "e1000e");
    set("ethernet0.addressType", "generated");
    // Vagrant's plugin asks for it when a machine has several.
    set("ethernet0.pciSlotNumber", "192");
    set("usb.present", "TRUE");
    set("hpet0.present", "TRUE");
    set("floppy0.present", "FALSE");
    set("tools.syncTime", "TRUE");
    set("powerType.powerOff", "soft");
    set("powerType.reset", "soft");
    set("msg.autoAnswer", "TRUE");
    // Copied, not moved: another identity for each machine.
    if let Some(id) = machine.hardware_uuid {
        let hex: Vec<String> = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
        set("uuid.bios", &format!("{}-{}", hex[..8].join(" "), hex[8..].join(" ")));
        set("uuid.action", "keep");
    } else {
        set("uuid.action", "create");
    }
    keys.into_iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect()
}

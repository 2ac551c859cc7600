//! The configuration of a Hyper-V machine as XML.
//!
//! Hyper-V itself reads `.vmcx`, which nobody outside Microsoft writes. For `.xml` Vagrant does not ask Hyper-V to import:
//! its PowerShell looks up a dozen elements and creates the machine with `New-VM` (read: Vagrant 35f3160,
//! `VagrantVM.psm1`). It takes `."#text"` of each, which PowerShell has only for elements with an attribute; real files
//! have `type` everywhere, so these do.

use crate::machine::{Firmware, Machine};
use crate::xml::Xml;

/// The path inside a real file: where the drive was on the machine that exported it. Vagrant looks whether it is there,
/// and uses a path of its own.
const EXPORTED: &str = "C:\\Hyper-V\\Virtual Hard Disks\\";

pub(crate) fn configuration(machine: &Machine, disk: &str) -> String {
    let mut xml = Xml::new("UTF-8");
    let string = [("type", "string")];
    let integer = [("type", "integer")];
    let boolean = [("type", "bool")];
    let efi = machine.firmware == Firmware::Efi;
    let truth = |value: bool| if value { "True" } else { "False" };
    let memory = machine.memory.to_string();
    xml.element("configuration", &[], |xml| {
        xml.element("properties", &[], |xml| {
            xml.leaf("name", &string, &machine.name);
            // Generation 1 or 2, counted from 0.
            xml.leaf("subtype", &integer, if efi { "1" } else { "0" });
            xml.leaf("type_id", &string, "Virtual Machines");
        });
        xml.element("settings", &[], |xml| {
            xml.element("memory", &[], |xml| {
                xml.element("bank", &[], |xml| {
                    xml.leaf("dynamic_memory_enabled", &boolean, "False");
                    xml.leaf("limit", &integer, &memory);
                    xml.leaf("reservation", &integer, &memory);
                    xml.leaf("size", &integer, &memory);
                });
            });
            xml.element("processors", &[], |xml| {
                xml.leaf("count", &integer, &machine.cpus.to_string());
            });
        });
        xml.element("bios", &[], |xml| {
            xml.element("boot", &[], |xml| xml.leaf("device0", &string, "HardDrive"));
            xml.leaf("secure_boot_enabled", &boolean, truth(machine.secure_boot));
            xml.leaf("secure_boot_template", &string, "MicrosoftWindows");
        });
        // The class of the device, as real files name the element. SCSI is told from IDE by the channel.
        let device = if efi {
            "_d422512d-2bf2-4752-809d-7b82b5fcb1b4_"
        } else {
            "_83f8638b-8dca-4152-9eda-2ca8b33039b4_"
        };
        xml.element(device, &[], |xml| {
            if efi {
                let channel = machine.seed.guid("hyper-v channel").to_string();
                xml.leaf("ChannelInstanceGuid", &string, &format!("{{{channel}}}"));
            }
            xml.element("controller0", &[], |xml| {
                xml.element("drive0", &[], |xml| {
                    xml.leaf("pathname", &string, &format!("{EXPORTED}{disk}"));
                    xml.leaf("type", &string, "VHD");
                });
            });
        });
    });
    xml.finish()
}

//! The OVF descriptor: one that VMware and VirtualBox both take.
//!
//! Each reads a part. VMware takes the operating system from `vmw:osType` and the firmware from `vmw:Config`. VirtualBox
//! takes the former from `vbox:OSType`, and has no word for the firmware in plain OVF: a machine that starts by EFI carries
//! its whole VirtualBox configuration in `vbox:Machine`, from which VirtualBox then takes everything. A BIOS machine does
//! without, since what is not said there cannot be wrong. (Research 7.2 and 7.3: VirtualBox 7.0.10, `ovfreader.cpp` and
//! `ApplianceImplImport.cpp`; osbuild, `org.osbuild.ovf`, for a descriptor that is used with both.)
//!
//! `vbox:Machine` is the one part that the DMTF's schema has no place for; VirtualBox's own exports have it there, too, and
//! it looks nowhere else.

use disk::Guid;

use crate::machine::{Controller, Firmware, Machine};
use crate::xml::Xml;

const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/1";
const RASD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData";
const VSSD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData";
/// What `format` says of the disk (observed: every descriptor of VMware's tools and VirtualBox).
const STREAM_OPTIMIZED: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// Whose words decide where both cannot have theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// VMware's hardware, which VirtualBox takes, too.
    VMware,
    /// VirtualBox's alone.
    VirtualBox,
}

/// The disk that a descriptor describes: a streamOptimized VMDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskReference<'a> {
    /// The file's name, beside the descriptor.
    pub href: &'a str,
    /// The disk's size in bytes.
    pub capacity: u64,
    /// The file's size in bytes. It has to be true: importers stop where it ends (coreos-assembler 1141).
    pub file_size: u64,
    /// The id by which VirtualBox joins the disk with the machine.
    pub uuid: Guid,
}

/// Instances of hardware, by which items name one another.
const CPU: &str = "1";
const MEMORY: &str = "2";
const CONTROLLER: &str = "3";
const DISK: &str = "4";
const NIC: &str = "5";

/// The descriptor of a machine with one disk and one network adapter.
pub fn descriptor(machine: &Machine, disk: &DiskReference<'_>, family: Family) -> String {
    let mut xml = Xml::new("UTF-8");
    let namespaces = [
        // VirtualBox 7.0 takes a descriptor without a version for 1.0, too; its own say so.
        ("ovf:version", "1.0"),
        ("xml:lang", "en-US"),
        ("xmlns", OVF),
        ("xmlns:ovf", OVF),
        ("xmlns:rasd", RASD),
        ("xmlns:vssd", VSSD),
        ("xmlns:vmw", "http://www.vmware.com/schema/ovf"),
        ("xmlns:vbox", "http://www.virtualbox.org/ovf/machine"),
        ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
    ];
    let uuid = disk.uuid.to_string();
    xml.element("Envelope", &namespaces, |xml| {
        let size = disk.file_size.to_string();
        xml.element("References", &[], |xml| {
            xml.empty("File", &[("ovf:id", "file1"), ("ovf:href", disk.href), ("ovf:size", &size)]);
        });
        xml.element("DiskSection", &[], |xml| {
            xml.leaf("Info", &[], "Virtual disks");
            let attributes = [
                ("ovf:diskId", "vmdisk1"),
                ("ovf:fileRef", "file1"),
                ("ovf:capacity", &disk.capacity.to_string()),
                ("ovf:capacityAllocationUnits", "byte"),
                ("ovf:format", STREAM_OPTIMIZED),
                ("vbox:uuid", &uuid),
            ];
            xml.empty("Disk", &attributes);
        });
        xml.element("NetworkSection", &[], |xml| {
            xml.leaf("Info", &[], "Networks");
            // VirtualBox makes a bridge of every name that it does not know.
            xml.element("Network", &[("ovf:name", "NAT")], |xml| {
                xml.leaf("Description", &[], "Address translation by the host");
            });
        });
        xml.element("VirtualSystem", &[("ovf:id", &machine.name)], |xml| {
            xml.leaf("Info", &[], "A virtual machine");
            xml.leaf("Name", &[], &machine.name);
            operating_system(xml, machine);
            hardware(xml, machine, family);
            if machine.firmware == Firmware::Efi {
                virtualbox_machine(xml, machine, &uuid);
            }
        });
    });
    xml.finish()
}

fn operating_system(xml: &mut Xml, machine: &Machine) {
    let guest = machine.guest;
    let attributes = [("ovf:id", &*guest.cim().to_string()), ("vmw:osType", &guest.vmware())];
    xml.element("OperatingSystemSection", &attributes, |xml| {
        xml.leaf("Info", &[], "The guest's operating system");
        xml.leaf("Description", &[], &guest.describe());
        xml.leaf("vbox:OSType", &[("ovf:required", "false")], &guest.virtualbox());
    });
}

/// An `Item`: its properties in the order of the schema, which is the alphabet's.
fn item(xml: &mut Xml, properties: &[(&str, &str)]) {
    debug_assert!(properties.is_sorted(), "{properties:?}");
    xml.element("Item", &[], |xml| {
        for (name, value) in properties {
            xml.leaf(&format!("rasd:{name}"), &[], value);
        }
    });
}

fn hardware(xml: &mut Xml, machine: &Machine, family: Family) {
    xml.element("VirtualHardwareSection", &[], |xml| {
        xml.leaf("Info", &[], "Virtual hardware");
        xml.element("System", &[], |xml| {
            xml.leaf("vssd:ElementName", &[], "Virtual Hardware Family");
            xml.leaf("vssd:InstanceID", &[], "0");
            xml.leaf("vssd:VirtualSystemIdentifier", &[], &machine.name);
            let kind = match family {
                Family::VMware => format!("vmx-{}", machine.guest.vmware_hardware()),
                Family::VirtualBox => "virtualbox-2.2".to_owned(),
            };
            xml.leaf("vssd:VirtualSystemType", &[], &kind);
        });
        let cpus = machine.cpus.to_string();
        item(
            xml,
            &[
                ("AllocationUnits", "hertz * 10^6"),
                ("Description", "Number of virtual CPUs"),
                ("ElementName", &format!("{cpus} virtual CPU(s)")),
                ("InstanceID", CPU),
                ("ResourceType", "3"),
                ("VirtualQuantity", &cpus),
            ],
        );
        let memory = machine.memory.to_string();
        item(
            xml,
            &[
                ("AllocationUnits", "byte * 2^20"),
                ("Description", "Memory size"),
                ("ElementName", &format!("{memory} MB of memory")),
                ("InstanceID", MEMORY),
                ("ResourceType", "4"),
                ("VirtualQuantity", &memory),
            ],
        );
        controller(xml, machine.controller);
        item(
            xml,
            &[
                ("AddressOnParent", "0"),
                ("ElementName", "Hard disk 1"),
                ("HostResource", "ovf:/disk/vmdisk1"),
                ("InstanceID", DISK),
                ("Parent", CONTROLLER),
                ("ResourceType", "17"),
            ],
        );
        // VirtualBox has no E1000e; asked for it, it takes the guest's default.
        let adapter = if family == Family::VMware { "E1000e" } else { "E1000" };
        item(
            xml,
            &[
                ("AddressOnParent", "1"),
                ("AutomaticAllocation", "true"),
                ("Connection", "NAT"),
                ("ElementName", "Network adapter 1"),
                ("InstanceID", NIC),
                ("ResourceSubType", adapter),
                ("ResourceType", "10"),
            ],
        );
        if family == Family::VMware {
            let mut config = |key, value| {
                xml.empty("vmw:Config", &[("ovf:required", "false"), ("vmw:key", key), ("vmw:value", value)]);
            };
            if machine.firmware == Firmware::Efi {
                config("firmware", "efi");
                config(
                    "bootOptions.efiSecureBootEnabled",
                    if machine.secure_boot { "true" } else { "false" },
                );
            } else {
                config("firmware", "bios");
            }
        }
    });
}

fn controller(xml: &mut Xml, controller: Controller) {
    let (name, subtype, kind) = match controller {
        Controller::Ide => ("IDE controller 0", "PIIX4", "5"),
        // Both take VMware's word.
        Controller::Sata => ("SATA controller 0", "vmware.sata.ahci", "20"),
        Controller::LsiSas => ("SCSI controller 0", "lsilogicsas", "6"),
    };
    item(
        xml,
        &[
            ("Address", "0"),
            ("Description", name),
            ("ElementName", name),
            ("InstanceID", CONTROLLER),
            ("ResourceSubType", subtype),
            ("ResourceType", kind),
        ],
    );
}

/// The machine in VirtualBox's own words. Settings version 1.16 is that of VirtualBox 6.0, and read by all since.
fn virtualbox_machine(xml: &mut Xml, machine: &Machine, disk: &str) {
    let braced = |id: &str| format!("{{{id}}}");
    let id = braced(&machine.seed.guid("virtualbox machine").to_string());
    let disk = braced(disk);
    let attributes = [
        ("ovf:required", "false"),
        ("version", "1.16-linux"),
        ("uuid", &id),
        ("name", &machine.name),
        ("OSType", &machine.guest.virtualbox()),
        ("snapshotFolder", "Snapshots"),
    ];
    xml.element("vbox:Machine", &attributes, |xml| {
        xml.leaf("ovf:Info", &[], "Complete VirtualBox machine configuration in VirtualBox format");
        let hardware_id = machine.hardware_uuid.map(|id| braced(&id.to_string()));
        let attributes: Vec<(&str, &str)> = hardware_id.iter().map(|id| ("uuid", &**id)).collect();
        xml.element("Hardware", &attributes, |xml| {
            xml.element("CPU", &[("count", &machine.cpus.to_string())], |xml| {
                xml.empty("PAE", &[("enabled", "true")]);
                xml.empty("LongMode", &[("enabled", "true")]);
                xml.empty("X2APIC", &[("enabled", "true")]);
            });
            xml.empty("Memory", &[("RAMSize", &machine.memory.to_string())]);
            xml.empty("Firmware", &[("type", "EFI")]);
            // Windows takes its time from Hyper-V's interface where there is one.
            xml.empty("Paravirt", &[("provider", "Default")]);
            xml.element("Boot", &[], |xml| {
                for (position, device) in [("1", "HardDisk"), ("2", "DVD"), ("3", "None"), ("4", "None")] {
                    xml.empty("Order", &[("position", position), ("device", device)]);
                }
            });
            xml.empty("Display", &[("controller", "VBoxSVGA"), ("VRAMSize", "128")]);
            xml.element("BIOS", &[], |xml| {
                xml.empty("IOAPIC", &[("enabled", "true")]);
                xml.empty("SmbiosUuidLittleEndian", &[("enabled", "true")]);
            });
            xml.element("Network", &[], |xml| {
                // packer finds the address by a regular expression that wants the slot first.
                let attributes = [
                    ("slot", "0"),
                    ("enabled", "true"),
                    ("MACAddress", &*machine.mac_text()),
                    ("type", "82540EM"),
                ];
                xml.element("Adapter", &attributes, |xml| xml.empty("NAT", &[]));
            });
            // Windows keeps the clock in local time.
            xml.empty("RTC", &[("localOrUTC", "local")]);
        });
        let (name, kind, ports) = match machine.controller {
            Controller::Ide => ("IDE", "PIIX4", "2"),
            Controller::Sata => ("SATA", "AHCI", "1"),
            Controller::LsiSas => ("SAS", "LsiLogicSas", "1"),
        };
        xml.element("StorageControllers", &[], |xml| {
            let attributes = [
                ("name", name),
                ("type", kind),
                ("PortCount", ports),
                ("useHostIOCache", "false"),
                ("Bootable", "true"),
            ];
            xml.element("StorageController", &attributes, |xml| {
                let attributes =
                    [("type", "HardDisk"), ("hotpluggable", "false"), ("port", "0"), ("device", "0")];
                xml.element("AttachedDevice", &attributes, |xml| xml.empty("Image", &[("uuid", &disk)]));
            });
        });
    });
}

/// A line of a manifest. Consumers want exactly this: no space before the bracket (research 7.1: Home Assistant OS 826,
/// 1674).
pub fn manifest_line(name: &str, sha256: &[u8; 32]) -> String {
    format!("SHA256({name})= {}\n", disk::hex(sha256))
}

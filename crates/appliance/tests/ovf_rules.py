"""Reads an OVF descriptor as VirtualBox 7.0 does (research/containers.md, 7.2), written again from those facts.

Fails on what VirtualBox refuses; prints what it would make of the machine.
"""

import sys
import xml.etree.ElementTree as xml

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
VSSD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData}"
VMW = "{http://www.vmware.com/schema/ovf}"
VBOX = "{http://www.virtualbox.org/ovf/machine}"

envelope = xml.parse(sys.argv[1]).getroot()
assert envelope.tag == OVF + "Envelope"

files = {file.get(OVF + "id"): file for file in envelope.findall(f"{OVF}References/{OVF}File")}
disks = {}
for disk in envelope.findall(f"{OVF}DiskSection/{OVF}Disk"):
    assert disk.get(OVF + "format").endswith("vmdk.html#streamOptimized"), "only this VMDK is taken"
    assert int(disk.get(OVF + "capacity")) > 0
    assert disk.get(OVF + "capacityAllocationUnits") in (None, "byte"), "VirtualBox ignores units"
    disks["ovf:/disk/" + disk.get(OVF + "diskId")] = disk
    assert disk.get(OVF + "fileRef") in files
networks = {network.get(OVF + "name") for network in envelope.findall(f"{OVF}NetworkSection/{OVF}Network")}

[system] = envelope.findall(OVF + "VirtualSystem")
name = system.get(OVF + "id")
assert "," not in name, "Vagrant splits lines of VBoxManage at commas"
[os] = system.findall(OVF + "OperatingSystemSection")
int(os.get(OVF + "id"))
[hardware] = system.findall(OVF + "VirtualHardwareSection")
assert hardware.find(f"{OVF}System/{VSSD}VirtualSystemType") is not None

controllers, seen, machine = {}, set(), {}
for item in hardware.findall(OVF + "Item"):
    get = lambda key: item.findtext(RASD + key)
    assert get("ElementName"), "ovftool wants a name for every item"
    number, kind = get("InstanceID"), int(get("ResourceType"))
    assert number not in seen
    seen.add(number)
    # The schema's order is the alphabet's.
    keys = [child.tag for child in item]
    assert keys == sorted(keys), keys
    if kind == 3:
        machine["cpus"] = int(get("VirtualQuantity"))
    elif kind == 4:
        assert get("AllocationUnits") in ("MegaBytes", "MB", "byte * 2^20")
        machine["memory"] = int(get("VirtualQuantity"))
    elif kind in (5, 6, 20):
        allowed = {
            5: ("", "PIIX3", "PIIX4", "ICH6"),
            6: ("lsilogic", "LsiLogic", "lsilogicsas", "BusLogic"),
            20: ("AHCI", "vmware.sata.ahci"),
        }
        assert get("ResourceSubType") in allowed[kind]
        controllers[number] = {5: "ide", 6: "scsi", 20: "sata"}[kind]
    elif kind == 10:
        assert get("Connection") in networks
        assert get("Connection") == "NAT", "Vagrant wants NAT on the first adapter"
        machine["nic"] = get("ResourceSubType")
    elif kind == 17:
        disk = disks[get("HostResource")]
        assert int(get("AddressOnParent")) >= 0
        machine["controller"] = controllers[get("Parent")]
        machine["disk"] = files[disk.get(OVF + "fileRef")].get(OVF + "href")
        machine["size"] = files[disk.get(OVF + "fileRef")].get(OVF + "size")
    else:
        assert item.get(OVF + "required") == "false", f"type {kind} is not known"

machine["firmware"] = "bios"
for settings in system.findall(VBOX + "Machine"):
    assert settings.get("uuid").startswith("{") and settings.get("name")
    inner = settings.find(OVF + "Hardware")
    assert inner is not None, "the hardware is mandatory"
    assert int(inner.find(OVF + "Memory").get("RAMSize")) == machine["memory"]
    assert int(inner.find(OVF + "CPU").get("count")) == machine["cpus"]
    machine["firmware"] = inner.find(OVF + "Firmware").get("type").lower()
    # packer's expression wants the slot first, and Vagrant the address.
    adapter = inner.find(f"{OVF}Network/{OVF}Adapter")
    assert list(adapter.keys())[0] == "slot" and adapter.get("slot") == "0"
    assert adapter.find(OVF + "NAT") is not None
    machine["mac"] = adapter.get("MACAddress")
    [image] = settings.findall(f".//{OVF}AttachedDevice/{OVF}Image")
    [disk] = disks.values()
    assert image.get("uuid") == "{" + disk.get(VBOX + "uuid") + "}", "disks are joined by their ids"
    assert settings.get("OSType") == os.findtext(VBOX + "OSType")

print(name, os.get(OVF + "id"), os.get(VMW + "osType"), os.findtext(VBOX + "OSType"))
print(" ".join(f"{key}={machine[key]}" for key in sorted(machine)))

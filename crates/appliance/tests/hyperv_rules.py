"""Looks up in a box's XML what Vagrant's VagrantVM.psm1 (35f3160) looks up, as PowerShell would, and prints it.

PowerShell gives an element without attributes and with text alone as a string, and strings have no "#text": the value
is null then. That is why every leaf needs an attribute.
"""

import re
import sys
import xml.etree.ElementTree as xml


def text(node, *path):
    for name in path:
        node = None if node is None else node.find(name)
    if node is None or not node.attrib:
        return None
    return node.text


root = xml.parse(sys.argv[1]).getroot()
assert root.tag == "configuration"
memory = root.find(".//memory/bank")
generation = int(text(root, "properties", "subtype")) + 1
print("generation", generation)
print("name", text(root, "properties", "name"))
print("boot", text(root.find(".//boot"), "device0"))
print("secure", text(root.find("."), "bios", "secure_boot_enabled"))
print("cpus", text(root, "settings", "processors", "count"))
for key in ("dynamic_memory_enabled", "limit", "size", "reservation"):
    print(key, text(memory, key))
parents = {child: parent for parent in root.iter() for child in parent}
for controller in root.iter():
    if not controller.tag.startswith("controller"):
        continue
    number = re.search(r"\d", controller.tag).group()
    kind = "SCSI" if parents[controller].find("ChannelInstanceGuid") is not None else "IDE"
    for drive in controller:
        if text(drive, "pathname") and text(drive, "type") == "VHD":
            print("drive", kind, number)

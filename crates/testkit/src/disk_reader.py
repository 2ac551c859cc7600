# Usage: disk_reader.py READER FORMAT RANGES DISK [PARENT...]
# Prints the size of the disk that READER finds in the file, then the SHA-1 of each range of it ("0-" is all of it). Parents
# of a differencing disk come nearest first.
import hashlib
import sys

reader, kind, ranges, *paths = sys.argv[1:]


def libyal(paths):
    if kind in ("vhd", "vhdx"):
        import pyvhdi

        disk = pyvhdi.file()
        disk.open(paths[0])
        if len(paths) > 1:
            disk.set_parent(libyal(paths[1:]))
    elif kind == "vmdk":
        import pyvmdk

        disk = pyvmdk.handle()
        disk.open(paths[0])
        disk.open_extent_data_files()
    elif kind == "qcow2":
        import pyqcow

        disk = pyqcow.file()
        disk.open(paths[0])
        if len(paths) > 1:
            disk.set_parent(libyal(paths[1:]))
    return disk


class Sectors:
    """dissect's VMDK without its buffer, which reads past the end of disks whose size is no multiple of it."""

    def __init__(self, disk):
        self.disk, self.size, self.position = disk, disk.size, 0

    def seek(self, position):
        self.position = position

    def read(self, length):
        end = min(self.position + length, self.size)
        first, last = self.position // 512, (end + 511) // 512
        data = self.disk.read_sectors(first, last - first)[self.position - first * 512 :][: end - self.position]
        self.position = end
        return data


def dissect(paths):
    from pathlib import Path

    if kind == "vhd":
        from dissect.hypervisor.disk.vhd import VHD

        return VHD(open(paths[0], "rb"))
    if kind == "vhdx":
        from dissect.hypervisor.disk.vhdx import VHDX

        # By path, it looks for the parent itself.
        return VHDX(Path(paths[0]) if len(paths) > 1 else open(paths[0], "rb"))
    if kind == "vmdk":
        from dissect.hypervisor.disk.vmdk import VMDK

        return Sectors(VMDK(Path(paths[0])))
    if kind == "vdi":
        from dissect.hypervisor.disk.vdi import VDI

        disk = VDI(open(paths[0], "rb"))
        return disk.open() if hasattr(disk, "open") else disk
    if kind == "qcow2":
        from dissect.hypervisor.disk.qcow2 import QCow2

        disk = QCow2(Path(paths[0]))
        return disk.open() if hasattr(disk, "open") else disk


disk = {"libyal": libyal, "dissect": dissect}[reader](paths)
if reader == "libyal":
    size = disk.get_media_size()
else:
    size = disk.size
print(size)
for part in ranges.split(","):
    start, end = part.split("-")
    position, end = int(start), int(end or size)
    digest = hashlib.sha1()
    while position < end:
        disk.seek(position)
        # dissect reads wrong across blocks of a VHDX, which are whole MiB.
        data = disk.read(min(end - position, (1 << 20) - position % (1 << 20)))
        if not data:
            sys.exit(f"nothing to read at {position:#x}")
        digest.update(data)
        position += len(data)
    print(digest.hexdigest())

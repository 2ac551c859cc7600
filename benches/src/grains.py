"""Inflates every grain of a streamOptimized VMDK and compares it with the raw disk.

usage: grains.py DISK.vmdk DISK.raw

Nothing here is wimforge's: the format is read from VMware's "Virtual Disk Format 5.0", front to back as a stream and
again through the directory that the footer names (qemu's files have their directory in front and are no streams: theirs
through the directory alone). Every grain is inflated by the zlib that Python is linked with and, where the machine has
it, by libdeflate. What no grain covers has to be zero in the raw disk. Prints one line of JSON; ends with status 1 and a
reason when anything is wrong.
"""

import ctypes
import json
import mmap
import os
import struct
import sys
import zlib

SECTOR = 512
DIRECTORY_AT_END = (1 << 64) - 1
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")


def fail(reason):
    print(reason, file=sys.stderr)
    sys.exit(1)


class Libdeflate:
    """libdeflate's decompressor, through ctypes."""

    def __init__(self, library):
        self.library = library
        library.libdeflate_alloc_decompressor.restype = ctypes.c_void_p
        library.libdeflate_zlib_decompress.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_size_t)]
        self.state = library.libdeflate_alloc_decompressor()

    @classmethod
    def find(cls):
        try:
            return cls(ctypes.CDLL("libdeflate.so.0"))
        except OSError:
            return None

    def inflate(self, data, size):
        out = ctypes.create_string_buffer(size)
        actual = ctypes.c_size_t()
        status = self.library.libdeflate_zlib_decompress(
            self.state, data, len(data), out, size, ctypes.byref(actual))
        if status != 0 or actual.value != size:
            return None
        return out.raw


def header(data, at):
    (magic, version, flags, capacity, grain, descriptor, descriptor_size, entries, _, directory, overhead, _, ends,
     algorithm) = HEADER.unpack_from(data, at)
    if magic != b"KDMV" or version != 3:
        fail(f"header at {at:#x}: magic {magic}, version {version}")
    if ends != b"\n \r\n" or algorithm != 1 or flags & 0x30001 != 0x30001:
        fail(f"header at {at:#x}: line ends {ends}, algorithm {algorithm}, flags {flags:#x}")
    return {"capacity": capacity, "grain": grain, "entries": entries, "directory": directory, "overhead": overhead,
            "descriptor": (descriptor, descriptor_size)}


def stream(vmdk, head):
    """Yields (sector of the record, LBA, compressed bytes) in the order of the file, and ends at the end of stream."""
    at, last = head["overhead"] * SECTOR, -1
    while True:
        if at + SECTOR > len(vmdk):
            fail("the stream has no end marker")
        value, size, kind = struct.unpack_from("<QII", vmdk, at)
        if size:
            if value <= last:
                fail(f"grain at {at:#x}: LBA {value} after {last}")
            end = at + 12 + size
            if end > len(vmdk):
                fail(f"grain at {at:#x} ends past the file")
            yield at // SECTOR, value, vmdk[at + 12:end]
            padded = -(-end // SECTOR) * SECTOR
            if vmdk[end:padded].count(0) != padded - end:
                fail(f"grain at {at:#x}: padding is not zero")
            last, at = value, padded
        elif kind == 0:
            if value or at + SECTOR != len(vmdk):
                fail(f"end marker at {at:#x} of a file of {len(vmdk):#x} bytes")
            return
        elif kind in (1, 2, 3):
            at += SECTOR + value * SECTOR
        else:
            fail(f"marker at {at:#x} of unknown kind {kind}")


def listed(vmdk, in_tables):
    """The same from the tables alone."""
    for lba, sector in sorted(in_tables.items()):
        at = sector * SECTOR
        value, size = struct.unpack_from("<QI", vmdk, at)
        if value != lba or not 0 < size <= len(vmdk) - at - 12:
            fail(f"grain at {at:#x}: LBA {value} and {size} bytes, LBA {lba} in the tables")
        yield sector, lba, vmdk[at + 12:at + 12 + size]


def tables(vmdk, head):
    """LBA -> sector of its record, from the directory of the header, or of the footer when that has none."""
    at_end = head["directory"] == DIRECTORY_AT_END
    footer = header(vmdk, len(vmdk) - 2 * SECTOR) if at_end else head
    grain, entries = footer["grain"], footer["entries"]
    count = -(-footer["capacity"] // (grain * entries))
    found = {}
    for index, table in enumerate(struct.unpack_from(f"<{count}I", vmdk, footer["directory"] * SECTOR)):
        if table:
            for entry, sector in enumerate(struct.unpack_from(f"<{entries}I", vmdk, table * SECTOR)):
                if sector:
                    found[(index * entries + entry) * grain] = sector
    return found


def zero(raw, file, start, end):
    """Whether the raw disk is zero there; holes are."""
    while start < end:
        try:
            start = os.lseek(file, start, os.SEEK_DATA)
        except OSError:
            return True
        if start >= end:
            return True
        stop = min(end, os.lseek(file, start, os.SEEK_HOLE))
        while start < stop:
            step = min(stop - start, 1 << 20)
            if raw[start:start + step].count(0) != step:
                return False
            start += step
    return True


def main(vmdk_path, raw_path):
    libdeflate = Libdeflate.find()
    with open(vmdk_path, "rb") as vmdk_file, open(raw_path, "rb") as raw_file:
        vmdk = mmap.mmap(vmdk_file.fileno(), 0, access=mmap.ACCESS_READ)
        raw = mmap.mmap(raw_file.fileno(), 0, access=mmap.ACCESS_READ)
        head = header(vmdk, 0)
        capacity, grain = head["capacity"] * SECTOR, head["grain"] * SECTOR
        if capacity != len(raw):
            fail(f"the VMDK is a disk of {capacity:#x} bytes, the raw disk has {len(raw):#x}")
        in_tables = tables(vmdk, head)
        streamed = head["directory"] == DIRECTORY_AT_END
        records = stream(vmdk, head) if streamed else listed(vmdk, dict(in_tables))
        grains, compressed, covered = 0, 0, 0
        for sector, lba, data in records:
            start = lba * SECTOR
            size = min(grain, capacity - start)
            if lba % head["grain"] or size <= 0:
                fail(f"grain of LBA {lba}: not a grain of this disk")
            if in_tables.pop(lba, None) != sector:
                fail(f"grain of LBA {lba}: the tables do not point at its record")
            if not zero(raw, raw_file.fileno(), covered, start):
                fail(f"no grain covers something of {covered:#x}..{start:#x} that is not zero")
            covered = start + size
            meant = raw[start:covered]
            inflater = zlib.decompressobj()
            try:
                found = inflater.decompress(data, grain + 1)
            except zlib.error as error:
                fail(f"grain of LBA {lba}: zlib: {error}")
            if not inflater.eof or inflater.unused_data:
                fail(f"grain of LBA {lba}: zlib wants other than its {len(data)} bytes")
            # The last grain of a disk may be shorter, or padded with zeros.
            if len(found) not in (size, grain) or found[:size] != meant or any(found[size:]):
                fail(f"grain of LBA {lba} inflates to other than the raw disk")
            if libdeflate and libdeflate.inflate(data, len(found)) != found:
                fail(f"grain of LBA {lba}: libdeflate does not agree with zlib")
            grains += 1
            compressed += len(data)
        if not zero(raw, raw_file.fileno(), covered, capacity):
            fail(f"no grain covers something after {covered:#x} that is not zero")
        if in_tables:
            fail(f"{len(in_tables)} table entries without a grain, the first for LBA {min(in_tables)}")
    print(json.dumps({
        "grains": grains, "compressed": compressed, "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "libdeflate": libdeflate is not None}))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])

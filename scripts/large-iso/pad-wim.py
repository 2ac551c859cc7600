#!/usr/bin/env python3
"""Copies a WIM and moves its blob table and XML data past 4 GiB; between lies a hole, so it takes no room.

    pad-wim.py IN.wim OUT.wim [SIZE]

What reads the result has to reach past 4 GiB. The integrity table, which would cover the hole, is left out.
"""
import struct
import sys

HEADER = 208
BLOB_TABLE, XML, INTEGRITY = 0x30, 0x48, 0x7C


def main(source, target, size=(4 << 30) + (300 << 20)):
    with open(source, "rb") as file:
        wim = bytearray(file.read())
    with open(target, "wb") as out:
        out.write(wim)
        out.seek(int(size))
        for header in (BLOB_TABLE, XML):
            flags_and_size, offset = struct.unpack_from("<QQ", wim, header)
            length = flags_and_size & (1 << 56) - 1
            struct.pack_into("<Q", wim, header + 8, out.tell())
            out.write(wim[offset:offset + length])
        wim[INTEGRITY:INTEGRITY + 24] = bytes(24)
        out.seek(0)
        out.write(wim[:HEADER])


main(*sys.argv[1:])

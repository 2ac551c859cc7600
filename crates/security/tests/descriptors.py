"""Reads lines of 'descriptor|descriptor written again|SDDL', and prints what Samba understands of the first.

What Samba understands of the other two has to be the same. The last line is the number of texts that were compared.
"""
import re
import sys

from samba.dcerpc import security
from samba.ndr import ndr_unpack

WORDS = {
    "FA": "0x1f01ff", "FR": "0x120089", "FW": "0x120116", "FX": "0x1200a0", "KA": "0xf003f", "KR": "0x20019",
    "KW": "0x20006",
}
# Types of entries that are a mask and an identity.
PLAIN = (0, 1, 2, 3, 0x11, 0x13)
DOMAIN = security.dom_sid("S-1-5-21-1-2-3")


def entries(acl):
    if acl is None:
        return "None"
    return "".join(
        "(%d,%d,%d,%s)" % (a.type, a.flags, a.access_mask & 0xFFFFFFFF, a.trustee if a.type in PLAIN else "?")
        for a in acl.aces
    )


def dump(d):
    return " ".join(str(part) for part in (d.type, d.owner_sid, d.group_sid, entries(d.dacl), entries(d.sacl)))


texts = 0
for line in open(sys.argv[1], encoding="utf-8"):
    binary, again, text = line.rstrip("\n").split("|")
    read = ndr_unpack(security.descriptor, bytes.fromhex(binary))
    assert dump(read) == dump(ndr_unpack(security.descriptor, bytes.fromhex(again))), binary
    # Samba 4.17 has no words for rights of keys nor for labels, and its words for rights of files mean less.
    for right, number in WORDS.items():
        text = re.sub(r"\((\w*;\w*);%s;" % right, r"(\1;%s;" % number, text)
    if text and "(ML;" not in text:
        texts += 1
        worded = security.descriptor.from_sddl(text, DOMAIN)
        parts = lambda d: (str(d.owner_sid), str(d.group_sid), entries(d.dacl), entries(d.sacl))
        both = [part.replace(")(", ") (").split() for d in (worded, read) for part in parts(d)]
        different = [(a, b) for w, r in zip(both[:4], both[4:]) for a, b in zip(w, r) if a != b]
        assert parts(worded) == parts(read), (text, different)
    print(dump(read))
print(texts)

# Prints keys of a registry hive as python-registry finds them. Arguments: the hive, paths of keys. For each path a line
# `K` and whether it is there, then its security descriptor (`D`), subkeys (`S`) and values (`V`: name, type, data), in
# the order of the hive; text as hexadecimal UTF-8, bytes as hexadecimal digits.
import sys

from Registry import RegistryParse


def text(name):
    return name.encode('utf-8', 'replace').hex() or '-'


def find(nk, path):
    for part in filter(None, path.split('\\')):
        keys = nk.subkey_list().keys() if nk.subkey_number() else []
        nk = next((key for key in keys if key.name().lower() == part.lower()), None)
        if nk is None:
            return None
    return nk


with open(sys.argv[1], 'rb') as file:
    header = RegistryParse.REGFBlock(file.read(), 0, False)
for path in sys.argv[2:]:
    nk = find(header.first_key(), path)
    print('K', 'absent' if nk is None else 'present')
    if nk is None:
        continue
    sk = nk.sk_record()
    print('D', bytes(sk.unpack_binary(0x14, sk.unpack_dword(0x10))).hex())
    for key in nk.subkey_list().keys() if nk.subkey_number() else []:
        print('S', text(key.name()))
    for vk in nk.values_list().values() if nk.values_number() else []:
        name = vk.name() if vk.has_name() else ''
        # Data in the record itself: the highest bit says so.
        data = bytes(vk.raw_data())[:vk.raw_data_length() & 0x7FFFFFFF]
        print('V', text(name), vk.unpack_dword(0xC), data.hex() or '-')

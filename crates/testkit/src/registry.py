# Prints all that a reader finds in a registry hive: a line for each key, in the order of the hive, and for each value.
# Arguments: the reader (regipy or python-registry), the hive. Names and class names are printed as hexadecimal UTF-16,
# data as SHA-1, security descriptors as SHA-1 where the reader has them.
import hashlib
import struct
import sys


def text(name):
    return name.encode('utf-16-le', 'surrogatepass').hex()


def sha1(data):
    return hashlib.sha1(bytes(data)).hexdigest()


def key(depth, name, ticks, klass, security):
    print('K', depth, text(name), ticks, text(klass), security)


def value(name, kind, data):
    print('V', text(name), kind, len(data), sha1(data))


def with_regipy(path):
    from regipy.registry import NKRecord, REGF_HEADER_SIZE, RegistryHive, VALUE_KEY

    hive = RegistryHive(path)

    def data_of(vk, stream):
        if vk.data_size >= 0x80000000:
            return struct.pack('<I', vk.data_offset)[:vk.data_size - 0x80000000]
        if vk.data_size == 0:
            return b''
        raw = NKRecord.read_value(vk, stream)
        if vk.data_size > 0x3FD8 and raw.value[:2] == b'db':
            return NKRecord._parse_indirect_block(stream, raw)
        return raw.value

    def walk(nk, depth):
        header, stream = nk.header, nk._stream
        raw = bytes(header.key_name_string)
        name = raw.decode('latin-1') if header.flags.KEY_COMP_NAME else raw.decode('utf-16-le', 'surrogatepass')
        klass = nk.get_class_name() if header.class_name_size else ''
        # It has security descriptors taken apart only.
        key(depth, name, header.last_modified, klass, '-')
        for i in range(nk.values_count):
            stream.seek(REGF_HEADER_SIZE + 4 + header.values_list_offset + 4 * i)
            stream.seek(REGF_HEADER_SIZE + 4 + struct.unpack('<I', stream.read(4))[0])
            vk = VALUE_KEY.parse_stream(stream)
            data = data_of(vk, stream)
            raw = bytes(vk.name)
            name = raw.decode('latin-1') if vk.flags.VALUE_COMP_NAME else raw.decode('utf-16-le', 'surrogatepass')
            value(name, int(vk.data_type), data)
        for child in list(nk.iter_subkeys()):
            walk(child, depth + 1)

    walk(hive.root, 0)


def with_python_registry(path):
    from Registry import RegistryParse

    with open(path, 'rb') as file:
        header = RegistryParse.REGFBlock(file.read(), 0, False)

    def walk(nk, depth):
        klass = nk.classname() if nk.has_classname() else ''
        sk = nk.sk_record()
        security = sk.unpack_binary(0x14, sk.unpack_dword(0x10))
        key(depth, nk.name(), nk.unpack_qword(4), klass, sha1(security))
        if nk.values_number():
            for vk in nk.values_list().values():
                # Its raw_data() has its own ideas of some sizes; what it finds is what counts here.
                name = vk.name() if vk.has_name() else ''
                value(name, vk.unpack_dword(0xC), vk.raw_data())
        if nk.subkey_number():
            for child in list(nk.subkey_list().keys()):
                walk(child, depth + 1)

    walk(header.first_key(), 0)


sys.setrecursionlimit(10000)
{'regipy': with_regipy, 'python-registry': with_python_registry}[sys.argv[1]](sys.argv[2])

//! The mutations: one field each, or one thing.

use wimforge_ntfs_writer::check::Code;
use wimforge_ntfs_writer::parse::{self, kind};

use super::image::{Image, get, set};

/// What is changed, how, and what must be said of it.
pub struct Mutation {
    pub what: &'static str,
    pub code: Code,
    pub apply: fn(&mut Image),
}

const fn m(what: &'static str, code: Code, apply: fn(&mut Image)) -> Mutation {
    Mutation { what, code, apply }
}

/// Header fields of a record.
fn header(image: &mut Image, name: &str, at: usize, len: usize, change: fn(u64) -> u64) {
    let record = image.file(name);
    image.edit(record, |bytes| {
        let value = get(bytes, at, len);
        set(bytes, at, change(value), len);
    });
}

/// A field of an attribute's header.
fn field(image: &mut Image, name: &str, kind: u32, at: usize, len: usize, change: fn(u64) -> u64) {
    let record = image.file(name);
    image.edit_attribute(record, kind, "", |bytes| {
        let value = get(bytes, at, len);
        set(bytes, at, change(value), len);
    });
}

/// A field of a resident value.
fn value(image: &mut Image, name: &str, kind: u32, at: usize, len: usize, change: fn(u64) -> u64) {
    let record = image.file(name);
    image.edit_value(record, kind, "", |bytes| {
        let value = get(bytes, at, len);
        set(bytes, at, change(value), len);
    });
}

/// A field of an entry of the root directory or one of its own.
fn entry(image: &mut Image, directory: &str, name: &str, at: usize, len: usize, change: fn(u64) -> u64) {
    let record = image.file(directory);
    image.edit_entry(record, name, |bytes| {
        let value = get(bytes, at, len);
        set(bytes, at, change(value), len);
    });
}

/// The first leaf of a large directory.
fn leaf(image: &mut Image, change: fn(&mut [u8])) {
    let flat = image.file("flat");
    let (block, _) = image.leaf(flat, "$I30");
    image.edit_block(flat, "$I30", block, change);
}

/// Both copies of the descriptor with the lowest id, from its header on.
fn descriptor(image: &mut Image, copies: &[usize], change: fn(&mut [u8])) {
    let at = image.place(9, kind::DATA, "$SDS");
    for copy in copies {
        change(&mut image.bytes[at + copy * 0x4_0000..][..0x40]);
    }
}

const BIG: &str = "notepad.exe";
const SMALL: &str = "win.ini";
const FLAT: &str = "file number 500.txt";

fn first_free_cluster(image: &Image) -> usize {
    let bitmap = image.place(6, kind::DATA, "");
    (0..image.boot.clusters as usize).find(|bit| image.bytes[bitmap + bit / 8] >> (bit % 8) & 1 == 0).unwrap()
}

fn find_in_list(image: &Image, change: impl FnOnce(&mut [u8])) -> (usize, Vec<u8>) {
    let record = image.file("many names");
    let at = image.place(record, kind::ATTRIBUTE_LIST, "");
    let len = image.len_of(record, kind::ATTRIBUTE_LIST, "") as usize;
    let mut bytes = image.bytes[at..at + len].to_vec();
    change(&mut bytes);
    (at, bytes)
}

/// Changes the attribute list of the file with many names, which lies in clusters.
fn list(image: &mut Image, change: fn(&mut [u8])) {
    let (at, bytes) = find_in_list(image, change);
    image.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
}

/// The runs of a value in one run: changes the mapping pairs.
fn pairs(image: &mut Image, change: fn(&mut [u8])) {
    let record = image.file(BIG);
    image.edit_attribute(record, kind::DATA, "", |bytes| change(&mut bytes[64..]));
}

pub const MUTATIONS: &[Mutation] = &[
    // The boot sector.
    m("boot: byte of the copy", Code::BootBackup, |i| {
        let at = i.bytes.len() - 512 + 0x54;
        i.bytes[at] ^= 1;
    }),
    m("boot: end signature", Code::BootSector, |i| i.edit_boot(|b| b[0x1FE] = 0)),
    m("boot: reserved field", Code::BootSector, |i| i.edit_boot(|b| b[0x0E] = 1)),
    m("boot: total sectors + 8", Code::VolumeSize, |i| {
        i.edit_boot(|b| {
            let value = get(b, 0x28, 8) + 8;
            set(b, 0x28, value, 8);
        })
    }),
    m("boot: cluster of $MFTMirr + 1", Code::BootPointers, |i| i.edit_boot(|b| b[0x38] += 1)),
    m("boot: index block size", Code::IndexRoot, |i| i.edit_boot(|b| b[0x44] = 0xF5)),
    m("$MFTMirr: byte of a record", Code::Mirror, |i| {
        let at = i.boot.mirror_lcn as usize * i.cluster();
        i.bytes[at + 1024 + 0x50] ^= 1;
    }),
    // Records.
    m("record: bytes used - 4", Code::RecordUsed, |i| header(i, SMALL, 0x18, 4, |v| v - 4)),
    m("record: bytes allocated", Code::RecordHeader, |i| header(i, SMALL, 0x1C, 4, |v| v - 8)),
    m("record: own number", Code::RecordHeader, |i| header(i, SMALL, 0x2C, 4, |v| v + 1)),
    m("record: sequence number + 1", Code::IndexSequence, |i| header(i, SMALL, 0x10, 2, |v| v + 1)),
    m("record: link count + 1", Code::LinkCount, |i| header(i, SMALL, 0x12, 2, |v| v + 1)),
    m("record: unknown flag", Code::RecordHeader, |i| header(i, SMALL, 0x16, 2, |v| v | 0x40)),
    m("record: directory flag clear", Code::RecordFlags, |i| header(i, "flat", 0x16, 2, |v| v & !2)),
    m("record: in-use flag clear", Code::MftBitmap, |i| header(i, SMALL, 0x16, 2, |v| v & !1)),
    m("record: next instance 1", Code::AttributeInstance, |i| header(i, SMALL, 0x28, 2, |_| 1)),
    m("record: signature", Code::Record, |i| header(i, SMALL, 0, 4, |_| 0x4441_4142)),
    m("record: torn write", Code::Fixup, |i| {
        let at = i.record_at(i.file(SMALL));
        i.bytes[at + 1022] ^= 1;
    }),
    m("record: base reference of an extension", Code::BaseReference, |i| {
        let base = i.file("many names");
        let part = (base + 1..).find(|&r| parse::record_of(get(&i.record(r), 0x20, 8)) == base).unwrap();
        i.edit(part, |b| b[0x26] += 1);
    }),
    m("$Secure: view-index flag clear", Code::RecordFlags, |i| i.edit(9, |b| b[0x16] &= !8)),
    // Attributes.
    m("attribute: length 0", Code::AttributeHeader, |i| field(i, SMALL, kind::DATA, 4, 4, |_| 0)),
    m("attribute: instance twice", Code::AttributeInstance, |i| field(i, SMALL, kind::DATA, 14, 2, |_| 0)),
    m("attribute: unknown type", Code::AttributeType, |i| field(i, SMALL, kind::DATA, 0, 4, |_| 0xF8)),
    m("attribute: unknown flag", Code::AttributeHeader, |i| field(i, SMALL, kind::DATA, 12, 2, |_| 0x100)),
    m("attribute: value at no multiple of 8", Code::AttributeHeader, |i| {
        field(i, SMALL, kind::DATA, 20, 2, |v| v - 4 + 8)
    }),
    m("attribute: value longer than the attribute", Code::AttributeHeader, |i| {
        field(i, SMALL, kind::DATA, 16, 4, |v| v + 64)
    }),
    m("attribute: $STANDARD_INFORMATION too short", Code::AttributeSize, |i| {
        field(i, SMALL, kind::STANDARD_INFORMATION, 16, 4, |_| 40)
    }),
    m("attribute: indexed flag of a name clear", Code::IndexedFlag, |i| {
        field(i, SMALL, kind::FILE_NAME, 22, 1, |_| 0)
    }),
    m("attribute: two swapped", Code::AttributeOrder, |i| {
        let record = i.file(SMALL);
        let (a, b) =
            (i.find(record, kind::FILE_NAME, "").attribute, i.find(record, kind::DATA, "").attribute);
        i.edit(record, |bytes| bytes[a.start..b.end].rotate_left(a.len()));
    }),
    m("attribute: $FILE_NAME removed", Code::NameMissing, |i| {
        let record = i.file(SMALL);
        let a = i.find(record, kind::FILE_NAME, "").attribute;
        i.edit(record, |bytes| {
            let used = get(bytes, 0x18, 4) as usize;
            bytes.copy_within(a.end..used, a.start);
            bytes[used - a.len()..used].fill(0);
            set(bytes, 0x18, (used - a.len()) as u64, 4);
        });
    }),
    m("attribute: unnamed $DATA gone", Code::DataMissing, |i| field(i, SMALL, kind::DATA, 0, 4, |_| 0x100)),
    m("attribute: security descriptor malformed", Code::SecurityDescriptor, |i| {
        i.edit_value(7, kind::SECURITY_DESCRIPTOR, "", |v| v[0] = 9)
    }),
    // Values in clusters.
    m("runs: cluster outside the volume", Code::MappingPairs, |i| {
        pairs(i, |p| p[usize::from(p[0] & 15) + 2] = 0x7F)
    }),
    m("runs: no end", Code::MappingPairs, |i| pairs(i, |p| p.fill(0x11))),
    m("runs: split in two", Code::RunsUnmerged, |i| {
        let record = i.file("A rather long name.dat");
        i.edit_attribute(record, kind::DATA, "", |a| {
            assert_eq!(a[64] & 15, 1, "a length of one byte");
            let lcn_len = usize::from(a[64] >> 4);
            a[65] -= 1;
            a[66 + lcn_len..][..4].copy_from_slice(&[0x11, 1, 1, 0]);
        });
    }),
    m("runs: first cluster of another file", Code::ClusterShared, |i| {
        let other = i.place(i.file("aligned.bin"), kind::DATA, "") / i.cluster();
        let record = i.file(BIG);
        i.edit_attribute(record, kind::DATA, "", |a| {
            let (len, lcn_len) = (usize::from(a[64] & 15), usize::from(a[64] >> 4));
            set(a, 65 + len, other as u64, lcn_len);
        });
    }),
    m("value: highest VCN - 1", Code::HighestVcn, |i| field(i, BIG, kind::DATA, 24, 8, |v| v - 1)),
    m("value: mapping pairs at no multiple of 8", Code::AttributeHeader, |i| {
        let record = i.file("A rather long name.dat");
        i.edit_attribute(record, kind::DATA, "", |a| {
            a.copy_within(64..68, 65);
            a[32] = 65;
        });
    }),
    m("value: lowest VCN 1", Code::HighestVcn, |i| field(i, BIG, kind::DATA, 16, 8, |_| 1)),
    m("value: allocated size", Code::AllocatedSize, |i| field(i, BIG, kind::DATA, 40, 8, |v| v + 4096)),
    m("value: data size above the allocated", Code::DataSize, |i| {
        field(i, BIG, kind::DATA, 48, 8, |v| v + 0x10_0000)
    }),
    m("value: initialized size above the data size", Code::DataSize, |i| {
        field(i, BIG, kind::DATA, 56, 8, |v| v + 1)
    }),
    m("value: total of a sparse file", Code::TotalAllocated, |i| {
        field(i, "sparse.bin", kind::DATA, 64, 8, |v| v - 4096)
    }),
    m("value: compression unit", Code::CompressionUnit, |i| field(i, "sparse.bin", kind::DATA, 34, 1, |_| 3)),
    m("value: compression method 2", Code::CompressionUnit, |i| {
        field(i, "compressed.bin", kind::DATA, 12, 2, |_| 2)
    }),
    m("value: sparse flag without the file attribute", Code::StandardFlags, |i| {
        value(i, "sparse.bin", kind::STANDARD_INFORMATION, 0x20, 4, |v| v & !0x200)
    }),
    m("$Bitmap: cluster in use marked as free", Code::ClusterFree, |i| {
        let cluster = i.place(i.file(BIG), kind::DATA, "") / i.cluster();
        i.flip_bit(6, kind::DATA, "", cluster);
    }),
    m("$Bitmap: free cluster marked as used", Code::ClusterUsed, |i| {
        let cluster = first_free_cluster(i);
        i.flip_bit(6, kind::DATA, "", cluster);
    }),
    m("$Bitmap: bit behind the last cluster clear", Code::BitmapTail, |i| {
        let last = i.len_of(6, kind::DATA, "") as usize * 8 - 1;
        assert!(last as u64 >= i.boot.clusters);
        i.flip_bit(6, kind::DATA, "", last);
    }),
    m("$MFT bitmap: bit of a file clear", Code::MftBitmap, |i| {
        let record = i.file(SMALL) as usize;
        i.flip_bit(0, kind::BITMAP, "", record);
    }),
    m("$MFT bitmap: bit of a free record set", Code::MftBitmap, |i| i.flip_bit(0, kind::BITMAP, "", 20)),
    // Names.
    m("name: sequence number of the parent", Code::ParentReference, |i| {
        value(i, SMALL, kind::FILE_NAME, 6, 2, |v| v + 1)
    }),
    m("name: parent is another directory", Code::NameNotIndexed, |i| {
        let other = i.file("System32") | 1 << 48;
        let record = i.file(SMALL);
        i.edit_value(record, kind::FILE_NAME, "", |v| set(v, 0, other, 8));
    }),
    m("name: Win32 without a DOS partner", Code::Namespace, |i| {
        value(i, SMALL, kind::FILE_NAME, 65, 1, |_| 1)
    }),
    m("name: a long name as DOS'", Code::Namespace, |i| {
        value(i, "barely.txt", kind::FILE_NAME, 65, 1, |_| 2)
    }),
    m("name: `:` in both copies", Code::FileName, |i| {
        value(i, "one.bin", kind::FILE_NAME, 66 + 4, 2, |_| u64::from(b':'));
        entry(i, "System32", "one.bin", 16 + 66 + 4, 2, |_| u64::from(b':'));
    }),
    m("directory: a loop", Code::DirectoryLoop, |i| {
        let (one, two) = (i.file("level 3"), i.file("level 5"));
        i.edit_value(one, kind::FILE_NAME, "", |v| set(v, 0, two | 1 << 48, 8));
    }),
    // Indexes of names.
    m("$I30: two entries swapped", Code::IndexOrder, |i| {
        let flat = i.file("flat");
        let (block, entries) = i.leaf(flat, "$I30");
        let (a, b) = (entries[3].clone(), entries[4].clone());
        i.edit_block(flat, "$I30", block, |bytes| bytes[a.start..b.end].rotate_left(a.len()));
    }),
    m("$I30: entry removed", Code::NameNotIndexed, |i| {
        let flat = i.file("flat");
        let (block, entries) = i.leaf(flat, "$I30");
        i.remove_entry(flat, "$I30", block, entries[3].clone());
    }),
    m("$I30: entry twice", Code::IndexDuplicate, |i| {
        let flat = i.file("flat");
        let (block, entries) = i.leaf(flat, "$I30");
        let pair = entries.windows(2).find(|pair| pair[0].len() == pair[1].len()).unwrap();
        let (a, b) = (pair[0].clone(), pair[1].start);
        i.edit_block(flat, "$I30", block, |bytes| bytes.copy_within(a, b));
    }),
    m("$I30: sequence number of an entry's file", Code::IndexSequence, |i| {
        entry(i, "flat", FLAT, 6, 2, |v| v + 1)
    }),
    m("$I30: entry leads to a free record", Code::IndexTarget, |i| entry(i, "flat", FLAT, 0, 4, |_| 20)),
    m("$I30: entry leads to another file", Code::IndexName, |i| entry(i, "flat", FLAT, 0, 4, |v| v + 1)),
    m("$I30: namespace of an entry", Code::IndexNamespace, |i| entry(i, "flat", FLAT, 16 + 65, 1, |v| v ^ 1)),
    m("$I30: parent of an entry", Code::IndexParent, |i| entry(i, "flat", FLAT, 16 + 6, 2, |v| v + 1)),
    m("$I30: data size of an entry", Code::IndexCopy, |i| {
        entry(i, "flat", "file number 502.txt", 16 + 0x30, 8, |v| v + 1)
    }),
    m("$I30: directory bit of an entry", Code::IndexCopy, |i| {
        entry(i, "flat", FLAT, 16 + 0x38, 4, |v| v | 0x1000_0000)
    }),
    m("$I30: times of an entry", Code::IndexCopy, |i| entry(i, "flat", FLAT, 16 + 8, 8, |v| v + 1)),
    m("$I30: length of an entry 0", Code::IndexEntry, |i| entry(i, "flat", FLAT, 8, 2, |_| 0)),
    m("$I30: length of a key", Code::IndexEntry, |i| entry(i, "flat", FLAT, 10, 2, |v| v + 2)),
    m("$I30: block signature", Code::IndexBlock, |i| leaf(i, |b| b[0] = b'X')),
    m("$I30: block torn", Code::Fixup, |i| {
        let flat = i.file("flat");
        let (block, _) = i.leaf(flat, "$I30");
        let at = i.place(flat, kind::INDEX_ALLOCATION, "$I30") + block * 4096;
        i.bytes[at + 1022] ^= 1;
    }),
    m("$I30: own VCN of a block", Code::IndexVcn, |i| leaf(i, |b| b[16] ^= 0x40)),
    m("$I30: room less than the entries", Code::IndexBlock, |i| leaf(i, |b| set(b, 32, 64, 4))),
    m("$I30: child flag of a leaf", Code::IndexChildren, |i| leaf(i, |b| b[36] = 1)),
    m("$I30: child outside the index", Code::IndexVcn, |i| {
        let flat = i.file("flat");
        i.edit_value(flat, kind::INDEX_ROOT, "$I30", |v| {
            let len = v.len();
            set(v, len - 8, 0x1000, 8);
        });
    }),
    m("$I30: a leaf one level higher", Code::IndexDepth, |i| {
        let flat = i.file("flat");
        let last_child = |bytes: &[u8]| {
            let end = 24 + get(bytes, 28, 4) as usize;
            (end - 8, get(bytes, end - 8, 8))
        };
        let mut top = 0;
        i.edit_value(flat, kind::INDEX_ROOT, "$I30", |v| top = get(v, v.len() - 8, 8) as usize);
        let (at, inner) = last_child(&i.block(flat, "$I30", top));
        let inner = i.block(flat, "$I30", inner as usize);
        assert_eq!(inner[36], 1, "three levels below the root");
        let (_, leaf) = last_child(&inner);
        i.edit_block(flat, "$I30", top, |bytes| set(bytes, at, leaf, 8));
    }),
    m("$I30: bit of a block clear", Code::IndexBitmap, |i| {
        let flat = i.file("flat");
        i.flip_bit(flat, kind::BITMAP, "$I30", 3);
    }),
    m("$I30: bit of no block set", Code::IndexBitmap, |i| {
        let flat = i.file("flat");
        let blocks = i.blocks(flat, "$I30");
        i.flip_bit(flat, kind::BITMAP, "$I30", blocks);
    }),
    m("$I30: collation rule", Code::IndexRoot, |i| {
        let flat = i.file("flat");
        i.edit_value(flat, kind::INDEX_ROOT, "$I30", |v| v[4] = 2);
    }),
    m("$I30: block size in the root", Code::IndexRoot, |i| {
        let flat = i.file("flat");
        i.edit_value(flat, kind::INDEX_ROOT, "$I30", |v| v[9] = 8);
    }),
    // Attribute lists.
    m("list: instance of an entry", Code::AttributeList, |i| list(i, |l| l[0x20 * 5 + 24] ^= 0x10)),
    m("list: sequence number of a record", Code::AttributeList, |i| list(i, |l| l[0x20 * 5 + 22] += 1)),
    m("list: length of an entry 0", Code::AttributeList, |i| list(i, |l| l[0x20 * 5 + 4] = 0)),
    m("list: type of an entry", Code::AttributeList, |i| list(i, |l| l[0x20] = 0x40)),
    // $Secure.
    m("$SDS: second copy of a descriptor", Code::SdsMirror, |i| descriptor(i, &[1], |d| d[0x30] ^= 1)),
    m("$SDS: byte of a descriptor, both copies", Code::SdsHash, |i| descriptor(i, &[0, 1], |d| d[0x3C] ^= 1)),
    m("$SDS: hash of a descriptor, both copies", Code::SdsHash, |i| descriptor(i, &[0, 1], |d| d[0] ^= 1)),
    m("$SDS: own offset of a descriptor, both copies", Code::SdsEntry, |i| {
        descriptor(i, &[0, 1], |d| d[8] ^= 0x10)
    }),
    m("$SDH: hash in a key", Code::SecurityIndex, |i| {
        let (block, range) = i.entry(9, "$SDH", |_| true);
        i.edit_block(9, "$SDH", block, |b| b[range.start + 16] ^= 1);
    }),
    m("$SDH: entry removed", Code::SecurityIndex, |i| {
        let (block, entries) = i.leaf(9, "$SDH");
        i.remove_entry(9, "$SDH", block, entries[1].clone());
    }),
    m("$SII: entry removed", Code::SecurityId, |i| {
        let (block, entries) = i.leaf(9, "$SII");
        i.remove_entry(9, "$SII", block, entries[3].clone());
    }),
    m("$SII: offset of a descriptor", Code::SdsEntry, |i| {
        let (block, entries) = i.leaf(9, "$SII");
        let at = entries[3].start + 20 + 8;
        i.edit_block(9, "$SII", block, |b| b[at] ^= 0x10);
    }),
    m("file: security id that $Secure lacks", Code::SecurityId, |i| {
        value(i, SMALL, kind::STANDARD_INFORMATION, 0x34, 4, |_| 0x7777)
    }),
    m("file: security id 0", Code::SecurityId, |i| {
        value(i, SMALL, kind::STANDARD_INFORMATION, 0x34, 4, |_| 0)
    }),
    // Reparse points, object ids, quotas, extended attributes.
    m("reparse point: length", Code::ReparsePoint, |i| {
        value(i, "link", kind::REPARSE_POINT, 4, 2, |v| v + 8)
    }),
    m("reparse point: tag", Code::ReparseIndex, |i| {
        value(i, "link", kind::REPARSE_POINT, 0, 4, |_| 0xA000_0003)
    }),
    m("reparse point: file attribute clear", Code::StandardFlags, |i| {
        value(i, "link", kind::STANDARD_INFORMATION, 0x20, 4, |v| v & !0x400)
    }),
    m("$R: entry removed", Code::ReparseIndex, |i| {
        let reparse = i.file("$Reparse");
        let (block, entries) = i.leaf(reparse, "$R");
        i.remove_entry(reparse, "$R", block, entries[2].clone());
    }),
    m("$Reparse: view-index flag clear", Code::RecordFlags, |i| {
        let record = i.file("$Reparse");
        i.edit(record, |b| b[0x16] &= !8);
    }),
    m("object id: 15 bytes", Code::AttributeSize, |i| {
        field(i, "with an object id", kind::OBJECT_ID, 16, 4, |_| 15)
    }),
    m("object id: byte", Code::ObjectIdIndex, |i| {
        value(i, "with an object id", kind::OBJECT_ID, 3, 1, |v| v ^ 1)
    }),
    m("$ObjId: entry removed", Code::ObjectIdIndex, |i| {
        let objid = i.file("$ObjId");
        let (block, entries) = i.leaf(objid, "$O");
        i.remove_entry(objid, "$O", block, entries[2].clone());
    }),
    m("$ObjId: file of an entry", Code::ObjectIdIndex, |i| {
        let objid = i.file("$ObjId");
        let (block, entries) = i.leaf(objid, "$O");
        let at = entries[2].start + 32;
        i.edit_block(objid, "$O", block, |b| b[at] ^= 1);
    }),
    m("$Quota: id of an owner", Code::QuotaIndex, |i| {
        let quota = i.file("$Quota");
        i.edit_value(quota, kind::INDEX_ROOT, "$O", |v| v[32 + 32] ^= 1);
    }),
    m("EA: packed size", Code::Ea, |i| value(i, "with attributes", kind::EA_INFORMATION, 0, 2, |v| v + 1)),
    m("EA: offset of the next", Code::Ea, |i| value(i, "with attributes", kind::EA, 0, 4, |v| v + 0x1000)),
    // Files that WOF compresses.
    m("WOF: end of a chunk in the table", Code::Wof, |i| {
        let at = i.place(i.file("compact.exe"), kind::DATA, parse::WOF_STREAM);
        set(&mut i.bytes, at + 4, 4096, 4);
    }),
    m("WOF: codec", Code::Wof, |i| value(i, "compact.exe", kind::REPARSE_POINT, 8 + 12, 4, |_| 9)),
    m("WOF: name of the stream", Code::Wof, |i| {
        let record = i.file("compact.exe");
        i.edit_attribute(record, kind::DATA, parse::WOF_STREAM, |a| {
            let at = get(a, 10, 2) as usize;
            a[at] = b'X';
        });
    }),
    m("WOF: the hole is not sparse", Code::SparseFlags, |i| {
        let record = i.file("compact.exe");
        i.edit_attribute(record, kind::DATA, "", |a| set(a, 12, 0, 2));
    }),
    // System files.
    m("$UpCase: one unit", Code::UpCase, |i| {
        let at = i.place(10, kind::DATA, "");
        i.bytes[at + 2 * 0x3B1] ^= 1;
    }),
    m("$UpCase:$Info: checksum", Code::UpCase, |i| i.edit_value(10, kind::DATA, "$Info", |v| v[8] ^= 1)),
    m("$AttrDef: flags of a type", Code::AttrDef, |i| {
        let at = i.place(4, kind::DATA, "");
        i.bytes[at + 140] ^= 0x40;
    }),
    m("$Volume: dirty", Code::VolumeFlags, |i| i.edit_value(3, kind::VOLUME_INFORMATION, "", |v| v[10] |= 1)),
    m("$Volume: version 2", Code::VolumeVersion, |i| {
        i.edit_value(3, kind::VOLUME_INFORMATION, "", |v| v[8] = 2)
    }),
    m("$BadClus: one cluster too few", Code::BadClusters, |i| {
        let clusters = i.boot.clusters;
        i.edit_attribute(8, kind::DATA, "$Bad", |a| {
            let at = usize::from(get(a, 32, 2) as u16);
            let len = usize::from(a[at] & 15);
            set(a, at + 1, clusters - 1, len);
        });
    }),
    m("$LogFile: byte behind the first pages", Code::LogFile, |i| {
        let at = i.place(2, kind::DATA, "");
        i.bytes[at + 0x1_0000] = 0;
    }),
    m("$Boot: begins at cluster 1", Code::BootPointers, |i| {
        i.edit_attribute(7, kind::DATA, "", |a| {
            let at = usize::from(get(a, 32, 2) as u16);
            let len = usize::from(a[at] & 15);
            a[at + 1 + len] = 1;
        });
    }),
    m("$Extend: name", Code::SystemFile, |i| i.edit_value(11, kind::FILE_NAME, "", |v| v[68] ^= 0x20)),
    // Unused space.
    m("slack: of a record", Code::Slack, |i| {
        let record = i.file(SMALL);
        i.edit(record, |b| b[1000] = 0xEE);
    }),
    m("slack: of an index block", Code::Slack, |i| {
        leaf(i, |b| {
            let end = 24 + get(b, 28, 4) as usize;
            b[end + 4] = 0xEE;
        })
    }),
    m("slack: behind a file's end", Code::Slack, |i| {
        let record = i.file(BIG);
        let at = i.place(record, kind::DATA, "") + i.len_of(record, kind::DATA, "") as usize;
        i.bytes[at] = 0xEE;
    }),
    m("slack: a free cluster", Code::Slack, |i| {
        let at = first_free_cluster(i) * i.cluster();
        i.bytes[at] = 0xEE;
    }),
];

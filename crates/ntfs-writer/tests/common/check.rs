//! A strict reading of a volume's bytes, written against the format and not against the writer. It panics at the first
//! thing that is wrong. What a whole checker needs (repair, hostile input) is not here.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{DIRECTORY, Tree};

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn utf16(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect()
}

/// Undoes fixups after checking them.
fn unprotect(block: &mut [u8], what: &str) {
    let (offset, count) = (u16_at(block, 4), u16_at(block, 6));
    assert_eq!(count, block.len() / 512 + 1, "{what}");
    let number = [block[offset], block[offset + 1]];
    assert_ne!(number, [0, 0], "{what}");
    for i in 1..count {
        let end = i * 512 - 2;
        assert_eq!(block[end..end + 2], number, "{what}: torn");
        block.copy_within(offset + 2 * i..offset + 2 * i + 2, end);
    }
}

#[derive(Clone, Debug)]
struct Attribute {
    kind: u32,
    name: Vec<u16>,
    flags: usize,
    instance: usize,
    /// The record it lies in.
    holder: u64,
    value: Vec<u8>,
    non_resident: bool,
    allocated: u64,
}

struct Record {
    sequence: u64,
    links: usize,
    flags: usize,
    base: u64,
    attributes: Vec<Attribute>,
}

struct Checker<'a> {
    image: &'a [u8],
    cluster: usize,
    clusters: usize,
    record_size: usize,
    /// Who owns each cluster.
    owner: Vec<u32>,
    upcase: Vec<u16>,
}

impl Checker<'_> {
    fn runs(&mut self, pairs: &[u8], what: &str, claim: Option<u32>) -> Vec<(Option<usize>, usize)> {
        let mut out: Vec<(Option<usize>, usize)> = Vec::new();
        let mut at = 0;
        let mut lcn = 0i64;
        while pairs[at] != 0 {
            let (len_len, lcn_len) = (usize::from(pairs[at] & 15), usize::from(pairs[at] >> 4));
            let signed = |bytes: &[u8]| {
                let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { -1i64 } else { 0 };
                bytes.iter().rev().fold(sign, |sum, &byte| sum << 8 | i64::from(byte))
            };
            let len = signed(&pairs[at + 1..][..len_len]);
            assert!(len > 0, "{what}: run of {len} clusters");
            let place = (lcn_len > 0).then(|| {
                lcn += signed(&pairs[at + 1 + len_len..][..lcn_len]);
                lcn as usize
            });
            if let Some(first) = place {
                assert!(first + len as usize <= self.clusters, "{what}: run past the end");
                for cluster in first..first + len as usize {
                    if let Some(record) = claim {
                        assert_eq!(self.owner[cluster], u32::MAX, "{what}: cluster {cluster} is taken");
                        self.owner[cluster] = record;
                    }
                }
            }
            out.push((place, len as usize));
            at += 1 + len_len + lcn_len;
        }
        assert!(out.len() <= 1, "{what}: we never fragment");
        assert!(pairs[at..].iter().all(|&byte| byte == 0), "{what}: rest of the mapping pairs");
        out
    }

    fn attribute(&mut self, bytes: &[u8], number: u64, claim: bool) -> Attribute {
        let kind = u32_at(bytes, 0) as u32;
        let what = format!("record {number}, attribute {kind:#x}");
        let name_at = u16_at(bytes, 10);
        let name = utf16(&bytes[name_at..name_at + 2 * usize::from(bytes[9])]);
        let flags = u16_at(bytes, 12);
        let instance = u16_at(bytes, 14);
        if bytes[8] == 0 {
            let (len, at) = (u32_at(bytes, 16), u16_at(bytes, 20));
            assert_eq!(at % 8, 0, "{what}");
            assert_eq!(usize::from(bytes[22]), usize::from(kind == 0x30), "{what}: indexed flag");
            assert_eq!((at + len).next_multiple_of(8), bytes.len(), "{what}: length");
            assert!(bytes[at + len..].iter().all(|&byte| byte == 0), "{what}: slack");
            let value = bytes[at..at + len].to_vec();
            return Attribute {
                kind,
                name,
                flags,
                instance,
                holder: number,
                value,
                non_resident: false,
                allocated: 0,
            };
        }
        assert!(!matches!(kind, 0x10 | 0x30 | 0x40 | 0x60 | 0x70 | 0x90 | 0xD0), "{what}: must be resident");
        let special = flags & 0x8001 != 0;
        let (allocated, size, init) = (u64_at(bytes, 40), u64_at(bytes, 48), u64_at(bytes, 56));
        assert!(init <= size && size <= allocated, "{what}: sizes");
        assert_eq!(u64_at(bytes, 16), 0, "{what}: lowest VCN");
        let runs = self.runs(&bytes[u16_at(bytes, 32)..], &what, claim.then_some(number as u32));
        let clusters: usize = runs.iter().map(|run| run.1).sum();
        assert_eq!(u64_at(bytes, 24) + 1, clusters as u64, "{what}: highest VCN");
        assert_eq!(allocated, (clusters * self.cluster) as u64, "{what}: allocated");
        if special {
            assert_eq!(u64_at(bytes, 64), allocated, "{what}: total allocated");
            assert_eq!(allocated % 65_536.min(16 * self.cluster as u64), 0, "{what}: allocated in units");
        } else {
            assert_eq!(allocated, size.next_multiple_of(self.cluster as u64), "{what}: allocated");
        }
        let mut value = Vec::new();
        if let [(Some(lcn), clusters)] = runs[..] {
            value = self.image[lcn * self.cluster..(lcn + clusters) * self.cluster].to_vec();
            assert!(value[size as usize..].iter().all(|&byte| byte == 0), "{what}: slack");
            value.truncate(size as usize);
        }
        Attribute { kind, name, flags, instance, holder: number, value, non_resident: true, allocated }
    }

    fn record(&mut self, raw: &[u8], number: u64) -> Record {
        let mut bytes = raw.to_vec();
        let what = format!("record {number}");
        assert_eq!(&bytes[..4], b"FILE", "{what}");
        unprotect(&mut bytes, &what);
        assert_eq!(u32_at(&bytes, 44) as u64, number, "{what}");
        assert_eq!(u32_at(&bytes, 28), self.record_size, "{what}");
        let in_use = u16_at(&bytes, 22) & 1 != 0;
        let used = u32_at(&bytes, 24);
        let mut at = u16_at(&bytes, 20);
        let mut attributes: Vec<Attribute> = Vec::new();
        while u32_at(&bytes, at) != 0xFFFF_FFFF {
            let len = u32_at(&bytes, at + 4);
            assert!(len >= 24 && len.is_multiple_of(8) && at + len <= used, "{what}: attribute length");
            let attribute = self.attribute(&bytes[at..at + len], number, in_use);
            if let Some(before) = attributes.last() {
                assert!(before.kind <= attribute.kind, "{what}: order of types");
                if before.kind == attribute.kind && before.kind != 0x30 {
                    let order = self.compare(&before.name, &attribute.name);
                    assert_eq!(order, Ordering::Less, "{what}: order of names");
                }
            }
            attributes.push(attribute);
            at += len;
        }
        assert_eq!(used, at + 8, "{what}: used");
        assert!(bytes[at + 4..].iter().all(|&byte| byte == 0), "{what}: slack");
        let instances: BTreeSet<_> = attributes.iter().map(|attribute| attribute.instance).collect();
        assert_eq!(instances.len(), attributes.len(), "{what}: instances");
        assert!(instances.iter().all(|&instance| instance < u16_at(&bytes, 40)), "{what}: next instance");
        Record {
            sequence: u16_at(&bytes, 16) as u64,
            links: u16_at(&bytes, 18),
            flags: u16_at(&bytes, 22),
            base: u64_at(&bytes, 32),
            attributes,
        }
    }

    fn compare(&self, a: &[u16], b: &[u16]) -> Ordering {
        let up = |units: &[u16]| units.iter().map(|&unit| self.upcase[usize::from(unit)]).collect::<Vec<_>>();
        let (x, y) = (up(a), up(b));
        let common = x.len().min(y.len());
        x[..common].cmp(&y[..common]).then(x.len().cmp(&y.len())).then(a.cmp(b))
    }

    /// The entries of an index, in order: (first eight bytes, key).
    fn index(&self, record: &Record, name: &str, what: &str) -> Vec<(u64, Vec<u8>)> {
        let units: Vec<u16> = name.encode_utf16().collect();
        let of = |kind| record.attributes.iter().find(|a| a.kind == kind && a.name == units);
        let root = of(0x90).unwrap_or_else(|| panic!("{what}: no root"));
        let (unit, block_units) = match self.cluster {
            0..=4096 => (self.cluster, 4096 / self.cluster),
            _ => (512, 8),
        };
        assert_eq!(u32_at(&root.value, 8), 4096, "{what}");
        assert_eq!(usize::from(root.value[12]), block_units, "{what}");
        let mut out = Vec::new();
        let mut seen = BTreeSet::new();
        let blocks = of(0xA0).map_or(&[][..], |a| &a.value);
        self.node(&root.value[16..], blocks, unit, &mut seen, &mut out, what);
        let bitmap = of(0xB0).map_or(&[][..], |a| &a.value);
        assert_eq!(of(0xA0).is_some(), root.value[28] == 1, "{what}: large flag");
        let bits: BTreeSet<usize> =
            (0..bitmap.len() * 8).filter(|bit| bitmap[bit / 8] >> (bit % 8) & 1 == 1).collect();
        assert_eq!(bits, seen, "{what}: bitmap");
        assert_eq!(seen.len(), blocks.len() / 4096, "{what}: blocks");
        out
    }

    /// `node` begins with the index header. Returns the depth.
    fn node(
        &self,
        node: &[u8],
        blocks: &[u8],
        unit: usize,
        seen: &mut BTreeSet<usize>,
        out: &mut Vec<(u64, Vec<u8>)>,
        what: &str,
    ) -> usize {
        let (mut at, end) = (u32_at(node, 0), u32_at(node, 4));
        assert!(end <= u32_at(node, 8), "{what}: node length");
        let mut depth = None;
        loop {
            let (len, key_len, flags) = (u16_at(node, at + 8), u16_at(node, at + 10), u16_at(node, at + 12));
            assert!(len.is_multiple_of(8) && at + len <= end, "{what}: entry length");
            assert_eq!(flags & 1, usize::from(node[12]), "{what}: children of the node and its entries");
            if flags & 1 != 0 {
                let vcn = u64_at(node, at + len - 8) as usize;
                let start = vcn * unit;
                assert_eq!(start % 4096, 0, "{what}: child VCN");
                let mut block = blocks[start..start + 4096].to_vec();
                assert_eq!(&block[..4], b"INDX", "{what}");
                unprotect(&mut block, what);
                assert_eq!(u64_at(&block, 16) as usize, vcn, "{what}: own VCN");
                assert!(seen.insert(start / 4096), "{what}: block reached twice");
                let used = 24 + u32_at(&block, 28);
                assert!(block[used..].iter().all(|&byte| byte == 0), "{what}: slack");
                let below = self.node(&block[24..], blocks, unit, seen, out, what);
                assert_eq!(*depth.get_or_insert(below), below, "{what}: depth");
            }
            if flags & 2 != 0 {
                assert_eq!(key_len, 0, "{what}: key of the end");
                assert_eq!(at + len, end, "{what}: end of the node");
                return depth.map_or(0, |depth| depth + 1);
            }
            out.push((u64_at(node, at), node[at + 16..at + 16 + key_len].to_vec()));
            at += len;
        }
    }
}

/// The streams of a file: the unnamed one, if it has one, and the named ones.
pub type Streams = (Option<Vec<u8>>, BTreeMap<String, Vec<u8>>);

/// Panics when anything about the volume is not as it should be. Returns what the tree holds, by path.
pub fn check(image: &[u8]) -> BTreeMap<String, Streams> {
    // The crate's own checker, in its strictest mode, and this one, which knows less but owes it nothing.
    let report =
        wimforge_ntfs_writer::check::check(&image, &wimforge_ntfs_writer::check::Options::ours()).unwrap();
    assert!(report.findings.is_empty() && report.not_checked.is_empty(), "{report}");
    let sector = u16_at(image, 11);
    let sectors = if image[13] <= 128 { usize::from(image[13]) } else { 1 << (256 - usize::from(image[13])) };
    let cluster = sector * sectors;
    let total = u64_at(image, 0x28) as usize;
    assert_eq!((total + 1) * sector, image.len(), "total sectors");
    assert_eq!(image[..512], image[total * sector..][..512], "copy of the boot sector");
    let clusters = total * sector / cluster;
    let code = image[0x40] as i8;
    let record_size = if code > 0 { code as usize * cluster } else { 1 << -code };
    let mut checker = Checker {
        image,
        cluster,
        clusters,
        record_size,
        owner: vec![u32::MAX; clusters],
        upcase: (0..=u16::MAX).collect(),
    };
    let mft_at = u64_at(image, 0x30) as usize * cluster;
    let first = |number: usize| &image[mft_at + number * record_size..][..record_size];

    // The table first: names are compared by it.
    let mut plain = first(10).to_vec();
    unprotect(&mut plain, "$UpCase");
    let upcase = raw_data(&mut checker, &plain, 10);
    assert_eq!(upcase.len(), 131_072);
    checker.upcase = utf16(&upcase);

    let mut plain = first(0).to_vec();
    unprotect(&mut plain, "$MFT");
    let mft = raw_data(&mut checker, &plain, 0);
    let records = mft.len() / record_size;
    let mirror_at = u64_at(image, 0x38) as usize * cluster;
    let mirror_len = (4 * record_size).max(cluster);
    assert!(image[mirror_at..][..mirror_len] == mft[..mirror_len], "mirror");

    let mut table = BTreeMap::new();
    for (number, raw) in (0..records as u64).zip(mft.chunks(record_size)) {
        if raw.iter().all(|&byte| byte == 0) {
            continue;
        }
        let record = checker.record(raw, number);
        if record.flags & 1 != 0 {
            table.insert(number, record);
        }
    }
    let bits = &table[&0].attributes.iter().find(|a| a.kind == 0xB0).unwrap().value;
    assert!(records.div_ceil(64) * 8 <= bits.len());
    for bit in 0..bits.len() * 8 {
        let set = bits[bit / 8] >> (bit % 8) & 1 == 1;
        assert_eq!(set, table.contains_key(&(bit as u64)), "bit of record {bit}");
    }
    let bitmap = &table[&6].attributes.iter().find(|a| a.kind == 0x80).unwrap().value;
    assert_eq!(bitmap.len(), clusters.div_ceil(64) * 8);
    for bit in 0..bitmap.len() * 8 {
        let used = bit >= clusters || checker.owner[bit] != u32::MAX;
        assert_eq!(bitmap[bit / 8] >> (bit % 8) & 1 == 1, used, "bit of cluster {bit}");
        if !used {
            assert!(
                image[bit * cluster..(bit + 1) * cluster].iter().all(|&byte| byte == 0),
                "free cluster {bit}"
            );
        }
    }
    gather_extensions(&checker, &mut table);
    check_files(&checker, &table);
    check_secure(&checker, &table);
    check_log(&table);
    check_constants(&table);
    contents(&checker, &table)
}

fn contents(checker: &Checker<'_>, table: &BTreeMap<u64, Record>) -> BTreeMap<String, Streams> {
    const DOS: u8 = 2;
    let mut out = BTreeMap::new();
    let mut stack = vec![(String::new(), 5)];
    while let Some((path, dir)) = stack.pop() {
        for (target, key) in checker.index(&table[&dir], "$I30", &path) {
            let number = target & 0xFFFF_FFFF_FFFF;
            if key[65] == DOS || dir == 5 && number < 16 {
                continue;
            }
            let record = &table[&number];
            let path = format!("{path}/{}", String::from_utf16(&utf16(&key[66..])).unwrap());
            let mut streams: Streams = (None, BTreeMap::new());
            for attribute in record.attributes.iter().filter(|a| a.kind == 0x80) {
                let value = attribute.value.clone();
                match String::from_utf16(&attribute.name).unwrap() {
                    name if name.is_empty() => streams.0 = Some(value),
                    name => assert!(streams.1.insert(name, value).is_none()),
                }
            }
            out.insert(path.clone(), streams);
            if record.flags & 2 != 0 {
                stack.push((path, number));
            }
        }
    }
    out
}

/// [`check`], and a comparison of the streams with those of the tree.
pub fn compare(tree: &Tree, image: &[u8]) {
    let mut found = check(image);
    for (path, link) in tree.paths() {
        let file = &tree.files[link.node];
        let (data, named) = found.remove(&path).unwrap_or_else(|| panic!("{path} is missing"));
        let wanted = (file.attributes & DIRECTORY == 0).then_some(&file.data);
        assert!(data.as_ref() == wanted, "{path}: content differs");
        assert!(named == file.named.iter().cloned().collect(), "{path}: named streams differ");
    }
    assert!(found.is_empty(), "nobody asked for {:?}", found.keys());
}

/// The value of the unnamed `$DATA` of a record whose fixups are undone, without claiming its clusters.
fn raw_data(checker: &mut Checker<'_>, record: &[u8], number: u64) -> Vec<u8> {
    let mut at = u16_at(record, 20);
    loop {
        let len = u32_at(record, at + 4);
        let attribute = checker.attribute(&record[at..at + len], number, false);
        if attribute.kind == 0x80 && attribute.name.is_empty() {
            return attribute.value;
        }
        at += len;
    }
}

/// Moves the attributes of extension records to their bases, after comparing them with the lists.
fn gather_extensions(checker: &Checker<'_>, table: &mut BTreeMap<u64, Record>) {
    let mut extensions: BTreeMap<u64, Vec<Attribute>> = BTreeMap::new();
    let numbers: Vec<u64> = table.keys().copied().collect();
    for number in numbers {
        let base = table[&number].base;
        if base != 0 {
            let record = table.remove(&number).unwrap();
            assert_eq!(record.links, 0, "record {number}: links of an extension");
            assert!(record.attributes.iter().all(|a| a.kind != 0x10 && a.kind != 0x20));
            let base_record = &table[&(base & 0xFFFF_FFFF_FFFF)];
            assert_eq!(base >> 48, base_record.sequence, "record {number}: sequence of its base");
            extensions.entry(base & 0xFFFF_FFFF_FFFF).or_default().extend(record.attributes);
        }
    }
    for (number, record) in table {
        let list = record.attributes.iter().position(|a| a.kind == 0x20);
        let more = extensions.remove(number).unwrap_or_default();
        assert_eq!(list.is_some(), !more.is_empty(), "record {number}: list and extensions");
        let Some(list) = list else { continue };
        let list = record.attributes.remove(list).value;
        record.attributes.extend(more);
        let mut entries = Vec::new();
        let mut at = 0;
        while at < list.len() {
            let len = u16_at(&list, at + 4);
            let name_at = at + usize::from(list[at + 7]);
            let name = utf16(&list[name_at..name_at + 2 * usize::from(list[at + 6])]);
            assert_eq!(u64_at(&list, at + 8), 0, "lowest VCN");
            entries.push((u32_at(&list, at) as u32, name, u64_at(&list, at + 16), u16_at(&list, at + 24)));
            at += len;
        }
        for pair in entries.windows(2) {
            assert!(pair[0].0 <= pair[1].0, "record {number}: order of the list");
            if pair[0].0 == pair[1].0 {
                let order = checker.compare(&pair[0].1, &pair[1].1);
                assert_ne!(order, Ordering::Greater, "record {number}: names of the list");
            }
        }
        let listed: BTreeSet<_> =
            entries.into_iter().map(|e| (e.0, e.1, e.2 & 0xFFFF_FFFF_FFFF, e.3)).collect();
        let real: BTreeSet<_> =
            record.attributes.iter().map(|a| (a.kind, a.name.clone(), a.holder, a.instance)).collect();
        assert_eq!(listed, real, "record {number}: list");
    }
    assert!(extensions.is_empty(), "extensions without a base");
}

fn check_files(checker: &Checker<'_>, table: &BTreeMap<u64, Record>) {
    let reference = |number: u64| number | table[&number].sequence << 48;
    // What the records say of names, and what the directories say.
    let mut names = BTreeSet::new();
    let mut listed = BTreeSet::new();
    let mut points = Vec::new();
    let mut objects = Vec::new();
    for (&number, record) in table {
        let what = format!("record {number}");
        let standard = &record.attributes[0];
        assert_eq!(standard.kind, 0x10, "{what}");
        let keys: Vec<&Vec<u8>> =
            record.attributes.iter().filter(|a| a.kind == 0x30).map(|a| &a.value).collect();
        assert_eq!(keys.len(), record.links, "{what}: links");
        let data = record.attributes.iter().find(|a| a.kind == 0x80 && a.name.is_empty());
        let is_dir = record.flags & 2 != 0;
        let attributes = u32_at(&standard.value, 32);
        for key in &keys {
            assert_eq!(key[8..40], standard.value[..32], "{what}: times of a name");
            let flags = if is_dir { 0x1000_0000 } else { 0 };
            assert_eq!(u32_at(key, 56), attributes | flags, "{what}: attributes of a name");
            let (allocated, size) = data.map_or((0, 0), |data| match data.non_resident {
                true => (data.allocated, data.value.len() as u64),
                false => (data.value.len().next_multiple_of(8) as u64, data.value.len() as u64),
            });
            assert_eq!((u64_at(key, 40), u64_at(key, 48)), (allocated, size), "{what}: sizes of a name");
            assert!(names.insert((u64_at(key, 0), reference(number), key.to_vec())), "{what}: name twice");
            let parent = u64_at(key, 0) & 0xFFFF_FFFF_FFFF;
            assert_eq!(u64_at(key, 0), reference(parent), "{what}: sequence of the parent");
        }
        // A DOS name has a Win32 partner in the same directory and the other way round.
        let spaces = |space: u8| {
            let mut parents: Vec<_> = keys.iter().filter(|k| k[65] == space).map(|k| u64_at(k, 0)).collect();
            parents.sort_unstable();
            parents
        };
        assert_eq!(spaces(1), spaces(2), "{what}: namespaces");
        for attribute in &record.attributes {
            match attribute.kind {
                0xC0 => {
                    assert_ne!(attributes & 0x400, 0, "{what}: reparse bit");
                    let mut key = attribute.value[..4].to_vec();
                    key.extend_from_slice(&reference(number).to_le_bytes());
                    points.push(key);
                }
                0xE0 => check_eas(record, &attribute.value, &what),
                0x40 => objects.push((attribute.value[..16].to_vec(), reference(number))),
                0x80 if attribute.name.is_empty() => {
                    assert_eq!(attribute.flags & 1 != 0, attributes & 0x800 != 0, "{what}: compressed");
                    if attribute.non_resident {
                        assert_eq!(attribute.flags & 0x8000 != 0, attributes & 0x200 != 0, "{what}: sparse");
                    }
                }
                _ => {}
            }
        }
        assert_eq!(
            is_dir,
            record.attributes.iter().any(|a| a.kind == 0x90 && a.name == utf16(b"$\0I\x003\x000\0"))
        );
        if is_dir {
            let entries = checker.index(record, "$I30", &what);
            for pair in entries.windows(2) {
                let name = |entry: &(u64, Vec<u8>)| utf16(&entry.1[66..]);
                let (a, b) = (name(&pair[0]), name(&pair[1]));
                assert_eq!(checker.compare(&a, &b), Ordering::Less, "{what}: order of the directory");
            }
            for (target, key) in entries {
                assert_eq!(usize::from(key[64]) * 2 + 66, key.len(), "{what}: name length");
                assert!(listed.insert((reference(number), target, key)), "{what}: entry twice");
            }
        }
    }
    assert_eq!(names, listed, "names of records and of directories");

    let words = |key: &[u8]| key.chunks(4).map(|w| u32_at(w, 0)).collect::<Vec<_>>();
    points.sort_by_key(|key| words(key));
    let found: Vec<_> =
        checker.index(&table[&26], "$R", "$Reparse").into_iter().map(|(_, key)| key).collect();
    assert_eq!(found, points, "$R");
    objects.sort_by_key(|(id, _)| words(id));
    let found: Vec<_> = checker.index(&table[&25], "$O", "$ObjId").into_iter().map(|(_, key)| key).collect();
    let wanted: Vec<_> = objects.into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, wanted, "$O");
    assert_eq!(checker.index(&table[&24], "$O", "$Quota:$O").len(), 1);
    assert_eq!(checker.index(&table[&24], "$Q", "$Quota:$Q").len(), 2);
}

/// Extended attributes follow each other to the end, and are counted right.
fn check_eas(record: &Record, eas: &[u8], what: &str) {
    let information = &record.attributes.iter().find(|a| a.kind == 0xD0).unwrap().value;
    let (mut at, mut packed, mut need) = (0, 0, 0);
    while at < eas.len() {
        let (next, name_len, value_len) = (u32_at(eas, at), usize::from(eas[at + 5]), u16_at(eas, at + 6));
        assert_eq!(next, (9 + name_len + value_len).next_multiple_of(4), "{what}: extended attribute");
        assert_eq!(eas[at + 8 + name_len], 0, "{what}: end of the name");
        packed += 5 + name_len + value_len;
        need += usize::from(eas[at + 4] >> 7);
        at += next;
    }
    assert_eq!(at, eas.len(), "{what}: extended attributes");
    assert_eq!(
        (u16_at(information, 0), u16_at(information, 2)),
        (packed, need),
        "{what}: extended attributes"
    );
    assert_eq!(u32_at(information, 4), eas.len(), "{what}: extended attributes");
}

fn check_secure(checker: &Checker<'_>, table: &BTreeMap<u64, Record>) {
    const BLOCK: usize = 0x4_0000;
    let secure = &table[&9];
    let sds = &secure.attributes.iter().find(|a| a.kind == 0x80).unwrap().value;
    let by_id = checker.index(secure, "$SII", "$SII");
    let by_hash = checker.index(secure, "$SDH", "$SDH");
    // Without a data offset in what the index hands out, walk the stream: entries follow each other.
    let mut headers = Vec::new();
    let mut at = 0;
    while headers.len() < by_id.len() {
        if at / BLOCK % 2 == 1 {
            at = (at / BLOCK + 1) * BLOCK;
            continue;
        }
        if at % BLOCK + 20 > BLOCK || u32_at(sds, at + 16) == 0 {
            at = (at / BLOCK + 2) * BLOCK;
            continue;
        }
        let len = u32_at(sds, at + 16);
        assert_eq!(u64_at(sds, at + 8) as usize, at, "offset of a descriptor");
        assert!(at % BLOCK + len <= BLOCK, "descriptor across a block");
        assert_eq!(sds[at..at + len], sds[at + BLOCK..at + BLOCK + len], "mirror of a descriptor");
        let hash = sds[at + 20..at + len].chunks(4).fold(0u32, |hash, word| {
            let mut bytes = [0; 4];
            bytes[..word.len()].copy_from_slice(word);
            hash.rotate_left(3).wrapping_add(u32::from_le_bytes(bytes))
        });
        assert_eq!(hash as usize, u32_at(sds, at), "hash of a descriptor");
        headers.push((u32_at(sds, at + 4), u32_at(sds, at)));
        at = (at + len).next_multiple_of(16);
    }
    let ids: Vec<_> = by_id.iter().map(|(_, key)| u32_at(key, 0)).collect();
    assert_eq!(ids, headers.iter().map(|header| header.0).collect::<Vec<_>>(), "$SII");
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let found: Vec<_> = by_hash.iter().map(|(_, key)| (u32_at(key, 0), u32_at(key, 4))).collect();
    let mut wanted: Vec<_> = headers.iter().map(|&(id, hash)| (hash, id)).collect();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "$SDH");
    for (number, record) in table {
        let standard = &record.attributes[0].value;
        if standard.len() == 72 {
            assert!(ids.binary_search(&u32_at(standard, 52)).is_ok(), "record {number}: security id");
        } else {
            assert!(record.attributes.iter().any(|a| a.kind == 0x50), "record {number}: no descriptor");
        }
    }
}

fn check_log(table: &BTreeMap<u64, Record>) {
    let log = &table[&2].attributes.iter().find(|a| a.kind == 0x80).unwrap().value;
    assert!(log.len() >= 2 << 20 && log.len().is_multiple_of(4096));
    assert!(log.iter().all(|&byte| byte == 0xFF));
}

fn check_constants(table: &BTreeMap<u64, Record>) {
    let data = |number: u64, name: &str| {
        let name: Vec<u16> = name.encode_utf16().collect();
        &table[&number].attributes.iter().find(|a| a.kind == 0x80 && a.name == name).unwrap().value
    };
    let crc = !data(10, "").iter().fold(!0u64, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0x9A6C_9329_AC4B_C9B5))
    });
    assert_eq!(u64_at(data(10, "$Info"), 8), crc, "checksum of $UpCase");
    let definitions = data(4, "");
    let kinds: Vec<_> = definitions.chunks_exact(160).map(|entry| u32_at(entry, 128)).collect();
    assert_eq!(kinds.len(), 16);
    assert!(kinds[..15].is_sorted() && kinds[15] == 0, "types of $AttrDef");
    for entry in definitions.chunks_exact(160).take(15) {
        assert_eq!(entry[..2], *b"$\0", "names of $AttrDef");
    }
}

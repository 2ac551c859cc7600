//! Reading a volume back with the `ntfs` crate, which is nobody of ours.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use disk::FileTime;
use ntfs::structured_values::{NtfsFileName, NtfsFileNamespace};
use ntfs::{Ntfs, NtfsAttributeType, NtfsFile};
use wimforge_ntfs_writer::Times;

use super::{DIRECTORY, REPARSE, Tree};

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub record: u64,
    pub is_dir: bool,
    pub attributes: u32,
    pub times: Times,
    pub security: Option<u32>,
    pub names: u16,
    pub data: Vec<u8>,
    pub named: BTreeMap<String, Vec<u8>>,
    pub reparse: Option<Vec<u8>>,
    pub object_id: Option<Vec<u8>>,
    pub ea: Option<Vec<u8>>,
    pub short: Option<String>,
}

/// Everything below the root but the system files, by path.
pub fn read(image: &[u8]) -> BTreeMap<String, Found> {
    let mut fs = Cursor::new(image);
    let mut ntfs = Ntfs::new(&mut fs).unwrap();
    ntfs.read_upcase_table(&mut fs).unwrap();
    let root = ntfs.root_directory(&mut fs).unwrap();
    let mut out = BTreeMap::new();
    let mut stack = vec![(String::new(), root)];
    while let Some((path, dir)) = stack.pop() {
        let index = dir.directory_index(&mut fs).unwrap();
        let mut entries = index.entries();
        let mut shorts = BTreeMap::new();
        let mut longs = Vec::new();
        while let Some(entry) = entries.next(&mut fs) {
            let entry = entry.unwrap();
            let key = entry.key().unwrap().unwrap();
            let name = key.name().to_string_lossy();
            let record = entry.file_reference().file_record_number();
            if key.namespace() == NtfsFileNamespace::Dos {
                shorts.entry(record).or_insert_with(Vec::new).push(name);
                continue;
            }
            if path.is_empty() && record < 16 {
                continue;
            }
            let file = entry.to_file(&ntfs, &mut fs).unwrap();
            let found = examine(&mut fs, &file, &key);
            let path = format!("{path}/{name}");
            assert!(out.insert(path.clone(), found).is_none(), "{path} twice");
            if key.namespace() == NtfsFileNamespace::Win32 {
                longs.push((record, path.clone()));
            }
            if file.is_directory() {
                stack.push((path, file));
            }
        }
        // Which of several pairs belong together is not on the disk.
        for (record, path) in longs {
            let shorts = shorts.get_mut(&record).expect("a Win32 name has a DOS partner");
            out.get_mut(&path).unwrap().short = Some(shorts.remove(0));
        }
        assert!(shorts.values().all(Vec::is_empty), "a DOS name has a Win32 partner");
    }
    out
}

fn examine(fs: &mut Cursor<&[u8]>, file: &NtfsFile<'_>, key: &NtfsFileName) -> Found {
    let info = file.info().unwrap();
    let time = |time: ntfs::NtfsTime| FileTime(time.nt_timestamp());
    let mut found = Found {
        record: file.file_record_number(),
        is_dir: file.is_directory(),
        attributes: info.file_attributes().bits(),
        times: Times {
            created: time(info.creation_time()),
            modified: time(info.modification_time()),
            changed: time(info.mft_record_modification_time()),
            accessed: time(info.access_time()),
        },
        security: info.security_id(),
        names: file.hard_link_count(),
        data: Vec::new(),
        named: BTreeMap::new(),
        reparse: None,
        object_id: None,
        ea: None,
        short: None,
    };
    assert_eq!(time(key.creation_time()), found.times.created);
    assert_eq!(time(key.access_time()), found.times.accessed);
    assert_eq!(key.is_directory(), found.is_dir);
    let mut attributes = file.attributes();
    while let Some(item) = attributes.next(fs) {
        let item = item.unwrap();
        let attribute = item.to_attribute().unwrap();
        let mut value = Vec::new();
        let mut read = || {
            attribute.value(fs).unwrap().attach(fs).read_to_end(&mut value).unwrap();
            std::mem::take(&mut value)
        };
        match attribute.ty().unwrap() {
            NtfsAttributeType::Data => {
                let data = read();
                let name = attribute.name().unwrap().to_string_lossy();
                if name.is_empty() {
                    assert_eq!(key.data_size(), data.len() as u64);
                    found.data = data;
                } else {
                    assert!(found.named.insert(name, data).is_none());
                }
            }
            NtfsAttributeType::ReparsePoint => found.reparse = Some(read()),
            NtfsAttributeType::ObjectId => found.object_id = Some(read()),
            NtfsAttributeType::EA => found.ea = Some(read()),
            _ => {}
        }
    }
    found
}

/// Compares what was found with what was wanted.
pub fn compare(tree: &Tree, image: &[u8]) {
    compare_found(tree, read(image));
}

fn compare_found(tree: &Tree, mut found: BTreeMap<String, Found>) {
    let wanted = tree.paths();
    let mut names = vec![0u16; tree.files.len()];
    for link in &tree.links {
        names[link.node] += 1;
    }
    let mut records = BTreeMap::new();
    for (path, link) in &wanted {
        let node = &link.node;
        let file = &tree.files[*node];
        let got = found.remove(path).unwrap_or_else(|| panic!("{path} is missing"));
        let is_dir = file.attributes & DIRECTORY != 0;
        assert_eq!(got.is_dir, is_dir, "{path}");
        assert_eq!(got.times, file.times, "{path}");
        assert!(got.data == file.data, "{path}: content differs");
        let named: BTreeMap<_, _> = file.named.iter().cloned().collect();
        assert!(got.named == named, "{path}: named streams differ");
        // What the crate's documentation says is not stored, or is made consistent.
        let mut attributes = file.attributes & !(DIRECTORY | REPARSE | 0x80 | super::COMPRESSED);
        attributes |= if file.reparse.is_some() { REPARSE } else { 0 };
        assert_eq!(got.attributes & !super::COMPRESSED, attributes, "{path}");
        if let Some(short) = &got.short {
            assert_eq!(Some(short), link.short.as_ref(), "{path}");
        }
        match (&got.reparse, &file.reparse) {
            (None, None) => {}
            (Some(got), Some((tag, data))) => {
                assert_eq!(got[..4], tag.to_le_bytes(), "{path}");
                assert_eq!(got[8..], data[..], "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
        assert_eq!(got.object_id, file.object_id.map(|id| id.to_vec()), "{path}");
        assert_eq!(got.ea.is_some(), !file.eas.is_empty(), "{path}");
        // All names of a file, and no others, lead to its record.
        assert_eq!(*records.entry(*node).or_insert(got.record), got.record, "{path}");
        assert!(got.names >= names[*node], "{path}");
    }
    assert!(found.is_empty(), "nobody asked for {:?}", found.keys());
    let distinct: std::collections::BTreeSet<_> = records.values().collect();
    assert_eq!(distinct.len(), records.len(), "two files in one record");
}

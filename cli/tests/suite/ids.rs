//! Object ids and extended attributes: wimlib puts neither on a volume, so a hand-made WIM and ntfs-3g's own
//! attributes stand in for the round trip.

use std::collections::BTreeMap;

use testkit::wimfile::{ITEM_EXTENDED_ATTRIBUTES, ITEM_OBJECT_ID};
use testkit::{args, disk, fixture, kernel, reader, tool, tree::Tree};

use crate::support::{build, scratch};

/// Name, flags and value of each attribute in the data of a tagged item.
fn of_item(data: &[u8]) -> BTreeMap<String, (u8, Vec<u8>)> {
    let mut list = BTreeMap::new();
    let mut rest = data;
    while let [low, high, name_len, flags, tail @ ..] = rest {
        let (name, tail) = tail.split_at(usize::from(*name_len));
        let (value, tail) = tail[1..].split_at(usize::from(u16::from_le_bytes([*low, *high])));
        list.insert(String::from_utf8_lossy(name).into_owned(), (*flags, value.to_vec()));
        rest = tail;
    }
    list
}

/// Name, flags and value of each attribute in a list as NTFS keeps it: {next, flags, name length, value length,
/// name, NUL, value}, each aligned to 4 bytes.
fn of_volume(data: &[u8]) -> BTreeMap<String, (u8, Vec<u8>)> {
    let mut list = BTreeMap::new();
    let mut at = 0;
    while at < data.len() {
        let next = u32::from_le_bytes(data[at..at + 4].try_into().expect("4 bytes")) as usize;
        let (flags, name_len) = (data[at + 4], usize::from(data[at + 5]));
        let value_len = usize::from(u16::from_le_bytes([data[at + 6], data[at + 7]]));
        let name = &data[at + 8..at + 8 + name_len];
        let value = &data[at + 9 + name_len..at + 9 + name_len + value_len];
        list.insert(String::from_utf8_lossy(name).into_owned(), (flags, value.to_vec()));
        assert!(next > 0 || data.len() - at - 9 - name_len - value_len < 4, "bytes after the last attribute");
        at += if next == 0 { data.len() } else { next };
    }
    list
}

#[test]
fn object_ids_and_extended_attributes() {
    let Some(getfattr) = tool("getfattr") else { return };
    let scratch = scratch();
    let (wim, raw) = (scratch.path().join("ids.wim"), scratch.path().join("disk.raw"));
    fixture::ids_and_attributes().save(&wim);
    build(&wim, &raw, &[]).well();
    let volume = scratch.path().join("volume.img");
    let Some(_) = disk::cut(&raw, None, &volume) else { return };
    let Some(tree) = Tree::of_wim(&wim, 1) else { return };
    reader::ntfsprogs(&volume);
    reader::seven_zip(&volume);
    reader::sleuthkit(&volume, &tree);

    let Some(mount) = reader::Mount::new(&volume, "ro") else { return };
    let attribute = |name: &str, path: &str| {
        let path = mount.path().join(path);
        getfattr.run(args!["--absolute-names", "--only-values", "-n", name, &path]).stdout
    };
    let (mut ids, mut lists) = (0, 0);
    for (path, node) in &tree.nodes {
        let path = testkit::tree::show(path);
        for (tag, data) in &node.tagged {
            match *tag {
                ITEM_OBJECT_ID => {
                    let found = attribute("system.ntfs_object_id", &path[1..]);
                    assert_eq!(found[..16], data[..16], "{path}");
                    // The birth ids lie in the index $ObjId:$O. An object that was given none was born as itself, on
                    // no volume and in no domain.
                    let mut birth = [0; 48];
                    match data.len() {
                        64 => birth.copy_from_slice(&data[16..]),
                        _ => birth[16..32].copy_from_slice(&data[..16]),
                    }
                    assert_eq!(found[16..], birth, "{path}");
                    ids += 1;
                }
                ITEM_EXTENDED_ATTRIBUTES => {
                    assert_eq!(of_volume(&attribute("system.ntfs_ea", &path[1..])), of_item(data), "{path}");
                    lists += 1;
                }
                other => panic!("tag {other:#x}"),
            }
        }
    }
    assert_eq!((ids, lists), (21, 4));
    drop(mount);
    if let Some(report) = kernel::ntfs3(&volume, "") {
        let faults = report.faults(&tree);
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

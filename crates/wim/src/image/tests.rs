use std::sync::Arc;

use testkit::hostile;
use testkit::wimfile::{Entry, ITEM_OBJECT_ID, WimFile};

use super::*;
use crate::layout::{dentry, u16_at, u32_at, u64_at};
use crate::{Error, Limits, Wim};

fn open(wim: &WimFile) -> Wim {
    Wim::open(Arc::new(wim.to_bytes())).expect("what testkit writes can be opened")
}

/// A file, and the metadata of its first image, to be changed behind the back of the hash.
fn taken_apart(wim: &WimFile) -> (Wim, Vec<u8>) {
    let wim = open(wim);
    let metadata = wim.metadata_bytes(&wim.metadata(1).unwrap().resource).unwrap();
    (wim, metadata)
}

/// A root with `file`, `other` and `dir`, which holds `inner`.
fn plain() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("plain");
    let root = image.root();
    image.security(&[7; 20]);
    image.add(root, Entry::file("file", "data").stream("named", "stream").tagged(0x1234, *b"tagged data!"));
    image.add(root, Entry::file("other", "other data").short("OTHER~1").secured(0));
    let dir = image.add(root, Entry::directory("dir").tagged(ITEM_OBJECT_ID, vec![9; 16]));
    image.add(dir, Entry::file("inner", ""));
    wim
}

/// Where the record of the dentry with that name begins.
fn find(metadata: &[u8], name: &str) -> usize {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let is = |at: &usize| {
        let record = &metadata[*at..];
        record.len() > dentry::NAME + name.len()
            && usize::from(u16_at(record, dentry::NAME_LEN)) == name.len()
            && record[dentry::NAME..].starts_with(&name)
            && u64_at(record, 0) < 1000
            && u64_at(record, 0) > 100
    };
    (0..metadata.len()).step_by(8).find(is).expect("there is such a dentry")
}

fn paths(image: &Image) -> Vec<String> {
    (0..image.dentries().len() as u32).map(|id| image.path(DentryId(id))).collect()
}

fn text(warnings: &[Warning]) -> String {
    warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

#[test]
fn memory_for_a_dentry() {
    // Together with the names' own allocations below 300 bytes for names of usual length.
    assert!(size_of::<Dentry>() <= 48, "{}", size_of::<Dentry>());
    assert!(size_of::<Inode>() <= 176, "{}", size_of::<Inode>());
}

#[test]
fn a_plain_tree() {
    let wim = open(&plain());
    let image = wim.image(1).unwrap();
    assert_eq!(image.warnings(), []);
    assert_eq!(paths(&image), ["\\", "\\file", "\\other", "\\dir", "\\dir\\inner"]);
    let file = image.inode(image.dentry(DentryId(1)).inode);
    let blob = |sha1: &StreamRef| match sha1 {
        StreamRef::Blob { id, .. } => wim.reader().read_all(*id, 100).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(blob(file.data.as_ref().unwrap()), b"data");
    assert_eq!(blob(&file.named[0].stream), b"stream");
    assert_eq!(&*file.tagged, [TaggedItem { tag: 0x1234, data: (*b"tagged data!").into() }]);
    let other = image.dentry(DentryId(2));
    assert_eq!(String::from_utf16_lossy(&other.short_name), "OTHER~1");
    assert_eq!(image.inode(other.inode).security, Some(0));
    assert_eq!(&*image.security()[0], [7; 20]);
    let dir = image.inode(image.dentry(DentryId(3)).inode);
    assert_eq!(dir.object_id.as_deref(), Some(&ObjectId { id: [9; 16], birth: None }));
    assert_eq!((dir.data, dir.is_directory()), (None, true));
    assert_eq!(image.inode(image.dentry(DentryId(4)).inode).data, Some(StreamRef::Empty));
    assert_eq!(image.dentry(DentryId(4)).parent, DentryId(3));
    assert_eq!(image.children(image.root()).map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn lookup_prefers_the_exact_name() {
    let mut wim = WimFile::new();
    let built = wim.image("case");
    let root = built.root();
    let dir = built.add(root, Entry::directory("Größe"));
    for name in ["README", "readme", "Straße"] {
        built.add(dir, Entry::file(name, name));
    }
    let image = open(&wim).image(1).unwrap();
    let found = |path: &str| image.lookup(path).map(|id| image.path(id));
    assert_eq!(found(""), Some("\\".to_owned()));
    assert_eq!(found("/"), Some("\\".to_owned()));
    for path in ["\\Größe\\readme", "Größe/readme", "//GRÖSSE", "grÖße\\/readme\\"] {
        let expected = if path.contains("SS") { None } else { Some("\\Größe\\readme".to_owned()) };
        assert_eq!(found(path), expected, "{path}");
    }
    assert_eq!(found("größe/README"), Some("\\Größe\\README".to_owned()));
    assert_eq!(found("größe/ReadMe"), Some("\\Größe\\README".to_owned()), "the first of several");
    assert_eq!(found("größe/readme/x"), None);
    assert_eq!(found("none"), None);
}

#[test]
fn a_directory_inside_itself_is_refused() {
    let error = open(&hostile::cyclic()).image(1).unwrap_err().root().to_string();
    assert!(error.contains("\"inner\" contains itself: its entries are those of \"outer\""), "{error}");
}

#[test]
fn a_tree_that_explodes_is_refused() {
    let error = open(&hostile::exploding()).image(1).unwrap_err().root().to_string();
    assert!(error.contains("the entries of \"b\" are also those of \"a\""), "{error}");
}

/// Every directory's list begins one entry further into the one long list: no two are the same, no list is its own
/// descendant until deep down, and the number of names would grow with the square of the metadata's size.
#[test]
fn lists_inside_lists_are_refused() {
    let mut wim = WimFile::new();
    let built = wim.image("overlap");
    let root = built.root();
    for index in 0..500 {
        let dir = built.add(root, Entry::directory(&format!("directory {index:03}")));
        built.add(dir, Entry::file("x", ""));
    }
    let (wim, mut metadata) = taken_apart(&wim);
    for index in 0..499 {
        let at = find(&metadata, &format!("directory {index:03}"));
        let next = find(&metadata, &format!("directory {:03}", index + 1)) as u64;
        metadata[at + dentry::SUBDIR..][..8].copy_from_slice(&next.to_le_bytes());
    }
    let error = wim.parse(&metadata).unwrap_err().to_string();
    assert!(error.contains("directories overlap"), "{error}");
}

#[test]
fn depth_is_bounded_by_the_length_of_paths() {
    let error = open(&hostile::deep()).image(1).unwrap_err();
    assert!(
        matches!(error.root(), Error::Limit { what: "path length", found: 32_768, limit: 32_767, .. }),
        "{error}"
    );
    let limits = Limits { path_units: 40_000, ..Limits::default() };
    let wim = Wim::open_with(Arc::new(hostile::deep().to_bytes()), limits).unwrap();
    let image = wim.image(1).unwrap();
    assert_eq!(image.dentries().len(), 20_001);
    assert_eq!(image.path(DentryId(20_000)).len(), 40_000);
}

#[test]
fn names_that_lead_elsewhere_are_left_out() {
    let image = open(&hostile::names()).image(1).unwrap();
    assert_eq!(paths(&image), ["\\", "\\honest.txt", "\\stream:name", "\\C:"]);
    let warnings = text(image.warnings());
    assert_eq!(image.warnings().len(), 8, "{warnings}");
    assert!(warnings.contains("left out \"..\" in the root: name of a directory above"), "{warnings}");
    assert!(warnings.contains("left out \"../escape.txt\" in the root: name with a separator"), "{warnings}");
}

#[test]
fn the_first_of_two_equal_names_stays() {
    let wim = open(&hostile::duplicate_names());
    let image = wim.image(1).unwrap();
    assert_eq!(paths(&image), ["\\", "\\twice.txt", "\\Case.txt", "\\case.txt"]);
    let Some(StreamRef::Blob { id: blob, .. }) = image.inode(image.dentry(DentryId(1)).inode).data else {
        panic!("no data")
    };
    assert_eq!(wim.reader().read_all(blob, 100).unwrap(), b"first");
    assert_eq!(image.warnings().len(), 1);
}

#[test]
fn content_that_is_missing_is_kept_by_its_hash() {
    let image = open(&hostile::missing_blob()).image(1).unwrap();
    let id = image.lookup(hostile::MISSING).unwrap();
    assert_eq!(image.inode(image.dentry(id).inode).data, Some(StreamRef::Missing([0xAB; 20])));
}

#[test]
fn links_need_the_same_content() {
    let image = open(&hostile::false_links()).image(1).unwrap();
    assert_eq!(image.inodes().len(), 3, "the root, and two files");
    let one = image.inode(image.dentry(image.lookup("one.txt").unwrap()).inode);
    assert_eq!(one.links.len(), 2);
    assert_eq!(image.path(one.links[1]), "\\one again.txt");
}

/// Changes to one record, and what must come of each: a part of the error's text, or of a warning's.
#[test]
fn records_with_wrong_fields() {
    let (wim, good) = taken_apart(&plain());
    let end = good.len() as u64;
    let change = |name: &str, field: usize, bytes: &[u8]| {
        let mut metadata = good.clone();
        let at = find(&metadata, name) + field;
        metadata[at..at + bytes.len()].copy_from_slice(bytes);
        wim.parse(&metadata)
    };
    let length = |length: u64| length.to_le_bytes();
    for (name, field, bytes, expected) in [
        ("other", dentry::LENGTH, &length(9)[..], "length is 9, expected 0 or at least 102"),
        ("other", dentry::LENGTH, &length(101), "length is 101, expected 0 or at least 102"),
        ("other", dentry::LENGTH, &length(u64::MAX), "length is 0xffffffffffffffff, but "),
        ("other", dentry::LENGTH, &length(end), "bytes are left"),
        ("other", dentry::LENGTH, &length(112), "the names end at"),
        ("other", dentry::NAME_LEN, &[5, 0], "expected even numbers"),
        ("other", dentry::SHORT_NAME_LEN, &[0xFF, 0], "expected even numbers"),
        ("other", dentry::NAME_LEN, &[0xFE, 0xFF], "the names end at"),
        ("inner", dentry::STREAMS, &[1, 0], "malformed stream entry"),
        ("file", dentry::STREAMS, &[0xFF, 0xFF], "malformed stream entry"),
        ("dir", dentry::SUBDIR, &length(end), "begin past the end"),
        ("dir", dentry::SUBDIR, &length(u64::MAX), "begin past the end"),
        ("dir", dentry::SUBDIR, &length(8), "begin where none can"),
        ("dir", dentry::SUBDIR, &length(find(&good, "file") as u64 + 4), "begin where none can"),
        ("dir", dentry::SUBDIR, &length(end - 8), ""),
        ("dir", dentry::SUBDIR, &length(find(&good, "file") as u64), "\"dir\" contains itself"),
    ] {
        let result = change(name, field, bytes);
        match expected {
            "" => assert_eq!(result.unwrap().dentries().len(), 4, "an empty directory"),
            expected => {
                let error = result.expect_err(expected).to_string();
                assert!(error.contains(expected), "{error}");
            }
        }
    }
    for (name, field, bytes, expected) in [
        ("file", dentry::SECURITY, &[1, 0, 0, 0][..], "security descriptor 1 of 1, taken for none"),
        ("dir", dentry::SHA1, &[1; 20], "1 streams without a meaning"),
        (
            "file",
            dentry::NAME + 2 * 4 + 2 + 4,
            &[0xF8, 0xFF, 0xFF, 0xFF],
            "tagged item 0x1234 has 0xfffffff8",
        ),
        ("inner", dentry::LENGTH, &length(115), "is not a multiple of 8, rounded up"),
    ] {
        let image = change(name, field, bytes).expect(expected);
        assert!(text(image.warnings()).contains(expected), "{expected}: {}", text(image.warnings()));
        assert_eq!(image.dentries().len(), 5);
    }
}

#[test]
fn roots_and_security_data_with_wrong_fields() {
    let (wim, good) = taken_apart(&plain());
    let root = u32_at(&good, 0) as usize;
    let change = |at: usize, bytes: &[u8]| {
        let mut metadata = good.clone();
        metadata[at..at + bytes.len()].copy_from_slice(bytes);
        wim.parse(&metadata)
    };
    for (at, bytes, expected) in [
        (0, &u32::MAX.to_le_bytes()[..], "length is 0xffffffff"),
        (4, &u32::MAX.to_le_bytes(), "4294967295 descriptors do not fit"),
        (4, &5_u32.to_le_bytes(), "5 descriptors do not fit"),
        (8, &u64::MAX.to_le_bytes(), "descriptor 0 has 0xffffffffffffffff bytes"),
        (8, &100_u64.to_le_bytes(), "descriptor 0 has 0x64 bytes"),
        (root + dentry::ATTRIBUTES, &[0x20, 0, 0, 0], "root has attributes 0x20, expected a directory"),
    ] {
        let error = change(at, bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let image = change(root, &[0; 8]).unwrap();
    assert_eq!((image.dentries().len(), image.inodes().len(), image.warnings().len()), (1, 1, 1));
    let image = change(8, &3_u64.to_le_bytes()).unwrap();
    assert_eq!((image.security()[0].len(), image.warnings().len()), (3, 1));
    // No security data, and its length 0 in place of 8; the root's terminator missing; nothing else.
    let mut tiny = vec![0; 8];
    let record = &good[root..][..dentry::FIXED_LEN + 2];
    tiny.extend(record);
    tiny[8 + dentry::SUBDIR..][..8].fill(0);
    let image = wim.parse(&tiny).unwrap();
    assert_eq!((image.dentries().len(), image.warnings()), (1, &[][..]));
    for len in 0..8 {
        assert!(wim.parse(&good[..len]).is_err());
    }
}

/// Every prefix, and every byte changed in a few ways: no panic, and never more dentries than there is room for.
#[test]
fn damaged_anywhere() {
    let (wim, good) = taken_apart(&testkit::fixture::ids_and_attributes());
    let check = |metadata: &[u8]| {
        if let Ok(image) = wim.parse(metadata) {
            assert!(image.dentries().len() <= 1 + metadata.len() / dentry::FIXED_LEN);
            for id in 0..image.dentries().len() as u32 {
                image.path(DentryId(id));
                image.children(DentryId(id)).for_each(|child| assert_eq!(image.dentry(child).parent.0, id));
            }
            for inode in image.inodes() {
                assert!(inode.security.is_none_or(|id| (id as usize) < image.security().len()));
                assert!(!inode.links.is_empty());
                inode.eas.iter().for_each(|ea| assert!(!ea.name.is_empty()));
            }
        }
    };
    for end in 0..good.len() {
        check(&good[..end]);
    }
    let mut metadata = good.clone();
    for at in 0..good.len() {
        for change in [0x01, 0x80, 0xFF, good[at], !good[at]] {
            metadata[at] = good[at] ^ change;
            check(&metadata);
        }
        metadata[at] = good[at];
    }
}

#[test]
fn extended_attributes_and_object_ids() {
    let image = open(&testkit::fixture::ids_and_attributes()).image(1).unwrap();
    let inode = |path: &str| image.inode(image.dentry(image.lookup(path).unwrap()).inode);
    let second: Vec<_> = inode("ea 1").eas.iter().collect();
    assert_eq!(second[0], ExtendedAttribute { need: false, name: b"FIRST", value: b"one" });
    assert_eq!(second[1], ExtendedAttribute { need: true, name: b"SECOND", value: b"" });
    assert_eq!(inode("ea 2").eas.iter().next().unwrap().value, [7; 3000]);
    assert_eq!(inode("ea 3").eas.iter().count(), 5);
    assert!(inode("ea 3").tagged.is_empty());
    let with_birth = inode("object id 2").object_id.as_deref().unwrap();
    assert_eq!(with_birth.birth, Some([0x42; 48]));
    assert_eq!(inode("object id 3").object_id.as_deref().unwrap().birth, None);
}

#[test]
fn extended_attributes_that_end_early() {
    let whole = testkit::wimfile::extended_attributes(&[("A", 0, b"value"), ("B", 0x80, b"other")]);
    for end in 0..whole.len() {
        let (eas, kept) = ExtendedAttributes::parse(&whole[..end]);
        assert_eq!(eas.iter().count(), usize::from(end >= 11), "{end}");
        assert_eq!(kept, if end >= 11 { 11 } else { 0 });
    }
    let nameless = [1, 0, 0, 0, 0, b'x'];
    assert!(ExtendedAttributes::parse(&nameless).0.is_empty());
}

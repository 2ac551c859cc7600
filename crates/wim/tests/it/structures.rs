//! Header, blob table and integrity table with wrong values: an error that says what, or a warning and what the
//! format's other readers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::common::*;
use testkit::wimfile::{Entry, WimFile};
use wimforge_wim::verify::{self, Integrity, Progress, Report};
use wimforge_wim::{Codec, Error, Header, Limits, StreamRef, Wim};

fn check(wim: &Wim) -> Report {
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    verify::verify(wim, &Progress { checked: &checked, cancel: &cancel }).unwrap()
}

fn warnings(wim: &Wim) -> Vec<String> {
    wim.warnings().iter().map(ToString::to_string).collect()
}

/// One change to the header of the sample: where, what, and the error that it must lead to.
#[test]
fn headers_with_wrong_fields() {
    const LZX: u32 = 0x4_0002;
    const XPRESS: u32 = 0x2_0002;
    let good = sample().to_bytes();
    let size = good.len() as u64;
    let far = || resource(size - 10, 20, 20, 0).to_vec();
    for (at, change, expected) in [
        (
            0x00,
            b"X".to_vec(),
            "malformed WIM header at 0x0: signature is 585357494d000000, expected 4d5357494d000000",
        ),
        (0x00, b"WLPWM".to_vec(), "malformed WIM header at 0x7cd: signature is"),
        (0x08, words(&[0]), "malformed WIM header at 0x8: header size is 0, expected 208"),
        (0x0C, words(&[0x10A00]), "unsupported WIM header at 0xc: version 0x10a00, from before"),
        (0x0C, words(&[0x10E00]), "malformed WIM header at 0xc: version is 0x10e00, expected 0x10d00"),
        (0x10, words(&[0x2]), "unsupported WIM header at 0x10: unknown codec in flags 0x2"),
        (0x10, words(&[0x10_0002]), "unsupported WIM header at 0x10: unknown codec in flags 0x100002"),
        (0x10, words(&[0x8_0002, 0x4000]), "expected a power of two from 0x8000 to 0x40000000 for LZMS"),
        (0x10, words(&[LZX, 0x4000]), "malformed WIM header at 0x14: chunk size is 0x4000, expected a"),
        (0x10, words(&[LZX, 0x40_0000]), "expected a power of two from 0x8000 to 0x200000 for LZX"),
        (0x10, words(&[LZX, 0x8001]), "chunk size is 0x8001, expected a power of two"),
        (0x10, words(&[XPRESS, 0x8000_0000]), "expected a power of two from 0x1000 to 0x10000 for XPRESS"),
        (0x28, vec![0, 0], "malformed WIM header at 0x28: part number is 0 of 1"),
        (0x28, vec![2, 0], "malformed WIM header at 0x28: part number is 2 of 1"),
        (0x28, vec![2, 0, 3, 0], "unsupported WIM header at 0x28: part 2 of a split set of 3, on its own"),
        (0x2C, words(&[u32::MAX]), "malformed WIM header at 0x2c: image count is 4294967295"),
        (TABLE, far(), "malformed blob table at 0x30: resource"),
        (TABLE, resource(u64::MAX - 10, 20, 20, 0).to_vec(), "ends past the end of the file"),
        (TABLE, resource(208, 20, 21, 0).to_vec(), "is stored in 0x14 bytes, expected its size 0x15"),
        (TABLE, resource(208, 20, 21, 4).to_vec(), "compressed, but the header names no codec"),
        (XML, far(), "malformed XML data at 0x48: resource"),
        (INTEGRITY, far(), "malformed integrity table at 0x7c: resource"),
    ] {
        let mut bytes = good.clone();
        put(&mut bytes, at, &change);
        let error = open(&bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
}

#[test]
fn headers_that_are_refused_can_be_looked_at() {
    let mut bytes = sample().to_bytes();
    put(&mut bytes, 0x0C, &words(&[0xE00, 0x8_0082, 0x2_0000]));
    put(&mut bytes, 0x28, &[1, 0, 4, 0]);
    assert!(matches!(open(&bytes), Err(Error::Unsupported { .. })));
    let header = Header::read(&bytes).unwrap();
    assert!(header.is_solid_version());
    assert_eq!((header.codec, header.chunk_size, header.parts), (Codec::Lzms, 0x2_0000, 4));
}

#[test]
fn headers_that_are_strange_but_legal() {
    let good = sample().to_bytes();
    for (flags, chunk_size, codec, expected) in [
        (0, 0x8000, Codec::None, 0),
        (0x2_0002, 0, Codec::Xpress, 0x8000),
        (0x20_0002, 0x1000, Codec::Xpress, 0x1000),
        (0x6_0002, 0x20_0000, Codec::Lzx, 0x20_0000),
        (0x4_0000, 0, Codec::None, 0),
        (0x8_0002, 0x4000_0000, Codec::Lzms, 0x4000_0000),
    ] {
        let mut bytes = good.clone();
        put(&mut bytes, 0x10, &words(&[flags, chunk_size]));
        let wim = open(&bytes).unwrap();
        assert_eq!((wim.header().codec, wim.header().chunk_size), (codec, expected));
        use_all(&bytes).unwrap();
    }
    let mut bytes = good.clone();
    put(&mut bytes, 0x10, &words(&[0x40]));
    put(&mut bytes, 0x2C, &words(&[3]));
    put(&mut bytes, 0x78, &words(&[2]));
    let wim = open(&bytes).unwrap();
    assert_eq!((wim.image_count(), wim.boot_index()), (1, None));
    let warnings = warnings(&wim).join("\n");
    for expected in
        ["image count is 3, the blob table has the metadata of 1", "bootable image 2 of 1", "a change of"]
    {
        assert!(warnings.contains(expected), "{warnings}");
    }
    put(&mut bytes, 0x78, &words(&[1]));
    assert_eq!(open(&bytes).unwrap().boot_index(), Some(1));
    put(&mut bytes, 0x2C, &words(&[0]));
    let wim = open(&bytes).unwrap();
    assert_eq!(wim.image_count(), 0);
    assert!(matches!(wim.image(1), Err(Error::NoSuchImage { index: 1, count: 0 })));
    assert!(matches!(wim.image(0), Err(Error::NoSuchImage { .. })));
}

/// What a flipped bit makes of fields that have a second copy, or that belong together (`crates/flips` found both silent).
#[test]
fn what_is_half_gone_from_a_header_is_not_taken_for_absent_in_silence() {
    let mut bytes = sample().to_bytes();
    put(&mut bytes, INTEGRITY, &resource(208, 0, 32, 0));
    put(&mut bytes, BOOT, &resource(208, 100, 100, 2));
    let wim = open(&bytes).unwrap();
    assert!(!wim.has_integrity() && wim.boot_index().is_none());
    let expected = [
        "WIM header at 0x7c: the integrity table is at 0xd0, 0x0 bytes for 0x20; taken for absent",
        "WIM header at 0x60: no image is bootable, and the bootable image's metadata is at 0xd0, 0x64 bytes for 0x64",
    ];
    assert_eq!(warnings(&wim), expected);
}

#[test]
fn encrypted_files_are_refused() {
    let mut bytes = sample().to_bytes();
    let xml: Vec<u8> = "\u{feff}<WIM><ESD><ENCRYPTED>1</ENCRYPTED></ESD></WIM>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    replace(&mut bytes, XML, &xml);
    let error = open(&bytes).unwrap_err().to_string();
    assert!(
        error.starts_with("unsupported XML data at") && error.ends_with("encrypted file (ESD)"),
        "{error}"
    );
}

#[test]
fn blob_table_entries_that_are_passed_over() {
    let mut bytes = sample().to_bytes();
    let blobs = open(&bytes).unwrap().blobs().to_vec();
    let fine = resource(208, 4, 4, 0);
    add_entries(
        &mut bytes,
        &[
            entry(fine, 1, 1, [0; 20]),                        // no hash
            entry(resource(u64::MAX, 0, 0, 4), 1, 1, [5; 20]), // no content
            entry(fine, 2, 1, [6; 20]),                        // of another part
            entry(fine, 1, 1, blobs[0].sha1),                  // there already, with another size
            entry(resource(208, 4, 4, 2), 1, 0, [7; 20]),      // metadata that nobody uses
            entry(resource(208, 4, 4, 2), 1, 1, [8; 20]), // a second image, which the header does not count
            entry(resource(208, 4, 4, 0x19), 1, 7, [9; 20]), // bits that mean nothing in this version
        ],
    );
    let wim = open(&bytes).unwrap();
    let mut expected = blobs.clone();
    let last = wim.blob(wim.find_blob(&[9; 20]).unwrap()).clone();
    assert_eq!((last.offset, last.size, last.refcount), (208, 4, 7));
    expected.insert(1, last);
    assert_eq!(wim.blobs(), expected);
    assert_eq!(wim.image_count(), 1);
    for (index, blob) in wim.blobs().iter().enumerate() {
        assert_eq!(wim.find_blob(&blob.sha1).unwrap().0 as usize, index);
    }
    assert_eq!(wim.find_blob(&[6; 20]), None);
    let warnings = warnings(&wim);
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings[0].contains("ignored: it is in part 2, this is part 1"), "{warnings:?}");
    use_all(&bytes).unwrap();
}

#[test]
fn blob_table_entries_that_are_refused() {
    let size = sample().to_bytes().len() as u64;
    for (entry, expected) in [
        (entry(resource(size, 1000, 1000, 0), 1, 1, [5; 20]), "ends past the end of the file"),
        (
            entry(resource(u64::MAX - 5, 0xFF_FFFF_FFFF_FFFF, 1, 4), 1, 1, [5; 20]),
            "ends past the end of the file",
        ),
        (entry(resource(208, 4, 5, 0), 1, 1, [5; 20]), "is stored in 0x4 bytes, expected its size 0x5"),
        (entry(resource(208, 4, 5, 4), 1, 1, [5; 20]), "compressed, but the header names no codec"),
        (entry(resource(208, 4, 4, 2), 1, 2, [5; 20]), "metadata is used 2 times, expected 1"),
    ] {
        let mut bytes = sample().to_bytes();
        add_entries(&mut bytes, &[entry]);
        let at = bytes.len() - ENTRY_LEN;
        let error = open(&bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with(&format!("malformed blob table entry at {at:#x}")), "{error}");
    }
    let mut bytes = sample().to_bytes();
    let table = bytes[range(&bytes, TABLE)].to_vec();
    replace(&mut bytes, TABLE, &[&table[..], &[0; 49]].concat());
    assert!(warnings(&open(&bytes).unwrap())[0].contains("is not a multiple of 50, ignored the rest"));
}

/// Blobs that begin at the same byte and are otherwise different must not be taken for each other by what the reader
/// remembers.
#[test]
fn blobs_that_overlap() {
    let mut bytes = sample().to_bytes();
    put(&mut bytes, 0x10, &words(&[0x2_0002, 0x1000]));
    let at = bytes.len() as u64;
    // Three raw chunks; seen as one resource of 0x3000 bytes, and as one of 0x1000 (which has no chunk table, so the
    // table's 8 bytes are its first).
    let stored =
        [&words(&[0x1000, 0x2000])[..], &(0..0x3000).map(|n| (n >> 8) as u8).collect::<Vec<_>>()].concat();
    bytes.extend(&stored);
    add_entries(
        &mut bytes,
        &[
            entry(resource(at, 0x3008, 0x3000, 4), 1, 1, [5; 20]),
            entry(resource(at, 0x1000, 0x1000, 4), 1, 1, [6; 20]),
            entry(resource(at, 0x2004, 0x2000, 4), 1, 1, [7; 20]),
        ],
    );
    let wim = open(&bytes).unwrap();
    let [three, one, two] = [[5; 20], [6; 20], [7; 20]].map(|sha1| wim.find_blob(&sha1).unwrap());
    let mut reader = wim.reader();
    let mut buf = [0; 16];
    for _ in 0..2 {
        reader.read_at(three, 0xFF8, &mut buf).unwrap();
        assert_eq!(buf, [[0x0F; 8], [0x10; 8]].as_flattened());
        reader.read_at(one, 0xFF0, &mut buf).unwrap();
        assert_eq!(buf, stored[0xFF0..0x1000]);
        reader.read_at(two, 0x1FF0, &mut buf).unwrap();
        assert_eq!(buf, stored[0x1FF4..0x2004]);
        assert!(matches!(reader.read_at(one, 0xFF1, &mut buf), Err(Error::OutOfRange { .. })));
        assert!(matches!(reader.read_at(one, u64::MAX, &mut buf), Err(Error::OutOfRange { .. })));
    }
}

/// Chunk tables of a resource with three chunks of 0x1000, 0x1000 and 1 bytes.
#[test]
fn chunk_tables_with_wrong_entries() {
    for (table, stored, expected) in [
        ([0x1000, 0x2000], 0x2009, ""),
        ([0, 0x2000], 0x2009, "chunk 0 is stored in 0x0..0x0 of 0x2001, expected 1 to 0x1000 bytes"),
        ([0x1001, 0x2000], 0x2009, "chunk 0 is stored in 0x0..0x1001"),
        ([0x1000, 0xFFF], 0x2009, "chunk 1 is stored in 0x1000..0xfff"),
        ([0x1000, 0x1000], 0x2009, "chunk 1 is stored in 0x1000..0x1000"),
        ([0x1000, 0x1FFF], 0x2009, "chunk 2 is stored in 0x1fff..0x2001 of 0x2001, expected 1 to 0x1 bytes"),
        ([0x1000, 0x2000], 0x2008, "chunk 2 is stored in 0x2000..0x2000"),
        ([0x1000, 0x2000], 0x100, "chunk 0 is stored in 0x0..0x1000 of 0xf8"),
        ([u32::MAX, 0x2000], 0x2009, "chunk 0 is stored in 0x0..0xffffffff"),
        ([0x1000, u32::MAX], 0x2009, "chunk 1 is stored in 0x1000..0xffffffff"),
        ([0x1000, 0x2000], 8, "8 stored bytes cannot hold the chunk table of 0x8 bytes"),
    ] {
        let mut bytes = sample().to_bytes();
        put(&mut bytes, 0x10, &words(&[0x2_0002, 0x1000]));
        let at = bytes.len() as u64;
        bytes.extend(words(&table));
        bytes.extend((0..0x2001).map(|n| (n >> 4) as u8));
        add_entries(&mut bytes, &[entry(resource(at, stored, 0x2001, 4), 1, 1, [5; 20])]);
        let wim = open(&bytes).unwrap();
        let id = wim.find_blob(&[5; 20]).unwrap();
        let result = wim.reader().read_all(id, 0x4000);
        // The same entries are judged when only a part is read.
        let part = wim.reader().read_at(id, 0x1800, &mut [0; 0x801]);
        if expected.is_empty() {
            assert!(result.unwrap().iter().zip(0..).all(|(&byte, n)| byte == (n >> 4) as u8));
            part.unwrap();
        } else {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(&format!("at {at:#x}")), "{error}");
            assert!(part.is_err());
        }
    }
}

/// Sizes that nothing backs: refused before anything is allocated for them.
#[test]
fn sizes_that_nothing_backs() {
    for (stored, size) in [(64, 1 << 40), (0x100, u64::MAX), (0x100, 1 << 32), (1, 4097)] {
        for flags in [4, 6] {
            let mut bytes = sample().to_bytes();
            put(&mut bytes, 0x10, &words(&[0x2_0002, 0x1000]));
            let bomb = entry(resource(208, stored, size, flags), 1, 1, [5; 20]);
            if flags == 6 {
                let at = metadata_entry(&bytes);
                put(&mut bytes, at, &bomb);
                assert!(open(&bytes).unwrap().image(1).is_err());
                assert!(open(&bytes).unwrap().image_ignoring_hash(1).is_err());
            } else {
                add_entries(&mut bytes, &[bomb]);
                let wim = open(&bytes).unwrap();
                let id = wim.find_blob(&[5; 20]).unwrap();
                assert!(matches!(
                    wim.reader().read_all(id, 1 << 20),
                    Err(Error::Limit { .. } | Error::Malformed { .. })
                ));
                assert!(wim.reader().read_all(id, u64::MAX).is_err());
                assert!(wim.reader().read_at(id, size - 1, &mut [0]).is_err());
                assert!(!check(&wim).is_intact());
            }
        }
    }
}

#[test]
fn limits_have_names() {
    let bytes = sample().to_bytes();
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        let wim = Wim::open_with(Arc::new(bytes.clone()), limits)?;
        wim.image(1).map(drop)
    };
    with(|_| {}).unwrap();
    for (change, expected) in [
        ((|l| l.blob_table_bytes = 100) as fn(&mut Limits), "blob table at"),
        (|l| l.xml_bytes = 100, "XML data at"),
        (|l| l.metadata_bytes = 100, "image metadata at"),
        (|l| l.path_units = 10, "path length 19 exceeds the limit of 10"),
    ] {
        let error = with(change).unwrap_err();
        assert!(matches!(error.root(), Error::Limit { .. }));
        assert!(error.root().to_string().contains(expected), "{error}");
    }
}

#[test]
fn integrity_tables() {
    let good = sample().to_bytes();
    assert!(matches!(check(&open(&good).unwrap()).integrity, Integrity::Absent));
    for chunk_size in [1, 7, 100, 10 << 20] {
        let mut bytes = good.clone();
        let table = integrity(&bytes, chunk_size);
        replace(&mut bytes, INTEGRITY, &table);
        let covered = (range(&bytes, TABLE).end - 208) as u64;
        let expected = covered.div_ceil(u64::from(chunk_size));
        let report = check(&open(&bytes).unwrap());
        assert!(report.is_intact());
        assert!(
            matches!(&report.integrity, Integrity::Checked { pieces, damaged, .. } if *pieces == expected && damaged.is_empty())
        );
    }
    // Tables that make no sense.
    let table = integrity(&good, 100);
    for (at, change, expected) in [
        (0, words(&[11]), "entries need"),
        (4, words(&[1000]), "it has 1000 entries, expected"),
        (8, words(&[0]), "chunk size is 0"),
        (8, words(&[50]), "entries, expected"),
    ] {
        let mut bytes = good.clone();
        let mut table = table.clone();
        put(&mut table, at, &change);
        replace(&mut bytes, INTEGRITY, &table);
        match check(&open(&bytes).unwrap()).integrity {
            Integrity::Unusable(error) => assert!(error.to_string().contains(expected), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    for len in [1, 11, 12, table.len() - 1] {
        let mut bytes = good.clone();
        replace(&mut bytes, INTEGRITY, &table[..len]);
        let report = check(&open(&bytes).unwrap());
        assert!(matches!(report.integrity, Integrity::Unusable(_)) && !report.is_intact());
    }
}

/// Images are numbered by the order of their entries, whatever their order in the file.
#[test]
fn images_are_numbered_by_the_table() {
    let mut wim = WimFile::new();
    for name in ["one", "two", "three"] {
        let image = wim.image(name);
        let root = image.root();
        image.add(root, Entry::file(name, name));
    }
    let mut bytes = wim.to_bytes();
    let entries = entries(&bytes);
    let images: Vec<usize> = entries.into_iter().filter(|&at| bytes[at + 7] & 2 != 0).collect();
    let third = bytes[images[2]..images[2] + ENTRY_LEN].to_vec();
    bytes.copy_within(images[0]..images[2], images[1]);
    put(&mut bytes, images[0], &third);
    let wim = open(&bytes).unwrap();
    for (index, name) in [(1, "three"), (2, "one"), (3, "two")] {
        let image = wim.image(index).unwrap();
        let inode = image.inode(image.dentry(image.lookup(name).expect(name)).inode);
        assert!(matches!(inode.data, Some(StreamRef::Blob { .. })));
    }
    assert_ne!(wim.metadata_sha1(1), wim.metadata_sha1(2));
}

/// A file of many GiB of which only some parts are written down; every other byte tells its offset.
struct Vast {
    size: u64,
    parts: Vec<(u64, Vec<u8>)>,
}

impl Vast {
    fn byte(offset: u64) -> u8 {
        (offset ^ offset >> 8 ^ offset >> 15 ^ offset >> 32) as u8
    }
}

impl disk::ReadAt for Vast {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        assert!(offset + buf.len() as u64 <= self.size);
        for (byte, at) in buf.iter_mut().zip(offset..) {
            let part =
                self.parts.iter().find(|(start, part)| (*start..start + part.len() as u64).contains(&at));
            *byte = part.map_or(Vast::byte(at), |(start, part)| part[(at - start) as usize]);
        }
        Ok(())
    }

    fn size(&self) -> std::io::Result<u64> {
        Ok(self.size)
    }
}

/// From 4 GiB on a chunk table has entries of 8 bytes; offsets are beyond 4 GiB here in any case. The chunks are stored
/// raw, so nothing but the table decides what is read.
#[test]
fn blobs_around_4_gib() {
    const CHUNK: u64 = 1 << 15;
    for (size, entry_len) in [(u64::from(u32::MAX), 4), (1 << 32, 8), ((1 << 32) + 1, 8), (1 << 33, 8)] {
        let blob_at = 5 << 30;
        let entries = (size.div_ceil(CHUNK) - 1) as usize;
        let table: Vec<u8> = (1..=entries as u64)
            .flat_map(|n| (n * CHUNK).to_le_bytes().into_iter().take(entry_len))
            .collect();
        assert_eq!(table.len(), entries * entry_len);
        let stored = table.len() as u64 + size;
        let mut head = sample().to_bytes();
        put(&mut head, 0x10, &words(&[0x4_0002, CHUNK as u32]));
        let blobs = entry(resource(blob_at, stored, size, 4), 1, 1, [5; 20]).to_vec();
        let blobs_at = blob_at + stored;
        put(&mut head, TABLE, &resource(blobs_at, ENTRY_LEN as u64, ENTRY_LEN as u64, 0));
        put(&mut head, 0x2C, &words(&[0]));
        let data_at = blob_at + table.len() as u64;
        let vast = Vast {
            size: blobs_at + ENTRY_LEN as u64,
            parts: vec![(0, head), (blob_at, table), (blobs_at, blobs)],
        };
        let wim = Wim::open(Arc::new(vast)).unwrap();
        let id = wim.find_blob(&[5; 20]).unwrap();
        assert_eq!(wim.blob(id).size, size);
        let mut reader = wim.reader();
        let mut buffer = vec![0; 3 * CHUNK as usize];
        for start in [0, 1, 2047 * CHUNK, 2048 * CHUNK - 1, size / 2 + 11, size - 3 * CHUNK, size - 1] {
            let len = (size - start).min(3 * CHUNK) as usize;
            reader.read_at(id, start, &mut buffer[..len]).unwrap();
            assert!(
                buffer[..len].iter().zip(data_at + start..).all(|(&byte, at)| byte == Vast::byte(at)),
                "{start:#x}"
            );
        }
    }
}

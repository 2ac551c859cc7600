//! Cabinets of other writers, cabinets for other readers, and cabinets that nobody should believe.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use support::cabinet::{File, Folder, lay_out, lzx, stored, write};
use support::{Random, package};
use testkit::tool;
use wimforge_servicing::cabinet::Compression;
use wimforge_servicing::{Cabinet, Error};

fn open(bytes: Vec<u8>) -> Result<Cabinet, Error> {
    Cabinet::open(Arc::new(bytes))
}

fn all(cabinet: &Cabinet) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    cabinet
        .extract_all::<Error>(&mut |entry, bytes| {
            files.insert(entry.path().to_owned(), bytes);
            Ok(())
        })
        .unwrap();
    files
}

fn contents() -> Vec<(&'static str, u16, Vec<u8>)> {
    let mut random = Random(1);
    vec![
        ("a.txt", 0, b"a small one".to_vec()),
        ("folder\\b.bin", 0, random.text(100_000)),
        ("folder\\empty", 0, Vec::new()),
        ("c.sys", 0, random.text(65_536)),
        ("other\\d.bin", 1, random.text(40_001)),
    ]
}

#[test]
fn gcab_writes_what_is_read() {
    let Some(gcab) = tool("gcab") else { return };
    let folder = tempfile::tempdir().unwrap();
    for compression in [&["-n"][..], &["-z"]] {
        let mut names = Vec::new();
        for (name, _, bytes) in contents() {
            let path = folder.path().join(name.replace('\\', "/"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            names.push(name.replace('\\', "/"));
        }
        let _ = fs::remove_file(folder.path().join("x.cab"));
        let args = compression.iter().filter(|arg| **arg == "-z").copied().chain(["-c", "x.cab"]);
        let output = gcab.command().args(args).args(&names).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let cabinet = open(fs::read(folder.path().join("x.cab")).unwrap()).unwrap();
        let expected: BTreeMap<_, _> =
            contents().into_iter().map(|(name, _, bytes)| (name.replace('\\', "/"), bytes)).collect();
        assert_eq!(all(&cabinet), expected);
        let kind = cabinet.compression(&cabinet.entries()[0]).unwrap();
        assert_eq!(kind, if compression == ["-z"] { Compression::MsZip } else { Compression::Stored });
        assert!(cabinet.entries()[0].modified().is_some());
    }
}

/// Our LZX is read by others as it is by us: so the encoder of these tests writes the format and not what suits the decoder.
#[test]
fn others_read_the_same_lzx() {
    let files = contents();
    let borrowed: Vec<(&str, u16, &[u8])> = files.iter().map(|(n, f, b)| (*n, *f, b.as_slice())).collect();
    let (entries, data) = lay_out(&borrowed);
    for (seed, power) in [(1, 15), (2, 16), (3, 17), (4, 21), (5, 18), (6, 21)] {
        let folders: Vec<Folder> = data.iter().map(|data| lzx(data, power, seed)).collect();
        // Others do not agree on whether the reserved area of a block is part of its checksum.
        assert_eq!(all(&open(write(&entries, &folders, Some((7, 2, 5)))).unwrap()).len(), files.len());
        let bytes = write(&entries, &folders, Some((20, 3, 0)));
        let cabinet = open(bytes.clone()).unwrap();
        assert_eq!(cabinet.compression(&cabinet.entries()[0]), Some(Compression::Lzx { window: power }));
        let ours = all(&cabinet);
        for (name, _, bytes) in &files {
            assert_eq!(&ours[&name.replace('\\', "/")], bytes, "{name}");
            assert_eq!(cabinet.read(name).unwrap(), *bytes);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.cab"), &bytes).unwrap();
        for (name, args) in
            [("cabextract", &["-q", "-d", "out1", "x.cab"][..]), ("7zz", &["x", "-oout2", "x.cab"])]
        {
            let Some(program) = tool(name) else { continue };
            let output = program.command().args(args).current_dir(folder.path()).output().unwrap();
            assert!(
                output.status.success(),
                "{name} of {seed} {power}: {}",
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            );
            let out = folder.path().join(if name == "7zz" { "out2" } else { "out1" });
            for (path, bytes) in &ours {
                assert!(
                    fs::read(out.join(path)).unwrap() == *bytes,
                    "{name} reads {path} of seed {seed} differently"
                );
            }
        }
    }
}

/// The `lzxd` crate, chunk by chunk.
#[test]
fn lzxd_agrees() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let len = 1 + random.below(200_000);
        let data = random.text(len);
        let power = 15 + random.below(7) as u16;
        let folder = lzx(&data, power, seed);
        let size = [
            lzxd::WindowSize::KB32,
            lzxd::WindowSize::KB64,
            lzxd::WindowSize::KB128,
            lzxd::WindowSize::KB256,
            lzxd::WindowSize::KB512,
            lzxd::WindowSize::MB1,
            lzxd::WindowSize::MB2,
        ][usize::from(power) - 15];
        let mut theirs = lzxd::Lzxd::new(size);
        let mut found = Vec::new();
        for (chunk, size) in &folder.blocks {
            found.extend_from_slice(theirs.decompress_next(chunk, usize::from(*size)).unwrap());
        }
        let (entries, _) = lay_out(&[("x", 0, &data)]);
        let ours = open(write(&entries, &[folder], None)).unwrap().read("x").unwrap();
        assert!(ours == data, "seed {seed}");
        // It translates calls to the beginning of the data wrongly: see below.
        let wrong = ours.iter().zip(&found).filter(|(a, b)| a != b).count();
        assert!(found.len() == ours.len() && wrong <= 4, "{wrong} bytes differ with seed {seed}");
    }
}

#[test]
fn files_of_one_folder_are_decoded_once() {
    let (entries, data) = lay_out(&[("a", 0, b"first"), ("b", 0, b"second"), ("c", 0, &[7; 100_000])]);
    let cabinet = open(write(&entries, &[stored(&data[0])], None)).unwrap();
    let mut order = Vec::new();
    cabinet
        .extract::<Error>(&mut |entry| entry.path() != "a", &mut |entry, bytes| {
            order.push((entry.path().to_owned(), bytes.len()));
            Ok(())
        })
        .unwrap();
    assert_eq!(order, [("b".to_owned(), 6), ("c".to_owned(), 100_000)]);
    let mut pieces = Vec::new();
    cabinet
        .stream::<Error>(&mut |entry| entry.path() == "c", &mut |_, piece| {
            pieces.push(piece.map(<[u8]>::len));
            Ok(())
        })
        .unwrap();
    assert_eq!(
        pieces,
        [Some(0x8000 - 11), Some(0x8000), Some(0x8000), Some(100_000 + 11 - 3 * 0x8000), None]
    );
    let entry = cabinet.find("C").unwrap();
    assert_eq!((entry.size(), entry.attributes()), (100_000, 0x20));
    assert_eq!(entry.modified().unwrap().to_string(), "2016-07-16T01:02:04.0000000Z");
    assert!(matches!(cabinet.read("d"), Err(Error::NotFound(_))));
    // What is wrong with the caller ends it.
    let stopped = cabinet.extract_all(&mut |_, _| Err(Error::NotFound("stop".to_owned())));
    assert_eq!(stopped.unwrap_err().to_string(), "stop");
}

fn malformed(files: &[File], folders: &[Folder]) -> String {
    let error = match open(write(files, folders, None)) {
        Err(error) => error,
        Ok(cabinet) => cabinet.extract_all::<Error>(&mut |_, _| Ok(())).unwrap_err(),
    };
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    error.to_string()
}

#[test]
fn claims_that_do_not_hold() {
    let data = vec![1; 50_000];
    let file = |name: &str, offset, size| (name.to_owned(), 0, offset, size);
    let good = [stored(&data)];
    assert!(malformed(&[file("a", 0, 0x20001)], &good).contains("0x20001 of a folder of at most 0x10000"));
    assert!(malformed(&[file("a", u32::MAX, 10)], &good).contains("at most 0x10000"));
    assert!(malformed(&[file("a", 0xFFF0, 0x10)], &good).contains("ends at 0xc350"));
    assert!(malformed(&[file("a", 0, 10), file("b", 9, 1)], &good).contains("share bytes"));
    assert!(malformed(&[file("x\\A", 0, 1), file("X/a", 1, 1)], &good).contains("two files"));
    assert!(malformed(&[("a".to_owned(), 3, 0, 1)], &good).contains("folder 3, there are 1"));
    for name in ["..\\a", "\\a", "C:\\a", "a\\..\\..\\b", "/etc/passwd", "a\\", "nul:", ""] {
        assert!(malformed(&[file(name, 0, 1)], &good).contains("its name is"), "{name}");
    }
    let mut short = good.clone();
    short[0].blocks[0].1 = 0x7FFF;
    malformed(&[file("a", 0, 0x8000)], &short);
    let mut large = good.clone();
    large[0].blocks[1].0 = vec![0; 0xFFFF];
    assert!(malformed(&[file("a", 0, 0x8001)], &large).contains("0xffff bytes, expected at most 0x9800"));
    let unknown = Folder { compression: 0x0F, ..good[0].clone() };
    let error = open(write(&[file("a", 0, 1)], &[unknown], None)).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let quantum = Folder { compression: 0x1472, ..good[0].clone() };
    let cabinet = open(write(&[file("a", 0, 1)], &[quantum], None)).unwrap();
    assert!(cabinet.read("a").unwrap_err().to_string().contains("Quantum"));
}

/// Or a cabinet of a few MiB could have 65,535 folders of 2 GiB each.
#[test]
fn folders_share_no_blocks() {
    let (entries, data) = lay_out(&[("a", 0, &[1; 70_000]), ("b", 1, &[2; 70_000])]);
    let folders = [stored(&data[0]), stored(&data[1])];
    let bytes = write(&entries, &folders, None);
    open(bytes.clone()).unwrap().extract_all::<Error>(&mut |_, _| Ok(())).unwrap();
    let offset = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (first, second) = (36, 36 + 8);
    // The whole of the first one, and all but its first block.
    for (behind, reason) in [(0, "two folders have their first block at"), (0x8008, "over its folder's end")]
    {
        let mut shared = bytes.clone();
        shared[second..second + 4].copy_from_slice(&(offset(first) + behind).to_le_bytes());
        let error = match open(shared) {
            Err(error) => error,
            Ok(cabinet) => cabinet.read("a").unwrap_err(),
        };
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn sets_and_other_formats() {
    let (entries, data) = lay_out(&[("a", 0, b"x")]);
    let bytes = write(&entries, &[stored(&data[0])], None);
    let mut set = bytes.clone();
    set[30] = 2;
    let error = open(set).unwrap_err().to_string();
    assert!(error.contains("a set of several cabinets, of which this is number 1"), "{error}");
    let continued = write(&[("a".to_owned(), 0xFFFE, 0, 1)], &[stored(&data[0])], None);
    assert!(open(continued).unwrap_err().to_string().contains("partly in another cabinet"));
    let mut newer = bytes.clone();
    newer[24] = 4;
    assert!(matches!(open(newer), Err(Error::Unsupported { .. })));
    // What stands behind a cabinet, a signature usually, is not part of it.
    let signed = [bytes.clone(), vec![0xEE; 500]].concat();
    assert_eq!(open(signed).unwrap().size(), bytes.len() as u64);
    assert!(matches!(open(b"MZ".to_vec()), Err(Error::Malformed { .. })));
}

#[test]
fn every_truncation_and_every_flipped_byte() {
    let files = [("a.txt", &b"hello, hello, hello"[..]), ("b\\c.txt", &[9; 700])];
    let mszip = package::cabinet(&files);
    let (entries, data) = lay_out(&[("a.txt", 0, files[0].1), ("b\\c.txt", 0, files[1].1)]);
    let wide = write(&entries, &[lzx(&data[0], 15, 3)], None);
    for good in [mszip, wide] {
        let expected = all(&open(good.clone()).unwrap());
        for len in 0..good.len() {
            assert!(open(good[..len].to_vec()).is_err(), "{len}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            let Ok(cabinet) = open(bad) else { continue };
            let mut found = BTreeMap::new();
            let ok = cabinet.extract_all::<Error>(&mut |entry, bytes| {
                found.insert(entry.path().to_owned(), bytes);
                Ok(())
            });
            // Names, dates, places and sizes have no checksum; what is in a block has.
            if ok.is_ok() && found != expected {
                let names: Vec<_> = found.keys().collect();
                let sizes = cabinet.entries().iter().map(|entry| entry.size());
                assert!(!found.keys().eq(expected.keys()) || sizes.sum::<u64>() != 719, "{at:#x} {names:?}");
            }
        }
    }
}

/// Bits of 16-bit little-endian numbers: value and count.
fn bits(fields: &[(u32, u32)]) -> Vec<u8> {
    let text: String = fields
        .iter()
        .flat_map(|(value, count)| {
            (0..*count).rev().map(move |bit| if value >> bit & 1 == 1 { '1' } else { '0' })
        })
        .collect();
    let units = text.as_bytes().chunks(16);
    units
        .flat_map(|unit| {
            unit.iter()
                .rev()
                .enumerate()
                .fold(0, |n, (at, bit)| n | u16::from(bit - b'0') << (at + 16 - unit.len()))
                .to_le_bytes()
        })
        .collect()
}

/// A block without compression sets repeat offsets that no window has, and a match uses one. `lzxd` 0.2.7 panics.
#[test]
fn a_repeat_offset_out_of_this_world() {
    let mut chunk = bits(&[(0, 1), (3, 3), (0, 16), (2, 8), (0, 4)]);
    chunk.extend([0xFF; 12]);
    chunk.extend(b"ab");
    // Codeword lengths of a code for codeword lengths: 16 (one more) has 1 bit, 0 and 18 (a run of zeros) have 2.
    let pretree = |fields: &mut Vec<(u32, u32)>| {
        fields
            .extend((0..20).map(|symbol| {
                (if symbol == 16 { 1 } else { 2 * u32::from(symbol == 0 || symbol == 18) }, 4)
            }));
    };
    let zeros = |fields: &mut Vec<(u32, u32)>, mut count: u32| {
        while count >= 20 {
            let run = count.min(51);
            fields.extend([(3, 2), (run - 20, 5)]);
            count -= run;
        }
        fields.extend((0..count).map(|_| (2, 2)));
    };
    let mut fields = vec![(1, 3), (0, 16), (2, 8)];
    pretree(&mut fields);
    zeros(&mut fields, 256);
    pretree(&mut fields);
    fields.extend([(0, 1), (0, 1)]);
    zeros(&mut fields, 238);
    pretree(&mut fields);
    zeros(&mut fields, 249);
    // The first of two symbols: two bytes, at the first repeat offset.
    fields.push((0, 16));
    chunk.extend(bits(&fields));
    let folder = Folder { compression: 3 | 15 << 8, blocks: vec![(chunk.clone(), 4)] };
    let cabinet = open(write(&[("x".to_owned(), 0, 0, 4)], &[folder], None)).unwrap();
    let error = cabinet.read("x").unwrap_err().to_string();
    assert!(error.contains("a match begins before the data"), "{error}");
    // With an offset that there is, all is well.
    chunk[4..8].copy_from_slice(&[2, 0, 0, 0]);
    let folder = Folder { compression: 3 | 15 << 8, blocks: vec![(chunk, 4)] };
    let cabinet = open(write(&[("x".to_owned(), 0, 0, 4)], &[folder], None)).unwrap();
    assert_eq!(cabinet.read("x").unwrap(), b"abab");
}

/// A call to the first byte of all is where `lzxd` 0.2.7 and the format part.
#[test]
fn a_call_to_the_beginning() {
    let mut data = Random(9).text(300);
    data[100] = 0xE8;
    data[101..105].copy_from_slice(&(-100_i32).to_le_bytes());
    let mut differs = 0;
    for seed in 0..8 {
        let folder = lzx(&data, 15, seed);
        let theirs = lzxd::Lzxd::new(lzxd::WindowSize::KB32)
            .decompress_next(&folder.blocks[0].0, 300)
            .unwrap()
            .to_vec();
        let (entries, _) = lay_out(&[("x", 0, &data)]);
        assert_eq!(open(write(&entries, &[folder], None)).unwrap().read("x").unwrap(), data);
        differs += usize::from(theirs != data);
    }
    assert!((1..8).contains(&differs), "{differs}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_one_writes_the_other_reads(sizes in prop::collection::vec(0_usize..70_000, 1..8), seed: u64) {
        let mut random = Random(seed);
        let files: Vec<(String, Vec<u8>)> =
            sizes.iter().enumerate().map(|(n, size)| (format!("f{n}\\x.bin"), random.text(*size))).collect();
        let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let cabinet = open(package::cabinet(&borrowed)).unwrap();
        let found = all(&cabinet);
        for (name, bytes) in &files {
            prop_assert!(found[&name.replace('\\', "/")] == *bytes);
        }
    }

    #[test]
    fn noise_in_lzx_is_an_error_or_data(noise in prop::collection::vec(any::<u8>(), 0..2000), size in 1_u16..0x8000, power in 15_u16..22) {
        let folder = Folder { compression: 3 | power << 8, blocks: vec![(noise, size)] };
        let cabinet = open(write(&[("x".to_owned(), 0, 0, u32::from(size))], &[folder], None)).unwrap();
        if let Ok(bytes) = cabinet.read("x") {
            prop_assert_eq!(bytes.len(), usize::from(size));
        }
    }
}

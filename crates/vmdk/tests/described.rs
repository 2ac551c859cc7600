//! Descriptors that were made to do damage, and the files that they name. Nothing is opened but plain names beside the
//! descriptor; each fault is named with the file that has it.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use common::{Files, GRAIN, disk, files, options, sparse};
use disk::ReadAt;
use proptest::prelude::*;
use wimforge_vmdk::{Error, Kind, Vmdk};

/// An error with everything below it.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Opens `text` with the files, and notes what was asked for.
fn open(text: &[u8], files: &Files, asked: &RefCell<Vec<String>>) -> Result<Vmdk, Error> {
    let mut find = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(file.clone()) as Arc<dyn ReadAt>)
    };
    Vmdk::open_with(Arc::new(text.to_vec()), &mut find)
}

/// What goes wrong on opening, checking or reading all of it.
fn fault_of(text: &[u8], files: &Files) -> Option<String> {
    let vmdk = match open(text, files, &RefCell::default()) {
        Ok(vmdk) => vmdk,
        Err(error) => return Some(format!("open: {}", chain(&error))),
    };
    let check = vmdk.check().err().map(|error| format!("check: {}", chain(&error)));
    let mut buf = vec![0; GRAIN];
    let size = vmdk.disk_size().min(8 << 20);
    let read = (0..size / GRAIN as u64).find_map(|grain| {
        let error = vmdk.read_exact_at(&mut buf, grain * GRAIN as u64).err()?;
        Some(format!("read: {}", chain(&error)))
    });
    check.or(read)
}

fn described(create_type: &str, extents: &str) -> Vec<u8> {
    format!("# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n{extents}\n")
        .into_bytes()
}

#[track_caller]
fn refused(text: &[u8], files: &Files, expected: &str) {
    let found = fault_of(text, files).unwrap_or_else(|| panic!("accepted; expected {expected}"));
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

/// Some files to name: 1 MiB of raw disk, a sparse extent of 2 MiB, one of ESX, a descriptor, nothing.
fn some_files() -> Files {
    let disk = disk(2);
    let extent = files(Kind::TwoGbMaxExtentSparse, &disk, &options(&disk))["disk-s001.vmdk"].clone();
    BTreeMap::from([
        ("flat".to_owned(), vec![7; 1 << 20]),
        ("sparse".to_owned(), extent),
        ("monolithic".to_owned(), sparse(&disk, &options(&disk))),
        ("cowd".to_owned(), common::cowd(5000).0),
        ("text".to_owned(), described("monolithicFlat", "RW 2048 FLAT \"text\" 0")),
        ("se".to_owned(), [&0xCAFE_BABEu64.to_le_bytes()[..], &[0; 4096]].concat()),
        ("empty".to_owned(), Vec::new()),
    ])
}

#[test]
fn what_is_good() {
    let some = some_files();
    for (create_type, extents, sectors) in [
        ("monolithicFlat", "RW 2048 FLAT \"flat\" 0", 2048),
        ("monolithicFlat", "RDONLY 1 FLAT \"flat\" 2047", 1),
        ("vmfs", "RW 2048 VMFS \"flat\"", 2048),
        ("twoGbMaxExtentFlat", "RW 2 FLAT \"flat\" 0\nRW 5 ZERO\nRW 3 FLAT \"flat\" 2", 10),
        ("2GbMaxExtentSparse", "RW 4096 SPARSE \"sparse\"\nNOACCESS 8 ZERO", 4104),
        // As other products have it: a sparse extent that could be a disk of its own.
        ("twoGbMaxExtentSparse", "RW 4096 SPARSE \"monolithic\"", 4096),
        ("vmfsSparse", "RW 5000 VMFSSPARSE \"cowd\"", 5000),
        ("custom", "RW 4096 SPARSE \"sparse\"\nRW 5000 VMFSSPARSE \"cowd\"\nRW 1 FLAT \"flat\" 9", 9097),
        // More ZERO than any file could hold.
        ("twoGbMaxExtentSparse", "RW 4096 SPARSE \"sparse\"\nRW 1000000000 ZERO", 1_000_004_096),
    ] {
        let text = described(create_type, extents);
        assert_eq!(fault_of(&text, &some), None, "{create_type} {extents}");
        let vmdk = open(&text, &some, &RefCell::default()).unwrap();
        assert_eq!(vmdk.disk_size(), sectors * 512);
    }
}

/// CVE-2022-47951, and what else a name can say: nothing is opened.
#[test]
fn names_of_other_places() {
    for name in [
        "/etc/passwd",
        "../secret",
        "..",
        ".",
        "a/../b",
        "dir/file",
        "dir\\file",
        "\\\\server\\share",
        "C:\\disk",
        "C:disk",
        "disk:stream",
        "NUL",
        "com1.vmdk",
        "",
        "gr\u{fffd}",
        "a\u{7}b",
        "json:{}",
        "nbd://x",
    ] {
        for (create_type, extent) in [
            ("monolithicFlat", format!("RW 1 FLAT \"{name}\" 0")),
            ("vmfs", format!("RW 1 VMFS \"{name}\"")),
            ("twoGbMaxExtentSparse", format!("RW 1 SPARSE \"{name}\"")),
        ] {
            let (text, asked) = (described(create_type, &extent), RefCell::default());
            let error = open(&text, &some_files(), &asked).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{name}: {error}");
            assert!(error.to_string().contains("malformed VMDK descriptor at 0x0: extent 0 \""), "{error}");
            assert!(asked.borrow().is_empty(), "{name} was asked for");
        }
    }
    // Windows-1252, which old products wrote: named, not guessed.
    let mut text = described("monolithicFlat", "RW 1 FLAT \"x\" 0");
    let at = text.iter().rposition(|byte| *byte == b'x').unwrap();
    text[at] = 0xF6;
    refused(&text, &some_files(), "has a name in an encoding other than UTF-8");
    // Without a way to open files, they are named.
    let text = described("monolithicFlat", "RW 1 FLAT \"/etc/passwd\" 0");
    let error = Vmdk::open(Arc::new(text)).unwrap_err().to_string();
    assert!(error.ends_with("monolithicFlat disk whose data is in other files (/etc/passwd)"), "{error}");
}

#[test]
fn extents_that_are_not_there() {
    let some = some_files();
    let flat = |extent: &str, expected: &str| refused(&described("monolithicFlat", extent), &some, expected);
    flat("RW 1 FLAT \"absent\" 0", "open: extent \"absent\": reading VMDK extent at 0x0: entity not found");
    flat(
        "RW 2049 FLAT \"flat\" 0",
        "extent \"flat\": malformed VMDK extent at 0x0: 2049 sectors from sector 0, the file ends at 0x100000",
    );
    flat("RW 1 FLAT \"flat\" 2048", "1 sectors from sector 2048, the file ends at 0x100000");
    flat("RW 1 FLAT \"flat\" 18446744073709551615", "the file ends at 0x100000");
    flat("RW 1 FLAT \"flat\" 36028797018963968", "the file ends at 0x100000");
    flat("RW 1 FLAT \"empty\" 0", "the file ends at 0x0");
    flat("RW 0 FLAT \"flat\" 0", "extent 0 of 0 sectors");
    flat(
        "RW 1000000000000000000 FLAT \"flat\" 0",
        "sectors of the disk 1000000000000000000 exceeds 137438953472",
    );
    flat("RW -1 FLAT \"flat\" 0", "line 6: extent");
    flat("RW 1 FLAT \"flat\" -1", "line 6: extent");
    flat("RW 1 FLAT \"flat", "line 6: extent");
    flat("NOACCESS 1 FLAT \"flat\" 0", "extent 0 that must not be read (NOACCESS)");
    flat("RW 1 FLAT \"flat\" 0\nRW 1 FLAT \"flat\" 1", "2 extents of a monolithicFlat disk");
    flat("", "0 extents of a monolithicFlat disk");
    flat("RW 1 SPARSE \"sparse\"", "extent 0 of type SPARSE in a monolithicFlat disk");

    let sparse =
        |extent: &str, expected: &str| refused(&described("twoGbMaxExtentSparse", extent), &some, expected);
    sparse(
        "RW 1 SPARSE \"flat\"",
        "extent \"flat\": malformed VMDK header at 0x0: signature \"\\x07\\x07\\x07\\x07\"",
    );
    sparse("RW 1 SPARSE \"empty\"", "extent \"empty\": malformed VMDK header at 0x0: signature \"\"");
    sparse(
        "RW 1 SPARSE \"se\"",
        "extent \"se\": unsupported VMDK header at 0x0: ESXi space-efficient extent (seSparse)",
    );
    sparse("RW 1 SPARSE \"cowd\"", "another sort of extent, expected \"KDMV\"");
    sparse("RW 4097 SPARSE \"sparse\"", "extent of 4097 sectors, the header says 4096");
    sparse("RW 3968 SPARSE \"sparse\"", "extent of 3968 sectors, the header says 4096");
    sparse("RW 1000000000000 ZERO", "sectors of the disk 1000000000000 exceeds 137438953472");
    sparse(&"RW 137438953472 ZERO\n".repeat(2), "sectors of the disk 274877906944 exceeds");
    sparse("RW 18446744073709551615 ZERO\nRW 9 ZERO", "sectors of the disk 18446744073709551615 exceeds");
    sparse("RW 2048 FLAT \"flat\" 0", "extent 0 of type FLAT in a twoGbMaxExtentSparse disk");
    let esx = |extent: &str, expected: &str| refused(&described("vmfsSparse", extent), &some, expected);
    esx("RW 1 VMFSSPARSE \"sparse\"", "another sort of extent, expected \"COWD\"");
    esx("RW 5001 VMFSSPARSE \"cowd\"", "extent of 5001 sectors, the header says 5000");
}

/// A descriptor is never followed into another, and so not into itself.
#[test]
fn nested_descriptors() {
    let some = some_files();
    for kind in ["SPARSE", "VMFSSPARSE"] {
        let text = described("custom", &format!("RW 1 {kind} \"text\""));
        refused(
            &text,
            &some,
            "extent \"text\": malformed VMDK header at 0x0: a descriptor, expected a sparse extent",
        );
    }
    // As a flat extent it is bytes like any.
    let text = described("monolithicFlat", "RW 1 FLAT \"text\" 0");
    assert!(fault_of(&text, &some).unwrap().contains("the file ends at"));
    // What is written into a sparse extent that describes itself is not looked at.
    let asked = RefCell::default();
    open(&described("custom", "RW 4096 SPARSE \"monolithic\""), &some, &asked).unwrap();
    assert_eq!(*asked.borrow(), ["monolithic"]);
}

#[test]
fn kinds_that_are_not_read() {
    let some = some_files();
    for (kind, expected) in [
        ("seSparse", "unsupported VMDK descriptor at 0x0: createType seSparse"),
        ("fullDevice", "unsupported VMDK descriptor at 0x0: createType fullDevice"),
        ("partitionedDevice", "createType partitionedDevice"),
        ("vmfsRawDeviceMap", "createType vmfsRawDeviceMap"),
        ("\u{1b}[31m", "createType \\u{1b}[31m"),
        (
            "monolithicSparse",
            "malformed VMDK descriptor at 0x0: createType monolithicSparse outside of the disk's own file",
        ),
        ("streamOptimized", "outside of the disk's own file"),
        ("", "no createType"),
    ] {
        refused(&described(kind, "RW 1 FLAT \"flat\" 0"), &some, expected);
    }
    for extent in ["SESPARSE", "VMFSRDM", "VMFSRAW", "flat", "\u{1b}"] {
        let expected = format!("extent 0 of type {} in a custom disk", extent.escape_debug());
        refused(&described("custom", &format!("RW 1 {extent} \"flat\" 0")), &some, &expected);
    }
}

#[test]
fn texts() {
    let some = some_files();
    let good = described("monolithicFlat", "RW 1 FLAT \"flat\" 0");
    assert_eq!(fault_of(&good, &some), None);
    let with = |more: &[u8]| [good.as_slice(), more].concat();
    // Zero bytes may fill the file; nothing may hide behind them.
    assert_eq!(fault_of(&with(&[0; 1000]), &some), None);
    refused(&with(b"\0\0x"), &some, "malformed VMDK descriptor at 0x");
    refused(&with(&vec![b'#'; 20 << 20]), &some, "VMDK descriptor at 0x0: length");
    refused(&with(&vec![0; 1 << 20]), &some, "exceeds 1048576");
    refused(&with("#\n".repeat(5000).as_bytes()), &some, "line 4097 exceeds 4096");
    refused(&with(b"CID=2\n"), &some, "line 7: a second CID");
    refused(&with(b"createType=\"vmfs\""), &some, "a second createType");
    refused(&with(b"parentCID=1"), &some, "a second parentCID");
    // One line without an end; line ends of Windows; spaces.
    refused(b"# Disk DescriptorFile", &some, "no createType");
    let crlf = String::from_utf8(good.clone()).unwrap().replace('\n', " \r\n");
    assert_eq!(fault_of(crlf.as_bytes(), &some), None);
    let text = "#disk descriptor file\ncreateType = \"monolithicFlat\"\n\t RW\t1  FLAT \"flat\"  0";
    assert_eq!(fault_of(text.as_bytes(), &some), None);
    // A megabyte that is one extent's name.
    let long = described("monolithicFlat", &format!("RW 1 FLAT \"{}\" 0", "x".repeat(1_000_000)));
    refused(&long, &some, "has a name of more than 255 bytes");
}

/// As many extents as lines allow, all the same file: it is opened once, tables are counted together, and the check
/// sees that they are in one place.
#[test]
fn one_file_many_times() {
    let some = some_files();
    let asked = RefCell::default();
    let text = described("twoGbMaxExtentSparse", &"RW 4096 SPARSE \"sparse\"\n".repeat(4000));
    let vmdk = open(&text, &some, &asked).unwrap();
    assert_eq!((asked.borrow().len(), vmdk.disk_size()), (1, 4000 * (2 << 20)));
    let error = chain(&vmdk.check().unwrap_err());
    assert_eq!(error, "extent \"sparse\": malformed VMDK extent at 0x0: overlaps VMDK extent at 0x0");
    for extents in
        ["RW 9 FLAT \"flat\" 0\nRW 9 FLAT \"flat\" 8", "RW 9 FLAT \"flat\" 8\nRW 9 FLAT \"flat\" 0"]
    {
        refused(
            &described("twoGbMaxExtentFlat", extents),
            &some,
            "malformed VMDK extent at 0x1000: overlaps",
        );
    }
    // 2^20 tables in all, not in each: 16 TiB in grains of 4 KiB.
    let mut big = some["sparse"].clone();
    let tables = 600_000u64;
    big[12..20].copy_from_slice(&(tables * 512 * 8).to_le_bytes());
    big[20] = 8;
    big.resize((2048 * 512 + tables as usize * 4).next_multiple_of(512), 0);
    big[8] = 1; // no second directory
    big[56..64].copy_from_slice(&2048u64.to_le_bytes());
    let text = format!("RW {0} SPARSE \"a\"\nRW {0} SPARSE \"b\"", tables * 512 * 8);
    let files = BTreeMap::from([("a".to_owned(), big.clone()), ("b".to_owned(), big)]);
    refused(
        &described("twoGbMaxExtentSparse", &text),
        &files,
        "extent \"b\": VMDK header at 0x0: number of grain tables 1200000 exceeds 1048576",
    );
}

#[test]
fn extents_of_esx() {
    let (good, _) = common::cowd(5000);
    let text = common::cowd_descriptor(5000);
    let fault = |at: usize, value: u32, expected: &str| {
        let mut file = good.clone();
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        refused(text.as_bytes(), &BTreeMap::from([("old-delta.vmdk".to_owned(), file)]), expected);
    };
    fault(4, 2, "unsupported COWD header at 0x0: version 2");
    fault(12, 0, "malformed COWD header at 0x0: capacity 0");
    fault(12, u32::MAX, "2 entries in the grain directory, expected 1048576");
    fault(16, 0, "grain of 0 sectors");
    fault(16, 3, "grain of 3 sectors");
    fault(16, 1 << 31, "grain of 2147483648 sectors");
    fault(20, 0, "malformed VMDK grain directory at 0x0");
    fault(20, u32::MAX, "malformed VMDK grain directory");
    fault(24, 1, "1 entries in the grain directory, expected 2");
    fault(4 * 512, u32::MAX, "malformed VMDK grain directory entry at 0x800");
    fault(4 * 512, 37, "overlaps VMDK grain table");
    fault(4 * 512, 4, "overlaps VMDK grain");
    fault((5 * 512) + 100 * 4, 4, "grain 100 does not lie between 0xa00");
    fault((5 * 512) + 100 * 4, u32::MAX, "grain 100 does not lie between");
    fault((5 * 512) + 100 * 4, 80, "check: extent \"old-delta.vmdk\": malformed VMDK grain at");
    // Behind the disk's end.
    fault((37 * 512) + 1000 * 4, 70, "for grain 5096, the disk's last is 4999");
    // The second half of the directory's sector, and the header's other fields, say nothing.
    for len in [0, 3, 4, 511, 512, 2047, 4096, good.len() - 1] {
        let file = good[..len].to_vec();
        refused(text.as_bytes(), &BTreeMap::from([("old-delta.vmdk".to_owned(), file)]), "");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// A changed byte in the text is noticed, or changes nothing that matters, and never panics or opens another name.
    #[test]
    fn changed_texts(at in any::<prop::sample::Index>(), byte in any::<u8>(), kind in 0usize..3) {
        let some = some_files();
        let mut text = match kind {
            0 => described("custom", "RW 4096 SPARSE \"sparse\"\nRW 5000 VMFSSPARSE \"cowd\"\nRW 1 FLAT \"flat\" 9"),
            1 => described("monolithicFlat", "RW 2048 FLAT \"flat\" 0"),
            _ => described("twoGbMaxExtentSparse", "RW 4096 SPARSE \"sparse\"\nRW 100 ZERO"),
        };
        let at = at.index(text.len());
        text[at] = byte;
        let asked = RefCell::default();
        let _ = open(&text, &some, &asked);
        for name in asked.borrow().iter() {
            prop_assert!(!name.contains(['/', '\\', ':', '\0']), "{name}");
        }
        fault_of(&text, &some);
    }

    /// The same for an extent of ESX.
    #[test]
    fn flipped_bits_of_esx(bit in any::<prop::sample::Index>()) {
        let (mut file, _) = common::cowd(5000);
        let head = (5 + 2 * 32) * 512;
        let bit = bit.index(head * 8);
        file[bit / 8] ^= 1 << (bit % 8);
        let text = common::cowd_descriptor(5000);
        fault_of(text.as_bytes(), &BTreeMap::from([("old-delta.vmdk".to_owned(), file)]));
    }
}

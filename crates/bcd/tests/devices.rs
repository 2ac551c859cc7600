//! Devices as bytes and as words.

#![allow(clippy::unwrap_used, reason = "a test")]

use disk::Guid;
use proptest::prelude::*;
use wimforge_bcd::{Device, DeviceElement, ElementType, Error, FileDevice, LocateBy, Partition};

fn bytes(words: &str) -> Vec<u8> {
    words.parse::<DeviceElement>().unwrap().to_bytes().unwrap()
}

/// Hexadecimal digits, grouped as one likes; `0*N` is N zero bytes.
fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for group in text.split_whitespace() {
        match group.strip_prefix("0*") {
            Some(count) => bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), 0),
            None => bytes.extend(
                group
                    .as_bytes()
                    .chunks(2)
                    .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()),
            ),
        }
    }
    bytes
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn boot_and_partitions() {
    assert_eq!(bytes("boot"), hex("0*16 05000000 00000000 48000000 00000000 0*56"));
    assert_eq!(
        bytes("partition=mbr:12345678@0x15f00000"),
        hex(
            "0*16 06000000 00000000 48000000 00000000 0000f01500000000 0*8 00000000 01000000 78563412 0*12 0*16"
        )
    );
    assert_eq!(
        bytes("partition=gpt:00112233-4455-6677-8899-aabbccddeeff:ffeeddcc-bbaa-9988-7766-554433221100"),
        hex("0*16 06000000 00000000 48000000 00000000 ccddeeffaabb88997766554433221100 00000000 00000000 \
             33221100554477668899aabbccddeeff 0*16")
    );
}

#[test]
fn locates() {
    // 46 bytes: the mode, the element, no parent, an empty path.
    let by_element = hex("0*16 08000000 00000000 1e000000 00000000 00000000 02000022 00000000 0000");
    assert_eq!(bytes("locate=custom:22000002"), by_element);
    assert_eq!(by_element.len(), 46);
    let by_path =
        [hex("0*16 08000000 00000000 30000000 00000000 01000000 00000000 00000000"), utf16("\\test.vhd")];
    assert_eq!(bytes("locate=\\test.vhd"), by_path.concat());
}

#[test]
fn files_and_what_lies_in_them() {
    let file = [
        hex("0*16 00000000 00000000 78000000 00000000 05000000 01000000 64000000 05000000"),
        hex("05000000 00000000 48000000 00000000 0*56"),
        utf16("\\a\\b.vhd"),
    ]
    .concat();
    // 0x20 + 0x48 + 2 * 9
    let mut expected = file.clone();
    expected[0x18] = 0x7A;
    expected[0x28] = 0x66;
    assert_eq!(bytes("file=[boot]\\a\\b.vhd"), expected);

    let ramdisk = bytes("ramdisk=[boot]\\boot.wim,{ramdiskoptions}");
    assert_eq!(ramdisk[..16], hex("e03455ae24a96c46b836758539a3ee3a"));
    assert_eq!(ramdisk[0x14], 1, "the flag of RAM disks");
    assert_eq!(ramdisk[0x20..0x38], hex("03000000 0*20"));
    assert_eq!(ramdisk[0x38..0x44], hex("01000000 68000000 05000000"));
    assert_eq!(ramdisk.len(), 0x38 + 0x68);

    let vhd = bytes("vhd=[locate=\\w.vhd]\\w.vhd");
    assert_eq!(vhd[0x20..0x2E], hex("00000000 02000012 1e000000 0000"));
    assert_eq!(vhd[0x3E..0x42], hex("06000000"), "a virtual disk, aligned to two bytes");
    assert_eq!(vhd, bytes("vhd=[locate=\\w.vhd]\\w.vhd,locate=custom:12000002"));
}

#[test]
fn wrong_sizes_are_errors() {
    let good = bytes("ramdisk=[partition=mbr:12345678@0x100000]\\boot.wim,{ramdiskoptions}");
    assert!(DeviceElement::from_bytes(&good).is_ok());
    for len in 0..good.len() {
        let error = DeviceElement::from_bytes(&good[..len]).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{len}: {error}");
    }
    let mut long = good.clone();
    long.push(0);
    assert!(DeviceElement::from_bytes(&long).is_err());
    // The size of the descriptor inside: less than a header, more than is there.
    for size in [0_u32, 15, 0x200, u32::MAX] {
        let mut bad = good.clone();
        bad[0x4C..0x50].copy_from_slice(&size.to_le_bytes());
        let error = DeviceElement::from_bytes(&bad).unwrap_err().to_string();
        assert!(error.contains("device descriptor at 0x44"), "{error}");
    }
}

#[test]
fn what_is_not_understood_keeps_its_bytes() {
    let good = bytes("partition=mbr:12345678@0x100000");
    // A type that is not known, flags, reserved fields, another style.
    for offset in [0x10, 0x14, 0x1C, 0x28, 0x30, 0x34, 0x44, 0x57] {
        let mut odd = good.clone();
        odd[offset] ^= 0x40;
        let parsed = DeviceElement::from_bytes(&odd).unwrap();
        assert!(matches!(parsed.device, Device::Other(_)), "{offset:#x}: {parsed}");
        assert_eq!(parsed.to_bytes().unwrap(), odd);
        assert_eq!(parsed.to_string().parse::<DeviceElement>().unwrap(), parsed);
    }
}

#[test]
fn nesting_is_bounded() {
    let mut device = Device::Boot;
    for depth in 0..40 {
        let element = DeviceElement::new(device.clone());
        match element.to_bytes() {
            Ok(bytes) => assert_eq!(DeviceElement::from_bytes(&bytes).unwrap(), element),
            Err(error) => assert!(depth > 8 && matches!(error, Error::Limit { .. }), "{depth}: {error}"),
        }
        device = Device::VirtualDisk(Box::new(device));
    }
    // As bytes: a thousand headers, each of which says that it holds the next.
    let mut bytes = vec![0; 16];
    let depth = 1000;
    for level in 0..depth {
        let size = 0x28 * (depth - level) as u32;
        bytes.extend([0_u32, 0, size, 0, 6, 0, 0, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    }
    assert!(matches!(DeviceElement::from_bytes(&bytes), Err(Error::Limit { .. })));
    let words = "disk=[".repeat(10_000) + "boot" + &"]".repeat(10_000);
    assert!(words.parse::<DeviceElement>().is_err());
}

#[test]
fn words_that_are_no_device() {
    for words in [
        "",
        "bot",
        "partition",
        "partition=C:",
        "partition=mbr:12345678",
        "partition=mbr:123456789@0",
        "partition=gpt:00112233-4455-6677-8899-aabbccddeeff",
        "locate=path",
        "locate=custom:1",
        "file=[boot]path",
        "file=boot\\path",
        "file=[boot\\path",
        "ramdisk=[boot]\\x,{nothing}",
        "vhd=[boot]\\x,locate=\\y",
        "disk=[boot]x",
        "bytes=0",
    ] {
        let error = words.parse::<DeviceElement>().unwrap_err().to_string();
        assert!(error.contains("partition=mbr:SIGNATURE@OFFSET"), "{words}: {error}");
    }
}

fn path() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 _.äß\u{1d11e}\\-\\\\]{0,12}".prop_map(|path| format!("\\{path}"))
}

fn device() -> impl Strategy<Value = Device> {
    let leaf = prop_oneof![
        Just(Device::Boot),
        any::<(u32, u64)>()
            .prop_map(|(signature, offset)| Device::Partition(Partition::Mbr { signature, offset })),
        any::<([u8; 16], [u8; 16])>().prop_map(|(disk, partition)| {
            Device::Partition(Partition::Gpt { disk: Guid(disk), partition: Guid(partition) })
        }),
        any::<u32>().prop_map(|e| Device::Locate { by: LocateBy::Element(ElementType(e)), parent: None }),
        path().prop_map(|path| Device::Locate { by: LocateBy::Path(path), parent: None }),
    ];
    leaf.prop_recursive(5, 8, 1, |inner| {
        let inner = inner.prop_map(Box::new);
        prop_oneof![
            (inner.clone(), path()).prop_map(|(parent, path)| Device::File(FileDevice { parent, path })),
            (inner.clone(), path()).prop_map(|(parent, path)| Device::Ramdisk(FileDevice { parent, path })),
            inner.clone().prop_map(Device::VirtualDisk),
            (inner, any::<u32>()).prop_map(|(parent, e)| Device::Locate {
                by: LocateBy::Element(ElementType(e)),
                parent: Some(parent),
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_device_survives_bytes_and_words(device in device(), options in any::<Option<[u8; 16]>>()) {
        let options = options.map(Guid).filter(|id| !id.is_nil());
        let element = DeviceElement { options, device };
        let bytes = element.to_bytes().unwrap();
        prop_assert_eq!(DeviceElement::from_bytes(&bytes).unwrap(), element.clone());
        let words = element.to_string();
        prop_assert_eq!(words.parse::<DeviceElement>().unwrap(), element, "{}", words);
    }

    #[test]
    fn any_bytes_are_refused_or_kept(device in device(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = DeviceElement::new(device).to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(element) = DeviceElement::from_bytes(&bytes) {
            prop_assert_eq!(element.to_bytes().unwrap(), bytes);
        }
    }
}

//! Volumes read by someone else's reader, and by a strict one of the tests' own.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Tree, check, feature_rich, noise, reader};
use wimforge_ntfs_writer::{BOOT_CODE_LEN, Options};

const CLUSTERS: [u32; 10] = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 2 << 20];

fn options(cluster_size: u32, record_size: u32) -> Options {
    Options {
        cluster_size,
        record_size,
        // Clusters above 64 KiB need a partition that begins on one.
        hidden_sectors: 4096,
        label: "Tëst".into(),
        serial: 0xFEDC_BA98_7654_3210,
        created: common::times(1).created,
        ..Options::default()
    }
}

/// Compares through both readers. The `ntfs` crate takes the child pointers of an index for clusters where they are
/// sectors (clusters larger than index blocks), so it cannot walk large directories there.
fn compare(tree: &Tree, image: &[u8], cluster: u32) {
    check::compare(tree, image);
    if cluster <= 4096 {
        reader::compare(tree, image);
    }
}

#[test]
fn every_cluster_and_record_size() {
    let tree = feature_rich();
    for cluster in CLUSTERS {
        for record in [1024, 4096] {
            eprintln!("clusters of {cluster}, records of {record}");
            let image = tree.image(options(cluster, record), 8 << 20);
            compare(&tree, &image, cluster);
        }
    }
}

#[test]
fn sectors_of_4096_bytes() {
    let tree = feature_rich();
    for cluster in [4096, 65_536] {
        let options =
            Options { sector_size: disk::SectorSize::B4096, hidden_sectors: 256, ..options(cluster, 4096) };
        let image = tree.image(options, 1 << 20);
        compare(&tree, &image, cluster);
    }
}

#[test]
fn an_empty_volume() {
    for cluster in CLUSTERS {
        let tree = Tree::default();
        let image = tree.image(options(cluster, 1024), 0);
        compare(&tree, &image, cluster);
    }
}

#[test]
fn a_directory_of_thirty_thousand_names() {
    let mut tree = Tree::default();
    let flat = tree.dir(0, "flat");
    for i in 0..30_000 {
        tree.file(flat, &format!("one of the many files, number {i:05}.txt"), noise(i, (i % 7) as usize));
        if i % 2 == 0 {
            tree.short(&format!("ON{:04X}~{}.TXT", i / 8, i % 8));
        }
    }
    for cluster in [512, 4096, 65_536] {
        let image = tree.image(options(cluster, 1024), 1 << 20);
        compare(&tree, &image, cluster);
    }
}

#[test]
fn a_directory_whose_bitmap_leaves_the_record() {
    let mut tree = Tree::default();
    let flat = tree.dir(0, "flat");
    let long = "x".repeat(240);
    for i in 0..13_000 {
        tree.file(flat, &format!("{long}{i:05}"), &b""[..]);
    }
    let image = tree.image(options(4096, 1024), 1 << 20);
    compare(&tree, &image, 4096);
}

#[test]
fn many_descriptors_reparse_points_and_object_ids() {
    let mut tree = Tree { descriptors: (0..6000).map(common::descriptor).collect(), ..Tree::default() };
    for i in 0..6000u64 {
        let file = tree.file(0, &format!("{i}"), &b""[..]);
        tree.files[file].security = Some(i as usize);
        if i % 2 == 0 {
            let mut id = [0; 16];
            id.copy_from_slice(&noise(i, 16));
            tree.files[file].object_id = Some(id);
        }
        if i % 3 == 0 {
            tree.files[file].attributes |= common::REPARSE;
            tree.files[file].reparse = Some((common::SYMLINK, common::symlink("x")));
        }
    }
    for cluster in [512, 4096, 65_536] {
        let image = tree.image(options(cluster, 1024), 1 << 20);
        compare(&tree, &image, cluster);
    }
}

/// The checker is worth something only if it finds faults: a wrong byte at the beginning of every labelled extent, and
/// of every record and index block.
#[test]
fn a_wrong_byte_is_noticed() {
    let mut tree = Tree::default();
    let dir = tree.dir(0, "directory");
    for i in 0..40 {
        tree.file(dir, &format!("file {i}"), noise(i, 100 * i as usize));
    }
    let many = tree.file(0, "many streams", noise(1, 5000));
    tree.files[many].named = (0..60).map(|i| (format!("stream {i}"), noise(i, 50))).collect();
    tree.files[many].eas = vec![("EA".into(), noise(2, 2000))];
    tree.files[many].attributes |= common::REPARSE;
    tree.files[many].reparse = Some((common::SYMLINK, noise(3, 2000)));
    let (plan, blobs) = tree.plan(options(4096, 1024)).unwrap();
    let volume = plan.lay_out(plan.min_size() + (1 << 20)).unwrap();
    let mut image = common::render(&volume, &blobs);
    compare(&tree, &image, 4096);

    let mut places = Vec::new();
    for extent in volume.map().extents() {
        let step = match extent.label.kind {
            "$MFT" => 1024,
            "directory index" => 4096,
            _ => extent.len as usize,
        };
        if extent.content != disk::Content::Zero {
            places.extend(
                (extent.start..extent.end()).step_by(step).map(|at| (at as usize, extent.label.kind)),
            );
        }
    }
    assert!(places.len() > 150, "{}", places.len());
    let mut missed = Vec::new();
    for (at, kind) in places {
        image[at] ^= 0x21;
        let noticed = std::panic::catch_unwind(|| compare(&tree, &image, 4096)).is_err();
        image[at] ^= 0x21;
        if !noticed {
            missed.push((at, kind));
        }
    }
    assert!(missed.is_empty(), "{missed:x?}");
}

#[test]
fn boot_code_of_the_caller() {
    let code: Box<[u8; BOOT_CODE_LEN]> = Box::new(std::array::from_fn(|at| (at % 251) as u8 | 1));
    for sector_size in [disk::SectorSize::B512, disk::SectorSize::B4096] {
        let plain = Options { sector_size, ..options(4096, 4096) };
        let with = Options { boot_code: Some(code.clone()), ..plain.clone() };
        let (plain, with) = (Tree::default().image(plain, 0), Tree::default().image(with, 0));
        check::compare(&Tree::default(), &with);

        // The volume's own fields, the code around them, and the signature.
        assert_eq!(with[..0x54], plain[..0x54]);
        assert_eq!(with[0x54..0x1FE], code[0x54..0x1FE]);
        assert_eq!(with[0x1FE..0x200], [0x55, 0xAA]);
        assert_eq!(with[0x200..BOOT_CODE_LEN], code[0x200..]);
        // The copy is of the first sector; nothing else has changed.
        let copy = with.len() - sector_size.bytes() as usize;
        assert_eq!(with[copy..][..512], with[..512]);
        assert_eq!(with[copy + 512..], plain[copy + 512..]);
        assert_eq!(with[BOOT_CODE_LEN..copy], plain[BOOT_CODE_LEN..copy]);
    }
}

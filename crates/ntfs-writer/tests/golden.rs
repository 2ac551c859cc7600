//! A tiny volume, pinned: its digest, and a dump in which every byte of it has a label. When a change of the writer is
//! meant, run the test with `UPDATE_GOLDEN=1` and read the difference of the dump.

#![allow(clippy::unwrap_used)]

mod common;

use std::fmt::Write as _;

use common::{Tree, noise};
use disk::{Content, NO_NODE};
use sha2::{Digest, Sha256};
use wimforge_ntfs_writer::{Options, Volume};

/// SHA-256 of the volume.
const DIGEST: &str = "d09ebc1e71b374dc030a0d9f25251595dfb01a8df84392591c16359077d9ee3d";
const DUMP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny.txt");

fn tiny() -> Tree {
    let mut tree = Tree { descriptors: (0..2).map(common::descriptor).collect(), ..Tree::default() };
    let windows = tree.dir(0, "Windows");
    tree.file(windows, "win.ini", &b"[fonts]\r\n"[..]);
    let file = tree.file(windows, "A long name.dll", noise(1, 40_000));
    tree.short("ALONGN~1.DLL");
    tree.link(0, "hard link", None, file);
    tree.files[file].named.push(("Zone.Identifier".into(), b"[ZoneTransfer]\r\n".to_vec()));
    let link = tree.file(0, "link", &b""[..]);
    tree.files[link].attributes |= common::REPARSE;
    tree.files[link].reparse = Some((common::SYMLINK, common::symlink("Windows\\win.ini")));
    for i in 0..30 {
        tree.file(windows, &format!("file {i}"), noise(i, 900 + i as usize));
    }
    for (file, i) in tree.files.iter_mut().zip(0..) {
        file.security = Some(i % 2);
    }
    tree
}

fn dump(volume: &Volume, image: &[u8]) -> String {
    let mut out = String::new();
    for extent in volume.map().extents() {
        let bytes = &image[extent.start as usize..extent.end() as usize];
        let source = match extent.content {
            Content::Zero => "zero".into(),
            Content::Bytes { .. } => "bytes".into(),
            Content::Made { .. } => "made".into(),
            Content::Blob { blob, offset } => format!("blob {blob}+{offset}"),
        };
        let node =
            if extent.label.node == NO_NODE { String::new() } else { format!(" of {}", extent.label.node) };
        let digest = match extent.content {
            Content::Zero => String::new(),
            _ => Sha256::digest(bytes)[..4].iter().fold(" ".into(), |text, byte| format!("{text}{byte:02x}")),
        };
        let (start, len, kind) = (extent.start, extent.len, extent.label.kind);
        writeln!(out, "{start:#09x} {len:#09x} {kind}{node}, {source}{digest}").unwrap();
        if kind == "$MFT" || kind == "directory index" {
            let unit = if kind == "$MFT" { 1024 } else { 4096 };
            for (block, number) in bytes.chunks(unit).zip(0..) {
                if block.iter().any(|&byte| byte != 0) {
                    let digest =
                        Sha256::digest(block)[..4].iter().fold(String::new(), |t, b| format!("{t}{b:02x}"));
                    let signature = String::from_utf8_lossy(&block[..4]);
                    writeln!(out, "    {number} {signature} {digest}").unwrap();
                }
            }
        }
    }
    out
}

#[test]
fn the_tiny_volume_is_as_it_was() {
    let options = Options {
        label: "tiny".into(),
        serial: 0x1122_3344_5566_7788,
        created: common::times(9).created,
        reserve_records: 0,
        ..Options::default()
    };
    let (plan, blobs) = tiny().plan(options).unwrap();
    let volume = plan.lay_out(4 << 20).unwrap();
    let image = common::render(&volume, &blobs);
    common::check::compare(&tiny(), &image);

    let mut end = 0;
    for extent in volume.map().extents() {
        assert_eq!(extent.start, end, "no gap, no overlap");
        assert!(!extent.label.kind.is_empty());
        end = extent.end();
    }
    assert_eq!(end, image.len() as u64);

    let dump = dump(&volume, &image);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(DUMP, &dump).unwrap();
    }
    let golden = std::fs::read_to_string(DUMP).unwrap().replace("\r\n", "\n");
    assert!(dump == golden, "the dump differs from {DUMP}:\n{dump}");
    let digest = Sha256::digest(&image).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(digest, DIGEST);
}

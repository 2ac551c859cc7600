//! Where fuzzing of `iso_open` begins: small images of genisoimage and xorriso, without their zeros.
//!
//! `WIMFORGE_WRITE_SEEDS=1 cargo test -p wimforge-iso --test seeds` writes them to `fuzz/corpus/iso_open`. The tools put
//! the time into what they write, so each run writes others; without the variable only the committed ones are looked at.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::udf::{SECTOR, extended, long, short};
use common::*;
use testkit::{args, tool};
use wimforge_iso::{Iso, TreeKind};

fn tree() -> Listing {
    let mut tree = Listing::new();
    tree.insert("a.bin".to_owned(), Some(b"some bytes".repeat(300)));
    tree.insert("sub".to_owned(), None);
    tree.insert("sub/\u{e4} long name.wim".to_owned(), Some(b"MSWIM\0\0\0".repeat(20)));
    tree.insert("sub/deeper".to_owned(), None);
    tree.insert("sub/deeper/c.txt".to_owned(), Some(b"c".to_vec()));
    tree.insert("sub/empty".to_owned(), Some(Vec::new()));
    tree
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/iso_open")
}

fn pack(image: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, sector) in image.chunks(SECTOR).enumerate() {
        let Some(last) = sector.iter().rposition(|&byte| byte != 0) else { continue };
        out.extend(u16::try_from(number).expect("a small image").to_le_bytes());
        out.extend(u16::try_from(last + 1).expect("a sector").to_le_bytes());
        out.extend(&sector[..=last]);
    }
    out
}

/// What fuzzing found need not be whole records: the rest is left out.
fn unpack(mut packed: &[u8]) -> Vec<u8> {
    let mut image = Vec::new();
    while let [a, b, c, d, rest @ ..] = packed {
        let (sector, len) =
            (usize::from(u16::from_le_bytes([*a, *b])), usize::from(u16::from_le_bytes([*c, *d])));
        let Some(bytes) = rest.get(..len).filter(|bytes| bytes.len() <= SECTOR) else { break };
        image.resize(image.len().max((sector + 1) * SECTOR), 0);
        image[sector * SECTOR..][..len].copy_from_slice(bytes);
        packed = &rest[len..];
    }
    image
}

#[test]
fn committed_seeds_reach_every_tree() {
    let mut kinds = Vec::new();
    for entry in std::fs::read_dir(corpus()).expect("the corpus") {
        let packed = std::fs::read(entry.expect("an entry").path()).expect("a seed");
        let image: Arc<Vec<u8>> = Arc::new(unpack(&packed));
        for kind in [TreeKind::Udf, TreeKind::Joliet, TreeKind::RockRidge, TreeKind::Iso9660] {
            if let Ok(iso) = Iso::open_tree(Arc::clone(&image) as Arc<dyn disk::ReadAt>, kind)
                && iso.walk(iso.root()).all(|step| step.is_ok())
                && iso.walk(iso.root()).count() == tree().len()
            {
                kinds.push(kind);
            }
        }
    }
    for kind in [TreeKind::Udf, TreeKind::Joliet, TreeKind::RockRidge, TreeKind::Iso9660] {
        assert!(kinds.contains(&kind), "no seed has a whole {kind} tree");
    }
}

#[test]
fn write_seeds() {
    if std::env::var_os("WIMFORGE_WRITE_SEEDS").is_none() {
        return;
    }
    let write = |name: &str, image: &[u8]| {
        std::fs::write(corpus().join(name), pack(image)).expect("a seed");
    };
    std::fs::create_dir_all(corpus()).expect("the folder");
    let scratch = scratch(&tree());
    let made = |options: &[&str]| {
        genisoimage(options, &scratch).expect("genisoimage");
        std::fs::read(&scratch.image).expect("the image")
    };
    let udf = made(&["-udf", "-no-pad", "-V", "SEED"]);
    write("genisoimage-udf", &udf);
    write("genisoimage-joliet", &made(&["-J", "-no-pad"]));
    write("genisoimage-rock-ridge", &made(&["-R", "-no-pad"]));
    write("genisoimage-level-1", &made(&["-iso-level", "1", "-no-pad"]));
    let mut patched = common::udf::Patched::new(udf);
    let entry = patched.entry_of(3000);
    let first = patched.block(patched.data(entry));
    let sound = patched.clone();
    patched.allocate(entry, 1, &[long(2048, first, 0), long(952, first + 1, 0)].concat());
    write("udf-long", &patched.image);
    patched = sound.clone();
    patched.allocate(entry, 2, &[extended(2048, first, 0), extended(0x4000_0000 | 952, 0, 0)].concat());
    write("udf-extended-sparse", &patched.image);
    patched = sound.clone();
    let more = [&[0; 4][..], &8u32.to_le_bytes(), &short(952, first + 1)].concat();
    let more = patched.append_descriptor(258, &more);
    patched.allocate(entry, 0, &[short(2048, first), short(0xC000_0000 | 2048, more)].concat());
    write("udf-continued", &patched.image);
    let xorriso = tool("xorriso").expect("xorriso");
    let command = args!["-as", "mkisofs", "-quiet", "-J", "-no-pad", "-o", &scratch.image, &scratch.tree];
    xorriso.run(command);
    write("xorriso-joliet-rock-ridge", &std::fs::read(&scratch.image).expect("the image"));
}

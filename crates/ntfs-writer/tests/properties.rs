//! What holds for every tree.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Blobs, File, Tree, check, noise, reader};
use disk::{Content, ExtentMap};
use proptest::prelude::*;
use wimforge_ntfs_writer::{Error, Note, Options, Volume};

/// A file of a random tree.
#[derive(Clone, Debug)]
struct Any {
    parent: usize,
    name: String,
    is_dir: bool,
    len: usize,
    attributes: u32,
    streams: Vec<(u8, usize)>,
    reparse: Option<usize>,
    object_id: bool,
    ea: Option<usize>,
    links: usize,
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1usize..900, 900usize..5000, 30_000usize..140_000]
}

fn any_file() -> impl Strategy<Value = Any> {
    let name = prop_oneof!["[a-zA-Z0-9 ._~$-]{1,20}", "\\PC{1,60}", "[a-zü]{200,255}"];
    let attributes = prop::sample::select(vec![0, 0x20, 0x21, 0x80, 0x26, 0x200, 0x800, 0xA20, 0x2020]);
    let streams = prop::collection::vec((any::<u8>(), len()), 0..4);
    let rare = |strategy| prop::option::weighted(0.1, strategy);
    (any::<prop::sample::Index>(), name, prop::bool::weighted(0.2), len(), attributes, streams)
        .prop_flat_map(move |(parent, name, is_dir, len, attributes, streams)| {
            let file = Any {
                parent: parent.index(1 << 16),
                name,
                is_dir,
                len,
                attributes,
                streams,
                reparse: None,
                object_id: false,
                ea: None,
                links: 0,
            };
            let links = prop_oneof![9 => Just(0usize), 1 => 1usize..40];
            (Just(file), rare(0usize..3000), prop::bool::weighted(0.1), rare(0usize..3000), links)
        })
        .prop_map(|(file, reparse, object_id, ea, links)| Any { reparse, object_id, ea, links, ..file })
}

fn any_tree() -> impl Strategy<Value = Tree> {
    prop::collection::vec(any_file(), 0..60).prop_map(|files| {
        let mut tree = Tree { descriptors: (0..5).map(common::descriptor).collect(), ..Tree::default() };
        let mut dirs = vec![0];
        for (file, seed) in files.into_iter().zip(1u64..) {
            let parent = dirs[file.parent % dirs.len()];
            // Unique without regard to case, and legal.
            let legal = file.name.chars().filter(|c| !"/\\:\0".contains(*c));
            let name: Vec<u16> = format!("{}#{seed}", legal.collect::<String>()).encode_utf16().collect();
            let name = &name[name.len().saturating_sub(255)..];
            let Ok(name) = String::from_utf16(name) else { continue };
            let new = File {
                attributes: if file.is_dir { 0x10 } else { file.attributes },
                times: common::times(seed),
                security: (seed % 3 != 0).then_some(seed as usize % 5),
                data: if file.is_dir { Vec::new() } else { noise(seed % 7, file.len) },
                hole: 0,
                named: file
                    .streams
                    .iter()
                    .zip(0..)
                    .map(|(s, i)| (format!("{i}s{}", s.0), noise(seed, s.1)))
                    .collect(),
                reparse: file.reparse.map(|len| (common::SYMLINK, noise(seed, len))),
                object_id: file.object_id.then(|| noise(seed + 1000, 16).try_into().unwrap()),
                eas: file.ea.map(|len| ("NAME".into(), noise(seed, len))).into_iter().collect(),
            };
            let node = tree.add(parent, &name, new);
            if seed % 4 == 0 {
                tree.short(&format!("S{seed}~1.X"));
            }
            if file.is_dir {
                dirs.push(node);
            } else {
                for link in 0..file.links {
                    let parent = dirs[link % dirs.len()];
                    tree.link(parent, &format!("link {link} to {seed}"), None, node);
                }
            }
        }
        tree
    })
}

fn any_options() -> impl Strategy<Value = Options> {
    let cluster = prop::sample::select(vec![512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536]);
    let record = prop::sample::select(vec![1024, 4096]);
    let alignment = prop::sample::select(vec![0, 4096, 65_536]);
    (cluster, record, alignment, 0u32..300).prop_map(
        |(cluster_size, record_size, alignment, reserve_records)| Options {
            cluster_size,
            record_size,
            alignment,
            reserve_records,
            ..Options::default()
        },
    )
}

/// Renders in pieces that end wherever `cuts` say.
fn render_cut(volume: &Volume, blobs: &Blobs, cuts: &[u32]) -> Vec<u8> {
    let mut image = vec![0xEE; volume.map().len() as usize];
    let mut ends: Vec<usize> = cuts.iter().map(|&cut| cut as usize % image.len()).collect();
    ends.push(image.len());
    ends.sort_unstable();
    let mut start = 0;
    for end in ends {
        volume.render(start as u64, &mut image[start..end], blobs).unwrap();
        start = end;
    }
    image
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_reads_back(tree in any_tree(), options in any_options(), spare in 0u64..3_000_000,
                           cuts in prop::collection::vec(any::<u32>(), 0..50)) {
        let cluster = options.cluster_size;
        let (plan, blobs) = tree.plan(options).unwrap();
        let len = plan.min_size() + spare / 512 * 512;
        let volume = plan.lay_out(len).unwrap();
        prop_assert_eq!(volume.map().len(), len);
        let image = common::render(&volume, &blobs);
        prop_assert!(image == render_cut(&volume, &blobs, &cuts), "cuts change the bytes");
        check::compare(&tree, &image);
        if cluster <= 4096 {
            reader::compare(&tree, &image);
        }
        zero_extents_are_zero(volume.map(), &image);
    }

    #[test]
    fn the_smallest_volume_is_exactly_that(tree in any_tree(), options in any_options()) {
        let cluster = u64::from(options.cluster_size);
        let (plan, _) = tree.plan(options).unwrap();
        let needed = plan.min_size();
        prop_assert!(plan.content_size() < needed);
        prop_assert!(plan.lay_out(needed).is_ok());
        match plan.lay_out(needed - cluster) {
            Err(Error::TooSmall { needed: said, found }) => {
                prop_assert_eq!(said, needed);
                prop_assert_eq!(found, needed - cluster);
            }
            other => panic!("{other:?}"),
        }
        for more in [512, cluster, 3 * cluster, 1 << 20, 300 << 20, 5 << 30] {
            prop_assert!(plan.lay_out(needed + more).is_ok(), "{} more", more);
        }
    }
}

fn zero_extents_are_zero(map: &ExtentMap, image: &[u8]) {
    for extent in map.extents().iter().filter(|extent| extent.content == Content::Zero) {
        assert!(image[extent.start as usize..extent.end() as usize].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let tree = common::feature_rich();
    let options = Options { label: "same".into(), ..Options::default() };
    let first = tree.image(options.clone(), 1 << 20);
    let second = tree.image(options, 1 << 20);
    assert!(first == second);
}

#[test]
fn many_threads_render_one_volume() {
    let tree = common::feature_rich();
    let (plan, blobs) = tree.plan(Options::default()).unwrap();
    let volume = plan.lay_out(64 << 20).unwrap();
    let whole = common::render(&volume, &blobs);
    let mut image = vec![0; whole.len()];
    std::thread::scope(|scope| {
        for (piece, number) in image.chunks_mut(3 << 20).zip(0u64..) {
            let (volume, blobs) = (&volume, &blobs);
            scope.spawn(move || volume.render(number * (3 << 20), piece, blobs).unwrap());
        }
    });
    assert!(image == whole);
}

#[test]
fn a_tight_volume_gives_up_alignment_and_then_the_size_of_the_log() {
    let mut tree = Tree::default();
    for i in 0..200 {
        tree.file(0, &format!("{i}"), noise(i, 33_000));
    }
    let (plan, blobs) = tree.plan(Options::default()).unwrap();
    let roomy = plan.lay_out(plan.min_size() + (16 << 20)).unwrap();
    assert!(!roomy.notes().contains(&Note::Unaligned));
    for extent in roomy.map().extents().iter().filter(|extent| extent.label.kind == "file data") {
        assert_eq!(extent.start % 65_536, 0);
    }
    let tight = plan.lay_out(plan.min_size()).unwrap();
    assert!(tight.notes().contains(&Note::Unaligned));
    check::compare(&tree, &common::render(&tight, &blobs));

    // A volume of a gigabyte would have a log of 5 MB; here there is no room for it.
    let mut tree = Tree::default();
    let big = tree.file(0, "big", noise(1, 100));
    tree.files[big].data = vec![7; 400 << 20];
    let (plan, _) = tree.plan(Options::default()).unwrap();
    let tight = plan.lay_out(plan.min_size() + 4096 * 10).unwrap();
    let small = tight.notes().iter().find_map(|note| match note {
        Note::SmallLog { len, usual } => Some((*len, *usual)),
        _ => None,
    });
    let (len, usual) = small.expect("a note about the log");
    assert!(len >= 2 << 20 && len < usual, "{len} of {usual}");
}

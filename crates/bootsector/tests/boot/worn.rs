//! Volumes of mkntfs, worn by ntfs-3g.

use testkit::payload;
use testkit::qemu::Machine;

use crate::theirs::{START, Shape, Wear, disk};
use crate::{reached, whole_matrix};

const LEN: usize = 400_000;

/// `None`, visibly, when a tool is missing.
fn boots(wear: Wear) -> Option<Shape> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let shape = disk(&path, wear, &payload::stub(LEN))?;
    println!("{wear:?}: {shape:?}");
    reached(&Machine::new(&path), START, LEN, "a worn volume").then_some(shape)
}

/// Everything in pieces: `$MFT`, the root directory's index and BOOTMGR, all with attribute lists.
#[test]
fn fragments_and_attribute_lists() {
    let wear = Wear { cluster: 512, size: 16 << 20, names: 4_000, fragmented: true, seed: 1 };
    let Some(shape) = boots(wear) else { return };
    // It is no proof if there was nothing to cope with.
    assert!(shape.mft_list && shape.mft_runs > 20, "{shape:?}");
    assert!(shape.root_list && shape.root_runs.is_some_and(|runs| runs > 20), "{shape:?}");
    assert!(shape.bootmgr_list && shape.bootmgr_runs.is_some_and(|runs| runs > 20), "{shape:?}");
}

#[test]
fn five_thousand_names_in_fragments() {
    let wear = Wear { cluster: 4096, size: 48 << 20, names: 5_000, fragmented: true, seed: 2 };
    let Some(shape) = boots(wear) else { return };
    assert!(shape.mft_runs > 20 && shape.root_runs.is_some_and(|runs| runs > 20), "{shape:?}");
}

#[test]
fn the_rest_of_the_matrix() {
    let wears: Vec<Wear> = if whole_matrix() {
        let clusters = (9..=16).map(|shift| 1 << shift);
        let size = |cluster| if cluster < 2048 { 16 << 20 } else { 64 << 20 };
        let with = move |cluster, names| {
            (0..3).map(move |seed| Wear { cluster, size: size(cluster), names, fragmented: seed > 0, seed })
        };
        clusters
            .flat_map(|cluster| [0, 300, 5_000].into_iter().flat_map(move |names| with(cluster, names)))
            .collect()
    } else {
        vec![
            Wear { cluster: 65_536, size: 64 << 20, names: 500, fragmented: true, seed: 3 },
            Wear { cluster: 4096, size: 16 << 20, names: 0, fragmented: false, seed: 0 },
        ]
    };
    for wear in wears {
        if boots(wear).is_none() {
            return;
        }
    }
}

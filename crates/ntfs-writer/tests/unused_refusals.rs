//! Volumes of which it cannot be told what is unused; and what happens when the work is interrupted.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{SPARSE, Tree, feature_rich, noise};
use disk::{ReadAt, SubRange};
use sha1::{Digest as _, Sha1};
use testkit::content::Random;
use testkit::{args, samples, tool};
use wimforge_ntfs_writer::check::{self, check};
use wimforge_ntfs_writer::unused::{Error, Options as UnusedOptions, Reason, Unused, sleeps, unused};
use wimforge_ntfs_writer::{Options, read};

fn source(image: &[u8]) -> Arc<dyn ReadAt> {
    Arc::new(image.to_vec())
}

fn find(image: &[u8]) -> Result<Unused, Error> {
    unused(&source(image), &UnusedOptions::default())
}

fn apply(image: &mut [u8], unused: &Unused) {
    for range in &unused.ranges {
        image[range.start as usize..range.end as usize].fill(0);
    }
    for patch in &unused.patches {
        let at = patch.offset as usize;
        patch.apply(&mut image[at..at + patch.len as usize]).unwrap();
    }
}

fn options() -> Options {
    Options { created: common::times(1).created, ..Options::default() }
}

/// A small volume with one of everything, whose free space is not zero.
fn volume() -> Vec<u8> {
    let mut tree = feature_rich();
    tree.file(0, "hiberfil.sys", vec![0; 50_000]);
    tree.file(0, "pagefile.sys", noise(5, 70_000));
    let mut image = tree.image(options(), 4 << 20);
    let free = find(&image).unwrap();
    assert!(free.patches.is_empty() && free.totals.free > 0 && free.kept.is_empty(), "{:?}", free.kept);
    for range in &free.ranges {
        image[range.start as usize..range.end as usize].fill(0xEE);
    }
    image
}

/// All streams that our reader reads, as hashes, and what directories list.
fn streams(image: &[u8]) -> BTreeMap<String, Result<Vec<u8>, String>> {
    streams_of(source(image))
}

fn streams_of(source: Arc<dyn ReadAt>) -> BTreeMap<String, Result<Vec<u8>, String>> {
    let volume = read::Volume::open(source, read::Options { raw: true }).unwrap();
    let mut found = BTreeMap::new();
    for number in 0..volume.record_count() {
        let Ok(file) = volume.file(number) else { continue };
        if number < 3 || number == 8 {
            continue;
        }
        for name in file.stream_names() {
            let content = || {
                let mut reader = file.open(&volume, &name).map_err(|error| error.to_string())?;
                let mut bytes = vec![0; reader.size().min(2 << 20) as usize];
                reader.read_at(0, &mut bytes).map_err(|error| error.to_string())?;
                Ok(Sha1::digest(&bytes).to_vec())
            };
            found.insert(format!("{number}:{}", String::from_utf16_lossy(&name)), content());
        }
        if let Ok(entries) = volume.entries(&file) {
            let names: Vec<u8> = entries.iter().flat_map(|entry| format!("{entry:?}").into_bytes()).collect();
            found.insert(format!("{number}/"), Ok(names));
        }
    }
    found
}

fn reason(image: &[u8]) -> Reason {
    match find(image) {
        Err(Error::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Where a record of the small volumes here lies.
fn record_at(image: &[u8], number: u64) -> usize {
    let volume = read::Volume::open(source(image), read::Options::default()).unwrap();
    let file = volume.file(number).unwrap();
    file.offset() as usize
}

/// The first byte of the unnamed stream of a file.
fn data_at(image: &[u8], path: &str) -> usize {
    let volume = read::Volume::open(source(image), read::Options::default()).unwrap();
    let file = volume.find(path).unwrap();
    file.raw_stream(&volume, &[]).unwrap().unwrap().first_byte(&volume).unwrap() as usize
}

#[test]
fn states_in_which_nothing_can_be_told() {
    let good = volume();
    assert!(find(&good).is_ok());

    // The flag of a volume that was not closed, wherever $Volume has it.
    let mut dirty = good.clone();
    let record = record_at(&good, 3);
    let at = dirty[record..record + 1024].windows(4).position(|bytes| bytes == [0x70, 0, 0, 0]).unwrap();
    dirty[record + at + 24 + 10] |= 1;
    let copy = read::Volume::open(source(&good), read::Options::default()).unwrap();
    let mirror = copy.boot().mirror_lcn as usize * 4096 + 3 * 1024;
    let bytes = dirty[record..record + 1024].to_vec();
    dirty[mirror..mirror + 1024].copy_from_slice(&bytes);
    assert_eq!(reason(&dirty), Reason::Dirty);

    let mut log = good.clone();
    let at = data_at(&good, "$LogFile");
    log[at..at + 64].fill(0);
    assert_eq!(reason(&log), Reason::Log);

    let mut locked = good.clone();
    locked[3..11].copy_from_slice(b"-FVE-FS-");
    assert_eq!(reason(&locked), Reason::BitLocker);

    let at = data_at(&good, "hiberfil.sys");
    for (magic, asleep) in
        [(b"hibr", true), (b"HIBR", true), (b"RSTR", true), (b"wake", false), (b"WAKE", false)]
    {
        let mut image = good.clone();
        image[at..at + 4].copy_from_slice(magic);
        if asleep {
            assert_eq!(reason(&image), Reason::Hibernated, "{magic:?}");
        } else {
            assert!(find(&image).is_ok());
        }
        assert_eq!(sleeps(&source(&image)).unwrap(), asleep);
        let drop = UnusedOptions { hiberfil: true, ..UnusedOptions::default() };
        let dropped = unused(&source(&image), &drop).unwrap();
        assert_eq!(dropped.totals.dropped, 50_000);
        assert!(dropped.ranges.iter().any(|range| range.contains(&(at as u64))));
    }
    // One with two names may be somebody's document.
    let mut tree = Tree::default();
    let file = tree.file(0, "hiberfil.sys", noise(3, 50_000));
    tree.link(0, "thesis.doc", None, file);
    let image = tree.image(options(), 1 << 20);
    assert_eq!(reason(&image), Reason::Hibernated);
    let drop = UnusedOptions { hiberfil: true, ..UnusedOptions::default() };
    let refused = unused(&source(&image), &drop);
    assert!(matches!(refused, Err(Error::Refused { reason: Reason::Hibernated, .. })), "{refused:?}");
}

#[test]
fn files_are_emptied_on_request_only() {
    let image = volume();
    let at = data_at(&image, "pagefile.sys") as u64;
    let kept = find(&image).unwrap();
    assert!(!kept.ranges.iter().any(|range| range.contains(&at)));
    assert!(kept.ranges.iter().any(|range| range.contains(&(at + 70_000))), "but for its tail");
    let drop = UnusedOptions { pagefile: true, ..UnusedOptions::default() };
    let found = unused(&source(&image), &drop).unwrap();
    assert!(found.ranges.iter().any(|range| range.start <= at && range.end >= at + 70_000));
    assert_eq!(found.totals.dropped, 70_000);
    let mut after = image.clone();
    apply(&mut after, &found);
    assert!(check(&after, &check::Options::default()).unwrap().is_clean());
    let (before, after) = (streams(&image), streams(&after));
    let differing: Vec<_> = before.iter().filter(|(name, content)| after[*name] != **content).collect();
    assert_eq!(differing.len(), 1);
}

/// Bitmaps that say that something is free that is not, and runs that lead to what is another's.
#[test]
fn contradictions() {
    let good = volume();
    let opened = read::Volume::open(source(&good), read::Options::default()).unwrap();
    let clusters = opened.boot().clusters;
    let bitmap = data_at(&good, "$Bitmap");
    let mut unsound = 0;
    // Each of the clusters that are used, made free.
    for cluster in (0..clusters as usize).step_by(97) {
        let mut image = good.clone();
        let (byte, bit) = (bitmap + cluster / 8, 1 << (cluster % 8));
        if image[byte] & bit == 0 {
            continue;
        }
        image[byte] &= !bit;
        assert_eq!(reason(&image), Reason::Unsound, "cluster {cluster:#x}");
        unsound += 1;
    }
    assert!(unsound > 3, "{unsound}");
    // A free cluster that is marked as used belongs to nobody, and stays.
    let mut image = good.clone();
    let before = find(&image).unwrap();
    let lost =
        (before.ranges.iter().max_by_key(|range| range.end - range.start).unwrap().start / 4096 + 5) as usize;
    image[bitmap + lost / 8] |= 1 << (lost % 8);
    let found = find(&image).unwrap();
    assert_eq!(found.totals.free + 4096, before.totals.free);
    assert!(!found.ranges.iter().any(|range| range.contains(&(lost as u64 * 4096))));

    // Volumes that end early.
    for len in [0, 100, 512, 4096, 100_000, good.len() / 2, good.len() - 4096, good.len() - 1] {
        assert!(find(&good[..len]).is_err(), "{len}");
    }
    // Records: each byte of the mapping pairs of a file, changed to lead elsewhere.
    let file = opened.find("pagefile.sys").unwrap();
    let at = file.offset() as usize;
    for byte in (56..1024).filter(|byte| good[at + byte] != 0) {
        let mut image = good.clone();
        image[at + byte] ^= 1 << (byte % 8);
        same_or_refused(&image, &format!("byte {byte} of the record"));
    }
}

/// What is accepted reads the same afterwards, whatever it is.
fn same_or_refused(image: &[u8], what: &str) -> bool {
    let Ok(found) = find(image) else { return false };
    let mut after = image.to_vec();
    apply(&mut after, &found);
    assert_eq!(streams(image), streams(&after), "{what}");
    let count = |image: &[u8]| {
        let report = check(&image, &check::Options::default()).unwrap();
        (report.errors, report.warnings)
    };
    assert_eq!(count(image), count(&after), "{what}");
    true
}

/// Bytes of the metadata changed at random: refused, or the same afterwards.
#[test]
fn what_is_damaged_is_refused_or_the_same_afterwards() {
    let mut tree = feature_rich();
    tree.files.iter_mut().for_each(|file| file.attributes &= !SPARSE);
    let good = {
        let mut image = tree.image(options(), 1 << 20);
        for range in find(&image).unwrap().ranges {
            image[range.start as usize..range.end as usize].fill(0xEE);
        }
        image
    };
    // Where structures are: what is used and not the content of a file.
    let structures: Vec<usize> = (0..good.len())
        .step_by(512)
        .filter(|&at| [b"FILE", b"INDX"].iter().any(|magic| good[at..].starts_with(*magic)))
        .collect();
    let mut random = Random::new(8);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..120 {
        let mut image = good.clone();
        for _ in 0..=random.below(3) {
            let at = structures[random.below(structures.len())] + random.below(1024);
            image[at] = random.next_u64() as u8;
        }
        match same_or_refused(&image, &format!("round {round}")) {
            true => accepted += 1,
            false => refused += 1,
        }
    }
    assert!(accepted > 5 && refused > 20, "{accepted} {refused}");
}

/// Samples of Windows, and some that were damaged by hand.
#[test]
fn samples_are_the_same_afterwards() {
    let Some(samples) = samples() else { return };
    let (Some(tar), Some(_), Some(shell)) = (tool("tar"), tool("gzip"), tool("sh")) else { return };
    let mut accepted = 0;
    for folder in ["ntfs/windows", "ntfs/corrupt"] {
        let mut names: Vec<PathBuf> =
            samples.join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for archive in names {
            let name = archive.file_name().unwrap().to_string_lossy().into_owned();
            if name.contains(".mft.") {
                continue;
            }
            let scratch = tempfile::tempdir().unwrap();
            if name.contains(".tar.") || name.ends_with(".tgz") {
                tar.run(args!["-xSf", &archive, "-C", scratch.path()]);
            } else {
                let unpack = "gzip -dc \"$0\" | dd of=\"$1\" bs=1M iflag=fullblock conv=sparse status=none";
                shell.run(args!["-c", unpack, &archive, &scratch.path().join("volume.img")]);
            }
            let mut files = scratch.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
            let image = files.find(|path| path.is_file()).unwrap();
            let volume = volume_of(&image);
            let found = match unused(&volume, &UnusedOptions::default()) {
                Ok(found) => found,
                Err(error) => {
                    assert!(folder == "ntfs/corrupt", "{name}: {error}");
                    continue;
                }
            };
            let after: Arc<dyn ReadAt> = Arc::new(Overlay { volume: volume.clone(), unused: found });
            assert!(streams_of(volume.clone()) == streams_of(after.clone()), "{name}");
            let count = |volume: &Arc<dyn ReadAt>| {
                let report = check(volume.as_ref(), &check::Options::default()).unwrap();
                (report.errors, report.warnings)
            };
            assert_eq!(count(&volume), count(&after), "{name}");
            assert!(unused(&after, &UnusedOptions::default()).unwrap().patches.is_empty(), "{name}");
            accepted += u32::from(folder == "ntfs/windows");
        }
    }
    assert!(accepted >= 8, "{accepted}");
}

/// A volume as it would be.
struct Overlay {
    volume: Arc<dyn ReadAt>,
    unused: Unused,
}

impl ReadAt for Overlay {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.volume.read_exact_at(buf, offset)?;
        let end = offset + buf.len() as u64;
        let ranges = &self.unused.ranges;
        let first = ranges.partition_point(|range| range.end <= offset);
        for range in ranges[first..].iter().take_while(|range| range.start < end) {
            let (from, to) = (range.start.max(offset) - offset, range.end.min(end) - offset);
            buf[from as usize..to as usize].fill(0);
        }
        let patches = &self.unused.patches;
        let first = patches.partition_point(|patch| patch.offset + u64::from(patch.len) <= offset);
        for patch in patches[first..].iter().take_while(|patch| patch.offset < end) {
            let mut whole = vec![0; patch.len as usize];
            self.volume.read_exact_at(&mut whole, patch.offset)?;
            patch.apply(&mut whole).unwrap();
            for (at, byte) in (patch.offset..).zip(whole).filter(|(at, _)| (offset..end).contains(at)) {
                buf[(at - offset) as usize] = byte;
            }
        }
        Ok(())
    }

    fn size(&self) -> std::io::Result<u64> {
        self.volume.size()
    }
}

/// The volume in a file: all of it, or the NTFS partition of a disk.
fn volume_of(path: &Path) -> Arc<dyn ReadAt> {
    let file = File::open(path).unwrap();
    let mut first = [0; 512];
    file.read_exact_at(&mut first, 0).unwrap();
    if !first.starts_with(&[0x33, 0xC0]) {
        return Arc::new(file);
    }
    let entry = first[446..510].chunks_exact(16).find(|entry| entry[4] == 7).unwrap();
    let word = |at: usize| u64::from(u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()));
    Arc::new(SubRange::new(file, word(8) * 512, word(12) * 512).unwrap().unwrap())
}

/// The power fails: some of the ranges are zero, or the structures are written up to some sector of one. The volume is
/// sound and holds the same, and doing it again ends where it would have ended.
#[test]
fn an_interruption_leaves_a_sound_volume() {
    let mut tree = Tree::default();
    for i in 0..300 {
        tree.file(0, &format!("a file with a name, number {i}.txt"), noise(i, (i * 13 % 900) as usize));
    }
    let mut image = tree.image(options(), 1 << 20);
    // Remains behind the end of every record and block.
    for at in (0..image.len()).step_by(512) {
        let (len, used) = match &image[at..at + 4] {
            b"FILE" => (1024, u32::from_le_bytes(image[at + 24..at + 28].try_into().unwrap()) as usize),
            b"INDX" => (4096, 24 + u32::from_le_bytes(image[at + 28..at + 32].try_into().unwrap()) as usize),
            _ => continue,
        };
        for byte in (used..len).filter(|byte| byte % 512 < 510) {
            image[at + byte] = 0xEE;
        }
    }
    for range in find(&image).unwrap().ranges {
        image[range.start as usize..range.end as usize].fill(0xEE);
    }
    assert!(check(&image, &check::Options::default()).unwrap().is_clean());
    let found = find(&image).unwrap();
    assert!(found.patches.len() > 300);
    let before = streams(&image);
    let mut done = image.clone();
    apply(&mut done, &found);
    let mut random = Random::new(3);
    for round in 0..20 {
        let mut cut = image.clone();
        if round % 2 == 0 {
            for range in &found.ranges {
                // Any sectors of it, in any order.
                for sector in (range.start..range.end).step_by(512).filter(|_| random.below(2) == 0) {
                    cut[sector as usize..range.end.min(sector + 512) as usize].fill(0);
                }
            }
        } else {
            for range in &found.ranges {
                cut[range.start as usize..range.end as usize].fill(0);
            }
            for patch in &found.patches {
                let at = patch.offset as usize;
                for sector in (at..at + patch.len as usize).step_by(512).filter(|_| random.below(2) == 0) {
                    let end = sector + 512;
                    cut[sector..end].copy_from_slice(&done[sector..end]);
                }
            }
        }
        let report = check(&cut, &check::Options::default()).unwrap();
        assert!(report.is_clean(), "{round}: {report}");
        assert_eq!(streams(&cut), before, "{round}");
        let again = find(&cut).unwrap();
        apply(&mut cut, &again);
        assert!(cut == done, "{round}");
    }
}

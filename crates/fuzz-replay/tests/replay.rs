//! The fuzz targets, compiled as they are, on their committed inputs: seeds that reach deep, and every input that ever
//! made one fail.

#![allow(clippy::duplicate_mod, reason = "each target is a program of its own")]

// The targets say `use libfuzzer_sys::fuzz_target`; here that is this crate, whose macro makes a function of a target.
extern crate self as libfuzzer_sys;
// The codec's test support, which its targets share, calls the crate by its package's name.
extern crate codec as wimforge_codec;

/// Makes a function of a fuzz target.
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:block) => {
        pub fn run($data: &[u8]) {
            $body
        }
    };
}

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

macro_rules! targets {
    ($($name:ident = $path:literal),* $(,)?) => {$(
        #[path = $path]
        #[allow(unused_attributes, unused_imports, dead_code, missing_docs, unreachable_pub, reason = "a program of its own elsewhere")]
        mod $name;

        #[test]
        fn $name() {
            replay(stringify!($name), self::$name::run);
        }
    )*};
}

targets! {
    appliance = "../../../fuzz/fuzz_targets/appliance.rs",
    bcd_open = "../../../fuzz/fuzz_targets/bcd_open.rs",
    boot_chain = "../../../fuzz/fuzz_targets/boot_chain.rs",
    cab_open = "../../../fuzz/fuzz_targets/cab_open.rs",
    cat_parse = "../../../fuzz/fuzz_targets/cat_parse.rs",
    cbs_package = "../../../fuzz/fuzz_targets/cbs_package.rs",
    container_write = "../../../fuzz/fuzz_targets/container_write.rs",
    convert = "../../../fuzz/fuzz_targets/convert.rs",
    customize = "../../../fuzz/fuzz_targets/customize.rs",
    deflate = "../../../fuzz/fuzz_targets/deflate.rs",
    disk_stack = "../../../fuzz/fuzz_targets/disk_stack.rs",
    driver_archive = "../../../fuzz/fuzz_targets/driver_archive.rs",
    fat_read = "../../../fuzz/fuzz_targets/fat_read.rs",
    fat_write = "../../../fuzz/fuzz_targets/fat_write.rs",
    gpt = "../../../fuzz/fuzz_targets/gpt.rs",
    hive_edit = "../../../fuzz/fuzz_targets/hive_edit.rs",
    hive_log = "../../../fuzz/fuzz_targets/hive_log.rs",
    hive_open = "../../../fuzz/fuzz_targets/hive_open.rs",
    inf_parse = "../../../fuzz/fuzz_targets/inf_parse.rs",
    into_image = "../../../fuzz/fuzz_targets/into_image.rs",
    iso_open = "../../../fuzz/fuzz_targets/iso_open.rs",
    key_pem = "../../../fuzz/fuzz_targets/key_pem.rs",
    lzms = "../../../fuzz/fuzz_targets/lzms.rs",
    lznt1 = "../../../fuzz/fuzz_targets/lznt1.rs",
    lzx = "../../../fuzz/fuzz_targets/lzx.rs",
    mbr = "../../../fuzz/fuzz_targets/mbr.rs",
    ntfs_check = "../../../fuzz/fuzz_targets/ntfs_check.rs",
    ntfs_plan = "../../../fuzz/fuzz_targets/ntfs_plan.rs",
    ntfs_read = "../../../fuzz/fuzz_targets/ntfs_read.rs",
    ntfs_resize = "../../../fuzz/fuzz_targets/ntfs_resize.rs",
    ntfs_unused = "../../../fuzz/fuzz_targets/ntfs_unused.rs",
    qcow2_open = "../../../fuzz/fuzz_targets/qcow2_open.rs",
    recipe_toml = "../../../fuzz/fuzz_targets/recipe_toml.rs",
    reg_file = "../../../fuzz/fuzz_targets/reg_file.rs",
    sddl = "../../../fuzz/fuzz_targets/sddl.rs",
    unattend_xml = "../../../fuzz/fuzz_targets/unattend_xml.rs",
    vdi_open = "../../../fuzz/fuzz_targets/vdi_open.rs",
    vhd_open = "../../../fuzz/fuzz_targets/vhd_open.rs",
    vhdx_open = "../../../fuzz/fuzz_targets/vhdx_open.rs",
    vmdk_open = "../../../fuzz/fuzz_targets/vmdk_open.rs",
    wim_open = "../../../fuzz/fuzz_targets/wim_open.rs",
    words = "../../../fuzz/fuzz_targets/words.rs",
    xpress = "../../../fuzz/fuzz_targets/xpress.rs",
    xpress_encode = "../../../fuzz/fuzz_targets/xpress_encode.rs",
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Where the inputs of a target are: its seeds, what once made it fail, and, if `WIMFORGE_FUZZ_CORPUS` names a folder, what a
/// campaign has grown there.
fn folders(target: &str) -> Vec<PathBuf> {
    let grown = std::env::var_os("WIMFORGE_FUZZ_CORPUS").map(PathBuf::from);
    let all = [Some(fuzz().join("corpus")), Some(fuzz().join("artifacts")), grown];
    all.into_iter().flatten().map(|folder| folder.join(target)).filter(|folder| folder.is_dir()).collect()
}

/// Runs a target on every input, and on a few that are always worth a try.
#[expect(clippy::print_stderr, reason = "says which input made the target panic")]
fn replay(target: &str, run: fn(&[u8])) {
    for folder in folders(target) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            eprintln!("{}", path.display());
            match fs::read(&path) {
                Ok(input) => run(&input),
                // A campaign that is running puts smaller ones in the place of what it has.
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{}", path.display()),
            }
        }
    }
    for input in [&[][..], &[0], &[0; 4096], &[0xFF; 4096]] {
        run(input);
    }
}

/// The targets that there are.
fn targets() -> BTreeSet<String> {
    let names = fs::read_dir(fuzz().join("fuzz_targets")).expect("the targets");
    let names = names.map(|entry| entry.expect("a readable folder").path());
    names.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

#[test]
fn every_target_is_built_and_replayed() {
    let here = include_str!("replay.rs");
    let replayed = here.lines().filter_map(|line| line.trim().strip_suffix(".rs\",")?.split_once(" = \""));
    let replayed: BTreeSet<_> = replayed.map(|(name, _)| name.to_owned()).collect();
    assert_eq!(replayed, targets());
    let manifest = include_str!("../../../fuzz/Cargo.toml");
    let bins = manifest.split("[[bin]]").skip(1);
    let built: BTreeSet<_> =
        bins.map(|bin| bin.split('"').nth(1).expect("a name in quotes").to_owned()).collect();
    assert_eq!(built, targets());
}

#[test]
fn every_target_has_seeds_and_they_are_small() {
    for target in targets() {
        let seeds = fuzz().join("corpus").join(&target);
        let seeds = fs::read_dir(&seeds).unwrap_or_else(|error| panic!("{}: {error}", seeds.display()));
        let sizes = seeds.map(|entry| entry.expect("a readable folder").metadata().expect("a file").len());
        let (count, bytes) = sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
        assert!(count > 0 && bytes <= 1 << 20, "{target} has {count} seeds of {bytes} bytes");
    }
}

#[test]
fn every_target_is_described() {
    let document = include_str!("../../../docs/fuzzing.md");
    let (_, table) = document.split_once("\n## Targets\n").expect("a chapter about targets");
    let rows =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let described: Vec<_> = rows.skip(2).map(|row| row.split('`').nth(1).unwrap_or(row).to_owned()).collect();
    assert!(described.is_sorted(), "the table is not in order");
    let all: BTreeSet<_> = described.iter().cloned().collect();
    assert_eq!(all, targets());
    assert_eq!(all.len(), described.len(), "a target twice");
}

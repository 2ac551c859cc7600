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

use std::fs;
use std::path::Path;

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
    lzx = "../../../fuzz/fuzz_targets/lzx.rs",
    lzms = "../../../fuzz/fuzz_targets/lzms.rs",
    bcd_open = "../../../fuzz/fuzz_targets/bcd_open.rs",
    cab_open = "../../../fuzz/fuzz_targets/cab_open.rs",
    cat_parse = "../../../fuzz/fuzz_targets/cat_parse.rs",
    cbs_package = "../../../fuzz/fuzz_targets/cbs_package.rs",
    fat_read = "../../../fuzz/fuzz_targets/fat_read.rs",
    hive_log = "../../../fuzz/fuzz_targets/hive_log.rs",
    hive_open = "../../../fuzz/fuzz_targets/hive_open.rs",
    inf_parse = "../../../fuzz/fuzz_targets/inf_parse.rs",
    iso_open = "../../../fuzz/fuzz_targets/iso_open.rs",
    mbr = "../../../fuzz/fuzz_targets/mbr.rs",
    ntfs_check = "../../../fuzz/fuzz_targets/ntfs_check.rs",
    ntfs_plan = "../../../fuzz/fuzz_targets/ntfs_plan.rs",
    ntfs_read = "../../../fuzz/fuzz_targets/ntfs_read.rs",
    qcow2_open = "../../../fuzz/fuzz_targets/qcow2_open.rs",
    recipe_toml = "../../../fuzz/fuzz_targets/recipe_toml.rs",
    reg_file = "../../../fuzz/fuzz_targets/reg_file.rs",
    unattend_xml = "../../../fuzz/fuzz_targets/unattend_xml.rs",
    vdi_open = "../../../fuzz/fuzz_targets/vdi_open.rs",
    vhd_open = "../../../fuzz/fuzz_targets/vhd_open.rs",
    vhdx_open = "../../../fuzz/fuzz_targets/vhdx_open.rs",
    vmdk_open = "../../../fuzz/fuzz_targets/vmdk_open.rs",
    wim_open = "../../../fuzz/fuzz_targets/wim_open.rs",
    xpress = "../../../fuzz/fuzz_targets/xpress.rs",
}

fn fuzz() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Runs a target on every committed input, and on a few that are always worth a try.
#[expect(clippy::print_stderr, reason = "says which input made the target panic")]
fn replay(target: &str, run: fn(&[u8])) {
    let mut inputs = 0;
    for folder in ["corpus", "artifacts"] {
        let Ok(entries) = fs::read_dir(fuzz().join(folder).join(target)) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            eprintln!("{}", path.display());
            run(&fs::read(&path).expect("a readable input"));
            inputs += 1;
        }
    }
    assert!(inputs > 0, "fuzz/corpus/{target} is empty");
    for input in [&[][..], &[0], &[0; 4096], &[0xFF; 4096]] {
        run(input);
    }
}

#[test]
fn every_target_is_replayed() {
    let here = include_str!("replay.rs");
    for entry in fs::read_dir(fuzz().join("fuzz_targets")).expect("the targets") {
        let name = entry.expect("a readable folder").file_name().to_string_lossy().into_owned();
        assert!(here.contains(&format!("/fuzz_targets/{name}\"")), "{name} is not replayed");
    }
}

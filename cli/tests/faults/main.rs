//! The program when files fail it: at the n-th operation an error, half a write, a full disk, a signal, or an input that
//! changes under its hands. [`testkit::faults`] makes that happen from outside.
//!
//! A scene is a command with its inputs. A run without a fault says how many operations there are and what the result is;
//! then each of them fails in every way it can. [`judge`] says what may be left of it. `docs/robustness.md` says it for
//! users.
//!
//! A test run tries an even sample, the first and the last of each kind among it; all of them are tried by
//!
//! ```sh
//! cargo xtask faults
//! ```

mod campaign;
mod folder;
mod inputs;
mod judge;
mod scene;
mod streams;
mod syscalls;

use campaign::campaign;

macro_rules! scenes {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            campaign(scene::$name());
        }
    )*};
}

scenes!(
    build_raw,
    build_raw_over,
    build_vhd,
    build_vhdx,
    build_vmdk,
    build_vmdk_split,
    build_vmdk_split_over,
    build_qcow2,
    build_box,
    build_compact_os,
    build_stdout,
    build_customised,
    convert,
    convert_split,
    convert_size,
    convert_catalog,
    compact_copy,
    compact_in_place,
    reg_set,
    reg_import,
    reg_export,
    bcd_set,
    bcd_create,
    extract,
    extract_disk,
    cat,
    verify,
    check,
);

/// Whatever fails, what has the name of the output stays, as long as nobody said `--force`.
#[test]
fn an_output_that_exists_stays() {
    for scene in [scene::build_raw_there(), scene::convert_there(), scene::reg_export_there()] {
        campaign::refused(&scene);
    }
}

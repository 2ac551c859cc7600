//! Any drivers and packages go into an image in the shape of Nano Server, which becomes a disk; or they are refused.
//!
//! An input is files, each behind a line `=== path`. They are a folder of drivers, or a cabinet of a package, as the first byte says.
#![no_main]

#[path = "../support/package.rs"]
mod package;
#[path = "../support/scratch.rs"]
mod scratch;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{LazyLock, OnceLock};

use image::{Counters, Format, Output, Plan, Recipe, Run};
use libfuzzer_sys::fuzz_target;
use scratch::Scratch;
use testkit::windows_image::WindowsImage;

static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| WindowsImage::nano().wim().to_bytes());

fn pool() -> &'static rayon::ThreadPool {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread"))
}

/// The files that a file system can have, in a folder that was not there.
fn folder(place: &Path, files: &[(&[u8], &[u8])]) -> PathBuf {
    let folder = place.with_file_name("drivers");
    drop(fs::remove_dir_all(&folder));
    for (path, bytes) in files {
        let Ok(path) = str::from_utf8(path) else { continue };
        let is_plain = |part: &str| !part.is_empty() && part.len() < 200 && part != "." && part != "..";
        if path.contains('\0') || path.len() > 1000 || !path.split('/').all(is_plain) {
            continue;
        }
        let path = folder.join(path);
        let made = path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok());
        if made && !path.is_dir() {
            fs::write(path, bytes).expect("room for a file");
        }
    }
    folder
}

fuzz_target!(|data: &[u8]| {
    let Some((&way, data)) = data.split_first() else { return };
    let files = package::files(data);
    if files.is_empty() || files.len() > 100 {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.file("install.wim", &IMAGE);
    let mut recipe = Recipe::new(&source, Output::File(source.with_file_name("disk.raw")));
    recipe.format = Some(Format::Raw);
    recipe.customize.allow_unsigned = way & 1 == 0;
    if way & 2 == 0 {
        recipe.customize.drivers = vec![folder(&source, &files)];
    } else {
        recipe.customize.packages = vec![scratch.file("package.cab", &package::cabinet(&files))];
    }
    let (cancel, counters) = (AtomicBool::new(false), Counters::default());
    let run = Run { pool: pool(), memory: 64 << 20, cancel: &cancel, counters: &counters, profile: None };
    let plan = match Plan::new(recipe, run) {
        Ok(plan) => plan,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let mut at = 0;
    for extent in plan.map().extents() {
        assert_eq!(extent.start, at);
        at = extent.end();
    }
    assert_eq!(at, plan.summary().disk_size);
});

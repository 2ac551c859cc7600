//! An image with any registry gets everything that a recipe can wish for, and becomes a disk, or is refused.
//!
//! The input chooses one of the hives of an image in the shape of Nano Server and changes it, by edits of its keys or of its bytes.
#![no_main]

#[path = "../support/scratch.rs"]
mod scratch;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{LazyLock, OnceLock};

use arbitrary::{Result, Unstructured};
use hive::{FileTime, Hive, Key, Kind};
use image::{Counters, Plan, Recipe, RecipeFile, Run};
use libfuzzer_sys::fuzz_target;
use scratch::Scratch;
use testkit::windows_image::WindowsImage;

const HIVES: [&str; 5] = ["SYSTEM", "SOFTWARE", "SECURITY", "SAM", "DEFAULT"];

const RECIPE: &str = include_str!("../support/customize.toml");

static BYTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let read = |name| std::fs::read(testkit::testdata("hives").join(name)).expect("a hive of the repository");
    HIVES.map(read).into()
});

fn recipe() -> Recipe {
    static FILE: OnceLock<RecipeFile> = OnceLock::new();
    let file =
        FILE.get_or_init(|| RecipeFile::parse(RECIPE, Path::new("customize.toml")).expect("a good recipe"));
    file.clone().resolve(&mut |_| Ok(b"Passw0rd!".to_vec())).expect("a good recipe")
}

fn pool() -> &'static rayon::ThreadPool {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread"))
}

/// A key of the hive: down from the root, each step by a number.
fn descend<'k>(u: &mut Unstructured<'_>, mut key: &'k mut Key) -> Result<&'k mut Key> {
    for _ in 0..u.int_in_range(0..=7)? {
        let count = key.subkeys().len();
        if count == 0 {
            break;
        }
        let index = u.int_in_range(0..=count - 1)?;
        key = key.subkeys_mut().nth(index).expect("there are as many");
    }
    Ok(key)
}

fn edited(u: &mut Unstructured<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut hive = Hive::parse(bytes).expect("a hive of the repository");
    for _ in 0..u.int_in_range(1..=6)? {
        let key = descend(u, hive.root_mut())?;
        let values = key.values().len();
        let value =
            if values == 0 { None } else { key.values().nth(u.int_in_range(0..=values - 1)?).cloned() };
        let name = value.as_ref().and_then(|value| value.name().to_text()).unwrap_or_default();
        match u.int_in_range(0..=4)? {
            0 => {
                let data = u.arbitrary::<&[u8]>()?.to_vec();
                let _ = key.set(&name, Kind(u.int_in_range(0..=11)?), data);
            }
            1 => drop(key.unset(&name)),
            2 => {
                let count = key.subkeys().len();
                if count > 0 {
                    let gone = key
                        .subkeys()
                        .nth(u.int_in_range(0..=count - 1)?)
                        .expect("there are as many")
                        .name()
                        .clone();
                    key.remove_named(&gone);
                }
            }
            3 => key.set_security(u.arbitrary::<&[u8]>()?.to_vec()),
            _ => {
                if let Some(value) = value {
                    let mut data = value.data().to_vec();
                    let at = u.int_in_range(0..=data.len())?;
                    data.truncate(at);
                    data.extend_from_slice(u.bytes(u.len().min(4))?);
                    let _ = key.set(&name, value.kind(), data);
                }
            }
        }
        hive.set_written(FileTime(u.arbitrary()?));
    }
    Ok(hive.to_bytes().unwrap_or_else(|_| bytes.to_vec()))
}

fn patched(u: &mut Unstructured<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    for _ in 0..u.int_in_range(1..=8)? {
        let at = u.int_in_range(0..=bytes.len() - 1)?;
        let new = u.bytes(u.len().min(1 + at % 8))?;
        let len = new.len().min(bytes.len() - at);
        bytes[at..at + len].copy_from_slice(&new[..len]);
    }
    let sum = bytes[..508]
        .chunks_exact(4)
        .fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().expect("four bytes")));
    let sum = if sum == 0 { 1 } else { sum.min(u32::MAX - 1) };
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

fn attempt(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let which = u.choose_index(HIVES.len())?;
    let bytes = if u.ratio(3, 4)? { edited(&mut u, &BYTES[which])? } else { patched(&mut u, &BYTES[which])? };
    let image = WindowsImage {
        files: vec![(format!("System32/config/{}", HIVES[which]), bytes)],
        ..WindowsImage::nano()
    };
    let scratch = Scratch::new();
    let mut recipe = recipe();
    recipe.source = scratch.file("install.wim", &image.wim().to_bytes());
    recipe.output = image::Output::File(recipe.source.with_file_name("disk.raw"));
    let (cancel, counters) = (AtomicBool::new(false), Counters::default());
    let run = Run { pool: pool(), memory: 64 << 20, cancel: &cancel, counters: &counters, profile: None };
    let Ok(plan) = Plan::new(recipe, run) else { return Ok(()) };
    let mut at = 0;
    for extent in plan.map().extents() {
        assert_eq!(extent.start, at);
        at = extent.end();
    }
    assert_eq!(at, plan.summary().disk_size);
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = attempt(data);
});

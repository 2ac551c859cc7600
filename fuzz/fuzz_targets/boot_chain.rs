//! A disk that starts, with changes: the boot chain is followed to wherever it breaks, and the disk is explained and drawn.
//!
//! An input chooses one of three disks that `build` made of an image in the shape of Nano Server, and is then a list of
//! changes to what is stored on it: which page, where in it, how many bytes, the bytes.
#![no_main]

#[path = "../support/scratch.rs"]
mod scratch;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use disk::RangeKind;
use image::{Counters, DiskFile, ExplainOptions, Layout, Output, Plan, Recipe, Run, explain};
use libfuzzer_sys::fuzz_target;
use picture::{TextStyle, html, svg, text};
use quick_xml::events::Event;
use scratch::Scratch;
use testkit::windows_image::WindowsImage;

const PAGE: usize = 4096;

/// A disk, and the numbers of its pages that are not zero.
struct Base {
    path: PathBuf,
    file: File,
    pages: Vec<u64>,
}

static BASES: LazyLock<[Base; 3]> = LazyLock::new(|| {
    let scratch = Scratch::new();
    let source = scratch.file("install.wim", &WindowsImage::nano().wim().to_bytes());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    [Layout::Mbr3, Layout::Mbr1, Layout::Gpt].map(|layout| {
        let path = source.with_file_name(format!("{layout}.raw"));
        let mut recipe = Recipe::new(&source, Output::File(path.clone()));
        recipe.layout = layout;
        let (cancel, counters) = (AtomicBool::new(false), Counters::default());
        let run = Run { pool: &pool, memory: 64 << 20, cancel: &cancel, counters: &counters, profile: None };
        Plan::new(recipe, run).expect("a good image").write(run).expect("room for a disk");
        let disk = DiskFile::open(&path).expect("a disk");
        let chains = image::chain::check_chain(&disk).expect("it can be read");
        assert!(!chains.is_broken(), "{layout}: the disk does not start as it is");
        let mut pages = Vec::new();
        let mut page = [0; PAGE];
        for range in disk.ranges() {
            let range = range.expect("a good file");
            for number in range.start / PAGE as u64..(range.start + range.len).div_ceil(PAGE as u64) {
                let known = pages.last() == Some(&number);
                if range.kind == RangeKind::Data && !known {
                    disk.disk().read_exact_at(&mut page, number * PAGE as u64).expect("whole pages");
                    if page != [0; PAGE] {
                        pages.push(number);
                    }
                }
            }
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).expect("it was made");
        Base { path, file, pages }
    })
});

/// Changes the disk, and says how to undo that: the last change first.
fn change(base: &Base, mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut before = Vec::new();
    while let Some((&[page_low, page_high, low, high, len], rest)) = data.split_first_chunk::<5>() {
        let page = usize::from(u16::from_le_bytes([page_low, page_high])) % base.pages.len();
        let within = usize::from(u16::from_le_bytes([low, high])) % PAGE;
        let len = usize::from(len % 33).min(rest.len()).min(PAGE - within);
        let at = base.pages[page] * PAGE as u64 + within as u64;
        let mut old = vec![0; len];
        base.file.read_exact_at(&mut old, at).expect("the disk is there");
        base.file.write_all_at(&rest[..len], at).expect("the disk is ours");
        before.push((at, old));
        data = &rest[len..];
        if before.len() == 64 {
            break;
        }
    }
    before.reverse();
    before
}

fn is_xml(drawn: &str) {
    let mut reader = quick_xml::Reader::from_str(drawn);
    while !matches!(reader.read_event().expect("well-formed XML"), Event::Eof) {}
}

fn look(base: &Base) {
    let Ok(disk) = DiskFile::open(&base.path) else { return };
    if let Ok(report) = image::chain::check_chain(&disk) {
        for chain in &report.chains {
            assert!(!chain.links.is_empty());
        }
    }
    let Ok(explained) = explain(&disk, ExplainOptions::default()) else { return };
    is_xml(&svg(&explained));
    assert!(!html(&explained).contains("<script"));
    let words = text(&explained, &TextStyle::default());
    assert!(words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
}

fuzz_target!(|data: &[u8]| {
    let Some((&which, data)) = data.split_first() else { return };
    let base = &BASES[usize::from(which) % BASES.len()];
    let before = change(base, data);
    look(base);
    for (at, bytes) in before {
        base.file.write_all_at(&bytes, at).expect("the disk is ours");
    }
});

//! Where fuzzing begins: small WIMs of every kind that wimlib writes, and LZMS chunks from it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::content::{Random, program, text};
use crate::descriptor::{FULL, descriptor, sid};
use crate::wimfile::{
    Entry, ITEM_EXTENDED_ATTRIBUTES, ITEM_OBJECT_ID, Layout, TAG_MOUNT_POINT, TAG_SYMLINK, WimFile,
    extended_attributes, junction_data, symlink_data,
};
use crate::{args, tool};

/// One of everything, in little room; the largest file has 100 times `repeats` bytes.
fn everything(repeats: usize) -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("seed");
    let id =
        image.security(&descriptor(sid::SYSTEM, sid::SYSTEM, None, Some(&[(0, 3, FULL, sid::EVERYONE)])));
    let root = image.root();
    let directory = image.add(root, Entry::directory("Directory").secured(id).short("DIRECT~1"));
    let file = Entry::file("file.txt", text(1, 300)).secured(id).stream("stream", "in a stream");
    let file = image.add(directory, file);
    image.link(file, root, "link.txt");
    image.add(root, Entry::reparse_point("symlink", TAG_SYMLINK, symlink_data("Directory\\file.txt")));
    let junction = Entry::reparse_point("junction", TAG_MOUNT_POINT, junction_data("C:\\Directory"));
    image.add(root, Entry { attributes: junction.attributes | 0x10, ..junction });
    image.add(root, Entry::file("empty", ""));
    let item = Entry::file("items", program(2, 200))
        .tagged(ITEM_OBJECT_ID, [7; 16])
        .tagged(ITEM_EXTENDED_ATTRIBUTES, extended_attributes(&[("EA", 0, b"value")]));
    image.add(root, item);
    // In several chunks, and small when compressed.
    let mut large = text(3, 100).repeat(repeats);
    large.extend(Random::new(4).bytes(40));
    image.add(root, Entry::file("large", large));
    wim
}

/// Writes the seeds of the targets `wim_open` and `lzms` below `directory`, in folders of these names; `false`,
/// visibly, without wimlib.
///
/// # Panics
/// When something cannot be written or wimlib fails.
pub fn write(directory: &Path) -> bool {
    let Some(wimlib) = tool("wimlib-imagex") else { return false };
    let wims = directory.join("wim_open");
    fs::create_dir_all(&wims).expect("the folder of wim_open");
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let plain = scratch.path().join("plain.wim");
    // More than one chunk of 64 KiB.
    everything(700).save(&plain);
    let short = scratch.path().join("short.wim");
    everything(90).save(&short);
    let small = small(scratch.path());
    let twice = scratch.path().join("twice.wim");
    for name in ["first", "second"] {
        wimlib.run(args!["export", "--boot", &plain, "1", &twice, name]);
    }
    for (name, source, options) in [
        ("none", &small, &["--compress=none"][..]),
        ("xpress-4k", &short, &["--compress=XPRESS", "--chunk-size=4096"]),
        ("xpress-64k-check", &plain, &["--compress=XPRESS", "--chunk-size=65536", "--check"]),
        ("lzx-32k", &plain, &["--compress=LZX"]),
        ("lzx-64k-two", &twice, &["--compress=LZX", "--chunk-size=65536"]),
        ("lzms-32k", &plain, &["--compress=LZMS", "--chunk-size=32768", "--check"]),
        ("lzms-128k", &plain, &["--compress=LZMS"]),
        ("solid-lzms-32k", &twice, &["--solid", "--solid-chunk-size=32768"]),
        ("solid-lzms-esd", &plain, &["--solid", "--check"]),
        ("solid-lzx-32k", &plain, &["--solid", "--solid-compress=LZX", "--solid-chunk-size=32768"]),
        ("solid-xpress-4k", &short, &["--solid", "--solid-compress=XPRESS", "--solid-chunk-size=4096"]),
        ("pipable-none", &small, &["--pipable", "--compress=none"]),
        ("pipable-lzx", &plain, &["--pipable", "--compress=LZX", "--check"]),
        ("pipable-xpress-4k", &short, &["--pipable", "--compress=XPRESS", "--chunk-size=4096"]),
        ("pipable-lzms", &plain, &["--pipable", "--compress=LZMS", "--chunk-size=32768"]),
    ] {
        let out = wims.join(format!("wimlib-{name}"));
        let _ = fs::remove_file(&out);
        let mut command: Vec<OsString> =
            vec!["export".into(), source.into(), "all".into(), out.clone().into()];
        command.extend(options.iter().map(OsString::from));
        wimlib.run(command);
    }
    // Parts of a set, one behind the other, as the target takes them. wimlib splits no solid files.
    let (whole, first) = (scratch.path().join("whole.wim"), scratch.path().join("part.swm"));
    wimlib.run(args!["export", &plain, "all", &whole, "--compress=LZX"]);
    wimlib.run(args!["split", &whole, &first, "0.0005"]);
    let mut parts = fs::read(first).expect("the first part");
    for number in 2.. {
        let Ok(part) = fs::read(scratch.path().join(format!("part{number}.swm"))) else { break };
        parts.extend(part);
    }
    fs::write(wims.join("wimlib-split-lzx"), parts).expect("a seed");
    chunks(&wimlib, scratch.path(), &directory.join("lzms"));
    true
}

/// Two images without anything large, for what is not compressed.
fn small(scratch: &Path) -> std::path::PathBuf {
    let path = scratch.join("small.wim");
    let mut wim = WimFile::new();
    for name in ["first", "second"] {
        let image = wim.image(name);
        let root = image.root();
        let file = image.add(root, Entry::file("file.txt", "contents").stream("stream", "more"));
        let directory = image.add(root, Entry::directory("directory").short("DIRECT~1"));
        image.link(file, directory, "link.txt");
        image.add(directory, Entry::reparse_point("symlink", TAG_SYMLINK, symlink_data("file.txt")));
    }
    wim.save(&path);
    path
}

/// Contents with something for each part of LZMS, as chunks that wimlib made; for the target: a zero, the length of the
/// content, the chunk.
fn chunks(wimlib: &crate::Tool, scratch: &Path, directory: &Path) {
    fs::create_dir_all(directory).expect("the folder of lzms");
    let mut wim = WimFile::new();
    let image = wim.image("chunks");
    let root = image.root();
    let mut random = Random::new(5);
    let mut counting = |step: usize, len: usize| -> Vec<u8> {
        // Numbers of `step` bytes that grow evenly: what delta matches are for.
        let mut value = 1000_u64;
        let mut out = Vec::new();
        while out.len() < len {
            value += 3 + u64::from(random.below(8) == 0);
            out.extend(&value.to_le_bytes()[..step]);
        }
        out
    };
    let calls: Vec<u8> = (0..220_i32)
        .flat_map(|n| {
            [&[0xE8][..], &(40_000 - 7 * n).to_le_bytes(), &[0x48, 0x8B, 0x0D], &(9000 - 7 * n).to_le_bytes()]
                .concat()
        })
        .collect();
    let mut pieces = text(6, 400);
    for n in 0..60 {
        let from = n * 37 % 300;
        pieces.extend_from_within(from..from + 5 + n % 40);
        pieces.push(n as u8);
    }
    let contents = [
        text(7, 120),
        text(8, 1500),
        text(9, 5000),
        program(10, 900),
        program(11, 4000),
        calls,
        pieces,
        counting(1, 600),
        counting(2, 1500),
        counting(4, 3000),
        counting(8, 3000),
        [text(12, 700), counting(4, 900), program(13, 900)].concat(),
        vec![0; 30_000],
        b"ab".repeat(200),
        [Random::new(14).bytes(300), vec![7; 900]].concat(),
        text(15, 60).repeat(500),
        vec![1; 40],
    ];
    for (n, content) in contents.into_iter().enumerate() {
        image.add(root, Entry::file(&format!("{n:02}"), content));
    }
    let (plain, packed) = (scratch.join("chunks.wim"), scratch.join("chunks.esd"));
    wim.save(&plain);
    wimlib.run(args!["export", &plain, "all", &packed, "--compress=LZMS", "--chunk-size=32768"]);
    let bytes = fs::read(&packed).expect("what wimlib wrote");
    let mut found = 0;
    for resource in Layout::of(&packed).resources {
        let range = usize::try_from(resource.range.start).expect("small")
            ..usize::try_from(resource.range.end).expect("small");
        if resource.metadata
            || !resource.compressed
            || range.len() as u64 >= resource.size
            || resource.size > 32768
        {
            continue;
        }
        let mut seed = vec![0];
        seed.extend(u16::try_from(resource.size).expect("at most a chunk").to_le_bytes());
        seed.extend(&bytes[range]);
        fs::write(directory.join(format!("wimlib-{found:02}")), seed).expect("a seed");
        found += 1;
    }
    assert!(found >= 12, "{found} chunks");
}

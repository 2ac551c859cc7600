//! What wimlib compresses, both decoders read.

#[path = "support/mod.rs"]
mod support;

use std::path::Path;

use support::{Pair, Random, same, wim_chunks};

/// Files that between them use all of a compressor: x86 code, text, noise, runs, and sizes around the chunk's.
fn corpus(directory: &Path) -> Vec<Vec<u8>> {
    let mut random = Random(11);
    let program = std::fs::read(std::env::current_exe().expect("this test")).expect("readable");
    let program = program[..program.len().min(1 << 20)].to_vec();
    let words: Vec<u8> = (0..50_000)
        .flat_map(|_| {
            let word = ["image ", "chunk ", "window ", "blob\r\n", "e8 ", "resource "][random.below(6)];
            word.bytes()
        })
        .collect();
    // Calls everywhere, with targets that repeat once they are absolute.
    let calls: Vec<u8> = (0..9_000_i32)
        .flat_map(|i| {
            let target = [0x1000, 0x7000, 0x0123_4567][random.below(3)] - i * 6;
            let bytes = target.to_le_bytes();
            [0xE8, bytes[0], bytes[1], bytes[2], bytes[3], 0x90]
        })
        .collect();
    let mut files = vec![program, words, calls, vec![0; 100_000], random.bytes(50_000)];
    for size in [1, 2, 9, 10, 11, 12, 300, 4095, 4096, 4097, 32767, 32768, 32769, 65536, 70000] {
        let mut file: Vec<u8> = (0..size).map(|_| b"abcdefgh"[random.below(8)]).collect();
        file[size - 1] = size as u8;
        files.push(file);
    }
    for (i, file) in files.iter().enumerate() {
        std::fs::write(directory.join(i.to_string()), file).expect("writable");
    }
    files
}

fn read_back(codec: &str, chunk_sizes: &[usize], levels: &[&str]) {
    let Some(wimlib) = testkit::tool("wimlib-imagex") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let files = directory.path().join("files");
    std::fs::create_dir(&files).expect("a directory");
    let files_content = corpus(&files);
    for chunk_size in chunk_sizes {
        for level in levels {
            let wim = directory.path().join("test.wim");
            let mut command = wimlib.command();
            command.arg("capture").arg(&files).arg(&wim);
            command.arg(format!("--compress={codec}:{level}")).arg(format!("--chunk-size={chunk_size}"));
            let output = command.output().expect("wimlib starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

            let chunks = wim_chunks::read(&std::fs::read(&wim).expect("a WIM"));
            std::fs::remove_file(&wim).expect("removable");
            assert_eq!(chunks.chunk_size, *chunk_size);
            let mut pair = match chunks.codec {
                wim_chunks::Codec::Lzx => Pair::lzx(*chunk_size),
                wim_chunks::Codec::Xpress => Pair::xpress(),
                other => panic!("{other:?} was not asked for"),
            };
            // Every chunk is a piece of one of the files. (The metadata's chunks are, too, but of no file here.)
            let mut known = std::collections::HashSet::new();
            for file in &files_content {
                known.extend(file.chunks(*chunk_size));
            }
            let mut found = 0;
            for (src, size) in &chunks.chunks {
                let bytes = pair.decode(src, *size).expect("wimlib's chunks are valid");
                found += usize::from(known.contains(&bytes[..]));
                same(&Ok(bytes), &pair.decode(src, *size));
            }
            assert!(
                found + 1 >= chunks.chunks.len() && found > 10,
                "{codec} {chunk_size}: {found} of {} chunks are the files'",
                chunks.chunks.len()
            );
        }
    }
}

#[test]
fn lzx() {
    read_back("LZX", &[1 << 15], &["20", "100"]);
    read_back("LZX", &[1 << 16, 1 << 18, 1 << 21], &["50"]);
}

#[test]
fn xpress() {
    read_back("XPRESS", &[1 << 12, 1 << 15, 1 << 16], &["20", "100"]);
}

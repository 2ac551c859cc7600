//! What the XPRESS encoder writes is what it was given: for both decoders, for a third that reads as MS-XCA says and
//! insists on everything that any decoder is known to insist on, for libwim, and for wimlib and 7-Zip in a WIM.

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use proptest::collection::vec;
use proptest::prelude::*;
use support::{Pair, Random, same};
use wimforge_codec::{Level, Token, Xpress, XpressEncoder};

const LEVELS: [Level; 2] = [Level::Fast, Level::Best];

/// An encoder of each level, with what its chunks are checked with.
struct Checked {
    encoders: [XpressEncoder; 2],
    pair: Pair,
}

impl Checked {
    fn new() -> Self {
        Self { encoders: LEVELS.map(XpressEncoder::new), pair: Pair::xpress() }
    }

    /// Encodes at both levels, and returns the sizes.
    #[track_caller]
    fn sizes(&mut self, chunk: &[u8]) -> [Option<usize>; 2] {
        [0, 1].map(|level| self.encode(level, chunk).map(|encoded| encoded.len()))
    }

    #[track_caller]
    fn encode(&mut self, level: usize, chunk: &[u8]) -> Option<Vec<u8>> {
        let encoder = &mut self.encoders[level];
        let mut out = vec![0xA5; chunk.len() + 8];
        let Some(size) = encoder.encode(chunk, &mut out) else {
            assert!(out.iter().all(|byte| *byte == 0xA5), "written although nothing came of it");
            return None;
        };
        assert!(size < chunk.len());
        assert!(out[size..].iter().all(|byte| *byte == 0xA5), "written behind the end");
        out.truncate(size);

        same(&self.pair.decode(&out, chunk.len()), &Ok(chunk.to_vec()));
        assert!(strict(&out, chunk.len()).expect("for the strict reader, too") == chunk);

        // What stays in the encoder does not matter; as much room as is needed suffices, and not a byte less.
        let mut fresh = XpressEncoder::new(LEVELS[level]);
        let mut again = vec![0xA5; size];
        assert_eq!(fresh.encode(chunk, &mut again[..size - 1]), None);
        assert!(again.iter().all(|byte| *byte == 0xA5));
        assert_eq!(fresh.encode(chunk, &mut again), Some(size));
        assert!(again == out, "the same chunk becomes the same");
        Some(out)
    }

    fn tokens(&mut self, level: usize, chunk: &[u8]) -> Vec<Token> {
        let encoded = self.encode(level, chunk).expect("it shrinks");
        let (mut tokens, mut text) = (Vec::new(), vec![0; chunk.len()]);
        Xpress::new().decode_with_tokens(&encoded, &mut text, &mut tokens).expect("valid");
        tokens
    }
}

/// Reads a chunk as MS-XCA 2.2.4 describes it, and refuses what any decoder may refuse: a code that is not complete, no
/// symbol 256 at the end, bits behind it that are not zero, bytes that nobody reads.
fn strict(src: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let lengths: Vec<u8> = src[..256].iter().flat_map(|pair| [pair & 15, pair >> 4]).collect();
    let space: u32 = lengths.iter().filter(|length| **length > 0).map(|length| 1 << (15 - length)).sum();
    if space != 1 << 15 {
        return Err(format!("space of {space:#x}"));
    }
    let code = support::huffman::codewords(&lengths);
    let mut by_codeword = std::collections::HashMap::new();
    by_codeword
        .extend(code.iter().enumerate().filter(|(_, word)| word.1 > 0).map(|(symbol, word)| (*word, symbol)));

    let unit = |at: usize| match src.get(at..at + 2) {
        Some(unit) => Ok(u32::from(u16::from_le_bytes([unit[0], unit[1]]))),
        None => Err(format!("no unit at {at}")),
    };
    // The specification's variables: 32 bits, of which the first `extra + 16` are valid, and where the next come from.
    let mut next_bits = unit(256)? << 16 | unit(258)?;
    let (mut extra, mut at) = (16_i32, 260);
    let mut out: Vec<u8> = Vec::new();
    let mut take = |next_bits: &mut u32, at: &mut usize, count: u32| -> Result<(), String> {
        *next_bits = if count == 0 { *next_bits } else { *next_bits << count };
        extra -= count as i32;
        if extra < 0 {
            *next_bits |= unit(*at)? << -extra;
            extra += 16;
            *at += 2;
        }
        Ok(())
    };
    loop {
        let found = (1..=15).find_map(|length| {
            let word = next_bits >> (32 - u32::from(length));
            by_codeword.get(&(word, length)).map(|symbol| (*symbol, length))
        });
        let (symbol, length) = found.ok_or("no codeword")?;
        take(&mut next_bits, &mut at, u32::from(length))?;
        if out.len() == size {
            if symbol != 256 {
                return Err(format!("ends with symbol {symbol}"));
            }
            if next_bits != 0 || at != src.len() {
                return Err(format!("ends with {next_bits:#x} at {at} of {}", src.len()));
            }
            return Ok(out);
        }
        if symbol < 256 {
            out.push(symbol as u8);
            continue;
        }
        let (mut length, log2) = ((symbol & 15) as u32, (symbol as u32 - 256) >> 4);
        if length == 15 {
            let byte = u32::from(*src.get(at).ok_or("no byte")?);
            at += 1;
            length += byte;
            if byte == 255 {
                length = unit(at)?;
                at += 2;
                if length < 15 + 255 {
                    return Err(format!("length {length} in three bytes"));
                }
            }
        }
        let offset = 1 << log2 | if log2 == 0 { 0 } else { next_bits >> (32 - log2) };
        take(&mut next_bits, &mut at, log2)?;
        let (length, offset) = (length as usize + 3, offset as usize);
        if offset > out.len() || length > size - out.len() {
            return Err(format!("match of {length}, {offset} back at {}", out.len()));
        }
        for _ in 0..length {
            out.push(out[out.len() - offset]);
        }
    }
}

/// The strict reader notices.
#[test]
fn strict_is_strict() {
    use support::huffman::Shape;
    use support::xpress::{Op, Style, encode};
    let ops: Vec<Op> = (0..300).map(|i| Op::Literal(i as u8 % 7)).collect();
    let style = Style { shape: Shape::Flat, end_of_data: true, long_lengths: false };
    let (good, text) = encode(&ops, style, 1);
    // The tests' encoder does not fill what is read ahead.
    let padded = [&good[..], &[0, 0]].concat();
    assert!([&good, &padded].iter().any(|src| strict(src, text.len()).as_ref() == Ok(&text)));
    let good = if strict(&good, text.len()).is_ok() { good } else { padded };
    assert!(strict(&good, text.len() - 1).is_err(), "not the end");
    assert!(strict(&[&good[..], &[0]].concat(), text.len()).is_err(), "a byte too much");
    assert!(strict(&good[..good.len() - 2], text.len()).is_err(), "a unit too few");
    let mut bits = good.clone();
    *bits.last_mut().unwrap() |= 1;
    assert!(strict(&bits, text.len()).is_err(), "bits behind the end");
    let (no_end, text) = encode(&ops, Style { end_of_data: false, ..style }, 1);
    for padding in 0..3 {
        assert!(strict(&[&no_end[..], &vec![0; padding * 2]].concat(), text.len()).is_err(), "no end");
    }
    let mut incomplete = good;
    incomplete[0] = 0;
    assert!(strict(&incomplete, text.len()).is_err());
}

fn words(random: &mut Random, size: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < size {
        let word = ["image ", "chunk ", "window ", "blob\r\n", "e8 ", "resource "][random.below(6)];
        text.extend(word.bytes());
        if random.below(4) == 0 {
            text.extend(random.bytes(3));
        }
    }
    text.truncate(size);
    text
}

/// Code of this machine, text, runs, noise.
fn corpus(size: usize) -> Vec<Vec<u8>> {
    let mut random = Random(21);
    let program = std::fs::read(std::env::current_exe().expect("this test")).expect("readable");
    let middle = program.len() / 2;
    let mut files = vec![program[..size].to_vec(), program[middle..middle + size].to_vec()];
    files.push(words(&mut random, size));
    files.push(vec![0; size]);
    files.push(random.bytes(size));
    // Runs of all lengths, of few values.
    let mut runs = Vec::new();
    while runs.len() < size {
        let length = 1 << random.below(11);
        runs.resize(runs.len() + 1 + random.below(length), random.below(5) as u8);
    }
    runs.truncate(size);
    files.push(runs);
    // Records whose fields count: many short matches at the same distance.
    files.push(
        (0..size as u32).map(|i| if i % 16 < 12 { ((i / 16) >> (i % 4 * 8)) as u8 } else { 0xCC }).collect(),
    );
    // Noise, some of it again, and text.
    let mut mixed = Vec::new();
    while mixed.len() < size {
        let noise_size = random.below(3000);
        let noise = random.bytes(noise_size);
        mixed.extend(&noise);
        mixed.extend(words(&mut random, 900));
        mixed.extend(&noise[noise.len() / 3..]);
    }
    mixed.truncate(size);
    files.push(mixed);
    files.push((0..size).map(|_| b"abcdefghijklmnop"[random.below(16)]).collect());
    files
}

#[test]
fn corpus_at_every_chunk_size() {
    let mut checked = Checked::new();
    for chunk_size in [4096, 8192, 16384, 32768, 65536] {
        let mut totals = [0; 2];
        for file in corpus(200_000) {
            for chunk in file.chunks(chunk_size) {
                let sizes = checked.sizes(chunk);
                for (total, size) in totals.iter_mut().zip(sizes) {
                    *total += size.unwrap_or(chunk.len());
                }
            }
        }
        assert!(totals[1] < totals[0], "{chunk_size}: best {} of fast {}", totals[1], totals[0]);
        assert!(totals[0] < 8 * 200_000 / 2);
    }
}

#[test]
fn every_size() {
    let mut checked = Checked::new();
    let mut random = Random(5);
    for size in (0..=600).chain(65_532..=65_536) {
        let runs = checked.sizes(&vec![7; size]);
        // 256 bytes of lengths, 32 bits with a literal, a match and the end, and a byte of the match's length.
        assert_eq!(runs.map(|size| size.is_some()), [size > 261; 2], "{size}: {runs:?}");
        let text = words(&mut random, size);
        checked.sizes(&text);
        checked.sizes(&(0..size).map(|_| random.below(2) as u8).collect::<Vec<_>>());
        assert_eq!(checked.sizes(&random.bytes(size)), [None, None], "noise of {size}");
    }
    assert_eq!(checked.sizes(&vec![0; 65_537]), [None, None], "too large");
}

/// Matches of every length around those where the form changes.
#[test]
fn every_length() {
    let mut checked = Checked::new();
    let mut random = Random(6);
    for length in (3..=40).chain(255..=290).chain([1000, 16_000, 65_000]).chain(65_520..=65_535) {
        let run = vec![9; (length + 1).max(266)];
        let tokens = checked.tokens(0, &run);
        assert_eq!(tokens, [Token { literals: 1, length: length.max(265) as u32, offset: 1 }]);
        // The best level may find that a literal is cheaper than what the next length takes.
        let sizes = checked.sizes(&run);
        assert!(sizes[1] <= sizes[0], "{length}: {sizes:?}");
        if length > 300 {
            continue;
        }
        // From farther away, among others.
        let source: Vec<u8> = (0..length).map(|_| 128 + random.below(128) as u8).collect();
        let filler: Vec<u8> = (0..2000).map(|_| random.below(8) as u8).collect();
        let chunk = [&source[..], &filler, &source, &[9]].concat();
        for level in 0..2 {
            let tokens = checked.tokens(level, &chunk);
            let offset = 2000 + length as u32;
            let lengths: Vec<u32> =
                tokens.iter().filter(|token| token.offset == offset).map(|token| token.length).collect();
            // Few bytes may be cheaper as literals; the best level may take more than 272 in two steps.
            let whole = lengths == [length as u32] || length < 5 || (level == 1 && length >= 273);
            let covered = lengths.iter().sum::<u32>() as usize;
            assert!(whole && (length < 5 || covered + 5 > length), "{length}: {lengths:?}");
        }
    }
}

/// A match from every distance around the powers of two, up to the largest.
#[test]
fn every_offset() {
    let mut checked = Checked::new();
    let mut random = Random(7);
    let offsets =
        (16..600).chain((10..16).flat_map(|log2| (1 << log2) - 3..(1 << log2) + 3)).chain([40_000, 65_520]);
    for offset in offsets {
        let tag: Vec<u8> = (0..16).map(|i| 200 + i).collect();
        let filler: Vec<u8> = (16..offset).map(|_| random.below(8) as u8).collect();
        let mut chunk = [&tag[..], &filler, &tag].concat();
        chunk.resize(chunk.len().max(2000), 1);
        for level in 0..2 {
            let tokens = checked.tokens(level, &chunk);
            assert!(
                tokens.iter().any(|token| token.length >= 16 && token.offset == offset as u32),
                "{offset}"
            );
        }
    }
    // All small ones.
    for offset in 1..16 {
        let chunk: Vec<u8> = (0..3000).map(|i| (i % offset) as u8).collect();
        for level in 0..2 {
            let tokens = checked.tokens(level, &chunk);
            assert_eq!(tokens, [Token { literals: offset, length: 3000 - offset, offset }]);
        }
    }
    // The largest: three bytes at the end are out of the parsers' sight, four are not.
    let mut chunk = vec![0; 65_536];
    chunk[..6].copy_from_slice(b"abcdef");
    chunk[65_530..].copy_from_slice(b"abcdef");
    for level in 0..2 {
        let tokens = checked.tokens(level, &chunk);
        assert!(tokens.iter().any(|token| token.offset == 65_530), "{tokens:?}");
    }
}

/// Literals as unevenly frequent as can be. (The cut at 15 bits has its own tests, where the codes are made.)
#[test]
fn deep_code() {
    let mut checked = Checked::new();
    let mut random = Random(8);
    let (mut chunk, mut a, mut b) = (Vec::new(), 1, 1);
    for symbol in 0..22 {
        chunk.resize(chunk.len() + a, symbol);
        (a, b) = (b, a + b);
    }
    for i in (1..chunk.len()).rev() {
        chunk.swap(i, random.below(i + 1));
    }
    for level in 0..2 {
        let encoded = checked.encode(level, &chunk).expect("it shrinks");
        let longest = encoded[..256].iter().map(|pair| (pair & 15).max(pair >> 4)).max();
        assert!(longest >= Some(12), "{longest:?}");
    }
}

#[derive(Clone, Debug)]
enum Piece {
    Noise(Vec<u8>),
    Few(Vec<u8>),
    Run(u8, usize),
    /// What is already there, from some place on.
    Again(u32, usize),
}

fn piece() -> impl Strategy<Value = Piece> {
    let length = || prop_oneof![6 => 1..40_usize, 2 => 1..400_usize, 1 => 1..70_000_usize];
    prop_oneof![
        1 => vec(any::<u8>(), 1..100).prop_map(Piece::Noise),
        3 => vec(0..8_u8, 1..300).prop_map(Piece::Few),
        2 => (any::<u8>(), length()).prop_map(|(byte, length)| Piece::Run(byte, length)),
        6 => (any::<u32>(), length()).prop_map(|(place, length)| Piece::Again(place, length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn round_trip(pieces in vec(piece(), 1..200), size in prop_oneof![1..=65_536_usize, Just(4096), Just(65_536)]) {
        let mut chunk: Vec<u8> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Noise(bytes) | Piece::Few(bytes) => chunk.extend(bytes),
                Piece::Run(byte, length) => chunk.resize(chunk.len() + length, byte),
                Piece::Again(_, _) if chunk.is_empty() => {}
                Piece::Again(place, length) => {
                    let offset = 1 + place as usize % chunk.len().min(65_535);
                    for _ in 0..length {
                        chunk.push(chunk[chunk.len() - offset]);
                    }
                }
            }
        }
        chunk.truncate(size);
        Checked::new().sizes(&chunk);
    }
}

/// libwim decodes our chunks: `benches/codec-peer` does, and returns a hash.
#[test]
fn libwim_reads_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/codec-peer/main.c");
    let Some(cc) = testkit::tool("cc") else { return };
    let check = cc.command().arg("-fsyntax-only").arg(&source).output().expect("cc starts");
    if !check.status.success() {
        testkit::skip("needs libwim's header (apt install libwim-dev)");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("codec-peer");
    let built = cc
        .command()
        .arg("-O2")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .arg("-lwim")
        .output()
        .expect("cc starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let mut checked = Checked::new();
    let peer = |chunk_size: usize, chunks: &[(Vec<u8>, usize)]| {
        let path = directory.path().join("chunks");
        let mut data = Vec::new();
        for word in [1, chunk_size, chunks.len()] {
            data.extend((word as u32).to_le_bytes());
        }
        for (src, size) in chunks {
            data.extend((src.len() as u32).to_le_bytes());
            data.extend((*size as u32).to_le_bytes());
            data.extend(src);
        }
        std::fs::write(&path, data).expect("writable");
        let mut command = std::process::Command::new(&program);
        command.arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        // A peer that refuses a chunk may have ended by now, which its output shows.
        let _ = child.stdin.take().expect("piped").write_all(b"\n");
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().nth(1).and_then(|line| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok())
    };
    for level in 0..2 {
        for chunk_size in [4096, 8192, 16384, 32768, 65536] {
            let (mut chunks, mut hash) = (Vec::new(), 0xcbf2_9ce4_8422_2325_u64);
            for file in corpus(150_000) {
                for chunk in file.chunks(chunk_size) {
                    let Some(encoded) = checked.encode(level, chunk) else { continue };
                    chunks.push((encoded, chunk.len()));
                    for byte in chunk {
                        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
                    }
                }
            }
            assert!(chunks.len() > 14);
            assert_eq!(peer(chunk_size, &chunks), Some(hash), "{chunk_size}");
            // It would be noticed.
            chunks[3].0[270] ^= 4;
            assert_ne!(peer(chunk_size, &chunks), Some(hash));
        }
    }
}

/// A WIM with our chunks in it, for those who read WIMs.
#[test]
fn wimlib_and_7zip_read_a_wim() {
    let wimlib = testkit::tool("wimlib-imagex");
    let seven_zip = testkit::tool("7zz");
    let directory = tempfile::tempdir().expect("a directory");
    let mut wim = testkit::wimfile::WimFile::new();
    let image = wim.image("xpress");
    let root = image.root();
    for (i, file) in corpus(150_000).into_iter().enumerate() {
        image.add(root, testkit::wimfile::Entry::file(&format!("file {i}"), file));
    }
    for size in [1, 4095, 4096, 4097, 32768, 65537] {
        image.add(
            root,
            testkit::wimfile::Entry::file(&format!("text {size}"), words(&mut Random(size as u64), size)),
        );
    }
    let plain = wim.to_bytes();
    for level in LEVELS {
        for chunk_size in [4096, 8192, 16384, 32768, 65536] {
            let path = directory.path().join("x.wim");
            let packed = pack(&plain, chunk_size, &mut XpressEncoder::new(level));
            assert!(packed.len() < plain.len() * 3 / 4, "{} of {}", packed.len(), plain.len());
            let passes = |bytes: &[u8]| {
                std::fs::write(&path, bytes).expect("writable");
                let run = |tool: &testkit::Tool, verb: &str| {
                    tool.command().arg(verb).arg(&path).output().expect("it starts").status.success()
                };
                (
                    wimlib.as_ref().map(|tool| run(tool, "verify")),
                    seven_zip.as_ref().map(|tool| run(tool, "t")),
                )
            };
            let (by_wimlib, by_7zip) = passes(&packed);
            assert_ne!(by_wimlib, Some(false), "wimlib, {level:?}, {chunk_size}");
            assert_ne!(by_7zip, Some(false), "7-Zip, {level:?}, {chunk_size}");
            // Somewhere in the middle of the first file.
            let mut damaged = packed;
            damaged[20_000] ^= 0x10;
            let (by_wimlib, by_7zip) = passes(&damaged);
            assert_ne!(by_wimlib, Some(true));
            assert_ne!(by_7zip, Some(true));
        }
    }
}

/// Compresses all resources of a WIM that has none compressed, but for the blob table and the XML.
fn pack(plain: &[u8], chunk_size: usize, encoder: &mut XpressEncoder) -> Vec<u8> {
    let u64_at = |at: usize| u64::from_le_bytes(plain[at..at + 8].try_into().expect("eight bytes"));
    let resource = |at: usize| {
        let (start, size) = (u64_at(at + 8) as usize, u64_at(at + 16) as usize);
        (start..start + size, plain[at + 7])
    };
    let header = |place: usize, stored: usize, size: usize, flags: u8| {
        let first = stored as u64 | u64::from(flags) << 56;
        [first, place as u64, size as u64].map(u64::to_le_bytes).concat()
    };
    const COMPRESSED: u8 = 4;
    let (table_range, table_flags) = resource(0x30);
    let (xml_range, xml_flags) = resource(0x48);
    let mut out = plain[..208].to_vec();
    let mut table = plain[table_range.clone()].to_vec();
    for (i, entry) in table.chunks_mut(50).enumerate() {
        let (range, flags) = resource(table_range.start + 50 * i);
        let content = &plain[range];
        // Where each chunk but the first begins, counted from the first; then the chunks.
        let (mut starts, mut data) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; chunk_size];
        for chunk in content.chunks(chunk_size) {
            starts.extend((data.len() as u32).to_le_bytes());
            match encoder.encode(chunk, &mut buffer) {
                Some(size) => data.extend(&buffer[..size]),
                None => data.extend(chunk),
            }
        }
        let packed = [&starts[4..], &data].concat();
        let (stored, flags) =
            if packed.len() < content.len() { (&packed[..], flags | COMPRESSED) } else { (content, flags) };
        entry[..24].copy_from_slice(&header(out.len(), stored.len(), content.len(), flags));
        out.extend(stored);
    }
    let place = out.len();
    out.extend(&table);
    out[0x30..0x48].copy_from_slice(&header(place, table.len(), table.len(), table_flags));
    let place = out.len();
    out.extend(&plain[xml_range.clone()]);
    out[0x48..0x60].copy_from_slice(&header(place, xml_range.len(), xml_range.len(), xml_flags));
    out[0x10..0x14].copy_from_slice(&0x2_0002_u32.to_le_bytes());
    out[0x14..0x18].copy_from_slice(&(chunk_size as u32).to_le_bytes());
    out
}

//! LZMS: what the test encoder and wimlib write, both decoders read; what nobody should write, both refuse.

#[path = "support/lzms_encoder.rs"]
mod lzms_encoder;
#[path = "support/mod.rs"]
mod support;

use lzms_encoder::{Encoder, Item, Source, apply_x86, compress, length_slots, offset_slots};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Random, same, wim_chunks};
use wimforge_codec::{Error, Lzms, reference};

const GUARD: usize = 64;

struct Pair(Lzms, reference::Lzms);

impl Pair {
    fn new() -> Self {
        Self(Lzms::new(), reference::Lzms::new())
    }

    /// Decodes with both decoders, which must agree and stay inside their buffers.
    #[track_caller]
    fn decode(&mut self, src: &[u8], size: usize) -> Result<Vec<u8>, Error> {
        // An allocation of its own, so that tools notice what is read behind it.
        let src = Box::<[u8]>::from(src);
        let fast = guarded(size, |dst| self.0.decode(&src, dst));
        let plain = guarded(size, |dst| self.1.decode(&src, dst));
        same(&fast, &plain);
        plain
    }

    /// What the encoder was told must come out.
    #[track_caller]
    fn follows(&mut self, encoder: Encoder) -> Vec<u8> {
        assert!(!encoder.invalid && encoder.room() == 0);
        let expected = encoder.output.clone();
        let src = encoder.finish();
        let mut bytes = self.decode(&src, expected.len()).expect("a valid chunk");
        apply_x86(&mut bytes);
        same(&Ok(bytes), &Ok(expected));
        src
    }
}

#[track_caller]
fn guarded(size: usize, decode: impl FnOnce(&mut [u8]) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let mut buffer = vec![0xA5; size + 2 * GUARD];
    let result = decode(&mut buffer[GUARD..GUARD + size]);
    assert!(buffer[..GUARD].iter().all(|byte| *byte == 0xA5), "written before the buffer");
    assert!(buffer[GUARD + size..].iter().all(|byte| *byte == 0xA5), "written behind the buffer");
    result.map(|()| buffer[GUARD..GUARD + size].to_vec())
}

const fn lz(offset: u32, length: u32) -> Item {
    Item::Lz { source: Source::Explicit(offset), length }
}

const fn delta(power: u32, offset: u32, length: u32) -> Item {
    Item::Delta { source: Source::Explicit((power, offset)), length }
}

/// A chunk of these items; the size is theirs.
fn written(items: &[Item]) -> Encoder {
    let size = items.iter().map(|item| match item {
        Item::Literal(_) => 1,
        Item::Lz { length, .. } | Item::Delta { length, .. } => *length as usize,
    });
    let mut encoder = Encoder::new(size.sum());
    items.iter().for_each(|item| encoder.item(*item));
    encoder
}

fn literals(bytes: &[u8]) -> Vec<Item> {
    bytes.iter().map(|byte| Item::Literal(*byte)).collect()
}

/// A wish for an item; numbers are shares of what is possible.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Literal(u8),
    Lz(u32, u32),
    LzRepeat(usize, u32),
    Delta(u32, u32, u32),
    DeltaRepeat(usize, u32),
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 1..=12_u32, 2 => 1..=70_u32, 1 => 1..=3000_u32]
}

fn wish() -> impl Strategy<Value = Wish> {
    let byte = prop_oneof![
        Just(0xE8),
        Just(0x48),
        Just(0x8D),
        Just(0x05),
        Just(0xFF),
        Just(0x15),
        0..4_u8,
        any::<u8>()
    ];
    prop_oneof![
        6 => byte.prop_map(Wish::Literal),
        4 => (any::<u32>(), length()).prop_map(|(share, length)| Wish::Lz(share, length)),
        3 => (0..3_usize, length()).prop_map(|(index, length)| Wish::LzRepeat(index, length)),
        2 => (0..8_u32, any::<u32>(), length()).prop_map(|(power, share, length)| Wish::Delta(power, share, length)),
        2 => (0..3_usize, length()).prop_map(|(index, length)| Wish::DeltaRepeat(index, length)),
    ]
}

/// Repeats the wishes until the chunk is full.
fn fulfil(encoder: &mut Encoder, wishes: &[Wish]) {
    for round in 0_u32.. {
        for wish in wishes {
            let (at, room) = (encoder.output.len(), encoder.room() as u32);
            if room == 0 {
                return;
            }
            let scaled = |share: u32, limit: usize| {
                let bits = share % (limit.ilog2() + 1);
                (1 + share.rotate_left(round) % (2 << bits)).min(limit as u32)
            };
            let item = match *wish {
                Wish::Literal(byte) => Item::Literal(byte.wrapping_add(round as u8 / 16)),
                Wish::Lz(share, length) if at > 0 => lz(scaled(share, at), length.min(room)),
                Wish::LzRepeat(index, length) => {
                    Item::Lz { source: Source::Repeat(index), length: length.min(room) }
                }
                Wish::Delta(power, share, length) if at >= 2 << power => {
                    delta(power, scaled(share, (at >> power) - 1), length.min(room))
                }
                Wish::DeltaRepeat(index, length) => {
                    Item::Delta { source: Source::Repeat(index), length: length.min(room) }
                }
                _ => Item::Literal(7),
            };
            encoder.item(if encoder.fits(item) { item } else { Item::Literal(at as u8) });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_items(wishes in vec(wish(), 1..300), size in prop_oneof![1..60_usize, 1..3000_usize, 1..60_000_usize]) {
        let mut encoder = Encoder::new(size);
        fulfil(&mut encoder, &wishes);
        Pair::new().follows(encoder);
    }

    #[test]
    fn any_data(data in vec(prop_oneof![0..3_u8, Just(0xE8), any::<u8>()], 1..3000)) {
        let src = compress(&data);
        same(&Pair::new().decode(&src, data.len()), &Ok(data));
    }

    /// After damage anywhere both say the same.
    #[test]
    fn any_damage(wishes in vec(wish(), 1..200), size in 1..20_000_usize, damage in vec((any::<u32>(), any::<u8>()), 1..4)) {
        let mut encoder = Encoder::new(size);
        fulfil(&mut encoder, &wishes);
        let mut src = encoder.finish();
        for (place, byte) in damage {
            let at = place as usize % src.len();
            src[at] = byte;
        }
        let _ = Pair::new().decode(&src, size);
    }

    #[test]
    fn any_bytes(src in vec(any::<u8>(), 0..200), size in prop_oneof![0..40_usize, 0..3000_usize]) {
        let _ = Pair::new().decode(&src, size);
    }
}

#[test]
fn one_decoder_for_all_chunks() {
    let mut pair = Pair::new();
    let mut random = Random(5);
    let wishes = [
        Wish::Literal(0xE8),
        Wish::Lz(12_345, 9),
        Wish::Literal(5),
        Wish::Delta(2, 77, 30),
        Wish::LzRepeat(1, 5),
        Wish::Literal(9),
        Wish::DeltaRepeat(0, 4),
        Wish::LzRepeat(2, 3),
    ];
    for _ in 0..200 {
        let mut encoder = Encoder::new(1 + random.below(5000));
        fulfil(&mut encoder, &wishes[..1 + random.below(wishes.len())]);
        let src = pair.follows(encoder);
        // A chunk that fails half-way leaves nothing behind either.
        let _ = pair.decode(&src[..src.len() / 4 * 2], 5001);
    }
}

/// Every length that begins or ends a slot, of LZ and delta matches, with every distance between source and copy that
/// copying treats in its own way.
#[test]
fn every_length_slot() {
    let mut pair = Pair::new();
    for (i, (first, bits)) in length_slots().into_iter().enumerate() {
        let last = first + ((1 << bits.min(17)) - 1);
        for length in [first, (first + last) / 2, last] {
            for (offset, power) in [(1, 0), (2, 1), (7, 2), (8, 3), (15, 4), (16, 5), (40, 6), (1000, 7)] {
                if length > 3000 && !(offset + i as u32).is_multiple_of(3) {
                    continue;
                }
                let items: Vec<_> = (0..1300).map(|i| Item::Literal((i * i / 7) as u8)).collect();
                let items = [
                    &items[..],
                    &[lz(offset, length), Item::Literal(1), delta(power, 1 + offset / 128, length)],
                ];
                pair.follows(written(&items.concat()));
                let tail =
                    [&items.concat()[..], &literals(b"some more, so that this is not the end of the chunk")];
                pair.follows(written(&tail.concat()));
            }
        }
    }
}

/// Every offset that begins or ends a slot, up to chunks of 2 MiB; then the last slot, which begins beyond 100 MB.
#[test]
fn every_offset_slot() {
    let mut pair = Pair::new();
    let size = 1 << 21;
    let mut encoder = Encoder::new(size);
    for i in 0..5000_u32 {
        encoder.item(Item::Literal(((i * i) >> 5) as u8));
    }
    encoder.item(lz(4999, 1_000_000));
    encoder.item(delta(0, 4998, 800_000));
    for (i, (first, bits)) in offset_slots().into_iter().enumerate() {
        let last = u64::from(first) + (1 << bits) - 1;
        let reachable = encoder.output.len() as u64 - 200;
        for offset in [u64::from(first), last].into_iter().filter(|offset| *offset < reachable) {
            encoder.item(lz(offset as u32, 5));
            let power = i as u32 % 8;
            encoder.item(delta(power, (offset >> power).max(1) as u32, 4));
            encoder.item(delta(0, offset as u32, 3));
        }
    }
    while encoder.room() > 0 {
        encoder.item(lz(77, encoder.room().min(1000) as u32));
    }
    pair.follows(encoder);

    let (first, _) = *offset_slots().last().expect("slots");
    let size = first as usize + 300_000;
    let mut encoder = Encoder::new(size);
    literals(b"the beginning").into_iter().for_each(|item| encoder.item(item));
    encoder.item(lz(13, first + 200_000));
    encoder.item(lz(first, 5));
    encoder.item(lz(first + 123_456, 7));
    encoder.item(delta(7, first >> 7, 9));
    encoder.item(delta(0, first + 99, 9));
    encoder.item(lz(1, encoder.room() as u32));
    let expected = encoder.output.clone();
    let src = encoder.finish();
    let mut found = vec![0; size];
    Lzms::new().decode(&src, &mut found).expect("a valid chunk");
    assert!(found == expected, "no byte of it is an instruction's");
}

#[test]
fn every_power_and_repeat() {
    let mut pair = Pair::new();
    for power in 0..8 {
        for length in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 127, 128, 129, 1000] {
            for offset in [1, 2, 3, 5, 17] {
                let mut items: Vec<_> = (0..5000_u32).map(|i| Item::Literal(((i * i) >> 7) as u8)).collect();
                items.push(delta(power, offset, length));
                for index in 0..3 {
                    let source = Source::Repeat(index);
                    items.extend([Item::Delta { source, length }, Item::Delta { source, length: 3 }]);
                    items.extend([lz(9, 3), Item::Delta { source, length: 2 }, Item::Literal(3)]);
                    items.push(Item::Delta { source: Source::Repeat(2 - index), length });
                }
                pair.follows(written(&items));
            }
        }
    }
}

/// The queues by hand: what a repeat means depends on whether the item before was of the same kind.
#[test]
fn repeats_come_late() {
    let again = |index| Item::Lz { source: Source::Repeat(index), length: 1 };
    let text = b"abcdefgh";
    let expect = |items: &[Item], expected: &[u8]| {
        let encoder = written(&[&literals(text), items].concat());
        assert_eq!(String::from_utf8_lossy(&encoder.output[8..]), String::from_utf8_lossy(expected));
        Pair::new().follows(encoder);
    };
    // At the beginning 1, 2, 3 are there.
    expect(&[again(0)], b"h");
    expect(&[again(1)], b"g");
    expect(&[again(2)], b"f");
    // Directly after offset 8 the latest is still 1; one literal later it is 8.
    expect(&[lz(8, 1), again(0)], b"aa");
    expect(&[lz(8, 1), Item::Literal(b'-'), again(0)], b"a-c");
    // What was used is gone until it comes back in front: 2, then 1, then (with 2 in front) 2.
    expect(&[again(1), again(0), again(0)], b"ggg");
    // A match of the other kind lets the source in, too.
    expect(&[lz(8, 1), delta(0, 2, 1), again(0)], b"abc");
    // The fourth: directly after an explicit match, repeat 2 is the third of before.
    expect(&[lz(8, 1), again(2)], b"ag");
    expect(&[again(2), again(2), again(2)], b"fff");
}

#[test]
fn repeat_with_nothing_before() {
    let mut pair = Pair::new();
    for index in 0..3 {
        for lz in [true, false] {
            let item = if lz {
                Item::Lz { source: Source::Repeat(index), length: 1 }
            } else {
                Item::Delta { source: Source::Repeat(index), length: 1 }
            };
            // How much must be there before the initial source can be used: offset, and span for a delta.
            let enough = index + if lz { 1 } else { 2 };
            for before in 0..6 {
                let mut encoder = Encoder::new(before + 1);
                literals(&b"abcdef"[..before]).into_iter().for_each(|item| encoder.item(item));
                encoder.item(item);
                assert_eq!(encoder.invalid, before < enough);
                if before >= enough {
                    pair.follows(encoder);
                } else {
                    let found = pair.decode(&encoder.finish(), before + 1);
                    assert_eq!(found, Err(Error::MatchOffset { at: before, offset: enough }));
                }
            }
        }
    }
}

#[test]
fn smallest_chunks() {
    let mut pair = Pair::new();
    for size in 1..=40 {
        for seed in 0..20 {
            let mut random = Random(seed);
            let data: Vec<u8> = (0..size).map(|_| random.below(3) as u8).collect();
            let src = compress(&data);
            same(&pair.decode(&src, size), &Ok(data));
        }
    }
    // In a chunk of two bytes the only offset is 1.
    pair.follows(written(&[Item::Literal(5), lz(1, 1)]));
    same(&pair.decode(&[], 0), &Ok(Vec::new()));
    // The offset code of such a chunk has a second symbol nevertheless, which fits nothing.
    let found = pair.decode(&written(&[Item::Literal(5), lz(2, 1)]).finish(), 2);
    assert_eq!(found, Err(Error::MatchOffset { at: 1, offset: 2 }));
}

#[test]
fn refused() {
    let mut pair = Pair::new();
    let good = written(&literals(b"0123456789")).finish();
    for length in [0, 1, 2, 3, 5, good.len() - 1] {
        assert_eq!(pair.decode(&good[..length], 10), Err(Error::InputSize { size: length }));
    }
    let found = pair.decode(&written(&[Item::Literal(1), lz(2, 3), Item::Literal(0)]).finish(), 5);
    assert_eq!(found, Err(Error::MatchOffset { at: 1, offset: 2 }));
    let mut long = Encoder::new(100);
    [Item::Literal(1), lz(1, 100)].into_iter().for_each(|item| long.item(item));
    assert_eq!(pair.decode(&long.finish(), 100), Err(Error::MatchLength { at: 1, length: 100 }));
    let mut long = Encoder::new(100);
    [Item::Literal(1), Item::Literal(1), delta(0, 1, 1 << 30)].into_iter().for_each(|item| long.item(item));
    assert_eq!(pair.decode(&long.finish(), 100), Err(Error::MatchLength { at: 2, length: 1 << 30 }));
    // Sums and shifts that leave 32 bits. Only the largest chunks have codes that can say so.
    let size = 120_000_000;
    let mut far = Encoder::new(size);
    far.item(Item::Literal(1));
    far.item(delta(7, 1 << 30, 1));
    let found = Lzms::new().decode(&far.finish(), &mut vec![0; size]);
    let reach = (1_usize << 37) + (1 << 7);
    assert_eq!(found, Err(Error::MatchOffset { at: 1, offset: reach }));
    let mut far = Encoder::new(size);
    far.item(Item::Literal(1));
    // (2^25 << 7) is 2^32, which is 0 to who does not look.
    far.item(delta(7, 1 << 25, 1));
    let found = Lzms::new().decode(&far.finish(), &mut vec![0; size]);
    assert_eq!(found, Err(Error::MatchOffset { at: 1, offset: (1 << 32) + (1 << 7) }));
}

/// The streams may touch, but no unit may serve both.
#[test]
fn streams_do_not_cross() {
    let mut pair = Pair::new();
    let mut random = Random(3);
    let data: Vec<u8> = (0..500).map(|_| random.below(50) as u8).collect();
    let src = compress(&data);
    for unit in (0..src.len()).step_by(2) {
        let mut shorter = src.clone();
        shorter.drain(unit..unit + 2);
        assert!(pair.decode(&shorter, data.len()).is_err(), "without the unit at {unit}");
    }
    let mut encoder = Encoder::new(data.len());
    lzms_encoder::parse(&mut encoder, &data);
    for gap in 0..10 {
        same(&pair.decode(&encoder.clone().finish_with_gap(gap), data.len()), &Ok(data.clone()));
    }
}

/// Small chunks that between them contain everything.
fn small_chunks() -> Vec<(Vec<u8>, usize)> {
    let mut random = Random(1);
    let text: Vec<u8> =
        (0..150).map(|i| if i % 3 == 0 { (i / 3) as u8 } else { random.below(4) as u8 }).collect();
    let calls: Vec<u8> = (0..30_i32)
        .flat_map(|i| [&[0xE8][..], &(500 - 7 * i).to_le_bytes(), &[0x48, 0x8B][..]].concat())
        .collect();
    let wishes = [
        Wish::Literal(3),
        Wish::Literal(4),
        Wish::Lz(9_999, 5),
        Wish::Delta(1, 5, 8),
        Wish::LzRepeat(0, 4),
        Wish::LzRepeat(1, 4),
        Wish::DeltaRepeat(1, 6),
        Wish::Literal(200),
        Wish::DeltaRepeat(2, 3),
    ];
    let mut mixed = Encoder::new(400);
    fulfil(&mut mixed, &wishes);
    vec![(compress(&text), text.len()), (compress(&calls), calls.len()), (mixed.finish(), 400)]
}

#[test]
fn damage_everywhere() {
    let mut pair = Pair::new();
    let mut refused = 0;
    for (src, size) in small_chunks() {
        pair.decode(&src, size).expect("a valid chunk");
        for length in 0..src.len() {
            // The front alone can decode to something, as decisions do not depend on what they decide about.
            refused += usize::from(pair.decode(&src[..length], size).is_err());
            refused += usize::from(pair.decode(&src[length..], size).is_err());
        }
        let mut damaged = src.clone();
        for at in 0..src.len() {
            for byte in 0..=255 {
                if byte != src[at] {
                    damaged[at] = byte;
                    refused += usize::from(pair.decode(&damaged, size).is_err());
                }
            }
            damaged[at] = src[at];
        }
        for wrong in [size - 1, size + 1, 2 * size, 1] {
            // The data does not say its size: a last literal more or less can go unnoticed.
            refused += usize::from(pair.decode(&src, wrong).is_err());
        }
    }
    assert!(refused > 20_000, "damage is mostly noticed: {refused}");
}

/// Chunks at the edges of the filter: sizes around the smallest that it touches, instructions around the last that it
/// looks at.
#[test]
fn filter_edges() {
    let mut pair = Pair::new();
    let opcodes: [&[u8]; 8] = [
        &[0xE8],
        &[0xE9],
        &[0x48, 0x8B, 0x0D],
        &[0x48, 0x8D, 0xFD],
        &[0x4C, 0x8D, 0x05],
        &[0x4C, 0x8B, 0x05],
        &[0xF0, 0x83, 0x05],
        &[0xFF, 0x15],
    ];
    let mut changed = 0;
    for opcode in opcodes {
        for size in 14..90 {
            for first in 0..3 {
                for distance in [opcode.len() + 4, opcode.len() + 5, 24] {
                    let mut data = vec![0x11; size];
                    for at in (first..size).step_by(distance) {
                        let target = 1000 - at as u32;
                        for (to, from) in
                            data[at..].iter_mut().zip(opcode.iter().chain(&target.to_le_bytes()))
                        {
                            *to = *from;
                        }
                    }
                    let mut filtered = data.clone();
                    apply_x86(&mut filtered);
                    assert!(size > 17 || filtered == data);
                    changed += usize::from(filtered != data);
                    same(&pair.decode(&compress(&data), size), &Ok(data));
                }
            }
        }
    }
    assert!(changed > 500, "{changed}");
}

/// Files that between them use all of a compressor: x86 code, text, samples, noise, runs.
fn corpus() -> Vec<Vec<u8>> {
    let mut random = Random(11);
    let program = std::fs::read(std::env::current_exe().expect("this test")).expect("readable");
    let program = program[..program.len().min(3 << 20)].to_vec();
    let text = (0..80_000)
        .flat_map(|_| ["image ", "chunk ", "window ", "blob\r\n", "resource "][random.below(5)].bytes());
    let text = text.collect();
    let calls = (0..20_000_i32).flat_map(|i| {
        let operand = ([0x1000, 0x7000, 0x0123_4567][random.below(3)] - i * 6).to_le_bytes();
        [0xE8, operand[0], operand[1], operand[2], operand[3], 0x90]
    });
    let calls = calls.collect();
    // Ramps of all widths, which delta matches are for.
    let mut ramps = Vec::new();
    for i in 0..40_000_u32 {
        ramps.extend((i * 12 + 1000).to_le_bytes());
        if i % 3 == 0 {
            ramps.extend((i as u16).wrapping_mul(7).to_le_bytes().repeat(2));
        }
    }
    let mut files = vec![program, text, calls, ramps, vec![0; 400_000], random.bytes(40_000)];
    for size in [1, 2, 3, 5, 16, 17, 18, 19, 300, 32767, 32768, 32769, 131_071, 131_072, 131_073] {
        files.push((0..size).map(|i| b"abcdefgh"[random.below(8)] ^ (i == size - 1) as u8).collect());
    }
    files
}

#[test]
fn wimlib_chunks() {
    let Some(wimlib) = testkit::tool("wimlib-imagex") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let files = directory.path().join("files");
    std::fs::create_dir(&files).expect("a directory");
    let contents = corpus();
    for (i, file) in contents.iter().enumerate() {
        std::fs::write(files.join(i.to_string()), file).expect("writable");
    }
    let mut pair = Pair::new();
    for (chunk_size, how) in [
        (1 << 15, &["--compress=LZMS:20", "--chunk-size=32K"][..]),
        (1 << 17, &["--compress=LZMS:50", "--chunk-size=128K"]),
        (1 << 20, &["--compress=LZMS:100", "--chunk-size=1M"]),
        (1 << 17, &["--solid", "--solid-chunk-size=128K"]),
        (1 << 26, &["--solid", "--solid-chunk-size=64M"]),
    ] {
        let wim = directory.path().join("test.wim");
        let output =
            wimlib.command().arg("capture").arg(&files).arg(&wim).args(how).output().expect("wimlib starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let chunks = wim_chunks::read(&std::fs::read(&wim).expect("a WIM"));
        std::fs::remove_file(&wim).expect("removable");
        assert_eq!((chunks.codec, chunks.chunk_size), (wim_chunks::Codec::Lzms, chunk_size));
        let decoded: Vec<Vec<u8>> = chunks
            .chunks
            .iter()
            .map(|(src, size)| pair.decode(src, *size).expect("wimlib's chunks are valid"))
            .collect();
        if how[0] == "--solid" {
            // All files one after the other, in some order.
            let all = decoded.concat();
            for file in &contents {
                let found = all.windows(file.len()).any(|window| window == file);
                assert!(found, "{how:?}: a file of {} bytes is missing", file.len());
            }
        } else {
            // Every chunk is a piece of a file, but for the metadata.
            let known: std::collections::HashSet<_> =
                contents.iter().flat_map(|file| file.chunks(chunk_size)).collect();
            let found = decoded.iter().filter(|chunk| known.contains(&chunk[..])).count();
            assert!(found + 1 >= decoded.len() && found > 10, "{how:?}: {found} of {}", decoded.len());
        }
    }
}

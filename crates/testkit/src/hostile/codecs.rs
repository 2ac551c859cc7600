//! Classes 6, 7 and 8: chunks that are not what they should be, each in a WIM of one file with one chunk.

use super::Answer::{Damaged, Recovered};
use super::chunks::chunked;
use super::encoders::huffman::Shape;
use super::encoders::lzms::{self, Item, Source};
use super::encoders::lzx::{self, BitWriter, Block, Offset};
use super::encoders::xpress;
use super::{Answer, Fixture, NOBODY, one};
use sha1::{Digest, Sha1};

const LZX_32K: [u32; 2] = [0x4_0002, 0x8000];
const XPRESS_32K: [u32; 2] = [0x2_0002, 0x8000];
const LZMS_32K: [u32; 2] = [0x8_0002, 0x8000];

/// A chunk that is refused, for `words_of`, or whose content (after whatever a filter does) has the SHA-1 that the
/// blob table says.
struct Class {
    number: usize,
    codec: [u32; 2],
    list: Vec<Fixture>,
}

impl Class {
    fn refused(
        &mut self,
        name: &'static str,
        chunk: &[u8],
        size: usize,
        wrong: &'static str,
        naive: &'static str,
        says: &'static str,
    ) {
        self.add(name, chunk, size, NOBODY, wrong, naive, Damaged(says));
    }

    fn valid(
        &mut self,
        name: &'static str,
        (chunk, content): (Vec<u8>, Vec<u8>),
        wrong: &'static str,
        naive: &'static str,
    ) {
        self.add(name, &chunk, content.len(), Sha1::digest(&content).into(), wrong, naive, Recovered(""));
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a table")]
    fn add(
        &mut self,
        name: &'static str,
        chunk: &[u8],
        size: usize,
        sha1: [u8; 20],
        wrong: &'static str,
        naive: &'static str,
        answer: Answer,
    ) {
        // As long as its content it would be taken for one that is not compressed.
        assert!(chunk.len() < size, "{name}: {} of {size}", chunk.len());
        let bytes = chunked(self.codec, sha1, chunk, size as u64);
        self.list.push(one(self.number, name, bytes, wrong, naive, answer));
    }
}

fn verbatim_header(size: u32) -> BitWriter {
    let mut bits = BitWriter::default();
    bits.put(1, 3);
    bits.put(0, 1);
    bits.put(size, 16);
    bits
}

/// Twenty lengths of a pretree.
fn pretree(bits: &mut BitWriter, length: impl Fn(u32) -> u32) {
    (0..20).for_each(|symbol| bits.put(length(symbol), 4));
}

/// A block whose main code is `symbols` (a power of two of them), and whose length code is empty.
fn block_with(symbols: &[usize], size: u32) -> BitWriter {
    let mut bits = verbatim_header(size);
    let length = symbols.len().ilog2();
    for range in [0..256, 256..496, 1000..1249] {
        let change = 17 - length;
        pretree(&mut bits, |symbol| u32::from(symbol == 0 || symbol == change));
        range.for_each(|symbol| bits.put(u32::from(symbols.contains(&symbol)), 1));
    }
    bits
}

/// The bytes with which afl found an out-of-bounds write in libwim (fixed in 1.8.1, 2015).
const RUN_OF_RUNS: [u8; 16] = [0x1f, 0x20, 0, 0x42, 0, 0, 0x33, 0x03, 0x45, 0x43, 0x45, 0, 0x20, 0, 0, 0x0e];

pub(super) fn lzx() -> Vec<Fixture> {
    let mut class = Class { number: 6, codec: LZX_32K, list: Vec::new() };
    class.refused(
        "run-of-runs",
        &RUN_OF_RUNS,
        32768,
        "the 16 bytes with which afl found an out-of-bounds write in wimlib 1.2.2 to 1.8.0: in a run of codeword \
         lengths, the length to be repeated is itself a run",
        "use 17, 18 or 19 as a length, and write behind the table",
        "LZX: ",
    );
    for (kind, name) in [(0, "block-type-0"), (4, "block-type-4"), (7, "block-type-7")] {
        let mut bits = BitWriter::default();
        bits.put(kind, 3);
        bits.put(0, 32);
        class.refused(
            name,
            &bits.bytes,
            100,
            "a block of a type that does not exist",
            "take it for an uncompressed one, as the last case of three",
            "unknown block type",
        );
    }
    for (size, name, wrong) in [
        (0, "block-size-0", "a block of 0 bytes; a chunk could have any number of them"),
        (101, "block-size-101", "a block of 101 bytes in a chunk of 100"),
    ] {
        class.refused(
            name,
            &verbatim_header(size).bytes,
            100,
            wrong,
            "loop for ever, or write behind the buffer",
            "block size",
        );
    }
    let mut bits = BitWriter::default();
    bits.put(0b0011, 4);
    bits.put(0, 32);
    class.refused(
        "default-size-in-short-chunk",
        &bits.bytes,
        100,
        "a block of the default size, 32,768, in a chunk of 100",
        "write 32,668 bytes behind the buffer",
        "block size 32768 at",
    );
    let mut bits = verbatim_header(100);
    pretree(&mut bits, |_| 0);
    class.refused(
        "pretree-empty",
        &bits.bytes,
        100,
        "a pretree without any codeword",
        "look up codes in a table that was never filled",
        "the lengths of the pretree code",
    );
    for (length, name, wrong) in [
        (1, "pretree-over-subscribed", "a pretree of twenty codewords of one bit"),
        (15, "pretree-incomplete", "a pretree of twenty codewords of fifteen bits"),
    ] {
        let mut bits = verbatim_header(100);
        pretree(&mut bits, |_| length);
        class.refused(
            name,
            &bits.bytes,
            100,
            wrong,
            "fill a table past its end, or leave holes in it",
            "the lengths of the pretree code",
        );
    }
    let mut bits = verbatim_header(300);
    pretree(&mut bits, |symbol| u32::from(symbol == 0 || symbol == 18));
    for _ in 0..6 {
        bits.put(1, 1);
        bits.put(31, 5);
    }
    bits.put(0, 32);
    class.refused(
        "run-past-end",
        &bits.bytes,
        300,
        "six runs of 51 codeword lengths, for a list of 256",
        "write the last 50 behind the list",
        "invalid run of codeword lengths",
    );
    let mut bits = verbatim_header(300);
    for run in [256, 240, 249] {
        pretree(&mut bits, |symbol| u32::from(symbol == 0 || symbol == 18));
        (0..run).for_each(|_| bits.put(0, 1));
    }
    bits.bytes.extend([0; 20]);
    class.refused(
        "main-code-empty",
        &bits.bytes,
        300,
        "a block whose main code has no codewords",
        "decode a symbol from an empty table, for ever",
        "the lengths of the main code",
    );
    let literal_and_match = [b'x'.into(), 256 + 3 * 8];
    let mut bits = block_with(&literal_and_match, 300);
    bits.put(0b10, 2);
    bits.put(0, 32);
    class.refused(
        "match-before-start",
        &bits.bytes,
        300,
        "a match at the first byte of the chunk, one byte back",
        "read what lies before the buffer",
        "match for chunk offset 0x0 reaches 1 bytes back, before the chunk",
    );
    let mut bits = block_with(&literal_and_match, 2);
    bits.put(0b01, 2);
    bits.put(0, 32);
    class.refused(
        "match-past-block",
        &bits.bytes,
        300,
        "a match of two bytes where one byte of the block is left",
        "go on, and count the rest of the block down from -1",
        "match for chunk offset 0x1 has the invalid length 2",
    );
    let mut bits = block_with(&[b'x'.into(), 256 + 3 * 8 + 7], 300);
    bits.put(0b01, 2);
    bits.put(0, 32);
    bits.put(0, 32);
    class.refused(
        "length-code-empty",
        &bits.bytes,
        300,
        "a match with a long length, and a length code without codewords",
        "decode a symbol from an empty table",
        "needs the length code, which is empty",
    );
    let stored = |repeat: [u32; 3], bytes: &[u8]| {
        let mut bits = BitWriter::default();
        bits.put(3, 3);
        bits.put(0, 1);
        bits.put(100, 16);
        bits.bytes.extend(repeat.iter().flat_map(|offset| offset.to_le_bytes()));
        bits.bytes.extend(bytes);
        bits.bytes
    };
    class.refused(
        "repeat-offset-0",
        &stored([1, 0, 1], &[7; 20]),
        100,
        "an uncompressed block sets a repeat offset to 0",
        "copy each byte of a match from itself: whatever was in the buffer",
        "invalid repeat offset 0x0",
    );
    class.refused(
        "repeat-offset-2-to-32",
        &stored([1, 1, u32::MAX], &[7; 20]),
        100,
        "an uncompressed block sets a repeat offset to 2^32 - 1",
        "add it to a pointer",
        "invalid repeat offset 0xffffffff",
    );
    class.refused(
        "uncompressed-cut",
        &stored([1, 1, 1], &[7; 20]),
        100,
        "an uncompressed block of 100 bytes, of which 20 are there",
        "copy 80 bytes from behind the input",
        "compressed data ends after",
    );
    valid_lzx(&mut class);
    class.list
}

/// Blocks that compressors do not write, and that are right.
fn valid_lzx(class: &mut Class) {
    let run = |length| lzx::Op::Match { length, offset: Offset::Repeat(0) };
    let mut ops = vec![lzx::Op::Literal(b'a')];
    ops.extend([run(200); 2]);
    let odd = vec![
        Block::Verbatim(ops.clone()),
        Block::Uncompressed { bytes: b"an odd number of them".to_vec(), repeat: [3, 2, 1] },
        Block::Aligned(vec![run(100)]),
        Block::Uncompressed { bytes: b"odd".to_vec(), repeat: [1, 1, 1] },
        Block::Verbatim(ops),
    ];
    class.valid(
        "uncompressed-odd",
        lzx::encode(15, &odd, lzx::PLAIN, 1),
        "nothing: uncompressed blocks of odd lengths, between others; wimlib never writes one",
        "forget the byte of padding after each",
    );
    let all = |style| {
        lzx::encode(
            15,
            &[Block::Verbatim([vec![lzx::Op::Literal(b'z')], vec![run(255); 128], vec![run(127)]].concat())],
            style,
            1,
        )
    };
    class.valid(
        "32768-by-default",
        all(lzx::PLAIN),
        "nothing: a chunk of 32,768 bytes whose block says so with one bit",
        "read a size",
    );
    class.valid(
        "32768-spelled-out",
        all(lzx::Style { default_size: false, ..lzx::PLAIN }),
        "nothing: a block of 32,768 bytes with its size in 16 bits",
        "take 0x8000 for a negative number",
    );
    // What the filter makes of calls: every target below is at the edge of what it changes.
    let mut calls = vec![0x90; 300];
    let mut place = |at: usize, target: i32| {
        calls[at] = 0xE8;
        calls[at + 1..at + 5].copy_from_slice(&target.to_le_bytes());
    };
    place(0, 100);
    place(20, 0);
    place(40, -40);
    place(60, -61);
    place(80, 11_999_999);
    place(100, 12_000_000);
    place(120, 0x0000_E8E8);
    place(140, i32::MIN);
    // The first byte that the filter leaves alone is the tenth from the end.
    place(289, 289);
    place(290, 290);
    let literals = calls.iter().map(|&byte| lzx::Op::Literal(byte)).collect();
    let style = lzx::Style { main: Shape::Mixed, ..lzx::PLAIN };
    class.valid(
        "e8-edges",
        lzx::encode(15, &[Block::Verbatim(literals)], style, 1),
        "nothing: x86 calls at the first byte and in the last ones, with targets of 0, -position, one below that, \
         12,000,000 and one below that, and an E8 inside a target",
        "be off by one in any of them",
    );
    for (size, name) in [(10, "e8-in-10-bytes"), (11, "e8-in-11-bytes")] {
        let mut ops = vec![lzx::Op::Literal(0xE8)];
        ops.extend([lzx::Op::Match { length: 2, offset: Offset::Repeat(0) }; 4]);
        ops.extend(vec![lzx::Op::Literal(0xE8); size - 9]);
        let (chunk, content) = lzx::encode(15, &[Block::Verbatim(ops)], lzx::PLAIN, 1);
        // The lengths of the codes alone are longer than that: no compressor would keep it, and no reader may.
        class.refused_length(name, &chunk, content.len());
    }
}

impl Class {
    /// A chunk whose compressed form is longer than its content, which the format excludes.
    fn refused_length(&mut self, name: &'static str, chunk: &[u8], size: usize) {
        let bytes = chunked(self.codec, NOBODY, chunk, size as u64);
        self.list.push(one(
            self.number,
            name,
            bytes,
            "an x86 call in a chunk of a few bytes, which takes more bytes compressed than as it is",
            "decode it, with a filter that begins ten bytes before the end: before the start",
            Damaged("chunk 0 is stored in"),
        ));
    }
}

pub(super) fn xpress() -> Vec<Fixture> {
    let mut class = Class { number: 7, codec: XPRESS_32K, list: Vec::new() };
    class.refused(
        "short",
        &[0x11; 100],
        400,
        "100 bytes, where the code lengths alone have 256",
        "read the lengths from behind the input",
        "compressed data ends after 0 bytes",
    );
    for (fill, name, wrong) in [
        (0, "lengths-0", "256 bytes of zeros for the lengths: a code without codewords"),
        (0x11, "lengths-1", "512 codewords of one bit"),
        (0xFF, "lengths-15", "512 codewords of fifteen bits, of 32,768"),
    ] {
        class.refused(
            name,
            &[fill; 300],
            400,
            wrong,
            "decode symbols from a table that was never filled, or past its end",
            "the lengths of the main code",
        );
    }
    // A literal 0 and a match: the lengths of symbols 0 and `symbol`, one bit each.
    let chunk = |symbol: usize, units: &[u16], loose: &[u8]| {
        let mut chunk = vec![0; 256];
        chunk[0] = 1;
        chunk[symbol / 2] |= if symbol.is_multiple_of(2) { 1 } else { 0x10 };
        chunk.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        chunk.extend(loose);
        chunk
    };
    let long = 256 + 15;
    class.refused(
        "match-before-start",
        &chunk(256, &[0x8000, 0], &[]),
        400,
        "a match at the first byte, one byte back",
        "read what lies before the buffer",
        "match for chunk offset 0x0 reaches 1 bytes back, before the chunk",
    );
    class.refused(
        "match-past-end",
        &chunk(long, &[0x4000, 0], &[255, 0, 2]),
        400,
        "a match of 515 bytes where 399 are left",
        "write 116 bytes behind the buffer",
        "match for chunk offset 0x1 has the invalid length",
    );
    class.refused(
        "length-below-15",
        &chunk(long, &[0x4000, 0], &[255, 14, 0]),
        400,
        "a length in 16 bits, 14, which is smaller than those that need them",
        "subtract 15, and write 4 GiB",
        "match for chunk offset 0x1 has the invalid length 14",
    );
    class.refused(
        "length-cut",
        &chunk(long, &[0x4000, 0], &[255, 15]),
        400,
        "the input ends inside a length of 16 bits",
        "take the second byte from behind it",
        "compressed data ends after 1 bytes",
    );
    class.refused(
        "length-byte-cut",
        &chunk(long, &[0x4000, 0], &[]),
        400,
        "the input ends before the byte of a length",
        "take it from behind the input",
        "compressed data ends after 1 bytes",
    );
    class.refused(
        "offset-cut",
        &chunk(256 + 15 * 16, &[0x4000], &[]),
        400,
        "the input ends inside an offset of 15 bits",
        "read on",
        "compressed data ends after 1 bytes",
    );
    class.valid(
        "long-length",
        (chunk(long, &[0x4000, 0], &[255, 0x8C, 1]), vec![0; 400]),
        "nothing: a length of 399 bytes in 16 bits",
        "add 15 or 3 once too often",
    );
    class.valid(
        "no-end-mark",
        xpress_text(false),
        "nothing: the symbol for the end of the data is missing, as after some compressors",
        "demand it",
    );
    let (mut longer, content) = xpress_text(true);
    longer.extend([0xEE; 7]);
    class.valid(
        "trailing-bytes",
        (longer, content),
        "nothing: seven bytes after the end of the data",
        "take them for one more symbol",
    );
    class.list
}

fn xpress_text(end_of_data: bool) -> (Vec<u8>, Vec<u8>) {
    let mut ops: Vec<xpress::Op> = b"text and ".iter().map(|&byte| xpress::Op::Literal(byte)).collect();
    ops.push(xpress::Op::Match { length: 391, offset: 9 });
    xpress::encode(&ops, xpress::Style { end_of_data, ..xpress::PLAIN }, 1)
}

pub(super) fn lzms() -> Vec<Fixture> {
    let mut class = Class { number: 8, codec: LZMS_32K, list: Vec::new() };
    let written = |items: &[Item], size: usize| {
        let mut encoder = lzms::Encoder::new(size);
        items.iter().for_each(|&item| encoder.item(item));
        encoder.finish()
    };
    let lz = |offset, length| Item::Lz { source: Source::Explicit(offset), length };
    let delta = |power, offset, length| Item::Delta { source: Source::Explicit((power, offset)), length };
    let one_byte = Item::Literal(1);
    let good = written(&[one_byte, lz(1, 399)], 400);
    class.refused(
        "odd-length",
        &good[..good.len() - 1],
        400,
        "an odd number of bytes, where everything is in units of two",
        "read the last unit's second byte from behind the input",
        "does not exist in this format",
    );
    class.refused(
        "two-bytes",
        &[0x55; 2],
        400,
        "two bytes: the range decoder begins with four",
        "read the others from behind the input",
        "does not exist in this format",
    );
    class.refused(
        "no-bytes-left",
        &[0x55; 4],
        400,
        "the range decoder's first four bytes, and nothing for the codes, which are read from the end",
        "read codes from before the input",
        "LZMS: ",
    );
    class.refused(
        "nonsense",
        &[0x55; 64],
        32768,
        "64 bytes of 0x55: both streams meet in the middle long before the chunk is full",
        "let each read what belongs to the other, and then what lies beyond",
        "LZMS: ",
    );
    let data: Vec<u8> = (0..400_u32).map(|n| (n * n / 7) as u8).collect();
    let mut crossing = lzms::compress(&data);
    let middle = crossing.len() / 4 * 2;
    crossing.drain(middle..middle + 8);
    class.refused(
        "crossing",
        &crossing,
        400,
        "a valid chunk without eight bytes in the middle, so that its two streams cross",
        "read bits of the one as symbols of the other",
        "LZMS: ",
    );
    class.refused(
        "match-before-start",
        &written(&[one_byte, lz(2, 3), one_byte], 400),
        400,
        "a match two bytes back, at the second byte",
        "read what lies before the buffer",
        "match for chunk offset 0x1 reaches 2 bytes back, before the chunk",
    );
    class.refused(
        "match-past-end",
        &written(&[one_byte, lz(1, 400)], 400),
        400,
        "a match of 400 bytes where 399 are left",
        "write behind the buffer",
        "match for chunk offset 0x1 has the invalid length 400",
    );
    class.refused(
        "length-2-to-30",
        &written(&[one_byte, one_byte, delta(0, 1, 1 << 30)], 400),
        400,
        "a match of 2^30 bytes in a chunk of 400",
        "write a GiB behind the buffer, or add it to a position of 32 bits a few times",
        "has the invalid length 1073741824",
    );
    class.refused(
        "delta-before-start",
        &written(&[one_byte, delta(7, 1, 3)], 400),
        400,
        "a delta match with a span of 128 bytes, at the second byte",
        "read 255 bytes before the buffer",
        "match for chunk offset 0x1 reaches 256 bytes back, before the chunk",
    );
    class.refused(
        "delta-power-7",
        &written(&[Item::Literal(3), delta(7, 300, 3)], 32768),
        32768,
        "a delta match whose offset is 300 spans of 128 bytes",
        "shift by the power in too few bits",
        "match for chunk offset 0x1 reaches 38528 bytes back, before the chunk",
    );
    for (index, name) in [(0, "repeat-0-of-nothing"), (1, "repeat-1-of-nothing"), (2, "repeat-2-of-nothing")]
    {
        class.refused(
            name,
            &written(&[Item::Lz { source: Source::Repeat(index), length: 5 }], 400),
            400,
            "the first item of the chunk is a match at a repeat offset, which begin as 1, 2 and 3",
            "read what lies before the buffer",
            "match for chunk offset 0x0 reaches",
        );
    }
    class.valid(
        "delta",
        (
            written(&[Item::Literal(1), Item::Literal(3), delta(0, 1, 398)], 400),
            (0..400_u32).map(|n| (1 + 2 * n) as u8).collect(),
        ),
        "nothing: a delta match that counts by two",
        "take the differences from the wrong side",
    );
    for (size, name) in [(17, "filter-17-bytes"), (18, "filter-18-bytes")] {
        let mut content = vec![0x90; size];
        content[0] = 0xE8;
        let items = [Item::Literal(0xE8), Item::Literal(0x90), lz(1, content.len() as u32 - 2)];
        class.valid(
            name,
            (written(&items, size), content),
            "nothing: an x86 call in a chunk at the bound, 17 bytes, up to which the filter touches nothing",
            "look for instructions up to 16 bytes before the end: before the start",
        );
    }
    class.list
}

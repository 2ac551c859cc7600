//! An LZMS encoder that is told what to write: any item, sensible or not.
//!
//! It shares nothing with the decoders. It follows along what a decoder must make of its items, which is
//! [`Encoder::output`]: the chunk before the x86 filter is undone. [`apply_x86`] is that filter's other direction.

#![allow(dead_code, reason = "every test uses its own part")]

use std::collections::HashMap;

/// Where a match copies from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source<T> {
    Explicit(T),
    /// The latest but so many, of those that can be named (0 to 2).
    Repeat(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Literal(u8),
    Lz {
        source: Source<u32>,
        length: u32,
    },
    /// Power and offset.
    Delta {
        source: Source<(u32, u32)>,
        length: u32,
    },
}

/// For each number of extra bits: how many slots have it.
const OFFSET_SLOTS: [(u32, usize); 21] = [
    (0, 8),
    (2, 9),
    (3, 7),
    (4, 10),
    (5, 15),
    (6, 15),
    (7, 20),
    (8, 20),
    (9, 30),
    (10, 33),
    (11, 40),
    (12, 42),
    (13, 45),
    (14, 60),
    (15, 73),
    (16, 80),
    (17, 85),
    (18, 95),
    (19, 105),
    (20, 6),
    (30, 1),
];
const LENGTH_SLOTS: [(u32, usize); 13] = [
    (0, 26),
    (1, 4),
    (2, 6),
    (3, 4),
    (4, 5),
    (5, 2),
    (6, 1),
    (7, 1),
    (8, 1),
    (9, 1),
    (10, 1),
    (16, 1),
    (30, 1),
];

/// First number and extra bits of every slot.
pub(crate) fn slots(counts: &[(u32, usize)]) -> Vec<(u32, u32)> {
    let mut next = 1;
    let mut slots = Vec::new();
    for (bits, count) in counts {
        for _ in 0..*count {
            slots.push((next, *bits));
            next += 1 << bits;
        }
    }
    slots
}

pub(crate) fn offset_slots() -> Vec<(u32, u32)> {
    slots(&OFFSET_SLOTS)
}

pub(crate) fn length_slots() -> Vec<(u32, u32)> {
    slots(&LENGTH_SLOTS)
}

fn slot_of(slots: &[(u32, u32)], number: u32) -> usize {
    slots.partition_point(|(first, _)| *first <= number) - 1
}

/// The 16-bit units of a chunk in the making.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    front: RangeEncoder,
    back: BitWriter,
    classes: HashMap<&'static str, Class>,
    literal_code: Code,
    length_code: Code,
    offset_code: Code,
    delta_offset_code: Code,
    power_code: Code,
    offset_slots: Vec<(u32, u32)>,
    length_slots: Vec<(u32, u32)>,
    lz: Queue<u32>,
    delta: Queue<(u32, u32)>,
    /// What the items stand for, as long as they stand for anything.
    pub(crate) output: Vec<u8>,
    size: usize,
    /// An item did not fit.
    pub(crate) invalid: bool,
}

impl Encoder {
    /// For a chunk of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        let offset_slots = offset_slots();
        let symbols = if size < 2 { 2 } else { (1 + slot_of(&offset_slots, size as u32 - 1)).max(2) };
        Self {
            front: RangeEncoder { low: 0, range: u32::MAX, cache: None, ones: 0, units: Vec::new() },
            back: BitWriter::default(),
            classes: HashMap::new(),
            literal_code: Code::new(256, 1024),
            length_code: Code::new(54, 512),
            offset_code: Code::new(symbols, 1024),
            delta_offset_code: Code::new(symbols, 1024),
            power_code: Code::new(8, 512),
            offset_slots,
            length_slots: length_slots(),
            lz: Queue::new([1, 2, 3, 4]),
            delta: Queue::new([(0, 1), (0, 2), (0, 3), (0, 4)]),
            output: Vec::new(),
            size,
            invalid: false,
        }
    }

    pub(crate) fn room(&self) -> usize {
        self.size - self.output.len()
    }

    /// The source that the next match of the kind would use.
    pub(crate) fn lz_source(&self, source: Source<u32>) -> u32 {
        self.lz.peek(source)
    }

    pub(crate) fn delta_source(&self, source: Source<(u32, u32)>) -> (u32, u32) {
        self.delta.peek(source)
    }

    /// Whether the item makes sense here.
    pub(crate) fn fits(&self, item: Item) -> bool {
        let at = self.output.len() as u64;
        let reach = match item {
            Item::Literal(_) => return self.room() > 0,
            Item::Lz { source, .. } => u64::from(self.lz_source(source)),
            Item::Delta { source, .. } => {
                let (power, offset) = self.delta_source(source);
                (u64::from(offset) << power) + (1 << power)
            }
        };
        let (Item::Lz { length, .. } | Item::Delta { length, .. }) = item else { return false };
        reach <= at && length as usize <= self.room()
    }

    pub(crate) fn item(&mut self, item: Item) {
        self.invalid |= !self.fits(item);
        match item {
            Item::Literal(byte) => {
                self.decide("main", 4, false);
                self.back.symbol(&mut self.literal_code, usize::from(byte));
                self.output.push(byte);
                self.lz.settle();
                self.delta.settle();
            }
            Item::Lz { source, length } => {
                self.decide("main", 4, true);
                self.decide("match", 5, false);
                self.source(source, ["lz", "lz not first", "lz not second"]);
                if let Source::Explicit(offset) = source {
                    self.back.number(&mut self.offset_code, &self.offset_slots, offset);
                }
                self.back.number(&mut self.length_code, &self.length_slots, length);
                self.delta.settle();
                let offset = self.lz.take(source) as usize;
                for _ in 0..if self.invalid { 0 } else { length } {
                    self.output.push(self.output[self.output.len() - offset]);
                }
            }
            Item::Delta { source, length } => {
                self.decide("main", 4, true);
                self.decide("match", 5, true);
                self.source(source, ["delta", "delta not first", "delta not second"]);
                if let Source::Explicit((power, offset)) = source {
                    self.back.symbol(&mut self.power_code, power as usize);
                    self.back.number(&mut self.delta_offset_code, &self.offset_slots, offset);
                }
                self.back.number(&mut self.length_code, &self.length_slots, length);
                self.lz.settle();
                let (power, offset) = self.delta.take(source);
                let (span, offset) = (1_usize << power, (offset as usize) << power);
                for _ in 0..if self.invalid { 0 } else { length } {
                    let at = self.output.len();
                    let difference = self.output[at - offset].wrapping_sub(self.output[at - offset - span]);
                    self.output.push(self.output[at - span].wrapping_add(difference));
                }
            }
        }
    }

    fn source<T>(&mut self, source: Source<T>, [repeat, not_first, not_second]: [&'static str; 3]) {
        match source {
            Source::Explicit(_) => self.decide(repeat, 6, false),
            Source::Repeat(index) => {
                self.decide(repeat, 6, true);
                self.decide(not_first, 6, index > 0);
                if index > 0 {
                    self.decide(not_second, 6, index > 1);
                }
            }
        }
    }

    fn decide(&mut self, class: &'static str, context: u32, decision: bool) {
        let class = self
            .classes
            .entry(class)
            .or_insert_with(|| Class { past: 0, last_64: vec![0x5555_5555; 1 << context] });
        let last_64 = &mut class.last_64[class.past];
        self.front.encode(decision, last_64.count_zeros().clamp(1, 63));
        *last_64 = *last_64 << 1 | u64::from(decision);
        class.past = (class.past << 1 | usize::from(decision)) & ((1 << context) - 1);
    }

    /// The compressed chunk.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.finish_with_gap(0)
    }

    /// With units between the two streams that belong to neither.
    pub(crate) fn finish_with_gap(mut self, gap: usize) -> Vec<u8> {
        self.front.finish();
        let mut units = self.front.units;
        units.extend(std::iter::repeat_n(0xFFFF, gap));
        units.extend(self.back.units.iter().rev());
        units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
    }
}

#[derive(Clone, Debug)]
struct Class {
    past: usize,
    last_64: Vec<u64>,
}

/// The latest sources of one kind, as the format's inventors will have meant it: a source enters the queue one item
/// after the match that used it.
#[derive(Clone, Debug)]
struct Queue<T> {
    sources: Vec<T>,
    pending: Option<T>,
}

impl<T: Copy> Queue<T> {
    fn new(sources: [T; 4]) -> Self {
        Self { sources: sources.to_vec(), pending: None }
    }

    fn peek(&self, source: Source<T>) -> T {
        match source {
            Source::Explicit(source) => source,
            Source::Repeat(index) => self.sources[index],
        }
    }

    fn take(&mut self, source: Source<T>) -> T {
        let taken = match source {
            Source::Explicit(source) => source,
            Source::Repeat(index) => self.sources.remove(index),
        };
        self.settle();
        self.pending = Some(taken);
        taken
    }

    /// An item has passed.
    fn settle(&mut self) {
        if let Some(source) = self.pending.take() {
            self.sources.insert(0, source);
        }
    }
}

#[derive(Clone, Debug)]
struct RangeEncoder {
    low: u64,
    range: u32,
    /// A unit that a carry may still change, followed by so many that are all ones. The first has nothing before it.
    cache: Option<u16>,
    ones: usize,
    units: Vec<u16>,
}

impl RangeEncoder {
    fn encode(&mut self, decision: bool, zeros: u32) {
        self.normalise();
        let bound = (self.range >> 6) * zeros;
        if decision {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
    }

    fn normalise(&mut self) {
        if self.range < 1 << 16 {
            self.range <<= 16;
            self.shift();
        }
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u16;
        let unit = (self.low >> 16) as u16;
        if carry == 0 && unit == 0xFFFF {
            self.ones += 1;
        } else {
            self.units.extend(self.cache.map(|cache| cache + carry));
            self.units.extend(std::iter::repeat_n(0xFFFF_u16.wrapping_add(carry), self.ones));
            (self.cache, self.ones) = (Some(unit), 0);
        }
        self.low = (self.low & 0xFFFF) << 16;
    }

    fn finish(&mut self) {
        self.normalise();
        for _ in 0..3 {
            self.shift();
        }
    }
}

/// Units in the order in which they are read: from the end of the chunk.
#[derive(Clone, Debug, Default)]
struct BitWriter {
    units: Vec<u16>,
    bits: usize,
}

impl BitWriter {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.bits.is_multiple_of(16) {
                self.units.push(0);
            }
            *self.units.last_mut().expect("a unit") |= ((value >> bit & 1) as u16) << (15 - self.bits % 16);
            self.bits += 1;
        }
    }

    fn symbol(&mut self, code: &mut Code, symbol: usize) {
        let (value, length) = code.codewords[symbol];
        self.put(value, length);
        code.count(symbol);
    }

    fn number(&mut self, code: &mut Code, slots: &[(u32, u32)], number: u32) {
        // What no slot of the code has is written as the last.
        let slot = slot_of(slots, number).min(code.frequencies.len() - 1);
        let (first, bits) = slots[slot];
        self.symbol(code, slot);
        self.put(number - first, bits);
    }
}

/// An adaptive Huffman code.
#[derive(Clone, Debug)]
struct Code {
    frequencies: Vec<u32>,
    codewords: Vec<(u32, u32)>,
    counted: u32,
    period: u32,
}

impl Code {
    fn new(symbols: usize, period: u32) -> Self {
        let frequencies = vec![1; symbols];
        Self { codewords: codewords(&frequencies), frequencies, counted: 0, period }
    }

    fn count(&mut self, symbol: usize) {
        self.frequencies[symbol] += 1;
        self.counted += 1;
        if self.counted.is_multiple_of(self.period) {
            self.codewords = codewords(&self.frequencies);
            self.frequencies.iter_mut().for_each(|frequency| *frequency = (*frequency >> 1) + 1);
        }
    }
}

/// Value and length of each codeword: the lightest two are joined until one is left; leaves win ties.
fn codewords(frequencies: &[u32]) -> Vec<(u32, u32)> {
    let mut leaves: Vec<usize> = (0..frequencies.len()).collect();
    leaves.sort_by_key(|symbol| frequencies[*symbol]);
    // Weight, and the symbols below.
    let mut inner: std::collections::VecDeque<(u32, Vec<usize>)> = std::collections::VecDeque::new();
    let mut leaves = leaves.into_iter().peekable();
    let mut lengths = vec![0_u32; frequencies.len()];
    loop {
        let mut next = || {
            let leaf = leaves.peek().map(|symbol| frequencies[*symbol]);
            match (leaf, inner.front()) {
                (Some(leaf), Some((weight, _))) if leaf > *weight => inner.pop_front(),
                (Some(leaf), _) => leaves.next().map(|symbol| (leaf, vec![symbol])),
                (None, _) => inner.pop_front(),
            }
        };
        let (Some((one, mut symbols)), Some((other, more))) = (next(), next()) else { break };
        symbols.extend(more);
        symbols.iter().for_each(|symbol| lengths[*symbol] += 1);
        inner.push_back((one + other, symbols));
    }
    let mut codewords = vec![(0, 0); frequencies.len()];
    let mut next = 0;
    for bits in 1..=15 {
        next <<= 1;
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, length)| **length == bits) {
            codewords[symbol] = (next, bits);
            next += 1;
        }
    }
    assert_eq!(next, 1 << 15, "no codeword is longer than 15 bits");
    codewords
}

/// Items that stand for `data`, found without much effort but with all kinds among them.
pub(crate) fn parse(encoder: &mut Encoder, data: &[u8]) {
    let mut seen: HashMap<&[u8], usize> = HashMap::new();
    let mut seen_deltas: HashMap<(u32, [u8; 3]), usize> = HashMap::new();
    let difference = |at: usize, span: usize| {
        (at >= span && at + 3 <= data.len())
            .then(|| [0, 1, 2].map(|i| data[at + i].wrapping_sub(data[at + i - span])))
    };
    let mut at = 0;
    while at < data.len() {
        let same = |offset: usize| {
            (0..data.len() - at).take_while(|i| data[at + i] == data[at + i - offset]).count() as u32
        };
        let mut best = Item::Literal(data[at]);
        let mut best_length = 1;
        for index in 0..3 {
            let source = Source::Repeat(index);
            let offset = encoder.lz_source(source) as usize;
            if offset <= at && same(offset) > best_length {
                best_length = same(offset);
                best = Item::Lz { source, length: best_length };
            }
        }
        if let Some(before) = data.get(at..at + 3).and_then(|key| seen.get(key)) {
            let length = same(at - before);
            if length > best_length + 1 {
                best_length = length;
                best = Item::Lz { source: Source::Explicit((at - before) as u32), length };
            }
        }
        for power in 0..8 {
            let span = 1 << power;
            let Some(key) = difference(at, span) else { continue };
            let sources = (0..3).map(Source::Repeat).chain(
                seen_deltas
                    .get(&(power, key))
                    .filter(|before| (at - **before) % span == 0)
                    .map(|before| Source::Explicit((power, ((at - before) >> power) as u32))),
            );
            for source in sources {
                let (power, offset) = encoder.delta_source(source);
                let (span, offset) = (1 << power, (offset as usize) << power);
                if offset + span > at {
                    continue;
                }
                let length = (at..data.len())
                    .take_while(|i| {
                        data[*i].wrapping_sub(data[i - span])
                            == data[i - offset].wrapping_sub(data[i - offset - span])
                    })
                    .count() as u32;
                if length > best_length + 3 {
                    best_length = length;
                    best = Item::Delta { source, length };
                }
            }
        }
        encoder.item(best);
        for i in at..at + best_length as usize {
            if let Some(key) = data.get(i..i + 3) {
                seen.insert(key, i);
            }
            for power in 0..8 {
                if let Some(key) = difference(i, 1 << power) {
                    seen_deltas.insert((power, key), i);
                }
            }
        }
        at += best_length as usize;
    }
}

/// Compresses `data`, filter included.
pub(crate) fn compress(data: &[u8]) -> Vec<u8> {
    let mut filtered = data.to_vec();
    apply_x86(&mut filtered);
    let mut encoder = Encoder::new(data.len());
    parse(&mut encoder, &filtered);
    assert!(!encoder.invalid && encoder.output == filtered);
    encoder.finish()
}

/// Makes the targets of x86 instructions absolute where machine code is suspected.
pub(crate) fn apply_x86(data: &mut [u8]) {
    if data.len() <= 17 {
        return;
    }
    let mut uses: HashMap<u16, i64> = HashMap::new();
    let mut last = -1024_i64;
    let mut at = 1;
    while at < data.len() - 16 {
        let (skip, reach) = match (data[at], data[at + 1], data[at + 2]) {
            (0x48 | 0x4C, 0x8D, mode) if mode % 8 == 5 => (3, 1023),
            (0x48, 0x8B, 0x05 | 0x0D) => (3, 1023),
            (0xF0, 0x83, 0x05) => (3, 1023),
            (0xFF, 0x15, _) => (2, 1023),
            (0xE8, ..) => (1, 511),
            (0xE9, ..) => {
                at += 5;
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        let field = &mut data[at + skip..at + skip + 4];
        let relative = u32::from_le_bytes(field.try_into().expect("four bytes"));
        let target = (relative as u16).wrapping_add(at as u16);
        if at as i64 - last <= reach {
            field.copy_from_slice(&relative.wrapping_add(at as u32).to_le_bytes());
        }
        at += skip + 4;
        let end = at as i64 - 1;
        if uses.insert(target, end).is_some_and(|before| end - before <= 65535) {
            last = end;
        }
    }
}

//! An encoder for the LZX of cabinets, which makes poor but varied use of it: all kinds of blocks, also across chunks,
//! all shapes of codes, repeat offsets, runs of codeword lengths, translated calls.

use std::collections::HashMap;

use super::Random;

const CHUNK: usize = 0x8000;
const SLOTS: [usize; 7] = [30, 32, 34, 36, 38, 42, 50];
/// How far calls lead.
const CALLS: i32 = 12_000_000;

/// Bits of 16-bit little-endian numbers, and bytes where these are aligned.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Writer {
    fn put(&mut self, value: u32, count: u32) {
        self.bits = self.bits << count | u64::from(value);
        self.count += count;
        while self.count >= 16 {
            self.count -= 16;
            self.bytes.extend(((self.bits >> self.count) as u16).to_le_bytes());
            self.bits &= (1 << self.count) - 1;
        }
    }

    fn flush(&mut self) {
        if self.count > 0 {
            self.put(0, 16 - self.count);
        }
    }
}

enum Token {
    Literal(u8),
    /// Length, offset, and which repeat offset it is.
    Match(usize, usize, Option<usize>),
}

fn slot(formatted: usize) -> (usize, u32, usize) {
    (0..)
        .map(|slot: usize| match slot {
            0..4 => (slot, 0, slot),
            4..36 => (slot, slot as u32 / 2 - 1, (2 + slot % 2) << (slot / 2 - 1)),
            _ => (slot, 17, (slot - 34) << 17),
        })
        .find(|(_, extra, base)| formatted < base + (1 << extra))
        .expect("slots have no end")
}

/// Complete codeword lengths for the symbols in use, of any shape.
fn code(used: &[usize], size: usize, limit: u8, random: &mut Random) -> Vec<u8> {
    let mut symbols = used.to_vec();
    symbols.sort_unstable();
    symbols.dedup();
    let mut lengths = vec![0; size];
    if symbols.is_empty() {
        return lengths;
    }
    if symbols.len() == 1 {
        symbols.push(usize::from(symbols[0] == 0));
    }
    let deep = random.below(3) == 0;
    let mut leaves = vec![0_u8];
    while leaves.len() < symbols.len() {
        let splittable = (0..leaves.len()).filter(|leaf| leaves[*leaf] < limit);
        let leaf = if deep {
            splittable.max_by_key(|at| leaves[*at])
        } else {
            splittable.min_by_key(|at| leaves[*at])
        };
        let leaf = leaf.expect("the limit leaves room for all symbols");
        leaves[leaf] += 1;
        leaves.push(leaves[leaf]);
    }
    for (symbol, len) in symbols.iter().zip(leaves) {
        lengths[*symbol] = len;
    }
    lengths
}

fn codewords(lengths: &[u8]) -> Vec<u32> {
    let mut codewords = vec![0; lengths.len()];
    let mut next = 0;
    for bits in 1..=16 {
        next <<= 1;
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, len)| **len == bits) {
            codewords[symbol] = next;
            next += 1;
        }
    }
    codewords
}

fn put_lengths(writer: &mut Writer, old: &mut [u8], new: &[u8], random: &mut Random) {
    // Symbol, and extra bits behind it; a second symbol for runs of one length.
    let mut symbols: Vec<(usize, u32, u32)> = Vec::new();
    let difference = |old: u8, new: u8| usize::from((17 + old - new) % 17);
    let mut at = 0;
    while at < new.len() {
        let run = new[at..].iter().take_while(|len| **len == new[at]).count();
        if new[at] == 0 && run >= 20 {
            let run = run.min(51);
            symbols.push((18, run as u32 - 20, 5));
            at += run;
        } else if new[at] == 0 && run >= 4 {
            let run = run.min(19);
            symbols.push((17, run as u32 - 4, 4));
            at += run;
        } else if run >= 4 && random.below(2) == 0 {
            let run = run.min(5);
            symbols.push((19, run as u32 - 4, 1));
            symbols.push((difference(old[at], new[at]), 0, 0));
            at += run;
        } else {
            symbols.push((difference(old[at], new[at]), 0, 0));
            at += 1;
        }
    }
    let used: Vec<usize> = symbols.iter().map(|symbol| symbol.0).collect();
    let lengths = code(&used, 20, 15, random);
    let words = codewords(&lengths);
    for len in &lengths {
        writer.put(u32::from(*len), 4);
    }
    for (symbol, extra, bits) in symbols {
        writer.put(words[symbol], u32::from(lengths[symbol]));
        writer.put(extra, bits);
    }
    old.copy_from_slice(new);
}

fn translate_calls(data: &mut [u8]) {
    for (number, chunk) in data.chunks_mut(CHUNK).enumerate() {
        let mut at = 0;
        while at + 10 < chunk.len() {
            if chunk[at] != 0xE8 {
                at += 1;
                continue;
            }
            let place = (number * CHUNK + at) as i32;
            let relative = i32::from_le_bytes(chunk[at + 1..at + 5].try_into().expect("four bytes"));
            let target = if (-place..CALLS - place).contains(&relative) {
                relative + place
            } else if (CALLS - place..CALLS).contains(&relative) {
                relative - CALLS
            } else {
                relative
            };
            chunk[at + 1..at + 5].copy_from_slice(&target.to_le_bytes());
            at += 5;
        }
    }
}

/// The chunks that stand for some data, for a window of 2^`power` bytes.
pub(crate) fn compress(data: &[u8], power: u16, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let mut data = data.to_vec();
    let calls = random.below(2) == 0;
    if calls {
        translate_calls(&mut data);
    }
    let window = 1 << power;
    let mut main_lengths = vec![0; 256 + SLOTS[usize::from(power) - 15] * 8];
    let mut length_lengths = vec![0; 249];
    let mut repeats = [1, 1, 1];
    let mut seen: HashMap<[u8; 3], usize> = HashMap::new();
    let mut chunks = Vec::new();
    let mut writer = Writer::default();
    writer.put(u32::from(calls), 1);
    if calls {
        writer.put(CALLS as u32 >> 16, 16);
        writer.put(CALLS as u32 & 0xFFFF, 16);
    }
    let mut odd = false;
    let mut start = 0;
    while start < data.len() {
        let end = data.len().min(start + 1 + random.below(50_000));
        let kind = 1 + random.below(3) as u32;
        if std::mem::take(&mut odd) {
            writer.bytes.push(0);
        }
        writer.put(kind, 3);
        writer.put(((end - start) >> 8) as u32, 16);
        writer.put((end - start) as u32 & 0xFF, 8);
        if kind == 3 {
            writer.put(0, 16 - writer.count);
            repeats = [1 + random.below(9), 1 + random.below(9), 1 + random.below(9)];
            for repeat in repeats {
                writer.bytes.extend((repeat as u32).to_le_bytes());
            }
            for (at, byte) in (start..end).zip(&data[start..end]) {
                if at > start && at % CHUNK == 0 {
                    chunks.push(std::mem::take(&mut writer).bytes);
                }
                writer.bytes.push(*byte);
            }
            odd = (end - start) % 2 == 1;
        } else {
            let mut tokens = Vec::new();
            let mut at = start;
            while at < end {
                let limit = end.min((at / CHUNK + 1) * CHUNK);
                let key: Option<[u8; 3]> = data[at..limit].first_chunk().copied();
                let explicit = key.and_then(|key| seen.get(&key)).map(|from| at - from);
                let from_repeat = repeats[random.below(3)];
                let candidates = [Some(from_repeat), explicit];
                let found = candidates.into_iter().flatten().find_map(|offset| {
                    let same = |len: &usize| data[at - offset + len] == data[at + len];
                    let fits = offset <= at && offset <= window - 3;
                    let len = if fits { (0..(limit - at).min(257)).take_while(same).count() } else { 0 };
                    (len >= 3).then_some((len, offset))
                });
                if let Some(key) = key {
                    seen.insert(key, at);
                }
                match found {
                    Some((len, offset)) => {
                        let repeat = repeats.iter().position(|other| *other == offset);
                        match repeat {
                            Some(repeat) => repeats.swap(0, repeat),
                            None => repeats = [offset, repeats[0], repeats[1]],
                        }
                        tokens.push(Token::Match(len, offset, repeat));
                        at += len;
                    }
                    None => {
                        tokens.push(Token::Literal(data[at]));
                        at += 1;
                    }
                }
            }
            let parts = |token: &Token| match token {
                Token::Literal(byte) => (usize::from(*byte), None, None),
                Token::Match(len, offset, repeat) => {
                    let (slot, extra) = match repeat {
                        Some(repeat) => (*repeat, None),
                        None => {
                            let (slot, bits, base) = slot(offset + 2);
                            (slot, Some((bits, offset + 2 - base)))
                        }
                    };
                    let header = (len - 2).min(7);
                    let length = (header == 7).then(|| len - 9);
                    (256 + slot * 8 + header, length, extra)
                }
            };
            let mains: Vec<usize> = tokens.iter().map(|token| parts(token).0).collect();
            let lengths: Vec<usize> = tokens.iter().filter_map(|token| parts(token).1).collect();
            let main = code(&mains, main_lengths.len(), 16, &mut random);
            let length = code(&lengths, 249, 16, &mut random);
            let aligned = code(&[0, 1, 2, 3, 4, 5, 6, 7], 8, 7, &mut random);
            if kind == 2 {
                for len in &aligned {
                    writer.put(u32::from(*len), 3);
                }
            }
            put_lengths(&mut writer, &mut main_lengths[..256], &main[..256], &mut random);
            put_lengths(&mut writer, &mut main_lengths[256..], &main[256..], &mut random);
            put_lengths(&mut writer, &mut length_lengths, &length, &mut random);
            let (main_words, length_words, aligned_words) =
                (codewords(&main), codewords(&length), codewords(&aligned));
            let mut at = start;
            for token in &tokens {
                if at > start && at % CHUNK == 0 {
                    writer.flush();
                    chunks.push(std::mem::take(&mut writer).bytes);
                }
                let (symbol, len, extra) = parts(token);
                writer.put(main_words[symbol], u32::from(main[symbol]));
                if let Some(len) = len {
                    writer.put(length_words[len], u32::from(length[len]));
                }
                if let Some((bits, value)) = extra {
                    if kind == 2 && bits >= 3 {
                        writer.put(value as u32 >> 3, bits - 3);
                        writer.put(aligned_words[value & 7], u32::from(aligned[value & 7]));
                    } else {
                        writer.put(value as u32, bits);
                    }
                }
                at += match token {
                    Token::Literal(_) => 1,
                    Token::Match(len, ..) => *len,
                };
            }
        }
        start = end;
        if start % CHUNK == 0 || start == data.len() {
            writer.flush();
            // The byte that evens an odd length out goes with what it evens.
            if std::mem::take(&mut odd) {
                writer.bytes.push(0);
            }
            chunks.push(std::mem::take(&mut writer).bytes);
        }
    }
    chunks
}

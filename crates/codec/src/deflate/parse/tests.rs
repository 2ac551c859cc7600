use proptest::prelude::*;

use super::*;

const EFFORTS: [Effort; 3] = [Effort::Fast, Effort::Default, Effort::Best];

/// What a parse stands for, from the literals of `data`; checks the limits of the format.
fn expand(data: &[u8], tokens: &[Token]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let at = out.len();
        out.extend_from_slice(&data[at..at + token.literals as usize]);
        if token.length == 0 {
            assert!(token.offset == 0 && token.literals > 0 && index + 1 == tokens.len(), "{token:?}");
            continue;
        }
        assert!((3..=258).contains(&token.length), "{token:?}");
        assert!((1..=32_768).contains(&token.offset) && token.offset as usize <= out.len(), "{token:?}");
        for _ in 0..token.length {
            out.push(out[out.len() - token.offset as usize]);
        }
    }
    out
}

fn window(data: &[u8]) -> Window {
    let mut window = Window::new();
    window.load(data);
    window
}

fn parse(effort: Effort, data: &[u8]) -> Vec<Token> {
    let mut tokens = vec![Token { literals: 9, length: 9, offset: 9 }];
    Parser::new(effort, 32_768).parse(&window(data), &mut tokens);
    tokens
}

fn matched(tokens: &[Token]) -> u32 {
    tokens.iter().map(|token| token.length).sum()
}

fn check(data: &[u8]) {
    for effort in EFFORTS {
        assert!(expand(data, &parse(effort, data)) == data, "{effort:?}");
    }
}

fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// Something like a program: words from a small stock, some of them changed a little, and noise.
fn mixture(seed: u64, len: usize) -> Vec<u8> {
    let mut random = noise(seed);
    let stock: Vec<u8> = noise(seed + 1).take(600).collect();
    let mut data = Vec::new();
    while data.len() < len {
        let mut byte = || usize::from(random.next().unwrap());
        let (kind, start, size) = (byte(), byte() * 2, 2 + byte() % 40);
        match kind {
            0..=9 => data.resize(data.len() + size * size, 0),
            10..=59 => data.extend(random.by_ref().take(size / 3)),
            60..=99 if data.len() > 20_000 => {
                let back = data.len() - start * 37;
                data.extend_from_within(back - size * 4..back);
            }
            _ => data.extend_from_slice(&stock[start..start + size]),
        }
    }
    data.truncate(len);
    data
}

#[test]
fn nothing() {
    for effort in EFFORTS {
        assert_eq!(parse(effort, &[]), []);
    }
}

#[test]
fn few_bytes() {
    for len in 1..=20 {
        check(&vec![7; len]);
        check(&noise(3).take(len).collect::<Vec<_>>());
        check(&b"abcabcabcabcabcabcabc"[..len]);
    }
    for effort in EFFORTS {
        assert_eq!(parse(effort, b"x"), [Token { literals: 1, length: 0, offset: 0 }]);
    }
}

/// The last bytes of a grain may be a match, however few they are, and what was behind them before does not matter.
#[test]
fn matches_at_the_end() {
    for length in 4..=40 {
        let mut data: Vec<u8> = noise(5).take(300).collect();
        data.extend_from_within(100..100 + length);
        for effort in EFFORTS {
            let tokens = parse(effort, &data);
            assert!(expand(&data, &tokens) == data);
            let last = tokens.last().expect("some bytes");
            assert_eq!((last.length as usize, last.offset), (length, 200), "{effort:?}");

            let mut parser = Parser::new(effort, 32_768);
            let mut longer = data.clone();
            longer.extend_from_within(100 + length..180);
            let mut again = Vec::new();
            parser.parse(&window(&longer), &mut again);
            parser.parse(&window(&data), &mut again);
            assert_eq!(again, tokens, "{effort:?}");
        }
    }
}

#[test]
fn one_byte_over_and_over() {
    for value in [0, 0xFF, b'a'] {
        for len in [257, 258, 259, 260, 261, 262, 1000, 32_768, 65_535, 65_536] {
            let data = vec![value; len];
            check(&data);
            for effort in EFFORTS {
                let tokens = parse(effort, &data);
                assert!(tokens.len() <= len / 258 + 2, "{effort:?} {len}: {}", tokens.len());
            }
        }
    }
}

#[test]
fn periods() {
    for period in 1..=300 {
        let unit: Vec<u8> = noise(period as u64).take(period).collect();
        let data: Vec<u8> = unit.iter().copied().cycle().take(4_000 + period).collect();
        for effort in EFFORTS {
            let tokens = parse(effort, &data);
            assert!(expand(&data, &tokens) == data);
            assert!(matched(&tokens) as usize + period + 16 >= data.len(), "{effort:?} {period}");
        }
    }
}

#[test]
fn noise_has_no_matches() {
    let data: Vec<u8> = noise(1).take(65_536).collect();
    for effort in EFFORTS {
        let tokens = parse(effort, &data);
        assert!(expand(&data, &tokens) == data);
        assert!(matched(&tokens) < 1_000, "{effort:?}");
    }
}

/// A copy from as far as the format allows is found, one from a byte farther is none.
#[test]
fn farthest() {
    for (distance, near) in [(32_767, true), (32_768, true), (32_769, false), (40_000, false)] {
        for at in [0, 1, 32_760, 32_767, 32_768, 65_536 - distance - 300] {
            if at + distance + 300 > 65_536 {
                continue;
            }
            let mut data: Vec<u8> = noise(distance as u64).take(65_536).collect();
            data.copy_within(at..at + 200, at + distance);
            for effort in EFFORTS {
                let tokens = parse(effort, &data);
                assert!(expand(&data, &tokens) == data);
                let long = tokens.iter().any(|token| token.length >= 180);
                assert_eq!(long, near, "{effort:?} {distance} {at}");
            }
        }
    }
}

/// With a shorter reach likewise: nothing is farther, and what is near is found.
#[test]
fn short_reach() {
    for (distance, near) in [(4_095, true), (4_096, true), (4_097, false), (32_768, false)] {
        for at in [0, 1, 4_096, 28_671, 28_672] {
            let mut data: Vec<u8> = noise(distance as u64).take(65_536).collect();
            data.copy_within(at..at + 200, at + distance);
            for effort in EFFORTS {
                let mut tokens = Vec::new();
                Parser::new(effort, 4_096).parse(&window(&data), &mut tokens);
                assert!(expand(&data, &tokens) == data);
                let long = tokens.iter().any(|token| token.length >= 180);
                assert_eq!(long, near, "{effort:?} {distance} {at}");
            }
        }
    }
    for seed in 0..8 {
        for data in [mixture(seed, 65_536), mixture(seed, 4_097 + seed as usize * 500)] {
            for effort in EFFORTS {
                let mut tokens = Vec::new();
                Parser::new(effort, 4_096).parse(&window(&data), &mut tokens);
                assert!(expand(&data, &tokens) == data);
                assert!(tokens.iter().all(|token| token.offset <= 4_096), "{effort:?}");
            }
        }
    }
}

/// One parser, many grains: each parse is that of a new parser.
#[test]
fn grains_do_not_know_each_other() {
    let grains = [
        mixture(1, 65_536),
        vec![],
        mixture(1, 65_536),
        vec![0; 65_536],
        mixture(2, 30_000),
        noise(9).take(65_536).collect(),
        mixture(1, 29_999),
        b"abcabcabc".to_vec(),
        mixture(2, 30_000),
    ];
    for effort in EFFORTS {
        let mut parser = Parser::new(effort, 32_768);
        let mut tokens = Vec::new();
        for grain in &grains {
            parser.parse(&window(grain), &mut tokens);
            assert_eq!(tokens, parse(effort, grain), "{effort:?}");
            let mut same = parser.clone();
            same.parse(&window(grain), &mut tokens);
            assert_eq!(tokens, parse(effort, grain), "{effort:?}");
        }
    }
}

/// Bits that a parse takes about, each block's code being free.
fn size(data: &[u8], tokens: &[Token]) -> f64 {
    use crate::deflate::format::{LENGTH_EXTRA, LENGTH_SLOTS, offset_extra_bits, offset_slot};
    let (mut symbols, mut slots, mut bits, mut at) = ([0_u32; 286], [0_u32; 30], 0.0, 0);
    for token in tokens {
        for byte in &data[at..at + token.literals as usize] {
            symbols[usize::from(*byte)] += 1;
        }
        at += (token.literals + token.length) as usize;
        if token.length > 0 {
            let (length, offset) =
                (usize::from(LENGTH_SLOTS[token.length as usize]), offset_slot(token.offset));
            symbols[257 + length] += 1;
            slots[offset] += 1;
            bits += f64::from(LENGTH_EXTRA[length]) + f64::from(offset_extra_bits(offset));
        }
    }
    for counts in [&symbols[..], &slots[..]] {
        let total: u32 = counts.iter().sum();
        let used = counts.iter().filter(|count| **count > 0);
        bits +=
            used.map(|count| f64::from(*count) * (f64::from(total) / f64::from(*count)).log2()).sum::<f64>();
    }
    bits
}

#[test]
fn more_effort_makes_it_smaller() {
    let mut sums = [0.0; 3];
    for seed in 0..4 {
        let data = mixture(seed, 65_536);
        let sizes = EFFORTS.map(|effort| size(&data, &parse(effort, &data)));
        let [fast, default, best] = sizes;
        assert!(default < fast * 0.99, "{fast} {default}");
        assert!(best < default, "{default} {best}");
        sums.iter_mut().zip(sizes).for_each(|(sum, size)| *sum += size);
    }
    // Of this data; of programs it is 3 %.
    assert!(sums[2] < sums[1] * 0.996, "{sums:?}");
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        check(&data);
    }

    #[test]
    fn few_different_bytes(data in proptest::collection::vec(0..3_u8, 0..3000)) {
        check(&data);
    }

    #[test]
    fn mixtures(seed in any::<u32>(), len in 0..=65_536_usize) {
        let data = mixture(seed.into(), len);
        check(&data);
    }
}

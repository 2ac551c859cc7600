//! The fast LZMS decoder against the reference, in buffers of exactly the right size.
//!
//! Arbitrary bytes decode to something for a while, but not to an orderly end; so with every other first byte the input
//! drives the test encoder instead: what it writes must decode to what was meant, and, with bytes changed, in both
//! decoders to the same.

#![no_main]

#[path = "../../crates/codec/tests/support/lzms_encoder.rs"]
mod lzms_encoder;

use codec::{Error, Lzms, reference};
use libfuzzer_sys::fuzz_target;
use lzms_encoder::{Encoder, Item, Source, apply_x86};

fuzz_target!(|data: &[u8]| {
    let Some(([mode, size_low, size_high], data)) = data.split_first_chunk() else { return };
    let size = usize::from(u16::from_le_bytes([*size_low, *size_high]));
    if mode & 1 == 0 {
        let _ = decode(data, size);
        return;
    }
    let (src, expected) = written(*mode, data);
    let mut found = decode(&src, expected.len()).expect("what the encoder writes is valid");
    apply_x86(&mut found);
    assert!(found == expected, "not what was meant");
    if let Some(at) = size.checked_rem(src.len()) {
        let mut damaged = src;
        damaged[at] ^= data.last().map_or(1, |byte| byte | 1);
        let _ = decode(&damaged, expected.len());
        let _ = decode(&damaged[..at], expected.len());
        let _ = decode(&damaged[at..], expected.len() + 1);
    }
});

/// Decodes with both, which must agree. The buffers are allocations of their own, so that leaving them is noticed.
fn decode(src: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let src = Box::<[u8]>::from(src);
    let mut fast = vec![0xA5; size].into_boxed_slice();
    let mut plain = vec![0xA5; size].into_boxed_slice();
    let result = Lzms::new().decode(&src, &mut fast);
    assert_eq!(result, reference::Lzms::new().decode(&src, &mut plain));
    result.map(|()| {
        assert!(fast == plain, "different bytes");
        fast.into_vec()
    })
}

/// Items and bytes of a chunk that the encoder writes: codes are rebuilt every 1024 symbols or sooner, so this is several
/// times what it takes to get there, and still thousands of inputs a second.
const MAX_ITEMS: usize = 4000;
const MAX_LEN: u32 = 20_000;

/// Three bytes make an item; they are gone through several times, so that codes are rebuilt.
fn written(mode: u8, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let rounds = 1 + usize::from(mode >> 1 & 0x1F);
    let mut items = Vec::new();
    let mut at = 0_u32;
    'rounds: for round in 0..rounds as u32 {
        for [kind, low, high] in data.as_chunks().0 {
            let share = u32::from(u16::from_le_bytes([*low, *high]));
            let length = match kind >> 3 & 7 {
                7 => 1 + (share + round) % 2000,
                short => 1 + u32::from(short) * 3,
            };
            let repeat = (share % 3) as usize;
            let power = share % 8;
            items.push(match kind & 7 {
                1 | 2 if at > 0 => Item::Lz { source: Source::Explicit(1 + (share + round) % at), length },
                3 => Item::Lz { source: Source::Repeat(repeat), length },
                4 if at >> power > 1 => {
                    let offset = 1 + (share / 8 + round) % ((at >> power) - 1);
                    Item::Delta { source: Source::Explicit((power, offset)), length }
                }
                5 => Item::Delta { source: Source::Repeat(repeat), length },
                _ => Item::Literal(*low),
            });
            at += match kind & 7 {
                0 | 6 | 7 => 1,
                _ => length,
            };
            if at > MAX_LEN || items.len() == MAX_ITEMS {
                break 'rounds;
            }
        }
    }
    // Repeats may reach before the chunk, and then become literals; so the size is known only at the end.
    let mut trial = Encoder::new(1 << 19);
    items.iter_mut().for_each(|item| {
        if !trial.fits(*item) {
            *item = Item::Literal(0xE8);
        }
        trial.item(*item);
    });
    let mut encoder = Encoder::new(trial.output.len());
    items.iter().for_each(|item| encoder.item(*item));
    let expected = encoder.output.clone();
    (encoder.finish(), expected)
}

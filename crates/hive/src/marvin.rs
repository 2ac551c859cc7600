//! Marvin32, the keyed checksum of log entries.
//!
//! Public as a part of .NET (where it hashes strings); the registry uses a fixed key.

/// The two words of the registry's key, the low one first.
const KEY: [u32; 2] = [0x7A4E_55C5, 0x82EF_4D88];

pub(crate) fn marvin32(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut state = KEY;
    for word in words {
        state = mix(state, u32::from_le_bytes(*word));
    }
    // What is left, with a byte 0x80 behind it.
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    state = mix(state, u32::from_le_bytes(last));
    let [low, high] = mix(state, 0);
    u64::from(high) << 32 | u64::from(low)
}

fn mix([mut low, mut high]: [u32; 2], word: u32) -> [u32; 2] {
    low = low.wrapping_add(word);
    high ^= low;
    low = low.rotate_left(20).wrapping_add(high);
    high = high.rotate_left(9) ^ low;
    low = low.rotate_left(27).wrapping_add(high);
    high = high.rotate_left(19);
    [low, high]
}

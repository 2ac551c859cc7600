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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_windows_computes() {
        // The head of an entry that Windows 10 wrote: size, flags, sequence, size of the bins, pages and the hash of all
        // behind it; then the hash of this.
        let mut head = Vec::from(*b"HvLE");
        for word in [0x3E00u32, 1, 2107, 0x00BD_3000, 3, 0xBE2C_81C4, 0x4B70_B6A1] {
            head.extend(word.to_le_bytes());
        }
        assert_eq!(marvin32(&head), 0xDD88_C5D7_DF48_F30A);
        // The length counts: what is left over is padded differently.
        let hashes: Vec<u64> = (0..9).map(|len| marvin32(&[0; 9][..len])).collect();
        assert!((1..9).all(|at| !hashes[..at].contains(&hashes[at])), "{hashes:x?}");
    }
}

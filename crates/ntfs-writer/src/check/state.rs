//! What is remembered of each record, name and run between the passes.

/// A record.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// FILETIMEs of `$STANDARD_INFORMATION`, hashed.
    pub(super) times: u64,
    /// Length of the unnamed stream.
    pub(super) size: u64,
    /// Its allocated bytes, as directories repeat them.
    pub(super) allocated: u64,
    /// The base record, of an extension.
    pub(super) base: u32,
    /// File attributes.
    pub(super) attributes: u32,
    /// The id into `$Secure`.
    pub(super) security: u32,
    /// Reparse tag, or packed length of the extended attributes.
    pub(super) tag: u32,
    /// A directory's own directory.
    pub(super) parent: u32,
    pub(super) sequence: u16,
    pub(super) base_sequence: u16,
    /// What the header says.
    pub(super) links: u16,
    /// Names that were found.
    pub(super) names: u16,
    /// Names that are not only DOS'.
    pub(super) long_names: u16,
    /// Flags of the header.
    pub(super) flags: u16,
    bits: u16,
}

macro_rules! bits {
    ($($get:ident, $set:ident = $bit:literal,)*) => {$(
        pub(super) const fn $get(&self) -> bool {
            self.bits & 1 << $bit != 0
        }

        pub(super) const fn $set(&mut self) {
            self.bits |= 1 << $bit;
        }
    )*};
}

impl State {
    bits! {
        in_use, set_in_use = 0,
        is_extension, set_extension = 1,
        has_list, set_list = 2,
        has_descriptor, set_descriptor = 3,
        has_standard, set_standard = 4,
        // The list of the base names the record.
        is_listed, set_listed = 5,
        // It hangs on the root.
        is_reached, set_reached = 6,
        // In use, but nothing in it can be trusted.
        is_damaged, set_damaged = 7,
        // It has an index.
        has_index, set_index = 8,
        // The search for the way to the root came by.
        is_met, set_met = 10,
    }

    pub(super) const fn is_directory(&self) -> bool {
        self.flags & crate::layout::record::flags::DIRECTORY != 0
    }
}

/// A name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameRef {
    /// The file's base record.
    pub(super) record: u32,
    /// Hash of the name.
    pub(super) hash: u64,
    /// The directory's record, as the name says; `u32::MAX` for one that cannot be.
    pub(super) parent: u32,
    pub(super) namespace: u8,
    /// The directory lists it.
    pub(super) seen: bool,
    pub(super) parent_sequence: u16,
}

/// A run of clusters that a value takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) lcn: u64,
    pub(super) clusters: u64,
    pub(super) record: u32,
    pub(super) kind: u32,
}

/// A hash of bytes, the same everywhere and always. Whoever makes names that collide hides a fault from himself.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut sum = (bytes.len() as u64).wrapping_mul(K);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(K);
        sum ^= sum >> 29;
    }
    sum.wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ sum >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_few_bytes() {
        assert!(size_of::<State>() <= 64);
        assert!(size_of::<NameRef>() <= 24 && size_of::<Claim>() <= 24);
    }

    #[test]
    fn hashes_differ() {
        let mut all: Vec<u64> = (0..1000u32).map(|n| hash(n.to_string().as_bytes())).collect();
        all.push(hash(&[]));
        all.push(hash(&[0]));
        all.push(hash(&[0; 8]));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1003);
    }
}

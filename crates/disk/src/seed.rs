use sha2::{Digest, Sha256};

use crate::Guid;

/// The origin of every identity that a build needs (GUIDs, disk signature, volume serials): the same seed gives the
/// same identities, and the labels keep them apart. Never a source of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed from whatever identifies the build: a user's text, or a digest of the inputs.
    pub fn new(material: &[u8]) -> Self {
        Self(Sha256::digest(material).into())
    }

    /// A seed of its own for a part of the build, such as a partition.
    pub fn child(&self, label: &str) -> Self {
        Self(self.derive(label))
    }

    /// A random-looking (version 4) GUID for `label`.
    pub fn guid(&self, label: &str) -> Guid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.derive(label)[..16]);
        Guid(bytes).into_v4()
    }

    /// A number for `label`.
    pub fn u64(&self, label: &str) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.derive(label)[..8]);
        u64::from_le_bytes(bytes)
    }

    /// A number for `label` that is never zero and never all ones, the two values that formats reserve.
    pub fn u32_nonzero(&self, label: &str) -> u32 {
        let number = (self.u64(label) >> 32) as u32;
        number.clamp(1, u32::MAX - 1)
    }

    fn derive(&self, label: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(label.as_bytes()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_identities_apart_and_the_bytes_are_pinned() {
        let seed = Seed::new(b"wimforge");
        assert_ne!(seed.guid("disk"), seed.guid("volume"));
        assert_ne!(seed.child("a").u64("x"), seed.child("b").u64("x"));
        // Changing this changes every image ever built from a given seed: a breaking change.
        // The value is SHA-256(SHA-256("wimforge") || "serial"), recomputed with Python's hashlib.
        assert_eq!(seed.u64("serial"), 15_369_662_650_098_188_466);
    }
}

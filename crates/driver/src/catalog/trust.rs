//! Whose keys are known.
//!
//! Microsoft's roots are not in catalogs, and not in here. What can be known without them is the keys of the authorities
//! that sign drivers for Microsoft, which catalogs carry: by their hashes. A chain that ends at one of these is as good as
//! one that ends at the root, as far as its keys go; any other is reported with the name of its last issuer, which proves
//! nothing.

use sha2::{Digest as _, Sha256};

/// Hashes of the public keys of Microsoft's authorities: SHA-256 of `SubjectPublicKeyInfo`, and the name.
///
/// Each was taken from catalogs of different publishers, and checked with OpenSSL to be certified by "Microsoft Root
/// Certificate Authority 2010" (SHA-1 thumbprint 3b1efd3a66ea28b16697394703a72ca340a05bd5).
const MICROSOFT: &[(&str, [u8; 32])] = &[(
    "Microsoft Windows Third Party Component CA 2014",
    [
        0x32, 0x7d, 0xe8, 0x2c, 0x96, 0xeb, 0xe8, 0x40, 0x51, 0x57, 0x8d, 0x83, 0x45, 0x8f, 0xd8, 0x77, 0xb4,
        0x87, 0xfd, 0x33, 0x0b, 0xdb, 0x3e, 0x3d, 0x25, 0xce, 0xe3, 0x39, 0x10, 0x0c, 0xdc, 0x73,
    ],
)];

/// The keys that a chain may end at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    keys: Vec<[u8; 32]>,
}

impl Trusted {
    /// The keys of Microsoft that are known.
    pub fn microsoft() -> Self {
        Self { keys: MICROSOFT.iter().map(|(_, key)| *key).collect() }
    }

    /// No keys.
    pub const fn nobody() -> Self {
        Self { keys: Vec::new() }
    }

    /// These and another: the SHA-256 of its `SubjectPublicKeyInfo` in DER, as `openssl x509 -pubkey` and `openssl
    /// pkey -pubin -outform DER` give it.
    #[must_use]
    pub fn and(mut self, key: [u8; 32]) -> Self {
        self.keys.push(key);
        self
    }

    /// Whether a key is among them.
    pub(super) fn knows(&self, public_key: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(public_key).into();
        self.keys.contains(&hash)
    }
}

impl Default for Trusted {
    fn default() -> Self {
        Self::microsoft()
    }
}

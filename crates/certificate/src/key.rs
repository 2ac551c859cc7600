use std::fmt;

use disk::At;
use hmac::{Hmac, KeyInit, Mac};
use pem_rfc7468::LineEnding;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::der::{self, Der, Reader, tag};
use crate::rsa::RsaKey;
use crate::{Error, Result, oid};

/// A key file of 4096 bits has 3.3 kB; what comes before the key in it may be as long again, many times.
pub(crate) const MOST_PEM: usize = 64 << 10;

const LABEL: &str = "PRIVATE KEY";

/// The private key of a server, RSA. Its memory is wiped when it is dropped, and it is not printed.
#[derive(Clone)]
pub struct Key {
    rsa: RsaKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// A new key of 2048 bits from the system's randomness.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    pub fn generate() -> Result<Self> {
        Ok(Self { rsa: RsaKey::generate()? })
    }

    /// Reads `-----BEGIN PRIVATE KEY-----`, PKCS#8 (RFC 5958) in PEM: an RSA key of 2048, 3072 or 4096 bits.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Unsupported`]; the latter for keys that are encrypted or of other kinds.
    /// [`Error::Limit`] over 64 KiB.
    pub fn from_pem(text: &str) -> Result<Self> {
        if text.len() > MOST_PEM {
            let (found, limit) = (text.len() as u64, MOST_PEM as u64);
            return Err(Error::Limit { what: "size of a key in bytes", found, limit });
        }
        let at = At::new("PEM text of a key", 0);
        let other = |reason: String| Error::Unsupported { at, reason };
        let label = pem_rfc7468::decode_label(text.as_bytes())
            .map_err(|error| Error::Malformed { at, reason: format!("no `BEGIN {LABEL}`: {error}") })?;
        match label {
            LABEL => {}
            "ENCRYPTED PRIVATE KEY" => {
                let advice = "expected one that is not (`openssl pkcs8` writes it)";
                return Err(other(format!("an encrypted key, {advice}")));
            }
            "RSA PRIVATE KEY" => {
                let advice = "expected PKCS#8 (`openssl pkcs8 -topk8 -nocrypt` writes it)";
                return Err(other(format!("a key in PKCS#1, {advice}")));
            }
            _ => return Err(other(format!("`BEGIN {label}`, expected `BEGIN {LABEL}`"))),
        }
        let (_, der) = pem_rfc7468::decode_vec(text.as_bytes())
            .map_err(|error| Error::Malformed { at, reason: format!("no PEM: {error}") })?;
        Self::from_pkcs8(&Zeroizing::new(der))
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self> {
        let mut outer = Reader::new(bytes, "private key");
        let mut fields = outer.next(tag::SEQUENCE, "private key")?;
        outer.end()?;
        // Version 1 has a public key behind; what follows the private one is of no interest.
        let version = fields.unsigned("version of a private key")?;
        let at = fields.at();
        if version != [0] && version != [1] {
            let reason = format!("version {version:02x?}, expected 0 or 1");
            return Err(Error::Unsupported { at, reason });
        }
        let mut algorithm = fields.next(tag::SEQUENCE, "algorithm of a private key")?;
        let at = algorithm.at();
        if algorithm.next(tag::OID, "algorithm of a private key")?.bytes() != oid::RSA_ENCRYPTION {
            let reason = "no RSA key, and SChannel on old Windows knows hardly any other".to_owned();
            return Err(Error::Unsupported { at, reason });
        }
        let rsa = fields.next(tag::OCTET_STRING, "private key")?;
        Ok(Self { rsa: RsaKey::from_der(rsa.bytes())? })
    }

    /// PKCS#8 in PEM, with the line ends of Unix.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let text = pem_rfc7468::encode_string(LABEL, LineEnding::LF, &self.pkcs8(&[]));
        Zeroizing::new(text.expect("a key is far below the limit of PEM"))
    }

    /// `PrivateKeyInfo` of RFC 5208 5, with these attributes (none, or a whole `[0]`).
    pub(crate) fn pkcs8(&self, attributes: &[u8]) -> Der {
        let algorithm = der::sequence(&[&der::oid(oid::RSA_ENCRYPTION), &der::null()]);
        der::sequence(&[&der::unsigned(&[0]), &algorithm, &der::octets(self.rsa.der()), attributes])
    }

    /// `SubjectPublicKeyInfo` of RFC 5280 4.1 without its head: algorithm, and key in bits.
    pub(crate) fn public(&self) -> (Der, Der) {
        let algorithm = der::sequence(&[&der::oid(oid::RSA_ENCRYPTION), &der::null()]);
        (algorithm, self.rsa.public_der())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.rsa.sign(message)
    }

    /// 32 bytes that only who has the key can compute, other ones for every `purpose`, always the same: HMAC-SHA-256
    /// under the key, as HKDF (RFC 5869) has it. They replace randomness where a build has to give the same bytes again.
    pub(crate) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.rsa.der()).expect("keys of all sizes are taken");
        mac.update(b"wimforge ");
        mac.update(purpose.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// A password for the PKCS#12 file of this key: 32 hexadecimal digits, of 128 bits, always the same.
    pub fn password(&self) -> Zeroizing<String> {
        let bytes = self.derive("password of a PKCS#12 file");
        let mut text = Zeroizing::new(String::with_capacity(32));
        for byte in &bytes[..16] {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).expect("a digit"));
            }
        }
        text
    }
}

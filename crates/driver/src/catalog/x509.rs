//! Certificates, as far as a chain of signatures needs them.

use num_bigint::BigUint;

use super::der::{Element, Reader, tag};
use super::digest::Algorithm;
use crate::{Error, Result};

/// Bits of the keys that are accepted.
const KEY_BITS: std::ops::RangeInclusive<u64> = 1024..=8192;

/// Bits of the largest exponent; real ones have 17.
const MAX_EXPONENT_BITS: u64 = 33;

mod oid {
    pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    pub(super) const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
}

/// A certificate.
#[derive(Clone, Debug)]
pub(super) struct Certificate<'d> {
    /// The part that is signed.
    to_be_signed: &'d [u8],
    pub(super) serial: &'d [u8],
    /// The issuer's name as it is encoded.
    pub(super) issuer: &'d [u8],
    /// The subject's.
    pub(super) subject: &'d [u8],
    /// The key with its algorithm, as it is encoded.
    pub(super) public_key: &'d [u8],
    key: Option<(BigUint, BigUint)>,
    /// Whether it may sign others.
    pub(super) is_authority: bool,
    algorithm: Option<Algorithm>,
    signature: &'d [u8],
}

impl<'d> Certificate<'d> {
    pub(super) fn parse(element: &Element<'d>) -> Result<Self> {
        let mut outer = element.inside("certificate");
        let signed = outer.get(tag::SEQUENCE)?;
        let algorithm = algorithm(&outer.get(tag::SEQUENCE)?)?;
        let signature = outer.get(tag::BIT_STRING)?.bits()?;
        let mut inner = signed.inside("certificate");
        inner.optional(tag::context(0))?; // the version
        let serial = inner.get(tag::INTEGER)?.body;
        inner.get(tag::SEQUENCE)?; // the algorithm again
        let issuer = inner.get(tag::SEQUENCE)?.whole;
        inner.get(tag::SEQUENCE)?; // the validity
        let subject = inner.get(tag::SEQUENCE)?.whole;
        let key_info = inner.get(tag::SEQUENCE)?;
        let mut is_authority = false;
        for element in inner.each() {
            let element = element?;
            if element.tag == tag::context(3) {
                is_authority = may_sign(&element)?;
            }
        }
        Ok(Self {
            to_be_signed: signed.whole,
            serial,
            issuer,
            subject,
            public_key: key_info.whole,
            key: rsa_key(&key_info)?,
            is_authority,
            algorithm,
            signature,
        })
    }

    /// Whether the key of this certificate made a signature of some stretches of bytes. RSA with the padding of
    /// PKCS #1 version 1.5 is what catalogs have.
    pub(super) fn signed(&self, algorithm: Algorithm, parts: &[&[u8]], signature: &[u8]) -> bool {
        let Some((modulus, exponent)) = &self.key else { return false };
        let len = modulus.bits().div_ceil(8) as usize;
        if signature.len() != len {
            return false;
        }
        let number = BigUint::from_bytes_be(signature);
        if number >= *modulus {
            return false;
        }
        let found = number.modpow(exponent, modulus).to_bytes_be();
        let (prefix, hash) = (algorithm.prefix(), algorithm.hash(parts));
        // 00 01 FF … FF 00 and the hash; the number has no leading zero. What it should be is built, not taken apart.
        let Some(padding) = len.checked_sub(3 + prefix.len() + hash.len()).filter(|&padding| padding >= 8)
        else {
            return false;
        };
        let mut expected = vec![0x01];
        expected.resize(1 + padding, 0xFF);
        expected.push(0);
        expected.extend(prefix);
        expected.extend(hash);
        found == expected
    }

    /// Whether the key of another certificate signed this one.
    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        issuer.subject == self.issuer
            && self
                .algorithm
                .is_some_and(|algorithm| issuer.signed(algorithm, &[self.to_be_signed], self.signature))
    }
}

/// The common name in an encoded name; all of its parts when it has none.
pub(super) fn common_name(name: &[u8]) -> Result<String> {
    let mut all = Vec::new();
    for set in Reader::new(name, "name").get(tag::SEQUENCE)?.inside("name").each() {
        for pair in set?.inside("name").each() {
            let pair = pair?;
            let mut pair = pair.inside("name");
            let (kind, value) = (pair.get(tag::OID)?, pair.any()?);
            if kind.body == oid::COMMON_NAME {
                return Ok(value.text());
            }
            all.push(value.text());
        }
    }
    Ok(all.join(", "))
}

/// The hash that an algorithm identifier names; `None` for one that is not known.
pub(super) fn algorithm(element: &Element<'_>) -> Result<Option<Algorithm>> {
    Ok(Algorithm::of_oid(element.inside("algorithm").get(tag::OID)?.body))
}

fn rsa_key(element: &Element<'_>) -> Result<Option<(BigUint, BigUint)>> {
    let mut info = element.inside("public key");
    let kind = info.get(tag::SEQUENCE)?.inside("public key").get(tag::OID)?;
    if kind.body != oid::RSA {
        return Ok(None);
    }
    let bits = info.get(tag::BIT_STRING)?;
    let mut numbers = Reader::new(bits.bits()?, "public key").get(tag::SEQUENCE)?.inside("public key");
    let (modulus, exponent) = (numbers.get(tag::INTEGER)?, numbers.get(tag::INTEGER)?);
    let [modulus, exponent] = [modulus, exponent].map(|number| BigUint::from_bytes_be(number.body));
    // A modulus that is even or an exponent of gigabits would be work for nothing.
    let sound = KEY_BITS.contains(&modulus.bits()) && modulus.bit(0) && exponent.bits() <= MAX_EXPONENT_BITS;
    if !sound || exponent.bits() < 2 {
        let (modulus, exponent) = (modulus.bits(), exponent.bits());
        return Err(Error::Unsupported {
            at: disk::At::new("public key", 0),
            reason: format!("a modulus of {modulus} bits and an exponent of {exponent}"),
        });
    }
    Ok(Some((modulus, exponent)))
}

/// Whether the extensions of a certificate make it that of an authority.
fn may_sign(extensions: &Element<'_>) -> Result<bool> {
    for extension in extensions.inside("extensions").get(tag::SEQUENCE)?.inside("extensions").each() {
        let extension = extension?;
        let mut parts = extension.inside("extension");
        if parts.get(tag::OID)?.body != oid::BASIC_CONSTRAINTS {
            continue;
        }
        parts.optional(tag::BOOLEAN)?; // whether it is critical
        let value = parts.get(tag::OCTET_STRING)?;
        let mut constraints =
            value.inside("basic constraints").get(tag::SEQUENCE)?.inside("basic constraints");
        return Ok(constraints.optional(tag::BOOLEAN)?.is_some_and(|found| found.body == [0xFF]));
    }
    Ok(false)
}

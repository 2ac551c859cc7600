//! RSA: making a key, checking one that was read, and one signature.
//!
//! Numbers are `crypto-bigint`'s. Exponentiation with the private exponent takes the same time for every exponent; no
//! Chinese remainders are used, so that a fault of the machine cannot give the primes away. What is left of timing is of
//! no use to anybody: there is one signature in a build, and nobody who waits for it.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul, Integer, Lcm, NonZero, Odd, Resize};
use crypto_primes::hazmat::SmallFactorsSieve;
use crypto_primes::{Flavor, is_prime};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::der::{self, Der, Reader, tag};
use crate::{Error, Result, oid};

/// What is made; the least that SChannel and everyone's policies take.
const BITS: u32 = 2048;
/// Sizes of modulus that are read.
const SIZES: [u32; 3] = [2048, 3072, 4096];
/// The usual public exponent, 2^16 + 1.
const EXPONENT: u32 = 0x1_0001;

/// A private key of two primes. Its numbers are consistent: [`RsaKey::from_der`] has checked them.
#[derive(Clone)]
pub(crate) struct RsaKey {
    modulus: Odd<BoxedUint>,
    public_exponent: BoxedUint,
    private_exponent: BoxedUint,
    /// `RSAPrivateKey` of RFC 8017 A.1.2, as it was read or made.
    der: Der,
}

impl Drop for RsaKey {
    fn drop(&mut self) {
        self.private_exponent.zeroize();
    }
}

impl RsaKey {
    /// A new key from the system's randomness.
    pub(crate) fn generate() -> Result<Self> {
        loop {
            let (mut p, mut q) = (random_prime(BITS / 2)?, random_prime(BITS / 2)?);
            if p < q {
                std::mem::swap(&mut p, &mut q);
            }
            // None when the primes are one, or the public exponent divides what it must not; neither ever happens twice.
            let key = Self::from_primes(&p, &q);
            p.zeroize();
            q.zeroize();
            if let Some(key) = key {
                return Ok(key);
            }
        }
    }

    fn from_primes(p: &BoxedUint, q: &BoxedUint) -> Option<Self> {
        let bits = p.bits_precision() + q.bits_precision();
        let modulus = p.concatenating_mul(q);
        let exponent = BoxedUint::from(EXPONENT).resize(bits);
        let one = BoxedUint::one_with_precision(p.bits_precision());
        let (less_p, less_q) = (Zeroizing::new(p - &one), Zeroizing::new(q - &one));
        let order = NonZero::new(less_p.lcm(&less_q).resize(bits)).into_option()?;
        let private = Zeroizing::new(exponent.invert_mod(&order).into_option()?);
        let remainder = |less: &BoxedUint| {
            NonZero::new(less.clone().resize(bits)).into_option().map(|less| private.rem(&less))
        };
        let numbers = Zeroizing::new([remainder(&less_p)?, remainder(&less_q)?]);
        let inverse = Zeroizing::new(q.invert_odd_mod(&Odd::new(p.clone()).into_option()?).into_option()?);
        let number = |number: &BoxedUint| der::unsigned(&Zeroizing::new(number.to_be_bytes()));
        let der = der::sequence(&[
            &der::unsigned(&[0]),
            &number(&modulus),
            &number(&exponent),
            &number(&private),
            &number(p),
            &number(q),
            &number(&numbers[0]),
            &number(&numbers[1]),
            &number(&inverse),
        ]);
        // One way to a key, the checked one.
        Some(Self::from_der(&der).expect("a key that was just made"))
    }

    /// Reads an `RSAPrivateKey` and checks that its numbers belong together.
    pub(crate) fn from_der(bytes: &[u8]) -> Result<Self> {
        let mut outer = Reader::new(bytes, "RSA private key");
        let mut fields = outer.next(tag::SEQUENCE, "RSA private key")?;
        outer.end()?;
        let at = fields.at();
        let version = fields.unsigned("version of an RSA private key")?;
        if version != [0] {
            let reason = "a key of more than two primes, expected version 0".to_owned();
            return Err(Error::Unsupported { at, reason });
        }
        let modulus = fields.unsigned("modulus")?;
        let size = modulus.len() as u32 * 8 - modulus[0].leading_zeros();
        if !SIZES.contains(&size) {
            let reason = format!("a modulus of {size} bits, expected 2048, 3072 or 4096");
            return Err(Error::Unsupported { at, reason });
        }
        let names = [
            "public exponent",
            "private exponent",
            "prime",
            "prime",
            "remainder",
            "remainder",
            "coefficient",
        ];
        let mut numbers = Zeroizing::new(vec![BoxedUint::from_be_slice_vartime(modulus)]);
        for what in names {
            let at = fields.at();
            let number = BoxedUint::from_be_slice(fields.unsigned(what)?, size).map_err(|_| {
                Error::Malformed { at, reason: format!("{what} is longer than the modulus of {size} bits") }
            })?;
            numbers.push(number);
        }
        fields.end()?;
        let [n, e, d, p, q, dp, dq, inverse] = &numbers[..] else {
            unreachable!("as many as there are names")
        };

        let wrong = |reason: &str| Error::Malformed { at, reason: reason.to_owned() };
        let one = BoxedUint::one_with_precision(size);
        if e.bits() > 32 || *e <= one || !bool::from(e.is_odd()) {
            return Err(wrong("a public exponent that is even, below 3 or over 32 bits"));
        }
        let half = size / 2;
        for prime in [p, q] {
            let good = prime.bits() == half && {
                let mut short = prime.clone().resize(half);
                let good = is_prime(Flavor::Any, &short);
                short.zeroize();
                good
            };
            if !good {
                return Err(wrong("a factor of the modulus is no prime of half its size"));
            }
        }
        if p == q || p.wrapping_mul(q) != *n {
            return Err(wrong("the modulus is not the product of two primes"));
        }
        let nonzero = |number: BoxedUint| NonZero::new(number).expect("a prime, or one less");
        for (prime, remainder) in [(p, dp), (q, dq)] {
            let less = Zeroizing::new(nonzero(prime.wrapping_sub(&one)));
            if d.rem(&less) != *remainder || e.mul_mod(remainder, &less) != one {
                return Err(wrong("the exponents do not undo each other"));
            }
        }
        let first = Zeroizing::new(nonzero(p.clone()));
        if inverse >= p || q.rem(&first).mul_mod(inverse, &first) != one {
            return Err(wrong("the coefficient is not the inverse of the second prime"));
        }
        let modulus = Odd::new(n.clone()).expect("a product of odd primes");
        Ok(Self {
            modulus,
            public_exponent: e.clone(),
            private_exponent: d.clone(),
            der: Zeroizing::new(bytes.to_vec()),
        })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// `RSAPublicKey` of RFC 8017 A.1.1.
    pub(crate) fn public_der(&self) -> Der {
        let number = |number: &BoxedUint| der::unsigned(&number.to_be_bytes());
        der::sequence(&[&number(self.modulus.as_ref()), &number(&self.public_exponent)])
    }

    /// The signature of `message` by RSASSA-PKCS1-v1_5 with SHA-256, RFC 8017 8.2.1: always the same.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let bits = self.modulus.as_ref().bits_precision();
        let digest = Sha256::digest(message);
        let algorithm = der::sequence(&[&der::oid(oid::SHA256), &der::null()]);
        let info = der::sequence(&[&algorithm, &der::octets(&digest)]);
        let len = bits as usize / 8;
        let mut padded = vec![0xFF; len];
        padded[..2].copy_from_slice(&[0, 1]);
        padded[len - info.len() - 1] = 0;
        padded[len - info.len()..].copy_from_slice(&info);

        let padded = BoxedUint::from_be_slice(&padded, bits).expect("as many bytes as the modulus has");
        let params = BoxedMontyParams::new(self.modulus.clone());
        let signature = BoxedMontyForm::new(padded.clone(), &params).pow(&self.private_exponent).retrieve();
        let back = BoxedMontyForm::new(signature.clone(), &params).pow(&self.public_exponent).retrieve();
        assert_eq!(back, padded, "the exponents undo each other, or the machine does not multiply");
        signature.to_be_bytes().into_vec()
    }
}

/// A prime of exactly `bits` bits whose two highest are set, so that two of them multiply to a number of twice as many:
/// the first one at or after a random number (RFC 8017 asks for no more; the gaps are of no help to anyone who factors).
fn random_prime(bits: u32) -> Result<BoxedUint> {
    loop {
        let mut bytes = Zeroizing::new(vec![0; bits as usize / 8]);
        getrandom::fill(&mut bytes).map_err(|error| Error::Randomness(error.to_string()))?;
        bytes[0] |= 0xC0;
        let start = BoxedUint::from_be_slice(&bytes, bits).expect("as many bytes as it has");
        let most = bits.try_into().expect("not zero");
        let mut sieve = SmallFactorsSieve::new(start, most, false).expect("as many bits as it has");
        // None: there was no prime up to all ones.
        if let Some(prime) = sieve.find(|candidate| is_prime(Flavor::Any, candidate)) {
            return Ok(prime);
        }
    }
}

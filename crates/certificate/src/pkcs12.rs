//! PKCS#12 (RFC 7292): key and certificate in one file, as Windows imports them.
//!
//! Triple DES and SHA-1, and nothing newer: Windows reads PBES2 with AES only since Windows 10 1709 and Server 2019, and
//! the file is meant for Server 2016. Its protection is that of the file: it is imported once, on the machine that it lies
//! on, and its password lies beside it.

use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use des::TdesEde3;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::der::{self, Der, tag};
use crate::{Certificate, Key, oid};

/// How often a password is hashed; what Windows itself writes.
const ITERATIONS: u32 = 2000;
/// Bytes that SHA-1 takes at once, and gives.
const BLOCK: usize = 64;
const HASH: usize = 20;
const SALT: usize = 20;

/// What is derived from a password, RFC 7292 B.3.
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// The PKCS#12 file of `key` and its `certificate`, for `password`.
///
/// The same arguments give the same bytes: salts come from the key, by a hash that does not give it away, and are other
/// ones for another password or certificate.
pub fn pkcs12(key: &Key, certificate: &Certificate, password: &str) -> Vec<u8> {
    // UTF-16BE with a zero at the end, RFC 7292 B.1.
    let password: Zeroizing<Vec<u8>> =
        Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect());
    let salt = |purpose: &str| salt(key, certificate, &password, purpose);

    // Both bags name each other by the certificate's hash, and are called by its subject.
    let attribute = |id, value: &[u8]| der::sequence(&[&der::oid(id), &der::set(&[value])]);
    let attributes = der::set(&[
        &attribute(oid::LOCAL_KEY_ID, &der::octets(&Sha1::digest(certificate.der()))),
        &attribute(oid::FRIENDLY_NAME, &der::bmp(certificate.subject())),
    ]);
    let bag = |id, value: &[u8]| {
        let value = der::element(tag::constructed(0), &[value]);
        der::sequence(&[&der::sequence(&[&der::oid(id), &value, &attributes])])
    };

    // The key is for key exchange (bit 3 of the key usage), what Windows calls AT_KEYEXCHANGE: its services want that.
    let usage = attribute(oid::KEY_USAGE, &der::element(tag::BIT_STRING, &[&[4, 0b0001_0000]]));
    let private = key.pkcs8(&der::element(tag::constructed(0), &[&usage]));
    let (algorithm, encrypted) = encrypt(&private, &password, &salt("key"));
    let key_bag = bag(oid::SHROUDED_KEY_BAG, &der::sequence(&[&algorithm, &der::octets(&encrypted)]));

    let value = der::element(tag::constructed(0), &[&der::octets(certificate.der())]);
    let certificate_bag =
        bag(oid::CERTIFICATE_BAG, &der::sequence(&[&der::oid(oid::X509_CERTIFICATE), &value]));
    let (algorithm, encrypted) = encrypt(&certificate_bag, &password, &salt("certificate"));
    let content = der::element(tag::primitive(0), &[&encrypted]);
    let content = der::sequence(&[&der::oid(oid::DATA), &algorithm, &content]);
    let encrypted_data = der::sequence(&[&der::unsigned(&[0]), &content]);
    let encrypted_data = der::element(tag::constructed(0), &[&encrypted_data]);
    let certificates = der::sequence(&[&der::oid(oid::ENCRYPTED_DATA), &encrypted_data]);

    let safe = der::sequence(&[&certificates, &data(&key_bag)]);
    let mac = mac(&safe, &password, &salt("mac"));
    der::sequence(&[&der::unsigned(&[3]), &data(&safe), &mac]).to_vec()
}

/// `ContentInfo` of bytes, RFC 5652 4.
fn data(content: &[u8]) -> Der {
    let content = der::element(tag::constructed(0), &[&der::octets(content)]);
    der::sequence(&[&der::oid(oid::DATA), &content])
}

fn salt(key: &Key, certificate: &Certificate, password: &[u8], purpose: &str) -> [u8; SALT] {
    let secret = key.derive("salts of a PKCS#12 file");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&secret[..]).expect("keys of all sizes are taken");
    for part in [purpose.as_bytes(), certificate.der(), password] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    let bytes = mac.finalize().into_bytes();
    std::array::from_fn(|at| bytes[at])
}

/// `MacData` of RFC 7292 4: HMAC-SHA-1.
fn mac(content: &[u8], password: &[u8], salt: &[u8]) -> Der {
    let mut key = Zeroizing::new([0; HASH]);
    derive(Purpose::Mac, password, salt, &mut key[..]);
    let mut mac = Hmac::<Sha1>::new_from_slice(&key[..]).expect("keys of all sizes are taken");
    mac.update(content);
    let algorithm = der::sequence(&[&der::oid(oid::SHA1), &der::null()]);
    let digest = der::sequence(&[&algorithm, &der::octets(&mac.finalize().into_bytes())]);
    der::sequence(&[&digest, &der::octets(salt), &der::unsigned(&ITERATIONS.to_be_bytes())])
}

/// pbeWithSHAAnd3-KeyTripleDES-CBC of RFC 7292 C: the algorithm with its parameters, and the bytes.
fn encrypt(plain: &[u8], password: &[u8], salt: &[u8]) -> (Der, Vec<u8>) {
    let (mut key, mut iv) = (Zeroizing::new([0; 24]), Zeroizing::new([0; 8]));
    derive(Purpose::Key, password, salt, &mut key[..]);
    derive(Purpose::Iv, password, salt, &mut iv[..]);
    let cipher = cbc::Encryptor::<TdesEde3>::new((&*key).into(), (&*iv).into());
    let encrypted = cipher.encrypt_padded_vec::<Pkcs7>(plain);
    let parameters = der::sequence(&[&der::octets(salt), &der::unsigned(&ITERATIONS.to_be_bytes())]);
    (der::sequence(&[&der::oid(oid::PBE_SHA1_3DES), &parameters]), encrypted)
}

/// RFC 7292 B.2 with SHA-1.
fn derive(purpose: Purpose, password: &[u8], salt: &[u8], out: &mut [u8]) {
    let filled = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().cycle().take(bytes.len().next_multiple_of(BLOCK)).collect()
    };
    let mut input = Zeroizing::new([filled(salt), filled(password)].concat());
    for chunk in out.chunks_mut(HASH) {
        let mut hash = Sha1::new().chain_update([purpose as u8; BLOCK]).chain_update(&input[..]).finalize();
        for _ in 1..ITERATIONS {
            hash = Sha1::digest(hash);
        }
        chunk.copy_from_slice(&hash[..chunk.len()]);
        for block in input.chunks_exact_mut(BLOCK) {
            // block += the hash, repeated to its length, + 1: numbers with the highest byte first.
            let mut carry = 1;
            for (at, byte) in block.iter_mut().enumerate().rev() {
                let sum = u16::from(*byte) + u16::from(hash[at % HASH]) + carry;
                *byte = sum as u8;
                carry = sum >> 8;
            }
        }
    }
}

//! Any text is a private key or is refused. What is read is printed and read again as the same, and signs a certificate and a PKCS#12 file,
//! whatever the names.
#![no_main]

use certificate::{Certificate, Key, Request, pkcs12};
use disk::FileTime;
use libfuzzer_sys::fuzz_target;

/// Makes PEM of bytes, so that what is behind the Base64 is reached.
fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let word =
                group.iter().chain([&0, &0]).take(3).fold(0, |word, byte| word << 8 | usize::from(*byte));
            for digit in 0..4 {
                let symbol = ALPHABET[word >> (18 - 6 * digit) & 63];
                text.push(if digit <= group.len() { symbol.into() } else { '=' });
            }
        }
        text.push('\n');
    }
    text + "-----END PRIVATE KEY-----\n"
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let (names, rest) = rest.split_at(usize::from(mode >> 2).min(rest.len()));
    let text = match mode & 1 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        _ => pem(rest),
    };
    let Ok(key) = Key::from_pem(&text) else { return };
    let printed = key.to_pem();
    let again = Key::from_pem(&printed).expect("what was printed can be read");
    assert!(*again.to_pem() == *printed && *again.password() == *key.password());
    // Signing takes a while, and does not depend on the text.
    if mode & 2 == 0 {
        return;
    }
    let names = String::from_utf8_lossy(names);
    let mut request =
        Request::new(names.split(',').next().unwrap_or_default(), FileTime(130_000_000_000_000_000));
    request.names = names.split(',').map(str::to_owned).collect();
    let Ok(certificate) = Certificate::self_signed(&key, &request) else { return };
    assert!(certificate.to_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!pkcs12(&key, &certificate, &key.password()).is_empty());
});

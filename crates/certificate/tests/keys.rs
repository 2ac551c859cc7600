//! Keys and certificates by themselves: what is always the same, what is refused, what is not shown.

use disk::FileTime;
use proptest::prelude::*;
use wimforge_certificate::{
    Certificate, Error, Key, Request, pkcs12, read_key, readable_by_others, write_key,
};

fn key() -> &'static Key {
    static KEY: std::sync::OnceLock<Key> = std::sync::OnceLock::new();
    KEY.get_or_init(|| Key::generate().expect("randomness"))
}

fn time() -> FileTime {
    FileTime::from_unix_seconds(1_472_000_000)
}

#[test]
fn the_same_again() {
    let key = key();
    let again = Key::from_pem(&key.to_pem()).expect("its own");
    let request = Request::new("nano", time());
    let certificate = Certificate::self_signed(key, &request).expect("one");
    assert_eq!(Certificate::self_signed(&again, &request).expect("one"), certificate);
    assert_eq!(again.password(), key.password());
    let file = pkcs12(key, &certificate, "a");
    assert_eq!(pkcs12(&again, &certificate, "a"), file);

    // Other names, times and passwords: other serial numbers, other salts.
    let other = Certificate::self_signed(key, &Request::new("nanu", time())).expect("one");
    let later =
        Certificate::self_signed(key, &Request::new("nano", FileTime(time().0 + 10_000_000))).expect("one");
    // A sequence of a sequence of a version and the number.
    let serial = |certificate: &Certificate| certificate.der()[13..31].to_vec();
    assert_eq!(serial(&certificate)[..2], [2, 16]);
    assert!(serial(&certificate) != serial(&other) && serial(&certificate) != serial(&later));
    let salt = |file: &[u8]| file[file.len() - 26..file.len() - 4].to_vec();
    assert_eq!(salt(&file)[..2], [4, 20]);
    assert!(salt(&file) != salt(&pkcs12(key, &certificate, "b")));
    assert!(salt(&file) != salt(&pkcs12(key, &other, "a")));
    assert_ne!(*Key::generate().expect("randomness").to_pem(), *key.to_pem());
}

#[test]
fn nothing_is_shown() {
    let text = key().to_pem();
    assert_eq!(format!("{:?} {:#?}", key(), key()), "Key(..) Key(..)");
    assert_eq!(key().password().len(), 32);
    let lines: Vec<&str> = text.lines().collect();
    for (index, _) in lines.iter().enumerate() {
        let mut broken = lines.clone();
        broken.remove(index);
        let error = Key::from_pem(&broken.join("\n")).expect_err("a line less").to_string();
        assert!(!lines[1..lines.len() - 1].iter().any(|line| error.contains(line)), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn files() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key.pem");
    write_key(&path, key()).expect("written");
    assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(!readable_by_others(&path).expect("a file"));
    assert_eq!(*read_key(&path).expect("a key").to_pem(), *key().to_pem());
    assert!(matches!(write_key(&path, key()), Err(Error::Io { .. })), "never over another file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("ours");
    assert!(readable_by_others(&path).expect("a file"));

    std::fs::write(&path, [b'\n'; 70_000]).expect("written");
    assert!(matches!(read_key(&path), Err(Error::Limit { .. })));
    std::fs::write(&path, [0xFF; 7]).expect("written");
    assert!(matches!(read_key(&path), Err(Error::Io { .. })));
    let missing = read_key(&folder.path().join("none")).expect_err("nothing there").to_string();
    assert!(missing.contains("none"), "{missing}");
}

#[test]
fn what_no_certificate_is_for() {
    let make = |change: &dyn Fn(&mut Request)| {
        let mut request = Request::new("nano", time());
        change(&mut request);
        Certificate::self_signed(key(), &request).map(|_| ())
    };
    make(&|_| ()).expect("fine");
    make(&|request| request.days = 1).expect("fine");
    make(&|request| request.names.push(format!("{}.x", "a".repeat(63)))).expect("fine");
    for name in ["", ".", "a..b", "a.", "ä", "a b", "*", "*.", "a.*", "a*", "a\0", &"a".repeat(64)] {
        let error = make(&|request| request.names.push(name.to_owned())).expect_err(name);
        assert!(matches!(error, Error::Request(_)), "{error}");
    }
    assert!(make(&|request| request.names.clear()).is_err());
    assert!(make(&|request| request.names[0] = ["a"; 33].join(".")).is_err());
    assert!(make(&|request| request.names = vec!["a".to_owned(); 101]).is_err());
    assert!(make(&|request| request.days = 0).is_err());
    assert!(make(&|request| request.days = u32::MAX).is_err());
    assert!(make(&|request| request.not_before = FileTime(u64::MAX)).is_err());
}

/// Each number of the key, changed by one bit, no longer fits the others.
#[test]
fn numbers_belong_together() {
    let pem = key().to_pem();
    let der = decode(&pem);
    let mut seen = 0;
    // Behind PKCS#8's head of 26 bytes and the key's own of 4.
    let mut at = 30 + 3;
    while at < der.len() {
        assert_eq!(der[at], 2);
        let (head, len) = match der[at + 1] {
            0x82 => (4, usize::from(der[at + 2]) << 8 | usize::from(der[at + 3])),
            0x81 => (3, usize::from(der[at + 2])),
            len => (2, usize::from(len)),
        };
        for place in [at + head + len - 1, at + head + len / 2] {
            let mut changed = der.clone();
            changed[place] ^= 4;
            assert!(Key::from_pem(&encode(&changed)).is_err(), "{place}");
        }
        seen += 1;
        at += head + len;
    }
    assert_eq!((seen, at), (8, der.len()));
    assert!(Key::from_pem(&encode(&der)).is_ok(), "the checker");
}

fn decode(pem: &str) -> Vec<u8> {
    pem_rfc7468::decode_vec(pem.as_bytes()).expect("PEM").1
}

fn encode(der: &[u8]) -> String {
    pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, der).expect("PEM")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A key that was damaged is refused, without a panic; where it is not, it is the same.
    #[test]
    fn damaged_keys(at in 0_usize..1200, byte: u8, cut in 0_usize..4000) {
        let mut der = decode(&key().to_pem());
        let len = der.len();
        der[at % len] = byte;
        der.truncate(cut.max(1));
        if let Ok(read) = Key::from_pem(&encode(&der)) {
            prop_assert_eq!(&*read.to_pem(), &*key().to_pem());
        }
    }

    #[test]
    fn any_text(text in "(-----BEGIN PRIVATE KEY-----\n)?[A-Za-z0-9+/=\n]{0,200}(\n-----END PRIVATE KEY-----)?") {
        prop_assert!(Key::from_pem(&text).is_err());
    }
}

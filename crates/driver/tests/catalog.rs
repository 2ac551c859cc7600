//! Catalogs of real packages: they cover their files, and nothing else.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use testkit::{args, tool};
use wimforge_driver::catalog::trust::Trusted;
use wimforge_driver::catalog::{Anchor, Catalog, Digest, Digests, File, Verdict, Which, check, pe};

const PUBLISHER: &str = "Microsoft Windows Hardware Compatibility Publisher";

struct Package {
    inf: Vec<u8>,
    sys: Vec<u8>,
    cat: Vec<u8>,
    folder: PathBuf,
}

/// The INF file lost its carriage returns in its repository.
fn crlf(text: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(text).replace('\n', "\r\n").into_bytes()
}

fn vboxusb(architecture: &str) -> Option<Package> {
    let folder = common::drivers()?.join(format!("vboxusb-{architecture}"));
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a sample");
    let (inf, sys, cat) = (crlf(&read("VBoxUSB.inf")), read("VBoxUSB.sys"), read("VBoxUSB.cat"));
    Some(Package { inf, sys, cat, folder })
}

fn verdict(package: &Package) -> Verdict {
    let files = [
        File { path: "VBoxUSB.inf", bytes: &package.inf },
        File { path: "VBoxUSB.sys", bytes: &package.sys },
    ];
    check(Some(&package.cat), &files, &Trusted::microsoft()).expect("a catalog")
}

#[test]
fn real_packages_are_signed_by_a_known_key() {
    for architecture in ["x64", "arm64"] {
        let Some(package) = vboxusb(architecture) else { return };
        let Verdict::Signed(by) = verdict(&package) else { panic!("{:?}", verdict(&package)) };
        assert_eq!((by.subject.as_str(), by.is_sha1), (PUBLISHER, false));
        assert_eq!(by.anchor, Anchor::Known("Microsoft Windows Third Party Component CA 2014".to_owned()));
        // Whoever trusts nobody learns the name of the root.
        let catalog = Catalog::parse(&package.cat).unwrap();
        let by = catalog.verify(&Trusted::nobody()).unwrap();
        assert_eq!(by.anchor, Anchor::Unknown("Microsoft Root Certificate Authority 2010".to_owned()));
        assert_eq!(catalog.members.len(), 4);
        assert!(catalog.members.iter().all(|member| member.systems.as_deref() == Some("2:10.0")));
        assert_eq!((catalog.is_for(10, 0), catalog.is_for(6, 1)), (Some(true), Some(false)));
        assert_eq!(catalog.attribute("bundleid"), Some("VBoxUSB"));
        assert!(catalog.attribute("Submission ID").is_some_and(|id| id.contains('_')));
    }
}

#[test]
fn every_change_is_found() {
    let Some(good) = vboxusb("x64") else { return };
    let with = |change: &dyn Fn(&mut Package)| {
        let mut package = vboxusb("x64").expect("was there");
        change(&mut package);
        verdict(&package)
    };
    let mismatch = |file: &str| Verdict::Mismatch { file: file.to_owned(), which: Which::Changed };
    let last = good.sys.len() - 1;
    assert_eq!(with(&|p| p.sys[0x400] ^= 1), mismatch("VBoxUSB.sys"));
    assert_eq!(with(&|p| p.inf[100] ^= 1), mismatch("VBoxUSB.inf"));
    // The embedded signature is not covered: a catalog is for the program without it.
    assert!(matches!(with(&|p| p.sys[last] ^= 1), Verdict::Signed(_)));
    assert_eq!(
        with(&|p| p.inf.retain(|&byte| byte != b'\r')),
        Verdict::Mismatch { file: "VBoxUSB.inf".to_owned(), which: Which::LineEnds { should_be_crlf: true } }
    );
    let other = vboxusb("arm64").expect("was there");
    assert_eq!(with(&|p| p.cat.clone_from(&other.cat)), mismatch("VBoxUSB.inf"));
    let monitor = std::fs::read(good.folder.join("VBoxUSBMon.sys")).unwrap();
    let files = [File { path: "VBoxUSBMon.sys", bytes: &monitor }];
    let verdict = check(Some(&good.cat), &files, &Trusted::microsoft()).unwrap();
    assert_eq!(verdict, Verdict::NotListed { file: "VBoxUSBMon.sys".to_owned() });
    assert_eq!(check(None, &files, &Trusted::microsoft()).unwrap(), Verdict::Unsigned);
}

/// A byte of the list, of the signature, of a certificate: each changed alone. What is left is never a known signer.
#[test]
fn no_byte_of_a_catalog_can_be_changed() {
    let Some(good) = vboxusb("x64") else { return };
    let signer = Catalog::parse(&good.cat).unwrap().verify(&Trusted::microsoft()).unwrap();
    // Time stamps are not checked: they lie behind the signature.
    let signature = 5690..5690 + 256;
    assert_eq!(good.cat[5686..5690], [0x04, 0x82, 0x01, 0x00], "the signature lies elsewhere");
    let mut unsigned = 0;
    for at in (0..signature.end).step_by(7).chain(signature.clone()) {
        let mut cat = good.cat.clone();
        cat[at] ^= 0x40;
        let Ok(catalog) = Catalog::parse(&cat) else { continue };
        let Ok(by) = catalog.verify(&Trusted::microsoft()) else { continue };
        // A changed certificate still made the signature with its key, but nobody known vouches for it. What can
        // differ unseen is what nobody signed: the algorithms at the start, and the certificate of the authority,
        // whose key is known by itself.
        assert!(by == signer || matches!(by.anchor, Anchor::Unknown(_)), "byte {at:#x}");
        unsigned += usize::from(by == signer);
        let list = 62..1714;
        assert!(!list.contains(&at) && !signature.contains(&at), "byte {at:#x} can be changed");
    }
    assert!(unsigned < 400, "{unsigned}");
}

#[test]
fn hashes_are_those_of_osslsigncode() {
    let (Some(oracle), Some(package)) = (tool("osslsigncode"), vboxusb("x64")) else { return };
    for architecture in ["x64", "arm64"] {
        for name in ["VBoxUSB.sys", "VBoxUSBMon.sys"] {
            let path = package.folder.parent().unwrap().join(format!("vboxusb-{architecture}")).join(name);
            let ours = pe::read(&std::fs::read(&path).unwrap()).unwrap();
            assert!(ours.has_signature);
            // It fails, because it does not know the root, after it has said what it computed.
            let output = oracle.command().args(args!["verify", "-in", &path]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let line =
                text.lines().find(|line| line.starts_with("Calculated message digest")).expect("a digest");
            let digest = line.rsplit(": ").next().unwrap().trim().to_lowercase();
            assert_eq!(ours.digests.sha256.to_string(), digest, "{name}");
        }
    }
}

#[test]
fn members_are_those_of_openssl() {
    let (Some(openssl), Some(package)) = (tool("openssl"), vboxusb("x64")) else { return };
    let path = package.folder.join("VBoxUSB.cat");
    let text = openssl.text(args!["asn1parse", "-inform", "DER", "-in", &path, "-offset", "129"]);
    // The members are the sequences of the sequence at 129, each of which begins with its hash.
    let listed: Vec<String> = text
        .lines()
        .filter(|line| line.contains(":d=2 ") && line.contains("OCTET STRING"))
        .filter_map(|line| Some(line.split("[HEX DUMP]:").nth(1)?.to_lowercase()))
        .take(4)
        .collect();
    let catalog = Catalog::parse(&package.cat).unwrap();
    let ours: Vec<String> = catalog.members.iter().map(|member| member.digest.to_string()).collect();
    assert_eq!(ours, listed);
}

/// A catalog that somebody unknown signed anew: good, and nobody vouches for it, unless the caller knows the key.
#[test]
fn a_signature_of_somebody_else() {
    let (Some(openssl), Some(signer), Some(package)) =
        (tool("openssl"), tool("osslsigncode"), vboxusb("x64"))
    else {
        return;
    };
    let folder = tempdir();
    let path = |name: &str| folder.join(name);
    let (key, certificate, signed) = (path("key"), path("certificate"), path("own.cat"));
    openssl.run(args![
        "req",
        "-x509",
        "-newkey",
        "rsa:3072",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &certificate,
        "-subj",
        "/CN=Somebody",
        "-days",
        "30"
    ]);
    let original = package.folder.join("VBoxUSB.cat");
    for (hash, is_sha1) in [("sha256", false), ("sha1", true), ("sha384", false)] {
        let _ = std::fs::remove_file(&signed);
        signer.run(args![
            "sign",
            "-h",
            hash,
            "-certs",
            &certificate,
            "-key",
            &key,
            "-in",
            &original,
            "-out",
            &signed
        ]);
        let package = Package { cat: std::fs::read(&signed).unwrap(), ..vboxusb("x64").unwrap() };
        let Verdict::Signed(by) = verdict(&package) else { panic!("{hash}: {:?}", verdict(&package)) };
        assert_eq!((by.subject.as_str(), by.is_sha1), ("Somebody", is_sha1));
        assert_eq!(by.anchor, Anchor::Unknown("Somebody".to_owned()));
        let der = path("key.der");
        let public = path("public");
        openssl.run(args!["x509", "-in", &certificate, "-noout", "-pubkey", "-out", &public]);
        openssl.run(args!["pkey", "-pubin", "-in", &public, "-outform", "DER", "-out", &der]);
        let Digest::Sha256(known) = Digests::of([&std::fs::read(&der).unwrap()[..]]).sha256 else { panic!() };
        let catalog = Catalog::parse(&package.cat).unwrap();
        let by = catalog.verify(&Trusted::nobody().and(known)).unwrap();
        assert_eq!(by.anchor, Anchor::Known("Somebody".to_owned()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn tempdir() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("catalog-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

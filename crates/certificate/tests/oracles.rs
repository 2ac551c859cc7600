//! OpenSSL, GnuTLS and Python read what the crate makes, and the crate reads what OpenSSL makes.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use disk::FileTime;
use tempfile::TempDir;
use testkit::{Tool, args, tool};
use wimforge_certificate::{Certificate, Error, Key, Request, pkcs12, write_key};

/// 2026-03-01 12:34:56 UTC, and a fraction.
fn time() -> FileTime {
    FileTime(FileTime::from_unix_seconds(1_772_368_496).0 + 7)
}

struct Made {
    folder: TempDir,
    key: Key,
    certificate: Certificate,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Key::generate().expect("randomness");
        let mut request = Request::new("localhost", time());
        request.names.extend(["nano.example.org".to_owned(), "*.lab.example".to_owned()]);
        request
            .addresses
            .extend(["192.0.2.10", "2001:db8::10"].map(|text| text.parse::<IpAddr>().expect("one")));
        let certificate = Certificate::self_signed(&key, &request).expect("a certificate");
        let made = Self { folder, key, certificate };
        write_key(&made.path("key.pem"), &made.key).expect("written");
        made.put("certificate.pem", made.certificate.to_pem());
        made.put("server.pfx", pkcs12(&made.key, &made.certificate, "pass wörd 𝄞"));
        made.put("password", "pass wörd 𝄞\n");
        made
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }
}

fn file(prefix: &str, path: &Path) -> String {
    format!("{prefix}{}", path.display())
}

fn fails(tool: &Tool, args: &[&str]) -> String {
    let output = tool.command().args(args).output().expect("it runs");
    assert!(!output.status.success(), "{args:?} succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn openssl_reads_the_certificate() {
    let (Some(openssl), made) = (tool("openssl"), Made::new()) else { return };
    let certificate = made.path("certificate.pem");
    let text = openssl.text(args!["x509", "-in", &certificate, "-noout", "-text", "-fingerprint"]);
    for words in [
        "Version: 3 (0x2)",
        "Signature Algorithm: sha256WithRSAEncryption",
        "Issuer: CN = localhost\n",
        "Subject: CN = localhost\n",
        "Not Before: Feb 28 12:34:56 2026 GMT",
        "Not After : Feb 28 12:34:56 2056 GMT",
        "Public-Key: (2048 bit)",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment",
        "TLS Web Server Authentication\n",
        "DNS:localhost, DNS:nano.example.org, DNS:*.lab.example, IP Address:192.0.2.10, IP Address:2001:DB8:0:0:0:0:0:10",
        "X509v3 Subject Key Identifier:",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert!(
        text.replace(':', "").contains(&format!("Fingerprint={}", made.certificate.thumbprint())),
        "{text}"
    );

    let path = certificate.to_str().expect("UTF-8");
    let verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", path];
    for name in [
        ["-verify_hostname", "localhost"],
        ["-verify_hostname", "NANO.example.org"],
        ["-verify_hostname", "a.lab.example"],
        ["-verify_ip", "192.0.2.10"],
        ["-verify_ip", "2001:db8::10"],
    ] {
        openssl.run([&verify[..], &name, &[path]].concat());
    }
    fails(&openssl, &[&verify[..], &["-verify_hostname", "other", path]].concat());
    fails(&openssl, &["verify", "-purpose", "sslclient", "-CAfile", path, path]);
    // The checker sees a certificate that was changed.
    let mut der = made.certificate.der().to_vec();
    let at = der.windows(9).position(|bytes| bytes == b"localhost").expect("the name");
    der[at] ^= 1;
    made.put("changed.der", der);
    let changed = made.path("changed.der");
    let changed = changed.to_str().expect("UTF-8");
    fails(&openssl, &["verify", "-check_ss_sig", "-CAfile", changed, changed]);

    // The key's numbers, checked by another library.
    openssl.run(args!["rsa", "-check", "-noout", "-in", &made.path("key.pem")]);
    assert_eq!(
        openssl.text(args!["pkey", "-in", &made.path("key.pem"), "-pubout"]),
        openssl.text(args!["x509", "-in", &certificate, "-pubkey", "-noout"])
    );
}

/// What the file gives: OpenSSL's PEM of all.
fn unpacked(openssl: &Tool, file: &Path, password: &Path) -> String {
    let password = format!("file:{}", password.display());
    openssl.text(args!["pkcs12", "-legacy", "-in", file, "-passin", &password, "-nodes"])
}

fn pem(text: &str, label: &str) -> String {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----\n"));
    let from = text.find(&begin).unwrap_or_else(|| panic!("no {label} in {text}"));
    let to = text[from..].find(&end).expect("an end") + from + end.len();
    text[from..to].to_owned()
}

#[test]
fn openssl_reads_the_pkcs12_file() {
    let (Some(openssl), made) = (tool("openssl"), Made::new()) else { return };
    let text = unpacked(&openssl, &made.path("server.pfx"), &made.path("password"));
    assert_eq!(pem(&text, "CERTIFICATE"), made.certificate.to_pem());
    let (theirs, ours) = (Key::from_pem(&pem(&text, "PRIVATE KEY")).expect("a key"), &made.key);
    assert_eq!(theirs.to_pem(), ours.to_pem());
    assert_eq!(text.matches("friendlyName: localhost").count(), 2, "{text}");
    let id = made.certificate.thumbprint();
    assert_eq!(text.replace(' ', "").matches(&format!("localKeyID:{id}")).count(), 2, "{text}");
    // What makes Windows take it for a key of key exchange.
    assert!(text.contains("Key Attributes\n    X509v3 Key Usage: 10 "), "{text}");

    let pfx = made.path("server.pfx");
    let info = ["pkcs12", "-legacy", "-info", "-noout", "-in", pfx.to_str().expect("UTF-8"), "-passin"];
    let password = file("file:", &made.path("password"));
    let shown = openssl.command().args(info).arg(&password).output().expect("it runs");
    let shown = String::from_utf8_lossy(&shown.stderr).into_owned();
    for words in [
        "MAC: sha1, Iteration 2000",
        "PKCS7 Encrypted data: pbeWithSHA1And3-KeyTripleDES-CBC",
        "Shrouded Keybag",
    ] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
    assert!(fails(&openssl, &[&info[..], &["pass:another"]].concat()).contains("invalid password"));
    // No password, and one that was derived.
    made.put("empty", "\n");
    for (password, name) in [(String::new(), "empty"), (made.key.password().to_string(), "derived")] {
        made.put(name, format!("{password}\n"));
        made.put("more.pfx", pkcs12(&made.key, &made.certificate, &password));
        let text = unpacked(&openssl, &made.path("more.pfx"), &made.path(name));
        assert_eq!(pem(&text, "CERTIFICATE"), made.certificate.to_pem());
    }
}

#[test]
fn gnutls_reads_them_too() {
    let (Some(certtool), made) = (tool("certtool"), Made::new()) else { return };
    made.put("ascii.pfx", pkcs12(&made.key, &made.certificate, "ascii"));
    let text = certtool.text(args![
        "--p12-info",
        "--inder",
        "--password",
        "ascii",
        "--infile",
        &made.path("ascii.pfx")
    ]);
    assert!(text.contains("3DES") && text.contains("Friendly name: localhost"), "{text}");
    assert_eq!(pem(&text, "CERTIFICATE"), made.certificate.to_pem());
    let text = certtool.text(args!["--certificate-info", "--infile", &made.path("certificate.pem")]);
    for words in [
        "Certificate Authority (CA): FALSE",
        "DNSname: nano.example.org",
        "IPAddress: 2001:db8::10",
        "TLS WWW Server",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let numbers = certtool.text(args!["--key-info", "--infile", &made.path("key.pem")]);
    assert!(
        numbers.contains("Public Key Algorithm: RSA")
            && !numbers.contains("** Private key parameters validation failed"),
        "{numbers}"
    );
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// OpenSSL serves with the PKCS#12 file's content; Python's `ssl` connects, and trusts the PEM alone.
#[test]
fn a_connection() {
    let (Some(openssl), Some(python), made) = (tool("openssl"), tool("python3"), Made::new()) else { return };
    made.put("all.pem", unpacked(&openssl, &made.path("server.pfx"), &made.path("password")));
    let mut server = openssl.command();
    server.args(args![
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-naccept",
        "3",
        "-cert",
        &made.path("all.pem"),
        "-key",
        &made.path("all.pem")
    ]);
    let mut server = Running(
        server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs"),
    );
    let mut lines = BufReader::new(server.0.stdout.take().expect("piped")).lines();
    let port = lines
        .find_map(|line| line.expect("text").strip_prefix("ACCEPT 127.0.0.1:").map(str::to_owned))
        .expect("the port");
    let script = "import socket, ssl, sys\n\
        port, trusted = int(sys.argv[1]), sys.argv[2]\n\
        def connect(name):\n\
        \x20   context = ssl.create_default_context(cafile=trusted)\n\
        \x20   with socket.create_connection(('127.0.0.1', port), 60) as raw:\n\
        \x20       with context.wrap_socket(raw, server_hostname=name) as tls:\n\
        \x20           return tls.getpeercert()['serialNumber']\n\
        print(connect('localhost'), connect('nano.example.org'))\n\
        try:\n\
        \x20   connect('another')\n\
        except ssl.SSLCertVerificationError as error:\n\
        \x20   print(error.verify_message)\n";
    let said = python.text(args!["-c", script, &port, &made.path("certificate.pem")]);
    assert!(said.contains("Hostname mismatch"), "{said}");
}

#[test]
fn keys_of_openssl() {
    let Some(openssl) = tool("openssl") else { return };
    let made = Made::new();
    let key = made.path("theirs.pem");
    let generate = |algorithm: &str, option: &str| {
        openssl.run(args!["genpkey", "-quiet", "-algorithm", algorithm, "-pkeyopt", option, "-out", &key]);
        std::fs::read_to_string(&key).expect("a key")
    };
    for size in [2048, 3072, 4096] {
        let text = generate("RSA", &format!("rsa_keygen_bits:{size}"));
        let read = Key::from_pem(&text).expect("a key");
        assert_eq!(*read.to_pem(), text);
        let certificate = Certificate::self_signed(&read, &Request::new("nano", time())).expect("one");
        made.put("theirs.crt", certificate.to_pem());
        let path = made.path("theirs.crt");
        openssl.run(args!["verify", "-x509_strict", "-check_ss_sig", "-CAfile", &path, &path]);

        let old = openssl.text(args!["rsa", "-in", &key, "-traditional"]);
        assert!(Key::from_pem(&old).expect_err("PKCS#1").to_string().contains("openssl pkcs8 -topk8"));
        let locked = openssl.text(args!["pkcs8", "-topk8", "-in", &key, "-passout", "pass:x"]);
        assert!(Key::from_pem(&locked).expect_err("locked").to_string().contains("encrypted"));
    }
    for (algorithm, option, words) in [
        ("EC", "ec_paramgen_curve:P-256", "no RSA key"),
        ("RSA", "rsa_keygen_bits:1024", "1024 bits, expected 2048"),
        ("RSA-PSS", "rsa_keygen_bits:2048", "no RSA key"),
    ] {
        let error = Key::from_pem(&generate(algorithm, option)).expect_err("another kind");
        assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains(words), "{error}");
    }
    let text = std::fs::read_to_string(made.path("certificate.pem")).expect("a certificate");
    assert!(Key::from_pem(&text).expect_err("no key").to_string().contains("BEGIN CERTIFICATE"));
}

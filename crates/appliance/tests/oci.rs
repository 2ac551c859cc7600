//! OCI images in other people's tools: skopeo and umoci take the layout, bsdtar and Python the layer.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use disk::FileTime;
use testkit::{args, tool};
use wimforge_appliance::gzip::Level;
use wimforge_appliance::oci::layer::{Entry, EntryKind};
use wimforge_appliance::oci::{Image, LayerFacts};
use wimforge_appliance::{Architecture, tar};

fn image() -> Image {
    Image {
        architecture: Architecture::X64,
        os_version: "10.0.14393.2273".to_owned(),
        tag: "latest".to_owned(),
        command: vec!["c:\\windows\\system32\\cmd.exe".to_owned()],
        created: FileTime::from_unix_seconds(1_795_312_800),
    }
}

/// A long path, in no script that ASCII has.
const LONG: &str = "Files/Windows/WinSxS/amd64_ein-sehr-langer-name-mit-umlauten-äöü-und-noch-viel-mehr-dahinter-als-hundert-\
                    Zeichen-fassen/größe.txt";

fn entries() -> Vec<(Entry<'static>, Vec<u8>)> {
    let base = Entry {
        path: "Files",
        kind: EntryKind::Directory,
        attributes: 0x10,
        created: FileTime::from_unix_seconds(1_000_000_000),
        written: FileTime(FileTime::from_unix_seconds(1_400_000_000).0 + 1_234_567),
        accessed: FileTime(0),
        security: Some(&[1, 0, 4, 0x80]),
        extended: Vec::new(),
    };
    let with = |path, kind, attributes| Entry { path, kind, attributes, ..base.clone() };
    let large: Vec<u8> = (0..700_000u32).map(|at| (at / 3 % 251) as u8).collect();
    let file = |data: &[u8]| EntryKind::File { size: data.len() as u64 };
    let mut app = with("Files/app.exe", file(&large), 0x20);
    app.extended = vec![("$KERNEL.PURGE.X", b"value")];
    vec![
        (base.clone(), vec![]),
        (with("Files/Windows", EntryKind::Directory, 0x10), vec![]),
        (with("Files/empty", file(b""), 0x26), vec![]),
        (app, large),
        (with("Files/app.exe:Zone.Identifier", EntryKind::Stream { size: 3 }, 0), b"abc".to_vec()),
        (with("Files/again.exe", EntryKind::HardLink { to: "Files/app.exe" }, 0x20), vec![]),
        (with(LONG, file(b"text"), 0x20), b"text".to_vec()),
        (with("Files/junction", EntryKind::Symlink { target: "C:\\Windows", junction: true }, 0x410), vec![]),
        (with("Files/link", EntryKind::Symlink { target: "app.exe", junction: false }, 0x420), vec![]),
    ]
}

fn write(path: &Path, threads: usize) -> LayerFacts {
    let archive = image().archive(File::create(path).unwrap(), Level::DEFAULT, threads).unwrap();
    let mut layer = archive.layer();
    for (entry, data) in entries() {
        layer.write_all(&entry.header().unwrap()).unwrap();
        layer.write_all(&data).unwrap();
        layer.write_all(&vec![0; tar::padding(data.len() as u64) as usize]).unwrap();
    }
    layer.write_all(&tar::END).unwrap();
    archive.finish().unwrap()
}

fn hex(hash: [u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// skopeo checks every digest on the way, umoci reads what it made.
#[test]
fn skopeo_and_umoci_take_the_image() {
    let (Some(skopeo), Some(umoci)) = (tool("skopeo"), tool("umoci")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nano.tar");
    let facts = write(&path, 2);
    let reference = format!("oci-archive:{}:latest", path.display());
    let windows = ["--insecure-policy", "--override-os", "windows", "--override-arch", "amd64"];
    let run = |command: &[&str]| skopeo.text(windows.iter().chain(command));
    let value: serde_json::Value = serde_json::from_str(&run(&["inspect", &reference])).unwrap();
    assert_eq!(value["Os"], "windows");
    assert_eq!(value["Layers"], serde_json::json!([format!("sha256:{}", hex(facts.digest))]));
    let config: serde_json::Value = serde_json::from_str(&run(&["inspect", "--config", &reference])).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([format!("sha256:{}", hex(facts.diff_id))]));
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["c:\\windows\\system32\\cmd.exe"]));

    let layout = dir.path().join("layout");
    run(&["copy", &reference, &format!("oci:{}:copy", layout.display())]);
    assert_eq!(umoci.text(args!["ls", "--layout", &layout]), "copy\n");
    let copied = layout.join("blobs/sha256").join(hex(facts.digest));
    assert_eq!(fs::metadata(copied).unwrap().len(), facts.size);

    // The checker notices a bit of the layer that is another.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 4096;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let target = format!("oci:{}:copy", dir.path().join("other").display());
    let output = skopeo.command().args(windows).args(["copy", &*reference, &*target]).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn python_finds_what_windows_looks_for() {
    let (Some(python), Some(bsdtar)) = (tool("python3"), tool("bsdtar")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nano.tar");
    let facts = write(&path, 1);
    bsdtar.run(args!["-xf", &path, "-C", dir.path()]);
    let layer = dir.path().join("blobs/sha256").join(hex(facts.digest));
    let script = "
import base64, gzip, hashlib, sys, tarfile
data = gzip.open(sys.argv[1]).read()
print(hashlib.sha256(data).hexdigest())
archive = tarfile.open(sys.argv[1])
for member in archive:
    pax = member.pax_headers
    content = archive.extractfile(member).read() if member.isreg() else b''
    print(member.name, member.type.decode(), member.size, len(content), member.linkname or '-',
        pax.get('MSWINDOWS.fileattr'), base64.b64decode(pax.get('MSWINDOWS.rawsd', '')).hex() or '-',
        pax.get('MSWINDOWS.mountpoint', '-'), pax.get('LIBARCHIVE.creationtime', '-'), pax['mtime'], pax['atime'],
        base64.b64decode(pax.get('MSWINDOWS.xattr.$KERNEL.PURGE.X', '')).decode() or '-', sep='|')
";
    let text = python.text(args!["-c", script, &layer]);
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), hex(facts.diff_id));
    let times = "1000000000|1400000000.1234567|-11644473600";
    let expected = [
        format!("Files|5|0|0|-|16|01000480|-|{times}|-"),
        format!("Files/Windows|5|0|0|-|16|01000480|-|{times}|-"),
        format!("Files/empty|0|0|0|-|38|01000480|-|{times}|-"),
        format!("Files/app.exe|0|700000|700000|-|32|01000480|-|{times}|value"),
        "Files/app.exe:Zone.Identifier|0|3|3|-|None|-|-|-|1400000000.1234567|-11644473600|-".to_owned(),
        format!("Files/again.exe|1|0|0|Files/app.exe|32|-|-|{times}|-"),
        format!("{LONG}|0|4|4|-|32|01000480|-|{times}|-"),
        format!("Files/junction|2|0|0|C:\\Windows|1040|01000480|1|{times}|-"),
        format!("Files/link|2|0|0|app.exe|1056|01000480|-|{times}|-"),
    ];
    // The content of a hard link is that of its file, which is not what is looked at here.
    let found: Vec<String> = lines.map(|line| line.replace("|1|0|700000|", "|1|0|0|")).collect();
    assert_eq!(found, expected);
    let listed = bsdtar.text(args!["-tf", &layer]);
    assert_eq!(listed.lines().count(), entries().len());
    assert!(listed.lines().any(|line| line == LONG));
}

/// What the specification requires of the documents, and every descriptor tells the truth.
#[test]
fn documents_have_what_the_specification_requires() {
    let Some(bsdtar) = tool("bsdtar") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nano.tar");
    let facts = write(&path, 1);
    bsdtar.run(args!["-xf", &path, "-C", dir.path()]);
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(dir.path().join(name)).unwrap()).unwrap()
    };
    let blob = |descriptor: &serde_json::Value| {
        let name = descriptor["digest"].as_str().unwrap().replace(':', "/");
        let len = fs::metadata(dir.path().join("blobs").join(&name)).unwrap().len();
        assert_eq!(descriptor["size"], len, "{name}");
        format!("blobs/{name}")
    };
    assert_eq!(read("oci-layout")["imageLayoutVersion"], "1.0.0");
    let index = read("index.json");
    assert_eq!(index["manifests"][0]["platform"]["os.version"], "10.0.14393.2273");
    let manifest = read(&blob(&index["manifests"][0]));
    assert_eq!((manifest["schemaVersion"].as_u64(), index["schemaVersion"].as_u64()), (Some(2), Some(2)));
    assert_eq!(manifest["layers"][0]["size"], facts.size);
    blob(&manifest["layers"][0]);
    let config = read(&blob(&manifest["config"]));
    assert_eq!((config["os"].as_str(), config["architecture"].as_str()), (Some("windows"), Some("amd64")));
    assert_eq!(config["os.version"], "10.0.14393.2273");
    assert_eq!(config["created"], "2026-11-22T02:00:00Z");
}

#[test]
fn threads_do_not_show_and_nonsense_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nano.tar");
    let [one, four] = [1, 4].map(|threads| {
        write(&path, threads);
        fs::read(&path).unwrap()
    });
    assert!(one == four);
    let file = || std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for version in ["", "10.0", "10.0.14393.x", "10.0.14393.1.2"] {
        let image = Image { os_version: version.to_owned(), ..image() };
        assert!(image.archive(file(), Level::FAST, 1).is_err(), "{version}");
    }
    for tag in ["", "a:b", "a b", &"x".repeat(129)] {
        let image = Image { tag: tag.to_owned(), ..image() };
        assert!(image.archive(file(), Level::FAST, 1).is_err(), "{tag}");
    }
}

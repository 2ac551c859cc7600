//! Other people's archivers take our packages apart.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::fs::{self, File};
use std::io::Write as _;

use disk::WriteAt as _;
use support::{CAPACITY, KINDS, TIME, disk_bytes, machine, names, write};
use testkit::{args, tool};
use wimforge_appliance::gzip::Level;
use wimforge_appliance::tar::{BLOCK, END, Header, padding};
use wimforge_appliance::{Error, Firmware, Kind, Package, Provider};

fn package(kind: Kind) -> Package {
    Package::new(kind, machine(Firmware::Efi), CAPACITY, TIME).unwrap()
}

/// What all readers have to find in the archive of `kind` at `path`.
fn unpacked_by(program: &str, extract: &[&str]) {
    let Some(tool) = tool(program) else { return };
    let disk = disk_bytes();
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("package");
        write(package(kind), &path, &disk, 2);
        let list = tool.text(args!["-tf", &path]);
        assert_eq!(list.lines().collect::<Vec<_>>(), names(kind), "{kind:?}");
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        let mut arguments: Vec<_> = extract.iter().map(AsRef::as_ref).collect();
        arguments.extend(args!["-f", &path, "-C", &out]);
        let output = tool.run(arguments);
        assert!(output.stderr.is_empty(), "{kind:?}: {}", String::from_utf8_lossy(&output.stderr));
        let found = fs::read(out.join(package(kind).disk_name())).unwrap();
        assert!(found == disk, "{kind:?}: {program} extracts another disk");
        let time = fs::metadata(out.join(names(kind)[0])).unwrap().modified().unwrap();
        if !extract.contains(&"-m") {
            assert_eq!(time, std::time::UNIX_EPOCH + std::time::Duration::from_secs(TIME));
        }
    }
}

/// As Vagrant calls it.
#[test]
fn bsdtar() {
    unpacked_by("bsdtar", &["-x", "-m", "-S", "--no-same-owner", "--no-same-permissions"]);
}

#[test]
fn gnu_tar() {
    unpacked_by("tar", &["-x"]);
}

#[test]
fn python() {
    let Some(python) = tool("python3") else { return };
    let script = "
import hashlib, sys, tarfile
archive = tarfile.open(sys.argv[1])
for member in archive:
    data = archive.extractfile(member).read()
    print(member.name, member.uid, member.gid, oct(member.mode), member.mtime, hashlib.sha256(data).hexdigest())
";
    let disk = disk_bytes();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("package");
    let expected = sha256(&disk);
    for kind in KINDS {
        write(package(kind), &path, &disk, 2);
        let text = python.text(args!["-c", script, &path]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), names(kind).len());
        let last = format!("{} 0 0 0o644 {TIME} {expected}", names(kind)[lines.len() - 1]);
        assert_eq!(lines[lines.len() - 1], last, "{kind:?}");
    }
}

fn sha256(data: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    fs::write(&path, data).unwrap();
    let Some(tool) = tool("sha256sum") else { panic!("coreutils") };
    tool.text(args![&path])[..64].to_owned()
}

/// Compressed archives are one gzip member, which gzip itself tests; the number of threads cannot be seen.
#[test]
fn gzip_takes_it_and_threads_do_not_show() {
    let Some(gzip) = tool("gzip") else { return };
    let disk = disk_bytes();
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let [one, four] = [1, 4].map(|threads| {
            let path = dir.path().join("package.gz");
            write(package(kind), &path, &disk, threads);
            if kind != Kind::Ova {
                gzip.run(args!["-t", &path]);
            }
            fs::read(&path).unwrap()
        });
        assert!(one == four, "{kind:?}");
    }
}

/// sha256sum verifies the manifest, whose lines have the form that importers want.
#[test]
fn the_manifest_holds() {
    let (Some(tar), Some(sha256sum)) = (tool("tar"), tool("sha256sum")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nano.ova");
    write(package(Kind::Ova), &path, &disk_bytes(), 1);
    tar.run(args!["-xf", &path, "-C", dir.path()]);
    let manifest = fs::read_to_string(dir.path().join("nano-2016.mf")).unwrap();
    let mut list = String::new();
    for line in manifest.lines() {
        let (name, hash) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
        list += &format!("{hash}  {name}\n");
    }
    assert_eq!(list.lines().count(), 2);
    fs::write(dir.path().join("list"), list).unwrap();
    let check = || {
        let mut command = sha256sum.command();
        command.current_dir(dir.path()).args(["--strict", "-c", "list"]).output().unwrap().status.success()
    };
    assert!(check());
    // The checker notices.
    let disk = dir.path().join("nano-2016-disk1.vmdk");
    let mut bytes = fs::read(&disk).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&disk, bytes).unwrap();
    assert!(!check());
}

/// The descriptor gives the disk's true length, and it is in the archive once more.
#[test]
fn the_length_stands_where_it_was_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nano.ova");
    for len in [0, 1, 511, 512, 100_000] {
        write(package(Kind::Ova), &path, &disk_bytes()[..len], 1);
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes[..20_000.min(bytes.len())]);
        assert!(text.contains(&format!("ovf:size=\"{len}\"")), "{len}");
        assert_eq!(bytes.len() % 512, 0);
        assert!(bytes.ends_with(&[0; 1024]));
    }
}

/// A member past 8 GiB, where octal digits end.
#[test]
fn a_large_member() {
    let (Some(bsdtar), Some(tar), Some(python)) = (tool("bsdtar"), tool("tar"), tool("python3")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.tar");
    let file = File::create(&path).unwrap();
    let size: u64 = (9 << 30) + 5;
    file.write_all_at(&Header::file("large", size, TIME).to_block().unwrap(), 0).unwrap();
    file.write_all_at(b"head", BLOCK).unwrap();
    file.write_all_at(b"tail!", BLOCK + size - 5).unwrap();
    let end = BLOCK + size + padding(size);
    file.write_all_at(&END, end).unwrap();

    assert!(tar.text(args!["-tvf", &path]).contains(&size.to_string()));
    assert!(bsdtar.text(args!["-tvf", &path]).contains(&size.to_string()));
    let script = "
import sys, tarfile
archive = tarfile.open(sys.argv[1])
file = archive.extractfile('large')
head = file.read(4)
file.seek(-5, 2)
print(head, file.read())
";
    assert_eq!(python.text(args!["-c", script, &path]), "b'head' b'tail!'\n");
}

#[test]
fn what_cannot_be_is_refused() {
    assert!(matches!(
        package(Kind::Ova).compressed(Vec::new(), 0, Level::FAST, 1),
        Err(Error::Impossible(_))
    ));
    // A disk that is not as long as was said.
    let hyperv = || package(Kind::Box(Provider::HyperV)).compressed(Vec::new(), 10, Level::FAST, 1).unwrap();
    let short = hyperv();
    short.writer().write_all(b"nine byte").unwrap();
    assert!(matches!(short.finish(), Err(Error::Impossible(_))));
    let long = hyperv();
    assert!(long.writer().write_all(b"eleven byte").is_err());
}

/// An archive that nobody finished does not pass for one.
#[test]
fn an_unfinished_archive_has_no_end() {
    let Some(tar) = tool("tar") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("half.ova");
    let archive = package(Kind::Ova).stored(File::create(&path).unwrap()).unwrap();
    archive.writer().write_all(&disk_bytes()).unwrap();
    drop(archive);
    let output = tar.command().args(args!["-tf", &path]).output().unwrap();
    assert!(!output.status.success());
}

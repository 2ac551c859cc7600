//! Hives in files: logs, saving, refusals.

use std::fs;
use std::path::Path;

use wimforge_hive::file::{Allow, HiveFile};
use wimforge_hive::{Error, Hive, Kind, check, data};

use crate::fixture;
use crate::raw::Raw;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A dirty hive, and a log of the old format that completes it: it renames the key `Beta` to `Bete`.
fn dirty() -> (Vec<u8>, Vec<u8>) {
    let mut raw = Raw(fixture::bytes(5, false));
    let name = raw.key("Beta") + 76 + 3;
    raw.put(4, 2);
    raw.sum();
    let mut log = raw.0[..512].to_vec();
    let mut base = Raw(std::mem::take(&mut log));
    base.put(8, 2);
    base.put(0x1C, 1);
    base.sum();
    let mut log = base.0;
    log.extend(b"DIRT");
    let mut map = vec![0u8; (raw.0.len() - 4096) / 512 / 8];
    let sector = (name - 4096) / 512;
    map[sector / 8] |= 1 << (sector % 8);
    log.extend(map);
    log.resize(1024, 0);
    let at = 4096 + sector * 512;
    log.extend(&raw.0[at..at + 512]);
    let last = 1024 + (name - at);
    log[last] = b'e';
    // The hash of the name is in another sector, or in this one: Beta and Bete differ in it.
    (raw.0, log)
}

#[test]
fn is_saved_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SYSTEM");
    fs::write(&path, fixture::bytes(5, true)).unwrap();
    fs::write(folder.path().join("SYSTEM.LOG1"), b"old and of no use").unwrap();
    fs::write(folder.path().join("system.log2"), []).unwrap();
    fs::write(folder.path().join("SYSTEM.LOG"), b"stays").unwrap();
    let mut file = HiveFile::open(&path, Allow::default()).unwrap();
    assert!(file.report().is_clean() && !file.recovery().dirty);
    file.hive_mut().root_mut().set("new", Kind::SZ, data::sz("text")).unwrap();
    file.save().unwrap();
    file.save().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(check(&bytes).findings.is_empty());
    let hive = Hive::parse(&bytes).unwrap();
    assert!(hive == *file.hive());
    assert_eq!((hive.sequence(), hive.root().value("new").unwrap().as_str().unwrap()), (3, "text".into()));
    assert_eq!(names(folder.path()), ["SYSTEM", "SYSTEM.LOG", "SYSTEM.LOG1", "system.log2"]);
    assert_eq!(fs::metadata(folder.path().join("SYSTEM.LOG1")).unwrap().len(), 0);
    assert_eq!(fs::read(folder.path().join("SYSTEM.LOG")).unwrap(), b"stays");
}

#[cfg(unix)]
#[test]
fn keeps_mode_and_link() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("hive"), folder.path().join("link"));
    fs::write(&path, fixture::bytes(3, false)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("hive", &link).unwrap();
    // Only an administrator can do that.
    let _ = std::os::unix::fs::chown(&path, Some(4321), Some(1234));
    let owner = |path: &Path| fs::metadata(path).map(|data| (data.uid(), data.gid())).unwrap();
    let before = owner(&path);
    let mut file = HiveFile::open(&link, Allow::default()).unwrap();
    file.hive_mut().root_mut().create("new").unwrap();
    file.save().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(owner(&path), before);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(Hive::parse(&fs::read(&path).unwrap()).unwrap().root().subkey("new").is_some());
    assert_eq!(names(folder.path()), ["hive", "link"]);
}

#[test]
fn a_dirty_one_is_recovered_and_saved_clean() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    let (hive, log) = dirty();
    fs::write(&path, &hive).unwrap();
    let refused = HiveFile::open(&path, Allow::default()).unwrap_err();
    assert!(matches!(refused, Error::Dirty { .. }), "{refused}");
    // A log that belongs to another hive is no help.
    let mut other = Raw(log.clone());
    other.put(0xC, 1);
    other.sum();
    fs::write(folder.path().join("hive.LOG1"), &other.0).unwrap();
    let refused = HiveFile::open(&path, Allow::default()).unwrap_err();
    assert!(refused.to_string().contains("written at another time than the hive"), "{refused}");
    let allowed = HiveFile::open(&path, Allow { missing_logs: true, ..Allow::default() }).unwrap();
    assert!(allowed.hive().root().subkey("Beta").is_some() && allowed.recovery().dirty);
    fs::write(folder.path().join("hive.LOG1"), &log).unwrap();
    let mut file = HiveFile::open(&path, Allow::default()).unwrap();
    assert_eq!(file.recovery().to_string(), "dirty; log 1: applied 2, 512 bytes");
    assert!(file.hive().root().subkey("Bete").is_some());
    assert_eq!(fs::read(&path).unwrap(), hive, "nothing is written before it is saved");
    file.save().unwrap();
    let saved = Hive::parse(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((saved.sequence(), saved.root().subkey("Bete").is_some()), (3, true));
    assert_eq!(fs::metadata(folder.path().join("hive.LOG1")).unwrap().len(), 0);
    // Where both are empty, a log without a number counts.
    fs::write(&path, &hive).unwrap();
    fs::write(folder.path().join("hive.LOG"), &log).unwrap();
    assert!(HiveFile::open(&path, Allow::default()).unwrap().hive().root().subkey("Bete").is_some());
    fs::write(&path, saved.to_bytes().unwrap()).unwrap();
    // The log of before is without effect.
    fs::write(folder.path().join("hive.LOG1"), &log).unwrap();
    assert!(!HiveFile::open(&path, Allow::default()).unwrap().recovery().dirty);
}

#[test]
fn refuses_to_lose_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    let mut raw = Raw(fixture::bytes(5, false));
    let root = raw.root();
    let list = raw.follow(root + 0x1C);
    raw.add(root + 0x14, -1);
    let count = raw.u16(list + 2);
    raw.put16(list + 2, count - 1);
    fs::write(&path, &raw.0).unwrap();
    let mut file = HiveFile::open(&path, Allow::default()).unwrap();
    let error = file.save().unwrap_err();
    assert!(
        error.to_string().contains("would lose data: error: lost-key: nothing leads to the key \"Γamma\""),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), raw.0);
    let mut file = HiveFile::open(&path, Allow { lost_data: true, ..Allow::default() }).unwrap();
    file.save().unwrap();
    assert!(check(&fs::read(&path).unwrap()).findings.is_empty());
}

#[test]
fn refuses_to_overwrite_another_s_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    fs::write(&path, fixture::bytes(5, false)).unwrap();
    let mut file = HiveFile::open(&path, Allow::default()).unwrap();
    fs::write(&path, fixture::bytes(5, true)).unwrap();
    let error = file.save().unwrap_err();
    assert!(error.to_string().ends_with("it was changed since it was opened"), "{error}");
    assert_eq!(file.hive().sequence(), 1);
}

#[test]
fn a_hive_that_cannot_be_written_leaves_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    let bytes = fixture::bytes(3, false);
    fs::write(&path, &bytes).unwrap();
    let mut file = HiveFile::open(&path, Allow::default()).unwrap();
    file.hive_mut().root_mut().set("large", Kind::BINARY, vec![0; 2 << 20]).unwrap();
    assert!(matches!(file.save(), Err(Error::Limit { .. })));
    assert_eq!((fs::read(&path).unwrap(), file.hive().sequence()), (bytes, 1));
    assert_eq!(names(folder.path()), ["hive"]);
}

#[test]
fn new_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let hive = fixture::hive(3, false);
    wimforge_hive::file::write(&path, &hive).unwrap();
    assert!(*HiveFile::open(&path, Allow::default()).unwrap().hive() == hive);
    let error = HiveFile::open(folder.path().join("none"), Allow::default()).unwrap_err();
    assert!(matches!(error, Error::Io { action: "opening", .. }), "{error}");
}

#[test]
fn too_large_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    fs::File::create(&path).unwrap().set_len(5 << 30).unwrap();
    let error = HiveFile::open(&path, Allow::default()).unwrap_err();
    assert!(matches!(error, Error::Limit { found: 0x1_4000_0000, .. }), "{error}");
}

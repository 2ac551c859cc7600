//! The registry of an image or a disk: finding its hives among the files, and changing them during a build.
//!
//! A hive is found by the path of a key: `HKLM\SYSTEM\Select` is in `Windows/System32/config/SYSTEM`. The logs that lie
//! beside it belong to it: captured and sysprepped images hold hives that were not written to their end, and what is
//! missing in them is in the logs.
//!
//! A build carries out what it was asked for on each hive that it touches, in memory: whole hives first, then subtrees,
//! then `.reg` files in their order. It reads nothing but these hives, and gives back files: the hive in its new form,
//! written compactly, and empty logs. The transaction files of the kernel (`.blf`, `.regtrans-ms`) stay: a clean hive
//! makes no use of what they hold. New keys get the time of the build, or else of their parent; there is no clock.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use disk::FileTime;
use hive::file::{Allow, HiveFile};
use hive::paths::{self, KnownHive, Mount};
use hive::reg::{self, Applied, KeyPath, Operation, RegFile};
use hive::{Hive, Recovery};
use sha1::{Digest, Sha1};

use crate::hive_set::HiveSet;
use crate::{Error, Result};

/// The largest hive that is read, in bytes.
pub const MAX_HIVE: u64 = 1 << 30;

/// Reads a file of an image by its path, with slashes and whatever the case; `None` when it is not there.
pub type ReadFile<'a> = dyn FnMut(&str) -> Result<Option<Vec<u8>>> + 'a;

/// A hive among files, as its bytes, with the logs beside it.
#[derive(Clone, Debug)]
pub struct HiveBytes {
    /// Its path, with slashes.
    pub path: String,
    /// The hive as it lies there.
    pub bytes: Vec<u8>,
    /// Paths and contents of the logs beside it that are not empty.
    pub logs: Vec<(String, Vec<u8>)>,
}

impl HiveBytes {
    /// The hive's bytes with what its logs hold, and what was done with them.
    ///
    /// # Errors
    /// As [`hive::replay`].
    pub fn replay(&self) -> hive::Result<(Cow<'_, [u8]>, Recovery)> {
        let logs: Vec<&[u8]> = self.logs.iter().map(|(_, content)| content.as_slice()).collect();
        hive::replay(&self.bytes, &logs)
    }

    /// The hive, with what its logs hold. `image` is what errors call the files; empty for those of the host.
    ///
    /// # Errors
    /// [`Error::Hive`] for one that is damaged beyond its logs.
    pub fn open(&self, image: &Path) -> Result<(Hive, Recovery)> {
        let opened = self.replay().and_then(|(bytes, recovery)| Ok((Hive::parse(&bytes)?, recovery)));
        opened.map_err(|source| damaged(image, &self.path, source))
    }
}

/// Finds a hive of an installation, with the logs beside it. `image` is what errors call the files.
///
/// # Errors
/// [`Error::NotFound`] when none of its files is there, and those of `read`.
pub fn find_hive(image: &Path, which: KnownHive, read: &mut ReadFile<'_>) -> Result<HiveBytes> {
    for &path in which.files() {
        if let Some(bytes) = read(path)? {
            return with_logs(path, bytes, read);
        }
    }
    let what = format!("no {}, which holds {}", which.files().join(" or "), which.mount());
    Err(Error::NotFound { path: image.to_owned(), what })
}

/// Reads the hive at a path inside, with the logs beside it.
///
/// # Errors
/// As [`find_hive`].
pub fn hive_at(image: &Path, path: &str, read: &mut ReadFile<'_>) -> Result<HiveBytes> {
    match read(path)? {
        Some(bytes) => with_logs(path, bytes, read),
        None => Err(Error::NotFound { path: image.to_owned(), what: format!("no {path:?}") }),
    }
}

fn with_logs(path: &str, bytes: Vec<u8>, read: &mut ReadFile<'_>) -> Result<HiveBytes> {
    let mut logs = Vec::new();
    for suffix in LOGS {
        let log = format!("{path}{suffix}");
        if let Some(content) = read(&log)?.filter(|content| !content.is_empty()) {
            logs.push((log, content));
        }
    }
    Ok(HiveBytes { path: path.to_owned(), bytes, logs })
}

/// Reads a hive file of the host, with the logs beside it.
///
/// # Errors
/// [`Error::Read`], [`Error::Unsupported`] for what is too large, [`Error::Hive`].
pub fn read_hive(file: &Path) -> Result<HiveFile> {
    fit(file)?;
    HiveFile::open(file, Allow::default()).map_err(|source| Error::Hive { path: file.to_owned(), source })
}

/// Reads the bytes of a hive file of the host, and of the logs beside it: also of one that is damaged.
///
/// # Errors
/// [`Error::Read`], [`Error::Unsupported`] for what is too large.
pub fn hive_bytes(file: &Path) -> Result<HiveBytes> {
    fit(file)?;
    let read = |path: &Path| fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source });
    let bytes = read(file)?;
    let mut logs = Vec::new();
    for suffix in LOGS {
        let beside = |suffix: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let spellings = [beside(suffix), beside(&suffix.to_ascii_lowercase())];
        if let Some(log) = spellings.iter().find(|log| log.is_file()) {
            fit(log)?;
            let content = read(log)?;
            if !content.is_empty() {
                logs.push((log.display().to_string(), content));
            }
        }
    }
    Ok(HiveBytes { path: file.display().to_string(), bytes, logs })
}

/// Refuses what is no file, or larger than any hive.
fn fit(file: &Path) -> Result<()> {
    let found = fs::metadata(file).map_err(|source| Error::Read { path: file.to_owned(), source })?;
    let unsupported = |what| Err(Error::Unsupported { path: file.to_owned(), what });
    if !found.is_file() {
        return unsupported("is no regular file".to_owned());
    }
    if found.len() > MAX_HIVE {
        let size = found.len();
        return unsupported(format!("has {size} bytes, too many for a hive (at most {MAX_HIVE})"));
    }
    Ok(())
}

/// What the names of a hive's logs end with: since Windows Vista, and before.
const LOGS: [&str; 3] = [".LOG1", ".LOG2", ".LOG"];

pub(crate) fn damaged(image: &Path, path: &str, source: hive::Error) -> Error {
    if image.as_os_str().is_empty() {
        return Error::Hive { path: path.into(), source };
    }
    Error::Hive { path: format!("{}: {path}", image.display()).into(), source }
}

/// A hive that takes a place in the registry: `SOFTWARE=file`, `HKLM\SYSTEM\Vendor=file`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HiveChoice {
    /// The key whose place it takes: that of a whole hive, or one below.
    pub key: String,
    /// The hive file.
    pub file: PathBuf,
}

impl FromStr for HiveChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, file)) if !key.is_empty() && !file.is_empty() => {
                Ok(Self { key: key.to_owned(), file: file.into() })
            }
            _ => Err("expected KEY=FILE, as in SOFTWARE=file or HKLM\\SYSTEM\\Vendor=file".to_owned()),
        }
    }
}

/// What a build changes in the registry, read and understood, but not yet applied.
#[derive(Debug, Default)]
pub struct RegistryEdits {
    hives: Vec<(KnownHive, KeyPath, PathBuf, HiveFile)>,
    files: Vec<(PathBuf, RegFile)>,
    /// Hashes of all that was read.
    identity: Vec<u8>,
}

/// A hive that has another content than in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HiveChange {
    /// Which one.
    pub hive: KnownHive,
    /// Its file, with slashes.
    pub path: String,
    /// Whether the image has it.
    pub exists: bool,
    /// Its new content.
    pub bytes: Vec<u8>,
    /// Logs beside it that must become empty.
    pub logs: Vec<String>,
    /// What was changed.
    pub applied: Applied,
    /// Whose wish it was, for the record of a build.
    pub reason: String,
    /// The same, each by itself.
    pub by: Vec<String>,
    /// Keys with another content than the image's, for a start.
    pub keys: Vec<picture::ChangedKey>,
    /// How many there are besides.
    pub more_keys: u64,
}

impl RegistryEdits {
    /// Reads `.reg` files, and hives with their logs.
    ///
    /// # Errors
    /// [`Error::Reg`] names the file and the line, also of a key that is in no hive of an installation; [`Error::Hive`],
    /// [`Error::Read`].
    pub fn read(reg_files: &[PathBuf], hives: &[HiveChoice]) -> Result<Self> {
        let mut edits = Self::default();
        for choice in hives {
            let wrong = |problem: String| {
                Error::Recipe(format!("--hive {}={}: {problem}", choice.key, choice.file.display()))
            };
            let (which, key) = match KnownHive::named(&choice.key) {
                Some(which) => (which, KeyPath::default()),
                None => {
                    let location = paths::locate(&KeyPath::parse(&choice.key));
                    let location = location.map_err(|problem| wrong(problem.to_string()))?;
                    (location.hive, location.key)
                }
            };
            if which == KnownHive::Bcd {
                return Err(wrong(NO_BCD.to_owned()));
            }
            if edits.hives.iter().any(|(hive, other, ..)| (*hive, other) == (which, &key)) {
                return Err(wrong("another hive takes this place already".to_owned()));
            }
            let hive = read_hive(&choice.file)?;
            let bytes = hive.hive().to_bytes();
            let bytes = bytes.map_err(|source| Error::Hive { path: choice.file.clone(), source })?;
            edits.identity.extend_from_slice(&Sha1::digest(choice.key.as_bytes()));
            edits.identity.extend_from_slice(&Sha1::digest(&bytes));
            edits.hives.push((which, key, choice.file.clone(), hive));
        }
        for path in reg_files {
            let bytes = fs::read(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            let wrong = |source| Error::Reg { path: path.clone(), source };
            let file = RegFile::parse(&bytes).map_err(wrong)?;
            for operation in &file.operations {
                if location(operation).map_err(wrong)?.hive == KnownHive::Bcd {
                    let (line, key, reason) = (operation.line, operation.key.to_string(), NO_BCD.to_owned());
                    return Err(wrong(reg::Error::Refused { line, key, reason }));
                }
            }
            edits.identity.extend_from_slice(&Sha1::digest(&bytes));
            edits.files.push((path.clone(), file));
        }
        Ok(edits)
    }

    /// Operations that come from no file, `name` being who wants them.
    pub fn push(&mut self, name: &str, operations: Vec<Operation>) {
        let file = RegFile { version: None, encoding: reg::Encoding::Utf8, operations };
        self.files.push((name.into(), file));
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.hives.is_empty() && self.files.is_empty()
    }

    /// What tells these edits from others, for the seed of a build.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// Carries the edits out on the hives that `read` finds. `image` is what errors call the image, `time` the time of
    /// keys that are made or whose values change.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a hive that the image does not have, [`Error::Hive`], [`Error::Reg`].
    pub fn apply(
        &self,
        image: &Path,
        time: Option<FileTime>,
        read: &mut ReadFile<'_>,
    ) -> Result<Vec<HiveChange>> {
        let mut hives = HiveSet::new(image);
        self.put_hives(&mut hives, time, read)?;
        self.apply_files(&mut hives, time, read)?;
        hives.finish(time)
    }

    /// The first part of the edits: hives that take the places of others.
    pub(crate) fn put_hives(
        &self,
        hives: &mut HiveSet,
        time: Option<FileTime>,
        read: &mut ReadFile<'_>,
    ) -> Result<()> {
        let (whole, parts): (Vec<_>, Vec<_>) =
            self.hives.iter().partition(|(_, key, ..)| key.names().is_empty());
        for (which, _, file, hive) in whole {
            hives.put(*which, hive.hive(), &file.display().to_string(), read)?;
        }
        for (which, key, file, hive) in parts {
            let (root, applied) = hives.change(*which, &file.display().to_string(), read)?;
            let wrong = |source| Error::Hive { path: file.clone(), source };
            let key = Mount::known(root, *which).key(key);
            let key = key.map_err(|problem| Error::Recipe(problem.to_string()))?;
            *applied += insert_subtree(root, &key, hive.hive().root(), time).map_err(wrong)?;
        }
        hives.settle();
        Ok(())
    }

    /// The second part: `.reg` files, in their order, and what was [pushed](Self::push).
    pub(crate) fn apply_files(
        &self,
        hives: &mut HiveSet,
        time: Option<FileTime>,
        read: &mut ReadFile<'_>,
    ) -> Result<()> {
        self.files
            .iter()
            .try_for_each(|(path, file)| apply_operations(hives, path, &file.operations, time, read))
    }
}

/// Carries operations out on whichever hives they mean. `name` is who wants them.
pub(crate) fn apply_operations(
    hives: &mut HiveSet,
    name: &Path,
    operations: &[Operation],
    time: Option<FileTime>,
    read: &mut ReadFile<'_>,
) -> Result<()> {
    let wrong = |source| Error::Reg { path: name.to_owned(), source };
    let mut wanted: BTreeMap<KnownHive, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        let location = location(operation).map_err(wrong)?;
        wanted.entry(location.hive).or_default().push(operation.clone());
    }
    for (which, operations) in wanted {
        let (root, applied) = hives.change(which, &name.display().to_string(), read)?;
        let mount = Mount::known(root, which);
        let mut locate = |operation: &Operation| {
            let wrong = |problem| reg::Error::Path { line: operation.line, problem };
            mount.key(&operation.key).map(Some).map_err(wrong)
        };
        *applied += reg::apply(root, &operations, time, &mut locate).map_err(wrong)?;
    }
    Ok(())
}

const NO_BCD: &str = "the boot configuration is made by the build; its options, or `wimforge bcd`, change it";

fn location(operation: &Operation) -> Result<paths::Location, reg::Error> {
    paths::locate(&operation.key).map_err(|problem| reg::Error::Path { line: operation.line, problem })
}

/// Puts a copy of `subtree`, which may be the root of another hive, in the place of the key at `path`. The copy keeps
/// its security descriptors and times; parents that are missing are made.
///
/// # Errors
/// [`hive::Error::Name`] for a path that is no key's. The root of a hive cannot be replaced this way.
pub fn insert_subtree(
    root: &mut hive::Key,
    path: &KeyPath,
    subtree: &hive::Key,
    time: Option<FileTime>,
) -> Result<Applied, hive::Error> {
    let mut applied = Applied::default();
    let Some((name, parents)) = path.names().split_last() else {
        let reason = "is that of the root, which cannot be replaced by a key";
        return Err(hive::Error::Name { name: String::new(), reason });
    };
    let mut key = root;
    for parent in parents {
        if key.subkey_named(parent).is_none() {
            let new = hive::Key::new(parent.clone(), key.security().clone(), time.unwrap_or(key.written()))?;
            key.insert(new)?;
            applied.keys_created += 1;
        }
        key = key.subkey_named_mut(parent).expect("was there or has just been made");
    }
    // In keys: what is below counts, too, since all of it is new.
    let mut waiting = vec![subtree];
    while let Some(next) = waiting.pop() {
        applied.keys_created += 1;
        applied.values_set += next.values().len() as u64;
        waiting.extend(next.subkeys());
    }
    applied.keys_deleted += u64::from(key.insert(subtree.clone().renamed(name.clone())?)?.is_some());
    if let Some(time) = time {
        key.set_written(time);
    }
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hive::{Key, Kind, data};

    use super::*;

    fn descriptor() -> Vec<u8> {
        let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        let header = [1, 0, 0, 0x80, 20, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        [&header[..], &administrators, &administrators].concat()
    }

    fn hive(keys: &[&str]) -> Hive {
        let mut hive = Hive::new(5, "ROOT", &descriptor(), FileTime(7)).unwrap();
        for key in keys {
            hive.root_mut().create(key).unwrap();
        }
        hive
    }

    /// Files of an image: a SYSTEM hive with a log beside it, a SOFTWARE hive, the default user's.
    struct Image(BTreeMap<String, Vec<u8>>);

    impl Image {
        fn new() -> Self {
            let mut system = hive(&["Select", "ControlSet001\\Services", "ControlSet002\\Services"]);
            let select = system.root_mut().open_mut("Select").unwrap();
            select.set("Default", Kind::DWORD, data::dword(2)).unwrap();
            let config = "Windows/System32/config";
            let mut files = BTreeMap::new();
            let mut add = |path: String, bytes: Vec<u8>| files.insert(path.to_uppercase(), bytes);
            add(format!("{config}/SYSTEM"), system.to_bytes().unwrap());
            add(format!("{config}/SYSTEM.LOG1"), vec![1; 512]);
            add(format!("{config}/SYSTEM.LOG2"), Vec::new());
            add(format!("{config}/SOFTWARE"), hive(&["Microsoft", "Classes"]).to_bytes().unwrap());
            add("Users/Default/NTUSER.DAT".to_owned(), hive(&["Software"]).to_bytes().unwrap());
            Self(files)
        }

        fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
            Ok(self.0.get(&path.to_uppercase()).cloned())
        }

        fn apply(&self, edits: &RegistryEdits, time: Option<FileTime>) -> Result<Vec<HiveChange>> {
            edits.apply(Path::new("w.wim"), time, &mut |path| self.read(path))
        }
    }

    /// Files of the host.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        }
    }

    fn edits(reg: &[PathBuf], hives: &[(&str, &PathBuf)]) -> Result<RegistryEdits> {
        let choice = |&(key, file): &(&str, &PathBuf)| HiveChoice { key: key.to_owned(), file: file.clone() };
        RegistryEdits::read(reg, &hives.iter().map(choice).collect::<Vec<_>>())
    }

    fn root(change: &HiveChange) -> Key {
        Hive::parse(&change.bytes).unwrap().root().clone()
    }

    #[test]
    fn reg_files_change_the_hives_they_name_and_no_others() {
        let host = Host::new();
        let first = "REGEDIT4\n[HKLM\\SYSTEM\\CurrentControlSet\\Services\\x]\n\"Start\"=dword:3\n[HKCU\\Software\\y]\n";
        let second =
            "REGEDIT4\n[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet002\\Services\\x]\n\"Start\"=dword:0\n";
        let (first, second) = (host.file("1.reg", first.as_bytes()), host.file("2.reg", second.as_bytes()));
        let edits = edits(&[first, second], &[]).unwrap();
        let image = Image::new();
        let changes = image.apply(&edits, None).unwrap();
        let paths: Vec<(&str, bool)> =
            changes.iter().map(|change| (change.path.as_str(), change.exists)).collect();
        assert_eq!(paths, [("Windows/System32/config/SYSTEM", true), ("Users/Default/NTUSER.DAT", true)]);
        // Of the logs only the one that is not empty has to become so.
        assert_eq!(changes[0].logs, ["Windows/System32/config/SYSTEM.LOG1"]);
        assert!(
            changes[0].reason.contains("1.reg") && changes[0].reason.contains("2.reg"),
            "{}",
            changes[0].reason
        );
        let system = root(&changes[0]);
        let x = system.open("ControlSet002\\Services\\x").unwrap();
        assert_eq!((x.value("Start").unwrap().as_u32(), x.written()), (Some(0), FileTime(7)));
        assert!(
            system.open("ControlSet001\\Services\\x").is_none()
                && system.subkey("CurrentControlSet").is_none()
        );
        assert!(root(&changes[1]).open("Software\\y").is_some());
        // The same again gives the same bytes; the time of the build is that of what it wrote.
        assert_eq!(image.apply(&edits, None).unwrap(), changes);
        let dated = image.apply(&edits, Some(FileTime(99))).unwrap();
        assert_eq!(root(&dated[0]).open("ControlSet002\\Services\\x").unwrap().written(), FileTime(99));
        assert_eq!(root(&dated[0]).open("ControlSet001").unwrap().written(), FileTime(7));
        assert_eq!(Hive::parse(&dated[0].bytes).unwrap().written(), FileTime(99));
    }

    #[test]
    fn a_hive_takes_the_place_of_a_hive_or_a_key() {
        let host = Host::new();
        let other = host.file("other.hiv", &hive(&["Vendor\\a"]).to_bytes().unwrap());
        let reg = host.file("1.reg", b"REGEDIT4\n[HKLM\\SOFTWARE\\Vendor\\b]\n[HKLM\\DRIVERS\\c]\n");
        let hives =
            [("software", &other), ("HKLM\\SYSTEM\\CurrentControlSet\\v", &other), ("HKLM\\DRIVERS", &other)];
        let changes = Image::new().apply(&edits(&[reg], &hives).unwrap(), None).unwrap();
        let [system, software, drivers] = &changes[..] else { panic!("{changes:?}") };
        // First whole hives, then subtrees, then .reg files.
        assert!(root(software).open("Vendor\\a").is_some() && root(software).open("Vendor\\b").is_some());
        assert!(root(software).subkey("Microsoft").is_none());
        let there = root(system);
        let subtree = there.open("ControlSet002\\v").unwrap();
        assert_eq!(subtree.name().to_string(), "v");
        assert!(subtree.open("Vendor\\a").is_some());
        // One that the image does not have is added.
        assert_eq!((drivers.path.as_str(), drivers.exists), ("Windows/System32/config/DRIVERS", false));
        assert!(root(drivers).subkey("c").is_some());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let host = Host::new();
        let hive = host.file("h", &hive(&[]).to_bytes().unwrap());
        let chain = |error: Error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            format!("{error}{}", source.unwrap_or_default())
        };
        let refused = |text: &str| {
            let file = host.file("x.reg", text.as_bytes());
            let error = edits(&[file], &[]).and_then(|edits| Image::new().apply(&edits, None)).unwrap_err();
            chain(error)
        };
        assert!(
            refused("REGEDIT4\n[HKLM\\SYSTEM\\x\n")
                .contains("x.reg: line 2, column 15: found the end of the line")
        );
        assert!(refused("[x]\n").contains("x.reg: line 1: x: has no known root"));
        assert!(refused("\n[HKLM\\HARDWARE]\n").contains("x.reg: line 2: HKLM\\HARDWARE: exists only while"));
        assert!(
            refused("\n[HKLM\\BCD00000000]\n")
                .contains("line 2: [HKLM\\BCD00000000]: the boot configuration")
        );
        assert!(
            refused("[HKLM\\SAM\\x]\n")
                .contains("w.wim: no Windows/System32/config/SAM, which holds HKEY_LOCAL")
        );
        assert!(
            refused("[-HKLM\\SOFTWARE]\n").contains("line 1: [HKLM\\SOFTWARE]: the root of a hive cannot")
        );
        let choice = |key: &str| chain(edits(&[], &[(key, &hive)]).unwrap_err());
        assert!(choice("HKLM\\NONE\\x").contains("--hive HKLM\\NONE\\x="));
        assert!(choice("BCD").contains("the boot configuration is made by the build"));
        let twice = edits(&[], &[("SYSTEM", &hive), ("HKLM\\SYSTEM", &hive)]).unwrap_err();
        assert!(chain(twice).contains("takes this place already"));
        let text = host.file("text", b"no hive");
        assert!(matches!(edits(&[], &[("SYSTEM", &text)]).unwrap_err(), Error::Hive { .. }));

        let mut image = Image::new();
        let system = "WINDOWS/SYSTEM32/CONFIG/SYSTEM";
        image.0.get_mut(system).unwrap()[4096] = b'x';
        let file = host.file("x.reg", b"[HKLM\\SYSTEM\\x]\n");
        let error = image.apply(&edits(std::slice::from_ref(&file), &[]).unwrap(), None).unwrap_err();
        assert!(chain(error).starts_with("w.wim: Windows/System32/config/SYSTEM: malformed"));
        // What is replaced as a whole may be damaged.
        let whole = edits(std::slice::from_ref(&file), &[("SYSTEM", &hive)]).unwrap();
        assert!(root(&image.apply(&whole, None).unwrap()[0]).subkey("x").is_some());
    }

    #[test]
    fn choices_are_key_and_file() {
        let choice: HiveChoice = "HKLM\\SYSTEM\\Vendor=a=b".parse().unwrap();
        assert_eq!((choice.key.as_str(), choice.file), ("HKLM\\SYSTEM\\Vendor", PathBuf::from("a=b")));
        for text in ["", "a", "=b", "a="] {
            assert!(text.parse::<HiveChoice>().is_err(), "{text}");
        }
    }
}

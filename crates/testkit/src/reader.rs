//! NTFS readers other than the kernel's: ntfsprogs, ntfs-3g, sleuthkit, 7-Zip.
//!
//! Each function takes a bare NTFS volume and panics with the tool's words when the tool is not content; each also
//! says whether the tool was there to ask.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use crate::tree::{Tree, show};
use crate::wimfile::Hash;
use crate::{Tool, args, disk, kernel, tool};

/// `ntfsfix -n` (mirror, boot sector copy, log) and `ntfsinfo -m`.
#[track_caller]
pub fn ntfsprogs(volume: &Path) -> bool {
    let (Some(fix), Some(info)) = (tool("ntfsfix"), tool("ntfsinfo")) else { return false };
    let text = fix.text(args!["-n", volume]);
    assert!(text.contains("was processed successfully"), "ntfsfix -n: {text}");
    for word in ["FAILED", "ERROR", "differ", "would"] {
        assert!(!text.contains(word), "ntfsfix -n: {text}");
    }
    let text = info.text(args!["-m", volume]);
    assert!(text.contains("Volume Version: 3.1") && !text.contains("DIRTY"), "ntfsinfo -m: {text}");
    true
}

/// `fls -r -p` of sleuthkit names every path of `tree` and its streams, and nothing more. Returns how many deleted
/// names it found besides: none, in a volume whose unused bytes are zero.
#[track_caller]
pub fn sleuthkit(volume: &Path, tree: &Tree) -> Option<usize> {
    let fls = tool("fls")?;
    let output = fls.run(args!["-r", "-p", "-f", "ntfs", volume]);
    assert!(output.stderr.is_empty(), "fls: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut deleted = 0;
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    let mut streams: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let (kind, path) = line.split_once(":\t").unwrap_or_else(|| panic!("fls printed {line:?}"));
        if kind.contains('*') {
            deleted += 1;
            continue;
        }
        if path.starts_with('$') {
            continue; // the system files, and the virtual folder for orphans
        }
        let attribute = kind.rsplit('-').nth(1).unwrap_or_default();
        match path.rsplit_once(':') {
            Some((file, _)) if attribute == "128" => *streams.entry(file).or_default() += 1,
            _ => *found.entry(path).or_default() += 1,
        }
    }
    for (path, node) in &tree.nodes {
        let path = show(path);
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            continue;
        }
        let seen = found.remove(path).unwrap_or(0);
        // sleuthkit makes its own of characters beyond the first plane.
        let odd = path.chars().any(|character| character.len_utf16() > 1);
        assert!(seen > 0 || odd, "fls does not list {path}");
        let expected = node.streams.len();
        let named = streams.remove(path).unwrap_or(0);
        assert!(odd || named == expected, "fls lists {named} streams of {path}, there are {expected}");
    }
    found.retain(|path, _| path.is_ascii());
    assert!(found.is_empty(), "fls lists what should not exist: {:?}", found.keys().take(5));
    Some(deleted)
}

/// Every reader here and the kernel's, one after the other, `say` being told of each that was content; then both
/// writers, in the directory with the most names. With `pristine` there may be no trace of a deleted name.
#[track_caller]
pub fn all(volume: &Path, tree: &Tree, pristine: bool, say: &mut dyn FnMut(&str)) {
    let (tried, names) = tree.largest_directory();
    if ntfsprogs(volume) {
        say("ntfsfix, ntfsinfo");
    }
    if let Some(deleted) = sleuthkit(volume, tree) {
        assert!(!pristine || deleted == 0, "fls finds {deleted} deleted names");
        say("fls");
    }
    if seven_zip(volume) {
        say("7zz");
    }
    if ntfs_3g(volume, tree) {
        say("ntfs-3g");
    }
    if let Some(report) = kernel::ntfs3(volume, &tried) {
        let faults = report.faults(tree);
        assert!(faults.is_empty(), "ntfs3: {} faults: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
        say(&format!("ntfs3, writing among {names} names too"));
    }
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let copy = scratch.path().join("copy.img");
    if disk::copy(volume, &copy).is_some() && ntfs_3g_writes(&copy, &tried) {
        ntfsprogs(&copy);
        say(&format!("ntfs-3g, writing among {names} names"));
    }
}

/// `7zz t` is content with a volume, a disk or a container.
#[track_caller]
pub fn seven_zip(file: &Path) -> bool {
    let Some(seven_zip) = tool("7zz") else { return false };
    let text = seven_zip.text(args!["t", "-bd", file]);
    assert!(text.contains("Everything is Ok") && !text.contains("WARNING"), "7zz t: {text}");
    true
}

/// A volume mounted with ntfs-3g, until it is dropped.
#[derive(Debug)]
pub struct Mount {
    directory: tempfile::TempDir,
    umount: Tool,
}

impl Mount {
    /// Mounts `volume`; `None`, visibly, without ntfs-3g.
    ///
    /// # Panics
    /// When ntfs-3g refuses.
    #[track_caller]
    pub fn new(volume: &Path, options: &str) -> Option<Self> {
        let (ntfs_3g, umount) = (tool("ntfs-3g")?, tool("umount")?);
        if !Path::new("/dev/fuse").exists() {
            crate::skip("needs /dev/fuse");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        ntfs_3g.run(args!["-o", options, volume, directory.path()]);
        Some(Self { directory, umount })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A mount that stays would make the removal of the directory delete what is in the volume.
        for _ in 0..50 {
            if self
                .umount
                .command()
                .arg(self.directory.path())
                .output()
                .is_ok_and(|output| output.status.success())
            {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        self.directory.disable_cleanup(true);
    }
}

/// ntfs-3g lists every path of `tree` and nothing more, finds each by its name, and reads every file's content.
#[track_caller]
pub fn ntfs_3g(volume: &Path, tree: &Tree) -> bool {
    let Some(mount) = Mount::new(volume, "ro") else { return false };
    let root = mount.path();

    let (mut files, mut others) = (BTreeMap::new(), Vec::new());
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(root.join(&directory)).expect("a directory of the volume") {
            let entry = entry.expect("an entry of the volume");
            let path = directory.join(entry.file_name());
            let name = format!("/{}", path.display());
            let kind = entry.file_type().expect("its kind");
            if kind.is_file() {
                files.insert(name, hash_of(&entry.path()));
            } else {
                others.push(name);
            }
            if kind.is_dir() {
                pending.push(path);
            }
        }
    }
    let mut faults = tree.seen_as(&files, &others);
    for path in tree.nodes.keys() {
        let path = show(path);
        if let Err(error) = std::fs::symlink_metadata(root.join(path.trim_start_matches('/'))) {
            faults.push(format!("{path} is not found by its name: {error}"));
        }
    }
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    true
}

/// ntfs-3g creates 2,000 files in the directory `tried` of `volume`, which is changed, then deletes these and every
/// seventh of those that were there; after each step the volume is mounted anew and listed.
#[track_caller]
pub fn ntfs_3g_writes(volume: &Path, tried: &str) -> bool {
    let list = |directory: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("the tried directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let created = |index: usize| format!("created by ntfs-3g {index}.tmp");

    let Some(mount) = Mount::new(volume, "rw") else { return false };
    let first = list(&mount.path().join(tried));
    for index in 0..2_000 {
        let mut file = File::create(mount.path().join(tried).join(created(index))).expect("created");
        write!(file, "content {index}").expect("written");
    }
    drop(mount);

    let mount = Mount::new(volume, "rw").expect("it was there before");
    let directory = mount.path().join(tried);
    let mut expected: Vec<String> = first.iter().cloned().chain((0..2_000).map(created)).collect();
    expected.sort();
    assert!(list(&directory) == expected, "names after creating");
    for index in 0..2_000 {
        let path = directory.join(created(index));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), format!("content {index}"));
        std::fs::remove_file(&path).expect("removed");
    }
    for name in first.iter().step_by(7) {
        let path = directory.join(name);
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(path)
        } else {
            std::fs::remove_file(path)
        }
        .unwrap_or_else(|error| panic!("removing {name}: {error}"));
    }
    drop(mount);

    let mount = Mount::new(volume, "ro").expect("it was there before");
    let kept: Vec<String> =
        first.iter().enumerate().filter(|(index, _)| index % 7 != 0).map(|(_, name)| name.clone()).collect();
    assert!(list(&mount.path().join(tried)) == kept, "names after deleting");
    true
}

fn hash_of(path: &Path) -> Hash {
    let mut sha = Sha1::new();
    let mut buffer = vec![0; 1 << 17];
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return sha.finalize().into(),
            Ok(read) => sha.update(&buffer[..read]),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

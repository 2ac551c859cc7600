//! What lies in a folder, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// A thing in a folder.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Folder,
    /// Its bytes and its mode.
    File(Vec<u8>, u32),
    Link(String),
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder => write!(f, "folder"),
            Self::File(bytes, mode) => write!(f, "{} bytes, mode {mode:o}", bytes.len()),
            Self::Link(target) => write!(f, "-> {target}"),
        }
    }
}

/// All in a folder, by paths.
pub(crate) type Contents = BTreeMap<String, Item>;

/// Reads all of it.
pub(crate) fn read(folder: &Path) -> Contents {
    let mut contents = Contents::new();
    add(folder, "", &mut contents);
    contents
}

fn add(folder: &Path, prefix: &str, contents: &mut Contents) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        let kind = entry.file_type().expect("a file");
        if kind.is_dir() {
            add(&path, &format!("{name}/"), contents);
            contents.insert(name, Item::Folder);
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            contents.insert(name, Item::Link(target.to_string_lossy().into_owned()));
        } else {
            let mode = entry.metadata().expect("a file").mode() & 0o7777;
            contents.insert(name, Item::File(fs::read(&path).expect("a file"), mode));
        }
    }
}

/// Makes the folder as it was, from what it is now.
pub(crate) fn restore(folder: &Path, now: &Contents, before: &Contents) {
    // What lies in a folder comes after it, so going backwards empties folders first.
    for (name, item) in now.iter().rev().filter(|(name, item)| before.get(*name) != Some(item)) {
        let path = folder.join(name);
        match item {
            Item::Folder => fs::remove_dir(path),
            _ => fs::remove_file(path),
        }
        .expect("removed");
    }
    for (name, item) in before.iter().filter(|(name, item)| now.get(*name) != Some(item)) {
        let path = folder.join(name);
        match item {
            Item::Folder => fs::create_dir(path).expect("a folder"),
            Item::File(bytes, mode) => {
                fs::write(&path, bytes).expect("a file");
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).expect("a mode");
            }
            Item::Link(target) => std::os::unix::fs::symlink(target, path).expect("a link"),
        }
    }
}

/// Where two folders differ, for people.
pub(crate) fn differences(a: &Contents, b: &Contents) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differ = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
    differ.map(|name| format!("{name}: {:?} and {:?}", a.get(name), b.get(name))).collect()
}

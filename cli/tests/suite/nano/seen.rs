//! What other people's readers find on a disk that was built: ntfs-3g's `ntfscat` the files, wimlib the tree with its
//! descriptors and hard links, python-registry and hivex the hives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::disk::{Format, capture, cut};
use testkit::registry::{self, Key};
use testkit::tree::{Node, Tree};
use testkit::wimfile::DIRECTORY;
use testkit::{args, tool};

/// The Windows volume of a disk.
#[derive(Debug)]
pub(crate) struct Seen {
    folder: TempDir,
    /// The volume, raw.
    pub(crate) volume: PathBuf,
    /// By path in lower case, with slashes: `/windows/inf`.
    nodes: BTreeMap<String, (String, Node)>,
}

impl Seen {
    /// Reads the largest partition. `None`, visibly, when a tool is missing.
    #[track_caller]
    pub(crate) fn of(disk: &Path, format: Format) -> Option<Self> {
        let qemu_img = tool("qemu-img")?;
        let folder = tempfile::tempdir().expect("a folder");
        let (raw, volume, wim) =
            (folder.path().join("disk.raw"), folder.path().join("volume"), folder.path().join("seen.wim"));
        qemu_img.run(args!["convert", "-f", format.name(), "-O", "raw", disk, &raw]);
        cut(&raw, None, &volume)?;
        std::fs::remove_file(&raw).expect("was just made");
        capture(&volume, &wim)?;
        let tree = Tree::of_wim(&wim, 1)?;
        let nodes = tree.nodes.into_iter().map(|(path, node)| {
            let path = String::from_utf16_lossy(&path);
            (path.to_lowercase(), (path, node))
        });
        Some(Self { nodes: nodes.collect(), folder, volume })
    }

    /// The paths of all files, as they are spelled, with backslashes.
    pub(crate) fn files(&self) -> impl Iterator<Item = String> {
        let files = self.nodes.values().filter(|(_, node)| node.attributes & DIRECTORY == 0);
        files.map(|(path, _)| path.trim_start_matches('/').replace('/', "\\"))
    }

    /// What wimlib says of a path like `Windows\INF`, in any case.
    #[track_caller]
    pub(crate) fn node(&self, path: &str) -> &Node {
        self.find(path).unwrap_or_else(|| panic!("no {path} on the volume"))
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Node> {
        let path = format!("/{}", path.replace('\\', "/").to_lowercase());
        self.nodes.get(&path).map(|(_, node)| node)
    }

    /// The content of a file.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        self.node(path);
        tool("ntfscat").expect("of ntfs-3g").run(args!["-f", &self.volume, &path.replace('\\', "/")]).stdout
    }

    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Keys of a hive of `System32\config`, as two readers see them.
    #[track_caller]
    pub(crate) fn keys(&self, hive: &str, paths: &[&str]) -> Vec<Option<Key>> {
        let file = self.folder.path().join(hive);
        if !file.exists() {
            std::fs::write(&file, self.read(&format!("Windows\\System32\\config\\{hive}"))).expect("written");
        }
        registry::keys(&file, paths).expect("the readers were there before")
    }

    #[track_caller]
    pub(crate) fn key(&self, hive: &str, path: &str) -> Key {
        let found = self.keys(hive, &[path]).remove(0);
        found.unwrap_or_else(|| panic!("no key {path} in {hive}"))
    }
}

/// A security descriptor, taken apart after [MS-DTYP] 2.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) owner: String,
    /// Type, flags, mask, trustee of each entry.
    pub(crate) dacl: Vec<(u8, u8, u32, String)>,
}

impl Descriptor {
    #[track_caller]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four")) as usize;
        let half = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let list = word(16);
        let mut at = list + 8;
        let mut dacl = Vec::new();
        for _ in 0..half(list + 4) {
            dacl.push((bytes[at], bytes[at + 1], word(at + 4) as u32, sid(&bytes[at + 8..])));
            at += half(at + 2);
        }
        Self { owner: sid(&bytes[word(4)..]), dacl }
    }

    /// Who may do anything at all here, not only below.
    pub(crate) fn trustees(&self) -> Vec<&str> {
        let mut all: Vec<&str> =
            self.dacl.iter().filter(|ace| ace.1 & 8 == 0).map(|ace| ace.3.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn sid(bytes: &[u8]) -> String {
    let authority = bytes[2..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let parts = bytes[8..].chunks_exact(4).take(bytes[1].into());
    let parts = parts.map(|part| format!("-{}", u32::from_le_bytes(part.try_into().expect("four"))));
    format!("S-{}-{authority}{}", bytes[0], parts.collect::<String>())
}

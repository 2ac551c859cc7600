//! Which files are read before the overlay filter runs, and so must not be compressed.
//!
//! The boot loader has a reader of its own for NTFS. From Windows 10 on it knows XPRESS with chunks of 4 KiB, from build
//! 18362 on all four codecs, but nothing tells which loader a disk will be started with (a newer one on a USB stick, an
//! older one after a rollback), so these files are left alone always. The list is what the loaders of Windows 8.1 to
//! Server 2022 are known to read (source: the one that wimlib keeps for the same purpose, by its names only), the files
//! that firmware and our own boot record read, and what the image's own WimBootCompress.ini adds.

use std::collections::HashMap;

use crate::glob::Pattern;
use crate::source::WimSource;
use crate::tree::{Content, Tree};
use crate::tree_index::TreeIndex;
use crate::{Error, Result};

/// Patterns from the root, and, without a slash in front, for a name anywhere. One that names a directory stands for
/// all that it holds.
const PATTERNS: &[&str] = &[
    // Boot managers, loaders and what they need, wherever they are kept.
    "*winload.*",
    "*winresume.*",
    "/bootmgr*",
    "/BOOTNXT",
    "/BOOTSECT.BAK",
    "/Boot",
    "/EFI",
    "/Windows/Boot/DVD",
    "/Windows/Boot/EFI",
    "/Windows/Boot/PCAT",
    "/Windows/bootstat.dat",
    "/Windows/Fonts/vgaoem.fon",
    "/Windows/Fonts/vgasys.fon",
    "/Windows/AppPatch/drvmain.sdb",
    "/Windows/INF/errata.inf",
    // The kernel, and what is loaded with it.
    "/Windows/System32/ntkrnlpa.exe",
    "/Windows/System32/ntoskrnl.exe",
    "/Windows/System32/bootvid.dll",
    "/Windows/System32/ci.dll",
    "/Windows/System32/hal*.dll",
    "/Windows/System32/mcupdate_AuthenticAMD.dll",
    "/Windows/System32/mcupdate_GenuineIntel.dll",
    "/Windows/System32/pshed.dll",
    "/Windows/System32/apisetschema.dll",
    "/Windows/System32/api-ms-win*.dll",
    "/Windows/System32/ext-ms-win*.dll",
    "/Windows/System32/KernelBase.dll",
    "/Windows/System32/kd*.dll",
    "/Windows/System32/kbd*.dll",
    "/Windows/System32/clfs.sys",
    "/Windows/System32/*.nls",
    "/Windows/System32/CodeIntegrity/driver.stl",
    "/Windows/System32/drivers/*.sys",
    // Registry hives are written before the filter can step in.
    "/Windows/System32/config",
];

/// What an image itself says about its files.
const INI: &str = "Windows/System32/WimBootCompress.ini";
/// No real one has more than a few KiB.
const MAX_INI: u64 = 1 << 20;
/// Lines of it that count.
const MAX_LINES: usize = 4096;

/// The files, by node number.
#[derive(Debug)]
pub(super) struct Files(Vec<bool>);

impl Files {
    pub(super) fn contains(&self, node: u32) -> bool {
        self.0[node as usize]
    }

    /// Looks at every name of every file.
    pub(super) fn find(index: &TreeIndex<'_>, source: &WimSource) -> Result<Self> {
        let mut patterns: Vec<String> = PATTERNS.iter().map(|&pattern| pattern.to_owned()).collect();
        patterns.extend(from_ini(index, source)?);
        Ok(Self::matching(index.tree(), &patterns))
    }

    fn matching(tree: &Tree, patterns: &[String]) -> Self {
        let (rooted, anywhere): (Vec<&String>, Vec<&String>) =
            patterns.iter().partition(|pattern| pattern.starts_with(['/', '\\']));
        let anywhere: Vec<Pattern> = anywhere.into_iter().map(|pattern| Pattern::new(pattern)).collect();
        let rooted: Vec<Vec<Pattern>> = rooted
            .into_iter()
            .map(|pattern| {
                let parts = pattern.split(['/', '\\']).filter(|part| !part.is_empty());
                parts.map(Pattern::new).collect::<Vec<_>>()
            })
            .filter(|parts| !parts.is_empty())
            .collect();

        /// What is known of a directory by its path: which patterns lead into it, and whether one took all of it.
        #[derive(Clone, Default)]
        struct Reached {
            /// Patterns of which the path is the beginning, and how long that is.
            leading: Vec<(u32, u32)>,
            all: bool,
        }
        let root = Reached { leading: (0..rooted.len() as u32).map(|n| (n, 0)).collect(), all: false };
        let mut directories: HashMap<u32, Reached> = HashMap::from([(0, root)]);
        let mut early = vec![false; tree.nodes.len()];
        // A parent's name comes before its children's.
        for name in &tree.names {
            // What is no directory has no children; the planner says so.
            let Some(parent) = directories.get(&name.parent.0) else { continue };
            let node = name.node.0;
            let text = String::from_utf16_lossy(&name.long);
            let mut reached =
                Reached { leading: Vec::new(), all: parent.all || anywhere.iter().any(|p| p.matches(&text)) };
            for &(pattern, depth) in &parent.leading {
                let parts = &rooted[pattern as usize];
                if reached.all || !parts[depth as usize].matches(&text) {
                    continue;
                }
                match parts.len() as u32 == depth + 1 {
                    true => reached.all = true,
                    false => reached.leading.push((pattern, depth + 1)),
                }
            }
            early[node as usize] |= reached.all;
            if tree.nodes[node as usize].is_directory() {
                directories.insert(node, reached);
            }
        }
        Self(early)
    }
}

/// The files that the image wants left alone: those that it would have to unpack before its first start, and those that
/// shall not be compressed at all.
fn from_ini(index: &TreeIndex<'_>, source: &WimSource) -> Result<Vec<String>> {
    let Some((_, node)) = index.find(INI) else { return Ok(Vec::new()) };
    let Some(Content::Blob { blob, .. }) = index.tree().nodes[node.0 as usize].data else {
        return Ok(Vec::new());
    };
    let bytes = source.wim().reader().read_all(wim::BlobId(blob), MAX_INI).map_err(|error| Error::Blob {
        path: source.path().to_owned(),
        name: INI.replace('/', "\\"),
        source: error,
    })?;
    Ok(parse_ini(&text_of(&bytes)))
}

/// UTF-16 with a mark, or else UTF-8.
fn text_of(bytes: &[u8]) -> String {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => {
            let units: Vec<u16> = rest.as_chunks().0.iter().map(|&unit| u16::from_le_bytes(unit)).collect();
            String::from_utf16_lossy(&units)
        }
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn parse_ini(text: &str) -> Vec<String> {
    let mut wanted = false;
    let mut patterns = Vec::new();
    for line in text.lines().map(str::trim).take(MAX_LINES) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let section = section.trim().to_ascii_lowercase();
            wanted = matches!(section.as_str(), "prepopulatelist" | "compressionexclusionlist");
        } else if wanted && !line.is_empty() && !line.starts_with([';', '#']) {
            let line = line.trim_matches('"');
            // Some have a drive or a variable in front.
            let line = line.split_once(':').map_or(line, |(_, rest)| rest);
            patterns.push(line.to_owned());
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Name, Node, NodeId, Times};

    /// A tree of these paths; the same node again after `=`.
    fn tree(paths: &[&str]) -> (Tree, HashMap<String, u32>) {
        let mut tree = Tree::empty(Times::default());
        let mut known: HashMap<String, u32> = HashMap::new();
        for path in paths {
            let (path, target) = path.split_once('=').map_or((*path, None), |(path, of)| (path, Some(of)));
            let mut parent = 0;
            let mut so_far = String::new();
            let parts: Vec<&str> = path.split('/').collect();
            for (depth, part) in parts.iter().enumerate() {
                so_far = format!("{so_far}/{part}");
                if let Some(&node) = known.get(&so_far) {
                    parent = node;
                    continue;
                }
                let last = depth + 1 == parts.len();
                let node = match (last, target) {
                    (true, Some(target)) => known[&format!("/{target}")],
                    _ => {
                        let mut node = Node::directory(Times::default(), None);
                        if last {
                            node.attributes = 0x20;
                        }
                        tree.nodes.push(node);
                        tree.nodes.len() as u32 - 1
                    }
                };
                let (parent_id, long) = (NodeId(parent), part.encode_utf16().collect());
                tree.names.push(Name { parent: parent_id, node: NodeId(node), long, short: None });
                known.insert(so_far.clone(), node);
                parent = node;
            }
        }
        (tree, known)
    }

    #[test]
    fn every_name_of_a_file_counts() {
        let paths = [
            "Windows/System32/winload.efi",
            "WINDOWS2/x/Winload.exe",
            "Windows/System32/notepad.exe",
            "Windows/System32/DRIVERS/disk.sys",
            "Windows/System32/drivers2/disk.sys",
            "Windows/WinSxS/amd64_disk/disk2.sys",
            "Windows/System32/drivers/late.sys=Windows/WinSxS/amd64_disk/disk2.sys",
            "Windows/System32/config/SYSTEM",
            "Windows/System32/config/RegBack/SYSTEM",
            "Windows/System32/en/config/SYSTEM",
            "bootmgr",
            "Users/bootmgr",
            "Boot/BCD",
            "Windows/Boot/EFI/de-DE/bootmgfw.efi.mui",
            "Windows/System32/C_1252.NLS",
            "Windows/System32/de-DE/C_1252.NLS",
            "Windows/System32/drivers/UMDF/x.dll",
        ];
        let (tree, known) = tree(&paths);
        let patterns: Vec<String> = PATTERNS.iter().map(|&pattern| pattern.to_owned()).collect();
        let early = Files::matching(&tree, &patterns);
        let found: Vec<&str> = paths
            .iter()
            .map(|path| path.split('=').next().unwrap())
            .filter(|path| early.contains(known[&format!("/{path}")]))
            .collect();
        assert_eq!(
            found,
            [
                "Windows/System32/winload.efi",
                "WINDOWS2/x/Winload.exe",
                "Windows/System32/DRIVERS/disk.sys",
                "Windows/WinSxS/amd64_disk/disk2.sys",
                "Windows/System32/drivers/late.sys",
                "Windows/System32/config/SYSTEM",
                "Windows/System32/config/RegBack/SYSTEM",
                "bootmgr",
                "Boot/BCD",
                "Windows/Boot/EFI/de-DE/bootmgfw.efi.mui",
                "Windows/System32/C_1252.NLS",
            ]
        );
    }

    #[test]
    fn an_ini_adds_its_lists() {
        let text = "[ExclusionList]\n\\pagefile.sys\n\n[PrepopulateList]\r\n; no\r\n\\Windows\\System32\\a*.dll\r\n\
                    \"\\Program Files\\x\"\n[CompressionExclusionList]\n*.mp3\nC:\\Windows\\y\n[Other]\nz\n";
        let wanted = ["\\Windows\\System32\\a*.dll", "\\Program Files\\x", "*.mp3", "\\Windows\\y"];
        assert_eq!(parse_ini(text), wanted);
        let utf16: Vec<u8> =
            "\u{feff}[PrepopulateList]\n\\a".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse_ini(&text_of(&utf16)), ["\\a"]);
    }
}

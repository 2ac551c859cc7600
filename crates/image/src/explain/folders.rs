//! Files as a tree of folders, in which small ones are joined; and which are large.
//!
//! Files come with the number of their folder, in any order. What leads nowhere, or in circles, ends up in a folder of its
//! own beside the root.

use std::collections::BTreeMap;

use picture::{Extension, Item, ItemKind, LargeFile, Packing};

use crate::tree::as_u32;

/// What takes less than this part of the volume's files is joined with others.
const LEAST: u64 = 500;
/// Folders within folders that are told apart.
const DEPTH: usize = 6;
/// Large files, and endings of names, that are listed.
const LISTED: usize = 20;
/// A file that is compressed to more than so many per cent hardly gets smaller.
const HARDLY: u64 = 95;
/// Folders above a file that its path names.
const MAX_PATH: usize = 256;
/// Letters of an ending.
const MAX_ENDING: usize = 10;

/// A file or directory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) parent: u64,
    pub(super) directory: bool,
    /// Bytes of clusters.
    pub(super) bytes: u64,
    /// Bytes as programs see them.
    pub(super) size: u64,
    /// Its compressed length, where the volume says.
    pub(super) packed: Option<u64>,
    /// Where on the volume its content begins.
    pub(super) first: Option<u64>,
}

/// All files of a volume.
#[derive(Debug, Default)]
pub(super) struct Files {
    entries: Vec<Entry>,
    /// Where each name begins in `names`.
    starts: Vec<usize>,
    names: Vec<u16>,
}

/// What is listed of them.
pub(super) struct Listed {
    pub(super) tree: Item,
    pub(super) largest: Vec<LargeFile>,
    pub(super) extensions: Vec<Extension>,
    pub(super) packing: Option<Packing>,
}

/// No parent: the root, and what lies in no folder that is known.
const NOBODY: u32 = u32::MAX;

/// Sums of what lies below a folder.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    size: u64,
    files: u64,
    plain: u64,
    packed: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.size = self.size.saturating_add(other.size);
        self.files += other.files;
        self.plain = self.plain.saturating_add(other.plain);
        self.packed = self.packed.saturating_add(other.packed);
    }

    fn item(self, name: String, kind: ItemKind, items: Vec<Item>) -> Item {
        let Self { bytes, size, files, plain, packed } = self;
        Item { name, kind, bytes, size, files, plain, packed, items }
    }
}

impl Files {
    pub(super) fn push(&mut self, entry: Entry, name: &[u16]) {
        // More records than that do not fit any volume that Windows makes.
        if self.entries.len() < NOBODY as usize {
            self.starts.push(self.names.len());
            self.names.extend_from_slice(name);
            self.entries.push(entry);
        }
    }

    fn units(&self, entry: usize) -> &[u16] {
        let end = self.starts.get(entry + 1).copied().unwrap_or(self.names.len());
        &self.names[self.starts[entry]..end]
    }

    fn name(&self, entry: usize) -> String {
        String::from_utf16_lossy(self.units(entry))
    }

    /// Makes the tree. `measured` knows the length and compressed length of what begins at a byte of the volume.
    pub(super) fn finish(
        mut self,
        root: u64,
        measured: impl Fn(u64) -> Option<(u64, u64)>,
        method: Option<String>,
    ) -> Listed {
        for entry in &mut self.entries {
            if entry.packed.is_none() && entry.size > 0 {
                // What begins in one place and has another length is something else.
                let found = entry.first.and_then(&measured).filter(|&(plain, _)| plain == entry.size);
                entry.packed = found.map(|(_, packed)| packed);
            }
        }
        let mut by_id: Vec<u32> = (0..as_u32(self.entries.len())).collect();
        by_id.sort_unstable_by_key(|&entry| self.entries[entry as usize].id);
        let find = |id: u64| {
            let found = by_id.binary_search_by_key(&id, |&entry| self.entries[entry as usize].id);
            found.ok().map(|found| by_id[found])
        };
        let parents: Vec<u32> = self
            .entries
            .iter()
            .map(|entry| match entry.parent {
                parent if parent == root || parent == entry.id => NOBODY,
                parent => {
                    find(parent).filter(|&parent| self.entries[parent as usize].directory).unwrap_or(NOBODY)
                }
            })
            .collect();
        let lost: Vec<bool> = self
            .entries
            .iter()
            .zip(&parents)
            .map(|(entry, &parent)| parent == NOBODY && entry.parent != root)
            .collect();
        drop(by_id);
        let (parents, depths) = without_circles(parents);
        let sums = self.sums(&parents, &depths);
        let mut children: Vec<u32> = (0..as_u32(self.entries.len())).collect();
        children.sort_unstable_by(|&a, &b| {
            let key = |entry: u32| {
                let entry = entry as usize;
                // Those that belong nowhere come last, as a group.
                (
                    parents[entry],
                    lost[entry] && parents[entry] == NOBODY,
                    std::cmp::Reverse(sums[entry].bytes),
                )
            };
            key(a)
                .cmp(&key(b))
                .then_with(|| self.units(a as usize).cmp(self.units(b as usize)))
                .then(a.cmp(&b))
        });
        let view = View { files: &self, parents: &parents, sums: &sums, children: &children };
        let top = view.below(NOBODY);
        let (lost, top): (Vec<u32>, Vec<u32>) = top.iter().copied().partition(|&entry| lost[entry as usize]);
        let mut total = Sum::default();
        top.iter().chain(&lost).for_each(|&entry| total.add(sums[entry as usize]));
        let least = (total.bytes / LEAST).max(1);
        let mut items = view.items(&top, least, 1);
        if !lost.is_empty() {
            let mut sum = Sum::default();
            lost.iter().for_each(|&entry| sum.add(sums[entry as usize]));
            let inside = view.items(&lost, least, 2);
            items.push(sum.item("(in no folder)".to_owned(), ItemKind::Folder, inside));
            items.sort_by_key(|item| (item.kind == ItemKind::Others, std::cmp::Reverse(item.bytes)));
        }
        let tree = total.item(String::new(), ItemKind::Folder, items);
        let of_files = |keep: fn(&Entry) -> bool| {
            let found = self.entries.iter().enumerate();
            let found = found.filter(|(_, entry)| !entry.directory && keep(entry));
            found.map(|(index, _)| as_u32(index)).collect::<Vec<u32>>()
        };
        let largest = view.largest(of_files(|entry| entry.bytes > 0), |entry| entry.bytes);
        let packing = method.or_else(|| {
            let any = self.entries.iter().any(|entry| entry.packed.is_some());
            any.then(|| {
                "files that Windows compressed (Compact OS, NTFS compression), as they lie here".to_owned()
            })
        });
        let packing = packing.filter(|_| total.plain > 0).map(|method| {
            let hardly = |entry: &Entry| {
                entry.packed.is_some_and(|packed| packed > entry.size / 100 * HARDLY) && entry.size >= 4096
            };
            let worst = of_files(hardly);
            let incompressible =
                worst.iter().fold(0u64, |sum, &entry| sum.saturating_add(self.entries[entry as usize].size));
            let counted = |entry: &&Entry| !entry.directory && entry.packed.is_some();
            Packing {
                method,
                files: self.entries.iter().filter(counted).count() as u64,
                plain: total.plain,
                packed: total.packed,
                worst: view.largest(worst, |entry| entry.size),
                incompressible,
            }
        });
        Listed { tree, largest, extensions: self.extensions(), packing }
    }

    /// What lies below each entry, itself included.
    fn sums(&self, parents: &[u32], depths: &[u32]) -> Vec<Sum> {
        let own = |entry: &Entry| Sum {
            bytes: entry.bytes,
            size: entry.size,
            files: u64::from(!entry.directory),
            plain: if entry.packed.is_some() { entry.size } else { 0 },
            packed: entry.packed.unwrap_or(0),
        };
        let mut sums: Vec<Sum> = self.entries.iter().map(own).collect();
        let mut deepest_first: Vec<u32> = (0..as_u32(sums.len())).collect();
        deepest_first.sort_unstable_by_key(|&entry| std::cmp::Reverse(depths[entry as usize]));
        for entry in deepest_first {
            let parent = parents[entry as usize];
            if parent != NOBODY {
                let sum = sums[entry as usize];
                sums[parent as usize].add(sum);
            }
        }
        sums
    }

    fn extensions(&self) -> Vec<Extension> {
        let mut found: BTreeMap<String, Sum> = BTreeMap::new();
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| !entry.directory) {
            found.entry(ending(self.units(index))).or_default().add(Sum {
                bytes: entry.bytes,
                size: entry.size,
                files: 1,
                plain: if entry.packed.is_some() { entry.size } else { 0 },
                packed: entry.packed.unwrap_or(0),
            });
        }
        let mut sorted: Vec<(String, Sum)> = found.into_iter().collect();
        sorted.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
        let rest = sorted.split_off(sorted.len().min(LISTED));
        if !rest.is_empty() {
            let mut sum = Sum::default();
            rest.iter().for_each(|(_, other)| sum.add(*other));
            sorted.push((format!("{} others", rest.len()), sum));
        }
        let extension = |(name, sum): (String, Sum)| {
            let Sum { bytes, files, plain, packed, .. } = sum;
            Extension { name, files, bytes, plain, packed }
        };
        sorted.into_iter().map(extension).collect()
    }
}

/// The ending of a name, in lower case; empty when there is none worth the name.
fn ending(name: &[u16]) -> String {
    let Some(dot) = name.iter().rposition(|&unit| unit == u16::from(b'.')) else { return String::new() };
    let plain = |unit: &u16| {
        char::from_u32(u32::from(*unit)).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let tail = &name[dot + 1..];
    if dot == 0 || tail.is_empty() || tail.len() > MAX_ENDING || !tail.iter().all(plain) {
        return String::new();
    }
    format!(".{}", String::from_utf16_lossy(tail).to_ascii_lowercase())
}

/// Cuts circles of parents open, and says how deep each entry lies.
fn without_circles(mut parents: Vec<u32>) -> (Vec<u32>, Vec<u32>) {
    const UNKNOWN: u32 = u32::MAX;
    const OPEN: u32 = u32::MAX - 1;
    let mut depths = vec![UNKNOWN; parents.len()];
    let mut path = Vec::new();
    for start in 0..parents.len() {
        let mut at = start;
        while depths[at] == UNKNOWN {
            depths[at] = OPEN;
            path.push(at);
            let parent = parents[at];
            if parent == NOBODY {
                break;
            }
            if depths[parent as usize] == OPEN {
                parents[at] = NOBODY;
                break;
            }
            at = parent as usize;
        }
        while let Some(entry) = path.pop() {
            let parent = parents[entry];
            depths[entry] = if parent == NOBODY { 0 } else { depths[parent as usize] + 1 };
        }
    }
    (parents, depths)
}

/// The files with their places in the tree.
struct View<'a> {
    files: &'a Files,
    parents: &'a [u32],
    sums: &'a [Sum],
    /// Sorted by parent.
    children: &'a [u32],
}

impl View<'_> {
    fn below(&self, parent: u32) -> &[u32] {
        let of = |&entry: &u32| self.parents[entry as usize];
        let start = self.children.partition_point(|entry| of(entry) < parent);
        let end = self.children.partition_point(|entry| of(entry) <= parent);
        &self.children[start..end]
    }

    /// Entries as items: those that are large enough, and all others as one.
    fn items(&self, entries: &[u32], least: u64, depth: usize) -> Vec<Item> {
        let mut items = Vec::new();
        let mut others = Sum::default();
        let mut count = 0u64;
        for &entry in entries {
            let (index, sum) = (entry as usize, self.sums[entry as usize]);
            if sum.bytes < least {
                others.add(sum);
                count += 1;
                continue;
            }
            let (kind, inside) = match self.files.entries[index].directory {
                false => (ItemKind::File, Vec::new()),
                true if depth < DEPTH => (ItemKind::Folder, self.items(self.below(entry), least, depth + 1)),
                true => (ItemKind::Folder, Vec::new()),
            };
            // One box inside another of the same size says nothing.
            let inside = if matches!(&inside[..], [only] if only.kind == ItemKind::Others) {
                Vec::new()
            } else {
                inside
            };
            items.push(sum.item(self.files.name(index), kind, inside));
        }
        if count > 0 {
            let name = format!("{count} other{}", if count == 1 { "" } else { "s" });
            items.push(others.item(name, ItemKind::Others, Vec::new()));
        }
        items
    }

    fn path(&self, entry: u32) -> String {
        let mut parts = Vec::new();
        let mut at = entry;
        while at != NOBODY && parts.len() < MAX_PATH {
            parts.push(self.files.name(at as usize));
            at = self.parents[at as usize];
        }
        parts.iter().rev().fold(String::new(), |path, part| path + "\\" + part)
    }

    fn largest(&self, mut files: Vec<u32>, by: fn(&Entry) -> u64) -> Vec<LargeFile> {
        let entry = |&index: &u32| &self.files.entries[index as usize];
        files.sort_by(|a, b| {
            let units = |index: u32| self.files.units(index as usize);
            by(entry(b)).cmp(&by(entry(a))).then_with(|| units(*a).cmp(units(*b))).then(a.cmp(b))
        });
        files.truncate(LISTED);
        let large = |index: u32| {
            let Entry { bytes, size, packed, .. } = *entry(&index);
            LargeFile { path: self.path(index), bytes, size, packed }
        };
        files.into_iter().map(large).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, parent: u64, directory: bool, bytes: u64) -> Entry {
        Entry { id, parent, directory, bytes, size: bytes, ..Entry::default() }
    }

    fn listed(entries: &[(Entry, &str)]) -> Listed {
        let mut files = Files::default();
        for (entry, name) in entries {
            files.push(*entry, &name.encode_utf16().collect::<Vec<u16>>());
        }
        files.finish(5, |_| None, None)
    }

    #[test]
    fn small_files_are_joined_and_sums_are_whole() {
        let mut entries = vec![
            (entry(40, 30, false, 700_000), "kernel.DLL"),
            (entry(30, 20, true, 0), "System32"),
            (entry(20, 5, true, 0), "Windows"),
        ];
        entries.extend((100..200).map(|id| (entry(id, 30, false, 100), "tiny.txt")));
        let Listed { tree, largest, extensions, .. } = listed(&entries);
        assert_eq!((tree.bytes, tree.files), (710_000, 101));
        let system = &tree.items[0].items[0];
        let names: Vec<&str> = system.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["kernel.DLL", "100 others"]);
        assert_eq!(system.items[1].bytes, 10_000);
        assert_eq!(largest[0].path, "\\Windows\\System32\\kernel.DLL");
        assert_eq!((extensions[0].name.as_str(), extensions[1].files), (".dll", 100));
    }

    #[test]
    fn circles_and_orphans_are_in_no_folder() {
        let tree = listed(&[
            (entry(20, 21, true, 0), "a"),
            (entry(21, 20, true, 0), "b"),
            (entry(22, 21, false, 50), "in the circle"),
            (entry(23, 999, false, 30), "lost"),
            (entry(24, 22, false, 10), "in a file"),
            (entry(25, 5, false, 5), "fine"),
        ])
        .tree;
        assert_eq!((tree.bytes, tree.files), (95, 4));
        assert!(tree.items.iter().any(|item| item.name == "(in no folder)" && item.bytes >= 40));
    }

    #[test]
    fn a_deep_chain_needs_no_stack() {
        let chain = (0..200_000).map(|id| (entry(id + 10, if id == 0 { 5 } else { id + 9 }, true, 0), "d"));
        let mut entries: Vec<_> = chain.collect();
        entries.reverse();
        entries.push((entry(1_000_000, 200_009, false, 4096), "f"));
        let Listed { tree, largest, .. } = listed(&entries);
        assert_eq!(tree.bytes, 4096);
        assert!(largest[0].path.len() < 2 * MAX_PATH + 2);
    }

    #[test]
    fn endings() {
        let of = |name: &str| ending(&name.encode_utf16().collect::<Vec<u16>>());
        assert_eq!(of("a.DLL"), ".dll");
        assert_eq!(of("archive.tar.gz"), ".gz");
        for none in ["README", ".profile", "odd.", "a.<script>", "a.averyverylongending", "x.\u{202e}"] {
            assert_eq!(of(none), "", "{none}");
        }
    }
}

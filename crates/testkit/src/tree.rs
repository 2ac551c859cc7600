//! An image as wimlib wrote it, path by path, and what differs between two of them.
//!
//! The round trip that proves our volumes: a disk is built from a WIM, wimlib captures the volume again, and the two
//! images are compared here. `wimlib-imagex dir --detailed` prints times in whole seconds only, so the comparison
//! reads the metadata resources themselves, after wimlib has re-written them without compression; a test holds this
//! reader against that listing, field by field ([`Listing`]).
//!
//! Two things are normalised, and nothing else:
//! - `FILE_ATTRIBUTE_NORMAL` means "no other attribute" and is the same as 0;
//! - numbers of security descriptors and of hard-link groups are free to choose: descriptors are compared as bytes,
//!   groups as sets of paths.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use sha1::{Digest, Sha1};

use crate::wimfile::{DIRECTORY, Hash, Layout, NORMAL, REPARSE_POINT};
use crate::{Tool, args, tool};

/// UTF-16 units of a path, `/` before each name; the root is `/`.
pub type UnitPath = Vec<u16>;

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// The 8.3 name, in UTF-16 units.
    pub short_name: Vec<u16>,
    /// The security descriptor.
    pub security: Option<Arc<[u8]>>,
    /// Created, accessed, written, in units of 100 ns since 1601.
    pub times: [u64; 3],
    /// Hash of the unnamed stream; zeros when empty.
    pub data: Hash,
    /// The named streams and their hashes.
    pub streams: BTreeMap<Vec<u16>, Hash>,
    /// Reparse tag and the hash of its data.
    pub reparse: Option<(u32, Hash)>,
    /// Hard-link group; 0 for a file with one name.
    pub link_group: u64,
    /// Tagged items: tag and data.
    pub tagged: Vec<(u32, Vec<u8>)>,
}

/// All paths of an image.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// By path.
    pub nodes: BTreeMap<UnitPath, Node>,
}

/// What two images do not have in common.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// How many fields of how many paths differ.
    pub total: usize,
    /// The first of them, in words.
    pub shown: Vec<String>,
}

/// How many differences are put into words.
const SHOWN: usize = 40;

impl Differences {
    fn add(&mut self, path: &[u16], text: impl FnOnce() -> String) {
        self.total += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(format!("{}: {}", show(path), text()));
        }
    }

    /// # Panics
    /// When there is a difference; the message lists the first ones.
    #[track_caller]
    pub fn assert_none(&self) {
        assert!(self.total == 0, "{} differences:\n{}", self.total, self.shown.join("\n"));
    }
}

/// Text of UTF-16 units.
pub fn show(units: &[u16]) -> String {
    String::from_utf16_lossy(units)
}

impl Tree {
    /// Reads image `index` (from 1) of `wim`. `None`, visibly, without wimlib.
    ///
    /// # Panics
    /// When the file or the image cannot be read.
    pub fn of_wim(wim: &Path, index: u32) -> Option<Self> {
        let wimlib = tool("wimlib-imagex")?;
        let layout = Layout::of(wim);
        // None at all in a pipable file, whose first header says nothing.
        let mut metadata = layout.resources.iter().filter(|resource| resource.metadata).peekable();
        if metadata.peek().is_some() && metadata.all(|resource| !resource.compressed) {
            return Some(Self::of_plain_wim(wim, index));
        }
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let plain = scratch.path().join("plain.wim");
        let index = index.to_string();
        wimlib.run(args!["export", wim, &index, &plain, "--compress=none"]);
        Some(Self::of_plain_wim(&plain, 1))
    }

    fn of_plain_wim(wim: &Path, index: u32) -> Self {
        let layout = Layout::of(wim);
        let metadata = layout
            .resources
            .iter()
            .filter(|resource| resource.metadata)
            .nth(index as usize - 1)
            .unwrap_or_else(|| panic!("{} has no image {index}", wim.display()));
        let mut bytes = vec![0; usize::try_from(metadata.size).expect("fits memory")];
        let mut file = std::fs::File::open(wim).expect("was just written");
        file.seek(SeekFrom::Start(metadata.range.start)).expect("seek");
        file.read_exact(&mut bytes).expect("metadata is as long as the blob table says");
        Self::of_metadata(&bytes)
    }

    /// Reads a metadata resource as wimlib writes it.
    fn of_metadata(bytes: &[u8]) -> Self {
        let count = u32_at(bytes, 4) as usize;
        let mut at = 8 + 8 * count;
        let security: Vec<Arc<[u8]>> = (0..count)
            .map(|index| {
                let start = at;
                at += size_at(bytes, 8 + 8 * index);
                bytes[start..at].into()
            })
            .collect();
        let root = (u32_at(bytes, 0) as usize).max(8).next_multiple_of(8);
        let mut tree = Self::default();
        let mut lists = Vec::new();
        let mut take = |dentry: &Dentry, path: UnitPath, lists: &mut Vec<(usize, UnitPath)>| {
            if dentry.list != 0 {
                lists.push((dentry.list, path.clone()));
            }
            let descriptor = security.get(dentry.security as usize).cloned();
            let mut node = dentry.node.clone();
            node.security = descriptor;
            assert!(tree.nodes.insert(path.clone(), node).is_none(), "{} twice", show(&path));
        };
        if let Some((dentry, _)) = Dentry::parse(bytes, root) {
            take(&dentry, vec![u16::from(b'/')], &mut lists);
        }
        while let Some((mut at, parent)) = lists.pop() {
            while let Some((dentry, next)) = Dentry::parse(bytes, at) {
                let mut path = if parent.len() == 1 { Vec::new() } else { parent.clone() };
                path.push(u16::from(b'/'));
                path.extend(&dentry.name);
                take(&dentry, path, &mut lists);
                at = next;
            }
        }
        tree
    }

    /// Every hard-link group of two names or more, as the set of its paths.
    pub fn link_groups(&self) -> BTreeSet<Vec<UnitPath>> {
        let mut groups: HashMap<u64, Vec<UnitPath>> = HashMap::new();
        for (path, node) in &self.nodes {
            if node.link_group != 0 {
                groups.entry(node.link_group).or_default().push(path.clone());
            }
        }
        groups.into_values().filter(|paths| paths.len() > 1).collect()
    }

    /// What a reader on Linux should have seen otherwise, in words: `files` are the regular files it found, by path,
    /// with the hash of their unnamed streams, `others` the paths of all else. What stands for a reparse point is
    /// the reader's choice.
    pub fn seen_as(&self, files: &BTreeMap<String, Hash>, others: &[String]) -> Vec<String> {
        let empty: Hash = Sha1::digest([]).into();
        let mut faults = Vec::new();
        let mut others: BTreeSet<&str> =
            others.iter().map(String::as_str).filter(|path| !path.is_empty()).collect();
        let mut files = files.clone();
        for (path, node) in &self.nodes {
            let path = show(path);
            if path == "/" {
                continue;
            }
            let expected = if node.data == Hash::default() { empty } else { node.data };
            let directory = node.attributes & DIRECTORY != 0;
            match (files.remove(&path), others.remove(path.as_str())) {
                (None, false) => faults.push(format!("{path} is missing")),
                _ if node.reparse.is_some() => {}
                (Some(_), _) if directory => faults.push(format!("{path} should be a directory")),
                (Some(found), _) if found != expected => {
                    faults.push(format!("{path} reads as {}, should be {}", hash(&found), hash(&expected)));
                }
                (None, _) if !directory => faults.push(format!("{path} should be a file")),
                _ => {}
            }
        }
        faults.extend(
            files.keys().map(String::as_str).chain(others).map(|path| format!("{path} should not exist")),
        );
        faults
    }

    /// The directory with the most names, as `dir/name` (empty for the root), and how many it has.
    pub fn largest_directory(&self) -> (String, usize) {
        let mut counts: HashMap<&[u16], usize> = HashMap::new();
        for path in self.nodes.keys() {
            let end = path.iter().rposition(|&unit| unit == u16::from(b'/')).unwrap_or(0);
            *counts.entry(&path[..end]).or_default() += 1;
        }
        let (path, count) = counts.into_iter().max_by_key(|&(path, count)| (count, path)).unwrap_or_default();
        (show(path).trim_start_matches('/').to_owned(), count)
    }

    /// What differs: `self` is what was meant, `found` what came out.
    pub fn compare(&self, found: &Self) -> Differences {
        let mut differences = Differences::default();
        for (path, meant) in &self.nodes {
            match found.nodes.get(path) {
                None => differences.add(path, || "is missing".to_owned()),
                Some(found) => compare_nodes(path, meant, found, &mut differences),
            }
        }
        for path in found.nodes.keys().filter(|path| !self.nodes.contains_key(*path)) {
            differences.add(path, || "should not exist".to_owned());
        }
        let (meant, found) = (self.link_groups(), found.link_groups());
        for (group, text) in meant
            .difference(&found)
            .map(|group| (group, "these names should be one file"))
            .chain(found.difference(&meant).map(|group| (group, "these names should not be one file")))
        {
            differences.add(&group[0], || {
                let paths: Vec<String> = group.iter().take(6).map(|path| show(path)).collect();
                format!("{text} ({}): {}", group.len(), paths.join(", "))
            });
        }
        differences
    }
}

fn compare_nodes(path: &[u16], meant: &Node, found: &Node, differences: &mut Differences) {
    let normal = |attributes: u32| attributes & !NORMAL;
    if normal(meant.attributes) != normal(found.attributes) {
        differences
            .add(path, || format!("attributes {:#x}, should be {:#x}", found.attributes, meant.attributes));
    }
    if meant.short_name != found.short_name {
        differences.add(path, || {
            format!("short name {:?}, should be {:?}", show(&found.short_name), show(&meant.short_name))
        });
    }
    if meant.security != found.security {
        let hex = |descriptor: &Option<Arc<[u8]>>| match descriptor {
            None => "none".to_owned(),
            Some(bytes) => bytes.iter().take(64).fold(format!("{} bytes ", bytes.len()), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }),
        };
        differences.add(path, || {
            format!("security descriptor {}, should be {}", hex(&found.security), hex(&meant.security))
        });
    }
    for (index, what) in ["created", "accessed", "written"].into_iter().enumerate() {
        if meant.times[index] != found.times[index] {
            differences.add(path, || {
                format!("{what} {:#x}, should be {:#x}", found.times[index], meant.times[index])
            });
        }
    }
    if meant.data != found.data {
        differences.add(path, || format!("data {}, should be {}", hash(&found.data), hash(&meant.data)));
    }
    for name in meant.streams.keys().chain(found.streams.keys()).collect::<BTreeSet<_>>() {
        let (meant, found) = (meant.streams.get(name), found.streams.get(name));
        if meant != found {
            let text = |value: Option<&Hash>| value.map_or("absent".to_owned(), hash);
            differences
                .add(path, || format!("stream {:?} {}, should be {}", show(name), text(found), text(meant)));
        }
    }
    if meant.reparse != found.reparse {
        let text = |value: &Option<(u32, Hash)>| match value {
            None => "none".to_owned(),
            Some((tag, data)) => format!("{tag:#x} with data {}", hash(data)),
        };
        differences.add(path, || {
            format!("reparse point {}, should be {}", text(&found.reparse), text(&meant.reparse))
        });
    }
    if meant.tagged != found.tagged {
        differences.add(path, || format!("tagged items {:x?}, should be {:x?}", found.tagged, meant.tagged));
    }
}

/// Hexadecimal text of a hash.
pub fn hash(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Dentry {
    name: Vec<u16>,
    security: u32,
    list: usize,
    node: Node,
}

impl Dentry {
    /// The directory entry at `at` and where the next begins; `None` at the end of a list.
    fn parse(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
        let length = size_at(bytes, at);
        if length <= 8 {
            return None;
        }
        let entry = &bytes[at..at + length];
        let attributes = u32_at(entry, 8);
        let has_reparse = attributes & REPARSE_POINT != 0;
        let own: Hash = entry[0x40..0x54].try_into().expect("20 bytes");
        let tag_or_group = u64_at(entry, 0x58);
        let extra = usize::from(u16_at(entry, 0x60));
        let (short_len, long_len) = (usize::from(u16_at(entry, 0x62)), usize::from(u16_at(entry, 0x64)));
        let long_at = 0x66;
        let name = units(&entry[long_at..long_at + long_len]);
        let short_at = if long_len == 0 { long_at } else { long_at + long_len + 2 };
        let short_name = units(&entry[short_at..short_at + short_len]);
        let names_end = if short_len == 0 { short_at } else { short_at + short_len + 2 };

        let mut tagged = Vec::new();
        let mut item = names_end.next_multiple_of(8);
        while item + 8 <= length {
            let (tag, size) = (u32_at(entry, item), u32_at(entry, item + 4) as usize);
            tagged.push((tag, entry[item + 8..item + 8 + size].to_vec()));
            item = (item + 8 + size).next_multiple_of(8);
        }

        let mut next = at + length.next_multiple_of(8);
        let mut streams = BTreeMap::new();
        let mut nameless = Vec::new();
        for _ in 0..extra {
            let stream_length = size_at(bytes, next);
            let stream = &bytes[next..next + stream_length];
            let hash: Hash = stream[0x10..0x24].try_into().expect("20 bytes");
            let name_len = usize::from(u16_at(stream, 0x24));
            if name_len == 0 {
                nameless.push(hash);
            } else {
                let stream_name = units(&stream[0x26..0x26 + name_len]);
                assert!(streams.insert(stream_name, hash).is_none(), "a stream of {} twice", show(&name));
            }
            next += stream_length.next_multiple_of(8);
        }
        if nameless.is_empty() || own != Hash::default() {
            nameless.insert(0, own);
        }
        let mut nameless = nameless.into_iter();
        let reparse = has_reparse.then(|| {
            (u32::try_from(tag_or_group & 0xFFFF_FFFF).expect("masked"), nameless.next().unwrap_or_default())
        });
        let directory = attributes & DIRECTORY != 0 && !has_reparse;
        let node = Node {
            attributes,
            short_name,
            security: None,
            times: [u64_at(entry, 0x28), u64_at(entry, 0x30), u64_at(entry, 0x38)],
            data: nameless.next().unwrap_or_default(),
            streams,
            reparse,
            link_group: if has_reparse || directory { 0 } else { tag_or_group },
            tagged,
        };
        Some((Self { name, security: u32_at(entry, 0xC), list: size_at(entry, 0x10), node }, next))
    }
}

fn units(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn size_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64_at(bytes, at)).expect("fits memory")
}

/// What `wimlib-imagex dir --detailed` prints of one path: the fields as text, by their titles.
///
/// Streams appear under the titles `stream NAME` (`stream` alone for the unnamed one, `reparse` for reparse data).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Title and value as printed.
    pub fields: BTreeMap<String, String>,
}

/// The listing of `wimlib-imagex dir --detailed`, by path.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// By the printed path.
    pub paths: BTreeMap<String, Listed>,
}

impl Listing {
    /// Lists image `index` of `wim`.
    ///
    /// # Panics
    /// When wimlib refuses, or prints something unknown.
    pub fn of_wim(wimlib: &Tool, wim: &Path, index: u32) -> Self {
        let index = index.to_string();
        Self::parse(&wimlib.text(args!["dir", wim, &index, "--detailed"]))
    }

    fn parse(text: &str) -> Self {
        let mut listing = Self::default();
        let mut path = None;
        let mut stream = None;
        for line in text.lines() {
            if line.starts_with("----------") {
                (path, stream) = (None, None);
            } else if let Some(title) = line.strip_prefix('\t') {
                stream = Some(match title.trim_end_matches(':') {
                    "Unnamed data stream" => "stream".to_owned(),
                    "Reparse point stream" => "reparse".to_owned(),
                    named => {
                        let name = named.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
                        format!("stream {}", name.unwrap_or_else(|| panic!("unknown stream line {line:?}")).0)
                    }
                });
            } else if let Some((title, value)) = line.split_once('=') {
                let (title, value) = (title.trim(), value.trim());
                if title == "Full Path" {
                    path = Some(value.trim_matches('"').to_owned());
                    listing.paths.entry(value.trim_matches('"').to_owned()).or_default();
                } else if let Some(node) = path.as_ref().and_then(|path| listing.paths.get_mut(path)) {
                    match (&stream, title) {
                        (Some(stream), "Hash") => node.fields.insert(stream.clone(), value[2..].to_owned()),
                        (Some(_), _) => None,
                        (None, _) => node.fields.insert(title.to_owned(), value.to_owned()),
                    };
                }
            }
        }
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// `Sat Nov 21 10:53:13 2026 UTC`, as wimlib prints a file time.
    fn date(time: u64) -> String {
        let seconds = (time / 10_000_000).cast_signed() - 11_644_473_600;
        let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let weekday =
            ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(day.rem_euclid(7)).unwrap()];
        // Years counted from March, in eras of 400.
        let shifted = day + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let of_month = of_year - (153 * month + 2) / 5 + 1;
        let name = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"]
            [usize::try_from(month).unwrap()];
        let year = year + era * 400 + i64::from(month >= 10);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{weekday} {name} {of_month:02} {hour:02}:{minute:02}:{second:02} {year} UTC")
    }

    /// The reader of metadata and wimlib's own listing say the same of every path.
    #[test]
    fn agrees_with_the_listing_of_wimlib() {
        let Some(wimlib) = tool("wimlib-imagex") else { return };
        let dir = tempfile::tempdir().expect("a directory");
        let wim = dir.path().join("small.wim");
        fixture::two_images().save(&wim);
        for index in 1..=2 {
            let tree = Tree::of_wim(&wim, index).expect("wimlib is there");
            let listing = Listing::of_wim(&wimlib, &wim, index);
            assert!(tree.nodes.len() > 100);
            let paths: BTreeSet<String> = tree.nodes.keys().map(|path| show(path)).collect();
            assert_eq!(paths, listing.paths.keys().cloned().collect());
            let groups = tree.link_groups();
            for (path, node) in &tree.nodes {
                let listed = &listing.paths[&show(path)].fields;
                let field = |title: &str| listed.get(title).map(String::as_str);
                assert_eq!(
                    field("Attributes"),
                    Some(format!("{:#010x}", node.attributes).as_str()),
                    "{}",
                    show(path)
                );
                assert_eq!(field("Short Name"), Some(format!("\"{}\"", show(&node.short_name)).as_str()));
                let titles = ["Creation Time", "Last Access Time", "Last Write Time"];
                for (title, time) in titles.into_iter().zip(node.times) {
                    assert_eq!(field(title), Some(date(time).as_str()), "{title} of {}", show(path));
                }
                let descriptor = node.security.as_ref().map(|bytes| {
                    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
                });
                assert_eq!(field("Security Descriptor"), descriptor.as_deref(), "{}", show(path));
                let links = groups.iter().find(|group| group.contains(path)).map_or(1, Vec::len);
                assert_eq!(field("Link Count"), Some(links.to_string().as_str()), "{}", show(path));
                let tag = node.reparse.map(|(tag, _)| format!("{tag:#x}"));
                assert_eq!(field("Reparse Tag"), tag.as_deref(), "{}", show(path));
                let reparse = node.reparse.map(|(_, data)| hash(&data));
                assert_eq!(field("reparse"), reparse.as_deref(), "{}", show(path));
                assert_eq!(
                    field("stream").unwrap_or(&hash(&Hash::default())),
                    hash(&node.data),
                    "{}",
                    show(path)
                );
                for (name, data) in &node.streams {
                    assert_eq!(
                        field(&format!("stream {}", show(name))),
                        Some(hash(data).as_str()),
                        "{}",
                        show(path)
                    );
                }
                let named = listed.keys().filter(|title| title.starts_with("stream ")).count();
                assert_eq!(named, node.streams.len(), "{}", show(path));
            }
        }
    }

    fn tree() -> Tree {
        let mut wim = fixture::two_images().to_bytes();
        let layout = {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("x.wim");
            std::fs::write(&path, &wim).expect("written");
            Layout::of(&path)
        };
        let metadata = layout.resources.iter().find(|resource| resource.metadata).expect("an image");
        let range =
            usize::try_from(metadata.range.start).unwrap()..usize::try_from(metadata.range.end).unwrap();
        Tree::of_metadata(&wim.drain(range).collect::<Vec<u8>>())
    }

    type Change = fn(&mut Node);

    /// The checker is checked: each single change is found, and named.
    #[test]
    fn every_kind_of_difference_is_found() {
        let meant = tree();
        meant.compare(&meant).assert_none();
        let path: UnitPath = "/Users/Public/Documents/streams.txt".encode_utf16().collect();
        let link: UnitPath = "/Users/Public/relative link".encode_utf16().collect();
        let changes: [(&UnitPath, &str, Change); 13] = [
            (&path, "attributes", |node| node.attributes ^= 1),
            (&path, "short name", |node| node.short_name.push(65)),
            (&path, "security descriptor", |node| node.security = None),
            (&path, "security descriptor", |node| {
                let mut bytes = node.security.as_ref().expect("has one").to_vec();
                *bytes.last_mut().expect("not empty") ^= 1;
                node.security = Some(bytes.into());
            }),
            (&path, "created", |node| node.times[0] += 1),
            (&path, "accessed", |node| node.times[1] += 1),
            (&path, "written", |node| node.times[2] += 1),
            (&path, "data", |node| node.data[19] ^= 1),
            (&path, "stream \"large\"", |node| node.streams.values_mut().for_each(|hash| hash[0] ^= 1)),
            (&path, "stream \"empty\"", |node| {
                node.streams.remove(&"empty".encode_utf16().collect::<Vec<_>>());
            }),
            (&link, "reparse point", |node| node.reparse.as_mut().expect("has one").0 += 1),
            (&link, "reparse point", |node| node.reparse.as_mut().expect("has one").1[0] ^= 1),
            (&path, "tagged items", |node| node.tagged.push((1, vec![0]))),
        ];
        for (path, what, change) in changes {
            let mut found = meant.clone();
            change(found.nodes.get_mut(path).expect("is in the fixture"));
            let differences = meant.compare(&found);
            assert!(differences.total > 0, "{what}");
            let text = differences.shown.join("\n");
            assert!(text.contains(&show(path)) && text.contains(what), "{what}: {text}");
        }

        let mut found = meant.clone();
        found.nodes.remove(&path);
        assert!(meant.compare(&found).shown[0].ends_with("is missing"));
        assert!(found.compare(&meant).shown[0].ends_with("should not exist"));

        let mut found = meant.clone();
        let one: UnitPath = "/Windows/System32/module1.dll".encode_utf16().collect();
        found.nodes.get_mut(&one).expect("is in the fixture").link_group = 0;
        assert!(meant.compare(&found).shown.join("\n").contains("should be one file"));
        assert!(found.compare(&meant).shown.join("\n").contains("should not be one file"));

        let mut found = meant.clone();
        found
            .nodes
            .values_mut()
            .filter(|node| node.attributes == 0)
            .for_each(|node| node.attributes = NORMAL);
        meant.compare(&found).assert_none();
    }
}

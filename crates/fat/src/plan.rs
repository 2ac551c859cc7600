//! Planning a volume: every byte of it from a list of files.
//!
//! Nothing is ever moved or freed, so there is nothing to allocate: directories come first, then the files in the order
//! they were given, each in one piece, and the tables follow from that. File data is not touched, only pointed at.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;

use binrw::BinWrite;
use disk::{At, Content, ExtentMap, FileTime, Label, SectorSize};

use crate::geometry::{FATS, Geometry};
use crate::layout::{
    ATTRIBUTE_ARCHIVE, ATTRIBUTE_DIRECTORY, ATTRIBUTE_HIDDEN, ATTRIBUTE_LABEL, ATTRIBUTE_LONG,
    ATTRIBUTE_READ_ONLY, ATTRIBUTE_SYSTEM, BOOT_CODE, ENTRY_LEN, FAT32_MASK, FIRST_CLUSTER, LAST_LONG,
    MAX_ENTRIES, RawBoot, RawBoot32, RawEntry, RawInfo, RawLong, RawTail, SIGNATURE,
};
use crate::name::{self, ShortName};
use crate::time::DosTime;
use crate::{Error, Result};

/// A volume as such.
#[derive(Clone, Debug)]
pub struct Options {
    /// The disk's sectors.
    pub sector: SectorSize,
    /// Sectors of the disk before the volume.
    pub hidden_sectors: u32,
    /// Volume serial number.
    pub serial: u32,
    /// At most 11 characters of those that short names may have, and spaces; none when empty. Lower case becomes
    /// upper case.
    pub label: String,
    /// The time of the label and of directories that nobody gave.
    pub time: FileTime,
}

/// A file or a directory of a volume. Directories above it that nobody gives are made.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its path, with slashes or backslashes.
    pub path: String,
    /// Its attributes; of those only read-only, hidden, system and archive count.
    pub attributes: u8,
    /// Time of creation. FAT has hundredths of a second from 1980 to 2107; others become the nearest.
    pub created: FileTime,
    /// Time of the last write, of which FAT keeps every other second.
    pub modified: FileTime,
    /// What it holds; `None` for a directory.
    pub data: Option<Data>,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Data {
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A blob of whoever renders the map.
    Blob {
        /// Its number.
        blob: u32,
        /// Its length in bytes.
        len: u64,
    },
    /// Nothing but zeros.
    Zeros {
        /// How many.
        len: u64,
    },
}

impl Data {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob { len, .. } | Self::Zeros { len } => *len,
        }
    }
}

/// What of [`Node::attributes`] is stored.
const ATTRIBUTES: u8 = ATTRIBUTE_READ_ONLY | ATTRIBUTE_HIDDEN | ATTRIBUTE_SYSTEM | ATTRIBUTE_ARCHIVE;

/// A file or directory with its place in the tree.
#[derive(Debug)]
struct Item {
    path: String,
    long: String,
    short: ShortName,
    parent: usize,
    /// Items, in the order they were given.
    children: Vec<usize>,
    attributes: u8,
    created: FileTime,
    modified: FileTime,
    data: Option<Data>,
    given: bool,
}

impl Item {
    fn is_directory(&self) -> bool {
        self.data.is_none()
    }

    /// Entries of the directory in which it is named.
    fn entries(&self) -> usize {
        1 + if self.has_long() { name::pieces(&self.long).len() } else { 0 }
    }

    /// Whether the short name does not say all.
    fn has_long(&self) -> bool {
        name::shown(&self.short, 0) != self.long
    }
}

/// The root directory.
const ROOT: usize = 0;

/// A volume's files, before its length is known.
#[derive(Debug)]
pub struct Plan {
    options: Options,
    /// Its entry in the root directory, if it has one.
    label: Option<ShortName>,
    items: Vec<Item>,
}

impl Plan {
    /// Plans the files.
    ///
    /// # Errors
    /// [`Error::File`] for names that FAT cannot have or that name two files, and files of 4 GiB or more;
    /// [`Error::Limit`] for directories of more than 65,536 entries.
    pub fn new(options: Options, nodes: Vec<Node>) -> Result<Self> {
        let label = label(&options.label)?;
        let mut plan = Self { label, items: Vec::with_capacity(nodes.len() + 1), options };
        plan.items.push(plan.directory(String::new(), String::new(), ROOT));
        let mut known = HashMap::new();
        for node in nodes {
            plan.add(node, &mut known)?;
        }
        for directory in 0..plan.items.len() {
            plan.name_children(directory)?;
        }
        Ok(plan)
    }

    /// A directory that nobody gave.
    fn directory(&self, path: String, long: String, parent: usize) -> Item {
        let time = self.options.time;
        Item {
            path,
            long,
            short: [b' '; 11],
            parent,
            children: Vec::new(),
            attributes: 0,
            created: time,
            modified: time,
            data: None,
            given: false,
        }
    }

    fn add(&mut self, node: Node, known: &mut HashMap<(usize, String), usize>) -> Result<()> {
        let refuse = |reason: String| Err(Error::File { path: node.path.clone(), reason });
        if let Some(len) = node.data.as_ref().map(Data::len).filter(|&len| len > u64::from(u32::MAX)) {
            return refuse(format!("{len} bytes, FAT has at most 4 GiB less one byte"));
        }
        let parts: Vec<&str> = node.path.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return refuse("the root directory has no entry".to_owned());
        }
        let mut at = ROOT;
        for (depth, part) in parts.iter().enumerate() {
            if let Some(reason) = name::fault(part) {
                return refuse(reason);
            }
            if !self.items[at].is_directory() {
                return refuse(format!("{} is a file", self.items[at].path));
            }
            let last = depth + 1 == parts.len();
            let key = (at, name::folded(part));
            at = match known.get(&key) {
                Some(&found) if !last => found,
                Some(&found) => {
                    if self.items[found].given || node.data.is_some() {
                        return refuse("a second file of that name".to_owned());
                    }
                    found
                }
                None => {
                    let item = self.directory(parts[..=depth].join("/"), (*part).to_owned(), at);
                    self.items.push(item);
                    let new = self.items.len() - 1;
                    self.items[at].children.push(new);
                    known.insert(key, new);
                    new
                }
            };
        }
        let item = &mut self.items[at];
        item.attributes = node.attributes & ATTRIBUTES;
        item.created = node.created;
        item.modified = node.modified;
        item.data = node.data;
        item.given = true;
        Ok(())
    }

    /// Gives what a directory holds its short names: first those that names are of themselves, so that none of the others
    /// takes one away.
    fn name_children(&mut self, directory: usize) -> Result<()> {
        let children = self.items[directory].children.clone();
        let mut taken = HashSet::new();
        let mut without = Vec::new();
        for &child in &children {
            match name::exact(&self.items[child].long) {
                Some(short) if taken.insert(short) => self.items[child].short = short,
                _ => without.push(child),
            }
        }
        for child in without {
            let short = name::numbered(&self.items[child].long, &taken);
            taken.insert(short);
            self.items[child].short = short;
        }
        let entries = self.entries(directory);
        if entries > MAX_ENTRIES {
            let at = At::new("directory", 0);
            let (found, limit) = (entries as u64, MAX_ENTRIES as u64);
            return Err(Error::Limit { at, what: "entries of a directory", found, limit });
        }
        Ok(())
    }

    /// Entries of a directory: its own two or the label, and those of what it holds.
    fn entries(&self, directory: usize) -> usize {
        let own = if directory == ROOT { usize::from(self.label.is_some()) } else { 2 };
        own + self.items[directory].children.iter().map(|&child| self.items[child].entries()).sum::<usize>()
    }

    /// Bytes of what an item holds.
    fn len_of(&self, item: usize) -> u64 {
        match &self.items[item].data {
            Some(data) => data.len(),
            // The root has a cluster even when it is empty; the entry that ends it fills it.
            None => (self.entries(item).max(1) * ENTRY_LEN) as u64,
        }
    }

    fn clusters(&self, cluster: u64) -> u64 {
        (0..self.items.len()).map(|item| self.len_of(item).div_ceil(cluster)).sum()
    }

    /// The smallest whole number of MiB, in bytes, that holds the files.
    pub fn min_size(&self) -> u64 {
        let lens: Vec<u64> = (0..self.items.len()).map(|item| self.len_of(item)).collect();
        let fits = |mib: u64| {
            Geometry::new(mib << 20, self.options.sector).is_some_and(|geometry| {
                lens.iter().map(|len| len.div_ceil(geometry.cluster)).sum::<u64>() <= geometry.clusters
            })
        };
        let start = lens.iter().sum::<u64>() >> 20;
        // Tables and halves of clusters that files leave unused end the search soon.
        (start..1 << 22).find(|&mib| fits(mib)).unwrap_or(1 << 22) << 20
    }

    /// The volume in `len` bytes.
    ///
    /// # Errors
    /// [`Error::TooSmall`]; [`Error::Limit`] for more sectors than FAT32 can count.
    pub fn lay_out(&self, len: u64) -> Result<ExtentMap> {
        let sector = u64::from(self.options.sector.bytes());
        let limit = u64::from(u32::MAX) * sector;
        if len > limit {
            let at = At::new("FAT32 volume", 0);
            return Err(Error::Limit { at, what: "bytes", found: len, limit });
        }
        let too_small = || Error::TooSmall { len, needed: self.min_size() };
        let geometry = Geometry::new(len, self.options.sector).ok_or_else(too_small)?;
        let used = self.clusters(geometry.cluster);
        if used > geometry.clusters {
            return Err(too_small());
        }

        // The root is the first cluster of all.
        let directories = (0..self.items.len()).filter(|&item| self.items[item].is_directory());
        let files = (0..self.items.len()).filter(|&item| !self.items[item].is_directory());
        let order: Vec<usize> = directories.chain(files).collect();
        let mut starts = vec![0u32; self.items.len()];
        let mut fat = vec![FAT32_MASK & !0xFF | 0xF8, FAT32_MASK];
        for &item in &order {
            let clusters = self.len_of(item).div_ceil(geometry.cluster) as u32;
            if clusters > 0 {
                let first = fat.len() as u32;
                starts[item] = first;
                fat.extend(first + 1..first + clusters);
                fat.push(FAT32_MASK);
            }
        }
        debug_assert_eq!(fat.len() as u64, used + u64::from(FIRST_CLUSTER));

        let mut map = ExtentMap::new();
        self.push_reserved(&mut map, &geometry, used);
        let table: Arc<[u8]> = fat.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        for copy in 1..=FATS {
            map.push(
                table.len() as u64,
                Content::Bytes { bytes: Arc::clone(&table), offset: 0 },
                Label::new("FAT"),
            );
            map.pad_to((geometry.reserved + copy * geometry.fat_sectors) * sector);
        }
        debug_assert_eq!(map.len(), geometry.data_start());
        for &item in &order {
            let len = self.len_of(item);
            match &self.items[item].data {
                None => {
                    map.push(len, Content::bytes(self.render(item, &starts)), Label::new("FAT directory"))
                }
                Some(Data::Bytes(bytes)) => {
                    let content = Content::Bytes { bytes: Arc::clone(bytes), offset: 0 };
                    map.push(len, content, Label::new("file data"));
                }
                Some(Data::Blob { blob, .. }) => {
                    map.push(len, Content::Blob { blob: *blob, offset: 0 }, Label::new("file data"));
                }
                Some(Data::Zeros { .. }) => map.push(len, Content::Zero, Label::new("file data")),
            }
            map.pad_to(map.len().next_multiple_of(geometry.cluster));
        }
        map.pad_to(len);
        Ok(map)
    }

    /// Boot sector, FSInfo, and their copies.
    fn push_reserved(&self, map: &mut ExtentMap, geometry: &Geometry, used: u64) {
        const COPY: u64 = 6;
        let sectors = geometry.sectors as u32;
        let raw = RawBoot {
            jump: [0xEB, BOOT_CODE as u8 - 2, 0x90],
            oem: *b"MSDOS5.0", // what Windows writes, and some readers look for
            bytes_per_sector: geometry.sector as u16,
            sectors_per_cluster: (geometry.cluster / geometry.sector) as u8,
            reserved_sectors: geometry.reserved as u16,
            fats: FATS as u8,
            root_entries: 0,
            sectors_16: 0,
            media: 0xF8,
            fat_sectors_16: 0,
            sectors_per_track: 63,
            heads: 255,
            hidden_sectors: self.options.hidden_sectors,
            sectors_32: sectors,
        };
        let raw32 = RawBoot32 {
            fat_sectors: geometry.fat_sectors as u32,
            flags: 0,
            version: 0,
            root_cluster: FIRST_CLUSTER,
            info_sector: 1,
            backup_sector: COPY as u16,
            reserved: [0; 12],
            tail: RawTail {
                drive: 0x80,
                state: 0,
                signature: 0x29,
                serial: self.options.serial,
                label: self.label.unwrap_or(*b"NO NAME    "),
                system: *b"FAT32   ",
            },
        };
        let mut boot = Cursor::new(vec![0; 512]);
        raw.write(&mut boot).expect("shorter than a sector");
        raw32.write(&mut boot).expect("shorter than a sector");
        let mut boot = boot.into_inner();
        // Nothing to start here: INT 18h tells the BIOS so; should it come back, halt for good.
        boot[BOOT_CODE..BOOT_CODE + 5].copy_from_slice(&[0xCD, 0x18, 0xF4, 0xEB, 0xFD]);
        boot[SIGNATURE..].copy_from_slice(&[0x55, 0xAA]);

        let free = (geometry.clusters - used) as u32;
        let next = if free == 0 { u32::MAX } else { FIRST_CLUSTER + used as u32 };
        let mut info = Cursor::new(vec![0; 512]);
        RawInfo { signature: *b"rrAa", free, next, end: 0xAA55_0000 }
            .write(&mut info)
            .expect("shorter than a sector");
        let (boot, info): (Arc<[u8]>, Arc<[u8]>) = (boot.into(), info.into_inner().into());
        for start in [0, COPY] {
            for (index, bytes, label) in [(0, &boot, "FAT boot sector"), (1, &info, "FSInfo")] {
                map.pad_to((start + index) * geometry.sector);
                map.push(512, Content::Bytes { bytes: Arc::clone(bytes), offset: 0 }, Label::new(label));
            }
        }
        map.pad_to(geometry.reserved * geometry.sector);
    }

    /// The entries of a directory.
    fn render(&self, directory: usize, starts: &[u32]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::with_capacity(self.entries(directory) * ENTRY_LEN));
        let mut put = |entry: RawEntry| entry.write(&mut bytes).expect("memory");
        if directory == ROOT {
            let modified = DosTime::new(self.options.time);
            if let Some(name) = self.label {
                put(RawEntry {
                    name,
                    attributes: ATTRIBUTE_LABEL,
                    modified_time: modified.time,
                    modified_date: modified.date,
                    ..RawEntry::default()
                });
            }
        } else {
            let parent = self.items[directory].parent;
            // The root is cluster 0 to those that lie in it.
            let above = if parent == ROOT { 0 } else { starts[parent] };
            put(self.entry(directory, *b".          ", starts[directory]));
            put(self.entry(directory, *b"..         ", above));
        }
        for &child in &self.items[directory].children {
            let item = &self.items[child];
            if item.has_long() {
                let pieces = name::pieces(&item.long);
                let checksum = name::checksum(&item.short);
                for (number, units) in (1..=pieces.len() as u8).zip(&pieces).rev() {
                    let last = if usize::from(number) == pieces.len() { LAST_LONG } else { 0 };
                    let [a, b, c, d, e, f, g, h, i, j, k, l, m] = *units;
                    let long = RawLong {
                        order: number | last,
                        first: [a, b, c, d, e],
                        attributes: ATTRIBUTE_LONG,
                        kind: 0,
                        checksum,
                        second: [f, g, h, i, j, k],
                        cluster: 0,
                        third: [l, m],
                    };
                    long.write(&mut bytes).expect("memory");
                }
            }
            self.entry(child, item.short, starts[child]).write(&mut bytes).expect("memory");
        }
        let mut bytes = bytes.into_inner();
        bytes.resize(self.len_of(directory) as usize, 0);
        bytes
    }

    fn entry(&self, item: usize, short: ShortName, cluster: u32) -> RawEntry {
        let item = &self.items[item];
        let (created, modified) = (DosTime::new(item.created), DosTime::new(item.modified));
        let directory = if item.is_directory() { ATTRIBUTE_DIRECTORY } else { 0 };
        RawEntry {
            name: short,
            attributes: item.attributes | directory,
            case: 0,
            created_hundredths: created.hundredths,
            created_time: created.time,
            created_date: created.date,
            accessed_date: modified.date,
            cluster_high: (cluster >> 16) as u16,
            modified_time: modified.time,
            modified_date: modified.date,
            cluster_low: cluster as u16,
            size: item.data.as_ref().map_or(0, |data| data.len() as u32),
        }
    }
}

/// A label in its eleven bytes.
fn label(text: &str) -> Result<Option<ShortName>> {
    let refuse =
        |reason: &str| Err(Error::File { path: format!("label {text:?}"), reason: reason.to_owned() });
    let upper = text.trim_end().to_ascii_uppercase();
    if upper.len() > 11 {
        return refuse("longer than 11 characters");
    }
    if upper.starts_with(' ')
        || !upper.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"*+,./:;<=>?[\\]|".contains(&byte))
    {
        return refuse("has characters that a FAT label cannot have");
    }
    if upper.is_empty() {
        return Ok(None);
    }
    let mut label = [b' '; 11];
    label[..upper.len()].copy_from_slice(upper.as_bytes());
    Ok(Some(label))
}

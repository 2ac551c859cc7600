//! Trees by chance: what nobody would think of writing down. The same seed makes the same tree for ever.
//!
//! Only what wimlib both applies to and captures from NTFS is in them, so that a volume made of one can be captured and
//! held against it.

use std::collections::HashSet;

use crate::content::{Random, program, text};
use crate::fixture::{Security, security};
use crate::wimfile::{
    ARCHIVE, DIRECTORY, Entry, EntryId, HIDDEN, Image, NOT_CONTENT_INDEXED, READONLY, REPARSE_POINT, SYSTEM,
    TAG_MOUNT_POINT, TAG_SYMLINK, WimFile, junction_data, symlink_data,
};

/// `FILE_ATTRIBUTE_TEMPORARY` and `FILE_ATTRIBUTE_OFFLINE`.
const TEMPORARY: u32 = 0x100;
const OFFLINE: u32 = 0x1000;

/// A WIM with one image, whose tree is that of `seed`. Only multiples of 3 have streams with names of more than 128 units.
pub fn tree(seed: u64) -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image(&format!("Random tree {seed}"));
    let sec = security(image);
    let root = image.root();
    *image.entry(root) = Entry::directory("").secured(sec.root).attributes(DIRECTORY | HIDDEN | SYSTEM);
    let directories = vec![Directory { id: root, taken: HashSet::new(), depth: 0 }];
    // libfsntfs gives up on names of more than 128 units in attribute lists.
    let longest = if seed.is_multiple_of(3) { 240 } else { 100 };
    let random = Random::new(seed);
    let mut maker = Maker { random, image, sec, directories, files: Vec::new(), shorts: 0, longest };
    // Mostly small trees, now and then a large directory.
    let count = match maker.random.below(20) {
        0 => 2000 + maker.random.below(2000),
        1..=4 => 300 + maker.random.below(300),
        _ => 5 + maker.random.below(120),
    };
    for _ in 0..count {
        maker.step();
    }
    wim
}

struct Directory {
    id: EntryId,
    /// Its names, upper-cased: what differs in case only is another test's.
    taken: HashSet<String>,
    depth: usize,
}

struct Maker<'a> {
    random: Random,
    image: &'a mut Image,
    sec: Security,
    directories: Vec<Directory>,
    files: Vec<EntryId>,
    shorts: usize,
    /// Units of the longest names of streams, about.
    longest: usize,
}

impl Maker<'_> {
    fn chance(&mut self, percent: usize) -> bool {
        self.random.below(100) < percent
    }

    /// One more file, directory, link or reparse point.
    fn step(&mut self) {
        // The first directories get most, so that some become large.
        let most = self.directories.len();
        let at = self.random.below(most).min(self.random.below(most));
        let name = self.name(at);
        match self.random.below(100) {
            0..=11 if self.directories[at].depth < 25 => {
                let mut entry = self.dressed(Entry::directory(&name), DIRECTORY);
                if self.chance(10) {
                    entry = self.with_streams(entry);
                }
                let (id, depth) =
                    (self.image.add(self.directories[at].id, entry), self.directories[at].depth + 1);
                self.directories.push(Directory { id, taken: HashSet::new(), depth });
            }
            12..=24 if !self.files.is_empty() => {
                let file = self.files[self.random.below(self.files.len())];
                self.image.link(file, self.directories[at].id, &name);
            }
            25..=30 => {
                let entry = self.reparse_point(&name);
                self.image.add(self.directories[at].id, entry);
            }
            _ => {
                let data = self.content();
                // Interix had sockets and pipes that were system files of one byte or none, and ntfs-3g shows them so.
                let special = data.len() < 2;
                let mut entry = self.dressed(Entry::file(&name, data), 0);
                if special {
                    entry.attributes &= !SYSTEM;
                }
                if self.chance(15) {
                    entry = self.with_streams(entry);
                }
                if self.chance(30) && is_win32(&name) {
                    let short =
                        format!("S{:05}~{}.{:03X}", self.shorts, self.shorts % 9 + 1, self.shorts % 0xFFF);
                    self.shorts += 1;
                    if self.directories[at].taken.insert(short.clone()) {
                        entry = entry.short(&short);
                    }
                }
                self.files.push(self.image.add(self.directories[at].id, entry));
            }
        }
    }

    /// With attributes, times and a security descriptor.
    fn dressed(&mut self, entry: Entry, always: u32) -> Entry {
        let mut attributes = always;
        for bit in [READONLY, HIDDEN, SYSTEM, ARCHIVE, NOT_CONTENT_INDEXED, TEMPORARY, OFFLINE] {
            if self.chance(15) {
                attributes |= bit;
            }
        }
        // Between the beginning of file times and the year 5000.
        let mut time = || 1 + self.random.next_u64() % 1_072_000_000_000_000_000;
        let times = [time(), time(), time()];
        let all = [
            self.sec.root,
            self.sec.system,
            self.sec.user,
            self.sec.labelled,
            self.sec.nobody,
            self.sec.anyone,
            self.sec.long,
        ];
        let security = all[self.random.below(all.len())];
        entry.attributes(attributes).times(times[0], times[1], times[2]).secured(security)
    }

    fn with_streams(&mut self, mut entry: Entry) -> Entry {
        for number in 0..1 + self.random.below(5) {
            let name = match self.random.below(4) {
                0 => format!("Zone.Identifier {number}"),
                1 => format!("größer {number} ☃"),
                2 => format!("{number}{}", "n".repeat(self.random.below(self.longest))),
                _ => format!("{number}"),
            };
            let mut data = self.content();
            if data.is_empty() {
                // sleuthkit 4.11 overlooks the name of an empty stream when it ends where the attribute ends.
                data.push(0);
            }
            entry = entry.stream(&name, data);
        }
        entry
    }

    fn content(&mut self) -> Vec<u8> {
        let len = match self.random.below(10) {
            0 => 0,
            // About what fits into a record.
            1..=3 => 1 + self.random.below(900),
            // About a cluster, or a chunk.
            4 | 5 => {
                let unit = [512, 4096, 32_768, 65_536][self.random.below(4)];
                (unit * (1 + self.random.below(3)) + self.random.below(3)).saturating_sub(1)
            }
            6 => self.random.below(300_000),
            _ => self.random.below(20_000),
        };
        let seed = self.random.next_u64() % 50;
        match self.random.below(4) {
            0 => Random::new(seed).bytes(len),
            1 => program(seed, len),
            2 => vec![0; len],
            _ => text(seed, len),
        }
    }

    fn reparse_point(&mut self, name: &str) -> Entry {
        let target = format!("..\\{}", "x".repeat(1 + self.random.below(300)));
        match self.random.below(4) {
            0 => {
                let entry = Entry::reparse_point(name, TAG_SYMLINK, symlink_data(&target));
                self.dressed(entry, REPARSE_POINT)
            }
            1 => {
                let entry = Entry::reparse_point(name, TAG_SYMLINK, symlink_data(&target));
                self.dressed(entry, REPARSE_POINT | DIRECTORY)
            }
            2 => {
                let data = junction_data(&format!("C:\\{}", "y".repeat(1 + self.random.below(200))));
                let entry = Entry::reparse_point(name, TAG_MOUNT_POINT, data);
                self.dressed(entry, REPARSE_POINT | DIRECTORY)
            }
            // A tag of Microsoft's that nobody interprets, with data that is resident or not.
            _ => {
                let len = 1 + self.random.below(4000);
                let entry = Entry::reparse_point(name, 0xA000_0010, self.random.bytes(len));
                self.dressed(entry, REPARSE_POINT)
            }
        }
    }

    /// A name that the directory does not have yet.
    fn name(&mut self, directory: usize) -> String {
        loop {
            let number = self.random.below(100_000);
            let name = match self.random.below(12) {
                0 => format!("{number}"),
                1 => format!("FILE{}.TXT", number % 10_000),
                2 => format!("Ünïcödé {number} 日本語"),
                3 => format!("𝄞{number}🎼"),
                4 => format!("{number}{}", "long ".repeat(self.random.below(49))) + "x",
                5 => format!("{number}.{}.ext", "dots.".repeat(self.random.below(5))),
                6 => format!("+,;=[]{number}"),
                7 => format!("trailing {number}{}", [".", " ", "..", ". "][self.random.below(4)]),
                8 => {
                    format!("amd64_component-{number}_31bf3856ad364e35_10.0.1.{number}_none_0123456789abcdef")
                }
                9 => format!("ß{number}ſ"),
                _ => format!("File {number}.dat"),
            };
            // Nothing here changes its length when upper-cased the way NTFS does it.
            if self.directories[directory].taken.insert(name.to_uppercase()) {
                return name;
            }
        }
    }
}

fn is_win32(name: &str) -> bool {
    !name.ends_with(['.', ' '])
}

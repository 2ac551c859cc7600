//! Trees to put on volumes, and what a reader must find there again.
// Each test takes what it needs; and what cannot be unwrapped fails the test.
#![allow(dead_code, missing_debug_implementations, missing_docs, unreachable_pub, clippy::unwrap_used)]

pub mod check;
pub mod reader;

use std::fs::File as HostFile;
use std::io;
use std::path::Path;

use disk::{Content, FileTime, WriteAt};
use wimforge_ntfs_writer::{
    Builder, Ea, Name, NamedStream, Node, NodeId, ObjectId, Options, Plan, ReadBlob, Reparse, Result, Source,
    Times, Volume,
};

pub const DIRECTORY: u32 = 0x10;
pub const ARCHIVE: u32 = 0x20;
pub const SPARSE: u32 = 0x200;
pub const REPARSE: u32 = 0x400;
pub const COMPRESSED: u32 = 0x800;

pub const SYMLINK: u32 = 0xA000_000C;
pub const JUNCTION: u32 = 0xA000_0003;

/// A file as a test wants it.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub attributes: u32,
    pub times: Times,
    pub security: Option<usize>,
    pub data: Vec<u8>,
    /// So many zeros without clusters, instead of data.
    pub hole: u64,
    pub named: Vec<(String, Vec<u8>)>,
    pub reparse: Option<(u32, Vec<u8>)>,
    pub object_id: Option<[u8; 16]>,
    pub eas: Vec<(String, Vec<u8>)>,
}

/// A name of a file.
#[derive(Clone, Debug)]
pub struct Link {
    pub parent: usize,
    pub long: String,
    pub short: Option<String>,
    pub node: usize,
}

/// A tree; file 0 is the root.
#[derive(Clone, Debug)]
pub struct Tree {
    pub descriptors: Vec<Vec<u8>>,
    pub files: Vec<File>,
    pub links: Vec<Link>,
}

pub fn units(text: &str) -> Box<[u16]> {
    text.encode_utf16().collect()
}

/// Times that differ from each other and from file to file.
pub fn times(seed: u64) -> Times {
    let at = |n: u64| FileTime(132_000_000_000_000_000 + seed * 10_000_001 + n * 36_000_000_007);
    Times { created: at(1), modified: at(2), changed: at(3), accessed: at(4) }
}

/// Bytes that are the same for the same seed and compress badly.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

impl Default for Tree {
    fn default() -> Self {
        let root = File { attributes: DIRECTORY | 0x06, times: times(0), ..File::default() };
        Self { descriptors: Vec::new(), files: vec![root], links: Vec::new() }
    }
}

impl Tree {
    pub fn add(&mut self, parent: usize, name: &str, file: File) -> usize {
        self.files.push(file);
        let node = self.files.len() - 1;
        self.link(parent, name, None, node);
        node
    }

    pub fn link(&mut self, parent: usize, name: &str, short: Option<&str>, node: usize) {
        self.links.push(Link { parent, long: name.into(), short: short.map(Into::into), node });
    }

    /// Gives the newest link a short name.
    pub fn short(&mut self, short: &str) {
        self.links.last_mut().unwrap().short = Some(short.into());
    }

    pub fn dir(&mut self, parent: usize, name: &str) -> usize {
        let times = times(self.files.len() as u64);
        self.add(parent, name, File { attributes: DIRECTORY, times, ..File::default() })
    }

    pub fn file(&mut self, parent: usize, name: &str, data: impl Into<Vec<u8>>) -> usize {
        let times = times(self.files.len() as u64);
        self.add(parent, name, File { attributes: ARCHIVE, times, data: data.into(), ..File::default() })
    }

    /// All paths, with `/`, and the link that each ends with.
    pub fn paths(&self) -> Vec<(String, &Link)> {
        let mut by_parent = vec![Vec::new(); self.files.len()];
        for link in &self.links {
            by_parent[link.parent].push(link);
        }
        let mut out = Vec::new();
        let mut stack = vec![(String::new(), 0)];
        while let Some((path, node)) = stack.pop() {
            for &link in &by_parent[node] {
                let path = format!("{path}/{}", link.long);
                out.push((path.clone(), link));
                if self.files[link.node].attributes & DIRECTORY != 0 {
                    stack.push((path, link.node));
                }
            }
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    }

    pub fn plan(&self, options: Options) -> Result<(Plan, Blobs)> {
        let mut builder = Builder::new(options)?;
        let mut blobs = Blobs::default();
        let ids = self.descriptors.iter().map(|sd| builder.add_descriptor(sd)).collect::<Result<Vec<_>>>()?;
        for (file, number) in self.files.iter().zip(0..) {
            let is_dir = file.attributes & DIRECTORY != 0;
            let node = Node {
                attributes: file.attributes,
                times: file.times,
                security: file.security.map(|i| ids[i]),
                data: (!is_dir).then(|| match file.hole {
                    0 => blobs.source(&file.data),
                    len => Source::Hole { len },
                }),
                named: file
                    .named
                    .iter()
                    .map(|(name, data)| NamedStream { name: units(name), source: blobs.source(data) })
                    .collect(),
                reparse: file.reparse.as_ref().map(|(tag, data)| Reparse {
                    tag: *tag,
                    data: blobs.source(data),
                    reserved: 0,
                }),
                object_id: file.object_id.map(|id| ObjectId { id, birth: None }),
                eas: file
                    .eas
                    .iter()
                    .map(|(name, value)| Ea {
                        need: false,
                        name: name.as_bytes().into(),
                        value: value.as_slice().into(),
                    })
                    .collect(),
            };
            if number == 0 {
                builder.set_root(node)?;
            } else {
                assert_eq!(builder.add_node(node)?, NodeId(number));
            }
        }
        for link in &self.links {
            let name = Name { long: units(&link.long), short: link.short.as_deref().map(units) };
            builder.link(NodeId(link.parent as u32), name, NodeId(link.node as u32))?;
        }
        Ok((builder.plan()?, blobs))
    }

    /// The bytes of a volume that is `spare` bytes larger than it must be.
    pub fn image(&self, options: Options, spare: u64) -> Vec<u8> {
        let (plan, blobs) = self.plan(options).unwrap();
        let volume = plan.lay_out((plan.min_size() + spare).next_multiple_of(4096)).unwrap();
        render(&volume, &blobs)
    }
}

/// Blobs in memory. Every fifth becomes bytes of the tree instead.
#[derive(Clone, Debug, Default)]
pub struct Blobs(pub Vec<Vec<u8>>);

impl Blobs {
    fn source(&mut self, data: &[u8]) -> Source {
        if data.is_empty() {
            return Source::Empty;
        }
        if self.0.len() % 5 == 4 {
            self.0.push(Vec::new());
            return Source::Bytes(data.into());
        }
        // What is the same is the same blob, as in a WIM.
        let blob = self.0.iter().rev().take(100).position(|known| known == data);
        let blob = match blob {
            Some(back) => self.0.len() - 1 - back,
            None => {
                self.0.push(data.to_vec());
                self.0.len() - 1
            }
        };
        Source::Blob { blob: blob as u32, len: data.len() as u64 }
    }
}

impl ReadBlob for Blobs {
    fn read_blob(&self, blob: u32, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let data = &self.0[blob as usize];
        buf.copy_from_slice(&data[offset as usize..][..buf.len()]);
        Ok(())
    }
}

/// The whole volume in memory.
pub fn render(volume: &Volume, blobs: &Blobs) -> Vec<u8> {
    let mut image = vec![0xEE; volume.map().len() as usize];
    volume.render(0, &mut image, blobs).unwrap();
    image
}

/// The volume as a sparse file.
pub fn write(volume: &Volume, blobs: &Blobs, path: &Path) {
    let file = HostFile::create(path).unwrap();
    WriteAt::set_len(&file, volume.map().len()).unwrap();
    let mut buf = Vec::new();
    for extent in volume.map().extents() {
        if extent.content == Content::Zero {
            continue;
        }
        const PIECE: u64 = 1 << 20;
        let mut at = extent.start;
        while at < extent.end() {
            buf.resize(PIECE.min(extent.end() - at) as usize, 0);
            volume.render(at, &mut buf, blobs).unwrap();
            file.write_all_at(&buf, at).unwrap();
            at += buf.len() as u64;
        }
    }
}

/// The tree in the words of the testkit, as a WIM of it would be: without what WIMs do not hold.
pub fn as_wim(tree: &Tree) -> testkit::tree::Tree {
    use sha1::{Digest, Sha1};
    let hash = |data: &[u8]| match data {
        [] => [0; 20],
        data => Sha1::digest(data).into(),
    };
    let mut names = vec![0; tree.files.len()];
    for link in &tree.links {
        names[link.node] += 1;
    }
    let node = |number: usize, short: Option<&str>| {
        let file = &tree.files[number];
        let times = &file.times;
        testkit::tree::Node {
            attributes: file.attributes,
            short_name: short.map(units).unwrap_or_default().into_vec(),
            security: file.security.map(|sd| tree.descriptors[sd].clone().into()),
            times: [times.created.0, times.accessed.0, times.modified.0],
            data: hash(&file.data),
            streams: file.named.iter().map(|(name, data)| (units(name).into_vec(), hash(data))).collect(),
            reparse: file.reparse.as_ref().map(|(tag, data)| (*tag, hash(data))),
            link_group: if names[number] > 1 { number as u64 } else { 0 },
            tagged: Vec::new(),
        }
    };
    let mut out = testkit::tree::Tree::default();
    out.nodes.insert(units("/").into_vec(), node(0, None));
    for (path, link) in tree.paths() {
        out.nodes.insert(units(&path).into_vec(), node(link.node, link.short.as_deref()));
    }
    out
}

/// The data of a symbolic link, relative.
pub fn symlink(target: &str) -> Vec<u8> {
    let name: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let len = name.len() as u16;
    let mut out = Vec::new();
    for field in [0, len, len, len] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&name);
    out.extend_from_slice(&name);
    out
}

/// A descriptor: owner and group SYSTEM, full access for everyone, told apart by the mask.
pub fn descriptor(mask: u32) -> Vec<u8> {
    let mut out = vec![1, 0, 4, 0x80];
    for offset in [48u32, 60, 0, 20] {
        out.extend_from_slice(&offset.to_le_bytes());
    }
    out.extend_from_slice(&[2, 0, 28, 0, 1, 0, 0, 0, 0, 3, 20, 0]);
    out.extend_from_slice(&mask.to_le_bytes());
    out.extend_from_slice(&[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    let system = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    out.extend_from_slice(&system);
    out.extend_from_slice(&system);
    out
}

/// One of everything.
pub fn feature_rich() -> Tree {
    let mut tree =
        Tree { descriptors: (0..40).map(|i| descriptor(0x1F_0000 + i)).collect(), ..Tree::default() };
    tree.files[0].security = Some(39);
    let windows = tree.dir(0, "Windows");
    let system32 = tree.dir(windows, "System32");
    tree.file(windows, "notepad.exe", noise(1, 200_000));
    tree.file(windows, "win.ini", &b"[fonts]\r\n"[..]);
    tree.file(windows, "own.ini", &b"a name that is its own short name"[..]);
    tree.short("own.ini");
    tree.file(system32, "empty.txt", &b""[..]);
    tree.file(system32, "resident.txt", noise(2, 600));
    tree.file(system32, "barely.txt", noise(3, 700));
    tree.file(system32, "one.bin", noise(4, 1));
    tree.file(system32, "cluster.bin", noise(5, 4096));
    tree.file(system32, "aligned.bin", noise(6, 70_000));
    tree.file(system32, "aligned too.bin", noise(7, 32_768));
    tree.short("ALIGNE~1.BIN");

    let programs = tree.dir(0, "Program Files");
    tree.short("PROGRA~1");
    let programs86 = tree.dir(0, "Program Files (x86)");
    tree.short("PROGRA~2");
    let linked = tree.file(programs, "A rather long name.dat", noise(8, 5000));
    tree.short("ARATHE~1.DAT");
    tree.link(programs86, "Another name of it.dat", Some("ANOTHE~1.DAT"), linked);
    tree.link(windows, "third", None, linked);
    tree.file(programs86, "the same bytes.dat", noise(8, 5000));
    tree.file(programs86, "big.bin", noise(9, 100_000));
    tree.file(programs86, "big copy.bin", noise(9, 100_000));

    let many = tree.file(0, "many names", noise(10, 3000));
    let links = tree.dir(0, "links");
    for i in 0..300 {
        tree.link(links, &format!("one of many names, number {i}"), None, many);
    }
    let streams = tree.file(0, "many streams", noise(11, 100));
    for i in 0..60u64 {
        tree.files[streams].named.push((format!("stream {i}"), noise(100 + i, 37 * i as usize)));
    }
    let zone = tree.file(0, "download.exe", noise(12, 9000));
    tree.files[zone].named.push(("Zone.Identifier".into(), b"[ZoneTransfer]\r\nZoneId=3\r\n".to_vec()));
    tree.files[zone].named.push(("large".into(), noise(13, 50_000)));
    tree.files[system32].named.push(("on a directory".into(), noise(14, 20)));

    let link = tree.file(windows, "link", &b""[..]);
    tree.files[link].attributes |= REPARSE;
    tree.files[link].reparse = Some((SYMLINK, symlink("win.ini")));
    let junction = tree.dir(0, "Documents and Settings");
    tree.short("DOCUME~1");
    tree.files[junction].attributes |= REPARSE | 0x06;
    let mut target = symlink("\\??\\C:\\Windows");
    target.drain(8..12);
    tree.files[junction].reparse = Some((JUNCTION, target));
    for i in 0..40 {
        let point = tree.file(links, &format!("foreign {i}"), &b""[..]);
        tree.files[point].attributes |= REPARSE;
        tree.files[point].reparse = Some((0x1234 + i, noise(u64::from(i), 16 + 100 * i as usize)));
    }

    let identified = tree.file(0, "with an object id", noise(15, 10));
    tree.files[identified].object_id = Some([0x11; 16]);
    for i in 0..30u8 {
        let file = tree.file(links, &format!("identified {i}"), noise(16, 3));
        tree.files[file].object_id = Some([i.wrapping_mul(37) + 1; 16]);
    }
    let ea = tree.file(0, "with attributes", noise(17, 50));
    tree.files[ea].eas = vec![("$LXUID".into(), vec![1, 0, 0, 0]), ("LONGER.NAME".into(), noise(18, 99))];
    let eas = tree.file(0, "with large attributes", noise(19, 50));
    tree.files[eas].eas = vec![("BIG".into(), noise(20, 20_000))];

    let sparse = tree.file(0, "sparse.bin", noise(21, 100_000));
    tree.files[sparse].attributes |= SPARSE;
    let sparse = tree.file(0, "sparse, small.bin", noise(22, 100));
    tree.files[sparse].attributes |= SPARSE;
    let sparse = tree.file(0, "sparse, empty.bin", &b""[..]);
    tree.files[sparse].attributes |= SPARSE;
    let packed = tree.file(0, "compressed.bin", noise(23, 100_000));
    tree.files[packed].attributes |= COMPRESSED;
    let packed = tree.file(0, "compressed, small.bin", noise(24, 100));
    tree.files[packed].attributes |= COMPRESSED;
    let packed = tree.dir(0, "compressed");
    tree.files[packed].attributes |= COMPRESSED;

    let mut deep = 0;
    for depth in 0..40 {
        deep = tree.dir(deep, &format!("level {depth}"));
    }
    tree.file(deep, "bottom", &b"deep"[..]);
    let long = "\u{00FC}".repeat(251);
    let names = tree.dir(0, "names");
    for i in 0..40 {
        tree.file(names, &format!("{long}{i:04}"), noise(i, 30));
    }
    for name in
        ["\u{4E00}\u{4E8C}", "\u{1F600}", "A.B.C", "trailing.", "ends in space ", "x*?|", ".hidden", "a", "B"]
    {
        tree.file(names, name, name.as_bytes());
    }
    let cases = tree.dir(0, "cases");
    tree.file(cases, "Case", &b"1"[..]);
    tree.file(cases, "case", &b"2"[..]);
    tree.file(cases, "\u{E9}t\u{E9}", &b"3"[..]);

    let flat = tree.dir(0, "flat");
    for i in 0..1000 {
        tree.file(flat, &format!("file number {i}.txt"), format!("{i}"));
        if i % 3 == 0 {
            tree.short(&format!("FI{i:04X}~1.TXT"));
        }
    }
    // No two files share a descriptor's number by accident.
    for (file, i) in tree.files.iter_mut().zip(0..) {
        file.security = Some(i % 40);
    }
    tree
}

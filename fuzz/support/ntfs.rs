//! A small NTFS volume with one of most things, and changes to it that keep update sequences right: what the targets about
//! NTFS share.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use disk::ReadAt;
use ntfs_writer::check::{Options, check};
use ntfs_writer::parse;
use ntfs_writer::read::Volume;
use ntfs_writer::{Builder, Ea, Name, NamedStream, Node, NodeId, ObjectId, ReadBlob, Reparse, Source};

struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read_blob(&self, _: u32, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other("there are none"))
    }
}

fn units(text: &str) -> Box<[u16]> {
    text.encode_utf16().collect()
}

/// A small volume with one of most things.
pub static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut builder =
        Builder::new(ntfs_writer::Options { reserve_records: 8, ..Default::default() }).expect("options");
    let mut add = |parent, name: &str, short: Option<&str>, node| {
        let id = builder.add_node(node).expect("a node");
        let name = Name { long: units(name), short: short.map(units) };
        builder.link(parent, name, id).expect("a name");
        id
    };
    let file = |len: usize| Node { data: Some(Source::Bytes(vec![7; len].into())), ..Node::default() };
    let dir = || Node { attributes: 0x10, ..Node::default() };
    let many = add(NodeId::ROOT, "many", None, dir());
    for i in 0..80 {
        add(many, &format!("file number {i}"), (i % 3 == 0).then(|| format!("F{i}~1")).as_deref(), file(i));
    }
    let mut rich = file(10_000);
    rich.object_id = Some(ObjectId { id: [3; 16], birth: None });
    rich.eas = vec![Ea { need: false, name: b"NAME"[..].into(), value: b"value"[..].into() }];
    rich.named = (0..20)
        .map(|i| NamedStream {
            name: units(&format!("stream {i}")),
            source: Source::Bytes(vec![1; 80].into()),
        })
        .collect();
    add(many, "rich", None, rich);
    let mut link = file(0);
    link.reparse = Some(Reparse { tag: 0xA000_0003, data: Source::Bytes(vec![0; 20].into()), reserved: 0 });
    add(NodeId::ROOT, "link", None, link);
    let mut packed = Node { attributes: 0x200, data: Some(Source::Hole { len: 10_000 }), ..Node::default() };
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    packed.reparse =
        Some(Reparse { tag: parse::WOF_TAG, data: Source::Bytes(words(&[1, 2, 1, 0]).into()), reserved: 0 });
    let mut stream = words(&[4096, 8192]);
    stream.resize(8 + 10_000, 1);
    packed.named = vec![NamedStream { name: units(parse::WOF_STREAM), source: Source::Bytes(stream.into()) }];
    add(many, "packed", None, packed);
    let plan = builder.plan().expect("a plan");
    let volume = plan.lay_out(plan.min_size() + (2 << 20)).expect("a volume");
    let mut bytes = vec![0; volume.map().len() as usize];
    volume.render(0, &mut bytes, &NoBlobs).expect("no blobs are asked for");
    let report = check(&bytes, &Options::ours()).expect("a size");
    assert!(report.findings.is_empty(), "{report}");
    bytes
});

/// The base with other pages.
pub struct Patched {
    pages: Vec<(usize, Vec<u8>)>,
}

const PAGE: usize = 4096;

impl Patched {
    /// Patches are a list: where (a record and an offset in it, or a byte of the volume), how many bytes, and the bytes.
    pub fn new(mut patches: &[u8]) -> Self {
        let boot = parse::boot(&BASE).expect("a boot sector");
        let mft = (boot.mft_lcn * u64::from(boot.cluster_size)) as usize;
        let mut patched = Self { pages: Vec::new() };
        while let Some((head, tail)) = patches.split_first_chunk::<4>() {
            let word = u32::from_le_bytes(*head) as usize;
            let offset = if word & 1 == 0 { mft + (word >> 1) % (160 << 10) } else { word >> 1 };
            let Some((&len, tail)) = tail.split_first() else { break };
            let len = usize::from(len % 17).min(tail.len());
            patched.write(offset, &tail[..len]);
            patches = &tail[len..];
            if patched.pages.len() > 64 {
                break;
            }
        }
        patched
    }

    fn page(&mut self, number: usize) -> &mut Vec<u8> {
        let at = self.pages.iter().position(|page| page.0 == number).unwrap_or_else(|| {
            self.pages.push((number, BASE[number * PAGE..].iter().copied().take(PAGE).collect()));
            self.pages.len() - 1
        });
        &mut self.pages[at].1
    }

    /// Writes into the volume; inside a record or block, with its update sequence put right.
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let offset = offset % BASE.len();
        let page = self.page(offset / PAGE);
        let at = offset % PAGE;
        let unit = match page.get(..4) {
            Some(b"FILE") => 1024,
            Some(b"INDX") => 4096,
            _ => 0,
        };
        let block = match unit {
            0 => None,
            _ => page.get_mut(at / unit * unit..(at / unit + 1) * unit),
        };
        let plain = block.is_some_and(|block| {
            if parse::unprotect(block, "block").is_err() {
                return false;
            }
            for (byte, &new) in block[at % unit..].iter_mut().zip(bytes) {
                *byte = new;
            }
            if parse::sequence_array(block, "block").is_err() {
                return true;
            }
            let start = usize::from(parse::u16_at(block, 4).expect("just checked"));
            for stride in 0..unit / 512 {
                let end = (stride + 1) * 512 - 2;
                block.copy_within(end..end + 2, start + 2 + 2 * stride);
                block.copy_within(start..start + 2, end);
            }
            true
        });
        if !plain {
            for (byte, &new) in page[at..].iter_mut().zip(bytes) {
                *byte = new;
            }
        }
    }
}

impl ReadAt for Patched {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        BASE.as_slice().read_exact_at(buf, offset)?;
        let (start, end) = (offset as usize, offset as usize + buf.len());
        for (number, page) in &self.pages {
            let (from, to) = ((number * PAGE).max(start), (number * PAGE + page.len()).min(end));
            if from < to {
                buf[from - start..to - start]
                    .copy_from_slice(&page[from - number * PAGE..to - number * PAGE]);
            }
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(BASE.len() as u64)
    }
}

/// What can be read of a volume: of each file its number and streams, with their sizes and sums of their bytes.
pub fn content(volume: &Volume) -> BTreeMap<(u64, Vec<u16>), (u64, Option<u64>)> {
    let mut found = BTreeMap::new();
    let mut buf = vec![0; 16 << 10];
    let mut left = 4_u64 << 20;
    for number in 0..volume.record_count() {
        // The table and its mirror hold changed records; bitmap, boot sector and bad clusters say how large the volume is.
        if [0, 1, 6, 7, 8].contains(&number) {
            continue;
        }
        let Ok(file) = volume.file(number) else { continue };
        for name in file.stream_names() {
            let Ok(mut reader) = file.open(volume, &name) else { continue };
            let (size, mut at, mut sum) = (reader.size(), 0, Some(1_u64));
            while at < size && left > 0 {
                let part = &mut buf[..(size - at).min(16 << 10) as usize];
                if reader.read_at(at, part).is_err() {
                    sum = None;
                    break;
                }
                sum = sum.map(|sum| {
                    part.iter().fold(sum, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte) ^ sum >> 7)
                });
                at += part.len() as u64;
                left = left.saturating_sub(part.len() as u64);
            }
            found.insert((number, name.to_vec()), (size, sum));
        }
    }
    found
}

//! Any volume is read or refused, within bounds: no panic, no endless walk, nothing listed twice.
//!
//! A volume is too large for a fuzzer to make, so it changes one of ours: the input is a list of changes to the boot sector,
//! file records and index blocks of a volume with one of everything.
#![no_main]

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, LazyLock};

use disk::{Content, FileTime, ReadAt};
use libfuzzer_sys::fuzz_target;
use ntfs_writer::parse::record_of;
use ntfs_writer::read::{Budget, Error, Options as Read, Volume};
use ntfs_writer::{
    Builder, Ea, Name, NamedStream, Node, NodeId, ObjectId, Options, ReadBlob, Reparse, Source, Times,
};

struct Blobs;

impl ReadBlob for Blobs {
    fn read_blob(&self, blob: u32, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = (at * 7 + u64::from(blob)) as u8);
        Ok(())
    }
}

/// The volume that is changed, and where what can be changed lies.
struct Base {
    bytes: Vec<u8>,
    places: Vec<(u64, u64)>,
}

fn utf16(text: &str) -> Box<[u16]> {
    text.encode_utf16().collect()
}

fn base(cluster_size: u32) -> Base {
    let times = |n| Times {
        created: FileTime(n),
        modified: FileTime(n + 1),
        changed: FileTime(n),
        accessed: FileTime(n),
    };
    let created = FileTime(130_000_000_000_000_000);
    let options = Options { cluster_size, label: "fuzz".into(), created, ..Options::default() };
    let mut builder = Builder::new(options).expect("good options");
    let mut add = |parent: NodeId, name: &str, node: Node| {
        let short = (name == "directory").then(|| utf16("DIRECT~1"));
        let node = builder.add_node(Node { times: times(7), ..node }).expect("a good node");
        builder.link(parent, Name { long: utf16(name), short }, node).expect("a good name");
        node
    };
    let stream = |name: &str, len| NamedStream { name: utf16(name), source: Source::Blob { blob: 3, len } };
    let directory = || Node { attributes: 0x10, ..Node::default() };
    let data = |len| Node { data: Some(Source::Blob { blob: 1, len }), ..Node::default() };
    let flat = add(NodeId::ROOT, "directory", directory());
    for number in 0..120 {
        add(flat, &format!("one of the files of the directory, number {number}"), data(number % 3 * 400 + 1));
    }
    let below = add(flat, "below", directory());
    add(below, "large", data(100_000));
    add(below, "sparse", Node { attributes: 0x200, ..data(70_000) });
    add(below, "compressed", Node { attributes: 0x800, ..data(70_000) });
    add(
        below,
        "streams",
        Node { named: (0..30).map(|n| stream(&format!("stream {n}"), n * 40 + 1)).collect(), ..data(5) },
    );
    add(below, "id", Node { object_id: Some(ObjectId { id: [5; 16], birth: None }), ..data(5) });
    let ea = |name: &[u8], len| Ea { need: false, name: name.into(), value: vec![1; len].into() };
    add(below, "attributes", Node { eas: vec![ea(b"A", 10), ea(b"B", 3000)], ..data(5) });
    let point =
        |tag: u32, data: Vec<u8>| Some(Reparse { tag, reserved: 0, data: Source::Bytes(data.into()) });
    add(below, "link", Node { attributes: 0x400, reparse: point(0xA000_000C, vec![0; 40]), ..data(5) });
    for codec in 0..4u8 {
        let words = [1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, codec, 0, 0, 0].to_vec();
        let packed =
            NamedStream { name: utf16("WofCompressedData"), source: Source::Blob { blob: 3, len: 20_000 } };
        let node = Node {
            attributes: 0x600,
            reparse: point(0x8000_0017, words),
            named: vec![packed],
            ..data(90_000)
        };
        add(below, &format!("packed {codec}"), node);
    }
    let plan = builder.plan().expect("a good tree");
    let volume = plan.lay_out(plan.min_size() + (1 << 20)).expect("large enough");
    let mut bytes = vec![0; volume.map().len() as usize];
    volume.render(0, &mut bytes, &Blobs).expect("rendered");
    let mut places = vec![(0, 512)];
    for extent in volume.map().extents() {
        let step = match extent.label.kind {
            "$MFT" => 1024,
            kind if kind.contains("index") => 4096,
            _ if matches!(extent.content, Content::Made { .. }) => extent.len.clamp(512, 4096),
            _ => continue,
        };
        places.extend((extent.start..extent.end()).step_by(step as usize).map(|at| (at, step)));
    }
    Base { bytes, places }
}

static BASES: LazyLock<[Base; 3]> = LazyLock::new(|| [base(4096), base(512), base(16_384)]);

/// A base and what is changed in it.
struct Changed {
    base: &'static Base,
    changes: Vec<(u64, Vec<u8>)>,
}

impl ReadAt for Changed {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.base.bytes.as_slice().read_exact_at(buf, offset)?;
        for (at, bytes) in &self.changes {
            for (byte, at) in bytes.iter().zip(*at..) {
                if let Some(to) = at.checked_sub(offset).and_then(|at| buf.get_mut(at as usize)) {
                    *to = *byte;
                }
            }
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.base.bytes.len() as u64)
    }
}

/// The first byte chooses the volume; then changes of a place (2 bytes), an offset in it (2 bytes), a length (1 byte, the
/// top bit for zeros in its stead) and bytes.
fn changed(data: &[u8]) -> Changed {
    let (first, mut rest) = data.split_first().unwrap_or((&0, &[]));
    let base = &BASES[usize::from(*first) % 3];
    let mut changes = Vec::new();
    while let [a, b, c, d, len, bytes @ ..] = rest {
        let (start, step) = base.places[usize::from(u16::from_le_bytes([*a, *b])) % base.places.len()];
        let at = start + u64::from(u16::from_le_bytes([*c, *d])) % step;
        let len = usize::from(*len);
        if len & 0x80 != 0 {
            changes.push((at, vec![0; len & 0x7F]));
            rest = bytes;
        } else {
            let (own, after) = bytes.split_at(len.min(bytes.len()));
            changes.push((at, own.to_vec()));
            rest = after;
        }
        if changes.len() == 64 {
            break;
        }
    }
    Changed { base, changes }
}

fn walk(volume: &Volume) -> Result<(), Error> {
    let mut budget = Budget::new(volume.available().min(16 << 20));
    let _ = volume.label();
    let _ = volume.information();
    let _ = volume.usage();
    let _ = volume.object_births(&mut budget);
    let mut seen = HashSet::new();
    let mut left = 1u64 << 20;
    let mut buffer = vec![0; 4096];
    let mut stack = vec![volume.root()?.reference()];
    while let Some(reference) = stack.pop() {
        let Ok(file) = volume.file_within(reference, &mut budget) else { continue };
        if !seen.insert(file.number()) {
            continue;
        }
        assert!(file.number() < volume.record_count());
        let information = file.standard_information();
        let _ = information.map(|information| volume.descriptor(information.security));
        let _ = file.names();
        let _ = file.object_id();
        let _ = file.reparse(volume);
        let _ = file.own_descriptor(volume, &mut budget);
        let _ = file.extended_attributes(volume, &mut budget);
        for name in file.stream_names() {
            let Ok(mut reader) = file.open(volume, &name) else { continue };
            let size = reader.size();
            for start in [0, size / 3, size.saturating_sub(1000)] {
                let len = size.saturating_sub(start).min(buffer.len() as u64).min(left) as usize;
                left -= len as u64;
                let _ = reader.read_at(start, &mut buffer[..len]);
            }
            assert!(reader.read_at(size, &mut buffer[..1]).is_err());
        }
        if file.is_directory() {
            let mut entries = Vec::new();
            let _ = volume.entries_within(&file, &mut entries, &mut budget);
            for entry in &entries {
                let _ =
                    volume.lookup(&file, &entry.name).map(|found| found.map(|found| record_of(found.target)));
                stack.push(entry.target);
            }
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = codec::lznt1(data, &mut [0; 10_000]);
    // As a volume of its own, too, and with everything shown as it lies there.
    let _ = Volume::open(Arc::new(data.to_vec()), Read::default());
    let raw = data.len() % 2 == 1;
    let Ok(volume) = Volume::open(Arc::new(changed(data)), Read { raw }) else { return };
    let _ = walk(&volume);
});

//! Any calls of the builder lead to a volume or to an error: no panic, and the volume is the same however it is cut.
#![no_main]

use disk::Content;
use libfuzzer_sys::fuzz_target;
use ntfs_writer::{
    Builder, DescriptorId, Ea, Name, NamedStream, Node, NodeId, ObjectId, Options, ReadBlob, Reparse, Source,
};

/// The fuzzer's bytes as a stream of choices; zeros when it has ended.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn u8(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        let len = usize::from(self.u16()) % (max + 1);
        (0..len).map(|i| if i < 64 { self.u8() } else { i as u8 }).collect()
    }

    /// Names repeat on purpose: that is where the rules are.
    fn name(&mut self) -> Box<[u16]> {
        match self.u8() % 4 {
            0 => vec![u16::from(b'a') + u16::from(self.u8() % 4)].into(),
            1 => format!("NAME~{}", self.u8() % 8).encode_utf16().collect(),
            2 => vec![self.u16(); usize::from(self.u8())].into(),
            _ => (0..self.u8() % 16).map(|_| self.u16()).collect(),
        }
    }

    fn source(&mut self) -> Source {
        match self.u8() % 4 {
            0 => Source::Empty,
            1 => Source::Bytes(self.bytes(3000).into()),
            2 => Source::Blob { blob: u32::from(self.u8()), len: u64::from(self.u16()) },
            _ => Source::Blob { blob: self.u32(), len: u64::from(self.u32()) << (self.u8() % 40) },
        }
    }

    fn node(&mut self) -> Node {
        let has = self.u16();
        let mut node = Node { attributes: self.u32() & 0xF_FFFF, ..Node::default() };
        node.times.created.0 = u64::from(self.u32()) << 32;
        // Most files are files.
        if has & 0x7 != 0 {
            node.attributes &= !0x4000;
        }
        node.data = (node.attributes & 0x10 == 0).then(|| self.source());
        node.security = (has & 0x30 == 0x10).then(|| DescriptorId(0x100 + u32::from(self.u8() % 4)));
        if has & 0xC0 == 0x40 {
            node.named =
                (0..self.u8()).map(|_| NamedStream { name: self.name(), source: self.source() }).collect();
        }
        if has & 0x300 == 0x100 {
            node.reparse = Some(Reparse { tag: self.u32(), data: self.source(), reserved: self.u16() });
        }
        if has & 0xC00 == 0x400 {
            node.object_id = Some(ObjectId { id: [self.u8(); 16], birth: None });
        }
        if has & 0x3000 == 0x1000 {
            let ea = |c: &mut Self| Ea {
                need: c.u8() & 1 == 1,
                name: c.bytes(300).into(),
                value: c.bytes(40_000).into(),
            };
            node.eas = (0..self.u8() % 4).map(|_| ea(self)).collect();
        }
        node
    }
}

struct Pattern;

impl ReadBlob for Pattern {
    fn read_blob(&self, blob: u32, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        for (byte, at) in buf.iter_mut().zip(offset..) {
            *byte = (at as u8).wrapping_mul(31) ^ blob as u8;
        }
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let options = Options {
        cluster_size: 512 << (choices.u8() % 9),
        record_size: if choices.u8() & 1 == 0 { 1024 } else { 4096 },
        alignment: u64::from(choices.u32() % 4) * 65_536 / 2,
        reserve_records: u32::from(choices.u8()),
        ..Options::default()
    };
    let Ok(mut builder) = Builder::new(options) else { return };
    let mut nodes = 1u32;
    while !choices.0.is_empty() && nodes < 2000 {
        match choices.u8() % 8 {
            0 => {
                let descriptor = choices.bytes(200);
                let _ = builder.add_descriptor(&descriptor);
            }
            1 => {
                let node = choices.node();
                let _ = builder.set_root(node);
            }
            2 => {
                let (parent, node) = (choices.u16(), choices.u16());
                let name = Name { long: choices.name(), short: Some(choices.name()) };
                let any = |number: u16| NodeId(u32::from(number) % (nodes + 1));
                let _ = builder.link(any(parent), name, any(node));
            }
            _ => {
                let node = choices.node();
                let parent = NodeId(u32::from(choices.u16()) % nodes);
                let name =
                    Name { long: choices.name(), short: (choices.u8() & 1 == 1).then(|| choices.name()) };
                if let Ok(id) = builder.add_node(node) {
                    nodes += 1;
                    if builder.link(parent, name, id).is_err() {
                        let fallback =
                            Name { long: format!("f{}", id.0).encode_utf16().collect(), short: None };
                        let _ = builder.link(NodeId::ROOT, fallback, id);
                    }
                }
            }
        }
    }
    let Ok(plan) = builder.plan() else { return };
    assert!(plan.lay_out(plan.min_size() - 512).is_err());
    let volume = plan.lay_out(plan.min_size()).expect("the smallest volume is accepted");
    let mut end = 0;
    for extent in volume.map().extents() {
        assert_eq!(extent.start, end);
        end = extent.end();
    }
    assert_eq!(end, plan.min_size());
    // The log and the table are megabytes of the same in every volume.
    let constant = ["$LogFile", "$UpCase", "$Secure:$SDS"];
    let step = 1 + data.len() * 97;
    for extent in volume.map().extents() {
        if !matches!(extent.content, Content::Made { .. }) || constant.contains(&extent.label.kind) {
            continue;
        }
        let len = extent.len.min(1 << 20) as usize;
        let mut whole = vec![0xEE; len];
        volume.render(extent.start, &mut whole, &Pattern).expect("the pattern has no end");
        let mut cut = vec![0x11; len];
        for (piece, number) in cut.chunks_mut(step).zip(0u64..) {
            let at = extent.start + number * step as u64;
            volume.render(at, piece, &Pattern).expect("the pattern has no end");
        }
        assert!(whole == cut);
    }
});

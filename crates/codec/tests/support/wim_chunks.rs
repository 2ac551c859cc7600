//! Cuts the compressed chunks out of a WIM: just enough of the format for tests and measurements of the codecs, which
//! know no format themselves. It trusts the file.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Xpress = 1,
    Lzx = 2,
    Lzms = 3,
}

/// The compressed chunks of all blobs of a file, or of its first solid resource, if it has one. (Chunks that did not shrink are stored plainly, and left out.)
#[derive(Debug)]
pub(crate) struct Chunks {
    pub(crate) codec: Codec,
    pub(crate) chunk_size: usize,
    /// Compressed bytes, and the size they decompress to.
    pub(crate) chunks: Vec<(Vec<u8>, usize)>,
}

pub(crate) fn read(wim: &[u8]) -> Chunks {
    assert_eq!(&wim[..8], b"MSWIM\0\0\0");
    let flags = u32_at(wim, 0x10);
    let codec = match flags & 0xE_0000 {
        0x2_0000 => Codec::Xpress,
        0x4_0000 => Codec::Lzx,
        0x8_0000 => Codec::Lzms,
        _ => panic!("header flags {flags:#x}: no codec of ours"),
    };
    let chunk_size = u32_at(wim, 0x14) as usize;

    let (table_size, _, table_at, _) = resource_header(wim, 0x30);
    let mut chunks = Vec::new();
    if u32_at(wim, 0x0C) == 0xE00 {
        let solid = (table_at..table_at + table_size)
            .step_by(50)
            .map(|entry| resource_header(wim, entry))
            .find(|(_, flags, _, size)| flags & 0x10 != 0 && *size == 1 << 32);
        if let Some((stored, _, at, _)) = solid {
            return cut_solid(&wim[at..at + stored]);
        }
    }
    for entry in (table_at..table_at + table_size).step_by(50) {
        let (stored, flags, at, size) = resource_header(wim, entry);
        if flags & 4 != 0 {
            cut(&wim[at..at + stored], size, chunk_size, &mut chunks);
        }
    }
    Chunks { codec, chunk_size, chunks }
}

fn cut(resource: &[u8], size: usize, chunk_size: usize, chunks: &mut Vec<(Vec<u8>, usize)>) {
    assert!(u32::try_from(size).is_ok(), "larger tables are not needed here");
    let count = size.div_ceil(chunk_size);
    let data = &resource[(count - 1) * 4..];
    let start = |i| if i == 0 { 0 } else { u32_at(resource, (i - 1) * 4) as usize };
    for i in 0..count {
        let end = if i + 1 < count { start(i + 1) } else { data.len() };
        let chunk = &data[start(i)..end];
        let size = chunk_size.min(size - i * chunk_size);
        if chunk.len() < size {
            chunks.push((chunk.to_vec(), size));
        }
    }
}

/// A solid resource says itself how it is compressed.
fn cut_solid(resource: &[u8]) -> Chunks {
    let size = u64_at(resource, 0) as usize;
    let chunk_size = u32_at(resource, 8) as usize;
    let codec = match u32_at(resource, 12) {
        1 => Codec::Xpress,
        2 => Codec::Lzx,
        3 => Codec::Lzms,
        other => panic!("solid resource of codec {other}"),
    };
    let count = size.div_ceil(chunk_size);
    let mut at = 16 + 4 * count;
    let mut chunks = Vec::new();
    for i in 0..count {
        let compressed = u32_at(resource, 16 + 4 * i) as usize;
        let size = chunk_size.min(size - i * chunk_size);
        if compressed < size {
            chunks.push((resource[at..at + compressed].to_vec(), size));
        }
        at += compressed;
    }
    Chunks { codec, chunk_size, chunks }
}

/// Stored size, flags, offset, size.
fn resource_header(wim: &[u8], at: usize) -> (usize, u8, usize, usize) {
    let stored = u64_at(wim, at) & ((1 << 56) - 1);
    (stored as usize, wim[at + 7], u64_at(wim, at + 8) as usize, u64_at(wim, at + 16) as usize)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

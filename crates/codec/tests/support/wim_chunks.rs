//! Cuts the compressed chunks out of a WIM: just enough of the format for tests and measurements of the codecs, which
//! know no format themselves. It trusts the file.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Xpress = 1,
    Lzx = 2,
}

/// The compressed chunks of all blobs of a file. (Chunks that did not shrink are stored plainly, and left out.)
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
    let codec = if flags & 0x4_0000 != 0 { Codec::Lzx } else { Codec::Xpress };
    assert!(flags & 0x6_0000 != 0, "header flags {flags:#x}: neither LZX nor XPRESS");
    let chunk_size = u32_at(wim, 0x14) as usize;

    let (table_size, _, table_at, _) = resource_header(wim, 0x30);
    let mut chunks = Vec::new();
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

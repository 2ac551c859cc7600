//! Opening: the header, its extensions, the L1 table, and what they may say.

use disk::ReadAt;

use crate::layout::{
    COMPRESSION_TYPE_OFFSET, EXTENSION_BACKING_FORMAT, EXTENSION_BITMAPS, EXTENSION_END, HEADER_LEN,
    HEADER_LEN_V2, Header, INCOMPATIBLE_COMPRESSION, INCOMPATIBLE_CORRUPT, INCOMPATIBLE_DIRTY,
    INCOMPATIBLE_EXTENDED_L2, INCOMPATIBLE_EXTERNAL_DATA, MAGIC,
};
use crate::{Error, Result};

/// Cluster sizes: 512 bytes to 2 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Extended L2 entries need clusters of 16 KiB, so that a subcluster has 512 bytes.
const EXTENDED_CLUSTER_BITS: u32 = 14;
/// The largest L1 table, in entries: 32 MiB, as for qemu.
const MAX_L1_ENTRIES: u64 = 4 << 20;
/// The largest refcount table, in bytes, as for qemu.
const MAX_REFCOUNT_TABLE: u64 = 8 << 20;
/// The most internal snapshots, as for qemu.
const MAX_SNAPSHOTS: u32 = 1 << 16;
/// The longest name of a backing file.
const MAX_NAME: u32 = 1023;

/// How clusters are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// DEFLATE without framing (RFC 1951); the format says zlib.
    #[default]
    Deflate,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// What a file says about the file that has what it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentReference {
    /// Its name as stored; bytes that are not UTF-8 are replaced. It may be an absolute path, a path from the file's own
    /// folder, a URL, or an expression of qemu's (`json:`, `nbd:` and others): nothing to be opened unasked.
    pub name: String,
    /// Its format, if that is said.
    pub format: Option<String>,
}

/// What was read when the file was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file_len: u64,
    pub(crate) header: Header,
    pub(crate) compression: Compression,
    pub(crate) parent: Option<ParentReference>,
    pub(crate) has_bitmaps: bool,
    /// The entries that the disk needs; there may be more in the file.
    pub(crate) l1: Vec<u64>,
}

/// Big-endian numbers.
pub(crate) fn be_words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks_exact(8).map(|word| u64::from_be_bytes(word.try_into().expect("eight bytes")))
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::malformed("qcow2 header", 0, reason)
}

/// A table of the header lies at a cluster, and in the file.
fn table(what: &str, offset: u64, len: u64, header: &Header, file_len: u64) -> Result<()> {
    if len == 0 {
        return Ok(());
    }
    let aligned = offset.is_multiple_of(header.cluster_size()) && offset > 0;
    if !aligned || offset.checked_add(len).is_none_or(|end| end > file_len) {
        return Err(malformed(format!(
            "{what} of {len} bytes at {offset:#x}, expected at a cluster of {:#x} bytes behind the first, in a file of \
             {file_len:#x}",
            header.cluster_size()
        )));
    }
    Ok(())
}

pub(crate) fn open(file: &dyn ReadAt) -> Result<Opened> {
    let reading = Error::reading;
    let file_len = file.size().map_err(reading("qcow2 file", 0))?;
    if file_len < u64::from(HEADER_LEN) {
        return Err(malformed(format!("file of {file_len} bytes, expected at least {HEADER_LEN}")));
    }
    let mut bytes = [0; HEADER_LEN as usize];
    file.read_exact_at(&mut bytes, 0).map_err(reading("qcow2 header", 0))?;
    let header = Header::from_bytes(&bytes);
    check_header(&header)?;

    let cluster_size = header.cluster_size();
    let mut first = vec![0; cluster_size.min(file_len) as usize];
    file.read_exact_at(&mut first, 0).map_err(reading("qcow2 header", 0))?;
    if header.header_len as usize > first.len() {
        return Err(malformed(format!(
            "header of {} bytes in a cluster of {}",
            header.header_len,
            first.len()
        )));
    }
    let compression = compression(&header, &first)?;
    let extensions = Extensions::read(&header, &first)?;
    let parent = backing_file(&header, &first)?
        .map(|name| ParentReference { name, format: extensions.backing_format });

    let l2_span = cluster_size * header.l2_entries();
    let needed = header.size.div_ceil(l2_span);
    if u64::from(header.l1_entries) < needed {
        return Err(malformed(format!(
            "{} L1 entries, a disk of {} bytes needs {needed}",
            header.l1_entries, header.size
        )));
    }
    if u64::from(header.l1_entries) > MAX_L1_ENTRIES {
        let found = header.l1_entries.into();
        return Err(Error::limit("qcow2 header", 0, "number of L1 entries", found, MAX_L1_ENTRIES));
    }
    table("L1 table", header.l1_offset, u64::from(header.l1_entries) * 8, &header, file_len)?;
    let refcounts = u64::from(header.refcount_clusters) * cluster_size;
    if refcounts > MAX_REFCOUNT_TABLE {
        let what = "length of the refcount table";
        return Err(Error::limit("qcow2 header", 0, what, refcounts, MAX_REFCOUNT_TABLE));
    }
    table("refcount table", header.refcount_offset, refcounts, &header, file_len)?;
    if header.snapshots > MAX_SNAPSHOTS {
        let (found, limit) = (header.snapshots.into(), MAX_SNAPSHOTS.into());
        return Err(Error::limit("qcow2 header", 0, "number of snapshots", found, limit));
    }
    table("snapshot table", header.snapshots_offset, header.snapshots.into(), &header, file_len)?;

    let mut bytes = vec![0; needed as usize * 8];
    if needed > 0 {
        file.read_exact_at(&mut bytes, header.l1_offset)
            .map_err(reading("qcow2 L1 table", header.l1_offset))?;
    }
    let l1 = be_words(&bytes).collect();
    Ok(Opened { file_len, header, compression, parent, has_bitmaps: extensions.bitmaps, l1 })
}

fn check_header(header: &Header) -> Result<()> {
    if header.magic != MAGIC {
        let found = header.magic.escape_ascii();
        return Err(malformed(format!("signature \"{found}\", expected \"QFI\\xfb\"")));
    }
    let unsupported = |feature: String| Err(Error::unsupported("qcow2 header", 0, feature));
    match header.version {
        1 => return unsupported("version 1 (the older format qcow)".to_owned()),
        2 | 3 => {}
        version => return unsupported(format!("version {version}")),
    }
    if !CLUSTER_BITS.contains(&header.cluster_bits) {
        return Err(malformed(format!("{} cluster bits, expected 9 to 21", header.cluster_bits)));
    }
    if header.version == 3 && (header.header_len < HEADER_LEN || !header.header_len.is_multiple_of(8)) {
        return Err(malformed(format!(
            "header length {}, expected a multiple of 8 from {HEADER_LEN}",
            header.header_len
        )));
    }
    match header.crypt_method {
        0 => {}
        1 => return unsupported("encryption (AES)".to_owned()),
        2 => return unsupported("encryption (LUKS)".to_owned()),
        other => return Err(malformed(format!("encryption method {other}, expected 0, 1 or 2"))),
    }
    if header.incompatible & INCOMPATIBLE_EXTERNAL_DATA != 0 {
        return unsupported("external data file (its name is never followed)".to_owned());
    }
    let known =
        INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_COMPRESSION | INCOMPATIBLE_EXTENDED_L2;
    let unknown = header.incompatible & !known;
    if unknown != 0 {
        return unsupported(format!("incompatible feature bit {}", unknown.trailing_zeros()));
    }
    if header.extended_l2() && header.cluster_bits < EXTENDED_CLUSTER_BITS {
        let reason = format!(
            "extended L2 entries with {} cluster bits, expected at least {EXTENDED_CLUSTER_BITS}",
            header.cluster_bits
        );
        return Err(malformed(reason));
    }
    if header.refcount_order > 6 {
        return Err(malformed(format!("refcount order {}, expected 0 to 6", header.refcount_order)));
    }
    if header.size > i64::MAX as u64 {
        return Err(malformed(format!("disk size {:#x}, expected less than 2^63", header.size)));
    }
    Ok(())
}

fn compression(header: &Header, first: &[u8]) -> Result<Compression> {
    // A header that has no such field means the first type.
    let present = header.header_len as usize > COMPRESSION_TYPE_OFFSET;
    let kind = if present { first[COMPRESSION_TYPE_OFFSET] } else { 0 };
    let announced = header.incompatible & INCOMPATIBLE_COMPRESSION != 0;
    match kind {
        0 if !announced => Ok(Compression::Deflate),
        1 if announced => Ok(Compression::Zstd),
        0 | 1 => {
            let state = if announced { "set" } else { "clear" };
            Err(malformed(format!(
                "compression type {kind}, but the feature bit that tells of others is {state}"
            )))
        }
        other => Err(Error::unsupported(
            "qcow2 header",
            COMPRESSION_TYPE_OFFSET as u64,
            format!("compression type {other}"),
        )),
    }
}

#[derive(Default)]
struct Extensions {
    backing_format: Option<String>,
    bitmaps: bool,
}

impl Extensions {
    fn read(header: &Header, first: &[u8]) -> Result<Self> {
        let mut found = Self::default();
        let start = header.header_len.max(HEADER_LEN_V2) as usize;
        // They end where the name of the backing file begins, if not before.
        let end = match usize::try_from(header.backing_offset) {
            Ok(offset) if offset >= start => offset.min(first.len()),
            _ => first.len(),
        };
        let mut at = start;
        while let Some(head) = first.get(at..at + 8).filter(|_| at + 8 <= end) {
            let word = |from: usize| u32::from_be_bytes(head[from..from + 4].try_into().expect("four bytes"));
            let (kind, len) = (word(0), word(4) as usize);
            if kind == EXTENSION_END {
                break;
            }
            let fault = || {
                let reason = format!("type {kind:#010x} of {len} bytes, {} are left", end - at - 8);
                Error::malformed("qcow2 header extension", at as u64, reason)
            };
            let data = first[at + 8..end].get(..len).ok_or_else(fault)?;
            match kind {
                EXTENSION_BACKING_FORMAT => {
                    found.backing_format = Some(String::from_utf8_lossy(data).into_owned());
                }
                EXTENSION_BITMAPS => found.bitmaps = true,
                _ => {}
            }
            at += 8 + len.next_multiple_of(8);
        }
        Ok(found)
    }
}

fn backing_file(header: &Header, first: &[u8]) -> Result<Option<String>> {
    if header.backing_offset == 0 {
        return Ok(None);
    }
    if header.backing_len > MAX_NAME {
        return Err(malformed(format!(
            "name of the backing file has {} bytes, expected at most {MAX_NAME}",
            header.backing_len
        )));
    }
    let start = usize::try_from(header.backing_offset).ok().filter(|at| *at >= header.header_len as usize);
    let name = start.and_then(|start| first.get(start..)?.get(..header.backing_len as usize));
    let name = name.ok_or_else(|| {
        malformed(format!(
            "name of the backing file at {:#x} (+ {:#x}), expected behind the header, in the first cluster",
            header.backing_offset, header.backing_len
        ))
    })?;
    Ok((!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned()))
}

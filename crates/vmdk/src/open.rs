//! Opening: everything that can be judged without looking at grain tables.

use std::io;

use disk::{At, ReadAt};

use crate::descriptor::{self, Descriptor};
use crate::layout::{
    CHECK_BYTES, COMPRESSION_DEFLATE, DIRECTORY_AT_END, FLAG_CHECK_BYTES, FLAG_COMPRESSED, FLAG_MARKERS,
    FLAG_REDUNDANT, Header, MAGIC, MARKER_FOOTER, Marker, SECTOR, TABLE_ENTRIES, TABLE_SECTORS,
};
use crate::{Error, Result};

/// The largest grain that is read, in sectors: 1 MiB. The format allows more, nobody makes it.
const MAX_GRAIN_SECTORS: u64 = 2048;
/// The smallest that the technical note allows: 4 KiB.
const MIN_GRAIN_SECTORS: u64 = 8;
/// The most grain tables that are read: 4 MiB of directory, 32 TiB of disk in grains of 64 KiB.
const MAX_TABLES: u64 = 1 << 20;

const COWD: [u8; 4] = *b"COWD";
const SE_SPARSE: [u8; 8] = 0xCAFE_BABEu64.to_le_bytes();

/// Whether `file` says it is some kind of VMDK: the signature of a sparse extent, or the first line of a descriptor.
///
/// # Errors
/// As reading `file`.
pub fn is_vmdk(file: &dyn ReadAt) -> io::Result<bool> {
    let head = head(file)?;
    Ok(head.starts_with(&MAGIC)
        || head.starts_with(&COWD)
        || head.starts_with(&SE_SPARSE)
        || is_descriptor(&head))
}

fn head(file: &dyn ReadAt) -> io::Result<Vec<u8>> {
    let mut head = vec![0; file.size()?.min(SECTOR) as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(head)
}

/// Products begin a descriptor that is a file of its own with a comment, spaced differently.
fn is_descriptor(head: &[u8]) -> bool {
    let line: Vec<u8> = head
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(u8::to_ascii_lowercase)
        .collect();
    line.starts_with(b"#diskdescriptorfile")
}

/// What is known of a file after its fixed structures were read.
pub(crate) struct Opened {
    pub(crate) file_len: u64,
    /// The header, or the footer where that is the one that counts.
    pub(crate) header: Header,
    /// Whether the footer is the one that counts.
    pub(crate) streamed: bool,
    pub(crate) descriptor: Descriptor,
    /// For each grain table its sector, or 0.
    pub(crate) directory: Vec<u32>,
}

pub(crate) fn open(file: &dyn ReadAt) -> Result<Opened> {
    let file_len = file.size().map_err(Error::reading("VMDK", 0))?;
    let head = head(file).map_err(Error::reading("VMDK header", 0))?;
    let Some(sector) = head.first_chunk().filter(|_| head.starts_with(&MAGIC)) else {
        return Err(refuse(file, file_len, &head));
    };
    let mut header = Header::from_sector(sector);
    let file_sectors = file_len / SECTOR;
    check_header(&header, 0, file_sectors)?;
    let streamed = header.grain_directory == DIRECTORY_AT_END;
    if streamed {
        header = read_footer(file, file_len, &header)?;
    }
    let descriptor = read_descriptor(file, &header, file_sectors)?;
    let directory = read_directory(file, &header, file_sectors, header.grain_directory)?;
    Ok(Opened { file_len, header, streamed, descriptor, directory })
}

/// Why a file that does not begin with a sparse extent's header is not read.
fn refuse(file: &dyn ReadAt, file_len: u64, head: &[u8]) -> Error {
    let unsupported = |what, feature: String| Error::Unsupported { at: At::new(what, 0), feature };
    if head.starts_with(&COWD) {
        return unsupported("VMDK header", "ESX copy-on-write extent (COWD)".to_owned());
    }
    if head.starts_with(&SE_SPARSE) {
        return unsupported("VMDK header", "ESXi space-efficient extent (seSparse)".to_owned());
    }
    if is_descriptor(head) {
        let mut text = vec![0; file_len.min(descriptor::MAX_LEN) as usize];
        let parsed = file
            .read_exact_at(&mut text, 0)
            .map_err(Error::reading("VMDK descriptor", 0))
            .and_then(|()| Descriptor::parse(&text, 0));
        return match parsed {
            Ok(parsed) => {
                let files: Vec<_> =
                    parsed.extents.iter().map(|e| e.file.escape_debug().to_string()).collect();
                let kind = parsed.create_type.escape_debug();
                let feature = format!("{kind} disk whose data is in other files ({})", files.join(", "));
                unsupported("VMDK descriptor", feature)
            }
            Err(error) => error,
        };
    }
    let found = head.get(..4).unwrap_or(head).escape_ascii().to_string();
    Error::malformed("VMDK header", 0, format!("signature \"{found}\", expected \"KDMV\""))
}

fn check_header(header: &Header, at: u64, file_sectors: u64) -> Result<()> {
    let malformed = |reason: String| Err(Error::malformed("VMDK header", at, reason));
    let unsupported = |feature: String| Err(Error::Unsupported { at: At::new("VMDK header", at), feature });
    let limit = |what, found, limit| Err(Error::Limit { at: At::new("VMDK header", at), what, found, limit });

    if !(1..=3).contains(&header.version) {
        return unsupported(format!("version {}", header.version));
    }
    if header.flags & FLAG_CHECK_BYTES != 0 && header.check_bytes != CHECK_BYTES {
        let (found, expected) = (header.check_bytes.escape_ascii(), CHECK_BYTES.escape_ascii());
        return malformed(format!("line ends \"{found}\", expected \"{expected}\": transferred as text?"));
    }
    let compressed = header.flags & FLAG_COMPRESSED != 0;
    if compressed != (header.compression == COMPRESSION_DEFLATE) || header.compression > COMPRESSION_DEFLATE {
        return malformed(format!("flags {:#x} with compression {}", header.flags, header.compression));
    }
    if compressed && header.flags & FLAG_MARKERS == 0 {
        return unsupported("compressed grains without markers".to_owned());
    }
    if header.grain_directory == DIRECTORY_AT_END && !compressed {
        return malformed("directory at the end of a file without markers".to_owned());
    }
    if header.table_entries != TABLE_ENTRIES as u32 {
        return malformed(format!(
            "{} entries in a grain table, expected {TABLE_ENTRIES}",
            header.table_entries
        ));
    }
    let grain = header.grain_size;
    if !grain.is_power_of_two() || grain < MIN_GRAIN_SECTORS {
        return malformed(format!(
            "grain of {grain} sectors, expected a power of two from {MIN_GRAIN_SECTORS}"
        ));
    }
    if grain > MAX_GRAIN_SECTORS {
        return limit("sectors of a grain", grain, MAX_GRAIN_SECTORS);
    }
    if header.capacity == 0 {
        return malformed("capacity 0".to_owned());
    }
    let tables = header.tables();
    if tables > MAX_TABLES {
        return limit("number of grain tables", tables, MAX_TABLES);
    }
    if header.overhead == 0 || header.overhead > file_sectors {
        return malformed(format!(
            "grains begin at sector {:#x}, the file ends at {file_sectors:#x}",
            header.overhead
        ));
    }
    Ok(())
}

impl Header {
    /// How many grain tables span the disk.
    pub(crate) fn tables(&self) -> u64 {
        // Cannot overflow: a checked grain has at most 2048 sectors.
        self.capacity.div_ceil(self.grain_size * TABLE_ENTRIES as u64)
    }
}

/// The last three sectors of a streamed file: marker, footer, end.
fn read_footer(file: &dyn ReadAt, file_len: u64, header: &Header) -> Result<Header> {
    if !file_len.is_multiple_of(SECTOR) || file_len < 4 * SECTOR {
        return Err(Error::malformed(
            "VMDK footer",
            file_len,
            format!("file of {file_len} bytes, expected whole sectors: truncated?"),
        ));
    }
    let at = file_len - 3 * SECTOR;
    let mut bytes = [0; 3 * SECTOR as usize];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VMDK footer", at))?;
    let (sectors, _) = bytes.as_chunks::<{ SECTOR as usize }>();
    let marker = Marker::from_sector(&sectors[0]);
    if marker != (Marker { value: 1, size: 0, kind: MARKER_FOOTER }) {
        return Err(Error::malformed(
            "VMDK footer marker",
            at,
            format!(
                "type {} of {} sectors with {} bytes, expected type 3 of 1 sector with 0: truncated?",
                marker.kind, marker.value, marker.size
            ),
        ));
    }
    let footer = Header::from_sector(&sectors[1]);
    if footer.grain_directory == DIRECTORY_AT_END {
        return Err(Error::malformed("VMDK footer", at + SECTOR, "has no grain directory either"));
    }
    if (Header { grain_directory: DIRECTORY_AT_END, ..footer.clone() }) != *header {
        let reason = "differs from the header in more than the grain directory";
        return Err(Error::malformed("VMDK footer", at + SECTOR, reason));
    }
    if sectors[2] != [0; SECTOR as usize] {
        return Err(Error::malformed("VMDK end-of-stream marker", at + 2 * SECTOR, "not zero"));
    }
    Ok(footer)
}

const PART: &str = "part of a disk in several files (its descriptor is another file)";

fn read_descriptor(file: &dyn ReadAt, header: &Header, file_sectors: u64) -> Result<Descriptor> {
    let unsupported =
        |at: u64, feature: String| Err(Error::Unsupported { at: At::new("VMDK descriptor", at), feature });
    if header.descriptor_offset == 0 {
        return unsupported(0, PART.to_owned());
    }
    let at = header.descriptor_offset.saturating_mul(SECTOR);
    let end = header.descriptor_offset.checked_add(header.descriptor_size);
    if end.is_none_or(|end| end > file_sectors) {
        let reason = format!("{} sectors end past the file's {file_sectors}", header.descriptor_size);
        return Err(Error::malformed("VMDK descriptor", at, reason));
    }
    let len = header.descriptor_size * SECTOR;
    if len > descriptor::MAX_LEN {
        let at = At::new("VMDK descriptor", at);
        return Err(Error::Limit { at, what: "length", found: len, limit: descriptor::MAX_LEN });
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VMDK descriptor", at))?;
    let descriptor = Descriptor::parse(&bytes, at)?;

    let malformed = |reason: String| Err(Error::malformed("VMDK descriptor", at, reason));
    let expected = if header.flags & FLAG_COMPRESSED != 0 { "streamOptimized" } else { "monolithicSparse" };
    match descriptor.create_type.as_str() {
        found if found == expected => {}
        "streamOptimized" | "monolithicSparse" => {
            return malformed(format!("createType {}, the header says {expected}", descriptor.create_type));
        }
        // qemu leaves the place of a part's descriptor empty.
        "" if descriptor.extents.is_empty() => return unsupported(at, PART.to_owned()),
        "" => return malformed("no createType".to_owned()),
        other => return unsupported(at, format!("createType {}", other.escape_debug())),
    }
    if descriptor.parent_cid != u32::MAX {
        let feature = format!("snapshot of the disk with CID {:08x} (merge it first)", descriptor.parent_cid);
        return unsupported(at, feature);
    }
    let [extent] = descriptor.extents.as_slice() else {
        return malformed(format!("{} extents, expected 1", descriptor.extents.len()));
    };
    if extent.kind != "SPARSE" {
        return malformed(format!("extent of type {}, expected SPARSE", extent.kind.escape_debug()));
    }
    // A writer may round the header's capacity up to a whole grain.
    if extent.sectors > header.capacity || header.capacity - extent.sectors >= header.grain_size {
        return malformed(format!(
            "extent of {} sectors, the header says {}",
            extent.sectors, header.capacity
        ));
    }
    Ok(descriptor)
}

/// The grain directory at `sector`.
pub(crate) fn read_directory(
    file: &dyn ReadAt,
    header: &Header,
    file_sectors: u64,
    sector: u64,
) -> Result<Vec<u32>> {
    let at = sector.saturating_mul(SECTOR);
    let len = header.tables() * 4;
    let end = sector.checked_add(len.div_ceil(SECTOR));
    if sector == 0 || end.is_none_or(|end| end > file_sectors) {
        let reason = format!(
            "sector {sector:#x} (+ {:#x}) is not inside the file's {file_sectors:#x}",
            len.div_ceil(SECTOR)
        );
        return Err(Error::malformed("VMDK grain directory", at, reason));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VMDK grain directory", at))?;
    let entries: Vec<u32> = le_words(&bytes).collect();
    for (index, entry) in entries.iter().enumerate() {
        if *entry != 0 && u64::from(*entry) + TABLE_SECTORS > file_sectors {
            let at = at + index as u64 * 4;
            let reason = format!("table at sector {entry:#x} ends past the file's {file_sectors:#x}");
            return Err(Error::malformed("VMDK grain directory entry", at, reason));
        }
    }
    Ok(entries)
}

pub(crate) fn le_words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// Whether there is a second grain directory.
pub(crate) fn has_redundant_directory(header: &Header) -> bool {
    header.flags & FLAG_REDUNDANT != 0
}

//! Opening: everything that can be judged without looking at grain tables.

use std::io;
use std::sync::Arc;

use disk::{At, ReadAt};

use crate::descriptor::{self, DescribedExtent, Descriptor};
use crate::extent::{Form, SparseExtent};
use crate::layout::{
    CHECK_BYTES, COMPRESSION_DEFLATE, COWD_MAGIC, CowdHeader, DIRECTORY_AT_END, FLAG_CHECK_BYTES,
    FLAG_COMPRESSED, FLAG_MARKERS, FLAG_REDUNDANT, Header, MAGIC, MARKER_FOOTER, Marker, SECTOR,
    TABLE_ENTRIES,
};
use crate::{Error, Kind, Result};

/// The largest grain that is read, in sectors: 1 MiB. The format allows more, nobody makes it.
const MAX_GRAIN_SECTORS: u64 = 2048;
/// The smallest that the technical note allows: 4 KiB.
const MIN_GRAIN_SECTORS: u64 = 8;
/// The most grain tables of a disk: 4 MiB of directories, 32 TiB of disk in grains of 64 KiB.
const MAX_TABLES: u64 = 1 << 20;

const SE_SPARSE: [u8; 8] = 0xCAFE_BABEu64.to_le_bytes();

/// Whether `file` says it is some kind of VMDK: the signature of a sparse extent, or the first line of a descriptor.
///
/// # Errors
/// As reading `file`.
pub fn is_vmdk(file: &dyn ReadAt) -> io::Result<bool> {
    let head = head(file)?;
    Ok(head.starts_with(&MAGIC)
        || head.starts_with(&COWD_MAGIC)
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

/// A sparse extent, and what is described in its own file.
pub(crate) struct OpenedExtent {
    pub(crate) extent: SparseExtent,
    /// The descriptor's text and where it lies; none when there is no place for one.
    pub(crate) descriptor: Option<(Vec<u8>, u64)>,
}

/// Opens a sparse extent of a disk whose extents before have this many grain tables.
pub(crate) fn open_extent(file: Arc<dyn ReadAt>, number: u32, tables_before: u64) -> Result<OpenedExtent> {
    let file_len = file.size().map_err(Error::reading("VMDK", 0))?;
    let head = head(&*file).map_err(Error::reading("VMDK header", 0))?;
    let file_sectors = file_len / SECTOR;
    let Some(sector) = head.first_chunk() else { return Err(not_an_extent(&head)) };
    let (form, descriptor) = if head.starts_with(&MAGIC) {
        let mut header = Header::from_sector(sector);
        check_header(&header, 0, file_sectors)?;
        let streamed = header.grain_directory == DIRECTORY_AT_END;
        if streamed {
            header = read_footer(&*file, file_len, &header)?;
        }
        let descriptor = read_descriptor(&*file, &header, file_sectors)?;
        (Form::Hosted { header, streamed }, descriptor)
    } else if head.starts_with(&COWD_MAGIC) {
        let header = CowdHeader::from_sector(sector);
        check_cowd_header(&header)?;
        (Form::Cowd(header), None)
    } else {
        return Err(not_an_extent(&head));
    };
    let tables = form.tables().saturating_add(tables_before);
    if tables > MAX_TABLES {
        let at = At::new("VMDK header", 0);
        return Err(Error::Limit { at, what: "number of grain tables", found: tables, limit: MAX_TABLES });
    }
    let directory = read_directory(&*file, &form, file_sectors, form.grain_directory())?;
    Ok(OpenedExtent { extent: SparseExtent { file, file_len, form, directory, number }, descriptor })
}

/// Why a file that does not begin with a sparse extent's header is none.
fn not_an_extent(head: &[u8]) -> Error {
    if head.starts_with(&SE_SPARSE) {
        let feature = "ESXi space-efficient extent (seSparse)".to_owned();
        return Error::Unsupported { at: At::new("VMDK header", 0), feature };
    }
    if is_descriptor(head) {
        return Error::malformed("VMDK header", 0, "a descriptor, expected a sparse extent");
    }
    let found = head.get(..4).unwrap_or(head).escape_ascii().to_string();
    Error::malformed("VMDK header", 0, format!("signature \"{found}\", expected \"KDMV\""))
}

/// The descriptor that is a file of its own; `None` when the file is something else.
pub(crate) fn open_descriptor(file: &dyn ReadAt) -> Result<Option<Descriptor>> {
    let head = head(file).map_err(Error::reading("VMDK header", 0))?;
    if !is_descriptor(&head) {
        return Ok(None);
    }
    let len = file.size().map_err(Error::reading("VMDK descriptor", 0))?;
    if len > descriptor::MAX_LEN {
        let at = At::new("VMDK descriptor", 0);
        return Err(Error::Limit { at, what: "length", found: len, limit: descriptor::MAX_LEN });
    }
    let mut text = vec![0; len as usize];
    file.read_exact_at(&mut text, 0).map_err(Error::reading("VMDK descriptor", 0))?;
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    if let Some(after) = text[end..].iter().position(|byte| *byte != 0) {
        let reason = format!("text at {:#x} after a zero byte", end + after);
        return Err(Error::malformed("VMDK descriptor", end as u64, reason));
    }
    Descriptor::parse(&text, 0).map(Some)
}

fn check_cowd_header(header: &CowdHeader) -> Result<()> {
    let malformed = |reason: String| Err(Error::malformed("COWD header", 0, reason));
    if header.version != 1 {
        let at = At::new("COWD header", 0);
        return Err(Error::Unsupported { at, feature: format!("version {}", header.version) });
    }
    let grain = u64::from(header.grain_size);
    if !grain.is_power_of_two() || grain > MAX_GRAIN_SECTORS {
        return malformed(format!(
            "grain of {grain} sectors, expected a power of two to {MAX_GRAIN_SECTORS}"
        ));
    }
    if header.capacity == 0 {
        return malformed("capacity 0".to_owned());
    }
    let tables = Form::Cowd(header.clone()).tables();
    if u64::from(header.directory_entries) < tables {
        let entries = header.directory_entries;
        return malformed(format!("{entries} entries in the grain directory, expected {tables}"));
    }
    Ok(())
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
    if header.overhead == 0 || header.overhead > file_sectors {
        return malformed(format!(
            "grains begin at sector {:#x}, the file ends at {file_sectors:#x}",
            header.overhead
        ));
    }
    Ok(())
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

/// What the header says is the descriptor, not judged, and where it lies.
fn read_descriptor(file: &dyn ReadAt, header: &Header, file_sectors: u64) -> Result<Option<(Vec<u8>, u64)>> {
    if header.descriptor_offset == 0 {
        return Ok(None);
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
    Ok(Some((bytes, at)))
}

/// The descriptor of a disk in one file.
pub(crate) fn own_descriptor(opened: &OpenedExtent) -> Result<(Kind, Descriptor)> {
    let part = |at: u64| {
        let feature = "part of a disk in several files (its descriptor is another file)".to_owned();
        Err(Error::Unsupported { at: At::new("VMDK descriptor", at), feature })
    };
    let Some((bytes, at)) = &opened.descriptor else { return part(0) };
    let (at, descriptor) = (*at, Descriptor::parse(bytes, *at)?);
    let malformed = |reason: String| Err(Error::malformed("VMDK descriptor", at, reason));
    let expected = if opened.extent.compressed() { Kind::StreamOptimized } else { Kind::MonolithicSparse };
    match Kind::from_create_type(&descriptor.create_type) {
        Some(found) if found == expected => {}
        Some(found) if found.is_monolithic_file() => {
            return malformed(format!("createType {found}, the header says {expected}"));
        }
        // qemu leaves the place of a part's descriptor empty.
        None if descriptor.create_type.is_empty() && descriptor.extents.is_empty() => return part(at),
        None if descriptor.create_type.is_empty() => return malformed("no createType".to_owned()),
        _ => {
            let feature = format!("createType {} in one file", descriptor.create_type.escape_debug());
            return Err(Error::Unsupported { at: At::new("VMDK descriptor", at), feature });
        }
    }
    let [described] = descriptor.extents.as_slice() else {
        return malformed(format!("{} extents, expected 1", descriptor.extents.len()));
    };
    if described.kind != "SPARSE" {
        return malformed(format!("extent of type {}, expected SPARSE", described.kind.escape_debug()));
    }
    check_capacity(described, &opened.extent, at)?;
    Ok((expected, descriptor))
}

/// What the descriptor says of an extent against what its header says, which writers round up to a whole grain.
pub(crate) fn check_capacity(described: &DescribedExtent, extent: &SparseExtent, at: u64) -> Result<()> {
    let (sectors, capacity) = (described.sectors, extent.form.capacity());
    if sectors == 0 || sectors > capacity || capacity - sectors >= extent.form.grain_sectors() {
        let reason = format!("extent of {sectors} sectors, the header says {capacity}");
        return Err(Error::malformed("VMDK descriptor", at, reason));
    }
    Ok(())
}

/// The grain directory at `sector`.
pub(crate) fn read_directory(
    file: &dyn ReadAt,
    form: &Form,
    file_sectors: u64,
    sector: u64,
) -> Result<Vec<u32>> {
    let at = sector.saturating_mul(SECTOR);
    let len = form.tables() * 4;
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
        if *entry != 0 && u64::from(*entry) + form.table_sectors() > file_sectors {
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

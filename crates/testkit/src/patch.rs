//! Changing a WIM in memory, so that one thing is wrong and nothing else: the hashes of what is around it are put
//! right again. Only for files of [`crate::wimfile`]: not compressed, one part.

use sha1::{Digest, Sha1};

use crate::wimfile::Hash;

/// Offset of the blob table's resource header in the header.
pub const TABLE: usize = 0x30;
/// Of the XML data's.
pub const XML: usize = 0x48;
/// Of the copy of the bootable image's metadata entry.
pub const BOOT: usize = 0x60;
/// Of the integrity table's.
pub const INTEGRITY: usize = 0x7C;
/// Length of an entry of the blob table.
pub const ENTRY_LEN: usize = 50;

/// The little-endian number at an offset.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

/// Overwrites bytes.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Numbers of 32 bits, one after the other.
pub fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Where the resource lies that the resource header at `at` describes.
pub fn range(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let number = |at| usize::try_from(u64_at(bytes, at)).expect("small");
    let start = number(at + 8);
    start..start + (number(at) & 0x00FF_FFFF_FFFF_FFFF)
}

/// Where the entries of the blob table begin.
pub fn entries(bytes: &[u8]) -> Vec<usize> {
    range(bytes, TABLE).step_by(ENTRY_LEN).collect()
}

/// Where the entry of the first image's metadata begins.
///
/// # Panics
/// When there is no image.
pub fn metadata_entry(bytes: &[u8]) -> usize {
    entries(bytes).into_iter().find(|&at| bytes[at + 7] & 2 != 0).expect("there is an image")
}

/// A resource header.
pub fn resource(offset: u64, stored: u64, size: u64, flags: u8) -> [u8; 24] {
    let mut header = [0; 24];
    put(&mut header, 0, &(stored | u64::from(flags) << 56).to_le_bytes());
    put(&mut header, 8, &offset.to_le_bytes());
    put(&mut header, 16, &size.to_le_bytes());
    header
}

/// An entry of the blob table.
pub fn entry(resource: [u8; 24], part: u16, refcount: u32, sha1: Hash) -> [u8; ENTRY_LEN] {
    let mut entry = [0; ENTRY_LEN];
    put(&mut entry, 0, &resource);
    put(&mut entry, 0x18, &part.to_le_bytes());
    put(&mut entry, 0x1A, &refcount.to_le_bytes());
    put(&mut entry, 0x1E, &sha1);
    entry
}

/// Puts a resource at the end of the file and its place into the header.
pub fn replace(bytes: &mut Vec<u8>, field: usize, content: &[u8]) {
    let header = resource(bytes.len() as u64, content.len() as u64, content.len() as u64, 0);
    put(bytes, field, &header);
    bytes.extend_from_slice(content);
}

/// The blob table with some more entries.
pub fn add_entries(bytes: &mut Vec<u8>, more: &[[u8; ENTRY_LEN]]) {
    let table = [&bytes[range(bytes, TABLE)], more.as_flattened()].concat();
    replace(bytes, TABLE, &table);
}

/// Replaces the XML data.
pub fn replace_xml(bytes: &mut Vec<u8>, text: &str) {
    let raw: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    replace(bytes, XML, &raw);
}

/// Changes the first image's metadata, and its hash accordingly.
pub fn edit_metadata(bytes: &mut Vec<u8>, edit: impl FnOnce(&mut Vec<u8>)) {
    let at = metadata_entry(bytes);
    let mut metadata = bytes[range(bytes, at)].to_vec();
    edit(&mut metadata);
    let header = resource(bytes.len() as u64, metadata.len() as u64, metadata.len() as u64, 2);
    let changed = entry(header, 1, 1, Sha1::digest(&metadata).into());
    put(bytes, at, &changed);
    bytes.extend(metadata);
}

/// Where in an image's metadata the dentry with a name begins.
///
/// # Panics
/// When there is none.
pub fn dentry(metadata: &[u8], name: &str) -> usize {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let is = |at: &usize| metadata.get(at + 0x66..at + 0x66 + name.len()) == Some(&name[..]);
    (0..metadata.len()).step_by(8).find(is).expect("there is such an entry")
}

/// An integrity table with pieces of `chunk_size` bytes.
pub fn integrity(bytes: &[u8], chunk_size: u32) -> Vec<u8> {
    let pieces: Vec<_> = bytes[208..range(bytes, TABLE).end].chunks(chunk_size as usize).collect();
    let count = u32::try_from(pieces.len()).expect("a small file");
    let mut table = words(&[12 + 20 * count, count, chunk_size]);
    pieces.iter().for_each(|piece| table.extend(Sha1::digest(piece)));
    table
}

/// A solid resource whose chunks are stored as they are.
pub fn solid_resource(content: &[u8], chunk_size: usize) -> Vec<u8> {
    let small = |len: usize| u32::try_from(len).expect("a small file");
    let mut bytes = (content.len() as u64).to_le_bytes().to_vec();
    bytes.extend(words(&[small(chunk_size), 0]));
    content.chunks(chunk_size).for_each(|chunk| bytes.extend(small(chunk.len()).to_le_bytes()));
    bytes.extend(content);
    bytes
}

/// The flag of entries about solid resources.
pub const SOLID: u8 = 0x10;

/// The entry of a solid resource.
pub fn solid_entry(offset: usize, stored: usize) -> [u8; ENTRY_LEN] {
    entry(resource(offset as u64, stored as u64, 1 << 32, SOLID), 1, 1, [0; 20])
}

/// The entry of a blob in the solid resources of its run.
pub fn solid_blob(start: u64, content: &[u8]) -> [u8; ENTRY_LEN] {
    entry(resource(start, content.len() as u64, 0, SOLID), 1, 1, Sha1::digest(content).into())
}

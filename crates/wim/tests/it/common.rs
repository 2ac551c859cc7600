//! WIM files to be damaged: where their structures lie, and how to change them so that only the change is wrong.

use std::sync::Arc;

use sha1::{Digest, Sha1};
use testkit::wimfile::{Entry, WimFile};
use wimforge_wim::{Result, StreamRef, Wim};

/// Offset of the resource headers of blob table, XML data and integrity table in the header.
pub(crate) const TABLE: usize = 0x30;
pub(crate) const XML: usize = 0x48;
pub(crate) const INTEGRITY: usize = 0x7C;
pub(crate) const ENTRY_LEN: usize = 50;

/// A small uncompressed WIM with a bit of everything.
pub(crate) fn sample() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("sample");
    let root = image.root();
    image.security(&[1; 44]);
    let file = image.add(root, Entry::file("file.txt", "contents").stream("stream", "more").secured(0));
    let dir = image.add(root, Entry::directory("directory").short("DIRECT~1"));
    image.link(file, dir, "link.txt");
    image.add(dir, Entry::file("empty", ""));
    image.add(dir, Entry::reparse_point("symlink", testkit::wimfile::TAG_SYMLINK, "target data"));
    wim
}

pub(crate) fn open(bytes: &[u8]) -> Result<Wim> {
    Wim::open(Arc::new(bytes.to_vec()))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Offset and length of the resource that the resource header at `at` describes.
pub(crate) fn range(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let start = u64_at(bytes, at + 8) as usize;
    start..start + (u64_at(bytes, at) & 0xFF_FFFF_FFFF_FFFF) as usize
}

/// Where the entries of the blob table begin.
pub(crate) fn entries(bytes: &[u8]) -> Vec<usize> {
    range(bytes, TABLE).step_by(ENTRY_LEN).collect()
}

/// Where the entry of the first image's metadata begins.
pub(crate) fn metadata_entry(bytes: &[u8]) -> usize {
    entries(bytes).into_iter().find(|&at| bytes[at + 7] & 2 != 0).expect("there is an image")
}

pub(crate) fn resource(offset: u64, stored: u64, size: u64, flags: u8) -> [u8; 24] {
    let mut header = [0; 24];
    put(&mut header, 0, &(stored | u64::from(flags) << 56).to_le_bytes());
    put(&mut header, 8, &offset.to_le_bytes());
    put(&mut header, 16, &size.to_le_bytes());
    header
}

pub(crate) fn entry(resource: [u8; 24], part: u16, refcount: u32, sha1: [u8; 20]) -> [u8; ENTRY_LEN] {
    let mut entry = [0; ENTRY_LEN];
    put(&mut entry, 0, &resource);
    put(&mut entry, 0x18, &part.to_le_bytes());
    put(&mut entry, 0x1A, &refcount.to_le_bytes());
    put(&mut entry, 0x1E, &sha1);
    entry
}

/// Puts a resource at the end of the file and its place into the header.
pub(crate) fn replace(bytes: &mut Vec<u8>, field: usize, content: &[u8]) {
    let header = resource(bytes.len() as u64, content.len() as u64, content.len() as u64, 0);
    put(bytes, field, &header);
    bytes.extend_from_slice(content);
}

/// The blob table with some more entries.
pub(crate) fn add_entries(bytes: &mut Vec<u8>, more: &[[u8; ENTRY_LEN]]) {
    let table = [&bytes[range(bytes, TABLE)], more.as_flattened()].concat();
    replace(bytes, TABLE, &table);
}

/// An integrity table with pieces of `chunk_size` bytes.
pub(crate) fn integrity(bytes: &[u8], chunk_size: u32) -> Vec<u8> {
    let pieces: Vec<_> = bytes[208..range(bytes, TABLE).end].chunks(chunk_size as usize).collect();
    let mut table = Vec::new();
    table.extend((12 + 20 * pieces.len() as u32).to_le_bytes());
    table.extend((pieces.len() as u32).to_le_bytes());
    table.extend(chunk_size.to_le_bytes());
    pieces.iter().for_each(|piece| table.extend(Sha1::digest(piece)));
    table
}

/// Opens, walks and reads everything, as far as it goes: nothing may panic.
pub(crate) fn use_all(bytes: &[u8]) -> Result<()> {
    let wim = open(bytes)?;
    let mut reader = wim.reader();
    let mut first_error = Ok(());
    for index in 1..=wim.image_count() {
        for image in [wim.image(index), wim.image_ignoring_hash(index)] {
            let image = match image {
                Ok(image) => image,
                Err(error) => {
                    first_error = first_error.and(Err(error));
                    continue;
                }
            };
            for inode in image.inodes() {
                image.path(inode.links[0]);
                for stream in inode.streams() {
                    if let StreamRef::Blob(id) = stream {
                        first_error = first_error.and(reader.read_all(*id, 1 << 20).map(drop));
                    }
                }
            }
        }
    }
    first_error
}

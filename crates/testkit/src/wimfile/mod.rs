//! Writing WIM files by hand, legal or not.
//!
//! [`WimFile`] writes version 0x10D00 archives without compression, entry by entry as it is told. wimlib makes good
//! WIMs but only good ones, and it has no command line for tagged items, so the hostile fixtures (a directory that
//! contains itself, a tree that doubles at every level, `..` as a name, a hash that the blob table does not have)
//! and those with object ids and extended attributes come from here. For everything else a WIM from here is only
//! the *source*: wimlib applies it to a volume, or exports it with compression, and what the tests read was then
//! written by wimlib.
//!
//! [`Layout`] says where the structures of any WIM lie, so that tests can cut or damage each of them.

mod entry;
mod image;
mod layout;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha1::{Digest, Sha1};

pub use self::entry::*;
pub use self::image::{EntryId, Image};
pub use self::layout::{Layout, Resource};

/// SHA-1 of a blob, the name under which a WIM stores it.
pub type Hash = [u8; 20];

const NO_SECURITY: u32 = u32::MAX;
const HEADER_SIZE: usize = 208;
const DENTRY_FIXED: usize = 102;
const STREAM_FIXED: usize = 38;
const BLOB_ENTRY: usize = 50;
const FLAG_METADATA: u8 = 2;

/// A WIM file in the making.
#[derive(Debug, Default)]
pub struct WimFile {
    images: Vec<Image>,
}

struct Blob {
    content: Content,
    hash: Hash,
    size: u64,
    references: u32,
}

impl WimFile {
    /// Without images yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image that has only a root.
    pub fn image(&mut self, name: &str) -> &mut Image {
        self.images.push(Image::new(name));
        self.images.last_mut().expect("just pushed")
    }

    /// The whole file in memory.
    ///
    /// # Panics
    /// When a [`Content::HostFile`] cannot be read.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        self.write(&mut out).expect("the files it is made of can be read");
        out.into_inner()
    }

    /// Writes the file to `path`.
    ///
    /// # Panics
    /// When that fails.
    pub fn save(&self, path: &Path) {
        let save = || {
            let mut out = BufWriter::new(File::create(path)?);
            self.write(&mut out)?;
            out.flush()
        };
        if let Err(error) = save() {
            panic!("writing {}: {error}", path.display());
        }
    }

    /// Writes the file: header, blobs in the order of their first use, metadata, blob table, XML.
    ///
    /// # Errors
    /// When writing, or reading a [`Content::HostFile`], fails.
    pub fn write(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        let mut blobs: Vec<Blob> = Vec::new();
        let mut by_hash: HashMap<Hash, usize> = HashMap::new();
        let mut image_hashes = Vec::new();
        for image in &self.images {
            let mut hashes = HashMap::new();
            for (index, entry) in image.entries.iter().enumerate() {
                for (stream, (_, content)) in entry.stored_streams().into_iter().enumerate() {
                    let (hash, size) = match content {
                        Content::Empty => continue,
                        Content::Absent(hash) => {
                            hashes.insert((index, stream), *hash);
                            continue;
                        }
                        Content::Bytes(bytes) => (Sha1::digest(bytes).into(), bytes.len() as u64),
                        Content::HostFile(path) => hash_file(path)?,
                        Content::Made(maker) => {
                            let bytes = (maker.0)();
                            (Sha1::digest(&bytes).into(), bytes.len() as u64)
                        }
                    };
                    if size == 0 {
                        continue;
                    }
                    hashes.insert((index, stream), hash);
                    let blob = *by_hash.entry(hash).or_insert_with(|| {
                        blobs.push(Blob { content: content.clone(), hash, size, references: 0 });
                        blobs.len() - 1
                    });
                    blobs[blob].references += 1;
                }
            }
            image_hashes.push(hashes);
        }

        let mut table = Vec::new();
        let mut record = |offset: u64, size: u64, flags: u8, references: u32, hash: Hash| {
            put(&mut table, &resource(offset, size, flags));
            put(&mut table, &1_u16.to_le_bytes());
            put(&mut table, &references.to_le_bytes());
            put(&mut table, &hash);
        };
        out.write_all(&[0; HEADER_SIZE])?;
        let mut position = HEADER_SIZE as u64;
        for blob in &blobs {
            record(position, blob.size, 0, blob.references, blob.hash);
            match &blob.content {
                Content::Bytes(bytes) => out.write_all(bytes)?,
                Content::HostFile(path) => {
                    let copied = io::copy(&mut File::open(path)?, out)?;
                    if copied != blob.size {
                        return Err(io::Error::other(format!("{} changes while it is read", path.display())));
                    }
                }
                Content::Made(maker) => {
                    let bytes = (maker.0)();
                    if bytes.len() as u64 != blob.size {
                        return Err(io::Error::other("a maker makes something else each time"));
                    }
                    out.write_all(&bytes)?;
                }
                Content::Empty | Content::Absent(_) => {}
            }
            position += blob.size;
        }
        for (image, hashes) in self.images.iter().zip(&image_hashes) {
            let metadata = image.metadata(hashes);
            out.write_all(&metadata)?;
            record(position, metadata.len() as u64, FLAG_METADATA, 1, Sha1::digest(&metadata).into());
            position += metadata.len() as u64;
        }
        let table_at = position;
        out.write_all(&table)?;
        let xml = self.xml(table_at + table.len() as u64);
        out.write_all(&xml)?;

        let mut header = Vec::with_capacity(HEADER_SIZE);
        put(&mut header, b"MSWIM\0\0\0");
        put(&mut header, &small32(HEADER_SIZE).to_le_bytes());
        put(&mut header, &0x10D00_u32.to_le_bytes());
        put(&mut header, &[0; 8]); // flags: not compressed; chunk size
        put(&mut header, &Sha1::digest(&table)[..16]); // the GUID, from what the file holds
        put(&mut header, &1_u16.to_le_bytes());
        put(&mut header, &1_u16.to_le_bytes());
        put(&mut header, &small32(self.images.len()).to_le_bytes());
        put(&mut header, &resource(table_at, table.len() as u64, FLAG_METADATA));
        put(&mut header, &resource(table_at + table.len() as u64, xml.len() as u64, FLAG_METADATA));
        header.resize(HEADER_SIZE, 0);
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&header)?;
        out.seek(SeekFrom::End(0))?;
        Ok(())
    }

    fn xml(&self, total: u64) -> Vec<u8> {
        let mut text = format!("\u{feff}<WIM><TOTALBYTES>{total}</TOTALBYTES>");
        for (index, image) in self.images.iter().enumerate() {
            let directories =
                image.entries.iter().filter(|entry| entry.attributes & DIRECTORY != 0).count() - 1;
            let files = image.entries.len() - 1 - directories;
            let time = |tag: &str| {
                let (high, low) = (DEFAULT_TIME >> 32, DEFAULT_TIME & 0xFFFF_FFFF);
                format!("<{tag}><HIGHPART>0x{high:08X}</HIGHPART><LOWPART>0x{low:08X}</LOWPART></{tag}>")
            };
            text += &format!(
                "<IMAGE INDEX=\"{}\"><DIRCOUNT>{directories}</DIRCOUNT><FILECOUNT>{files}</FILECOUNT>\
                 <TOTALBYTES>0</TOTALBYTES><HARDLINKBYTES>0</HARDLINKBYTES>{}{}<NAME>{}</NAME></IMAGE>",
                index + 1,
                time("CREATIONTIME"),
                time("LASTMODIFICATIONTIME"),
                image.name
            );
        }
        text += "</WIM>";
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }
}

fn hash_file(path: &Path) -> io::Result<(Hash, u64)> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut sha = Sha1::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok((sha.finalize().into(), size));
        }
        sha.update(&buffer[..read]);
        size += read as u64;
    }
}

/// A resource header without compression: 7 bytes of size, flags, offset, size.
fn resource(offset: u64, size: u64, flags: u8) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&(size | u64::from(flags) << 56).to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    bytes[16..].copy_from_slice(&size.to_le_bytes());
    bytes
}

fn align8(size: usize) -> usize {
    size.next_multiple_of(8)
}

fn small(value: usize) -> u16 {
    u16::try_from(value).expect("fits its field of 16 bits")
}

fn small32(value: usize) -> u32 {
    u32::try_from(value).expect("fits its field of 32 bits")
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn put_name(out: &mut Vec<u8>, name: &[u16]) {
    if !name.is_empty() {
        out.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
        out.extend([0, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args, tool};

    fn sample() -> WimFile {
        let mut wim = WimFile::new();
        let image = wim.image("one");
        let id = image.security(&crate::descriptor::descriptor("S-1-5-18", "S-1-5-18", None, Some(&[])));
        let root = image.root();
        let dir = image.add(root, Entry::directory("Dir").secured(id).stream("on-a-directory", "x"));
        let file =
            image.add(dir, Entry::file("long name.txt", "hello").short("LONGNA~1.TXT").stream("s", "stream"));
        image.link(file, root, "second");
        image.add(root, Entry::reparse_point("link", TAG_SYMLINK, symlink_data("Dir\\x")));
        image.add(root, Entry::file("empty", ""));
        wim
    }

    #[test]
    fn wimlib_reads_what_is_written() {
        let Some(wimlib) = tool("wimlib-imagex") else { return };
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.wim");
        sample().save(&path);
        wimlib.run(args!["verify", &path]);
        let text = wimlib.text(args!["dir", &path]);
        assert_eq!(text, "/\n/Dir\n/Dir/long name.txt\n/empty\n/link\n/second\n");
        let dest = dir.path().join("out");
        wimlib.run(args!["apply", &path, &dest]);
        assert_eq!(std::fs::read(dest.join("second")).expect("the link"), b"hello");
        let target = std::fs::read_link(dest.join("link")).expect("the symbolic link");
        assert_eq!(target, Path::new("Dir/x"));
    }

    #[test]
    fn layout_finds_every_structure() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.wim");
        sample().save(&path);
        let bytes = std::fs::read(&path).expect("the file");
        assert_eq!(bytes, sample().to_bytes());
        let layout = Layout::of(&path);
        assert_eq!(layout.xml.end, bytes.len() as u64);
        assert_eq!(layout.resources.len(), 5, "x, hello, stream, reparse data, metadata");
        for resource in &layout.resources {
            let range =
                usize::try_from(resource.range.start).unwrap()..usize::try_from(resource.range.end).unwrap();
            assert_eq!(Hash::from(Sha1::digest(&bytes[range])), resource.hash);
        }
    }
}

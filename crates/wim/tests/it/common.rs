//! WIM files to be damaged: where their structures lie, and how to change them so that only the change is wrong.

use std::sync::Arc;

pub(crate) use testkit::patch::*;
use testkit::wimfile::{Entry, WimFile};
use wimforge_wim::{Result, StreamRef, Wim};

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
                    if let StreamRef::Blob { id, .. } = stream {
                        first_error = first_error.and(reader.read_all(*id, 1 << 20).map(drop));
                    }
                }
            }
        }
    }
    first_error
}

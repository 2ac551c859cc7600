//! Lists the images of a WIM file, and the tree of each.
//!
//!     list-wim FILE.wim
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::fs::File;
use std::sync::Arc;

use wim::{Image, StreamRef, Wim};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: list-wim FILE.wim")?;
    // Whatever implements `disk::ReadAt` will do: a file, bytes in memory, a part of an ISO.
    let wim = Wim::open(Arc::new(File::open(path)?))?;
    for index in 1..=wim.image_count() {
        // Reads the image's tree, and compares it with its hash.
        let image = wim.image(index)?;
        println!("image {index}");
        list(&image);
        // Names that no file system could hold, links that contradict each other, ...: left out or made right, and told.
        for warning in image.warnings() {
            println!("warning: {warning}");
        }
    }
    Ok(())
}

fn list(image: &Image) {
    // No recursion: how deep a tree is, is up to whoever wrote the file.
    let mut pending = vec![image.root()];
    while let Some(directory) = pending.pop() {
        for child in image.children(directory) {
            let inode = image.inode(image.dentry(child).inode);
            let size = match inode.data {
                Some(StreamRef::Blob { size, .. }) => size,
                _ => 0,
            };
            println!("{:08x} {size:>10} {}", inode.attributes, image.path(child));
            if inode.is_directory() {
                pending.push(child);
            }
        }
    }
}

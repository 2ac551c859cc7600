//! How well a WIM compresses what a plan takes from it. Its tables say so; nothing is decoded.

use disk::Content;
use wim::{Codec, Storage};

use crate::Plan;

/// The blobs of a planned disk, by where they lie.
pub(super) struct Compressed {
    /// Disk byte, length, compressed length; sorted.
    blobs: Vec<(u64, u64, u64)>,
    method: String,
}

impl Compressed {
    pub(super) fn of(plan: &Plan) -> Self {
        let wim = plan.source().wim();
        let mut blobs = Vec::new();
        for extent in plan.map().extents() {
            let Content::Blob { blob, offset: 0 } = extent.content else { continue };
            // Those that the build made have higher numbers. In solid resources blobs have no lengths of their own.
            let found = wim.blobs().get(blob as usize);
            if let Some(found) = found.filter(|found| !matches!(found.storage, Storage::Solid { .. })) {
                blobs.push((extent.start, found.size, found.stored_size));
            }
        }
        Self { blobs, method: method(plan) }
    }

    /// Length and compressed length of the blob that begins at a byte of the disk.
    pub(super) fn at(&self, byte: u64) -> Option<(u64, u64)> {
        let found = self.blobs.binary_search_by_key(&byte, |&(start, ..)| start).ok()?;
        let (_, plain, packed) = self.blobs[found];
        Some((plain, packed))
    }

    pub(super) fn method(&self) -> String {
        self.method.clone()
    }
}

fn method(plan: &Plan) -> String {
    let header = plan.source().wim().header();
    let codec = match header.codec {
        Codec::Xpress => "XPRESS",
        Codec::Lzx => "LZX",
        Codec::Lzms => "LZMS",
        _ => return "length of each file in the WIM, which compresses nothing".to_owned(),
    };
    format!("length of each file in the WIM ({codec}, chunks of {} KiB)", header.chunk_size >> 10)
}

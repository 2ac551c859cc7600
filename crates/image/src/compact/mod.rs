//! Compact OS: files that stay compressed on the disk, as `compact.exe /CompactOS` leaves them.
//!
//! Windows' overlay filter (WOF) keeps the compressed form of a file in a named stream, `WofCompressedData`, beside an
//! unnamed stream that is one hole, and a reparse point that says which codec it is. The stream is built like a chunked
//! resource of a WIM, chunk table and all. So what a WIM stores in LZX with chunks of 32 KiB, the default of most, can be
//! copied as it is; nothing is compressed, and the build writes a third of the bytes. Everything else has to be
//! compressed, with XPRESS, before the disk can be planned, since sizes decide where things lie: that goes to a
//! temporary file without a name.
//!
//! What the boot loader and the kernel read before the filter runs must not be compressed; see [`early`].
//!
//! Sources: the on-disk form as in the libfsntfs documentation, the reparse data as in [MS-FSCC] 2.1.2 (tag only) and
//! observed through libfsntfs, which decodes what this module writes.

mod early;
mod press;

use std::collections::BTreeMap;
use std::sync::Arc;

use wim::{BlobId, Codec, Storage};

use crate::blobs::Form;
use crate::build::Run;
use crate::recipe::{Algorithm, Compact, Recipe};
use crate::source::WimSource;
use crate::tree::{
    ATTRIBUTE_COMPRESSED, ATTRIBUTE_ENCRYPTED, ATTRIBUTE_REPARSE_POINT, ATTRIBUTE_SPARSE_FILE, Content,
    NamedStream, Node, Reparse, Tree, as_u32,
};
use crate::tree_index::TreeIndex;
use crate::{Error, Result};

/// `IO_REPARSE_TAG_WOF` ([MS-FSCC] 2.1.2.1).
const TAG: u32 = 0x8000_0017;
/// The name of the stream with the compressed form.
const STREAM: &str = "WofCompressedData";
/// The filter, without which nothing of this can be read.
const DRIVER: &str = "Windows/System32/drivers/wof.sys";

/// What became of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct CompactSummary {
    /// How the compressed files are compressed.
    pub algorithm: Option<Algorithm>,
    /// Files that are compressed on the disk.
    pub files: u64,
    /// Their length.
    pub bytes: u64,
    /// What is stored of them.
    pub stored: u64,
    /// Those of the stored bytes that were copied from the source as they were.
    pub copied: u64,
    /// Files left as they are because they are read before the filter runs, and their length.
    pub early_files: u64,
    /// Their length.
    pub early_bytes: u64,
    /// Files left as they are because that takes no more room, or because they are special, and their length.
    pub other_files: u64,
    /// Their length.
    pub other_bytes: u64,
}

/// The compressed forms that the disk holds, and what to say about them.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// After those of what was put into the image.
    pub(crate) forms: Vec<Form>,
    pub(crate) summary: CompactSummary,
}

/// What a resource of the source is compressed with, if Compact OS has that.
fn algorithm_of(storage: Storage) -> Option<Algorithm> {
    match storage {
        Storage::Chunked { codec: Codec::Lzx, chunk_size: 0x8000 } => Some(Algorithm::Lzx),
        Storage::Chunked { codec: Codec::Xpress, chunk_size: 0x1000 } => Some(Algorithm::Xpress4k),
        Storage::Chunked { codec: Codec::Xpress, chunk_size: 0x2000 } => Some(Algorithm::Xpress8k),
        Storage::Chunked { codec: Codec::Xpress, chunk_size: 0x4000 } => Some(Algorithm::Xpress16k),
        _ => None,
    }
}

/// What the image's blobs are compressed with, most of them: by bytes.
fn usual_algorithm(source: &WimSource) -> Option<Algorithm> {
    let mut bytes: BTreeMap<Option<Algorithm>, u64> = BTreeMap::new();
    for blob in source.wim().blobs().iter().filter(|blob| blob.is_compressed()) {
        *bytes.entry(algorithm_of(blob.storage)).or_default() += blob.size;
    }
    bytes.into_iter().max_by_key(|&(_, bytes)| bytes).and_then(|(algorithm, _)| algorithm)
}

/// Rewrites the files of `tree` that are to be compressed on the disk. `added` are the blobs that were put into it, which
/// stay as they are.
pub(crate) fn apply(
    added: Vec<Form>,
    tree: &mut Tree,
    source: &WimSource,
    index: u32,
    recipe: &Recipe,
    run: Run<'_>,
) -> Result<Packed> {
    let Some(Compact { algorithm, assume_driver, .. }) = recipe.compact else {
        return Ok(Packed { forms: added, ..Packed::default() });
    };
    let usual = usual_algorithm(source);
    let algorithm = match (algorithm, usual) {
        (Some(Algorithm::Lzx), usual) if usual != Some(Algorithm::Lzx) => {
            return Err(Error::Unsupported {
                path: source.path().to_owned(),
                what: "is not compressed with LZX in chunks of 32 KiB, and LZX is only ever copied; use \
                       --compact-os=xpress8k, or another xpress"
                    .to_owned(),
            });
        }
        (Some(algorithm), _) => algorithm,
        (None, usual) => usual.unwrap_or(Algorithm::Xpress8k),
    };
    let names = TreeIndex::new(tree);
    if !assume_driver && names.find(DRIVER).is_none() {
        return Err(Error::Unsupported {
            path: source.path().to_owned(),
            what: format!(
                "has no {} in the image, so Windows could not read compressed files; build without \
                 --compact-os, or give --assume-wof if something else brings the driver",
                DRIVER.replace('/', "\\")
            ),
        });
    }
    let early = early::Files::find(&names, source)?;
    drop(names);

    let base = as_u32(source.wim().blobs().len());
    let mut packed = Packed { forms: added, ..Packed::default() };
    packed.summary.algorithm = Some(algorithm);
    let mut chosen = Vec::new();
    for (number, node) in (0u32..).zip(&tree.nodes) {
        let Some(Content::Blob { blob, len }) = node.data else { continue };
        let summary = &mut packed.summary;
        if early.contains(number) {
            summary.early_files += 1;
            summary.early_bytes += len;
        } else if is_special(node) || blob >= base {
            summary.other_files += 1;
            summary.other_bytes += len;
        } else {
            chosen.push((number, blob, len));
        }
    }
    let forms = forms(source, index, &chosen, algorithm, recipe, run)?;
    let mut number_of = BTreeMap::new();
    for (blob, form) in forms {
        number_of.insert(blob, (base + as_u32(packed.forms.len()), form.len()));
        packed.forms.push(form);
    }
    let room = Room::new(tree);
    let cluster = u64::from(recipe.cluster_size.max(1));
    let saves = |node: u32, len: u64, stored: u64| {
        let plain = if len <= room.plain(node) { 0 } else { len.div_ceil(cluster) };
        let packed = if stored <= room.packed(node) { 0 } else { stored.div_ceil(cluster) };
        packed < plain
    };
    for (number, blob, len) in chosen {
        let summary = &mut packed.summary;
        match number_of.get(&blob) {
            Some(&(form, stored)) if saves(number, len, stored) => {
                summary.files += 1;
                summary.bytes += len;
                summary.stored += stored;
                if packed.forms[(form - base) as usize].is_copied() {
                    summary.copied += stored;
                }
                compress(&mut tree.nodes[number as usize], len, form, stored, algorithm);
            }
            _ => {
                summary.other_files += 1;
                summary.other_bytes += len;
            }
        }
    }
    Ok(packed)
}

/// About how many bytes a file can have in its record, as it is and compressed. An estimate: the volume's planner
/// decides, and a wrong guess costs a cluster at most.
struct Room(Vec<u16>);

impl Room {
    /// What a record of 1024 bytes leaves beside its header and `$STANDARD_INFORMATION`.
    const RECORD: u16 = 1024 - 56 - 8 - 96;
    /// Head of a resident `$DATA`.
    const PLAIN: u16 = 24;
    /// `$DATA` that is a hole, head and name of the stream, reparse point.
    const PACKED: u16 = 80 + 64 + 48;

    fn new(tree: &Tree) -> Self {
        let mut room = vec![Self::RECORD; tree.nodes.len()];
        for name in &tree.names {
            let room = &mut room[name.node.0 as usize];
            for units in [Some(&name.long), name.short.as_ref()].into_iter().flatten() {
                // Head of the attribute, its fixed part, the name.
                let len = (24 + 66 + 2 * units.len()).next_multiple_of(8);
                *room = room.saturating_sub(u16::try_from(len).unwrap_or(u16::MAX));
            }
        }
        Self(room)
    }

    fn plain(&self, node: u32) -> u64 {
        u64::from(self.0[node as usize].saturating_sub(Self::PLAIN))
    }

    fn packed(&self, node: u32) -> u64 {
        u64::from(self.0[node as usize].saturating_sub(Self::PACKED))
    }
}

/// Files that have something in the way: another reparse point, another kind of compression or encryption, holes.
fn is_special(node: &Node) -> bool {
    const IN_THE_WAY: u32 =
        ATTRIBUTE_COMPRESSED | ATTRIBUTE_ENCRYPTED | ATTRIBUTE_SPARSE_FILE | ATTRIBUTE_REPARSE_POINT;
    node.attributes & IN_THE_WAY != 0
        || node.reparse.is_some()
        || node.named.iter().any(|stream| stream.name.iter().copied().eq(STREAM.encode_utf16()))
}

/// The compressed forms of blobs, by blob: those that there are, copied where the source has them.
fn forms(
    source: &WimSource,
    index: u32,
    chosen: &[(u32, u32, u64)],
    algorithm: Algorithm,
    recipe: &Recipe,
    run: Run<'_>,
) -> Result<BTreeMap<u32, Form>> {
    let mut forms = BTreeMap::new();
    let mut to_press = Vec::new();
    for &(_, blob, _) in chosen {
        let found = source.wim().blob(BlobId(blob));
        if algorithm_of(found.storage) == Some(algorithm) {
            forms.insert(blob, Form::Copied { blob: BlobId(blob), len: found.stored_size });
        } else if algorithm != Algorithm::Lzx {
            to_press.push(blob);
        }
    }
    to_press.sort_unstable();
    to_press.dedup();
    if !to_press.is_empty() {
        forms.extend(press::press(source, index, to_press, algorithm, recipe, run)?);
    }
    Ok(forms)
}

/// Makes a file's unnamed stream a hole, and adds the compressed one.
fn compress(node: &mut Node, len: u64, form: u32, stored: u64, algorithm: Algorithm) {
    const WOF_VERSION: u32 = 1;
    const FILE_PROVIDER: u32 = 2;
    const FILE_PROVIDER_VERSION: u32 = 1;
    node.data = Some(Content::Hole { len });
    node.named.push(NamedStream {
        name: STREAM.encode_utf16().collect(),
        content: Content::Blob { blob: form, len: stored },
    });
    let data = [WOF_VERSION, FILE_PROVIDER, FILE_PROVIDER_VERSION, algorithm.number()];
    let data: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
    let data = Content::Bytes(Arc::from(data));
    node.reparse = Some(Box::new(Reparse { tag: TAG, reserved: 0, data }));
    node.attributes |= ATTRIBUTE_SPARSE_FILE | ATTRIBUTE_REPARSE_POINT;
}

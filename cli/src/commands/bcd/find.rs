//! Where stores are: in a file of their own, on a disk, or in a WIM.

use std::fs;
use std::path::{Path, PathBuf};

use disk::ReadAt;
use hive::Hive;
use hive::file::{Allow, HiveFile};
use image::tree::Content;
use image::{
    DiskFile, DiskPlace, DiskVolume, Error, FileKind, Partitions, Scope, TreeIndex, VolumeOptions, copy_blob,
};

use super::super::opened::{Choice, Found};

/// A store, and what to call it.
pub(super) struct FoundStore {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Where boot managers look, by the firmware that starts them: BIOS, UEFI.
const PLACES: &[&str] = &["Boot/BCD", "EFI/Microsoft/Boot/BCD"];

/// A store is some 32 KiB; templates and media have 256 KiB.
const LARGEST: u64 = 64 << 20;

/// The stores that a name on the command line leads to: at least one.
pub(super) fn stores(file: &Path) -> Result<Vec<FoundStore>, Error> {
    let place = split(file);
    let (kind, reader) = FileKind::of(&place.file)?;
    let mut sector = [0; 512];
    let whole_sector = reader.read_exact_at(&mut sector, 0).is_ok();
    if kind == FileKind::Raw
        && !sector.starts_with(b"regf")
        && (!whole_sector || sector[510..] != [0x55, 0xAA])
    {
        // What a qcow2 or an ISO is, is said when it is opened.
        DiskFile::open(&place.file)?;
        let what = "is neither a BCD store, nor a disk image (raw, VHD, VMDK) or WIM with one".to_owned();
        return Err(Error::Unsupported { path: place.file, what });
    }
    if kind == FileKind::Raw && sector.starts_with(b"regf") {
        let read = |source| Error::Read { path: place.file.clone(), source };
        let size = reader.size().map_err(read)?;
        if size > LARGEST {
            let what = format!("has {size} bytes, which no BCD store has");
            return Err(Error::Unsupported { path: place.file, what });
        }
        let mut bytes = fs::read(&place.file).map_err(read)?;
        if matches!(Hive::parse(&bytes), Err(hive::Error::Dirty { .. })) {
            // A store that was copied while Windows ran: its last changes are in the logs beside it.
            let hive_error = |source| Error::Hive { path: place.file.clone(), source };
            let file = HiveFile::open(&place.file, Allow::default()).map_err(hive_error)?;
            bytes = file.hive().to_bytes().map_err(hive_error)?;
        }
        return Ok(vec![FoundStore { name: place.file.to_string_lossy().into_owned(), bytes }]);
    }
    if kind == FileKind::Wim || !place.path.is_empty() {
        let path = if place.path.is_empty() { "Windows/System32/config/BCD-Template" } else { &place.path };
        let whole = match (kind, place.partition) {
            (FileKind::Wim, _) | (_, None) => place.file.clone(),
            (_, Some(number)) => PathBuf::from(format!("{}:{number}", place.file.display())),
        };
        let opened = Found::open(&whole, &[path], Choice::default(), false)?.files()?;
        let path = opened.paths.first().map_or(path, String::as_str);
        let (tree, blobs) = opened.read(&Scope::paths([path], false))?;
        let name = format!("{}:{path}", whole.display());
        let bytes = content(&tree, blobs.as_ref(), path)?;
        let missing = || Error::NotFound { path: whole.clone(), what: format!("no file {path:?} in it") };
        return Ok(vec![FoundStore { name, bytes: bytes.ok_or_else(missing)? }]);
    }
    on_disk(&place)
}

/// What [`DiskPlace::parse`] gives, and of a WIM the path after its colon.
fn split(file: &Path) -> DiskPlace {
    let place = DiskPlace::parse(file);
    if place.file.exists() {
        return place;
    }
    let Some(text) = file.to_str() else { return place };
    let inside = text.rmatch_indices(':').find_map(|(at, _)| {
        let file = Path::new(&text[..at]);
        let path = text[at + 1..].to_owned();
        file.is_file().then(|| DiskPlace { file: file.to_owned(), partition: None, path })
    });
    inside.unwrap_or(place)
}

/// The stores where boot managers look, on every volume that can be read.
fn on_disk(place: &DiskPlace) -> Result<Vec<FoundStore>, Error> {
    let disk = DiskFile::open(&place.file)?;
    let partitions = Partitions::of(&disk)?;
    let (mut stores, mut failures) = (Vec::new(), Vec::new());
    let chosen = |number: u32| place.partition.is_none_or(|wanted| wanted == number);
    for partition in partitions.partitions.iter().filter(|partition| chosen(partition.number)) {
        let volume = match DiskVolume::open(&disk, partition, VolumeOptions::default()) {
            Ok(volume) => volume,
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        for path in PLACES {
            let (tree, blobs) = volume.tree(&Scope::paths([*path], false))?;
            if let Some(bytes) = content(&tree, &blobs, path)? {
                let name = format!("{}:{}/{path}", place.file.display(), partition.number);
                stores.push(FoundStore { name, bytes });
            }
        }
    }
    if stores.is_empty() {
        // A volume that could not be read may be the one.
        return Err(match failures.pop() {
            Some(error) if failures.is_empty() && partitions.partitions.len() == 1 => error,
            last => {
                let unread = last.map_or(String::new(), |error| format!("; not looked at: {error}"));
                let what = format!("no \\Boot\\BCD and no \\EFI\\Microsoft\\Boot\\BCD on it{unread}");
                Error::NotFound { path: place.file.clone(), what }
            }
        });
    }
    Ok(stores)
}

/// What a file of a tree holds; `None` if there is none.
fn content(
    tree: &image::tree::Tree,
    blobs: &dyn image::pipeline::BlobStore,
    path: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let Some((_, node)) = TreeIndex::new(tree).find(path) else { return Ok(None) };
    let too_large = |len: u64| {
        let what = format!("{path:?} has {len} bytes, which no BCD store has");
        Error::Recipe(what)
    };
    Ok(match tree.nodes[node.0 as usize].data.as_ref() {
        None | Some(Content::Missing { .. }) => None,
        Some(Content::Empty) => Some(Vec::new()),
        Some(Content::Bytes(bytes)) => Some(bytes.to_vec()),
        Some(&Content::Hole { len }) if len > LARGEST => return Err(too_large(len)),
        Some(&Content::Hole { len }) => Some(vec![0; len as usize]),
        Some(&Content::Blob { blob, .. }) => {
            let mut bytes = Vec::new();
            copy_blob(blobs, blobs.reader().as_mut(), blob, &mut Vec::new(), &mut |part| {
                if (bytes.len() + part.len()) as u64 > LARGEST {
                    return Err(too_large((bytes.len() + part.len()) as u64));
                }
                bytes.extend_from_slice(part);
                Ok(())
            })?;
            Some(bytes)
        }
    })
}

//! An NTFS volume: every file record that is in use says what it takes.
//!
//! The records are read in their order, not by walking directories: `$MFT` is read once from front to back, which is what
//! makes a volume of a hundred thousand files a matter of seconds, and files that no directory lists are there, too. What
//! a record's clusters are for follows from the type of the attribute that maps them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use disk::ReadAt;
use ntfs_writer::parse::{WOF_STREAM, kind, record_of};
use ntfs_writer::read::{Budget, Error, File, FileName, Options, Result, Stream, Volume};
use picture::Class;

use super::ExplainOptions;
use super::cells::Grid;
use super::folders::Entry;
use super::occupied::{About, Counted, Occupied};
use crate::pipeline::Counters;

/// Records of system files.
const MFT: u64 = 0;
const BITMAP: u64 = 6;
const BAD_CLUSTERS: u64 = 8;
const ROOT: u64 = 5;
const EXTEND: u64 = 11;
/// The namespace of short names.
const DOS: u8 = 2;
/// What of files lies beside their records and is no content.
const RECORDS_BESIDE: &str = "attribute lists, reparse points, extended attributes";
/// Bytes of a bitmap that are read at once.
const WINDOW: usize = 64 << 10;

/// Reads what takes the volume's clusters.
pub(super) fn volume(
    range: Arc<dyn ReadAt>,
    mut occupied: Occupied<'_>,
    counters: Option<&Counters>,
) -> Result<(picture::Volume, Grid)> {
    let volume = Volume::open(range, Options { raw: true })?;
    let boot = volume.boot();
    let cluster = u64::from(boot.cluster_size);
    let size = boot.clusters * cluster;
    occupied.begin(size, 8 * cluster);
    let mut scan = Scan {
        volume: &volume,
        occupied,
        counted: Counted::default(),
        cluster,
        extend: BTreeSet::from([EXTEND]),
    };
    scan.records(counters)?;
    let free = volume.free_clusters(|free| {
        scan.occupied.free(free.start * cluster..free.end * cluster);
        Ok(())
    });
    match free {
        Err(error @ Error::Malformed { .. }) => scan.occupied.note(error.to_string()),
        other => other?,
    }
    let about = About {
        label: String::from_utf16_lossy(&volume.label().unwrap_or_default()),
        file_system: "NTFS".to_owned(),
        cluster_size: boot.cluster_size,
        size,
        root: ROOT,
    };
    Ok(scan.occupied.finish(about, scan.counted))
}

struct Scan<'v, 'o> {
    volume: &'v Volume,
    occupied: Occupied<'o>,
    counted: Counted,
    cluster: u64,
    /// `$Extend`, and the directories below it.
    extend: BTreeSet<u64>,
}

impl Scan<'_, '_> {
    /// Looks at every record that `$MFT`'s bitmap marks.
    fn records(&mut self, counters: Option<&Counters>) -> Result<()> {
        let volume = self.volume;
        // What is mapped to holes holds no record.
        let count = volume.record_count().min(volume.available() / u64::from(volume.boot().record_size));
        let mut budget = Budget::new(volume.available());
        let bitmap = volume.file(MFT)?.stream(volume, kind::BITMAP, &[])?;
        let mut bits = vec![0; WINDOW];
        let mut number = 0;
        while number < count {
            let window = (count - number).min(8 * WINDOW as u64);
            let bytes = &mut bits[..window.div_ceil(8) as usize];
            match &bitmap {
                Some(bitmap) if number / 8 + bytes.len() as u64 <= bitmap.size() => {
                    bitmap.read(volume, number / 8, bytes)?;
                }
                // Records say for themselves whether they are in use.
                _ => bytes.fill(0xFF),
            }
            for next in number..number + window {
                let bit = next - number;
                if bits[(bit / 8) as usize] >> (bit % 8) & 1 == 0 {
                    continue;
                }
                if next.is_multiple_of(1024) {
                    ExplainOptions::counters(counters, next, count);
                }
                match volume.file_within(next, &mut budget).and_then(|file| self.file(&file)) {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error @ (Error::Malformed { .. } | Error::Unsupported { .. })) => {
                        self.occupied.note(error.to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
            number += window;
        }
        Ok(())
    }

    fn file(&mut self, file: &File) -> Result<()> {
        let volume = self.volume;
        let number = file.number();
        // A pair of names counts as one, and the long one names the file.
        let names = file.names()?;
        let name = names.iter().find(|name| name.namespace != DOS).or(names.first());
        // Windows makes what lies below `$Extend` (transactions, repair) when it formats or first mounts a volume, so there a
        // directory has a lower number than what is in it.
        let extended = name.is_some_and(|name| self.extend.contains(&record_of(name.parent)));
        let system = Volume::is_system(number) || extended;
        let directory = file.is_directory();
        if extended && directory {
            self.extend.insert(number);
        }
        let mut entry = Entry { id: number, directory, ..Entry::default() };
        let wof: Vec<u16> = WOF_STREAM.encode_utf16().collect();
        let values = file.values_in_clusters();
        let is_wof = values.contains(&(kind::DATA, wof.clone().into()))
            && file.stream(volume, kind::REPARSE_POINT, &[])?.is_some();
        if let Some(list) = file.list(volume)? {
            entry.bytes += self.claim(&list, Class::Metadata, RECORDS_BESIDE);
        }
        let mut resident = !directory;
        for (kind, value) in values {
            let Some(stream) = file.stream(volume, kind, &value)? else { continue };
            let is_packed = is_wof && kind == kind::DATA && *value == *wof;
            let (class, label) = match (system, kind) {
                (true, _) => of_system(number, kind, name),
                (_, kind::DATA) if is_packed || stream.is_compressed() => {
                    (Class::Packed, if is_packed { "Compact OS" } else { "NTFS compression" })
                }
                (_, kind::DATA) if value.is_empty() => (Class::Files, "file data"),
                (_, kind::DATA) => (Class::Streams, "named streams"),
                (_, kind::INDEX_ALLOCATION | kind::BITMAP) => (Class::Directories, "directory indexes"),
                _ => (Class::Metadata, RECORDS_BESIDE),
            };
            let bytes = self.claim(&stream, class, label);
            if is_packed {
                entry.packed = Some(stream.size());
            } else if kind == kind::DATA && value.is_empty() && stream.is_compressed() {
                entry.packed = Some(bytes);
            }
            if class != Class::Directories {
                entry.bytes += bytes;
            }
            if kind == kind::DATA && bytes > 0 {
                resident = false;
                if value.is_empty() || is_packed {
                    entry.first = stream.first_byte(volume);
                }
            }
        }
        if system {
            return Ok(());
        }
        if !directory {
            entry.size = file.raw_stream(volume, &[])?.map_or(0, |stream| stream.size());
            self.counted.files += 1;
            self.counted.resident += u64::from(resident);
        } else {
            self.counted.directories += 1;
        }
        if let Some(name) = name {
            entry.parent = record_of(name.parent);
            self.occupied.files.push(entry, &name.name);
        }
        Ok(())
    }

    /// The clusters of a value; returns their bytes.
    fn claim(&mut self, stream: &Stream, class: Class, label: &'static str) -> u64 {
        let mut bytes = 0u64;
        let mut pieces = 0u64;
        let mut joined: Option<Range<u64>> = None;
        for run in stream.runs() {
            let Some(lcn) = run.lcn else { continue };
            let start = lcn.saturating_mul(self.cluster);
            let len = run.clusters.saturating_mul(self.cluster);
            bytes = bytes.saturating_add(len);
            match &mut joined {
                Some(range) if range.end == start => range.end = start.saturating_add(len),
                _ => {
                    pieces += 1;
                    if let Some(range) = joined.replace(start..start.saturating_add(len)) {
                        self.occupied.claim(range, class, label);
                    }
                }
            }
        }
        if let Some(range) = joined {
            self.occupied.claim(range, class, label);
        }
        self.counted.fragmented += u64::from(pieces > 1 && matches!(class, Class::Files | Class::Streams));
        bytes
    }
}

/// What the clusters of a system file are.
fn of_system(number: u64, of_kind: u32, name: Option<&FileName>) -> (Class, &'static str) {
    match (number, of_kind) {
        (MFT, kind::DATA) => (Class::Records, "$MFT"),
        (MFT, _) => (Class::Allocation, "$MFT's bitmap"),
        (1, _) => (Class::Mirror, "$MFTMirr"),
        (2, _) => (Class::Log, "$LogFile"),
        (4, _) => (Class::Metadata, "$AttrDef"),
        (ROOT, _) => (Class::Directories, "directory indexes"),
        (BITMAP, _) => (Class::Allocation, "$Bitmap"),
        (7, _) => (Class::Boot, "$Boot"),
        (BAD_CLUSTERS, _) => (Class::Unknown, "bad clusters"),
        (9, _) => (Class::Metadata, "$Secure"),
        (10, _) => (Class::Metadata, "$UpCase"),
        _ => {
            let units = name.map(|name| String::from_utf16_lossy(&name.name));
            match units.as_deref() {
                Some("$UsnJrnl") => (Class::Log, "$UsnJrnl"),
                Some(name) if ["$RmMetadata", "$Tx", "$Tops"].iter().any(|log| name.starts_with(log)) => {
                    (Class::Log, "transactions ($TxfLog)")
                }
                _ => (Class::Metadata, "$Extend"),
            }
        }
    }
}

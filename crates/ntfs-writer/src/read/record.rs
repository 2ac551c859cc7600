//! File records: by number, through a cache of the blocks of `$MFT` that were read last.
//!
//! Neighbours in a directory are neighbours in `$MFT` more often than not, and a container may have to decompress 64 KiB
//! to give one record, so records are read 64 at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::stream::Stream;
use super::volume::Volume;
use super::{Error, Place, Result};
use crate::parse::{self, kind};

/// Bytes in a block of the cache; records are powers of two up to this.
const BLOCK: u64 = 64 << 10;
/// Blocks that the cache holds: 4 MiB.
const SLOTS: usize = 64;

/// Blocks of `$MFT`, each in the slot that its number gives.
#[derive(Debug)]
pub(super) struct Cache(Mutex<Vec<Slot>>);

#[derive(Clone, Debug, Default)]
struct Slot {
    number: u64,
    bytes: Option<Arc<[u8]>>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self(Mutex::new(vec![Slot::default(); SLOTS]))
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        // A slot is replaced as a whole, so there is nothing half done in it whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, number: u64) -> Option<Arc<[u8]>> {
        let slots = self.slots();
        let slot = &slots[(number % SLOTS as u64) as usize];
        slot.bytes.clone().filter(|_| slot.number == number)
    }

    fn put(&self, number: u64, bytes: Arc<[u8]>) {
        self.slots()[(number % SLOTS as u64) as usize] = Slot { number, bytes: Some(bytes) };
    }
}

/// A file record with its fixups undone, whose header was found sound.
#[derive(Clone, Debug)]
pub(super) struct RecordBytes {
    pub(super) number: u64,
    /// Where it lies on the volume.
    pub(super) offset: u64,
    bytes: Box<[u8]>,
}

impl RecordBytes {
    /// Undoes the fixups and checks the header.
    pub(super) fn new(number: u64, offset: u64, mut bytes: Box<[u8]>) -> Result<Self> {
        let place = || Place::record(number).at(offset);
        if bytes.get(..4) == Some(b"FILE") {
            parse::unprotect(&mut bytes, "file record").map_err(Error::fault(place()))?;
        }
        let header = parse::record(&bytes).map_err(Error::fault(place()))?.header;
        // Windows 2000 had the update sequence array in place of the number.
        if header.usa_offset >= 0x30 && u64::from(header.number) != number & 0xFFFF_FFFF {
            let reason = format!("says that it is record {:#x}", header.number);
            return Err(Error::malformed(place(), reason));
        }
        Ok(Self { number, offset, bytes })
    }

    pub(super) fn record(&self) -> parse::Record<'_> {
        parse::record(&self.bytes).expect("checked when it was read")
    }

    /// The attributes, the first fault as an error.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Result<parse::Attribute<'_>>> {
        let place = move || Place::record(self.number).at(self.offset);
        self.record().attributes().map(move |attribute| attribute.map_err(Error::fault(place())))
    }

    /// Where the attributes of each type and number begin.
    pub(super) fn by_instance(&self) -> Result<BTreeMap<(u32, u16), Vec<usize>>> {
        let mut found: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for attribute in self.attributes() {
            let attribute = attribute?;
            found.entry((attribute.kind, attribute.instance)).or_default().push(attribute.offset);
        }
        Ok(found)
    }

    /// The attribute that begins at byte `offset` of the record, which was met before.
    pub(super) fn attribute_at(&self, offset: usize) -> parse::Attribute<'_> {
        let attribute = self.record().attribute_at(offset).ok().flatten();
        attribute.expect("it was there before")
    }
}

impl Volume {
    /// How many records `$MFT` has, used or not.
    pub fn record_count(&self) -> u64 {
        self.mft.size() / u64::from(self.boot.record_size)
    }

    /// Reads a record, whatever its use.
    pub(super) fn record_bytes(&self, number: u64) -> Result<RecordBytes> {
        read_record(self, &self.mft, number)
    }
}

/// Reads record `number` of `mft`, which may be the beginning of `$MFT` only.
pub(super) fn read_record(volume: &Volume, mft: &Stream, number: u64) -> Result<RecordBytes> {
    let size = u64::from(volume.boot.record_size);
    let count = mft.size() / size;
    if number >= count {
        let what = format!("no such record, $MFT has {count}");
        return Err(Error::not_found(Place::record(number), what));
    }
    let at = number * size;
    let block = at / BLOCK;
    let within = (at % BLOCK) as usize;
    let whole = || {
        if let Some(bytes) = volume.cache.get(block) {
            return Some(bytes);
        }
        let start = block * BLOCK;
        let mut bytes = vec![0; (mft.size() - start).min(BLOCK) as usize];
        mft.read(volume, start, &mut bytes).ok()?;
        let bytes: Arc<[u8]> = bytes.into();
        volume.cache.put(block, bytes.clone());
        Some(bytes)
    };
    let offset = mft.place_on_volume(volume, at).unwrap_or_default();
    let bytes = match whole() {
        Some(block) => block[within..within + size as usize].into(),
        // Something near it is out of reach; it may not be.
        None => {
            let mut bytes = vec![0; size as usize].into_boxed_slice();
            mft.read(volume, at, &mut bytes)?;
            bytes
        }
    };
    RecordBytes::new(number, offset, bytes)
}

/// `$MFT` itself, from the records that describe it.
///
/// Its first record lies where the boot sector says, or its copy at `$MFTMirr`. When it is in many pieces, an attribute
/// list names the records with the rest of its runs, each of which lies in what the runs before it map.
pub(super) fn open_mft(volume: &Volume) -> Result<Stream> {
    let cluster = u64::from(volume.boot.cluster_size);
    let read = |lcn: u64| {
        let offset = lcn * cluster;
        let mut bytes = vec![0; volume.boot.record_size as usize].into_boxed_slice();
        volume
            .read_at(&mut bytes, offset)
            .map_err(|source| Error::Io { place: Box::new(Place::record(0).at(offset)), source })?;
        let record = RecordBytes::new(0, offset, bytes)?;
        let stream = stream_of(volume, std::slice::from_ref(&record))?;
        Ok((record, stream))
    };
    let (base, mut mft) = match read(volume.boot.mft_lcn) {
        Ok(found) => found,
        Err(first) => read(volume.boot.mirror_lcn).map_err(|_: Error| first)?,
    };
    let mut list = None;
    for attribute in base.attributes() {
        let attribute = attribute?;
        if attribute.kind == kind::ATTRIBUTE_LIST {
            list =
                Some(super::file::list_value(volume, &base, &attribute, &mut super::Budget::new(u64::MAX))?);
        }
    }
    let Some(list) = list else { return Ok(mft) };
    let place = || Place::attribute(0, kind::ATTRIBUTE_LIST, &[]);
    let mut records = vec![base];
    // How many of them `mft` is made of. Those that follow are joined at once where they can be: one after the other would
    // take time by the square of their number.
    let mut joined = records.len();
    for entry in parse::list(&list) {
        let entry = entry.map_err(Error::fault(place()))?;
        if entry.kind != kind::DATA || !entry.name.is_empty() || entry.lowest_vcn == 0 {
            continue;
        }
        let number = parse::record_of(entry.record);
        if records.iter().any(|record| record.number == number) {
            continue;
        }
        let record = match read_record(volume, &mft, number) {
            Err(_) if joined < records.len() => {
                mft = stream_of(volume, &records)?;
                joined = records.len();
                read_record(volume, &mft, number)?
            }
            outcome => outcome?,
        };
        super::file::check_extent(&record, entry.record, 0, 1)?;
        super::file::check_count(volume, 0, records.len() + 1)?;
        records.push(record);
    }
    if joined < records.len() { stream_of(volume, &records) } else { Ok(mft) }
}

/// The unnamed stream whose pieces the records hold.
fn stream_of(volume: &Volume, records: &[RecordBytes]) -> Result<Stream> {
    let mut pieces = Vec::new();
    for record in records {
        for attribute in record.attributes() {
            let attribute = attribute?;
            if attribute.kind == kind::DATA && attribute.name.is_empty() {
                pieces.push(attribute);
            }
        }
    }
    if pieces.is_empty() {
        return Err(Error::malformed(Place::record(0), "$MFT has no $DATA"));
    }
    Stream::new(volume, 0, pieces)
}

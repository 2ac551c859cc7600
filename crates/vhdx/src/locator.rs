use disk::{At, Guid};

use crate::layout::LOCATOR_TYPE_VHDX;
use crate::{Error, Result};

/// How a differencing VHDX names its parent. The names are what Windows wrote on the machine where the file was made:
/// claims of the file, to be shown to people, never to be opened because a file says so. Unpaired surrogates in them
/// are replaced by U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentReference {
    /// The parent's [data write id](crate::layout::Header::data_write_id) when the file was made.
    pub data_write_id: Guid,
    /// A second one that is good as well, while a parent is being merged.
    pub data_write_id_2: Option<Guid>,
    /// Seen from the folder of the file, such as `.\parent.vhdx`.
    pub relative_path: Option<String>,
    /// With the id of the volume, such as `\\?\Volume{...}\disks\parent.vhdx`.
    pub volume_path: Option<String>,
    /// With a drive letter, such as `\\?\C:\disks\parent.vhdx`.
    pub absolute_path: Option<String>,
}

const WHAT: &str = "VHDX parent locator";
/// The most entries that are read; five are known. Their texts may share bytes, so the item's length limits nothing: this
/// does, to 50 MB.
const MAX_ENTRIES: u64 = 256;

impl ParentReference {
    /// Reads the metadata item found at offset `at`.
    pub(crate) fn parse(item: &[u8], at: u64) -> Result<Self> {
        let malformed = |reason: String| Error::malformed(WHAT, at, reason);
        let (Some(head), Some(kind)) = (item.first_chunk::<20>(), item.first_chunk::<16>()) else {
            return Err(malformed(format!("{} bytes, its head alone has 20", item.len())));
        };
        let kind = Guid(*kind);
        if kind != LOCATOR_TYPE_VHDX {
            let feature = format!("type {kind}, known is {LOCATOR_TYPE_VHDX}");
            return Err(Error::Unsupported { at: At::new(WHAT, at), feature });
        }
        let count = usize::from(u16::from_le_bytes([head[18], head[19]]));
        if count as u64 > MAX_ENTRIES {
            let at = At::new(WHAT, at);
            return Err(Error::Limit {
                at,
                what: "number of entries",
                found: count as u64,
                limit: MAX_ENTRIES,
            });
        }
        let Some(entries) = item[20..].get(..count * 12) else {
            return Err(malformed(format!("{} bytes, too few for {count} entries", item.len())));
        };
        let text = |offset: &[u8], len: &[u8]| {
            let offset = u32::from_le_bytes(offset.try_into().expect("four bytes"));
            let len = u16::from_le_bytes(len.try_into().expect("two bytes"));
            let bytes = item.get(offset as usize..).and_then(|rest| rest.get(..len.into()));
            let units = bytes.filter(|bytes| bytes.len().is_multiple_of(2)).ok_or_else(|| {
                let item = item.len();
                malformed(format!(
                    "text at {offset:#x} (+ {len:#x}), expected even and inside {item:#x} bytes"
                ))
            })?;
            let units: Vec<u16> =
                units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            Ok(String::from_utf16_lossy(&units))
        };
        let mut pairs = Vec::new();
        for entry in entries.chunks_exact(12) {
            let key: String = text(&entry[..4], &entry[8..10])?;
            let value: String = text(&entry[4..8], &entry[10..])?;
            if pairs.iter().any(|(other, _)| *other == key) {
                return Err(malformed(format!("two entries \"{}\"", key.escape_debug())));
            }
            pairs.push((key, value));
        }
        let find = |key: &str| pairs.iter().find(|(other, _)| other == key).map(|(_, value)| value);
        let id = |key: &str| {
            let value = find(key);
            let parsed = value.map(|text| text.parse::<Guid>()).transpose();
            parsed.map_err(|error| malformed(format!("{key}: {error}")))
        };
        Ok(Self {
            data_write_id: id("parent_linkage")?.ok_or_else(|| malformed("no parent_linkage".to_owned()))?,
            data_write_id_2: id("parent_linkage2")?.filter(|id| !id.is_nil()),
            relative_path: find("relative_path").cloned(),
            volume_path: find("volume_path").cloned(),
            absolute_path: find("absolute_win32_path").cloned(),
        })
    }

    /// Whether a disk with this [data write id](crate::layout::Header::data_write_id) is the parent.
    pub fn accepts(&self, data_write_id: Guid) -> bool {
        data_write_id == self.data_write_id || Some(data_write_id) == self.data_write_id_2
    }
}

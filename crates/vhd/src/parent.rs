use disk::{At, Guid, ReadAt};

use crate::layout::{DynamicHeader, LOCATOR_ABSOLUTE, LOCATOR_RELATIVE, LOCATOR_URL, LocatorEntry};
use crate::{Error, Result};

/// The longest name of a parent that is read. Windows' own paths end at 64 KiB.
const MAX_NAME_LEN: u32 = 64 << 10;
const WHAT: &str = "VHD parent locator";

/// How a differencing VHD names its parent. The names are what was written on the machine where the file was made: claims
/// of the file, to be shown to people, never to be opened because a file says so. Unpaired surrogates in them are replaced
/// by U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentReference {
    /// The [unique id](crate::layout::Footer::unique_id) of the parent's footer.
    pub unique_id: Guid,
    /// When the parent's file was last changed, in seconds since 2000-01-01 UTC; Windows 10 says 0.
    pub timestamp: u32,
    /// The name of its file in the header, empty where there is none.
    pub name: String,
    /// Seen from the folder of the file, such as `.\parent.vhd`.
    pub relative_path: Option<String>,
    /// With a drive letter, such as `C:\disks\parent.vhd`.
    pub absolute_path: Option<String>,
    /// The file URL that tools of Apple and Xen write, such as `file://./parent.vhd`.
    pub url: Option<String>,
}

/// Text up to its first NUL.
fn utf16(units: impl Iterator<Item = u16>) -> String {
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}

impl ParentReference {
    /// Reads what the header at `header_at` says of a parent, and what the places say that it names. These come back
    /// as well: start and end of each.
    pub(crate) fn read(
        file: &dyn ReadAt,
        header: &DynamicHeader,
        header_at: u64,
        footer_at: u64,
    ) -> Result<(Self, Vec<(u64, u64)>)> {
        let mut reference = Self {
            unique_id: header.parent_id,
            timestamp: header.parent_timestamp,
            name: utf16(header.parent_name.iter().copied()),
            relative_path: None,
            absolute_path: None,
            url: None,
        };
        let mut places = Vec::new();
        for (index, entry) in header.locators.iter().enumerate() {
            let LocatorEntry { platform, len, offset, .. } = *entry;
            if platform == [0; 4] || len == 0 {
                continue;
            }
            let entry_at = header_at + 576 + index as u64 * 24;
            if len > MAX_NAME_LEN {
                let (found, limit) = (len.into(), MAX_NAME_LEN.into());
                return Err(Error::Limit { at: At::new(WHAT, entry_at), what: "length", found, limit });
            }
            let malformed = |reason: String| Err(Error::malformed(WHAT, entry_at, reason));
            let end = match crate::blocks::inside(offset, len.into(), header_at, footer_at) {
                Ok(end) => end,
                Err(reason) => return malformed(format!("name {reason}")),
            };
            places.push((offset, end));
            let mut bytes = vec![0; len as usize];
            file.read_exact_at(&mut bytes, offset).map_err(Error::reading(WHAT, offset))?;
            let place = match platform {
                LOCATOR_RELATIVE => &mut reference.relative_path,
                LOCATOR_ABSOLUTE => &mut reference.absolute_path,
                LOCATOR_URL => {
                    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                    reference.url = Some(String::from_utf8_lossy(text).into_owned());
                    continue;
                }
                // Code pages and aliases of programs that are gone.
                _ => continue,
            };
            if !bytes.len().is_multiple_of(2) {
                return malformed(format!("{len} bytes of UTF-16"));
            }
            *place = Some(utf16(bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]))));
        }
        Ok((reference, places))
    }
}

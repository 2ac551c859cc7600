//! Security descriptors: `$Secure` holds each once, and files have its id.

use std::collections::BTreeMap;

use super::file::MAX_DESCRIPTOR;
use super::stream::Stream;
use super::volume::Volume;
use super::{Budget, Error, Place, Result};
use crate::layout::number::SECURE;
use crate::parse::{self, u32_at};

/// The mirror of a descriptor lies this far behind it.
const MIRROR: u64 = 0x4_0000;
/// Length of what precedes a descriptor.
const HEADER: u64 = 20;

/// Where each descriptor lies, by its id.
#[derive(Debug)]
pub(super) struct Secure {
    descriptors: Stream,
    by_id: BTreeMap<u32, (u64, u32)>,
}

impl Volume {
    fn open_secure(&self) -> Result<Secure> {
        let file = self.file(SECURE)?;
        let name: Vec<u16> = "$SDS".encode_utf16().collect();
        let missing = || Error::malformed(Place::record(SECURE), "$Secure has no stream $SDS");
        let descriptors = file.raw_stream(self, &name)?.ok_or_else(missing)?;
        let mut by_id = BTreeMap::new();
        let mut faults = None;
        // On a sound volume the index is smaller than what it leads to.
        let mut budget = Budget::new(descriptors.size().saturating_mul(2).saturating_add(1 << 20));
        self.view_entries(&file, "$SII", &mut budget, |key, data| {
            match (u32_at(key, 0), parse::sds_header(data)) {
                (Some(id), Ok(header)) => {
                    by_id.insert(id, (header.offset, header.len));
                }
                (_, outcome) => faults = faults.take().or(Some(outcome.err())),
            }
        })?;
        if let Some(fault) = faults {
            let reason =
                fault.map_or_else(|| "key of less than 4 bytes".to_owned(), |fault| fault.to_string());
            return Err(Error::malformed(Place::record(SECURE), format!("$SII: {reason}")));
        }
        Ok(Secure { descriptors, by_id })
    }

    /// The descriptor with an id.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an id that `$Secure` does not have, and on a volume without `$Secure` (NTFS 1.2);
    /// [`Error::Malformed`] when neither the descriptor nor its mirror is what the index says.
    pub fn descriptor(&self, id: u32) -> Result<Box<[u8]>> {
        let secure = match self.secure.get() {
            Some(secure) => secure,
            None => {
                let opened = self.open_secure()?;
                self.secure.get_or_init(|| opened)
            }
        };
        let Some(&(offset, len)) = secure.by_id.get(&id) else {
            return Err(Error::not_found(Place::record(SECURE), format!("no security descriptor {id:#x}")));
        };
        let place = || secure.descriptors.place();
        let body = u64::from(len).saturating_sub(HEADER);
        if !(1..=MAX_DESCRIPTOR).contains(&body) {
            let reason = format!("descriptor {id:#x} has {body} bytes, expected 1 to {MAX_DESCRIPTOR}");
            return Err(Error::malformed(place(), reason));
        }
        let read = |offset: u64| {
            let mut bytes = vec![0; len as usize];
            secure.descriptors.read(self, offset, &mut bytes)?;
            let header = parse::sds_header(&bytes).map_err(Error::fault(place()))?;
            if header.id != id || header.len != len {
                let reason = format!(
                    "{offset:#x}: id {:#x} of {} bytes, $SII says id {id:#x} of {len}",
                    header.id, header.len
                );
                return Err(Error::malformed(place(), reason));
            }
            Ok(bytes[HEADER as usize..].into())
        };
        read(offset).or_else(|first| read(offset.saturating_add(MIRROR)).map_err(|_: Error| first))
    }
}

//! `$Secure`: descriptors in `$SDS`, twice, and the two indexes that lead to them; and the ids that files have.

use super::Checker;
use super::report::{Code, Place};
use super::view::{BY_HASH, BY_ID};
use crate::layout::number;
use crate::parse::{self, SdsHeader, kind, u32_at};

/// `$SDS` alternates between blocks and their copies.
const BLOCK: u64 = 0x4_0000;
/// Bytes before a descriptor.
const HEADER: u64 = 20;

impl Checker<'_> {
    pub(super) fn check_secure(&mut self) {
        let Some(parts) = self.parts(number::SECURE) else { return };
        let held = parts.attributes();
        let place = self.record_place(number::SECURE);
        let (mut by_id, mut by_hash) = (Vec::new(), Vec::new());
        for (shape, key_len, list) in [(BY_ID, 4, &mut by_id), (BY_HASH, 8, &mut by_hash)] {
            let found = self.walk_index(number::SECURE, &held, shape, &mut |checker, entry, place| {
                let name = shape.name;
                let data = entry.view_data().and_then(parse::sds_header);
                match data {
                    Ok(header) if entry.key.len() == key_len => {
                        let key = (u32_at(entry.key, 0), u32_at(entry.key, 4));
                        let same = match key_len {
                            4 => key.0 == Some(header.id),
                            _ => key == (Some(header.hash), Some(header.id)),
                        };
                        if !same {
                            let text = format_args!(
                                "{name}: the key is {:x?}, its data has hash {:#x}, id {:#x}",
                                entry.key, header.hash, header.id
                            );
                            checker.error(Code::SecurityIndex, place, text);
                        }
                        list.push((header, place));
                    }
                    Ok(_) => {
                        let text =
                            format_args!("{name}: key of {} bytes, expected {key_len}", entry.key.len());
                        checker.error(Code::SecurityIndex, place, text);
                    }
                    Err(fault) => checker.error(Code::SecurityIndex, place, format_args!("{name}: {fault}")),
                }
            });
            if !found {
                let text = format_args!("no index {}", shape.name);
                self.error(Code::SecurityIndex, place, text);
            }
        }
        self.compare_indexes(&by_id, &by_hash);
        match self.value(&held, kind::DATA, "$SDS") {
            Some(stream) => {
                let mut places: Vec<(u64, u64)> = Vec::new();
                for &(header, place) in &by_id {
                    self.check_descriptor(&stream, &header, place);
                    places.push((header.offset, u64::from(header.len)));
                }
                places.sort_unstable();
                if let Some(pair) =
                    places.windows(2).find(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0)
                {
                    let text =
                        format_args!("descriptors at {:#x} and {:#x} of $SDS overlap", pair[0].0, pair[1].0);
                    self.error(Code::SdsEntry, place, text);
                }
            }
            None => self.error(Code::SdsEntry, place, format_args!("no stream $SDS")),
        }
        let mut ids: Vec<u32> = by_id.iter().map(|entry| entry.0.id).collect();
        ids.sort_unstable();
        self.security_ids = Some(ids);
        self.check_security_ids();
    }

    /// Both indexes list the same descriptors.
    fn compare_indexes(&mut self, by_id: &[(SdsHeader, Place)], by_hash: &[(SdsHeader, Place)]) {
        let key = |header: &SdsHeader| (header.id, header.hash, header.offset, header.len);
        for (name, list, other_name, other) in
            [("$SII", by_id, "$SDH", by_hash), ("$SDH", by_hash, "$SII", by_id)]
        {
            let mut known: Vec<_> = other.iter().map(|entry| key(&entry.0)).collect();
            known.sort_unstable();
            for (header, place) in list {
                if known.binary_search(&key(header)).is_err() {
                    let text = format_args!(
                        "{name} has descriptor {:#x} (hash {:#x}, offset {:#x}, {} bytes), {other_name} does not",
                        header.id, header.hash, header.offset, header.len
                    );
                    self.error(Code::SecurityIndex, *place, text);
                }
            }
        }
    }

    fn check_descriptor(&mut self, stream: &super::Value, header: &SdsHeader, place: Place) {
        let (offset, len, id) = (header.offset, u64::from(header.len), header.id);
        let at = Place::at(number::SECURE, stream.place(offset));
        let in_block = offset % BLOCK + len <= BLOCK && (offset / BLOCK).is_multiple_of(2);
        let inside = offset.checked_add(BLOCK + len).is_some_and(|end| end <= stream.size());
        if len <= HEADER || !offset.is_multiple_of(16) || !in_block || !inside || id == 0 {
            let text = format_args!(
                "descriptor {id:#x}: {len:#x} bytes at {offset:#x} of $SDS, expected more than 20 on a multiple of 16, in one data block"
            );
            return self.error(Code::SdsEntry, place, text);
        }
        // Not more than a block, as just checked.
        let (mut bytes, mut copy) = (vec![0; len as usize], vec![0; len as usize]);
        let outcome = stream.read(self.volume, offset, &mut bytes);
        let outcome = outcome.and_then(|()| stream.read(self.volume, offset + BLOCK, &mut copy));
        if let Err(error) = outcome {
            return self.unreadable(at, "$SDS", &error);
        }
        let stored = parse::sds_header(&bytes).unwrap_or_default();
        if stored != *header {
            let text = format_args!("descriptor {id:#x}: $SDS has {stored:x?}, the index {header:x?}");
            self.error(Code::SdsEntry, at, text);
        }
        let descriptor = &bytes[HEADER as usize..];
        let hash = parse::security_hash(descriptor);
        if stored.hash != hash {
            let text = format_args!("descriptor {id:#x}: hash {:#x}, expected {hash:#x}", stored.hash);
            self.error(Code::SdsHash, at, text);
        }
        if copy != bytes {
            let first = bytes.iter().zip(&copy).position(|(a, b)| a != b).unwrap_or_default();
            let place = Place::at(number::SECURE, stream.place(offset + BLOCK + first as u64));
            let text = format_args!("descriptor {id:#x}: the copy differs at byte {first:#x} of the entry");
            self.error(Code::SdsMirror, place, text);
        }
        if let Err(fault) = parse::descriptor(descriptor) {
            self.fault(Code::SecurityDescriptor, at.plus(HEADER as usize), &fault);
        }
    }

    /// Every file has a descriptor of its own, or the id of one that exists.
    fn check_security_ids(&mut self) {
        let Some(ids) = self.security_ids.take() else { return };
        for number in 0..self.records {
            let state = &self.states[number as usize];
            let skip = !state.in_use() || state.is_extension() || state.is_damaged() || !state.has_standard();
            if skip {
                continue;
            }
            let (id, own) = (state.security, state.has_descriptor());
            let place = self.record_place(number);
            if id != 0 && ids.binary_search(&id).is_err() {
                self.error(
                    Code::SecurityId,
                    place,
                    format_args!("security id {id:#x}, which $Secure does not have"),
                );
            } else if id == 0 && !own {
                // Windows gives such a file the default descriptor; what chkdsk found has none (observed).
                self.strict(Code::SecurityId, place, format_args!("no security id and no descriptor"));
            }
        }
        self.security_ids = Some(ids);
    }
}

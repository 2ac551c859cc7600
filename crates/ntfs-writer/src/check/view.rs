//! View indexes: what they list against what the files have.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::Checker;
use super::index::Shape;
use super::report::{Code, Place};
use crate::layout::index::collation;
use crate::layout::number;
use crate::layout::record::flags::VIEW_INDEX;
use crate::parse::{kind, record_of, u32_at, u64_at};

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks(4).map(|word| {
        let mut whole = [0; 4];
        whole[..word.len()].copy_from_slice(word);
        u32::from_le_bytes(whole)
    })
}

pub(super) fn by_words(_: &[u16], a: &[u8], b: &[u8]) -> Ordering {
    words(a).cmp(words(b))
}

/// Security identifiers are compared as bytes (observed: Windows 10, one entry; ours have no more).
fn by_bytes(_: &[u16], a: &[u8], b: &[u8]) -> Ordering {
    a.cmp(b)
}

const fn view(name: &'static str, collation: u32) -> Shape {
    Shape { name, kind: 0, collation, order: by_words }
}

const REPARSE: Shape = view("$R", collation::U32_WORDS);
const OBJECT_ID: Shape = view("$O", collation::U32_WORDS);
const QUOTA: Shape = view("$Q", collation::U32);
const OWNER: Shape = Shape { order: by_bytes, ..view("$O", collation::SID) };
pub(super) const BY_ID: Shape = view("$SII", collation::U32);
pub(super) const BY_HASH: Shape = view("$SDH", collation::SECURITY_HASH);

impl Checker<'_> {
    pub(super) fn check_views(&mut self) {
        let mut has_reparse = None;
        let mut has_objects = None;
        let mut has_quota = None;
        for record in std::mem::take(&mut self.views) {
            let Some(parts) = self.parts(record) else { continue };
            let held = parts.attributes();
            let root = |name: &str| {
                let root =
                    held.iter().find(|h| h.attribute.kind == kind::INDEX_ROOT && h.attribute.name == name)?;
                u32_at(root.attribute.resident()?, 4)
            };
            if root(REPARSE.name).is_some() {
                has_reparse = Some(record);
                let mut listed = Vec::new();
                self.walk_index(record, &held, REPARSE, &mut |checker, entry, place| match (
                    u32_at(entry.key, 0),
                    u64_at(entry.key, 4),
                    entry.key.len(),
                ) {
                    (Some(tag), Some(file), 12) => listed.push(((tag, file), place)),
                    _ => checker.error(
                        Code::ReparseIndex,
                        place,
                        format_args!("key of {} bytes, expected 12", entry.key.len()),
                    ),
                });
                self.compare_points(listed);
            }
            if root(QUOTA.name).is_some() {
                has_quota = Some(record);
                self.check_quota(record, &held);
            } else if root(OBJECT_ID.name) == Some(OBJECT_ID.collation) {
                has_objects = Some(record);
                let mut listed = Vec::new();
                self.walk_index(record, &held, OBJECT_ID, &mut |checker, entry, place| {
                    let data = entry.view_data().unwrap_or_default();
                    match (entry.key.first_chunk::<16>(), u64_at(data, 0), data.len()) {
                        (Some(id), Some(file), 56) => listed.push(((*id, file), place)),
                        _ => checker.error(
                            Code::ObjectIdIndex,
                            place,
                            format_args!(
                                "key of {} bytes, data of {}, expected 16 and 56",
                                entry.key.len(),
                                data.len()
                            ),
                        ),
                    }
                });
                self.compare_objects(listed);
            }
        }
        // A volume without them works; `chkdsk /scan` fails.
        for (found, name) in [(has_reparse, "$Reparse"), (has_objects, "$ObjId"), (has_quota, "$Quota")] {
            let place = self.record_place(found.unwrap_or(number::EXTEND));
            match found.and_then(|record| self.state(record)).map(|state| state.flags) {
                None => self.warning(Code::SystemFile, place, format_args!("$Extend has no {name}")),
                Some(flags) if flags & VIEW_INDEX == 0 => {
                    let text = format_args!("{name} has flags {flags:#x}, expected the bit {VIEW_INDEX:#x}");
                    self.error(Code::RecordFlags, place.plus(0x16), text);
                }
                Some(_) => {}
            }
        }
        if has_reparse.is_none() {
            self.compare_points(Vec::new());
        }
        if has_objects.is_none() {
            self.compare_objects(Vec::new());
        }
    }

    fn compare_points(&mut self, mut listed: Vec<((u32, u64), Place)>) {
        listed.sort_by_key(|entry| entry.0);
        let mut points = std::mem::take(&mut self.points);
        points.sort_unstable();
        for &(tag, file) in &points {
            if listed.binary_search_by_key(&(tag, file), |entry| entry.0).is_err() {
                let place = self.record_place(record_of(file));
                let text = format_args!("$Reparse does not list the file with tag {tag:#x}");
                self.error(Code::ReparseIndex, place, text);
            }
        }
        for ((tag, file), place) in listed {
            if points.binary_search(&(tag, file)).is_err() {
                let text = format_args!(
                    "$Reparse lists record {} with tag {tag:#x}, which the file does not have",
                    record_of(file)
                );
                self.error(Code::ReparseIndex, place, text);
            }
        }
    }

    fn compare_objects(&mut self, mut listed: Vec<(([u8; 16], u64), Place)>) {
        listed.sort_by_key(|entry| entry.0);
        let mut objects = std::mem::take(&mut self.objects);
        objects.sort_unstable();
        for object in &objects {
            if listed.binary_search_by_key(object, |entry| entry.0).is_err() {
                let place = self.record_place(record_of(object.1));
                self.error(
                    Code::ObjectIdIndex,
                    place,
                    format_args!("$ObjId does not list the file's object id"),
                );
            }
        }
        for pair in objects.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let place = self.record_place(record_of(pair[1].1));
            let text = format_args!("the object id of record {}, too", record_of(pair[0].1));
            self.error(Code::ObjectIdIndex, place, text);
        }
        for (object, place) in listed {
            if objects.binary_search(&object).is_err() {
                let text = format_args!(
                    "$ObjId lists record {} with an id that the file does not have",
                    record_of(object.1)
                );
                self.error(Code::ObjectIdIndex, place, text);
            }
        }
    }

    /// `$O` leads from SIDs to the entries of `$Q`.
    fn check_quota(&mut self, record: u64, held: &[super::streams::Held<'_>]) {
        let mut owners = Vec::new();
        let mut by_id = Vec::new();
        self.walk_index(record, held, QUOTA, &mut |_, entry, place| {
            if let Some(id) = u32_at(entry.key, 0) {
                // Version, flags, used, change time, threshold, limit, exceeded time: 48 bytes; then the SID.
                let data = entry.view_data().unwrap_or_default();
                by_id.push((id, data.get(48..).unwrap_or_default().to_vec(), place));
            }
        });
        self.walk_index(record, held, OWNER, &mut |_, entry, place| {
            let id = u32_at(entry.view_data().unwrap_or_default(), 0);
            owners.push((id.unwrap_or_default(), entry.key.to_vec(), place));
        });
        // A SID says how long it is, and may be followed by padding.
        let sid = |bytes: &[u8]| -> Vec<u8> {
            let len = 8 + 4 * usize::from(bytes.get(1).copied().unwrap_or_default());
            bytes[..len.min(bytes.len())].to_vec()
        };
        let known: BTreeSet<_> = by_id.iter().map(|(id, bytes, _)| (*id, sid(bytes))).collect();
        let listed: BTreeSet<_> = owners.iter().map(|(id, bytes, _)| (*id, sid(bytes))).collect();
        for (id, bytes, place) in &owners {
            if !known.contains(&(*id, sid(bytes))) {
                let text = format_args!("$O has id {id:#x} for a SID that $Q does not have under it");
                self.error(Code::QuotaIndex, *place, text);
            }
        }
        for (id, bytes, place) in &by_id {
            if !bytes.is_empty() && !listed.contains(&(*id, sid(bytes))) {
                let text = format_args!("$Q has a SID under id {id:#x} that $O does not list");
                self.error(Code::QuotaIndex, *place, text);
            }
        }
    }
}

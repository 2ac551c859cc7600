//! Security descriptors: the few that a fresh volume brings, and the store that holds all of them once.
//!
//! `$Secure:$SDS` is a sequence of 256 KiB blocks, each followed by a mirror of itself; entries are 16-byte aligned and
//! never cross a block. Files refer to descriptors by key; one index finds them by key, another by hash.

use std::collections::HashMap;

use crate::layout::security::{SDS_HEADER_LEN, SdsHeader};
use crate::layout::{put, put_u16, put_u32};
use crate::parse::security_hash;
use crate::{Error, Result};

/// Bytes in a block of `$SDS`, and as many in its mirror.
const BLOCK: usize = 0x4_0000;

/// The key of the first descriptor.
const FIRST_ID: u32 = 0x100;

/// A descriptor has at most two lists of 64 KiB and two identifiers: no legal one is longer.
const MAX_LEN: usize = 0x2_0200;

/// Access masks and flags of the descriptors that the system files have.
const FULL: u32 = 0x1F_01FF;
const READ: u32 = 0x12_0089;
const READ_WRITE: u32 = 0x12_019F;
const OBJECT_AND_CONTAINER_INHERIT_ONLY: u8 = 0x0B;

/// Well-known identifiers ([MS-DTYP] 2.4.2.4), as their bytes.
const SYSTEM: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
pub(crate) const ADMINISTRATORS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
const USERS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0];
const AUTHENTICATED: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0];

/// An entry that allows: flags, mask, whom.
type Allow = (u8, u32, &'static [u8]);

/// A self-relative descriptor ([MS-DTYP] 2.4.6) in Windows' order: head, list, owner, group.
fn descriptor(owner: &[u8], group: &[u8], entries: &[Allow]) -> Vec<u8> {
    const HEAD: usize = 20;
    const SELF_RELATIVE_WITH_DACL: u16 = 0x8004;
    let acl_len = 8 + entries.iter().map(|(_, _, sid)| 8 + sid.len()).sum::<usize>();
    let mut out = vec![0; HEAD + acl_len];
    out[0] = 1;
    put_u16(&mut out, 2, SELF_RELATIVE_WITH_DACL);
    put_u32(&mut out, 4, (HEAD + acl_len) as u32);
    put_u32(&mut out, 8, (HEAD + acl_len + owner.len()) as u32);
    put_u32(&mut out, 16, HEAD as u32);
    out[HEAD] = 2;
    put_u16(&mut out, HEAD + 2, acl_len as u16);
    put_u16(&mut out, HEAD + 4, entries.len() as u16);
    let mut at = HEAD + 8;
    for &(flags, mask, sid) in entries {
        out[at + 1] = flags;
        put_u16(&mut out, at + 2, 8 + sid.len() as u16);
        put_u32(&mut out, at + 4, mask);
        out[at + 8..at + 8 + sid.len()].copy_from_slice(sid);
        at += 8 + sid.len();
    }
    out.extend_from_slice(owner);
    out.extend_from_slice(group);
    out
}

/// For system files that nobody writes: SYSTEM and administrators read.
pub(crate) fn system_read() -> Vec<u8> {
    descriptor(SYSTEM, ADMINISTRATORS, &[(0, READ, SYSTEM), (0, READ, ADMINISTRATORS)])
}

/// For the other system files.
pub(crate) fn system_read_write() -> Vec<u8> {
    descriptor(SYSTEM, ADMINISTRATORS, &[(0, READ_WRITE, SYSTEM), (0, READ_WRITE, ADMINISTRATORS)])
}

/// What Windows 10 gives the root of a volume that it formats; our default for whatever comes without one.
pub(crate) fn default_descriptor() -> Vec<u8> {
    const INHERIT: u8 = OBJECT_AND_CONTAINER_INHERIT_ONLY;
    descriptor(
        SYSTEM,
        SYSTEM,
        &[
            (0, FULL, ADMINISTRATORS),
            (INHERIT, 0x1000_0000, ADMINISTRATORS),
            (0, FULL, SYSTEM),
            (INHERIT, 0x1000_0000, SYSTEM),
            (0, 0x13_01BF, AUTHENTICATED),
            (INHERIT, 0xE001_0000, AUTHENTICATED),
            (0, 0x12_00A9, USERS),
            (INHERIT, 0xA000_0000, USERS),
        ],
    )
}

fn check(descriptor: &[u8]) -> Result<()> {
    const SELF_RELATIVE: u8 = 0x80;
    let refuse = |reason| Err(Error::Descriptor { reason });
    let len = descriptor.len();
    if !(20..=MAX_LEN).contains(&len) {
        return refuse(format!("its length is {len}, expected 20..={MAX_LEN}"));
    }
    if descriptor[0] != 1 {
        return refuse(format!("its revision is {}, expected 1", descriptor[0]));
    }
    if descriptor[3] & SELF_RELATIVE == 0 {
        return refuse("it is not self-relative".into());
    }
    for (part, at) in [("owner", 4), ("group", 8), ("SACL", 12), ("DACL", 16)] {
        let offset =
            u32::from_le_bytes([descriptor[at], descriptor[at + 1], descriptor[at + 2], descriptor[at + 3]])
                as usize;
        if offset != 0 && !(20..len).contains(&offset) {
            return refuse(format!("its {part} is at {offset:#x}, outside 0x14..{len:#x}"));
        }
    }
    Ok(())
}

/// The descriptors of a volume, each once.
#[derive(Debug)]
pub(crate) struct Store {
    /// The data blocks, joined; mirrors are made when rendered.
    blocks: Vec<u8>,
    /// In the order of their keys, which is that of their places.
    entries: Vec<SdsHeader>,
    /// By hash and length: which entries those are.
    lookup: HashMap<(u32, u32), Vec<u32>>,
    /// The key of [`system_read`] and that of [`system_read_write`].
    pub(crate) read: u32,
    pub(crate) read_write: u32,
}

impl Store {
    pub(crate) fn new() -> Self {
        let mut store =
            Self { blocks: Vec::new(), entries: Vec::new(), lookup: HashMap::new(), read: 0, read_write: 0 };
        store.read = store.insert(&system_read());
        store.read_write = store.insert(&system_read_write());
        store
    }

    /// The key of a descriptor of the caller's.
    pub(crate) fn add(&mut self, descriptor: &[u8]) -> Result<u32> {
        check(descriptor)?;
        Ok(self.insert(descriptor))
    }

    /// The key of a descriptor that is known to be sound.
    pub(crate) fn insert(&mut self, descriptor: &[u8]) -> u32 {
        let len = (SDS_HEADER_LEN + descriptor.len()) as u32;
        let hash = security_hash(descriptor);
        let same = self.lookup.entry((hash, len)).or_default();
        for &known in same.iter() {
            let header = &self.entries[known as usize];
            let at = joined(header.offset) + SDS_HEADER_LEN;
            if &self.blocks[at..at + descriptor.len()] == descriptor {
                return header.id;
            }
        }
        same.push(self.entries.len() as u32);
        let mut at = self.blocks.len().next_multiple_of(16);
        if at % BLOCK + len as usize > BLOCK {
            at = at.next_multiple_of(BLOCK);
        }
        let header = SdsHeader {
            hash,
            id: FIRST_ID + self.entries.len() as u32,
            offset: (at / BLOCK * 2 * BLOCK + at % BLOCK) as u64,
            len,
        };
        self.blocks.resize(at + SDS_HEADER_LEN, 0);
        put(&mut self.blocks, at, &header);
        self.blocks.extend_from_slice(descriptor);
        self.entries.push(header);
        header.id
    }

    /// Whether there is a descriptor of this key.
    pub(crate) fn has(&self, id: u32) -> bool {
        id.checked_sub(FIRST_ID).is_some_and(|entry| (entry as usize) < self.entries.len())
    }

    /// The headers, by ascending key.
    pub(crate) fn entries(&self) -> &[SdsHeader] {
        &self.entries
    }

    /// The length of `$SDS`: up to the end of the last entry's mirror.
    pub(crate) fn len(&self) -> u64 {
        self.entries.last().map_or(0, |last| last.offset + u64::from(last.len) + BLOCK as u64)
    }

    /// Renders `$SDS` from byte `offset`, with zeros past its end.
    pub(crate) fn render(&self, offset: u64, buf: &mut [u8]) {
        let mut done = 0;
        while done < buf.len() {
            let at = offset as usize + done;
            let len = (BLOCK - at % BLOCK).min(buf.len() - done);
            let from = at / (2 * BLOCK) * BLOCK + at % BLOCK;
            let target = &mut buf[done..done + len];
            target.fill(0);
            if let Some(rest) = self.blocks.get(from..) {
                let len = len.min(rest.len());
                target[..len].copy_from_slice(&rest[..len]);
            }
            done += len;
        }
    }
}

/// Where an offset in `$SDS` lies in the joined data blocks.
fn joined(offset: u64) -> usize {
    let offset = offset as usize;
    offset / (2 * BLOCK) * BLOCK + offset % BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_vectors() {
        // The keys 0x100 and 0x101 of volumes that Windows 10 formatted, with the hashes it stored.
        assert_eq!(security_hash(&system_read()), 0x32FE_C6CB);
        assert_eq!(security_hash(&system_read_write()), 0x3414_C8F7);
        assert_eq!(security_hash(&[]), 0);
        assert_eq!(security_hash(&[1, 0, 0, 0, 2, 0, 0, 0]), 10);
    }

    #[test]
    fn sizes_are_those_of_windows() {
        assert_eq!(system_read().len(), 100);
        assert_eq!(default_descriptor().len(), 228);
    }

    #[test]
    fn equal_descriptors_are_stored_once() {
        let mut store = Store::new();
        let first = store.add(&default_descriptor()).unwrap();
        assert_eq!(first, 0x102);
        assert_eq!(store.add(&default_descriptor()).unwrap(), first);
        assert_eq!(store.add(&system_read()).unwrap(), 0x100);
        assert_eq!(store.entries().len(), 3);
    }

    #[test]
    fn entries_stay_inside_blocks_and_mirrors_agree() {
        let mut store = Store::new();
        for i in 0..60u32 {
            let mut long = descriptor(SYSTEM, SYSTEM, &[(0, i, SYSTEM)]);
            long.resize(20_000 + i as usize, 0);
            store.add(&long).unwrap();
        }
        let mut stream = vec![0xEE; store.len() as usize];
        store.render(0, &mut stream);
        for header in store.entries() {
            let (at, len) = (header.offset as usize, header.len as usize);
            assert_eq!(at % 16, 0);
            assert_eq!(at / BLOCK % 2, 0, "in a data block");
            assert_eq!(at / BLOCK, (at + len - 1) / BLOCK, "crosses no block");
            assert_eq!(stream[at..at + len], stream[at + BLOCK..at + BLOCK + len]);
            assert_eq!(security_hash(&stream[at + SDS_HEADER_LEN..at + len]), header.hash);
        }
        let mut part = vec![0xEE; 100_000];
        store.render(0x3_9999, &mut part);
        assert_eq!(part, stream[0x3_9999..0x3_9999 + 100_000]);
    }

    #[test]
    fn refuses_what_is_no_descriptor() {
        let mut store = Store::new();
        let good = system_read();
        for (at, value) in [(0, 2), (3, 0), (4, 0xFF), (16, 3)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(matches!(store.add(&bad), Err(Error::Descriptor { .. })), "byte {at}");
        }
        assert!(store.add(&good[..19]).is_err());
        assert!(store.add(&vec![1; MAX_LEN + 1]).is_err());
    }
}

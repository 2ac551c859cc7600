//! Whether bytes are a self-relative security descriptor.
//!
//! The structure is Microsoft's documentation's (MS-DTYP 2.4.6): revision, flags, and offsets of two SIDs and two lists.

use crate::layout::{u16_at, u32_at};

/// The descriptor is one block, its fields are offsets.
const SELF_RELATIVE: u16 = 0x8000;
const DACL_PRESENT: u16 = 0x0004;
const SACL_PRESENT: u16 = 0x0010;

/// Says what is wrong.
pub(super) fn fault(bytes: &[u8]) -> Option<String> {
    let Some(control) = u16_at(bytes, 2).filter(|_| bytes.len() >= 20) else {
        return Some(format!("{:#x} bytes, expected at least 0x14", bytes.len()));
    };
    if bytes[0] != 1 {
        return Some(format!("revision {}, expected 1", bytes[0]));
    }
    if control & SELF_RELATIVE == 0 {
        return Some(format!("flags {control:#06x} without 0x8000, self-relative"));
    }
    for (what, field) in [("owner", 4), ("group", 8)] {
        match u32_at(bytes, field) {
            None | Some(0) => {}
            Some(at) => {
                if !bytes.get(at as usize..).is_some_and(is_sid) {
                    return Some(format!("no SID at {at:#x}, where the {what} should be"));
                }
            }
        }
    }
    for (what, field, flag) in [("SACL", 12, SACL_PRESENT), ("DACL", 16, DACL_PRESENT)] {
        let at = u32_at(bytes, field).unwrap_or(0);
        if control & flag != 0 && at != 0 && !bytes.get(at as usize..).is_some_and(is_acl) {
            return Some(format!("no list of access rights at {at:#x}, where the {what} should be"));
        }
    }
    None
}

fn is_sid(bytes: &[u8]) -> bool {
    matches!(bytes, [1, count @ 0..=15, ..] if bytes.len() >= 8 + 4 * usize::from(*count))
}

fn is_acl(bytes: &[u8]) -> bool {
    let (Some(&revision), Some(size), Some(count)) = (bytes.first(), u16_at(bytes, 2), u16_at(bytes, 4))
    else {
        return false;
    };
    let Some(mut rest) = bytes.get(..size.into()).and_then(|list| list.get(8..)) else { return false };
    for _ in 0..count {
        let Some(size) = u16_at(rest, 2).filter(|&size| size >= 4) else { return false };
        let Some(next) = rest.get(size.into()..) else { return false };
        rest = next;
    }
    (2..=4).contains(&revision)
}

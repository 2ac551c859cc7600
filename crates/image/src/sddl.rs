//! Security descriptors as text: SDDL ([MS-DTYP] 2.5.1), the way Windows itself prints it.

use std::fmt::Write;

/// The text of a self-relative security descriptor ([MS-DTYP] 2.4.6), or `None` when it is not one, or holds access
/// control entries that SDDL cannot express without the object they belong to.
pub fn sddl(descriptor: &[u8]) -> Option<String> {
    let control = u16_at(descriptor, 2)?;
    if *descriptor.first()? != 1 || control & SELF_RELATIVE == 0 {
        return None;
    }
    let part = |field: usize| -> Option<Option<&[u8]>> {
        match u32_at(descriptor, field)? as usize {
            0 => Some(None),
            offset => descriptor.get(offset..).map(Some),
        }
    };
    let mut text = String::new();
    if let Some(owner) = part(4)? {
        text += &format!("O:{}", sid(owner)?.0);
    }
    if let Some(group) = part(8)? {
        text += &format!("G:{}", sid(group)?.0);
    }
    // Each list has a bit that says whether it is there, and three that say how it inherits.
    for (name, field, present, protected, auto_required, auto) in
        [("D:", 16, 0x4, 0x1000, 0x100, 0x400), ("S:", 12, 0x10, 0x2000, 0x200, 0x800)]
    {
        if control & present == 0 {
            continue;
        }
        text += name;
        for (bit, letters) in [(protected, "P"), (auto_required, "AR"), (auto, "AI")] {
            if control & bit != 0 {
                text += letters;
            }
        }
        match part(field)? {
            Some(acl) => entries(acl, &mut text)?,
            None => text += "NO_ACCESS_CONTROL",
        }
    }
    Some(text)
}

/// `SE_SELF_RELATIVE`.
const SELF_RELATIVE: u16 = 0x8000;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The entries of an access control list ([MS-DTYP] 2.4.5).
fn entries(acl: &[u8], text: &mut String) -> Option<()> {
    let acl = acl.get(..u16_at(acl, 2)? as usize)?;
    let count = u16_at(acl, 4)?;
    let mut rest = acl.get(8..)?;
    for _ in 0..count {
        let size = u16_at(rest, 2)? as usize;
        let entry = rest.get(..size).filter(|entry| entry.len() >= 8)?;
        rest = &rest[size..];
        let kind = match entry[0] {
            0x00 => "A",
            0x01 => "D",
            0x02 => "AU",
            0x03 => "AL",
            0x11 => "ML",
            0x13 => "SP",
            // Object and conditional entries, resource attributes.
            _ => return None,
        };
        let mut flags = String::new();
        for (bit, letters) in
            [(1, "OI"), (2, "CI"), (4, "NP"), (8, "IO"), (0x10, "ID"), (0x40, "SA"), (0x80, "FA")]
        {
            if entry[1] & bit != 0 {
                flags += letters;
            }
        }
        let mask = u32_at(entry, 4)?;
        let (trustee, _) = sid(&entry[8..])?;
        let rights = if entry[0] == 0x11 { label_policy(mask) } else { rights(mask) };
        // Writing to a string cannot fail.
        let _ = write!(text, "({kind};{flags};{rights};;;{trustee})");
    }
    Some(())
}

/// An access mask ([MS-DTYP] 2.4.3): a name for the whole, names for all its bits, or the number.
fn rights(mask: u32) -> String {
    const WHOLE: [(u32, &str); 7] = [
        (0x1F_01FF, "FA"),
        (0x12_0089, "FR"),
        (0x12_0116, "FW"),
        (0x12_00A0, "FX"),
        (0xF_003F, "KA"),
        (0x2_0019, "KR"),
        (0x2_0006, "KW"),
    ];
    const BITS: [(u32, &str); 17] = [
        (0x1, "CC"),
        (0x2, "DC"),
        (0x4, "LC"),
        (0x8, "SW"),
        (0x10, "RP"),
        (0x20, "WP"),
        (0x40, "DT"),
        (0x80, "LO"),
        (0x100, "CR"),
        (0x1_0000, "SD"),
        (0x2_0000, "RC"),
        (0x4_0000, "WD"),
        (0x8_0000, "WO"),
        (0x1000_0000, "GA"),
        (0x2000_0000, "GX"),
        (0x4000_0000, "GW"),
        (0x8000_0000, "GR"),
    ];
    if let Some((_, name)) = WHOLE.iter().find(|(whole, _)| *whole == mask) {
        return (*name).to_owned();
    }
    let named: u32 = BITS.iter().map(|(bit, _)| bit).sum();
    if mask & !named != 0 || mask == 0 {
        return format!("{mask:#x}");
    }
    BITS.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| *name).collect()
}

/// The mask of a mandatory label: what lower levels may not do.
fn label_policy(mask: u32) -> String {
    if mask == 0 || mask & !7 != 0 {
        return format!("{mask:#x}");
    }
    [(1, "NW"), (2, "NR"), (4, "NX")]
        .iter()
        .filter(|(bit, _)| mask & bit != 0)
        .map(|(_, name)| *name)
        .collect()
}

/// A SID ([MS-DTYP] 2.4.2), by its two letters when it has them, and its length in bytes.
fn sid(bytes: &[u8]) -> Option<(String, usize)> {
    let count = *bytes.get(1)? as usize;
    let len = 8 + 4 * count;
    let bytes = bytes.get(..len)?;
    if bytes[0] != 1 || count > 15 {
        return None;
    }
    let authority = bytes[2..8].iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let parts: Vec<u32> =
        bytes[8..].chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], p[3]])).collect();
    let known = match (authority, &parts[..]) {
        (1, [0]) => "WD",
        (3, [0]) => "CO",
        (3, [1]) => "CG",
        (3, [4]) => "OW",
        (5, [2]) => "NU",
        (5, [4]) => "IU",
        (5, [6]) => "SU",
        (5, [7]) => "AN",
        (5, [9]) => "ED",
        (5, [10]) => "PS",
        (5, [11]) => "AU",
        (5, [12]) => "RC",
        (5, [18]) => "SY",
        (5, [19]) => "LS",
        (5, [20]) => "NS",
        (5, [33]) => "WR",
        (5, [32, 544]) => "BA",
        (5, [32, 545]) => "BU",
        (5, [32, 546]) => "BG",
        (5, [32, 547]) => "PU",
        (5, [32, 548]) => "AO",
        (5, [32, 549]) => "SO",
        (5, [32, 550]) => "PO",
        (5, [32, 551]) => "BO",
        (5, [32, 552]) => "RE",
        (5, [32, 554]) => "RU",
        (5, [32, 555]) => "RD",
        (5, [32, 556]) => "NO",
        (5, [32, 558]) => "MU",
        (5, [32, 559]) => "LU",
        (5, [32, 568]) => "IS",
        (15, [2, 1]) => "AC",
        (16, [0x1000]) => "LW",
        (16, [0x2000]) => "ME",
        (16, [0x3000]) => "HI",
        (16, [0x4000]) => "SI",
        _ => {
            let mut text =
                if authority >> 32 == 0 { format!("S-1-{authority}") } else { format!("S-1-{authority:#x}") };
            for part in parts {
                let _ = write!(text, "-{part}");
            }
            return Some((text, len));
        }
    };
    Some((known.to_owned(), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid_bytes(authority: u8, parts: &[u32]) -> Vec<u8> {
        let mut bytes = vec![1, parts.len() as u8, 0, 0, 0, 0, 0, authority];
        parts.iter().for_each(|part| bytes.extend(part.to_le_bytes()));
        bytes
    }

    fn descriptor(control: u16, aces: &[(u8, u8, u32, Vec<u8>)]) -> Vec<u8> {
        let owner = sid_bytes(5, &[18]);
        let group = sid_bytes(5, &[32, 544]);
        let mut acl = Vec::new();
        for (kind, flags, mask, sid) in aces {
            acl.extend([*kind, *flags]);
            acl.extend((8 + sid.len() as u16).to_le_bytes());
            acl.extend(mask.to_le_bytes());
            acl.extend(sid);
        }
        let mut bytes = vec![1, 0];
        bytes.extend(control.to_le_bytes());
        let group_at = 20 + owner.len() as u32;
        let acl_at = group_at + group.len() as u32;
        [20, group_at, 0, acl_at].iter().for_each(|offset| bytes.extend(offset.to_le_bytes()));
        bytes.extend(owner);
        bytes.extend(group);
        bytes.extend([2, 0]);
        bytes.extend((8 + acl.len() as u16).to_le_bytes());
        bytes.extend((aces.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(acl);
        bytes
    }

    /// The texts are what `icacls /save` and PowerShell's `Get-Acl` print for these masks and flags.
    #[test]
    fn as_windows_prints_it() {
        let users = sid_bytes(5, &[32, 545]);
        let everyone = sid_bytes(1, &[0]);
        let authenticated = sid_bytes(5, &[11]);
        let installer =
            sid_bytes(5, &[80, 956_008_885, 3_418_522_649, 1_831_038_044, 1_853_292_631, 2_271_478_464]);
        let bytes = descriptor(
            0x8004 | 0x1000 | 0x400,
            &[
                (0, 0, 0x1F_01FF, installer),
                (0, 0x13, 0x12_00A9, users),
                (0, 0x0B, 0xE001_0000, authenticated),
                (1, 0, 0x1, everyone),
            ],
        );
        assert_eq!(
            sddl(&bytes).unwrap(),
            "O:SYG:BAD:PAI(A;;FA;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)\
             (A;OICIID;0x1200a9;;;BU)(A;OICIIO;SDGXGWGR;;;AU)(D;;CC;;;WD)"
        );
    }

    #[test]
    fn damaged_descriptors_have_no_text() {
        let bytes = descriptor(0x8004, &[(0, 0, 0x1F_01FF, sid_bytes(5, &[18]))]);
        assert!(sddl(&bytes).is_some());
        for len in 0..bytes.len() {
            assert_eq!(sddl(&bytes[..len]), None, "{len}");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = sddl(&changed);
            }
        }
    }
}

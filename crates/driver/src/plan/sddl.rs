//! Security descriptors from text: as much of SDDL as INF files use.
//!
//! Source: [MS-DTYP] 2.5.1. Owner, group, both lists; entries of the plain types; rights as letters or numbers;
//! identities as their two letters, where these do not depend on a machine, or as `S-1-…`. Conditions, object types and
//! domain-relative identities are refused.

/// Why a text is not turned into a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} in a security descriptor is not understood")]
pub struct NotUnderstood {
    /// The part.
    what: String,
}

fn not(what: &str) -> NotUnderstood {
    NotUnderstood { what: format!("{what:.60}") }
}

/// Well-known identities that are the same on every machine: letters, authority, the numbers after it.
const IDENTITIES: &[(&str, u8, &[u32])] = &[
    ("AN", 5, &[7]),
    ("AO", 5, &[32, 548]),
    ("AU", 5, &[11]),
    ("BA", 5, &[32, 544]),
    ("BG", 5, &[32, 546]),
    ("BO", 5, &[32, 551]),
    ("BU", 5, &[32, 545]),
    ("CG", 3, &[1]),
    ("CO", 3, &[0]),
    ("ED", 5, &[9]),
    ("IU", 5, &[4]),
    ("LS", 5, &[19]),
    ("LW", 16, &[4096]),
    ("ME", 16, &[8192]),
    ("HI", 16, &[12_288]),
    ("SI", 16, &[16_384]),
    ("NO", 5, &[32, 556]),
    ("NS", 5, &[20]),
    ("NU", 5, &[2]),
    ("PO", 5, &[32, 550]),
    ("PS", 5, &[10]),
    ("PU", 5, &[32, 547]),
    ("RC", 5, &[12]),
    ("SO", 5, &[32, 549]),
    ("SU", 5, &[6]),
    ("SY", 5, &[18]),
    ("UD", 5, &[84, 0, 0, 0, 0, 0]),
    ("WD", 1, &[0]),
    ("AC", 15, &[2, 1]),
    ("WR", 5, &[33]),
    ("OW", 3, &[4]),
];

const RIGHTS: &[(&str, u32)] = &[
    ("GA", 0x1000_0000),
    ("GX", 0x2000_0000),
    ("GW", 0x4000_0000),
    ("GR", 0x8000_0000),
    ("RC", 0x0002_0000),
    ("SD", 0x0001_0000),
    ("WD", 0x0004_0000),
    ("WO", 0x0008_0000),
    ("CC", 0x01),
    ("DC", 0x02),
    ("LC", 0x04),
    ("SW", 0x08),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
    ("FA", 0x001F_01FF),
    ("FR", 0x0012_0089),
    ("FW", 0x0012_0116),
    ("FX", 0x0012_00A0),
    ("KA", 0x000F_003F),
    ("KR", 0x0002_0019),
    ("KW", 0x0002_0006),
    ("KX", 0x0002_0019),
    ("NR", 0x01),
    ("NW", 0x02),
    ("NX", 0x04),
];

const ENTRY_TYPES: &[(&str, u8)] = &[("A", 0), ("D", 1), ("AU", 2), ("ML", 0x11)];

const ENTRY_FLAGS: &[(&str, u8)] =
    &[("OI", 0x01), ("CI", 0x02), ("NP", 0x04), ("IO", 0x08), ("ID", 0x10), ("SA", 0x40), ("FA", 0x80)];

/// Control bits of a descriptor.
mod control {
    pub(super) const DACL_PRESENT: u16 = 0x0004;
    pub(super) const SACL_PRESENT: u16 = 0x0010;
    pub(super) const DACL_AUTO_INHERIT_REQUIRED: u16 = 0x0100;
    pub(super) const DACL_AUTO_INHERITED: u16 = 0x0400;
    pub(super) const DACL_PROTECTED: u16 = 0x1000;
    pub(super) const SELF_RELATIVE: u16 = 0x8000;
}

/// The most entries of a list; each has at most 76 bytes, and a list has a 16-bit size.
const MAX_ENTRIES: usize = 800;

/// The self-relative descriptor that a text says.
///
/// # Errors
/// [`NotUnderstood`] with the part that is not one of those above.
pub fn to_binary(text: &str) -> Result<Vec<u8>, NotUnderstood> {
    let (mut owner, mut group, mut dacl, mut sacl) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut flags = control::SELF_RELATIVE;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((part, after)) = rest.split_at_checked(2) else { return Err(not(rest)) };
        // A part ends where the next letter with a colon begins; colons stand nowhere else.
        let end = after.find(':').map_or(after.len(), |colon| colon.saturating_sub(1));
        let Some((body, next)) = after.split_at_checked(end) else { return Err(not(after)) };
        match part {
            "O:" => owner = identity(body)?,
            "G:" => group = identity(body)?,
            "D:" => {
                flags |= control::DACL_PRESENT;
                dacl = list(body, &mut flags)?;
            }
            "S:" => {
                flags |= control::SACL_PRESENT;
                let mut inheritance = 0;
                sacl = list(body, &mut inheritance)?;
                // The same bits, one higher, for the other list.
                flags |= inheritance << 1;
            }
            _ => return Err(not(part)),
        }
        rest = next;
    }
    let mut out = vec![1, 0];
    out.extend(flags.to_le_bytes());
    let mut at = 20;
    // Offsets in the order of the header; Windows stores the parts in another one, which nobody relies on.
    for part in [&owner, &group, &sacl, &dacl] {
        let offset = if part.is_empty() { 0_u32 } else { at };
        out.extend(offset.to_le_bytes());
        at += part.len() as u32;
    }
    for part in [owner, group, sacl, dacl] {
        out.extend(part);
    }
    Ok(out)
}

fn identity(text: &str) -> Result<Vec<u8>, NotUnderstood> {
    let text = text.trim();
    let (authority, numbers): (u64, Vec<u32>) = if let Some(rest) = text.strip_prefix("S-1-") {
        let mut parts = rest.split('-');
        let authority = parts.next().and_then(|part| part.parse().ok()).ok_or_else(|| not(text))?;
        let numbers: Option<Vec<u32>> = parts.map(|part| part.parse().ok()).collect();
        (authority, numbers.ok_or_else(|| not(text))?)
    } else {
        let found = IDENTITIES.iter().find(|(letters, ..)| *letters == text).ok_or_else(|| not(text))?;
        (found.1.into(), found.2.to_vec())
    };
    if numbers.len() > 15 || authority >> 48 != 0 {
        return Err(not(text));
    }
    let mut out = vec![1, numbers.len() as u8];
    out.extend(&authority.to_be_bytes()[2..]);
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    Ok(out)
}

fn list(text: &str, flags: &mut u16) -> Result<Vec<u8>, NotUnderstood> {
    let (inheritance, mut rest) = text.split_at(text.find('(').unwrap_or(text.len()));
    let mut letters = inheritance.trim();
    while !letters.is_empty() {
        let (bit, len) = match letters {
            _ if letters.starts_with("AR") => (control::DACL_AUTO_INHERIT_REQUIRED, 2),
            _ if letters.starts_with("AI") => (control::DACL_AUTO_INHERITED, 2),
            _ if letters.starts_with('P') => (control::DACL_PROTECTED, 1),
            _ => return Err(not(letters)),
        };
        *flags |= bit;
        letters = &letters[len..];
    }
    let (mut entries, mut count) = (Vec::new(), 0_u16);
    while let Some(inside) = rest.trim_start().strip_prefix('(') {
        let (body, after) = inside.split_once(')').ok_or_else(|| not(inside))?;
        entries.extend(entry(body)?);
        count += 1;
        if usize::from(count) > MAX_ENTRIES {
            return Err(not("a list of so many entries"));
        }
        rest = after;
    }
    if !rest.trim().is_empty() {
        return Err(not(rest));
    }
    let size = entries.len() as u16 + 8;
    let mut out = vec![2, 0];
    out.extend(size.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend([0, 0]);
    out.extend(entries);
    Ok(out)
}

fn entry(text: &str) -> Result<Vec<u8>, NotUnderstood> {
    let fields: Vec<&str> = text.split(';').map(str::trim).collect();
    let [kind, flags, rights, "", "", who] = fields[..] else { return Err(not(text)) };
    let kind = ENTRY_TYPES.iter().find(|(name, _)| *name == kind).ok_or_else(|| not(kind))?.1;
    let flags = pairs(flags, ENTRY_FLAGS)?.into_iter().fold(0, |all, bit| all | bit);
    let mask = match rights.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).map_err(|_| not(rights))?,
        // A list of integrity levels has rights of its own under letters that are used here, too.
        None if kind == 0x11 => integrity_rights(rights)?,
        None => pairs(rights, RIGHTS)?.into_iter().fold(0, |all, bit| all | bit),
    };
    let who = identity(who)?;
    let mut out = vec![kind, flags];
    out.extend((8 + who.len() as u16).to_le_bytes());
    out.extend(mask.to_le_bytes());
    out.extend(who);
    Ok(out)
}

fn integrity_rights(text: &str) -> Result<u32, NotUnderstood> {
    let known = [("NW", 1), ("NR", 2), ("NX", 4)];
    Ok(pairs(text, &known)?.into_iter().fold(0, |all, bit| all | bit))
}

/// The values of names of two letters in a row.
fn pairs<T: Copy>(mut text: &str, known: &[(&str, T)]) -> Result<Vec<T>, NotUnderstood> {
    let mut out = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_at_checked(2).ok_or_else(|| not(text))?;
        out.push(known.iter().find(|(letters, _)| *letters == name).ok_or_else(|| not(name))?.1);
        text = rest;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Windows 10 keeps of devices (property 0x19 in its driver database) whose INF files say these texts:
    /// `usbcir.inf`, `wvmbus.inf`, `ehstorpwddrv.inf`, `iastorv.inf`.
    #[test]
    fn descriptors_of_devices() {
        const HEADER: &str = "0100049000000000000000000000000014000000";
        for (text, acl) in [
            ("D:P(D;;GA;;;WD)", "02001c00010000000100140000000010010100000000000100000000"),
            (
                "D:P(A;;GA;;;BA)(A;;GA;;;SY)",
                "0200340002000000000018000000001001020000000000052000000020020000\
                 0000140000000010010100000000000512000000",
            ),
            (
                "D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGWGX;;;WD)(A;;GRGX;;;RC)",
                "02005c0004000000000014000000001001010000000000051200000000001800000000e0\
                 01020000000000052000000020020000\
                 00001400000000e0010100000000000100000000\
                 00001400000000a001010000000000050c000000",
            ),
            (
                "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x12019f;;;BU)",
                "02004c000300000000001400ff011f00010100000000000512000000\
                 00001800ff011f0001020000000000052000000020020000\
                 000018009f01120001020000000000052000000021020000",
            ),
        ] {
            let found: String = to_binary(text).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, format!("{HEADER}{acl}"), "{text}");
        }
    }

    #[test]
    fn every_part() {
        let descriptor =
            to_binary("O:BAG:SYD:PAI(A;OICI;0x1f01ff;;;S-1-5-32-544)(D;;GRGW;;;WD)S:(ML;;NWNR;;;ME)");
        let descriptor = descriptor.unwrap();
        assert_eq!(descriptor[2..4], 0x9414_u16.to_le_bytes());
        let at = |field: usize| u32::from_le_bytes(descriptor[field..field + 4].try_into().unwrap()) as usize;
        assert_eq!(descriptor[at(4)..at(4) + 12], [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0]);
        assert_eq!(descriptor[at(16) + 4], 2);
        assert_eq!(descriptor[at(12) + 8..at(12) + 16], [0x11, 0, 20, 0, 3, 0, 0, 0]);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "X:",
            "D:Q",
            "D:(A;;GA;;;DA)",
            "D:(A;;GA;;;SY",
            "D:(OA;;CR;ab;;WD)",
            "D:(A;;G;;;SY)",
            "O:S-1-5-x",
            "D:(A;;GA;;;SY)x",
            "D",
            "é:",
            "D:(A;;0xg;;;SY)",
            "O:S-1-281474976710656-1",
        ] {
            assert!(to_binary(text).is_err(), "{text}");
        }
        assert!(to_binary(&format!("D:{}", "(A;;GA;;;SY)".repeat(MAX_ENTRIES + 1))).is_err());
    }
}

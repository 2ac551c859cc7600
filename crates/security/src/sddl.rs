//! Security descriptors as text: SDDL ([MS-DTYP] 2.5.1).
//!
//! Printing is as Windows does it. Reading takes owner, group and both lists; entries of the plain types; rights as
//! letters or numbers; identities as their two letters, where these do not depend on a machine, or as `S-1-…`.
//! Conditions, object types and identities relative to a domain are refused.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::sid::number;
use crate::{Ace, AceKind, Acl, Descriptor, Error, Result, Sid, Trustee, control};

/// Identities that are the same on every machine ([MS-DTYP] 2.5.1.1).
const IDENTITIES: &[(&str, Sid)] = &[
    ("WD", Sid::EVERYONE),
    ("CO", Sid::CREATOR_OWNER),
    ("CG", Sid::CREATOR_GROUP),
    ("OW", Sid::well_known(3, &[4])),
    ("NU", Sid::well_known(5, &[2])),
    ("IU", Sid::well_known(5, &[4])),
    ("SU", Sid::well_known(5, &[6])),
    ("AN", Sid::well_known(5, &[7])),
    ("ED", Sid::well_known(5, &[9])),
    ("PS", Sid::well_known(5, &[10])),
    ("AU", Sid::AUTHENTICATED_USERS),
    ("RC", Sid::well_known(5, &[12])),
    ("SY", Sid::SYSTEM),
    ("LS", Sid::LOCAL_SERVICE),
    ("NS", Sid::NETWORK_SERVICE),
    ("WR", Sid::well_known(5, &[33])),
    ("BA", Sid::ADMINISTRATORS),
    ("BU", Sid::USERS),
    ("BG", Sid::well_known(5, &[32, 546])),
    ("PU", Sid::well_known(5, &[32, 547])),
    ("AO", Sid::well_known(5, &[32, 548])),
    ("SO", Sid::well_known(5, &[32, 549])),
    ("PO", Sid::well_known(5, &[32, 550])),
    ("BO", Sid::well_known(5, &[32, 551])),
    ("RE", Sid::well_known(5, &[32, 552])),
    ("RU", Sid::well_known(5, &[32, 554])),
    ("RD", Sid::well_known(5, &[32, 555])),
    ("NO", Sid::well_known(5, &[32, 556])),
    ("MU", Sid::well_known(5, &[32, 558])),
    ("LU", Sid::well_known(5, &[32, 559])),
    ("IS", Sid::well_known(5, &[32, 568])),
    ("CY", Sid::well_known(5, &[32, 569])),
    ("ER", Sid::well_known(5, &[32, 573])),
    ("CD", Sid::well_known(5, &[32, 574])),
    ("RA", Sid::well_known(5, &[32, 575])),
    ("ES", Sid::well_known(5, &[32, 576])),
    ("MS", Sid::well_known(5, &[32, 577])),
    ("HA", Sid::well_known(5, &[32, 578])),
    ("AA", Sid::well_known(5, &[32, 579])),
    ("RM", Sid::well_known(5, &[32, 580])),
    ("UD", Sid::well_known(5, &[84, 0, 0, 0, 0, 0])),
    ("AC", Sid::well_known(15, &[2, 1])),
    ("LW", Sid::well_known(16, &[0x1000])),
    ("ME", Sid::well_known(16, &[0x2000])),
    ("MP", Sid::well_known(16, &[0x2100])),
    ("HI", Sid::well_known(16, &[0x3000])),
    ("SI", Sid::well_known(16, &[0x4000])),
];

/// Masks that have one name.
const WHOLE: &[(&str, u32)] = &[
    ("FA", 0x1F_01FF),
    ("FR", 0x12_0089),
    ("FW", 0x12_0116),
    ("FX", 0x12_00A0),
    ("KA", 0xF_003F),
    ("KR", 0x2_0019),
    ("KW", 0x2_0006),
    // The same as reading: it is read and not printed.
    ("KX", 0x2_0019),
];

/// Single rights, in the order in which they are printed.
const BITS: &[(&str, u32)] = &[
    ("CC", 0x1),
    ("DC", 0x2),
    ("LC", 0x4),
    ("SW", 0x8),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
    ("SD", 0x1_0000),
    ("RC", 0x2_0000),
    ("WD", 0x4_0000),
    ("WO", 0x8_0000),
    ("GA", 0x1000_0000),
    ("GX", 0x2000_0000),
    ("GW", 0x4000_0000),
    ("GR", 0x8000_0000),
];

/// What a mandatory label forbids those below it.
const POLICIES: &[(&str, u32)] = &[("NW", 1), ("NR", 2), ("NX", 4)];

const KINDS: &[(&str, AceKind)] = &[
    ("A", AceKind::Allow),
    ("D", AceKind::Deny),
    ("AU", AceKind::Audit),
    ("AL", AceKind::Alarm),
    ("ML", AceKind::MandatoryLabel),
    ("SP", AceKind::ScopedPolicy),
];

const FLAGS: &[(&str, u32)] = &[
    ("OI", 0x01),
    ("CI", 0x02),
    ("NP", 0x04),
    ("IO", 0x08),
    ("ID", 0x10),
    ("CR", 0x20),
    ("SA", 0x40),
    ("FA", 0x80),
];

/// Control bits of a list and their letters.
type Letters = [(u16, &'static str); 3];

/// The lists of a descriptor: name, present, protected, automatic inheritance wanted, done.
const LISTS: [(&str, u16, Letters); 2] = [
    (
        "D:",
        control::DACL_PRESENT,
        [
            (control::DACL_PROTECTED, "P"),
            (control::DACL_AUTO_INHERIT_REQ, "AR"),
            (control::DACL_AUTO_INHERITED, "AI"),
        ],
    ),
    (
        "S:",
        control::SACL_PRESENT,
        [
            (control::SACL_PROTECTED, "P"),
            (control::SACL_AUTO_INHERIT_REQ, "AR"),
            (control::SACL_AUTO_INHERITED, "AI"),
        ],
    ),
];

/// What stands for a list that allows everything.
const NO_LIST: &str = "NO_ACCESS_CONTROL";

/// The most entries of a list: each has 16 bytes at least, and a list has a 16-bit size.
const MAX_ENTRIES: usize = Acl::MAX_LEN / 16;

/// The text of a self-relative security descriptor, or `None` when it is not one, or holds entries that this crate does
/// not put into words.
pub fn sddl(descriptor: &[u8]) -> Option<String> {
    Descriptor::parse(descriptor).ok()?.to_sddl()
}

impl Descriptor {
    /// The descriptor as Windows prints it, or `None` when it holds entries with object types, conditions or resource
    /// attributes.
    pub fn to_sddl(&self) -> Option<String> {
        let mut text = String::new();
        for (name, sid) in [("O:", self.owner), ("G:", self.group)] {
            if let Some(sid) = sid {
                text += name;
                identity(&sid, &mut text);
            }
        }
        for ((name, present, bits), list) in LISTS.iter().zip([&self.dacl, &self.sacl]) {
            if self.control & present == 0 && list.is_none() {
                continue;
            }
            text += name;
            for (bit, letters) in bits {
                if self.control & bit != 0 {
                    text += letters;
                }
            }
            match list {
                Some(list) => list.entries.iter().try_for_each(|it| print(it, &mut text))?,
                None => text += NO_LIST,
            }
        }
        Some(text)
    }

    /// The descriptor that a text says.
    ///
    /// # Errors
    /// [`Error::NotUnderstood`] with the part that is none of those that this crate reads, and [`Error::Limit`] when a list
    /// has more entries than its size can say.
    pub fn from_sddl(text: &str) -> Result<Self> {
        let mut new = Self { control: control::SELF_RELATIVE, ..Self::default() };
        let mut rest = text.trim();
        while !rest.is_empty() {
            let Some((part, after)) = rest.split_at_checked(2) else {
                return Err(Error::not_understood(rest));
            };
            // A part ends where the next letter with a colon begins; colons stand nowhere else.
            let end = after.find(':').map_or(after.len(), |colon| colon.saturating_sub(1));
            let Some((body, next)) = after.split_at_checked(end) else {
                return Err(Error::not_understood(after));
            };
            match part {
                "O:" => new.owner = Some(read_identity(body)?),
                "G:" => new.group = Some(read_identity(body)?),
                "D:" => new.dacl = read_list(body, 0, &mut new.control)?,
                "S:" => new.sacl = read_list(body, 1, &mut new.control)?,
                _ => return Err(Error::not_understood(part)),
            }
            rest = next;
        }
        Ok(new)
    }
}

impl FromStr for Descriptor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_sddl(text)
    }
}

fn identity(sid: &Sid, text: &mut String) {
    match IDENTITIES.iter().find(|(_, known)| known == sid) {
        Some((letters, _)) => *text += letters,
        // Writing to a string cannot fail.
        None => drop(write!(text, "{sid}")),
    }
}

fn print(entry: &Ace, text: &mut String) -> Option<()> {
    let Trustee::Sid(sid) = &entry.trustee else { return None };
    let (kind, _) = KINDS.iter().find(|(_, kind)| *kind == entry.kind)?;
    let _ = write!(text, "({kind};");
    names(entry.flags.into(), FLAGS, text);
    text.push(';');
    let (known, whole) = match entry.kind {
        AceKind::MandatoryLabel => (POLICIES, None),
        _ => (BITS, WHOLE.iter().find(|(_, mask)| *mask == entry.mask)),
    };
    let named = known.iter().fold(0, |all, (_, bit)| all | bit);
    match whole {
        Some((name, _)) => *text += name,
        None if entry.mask == 0 || entry.mask & !named != 0 => drop(write!(text, "{:#x}", entry.mask)),
        None => names(entry.mask, known, text),
    }
    *text += ";;;";
    identity(sid, text);
    text.push(')');
    Some(())
}

fn names(bits: u32, known: &[(&str, u32)], text: &mut String) {
    known.iter().filter(|(_, bit)| bits & bit != 0).for_each(|(name, _)| *text += name);
}

fn read_identity(text: &str) -> Result<Sid> {
    let text = text.trim();
    match IDENTITIES.iter().find(|(letters, _)| letters.eq_ignore_ascii_case(text)) {
        Some((_, sid)) => Ok(*sid),
        None => text.parse(),
    }
}

/// A list, and the control bits before it. `None` for the list that allows everything.
fn read_list(text: &str, which: usize, control: &mut u16) -> Result<Option<Acl>> {
    let (_, present, bits) = LISTS[which];
    *control |= present;
    let mut rest = text.trim();
    'flags: while !rest.is_empty() && !rest.starts_with('(') {
        if rest == NO_LIST {
            return Ok(None);
        }
        for (bit, letters) in bits {
            if let Some(after) = rest.strip_prefix(letters) {
                *control |= bit;
                rest = after.trim_start();
                continue 'flags;
            }
        }
        return Err(Error::not_understood(rest));
    }
    let mut entries = Vec::new();
    while let Some(inside) = rest.strip_prefix('(') {
        let (body, after) = inside.split_once(')').ok_or_else(|| Error::not_understood(inside))?;
        if entries.len() == MAX_ENTRIES {
            let at = disk::At::new("access control list", 0);
            let limit = MAX_ENTRIES as u64;
            return Err(Error::Limit { at, what: "number of entries", found: limit + 1, limit });
        }
        entries.push(read_entry(body)?);
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        return Err(Error::not_understood(rest));
    }
    Ok(Some(Acl::from(entries)))
}

fn read_entry(text: &str) -> Result<Ace> {
    let fields: Vec<&str> = text.splitn(7, ';').map(str::trim).collect();
    let [kind, flags, rights, "", "", who] = fields[..] else { return Err(Error::not_understood(text)) };
    let known = KINDS.iter().find(|(name, _)| *name == kind);
    let kind = known.ok_or_else(|| Error::not_understood(kind))?.1;
    // The letters of all flags are bits of a byte.
    let flags = pairs(flags, &[FLAGS])? as u8;
    let mask = match number(rights) {
        Some(mask) => u32::try_from(mask).map_err(|_| Error::not_understood(rights))?,
        // Labels have rights of their own under letters that mean something else elsewhere.
        None if kind == AceKind::MandatoryLabel => pairs(rights, &[POLICIES])?,
        None => pairs(rights, &[BITS, WHOLE])?,
    };
    Ok(Ace { kind, flags, mask, trustee: Trustee::Sid(read_identity(who)?) })
}

/// The bits of names of two letters in a row.
fn pairs(mut text: &str, known: &[&[(&str, u32)]]) -> Result<u32> {
    let mut bits = 0;
    while !text.is_empty() {
        let (name, rest) = text.split_at_checked(2).ok_or_else(|| Error::not_understood(text))?;
        let found = known.iter().copied().flatten().find(|(letters, _)| *letters == name);
        bits |= found.ok_or_else(|| Error::not_understood(name))?.1;
        text = rest;
    }
    Ok(bits)
}

/// The SDDL, or the bytes of what has none.
impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.to_sddl(), self.to_bytes()) {
            (Some(text), _) => f.write_str(&text),
            (None, Ok(bytes)) => f.write_str(&disk::hex(&bytes)),
            (None, Err(error)) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_binary(text: &str) -> Result<Vec<u8>> {
        Descriptor::from_sddl(text)?.to_bytes()
    }

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

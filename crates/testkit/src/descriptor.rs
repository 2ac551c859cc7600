//! Self-relative security descriptors for fixtures.

/// Well-known security identifiers, in text form.
pub mod sid {
    /// Everyone
    pub const EVERYONE: &str = "S-1-1-0";
    /// CREATOR OWNER
    pub const CREATOR_OWNER: &str = "S-1-3-0";
    /// NT AUTHORITY\SYSTEM
    pub const SYSTEM: &str = "S-1-5-18";
    /// BUILTIN\Administrators
    pub const ADMINISTRATORS: &str = "S-1-5-32-544";
    /// BUILTIN\Users
    pub const USERS: &str = "S-1-5-32-545";
    /// NT SERVICE\TrustedInstaller
    pub const TRUSTED_INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
    /// Mandatory label, high
    pub const HIGH_LABEL: &str = "S-1-16-12288";
}

/// One entry of an access control list: type (0 allow, 1 deny, 0x11 label), inheritance flags, access mask, trustee.
pub type Ace<'a> = (u8, u8, u32, &'a str);

/// Full access.
pub const FULL: u32 = 0x001F_01FF;
/// Read and execute.
pub const READ: u32 = 0x0012_00A9;

const SE_DACL_PRESENT: u16 = 0x0004;
const SE_SACL_PRESENT: u16 = 0x0010;
const SE_SELF_RELATIVE: u16 = 0x8000;

/// A descriptor in the order in which Windows writes it: header, SACL, DACL, owner, group.
///
/// `sacl: None` means there is none; `dacl: None` is a null DACL (everyone may do everything), `Some(&[])` an empty
/// one (nobody may do anything).
pub fn descriptor(owner: &str, group: &str, sacl: Option<&[Ace<'_>]>, dacl: Option<&[Ace<'_>]>) -> Vec<u8> {
    let sacl_bytes = sacl.map(acl).unwrap_or_default();
    let dacl_bytes = dacl.map(acl).unwrap_or_default();
    let (owner, group) = (sid_bytes(owner), sid_bytes(group));
    let mut control = SE_SELF_RELATIVE | SE_DACL_PRESENT;
    if sacl.is_some() {
        control |= SE_SACL_PRESENT;
    }
    let mut next = 20_u32;
    let mut offset = |bytes: &[u8]| {
        let at = next;
        next += u32::try_from(bytes.len()).expect("descriptors are short");
        if bytes.is_empty() { 0 } else { at }
    };
    let (sacl_at, dacl_at) = (offset(&sacl_bytes), offset(&dacl_bytes));
    let (owner_at, group_at) = (offset(&owner), offset(&group));
    let mut out = vec![1, 0];
    out.extend(control.to_le_bytes());
    for at in [owner_at, group_at, sacl_at, dacl_at] {
        out.extend(at.to_le_bytes());
    }
    for part in [sacl_bytes, dacl_bytes, owner, group] {
        out.extend(part);
    }
    out
}

fn acl(aces: &[Ace<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, flags, mask, trustee) in aces {
        let sid = sid_bytes(trustee);
        body.extend([*kind, *flags]);
        body.extend(short(8 + sid.len()));
        body.extend(mask.to_le_bytes());
        body.extend(sid);
    }
    let mut out = vec![2, 0];
    out.extend(short(8 + body.len()));
    out.extend(short(aces.len()));
    out.extend([0, 0]);
    out.extend(body);
    out
}

fn sid_bytes(text: &str) -> Vec<u8> {
    let numbers: Vec<u32> =
        text[2..].split('-').map(|part| part.parse().expect("a number in a SID")).collect();
    let (head, subs) = numbers.split_at(2);
    let mut out = vec![1, u8::try_from(subs.len()).expect("at most 15 parts"), 0, 0];
    out.extend(head[1].to_be_bytes());
    out.extend(subs.iter().flat_map(|sub| sub.to_le_bytes()));
    out
}

fn short(value: usize) -> [u8; 2] {
    u16::try_from(value).expect("lists are short").to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_the_one_of_windows() {
        let bytes =
            descriptor(sid::SYSTEM, sid::ADMINISTRATORS, None, Some(&[(0, 0, 0x0012_0089, sid::SYSTEM)]));
        // Revision, control, owner at 48, group at 60, no SACL, DACL at 20.
        assert_eq!(bytes[..20], [1, 0, 4, 0x80, 48, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0]);
        assert_eq!(bytes[20..28], [2, 0, 28, 0, 1, 0, 0, 0]);
        assert_eq!(bytes[28..36], [0, 0, 20, 0, 0x89, 0, 0x12, 0]);
        assert_eq!(bytes[36..48], [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]);
        assert_eq!(bytes[48..60], bytes[36..48]);
        assert_eq!(bytes[60..], [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]);
    }
}

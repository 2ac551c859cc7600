//! What a new object gets from its parent.
//!
//! The rules are those of `SeAssignSecurity`, as [MS-DTYP] 2.5.3.4 documents them: entries that fit the kind of object are
//! copied, creator identities and generic rights are given their meaning for the object itself, and kept as they are for
//! what is below it. Where that is not precise (repeated entries, rights that the kind of object does not have), the rule is
//! what real hives show: `tests/real.rs` compares the result with what Windows wrote for 100,000 keys.

use crate::{Ace, AceKind, Acl, Descriptor, Sid, Trustee, control, flags};

/// Everything that can be allowed for a file or a directory.
const FILE_ALL_ACCESS: u32 = 0x1F_01FF;
/// Everything that can be allowed for a registry key.
const KEY_ALL_ACCESS: u32 = 0xF_003F;

/// What kind of object a descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A registry key.
    Key,
}

/// Generic rights ([MS-DTYP] 2.4.3).
const GENERIC_READ: u32 = 0x8000_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;
const GENERIC_EXECUTE: u32 = 0x2000_0000;
const GENERIC_ALL: u32 = 0x1000_0000;

impl Kind {
    const fn is_container(self) -> bool {
        matches!(self, Self::Directory | Self::Key)
    }

    /// Everything that can be allowed.
    pub(crate) const fn all_access(self) -> u32 {
        match self {
            Self::File | Self::Directory => FILE_ALL_ACCESS,
            Self::Key => KEY_ALL_ACCESS,
        }
    }

    /// What generic rights mean: `FILE_GENERIC_*` and `KEY_*` of the Windows headers. (Windows 7 and 18362 add the right to
    /// make links, 0x20, to executing keys; 8.1 and 10240 do as the headers say. Observed.)
    fn map(self, mask: u32) -> u32 {
        let table = match self {
            Self::File | Self::Directory => [
                (GENERIC_READ, 0x12_0089),
                (GENERIC_WRITE, 0x12_0116),
                (GENERIC_EXECUTE, 0x12_00A0),
                (GENERIC_ALL, FILE_ALL_ACCESS),
            ],
            Self::Key => [
                (GENERIC_READ, 0x2_0019),
                (GENERIC_WRITE, 0x2_0006),
                (GENERIC_EXECUTE, 0x2_0019),
                (GENERIC_ALL, KEY_ALL_ACCESS),
            ],
        };
        let specific =
            table.iter().filter(|(bit, _)| mask & bit != 0).fold(mask, |all, (_, means)| all | means);
        // Rights that this kind of object does not have are dropped with the generic ones.
        specific & self.all_access()
    }
}

/// Who creates an object: whose it is, and who may use it when its parent says nothing of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    /// The owner of what is created.
    pub owner: Sid,
    /// Its group.
    pub group: Sid,
    /// What the discretionary list is when nothing is inherited.
    pub default_dacl: Acl,
}

impl Creator {
    /// A creator with the default list of the system's own token: everything for the system, reading for administrators.
    pub fn new(owner: Sid, group: Sid) -> Self {
        let default_dacl = Acl::from(vec![
            Ace::allow(Sid::SYSTEM, GENERIC_ALL),
            Ace::allow(Sid::ADMINISTRATORS, GENERIC_READ | GENERIC_EXECUTE | 0x2_0000),
        ]);
        Self { owner, group, default_dacl }
    }

    /// The system and its services: what it creates belongs to administrators.
    pub fn system() -> Self {
        Self::new(Sid::ADMINISTRATORS, Sid::SYSTEM)
    }
}

impl Descriptor {
    /// The descriptor of a new object below one that has this descriptor, when the creator asks for nothing.
    ///
    /// Opaque entries are inherited with their identities as they are.
    #[must_use]
    pub fn inherit(&self, kind: Kind, creator: &Creator) -> Self {
        let mut new = Self {
            control: control::SELF_RELATIVE | control::DACL_PRESENT,
            resource_manager: 0,
            owner: Some(creator.owner),
            group: Some(creator.group),
            dacl: None,
            sacl: None,
        };
        let list = |list: &Option<Acl>, automatic: u16| {
            let list = list.as_ref()?;
            // A parent that does not know which of its entries are inherited has children that do not know it.
            let automatic = self.control & automatic != 0;
            let mut entries = Vec::new();
            for entry in &list.entries {
                inherited(entry, kind, creator, automatic, &mut entries);
            }
            (!entries.is_empty()).then_some(Acl { revision: list.revision, entries })
        };
        new.dacl = list(&self.dacl, control::DACL_AUTO_INHERITED);
        new.sacl = list(&self.sacl, control::SACL_AUTO_INHERITED);
        if new.dacl.is_some() {
            new.control |= self.control & control::DACL_AUTO_INHERITED;
        } else {
            let entries = creator.default_dacl.entries.iter().map(|entry| effective(entry, kind, creator));
            new.dacl = Some(Acl { revision: creator.default_dacl.revision, entries: entries.collect() });
        }
        if new.sacl.is_some() {
            new.control |= control::SACL_PRESENT | self.control & control::SACL_AUTO_INHERITED;
        }
        new
    }
}

/// What an entry of the parent becomes: nothing, one entry, or one for the object and one for what is below it.
fn inherited(entry: &Ace, kind: Kind, creator: &Creator, automatic: bool, out: &mut Vec<Ace>) {
    let below = entry.flags & (flags::OBJECT_INHERIT | flags::CONTAINER_INHERIT);
    let wanted = if kind.is_container() { flags::CONTAINER_INHERIT } else { flags::OBJECT_INHERIT };
    let passed_on = kind.is_container() && entry.flags & flags::NO_PROPAGATE_INHERIT == 0;
    let mark = if automatic { flags::INHERITED } else { 0 };
    let rest = entry.flags & !(flags::INHERITANCE | flags::INHERITED) | mark;
    let own = (entry.flags & wanted != 0).then(|| Ace { flags: rest, ..effective(entry, kind, creator) });
    let heirs =
        (passed_on && below != 0).then(|| Ace { flags: rest | below | flags::INHERIT_ONLY, ..entry.clone() });
    // With automatic inheritance, what the entries before it say already is left out (observed).
    let said = |new: &Ace| automatic && out.iter().any(|old| covers(old, new));
    let (own, heirs) = (own.filter(|own| !said(own)), heirs.filter(|heirs| !said(heirs)));
    match (own, heirs) {
        // One entry for both, when both say the same.
        (Some(own), Some(heirs)) if (own.mask, &own.trustee) == (heirs.mask, &heirs.trustee) => {
            out.push(Ace { flags: own.flags | below, ..own });
        }
        (own, heirs) => out.extend(own.into_iter().chain(heirs)),
    }
}

/// Whether `new` behind `old` changes nothing, neither for the object nor for what is below it.
fn covers(old: &Ace, new: &Ace) -> bool {
    let means = |ace: &Ace| {
        let here = if ace.flags & flags::INHERIT_ONLY == 0 { flags::INHERIT_ONLY } else { 0 };
        here | ace.flags & (flags::OBJECT_INHERIT | flags::CONTAINER_INHERIT)
    };
    let rest = |ace: &Ace| ace.flags & !flags::INHERITANCE;
    old.kind == new.kind
        && old.trustee == new.trustee
        && old.mask & new.mask == new.mask
        && rest(old) == rest(new)
        && means(old) & means(new) == means(new)
}

/// What an entry means for an object itself.
fn effective(entry: &Ace, kind: Kind, creator: &Creator) -> Ace {
    let trustee = match &entry.trustee {
        Trustee::Sid(sid) if *sid == Sid::CREATOR_OWNER => Trustee::Sid(creator.owner),
        Trustee::Sid(sid) if *sid == Sid::CREATOR_GROUP => Trustee::Sid(creator.group),
        other => other.clone(),
    };
    // The mask of a label is no list of rights.
    let mask = match entry.kind {
        AceKind::MandatoryLabel => entry.mask,
        _ => kind.map(entry.mask),
    };
    Ace { mask, trustee, ..entry.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherits(parent: &str, kind: Kind) -> String {
        let parent: Descriptor = parent.parse().unwrap();
        parent.inherit(kind, &Creator::new(Sid::SYSTEM, Sid::ADMINISTRATORS)).to_string()
    }

    /// The root of a Windows 10 system volume, and what `icacls` shows of files and directories made there.
    #[test]
    fn below_the_root_of_a_volume() {
        let root = "O:SYG:SYD:PAI(A;;LC;;;AU)(A;OICIIO;SDGXGWGR;;;AU)(A;;FA;;;SY)(A;OICIIO;GA;;;SY)\
                    (A;OICIIO;GA;;;BA)(A;;FA;;;BA)(A;OICI;0x1200a9;;;BU)";
        assert_eq!(
            inherits(root, Kind::Directory),
            "O:SYG:BAD:AI(A;ID;0x1301bf;;;AU)(A;OICIIOID;SDGXGWGR;;;AU)(A;ID;FA;;;SY)(A;OICIIOID;GA;;;SY)\
             (A;ID;FA;;;BA)(A;OICIIOID;GA;;;BA)(A;OICIID;0x1200a9;;;BU)"
        );
        assert_eq!(
            inherits(root, Kind::File),
            "O:SYG:BAD:AI(A;ID;0x1301bf;;;AU)(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)"
        );
    }

    #[test]
    fn flags_of_entries() {
        for (flags, file, directory) in [
            ("OICI", "ID", "OICIID"),
            ("CI", "", "CIID"),
            ("OI", "ID", "OIIOID"),
            ("OICINP", "ID", "ID"),
            ("OINP", "ID", ""),
            ("CINP", "", "ID"),
            ("OICIIO", "ID", "OICIID"),
            ("OIIO", "ID", "OIIOID"),
            ("", "", ""),
        ] {
            let parent = format!("D:AI(A;{flags};FR;;;WD)(A;OICI;FX;;;WD)");
            let entry = |flags: &str| match flags {
                "" => String::new(),
                flags => format!("(A;{flags};FR;;;WD)"),
            };
            let expected = format!("O:SYG:BAD:AI{}(A;ID;FX;;;WD)", entry(file));
            assert_eq!(inherits(&parent, Kind::File), expected, "{flags}");
            let expected = format!("O:SYG:BAD:AI{}(A;OICIID;FX;;;WD)", entry(directory));
            assert_eq!(inherits(&parent, Kind::Directory), expected, "{flags}");
        }
    }

    #[test]
    fn creators_and_generic_rights() {
        // The last says nothing that the first does not say.
        let parent = "D:AI(A;OICIIO;GA;;;CO)(A;OICIIO;GR;;;CG)(A;OICINP;GW;;;CO)";
        assert_eq!(
            inherits(parent, Kind::Directory),
            "O:SYG:BAD:AI(A;ID;FA;;;SY)(A;OICIIOID;GA;;;CO)(A;ID;FR;;;BA)(A;OICIIOID;GR;;;CG)"
        );
        assert_eq!(inherits(parent, Kind::File), "O:SYG:BAD:AI(A;ID;FA;;;SY)(A;ID;FR;;;BA)");
        assert_eq!(inherits("D:(A;CI;GXGR;;;BU)", Kind::Key), "O:SYG:BAD:(A;;KR;;;BU)(A;CIIO;GXGR;;;BU)");
    }

    /// From real hives: below `PowerSchemes`, `LightweightCallHandlers` and `Enum`.
    #[test]
    fn repeated_entries() {
        assert_eq!(
            inherits("D:AI(A;CIID;KR;;;BA)(A;CIID;KA;;;SY)(A;CIIOID;GR;;;CO)", Kind::Key),
            "O:SYG:BAD:AI(A;CIID;KR;;;BA)(A;CIID;KA;;;SY)(A;CIIOID;GR;;;CO)"
        );
        assert_eq!(
            inherits("D:PAI(A;CI;KA;;;BA)(A;CIIO;KA;;;CO)(A;CI;KA;;;SY)", Kind::Key),
            "O:SYG:BAD:AI(A;CIID;KA;;;BA)(A;ID;KA;;;SY)(A;CIIOID;KA;;;CO)(A;CIIOID;KA;;;SY)"
        );
        assert_eq!(
            inherits("D:(A;CI;KA;;;SY)(A;;KA;;;BA)(A;CIIO;KA;;;CO)", Kind::Key),
            "O:SYG:BAD:(A;CI;KA;;;SY)(A;;KA;;;SY)(A;CIIO;KA;;;CO)"
        );
        // Rights that keys do not have.
        assert_eq!(
            inherits("D:AI(A;CIIO;0x111fffff;;;SY)", Kind::Key),
            "O:SYG:BAD:AI(A;ID;KA;;;SY)(A;CIIOID;0x111fffff;;;SY)"
        );
    }

    /// Nothing to inherit: what the creator's token says.
    #[test]
    fn no_inheritable_entry() {
        for parent in
            ["O:SY", "D:PAI(A;;FA;;;SY)", "D:NO_ACCESS_CONTROL", "D:AI(A;OI;FA;;;SY)S:AI(ML;;NW;;;HI)"]
        {
            let expected = match parent.contains("OI") {
                true => "O:SYG:BAD:AI(A;OIIOID;FA;;;SY)",
                false => "O:SYG:BAD:(A;;FA;;;SY)(A;;0x1200a9;;;BA)",
            };
            assert_eq!(inherits(parent, Kind::Directory), expected, "{parent}");
        }
    }

    #[test]
    fn system_lists() {
        let parent = "D:AI(A;OICI;FA;;;SY)S:AI(AU;OICISAFA;GW;;;WD)(ML;OICI;NW;;;HI)";
        assert_eq!(
            inherits(parent, Kind::File),
            "O:SYG:BAD:AI(A;ID;FA;;;SY)S:AI(AU;IDSAFA;FW;;;WD)(ML;ID;NW;;;HI)"
        );
    }
}

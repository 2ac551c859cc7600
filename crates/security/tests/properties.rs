//! What holds for all descriptors, also for those that nobody made on purpose.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use wimforge_security::{
    Ace, AceKind, Acl, Creator, Descriptor, Error, Kind, Sid, Trustee, control, flags, sddl,
};

fn sid() -> impl Strategy<Value = Sid> {
    let known = prop::sample::select(vec![
        Sid::SYSTEM,
        Sid::ADMINISTRATORS,
        Sid::USERS,
        Sid::EVERYONE,
        Sid::CREATOR_OWNER,
        Sid::CREATOR_GROUP,
        Sid::TRUSTED_INSTALLER,
    ]);
    let any = (0_u64..1 << 48, vec(any::<u32>(), 0..=Sid::MAX_PARTS));
    prop_oneof![known, any.prop_map(|(authority, parts)| Sid::new(authority, &parts).unwrap())]
}

fn ace() -> impl Strategy<Value = Ace> {
    let kind = prop::sample::select(vec![
        AceKind::Allow,
        AceKind::Deny,
        AceKind::Audit,
        AceKind::MandatoryLabel,
        AceKind::ScopedPolicy,
    ]);
    let mask =
        prop_oneof![any::<u32>(), (0_u32..32).prop_map(|bit| 1 << bit), Just(0x1F_01FF), Just(0x2_0019)];
    (kind, any::<u8>(), mask, sid()).prop_map(|(kind, flags, mask, sid)| Ace {
        kind,
        flags,
        mask,
        trustee: Trustee::Sid(sid),
    })
}

fn descriptor() -> impl Strategy<Value = Descriptor> {
    let list = || option::of(vec(ace(), 0..8).prop_map(Acl::from));
    (any::<u16>(), option::of(sid()), option::of(sid()), list(), list()).prop_map(
        |(bits, owner, group, dacl, sacl)| {
            let lists = [(&dacl, control::DACL_PRESENT), (&sacl, control::SACL_PRESENT)];
            let present = lists.iter().filter(|(list, _)| list.is_some()).fold(0, |all, (_, bit)| all | bit);
            let control = bits | control::SELF_RELATIVE | present;
            Descriptor { control, resource_manager: 0, owner, group, dacl, sacl }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bytes_and_text_say_the_same(descriptor in descriptor()) {
        let bytes = descriptor.to_bytes().unwrap();
        prop_assert_eq!(&Descriptor::parse(&bytes).unwrap(), &descriptor);
        let text = sddl(&bytes).unwrap();
        let read = Descriptor::from_sddl(&text).unwrap();
        prop_assert_eq!(read.to_sddl().unwrap(), text);
        prop_assert_eq!((read.owner, read.group), (descriptor.owner, descriptor.group));
        prop_assert_eq!((read.dacl, read.sacl), (descriptor.dacl, descriptor.sacl));
    }

    #[test]
    fn what_is_inherited(parent in descriptor(), owner in sid(), group in sid()) {
        let creator = Creator::new(owner, group);
        for kind in [Kind::File, Kind::Directory, Kind::Key] {
            let child = parent.inherit(kind, &creator);
            let entries = &child.dacl.as_ref().unwrap().entries;
            prop_assert_eq!(Descriptor::parse(&child.to_bytes().unwrap()).unwrap(), child.clone());
            let passes_on = flags::OBJECT_INHERIT | flags::CONTAINER_INHERIT;
            for entry in entries {
                let here = entry.flags & flags::INHERIT_ONLY == 0;
                // Files pass nothing on, and what is there for nobody is not there.
                prop_assert!(kind != Kind::File || here && entry.flags & passes_on == 0);
                prop_assert!(here || entry.flags & passes_on != 0);
                prop_assert_eq!(entry.flags & flags::NO_PROPAGATE_INHERIT, 0);
            }
            // An heir of an heir has nothing that its parent did not hand down already.
            if kind != Kind::File && child.control & control::DACL_AUTO_INHERITED != 0 {
                let again = child.inherit(kind, &creator);
                prop_assert!(again.dacl.as_ref().unwrap().entries.len() <= entries.len() || again.control & control::DACL_AUTO_INHERITED == 0);
            }
        }
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        for bytes in [bytes.clone(), [&[1, 0, 0x14, 0x80][..], &bytes].concat()] {
            match Descriptor::parse(&bytes) {
                Ok(descriptor) => {
                    // Parts may lie in each other, so it may need more room than it had.
                    match descriptor.to_bytes() {
                        Ok(again) => prop_assert_eq!(Descriptor::parse(&again).unwrap(), descriptor),
                        Err(error) => prop_assert!(matches!(error, Error::Limit { .. }), "{}", error),
                    }
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn any_text(text in "[OGDS:PARIN()A;0-9x\\-_CEF é]{0,60}") {
        if let Ok(descriptor) = Descriptor::from_sddl(&text) {
            let printed = descriptor.to_sddl().unwrap();
            prop_assert_eq!(Descriptor::from_sddl(&printed).unwrap(), descriptor);
        }
    }
}

//! Any text is a security descriptor or is refused, and any bytes are; bytes and text say the same, and what an object
//! inherits can be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use security::{Creator, Descriptor, Error, Kind, Sid, flags, sddl};

fn judge(descriptor: &Descriptor) {
    let bytes = match descriptor.to_bytes() {
        Ok(bytes) => bytes,
        // Parts of what was read may lie in each other, and need more room apart.
        Err(Error::Limit { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    assert!(bytes.len() <= Descriptor::MAX_LEN);
    assert_eq!(&Descriptor::parse(&bytes).expect("what was written can be read"), descriptor);
    assert_eq!(sddl(&bytes), descriptor.to_sddl());
    if let Some(text) = descriptor.to_sddl() {
        let read = Descriptor::from_sddl(&text).expect("what was printed can be read");
        assert_eq!(read.to_sddl().as_ref(), Some(&text));
        assert_eq!((&read.owner, &read.group), (&descriptor.owner, &descriptor.group));
    }
    for kind in [Kind::File, Kind::Directory, Kind::Key] {
        for creator in [Creator::system(), Creator::new(Sid::TRUSTED_INSTALLER, Sid::TRUSTED_INSTALLER)] {
            let child = descriptor.inherit(kind, &creator);
            match child.to_bytes() {
                Ok(bytes) => {
                    assert_eq!(Descriptor::parse(&bytes).expect("what was written can be read"), child)
                }
                Err(error) => assert!(matches!(error, Error::Limit { .. }), "{error}"),
            }
            let entries = child.dacl.iter().flat_map(|list| &list.entries);
            assert!(
                entries.clone().all(|entry| kind != Kind::File || entry.flags & flags::INHERIT_ONLY == 0)
            );
        }
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(descriptor) = Descriptor::from_sddl(text) {
            judge(&descriptor);
            // The SACL needs no privilege to be written down: all that the text said is printed.
            let printed = descriptor.to_sddl().expect("it came from text");
            assert_eq!(Descriptor::from_sddl(&printed).expect("what was printed can be read"), descriptor);
        }
        if let Ok(sid) = text.parse::<Sid>() {
            assert_eq!(sid.to_string().parse::<Sid>().expect("what was printed can be read"), sid);
            assert_eq!(Sid::from_bytes(&sid.to_bytes()).expect("what was written can be read"), sid);
        }
    }
    if let Ok(descriptor) = Descriptor::parse(data) {
        judge(&descriptor);
    }
    let _ = sddl(data);
});

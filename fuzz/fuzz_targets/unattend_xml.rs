//! Any bytes are an answer file or are refused with a place in them, without showing a password. What is merged has every
//! element that was there, in its order, and merging again changes nothing.
#![no_main]

use std::sync::LazyLock;

use firstboot::{About, Account, AnswerFile, Error, Locale, Secret, Wishes, plan};
use hive::{FileTime, Hive, Kind, data};
use libfuzzer_sys::fuzz_target;
use quick_xml::Reader;
use quick_xml::events::Event;

static SYSTEM: LazyLock<Hive> = LazyLock::new(|| {
    let mut hive = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(1)).expect("a good name");
    hive.root_mut().create("ControlSet001").expect("a good path");
    let select = hive.root_mut().create("Select").expect("a good path");
    select.set("Default", Kind::DWORD, data::dword(1)).expect("a good value");
    hive
});

fn wishes(bytes: &[u8]) -> Wishes {
    let account = |name: &str| Account {
        name: name.to_owned(),
        password: Some(Secret::new("hunter2")),
        groups: vec!["Administrators".to_owned()],
        ..Account::default()
    };
    Wishes {
        accounts: vec![account("vagrant"), account("second")],
        administrator_password: Some(Secret::new("hunter2")),
        time_zone: Some("UTC".to_owned()),
        locale: Locale::all("de-DE"),
        owner: Some("A & B".to_owned()),
        quiet: true,
        unattend: Some(AnswerFile { name: "file".to_owned(), bytes: bytes.to_vec() }),
        ..Wishes::default()
    }
}

fn merged(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let plan = plan(&wishes(bytes), &About::default(), SYSTEM.root(), None)?;
    let file = plan.files.into_iter().find(|file| file.path == "Windows\\Panther\\unattend.xml");
    Ok(file.expect("there is something to say").content)
}

/// The names of the elements, in their order, by a reader that only finds tags.
fn names(bytes: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut names = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) | Event::Empty(tag) => names.push(tag.name().into_inner().to_owned()),
            Event::Eof => return Some(names),
            _ => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let first = match merged(data) {
        Ok(first) => first,
        Err(error) => {
            match &error {
                // Of a setting that is no secret both sides are shown.
                Error::Conflict { setting, theirs, ours, .. } => {
                    let shown = theirs != "another value" || ours != "another value";
                    assert!(!(setting.ends_with("Password") && shown), "a password is shown");
                }
                error => assert!(!error.to_string().contains("hunter2"), "a password is shown"),
            }
            if let Error::Malformed { offset, .. } = error {
                assert!(offset <= data.len() as u64, "a place outside of the file");
            }
            return;
        }
    };
    let after = names(&first).expect("what was written can be read");
    if let Some(before) = names(data) {
        let mut rest = after.iter();
        assert!(before.iter().all(|name| rest.any(|other| other == name)), "an element is lost");
    }
    let again = merged(&first).expect("what was written can be merged");
    assert!(again == first, "merging again changes something");
});

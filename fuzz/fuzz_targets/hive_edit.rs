//! Any sequence of edits of a hive does what it does to a map of maps; what is written has no faults, and is read as what
//! was written; what is exported makes the same hive again.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use hive::reg::{self, Form, KeyPath, RegFile};
use hive::{FileTime, Hive, Key, Kind, MINOR_VERSIONS};
use libfuzzer_sys::fuzz_target;

/// Names fold on purpose, and some are not text.
const NAMES: [&str; 12] =
    ["a", "A", "b", "Select", "ß", "SS", "\u{10400}", "name with spaces", "x\"y", "@", "ÄÖÜ", "l\u{131}ng"];

#[derive(Debug, Default, Clone)]
struct Model {
    name: String,
    keys: BTreeMap<Vec<u16>, Model>,
    values: BTreeMap<Vec<u16>, (String, u32, Vec<u8>)>,
    class: Option<Vec<u16>>,
}

fn fold(name: &str) -> Vec<u16> {
    name.encode_utf16().map(disk::upcase::upcase).collect()
}

impl Model {
    fn open(&mut self, path: &[&str]) -> Option<&mut Self> {
        path.iter().try_fold(self, |key, name| key.keys.get_mut(&fold(name)))
    }

    fn create(&mut self, path: &[&str]) -> &mut Self {
        path.iter().fold(self, |key, name| {
            key.keys.entry(fold(name)).or_insert_with(|| Self { name: (*name).to_owned(), ..Self::default() })
        })
    }

    fn is(&self, key: &Key) {
        assert_eq!(key.subkeys().len(), self.keys.len());
        assert_eq!(key.class(), self.class.as_deref());
        for model in self.keys.values() {
            let found = key.subkey(&model.name).expect("it was made");
            assert!(found.name().is(&model.name));
            model.is(found);
        }
        assert_eq!(key.values().len(), self.values.len());
        for (name, kind, data) in self.values.values() {
            let value = key.value(name).expect("it was set");
            assert_eq!((value.kind().0, value.data()), (*kind, &data[..]));
        }
    }
}

fn edit(u: &mut Unstructured<'_>, hive: &mut Hive, model: &mut Model) -> Result<()> {
    let path: Vec<&str> =
        (0..u.int_in_range(0..=4)?).map(|_| u.choose(&NAMES).copied()).collect::<Result<_>>()?;
    let name = *u.choose(&NAMES)?;
    let joined = path.join("\\");
    match u.int_in_range(0..=7)? {
        0 | 1 => {
            hive.root_mut().create(&joined).expect("a good path");
            model.create(&path);
        }
        2..=4 => {
            let kind = u.int_in_range(0..=12)?;
            let len = u.int_in_range(0..=100)? * u.int_in_range(1..=300)?;
            let mut data = u.bytes(u.len().min(len).min(64))?.to_vec();
            data.resize(len, kind as u8);
            hive.root_mut()
                .create(&joined)
                .expect("a good path")
                .set(name, Kind(kind), data.clone())
                .expect("a value");
            let values = &mut model.create(&path).values;
            let old = values.remove(&fold(name)).map_or(name.to_owned(), |(old, ..)| old);
            values.insert(fold(name), (old, kind, data));
        }
        5 => {
            let removed = hive.root_mut().open_mut(&joined).and_then(|key| key.remove(name));
            let expected = model.open(&path).and_then(|key| key.keys.remove(&fold(name)));
            assert_eq!(removed.is_some(), expected.is_some());
        }
        6 => {
            let removed = hive.root_mut().open_mut(&joined).and_then(|key| key.unset(name));
            let expected = model.open(&path).and_then(|key| key.values.remove(&fold(name)));
            assert_eq!(removed.map(|value| value.data().to_vec()), expected.map(|value| value.2));
        }
        _ => {
            let class =
                u.arbitrary::<Option<Vec<u16>>>()?.filter(|class| !class.is_empty() && class.len() < 500);
            if let Some(key) = hive.root_mut().open_mut(&joined) {
                key.set_class(class.as_deref()).expect("a class");
                model.open(&path).expect("both have it").class = class;
            }
        }
    }
    Ok(())
}

fn attempt(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let minor = u.int_in_range(MINOR_VERSIONS)?;
    let security = [1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut hive = Hive::new(minor, "ROOT", &security, FileTime(1)).expect("a hive");
    let mut model = Model::default();
    while !u.is_empty() {
        edit(&mut u, &mut hive, &mut model)?;
        if u.ratio(1, 16)? {
            // As it comes back from a file.
            hive = Hive::parse(&hive.to_bytes().expect("bytes")).expect("what was written can be read");
        }
    }
    model.is(hive.root());
    let bytes = hive.to_bytes().expect("bytes");
    let report = hive::check(&bytes);
    assert!(report.findings.is_empty(), "{report}");
    let again = Hive::parse(&bytes).expect("what was written can be read");
    assert!(again == hive, "another hive");
    assert!(again.to_bytes().expect("bytes") == bytes, "other bytes");
    for form in [Form::V5, Form::Text] {
        let mut text = Vec::new();
        let exported = reg::export(hive.root(), &KeyPath::default(), form, &mut text).expect("memory");
        exported.expect("all names have a form");
        let file = RegFile::parse(&text).expect("what was exported can be read");
        let mut second = Hive::new(minor, "ROOT", &security, FileTime(1)).expect("a hive");
        let mut located = |operation: &reg::Operation| Ok(Some(operation.key.clone()));
        reg::apply(second.root_mut(), &file.operations, None, &mut located)
            .expect("what was exported can be done");
        same(hive.root(), second.root());
    }
    Ok(())
}

/// The same keys and values; `.reg` files have no classes.
fn same(a: &Key, b: &Key) {
    assert!(a.values().eq(b.values()));
    assert_eq!(a.subkeys().len(), b.subkeys().len());
    a.subkeys().zip(b.subkeys()).for_each(|(a, b)| {
        assert_eq!(a.name(), b.name());
        same(a, b);
    });
}

fuzz_target!(|data: &[u8]| {
    let _ = attempt(data);
});

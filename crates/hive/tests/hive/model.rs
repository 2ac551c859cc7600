//! Thousands of random edits, beside a model that a map makes: what is written and read again is what the model has.

use std::collections::BTreeMap;
use std::sync::Arc;

use testkit::content::Random;
use wimforge_hive::{FileTime, Hive, Key, Kind, Value, check};

use crate::fixture;

/// Names whose order shows how they were compared: `_` between upper and lower case, letters of several alphabets, a
/// surrogate pair below U+FFxx.
const NAMES: [&str; 22] = [
    "a", "A", "b", "_", "z", "Z", "a_", "aB", "ab", "AC", "ä", "Ä", "ÿ", "Ÿ", "я", "Я", "𝄞", "\u{E000}",
    "\u{FF41}", "\u{FF21}", "a b", "{1-2}",
];

#[derive(Clone, Debug, Default)]
struct Model {
    /// As it was given first.
    name: String,
    /// By upper-cased name, in units.
    subkeys: BTreeMap<Vec<u16>, Model>,
    values: Vec<(String, u32, Vec<u8>)>,
    class: Option<Vec<u16>>,
    security: Vec<u8>,
    written: u64,
    symlink: bool,
}

/// Upper case by Rust's tables, which agree with Windows' on the names above.
fn fold(name: &str) -> Vec<u16> {
    name.to_uppercase().encode_utf16().collect()
}

impl Model {
    fn create(&mut self, path: &[&str]) -> &mut Self {
        let Some((name, rest)) = path.split_first() else { return self };
        let (security, written) = (self.security.clone(), self.written);
        let new = Self { name: (*name).to_owned(), security, written, ..Self::default() };
        self.subkeys.entry(fold(name)).or_insert(new).create(rest)
    }

    fn open(&mut self, path: &[&str]) -> Option<&mut Self> {
        let Some((name, rest)) = path.split_first() else { return Some(self) };
        self.subkeys.get_mut(&fold(name))?.open(rest)
    }

    fn assert_is(&self, key: &Key) {
        assert_eq!(key.name().to_text().as_deref(), Some(self.name.as_str()));
        assert_eq!((key.written().0, key.is_symlink()), (self.written, self.symlink));
        assert_eq!((key.class(), &key.security()[..]), (self.class.as_deref(), &self.security[..]));
        let values: Vec<_> = key
            .values()
            .map(|value| (value.name().to_string(), value.kind().0, value.data().to_vec()))
            .collect();
        assert_eq!(values, self.values);
        assert_eq!(key.subkeys().len(), self.subkeys.len());
        for (model, child) in self.subkeys.values().zip(key.subkeys()) {
            model.assert_is(child);
        }
        for name in NAMES {
            let found = key.subkey(name).map(|child| child.name().to_string());
            assert_eq!(found.as_ref(), self.subkeys.get(&fold(name)).map(|model| &model.name));
        }
    }
}

struct Edits {
    random: Random,
    hive: Hive,
    model: Model,
}

impl Edits {
    fn name(&mut self) -> &'static str {
        NAMES[self.random.below(NAMES.len())]
    }

    fn path(&mut self) -> Vec<&'static str> {
        (0..self.random.below(4)).map(|_| self.name()).collect()
    }

    fn data(&mut self) -> Vec<u8> {
        let len = match self.random.below(60) {
            0 => [16_343, 16_344, 16_345, 32_688, 32_689, 50_000][self.random.below(6)],
            1..=5 => 3000 + self.random.below(2000),
            6..=30 => self.random.below(6),
            _ => self.random.below(100),
        };
        self.random.bytes(len)
    }

    fn step(&mut self) {
        let path = self.path();
        let joined = path.join("\\");
        let what = self.random.below(16);
        if what < 4 || path.is_empty() && what > 13 {
            self.hive.root_mut().create(&joined).unwrap();
            self.model.create(&path);
            return;
        }
        let (name, data) = (self.name(), self.data());
        let name = if self.random.below(5) == 0 { "" } else { name };
        let kind = [1, 3, 4, 7, 0, 0xFFFF_0012][self.random.below(6)];
        let number = self.random.next_u64();
        let from = self.path();
        let (key, model) = match (self.hive.root_mut().open_mut(&joined), self.model.open(&path)) {
            (Some(key), Some(model)) => (key, model),
            (None, None) => return,
            (key, model) => panic!("{joined}: {} but {}", key.is_some(), model.is_some()),
        };
        match what {
            4..=7 => {
                key.set(name, Kind(kind), data.clone()).unwrap();
                match model.values.iter_mut().find(|value| fold(&value.0) == fold(name)) {
                    Some(value) => (value.1, value.2) = (kind, data),
                    None => model.values.push((name.to_owned(), kind, data)),
                }
            }
            8 => {
                let removed = key.unset(name).map(|value: Value| value.data().to_vec());
                let at = model.values.iter().position(|value| fold(&value.0) == fold(name));
                assert_eq!(removed, at.map(|at| model.values.remove(at).2));
            }
            9 => {
                let class: Vec<u16> = (0..number % 6).map(|i| 0x41 + i as u16).collect();
                key.set_class(Some(&class)).unwrap();
                model.class = Some(class).filter(|class| !class.is_empty());
            }
            10 => {
                let security = fixture::descriptor(18 + (number % 4) as u8);
                model.security = security.to_vec();
                key.set_security(security);
            }
            11 => {
                key.set_written(FileTime(number));
                model.written = number;
            }
            12 => {
                key.set_symlink(true);
                key.set("SymbolicLinkValue", Kind::LINK, vec![65, 0]).unwrap();
                model.symlink = true;
                let value = ("SymbolicLinkValue".to_owned(), Kind::LINK.0, vec![65, 0]);
                match model.values.iter_mut().find(|value| value.0 == "SymbolicLinkValue") {
                    Some(old) => *old = value,
                    None => model.values.push(value),
                }
            }
            13 | 14 => {
                let name = if name.is_empty() { "a" } else { name };
                assert_eq!(key.remove(name).is_some(), model.subkeys.remove(&fold(name)).is_some());
            }
            // A copy of another subtree.
            _ => {
                let copied = self.hive.root().open(&from.join("\\")).cloned();
                let modelled = self.model.open(&from).cloned();
                let (Some(copied), Some(modelled)) = (copied, modelled) else { return };
                let name = if name.is_empty() { "copy" } else { name };
                let key = self.hive.root_mut().open_mut(&joined).unwrap();
                key.insert(copied.renamed(name).unwrap()).unwrap();
                let model = self.model.open(&path).unwrap();
                model.subkeys.insert(fold(name), Model { name: name.to_owned(), ..modelled });
            }
        }
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let minor = 3 + (seed % 4) as u32;
    let steps = if seed.is_multiple_of(50) { 150 } else { 4 + random.below(16) };
    let hive = Hive::new(minor, "root", fixture::DESCRIPTOR, FileTime(seed)).unwrap();
    let model = Model {
        name: "root".into(),
        security: fixture::DESCRIPTOR.to_vec(),
        written: seed,
        ..Model::default()
    };
    let mut edits = Edits { random, hive, model };
    for _ in 0..steps {
        edits.step();
    }
    let Edits { hive, model, .. } = edits;
    model.assert_is(hive.root());
    let bytes = hive.to_bytes().unwrap();
    let report = check(&bytes);
    assert!(report.findings.is_empty(), "{report}");
    let again = Hive::parse(&bytes).unwrap();
    assert!(again == hive);
    model.assert_is(again.root());
    assert!(again.to_bytes().unwrap() == bytes);
    // Equal descriptors are shared.
    if let [first, second, ..] = again.root().subkeys().collect::<Vec<_>>()[..] {
        assert_eq!(first.security() == second.security(), Arc::ptr_eq(first.security(), second.security()));
    }
}

#[test]
fn ten_thousand_sequences_of_edits() {
    for seed in 0..10_000 {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

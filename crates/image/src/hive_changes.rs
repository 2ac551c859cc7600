//! What a hive has otherwise than before, for `explain`.
//!
//! Both states are compared key by key, so what is listed is what came of all wishes together, whoever had them. The data of
//! values is left out unless it is a number: a list of changes is shown around, and passwords lie in the registry as text.

use std::cmp::Ordering;

use hive::{Key, Kind, Name, Value};
use picture::{ChangedKey, ChangedValue};

/// Keys that are listed, and values of each.
const KEYS: usize = 60;
const VALUES: usize = 12;

/// Keys with another content than before.
#[derive(Debug, Default)]
pub(crate) struct KeyChanges {
    pub(crate) listed: Vec<ChangedKey>,
    /// How many are not listed.
    pub(crate) more: u64,
}

impl KeyChanges {
    /// Compares a hive's root with what it was.
    pub(crate) fn between(before: &Key, after: &Key) -> Self {
        let mut changes = Self::default();
        // Names from the root down to the key that is looked at.
        let mut path: Vec<&Name> = Vec::new();
        let mut waiting = vec![(0, Some(before), after)];
        while let Some((depth, before, after)) = waiting.pop() {
            path.truncate(usize::saturating_sub(depth, 1));
            if depth > 0 {
                path.push(after.name());
            }
            let values = differences(before, after);
            match before {
                // The way to a key that was made is not worth a line.
                None if values.is_empty() && after.subkeys().next().is_some() => {}
                None => changes.add(&path, None, "made", values),
                Some(_) if values.is_empty() => {}
                Some(_) => changes.add(&path, None, "changed", values),
            }
            for gone in before.into_iter().flat_map(Key::subkeys) {
                if after.subkey_named(gone.name()).is_none() {
                    changes.add(&path, Some(gone.name()), "deleted", Vec::new());
                }
            }
            for child in after.subkeys().rev() {
                let known = before.and_then(|before| before.subkey_named(child.name()));
                waiting.push((depth + 1, known, child));
            }
        }
        changes
    }

    fn add(&mut self, path: &[&Name], last: Option<&Name>, action: &str, mut values: Vec<ChangedValue>) {
        if self.listed.len() >= KEYS {
            self.more += 1;
            return;
        }
        let names: Vec<String> = path.iter().copied().chain(last).map(Name::to_string).collect();
        let more = values.len().saturating_sub(VALUES) as u64;
        values.truncate(VALUES);
        self.listed.push(ChangedKey { path: names.join("\\"), action: action.to_owned(), values, more });
    }
}

/// Values that differ, by name.
fn differences(before: Option<&Key>, after: &Key) -> Vec<ChangedValue> {
    if before.is_some_and(|before| before.values().as_slice() == after.values().as_slice()) {
        return Vec::new();
    }
    let sorted = |key: Option<&'_ Key>| {
        let mut values: Vec<Value> = key.map_or_else(Vec::new, |key| key.values().cloned().collect());
        values.sort_by(|a, b| a.name().cmp_ignore_case(b.name()));
        values
    };
    let (old, new) = (sorted(before), sorted(Some(after)));
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.name().cmp_ignore_case(new.name()),
        };
        let was = if order.is_le() { old.next() } else { None };
        let is = if order.is_ge() { new.next() } else { None };
        match (was, is) {
            (Some(was), None) => found.push(changed(was, "deleted")),
            (Some(was), Some(is)) if was.kind() == is.kind() && was.data() == is.data() => {}
            (_, Some(is)) => found.push(changed(is, "set")),
            (None, None) => {}
        }
    }
}

fn changed(value: &Value, action: &str) -> ChangedValue {
    let number = match value.kind() {
        Kind::DWORD => value.as_u32().map(u64::from),
        Kind::QWORD => value.as_u64(),
        _ => None,
    };
    ChangedValue {
        name: value.name().to_string(),
        action: action.to_owned(),
        kind: value.kind().to_string(),
        size: value.data().len() as u64,
        number: number.filter(|_| action == "set"),
    }
}

#[cfg(test)]
mod tests {
    use disk::FileTime;
    use hive::{Hive, data};

    use super::*;

    fn key() -> Key {
        let mut hive = Hive::new(5, "ROOT", &[1; 20], FileTime(7)).unwrap();
        let root = hive.root_mut();
        root.create("Vendor\\Old").unwrap().set("a", Kind::DWORD, data::dword(1)).unwrap();
        let kept = root.create("Vendor\\Kept").unwrap();
        kept.set("Same", Kind::DWORD, data::dword(1)).unwrap();
        kept.set("Number", Kind::DWORD, data::dword(1)).unwrap();
        kept.set("Gone", Kind::SZ, data::sz("x")).unwrap();
        root.clone()
    }

    #[test]
    fn every_difference_is_listed_and_no_text_with_it() {
        let before = key();
        assert!(KeyChanges::between(&before, &before.clone()).listed.is_empty());
        let mut after = before.clone();
        after.open_mut("Vendor").unwrap().remove("Old").unwrap();
        let kept = after.open_mut("vendor\\kept").unwrap();
        kept.set("NUMBER", Kind::DWORD, data::dword(7)).unwrap();
        kept.unset("Gone").unwrap();
        after.create("Vendor\\New\\Deep").unwrap().set("Password", Kind::SZ, data::sz("secret")).unwrap();
        let changes = KeyChanges::between(&before, &after);
        assert_eq!(changes.more, 0);
        let lines: Vec<String> = changes
            .listed
            .iter()
            .map(|key| {
                let values = key.values.iter();
                let values =
                    values.map(|value| format!(" {} {} {:?}", value.action, value.name, value.number));
                format!("{} {}{}", key.action, key.path, values.collect::<String>())
            })
            .collect();
        assert_eq!(
            lines,
            [
                "deleted Vendor\\Old",
                "changed Vendor\\Kept deleted Gone None set Number Some(7)",
                "made Vendor\\New\\Deep set Password None",
            ]
        );
        assert!(!format!("{changes:?}").contains("secret"));
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let before = key();
        let mut after = before.clone();
        for number in 0..200 {
            let key = after.create(&format!("Many\\{number:03}")).unwrap();
            (0..20).for_each(|value| key.set(&value.to_string(), Kind::SZ, data::sz("x")).unwrap());
        }
        let changes = KeyChanges::between(&before, &after);
        assert_eq!(changes.listed.len() as u64 + changes.more, 200);
        assert_eq!(changes.listed[0].path, "Many\\000");
        assert!(changes.listed.iter().all(|key| key.values.len() as u64 + key.more == 20));
    }
}

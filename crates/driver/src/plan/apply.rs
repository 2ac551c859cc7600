//! A plan's changes, carried out on a hive.

use std::sync::Arc;

use disk::FileTime;
use hive::data::{multi_sz, sz};
use hive::reg::Applied;
use hive::{Key, Kind, Name, Value};
use security::{Creator, Descriptor};

use super::{HiveName, KeyChange, Plan};
use crate::compile::{Action, Mode};

impl Plan {
    /// The changes to one hive, in their order.
    pub fn changes_to(&self, hive: HiveName) -> impl Iterator<Item = &KeyChange> {
        self.changes.iter().filter(move |change| change.hive == hive)
    }

    /// Carries out the changes to one hive, from its root key on, and says how much was done. New keys have the security
    /// descriptor that their parent hands down, as if the system made them; keys that change get `time`.
    ///
    /// # Errors
    /// [`hive::Error`] for names and sizes that the registry does not allow. What came before has been done then.
    pub fn apply(&self, hive: HiveName, root: &mut Key, time: FileTime) -> hive::Result<Applied> {
        let mut applied = Applied::default();
        for change in self.changes_to(hive) {
            carry_out(root, change, time, &mut applied)?;
        }
        Ok(applied)
    }
}

fn carry_out(root: &mut Key, change: &KeyChange, time: FileTime, applied: &mut Applied) -> hive::Result<()> {
    match &change.action {
        Action::CreateKey => {
            make(root, &change.key, time, applied)?;
        }
        Action::DeleteKey => {
            let Some((last, parents)) = change.key.split_last() else { return Ok(()) };
            let parent = parents.iter().try_fold(root, |key, name| key.subkey_mut(name));
            if let Some(parent) = parent
                && parent.remove(last).is_some()
            {
                parent.set_written(time);
                applied.keys_deleted += 1;
            }
        }
        Action::Unset { name } => {
            if let Some(key) = find(root, &change.key)
                && key.unset(name).is_some()
            {
                applied.values_deleted += 1;
                key.set_written(time);
            }
        }
        Action::RemoveText { name, text } => {
            let Some(key) = find(root, &change.key) else { return Ok(()) };
            let Some(texts) = key.value(name).and_then(Value::as_multi) else { return Ok(()) };
            let left = texts.iter().filter(|found| !Name::new(found).is(text));
            key.set(name, Kind::MULTI_SZ, multi_sz(left))?;
            applied.values_set += 1;
            key.set_written(time);
        }
        Action::Set { name, kind, data, mode } => {
            let (kind, data) = match mode {
                Mode::Replace => (Kind(*kind), data.clone()),
                Mode::IfAbsent if is_set(root, change, name) => return Ok(()),
                Mode::IfPresent if !is_set(root, change, name) => return Ok(()),
                Mode::IfAbsent | Mode::IfPresent => (Kind(*kind), data.clone()),
                Mode::Append => joined(root, change, name, Kind(*kind), data),
                Mode::AppendPath => path_added(root, change, name, Kind(*kind), data),
            };
            let key = make(root, &change.key, time, applied)?;
            key.set(name, kind, data)?;
            applied.values_set += 1;
            key.set_written(time);
        }
    }
    Ok(())
}

fn find<'k>(root: &'k mut Key, path: &[String]) -> Option<&'k mut Key> {
    path.iter().try_fold(root, |key, name| key.subkey_mut(name))
}

fn value<'k>(root: &'k Key, change: &KeyChange, name: &str) -> Option<&'k Value> {
    change.key.iter().try_fold(root, |key, name| key.subkey(name))?.value(name)
}

fn is_set(root: &Key, change: &KeyChange, name: &str) -> bool {
    value(root, change, name).is_some()
}

/// The texts of a value with others behind them.
fn joined(root: &Key, change: &KeyChange, name: &str, kind: Kind, data: &[u8]) -> (Kind, Vec<u8>) {
    let new = Value::new("", kind, data).ok().and_then(|value| value.as_multi());
    let old = value(root, change, name).and_then(Value::as_multi);
    let (Some(new), Some(mut texts)) = (new, old) else { return (kind, data.to_vec()) };
    for text in new {
        if !texts.iter().any(|known| Name::new(known).is(&text)) {
            texts.push(text);
        }
    }
    (kind, multi_sz(texts))
}

/// A list of paths with another one behind it. The type stays: some images have `REG_SZ` there.
fn path_added(root: &Key, change: &KeyChange, name: &str, kind: Kind, data: &[u8]) -> (Kind, Vec<u8>) {
    let new = Value::new("", kind, data).ok().and_then(|value| value.as_str()).unwrap_or_default();
    let Some((kind, old)) = value(root, change, name).and_then(|value| Some((value.kind(), value.as_str()?)))
    else {
        return (kind, data.to_vec());
    };
    if old.split(';').any(|known| Name::new(known).is(&new)) {
        return (kind, sz(&old));
    }
    let separator = if old.is_empty() || old.ends_with(';') { "" } else { ";" };
    (kind, sz(&format!("{old}{separator}{new}")))
}

fn make<'k>(
    root: &'k mut Key,
    path: &[String],
    time: FileTime,
    applied: &mut Applied,
) -> hive::Result<&'k mut Key> {
    let mut key = root;
    for name in path {
        if key.subkey(name).is_none() {
            let new = Key::new(name.as_str(), handed_down(key.security()), time)?;
            key.insert(new)?;
            key.set_written(time);
            applied.keys_created += 1;
        }
        key = key.subkey_mut(name).expect("was there or has just been made");
    }
    Ok(key)
}

/// What a new key gets from its parent. A descriptor that nobody understands is handed down as it is.
fn handed_down(parent: &Arc<[u8]>) -> Arc<[u8]> {
    let new = Descriptor::parse(parent).map(|parent| parent.inherit(security::Kind::Key, &Creator::system()));
    match new.and_then(|new| new.to_bytes()) {
        // Most keys have what they hand down, and share it.
        Ok(new) if new[..] == parent[..] => Arc::clone(parent),
        Ok(new) => new.into(),
        Err(_) => Arc::clone(parent),
    }
}

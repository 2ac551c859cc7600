//! Operations on a hive.
//!
//! Operations of one section follow each other and share their path, so a key is looked up once for all of them; and a
//! key that gets many values gets an index of their names first, since values have no order to search by. Both together
//! make the time proportional to the operations, whatever the hive's size.

use std::collections::HashMap;
use std::sync::Arc;

use disk::FileTime;

use super::parse::MAX_DEPTH;
use super::{Change, Error, KeyPath, Operation};
use crate::{Key, Kind, Name, Value};
use disk::upcase::upcase;

/// What was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Keys made, parents included.
    pub keys_created: u64,
    /// Keys deleted; what was below them is not counted.
    pub keys_deleted: u64,
    /// Values set, also to what they were.
    pub values_set: u64,
    /// Values deleted.
    pub values_deleted: u64,
}

impl std::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.keys_created += other.keys_created;
        self.keys_deleted += other.keys_deleted;
        self.values_set += other.values_set;
        self.values_deleted += other.values_deleted;
    }
}

/// Values of a key from which on an index pays: fewer are compared faster one by one.
const MANY: usize = 16;

/// Carries operations out on a hive's root, in their order.
///
/// `locate` says which key below the root an operation's path means, or `None` for a key of another hive, whose
/// operations are passed over. Keys that are made have the security descriptor of their parent. `time` becomes the time
/// of every key that is made or whose values change; without it new keys have their parent's, and others keep theirs.
///
/// # Errors
/// What `locate` returns; [`Error::Refused`] for the deletion of the root, and for a key that lies too deep. What came
/// before has been carried out then.
pub fn apply(
    root: &mut Key,
    operations: &[Operation],
    time: Option<FileTime>,
    locate: &mut dyn FnMut(&Operation) -> Result<Option<KeyPath>, Error>,
) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    for section in operations.chunk_by(|a, b| a.key.is(&b.key)) {
        let first = &section[0];
        let Some(path) = locate(first)? else { continue };
        let refuse = |operation: &Operation, reason: String| Error::Refused {
            line: operation.line,
            key: operation.key.to_string(),
            reason,
        };
        let names = path.names();
        if names.len() >= MAX_DEPTH {
            let reason = format!("lies {} levels deep, the most are {MAX_DEPTH}", names.len() + 1);
            return Err(refuse(first, reason));
        }
        let mut rest = section;
        while let Some(operation) = rest.first() {
            match operation.change {
                Change::DeleteKey => {
                    let Some((last, parents)) = names.split_last() else {
                        return Err(refuse(operation, "the root of a hive cannot be deleted".to_owned()));
                    };
                    let parent = parents.iter().try_fold(&mut *root, |key, name| key.subkey_named_mut(name));
                    if let Some(parent) = parent
                        && parent.remove_named(last).is_some()
                    {
                        applied.keys_deleted += 1;
                        parent.written = time.unwrap_or(parent.written);
                    }
                    rest = &rest[1..];
                }
                Change::CreateKey | Change::SetValue { .. } | Change::DeleteValue { .. } => {
                    let many = rest.iter().position(|next| next.change == Change::DeleteKey);
                    let (now, later) = rest.split_at(many.unwrap_or(rest.len()));
                    // To delete values of a key that is not there is no reason to make it.
                    let makes = now.iter().any(|next| !matches!(next.change, Change::DeleteValue { .. }));
                    let key = if makes {
                        Some(
                            create(root, names, time, &mut applied)
                                .map_err(|error| refuse(operation, error.to_string()))?,
                        )
                    } else {
                        names.iter().try_fold(&mut *root, |key, name| key.subkey_named_mut(name))
                    };
                    if let Some(key) = key {
                        change_values(key, now, time, &mut applied);
                    }
                    rest = later;
                }
            }
        }
    }
    Ok(applied)
}

/// The key at a path, made with its parents as far as it is not there.
fn create<'k>(
    root: &'k mut Key,
    names: &[Name],
    time: Option<FileTime>,
    applied: &mut Applied,
) -> crate::Result<&'k mut Key> {
    let mut key = root;
    for name in names {
        if key.subkey_named(name).is_none() {
            let new = Key::new(name.clone(), Arc::clone(key.security()), time.unwrap_or(key.written()))?;
            key.insert(new)?;
            key.written = time.unwrap_or(key.written);
            applied.keys_created += 1;
        }
        key = key.subkey_named_mut(name).expect("was there or has just been made");
    }
    Ok(key)
}

fn change_values(key: &mut Key, operations: &[Operation], time: Option<FileTime>, applied: &mut Applied) {
    let before = *applied;
    if operations.len() > MANY && key.values.len() + operations.len() > MANY {
        change_many(key, operations, applied);
    } else {
        for operation in operations {
            match &operation.change {
                Change::SetValue { name, kind, data } => {
                    key.set_value(value(name, *kind, data));
                    applied.values_set += 1;
                }
                Change::DeleteValue { name } => {
                    applied.values_deleted += u64::from(key.unset_named(name).is_some());
                }
                Change::CreateKey | Change::DeleteKey => {}
            }
        }
    }
    if *applied != before {
        key.written = time.unwrap_or(key.written);
    }
}

fn value(name: &Name, kind: Kind, data: &[u8]) -> Value {
    Value { name: name.clone(), kind, data: data.to_vec(), flags: 0 }
}

/// The same with an index of the names. What is deleted leaves a gap until the end.
fn change_many(key: &mut Key, operations: &[Operation], applied: &mut Applied) {
    let folded = |name: &Name| -> Box<[u16]> { name.units().iter().map(|&unit| upcase(unit)).collect() };
    let mut values: Vec<Option<Value>> = std::mem::take(&mut key.values).into_iter().map(Some).collect();
    let mut index: HashMap<Box<[u16]>, usize> = HashMap::with_capacity(values.len() + operations.len());
    for (at, value) in values.iter().flatten().enumerate() {
        // Of two values with one name the first is the one that is found.
        index.entry(folded(&value.name)).or_insert(at);
    }
    for operation in operations {
        match &operation.change {
            Change::SetValue { name, kind, data } => {
                let at = *index.entry(folded(name)).or_insert_with(|| {
                    values.push(None);
                    values.len() - 1
                });
                let old = values[at].take();
                // A name that is there keeps its case, as in Windows.
                let name = old.map_or_else(|| name.clone(), |old| old.name);
                values[at] = Some(value(&name, *kind, data));
                applied.values_set += 1;
            }
            Change::DeleteValue { name } => {
                let deleted = index.remove(&folded(name)).and_then(|at| values[at].take());
                applied.values_deleted += u64::from(deleted.is_some());
            }
            Change::CreateKey | Change::DeleteKey => {}
        }
    }
    key.values = values.into_iter().flatten().collect();
}

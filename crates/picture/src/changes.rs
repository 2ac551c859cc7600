//! What is drawn of a plan's changes: whatever lies on the disk otherwise than in the image, on purpose.
//!
//! Of the registry there are names, types and numbers. Text and bytes are left out: a page like this is shown around, and
//! passwords lie in the registry as text.

use serde::Serialize;

/// What a plan changes in its image.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Changes {
    /// What is new.
    pub added: Tally,
    /// What has another content.
    pub changed: Tally,
    /// What is gone.
    pub removed: Tally,
    /// Folders with such files, those first in which most bytes are new.
    pub folders: Vec<ChangedFolder>,
    /// How many are not listed.
    pub more_folders: u64,
    /// The largest files, and some of those that are gone.
    pub files: Vec<Change>,
    /// How many are not listed.
    pub more_files: u64,
    /// Hives of the registry.
    pub registry: Vec<ChangedHive>,
    /// What else was done: the first boot, drivers, packages.
    pub done: Vec<Done>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let none = |tally: &Tally| *tally == Tally::default();
        [&self.added, &self.changed, &self.removed].into_iter().all(none)
            && self.registry.is_empty()
            && self.done.is_empty()
    }
}

/// How much of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Files; of what is gone also folders, which the list of changes does not tell apart.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

/// A folder, and what was changed in and below it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChangedFolder {
    /// Its partition.
    pub partition: u32,
    /// Its path, at most four folders deep.
    pub path: String,
    /// What is new.
    pub added: Tally,
    /// What has another content.
    pub changed: Tally,
    /// What is gone.
    pub removed: Tally,
    /// Why: the first reasons of several.
    pub reasons: Vec<String>,
    /// How many are not listed.
    pub more_reasons: u64,
}

/// A changed file.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// Its partition.
    pub partition: u32,
    /// Its path.
    pub path: String,
    /// `added`, `changed` or `removed`.
    pub action: String,
    /// Its new length.
    pub size: Option<u64>,
    /// Why.
    pub reason: String,
}

/// A hive of the registry.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChangedHive {
    /// Where it is mounted: `HKLM\SOFTWARE`.
    pub hive: String,
    /// Who wanted it.
    pub by: Vec<String>,
    /// Keys that were made.
    pub keys_created: u64,
    /// Keys that were deleted.
    pub keys_deleted: u64,
    /// Values that were set.
    pub values_set: u64,
    /// Values that were deleted.
    pub values_deleted: u64,
    /// Keys that are otherwise than in the image.
    pub keys: Vec<ChangedKey>,
    /// How many are not listed.
    pub more: u64,
}

/// A key of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangedKey {
    /// Its path in the hive; empty for the root.
    pub path: String,
    /// `made`, `changed` or `deleted`.
    pub action: String,
    /// Values of it that are otherwise than in the image.
    pub values: Vec<ChangedValue>,
    /// How many are not listed.
    pub more: u64,
}

/// A value of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangedValue {
    /// Its name; empty for the default value.
    pub name: String,
    /// `set` or `deleted`.
    pub action: String,
    /// Its type, such as `REG_SZ`.
    pub kind: String,
    /// Bytes of its data.
    pub size: u64,
    /// What it is, if it is a number.
    pub number: Option<u64>,
}

impl ChangedValue {
    /// In a few words.
    pub(crate) fn words(&self) -> String {
        let name = if self.name.is_empty() { "(default)" } else { &self.name };
        match (self.action.as_str(), self.number) {
            ("deleted", _) => format!("{name} deleted"),
            (_, Some(number)) => format!("{name} = {number} ({})", self.kind),
            (_, None) => format!("{name} ({})", self.kind),
        }
    }
}

impl ChangedKey {
    /// What happened to it, in a line.
    pub(crate) fn words(&self) -> String {
        let mut words: Vec<String> = self.values.iter().map(ChangedValue::words).collect();
        if self.more > 0 {
            words.push(format!("and {} more", self.more));
        }
        let values = words.join(", ");
        match (self.action.as_str(), values.is_empty()) {
            ("changed", _) => values,
            (action, true) => action.to_owned(),
            (action, false) => format!("{action}: {values}"),
        }
    }
}

impl ChangedHive {
    /// What happened to it, in a line.
    pub(crate) fn words(&self) -> String {
        let counted = [
            (self.keys_created, "key", "made"),
            (self.keys_deleted, "key", "deleted"),
            (self.values_set, "value", "set"),
            (self.values_deleted, "value", "deleted"),
        ];
        let counted = counted.into_iter().filter(|&(number, ..)| number > 0);
        let counted: Vec<String> = counted
            .map(|(number, what, done)| format!("{} {done}", crate::words::count(number, what)))
            .collect();
        let what = if counted.is_empty() { "written anew".to_owned() } else { counted.join(", ") };
        format!("{what}; by {}", self.by.join(", "))
    }
}

impl ChangedFolder {
    /// Bytes that are otherwise than in the image.
    pub(crate) fn bytes(&self) -> u64 {
        self.added.bytes.saturating_add(self.changed.bytes)
    }

    /// What happened in it.
    pub(crate) fn words(&self) -> String {
        let tallies = [(self.added, "added"), (self.changed, "changed"), (self.removed, "removed")];
        let tallies = tallies.into_iter().filter(|(tally, _)| tally.files > 0);
        tallies.map(|(tally, done)| format!("{} {done}", tally.files)).collect::<Vec<_>>().join(", ")
    }

    /// Why, in a line.
    pub(crate) fn why(&self) -> String {
        let mut words = self.reasons.join(", ");
        if self.more_reasons > 0 {
            words += &format!(", and {} more", self.more_reasons);
        }
        words
    }
}

/// What was done, by subject.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Done {
    /// The subject.
    pub what: String,
    /// A line for each.
    pub lines: Vec<String>,
}

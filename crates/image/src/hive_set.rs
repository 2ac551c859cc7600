//! The hives of an image during a build: opened when they are first needed, changed by whoever wants something of them,
//! written once.
//!
//! A hive that nobody changed is not written: it stays the blob that it is, byte for byte, logs and all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{At, FileTime};
use hive::check::Severity;
use hive::paths::KnownHive;
use hive::reg::Applied;
use hive::{Hive, Key};

use crate::customize::inherited;
use crate::hive_changes::KeyChanges;
use crate::registry::{HiveChange, ReadFile, damaged, find_hive};
use crate::{Error, Result};

/// See the module.
#[derive(Debug)]
pub(crate) struct HiveSet {
    /// What errors call the image.
    image: PathBuf,
    /// `None` for one that the image does not have.
    hives: BTreeMap<KnownHive, Option<OpenHive>>,
}

#[derive(Debug)]
struct OpenHive {
    path: String,
    exists: bool,
    /// Paths of the logs beside it.
    logs: Vec<String>,
    hive: Hive,
    /// What it was before the first change.
    before: Option<Key>,
    /// Who changed it, if anybody did.
    reasons: BTreeSet<String>,
    applied: Applied,
}

impl HiveSet {
    /// None of them is open yet. `image` is what errors call the image.
    pub(crate) fn new(image: &Path) -> Self {
        Self { image: image.to_owned(), hives: BTreeMap::new() }
    }

    fn open(&mut self, which: KnownHive, read: &mut ReadFile<'_>) -> Result<Option<&mut OpenHive>> {
        if !self.hives.contains_key(&which) {
            let opened = match find_hive(&self.image, which, read) {
                Ok(found) => {
                    let (hive, _) = found.open(&self.image)?;
                    let logs = found.logs.into_iter().map(|(path, _)| path).collect();
                    let (reasons, applied) = (BTreeSet::new(), Applied::default());
                    let before = None;
                    Some(OpenHive { path: found.path, exists: true, logs, hive, before, reasons, applied })
                }
                Err(Error::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
            self.hives.insert(which, opened);
        }
        Ok(self.hives.get_mut(&which).and_then(Option::as_mut))
    }

    /// A hive to look at; `None` when the image does not have it.
    pub(crate) fn get(&mut self, which: KnownHive, read: &mut ReadFile<'_>) -> Result<Option<&Key>> {
        Ok(self.open(which, read)?.map(|open| open.hive.root()))
    }

    /// A hive to change, and where to say what was done. `reason` is for the record of the build.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the image does not have it.
    pub(crate) fn change(
        &mut self,
        which: KnownHive,
        reason: &str,
        read: &mut ReadFile<'_>,
    ) -> Result<(&mut Key, &mut Applied)> {
        if self.open(which, read)?.is_none() {
            let what = format!("no {}, which holds {}", which.files().join(" or "), which.mount());
            return Err(Error::NotFound { path: self.image.clone(), what });
        }
        let open = self.open(which, read)?.expect("it is there");
        open.before.get_or_insert_with(|| open.hive.root().clone());
        if !open.reasons.contains(reason) {
            open.reasons.insert(reason.to_owned());
        }
        Ok((open.hive.root_mut(), &mut open.applied))
    }

    /// Puts another hive in the place of one, which need not be there, or be readable.
    pub(crate) fn put(
        &mut self,
        which: KnownHive,
        hive: &Hive,
        reason: &str,
        read: &mut ReadFile<'_>,
    ) -> Result<()> {
        let (path, exists, logs) = match find_hive(&self.image, which, read) {
            Ok(found) => (found.path, true, found.logs.into_iter().map(|(path, _)| path).collect()),
            Err(Error::NotFound { .. }) => (which.files()[0].to_owned(), false, Vec::new()),
            Err(error) => return Err(error),
        };
        let reasons = BTreeSet::from([reason.to_owned()]);
        let hive = hive.clone();
        let (before, applied) = (None, Applied::default());
        let open = OpenHive { path, exists, logs, hive, before, reasons, applied };
        self.hives.insert(which, Some(open));
        Ok(())
    }

    /// Takes what all hives are now for what they were before they were changed: the descriptors of keys that were copied
    /// from elsewhere are theirs to keep.
    pub(crate) fn settle(&mut self) {
        for open in self.hives.values_mut().flatten() {
            open.before = None;
        }
    }

    /// The hives that were changed, with their new content. `time` is when, for their headers.
    pub(crate) fn finish(self, time: Option<FileTime>) -> Result<Vec<HiveChange>> {
        let Self { image, hives } = self;
        let changed = hives.into_iter().filter_map(|(which, open)| Some((which, open?)));
        let changed = changed.filter(|(_, open)| !open.reasons.is_empty());
        changed.map(|(which, open)| open.finish(which, &image, time)).collect()
    }
}

impl OpenHive {
    fn finish(mut self, hive: KnownHive, image: &Path, time: Option<FileTime>) -> Result<HiveChange> {
        let mut keys = KeyChanges::default();
        if let Some(before) = self.before.take() {
            keys = KeyChanges::between(&before, self.hive.root());
            secure_new_keys(self.hive.root_mut(), &before);
        }
        self.hive.set_sequence(self.hive.sequence().wrapping_add(1));
        if let Some(time) = time {
            self.hive.set_written(time);
        }
        let Self { path, exists, logs, reasons, applied, hive: content, .. } = self;
        let bytes = content.to_bytes().map_err(|source| damaged(image, &path, source))?;
        if let Some(found) =
            hive::check(&bytes).findings.first().filter(|found| found.severity == Severity::Error)
        {
            let at = At::new("hive after its edits", found.offset);
            return Err(damaged(image, &path, hive::Error::Malformed { at, reason: found.to_string() }));
        }
        let by: Vec<String> = reasons.into_iter().collect();
        let reason = format!("registry: {}", by.join(", "));
        let KeyChanges { listed: keys, more: more_keys } = keys;
        Ok(HiveChange { hive, path, exists, bytes, logs, applied, reason, by, keys, more_keys })
    }
}

/// Gives keys that are new the descriptors that Windows would: those that their parents hand down. Whoever made them gave
/// them their parent's own; keys with another one have it for a reason.
fn secure_new_keys(root: &mut Key, before: &Key) {
    let mut handed_down: BTreeMap<Arc<[u8]>, Arc<[u8]>> = BTreeMap::new();
    let mut of = |parent: &Arc<[u8]>| {
        let made = handed_down.entry(Arc::clone(parent));
        Arc::clone(made.or_insert_with(|| inherited(parent, security::Kind::Key).into()))
    };
    let own = Arc::clone(root.security());
    let mut waiting = vec![Visit { key: root, before: Some(before), made_with: own }];
    while let Some(Visit { key, before, made_with: copied }) = waiting.pop() {
        let parent = Arc::clone(key.security());
        for child in key.subkeys_mut() {
            let known = before.and_then(|before| before.subkey_named(child.name()));
            let made_with = Arc::clone(child.security());
            if known.is_none() && made_with == copied {
                child.set_security(of(&parent));
            }
            waiting.push(Visit { key: child, before: known, made_with });
        }
    }
}

/// A key whose subkeys are to be looked at.
struct Visit<'k> {
    key: &'k mut Key,
    /// What it was; what is below a key that is new, is new.
    before: Option<&'k Key>,
    /// The descriptor that it was made with.
    made_with: Arc<[u8]>,
}

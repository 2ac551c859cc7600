//! One image being customised: its files and its hives, as they are at the moment.
//!
//! Whoever wants something of an image (drivers, packages, the first boot, the user's own files) works through this and
//! nothing else, one after the other, and sees what those before it did. Every change is recorded with its reason.

use std::io::Read;
use std::path::{Path, PathBuf};

use disk::FileTime;
use hive::Key;
use hive::paths::KnownHive;
use hive::reg::{Applied, Operation};
use security::Kind;

use super::protection::{Protection, inherited};
use super::report::{HiveReport, Report};
use crate::edit::{Change, Editor, Style};
use crate::hive_set::HiveSet;
use crate::prepass::Prepass;
use crate::registry::{self, HiveChange, MAX_HIVE, RegistryEdits};
use crate::spool::{Growing, Spool};
use crate::tree::{self, Content, DescriptorId, NodeId, Tree};
use crate::{Error, Result};

/// `FILE_ATTRIBUTE_ARCHIVE`: what Windows gives every new file.
pub(crate) const ARCHIVE: u32 = 0x20;

/// See the module.
pub(crate) struct Session<'a> {
    editor: Editor<'a>,
    prepass: &'a Prepass<'a>,
    spool: &'a Spool,
    hives: HiveSet,
    /// The time of files that have none of their own, and of keys.
    time: FileTime,
    /// The same if it was asked for; else keys that are made by `.reg` files get that of their parent.
    key_time: Option<FileTime>,
    /// What was noticed, one sentence each.
    pub(crate) notes: Vec<String>,
}

impl<'a> Session<'a> {
    /// Of the tree of partition `partition`. `image` is what errors call the image.
    pub(crate) fn new(
        tree: &'a mut Tree,
        image: &Path,
        prepass: &'a Prepass<'a>,
        spool: &'a Spool,
        partition: u32,
        time: FileTime,
        key_time: Option<FileTime>,
    ) -> Self {
        let editor = Editor::new(tree, prepass, partition);
        Self { editor, prepass, spool, hives: HiveSet::new(image), time, key_time, notes: Vec::new() }
    }

    /// The time of the build.
    pub(crate) fn time(&self) -> FileTime {
        self.time
    }

    /// Whether there is a file or directory of this path, with slashes or backslashes.
    pub(crate) fn exists(&mut self, path: &str) -> bool {
        self.editor.find(path).is_some()
    }

    /// What is in a file; `None` when it is not there.
    pub(crate) fn read(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        read(&mut self.editor, self.prepass, path, limit)
    }

    /// The names in a directory, and whether they are directories, sorted; none when it is not there.
    pub(crate) fn list(&mut self, path: &str) -> Vec<(String, bool)> {
        let Some(directory) = self.editor.find(path) else { return Vec::new() };
        let children = self.editor.children(directory);
        let tree = self.editor.tree();
        let of = |number: u32| {
            let name = &tree.names[number as usize];
            let is_directory = tree.nodes[name.node.0 as usize].is_directory();
            (String::from_utf16_lossy(&name.long), is_directory)
        };
        let mut names: Vec<(String, bool)> = children.into_iter().map(of).collect();
        names.sort();
        names
    }

    /// A hive to look at; `None` when the image does not have it.
    pub(crate) fn hive(&mut self, which: KnownHive) -> Result<Option<&Key>> {
        let Self { editor, prepass, hives, .. } = self;
        hives.get(which, &mut |path| read(editor, prepass, path, MAX_HIVE))
    }

    /// A hive to change, and where to count what was done.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the image does not have it.
    pub(crate) fn hive_mut(&mut self, which: KnownHive, reason: &str) -> Result<(&mut Key, &mut Applied)> {
        let Self { editor, prepass, hives, .. } = self;
        hives.change(which, reason, &mut |path| read(editor, prepass, path, MAX_HIVE))
    }

    /// Carries out changes to whichever hives they mean.
    pub(crate) fn registry(&mut self, reason: &str, operations: &[Operation]) -> Result<()> {
        let (time, name) = (Some(self.time), PathBuf::from(reason));
        let Self { editor, prepass, hives, .. } = self;
        let read = &mut |path: &str| read(editor, prepass, path, MAX_HIVE);
        registry::apply_operations(hives, &name, operations, time, read)
    }

    /// The first part of what a user wants of the registry: whole hives.
    pub(crate) fn put_hives(&mut self, edits: &RegistryEdits) -> Result<()> {
        let Self { editor, prepass, hives, key_time, .. } = self;
        edits.put_hives(hives, *key_time, &mut |path| read(editor, prepass, path, MAX_HIVE))
    }

    /// The second part: `.reg` files.
    pub(crate) fn apply_reg_files(&mut self, edits: &RegistryEdits) -> Result<()> {
        let Self { editor, prepass, hives, key_time, .. } = self;
        edits.apply_files(hives, *key_time, &mut |path| read(editor, prepass, path, MAX_HIVE))
    }

    /// Keeps all that `from` gives for a file to be [put](Self::put); `what` is what errors call it.
    pub(crate) fn keep(&self, what: &Path, from: &mut dyn Read) -> Result<Content> {
        let taken = self.spool.take(from, u64::MAX)?;
        let taken = taken.map_err(|source| Error::Read { path: what.to_owned(), source })?;
        Ok(taken.expect("there is no limit"))
    }

    /// Keeps bytes for a file to be [put](Self::put).
    pub(crate) fn keep_bytes(&self, bytes: &[u8]) -> Result<Content> {
        self.spool.take_bytes(bytes)
    }

    /// A file to be [put](Self::put) whose content comes in pieces, one such at a time.
    pub(crate) fn begin(&self) -> Growing<'_> {
        self.spool.begin()
    }

    /// The directory of this path, made with its parents where it is missing, as Windows would: each with the descriptor
    /// that its parent hands down. `protection` is for the last.
    pub(crate) fn directory(&mut self, path: &str, protection: &Protection, reason: &str) -> Result<NodeId> {
        let parts: Vec<&str> = path.split(['\\', '/']).filter(|part| !part.is_empty()).collect();
        let mut at = NodeId::ROOT;
        let mut so_far = String::new();
        for (position, part) in parts.iter().enumerate() {
            let parent = at;
            so_far = format!("{so_far}\\{part}");
            at = match self.editor.find(&so_far) {
                Some(node) => node,
                None => {
                    check_name(part, path)?;
                    let last = position + 1 == parts.len();
                    let protection = if last { protection } else { &Protection::Inherit };
                    let security = self.descriptor(parent, protection, Kind::Directory)?;
                    let style = Style::new(0, self.time, security);
                    self.editor.directory(&so_far, &style, reason)?
                }
            };
        }
        Ok(at)
    }

    /// Writes a file, and the directories above it that are missing. One that is there keeps its descriptor, unless another
    /// is asked for.
    pub(crate) fn put(
        &mut self,
        path: &str,
        content: Content,
        protection: &Protection,
        reason: &str,
    ) -> Result<()> {
        let time = self.time;
        self.put_as(
            path,
            content,
            protection,
            tree::Times { created: time, written: time, accessed: time },
            reason,
        )
    }

    /// The same with times.
    pub(crate) fn put_as(
        &mut self,
        path: &str,
        content: Content,
        protection: &Protection,
        times: tree::Times,
        reason: &str,
    ) -> Result<()> {
        let (parent, name) = path.rsplit_once(['\\', '/']).unwrap_or(("", path));
        check_name(name, path)?;
        let parent = self.directory(parent, &Protection::Inherit, reason)?;
        let security = self.descriptor(parent, protection, Kind::File)?;
        let style = Style { attributes: ARCHIVE, times, security };
        self.editor.file(path, content, &style, reason)?;
        if !matches!(protection, Protection::Inherit) {
            self.editor.protect(path, security);
        }
        Ok(())
    }

    /// Gives a file or directory attributes that it has besides those of its kind.
    pub(crate) fn mark(&mut self, path: &str, hidden: bool, system: bool) {
        self.editor.mark(path, (u32::from(hidden) * 0x2) | (u32::from(system) * 0x4));
    }

    /// Another name for a file that is there.
    pub(crate) fn link(&mut self, path: &str, new: &str, reason: &str) -> Result<()> {
        let (parent, name) = new.rsplit_once(['\\', '/']).unwrap_or(("", new));
        check_name(name, new)?;
        self.directory(parent, &Protection::Inherit, reason)?;
        self.editor.link(path, new, reason)
    }

    fn descriptor(
        &mut self,
        parent: NodeId,
        protection: &Protection,
        kind: Kind,
    ) -> Result<Option<DescriptorId>> {
        let bytes = match protection {
            Protection::Inherit => {
                let tree = self.editor.tree();
                let of_parent = tree.nodes[parent.0 as usize].security;
                let Some(id) = of_parent else { return Ok(None) };
                inherited(&tree.descriptors[id.0 as usize], kind)
            }
            Protection::Secret => super::protection::secret(kind),
            Protection::Descriptor(bytes) => bytes.clone(),
        };
        Ok(Some(self.editor.descriptor(&bytes)))
    }

    /// Writes the hives that were changed, and says what was done.
    pub(crate) fn finish(mut self, report: &mut Report) -> Result<(Vec<Change>, Vec<String>)> {
        let hives = std::mem::replace(&mut self.hives, HiveSet::new(Path::new("")));
        for hive in hives.finish(self.key_time)? {
            report.registry.push(HiveReport::of(&hive));
            self.put_hive(hive)?;
        }
        Ok((self.editor.finish(), self.notes))
    }

    fn put_hive(&mut self, change: HiveChange) -> Result<()> {
        let HiveChange { path, exists, bytes, logs, reason, .. } = change;
        let content = Content::Bytes(bytes.into());
        if exists {
            self.editor.replace(&path, content, &reason)?;
        } else {
            self.put(&path, content, &Protection::Inherit, &reason)?;
        }
        for log in logs {
            self.editor.replace(&log, Content::Empty, "what it held is in the hive")?;
        }
        Ok(())
    }
}

fn read(editor: &mut Editor<'_>, prepass: &Prepass<'_>, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(node) = editor.find(path) else { return Ok(None) };
    let content = editor.tree().nodes[node.0 as usize].data.as_ref();
    content.map(|content| prepass.read(content, limit)).transpose()
}

/// Refuses names that Windows would not let anybody make.
fn check_name(name: &str, path: &str) -> Result<()> {
    let reason = if name.is_empty() || name == "." || name == ".." {
        "that is no name"
    } else if name.contains(|c: char| c < ' ' || "<>:\"|?*/\\".contains(c)) {
        "Windows allows none of < > : \" | ? * and no control characters in names"
    } else if name.ends_with(['.', ' ']) {
        "Windows allows no names that end in a dot or a space"
    } else if name.encode_utf16().count() > 255 {
        "names have at most 255 characters"
    } else {
        return Ok(());
    };
    Err(Error::Recipe(format!("{path:?} cannot be put into the image: {reason}")))
}

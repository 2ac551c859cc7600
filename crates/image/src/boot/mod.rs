//! What makes a disk start: boot code, the boot manager and its files, the store that tells it what to start, and the
//! recovery environment.
//!
//! All of it comes from the image itself, as with bcdboot: the boot files lie in `\Windows\Boot`, its defaults in
//! `\Windows\System32\config\BCD-Template`. Nothing else is needed of it, so an image without boot files still becomes a
//! disk; the plan notes that it will not start.
//!
//! What is needed of the image's tree is taken from it first ([`Boot::find`]); what depends on where partitions are comes
//! later, when that is known.

mod code;
mod facts;
mod files;
mod winre;

use std::sync::Arc;

use disk::{FileTime, Seed};
use serde::Serialize;

pub(crate) use self::code::BootCodes;
use self::facts::Facts;
pub(crate) use self::files::Firmware;
use self::files::{BootFiles, Machine};
pub(crate) use self::winre::DiskId;
use self::winre::Location;
use crate::edit::{Change, Editor, Style};
use crate::prepass::Prepass;
use crate::recipe::{Layout, MIB, Recipe};
use crate::tree::{Content, NodeId, Times, Tree};
use crate::tree_index::TreeIndex;
use crate::{Error, Result};

const HIDDEN: u32 = 0x2;
const SYSTEM: u32 = 0x4;
const ARCHIVE: u32 = 0x20;

/// BOOTMGR is loaded between 128 KiB and where the BIOS keeps its own data, at 640 KiB less 1 KiB on most machines.
const LARGEST_BOOTMGR: u64 = 0x9FC00 - 0x20000;
/// Boot programs have two or three MiB.
const LARGEST_PROGRAM: u64 = 64 * MIB;

/// What a plan says of how the disk starts.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BootSummary {
    /// `bios` or `uefi`.
    pub firmware: &'static str,
    /// Whether the image has a boot manager for it: without one, the disk does not start.
    pub starts: bool,
    /// Boot files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where on the first partition the boot configuration data is.
    pub store: Option<&'static str>,
    /// The GUID of the entry that starts Windows.
    pub entry: Option<String>,
    /// Whose boot code the disk has: `own`, `from-image` or `none`. UEFI machines run none.
    pub code: &'static str,
    /// Whether the recovery environment was moved to the Recovery partition.
    pub recovery: bool,
}

/// A file or directory of the image that is put somewhere else, too.
#[derive(Clone, Debug)]
struct Item {
    /// Where it goes.
    path: String,
    /// Where it is in the image.
    from: String,
    attributes: u32,
    times: Times,
    /// Its security descriptor.
    security: Option<Arc<[u8]>>,
    content: Content,
}

impl Item {
    fn new(tree: &Tree, node: NodeId, path: &str, from: &str, attributes: u32) -> Self {
        let found = &tree.nodes[node.0 as usize];
        let security = found.security.map(|id| Arc::from(&*tree.descriptors[id.0 as usize]));
        let content = found.data.clone().unwrap_or(Content::Empty);
        Self {
            path: path.to_owned(),
            from: from.to_owned(),
            attributes,
            times: found.times,
            security,
            content,
        }
    }

    fn style(&self, editor: &mut Editor<'_>) -> Style {
        let security = self.security.as_ref().map(|bytes| editor.descriptor(bytes));
        Style { attributes: self.attributes, times: self.times, security }
    }

    fn put(&self, editor: &mut Editor<'_>) -> Result<()> {
        let style = self.style(editor);
        editor.file(&self.path, self.content.clone(), &style, &format!("copied from {}", self.from))
    }
}

/// Where the partitions are, as stores name them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// What the partition table calls the disk.
    pub(crate) disk: DiskId,
    /// The partition that firmware starts from.
    pub(crate) system: bcd::DeviceKind,
    /// The partition with Windows.
    pub(crate) windows: bcd::DeviceKind,
    /// The Recovery partition, and its first byte.
    pub(crate) recovery: Option<(bcd::DeviceKind, u64)>,
}

/// The recovery environment of an image.
#[derive(Clone, Debug)]
struct Winre {
    wim: Item,
    sdi: Item,
    /// The image's own `ReAgent.xml`, or what stands for it.
    agent: Item,
}

/// How an image becomes a disk that starts.
pub(crate) struct Boot<'a> {
    recipe: &'a Recipe,
    prepass: &'a Prepass<'a>,
    seed: Seed,
    time: FileTime,
    firmware: Firmware,
    facts: Facts,
    directories: Vec<Item>,
    /// Empty when there is no boot manager.
    files: Vec<Item>,
    winre: Option<Winre>,
    /// What was found out, one sentence each.
    pub(crate) notes: Vec<String>,
}

impl<'a> Boot<'a> {
    /// Takes from the image what is needed of it.
    pub(crate) fn find(
        tree: &Tree,
        info: Option<&wim::ImageInfo>,
        recipe: &'a Recipe,
        prepass: &'a Prepass<'a>,
        seed: &Seed,
        time: FileTime,
    ) -> Result<Self> {
        let firmware = Firmware::of(recipe.layout);
        let index = TreeIndex::new(tree);
        let mut notes = Vec::new();
        if !recipe.boot.files {
            let facts = Facts::none();
            let (directories, files, winre) = (Vec::new(), Vec::new(), None);
            let seed = seed.child("boot");
            return Ok(Self {
                recipe,
                prepass,
                seed,
                time,
                firmware,
                facts,
                directories,
                files,
                winre,
                notes,
            });
        }
        let mut found = BootFiles::of(&index, firmware, recipe.boot.ex);
        let manager = found.get(firmware.manager()).cloned();
        match manager.map(|manager| Item::new(tree, manager.node, &manager.path, &manager.from, 0)) {
            None => {
                found = BootFiles::default();
                notes.push(format!(
                    "the image has no boot manager for {} ({}), so the disk does not start by itself",
                    firmware.name().to_uppercase(),
                    firmware.manager_in_image()
                ));
            }
            Some(manager) if firmware == Firmware::Bios => {
                if manager.content.len() > LARGEST_BOOTMGR {
                    notes.push(format!(
                        "{} has {} bytes, and a BIOS machine has room for {LARGEST_BOOTMGR}: the disk will not start",
                        manager.from,
                        manager.content.len()
                    ));
                }
            }
            Some(manager) => match Machine::of(&prepass.read(&manager.content, LARGEST_PROGRAM)?) {
                Some(machine) => found.add_fallback(machine),
                None => notes.push(format!(
                    "{} is no program for a machine that is known, so nothing is put into \\EFI\\Boot, where firmware \
                     looks",
                    manager.from
                )),
            },
        }
        let facts = Facts::of(&index, info, firmware, &found, prepass, &mut notes)?;
        let winre = match recipe.layout {
            Layout::Mbr1 => None,
            _ => Winre::find(&index, time, &mut notes),
        };
        let directories = found.directories.iter();
        let directories =
            directories.map(|found| Item::new(tree, found.like, &found.path, "", found.attributes)).collect();
        let files = found.files.iter();
        let files =
            files.map(|file| Item::new(tree, file.node, &file.path, &file.from, file.attributes)).collect();
        let seed = seed.child("boot");
        Ok(Self { recipe, prepass, seed, time, firmware, facts, directories, files, winre, notes })
    }

    /// Whether there is something to start.
    pub(crate) fn starts(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether the image has a recovery environment, which then goes to the Recovery partition.
    pub(crate) fn has_recovery(&self) -> bool {
        self.winre.is_some()
    }

    fn setup(&self, places: &Places) -> bcd::Setup {
        let recovery = places.recovery.filter(|_| self.winre.is_some()).map(|(device, _)| device);
        self.facts.setup(self.firmware, self.recipe, places, recovery, &self.seed, self.time)
    }

    /// For the plan's summary.
    pub(crate) fn summary(&self, places: &Places, code: &'static str) -> BootSummary {
        let starts = self.starts();
        BootSummary {
            firmware: self.firmware.name(),
            starts,
            files: self.files.len() as u64,
            bytes: self.files.iter().map(|file| file.content.len()).sum(),
            store: starts.then(|| self.firmware.store()),
            entry: starts.then(|| format!("{{{}}}", self.setup(places).loader_id())),
            code,
            recovery: self.winre.is_some(),
        }
    }

    /// The stores, by path: what is to be started, and from where.
    fn stores(&self, places: &Places) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let setup = self.setup(places);
        let wrap = |source| Error::Bcd { source };
        let store = bcd::create_from(&setup, self.facts.template.as_ref()).map_err(wrap)?;
        let mut stores = vec![(self.firmware.store(), store.to_bytes().map_err(wrap)?)];
        if self.firmware == Firmware::Uefi {
            let recovery = bcd::create_recovery_store(&setup).map_err(wrap)?;
            stores.push((files::RECOVERY_STORE, recovery.to_bytes().map_err(wrap)?));
        }
        Ok(stores)
    }

    /// Edits what of the Windows volume depends on how the disk starts: the image's template for stores, the place of the
    /// recovery environment, and with a single partition all that [`system_tree`](Self::system_tree) has.
    pub(crate) fn edit_windows(&self, editor: &mut Editor<'_>, places: &Places) -> Result<()> {
        if let Some(bytes) = self.facts.edited_template(self.recipe)? {
            editor.replace(
                facts::TEMPLATE,
                Content::Bytes(Arc::from(bytes)),
                "edited for the boot options",
            )?;
        }
        if let (Some(winre), Some(_)) = (&self.winre, places.recovery) {
            editor.remove(winre::IN_IMAGE, "moved to the Recovery partition");
            let style = winre.agent.style(editor);
            editor.file(
                winre::AGENT,
                self.agent(places),
                &style,
                "says where the recovery environment is",
            )?;
        }
        if self.recipe.layout == Layout::Mbr1 {
            self.put_files(editor, places)?;
        }
        Ok(())
    }

    /// Corrects the place of the recovery environment after [`edit_windows`](Self::edit_windows), once it is known.
    pub(crate) fn place_recovery(&self, editor: &mut Editor<'_>, places: &Places) -> Result<()> {
        editor.replace(winre::AGENT, self.agent(places), "says where the recovery environment is")
    }

    /// `ReAgent.xml`.
    fn agent(&self, places: &Places) -> Content {
        let (_, offset) = places.recovery.expect("there is a Recovery partition when something is put there");
        let entry = self.setup(places).recovery_id();
        let text = winre::agent(&Location { offset, disk: places.disk, entry });
        Content::Bytes(Arc::from(text.into_bytes()))
    }

    /// Puts the boot files and the stores where firmware and boot manager look for them.
    fn put_files(&self, editor: &mut Editor<'_>, places: &Places) -> Result<()> {
        if !self.starts() {
            return Ok(());
        }
        for directory in &self.directories {
            let style = directory.style(editor);
            editor.directory(&directory.path, &style, "for boot files")?;
        }
        for file in &self.files {
            file.put(editor)?;
        }
        let like = self.directories.first().and_then(|directory| directory.security.clone());
        for (path, bytes) in self.stores(places)? {
            let security = like.as_ref().map(|bytes| editor.descriptor(bytes));
            let style = Style::new(ARCHIVE, self.time, security);
            let directory = path.rsplit_once('\\').map_or("", |(directory, _)| directory);
            editor.directory(directory, &Style::new(0, self.time, security), "for boot files")?;
            editor.file(path, Content::Bytes(Arc::from(bytes)), &style, "says what to start")?;
        }
        Ok(())
    }

    /// The tree of partition `partition`, from which firmware starts, and the record of what is there.
    pub(crate) fn system_tree(&self, places: &Places, partition: u32) -> Result<(Tree, Vec<Change>)> {
        self.tree(partition, |editor| self.put_files(editor, places))
    }

    /// The tree of the Recovery partition, and the record of what is there.
    pub(crate) fn recovery_tree(&self, places: &Places, partition: u32) -> Result<(Tree, Vec<Change>)> {
        self.tree(partition, |editor| {
            let (Some(winre), Some(_)) = (&self.winre, places.recovery) else { return Ok(()) };
            let style = Style::new(HIDDEN | SYSTEM, self.time, None);
            editor.directory(winre::DIRECTORY, &style, "for the recovery environment")?;
            winre.wim.put(editor)?;
            winre.sdi.put(editor)?;
            let style = winre.agent.style(editor);
            let path = format!("{}\\ReAgent.xml", winre::DIRECTORY);
            editor.file(&path, self.agent(places), &style, "says where the recovery environment is")
        })
    }

    fn tree(
        &self,
        partition: u32,
        edit: impl FnOnce(&mut Editor<'_>) -> Result<()>,
    ) -> Result<(Tree, Vec<Change>)> {
        let mut tree = Tree::empty(Times { created: self.time, written: self.time, accessed: self.time });
        let mut editor = Editor::new(&mut tree, self.prepass, partition);
        edit(&mut editor)?;
        let changes = editor.finish();
        Ok((tree, changes))
    }
}

impl Winre {
    fn find(index: &TreeIndex<'_>, time: FileTime, notes: &mut Vec<String>) -> Option<Self> {
        let tree = index.tree();
        let (name, wim) = index.find(winre::IN_IMAGE)?;
        let target = |name: &str| format!("{}\\{name}", winre::DIRECTORY);
        let is_file = |node: NodeId| {
            let node = &tree.nodes[node.0 as usize];
            node.data.is_some() && node.reparse.is_none()
        };
        if !is_file(wim) {
            return None;
        }
        let sdi = winre::SDI.iter().find_map(|from| Some((from, index.find(from)?.1)));
        let Some((from, sdi)) = sdi.filter(|(_, node)| is_file(*node)) else {
            notes.push(format!(
                "{} stays where it is: it starts from a RAM disk, and the image has no {}",
                winre::IN_IMAGE,
                winre::SDI[0]
            ));
            return None;
        };
        let kind = HIDDEN | SYSTEM | ARCHIVE;
        let parent = tree.names[name?.0 as usize].parent;
        let mut agent = match index.find(winre::AGENT) {
            Some((_, node)) if is_file(node) => Item::new(tree, node, "", winre::AGENT, ARCHIVE),
            _ => Item::new(tree, parent, "", winre::AGENT, ARCHIVE),
        };
        agent.times = Times { created: time, written: time, accessed: time };
        Some(Self {
            wim: Item::new(tree, wim, &target("Winre.wim"), winre::IN_IMAGE, kind),
            sdi: Item::new(tree, sdi, &target("boot.sdi"), from, kind),
            agent,
        })
    }
}

//! From a customised tree to a disk in which every byte is accounted for: Windows first, then the partitions around it.

use disk::{Content, ExtentMap, FileTime, Label, NO_NODE, Seed};
use ntfs_writer as ntfs;

use crate::boot::{Boot, BootCodes, Places};
use crate::build::PartitionSummary;
use crate::disk_layout::{self, Role, Slot, VolumeKind};
use crate::edit::{Editor, Record};
use crate::esp::Esp;
use crate::late::SmallBlobs;
use crate::prepass::Prepass;
use crate::recipe::{MIB, Recipe};
use crate::tree::Tree;
use crate::{Error, Result, volume};

/// What decides how a disk is laid out, but for the tree of Windows.
pub(crate) struct Planner<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) seed: &'a Seed,
    pub(crate) time: FileTime,
    pub(crate) codes: &'a BootCodes,
    pub(crate) boot: &'a Boot<'a>,
}

/// The Windows volume, planned, and the partitions, which have their places now.
pub(crate) struct Windows {
    plan: ntfs::Plan,
    slots: Vec<Slot>,
    /// Size of the disk in bytes.
    pub(crate) disk_size: u64,
    /// What boot configuration names.
    pub(crate) places: Places,
}

/// A disk, laid out.
#[derive(Default)]
pub(crate) struct LaidOut {
    /// Every byte of it.
    pub(crate) map: ExtentMap,
    /// The NTFS volumes, by maker number.
    pub(crate) volumes: Vec<ntfs::Volume>,
    /// The partitions, in disk order.
    pub(crate) partitions: Vec<PartitionSummary>,
    /// What the Windows volume says of itself.
    pub(crate) notes: Vec<String>,
}

impl Planner<'_> {
    /// Puts into the tree of Windows what booting needs there. The place of the Recovery partition depends on the size
    /// of Windows, which is planned first: what is written of it here has the same length for every place.
    pub(crate) fn edit_windows(
        &self,
        tree: &mut Tree,
        prepass: &Prepass<'_>,
        record: &mut Record,
    ) -> Result<Places> {
        let places = disk_layout::places(self.recipe, self.seed, 0);
        let mut editor = Editor::new(tree, prepass, self.windows_number());
        self.boot.edit_windows(&mut editor, &places)?;
        record.extend(editor.finish());
        Ok(places)
    }

    /// Plans the Windows volume, and with its size all partitions.
    pub(crate) fn windows(
        &self,
        mut tree: Tree,
        mut places: Places,
        prepass: &Prepass<'_>,
        record: &mut Record,
    ) -> Result<Windows> {
        let start = disk_layout::windows_start(self.recipe);
        if !self.boot.has_recovery() {
            let plan = self.plan(tree, Role::Windows, start)?;
            let (disk_size, slots) = disk_layout::partitions(self.recipe, plan.min_size(), 0)?;
            return Ok(Windows { plan, slots, disk_size, places });
        }
        let (recovery, _) = self.boot.recovery_tree(&places, 0)?;
        let recovery = self.plan(recovery, Role::Recovery, start)?.min_size();
        let needed = self.plan(tree.clone(), Role::Windows, start)?.min_size();
        let (_, provisional) = disk_layout::partitions(self.recipe, needed, recovery)?;
        let recovery_start =
            provisional.iter().find(|slot| slot.role == Role::Recovery).map_or(0, |slot| slot.start);
        places = disk_layout::places(self.recipe, self.seed, recovery_start);
        let mut editor = Editor::new(&mut tree, prepass, self.windows_number());
        self.boot.place_recovery(&mut editor, &places)?;
        record.refresh(editor.finish());
        let plan = self.plan(tree, Role::Windows, start)?;
        let (disk_size, slots) = disk_layout::partitions(self.recipe, plan.min_size(), recovery)?;
        if slots != provisional {
            return Err(Error::Recipe("the partitions moved while they were planned".to_owned()));
        }
        Ok(Windows { plan, slots, disk_size, places })
    }

    /// Plans the other volumes, and lays all of them out.
    pub(crate) fn disk(
        &self,
        windows: &Windows,
        small: &mut SmallBlobs,
        record: &mut Record,
    ) -> Result<LaidOut> {
        let Windows { slots, disk_size, .. } = windows;
        let mut disk = LaidOut::default();
        let table = disk_layout::Table::new(self.recipe, self.seed, slots, *disk_size, self.codes.mbr())?;
        table.push_start(&mut disk.map);
        for slot in slots {
            disk.map.pad_to(slot.start);
            let mut summary = self.summary(slot, disk.partitions.len() as u32 + 1);
            match slot.role.volume(self.recipe.layout) {
                VolumeKind::Nothing => {}
                VolumeKind::Fat32 => self.fat32(&mut disk, slot, &mut summary, windows, record)?,
                VolumeKind::Ntfs => self.ntfs(&mut disk, slot, &mut summary, windows, small, record)?,
            }
            disk.partitions.push(summary);
        }
        table.push_end(&mut disk.map);
        disk.map.pad_to(*disk_size);
        Ok(disk)
    }

    fn fat32(
        &self,
        disk: &mut LaidOut,
        slot: &Slot,
        summary: &mut PartitionSummary,
        windows: &Windows,
        record: &mut Record,
    ) -> Result<()> {
        let (tree, put) = self.boot.system_tree(&windows.places, summary.number)?;
        record.extend(put);
        let esp = Esp::new(tree, slot.start, self.seed, slot.role.name(), self.time)?;
        summary.needed = esp.min_size();
        summary.file_system = Some("FAT32");
        summary.serial = Some(esp.serial().into());
        if summary.needed > slot.len {
            let needed = summary.needed / MIB;
            return Err(Error::Recipe(format!("--system-size: the boot files need {needed}MiB")));
        }
        disk.map.append(esp.lay_out(slot.len)?, |content, label| (content, label));
        Ok(())
    }

    fn ntfs(
        &self,
        disk: &mut LaidOut,
        slot: &Slot,
        summary: &mut PartitionSummary,
        windows: &Windows,
        small: &mut SmallBlobs,
        record: &mut Record,
    ) -> Result<()> {
        let other;
        let plan = match slot.role {
            Role::Windows => &windows.plan,
            role => {
                let (tree, put) = match role {
                    Role::Recovery => self.boot.recovery_tree(&windows.places, summary.number)?,
                    _ => self.boot.system_tree(&windows.places, summary.number)?,
                };
                record.extend(put);
                small.add(&tree);
                other = self.plan(tree, role, slot.start)?;
                &other
            }
        };
        summary.needed = plan.min_size();
        summary.file_system = Some("NTFS");
        summary.serial = Some(self.serial(slot.role));
        let laid_out =
            plan.lay_out(slot.len).map_err(|source| Error::Volume { volume: slot.role.name(), source })?;
        // The others have nothing to say that anybody could act on.
        if slot.role == Role::Windows {
            disk.notes.extend(laid_out.notes().iter().map(ToString::to_string));
        }
        let maker = disk.volumes.len() as u32;
        disk.map.append(laid_out.map().clone(), |content, label| {
            let content = match content {
                Content::Made { offset, .. } => Content::Made { maker, offset },
                other => other,
            };
            // Node numbers are the Windows volume's own.
            let node = if slot.role == Role::Windows { label.node } else { NO_NODE };
            (content, Label { kind: label.kind, node })
        });
        disk.volumes.push(laid_out);
        Ok(())
    }

    fn summary(&self, slot: &Slot, number: u32) -> PartitionSummary {
        let (kind, id) = disk_layout::identity(self.recipe, self.seed, slot.role);
        PartitionSummary {
            number,
            name: slot.role.name(),
            start: slot.start,
            size: slot.len,
            needed: slot.len,
            kind,
            id: id.map(|id| id.to_string()),
            active: slot.active,
            file_system: None,
            serial: None,
        }
    }

    fn windows_number(&self) -> u32 {
        disk_layout::number(self.recipe, Role::Windows).expect("every layout has one")
    }

    fn serial(&self, role: Role) -> u64 {
        self.seed.child(role.name()).u64("volume serial")
    }

    /// Plans a tree as the volume of a partition that begins at `start`.
    fn plan(&self, tree: Tree, role: Role, start: u64) -> Result<ntfs::Plan> {
        let hidden_sectors = u32::try_from(start / 512)
            .map_err(|_| Error::Recipe(format!("the {} partition would begin past 2 TiB", role.name())))?;
        let options = ntfs::Options {
            cluster_size: if role == Role::Windows { self.recipe.cluster_size } else { 4096 },
            hidden_sectors,
            geometry: ntfs::Geometry {
                heads: bootsector::Chs::HEADS,
                sectors_per_track: bootsector::Chs::SECTORS,
            },
            serial: self.serial(role),
            label: role.name().to_owned(),
            created: self.time,
            short_names: self.recipe.short_names && role == Role::Windows,
            boot_code: self.codes.ntfs().map(|code| Box::new(*code)),
            ..ntfs::Options::default()
        };
        volume::plan(tree, options, role.name())
    }
}

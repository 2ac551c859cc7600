//! Where the partitions of a disk lie.

use bootsector::layout::BOOT_CODE_LEN;
use bootsector::{Gpt, GptKind, GptPartition, Mbr, Partition, PartitionType, Size};
use disk::{Content, ExtentMap, Guid, Label, Lba, SectorSize, Seed};

use crate::boot::{DiskId, Places};
use crate::recipe::{Layout, MIB, Recipe};
use crate::{Error, Result};

/// Left free at the end of the disk: for the copy of a GUID partition table, or so that an MBR disk can be converted to
/// one in place.
const TAIL: u64 = MIB;
/// Size of the Microsoft reserved partition, as Windows makes it since version 10.
const RESERVED: u64 = 16 * MIB;
/// Without `--size`, a disk is at least this large.
const LEAST_DISK: u64 = 4 << 30;

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    /// Room that Windows wants on every GPT disk, for what needs a partition of its own later. It holds no volume.
    Reserved,
    Windows,
    Recovery,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VolumeKind {
    Ntfs,
    Fat32,
    Nothing,
}

impl Role {
    /// The volume's label, and its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Reserved => "Reserved",
            Self::Windows => "Windows",
            Self::Recovery => "Recovery",
        }
    }

    /// What it holds.
    pub(crate) fn volume(self, layout: Layout) -> VolumeKind {
        match (self, layout) {
            (Self::System, Layout::Gpt) => VolumeKind::Fat32,
            (Self::Reserved, _) => VolumeKind::Nothing,
            _ => VolumeKind::Ntfs,
        }
    }

    /// The type byte of its entry in an MBR.
    pub(crate) fn mbr_kind(self) -> PartitionType {
        match self {
            Self::System | Self::Reserved | Self::Windows => PartitionType::NTFS,
            Self::Recovery => PartitionType::RECOVERY,
        }
    }

    /// Type, attributes and name of its entry in a GPT, as Windows' own tools set them.
    fn gpt_entry(self) -> (Guid, u64, &'static str) {
        const HIDDEN: u64 = GptPartition::NO_DRIVE_LETTER;
        match self {
            Self::System => (GptKind::EFI_SYSTEM, HIDDEN, "EFI system partition"),
            Self::Reserved => (GptKind::MICROSOFT_RESERVED, HIDDEN, "Microsoft reserved partition"),
            Self::Windows => (GptKind::BASIC_DATA, 0, "Basic data partition"),
            Self::Recovery => (GptKind::RECOVERY, HIDDEN | GptPartition::REQUIRED, "Basic data partition"),
        }
    }

    /// What a GPT calls the partition itself.
    fn gpt_id(self, seed: &Seed) -> Guid {
        seed.child(self.name()).guid("partition id")
    }
}

/// A partition, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) role: Role,
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) active: bool,
}

/// What partitions begin and end on: whole MiB, or whole clusters where those are larger.
fn alignment(recipe: &Recipe) -> u64 {
    bootsector::ALIGNMENT.max(u64::from(recipe.cluster_size))
}

/// The first byte of the Windows partition, which does not depend on how large it becomes.
pub(crate) fn windows_start(recipe: &Recipe) -> u64 {
    let first = alignment(recipe);
    match recipe.layout {
        Layout::Mbr3 => first + system_size(recipe).next_multiple_of(first),
        Layout::Mbr1 => first,
        Layout::Gpt => first + system_size(recipe).next_multiple_of(first) + RESERVED.next_multiple_of(first),
    }
}

/// The size of the System partition. 260 MiB are the least in which FAT32 has clusters of 4 KiB, so such a partition
/// could move to a disk with sectors of 4 KiB as it is.
fn system_size(recipe: &Recipe) -> u64 {
    recipe.system_size.unwrap_or(match recipe.layout {
        Layout::Gpt => 260 * MIB,
        Layout::Mbr3 | Layout::Mbr1 => 350 * MIB,
    })
}

/// Checks what can be checked before the source is read.
pub(crate) fn check(recipe: &Recipe) -> Result<()> {
    for (option, size) in [
        ("--size", recipe.size.unwrap_or(MIB)),
        ("--system-size", system_size(recipe)),
        ("--recovery-size", recipe.recovery_size.unwrap_or(MIB)),
    ] {
        if size == 0 || !size.is_multiple_of(MIB) {
            return Err(Error::Recipe(format!(
                "{option}: {size} bytes is not a whole number of MiB (the next is {}MiB)",
                size.div_ceil(MIB).max(1)
            )));
        }
        if size > 1 << 62 {
            return Err(Error::Recipe(format!("{option}: {size} bytes is past every limit")));
        }
    }
    Ok(())
}

/// What each partition is for, how large it is to be, and whether it is active; in disk order.
fn wanted(recipe: &Recipe, recovery_size: u64) -> Vec<(Role, Size, bool)> {
    match recipe.layout {
        Layout::Mbr1 => vec![(Role::Windows, Size::Rest, true)],
        Layout::Mbr3 => vec![
            (Role::System, Size::Bytes(system_size(recipe)), true),
            (Role::Windows, Size::Rest, false),
            (Role::Recovery, Size::Bytes(recovery_size), false),
        ],
        // Firmware knows the partition to start from by its type.
        Layout::Gpt => vec![
            (Role::System, Size::Bytes(system_size(recipe)), false),
            (Role::Reserved, Size::Bytes(RESERVED), false),
            (Role::Windows, Size::Rest, false),
            (Role::Recovery, Size::Bytes(recovery_size), false),
        ],
    }
}

/// The number of a partition, from 1, as in the table.
pub(crate) fn number(recipe: &Recipe, role: Role) -> Option<u32> {
    let position = wanted(recipe, 0).iter().position(|(found, ..)| *found == role)?;
    Some(position as u32 + 1)
}

/// How boot configuration data names the partitions, when the Recovery partition begins at byte `recovery`.
pub(crate) fn places(recipe: &Recipe, seed: &Seed, recovery: u64) -> Places {
    let start = |role| match role {
        Role::Windows => windows_start(recipe),
        Role::Recovery => recovery,
        Role::System | Role::Reserved => alignment(recipe),
    };
    let disk = disk_id(recipe, seed);
    let device = |role: Role| match disk {
        DiskId::Mbr(signature) => bcd::DeviceKind::PartitionMbr { signature, offset: start(role) },
        DiskId::Gpt(disk) => bcd::DeviceKind::PartitionGpt { disk, partition: role.gpt_id(seed) },
    };
    let windows = device(Role::Windows);
    let (system, recovery) = match recipe.layout {
        Layout::Mbr3 | Layout::Gpt => (device(Role::System), Some((device(Role::Recovery), recovery))),
        Layout::Mbr1 => (windows, None),
    };
    Places { disk, system, windows, recovery }
}

/// What the partition table calls the disk.
pub(crate) fn disk_id(recipe: &Recipe, seed: &Seed) -> DiskId {
    match recipe.layout {
        Layout::Mbr3 | Layout::Mbr1 => DiskId::Mbr(seed.u32_nonzero("disk signature")),
        Layout::Gpt => DiskId::Gpt(seed.guid("disk id")),
    }
}

/// The disk's size and its partitions, in disk order, when the Windows volume needs at least `needed` bytes and the
/// Recovery volume `recovery`.
pub(crate) fn partitions(recipe: &Recipe, needed: u64, recovery: u64) -> Result<(u64, Vec<Slot>)> {
    let wrap = |source| Error::PartitionTable { source };
    let recovery_size = recipe.recovery_size.unwrap_or_else(|| recovery_size(recovery));
    if recovery > recovery_size {
        return Err(Error::Recipe(format!(
            "--recovery-size: the recovery environment needs {}MiB",
            recovery.div_ceil(MIB)
        )));
    }
    let wanted = wanted(recipe, recovery_size);
    let with_windows = |len: u64| -> Vec<Size> {
        let of = |size: Size| if size == Size::Rest { Size::Bytes(len) } else { size };
        wanted.iter().map(|(_, size, _)| of(*size)).collect()
    };
    let smallest = |windows: u64| {
        bootsector::smallest_disk(alignment(recipe), &with_windows(windows))
            .and_then(|size| size.checked_add(TAIL))
            .ok_or_else(|| Error::Recipe("the disk would be larger than 2^64 bytes".to_owned()))
    };
    let least = smallest(needed)?;
    let size = match recipe.size {
        Some(found) if found < least => return Err(Error::TooSmall { needed: least, found }),
        Some(size) => size,
        None => LEAST_DISK.max(smallest(needed.saturating_add(growth(needed)))?),
    };
    let sizes: Vec<Size> = wanted.iter().map(|(_, size, _)| *size).collect();
    let ranges = bootsector::place(size - TAIL, alignment(recipe), &sizes).map_err(wrap)?;
    let slots = wanted.iter().zip(ranges).map(|(&(role, _, active), range)| Slot {
        role,
        start: range.start,
        len: range.end - range.start,
        active,
    });
    Ok((size, slots.collect()))
}

/// The partition table of a disk: what is at its start, and what is at its end.
pub(crate) struct Table {
    start: Vec<u8>,
    /// Where it begins, and what it is.
    end: Option<(u64, Vec<u8>)>,
}

impl Table {
    /// The table that describes the partitions; `code` is for the BIOS.
    pub(crate) fn new(
        recipe: &Recipe,
        seed: &Seed,
        slots: &[Slot],
        disk_size: u64,
        code: Option<&[u8; BOOT_CODE_LEN]>,
    ) -> Result<Self> {
        let made = match disk_id(recipe, seed) {
            DiskId::Mbr(signature) => Self::mbr(signature, slots, disk_size, code),
            DiskId::Gpt(disk) => Self::gpt(disk, seed, slots, disk_size),
        };
        made.map_err(|source| Error::PartitionTable { source })
    }

    fn mbr(
        signature: u32,
        slots: &[Slot],
        disk_size: u64,
        code: Option<&[u8; BOOT_CODE_LEN]>,
    ) -> bootsector::Result<Self> {
        let mut mbr = Mbr::new(signature);
        if let Some(code) = code {
            mbr.boot_code = *code;
        }
        for (entry, slot) in mbr.partitions.iter_mut().zip(slots) {
            let range = slot.start..slot.start + slot.len;
            *entry = Some(Partition::new(&range, SectorSize::B512, slot.role.mbr_kind(), slot.active)?);
        }
        mbr.check_fits(disk_size / 512)?;
        Ok(Self { start: mbr.to_sector()?.to_vec(), end: None })
    }

    fn gpt(disk: Guid, seed: &Seed, slots: &[Slot], disk_size: u64) -> bootsector::Result<Self> {
        let mut gpt = Gpt::new(disk, SectorSize::B512);
        for (number, slot) in (1..).zip(slots) {
            let (kind, attributes, name) = slot.role.gpt_entry();
            gpt.partitions.push(GptPartition {
                number,
                kind,
                id: slot.role.gpt_id(seed),
                start: Lba(slot.start / 512),
                sectors: slot.len / 512,
                attributes,
                name: name.to_owned(),
            });
        }
        let bytes = gpt.to_bytes(disk_size)?;
        Ok(Self { start: bytes.start, end: Some((bytes.end_offset, bytes.end)) })
    }

    /// Begins the map of a disk with it.
    pub(crate) fn push_start(&self, map: &mut ExtentMap) {
        let bytes: std::sync::Arc<[u8]> = self.start.as_slice().into();
        let rest = bytes.len() as u64 - 512;
        map.push(512, Content::bytes(std::sync::Arc::clone(&bytes)), Label::new("MBR"));
        map.push(rest, Content::Bytes { bytes, offset: 512 }, Label::new("GPT"));
    }

    /// Ends the map of a disk with the copy, if it has one.
    pub(crate) fn push_end(self, map: &mut ExtentMap) {
        if let Some((start, bytes)) = self.end {
            map.pad_to(start);
            map.push(bytes.len() as u64, Content::bytes(bytes), Label::new("GPT"));
        }
    }
}

/// The type of a partition: a byte in an MBR, a GUID in a GPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeId {
    /// A type byte.
    Mbr(u8),
    /// A type GUID.
    Gpt(Guid),
}

impl std::fmt::Display for TypeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mbr(kind) => write!(f, "{kind:#04x}"),
            Self::Gpt(kind) => write!(f, "{kind}"),
        }
    }
}

/// A number, or the text of a GUID.
impl serde::Serialize for TypeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Mbr(kind) => serializer.serialize_u8(*kind),
            Self::Gpt(kind) => serializer.collect_str(kind),
        }
    }
}

/// The type that a partition's entry has, and what a GPT calls the partition itself.
pub(crate) fn identity(recipe: &Recipe, seed: &Seed, role: Role) -> (TypeId, Option<Guid>) {
    match recipe.layout {
        Layout::Mbr3 | Layout::Mbr1 => (TypeId::Mbr(role.mbr_kind().0), None),
        Layout::Gpt => (TypeId::Gpt(role.gpt_entry().0), Some(role.gpt_id(seed))),
    }
}

/// The size of a Recovery partition whose volume needs so many bytes: with room for updates of what is there, which
/// need 250 MB (source: Microsoft's documentation of partition layouts).
fn recovery_size(needed: u64) -> u64 {
    (needed + 250 * MIB).next_multiple_of(MIB).max(500 * MIB)
}

/// Room that Windows gets beyond its content when nobody says how large the disk is: for the page file, updates and
/// what the server is for. Half the content again, at least 2 GiB.
fn growth(content: u64) -> u64 {
    (content / 2).max(2 << 30).next_multiple_of(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Output;

    fn recipe(layout: Layout, size: Option<u64>) -> Recipe {
        Recipe { layout, size, ..Recipe::new("x.wim", Output::Stdout) }
    }

    #[test]
    fn partitions_are_aligned_and_do_not_overlap() {
        for layout in [Layout::Mbr1, Layout::Mbr3, Layout::Gpt] {
            for needed in [1, 100 * MIB, (5 << 30) + 12345] {
                let (size, slots) = partitions(&recipe(layout, None), needed, 0).unwrap();
                assert!(size >= LEAST_DISK && size.is_multiple_of(MIB));
                let mut at = bootsector::ALIGNMENT;
                for slot in &slots {
                    assert_eq!(slot.start, at, "{slot:?}");
                    assert!(slot.len.is_multiple_of(MIB) && slot.len > 0);
                    at += slot.len;
                }
                assert_eq!(at + TAIL, size);
                let active = usize::from(layout != Layout::Gpt);
                assert_eq!(slots.iter().filter(|slot| slot.active).count(), active);
                let windows = slots.iter().find(|slot| slot.role == Role::Windows).unwrap();
                assert!(windows.len >= needed);
            }
        }
    }

    #[test]
    fn large_clusters_begin_on_a_multiple_of_themselves() {
        for layout in [Layout::Mbr1, Layout::Mbr3, Layout::Gpt] {
            let recipe =
                Recipe { cluster_size: 2 << 20, system_size: Some(351 * MIB), ..recipe(layout, None) };
            let (_, slots) = partitions(&recipe, 100 * MIB, 0).unwrap();
            let windows = slots.iter().find(|slot| slot.role == Role::Windows).unwrap();
            assert_eq!(windows.start, windows_start(&recipe));
            assert!(windows.start.is_multiple_of(2 << 20));
        }
    }

    #[test]
    fn a_disk_that_is_too_small_says_how_large_it_must_be() {
        let needed = 1 << 30;
        let Err(Error::TooSmall { needed: disk, .. }) =
            partitions(&recipe(Layout::Mbr3, Some(MIB)), needed, 0)
        else {
            panic!("accepted")
        };
        assert!(partitions(&recipe(Layout::Mbr3, Some(disk)), needed, 0).is_ok());
        assert!(partitions(&recipe(Layout::Mbr3, Some(disk - MIB)), needed, 0).is_err());
    }
}

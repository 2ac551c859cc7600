//! Where the partitions of a disk lie.

use bootsector::layout::BOOT_CODE_LEN;
use bootsector::{Mbr, Partition, PartitionType, Size};
use disk::{SectorSize, Seed};

use crate::boot::{DiskId, Places};
use crate::recipe::{Layout, MIB, Recipe};
use crate::{Error, Result};

/// Left free at the end of the disk, so that it can be converted to GPT in place (the backup table goes there).
const TAIL: u64 = MIB;
/// Without `--size`, a disk is at least this large.
const LEAST_DISK: u64 = 4 << 30;

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    Windows,
    Recovery,
}

impl Role {
    /// The volume's label, and its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Windows => "Windows",
            Self::Recovery => "Recovery",
        }
    }

    /// The type byte of its entry.
    pub(crate) fn kind(self) -> PartitionType {
        match self {
            Self::System | Self::Windows => PartitionType::NTFS,
            Self::Recovery => PartitionType::RECOVERY,
        }
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
        Layout::Mbr3 => first + recipe.system_size.next_multiple_of(first),
        Layout::Mbr1 => first,
    }
}

/// Checks what can be checked before the source is read.
pub(crate) fn check(recipe: &Recipe) -> Result<()> {
    for (option, size) in [
        ("--size", recipe.size.unwrap_or(MIB)),
        ("--system-size", recipe.system_size),
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
            (Role::System, Size::Bytes(recipe.system_size), true),
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
    let signature = signature(seed);
    let partition = |offset| bcd::DeviceKind::PartitionMbr { signature, offset };
    let windows = partition(windows_start(recipe));
    let (system, recovery) = match recipe.layout {
        Layout::Mbr3 => (partition(alignment(recipe)), Some((partition(recovery), recovery))),
        Layout::Mbr1 => (windows, None),
    };
    Places { disk: DiskId::Mbr(signature), system, windows, recovery }
}

/// The disk signature.
pub(crate) fn signature(seed: &Seed) -> u32 {
    seed.u32_nonzero("disk signature")
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

/// The sector that describes the partitions.
pub(crate) fn partition_table(
    slots: &[Slot],
    signature: u32,
    disk_size: u64,
    code: Option<&[u8; BOOT_CODE_LEN]>,
) -> Result<[u8; 512]> {
    let wrap = |source| Error::PartitionTable { source };
    let mut mbr = Mbr::new(signature);
    if let Some(code) = code {
        mbr.boot_code = *code;
    }
    for (entry, slot) in mbr.partitions.iter_mut().zip(slots) {
        let range = slot.start..slot.start + slot.len;
        *entry = Some(Partition::new(&range, SectorSize::B512, slot.role.kind(), slot.active).map_err(wrap)?);
    }
    mbr.check_fits(disk_size / 512).map_err(wrap)?;
    mbr.to_sector().map_err(wrap)
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
        for layout in [Layout::Mbr1, Layout::Mbr3] {
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
                assert_eq!(slots.iter().filter(|slot| slot.active).count(), 1);
                let windows = slots.iter().find(|slot| slot.role == Role::Windows).unwrap();
                assert!(windows.len >= needed);
            }
        }
    }

    #[test]
    fn large_clusters_begin_on_a_multiple_of_themselves() {
        for layout in [Layout::Mbr1, Layout::Mbr3] {
            let recipe = Recipe { cluster_size: 2 << 20, system_size: 351 * MIB, ..recipe(layout, None) };
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

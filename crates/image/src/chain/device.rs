//! From the device of a boot entry to a partition of this disk.

use bcd::{Device, DeviceElement, ElementType, LocateBy, Object, Partition, Store};
use disk::Guid;

use super::disk::{BootDisk, Identity, Slot, Table};

/// Devices inside devices that are followed.
const MAX_DEPTH: usize = 8;

/// What a device turned out to be.
#[derive(Clone, Copy)]
pub(super) enum Place<'s> {
    /// A partition of this disk.
    Slot(&'s Slot),
    /// A RAM disk that is filled from a file of this partition.
    RamDisk(&'s Slot),
    /// A disk in a file of this partition.
    VirtualDisk(&'s Slot),
    /// A partition that only Windows' keys open.
    Encrypted(&'s Slot),
    /// Something that is not understood.
    Unknown,
}

impl<'s> Place<'s> {
    fn of(slot: &'s Slot) -> Self {
        if slot.is_encrypted() { Self::Encrypted(slot) } else { Self::Slot(slot) }
    }

    /// In words.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Slot(slot) => format!("partition {}", slot.number),
            Self::RamDisk(slot) => format!("a RAM disk from partition {}", slot.number),
            Self::VirtualDisk(slot) => format!("a virtual disk on partition {}", slot.number),
            Self::Encrypted(slot) => format!("partition {}, which is encrypted by BitLocker", slot.number),
            Self::Unknown => "a device of an unknown form".to_owned(),
        }
    }
}

/// Why a device leads nowhere.
pub(super) struct Lost<'s> {
    /// What was looked for, and what there is.
    pub(super) text: String,
    /// It names another disk, which may exist.
    pub(super) elsewhere: bool,
    /// It is a file that is missing, not a partition.
    pub(super) file: bool,
    /// The partition that is probably meant.
    pub(super) meant: Option<&'s Slot>,
    /// What would make it right, besides another device.
    pub(super) remedy: Option<String>,
}

impl Lost<'_> {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), elsewhere: false, file: false, meant: None, remedy: None }
    }
}

/// Resolves the devices of one store.
pub(super) struct Resolver<'s> {
    pub(super) disk: &'s BootDisk<'s>,
    /// The partition that the boot manager was started from.
    pub(super) system: &'s Slot,
    pub(super) store: &'s Store,
}

impl<'s> Resolver<'s> {
    /// The partition that an element of an object names.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn element(&self, object: &Object, element: &DeviceElement) -> Result<Place<'s>, Lost<'s>> {
        let place = self.device(object, &element.device, 0)?;
        if let (Device::Ramdisk(_), Some(options)) = (&element.device, element.options) {
            self.ramdisk_options(options)?;
        }
        Ok(place)
    }

    fn device(&self, object: &Object, device: &Device, depth: usize) -> Result<Place<'s>, Lost<'s>> {
        if depth == MAX_DEPTH {
            return Err(Lost::new(format!("devices lie in devices more than {MAX_DEPTH} deep")));
        }
        match device {
            Device::Boot => Ok(Place::Slot(self.system)),
            Device::Partition(partition) => self.partition(partition).map(Place::of),
            Device::Locate { by, parent: None } => self.locate(object, by).map(Place::of),
            Device::Locate { parent: Some(parent), .. } => self.device(object, parent, depth + 1),
            Device::File(file) => self.file(object, file, depth),
            Device::Ramdisk(file) => match self.file(object, file, depth)? {
                Place::Slot(slot) => Ok(Place::RamDisk(slot)),
                other => Ok(other),
            },
            Device::VirtualDisk(parent) => match self.device(object, parent, depth + 1)? {
                Place::Slot(slot) => Ok(Place::VirtualDisk(slot)),
                other => Ok(other),
            },
            Device::Other(_) => Ok(Place::Unknown),
        }
    }

    /// The partition with a file that must be there.
    fn file(&self, object: &Object, file: &bcd::FileDevice, depth: usize) -> Result<Place<'s>, Lost<'s>> {
        let place = self.device(object, &file.parent, depth + 1)?;
        if let Place::Slot(slot) = place {
            self.must_exist(slot, &file.path)?;
        }
        Ok(place)
    }

    fn must_exist(&self, slot: &Slot, path: &str) -> Result<(), Lost<'s>> {
        let number = slot.number;
        let lost = |why: String| Err(Lost { file: true, ..Lost::new(why) });
        match self.disk.volume(slot).map(|volume| volume.find(path)) {
            Ok(Ok(Some(_))) => Ok(()),
            Ok(Ok(None)) => lost(format!("{path} is not on partition {number}")),
            Ok(Err(why)) => lost(format!("{path} on partition {number}: {why}")),
            Err(why) => lost(format!("partition {number}: {why}")),
        }
    }

    /// The object that a RAM disk of a WIM takes its shell from.
    fn ramdisk_options(&self, options: Guid) -> Result<(), Lost<'s>> {
        let Some(object) = self.store.object(options) else {
            return Err(Lost::new(format!("the options {{{options}}} of the RAM disk are not in the store")));
        };
        let (Some(device), Some(path)) =
            (object.device(ElementType::SDI_DEVICE), object.string(ElementType::SDI_PATH))
        else {
            return Err(Lost::new(format!("the options {{{options}}} of the RAM disk name no boot.sdi")));
        };
        match self.device(object, &device.device, 1)? {
            Place::Slot(slot) => self.must_exist(slot, path),
            _ => Ok(()),
        }
    }

    fn partition(&self, partition: &Partition) -> Result<&'s Slot, Lost<'s>> {
        let elsewhere = |text: String| Lost { elsewhere: true, ..Lost::new(text) };
        match (*partition, self.disk.table) {
            (Partition::Mbr { signature, offset }, Table::Mbr(own)) => {
                let found = self.disk.slots.iter().find(|slot| slot.start == offset);
                if signature != own {
                    let there = match found {
                        Some(slot) => {
                            format!("(a partition begins there on this disk, too: {})", slot.number)
                        }
                        None => "(where none begins on this disk, either)".to_owned(),
                    };
                    let text = format!(
                        "the store looks for disk signature {signature:08x}, offset {offset:#x} {there}; this disk has \
                         signature {own:08x}"
                    );
                    let remedy = found.map(|_| {
                        format!("set the disk signature back (`sfdisk --disk-id DISK {signature:#010x}`)")
                    });
                    return Err(Lost { meant: found, remedy, ..elsewhere(text) });
                }
                found.ok_or_else(|| {
                    let starts: Vec<String> =
                        self.disk.slots.iter().map(|slot| format!("{:#x}", slot.start)).collect();
                    Lost::new(format!(
                        "the store looks for a partition at {offset:#x}; the disk's begin at {}",
                        starts.join(", ")
                    ))
                })
            }
            (Partition::Gpt { disk, partition }, Table::Gpt(own)) => {
                let id_of =
                    |slot: &&Slot| matches!(slot.identity, Identity::Gpt { id, .. } if id == partition);
                let found = self.disk.slots.iter().find(id_of);
                if disk != own {
                    let there = match found {
                        Some(slot) => format!(" (partition {} of this disk has that id)", slot.number),
                        None => String::new(),
                    };
                    let text = format!(
                        "the store looks for partition {partition} of disk {disk}{there}; this disk is {own}"
                    );
                    let remedy = found.map(|_| format!("set the disk's id back (`sgdisk -U {disk} DISK`)"));
                    return Err(Lost { meant: found, remedy, ..elsewhere(text) });
                }
                found.ok_or_else(|| {
                    Lost::new(format!(
                        "the store looks for partition {partition}; the disk has none of that id"
                    ))
                })
            }
            (Partition::Mbr { signature, .. }, _) => Err(elsewhere(format!(
                "the store looks for an MBR disk with signature {signature:08x}; this disk has a GUID partition table"
            ))),
            (Partition::Gpt { disk, .. }, _) => Err(elsewhere(format!(
                "the store looks for GPT disk {disk}; this disk has a master boot record"
            ))),
        }
    }

    /// The first partition that holds a path.
    fn locate(&self, object: &Object, by: &LocateBy) -> Result<&'s Slot, Lost<'s>> {
        let path = match by {
            LocateBy::Path(path) => path.as_str(),
            LocateBy::Element(element) => object.string(*element).ok_or_else(|| {
                Lost::new(format!("the partition is that which holds the path of element {:08x}, and there is no such element", element.0))
            })?,
        };
        // What an encrypted partition holds, only the boot manager finds out.
        let encrypted = || self.disk.slots.iter().find(|slot| slot.is_encrypted());
        self.holding(path)
            .next()
            .or_else(encrypted)
            .ok_or_else(|| Lost::new(format!("the partition is the first that holds {path}, and none does")))
    }

    /// The partitions that hold a path, in the order in which they are searched.
    pub(super) fn holding(&self, path: &str) -> impl Iterator<Item = &'s Slot> {
        let disk = self.disk;
        disk.slots.iter().filter(move |slot| {
            disk.volume(slot).is_ok_and(|volume| matches!(volume.find(path), Ok(Some(_))))
        })
    }
}

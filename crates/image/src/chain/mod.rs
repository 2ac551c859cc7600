//! Whether a disk starts: every link from firmware to the kernel's drivers, followed offline.
//!
//! A start is a chain of programs, each of which finds the next by its own rules: a BIOS knows sectors, a boot record
//! just enough of NTFS, the boot manager partitions by their ids, the loader the registry. The check follows the same
//! chain with the same knowledge, so it sees what each of them would see and can say which one gives up, with what
//! message. What a program would not look at is no link: a disk that starts can still hold damage, which is for the
//! checker of its volumes.
//!
//! Nothing stops at the first fault. A link is looked at when what leads to it is known, even if a start would not get
//! there, so that one run names everything that is to be repaired; the verdict is that of the first broken link.
//!
//! Is it broken, or was it never meant to start? A data disk has a master boot record with code and a volume with a
//! boot record, as Windows formats them. So a disk counts as one that is to start only when it holds the kernel of
//! Windows, a boot manager, or a store; without any of these the report has no chain and a note that says so.
//!
//! What cannot be told from a disk alone: signatures of programs (Secure Boot), the machine's hardware and NVRAM, and
//! whether a driver works.

mod device;
mod disk;
mod drivers;
mod entry;
mod hive_file;
mod manager;
mod modules;
mod pe;
mod report;
mod sectors;
mod system;
#[cfg(test)]
mod tests;
mod volume;
mod windows_error;

use self::disk::{BootDisk, Slot, Table};
use self::modules::Modules;
pub use self::report::{Chain, ChainReport, Finding, Firmware, Link, Outcome, State, Step, Verdict};
use self::volume::Volume;
pub use self::windows_error::WindowsError;
use crate::{DiskFile, Result};

/// Follows the chains of a disk.
///
/// # Errors
/// When the disk's file cannot be read. What is wrong with the disk is in the report.
pub fn check_chain(file: &DiskFile) -> Result<ChainReport> {
    let disk = BootDisk::open(file)?;
    let mut report = ChainReport { chains: Vec::new(), notes: Vec::new() };
    if let Some(why) = &disk.no_disk {
        report.notes.push(format!("no boot chain: {why}"));
        return Ok(report);
    }
    let evidence = Evidence::of(&disk);
    for firmware in evidence.firmware(&disk) {
        let links = match firmware {
            Firmware::Bios => bios(&disk, &evidence),
            Firmware::Uefi => uefi(&disk, &evidence),
        };
        report.chains.push(Chain::new(firmware, links));
    }
    if report.chains.is_empty() {
        let why = match (disk.slots.is_empty(), evidence.other) {
            (true, _) if disk.has_table_fault() => "there is no partition table that can be read",
            (true, _) => "the disk has no partitions",
            (false, true) => {
                "no Windows and no boot manager of Windows on it; another system may start from it"
            }
            (false, false) => "no Windows and no boot manager on it",
        };
        report.notes.push(format!("no boot chain: {why}"));
    }
    Ok(report)
}

/// What a disk holds that is there to be started.
struct Evidence<'s> {
    /// Partitions with a kernel.
    windows: Vec<&'s Slot>,
    /// There is a BOOTMGR or a store for it.
    bios: bool,
    /// There is a boot manager for UEFI, or its store.
    uefi: bool,
    /// There is another loader.
    other: bool,
}

impl<'s> Evidence<'s> {
    fn of(disk: &'s BootDisk<'_>) -> Self {
        let mut evidence = Self { windows: Vec::new(), bios: false, uefi: false, other: false };
        for slot in &disk.slots {
            let Ok(volume) = disk.volume(slot) else { continue };
            if is_windows(volume) {
                evidence.windows.push(slot);
            }
            evidence.bios |= volume.has("\\bootmgr") || volume.has(entry::store_path(Firmware::Bios));
            let manager = volume.has(manager::EFI_MANAGER) || volume.has(entry::store_path(Firmware::Uefi));
            // On the volume of Windows itself these are leftovers at most.
            evidence.uefi |= manager && (slot.is_fat() || slot.is_esp());
            evidence.other |= slot.is_fat() && !manager::fallbacks(volume).is_empty();
        }
        evidence
    }

    /// What the disk was made to be started by.
    fn firmware(&self, disk: &BootDisk<'_>) -> Vec<Firmware> {
        let is_mbr = matches!(disk.table, Table::Mbr(_));
        let mut found = Vec::new();
        if is_mbr && self.bios {
            found.push(Firmware::Bios);
        }
        if self.uefi {
            found.push(Firmware::Uefi);
        }
        if found.is_empty() && !self.windows.is_empty() {
            // Windows without anything to start it.
            let esp = disk.slots.iter().any(Slot::is_esp) || self.other;
            found.push(if is_mbr && !esp { Firmware::Bios } else { Firmware::Uefi });
        }
        found
    }
}

/// Whether a volume holds a Windows.
fn is_windows(volume: &Volume) -> bool {
    ["ntoskrnl.exe", "winload.exe", "winload.efi"]
        .iter()
        .any(|name| volume.has(&format!("\\Windows\\System32\\{name}")))
}

fn bios(disk: &BootDisk<'_>, evidence: &Evidence<'_>) -> Vec<Link> {
    let mut links = vec![disk.table_link(Firmware::Bios), sectors::boot_code(disk)];
    let (link, active) = sectors::active(disk);
    links.push(link);
    // Without an active partition, that with a boot manager is the one to look at.
    let meant = || {
        let has = |slot: &&Slot, path| disk.volume(slot).is_ok_and(|volume| volume.has(path));
        let find = |path| disk.slots.iter().find(|slot| has(slot, path));
        find("\\bootmgr").or_else(|| find(entry::store_path(Firmware::Bios)))
    };
    let Some(slot) = active.or_else(meant) else {
        only_windows(&mut links, disk, evidence);
        return links;
    };
    let (link, author) = sectors::boot_record(disk, slot);
    links.push(link);
    let (link, volume) = manager::file_system(disk, slot, WindowsError::DiskRead);
    links.push(link);
    let Some(volume) = volume else {
        only_windows(&mut links, disk, evidence);
        return links;
    };
    links.push(manager::bootmgr(disk, slot, volume, author));
    configuration(&mut links, Firmware::Bios, disk, slot, volume, None, evidence);
    links
}

fn uefi(disk: &BootDisk<'_>, evidence: &Evidence<'_>) -> Vec<Link> {
    let mut links = vec![disk.table_link(Firmware::Uefi)];
    let (link, slot) = manager::esp(disk);
    links.push(link);
    let Some(slot) = slot else {
        only_windows(&mut links, disk, evidence);
        return links;
    };
    let (link, volume) = manager::file_system(disk, slot, WindowsError::NoBootableDevice);
    links.push(link);
    let Some(volume) = volume else {
        only_windows(&mut links, disk, evidence);
        return links;
    };
    let (link, machine) = manager::bootmgfw(slot, volume);
    links.push(link);
    configuration(&mut links, Firmware::Uefi, disk, slot, volume, machine, evidence);
    links
}

/// From the store on, both kinds of firmware go the same way.
fn configuration(
    links: &mut Vec<Link>,
    firmware: Firmware,
    disk: &BootDisk<'_>,
    system: &Slot,
    volume: &Volume,
    machine: Option<pe::Machine>,
    evidence: &Evidence<'_>,
) {
    let (link, store) = entry::store(firmware, system, volume);
    links.push(link);
    let Some(store) = store else {
        only_windows(links, disk, evidence);
        return;
    };
    let (link, object) = entry::entry(&store);
    links.push(link);
    let Some(object) = object else { return };
    let (link, target) = entry::devices(disk, system, &store, object, &evidence.windows);
    links.push(link);
    let beyond = |step| target.beyond.as_ref().map(|why| Link::not_reached(step, why.clone()));
    let mut found = entry::Loader::default();
    match &target.loader {
        Some((slot, path)) if !path.is_empty() => {
            let (link, loader) = entry::loader(firmware, disk, slot, path, machine);
            links.push(link);
            found = loader;
        }
        _ => links.extend(beyond(Step::Loader)),
    }
    let windows = target.windows.as_ref().filter(|(_, root)| !root.is_empty());
    let Some((slot, root)) = windows else {
        for step in Step::ALL.into_iter().filter(|&step| step > Step::Loader) {
            links.extend(beyond(step));
        }
        return;
    };
    let Ok(volume) = disk.volume(slot) else { return };
    installed(links, volume, root, Some(object), found);
}

/// Nothing leads to a Windows: the only one on the disk is the one that is meant.
fn only_windows(links: &mut Vec<Link>, disk: &BootDisk<'_>, evidence: &Evidence<'_>) {
    if let [slot] = evidence.windows[..]
        && let Ok(volume) = disk.volume(slot)
    {
        installed(links, volume, "\\Windows", None, entry::Loader::default());
    }
}

/// The links inside an installed Windows.
fn installed(
    links: &mut Vec<Link>,
    volume: &Volume,
    root: &str,
    object: Option<&bcd::Object>,
    loader: entry::Loader,
) {
    let root = root.trim_end_matches('\\');
    let (link, hive) = system::hive(volume, root);
    links.push(link);
    let set = hive.as_ref().and_then(|hive| {
        let (link, set) = system::control_set(hive);
        links.push(link);
        set
    });
    let mut modules = Modules::new(volume, root, loader.wof());
    links.push(system::kernel(&mut modules, object, loader, set));
    if let (Some(hive), Some(set)) = (&hive, set) {
        let (drivers, disks) = drivers::links(&mut modules, hive, set, loader);
        links.push(drivers);
        links.push(disks);
    }
    links.push(system::registry(volume, root));
}

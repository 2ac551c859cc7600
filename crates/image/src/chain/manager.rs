//! The boot manager: `BOOTMGR` by the rules of the boot record that loads it, `bootmgfw.efi` by those of firmware.

use ntfs_writer::parse;

use super::WindowsError as Code;
use super::disk::{BootDisk, Slot, sized};
use super::hive_file::{Wof, unreadable};
use super::pe::{EFI_APPLICATION, Machine, Program};
use super::report::{Link, Step};
use super::sectors::Author;
use super::volume::{Found, Volume};

/// Sectors that boot code and BIOS can address.
const MAX_SECTOR: u64 = 1 << 32;
/// Bytes from where BOOTMGR is loaded (0x20000) to the usual end of memory that a BIOS leaves free (0x9FC00).
const MAX_BOOTMGR: u64 = 0x9_FC00 - 0x2_0000;
/// BOOTMGR holds a program of some hundred KiB; a smaller file is something else.
const MIN_BOOTMGR: u64 = 196_608;
/// Bytes of a program that are compared.
const MAX_PROGRAM: u64 = 8 << 20;

/// The link of the file system on the partition that is started from.
pub(super) fn file_system<'s>(disk: &BootDisk<'_>, slot: &'s Slot, code: Code) -> (Link, Option<&'s Volume>) {
    let mut link = Link::new(Step::FileSystem);
    let volume = match disk.volume(slot) {
        Ok(volume) => volume,
        Err(why) => {
            link.detail = "cannot be read".to_owned();
            let advice = match slot.file_system() {
                "BitLocker" => {
                    "the boot manager must not be encrypted: decrypt it (`manage-bde -off`), or use another partition"
                }
                _ => "repair the volume (`chkdsk /f`), or build it anew",
            };
            link.broken(format!("partition {}: {why}", slot.number), code, advice);
            return (link, None);
        }
    };
    match volume {
        Volume::Ntfs(volume) => {
            let boot = volume.boot();
            link.detail = format!("NTFS, clusters of {} bytes, $MFT can be read", boot.cluster_size);
            if let Err(error) = volume.root().and_then(|root| volume.lookup(&root, &[u16::from(b'.')])) {
                link.broken(format!("its root directory: {error}"), code, "repair the volume (`chkdsk /f`)");
            }
            if let Err(why) = first_record(disk, slot, boot) {
                link.broken(
                    format!("$MFT: {why} (programs that start Windows do not look at its mirror)"),
                    code,
                    "repair the volume (`chkdsk /f`, `ntfsfix`)",
                );
            }
            let sector = u64::from(boot.sector_size);
            let mft = (slot.start + boot.mft_lcn * u64::from(boot.cluster_size)) / sector;
            if code == Code::DiskRead && mft >= MAX_SECTOR {
                link.broken(
                    format!("$MFT begins at sector {mft}, boot code reaches 2^32"),
                    code,
                    "keep the boot manager on a partition at the start of the disk",
                );
            }
            if volume.information().is_ok_and(|information| information.flags & 1 != 0) {
                link.warn("the volume is marked dirty", "Windows runs chkdsk when it starts");
            }
        }
        Volume::Fat(volume) => {
            link.detail = format!("{}, clusters of {} bytes", volume.kind(), volume.cluster_size());
            if let Err(error) = volume.entries(volume.root()) {
                link.broken(
                    format!("its root directory: {error}"),
                    code,
                    "repair the volume (`chkdsk /f`, `fsck.fat`)",
                );
            }
        }
    }
    (link, Some(volume))
}

/// Whether `$MFT` describes itself, where the boot sector says that it is.
fn first_record(disk: &BootDisk<'_>, slot: &Slot, boot: &parse::Boot) -> Result<(), String> {
    let mut bytes = vec![0; boot.record_size as usize];
    let at = boot.mft_lcn * u64::from(boot.cluster_size);
    disk.range(slot)?.read_exact_at(&mut bytes, at).map_err(|error| error.to_string())?;
    parse::unprotect(&mut bytes, "file record").map_err(|fault| fault.to_string())?;
    match parse::record(&bytes) {
        Ok(record) if record.in_use() => Ok(()),
        Ok(_) => Err("its own record is not in use".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// The link of BOOTMGR.
pub(super) fn bootmgr(disk: &BootDisk<'_>, slot: &Slot, volume: &Volume, author: Author) -> Link {
    const COPY: &str =
        "copy \\Windows\\Boot\\PCAT\\bootmgr to the root (`bcdboot W:\\Windows /s S: /f BIOS`)";
    let mut link = Link::new(Step::BootManager);
    let file = match volume.find("\\bootmgr") {
        Ok(Some(file)) if !file.directory => file,
        Ok(_) => {
            link.detail = "none".to_owned();
            let holds = |other: &&Slot| disk.volume(other).is_ok_and(|volume| volume.has("\\bootmgr"));
            let advice = match disk.slots.iter().find(holds) {
                Some(other) => {
                    let number = other.number;
                    format!(
                        "partition {number} holds one: mark it active (`sfdisk --activate DISK {number}`)"
                    )
                }
                None => COPY.to_owned(),
            };
            let text = format!("no BOOTMGR in the root of partition {}", slot.number);
            link.broken(text, Code::BootmgrMissing, advice);
            return link;
        }
        Err(why) => {
            link.detail = "cannot be read".to_owned();
            link.broken(format!("\\bootmgr: {why}"), Code::DiskRead, "repair the volume (`chkdsk /f`)");
            return link;
        }
    };
    link.detail = format!("\\bootmgr, {} bytes{}", file.size, laid_out(&file));
    if file.storage.compressed {
        link.broken(
            "\\bootmgr is compressed (NTFS), and the boot record does not decompress",
            Code::BootmgrCompressed,
            "decompress it (`compact /u S:\\bootmgr`)",
        );
        return link;
    }
    if let Some(why) = unreadable(&file.storage, Wof::None) {
        link.broken(format!("\\bootmgr {why}: the boot record starts something else"), None, COPY);
        return link;
    }
    if file.size > MAX_BOOTMGR {
        link.broken(
            format!("{} bytes; {MAX_BOOTMGR} fit below the memory that a BIOS keeps for itself", file.size),
            None,
            "this is not a BOOTMGR of Windows; use the image's own",
        );
    }
    let sector = u64::from(disk.sector.bytes());
    if (slot.start + file.storage.end).div_ceil(sector) > MAX_SECTOR {
        link.broken("it lies beyond 2^32 sectors, where boot code does not reach", Code::DiskRead, COPY);
    }
    // Reading it shows that all of it is there.
    match volume.read_all(&file, MAX_PROGRAM) {
        Ok(bytes) => {
            // A near jump over 256 to 511 bytes begins every one of them.
            let jumps = bytes.len() > 4 && bytes[0] == 0xE9 && bytes[2] == 0x01;
            if !jumps || file.size < MIN_BOOTMGR {
                link.warn(
                    "it does not look like Windows' BOOTMGR: another program is started in its place",
                    "nothing, if that is wanted; else copy \\Windows\\Boot\\PCAT\\bootmgr to the root",
                );
            }
        }
        Err(why) => {
            link.broken(format!("\\bootmgr: {why}"), Code::DiskRead, "repair the volume (`chkdsk /f`)")
        }
    }
    if author == Author::Unknown && file.storage.pieces > 1 {
        link.warn(
            format!(
                "it lies in {} pieces, and the boot record is not one that is known to follow them",
                file.storage.pieces
            ),
            "",
        );
    }
    link
}

fn laid_out(file: &Found) -> String {
    match (file.storage.pieces, file.storage.end) {
        (0, _) => String::new(),
        (1, _) => ", in one piece".to_owned(),
        (pieces, _) => format!(", in {pieces} pieces"),
    }
}

/// Where firmware looks, and where Windows keeps its boot manager on an EFI system partition.
pub(super) const EFI_MANAGER: &str = "\\EFI\\Microsoft\\Boot\\bootmgfw.efi";

/// The partition that UEFI firmware starts from, and its link.
pub(super) fn esp<'s>(disk: &'s BootDisk<'_>) -> (Link, Option<&'s Slot>) {
    let mut link = Link::new(Step::SystemPartition);
    let has_loader = |slot: &&Slot| {
        disk.volume(slot).is_ok_and(|volume| volume.has(EFI_MANAGER) || !fallbacks(volume).is_empty())
    };
    let esps: Vec<&Slot> = disk.slots.iter().filter(|slot| slot.is_esp()).collect();
    let chosen = esps.iter().copied().find(has_loader).or(esps.first().copied());
    // Firmware starts removable media from any FAT.
    let fat = || disk.slots.iter().filter(|slot| slot.is_fat()).find(has_loader);
    let Some(slot) = chosen.or_else(fat) else {
        link.detail = "none".to_owned();
        link.broken(
            "there is no EFI system partition, and no other FAT volume with a loader",
            Code::NoBootableDevice,
            "make one (FAT32, 100 MiB or more, type EFI system) and run `bcdboot W:\\Windows /s S: /f UEFI`",
        );
        return (link, None);
    };
    link.detail = format!(
        "partition {}, {}, {} at {}",
        slot.number,
        slot.file_system(),
        sized(slot.size),
        sized(slot.start)
    );
    if !slot.is_fat() {
        link.broken(
            format!("partition {} holds {}; firmware reads FAT only", slot.number, slot.file_system()),
            Code::NoBootableDevice,
            "format the EFI system partition with FAT32 and run `bcdboot W:\\Windows /s S: /f UEFI`",
        );
        return (link, None);
    }
    if !slot.is_esp() {
        link.warn(
            format!("partition {} is no EFI system partition by its type: firmware may not look at it", slot.number),
            "set the type c12a7328-f81f-11d2-ba4b-00a0c93ec93b (`sgdisk -t N:ef00`), or EF in a master boot record",
        );
    }
    if esps.len() > 1 {
        link.warn(
            format!("{} partitions are EFI system partitions; firmware may take another", esps.len()),
            "keep one",
        );
    }
    (link, Some(slot))
}

/// The loaders that firmware finds without being told.
pub(super) fn fallbacks(volume: &Volume) -> Vec<(Machine, String)> {
    let path = |name: &str| format!("\\EFI\\Boot\\{name}");
    let named = Machine::FALLBACKS.iter().map(|(machine, name)| (*machine, path(name)));
    named.filter(|(_, path)| volume.has(path)).collect()
}

/// The program at a path, if it is one.
pub(super) fn program(volume: &Volume, file: &Found) -> Result<Program, String> {
    Program::parse(&mut |offset, limit| volume.read(file, offset, limit))
}

/// The link of the boot manager of an EFI system partition, and the machine it is for.
pub(super) fn bootmgfw(slot: &Slot, volume: &Volume) -> (Link, Option<Machine>) {
    const COPY: &str =
        "copy \\Windows\\Boot\\EFI\\* to \\EFI\\Microsoft\\Boot (`bcdboot W:\\Windows /s S: /f UEFI`)";
    let mut link = Link::new(Step::BootManager);
    let mut machine = None;
    let mut manager = None;
    match volume.find(EFI_MANAGER) {
        Ok(Some(file)) if !file.directory => match efi(volume, &file) {
            Ok(program) => {
                machine = Some(program.machine);
                manager = volume.read_all(&file, MAX_PROGRAM).ok();
                link.detail = format!("{EFI_MANAGER} for {}", program.machine);
            }
            Err(why) => {
                link.detail = EFI_MANAGER.to_owned();
                link.broken(format!("{EFI_MANAGER} {why}"), Code::NoBootableDevice, COPY);
            }
        },
        Ok(_) => {}
        Err(why) => link.broken(format!("{EFI_MANAGER}: {why}"), Code::NoBootableDevice, "repair the volume"),
    }
    let fallbacks = fallbacks(volume);
    if fallbacks.is_empty() {
        match machine {
            Some(machine) => {
                let name = Machine::FALLBACKS
                    .iter()
                    .find(|(known, _)| *known == machine)
                    .map_or("boot*.efi", |(_, name)| name);
                link.warn(
                    format!("there is no \\EFI\\Boot\\{name}: it starts only where the firmware has an entry for it"),
                    "copy bootmgfw.efi there, so that any machine starts the disk",
                );
            }
            None if link.is_broken() => {}
            None => {
                link.detail = "none".to_owned();
                link.broken(
                    format!(
                        "partition {} has neither {EFI_MANAGER} nor a \\EFI\\Boot\\boot*.efi",
                        slot.number
                    ),
                    Code::NoBootableDevice,
                    COPY,
                );
            }
        }
    }
    for (expected, path) in &fallbacks {
        fallback(&mut link, volume, *expected, path, manager.as_deref(), &mut machine);
    }
    (link, machine)
}

fn fallback(
    link: &mut Link,
    volume: &Volume,
    expected: Machine,
    path: &str,
    manager: Option<&[u8]>,
    machine: &mut Option<Machine>,
) {
    let Ok(Some(file)) = volume.find(path) else { return };
    let found = match efi(volume, &file) {
        Ok(found) => found,
        Err(why) => {
            link.broken(
                format!("{path} {why}"),
                Code::NoBootableDevice,
                "copy \\EFI\\Microsoft\\Boot\\bootmgfw.efi over it",
            );
            return;
        }
    };
    if found.machine != expected {
        link.broken(
            format!("{path} is for {}; firmware that looks for this name is {expected}", found.machine),
            Code::NoBootableDevice,
            "copy the bootmgfw.efi of the right image over it",
        );
    }
    if !link.detail.is_empty() {
        link.detail.push_str(", ");
    }
    link.detail.push_str(path);
    let bytes = volume.read_all(&file, MAX_PROGRAM).unwrap_or_default();
    // Windows' own says in its version what it is called.
    let named: Vec<u8> = "bootmgfw.efi".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let same = manager == Some(&bytes[..]);
    if !same && !bytes.windows(named.len()).any(|window| window.eq_ignore_ascii_case(&named)) {
        match manager {
            Some(_) => link.warn(
                format!("{path} is another program than bootmgfw.efi, and what firmware starts"),
                "nothing, if that is wanted; else copy bootmgfw.efi over it",
            ),
            None => link.warn(format!("{path} does not say that it is Windows' boot manager"), ""),
        }
    }
    machine.get_or_insert(found.machine);
}

fn efi(volume: &Volume, file: &Found) -> Result<Program, String> {
    let program = program(volume, file)?;
    match program.subsystem {
        EFI_APPLICATION => Ok(program),
        other => Err(format!("is no EFI application (subsystem {other}, expected 10)")),
    }
}

//! A disk with everything a Windows needs to start, of programs that do nothing, for tests that take something away.

use std::collections::BTreeMap;
use std::fs::File as HostFile;
use std::path::PathBuf;
use std::sync::Arc;

use bcd::{DeviceKind, Setup, Store};
use bootsector::{Gpt, GptKind, GptPartition, Mbr, Partition, PartitionType};
use disk::{Content, ExtentMap, FileTime, Guid, Lba, ReadAt, SectorSize, Seed, WriteAt};
use hive::{Hive, Kind, data};
use ntfs_writer as ntfs;
use ntfs_writer::parse::{WOF_STREAM, WOF_TAG, WofCodec};
use tempfile::TempDir;
use testkit::program::Program;

use crate::DiskFile;
use crate::chain::{ChainReport, Firmware, check_chain};

const MIB: u64 = 1 << 20;
/// Where the partitions lie.
pub(super) const SYSTEM: u64 = MIB;
pub(super) const SYSTEM_SIZE: u64 = 40 * MIB;
pub(super) const WINDOWS: u64 = 64 * MIB;
const WINDOWS_SIZE: u64 = 32 * MIB;
const DISK_SIZE: u64 = 100 * MIB;

pub(super) const SIGNATURE: u32 = 0x1A2B_3C4D;
const TIME: FileTime = FileTime(131_000_000_000_000_000);

/// How a file lies on NTFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Wof(WofCodec),
    Link,
}

/// The files of a volume, by path.
pub(super) type Files = BTreeMap<String, (Vec<u8>, Form)>;

/// A disk to be made.
pub(super) struct World {
    pub(super) firmware: Firmware,
    /// Of the partition that is started from, but for the store.
    pub(super) system: Files,
    /// Of Windows, but for the SYSTEM hive.
    pub(super) windows: Files,
    pub(super) setup: Setup,
    pub(super) store: Store,
    pub(super) hive: Hive,
    pub(super) mbr: Mbr,
    pub(super) gpt: Gpt,
    /// The boot record of the partition that is started from.
    pub(super) record: Option<Box<[u8; 8192]>>,
    /// What the volumes are told of where they begin, in sectors.
    pub(super) hidden: u32,
}

pub(super) fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

fn program() -> Program {
    Program::x64()
}

/// A file of a BOOTMGR's shape.
pub(super) fn bootmgr(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
    bytes[..4].copy_from_slice(&[0xE9, 0xD5, 0x01, 0xEB]);
    bytes
}

impl World {
    pub(super) fn new(firmware: Firmware) -> Self {
        let disk = guid("6c5f7a10-0f2b-4d7e-9a63-6f7d3b0c9e11");
        let gpt_of = |number: u32, kind, id: &str, start: u64, size: u64| GptPartition {
            number,
            kind,
            id: guid(id),
            start: Lba(start / 512),
            sectors: size / 512,
            attributes: 0,
            name: String::new(),
        };
        let mut gpt = Gpt::new(disk, SectorSize::B512);
        gpt.partitions = vec![
            gpt_of(1, GptKind::EFI_SYSTEM, "0a7de1f0-35a6-4f35-8a55-000000000001", SYSTEM, SYSTEM_SIZE),
            gpt_of(2, GptKind::BASIC_DATA, "0a7de1f0-35a6-4f35-8a55-000000000002", WINDOWS, WINDOWS_SIZE),
        ];
        let mut mbr = Mbr::new(SIGNATURE);
        mbr.boot_code = *bootsector::mbr_boot_code();
        for (slot, start, size) in [(0, SYSTEM, SYSTEM_SIZE), (1, WINDOWS, WINDOWS_SIZE)] {
            let active = slot == 0;
            let entry = Partition::new(&(start..start + size), SectorSize::B512, PartitionType::NTFS, active);
            mbr.partitions[slot] = Some(entry.unwrap());
        }
        let device = |number: usize, offset| match firmware {
            Firmware::Bios => DeviceKind::PartitionMbr { signature: SIGNATURE, offset },
            Firmware::Uefi => DeviceKind::PartitionGpt { disk, partition: gpt.partitions[number].id },
        };
        let kind = match firmware {
            Firmware::Bios => bcd::Firmware::Bios,
            Firmware::Uefi => bcd::Firmware::Uefi,
        };
        let mut setup = Setup::new(kind, device(0, SYSTEM), device(1, WINDOWS), Seed::new(b"chain"), TIME);
        (setup.resume, setup.memory_test) = (false, false);
        let store = bcd::create(&setup).unwrap();
        let mut world = Self {
            firmware,
            system: Files::new(),
            windows: Files::new(),
            setup,
            store,
            hive: hive(),
            mbr,
            gpt,
            record: Some(Box::new(*bootsector::ntfs_boot_record())),
            hidden: (SYSTEM / 512) as u32,
        };
        match firmware {
            Firmware::Bios => world.put_system("\\bootmgr", bootmgr(300_000)),
            Firmware::Uefi => {
                let mut manager = program().efi().to_bytes();
                manager.extend("bootmgfw.efi".encode_utf16().flat_map(u16::to_le_bytes));
                world.put_system("\\EFI\\Microsoft\\Boot\\bootmgfw.efi", manager.clone());
                world.put_system("\\EFI\\Boot\\bootx64.efi", manager);
            }
        }
        world.install();
        world
    }

    fn install(&mut self) {
        let loader = match self.firmware {
            Firmware::Bios => "winload.exe",
            Firmware::Uefi => "winload.efi",
        };
        let kernel =
            program().imports(&["HAL.dll", "KDCOM.dll", "CI.dll", "CLFS.SYS", "ext-ms-win-ntos-x.dll"]);
        self.put(&format!("System32\\{loader}"), program().to_bytes());
        self.put("System32\\ntoskrnl.exe", kernel.to_bytes());
        for library in ["hal", "kdcom", "ci", "apisetschema"] {
            self.put(&format!("System32\\{library}.dll"), program().to_bytes());
        }
        for (driver, imports) in [
            ("pci", vec!["ntoskrnl.exe", "hal.dll"]),
            ("partmgr", vec!["ntoskrnl.exe"]),
            ("disk", vec!["classpnp.sys"]),
            ("classpnp", vec![]),
            ("volmgr", vec![]),
            ("mountmgr", vec![]),
            ("storahci", vec!["storport.sys"]),
            ("storport", vec![]),
            ("clfs", vec![]),
            ("wof", vec!["fltmgr.sys"]),
            ("fltmgr", vec![]),
            ("ntfs", vec!["fltmgr.sys"]),
            ("volsnap", vec![]),
            ("critical", vec![]),
            ("normal", vec![]),
        ] {
            self.put(&format!("System32\\drivers\\{driver}.sys"), program().imports(&imports).to_bytes());
        }
        self.put("System32\\c_1252.nls", vec![1; 3000]);
        self.put("System32\\c_437.nls", vec![1; 3000]);
        for name in ["SOFTWARE", "SECURITY", "SAM", "DEFAULT"] {
            let other = Hive::new(3, name, &descriptor(), TIME).unwrap().to_bytes().unwrap();
            self.put(&format!("System32\\config\\{name}"), other);
        }
    }

    /// Puts a file below `\Windows`.
    pub(super) fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.windows.insert(format!("\\Windows\\{path}"), (bytes, Form::Plain));
    }

    pub(super) fn put_system(&mut self, path: &str, bytes: Vec<u8>) {
        self.system.insert(path.to_owned(), (bytes, Form::Plain));
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, path: &str) {
        self.windows.remove(&format!("\\Windows\\{path}")).expect("it was there");
    }

    pub(super) fn remove_system(&mut self, path: &str) {
        self.system.remove(path).expect("it was there");
    }

    /// Stores one otherwise.
    pub(super) fn form(&mut self, path: &str, form: Form) {
        self.windows.get_mut(&format!("\\Windows\\{path}")).expect("it is there").1 = form;
    }

    /// The entry that is started.
    pub(super) fn entry(&mut self) -> &mut bcd::Object {
        self.store.object_mut(bcd::names::DEFAULT).unwrap()
    }

    pub(super) fn manager(&mut self) -> &mut bcd::Object {
        self.store.object_mut(bcd::names::BOOTMGR).unwrap()
    }

    /// A key of the control set.
    pub(super) fn key(&mut self, path: &str) -> &mut hive::Key {
        self.hive.root_mut().create(&format!("ControlSet001\\{path}")).unwrap()
    }

    /// Sets a number of a service.
    pub(super) fn service(&mut self, path: &str, value: &str, number: u32) {
        self.key(&format!("Services\\{path}")).set(value, Kind::DWORD, data::dword(number)).unwrap();
    }

    /// The disk, in a file.
    pub(super) fn disk(mut self) -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let host = HostFile::options().read(true).write(true).create_new(true).open(&path).unwrap();
        WriteAt::set_len(&host, DISK_SIZE).unwrap();
        let store = super::super::entry::store_path(self.firmware).to_owned();
        if !self.system.contains_key(&store) {
            let bytes = self.store.to_bytes().unwrap();
            self.system.insert(store, (bytes, Form::Plain));
        }
        // An empty file takes the place of what is not wanted.
        self.system.retain(|_, (bytes, _)| !bytes.is_empty());
        let system = "\\Windows\\System32\\config\\SYSTEM".to_owned();
        self.windows.entry(system).or_insert_with(|| (self.hive.to_bytes().unwrap(), Form::Plain));
        self.windows.retain(|_, (bytes, _)| !bytes.is_empty());
        match self.firmware {
            Firmware::Bios => {
                host.write_all_at(&self.mbr.to_sector().unwrap(), 0).unwrap();
                ntfs(&host, &self.system, SYSTEM, SYSTEM_SIZE, self.hidden, self.record.take());
            }
            Firmware::Uefi => {
                let table = self.gpt.to_bytes(DISK_SIZE).unwrap();
                host.write_all_at(&table.start, 0).unwrap();
                host.write_all_at(&table.end, table.end_offset).unwrap();
                fat(&host, &self.system);
            }
        }
        ntfs(&host, &self.windows, WINDOWS, WINDOWS_SIZE, (WINDOWS / 512) as u32, None);
        Disk { _folder: folder, path, host }
    }
}

/// A disk that was made.
pub(super) struct Disk {
    _folder: TempDir,
    pub(super) path: PathBuf,
    host: HostFile,
}

impl Disk {
    pub(super) fn check(&self) -> ChainReport {
        check_chain(&DiskFile::open(&self.path).unwrap()).unwrap()
    }

    pub(super) fn poke(&self, at: u64, bytes: &[u8]) {
        self.host.write_all_at(bytes, at).unwrap();
    }

    pub(super) fn peek(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.host.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    /// Where on the disk the unnamed stream of a file begins whose content begins with `start`.
    pub(super) fn find(&self, from: u64, start: &[u8]) -> u64 {
        let bytes = self.peek(from, (40 * MIB).min(DISK_SIZE - from) as usize);
        let at = bytes.windows(start.len()).position(|window| window == start).expect("it lies there");
        from + at as u64
    }

    /// Where on the disk the file record lies that has a name.
    pub(super) fn record(&self, from: u64, name: &str) -> u64 {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bytes = self.peek(from, (32 * MIB) as usize);
        let records = (0..bytes.len()).step_by(1024).filter(|&at| bytes[at..].starts_with(b"FILE"));
        let mut named =
            records.filter(|&at| bytes[at..at + 1024].windows(name.len()).any(|window| window == name));
        from + named.next().expect("there is such a record") as u64
    }
}

fn units(text: &str) -> Box<[u16]> {
    text.encode_utf16().collect()
}

/// A descriptor that lets administrators do everything.
fn descriptor() -> Vec<u8> {
    testkit::descriptor::descriptor("S-1-5-32-544", "S-1-5-18", None, Some(&[]))
}

/// The SYSTEM hive.
fn hive() -> Hive {
    let mut hive = Hive::new(5, "ROOT", &descriptor(), TIME).unwrap();
    let root = hive.root_mut();
    for (name, number) in [("Current", 1), ("Default", 1), ("Failed", 0), ("LastKnownGood", 1)] {
        root.create("Select").unwrap().set(name, Kind::DWORD, data::dword(number)).unwrap();
    }
    root.create("HardwareConfig").unwrap().set("LastId", Kind::DWORD, data::dword(0)).unwrap();
    let set = root.create("ControlSet001").unwrap();
    let order = set.create("Control\\ServiceGroupOrder").unwrap();
    order.set("List", Kind::MULTI_SZ, data::multi_sz(["Boot Bus Extender", "SCSI Miniport"])).unwrap();
    let pages = set.create("Control\\Nls\\CodePage").unwrap();
    for (name, text) in [("ACP", "1252"), ("OEMCP", "437"), ("1252", "c_1252.nls"), ("437", "c_437.nls")] {
        pages.set(name, Kind::SZ, data::sz(text)).unwrap();
    }
    for (class, filter) in [
        ("{4d36e967-e325-11ce-bfc1-08002be10318}", "partmgr"),
        ("{71a27cdd-812a-11d0-bec7-08002be2092f}", "volsnap"),
    ] {
        let key = set.create(&format!("Control\\Class\\{class}")).unwrap();
        key.set("UpperFilters", Kind::MULTI_SZ, data::multi_sz([filter])).unwrap();
    }
    for (name, kind, start, control) in [
        ("pci", 1, 0, 3),
        ("partmgr", 1, 0, 3),
        ("disk", 1, 0, 1),
        ("volmgr", 1, 0, 3),
        ("mountmgr", 1, 0, 3),
        ("storahci", 1, 0, 3),
        ("stornvme", 1, 3, 3),
        ("Wof", 2, 0, 1),
        ("FltMgr", 2, 0, 3),
        ("volsnap", 1, 0, 3),
        ("critical", 1, 0, 3),
        ("normal", 1, 0, 1),
        ("Beep", 1, 1, 1),
        ("Dnscache", 0x20, 2, 1),
    ] {
        let key = set.create(&format!("Services\\{name}")).unwrap();
        for (value, number) in [("Type", kind), ("Start", start), ("ErrorControl", control)] {
            key.set(value, Kind::DWORD, data::dword(number)).unwrap();
        }
        if name.starts_with("stor") {
            key.set("Group", Kind::SZ, data::sz("SCSI Miniport")).unwrap();
        }
        if name != "Wof" {
            let path = match name {
                "pci" => "\\SystemRoot\\System32\\drivers\\pci.sys".to_owned(),
                _ => format!("System32\\drivers\\{}.sys", name.to_lowercase()),
            };
            key.set("ImagePath", Kind::EXPAND_SZ, data::sz(&path)).unwrap();
        }
    }
    hive
}

struct NoBlobs;

impl ntfs::ReadBlob for NoBlobs {
    fn read_blob(&self, _: u32, _: u64, _: &mut [u8]) -> std::io::Result<()> {
        unreachable!("there are none")
    }
}

/// A chunked stream in which no chunk is compressed.
fn wof_stream(codec: WofCodec, bytes: &[u8]) -> Vec<u8> {
    let chunk = codec.chunk() as usize;
    let mut stream = Vec::new();
    for end in (chunk..bytes.len()).step_by(chunk) {
        stream.extend_from_slice(&u32::try_from(end).unwrap().to_le_bytes());
    }
    stream.extend_from_slice(bytes);
    stream
}

fn node(bytes: &[u8], form: Form) -> ntfs::Node {
    let content = ntfs::Source::Bytes(Arc::from(bytes));
    let mut node = ntfs::Node { attributes: 0x20, data: Some(content), ..ntfs::Node::default() };
    let reparse = |tag, data: Vec<u8>| {
        Some(ntfs::Reparse { tag, data: ntfs::Source::Bytes(Arc::from(data)), reserved: 0 })
    };
    match form {
        Form::Plain => {}
        Form::Wof(codec) => {
            let number = match codec {
                WofCodec::Xpress4k => 0,
                WofCodec::Lzx => 1,
                WofCodec::Xpress8k => 2,
                WofCodec::Xpress16k => 3,
            };
            node.attributes |= 0x600;
            node.data = Some(ntfs::Source::Hole { len: bytes.len() as u64 });
            let source = ntfs::Source::Bytes(Arc::from(wof_stream(codec, bytes)));
            node.named = vec![ntfs::NamedStream { name: units(WOF_STREAM), source }];
            node.reparse =
                reparse(WOF_TAG, [1u32, 2, 1, number].into_iter().flat_map(u32::to_le_bytes).collect());
        }
        Form::Link => {
            node.attributes |= 0x400;
            node.reparse = reparse(0xA000_000C, testkit::wimfile::symlink_data("elsewhere"));
        }
    }
    node
}

fn ntfs(
    host: &HostFile,
    files: &Files,
    start: u64,
    size: u64,
    hidden: u32,
    boot_code: Option<Box<[u8; 8192]>>,
) {
    let options =
        ntfs::Options { hidden_sectors: hidden, created: TIME, boot_code, ..ntfs::Options::default() };
    let mut builder = ntfs::Builder::new(options).unwrap();
    let mut directories = BTreeMap::from([(String::new(), ntfs::NodeId::ROOT)]);
    for (path, (bytes, form)) in files {
        let mut parent = ntfs::NodeId::ROOT;
        let (folder, name) = path.rsplit_once('\\').unwrap();
        let mut whole = String::new();
        for part in folder.split('\\').filter(|part| !part.is_empty()) {
            whole = format!("{whole}\\{}", part.to_lowercase());
            parent = *directories.entry(whole.clone()).or_insert_with(|| {
                let node = ntfs::Node { attributes: 0x10, ..ntfs::Node::default() };
                let id = builder.add_node(node).unwrap();
                builder.link(parent, ntfs::Name { long: units(part), short: None }, id).unwrap();
                id
            });
        }
        let id = builder.add_node(node(bytes, *form)).unwrap();
        builder.link(parent, ntfs::Name { long: units(name), short: None }, id).unwrap();
    }
    let volume = builder.plan().unwrap().lay_out(size).unwrap();
    for extent in volume.map().extents().iter().filter(|extent| extent.content != Content::Zero) {
        let mut bytes = vec![0; extent.len as usize];
        volume.render(extent.start, &mut bytes, &NoBlobs).unwrap();
        host.write_all_at(&bytes, start + extent.start).unwrap();
    }
}

fn fat(host: &HostFile, files: &Files) {
    let options = fat::Options {
        sector: SectorSize::B512,
        hidden_sectors: (SYSTEM / 512) as u32,
        serial: 1,
        label: String::new(),
        time: TIME,
    };
    let node = |(path, (bytes, _)): (&String, &(Vec<u8>, Form))| fat::Node {
        path: path.clone(),
        attributes: 0x20,
        created: TIME,
        modified: TIME,
        data: Some(fat::Data::Bytes(Arc::from(bytes.as_slice()))),
    };
    let plan = fat::Plan::new(options, files.iter().map(node).collect()).unwrap();
    let map: ExtentMap = plan.lay_out(SYSTEM_SIZE).unwrap();
    for extent in map.extents() {
        if let Content::Bytes { bytes, offset } = &extent.content {
            let from = *offset as usize;
            host.write_all_at(&bytes[from..from + extent.len as usize], SYSTEM + extent.start).unwrap();
        }
    }
}

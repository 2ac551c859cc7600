//! Stores from scratch: the objects that bcdboot leaves behind, for a disk that never saw Windows run.
//!
//! What is in them was compared with stores of Windows 7 (BIOS), 8.1, 10 and 11 (UEFI). Not in them is what only a
//! running machine can know: NVRAM entries (`{fwbootmgr}` and firmware applications). A UEFI machine finds such a disk
//! by `\EFI\Boot\bootx64.efi`, and Windows adds the entries when it runs.

use std::str::FromStr;

use disk::{FileTime, Guid, Seed};

use crate::names;
use crate::{
    BootMenuPolicy, Device, DeviceElement, Element, ElementType as E, Error, LocateBy, Object, ObjectType,
    Options, Partition, Result, Store, StoreRole, merge_template,
};

/// What [`create`] makes a store of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What starts the disk.
    pub firmware: Firmware,
    /// The Windows that is started, as far as its loader cares.
    pub generation: Generation,
    /// Its edition, as far as defaults differ.
    pub edition: Edition,
    /// The volume with the boot manager.
    pub system: DeviceKind,
    /// The volume with Windows.
    pub os: DeviceKind,
    /// The name of the entry in menus, such as `Windows Server 2016`.
    pub name: String,
    /// The Windows directory on its volume.
    pub system_root: String,
    /// Language of menus and messages.
    pub locale: String,
    /// From this, the GUIDs of entries derive.
    pub seed: Seed,
    /// Written as the time of every key.
    pub time: FileTime,
    /// Seconds that the menu waits.
    pub timeout: u32,
    /// Whether there is an entry that resumes from hibernation. Nano Server cannot hibernate.
    pub resume: bool,
    /// Whether there is an entry for the memory test; its program has to be on the system volume.
    pub memory_test: bool,
    /// The recovery system, if the disk has one.
    pub recovery: Option<Recovery>,
    /// Further wishes. They win over the template's values.
    pub options: Options,
}

/// What starts a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// BOOTMGR, winload.exe.
    Bios,
    /// bootmgfw.efi, winload.efi.
    Uefi,
}

/// Generations of the boot environment, which know different elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Generation {
    /// Windows 7 and Server 2008 R2. Its UEFI loader does not start with elements that later ones need.
    Windows7,
    /// Windows 8, 8.1, Server 2012 and 2012 R2.
    Windows8,
    /// Windows 10, 11, Server 2016 and later.
    Windows10,
}

/// Kinds of editions with different defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// No-execute pages are for programs that ask; graphical boot menu.
    Client,
    /// No-execute pages for all programs but those that object; the loader's default menu, which is text.
    Server,
    /// As the server; text menu by name, because there may be no screen.
    Nano,
}

/// How entries name a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A partition of an MBR disk.
    PartitionMbr {
        /// The disk signature.
        signature: u32,
        /// Its begin in bytes.
        offset: u64,
    },
    /// A partition of a GPT disk.
    PartitionGpt {
        /// The disk's GUID.
        disk: Guid,
        /// The partition's GUID.
        partition: Guid,
    },
    /// The partition that the boot manager was started from: for disks where it holds Windows, too.
    Boot,
    /// The first partition that holds the file. Survives a new disk signature, as clones and differencing disks get
    /// it, but takes whatever disk comes first.
    Locate,
}

/// A recovery system in a WIM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The volume with its files.
    pub device: DeviceKind,
    /// The WIM.
    pub wim: String,
    /// The SDI file that is the RAM disk's shell.
    pub sdi: String,
}

impl Recovery {
    /// Where Windows keeps its recovery system on a partition of its own.
    pub fn on(device: DeviceKind) -> Self {
        let file = |name: &str| format!("\\Recovery\\WindowsRE\\{name}");
        Self { device, wim: file("Winre.wim"), sdi: file("boot.sdi") }
    }
}

impl Setup {
    /// A setup with the values that most disks have: Windows 10 or later in `\Windows`, 30 seconds, English, all
    /// entries but that of a recovery system.
    pub fn new(firmware: Firmware, system: DeviceKind, os: DeviceKind, seed: Seed, time: FileTime) -> Self {
        Self {
            firmware,
            generation: Generation::Windows10,
            edition: Edition::Client,
            system,
            os,
            name: "Windows".to_owned(),
            system_root: "\\Windows".to_owned(),
            locale: "en-US".to_owned(),
            seed,
            time,
            timeout: 30,
            resume: true,
            memory_test: true,
            recovery: None,
            options: Options::default(),
        }
    }

    /// The GUID of the entry that starts Windows.
    pub fn loader_id(&self) -> Guid {
        self.seed.guid("loader")
    }

    /// The GUID of the entry that resumes from hibernation.
    pub fn resume_id(&self) -> Guid {
        self.seed.guid("resume loader")
    }

    /// The GUID of the recovery system's entry, which ReAgent.xml wants to know.
    pub fn recovery_id(&self) -> Guid {
        self.seed.guid("recovery loader")
    }

    /// The GUID of the options of the recovery system's RAM disk.
    pub fn recovery_options_id(&self) -> Guid {
        self.seed.guid("recovery RAM disk")
    }

    fn program(&self, name: &str) -> String {
        let extension = match self.firmware {
            Firmware::Bios => "exe",
            Firmware::Uefi => "efi",
        };
        format!("{}\\system32\\{name}.{extension}", self.system_root)
    }

    fn check(&self) -> Result<()> {
        let path = |what: &str, path: &str| {
            if !path.starts_with('\\') || path.ends_with('\\') || path.contains(['\0', '/']) {
                let form = "expected one from the root with backslashes, such as \\Windows";
                return Err(Error::Impossible(format!("{what} {path:?}, {form}")));
            }
            Ok(())
        };
        path("Windows directory", &self.system_root)?;
        if let Some(recovery) = &self.recovery {
            path("recovery WIM", &recovery.wim)?;
            path("recovery SDI", &recovery.sdi)?;
        }
        for (what, text) in [("name", &self.name), ("locale", &self.locale)] {
            if text.is_empty() || text.contains('\0') {
                return Err(Error::Impossible(format!("{what} {text:?}")));
            }
        }
        Ok(())
    }
}

impl DeviceKind {
    /// The device, if `element` is the element that names the file on it.
    fn device(self, element: E) -> Device {
        self.fixed().unwrap_or(Device::Locate { by: LocateBy::Element(element), parent: None })
    }

    /// The device that holds the file `path`.
    fn holding(self, path: &str) -> Device {
        self.fixed().unwrap_or_else(|| Device::Locate { by: LocateBy::Path(path.to_owned()), parent: None })
    }

    fn fixed(self) -> Option<Device> {
        Some(match self {
            Self::PartitionMbr { signature, offset } => {
                Device::Partition(Partition::Mbr { signature, offset })
            }
            Self::PartitionGpt { disk, partition } => Device::Partition(Partition::Gpt { disk, partition }),
            Self::Boot => Device::Boot,
            Self::Locate => return None,
        })
    }
}

/// As the device of an element is written, for the kinds that a setup can name: `boot`, `locate`,
/// `partition=mbr:…` or `partition=gpt:…`.
impl FromStr for DeviceKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("locate") {
            return Ok(Self::Locate);
        }
        match text.parse::<Device>() {
            Ok(Device::Boot) => Ok(Self::Boot),
            Ok(Device::Partition(Partition::Mbr { signature, offset })) => {
                Ok(Self::PartitionMbr { signature, offset })
            }
            Ok(Device::Partition(Partition::Gpt { disk, partition })) => {
                Ok(Self::PartitionGpt { disk, partition })
            }
            _ => {
                let expected = "boot, locate, partition=mbr:SIGNATURE@OFFSET or partition=gpt:DISK:PARTITION";
                Err(Error::text(text, expected))
            }
        }
    }
}

macro_rules! by_name {
    ($type:ident, $what:literal: $($name:literal = $variant:ident),+) => {
        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(Error::text(text, concat!($what, " (known: ", by_name!(@ $($name)+), ")"))),
                }
            }
        }
    };
    (@ $first:literal $($more:literal)*) => { concat!($first $(, ", ", $more)*) };
}

by_name!(Firmware, "a firmware": "bios" = Bios, "uefi" = Uefi);
by_name!(Generation, "a generation": "7" = Windows7, "8" = Windows8, "10" = Windows10);
by_name!(Edition, "a kind of edition": "client" = Client, "server" = Server, "nano" = Nano);

/// The store that starts Windows on a disk: `\Boot\BCD`, or on the ESP `\EFI\Microsoft\Boot\BCD`.
///
/// # Errors
/// [`Error::Impossible`] for paths, names and options that a store cannot hold.
pub fn create(setup: &Setup) -> Result<Store> {
    create_from(setup, None)
}

/// Like [`create`], but with the settings of the image's own `\Windows\System32\config\BCD-Template` in between: they
/// replace the defaults of this crate, and `setup.options` replace them.
///
/// # Errors
/// Those of [`create`].
pub fn create_from(setup: &Setup, template: Option<&Store>) -> Result<Store> {
    setup.check()?;
    let mut store = Store::new(StoreRole::System, setup.time)?;
    for object in inherited(setup) {
        store.insert(object);
    }
    store.insert(manager(setup));
    store.insert(loader(setup));
    if setup.resume {
        store.insert(resume(setup));
    }
    if setup.memory_test {
        store.insert(memory_test(setup));
    }
    if let Some(recovery) = &setup.recovery {
        for object in recovery_entry(setup, recovery) {
            store.insert(object);
        }
    }
    if let Some(template) = template {
        merge_template(&mut store, template);
    }
    setup.options.apply(&mut store, &[setup.loader_id()])?;
    Ok(store)
}

/// The second store of a UEFI disk, `\EFI\Microsoft\Recovery\BCD`: the boot manager and what is inherited, no entry.
///
/// # Errors
/// Those of [`create`].
pub fn create_recovery_store(setup: &Setup) -> Result<Store> {
    setup.check()?;
    let mut store = Store::new(StoreRole::System, setup.time)?;
    for object in inherited(setup) {
        store.insert(object);
    }
    let mut manager = manager(setup);
    for element in [E::DEFAULT, E::DISPLAY_ORDER, E::TOOLS_DISPLAY_ORDER, E::BOOTMGR_RESUME_OBJECT] {
        manager.elements.remove(&element);
    }
    manager.set(E::TIMEOUT, Element::Integer(30));
    store.insert(manager);
    Ok(store)
}

/// An object with the elements that every application's entry has.
fn entry(id: Guid, kind: ObjectType, setup: &Setup, name: &str, inherit: Guid) -> Object {
    let mut object = Object::new(id, kind);
    object.set(E::DESCRIPTION, string(name));
    object.set(E::LOCALE, string(&setup.locale));
    object.set(E::INHERIT, Element::ObjectList(vec![inherit]));
    object
}

fn string(text: &str) -> Element {
    Element::String(text.to_owned())
}

fn device(device: Device) -> Element {
    Element::Device(DeviceElement::new(device))
}

/// `allowedinmemorysettings` of every entry of Windows 8 and later: one element that boot applications may hand on
/// without BitLocker noticing.
const ALLOWED_IN_MEMORY: u64 = 0x1500_0075;

fn inherited(setup: &Setup) -> Vec<Object> {
    let list = |ids: &[Guid]| Element::ObjectList(ids.to_vec());
    let mut ems = Object::new(names::EMS_SETTINGS, ObjectType::INHERIT_LIBRARY);
    ems.set(E::BOOT_EMS, Element::Boolean(setup.generation == Generation::Windows7));
    let mut debug = Object::new(names::DBG_SETTINGS, ObjectType::INHERIT_LIBRARY);
    if setup.generation == Generation::Windows10 {
        debug.set(E::DEBUG_TYPE, Element::Integer(4));
    } else {
        debug.set(E::DEBUG_TYPE, Element::Integer(0));
        debug.set(E::DEBUG_PORT, Element::Integer(1));
        debug.set(E::BAUD_RATE, Element::Integer(115_200));
    }
    let mut global = Object::new(names::GLOBAL_SETTINGS, ObjectType::INHERIT_LIBRARY);
    global.set(E::INHERIT, list(&[names::DBG_SETTINGS, names::EMS_SETTINGS, names::BAD_MEMORY]));
    let mut loaders = Object::new(names::BOOTLOADER_SETTINGS, ObjectType::INHERIT_LOADER);
    loaders.set(E::INHERIT, list(&[names::GLOBAL_SETTINGS, names::HYPERVISOR_SETTINGS]));
    let mut resume = Object::new(names::RESUMELOADER_SETTINGS, ObjectType::INHERIT_RESUME);
    resume.set(E::INHERIT, list(&[names::GLOBAL_SETTINGS]));
    let mut hypervisor = Object::new(names::HYPERVISOR_SETTINGS, ObjectType::INHERIT_LOADER);
    hypervisor.set(E::HYPERVISOR_DEBUG_TYPE, Element::Integer(0));
    hypervisor.set(E::HYPERVISOR_DEBUG_PORT, Element::Integer(1));
    hypervisor.set(E::HYPERVISOR_BAUD_RATE, Element::Integer(115_200));
    let bad_memory = Object::new(names::BAD_MEMORY, ObjectType::INHERIT_LIBRARY);
    vec![ems, debug, bad_memory, global, loaders, resume, hypervisor]
}

fn manager(setup: &Setup) -> Object {
    let global = names::GLOBAL_SETTINGS;
    let mut object = entry(names::BOOTMGR, ObjectType::BOOT_MANAGER, setup, "Windows Boot Manager", global);
    object.set(E::DEVICE, device(setup.system.device(E::PATH)));
    if setup.firmware == Firmware::Uefi {
        object.set(E::PATH, string("\\EFI\\Microsoft\\Boot\\bootmgfw.efi"));
    }
    object.set(E::DEFAULT, Element::Object(setup.loader_id()));
    if setup.resume {
        object.set(E::BOOTMGR_RESUME_OBJECT, Element::Object(setup.resume_id()));
    }
    object.set(E::DISPLAY_ORDER, Element::ObjectList(vec![setup.loader_id()]));
    if setup.memory_test {
        object.set(E::TOOLS_DISPLAY_ORDER, Element::ObjectList(vec![names::MEMDIAG]));
    }
    object.set(E::TIMEOUT, Element::Integer(setup.timeout.into()));
    object
}

/// What entries that load code with the help of the boot manager have since Windows 8.
fn modern(object: &mut Object, setup: &Setup) {
    if setup.generation > Generation::Windows7 {
        if setup.firmware == Firmware::Uefi {
            object.set(E::ISOLATED_CONTEXT, Element::Boolean(true));
        }
        object.set(E::ALLOWED_IN_MEMORY_SETTINGS, Element::IntegerList(vec![ALLOWED_IN_MEMORY]));
    }
}

/// What is started when the entry fails.
fn recovers(object: &mut Object, setup: &Setup) {
    if setup.recovery.is_some() {
        object.set(E::RECOVERY_SEQUENCE, Element::ObjectList(vec![setup.recovery_id()]));
        object.set(E::RECOVERY_ENABLED, Element::Boolean(true));
    }
}

fn loader(setup: &Setup) -> Object {
    let inherit = names::BOOTLOADER_SETTINGS;
    let mut object = entry(setup.loader_id(), ObjectType::LOADER, setup, &setup.name, inherit);
    modern(&mut object, setup);
    recovers(&mut object, setup);
    object.set(E::DEVICE, device(setup.os.device(E::PATH)));
    object.set(E::PATH, string(&setup.program("winload")));
    object.set(E::OS_DEVICE, device(setup.os.device(E::SYSTEM_ROOT)));
    object.set(E::SYSTEM_ROOT, string(&setup.system_root));
    if setup.resume {
        object.set(E::RESUME_OBJECT, Element::Object(setup.resume_id()));
    }
    if setup.recovery.is_some() && setup.generation == Generation::Windows10 {
        object.set(E::DISPLAY_MESSAGE_OVERRIDE, Element::Integer(DISPLAY_RECOVERY));
    }
    if setup.generation == Generation::Windows8 {
        object.set(E::DETECT_HAL, Element::Boolean(true));
    }
    let nx = match setup.edition {
        Edition::Client => 0,
        Edition::Server | Edition::Nano => 1,
    };
    object.set(E::NX, Element::Integer(nx));
    let menu = match setup.edition {
        _ if setup.generation == Generation::Windows7 => None,
        Edition::Client => Some(BootMenuPolicy::Standard),
        Edition::Server => None,
        Edition::Nano => Some(BootMenuPolicy::Legacy),
    };
    if let Some(menu) = menu {
        object.set(E::BOOT_MENU_POLICY, Element::Integer(menu.number()));
    }
    object
}

fn resume(setup: &Setup) -> Object {
    let (name, inherit) = ("Windows Resume Application", names::RESUMELOADER_SETTINGS);
    let mut object = entry(setup.resume_id(), ObjectType::RESUME, setup, name, inherit);
    modern(&mut object, setup);
    object.set(E::DEVICE, device(setup.os.device(E::PATH)));
    object.set(E::PATH, string(&setup.program("winresume")));
    object.set(E::OS_DEVICE, device(setup.os.device(E::SYSTEM_ROOT)));
    object.set(E::SYSTEM_ROOT, string("\\hiberfil.sys"));
    if setup.generation > Generation::Windows7 {
        recovers(&mut object, setup);
        object.set(E::RESUME_BOOT_MENU_POLICY, Element::Integer(1));
    }
    object.set(E::RESUME_DEBUG, Element::Boolean(false));
    object
}

fn memory_test(setup: &Setup) -> Object {
    let (name, global) = ("Windows Memory Diagnostic", names::GLOBAL_SETTINGS);
    let mut object = entry(names::MEMDIAG, ObjectType::MEMORY_TESTER, setup, name, global);
    object.set(E::DEVICE, device(setup.system.device(E::PATH)));
    let path = match setup.firmware {
        Firmware::Bios => "\\boot\\memtest.exe",
        Firmware::Uefi => "\\EFI\\Microsoft\\Boot\\memtest.efi",
    };
    object.set(E::PATH, string(path));
    object.set(E::BAD_MEMORY_ACCESS, Element::Boolean(true));
    object
}

/// `displaymessage` of recovery.
const DISPLAY_RECOVERY: u64 = 3;

fn recovery_entry(setup: &Setup, recovery: &Recovery) -> [Object; 2] {
    let options_id = setup.recovery_options_id();
    let (name, inherit) = ("Windows Recovery Environment", names::BOOTLOADER_SETTINGS);
    let mut object = entry(setup.recovery_id(), ObjectType::LOADER, setup, name, inherit);
    let ramdisk =
        DeviceElement::ramdisk(recovery.device.holding(&recovery.wim), recovery.wim.clone(), options_id);
    let extension = match setup.firmware {
        Firmware::Bios => "exe",
        Firmware::Uefi => "efi",
    };
    object.set(E::DEVICE, Element::Device(ramdisk.clone()));
    object.set(E::PATH, string(&format!("\\windows\\system32\\winload.{extension}")));
    object.set(E::OS_DEVICE, Element::Device(ramdisk));
    object.set(E::SYSTEM_ROOT, string("\\windows"));
    object.set(E::NX, Element::Integer(0));
    object.set(E::WINPE, Element::Boolean(true));
    object.set(E::RECOVERY_OS, Element::Boolean(true));
    if setup.generation > Generation::Windows7 {
        object.set(E::DISPLAY_MESSAGE, Element::Integer(DISPLAY_RECOVERY));
        object.set(E::BOOT_MENU_POLICY, Element::Integer(1));
    }

    let mut options = Object::new(options_id, ObjectType::DEVICE);
    options.set(E::DESCRIPTION, string("Windows Recovery"));
    options.set(E::SDI_DEVICE, device(recovery.device.device(E::SDI_PATH)));
    options.set(E::SDI_PATH, string(&recovery.sdi));
    [object, options]
}

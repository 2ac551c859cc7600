//! Objects: what can be started, and the sets of elements that such things share.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use disk::Guid;

use crate::{Element, ElementType, Error};

/// What an object is: its kind in bits 28 to 31, further bits by kind, and the application in bits 0 to 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectType(pub u32);

/// An [`ObjectType`] taken apart, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// Something that is started. The application says which elements it knows.
    Application(Application),
    /// Elements that others inherit: of an application, or of any (`None`).
    Inherit(Option<Application>),
    /// Options of a device.
    Device,
    /// None of these.
    Unknown,
}

/// The applications of the boot environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Application {
    /// The firmware's own boot manager (UEFI): what NVRAM says.
    FirmwareManager,
    /// BOOTMGR or bootmgfw.efi.
    BootManager,
    /// winload.
    Loader,
    /// winresume.
    Resume,
    /// memtest.
    MemoryTester,
    /// NTLDR of Windows XP and earlier.
    Ntldr,
    /// SETUPLDR of Windows XP and earlier.
    Setupldr,
    /// A file with a boot sector.
    BootSector,
    /// startup.com.
    Startup,
    /// Another application; entries of the firmware have 0xFFFFF.
    Other(u32),
}

/// An object: its type and its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Who it is.
    pub id: Guid,
    /// What it is.
    pub kind: ObjectType,
    /// What it says.
    pub elements: BTreeMap<ElementType, Element>,
}

impl ObjectType {
    /// The firmware's boot manager.
    pub const FIRMWARE_MANAGER: Self = Self(0x1010_0001);
    /// The Windows boot manager.
    pub const BOOT_MANAGER: Self = Self(0x1010_0002);
    /// A Windows loader.
    pub const LOADER: Self = Self(0x1020_0003);
    /// A loader that resumes from hibernation.
    pub const RESUME: Self = Self(0x1020_0004);
    /// The memory test.
    pub const MEMORY_TESTER: Self = Self(0x1020_0005);
    /// An application that the firmware starts.
    pub const FIRMWARE_APPLICATION: Self = Self(0x101F_FFFF);
    /// Elements that any application can inherit.
    pub const INHERIT_LIBRARY: Self = Self(0x2010_0000);
    /// Elements for loaders.
    pub const INHERIT_LOADER: Self = Self(0x2020_0003);
    /// Elements for resume loaders.
    pub const INHERIT_RESUME: Self = Self(0x2020_0004);
    /// Options of a device.
    pub const DEVICE: Self = Self(0x3000_0000);

    /// What it means.
    pub const fn kind(self) -> ObjectKind {
        let application = match self.0 & 0xF_FFFF {
            1 => Application::FirmwareManager,
            2 => Application::BootManager,
            3 => Application::Loader,
            4 => Application::Resume,
            5 => Application::MemoryTester,
            6 => Application::Ntldr,
            7 => Application::Setupldr,
            8 => Application::BootSector,
            9 => Application::Startup,
            other => Application::Other(other),
        };
        match (self.0 >> 28, application) {
            (1, application) => ObjectKind::Application(application),
            (2, Application::Other(0)) => ObjectKind::Inherit(None),
            (2, application) => ObjectKind::Inherit(Some(application)),
            (3, _) => ObjectKind::Device,
            _ => ObjectKind::Unknown,
        }
    }

    /// The application whose elements it can hold.
    pub const fn application(self) -> Option<Application> {
        match self.kind() {
            ObjectKind::Application(application) | ObjectKind::Inherit(Some(application)) => {
                Some(application)
            }
            _ => None,
        }
    }

    /// What bcdedit prints above such an object.
    pub const fn title(self) -> &'static str {
        match self.kind() {
            ObjectKind::Application(application) => match application {
                Application::FirmwareManager => "Firmware Boot Manager",
                Application::BootManager => "Windows Boot Manager",
                Application::Loader => "Windows Boot Loader",
                Application::Resume => "Resume from Hibernate",
                Application::MemoryTester => "Windows Memory Tester",
                Application::Ntldr => "Windows Legacy OS Loader",
                Application::Setupldr => "Windows Legacy Setup Loader",
                Application::BootSector => "Real-mode Boot Sector",
                Application::Startup => "Startup Application",
                Application::Other(_) if self.0 >> 20 & 0xF == 1 => "Firmware Application",
                Application::Other(_) => "Boot Application",
            },
            ObjectKind::Inherit(None) => "Inherited Settings",
            ObjectKind::Inherit(Some(Application::Loader)) => "Boot Loader Settings",
            ObjectKind::Inherit(Some(Application::Resume)) => "Resume Loader Settings",
            ObjectKind::Inherit(Some(_)) => "Inherited Application Settings",
            ObjectKind::Device => "Device Options",
            ObjectKind::Unknown => "Unknown Object",
        }
    }
}

/// Kinds of objects that can be made by name, as bcdedit's `/application` calls them.
const NAMED: &[(&str, ObjectType)] = &[
    ("osloader", ObjectType::LOADER),
    ("resume", ObjectType::RESUME),
    ("memdiag", ObjectType::MEMORY_TESTER),
    ("ntldr", ObjectType(0x1030_0006)),
    ("bootsector", ObjectType(0x1040_0008)),
    ("startup", ObjectType(0x1040_0009)),
    ("inherit", ObjectType::INHERIT_LIBRARY),
    ("inherit-osloader", ObjectType::INHERIT_LOADER),
    ("inherit-resume", ObjectType::INHERIT_RESUME),
    ("device", ObjectType::DEVICE),
];

/// A name such as `osloader`, or eight hexadecimal digits.
impl FromStr for ObjectType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some((_, kind)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(*kind);
        }
        ElementType::from_key_name(text).map(|number| Self(number.0)).ok_or_else(|| {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            Error::text(
                text,
                format!("a type of object (known: {}, or eight hexadecimal digits)", names.join(", ")),
            )
        })
    }
}

/// Eight hexadecimal digits.
impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl Object {
    /// An object without elements.
    pub const fn new(id: Guid, kind: ObjectType) -> Self {
        Self { id, kind, elements: BTreeMap::new() }
    }

    /// The value of an element.
    pub fn get(&self, element: ElementType) -> Option<&Element> {
        self.elements.get(&element)
    }

    /// The text of an element.
    pub fn string(&self, element: ElementType) -> Option<&str> {
        match self.get(element)? {
            Element::String(text) => Some(text),
            _ => None,
        }
    }

    /// The device of an element.
    pub fn device(&self, element: ElementType) -> Option<&crate::DeviceElement> {
        match self.get(element)? {
            Element::Device(device) => Some(device),
            _ => None,
        }
    }

    /// The number of an element.
    pub fn integer(&self, element: ElementType) -> Option<u64> {
        match self.get(element)? {
            Element::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether an element is on.
    pub fn boolean(&self, element: ElementType) -> Option<bool> {
        match self.get(element)? {
            Element::Boolean(on) => Some(*on),
            _ => None,
        }
    }

    /// The objects that an element refers to: none if it is missing.
    pub fn references(&self, element: ElementType) -> &[Guid] {
        self.get(element).map_or(&[], Element::references)
    }

    /// Sets an element, in place of one of that type. Whether the type can hold the value is checked when the store is
    /// written.
    pub fn set(&mut self, element: ElementType, value: Element) {
        self.elements.insert(element, value);
    }
}

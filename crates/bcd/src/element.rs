//! Elements: the settings of an object, each a number that says what it is and a value whose form the number fixes.

use std::fmt;

use disk::Guid;
use hive::Kind;

use crate::{DeviceElement, Error, Result};

/// What an element is: class, format and subtype in one number, which is also the name of its key (eight hexadecimal
/// digits).
///
/// The same subtype means something else in another class, and among the application elements (class 2) something else
/// for every application: 0x26000004 is `stampdisks` of an OS loader and `pae` of a resume loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementType(pub u32);

/// For whom an element is: bits 28 to 31 of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementClass {
    /// For the library that every boot application contains.
    Library,
    /// For one application: the object says which.
    Application,
    /// For a device: options of a RAM disk.
    Device,
    /// A directive for whoever makes entries from templates; boot applications skip it.
    Template,
    /// Of a manufacturer.
    Oem,
    /// None of these.
    Unknown(u8),
}

/// The form of an element's value: bits 24 to 27 of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 1: a [`DeviceElement`].
    Device,
    /// 2: text.
    String,
    /// 3: the GUID of an object.
    Object,
    /// 4: GUIDs of objects, in an order that matters.
    ObjectList,
    /// 5: a number of up to 64 bits.
    Integer,
    /// 6: on or off.
    Boolean,
    /// 7: numbers of 64 bits.
    IntegerList,
    /// 8: bytes.
    Binary,
    /// None of these.
    Unknown(u8),
}

/// An element's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// A device.
    Device(DeviceElement),
    /// Text, without its NUL.
    String(String),
    /// An object.
    Object(Guid),
    /// Objects.
    ObjectList(Vec<Guid>),
    /// A number.
    Integer(u64),
    /// On or off.
    Boolean(bool),
    /// Numbers.
    IntegerList(Vec<u64>),
    /// Bytes.
    Binary(Vec<u8>),
    /// A value that its format does not allow, or of a format that is not known: as it is stored.
    Raw {
        /// The registry's type of the value.
        kind: u32,
        /// Its data.
        data: Vec<u8>,
    },
}

impl ElementType {
    /// `device`: what holds the application's file.
    pub const DEVICE: Self = Self(0x1100_0001);
    /// `path`: the application's file.
    pub const PATH: Self = Self(0x1200_0002);
    /// `description`: the name that menus show.
    pub const DESCRIPTION: Self = Self(0x1200_0004);
    /// `locale`: language of the menus, such as `en-US`.
    pub const LOCALE: Self = Self(0x1200_0005);
    /// `inherit`: objects whose elements count here, too.
    pub const INHERIT: Self = Self(0x1400_0006);
    /// `recoverysequence`: what starts when this fails.
    pub const RECOVERY_SEQUENCE: Self = Self(0x1400_0008);
    /// `recoveryenabled`.
    pub const RECOVERY_ENABLED: Self = Self(0x1600_0009);
    /// `badmemoryaccess`.
    pub const BAD_MEMORY_ACCESS: Self = Self(0x1600_000B);
    /// `bootdebug`: debugging of the boot application itself.
    pub const BOOT_DEBUG: Self = Self(0x1600_0010);
    /// `debugtype`: 0 serial, 1 IEEE 1394, 2 USB, 3 network, 4 local.
    pub const DEBUG_TYPE: Self = Self(0x1500_0011);
    /// `debugport`: number of the COM port.
    pub const DEBUG_PORT: Self = Self(0x1500_0013);
    /// `baudrate` of the debugger's serial port.
    pub const BAUD_RATE: Self = Self(0x1500_0014);
    /// `channel` of a debugger over IEEE 1394.
    pub const CHANNEL: Self = Self(0x1500_0015);
    /// `targetname` of a debugger over USB.
    pub const TARGET_NAME: Self = Self(0x1200_0016);
    /// `busparams`: bus, device and function of the debugger's adapter.
    pub const BUS_PARAMETERS: Self = Self(0x1200_0019);
    /// `hostip`: IPv4 address of a network debugger, the first part in the highest byte.
    pub const HOST_IP: Self = Self(0x1500_001A);
    /// `port` of a network debugger.
    pub const HOST_PORT: Self = Self(0x1500_001B);
    /// `dhcp` of a network debugger.
    pub const DHCP: Self = Self(0x1600_001C);
    /// `key` of a network debugger.
    pub const KEY: Self = Self(0x1200_001D);
    /// `bootems`: the boot application talks on the EMS port.
    pub const BOOT_EMS: Self = Self(0x1600_0020);
    /// `emsport`: number of the COM port.
    pub const EMS_PORT: Self = Self(0x1500_0022);
    /// `emsbaudrate`.
    pub const EMS_BAUD_RATE: Self = Self(0x1500_0023);
    /// `nointegritychecks`.
    pub const NO_INTEGRITY_CHECKS: Self = Self(0x1600_0048);
    /// `testsigning`.
    pub const TEST_SIGNING: Self = Self(0x1600_0049);
    /// `isolatedcontext`: on for UEFI loaders of Windows 8 and later, which do not start without it; Windows 7 does not
    /// start with it.
    pub const ISOLATED_CONTEXT: Self = Self(0x1600_0060);
    /// `displaymessage`: 3 is recovery.
    pub const DISPLAY_MESSAGE: Self = Self(0x1500_0065);
    /// `displaymessageoverride`.
    pub const DISPLAY_MESSAGE_OVERRIDE: Self = Self(0x1500_0066);
    /// `allowedinmemorysettings`.
    pub const ALLOWED_IN_MEMORY_SETTINGS: Self = Self(0x1700_0077);
    /// `default` of a boot manager.
    pub const DEFAULT: Self = Self(0x2300_0003);
    /// `timeout` of a boot manager, in seconds.
    pub const TIMEOUT: Self = Self(0x2500_0004);
    /// `resumeobject` of a boot manager.
    pub const BOOTMGR_RESUME_OBJECT: Self = Self(0x2300_0006);
    /// `displayorder` of a boot manager.
    pub const DISPLAY_ORDER: Self = Self(0x2400_0001);
    /// `bootsequence` of a boot manager: once only.
    pub const BOOT_SEQUENCE: Self = Self(0x2400_0002);
    /// `toolsdisplayorder` of a boot manager.
    pub const TOOLS_DISPLAY_ORDER: Self = Self(0x2400_0010);
    /// `osdevice` of a loader, `filedevice` of a resume loader.
    pub const OS_DEVICE: Self = Self(0x2100_0001);
    /// `systemroot` of a loader, `filepath` of a resume loader.
    pub const SYSTEM_ROOT: Self = Self(0x2200_0002);
    /// `resumeobject` of a loader.
    pub const RESUME_OBJECT: Self = Self(0x2300_0003);
    /// `debugoptionenabled` of a resume loader.
    pub const RESUME_DEBUG: Self = Self(0x2600_0006);
    /// `bootmenupolicy` of a resume loader.
    pub const RESUME_BOOT_MENU_POLICY: Self = Self(0x2500_0008);
    /// `detecthal` of a loader.
    pub const DETECT_HAL: Self = Self(0x2600_0010);
    /// `nx` of a loader.
    pub const NX: Self = Self(0x2500_0020);
    /// `winpe` of a loader.
    pub const WINPE: Self = Self(0x2600_0022);
    /// `debug` of a loader.
    pub const DEBUG: Self = Self(0x2600_00A0);
    /// `ems` of a loader.
    pub const EMS: Self = Self(0x2600_00B0);
    /// `bootmenupolicy` of a loader: 0 legacy (text), 1 standard (graphics).
    pub const BOOT_MENU_POLICY: Self = Self(0x2500_00C2);
    /// `hypervisordebugtype`.
    pub const HYPERVISOR_DEBUG_TYPE: Self = Self(0x2500_00F3);
    /// `hypervisordebugport`.
    pub const HYPERVISOR_DEBUG_PORT: Self = Self(0x2500_00F4);
    /// `hypervisorbaudrate`.
    pub const HYPERVISOR_BAUD_RATE: Self = Self(0x2500_00F5);
    /// `ramdisksdidevice`.
    pub const SDI_DEVICE: Self = Self(0x3100_0003);
    /// `ramdisksdipath`.
    pub const SDI_PATH: Self = Self(0x3200_0004);
    /// Marks the entry of a recovery system.
    pub const RECOVERY_OS: Self = Self(0x4600_0010);

    /// For whom it is.
    pub const fn class(self) -> ElementClass {
        match (self.0 >> 28) as u8 {
            1 => ElementClass::Library,
            2 => ElementClass::Application,
            3 => ElementClass::Device,
            4 => ElementClass::Template,
            5 => ElementClass::Oem,
            other => ElementClass::Unknown(other),
        }
    }

    /// The form of its value.
    pub const fn format(self) -> Format {
        match (self.0 >> 24) as u8 & 0xF {
            1 => Format::Device,
            2 => Format::String,
            3 => Format::Object,
            4 => Format::ObjectList,
            5 => Format::Integer,
            6 => Format::Boolean,
            7 => Format::IntegerList,
            8 => Format::Binary,
            other => Format::Unknown(other),
        }
    }

    /// From the name of its key.
    pub(crate) fn from_key_name(name: &str) -> Option<Self> {
        let digits = name.len() == 8 && name.bytes().all(|c| c.is_ascii_hexdigit());
        digits.then(|| u32::from_str_radix(name, 16).ok())?.map(Self)
    }
}

/// Eight hexadecimal digits, as its key is called.
impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl Format {
    /// The registry's type of such a value; `None` for unknown formats.
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::String | Self::Object => Some(Kind::SZ),
            Self::ObjectList => Some(Kind::MULTI_SZ),
            Self::Device | Self::Integer | Self::Boolean | Self::IntegerList | Self::Binary => {
                Some(Kind::BINARY)
            }
            Self::Unknown(_) => None,
        }
    }
}

impl Element {
    /// The value that the registry holds for an element of type `element`.
    ///
    /// The rules are those by which the boot manager refuses an object: a boolean is one byte, a number one to eight, a
    /// list of numbers a multiple of eight, text not empty and whole UTF-16 units, a device as long as it says.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the rule that is broken; [`Element::parse`] keeps such values.
    pub fn strict(element: ElementType, kind: Kind, data: &[u8]) -> Result<Self> {
        let format = element.format();
        let bad = |reason: String| Error::malformed("element", 0, reason);
        let Some(expected) = format.kind() else {
            return Err(bad(format!("format {:#x} of {element} is not known", element.0 >> 24 & 0xF)));
        };
        if kind != expected {
            return Err(bad(format!("registry type {}, expected {} for {element}", kind.0, expected.0)));
        }
        Ok(match format {
            Format::Device => Self::Device(DeviceElement::from_bytes(data)?),
            Format::String => Self::String(text(data)?),
            Format::Object => {
                let text = text(data)?;
                Self::Object(guid(&text)?)
            }
            Format::ObjectList => Self::ObjectList(object_list(data)?),
            Format::Integer => {
                if !(1..=8).contains(&data.len()) {
                    return Err(bad(format!("a number of {} bytes, expected 1 to 8", data.len())));
                }
                let mut number = [0; 8];
                number[..data.len()].copy_from_slice(data);
                Self::Integer(u64::from_le_bytes(number))
            }
            Format::Boolean => match data {
                [byte] => Self::Boolean(*byte != 0),
                _ => return Err(bad(format!("a boolean of {} bytes, expected 1", data.len()))),
            },
            Format::IntegerList => {
                if data.is_empty() || !data.len().is_multiple_of(8) {
                    return Err(bad(format!("a list of {} bytes, expected a multiple of 8", data.len())));
                }
                let number =
                    |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                Self::IntegerList(data.chunks_exact(8).map(number).collect())
            }
            Format::Binary => Self::Binary(data.to_vec()),
            Format::Unknown(_) => unreachable!("an unknown format has no registry type"),
        })
    }

    /// Like [`strict`](Self::strict), but what is against the rules is kept as [`Element::Raw`].
    pub fn parse(element: ElementType, kind: Kind, data: &[u8]) -> Self {
        Self::strict(element, kind, data).unwrap_or_else(|_| Self::Raw { kind: kind.0, data: data.to_vec() })
    }

    /// The registry's type and data of this value.
    ///
    /// # Errors
    /// [`Error::Impossible`] for text that is empty or contains a NUL, and what
    /// [`DeviceElement::to_bytes`] refuses.
    pub fn to_registry(&self) -> Result<(Kind, Vec<u8>)> {
        Ok(match self {
            Self::Device(device) => (Kind::BINARY, device.to_bytes()?),
            Self::String(text) => {
                if text.is_empty() || text.contains('\0') {
                    let what = if text.is_empty() { "empty text" } else { "text with a NUL" };
                    return Err(Error::Impossible(format!("{what} in an element")));
                }
                (Kind::SZ, hive::data::sz(text))
            }
            Self::Object(object) => (Kind::SZ, hive::data::sz(&braced(*object))),
            Self::ObjectList(objects) => {
                let names: Vec<String> = objects.iter().map(|object| braced(*object)).collect();
                (Kind::MULTI_SZ, hive::data::multi_sz(&names))
            }
            Self::Integer(number) => (Kind::BINARY, number.to_le_bytes().to_vec()),
            Self::Boolean(on) => (Kind::BINARY, vec![u8::from(*on)]),
            Self::IntegerList(numbers) => {
                if numbers.is_empty() {
                    return Err(Error::Impossible("an empty list of numbers in an element".to_owned()));
                }
                (Kind::BINARY, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
            }
            Self::Binary(bytes) => (Kind::BINARY, bytes.clone()),
            Self::Raw { kind, data } => (Kind(*kind), data.clone()),
        })
    }

    /// The format that holds such a value; `None` if raw.
    pub const fn format(&self) -> Option<Format> {
        Some(match self {
            Self::Device(_) => Format::Device,
            Self::String(_) => Format::String,
            Self::Object(_) => Format::Object,
            Self::ObjectList(_) => Format::ObjectList,
            Self::Integer(_) => Format::Integer,
            Self::Boolean(_) => Format::Boolean,
            Self::IntegerList(_) => Format::IntegerList,
            Self::Binary(_) => Format::Binary,
            Self::Raw { .. } => return None,
        })
    }

    /// The objects it refers to, in its order; the options of a device are one.
    pub fn references(&self) -> &[Guid] {
        match self {
            Self::Object(object) => std::slice::from_ref(object),
            Self::ObjectList(objects) => objects,
            Self::Device(device) => device.options.as_slice(),
            _ => &[],
        }
    }
}

/// A GUID as the registry has it.
pub(crate) fn braced(guid: Guid) -> String {
    format!("{{{guid}}}")
}

fn guid(text: &str) -> Result<Guid> {
    let braces = text.len() == 38 && text.starts_with('{') && text.ends_with('}');
    let guid = braces.then(|| text.parse().ok()).flatten();
    guid.ok_or_else(|| Error::malformed("element", 0, format!("{text:?} is not a GUID in braces")))
}

/// Text up to its first NUL, or all of it: what follows the NUL are leavings that readers skip.
fn text(data: &[u8]) -> Result<String> {
    let units = units(data)?;
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16(&units[..end])
        .map_err(|_| Error::malformed("element", 0, "text with half of a surrogate pair"))
}

fn units(data: &[u8]) -> Result<Vec<u16>> {
    if data.is_empty() || !data.len().is_multiple_of(2) {
        let reason = format!("text of {} bytes, expected an even number that is not 0", data.len());
        return Err(Error::malformed("element", 0, reason));
    }
    Ok(data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect())
}

fn object_list(data: &[u8]) -> Result<Vec<Guid>> {
    let units = units(data)?;
    let text = String::from_utf16(&units)
        .map_err(|_| Error::malformed("element", 0, "text with half of a surrogate pair"))?;
    text.split('\0').take_while(|name| !name.is_empty()).map(guid).collect()
}

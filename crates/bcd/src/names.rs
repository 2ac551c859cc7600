//! The names that people know: of objects (`{bootmgr}`), of elements (`osdevice`) and of values (`OptIn`).
//!
//! Names of elements depend on the object: class 2 numbers are given anew for every application. So a lookup takes the
//! object's type, and what a name means for an object that inherits (`{bootloadersettings}`) is what it means for the
//! application that inherits from it.
//!
//! Objects and their GUIDs: dumps of stores, and phnt's `ntbcd.h`, whose {resumeloadersettings} has two bytes
//! exchanged: stores have 1afa9c49-16ab-4a5c-**901b**-212802da9460.

use disk::Guid;

use crate::{Application, ElementClass, ElementType, Format, ObjectKind, ObjectType};

mod table;

pub use table::{ELEMENTS, ElementInfo, Notation};

const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> Guid {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    Guid([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
}

/// `{bootmgr}`: the Windows boot manager.
pub const BOOTMGR: Guid = guid(0x9dea_862c, 0x5cdd, 0x4e70, [0xac, 0xc1, 0xf3, 0x2b, 0x34, 0x4d, 0x47, 0x95]);
/// `{fwbootmgr}`: the firmware's boot manager.
pub const FWBOOTMGR: Guid =
    guid(0xa5a3_0fa2, 0x3d06, 0x4e9f, [0xb5, 0xf4, 0xa0, 0x1d, 0xf9, 0xd1, 0xfc, 0xba]);
/// `{memdiag}`: the memory test.
pub const MEMDIAG: Guid = guid(0xb272_1d73, 0x1db4, 0x4c62, [0xbf, 0x78, 0xc5, 0x48, 0xa8, 0x80, 0x14, 0x2d]);
/// `{ntldr}`: the loader of Windows XP and earlier.
pub const NTLDR: Guid = guid(0x466f_5a88, 0x0af2, 0x4f76, [0x90, 0x38, 0x09, 0x5b, 0x17, 0x0d, 0xc2, 0x1c]);
/// `{globalsettings}`: inherited by all.
pub const GLOBAL_SETTINGS: Guid =
    guid(0x7ea2_e1ac, 0x2e61, 0x4728, [0xaa, 0xa3, 0x89, 0x6d, 0x9d, 0x0a, 0x9f, 0x0e]);
/// `{bootloadersettings}`: inherited by loaders.
pub const BOOTLOADER_SETTINGS: Guid =
    guid(0x6efb_52bf, 0x1766, 0x41db, [0xa6, 0xb3, 0x0e, 0xe5, 0xef, 0xf7, 0x2b, 0xd7]);
/// `{resumeloadersettings}`: inherited by resume loaders.
pub const RESUMELOADER_SETTINGS: Guid =
    guid(0x1afa_9c49, 0x16ab, 0x4a5c, [0x90, 0x1b, 0x21, 0x28, 0x02, 0xda, 0x94, 0x60]);
/// `{dbgsettings}`: how the debugger is reached.
pub const DBG_SETTINGS: Guid =
    guid(0x4636_856e, 0x540f, 0x4170, [0xa1, 0x30, 0xa8, 0x47, 0x76, 0xf4, 0xc6, 0x54]);
/// `{emssettings}`: Emergency Management Services.
pub const EMS_SETTINGS: Guid =
    guid(0x0ce4_991b, 0xe6b3, 0x4b16, [0xb2, 0x3c, 0x5e, 0x0d, 0x92, 0x50, 0xe5, 0xd9]);
/// `{badmemory}`: pages that are not used.
pub const BAD_MEMORY: Guid =
    guid(0x5189_b25c, 0x5558, 0x4bf2, [0xbc, 0xa4, 0x28, 0x9b, 0x11, 0xbd, 0x29, 0xe2]);
/// `{hypervisorsettings}`: the hypervisor's debugger.
pub const HYPERVISOR_SETTINGS: Guid =
    guid(0x7ff6_07e0, 0x4395, 0x11db, [0xb0, 0xde, 0x08, 0x00, 0x20, 0x0c, 0x9a, 0x66]);
/// `{kerneldbgsettings}`: the kernel's debugger, where it differs from `{dbgsettings}`.
pub const KERNELDBG_SETTINGS: Guid =
    guid(0x313e_8eed, 0x7098, 0x4586, [0xa9, 0xbf, 0x30, 0x9c, 0x61, 0xf8, 0xd4, 0x49]);
/// `{ramdiskoptions}`: options of a RAM disk.
pub const RAMDISK_OPTIONS: Guid =
    guid(0xae55_34e0, 0xa924, 0x466c, [0xb8, 0x36, 0x75, 0x85, 0x39, 0xa3, 0xee, 0x3a]);
/// `{current}`: stands for the entry that the running system was started by. Never an object.
pub const CURRENT: Guid = guid(0xfa92_6493, 0x6f1c, 0x4193, [0xa4, 0x14, 0x58, 0xf0, 0xb2, 0x45, 0x6d, 0x1e]);
/// `{default}`: stands for the boot manager's default entry. Never an object.
pub const DEFAULT: Guid = guid(0x1cae_1eb7, 0xa0df, 0x4d4d, [0x98, 0x51, 0x48, 0x60, 0xe3, 0x4e, 0xf5, 0x35]);
/// In BCD-Template: the loader's entry, for BIOS.
pub const TEMPLATE_OS_PCAT: Guid =
    guid(0xa194_3bbc, 0xea85, 0x487c, [0x97, 0xc7, 0xc9, 0xed, 0xe9, 0x08, 0xa3, 0x8a]);
/// In BCD-Template: the loader's entry, for UEFI.
pub const TEMPLATE_OS_EFI: Guid =
    guid(0xb012_b84d, 0xc47c, 0x4ed5, [0xb7, 0x22, 0xc0, 0xc4, 0x21, 0x63, 0xe5, 0x69]);
/// In BCD-Template: the resume loader's entry, for BIOS.
pub const TEMPLATE_RESUME_PCAT: Guid =
    guid(0x98b0_2a23, 0x0674, 0x4ce7, [0xbd, 0xad, 0xe0, 0xa1, 0x5a, 0x8f, 0xf9, 0x7b]);
/// In BCD-Template: the resume loader's entry, for UEFI.
pub const TEMPLATE_RESUME_EFI: Guid =
    guid(0x0c33_4284, 0x9a41, 0x4de1, [0x99, 0xb3, 0xa7, 0xe8, 0x7e, 0x8f, 0xf0, 0x7e]);
/// In BCD-Template: setup's entry, for BIOS.
pub const TEMPLATE_SETUP_PCAT: Guid =
    guid(0xcbd9_71bf, 0xb7b8, 0x4885, [0x95, 0x1a, 0xfa, 0x03, 0x04, 0x4f, 0x5d, 0x71]);
/// In BCD-Template: setup's entry, for UEFI.
pub const TEMPLATE_SETUP_EFI: Guid =
    guid(0x7254_a080, 0x1510, 0x4e85, [0xac, 0x0f, 0xe7, 0xfb, 0x3d, 0x44, 0x47, 0x36]);

/// Objects with a name, without its braces. The first name of an object is the one that is printed.
pub const OBJECTS: &[(&str, Guid)] = &[
    ("bootmgr", BOOTMGR),
    ("fwbootmgr", FWBOOTMGR),
    ("memdiag", MEMDIAG),
    ("ntldr", NTLDR),
    ("legacy", NTLDR),
    ("globalsettings", GLOBAL_SETTINGS),
    ("bootloadersettings", BOOTLOADER_SETTINGS),
    ("resumeloadersettings", RESUMELOADER_SETTINGS),
    ("dbgsettings", DBG_SETTINGS),
    ("eventsettings", DBG_SETTINGS),
    ("emssettings", EMS_SETTINGS),
    ("badmemory", BAD_MEMORY),
    ("hypervisorsettings", HYPERVISOR_SETTINGS),
    ("kerneldbgsettings", KERNELDBG_SETTINGS),
    ("ramdiskoptions", RAMDISK_OPTIONS),
    ("current", CURRENT),
    ("default", DEFAULT),
];

/// The type that an object with a name has, for those that bcdedit can create by name.
pub const fn type_of_named(id: Guid) -> Option<ObjectType> {
    const TYPES: &[(Guid, ObjectType)] = &[
        (BOOTMGR, ObjectType::BOOT_MANAGER),
        (FWBOOTMGR, ObjectType::FIRMWARE_MANAGER),
        (MEMDIAG, ObjectType::MEMORY_TESTER),
        (NTLDR, ObjectType(0x1030_0006)),
        (GLOBAL_SETTINGS, ObjectType::INHERIT_LIBRARY),
        (BOOTLOADER_SETTINGS, ObjectType::INHERIT_LOADER),
        (RESUMELOADER_SETTINGS, ObjectType::INHERIT_RESUME),
        (DBG_SETTINGS, ObjectType::INHERIT_LIBRARY),
        (EMS_SETTINGS, ObjectType::INHERIT_LIBRARY),
        (BAD_MEMORY, ObjectType::INHERIT_LIBRARY),
        (HYPERVISOR_SETTINGS, ObjectType::INHERIT_LOADER),
        (KERNELDBG_SETTINGS, ObjectType::INHERIT_LOADER),
        (RAMDISK_OPTIONS, ObjectType::DEVICE),
    ];
    let mut at = 0;
    while at < TYPES.len() {
        if u128::from_le_bytes(TYPES[at].0.0) == u128::from_le_bytes(id.0) {
            return Some(TYPES[at].1);
        }
        at += 1;
    }
    None
}

/// An object in words: `{bootmgr}`, or its GUID in braces.
pub fn object_name(id: Guid) -> String {
    match OBJECTS.iter().find(|(_, known)| *known == id) {
        Some((name, _)) => format!("{{{name}}}"),
        None => format!("{{{id}}}"),
    }
}

/// The object of a name or GUID, with or without braces.
pub fn parse_object_name(text: &str) -> Option<Guid> {
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let named = OBJECTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(inner));
    named.map(|(_, id)| *id).or_else(|| inner.parse().ok())
}

/// What is known of an element in an object of this type.
pub fn element(kind: ObjectType, element: ElementType) -> Option<&'static ElementInfo> {
    ELEMENTS.iter().find(|info| info.element == element && applies(info, kind))
}

/// The element of that name in an object of this type. Also understood: eight hexadecimal digits, with or without
/// `custom:` or `0x`.
pub fn element_named(kind: ObjectType, name: &str) -> Option<ElementType> {
    let digits =
        name.split_once(':').filter(|(word, _)| word.eq_ignore_ascii_case("custom")).map(|(_, rest)| rest);
    let digits = digits.or_else(|| name.strip_prefix("0x")).unwrap_or(name);
    if let Some(element) = ElementType::from_key_name(digits) {
        return Some(element);
    }
    let named = ELEMENTS.iter().filter(|info| info.name.eq_ignore_ascii_case(name));
    // An application's own element before one of the library: `bootux`, `debugtype` exist in both.
    let mut fitting: Vec<_> = named.filter(|info| applies(info, kind)).collect();
    fitting.sort_by_key(|info| info.element.class() == ElementClass::Library);
    fitting.first().map(|info| info.element)
}

/// The name of an element in an object of this type: a known one, or `custom:` and its number.
pub fn element_name(kind: ObjectType, kind_of_element: ElementType) -> String {
    element(kind, kind_of_element)
        .map_or_else(|| format!("custom:{kind_of_element}"), |info| info.name.to_owned())
}

fn applies(info: &ElementInfo, kind: ObjectType) -> bool {
    match info.element.class() {
        ElementClass::Application => match kind.application() {
            // The firmware's manager has the elements of the Windows one.
            Some(Application::FirmwareManager) => info.applications.contains(&Application::BootManager),
            Some(application) => info.applications.contains(&application),
            None => false,
        },
        ElementClass::Device => kind.kind() == ObjectKind::Device,
        _ => true,
    }
}

/// Decimal, or hexadecimal after `0x`.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl ElementInfo {
    /// The format of its value.
    pub fn format(&self) -> Format {
        self.element.format()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_has_no_element_twice_and_no_name_twice_for_one_object() {
        let mut seen = BTreeSet::new();
        let mut names = BTreeSet::new();
        for info in ELEMENTS {
            let applications: &[_] =
                if info.applications.is_empty() { &[Application::Other(0)] } else { info.applications };
            for application in applications {
                assert!(seen.insert((info.element, *application)), "{} {}", info.element, info.name);
                let class = info.element.0 >> 28;
                assert!(names.insert((info.name, *application, class)), "{}", info.name);
            }
            let of_application = info.element.class() == ElementClass::Application;
            assert_eq!(of_application, !info.applications.is_empty(), "{}", info.name);
            assert!(info.values.is_empty() || info.format() == Format::Integer, "{}", info.name);
            assert_ne!(info.format(), Format::Unknown(0), "{}", info.name);
            assert_eq!(info.name, info.name.to_ascii_lowercase());
        }
        assert!(ELEMENTS.len() >= 120, "{}", ELEMENTS.len());
    }

    #[test]
    fn the_same_number_is_another_element_for_another_application() {
        let number = ElementType(0x2600_0004);
        assert_eq!(element_name(ObjectType::LOADER, number), "stampdisks");
        assert_eq!(element_name(ObjectType::RESUME, number), "pae");
        assert_eq!(element_name(ObjectType::MEMORY_TESTER, number), "custom:26000004");
        assert_eq!(element_named(ObjectType::LOADER, "OSDevice"), Some(ElementType::OS_DEVICE));
        assert_eq!(element_named(ObjectType::RESUME, "filedevice"), Some(ElementType::OS_DEVICE));
        assert_eq!(element_named(ObjectType::RESUME, "osdevice"), None);
        assert_eq!(element_named(ObjectType::INHERIT_LOADER, "nx"), Some(ElementType::NX));
        assert_eq!(element_named(ObjectType::LOADER, "custom:25000020"), Some(ElementType::NX));
        assert_eq!(element_named(ObjectType::FIRMWARE_MANAGER, "timeout"), Some(ElementType::TIMEOUT));
    }

    #[test]
    fn names_of_objects() {
        assert_eq!(object_name(BOOTMGR), "{bootmgr}");
        assert_eq!(parse_object_name("{BootMgr}"), Some(BOOTMGR));
        assert_eq!(parse_object_name("legacy"), Some(NTLDR));
        assert_eq!(RESUMELOADER_SETTINGS.to_string(), "1afa9c49-16ab-4a5c-901b-212802da9460");
        assert_eq!(parse_object_name("{nothing}"), None);
        for (name, id) in OBJECTS {
            assert_eq!(parse_object_name(name), Some(*id));
        }
    }
}

//! Every element that has a name.
//!
//! Numbers and forms are those of Microsoft's enumerations (`BcdLibraryElementTypes` and its siblings, bcdedit's
//! reference, and phnt's `ntbcd.h` for those that came later); names are bcdedit's, from its documentation, from Geoff
//! Chappell's notes on its tables and from stores as bcdedit prints them. Elements that came after those notes are
//! named after the enumeration by the same pattern. Where the sources differ in the form of an element
//! (`hypervisorpath`, `hypervisordisableslat`, `hypervisorrootproc`), its use decides: a path is text, a switch is a
//! boolean, a count is a number. Only a name depends on it, never how an element is read: that is in its number.

use crate::{Application, ElementType};

/// What is known of an element.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ElementInfo {
    /// Its type.
    pub element: ElementType,
    /// Its name, in lower case.
    pub name: &'static str,
    /// The applications that know it; empty for elements that are not of class 2.
    pub applications: &'static [Application],
    /// The names of its values from 0; empty if they have none.
    pub values: &'static [&'static str],
    /// How its number is best read.
    pub notation: Notation,
}

/// How a number is best read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// In decimal.
    Decimal,
    /// In hexadecimal: addresses, masks, types of elements.
    Hexadecimal,
    /// As an IPv4 address, the first part in the highest byte.
    Ipv4,
}

const ANY: &[Application] = &[];
const BOOT_MANAGER: &[Application] = &[Application::BootManager];
const LOADER: &[Application] = &[Application::Loader];
const RESUME: &[Application] = &[Application::Resume];
const MEMORY: &[Application] = &[Application::MemoryTester];
const LEGACY: &[Application] = &[Application::Ntldr, Application::Setupldr];
const STARTUP: &[Application] = &[Application::Startup];

const NONE: &[&str] = &[];
const FIRST_MEGABYTE: &[&str] = &["UseNone", "UseAll", "UsePrivate"];
const DEBUG_TYPE: &[&str] = &["Serial", "1394", "USB", "Net", "Local"];
const DEBUG_START: &[&str] = &["Active", "AutoEnable", "Disable"];
const CONFIG_ACCESS: &[&str] = &["Default", "DisallowMmConfig"];
const INTEGRITY_SERVICES: &[&str] = &["Default", "Disable", "Enable"];
const RESOLUTION: &[&str] = &["1024x768", "800x600", "1024x600"];
const DISPLAY_MESSAGE: &[&str] = &[
    "Default",
    "Resume",
    "HyperV",
    "Recovery",
    "StartupRepair",
    "SystemImageRecovery",
    "CommandPrompt",
    "SystemRestore",
    "PushButtonReset",
];
const BOOT_ERROR_UX: &[&str] = &["Legacy", "Standard", "Simple"];
const LOG_FORMAT: &[&str] = &["Default", "Sha1"];
const NX: &[&str] = &["OptIn", "OptOut", "AlwaysOff", "AlwaysOn"];
const PAE: &[&str] = &["Default", "ForceEnable", "ForceDisable"];
const DEFAULT_DISABLE: &[&str] = &["Default", "ForceDisable"];
const X2APIC: &[&str] = &["Default", "Disable", "Enable"];
const SAFEBOOT: &[&str] = &["Minimal", "Network", "DsRepair"];
const TSC: &[&str] = &["Default", "Legacy", "Enhanced"];
const DRIVER_FAILURE: &[&str] = &["Fatal", "UseErrorControl"];
const FORCE_FAILURE: &[&str] = &["Load", "Hive", "Acpi", "General"];
const MENU: &[&str] = &["Legacy", "Standard"];
const STATUS: &[&str] = &[
    "DisplayAllFailures",
    "IgnoreAllFailures",
    "IgnoreShutdownFailures",
    "IgnoreBootFailures",
    "IgnoreCheckpointFailures",
    "DisplayShutdownFailures",
    "DisplayBootFailures",
    "DisplayCheckpointFailures",
];
const LAUNCH: &[&str] = &["Off", "Auto"];
const HV_DEBUG_TYPE: &[&str] = &["Serial", "1394", "Net"];
const BOOT_UX: &[&str] = &["Disabled", "Basic", "Standard"];
const TPM_ENTROPY: &[&str] = &["Default", "ForceDisable", "ForceEnable"];
const IOMMU: &[&str] = &["Default", "Enable", "Disable"];
const TEST_MIX: &[&str] = &["Basic", "Extended"];
const TEST_TO_FAIL: &[&str] = &["Stride", "Mats", "InverseCoupling", "RandomPattern", "Checkerboard"];

const fn named(
    element: u32,
    name: &'static str,
    applications: &'static [Application],
    values: &'static [&'static str],
) -> ElementInfo {
    ElementInfo { element: ElementType(element), name, applications, values, notation: Notation::Decimal }
}

const fn address(element: u32, name: &'static str, applications: &'static [Application]) -> ElementInfo {
    ElementInfo {
        element: ElementType(element),
        name,
        applications,
        values: NONE,
        notation: Notation::Hexadecimal,
    }
}

const fn ipv4(element: u32, name: &'static str, applications: &'static [Application]) -> ElementInfo {
    ElementInfo { element: ElementType(element), name, applications, values: NONE, notation: Notation::Ipv4 }
}

/// Every element that has a name, by class, application and number.
#[rustfmt::skip]
pub const ELEMENTS: &[ElementInfo] = &[
    named(0x1100_0001, "device", ANY, NONE),
    named(0x1200_0002, "path", ANY, NONE),
    named(0x1200_0004, "description", ANY, NONE),
    named(0x1200_0005, "locale", ANY, NONE),
    named(0x1400_0006, "inherit", ANY, NONE),
    address(0x1500_0007, "truncatememory", ANY),
    named(0x1400_0008, "recoverysequence", ANY, NONE),
    named(0x1600_0009, "recoveryenabled", ANY, NONE),
    address(0x1700_000A, "badmemorylist", ANY),
    named(0x1600_000B, "badmemoryaccess", ANY, NONE),
    named(0x1500_000C, "firstmegabytepolicy", ANY, FIRST_MEGABYTE),
    address(0x1500_000D, "relocatephysical", ANY),
    address(0x1500_000E, "avoidlowmemory", ANY),
    named(0x1600_000F, "traditionalksegmappings", ANY, NONE),
    named(0x1600_0010, "bootdebug", ANY, NONE),
    named(0x1500_0011, "debugtype", ANY, DEBUG_TYPE),
    address(0x1500_0012, "debugaddress", ANY),
    named(0x1500_0013, "debugport", ANY, NONE),
    named(0x1500_0014, "baudrate", ANY, NONE),
    named(0x1500_0015, "channel", ANY, NONE),
    named(0x1200_0016, "targetname", ANY, NONE),
    named(0x1600_0017, "noumex", ANY, NONE),
    named(0x1500_0018, "debugstart", ANY, DEBUG_START),
    named(0x1200_0019, "busparams", ANY, NONE),
    ipv4(0x1500_001A, "hostip", ANY),
    named(0x1500_001B, "port", ANY, NONE),
    named(0x1600_001C, "dhcp", ANY, NONE),
    named(0x1200_001D, "key", ANY, NONE),
    named(0x1600_001E, "vm", ANY, NONE),
    named(0x1200_001F, "hostipv6", ANY, NONE),
    named(0x1600_0020, "bootems", ANY, NONE),
    named(0x1500_0022, "emsport", ANY, NONE),
    named(0x1500_0023, "emsbaudrate", ANY, NONE),
    named(0x1200_0030, "loadoptions", ANY, NONE),
    named(0x1600_0031, "attemptnonbcdstart", ANY, NONE),
    named(0x1600_0040, "advancedoptions", ANY, NONE),
    named(0x1600_0041, "optionsedit", ANY, NONE),
    address(0x1500_0042, "keyringaddress", ANY),
    named(0x1100_0043, "bootstatdevice", ANY, NONE),
    named(0x1200_0044, "bootstatfilepath", ANY, NONE),
    named(0x1600_0045, "preservebootstat", ANY, NONE),
    named(0x1600_0046, "graphicsmodedisabled", ANY, NONE),
    named(0x1500_0047, "configaccesspolicy", ANY, CONFIG_ACCESS),
    named(0x1600_0048, "nointegritychecks", ANY, NONE),
    named(0x1600_0049, "testsigning", ANY, NONE),
    named(0x1200_004A, "fontpath", ANY, NONE),
    named(0x1500_004B, "integrityservices", ANY, INTEGRITY_SERVICES),
    named(0x1500_004C, "volumebandid", ANY, NONE),
    named(0x1600_0050, "extendedinput", ANY, NONE),
    named(0x1500_0051, "initialconsoleinput", ANY, NONE),
    named(0x1500_0052, "graphicsresolution", ANY, RESOLUTION),
    named(0x1600_0053, "restartonfailure", ANY, NONE),
    named(0x1600_0054, "highestmode", ANY, NONE),
    named(0x1600_0060, "isolatedcontext", ANY, NONE),
    named(0x1500_0065, "displaymessage", ANY, DISPLAY_MESSAGE),
    named(0x1500_0066, "displaymessageoverride", ANY, DISPLAY_MESSAGE),
    named(0x1600_0067, "nobootuxlogo", ANY, NONE),
    named(0x1600_0068, "nobootuxtext", ANY, NONE),
    named(0x1600_0069, "nobootuxprogress", ANY, NONE),
    named(0x1600_006A, "nobootuxfade", ANY, NONE),
    named(0x1600_006B, "bootuxreservepooldebug", ANY, NONE),
    named(0x1600_006C, "bootuxdisabled", ANY, NONE),
    named(0x1500_006D, "bootuxfadeframes", ANY, NONE),
    named(0x1600_006E, "bootuxdumpstats", ANY, NONE),
    named(0x1600_006F, "bootuxshowstats", ANY, NONE),
    named(0x1600_0071, "multibootsystem", ANY, NONE),
    named(0x1600_0072, "nokeyboard", ANY, NONE),
    named(0x1500_0073, "aliaswindowskey", ANY, NONE),
    named(0x1600_0074, "bootshutdowndisabled", ANY, NONE),
    named(0x1500_0075, "performancefrequency", ANY, NONE),
    named(0x1500_0076, "securebootrawpolicy", ANY, NONE),
    address(0x1700_0077, "allowedinmemorysettings", ANY),
    named(0x1500_0079, "bootuxtransitiontime", ANY, NONE),
    named(0x1600_007A, "mobilegraphics", ANY, NONE),
    named(0x1600_007B, "forcefipscrypto", ANY, NONE),
    named(0x1500_007D, "booterrorux", ANY, BOOT_ERROR_UX),
    named(0x1600_007E, "flightsigning", ANY, NONE),
    named(0x1500_007F, "measuredbootlogformat", ANY, LOG_FORMAT),
    named(0x1500_0080, "displayrotation", ANY, NONE),
    named(0x1500_0081, "logcontrol", ANY, NONE),
    named(0x1600_0082, "nofirmwaresync", ANY, NONE),
    named(0x1100_0084, "windowssyspart", ANY, NONE),
    named(0x1600_0087, "numlock", ANY, NONE),
    named(0x1200_0088, "additionalcipolicy", ANY, NONE),
    named(0x2400_0001, "displayorder", BOOT_MANAGER, NONE),
    named(0x2400_0002, "bootsequence", BOOT_MANAGER, NONE),
    named(0x2300_0003, "default", BOOT_MANAGER, NONE),
    named(0x2500_0004, "timeout", BOOT_MANAGER, NONE),
    named(0x2600_0005, "resume", BOOT_MANAGER, NONE),
    named(0x2300_0006, "resumeobject", BOOT_MANAGER, NONE),
    named(0x2400_0007, "startupsequence", BOOT_MANAGER, NONE),
    named(0x2400_0010, "toolsdisplayorder", BOOT_MANAGER, NONE),
    named(0x2600_0020, "displaybootmenu", BOOT_MANAGER, NONE),
    named(0x2600_0021, "noerrordisplay", BOOT_MANAGER, NONE),
    named(0x2100_0022, "bcddevice", BOOT_MANAGER, NONE),
    named(0x2200_0023, "bcdfilepath", BOOT_MANAGER, NONE),
    named(0x2600_0024, "hormenabled", BOOT_MANAGER, NONE),
    named(0x2600_0025, "hiberboot", BOOT_MANAGER, NONE),
    named(0x2200_0026, "passwordoverride", BOOT_MANAGER, NONE),
    named(0x2200_0027, "pinpassphraseoverride", BOOT_MANAGER, NONE),
    named(0x2600_0028, "processcustomactionsfirst", BOOT_MANAGER, NONE),
    address(0x2700_0030, "customactions", BOOT_MANAGER),
    named(0x2600_0031, "persistbootsequence", BOOT_MANAGER, NONE),
    named(0x2600_0032, "skipstartupsequence", BOOT_MANAGER, NONE),
    named(0x2200_0040, "fverecoveryurl", BOOT_MANAGER, NONE),
    named(0x2200_0041, "fverecoverymessage", BOOT_MANAGER, NONE),
    named(0x2100_0001, "osdevice", LOADER, NONE),
    named(0x2200_0002, "systemroot", LOADER, NONE),
    named(0x2300_0003, "resumeobject", LOADER, NONE),
    named(0x2600_0004, "stampdisks", LOADER, NONE),
    named(0x2600_0010, "detecthal", LOADER, NONE),
    named(0x2200_0011, "kernel", LOADER, NONE),
    named(0x2200_0012, "hal", LOADER, NONE),
    named(0x2200_0013, "dbgtransport", LOADER, NONE),
    named(0x2500_0020, "nx", LOADER, NX),
    named(0x2500_0021, "pae", LOADER, PAE),
    named(0x2600_0022, "winpe", LOADER, NONE),
    named(0x2600_0024, "nocrashautoreboot", LOADER, NONE),
    named(0x2600_0025, "lastknowngood", LOADER, NONE),
    named(0x2600_0026, "oslnointegritychecks", LOADER, NONE),
    named(0x2600_0027, "osltestsigning", LOADER, NONE),
    named(0x2600_0030, "nolowmem", LOADER, NONE),
    named(0x2500_0031, "removememory", LOADER, NONE),
    named(0x2500_0032, "increaseuserva", LOADER, NONE),
    named(0x2500_0033, "perfmem", LOADER, NONE),
    named(0x2600_0040, "vga", LOADER, NONE),
    named(0x2600_0041, "quietboot", LOADER, NONE),
    named(0x2600_0042, "novesa", LOADER, NONE),
    named(0x2600_0043, "novga", LOADER, NONE),
    named(0x2500_0050, "clustermodeaddressing", LOADER, NONE),
    named(0x2600_0051, "usephysicaldestination", LOADER, NONE),
    named(0x2500_0052, "restrictapiccluster", LOADER, NONE),
    named(0x2200_0053, "evstore", LOADER, NONE),
    named(0x2600_0054, "uselegacyapicmode", LOADER, NONE),
    named(0x2500_0055, "x2apicpolicy", LOADER, X2APIC),
    named(0x2600_0060, "onecpu", LOADER, NONE),
    named(0x2500_0061, "numproc", LOADER, NONE),
    named(0x2600_0062, "maxproc", LOADER, NONE),
    address(0x2500_0063, "configflags", LOADER),
    named(0x2600_0064, "maxgroup", LOADER, NONE),
    named(0x2600_0065, "groupaware", LOADER, NONE),
    named(0x2500_0066, "groupsize", LOADER, NONE),
    named(0x2600_0070, "usefirmwarepcisettings", LOADER, NONE),
    named(0x2500_0071, "msi", LOADER, DEFAULT_DISABLE),
    named(0x2500_0072, "pciexpress", LOADER, DEFAULT_DISABLE),
    named(0x2500_0080, "safeboot", LOADER, SAFEBOOT),
    named(0x2600_0081, "safebootalternateshell", LOADER, NONE),
    named(0x2600_0090, "bootlog", LOADER, NONE),
    named(0x2600_0091, "sos", LOADER, NONE),
    named(0x2600_00A0, "debug", LOADER, NONE),
    named(0x2600_00A1, "halbreakpoint", LOADER, NONE),
    named(0x2600_00A2, "useplatformclock", LOADER, NONE),
    named(0x2600_00A3, "forcelegacyplatform", LOADER, NONE),
    named(0x2600_00A4, "useplatformtick", LOADER, NONE),
    named(0x2600_00A5, "disabledynamictick", LOADER, NONE),
    named(0x2500_00A6, "tscsyncpolicy", LOADER, TSC),
    named(0x2600_00B0, "ems", LOADER, NONE),
    named(0x2500_00C0, "forcefailure", LOADER, FORCE_FAILURE),
    named(0x2500_00C1, "driverloadfailurepolicy", LOADER, DRIVER_FAILURE),
    named(0x2500_00C2, "bootmenupolicy", LOADER, MENU),
    named(0x2600_00C3, "onetimeadvancedoptions", LOADER, NONE),
    named(0x2600_00C4, "onetimeoptionsedit", LOADER, NONE),
    named(0x2500_00E0, "bootstatuspolicy", LOADER, STATUS),
    named(0x2600_00E1, "disableelamdrivers", LOADER, NONE),
    named(0x2500_00F0, "hypervisorlaunchtype", LOADER, LAUNCH),
    named(0x2200_00F1, "hypervisorpath", LOADER, NONE),
    named(0x2600_00F2, "hypervisordebug", LOADER, NONE),
    named(0x2500_00F3, "hypervisordebugtype", LOADER, HV_DEBUG_TYPE),
    named(0x2500_00F4, "hypervisordebugport", LOADER, NONE),
    named(0x2500_00F5, "hypervisorbaudrate", LOADER, NONE),
    named(0x2500_00F6, "hypervisorchannel", LOADER, NONE),
    named(0x2500_00F7, "bootux", LOADER, BOOT_UX),
    named(0x2600_00F8, "hypervisordisableslat", LOADER, NONE),
    named(0x2200_00F9, "hypervisorbusparams", LOADER, NONE),
    named(0x2500_00FA, "hypervisornumproc", LOADER, NONE),
    named(0x2500_00FB, "hypervisorrootprocpernode", LOADER, NONE),
    named(0x2600_00FC, "hypervisoruselargevtlb", LOADER, NONE),
    ipv4(0x2500_00FD, "hypervisorhostip", LOADER),
    named(0x2500_00FE, "hypervisorhostport", LOADER, NONE),
    named(0x2500_00FF, "hypervisordebugpages", LOADER, NONE),
    named(0x2500_0100, "tpmbootentropy", LOADER, TPM_ENTROPY),
    named(0x2200_0110, "hypervisorusekey", LOADER, NONE),
    named(0x2200_0112, "hypervisorproductskutype", LOADER, NONE),
    named(0x2500_0113, "hypervisorrootproc", LOADER, NONE),
    named(0x2600_0114, "hypervisordhcp", LOADER, NONE),
    named(0x2500_0115, "hypervisoriommupolicy", LOADER, IOMMU),
    named(0x2600_0116, "hypervisorusevapic", LOADER, NONE),
    named(0x2200_0117, "hypervisorloadoptions", LOADER, NONE),
    named(0x2500_0118, "hypervisormsrfilterpolicy", LOADER, NONE),
    named(0x2500_0119, "hypervisormmionxpolicy", LOADER, NONE),
    named(0x2500_011A, "hypervisorschedulertype", LOADER, NONE),
    named(0x2200_011B, "hypervisorrootprocnumanodes", LOADER, NONE),
    named(0x2500_011C, "hypervisorperfmon", LOADER, NONE),
    named(0x2500_011D, "hypervisorrootprocpercore", LOADER, NONE),
    named(0x2200_011E, "hypervisorrootprocnumanodelps", LOADER, NONE),
    named(0x2500_0120, "xsavepolicy", LOADER, NONE),
    address(0x2500_0121, "xsaveaddfeature0", LOADER),
    address(0x2500_0122, "xsaveaddfeature1", LOADER),
    address(0x2500_0123, "xsaveaddfeature2", LOADER),
    address(0x2500_0124, "xsaveaddfeature3", LOADER),
    address(0x2500_0125, "xsaveaddfeature4", LOADER),
    address(0x2500_0126, "xsaveaddfeature5", LOADER),
    address(0x2500_0127, "xsaveaddfeature6", LOADER),
    address(0x2500_0128, "xsaveaddfeature7", LOADER),
    address(0x2500_0129, "xsaveremovefeature", LOADER),
    address(0x2500_012A, "xsaveprocessorsmask", LOADER),
    named(0x2500_012B, "xsavedisable", LOADER, NONE),
    named(0x2500_012C, "kerneldebugtype", LOADER, DEBUG_TYPE),
    named(0x2200_012D, "kernelbusparams", LOADER, NONE),
    address(0x2500_012E, "kerneldebugaddress", LOADER),
    named(0x2500_012F, "kerneldebugport", LOADER, NONE),
    named(0x2500_0130, "claimedtpmcounter", LOADER, NONE),
    named(0x2500_0131, "kernelchannel", LOADER, NONE),
    named(0x2200_0132, "kerneltargetname", LOADER, NONE),
    ipv4(0x2500_0133, "kernelhostip", LOADER),
    named(0x2500_0134, "kernelport", LOADER, NONE),
    named(0x2600_0135, "kerneldhcp", LOADER, NONE),
    named(0x2200_0136, "kernelkey", LOADER, NONE),
    named(0x2200_0137, "imchivename", LOADER, NONE),
    named(0x2100_0138, "imcdevice", LOADER, NONE),
    named(0x2500_0139, "kernelbaudrate", LOADER, NONE),
    named(0x2200_0140, "mfgmode", LOADER, NONE),
    named(0x2600_0141, "event", LOADER, NONE),
    named(0x2500_0142, "vsmlaunchtype", LOADER, LAUNCH),
    named(0x2500_0144, "hypervisorenforcedcodeintegrity", LOADER, NONE),
    named(0x2600_0145, "dtrace", LOADER, NONE),
    named(0x2100_0150, "systemdatadevice", LOADER, NONE),
    named(0x2100_0151, "osarcdevice", LOADER, NONE),
    named(0x2100_0153, "osdatadevice", LOADER, NONE),
    named(0x2100_0154, "bspdevice", LOADER, NONE),
    named(0x2100_0155, "bspfilepath", LOADER, NONE),
    named(0x2200_0156, "kernelhostipv6", LOADER, NONE),
    named(0x2200_0161, "hypervisorhostipv6", LOADER, NONE),
    named(0x2100_0001, "filedevice", RESUME, NONE),
    named(0x2200_0002, "filepath", RESUME, NONE),
    named(0x2600_0003, "customsettings", RESUME, NONE),
    named(0x2600_0004, "pae", RESUME, NONE),
    named(0x2100_0005, "associatedosdevice", RESUME, NONE),
    named(0x2600_0006, "debugoptionenabled", RESUME, NONE),
    named(0x2500_0007, "bootux", RESUME, BOOT_UX),
    named(0x2500_0008, "bootmenupolicy", RESUME, MENU),
    named(0x2600_0024, "hormenabled", RESUME, NONE),
    named(0x2500_0001, "passcount", MEMORY, NONE),
    named(0x2500_0002, "testmix", MEMORY, TEST_MIX),
    named(0x2500_0003, "failurecount", MEMORY, NONE),
    named(0x2500_0004, "testtofail", MEMORY, TEST_TO_FAIL),
    named(0x2600_0005, "cacheenable", MEMORY, NONE),
    named(0x2200_0001, "bpbstring", LEGACY, NONE),
    named(0x2600_0001, "pxesoftreboot", STARTUP, NONE),
    named(0x2200_0002, "applicationname", STARTUP, NONE),
    address(0x3500_0001, "ramdiskimageoffset", ANY),
    named(0x3500_0002, "ramdisktftpclientport", ANY, NONE),
    named(0x3100_0003, "ramdisksdidevice", ANY, NONE),
    named(0x3200_0004, "ramdisksdipath", ANY, NONE),
    address(0x3500_0005, "ramdiskimagelength", ANY),
    named(0x3600_0006, "exportascd", ANY, NONE),
    named(0x3500_0007, "ramdisktftpblocksize", ANY, NONE),
    named(0x3500_0008, "ramdisktftpwindowsize", ANY, NONE),
    named(0x3600_0009, "ramdiskmcenabled", ANY, NONE),
    named(0x3600_000A, "ramdiskmctftpfallback", ANY, NONE),
    named(0x3600_000B, "ramdisktftpvarwindow", ANY, NONE),
    named(0x4500_0001, "devicetype", ANY, NONE),
    named(0x4200_0002, "applicationrelativepath", ANY, NONE),
    named(0x4200_0003, "ramdiskdevicerelativepath", ANY, NONE),
    named(0x4600_0004, "omitosloaderelements", ANY, NONE),
    address(0x4700_0006, "elementstomigrate", ANY),
    named(0x4600_0010, "recoveryos", ANY, NONE),
];

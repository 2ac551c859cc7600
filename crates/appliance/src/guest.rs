//! What Windows a machine runs, in the words of each hypervisor.
//!
//! A hypervisor that is told wrongly still starts the machine; the word decides defaults (chipset, timers, which network
//! adapter) and which icon is shown. So a Windows that a hypervisor has no word for gets that of the nearest older one:
//! an unknown word is an error to some importers, an older one never is.

/// What Windows is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The build number: 7601, 9600, 14393, …
    pub build: u32,
    /// Client or server.
    pub edition: Edition,
    /// What it is compiled for.
    pub architecture: Architecture,
}

/// Client or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edition {
    /// Windows 7, 10, 11.
    Client,
    /// Windows Server, with or without a desktop.
    Server,
    /// Nano Server: a server that has few drivers, and nothing to look at.
    Nano,
}

/// What a Windows is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 32-bit x86.
    X86,
    /// 64-bit x86 (AMD64).
    X64,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// The word of Vagrant, Go and OCI.
    pub fn go_name(self) -> &'static str {
        match self {
            Self::X86 => "386",
            Self::X64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// One Windows and what everybody calls it.
struct Row {
    /// The first build that is called so.
    build: u32,
    /// `OSType` of VirtualBox, without `_64`.
    virtualbox: &'static str,
    /// `vmw:osType`, without `Guest`, `_64`.
    vmware: &'static str,
    /// `guestOS` of a .vmx, without `-64`.
    vmx: &'static str,
    /// `CIM_OperatingSystem.OSType`: 32 bit, 64 bit.
    cim: (u32, u32),
    /// The first version of VMware's virtual hardware that knows the word.
    hardware: u32,
}

const fn row(
    build: u32,
    virtualbox: &'static str,
    vmware: &'static str,
    vmx: &'static str,
    cim: (u32, u32),
    hardware: u32,
) -> Row {
    Row { build, virtualbox, vmware, vmx, cim, hardware }
}

/// Clients, the oldest first.
const CLIENTS: &[Row] = &[
    row(0, "WindowsVista", "winVista", "winvista", (73, 74), 13),
    row(7600, "Windows7", "windows7", "windows7", (105, 105), 13),
    row(9200, "Windows8", "windows8", "windows8", (114, 115), 13),
    row(9600, "Windows81", "windows8", "windows8", (118, 119), 13),
    row(10_240, "Windows10", "windows9", "windows9", (120, 121), 13),
    row(22_000, "Windows11", "windows11", "windows11", (120, 121), 20),
];

/// Servers, the oldest first. VirtualBox knows 2025 only since 7.1, and refuses a type that it does not know; 2022 since
/// 7.0. CIM ends with 2016.
const SERVERS: &[Row] = &[
    row(0, "Windows2008", "winLonghorn", "longhorn", (76, 77), 13),
    row(7600, "Windows2008", "windows7Server", "windows7srv", (103, 103), 13),
    row(9200, "Windows2012", "windows8Server", "windows8srv", (113, 113), 13),
    row(9600, "Windows2012", "windows8Server", "windows8srv", (116, 116), 13),
    row(14_300, "Windows2016", "windows9Server", "windows9srv", (117, 117), 13),
    row(17_700, "Windows2019", "windows2019srv", "windows2019srv", (117, 117), 17),
    row(20_300, "Windows2022", "windows2019srvNext", "windows2019srvnext", (117, 117), 17),
    row(26_000, "Windows2022", "windows2022srvNext", "windows2022srvnext", (117, 117), 20),
];

impl Guest {
    /// What most machines that are built with this toolkit run: Windows Server 2016, 64 bit.
    pub const SERVER_2016: Self =
        Self { build: 14_393, edition: Edition::Server, architecture: Architecture::X64 };

    fn row(self) -> &'static Row {
        let rows = if self.edition == Edition::Client { CLIENTS } else { SERVERS };
        rows.iter().rfind(|row| row.build <= self.build).expect("the first row begins at 0")
    }

    /// VirtualBox's `OSType` (source: VirtualBox 7.0, `VBoxManage list ostypes`).
    pub fn virtualbox(self) -> String {
        let name = self.row().virtualbox;
        match self.architecture {
            // There is no 32-bit server past 2008; the word without a suffix exists only up to there.
            Architecture::X86 => name.to_owned(),
            Architecture::X64 => format!("{name}_64"),
            // VirtualBox 7.1 and later, on such hosts.
            Architecture::Arm64 => "Windows11_arm64".to_owned(),
        }
    }

    /// VMware's `vmw:osType` (source: vSphere API, `VirtualMachineGuestOsIdentifier`).
    pub fn vmware(self) -> String {
        let name = self.row().vmware;
        match self.architecture {
            Architecture::X86 if self.row().build < 22_000 => format!("{name}Guest"),
            Architecture::Arm64 => "arm_windows11_64Guest".to_owned(),
            // The words for servers changed their form with 2019 (observed in govmomi's lists).
            _ if name.contains("Server") => format!("{name}64Guest"),
            _ => format!("{name}_64Guest"),
        }
    }

    /// The `guestOS` of a .vmx file.
    pub fn vmx(self) -> String {
        let name = self.row().vmx;
        match self.architecture {
            Architecture::X86 => name.to_owned(),
            Architecture::X64 => format!("{name}-64"),
            Architecture::Arm64 => "arm-windows11-64".to_owned(),
        }
    }

    /// The number that OVF wants: `CIM_OperatingSystem.OSType`.
    pub fn cim(self) -> u32 {
        let (narrow, wide) = self.row().cim;
        if self.architecture == Architecture::X86 { narrow } else { wide }
    }

    /// The version of VMware's virtual hardware to ask for: the oldest that knows what it needs (13 is ESXi 6.5 and
    /// Workstation 12 to 14, 17 is ESXi 7.0, 20 is ESXi 8.0; source: vSphere API, "since" of the identifiers).
    pub fn vmware_hardware(self) -> u32 {
        if self.architecture == Architecture::Arm64 { 20 } else { self.row().hardware }
    }

    /// For people.
    pub fn describe(self) -> String {
        let kind = match self.edition {
            Edition::Client => "Windows",
            Edition::Server => "Windows Server",
            Edition::Nano => "Windows Nano Server",
        };
        format!("{kind}, build {}", self.build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(build: u32, edition: Edition, architecture: Architecture) -> Guest {
        Guest { build, edition, architecture }
    }

    #[test]
    fn every_windows_has_its_words() {
        use Architecture::{Arm64, X64, X86};
        use Edition::{Client, Nano, Server};
        for (guest, virtualbox, vmware, vmx, cim) in [
            (guest(14_393, Nano, X64), "Windows2016_64", "windows9Server64Guest", "windows9srv-64", 117),
            (
                guest(17_763, Server, X64),
                "Windows2019_64",
                "windows2019srv_64Guest",
                "windows2019srv-64",
                117,
            ),
            (
                guest(20_348, Server, X64),
                "Windows2022_64",
                "windows2019srvNext_64Guest",
                "windows2019srvnext-64",
                117,
            ),
            (
                guest(26_100, Server, X64),
                "Windows2022_64",
                "windows2022srvNext_64Guest",
                "windows2022srvnext-64",
                117,
            ),
            (guest(9600, Server, X64), "Windows2012_64", "windows8Server64Guest", "windows8srv-64", 116),
            (guest(7601, Server, X64), "Windows2008_64", "windows7Server64Guest", "windows7srv-64", 103),
            (guest(7601, Client, X86), "Windows7", "windows7Guest", "windows7", 105),
            (guest(19_041, Client, X64), "Windows10_64", "windows9_64Guest", "windows9-64", 121),
            (guest(10_586, Client, X86), "Windows10", "windows9Guest", "windows9", 120),
            (guest(22_631, Client, X64), "Windows11_64", "windows11_64Guest", "windows11-64", 121),
            (
                guest(26_100, Client, Arm64),
                "Windows11_arm64",
                "arm_windows11_64Guest",
                "arm-windows11-64",
                121,
            ),
            (guest(u32::MAX, Client, X64), "Windows11_64", "windows11_64Guest", "windows11-64", 121),
            (guest(0, Server, X86), "Windows2008", "winLonghornGuest", "longhorn", 76),
        ] {
            let found = (guest.virtualbox(), guest.vmware(), guest.vmx(), guest.cim());
            assert_eq!(found, (virtualbox.to_owned(), vmware.to_owned(), vmx.to_owned(), cim), "{guest:?}");
        }
    }
}

//! What has to be known of an image.

/// The processor that an image is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// 32-bit x86.
    X86,
    /// x86-64.
    #[default]
    Amd64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// What answer files call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Amd64 => "amd64",
            Self::Arm => "arm",
            Self::Arm64 => "arm64",
        }
    }
}

/// `InstallationType` of an image: what is there to be configured, and by which programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstallationType {
    /// Windows for desktops and laptops.
    Client,
    /// Windows Server with Desktop Experience.
    #[default]
    Server,
    /// Windows Server without it.
    ServerCore,
    /// Nano Server: no Windows Setup pages, no diskpart, no RDP, no local logon shell.
    Nano,
}

impl InstallationType {
    /// From the value of a WIM's XML or of `SOFTWARE\Microsoft\Windows NT\CurrentVersion`: `Client`, `Server`,
    /// `Server Core`, `Nano Server`. Others, `WindowsPE` among them, are none.
    pub fn from_name(name: &str) -> Option<Self> {
        let known = [
            ("Client", Self::Client),
            ("Server", Self::Server),
            ("Server Core", Self::ServerCore),
            ("Nano Server", Self::Nano),
        ];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim())).map(|(_, kind)| kind)
    }
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its processor.
    pub architecture: Architecture,
    /// Its build number, such as 14393; 0 when it is not known.
    pub build: u32,
    /// `EditionID`, such as `ServerStandardNano`; empty when it is not known.
    pub edition: String,
    /// What kind of Windows it is.
    pub installation: InstallationType,
    /// The languages that it has, its default first: `en-US`.
    pub languages: Vec<String>,
}

impl About {
    /// Whether it is a Nano Server.
    pub const fn is_nano(&self) -> bool {
        matches!(self.installation, InstallationType::Nano)
    }

    /// Whether it is Windows for desktops and laptops.
    pub const fn is_client(&self) -> bool {
        matches!(self.installation, InstallationType::Client)
    }
}

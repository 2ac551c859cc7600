//! The Windows a package is compiled for, and which of an INF file's sections are meant for it.

use std::cmp::Reverse;
use std::fmt;

use crate::inf::{number, same};

/// A processor architecture that Windows NT exists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// 32-bit x86.
    X86,
    /// 32-bit Arm.
    Arm,
    /// Itanium.
    Ia64,
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::X86, Self::Arm, Self::Ia64, Self::Amd64, Self::Arm64];

    /// Its name in INF files and in the names of driver store folders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Arm => "arm",
            Self::Ia64 => "ia64",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Microsoft's `PROCESSOR_ARCHITECTURE` number, which WIM files and the driver database use, too.
    pub const fn number(self) -> u16 {
        match self {
            Self::X86 => 0,
            Self::Arm => 5,
            Self::Ia64 => 6,
            Self::Amd64 => 9,
            Self::Arm64 => 12,
        }
    }

    /// The architecture of that number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.number() == number)
    }

    /// The architecture of a name; case does not matter.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| same(architecture.name(), name))
    }

    /// The machine type in the header of its programs.
    pub const fn machine(self) -> u16 {
        match self {
            Self::X86 => 0x014C,
            Self::Arm => 0x01C4,
            Self::Ia64 => 0x0200,
            Self::Amd64 => 0x8664,
            Self::Arm64 => 0xAA64,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a Windows is used as: the numbers of `wProductType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProductType {
    /// A client.
    Workstation,
    /// A domain controller. No image is one.
    DomainController,
    /// A server.
    Server,
}

impl ProductType {
    const fn number(self) -> u32 {
        match self {
            Self::Workstation => 1,
            Self::DomainController => 2,
            Self::Server => 3,
        }
    }
}

/// The Windows that a package is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its architecture.
    pub architecture: Architecture,
    /// Its version: 6.1 for Windows 7, 10.0 since Windows 10.
    pub major: u32,
    /// The second part of it.
    pub minor: u32,
    /// Its build number, such as 14393.
    pub build: u32,
    /// Client or server.
    pub product: ProductType,
    /// The suites that are installed, as `VER_SUITE` bits; Datacenter is 0x80.
    pub suite: u32,
    /// The language of texts, a Windows language identifier. English (United States) is 0x0409.
    pub language: u16,
}

impl Target {
    /// An English Windows of a build, whose version follows from that. No suite is installed.
    pub const fn new(architecture: Architecture, build: u32, product: ProductType) -> Self {
        let (major, minor) = match build {
            0..6000 => (5, 2),
            6000..7600 => (6, 0),
            7600..9200 => (6, 1),
            9200..9600 => (6, 2),
            9600..9841 => (6, 3),
            _ => (10, 0),
        };
        Self { architecture, major, minor, build, product, suite: 0, language: 0x0409 }
    }

    /// Whether its driver database is one of Windows 8 or later; before, there were the index files of the driver
    /// store and the critical device database.
    pub const fn has_driver_database(&self) -> bool {
        self.major > 6 || (self.major == 6 && self.minor >= 2)
    }

    /// The best of a list of decorations for this Windows, as its position; `None` stands for the undecorated name.
    ///
    /// What is newer, or for another architecture, product type or suite, does not count. Of the rest the newest
    /// version wins; among equals the one that names more: build, product type, suite, architecture, in this order.
    /// Source: "Combining Platform Extensions with Operating System Versions" and "INF Manufacturer Section" in
    /// Microsoft's documentation. An undecorated name counts for x86 only, since Windows Server 2003 SP1.
    pub fn best<'d>(&self, decorations: impl IntoIterator<Item = Option<&'d str>>) -> Option<usize> {
        let fitting = decorations.into_iter().enumerate().filter_map(|(at, text)| {
            let rank = match text {
                Some(text) => Decoration::parse(text)?.rank(self)?,
                None if self.architecture == Architecture::X86 => Rank::default(),
                None => return None,
            };
            Some((rank, Reverse(at)))
        });
        fitting.max().map(|(_, Reverse(at))| at)
    }

    /// The decorations of sections that know of platforms only, best first: `.NTamd64`, `.NT`, none.
    pub fn platforms(&self) -> [String; 3] {
        [format!(".NT{}", self.architecture), ".NT".to_owned(), String::new()]
    }
}

/// `Windows 10.0.14393 amd64 (server)`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = match self.product {
            ProductType::Workstation => "client",
            ProductType::DomainController => "domain controller",
            ProductType::Server => "server",
        };
        write!(f, "Windows {}.{}.{} {} ({product})", self.major, self.minor, self.build, self.architecture)
    }
}

/// `TargetOSVersion`: `nt[Architecture][.[Major][.[Minor][.[ProductType][.[SuiteMask]][.[Build]]]]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decoration {
    architecture: Option<Architecture>,
    major: Option<u32>,
    minor: Option<u32>,
    product: Option<u32>,
    suite: Option<u32>,
    build: Option<u32>,
}

/// How well a decoration fits, compared from the first field on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    major: u32,
    minor: u32,
    build: u32,
    product: bool,
    suite: bool,
    architecture: bool,
    /// Any decoration is better than none.
    decorated: bool,
}

impl Decoration {
    /// `None` for what is none.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        let platform = parts.next()?;
        if !platform.get(..2).is_some_and(|nt| same(nt, "nt")) {
            return None;
        }
        let architecture = match &platform[2..] {
            "" => None,
            name => Some(Architecture::named(name)?),
        };
        let mut numbers = [None; 5];
        for slot in &mut numbers {
            match parts.next() {
                None => break,
                Some("") => {}
                Some(part) => *slot = Some(number(part)?),
            }
        }
        let [major, minor, product, suite, build] = numbers;
        parts.next().is_none().then_some(Self { architecture, major, minor, product, suite, build })
    }

    /// How well it fits; `None` when it does not.
    fn rank(&self, target: &Target) -> Option<Rank> {
        let wanted = (self.major.unwrap_or(0), self.minor.unwrap_or(0), self.build.unwrap_or(0));
        let fits = self.architecture.is_none_or(|architecture| architecture == target.architecture)
            && self.product.is_none_or(|product| product == target.product.number())
            && self.suite.is_none_or(|suite| suite & target.suite == suite)
            && wanted <= (target.major, target.minor, target.build);
        fits.then_some(Rank {
            major: wanted.0,
            minor: wanted.1,
            build: wanted.2,
            product: self.product.is_some(),
            suite: self.suite.is_some(),
            architecture: self.architecture.is_some(),
            decorated: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(target: &Target, decorations: &[&str]) -> Option<&'static str> {
        let given: Vec<_> = decorations.iter().map(|text| (!text.is_empty()).then_some(*text)).collect();
        target.best(given).map(|at| &*decorations[at].to_owned().leak())
    }

    #[test]
    fn the_newest_that_is_not_newer() {
        let nano = Target::new(Architecture::Amd64, 14393, ProductType::Server);
        let all = [
            "NTamd64",
            "NTamd64.6.1",
            "ntAMD64.10.0",
            "NTamd64.10.0...14393",
            "NTamd64.10.0...16299",
            "NTx86.10.0",
        ];
        assert_eq!(best(&nano, &all), Some("NTamd64.10.0...14393"));
        let tp5 = Target::new(Architecture::Amd64, 14300, ProductType::Server);
        assert_eq!(best(&tp5, &all), Some("ntAMD64.10.0"));
        let seven = Target::new(Architecture::Amd64, 7601, ProductType::Workstation);
        assert_eq!(best(&seven, &all), Some("NTamd64.6.1"));
        let vista = Target::new(Architecture::Amd64, 6002, ProductType::Workstation);
        assert_eq!(best(&vista, &all), Some("NTamd64"));
        let arm = Target::new(Architecture::Arm64, 26100, ProductType::Server);
        assert_eq!(best(&arm, &all), None);
        // Documented: on Windows 7 for x86 the second of these is chosen.
        let x86 = Target::new(Architecture::X86, 7601, ProductType::Workstation);
        assert_eq!(best(&x86, &["NTx86.6.0", "NT.6.1"]), Some("NT.6.1"));
        assert_eq!(best(&x86, &["", "NTx86.6.2"]), Some(""));
        assert_eq!(best(&seven, &[""]), None);
    }

    #[test]
    fn products_and_suites() {
        let mut server = Target::new(Architecture::Amd64, 17763, ProductType::Server);
        let all = ["NTamd64.10.0", "NTamd64.10.0.1", "NTamd64.10.0.3", "NTamd64.10.0.3.0x80"];
        assert_eq!(best(&server, &all), Some("NTamd64.10.0.3"));
        server.suite = 0x190;
        assert_eq!(best(&server, &all), Some("NTamd64.10.0.3.0x80"));
        server.product = ProductType::Workstation;
        assert_eq!(best(&server, &all), Some("NTamd64.10.0.1"));
        // A newer version counts for more than a product type.
        assert_eq!(best(&server, &["NTamd64.6.1.1", "NTamd64.10"]), Some("NTamd64.10"));
    }

    #[test]
    fn what_is_no_decoration() {
        let target = Target::new(Architecture::Amd64, 17763, ProductType::Server);
        for text in ["n", "NTmips", "NTamd64.x", "NTamd64.10.0.3.0.1.7", "amd64", "NTamd64.-1", "é"] {
            assert_eq!(target.best([Some(text)]), None, "{text}");
        }
    }
}

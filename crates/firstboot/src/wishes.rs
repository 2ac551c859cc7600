//! What can be wished for. Everything is optional; a wish that is not made leaves the image as it is.
//!
//! The structured ones are tables of a recipe and can be read with `serde`; their keys are in kebab-case, and unknown ones
//! are refused. Secrets are read and never written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::{AnswerFile, DomainBlob, Secret};

/// What a Windows is to be told before its first boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `computer-name`: 1 to 15 letters, digits and hyphens, not only digits; `*` lets Windows choose one.
    pub computer_name: Option<String>,
    /// `admin-password-file`: the password of the built-in Administrator.
    pub administrator_password: Option<Secret>,
    /// `[[account]]`: local accounts to make. Their passwords have been read: `password` is what counts, and
    /// `password_file` is ignored.
    pub accounts: Vec<Account>,
    /// Lets local administrators work as such over the network (`LocalAccountTokenFilterPolicy`): without it only the
    /// built-in Administrator can.
    pub remote_administrators: bool,
    /// `time-zone`: the name of its registry key, such as `W. Europe Standard Time`.
    pub time_zone: Option<String>,
    /// `locale` and its relatives.
    pub locale: Locale,
    /// `owner`: the name of the person that Windows is registered to.
    pub owner: Option<String>,
    /// `organization`: the same of the organisation.
    pub organization: Option<String>,
    /// `product-key`: five groups of five.
    pub product_key: Option<Secret>,
    /// `domain-blob`: what `djoin /provision` wrote.
    pub domain_blob: Option<DomainBlob>,
    /// `[[network]]`: static addresses.
    pub networks: Vec<Interface>,
    /// `setup-complete`: lines for the end of `SetupComplete.cmd`, without line ends.
    pub setup_complete: Vec<String>,
    /// The `Windows\Setup\Scripts\SetupComplete.cmd` that the image has already.
    pub existing_setup_complete: Option<Vec<u8>>,
    /// `unattend`: the user's answer file, which ours is merged with.
    pub unattend: Option<AnswerFile>,
    /// `quiet`: no questions between the first boot and the first logon.
    pub quiet: bool,
    /// The firewall lets WinRM in from every network, and remote management of event logs.
    pub remote_management: bool,
    /// `preset = "winrm"`: the service starts and listens.
    pub winrm: Option<WinRm>,
    /// A listener for HTTPS.
    pub https: Option<Https>,
    /// `rdp`: Remote Desktop, with its firewall rules.
    pub rdp: bool,
    /// `[[firewall]]`: rules to add, and rules and groups of the image to enable.
    pub firewall: Vec<FirewallRule>,
    /// The first network that is found counts as private, not public.
    pub private_network: bool,
    /// `grow`: the Windows partition takes the room behind it, at the first boot.
    pub grow: bool,
    /// `ssh-key`: lines of an `authorized_keys` file, for all administrators.
    pub ssh_keys: Vec<String>,
    /// `feature`: names of optional features; a name with `~~~~` is a capability.
    pub features: Vec<String>,
    /// Packages that lie in the image and are installed at the first boot.
    pub packages: Vec<StagedPackage>,
}

/// Languages and formats, as names like `de-DE`, or for the keyboard as `0407:00000407`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locale {
    /// `ui-language`: of menus and messages; one that the image has.
    pub ui: Option<String>,
    /// `input-locale`: the keyboard.
    pub input: Option<String>,
    /// `system-locale`: for programs without Unicode.
    pub system: Option<String>,
    /// `user-locale`: formats of dates and numbers.
    pub user: Option<String>,
}

impl Locale {
    /// The same for all.
    pub fn all(name: &str) -> Self {
        let name = || Some(name.to_owned());
        Self { ui: name(), input: name(), system: name(), user: name() }
    }
}

/// `[[account]]`: a local account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Account {
    /// Its name, 1 to 20 characters.
    pub name: String,
    /// Its password, for those that everybody knows anyway.
    #[serde(default, skip_serializing)]
    pub password: Option<Secret>,
    /// A file that holds its password. Whoever reads the recipe reads it, and puts what it holds into `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The name that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// What the account is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Local groups that it becomes a member of; `Administrators` when nothing is said.
    #[serde(default = "administrators")]
    pub groups: Vec<String>,
    /// Whether its password stays valid for ever; otherwise for what the machine's policy says, usually 42 days.
    #[serde(default)]
    pub password_never_expires: bool,
}

fn administrators() -> Vec<String> {
    vec!["Administrators".to_owned()]
}

/// `[[network]]`: addresses of a network interface. What has no address of a family gets it by DHCP or autoconfiguration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Interface {
    /// Its name or index; `Ethernet` when neither this nor `mac` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Its hardware address, such as `00-15-5D-01-02-03`, instead of a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Addresses with their prefix: `192.168.1.10/24`, `fd00::10/64`.
    #[serde(default)]
    pub addresses: Vec<IpPrefix>,
    /// Default gateways: at most one of each family.
    #[serde(default)]
    pub gateways: Vec<IpAddr>,
    /// DNS servers, the preferred ones first.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
}

/// An IP address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPrefix {
    address: IpAddr,
    prefix: u8,
}

impl IpPrefix {
    /// `None` for a prefix that is longer than the address.
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix <= longest { Some(Self { address, prefix }) } else { None }
    }

    /// The address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Bits of the prefix: up to 32 or 128.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The mask of an IPv4 network, such as `255.255.255.0`.
    pub fn mask(&self) -> Option<Ipv4Addr> {
        let ones = 32 - u32::from(self.prefix).min(32);
        self.address.is_ipv4().then(|| Ipv4Addr::from(u32::MAX.checked_shl(ones).unwrap_or(0)))
    }

    /// Whether another address lies in the same network.
    pub fn contains(&self, other: IpAddr) -> bool {
        let shared = match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let bits = |address: Ipv6Addr| u128::from(address);
                (bits(a) ^ bits(b)).leading_zeros()
            }
            _ => return false,
        };
        shared >= u32::from(self.prefix)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for IpPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address with a prefix such as 192.168.1.10/24 or fd00::10/64");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        Self::new(address, prefix.parse().map_err(|_| wrong())?).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for IpPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for IpPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the WinRM service accepts. It starts with the machine and listens for HTTP on port 5985 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WinRm {
    /// Passwords in clear text (basic authentication), which most clients outside Windows need.
    pub basic: bool,
    /// Messages that are not encrypted. With `basic`, whoever sees the network sees the password.
    pub unencrypted: bool,
    /// Whether the firewall lets it in from public networks and from everywhere, not only from the local subnet.
    pub public: bool,
}

/// A WinRM listener for HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// The certificate with its key, as PKCS #12. It becomes a file of the image that is deleted at the first boot.
    pub pfx: PfxFile,
    /// The password that the PKCS #12 is protected with: ASCII letters, digits, `.`, `_` and `-`; empty for none.
    pub password: Secret,
    /// The SHA-1 of the certificate, 40 hexadecimal digits.
    pub thumbprint: String,
    /// The name in the certificate, which clients have to use.
    pub host_name: String,
}

/// Bytes of a PKCS #12 file. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PfxFile(pub Vec<u8>);

impl fmt::Debug for PfxFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PfxFile(..)")
    }
}

/// `[[firewall]]`: a rule to add (with `name`), or rules of the image to enable (with `enable`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FirewallRule {
    /// The name of a new rule, as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Rules to enable instead: the identifier of one (`WINRM-HTTP-In-TCP`), a group as the image writes it
    /// (`@FirewallAPI.dll,-28502`), or one of the names in the crate's documentation (`file-sharing`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<String>,
    /// Of rules to enable: on all networks, public ones included, and for all remote addresses.
    #[serde(default)]
    pub public: bool,
    /// Which connections it is about.
    #[serde(default)]
    pub direction: Direction,
    /// What becomes of them.
    #[serde(default)]
    pub action: Action,
    /// Their protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// Local ports, for TCP and UDP; all when there are none.
    #[serde(default)]
    pub ports: Vec<Ports>,
    /// Remote ports.
    #[serde(default)]
    pub remote_ports: Vec<Ports>,
    /// Remote addresses: `LocalSubnet`, an address, or one with a prefix; all when there are none.
    #[serde(default)]
    pub remote_addresses: Vec<String>,
    /// Kinds of networks; all when there are none.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// The path of a program, in which `%SystemRoot%` and the like may stand; `System` for the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The short name of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Which way connections go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the machine.
    #[default]
    In,
    /// From it.
    Out,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It lets connections through.
    #[default]
    Allow,
    /// It does not.
    Block,
}

/// A protocol above IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Protocol {
    /// TCP, number 6.
    #[default]
    Tcp,
    /// UDP, number 17.
    Udp,
    /// ICMP, number 1.
    Icmpv4,
    /// ICMP of IPv6, number 58.
    Icmpv6,
    /// All.
    Any,
}

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// One with the machine's domain controllers.
    Domain,
    /// One that was declared private.
    Private,
    /// Any other.
    Public,
}

/// A port, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// `None` for a range that ends before it begins, and for port 0.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(Self { first, last }) }
    }

    /// Whether it is more than one port.
    pub const fn is_range(&self) -> bool {
        self.first != self.last
    }

    /// One port.
    pub const fn one(port: u16) -> Option<Self> {
        Self::new(port, port)
    }
}

/// `5985` or `8000-8010`, as in firewall rules.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports =
            first.parse().ok().zip(last.parse().ok()).and_then(|(first, last)| Self::new(first, last));
        ports.ok_or_else(|| format!("{text:?} is no port or range of ports such as 5985 or 8000-8010"))
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port such as 5985 or a range such as \"8000-8010\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ports, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, port: u64) -> Result<Ports, E> {
                let ports = u16::try_from(port).ok().and_then(Ports::one);
                ports.ok_or_else(|| E::custom(format!("{port} is no port, expected 1 to 65535")))
            }

            fn visit_i64<E: serde::de::Error>(self, port: i64) -> Result<Ports, E> {
                let port = u64::try_from(port);
                port.map_err(|_| E::custom("a port is not negative")).and_then(|port| self.visit_u64(port))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last {
            serializer.serialize_u16(self.first)
        } else {
            serializer.collect_str(self)
        }
    }
}

/// A package in the image that the first boot installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedPackage {
    /// What reports call it.
    pub name: String,
    /// Where it lies, from the root of the Windows volume with backslashes: `Windows\Setup\Packages\a.cab`. ASCII.
    pub path: String,
    /// What it is.
    pub kind: StagedKind,
}

/// How a package is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StagedKind {
    /// A cabinet, which DISM takes.
    Cab,
    /// An update with its own installer, which `wusa` takes. Nano Server has none.
    Msu,
}

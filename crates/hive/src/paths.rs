//! Registry paths as Windows writes them: which hive file a key lies in, and where in that hive.
//!
//! A running Windows mounts its hives below a few roots and makes up the rest from links. Offline there is one file for
//! each of these mounts, and two links that matter: `HKEY_CLASSES_ROOT`, which is a key of SOFTWARE, and
//! `CurrentControlSet`, which the value `Default` of the key `Select` decides, as it does for the loader.
//!
//! There is no current user either; `HKEY_CURRENT_USER` is taken for the profile that every new user gets a copy of.

use std::fmt;

use crate::reg::KeyPath;
use crate::{Key, Name};

/// A hive of a Windows installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KnownHive {
    /// `HKLM\SYSTEM`: services, drivers, and which control set they are started from.
    System,
    /// `HKLM\SOFTWARE`, with `HKCR` in it.
    Software,
    /// `HKLM\SAM`: local accounts.
    Sam,
    /// `HKLM\SECURITY`: policy and secrets.
    Security,
    /// `HKLM\COMPONENTS`: the component store.
    Components,
    /// `HKLM\DRIVERS`: the driver store.
    Drivers,
    /// `HKU\.DEFAULT`: the profile of the system account.
    Default,
    /// `HKCU`: the profile that new users get.
    DefaultUser,
    /// `HKU\S-1-5-19`: the profile of the LocalService account.
    LocalService,
    /// `HKU\S-1-5-20`: the profile of the NetworkService account.
    NetworkService,
    /// `HKLM\BCD00000000`: the boot configuration, on the System partition.
    Bcd,
}

/// Every hive that a path can mean, with its mount and its files.
const HIVES: &[(KnownHive, &str, &[&str])] = &[
    (KnownHive::System, "HKEY_LOCAL_MACHINE\\SYSTEM", &["Windows/System32/config/SYSTEM"]),
    (KnownHive::Software, "HKEY_LOCAL_MACHINE\\SOFTWARE", &["Windows/System32/config/SOFTWARE"]),
    (KnownHive::Sam, "HKEY_LOCAL_MACHINE\\SAM", &["Windows/System32/config/SAM"]),
    (KnownHive::Security, "HKEY_LOCAL_MACHINE\\SECURITY", &["Windows/System32/config/SECURITY"]),
    (KnownHive::Components, "HKEY_LOCAL_MACHINE\\COMPONENTS", &["Windows/System32/config/COMPONENTS"]),
    (KnownHive::Drivers, "HKEY_LOCAL_MACHINE\\DRIVERS", &["Windows/System32/config/DRIVERS"]),
    (KnownHive::Default, "HKEY_USERS\\.DEFAULT", &["Windows/System32/config/DEFAULT"]),
    (KnownHive::DefaultUser, "HKEY_CURRENT_USER", &["Users/Default/NTUSER.DAT"]),
    (KnownHive::LocalService, "HKEY_USERS\\S-1-5-19", &["Windows/ServiceProfiles/LocalService/NTUSER.DAT"]),
    (
        KnownHive::NetworkService,
        "HKEY_USERS\\S-1-5-20",
        &["Windows/ServiceProfiles/NetworkService/NTUSER.DAT"],
    ),
    (KnownHive::Bcd, "HKEY_LOCAL_MACHINE\\BCD00000000", &["Boot/BCD", "EFI/Microsoft/Boot/BCD"]),
];

/// What errors say is known.
const KNOWN: &str = "HKLM\\SYSTEM, HKLM\\SOFTWARE, HKLM\\SAM, HKLM\\SECURITY, HKLM\\COMPONENTS, HKLM\\DRIVERS, \
                     HKLM\\BCD00000000, HKU\\.DEFAULT, HKCU (the profile for new users), HKCR";

/// Why a path leads to no key of a hive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It begins with no root of the registry, or with one that no file stands behind.
    #[error("{path}: {reason}; known are {KNOWN}")]
    Unknown {
        /// The path.
        path: String,
        /// What is unknown about it.
        reason: &'static str,
    },
    /// It lies in another hive than the one that was opened.
    #[error("{path} lies in {}, and this is {found}", wanted.name())]
    OtherHive {
        /// The path.
        path: String,
        /// The hive that it lies in.
        wanted: KnownHive,
        /// What the hive at hand is.
        found: String,
    },
    /// It begins with `CurrentControlSet`, and the hive does not say which that is.
    #[error("{path}: the hive has no current control set: {reason}")]
    NoControlSet {
        /// The path.
        path: String,
        /// What is missing.
        reason: &'static str,
    },
}

/// A key: which hive, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The hive.
    pub hive: KnownHive,
    /// The key in it. `CurrentControlSet` is still to be resolved by the [`Mount`] of the hive.
    pub key: KeyPath,
}

impl KnownHive {
    /// Every one of them.
    pub fn all() -> impl Iterator<Item = Self> {
        HIVES.iter().map(|&(hive, _, _)| hive)
    }

    fn entry(self) -> &'static (Self, &'static str, &'static [&'static str]) {
        HIVES.iter().find(|&&(hive, _, _)| hive == self).expect("every hive is in the table")
    }

    /// Where a running Windows mounts it: `HKEY_LOCAL_MACHINE\SYSTEM`.
    pub fn mount(self) -> &'static str {
        self.entry().1
    }

    /// Its file, with slashes, from the root of the volume that Windows lies on; for the boot configuration, of the
    /// System partition, on BIOS or UEFI machines.
    pub fn files(self) -> &'static [&'static str] {
        self.entry().2
    }

    /// What people call it: `SYSTEM`, `.DEFAULT`.
    pub fn name(self) -> &'static str {
        let mount = self.mount();
        mount.rsplit_once('\\').map_or(mount, |(_, name)| name)
    }

    /// The hive that `name` means: a mount in any spelling (`HKLM\SOFTWARE`, `HKCU`) or just the name of its file
    /// (`software`).
    pub fn named(name: &str) -> Option<Self> {
        let by_file = |&&(_, _, files): &&(Self, &str, &[&str])| {
            files
                .iter()
                .any(|file| file.rsplit('/').next().is_some_and(|file| file.eq_ignore_ascii_case(name)))
        };
        match locate(&KeyPath::parse(name)) {
            Ok(location) if location.key.names().is_empty() => Some(location.hive),
            _ => HIVES.iter().find(by_file).map(|&(hive, _, _)| hive),
        }
    }

    /// What a hive is, by the keys below its root. A user's hive is taken for [`DefaultUser`](Self::DefaultUser),
    /// whosever it is.
    pub fn recognise(root: &Key) -> Option<Self> {
        let has = |names: &[&str]| names.iter().all(|name| root.subkey(name).is_some());
        let known: [(Self, &[&str]); 9] = [
            (Self::System, &["Select"]),
            (Self::Software, &["Microsoft", "Classes"]),
            (Self::Software, &["Microsoft", "Policies"]),
            (Self::Sam, &["SAM"]),
            (Self::Security, &["Policy"]),
            (Self::Components, &["DerivedData"]),
            (Self::Drivers, &["DriverDatabase"]),
            (Self::Bcd, &["Description", "Objects"]),
            (Self::DefaultUser, &["Control Panel", "Software"]),
        ];
        known.into_iter().find(|(_, names)| has(names)).map(|(hive, _)| hive)
    }

    /// Whether the hive of a user.
    const fn is_user(self) -> bool {
        matches!(self, Self::Default | Self::DefaultUser | Self::LocalService | Self::NetworkService)
    }
}

/// `SYSTEM (HKEY_LOCAL_MACHINE\SYSTEM)`.
impl fmt::Display for KnownHive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.mount())
    }
}

/// Whether a path begins with the name of a root, known or not: otherwise it is relative to some key. Of those that
/// begin with a backslash only the kernel's `\Registry\Machine` and `\Registry\User` do.
pub fn has_root(path: &KeyPath) -> bool {
    let names = path.names();
    let is = |at: usize, texts: &[&str]| {
        names.get(at).is_some_and(|name: &Name| texts.iter().any(|text| name.is(text)))
    };
    let kernel = is(0, &["REGISTRY"]) && is(1, &["MACHINE", "USER"]);
    let short = is(0, &["HKLM", "HKU", "HKCU", "HKCR", "HKCC", "COMPUTER"]);
    let long = names.first().is_some_and(|name| name.to_string().to_ascii_uppercase().starts_with("HKEY_"));
    kernel || !path.is_relative() && (short || long)
}

/// Which hive a path lies in, and where: `HKLM\SYSTEM\Select`, `HKEY_USERS\.DEFAULT\Software`, `HKCR\.txt`. Case does
/// not matter; `Computer\` in front and the kernel's `\Registry\Machine` are understood.
///
/// # Errors
/// [`Error::Unknown`] for any other root.
pub fn locate(path: &KeyPath) -> Result<Location, Error> {
    let unknown = |reason| Error::Unknown { path: path.to_string(), reason };
    let mut names = path.names();
    let upper =
        |name: Option<&Name>| name.map(|name| name.to_string().to_ascii_uppercase()).unwrap_or_default();
    if upper(names.first()) == "COMPUTER" {
        names = &names[1..];
    }
    let mut taken = 1;
    let root = match (upper(names.first()).as_str(), upper(names.get(1)).as_str()) {
        ("REGISTRY", second @ ("MACHINE" | "USER")) => {
            taken = 2;
            if second == "USER" { "HKU".to_owned() } else { "HKLM".to_owned() }
        }
        (first, _) => first.to_owned(),
    };
    names = names.get(taken..).unwrap_or_default();
    let below = |hive, prefix: &[&str], names: &[Name]| {
        let names: Vec<Name> = prefix.iter().copied().map(Name::new).chain(names.iter().cloned()).collect();
        Ok(Location { hive, key: KeyPath::new(names) })
    };
    let rest = names.get(1..).unwrap_or_default();
    match (root.as_str(), upper(names.first()).as_str()) {
        ("HKLM" | "HKEY_LOCAL_MACHINE", name) => match name {
            "SYSTEM" => below(KnownHive::System, &[], rest),
            "SOFTWARE" => below(KnownHive::Software, &[], rest),
            "SAM" => below(KnownHive::Sam, &[], rest),
            "SECURITY" => below(KnownHive::Security, &[], rest),
            "COMPONENTS" => below(KnownHive::Components, &[], rest),
            "DRIVERS" => below(KnownHive::Drivers, &[], rest),
            "BCD00000000" => below(KnownHive::Bcd, &[], rest),
            "" => Err(unknown("names no hive")),
            "HARDWARE" => Err(unknown("exists only while Windows runs")),
            _ => Err(unknown("lies in no known hive")),
        },
        ("HKU" | "HKEY_USERS", name) => match name {
            ".DEFAULT" | "S-1-5-18" => below(KnownHive::Default, &[], rest),
            "S-1-5-19" => below(KnownHive::LocalService, &[], rest),
            "S-1-5-20" => below(KnownHive::NetworkService, &[], rest),
            "" => Err(unknown("names no user")),
            _ => Err(unknown("is of a user whose hive is not known")),
        },
        ("HKCU" | "HKEY_CURRENT_USER", _) => below(KnownHive::DefaultUser, &[], names),
        ("HKCR" | "HKEY_CLASSES_ROOT", _) => below(KnownHive::Software, &["Classes"], names),
        ("HKCC" | "HKEY_CURRENT_CONFIG", _) => {
            let current = ["CurrentControlSet", "Hardware Profiles", "Current"];
            below(KnownHive::System, &current, names)
        }
        _ => Err(unknown("has no known root")),
    }
}

/// The name of the control set that a SYSTEM hive is started with, such as `ControlSet001`: what `Default` of the key
/// `Select` says, which is what the loader goes by, or else `Current`.
pub fn control_set(root: &Key) -> Option<String> {
    let select = root.subkey("Select")?;
    ["Default", "Current"].into_iter().find_map(|value| {
        let name = format!("ControlSet{:03}", select.value(value)?.as_u32()?);
        root.subkey(&name).is_some().then_some(name)
    })
}

/// A hive as if mounted: turns paths as people write them into keys of it.
#[derive(Clone, Debug)]
pub struct Mount {
    hive: Option<KnownHive>,
    /// Paths that begin so lose it.
    prefix: Option<KeyPath>,
    control_set: Option<String>,
    /// Whether `CurrentControlSet` stands for another key.
    linked: bool,
}

impl Mount {
    /// A hive that is what it is [recognised](KnownHive::recognise) as.
    pub fn of(root: &Key) -> Self {
        Self::new(root, KnownHive::recognise(root), None)
    }

    /// A hive that is known to be this one.
    pub fn known(root: &Key, hive: KnownHive) -> Self {
        Self::new(root, Some(hive), None)
    }

    /// A hive that lies where `prefix` says, known place or not: `HKLM\SYSTEM`, or `HKLM\MOUNTED` as `reg load` makes
    /// it.
    pub fn at(root: &Key, prefix: &KeyPath) -> Self {
        match locate(prefix) {
            Ok(location) if location.key.names().is_empty() => Self::new(root, Some(location.hive), None),
            _ => Self::new(root, KnownHive::recognise(root), Some(prefix.clone())),
        }
    }

    fn new(root: &Key, hive: Option<KnownHive>, prefix: Option<KeyPath>) -> Self {
        // A key that really has this name is no link.
        let linked = hive == Some(KnownHive::System) && root.subkey("CurrentControlSet").is_none();
        Self { hive, prefix, control_set: control_set(root), linked }
    }

    /// What the hive is.
    pub const fn hive(&self) -> Option<KnownHive> {
        self.hive
    }

    /// What Windows would call a key of the hive: `HKEY_LOCAL_MACHINE\SYSTEM\Select`. In a hive that is not known it is
    /// relative to the root.
    pub fn full(&self, key: &KeyPath) -> KeyPath {
        let prefix = self.prefix.clone().or_else(|| Some(KeyPath::parse(self.hive?.mount())));
        match prefix {
            Some(prefix) => KeyPath::new([prefix.names(), key.names()].concat()),
            None => key.clone().relative(),
        }
    }

    /// The key in the hive that a path means: one with a root, where Windows mounts this hive; one without, from the
    /// hive's root. `CurrentControlSet` is resolved in both.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn key(&self, path: &KeyPath) -> Result<KeyPath, Error> {
        let key = match &self.prefix {
            Some(prefix) if starts_with(path, prefix) => KeyPath::new(&path.names()[prefix.names().len()..]),
            _ if !has_root(path) => path.clone(),
            _ => {
                let location = locate(path)?;
                match self.hive {
                    Some(hive) if hive != location.hive && !(hive.is_user() && location.hive.is_user()) => {
                        let found = hive.name().to_owned();
                        let (path, wanted) = (path.to_string(), location.hive);
                        return Err(Error::OtherHive { path, wanted, found });
                    }
                    _ => location.key,
                }
            }
        };
        self.resolve(path, key)
    }

    /// The same for a key that is known to lie in this hive.
    fn resolve(&self, path: &KeyPath, key: KeyPath) -> Result<KeyPath, Error> {
        match key.names().split_first() {
            Some((first, rest)) if self.linked && first.is("CurrentControlSet") => {
                let Some(set) = &self.control_set else {
                    let reason = "no value Default or Current of a key Select names one that exists";
                    return Err(Error::NoControlSet { path: path.to_string(), reason });
                };
                let set = [Name::new(set)].into_iter();
                Ok(KeyPath::new(set.chain(rest.iter().cloned()).collect::<Vec<_>>()))
            }
            _ => Ok(key),
        }
    }
}

fn starts_with(path: &KeyPath, prefix: &KeyPath) -> bool {
    let (path, prefix) = (path.names(), prefix.names());
    let same = |(number, (a, b)): (usize, (&Name, &Name))| {
        // People write `HKLM`, regedit writes `HKEY_LOCAL_MACHINE`.
        a.eq_ignore_case(b) || number == 0 && ROOTS.iter().any(|root| is_root(a, root) && is_root(b, root))
    };
    path.len() >= prefix.len() && path.iter().zip(prefix).enumerate().all(same)
}

/// Roots of a registry: the short spelling and the long.
const ROOTS: [[&str; 2]; 5] = [
    ["HKLM", "HKEY_LOCAL_MACHINE"],
    ["HKU", "HKEY_USERS"],
    ["HKCU", "HKEY_CURRENT_USER"],
    ["HKCR", "HKEY_CLASSES_ROOT"],
    ["HKCC", "HKEY_CURRENT_CONFIG"],
];

fn is_root(name: &Name, root: &[&str; 2]) -> bool {
    root.iter().any(|spelling| name.is(spelling))
}

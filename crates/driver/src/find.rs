//! Finding driver packages in a folder, on an ISO, in an archive.
//!
//! A folder of drivers often holds the same driver for many systems. A package counts when it has something for the
//! target; when several with the same INF name do, the folder names that virtio-win uses say which is meant, and then the
//! version in the INF file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::inf::{Inf, fold};
use crate::target::{Architecture, ProductType, Target};
use crate::{Error, Folders, Result, compile};

/// Folders deep that are looked into.
const MAX_DEPTH: usize = 16;

/// Files and folders that are looked at. The virtio-win ISO has about 1,500.
const MAX_ENTRIES: usize = 200_000;

/// INF files that are read.
const MAX_INFS: usize = 10_000;

/// A file or folder of a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// Where driver packages are looked for. Paths have slashes, and none at their ends; the top is the empty path.
pub trait FileTree {
    /// What is in a folder, in any order.
    ///
    /// # Errors
    /// Why it cannot be listed.
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>>;

    /// What is in a file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, file: &str) -> io::Result<Vec<u8>>;
}

/// An INF file of a tree.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// Its path.
    pub path: String,
    /// The file.
    pub inf: Inf,
    /// What it is for, or why it is passed over.
    pub fit: Fit,
}

/// Whether a package is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is.
    Taken,
    /// It has nothing for the target.
    NotForTarget(String),
    /// Another of the same name is taken, at this path.
    Instead(String),
    /// It cannot be read.
    Unreadable(String),
}

/// All INF files of a tree, by path, with what is to become of each.
///
/// # Errors
/// [`Error::Io`] when a folder cannot be listed or a file cannot be read, [`Error::Limit`] for a tree that is too deep
/// or too large.
pub fn find(tree: &dyn FileTree, target: &Target) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in inf_files(tree)? {
        let bytes = tree.read(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let name = path.rsplit('/').next().unwrap_or(&path);
        match Inf::parse(name, &bytes) {
            // `autorun.inf` and setup scripts have other sections.
            Ok(inf) if inf.section("Version").is_none() || inf.section("Manufacturer").is_none() => {}
            Ok(inf) => {
                let fit = fit(&inf, target);
                found.push(Found { path, inf, fit });
            }
            Err(error) => {
                let inf = Inf::parse(name, b"").expect("an empty file is one");
                found.push(Found { path, inf, fit: Fit::Unreadable(error.to_string()) });
            }
        }
    }
    choose(&mut found, target);
    Ok(found)
}

/// The paths of all files that end in `.inf`, sorted.
fn inf_files(tree: &dyn FileTree) -> Result<Vec<String>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![(String::new(), 0)];
    let mut entries = 0;
    let limit = |what: &str, found: usize, limit: usize| {
        Err(Error::Limit { what: what.to_owned(), found: found as u64, limit: limit as u64 })
    };
    while let Some((folder, depth)) = folders.pop() {
        let mut listed = tree.list(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
        listed.sort();
        entries += listed.len();
        if entries > MAX_ENTRIES {
            return limit("files and folders to look for drivers in", entries, MAX_ENTRIES);
        }
        for entry in listed {
            let path =
                if folder.is_empty() { entry.name.clone() } else { format!("{folder}/{}", entry.name) };
            if !entry.is_folder {
                if fold(&entry.name).ends_with(".inf") {
                    files.insert(path);
                }
            } else if depth == MAX_DEPTH {
                return limit("folders deep to look for drivers in", depth + 1, MAX_DEPTH);
            } else {
                folders.push((path, depth + 1));
            }
        }
    }
    if files.len() > MAX_INFS {
        return limit("INF files of a driver folder", files.len(), MAX_INFS);
    }
    Ok(files.into_iter().collect())
}

fn fit(inf: &Inf, target: &Target) -> Fit {
    match compile(inf, target, &Folders::new(target, inf.name()), &()) {
        Ok(driver) if driver.devices.is_empty() && driver.default_install.is_none() => {
            Fit::NotForTarget("it has no devices for this Windows".to_owned())
        }
        Ok(_) => Fit::Taken,
        Err(error @ Error::NotForTarget { .. }) => Fit::NotForTarget(error.to_string()),
        Err(error) => Fit::Unreadable(error.to_string()),
    }
}

/// How well the folder of a package fits: the lower the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FolderFit {
    /// A folder of virtio-win for this system or one before it: whether that is of another major version, whether a
    /// server's for a client or the other way round, and how many builds lie between.
    System(bool, bool, u32),
    /// No folder says.
    Unnamed,
    /// A folder of a newer system, or of another architecture.
    Other,
}

/// Of packages with one INF name, one is taken.
fn choose(found: &mut [Found], target: &Target) {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, package) in found.iter().enumerate() {
        if package.fit == Fit::Taken {
            groups.entry(fold(package.inf.name())).or_default().push(at);
        }
    }
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let rank = |&at: &usize| {
            let package = &found[at];
            (folder_fit(&package.path, target), std::cmp::Reverse(version(&package.inf, target)), at)
        };
        let Some(best) = group.iter().copied().min_by_key(rank) else { continue };
        let path = found[best].path.clone();
        for at in group.into_iter().filter(|&at| at != best) {
            found[at].fit = Fit::Instead(path.clone());
        }
    }
}

/// Date and version of an INF file, which later ones have greater.
fn version(inf: &Inf, target: &Target) -> Option<(u64, [u16; 4])> {
    let driver = compile(inf, target, &Folders::new(target, inf.name()), &()).ok()?;
    Some((driver.version.date.unwrap_or_default().0, driver.version.version))
}

/// The folders of virtio-win: name, the first build that it is for, and whether for servers. Source: the tables of
/// virt-v2v and windows-imaging-tools (as facts).
const SYSTEMS: &[(&str, u32, bool)] = &[
    ("xp", 2600, false),
    ("2k3", 3790, true),
    ("2k8", 6001, true),
    ("w7", 7600, false),
    ("2k8r2", 7600, true),
    ("w8", 9200, false),
    ("2k12", 9200, true),
    ("w8.1", 9600, false),
    ("2k12r2", 9600, true),
    ("w10", 10240, false),
    ("2k16", 14393, true),
    ("2k19", 17763, true),
    ("2k22", 20348, true),
    ("w11", 22000, false),
    ("2k25", 26100, true),
];

fn folder_fit(path: &str, target: &Target) -> FolderFit {
    let is_server = target.product != ProductType::Workstation;
    let mut fit = FolderFit::Unnamed;
    for folder in path.rsplit('/').skip(1).map(fold) {
        let architecture = match folder.as_str() {
            "x64" => Some(Architecture::Amd64),
            name => Architecture::named(name),
        };
        if architecture.is_some_and(|architecture| architecture != target.architecture) {
            return FolderFit::Other;
        }
        let Some(&(_, build, for_server)) = SYSTEMS.iter().find(|(name, ..)| *name == folder) else {
            continue;
        };
        if build > target.build {
            return FolderFit::Other;
        }
        let of = Target::new(target.architecture, build, target.product);
        // A preview of Server 2016 is older than its folder says. The client's folder is better then than that of
        // Server 2012.
        let other_version = (of.major, of.minor) != (target.major, target.minor);
        fit = FolderFit::System(other_version, for_server != is_server, target.build - build);
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by path.
    struct Files(BTreeMap<String, Vec<u8>>);

    impl FileTree for Files {
        fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
            let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let mut entries = BTreeSet::new();
            for rest in self.0.keys().filter_map(|path| path.strip_prefix(&prefix)) {
                let (name, is_folder) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
                entries.insert(Entry { name: name.to_owned(), is_folder });
            }
            Ok(entries.into_iter().collect())
        }

        fn read(&self, file: &str) -> io::Result<Vec<u8>> {
            self.0.get(file).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    fn inf(version: &str, decoration: &str) -> Vec<u8> {
        format!(
            "[Version]\nSignature=$Windows NT$\nDriverVer=01/02/2020,{version}\n[Manufacturer]\nm=m,{decoration}\n\
             [m.{decoration}]\nd=i,PCI\\X\n[i]\n"
        )
        .into_bytes()
    }

    fn files(list: &[(&str, Vec<u8>)]) -> Files {
        Files(list.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect())
    }

    fn taken(tree: &Files, target: &Target) -> Vec<String> {
        let found = find(tree, target).unwrap();
        found.into_iter().filter(|package| package.fit == Fit::Taken).map(|package| package.path).collect()
    }

    #[test]
    fn the_folder_of_the_system() {
        let mut list = Vec::new();
        for system in ["w7", "2k8R2", "w10", "2k16", "2k19", "2k22", "w11", "2k25"] {
            for (architecture, decoration) in [("amd64", "NTamd64"), ("x86", "NTx86")] {
                list.push((format!("NetKVM/{system}/{architecture}/netkvm.inf"), inf("1.0.0.0", decoration)));
            }
        }
        let tree = Files(list.into_iter().collect());
        for (build, product, folder) in [
            (14393, ProductType::Server, "2k16"),
            (17763, ProductType::Server, "2k19"),
            (17763, ProductType::Workstation, "w10"),
            (19045, ProductType::Workstation, "w10"),
            (14300, ProductType::Server, "w10"),
            (10240, ProductType::Workstation, "w10"),
            (22631, ProductType::Workstation, "w11"),
            (26100, ProductType::Server, "2k25"),
            (26100, ProductType::Workstation, "w11"),
            (7601, ProductType::Server, "2k8R2"),
            (7601, ProductType::Workstation, "w7"),
        ] {
            let target = Target::new(Architecture::Amd64, build, product);
            assert_eq!(taken(&tree, &target), [format!("NetKVM/{folder}/amd64/netkvm.inf")], "{build}");
        }
    }

    #[test]
    fn what_is_passed_over_says_why() {
        let tree = files(&[
            ("autorun.inf", b"[AutoRun]\nopen=x\n".to_vec()),
            ("a/net.inf", inf("1.0.0.0", "NTamd64")),
            ("b/NET.INF", inf("1.0.0.1", "NTamd64")),
            ("c/other.inf", inf("1.0.0.0", "NTamd64.10.0...99999")),
            ("d/broken.inf", b"[a\n".to_vec()),
            ("net.sys", b"MZ".to_vec()),
        ]);
        let target = Target::new(Architecture::Amd64, 14393, ProductType::Server);
        let found = find(&tree, &target).unwrap();
        let fits: Vec<_> = found.iter().map(|package| (package.path.as_str(), &package.fit)).collect();
        assert_eq!(fits.len(), 4);
        assert_eq!(fits[0], ("a/net.inf", &Fit::Instead("b/NET.INF".to_owned())));
        assert_eq!(fits[1], ("b/NET.INF", &Fit::Taken));
        assert!(matches!(fits[2].1, Fit::NotForTarget(why) if why.contains("99999")), "{:?}", fits[2]);
        assert!(matches!(fits[3].1, Fit::Unreadable(why) if why.contains("broken.inf:1")), "{:?}", fits[3]);
    }

    #[test]
    fn a_tree_without_end() {
        struct Endless;
        impl FileTree for Endless {
            fn list(&self, _: &str) -> io::Result<Vec<Entry>> {
                Ok(vec![Entry { name: "x".to_owned(), is_folder: true }])
            }
            fn read(&self, _: &str) -> io::Result<Vec<u8>> {
                Ok(Vec::new())
            }
        }
        let target = Target::new(Architecture::Amd64, 14393, ProductType::Server);
        assert!(matches!(find(&Endless, &target), Err(Error::Limit { .. })));
    }
}

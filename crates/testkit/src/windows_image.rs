//! A Windows medium for tests: an image in the shape of Nano Server with whatever hives one has, and the ISO around it.
//!
//! Its security descriptors have what decides about files that are added: entries that are inherited. Everything starts
//! that [`fixture`](crate::fixture) starts; the drivers that a real SYSTEM hive names are stand-ins.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::descriptor::{Ace, FULL, READ, descriptor, sid};
use crate::fixture::{Folders, boot_files, hive};
use crate::program::Program;
use crate::wimfile::{DIRECTORY, Entry, HIDDEN, SYSTEM, WimFile};
use crate::{args, tool};

/// Inherited by files, and by folders.
pub const BY_FILES: u8 = 0x01;
/// See [`BY_FILES`].
pub const BY_FOLDERS: u8 = 0x02;
/// Inherited, and of no effect where it stands.
pub const INHERIT_ONLY: u8 = 0x08;
/// `GENERIC_ALL`
pub const GENERIC_ALL: u32 = 0x1000_0000;
/// `GENERIC_READ | GENERIC_EXECUTE`
pub const GENERIC_READ: u32 = 0xA000_0000;
/// What system folders let administrators do: all but deleting, and changing who may.
pub const MODIFY: u32 = 0x0013_01BF;

/// An image to be made.
#[derive(Clone, Debug)]
pub struct WindowsImage {
    /// Its name in the WIM.
    pub name: String,
    /// What the WIM says of it: wimlib's names of properties, such as `WINDOWS/EDITIONID`.
    pub properties: Vec<(String, String)>,
    /// Files below `Windows`, with slashes; those of `System32/config` get the descriptor of a hive.
    pub files: Vec<(String, Vec<u8>)>,
    /// Drivers that have to be there because a hive starts them: paths below `Windows`, in any case.
    pub drivers: BTreeSet<String>,
}

impl WindowsImage {
    /// Windows Server 2016, Nano Server, Standard, in English; without hives.
    pub fn nano() -> Self {
        let properties = [
            ("WINDOWS/ARCH", "9"),
            ("WINDOWS/PRODUCTNAME", "Microsoft\u{ae} Windows\u{ae} Operating System"),
            ("WINDOWS/EDITIONID", "ServerStandardNano"),
            ("WINDOWS/INSTALLATIONTYPE", "Nano Server"),
            ("WINDOWS/PRODUCTTYPE", "ServerNT"),
            ("WINDOWS/LANGUAGES/LANGUAGE", "en-US"),
            ("WINDOWS/LANGUAGES/DEFAULT", "en-US"),
            ("WINDOWS/VERSION/MAJOR", "10"),
            ("WINDOWS/VERSION/MINOR", "0"),
            ("WINDOWS/VERSION/BUILD", "14393"),
            ("WINDOWS/VERSION/SPBUILD", "0"),
            ("WINDOWS/SYSTEMROOT", "WINDOWS"),
            ("DISPLAYNAME", "Windows Server 2016 SERVERSTANDARDNANO"),
        ];
        Self {
            name: "Windows Server 2016 SERVERSTANDARDNANO".to_owned(),
            properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            files: Vec::new(),
            drivers: BTreeSet::new(),
        }
    }

    /// The tree. Hives that were not given are those of `testdata/hives`.
    pub fn wim(&self) -> WimFile {
        let mut wim = WimFile::new();
        let image = wim.image(&self.name);
        let trusted = sid::TRUSTED_INSTALLER;
        // As Windows marks nearly all of them: what comes from above is known (SE_DACL_AUTO_INHERITED).
        let descriptor = |owner: &str, group: &str, sacl: Option<&[Ace<'_>]>, dacl: Option<&[Ace<'_>]>| {
            let mut bytes = descriptor(owner, group, sacl, dacl);
            bytes[3] |= 0x04;
            bytes
        };
        let all = BY_FILES | BY_FOLDERS | INHERIT_ONLY;
        let top = image.security(&descriptor(
            trusted,
            trusted,
            None,
            Some(&[
                (0, 0, FULL, sid::SYSTEM),
                (0, all, GENERIC_ALL, sid::SYSTEM),
                (0, 0, FULL, sid::ADMINISTRATORS),
                (0, all, GENERIC_ALL, sid::ADMINISTRATORS),
                (0, BY_FILES | BY_FOLDERS, READ, sid::USERS),
            ]),
        ));
        // That of %SystemRoot% and most folders below it.
        let folder = image.security(&descriptor(
            trusted,
            trusted,
            None,
            Some(&[
                (0, all, GENERIC_ALL, sid::CREATOR_OWNER),
                (0, all, GENERIC_ALL, sid::SYSTEM),
                (0, 0, MODIFY, sid::SYSTEM),
                (0, all, GENERIC_ALL, sid::ADMINISTRATORS),
                (0, 0, MODIFY, sid::ADMINISTRATORS),
                (0, all, GENERIC_READ, sid::USERS),
                (0, 0, READ, sid::USERS),
                (0, BY_FOLDERS | INHERIT_ONLY, GENERIC_ALL, trusted),
                (0, 0, FULL, trusted),
            ]),
        ));
        let file = image.security(&descriptor(
            trusted,
            trusted,
            None,
            Some(&[
                (0, 0, FULL, trusted),
                (0, 0, READ, sid::ADMINISTRATORS),
                (0, 0, READ, sid::SYSTEM),
                (0, 0, READ, sid::USERS),
            ]),
        ));
        let both = BY_FILES | BY_FOLDERS;
        let secret = [(0, both, FULL, sid::SYSTEM), (0, both, FULL, sid::ADMINISTRATORS)];
        let config = image.security(&descriptor(sid::SYSTEM, sid::SYSTEM, None, Some(&secret)));
        let inherited = [(0, 0x10, FULL, sid::SYSTEM), (0, 0x10, FULL, sid::ADMINISTRATORS)];
        let of_hives = image.security(&descriptor(sid::ADMINISTRATORS, sid::SYSTEM, None, Some(&inherited)));

        let root = image.root();
        *image.entry(root) = Entry::directory("").secured(top).attributes(DIRECTORY | HIDDEN | SYSTEM);
        let mut folders = Folders::new(image, Some(folder));
        for path in ["Program Files", "ProgramData", "Users", "Windows/System32/DriverStore/FileRepository"] {
            folders.get(path);
        }
        boot_files(&mut folders, file, 1);
        let place = folders.get("Windows/System32/config");
        folders.image.entry(place).security = Some(config);

        let mut files: Vec<(String, Vec<u8>)> = self.files.clone();
        let known = |files: &[(String, Vec<u8>)], path: &str| files.iter().any(|(name, _)| name == path);
        for name in ["SYSTEM", "SOFTWARE", "SECURITY", "SAM", "DEFAULT"] {
            let path = format!("System32/config/{name}");
            if !known(&files, &path) {
                files.push((path, hive(name)));
            }
        }
        // Those that `boot_files` has brought.
        let brought = [
            "pci", "partmgr", "disk", "classpnp", "volmgr", "volsnap", "mountmgr", "storahci", "storport",
            "clfs", "fltmgr", "ntfs", "tcpip",
        ];
        let brought: BTreeSet<String> =
            brought.iter().map(|name| format!("system32/drivers/{name}.sys")).collect();
        let mut seen = brought;
        for driver in &self.drivers {
            let path = driver.replace('\\', "/");
            if seen.insert(path.to_lowercase()) {
                let (folder, name) = path.rsplit_once('/').expect("below Windows");
                // As the folders are spelled that are there already.
                let folder = folder.to_lowercase().replacen("system32", "System32", 1);
                files.push((format!("{folder}/{name}"), Program::x64().to_bytes()));
            }
        }
        for (path, content) in files {
            let (folder, name) = path.rsplit_once('/').expect("below Windows");
            let id = folders.get(&format!("Windows/{folder}"));
            let security = if folder == "System32/config" { of_hives } else { file };
            folders.image.add(id, Entry::file(name, content).secured(security));
        }
        wim
    }

    /// Writes it as wimlib compresses it (LZX), with its properties. `None`, visibly, without wimlib.
    ///
    /// # Panics
    /// When wimlib refuses.
    pub fn save(&self, path: &Path) -> Option<()> {
        let wimlib = tool("wimlib-imagex")?;
        let plain = path.with_extension("plain");
        self.wim().save(&plain);
        wimlib.run(args!["export", "--quiet", &plain, "all", path, "--compress=LZX"]);
        std::fs::remove_file(&plain).expect("was just made");
        let mut info: Vec<OsString> = args!["info", path, "1"].iter().map(OsString::from).collect();
        info.extend(
            self.properties.iter().map(|(name, value)| format!("--image-property={name}={value}").into()),
        );
        wimlib.run(info);
        Some(())
    }
}

/// Makes an ISO image as Windows media are: all of `tree` in UDF, and in ISO 9660 a text alone.
/// `None`, visibly, without genisoimage.
///
/// # Panics
/// When genisoimage refuses.
pub fn iso(tree: &Path, label: &str, out: &Path) -> Option<()> {
    let genisoimage = tool("genisoimage")?;
    std::fs::write(tree.join("README.TXT"), "This disc contains a \"UDF\" file system.\r\n").expect("a file");
    let mut options: Vec<OsString> =
        ["-quiet", "-udf", "-iso-level", "3", "-input-charset", "utf-8", "-V", label]
            .iter()
            .map(OsString::from)
            .collect();
    options.extend(["-hide-joliet", "README.TXT"].map(OsString::from));
    for entry in std::fs::read_dir(tree).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        if name != OsStr::new("README.TXT") {
            options.extend([OsString::from("-hide"), name]);
        }
    }
    options.extend([OsString::from("-o"), out.into(), tree.into()]);
    genisoimage.run(options);
    Some(())
}

//! The medium that the tests build from, and everything that a recipe names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hive::{FileTime, Hive, Kind, data};
use tempfile::TempDir;
use testkit::windows_image::{WindowsImage, iso};
use testkit::{samples, tool};

/// A Windows 10 SYSTEM hive of a machine that was in use.
const SYSTEM: &str = "SYSTEM_WIN_10_1709";

/// See the module. Its files are gone with it.
#[derive(Debug)]
pub(crate) struct Medium {
    _folder: TempDir,
    /// The ISO image.
    pub(crate) iso: PathBuf,
    /// The WIM that is in it.
    pub(crate) wim: PathBuf,
    /// The hives as they are in the WIM: name and bytes.
    pub(crate) hives: Vec<(&'static str, Vec<u8>)>,
}

/// The medium, made once for tests that run at the same time; `None`, visibly, without samples or tools.
pub(crate) fn medium() -> Option<Arc<Medium>> {
    static MEDIUM: Mutex<Weak<Medium>> = Mutex::new(Weak::new());
    let mut shared = MEDIUM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(medium) = shared.upgrade() {
        return Some(medium);
    }
    let medium = Arc::new(Medium::make()?);
    *shared = Arc::downgrade(&medium);
    Some(medium)
}

impl Medium {
    fn make() -> Option<Self> {
        let system = clean(sample("hives", SYSTEM)?);
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path().join("tree");
        let packages = tree.join("NanoServer/Packages/en-us");
        for place in [&packages, &tree.join("sources")] {
            fs::create_dir_all(place).expect("a folder");
        }
        fs::write(tree.join("sources/idwbinfo.txt"), "[BUILDINFO]\r\nBuildArch=amd64\r\n").expect("a file");
        let hives = vec![("SYSTEM", system), ("SOFTWARE", software()), ("DRIVERS", drivers())];
        let mut image = WindowsImage::nano();
        image.drivers = boot_drivers(&hives[0].1);
        for (name, bytes) in &hives {
            image.files.push((format!("System32/config/{name}"), bytes.clone()));
        }
        for name in ["usb.inf", "machine.inf", "msports.inf"] {
            let text = format!("; {name}\r\n[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=System\r\n");
            image.files.push((format!("INF/{name}"), text.into_bytes()));
        }
        let wim = tree.join("NanoServer/NanoServer.wim");
        image.save(&wim)?;
        super::packages::put(&tree.join("NanoServer/Packages"))?;
        let path = folder.path().join("server.iso");
        iso(&tree, "SSS_X64FREE_EN-US_DV9", &path)?;
        Some(Self { wim, iso: path, hives, _folder: folder })
    }
}

/// Says of a hive that all of it is written. This one was taken from a running machine, and its log did not come along;
/// `hive check` finds nothing wrong with it, so the log would only have repeated what is there.
fn clean(mut hive: Vec<u8>) -> Vec<u8> {
    hive.copy_within(4..8, 8);
    let words = hive[..508].chunks_exact(4);
    let sum = words.fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().expect("four")));
    assert!(sum != 0 && sum != u32::MAX, "these are stored as others");
    hive[508..512].copy_from_slice(&sum.to_le_bytes());
    hive
}

/// A sample that lies there compressed by xz. `None`, visibly, without samples.
pub(crate) fn sample(folder: &str, name: &str) -> Option<Vec<u8>> {
    let path = samples()?.join(folder).join(format!("{name}.xz"));
    let output = tool("xz")?.run([Path::new("-dkc"), &path]);
    Some(output.stdout)
}

/// A descriptor as SOFTWARE's root has it: full access for administrators and SYSTEM, reading for users, inherited.
fn descriptor() -> Vec<u8> {
    use testkit::descriptor::{descriptor, sid};

    let all = 0x000F_003F;
    descriptor(
        sid::ADMINISTRATORS,
        sid::SYSTEM,
        None,
        Some(&[(0, 2, 0x0002_0019, sid::USERS), (0, 2, all, sid::ADMINISTRATORS), (0, 2, all, sid::SYSTEM)]),
    )
}

fn time() -> FileTime {
    FileTime(131_131_315_371_234_567)
}

/// What a SOFTWARE hive says of a Nano Server.
fn software() -> Vec<u8> {
    let mut hive = Hive::new(5, "CMI-CreateHive{0}", &descriptor(), time()).expect("a hive");
    let root = hive.root_mut();
    let version = root.create("Microsoft\\Windows NT\\CurrentVersion").expect("a key");
    for (name, value) in [
        ("ProductName", "Windows Server 2016 Standard"),
        ("EditionID", "ServerStandardNano"),
        ("InstallationType", "Nano Server"),
        ("CurrentBuild", "14393"),
        ("CurrentBuildNumber", "14393"),
        ("CurrentVersion", "6.3"),
        ("SystemRoot", "C:\\Windows"),
    ] {
        version.set(name, Kind::SZ, data::sz(value)).expect("a value");
    }
    version.set("UBR", Kind::DWORD, data::dword(0)).expect("a value");
    // Bias -60, standard from the last Sunday of October at 3, daylight (-60) from the last Sunday of March at 2.
    let numbers: [i32; 3] = [-60, 0, -60];
    let dates: [[u16; 8]; 2] = [[0, 10, 0, 5, 3, 0, 0, 0], [0, 3, 0, 5, 2, 0, 0, 0]];
    let mut zone: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    zone.extend(dates.iter().flatten().flat_map(|number| number.to_le_bytes()));
    let place = "Microsoft\\Windows NT\\CurrentVersion\\Time Zones\\W. Europe Standard Time";
    let key = root.create(place).expect("a key");
    key.set("TZI", Kind::BINARY, zone).expect("a value");
    for (name, value) in [
        ("Display", "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"),
        ("Std", "W. Europe Standard Time"),
        ("Dlt", "W. Europe Daylight Time"),
        ("MUI_Std", "@tzres.dll,-322"),
        ("MUI_Dlt", "@tzres.dll,-321"),
    ] {
        key.set(name, Kind::SZ, data::sz(value)).expect("a value");
    }
    for key in [
        "Microsoft\\Windows\\CurrentVersion\\WSMAN",
        "Microsoft\\Windows\\CurrentVersion\\Policies\\System",
        "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles",
        "Policies\\Microsoft\\Windows",
        "Classes",
    ] {
        root.create(key).expect("a key");
    }
    hive.to_bytes().expect("bytes")
}

/// The hive of drivers that are not needed to start.
fn drivers() -> Vec<u8> {
    let mut hive = Hive::new(5, "CMI-CreateHive{1}", &descriptor(), time()).expect("a hive");
    let database = hive.root_mut().create("DriverDatabase").expect("a key");
    database.set("Version", Kind::DWORD, data::dword(0x0A00_0000)).expect("a value");
    database.set("SchemaVersion", Kind::DWORD, data::dword(0x0001_0000)).expect("a value");
    database.set("Architecture", Kind::DWORD, data::dword(9)).expect("a value");
    for key in ["DeviceIds", "DriverFiles", "DriverInfFiles", "DriverPackages"] {
        database.create(key).expect("a key");
    }
    hive.to_bytes().expect("bytes")
}

/// What the SYSTEM hive has started at boot, as paths below `Windows`.
fn boot_drivers(system: &[u8]) -> BTreeSet<String> {
    let hive = Hive::parse(system).expect("a hive");
    let services = hive.root().open("ControlSet001\\Services").expect("services");
    let mut found = BTreeSet::new();
    for service in services.subkeys() {
        let number = |name: &str| service.value(name).and_then(hive::Value::as_u32);
        if number("Start") != Some(0) || !matches!(number("Type"), Some(1 | 2)) {
            continue;
        }
        let path = service.value("ImagePath").and_then(hive::Value::as_str);
        let path = path.unwrap_or_else(|| format!("System32\\drivers\\{}.sys", service.name()));
        found.insert(path);
    }
    found
}

/// A folder of one test: the recipe and what it names.
#[derive(Debug)]
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("the folder")).expect("a folder");
        fs::write(&path, content).expect("written");
        path
    }
}

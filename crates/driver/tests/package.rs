//! Packages in folders, whole: real ones from the samples, and one of ours.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io;
use std::path::{Path, PathBuf};

use common::nano;
use disk::FileTime;
use wimforge_driver::catalog::trust::Trusted;
use wimforge_driver::catalog::{Anchor, Verdict};
use wimforge_driver::find::{Entry, FileTree, Fit, find};
use wimforge_driver::plan::{HiveName, Reflect, Signer};
use wimforge_driver::{Architecture, ImageState, Package, ProductType, Target};

/// A folder of this machine.
struct Folder(PathBuf);

impl FileTree for Folder {
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let entries = std::fs::read_dir(self.0.join(folder))?.map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok(Entry { name, is_folder: entry.file_type()?.is_dir() })
        });
        entries.collect()
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(file))
    }
}

fn ours() -> Folder {
    Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
}

fn load(tree: &dyn FileTree, inf: &str, target: &Target) -> Package {
    Package::load(tree, inf, target, &(), &Trusted::microsoft()).unwrap()
}

#[test]
fn samples_are_found_and_fit() {
    let Some(drivers) = common::drivers() else { return };
    let tree = Folder(drivers);
    let target = Target::new(Architecture::Arm64, 22631, ProductType::Workstation);
    let found = find(&tree, &target).unwrap();
    let taken: Vec<_> = found
        .iter()
        .filter(|package| package.fit == Fit::Taken)
        .map(|package| package.path.as_str())
        .collect();
    assert_eq!(taken, ["vboxusb-arm64/VBoxUSB.inf"]);
    let package = load(&tree, taken[0], &target);
    assert_eq!(package.problems, [] as [&str; 0]);
    assert_eq!(package.files.len(), 3);
    assert_eq!(package.files["VBoxUSB.sys"], "vboxusb-arm64/VBoxUSB.sys");
    // git took its carriage returns.
    assert!(matches!(&package.verdict, Verdict::Mismatch { file, .. } if file == "VBoxUSB.inf"));
    assert_eq!(package.signer(), Signer { name: String::new(), score: Signer::UNSIGNED });
    assert!(package.submission.is_some());
    assert!(package.folders.package.starts_with("vboxusb.inf_arm64_"));
}

/// A fixture of ours, with a catalog that OpenSSL's `osslsigncode` signed with a key of nobody.
#[test]
fn a_package_whose_files_are_missing() {
    let package = load(&ours(), "disk.inf", &nano());
    let Verdict::Signed(by) = &package.verdict else { panic!("{}", package.verdict) };
    assert_eq!((by.subject.as_str(), &by.anchor), ("Seed", &Anchor::Unknown("Seed".to_owned())));
    assert_eq!(package.problems, ["its file disk.sys is not there", r"its file sub\disk.dll is not there"]);
    assert_eq!(package.signer().score, Signer::AUTHENTICODE);
    assert_eq!(package.files.keys().collect::<Vec<_>>(), ["disk.cat", "disk.inf"]);
    // Without the catalog that it names, nobody signed it.
    struct Without;
    impl FileTree for Without {
        fn list(&self, _: &str) -> io::Result<Vec<Entry>> {
            Ok(vec![Entry { name: "disk.inf".to_owned(), is_folder: false }])
        }
        fn read(&self, _: &str) -> io::Result<Vec<u8>> {
            let text = std::fs::read_to_string(ours().0.join("disk.inf"))?;
            Ok(text
                .replace("= disk.cat", "= %cat%.cat")
                .replace("[Strings]", "[Strings]\r\ncat = x")
                .into_bytes())
        }
    }
    let package = load(&Without, "disk.inf", &nano());
    assert_eq!((&package.verdict, package.signer().score), (&Verdict::Unsigned, Signer::UNSIGNED));
    assert_eq!(package.catalog_problems, ["its catalog x.cat is not there"]);
    // Another Windows has another name for the package, and the catalog is not for it.
    let seven = Target::new(Architecture::X86, 7601, ProductType::Workstation);
    let package = load(&ours(), "disk.inf", &seven);
    assert!(package.folders.package.starts_with("disk.inf_x86_neutral_"));
    assert!(package.catalog_problems.iter().any(|problem| problem == "its catalog is not for Windows 6.1"));
}

/// Names are found in any case and in folders, programs of another architecture are named, changed files are found.
#[test]
fn a_whole_package() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("package-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("SUB")).unwrap();
    for name in ["disk.inf", "disk.cat"] {
        std::fs::copy(ours().0.join(name), folder.join(name)).unwrap();
    }
    let mut program = vec![0; 0x200];
    program[..2].copy_from_slice(b"MZ");
    program[0x3C] = 0x40;
    program[0x40..0x46].copy_from_slice(b"PE\0\0\x64\x86");
    program[0x58..0x5A].copy_from_slice(&[0x0B, 0x02]);
    std::fs::write(folder.join("Disk.SYS"), &program).unwrap();
    std::fs::write(folder.join("SUB/disk.DLL"), b"not a program").unwrap();
    let tree = Folder(folder.clone());
    let package = load(&tree, "disk.inf", &nano());
    assert_eq!(package.problems, [] as [&str; 0]);
    assert_eq!(package.files["disk.sys"], "Disk.SYS");
    assert_eq!(package.files[r"sub\disk.dll"], "SUB/disk.DLL");
    assert_eq!(package.verdict, Verdict::NotListed { file: "disk.sys".to_owned() });
    let arm = Target::new(Architecture::Arm64, 22631, ProductType::Workstation);
    let on_arm = load(&tree, "disk.inf", &arm);
    assert_eq!(on_arm.problems, ["its file disk.sys is for machine type 0x8664, and arm64 has 0xaa64"]);

    // All that the fixture asks for, in an image.
    let image = ImageState { control_set: "ControlSet001".to_owned(), ..ImageState::default() };
    let plan = package.plan(&nano(), &image, Reflect::BootCritical, "", FileTime(1)).unwrap();
    assert!(plan.files.iter().all(|file| package.files.contains_key(&file.source)));
    assert!(plan.files.iter().any(|file| file.destination == r"Windows\System32\drivers\disk.dll"));
    let mut system = hive::Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(0)).unwrap();
    plan.apply(HiveName::System, system.root_mut(), FileTime(1)).unwrap();
    let service = system.root().open(r"ControlSet001\Services\disk").unwrap();
    assert_eq!(service.value("DependOnService").unwrap().as_multi().unwrap(), ["one"]);
    assert_eq!(service.value("DependOnGroup").unwrap().as_multi().unwrap(), ["two"]);
    let list = service.open("Parameters").unwrap().value("List").unwrap();
    assert_eq!(list.as_multi().unwrap(), ["a", "b"]);
    let base = format!(r"DriverDatabase\DriverPackages\{}\Configurations\Install", plan.package);
    let configuration = system.root().open(&base).unwrap();
    assert_eq!(configuration.value("UpperFilters").unwrap().as_multi().unwrap(), ["above"]);
    assert_eq!(configuration.value("ConfigScope").unwrap().as_u32(), Some(0x10F));
    assert_eq!(configuration.value("IncludedInfs").unwrap().as_multi().unwrap(), ["machine.inf"]);
    let kind = |path: &str, name: &str| configuration.open(path).unwrap().value(name).unwrap().kind().0;
    assert_eq!(kind(r"Services\disk\Parameters", "List"), 0x4_0007);
    assert_eq!(kind("Device", "Gone"), 0x20_0000);
    assert_eq!(kind("Device", "WUDF"), 0x10_0000);
    assert_eq!(kind(r"Properties\{a45c254e-df1c-4efd-8020-67d146a850e0}\0019", ""), 0xFFFF_0013);
    assert_eq!(kind(r"Properties\{a8b865dd-2e3d-4094-ad97-e593a70c75d6}\000A", ""), 0xFFFF_0012);
    let id = system.root().open(r"DriverDatabase\DeviceIds\PCI\VEN_1AF4&DEV_1001").unwrap();
    assert_eq!(id.value("oem0.inf").unwrap().data(), [2, 0xF0, 0, 0]);
    std::fs::remove_dir_all(&folder).unwrap();
}

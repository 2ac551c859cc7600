//! `driver info`, `driver check`, and `build --driver`: packages in all that people keep them in, and what other people's
//! readers find in the image afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::windows_image::WindowsImage;
use testkit::{args, registry, samples, tool};

use crate::support::{Ended, scratch, wimforge};

/// A package of the samples with the line ends that were signed.
fn vboxusb(folder: &Path) -> Option<PathBuf> {
    let from = samples()?.join("drivers/vboxusb-x64");
    let to = folder.join("vboxusb");
    fs::create_dir(&to).expect("a folder");
    for name in ["VBoxUSB.inf", "VBoxUSB.sys", "VBoxUSB.cat"] {
        let mut bytes = fs::read(from.join(name)).expect("a sample");
        if name.ends_with(".inf") {
            bytes = String::from_utf8(bytes).expect("text").replace('\n', "\r\n").into_bytes();
        }
        fs::write(to.join(name), bytes).expect("a file");
    }
    Some(to)
}

/// An unsigned package for whatever has this id, started by the boot loader.
fn unsigned(folder: &Path, name: &str, decoration: &str) -> PathBuf {
    let to = folder.join(name);
    fs::create_dir_all(&to).expect("a folder");
    let inf = format!(
        "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=SCSIAdapter\r\n\
         ClassGuid={{4D36E97B-E325-11CE-BFC1-08002BE10318}}\r\nProvider=\"Somebody\"\r\n\
         DriverVer=08/02/2019,1.2.3.4\r\n[Manufacturer]\r\n\"Somebody\"=m,{decoration}\r\n[m.{decoration}]\r\n\
         \"A disk\"=i,PCI\\VEN_1AF4&DEV_1001\r\n[i]\r\nCopyFiles=@{name}.sys\r\n[i.Services]\r\n\
         AddService={name},2,s\r\n[s]\r\nServiceType=1\r\nStartType=0\r\nErrorControl=1\r\n\
         ServiceBinary=%12%\\{name}.sys\r\n[DestinationDirs]\r\nDefaultDestDir=12\r\n[SourceDisksNames]\r\n1=d\r\n\
         [SourceDisksFiles]\r\n{name}.sys=1\r\n"
    );
    fs::write(to.join(format!("{name}.inf")), inf).expect("a file");
    fs::write(to.join(format!("{name}.sys")), testkit::program::Program::x64().to_bytes()).expect("a file");
    to
}

fn nano(sources: &[&Path], more: &[&str]) -> Ended {
    let mut arguments = args!["driver", "check", "--arch", "amd64", "--build", "14393", "--server"].to_vec();
    arguments.extend(sources.iter().map(|path| path.as_os_str()));
    arguments.extend(more.iter().map(std::ffi::OsStr::new));
    wimforge(arguments)
}

#[track_caller]
fn json(ended: Ended) -> Value {
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr))
}

fn text(ended: &Ended) -> &str {
    std::str::from_utf8(&ended.stdout).expect("UTF-8")
}

/// The same package, wherever it is.
#[test]
fn in_all_containers() {
    let folder = scratch();
    let Some(package) = vboxusb(folder.path()) else { return };
    let mut sources = vec![("folder", package.clone()), ("inf", package.join("VBoxUSB.inf"))];
    if let Some(gcab) = tool("gcab") {
        let cab = folder.path().join("a.bin");
        let files = ["VBoxUSB.inf", "VBoxUSB.sys", "VBoxUSB.cat"].map(|name| package.join(name));
        gcab.run(args!["--create", "--zip", "--nopath", &cab, &files[0], &files[1], &files[2]]);
        sources.push(("cabinet", cab));
    }
    if let Some(python) = tool("python3") {
        let zip = folder.path().join("b.bin");
        python.run(args![
            "-c",
            "import shutil, sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[2], 'vboxusb')",
            &zip,
            folder.path()
        ]);
        sources.push(("zip", folder.path().join("b.bin.zip")));
    }
    if let Some(genisoimage) = tool("genisoimage") {
        for (name, option) in [("c.bin", "-udf"), ("d.bin", "-J")] {
            let iso = folder.path().join(name);
            genisoimage.run(args!["-quiet", option, "-o", &iso, &package]);
            sources.push(("iso", iso));
        }
    }
    for (kind, source) in &sources {
        let found = json(wimforge(args!["driver", "info", source, "--json"]).well());
        assert_eq!(found["schema"], "wimforge.driver.info/1");
        assert_eq!(found["sources"][0]["kind"], *kind);
        let driver = &found["sources"][0]["drivers"][0];
        let inf = driver["inf"].as_str().expect("a path").rsplit('/').next();
        assert_eq!(inf, Some("VBoxUSB.inf"));
        assert_eq!(driver["class"], "USB");
        assert_eq!(driver["signed"], true, "{}", driver["signature"]);
        assert_eq!(driver["hardware_ids"][0], "USB\\VID_80EE&PID_CAFE");
        assert_eq!(driver["architectures"], serde_json::json!(["amd64"]));
        assert_eq!(driver["files"].as_array().map(Vec::len), Some(3));
        let checked = nano(&[source.as_path()], &[]).well();
        assert!(text(&checked).contains("taken "), "{}", text(&checked));
        let arm = wimforge(args!["driver", "check", source, "--arch", "arm64", "--build", "22631"]);
        assert_eq!(arm.code, Some(3));
        assert!(text(&arm).contains("it has: NTAMD64"), "{}", text(&arm));
    }
    // `info` says the same of files that are nothing else.
    let inf = package.join("VBoxUSB.inf");
    let (short, long) =
        (wimforge(args!["info", &inf]).well(), wimforge(args!["driver", "info", &inf]).well());
    assert_eq!(text(&short), text(&long));
    let shown = wimforge(args!["driver", "info", &package]).well();
    for words in
        ["class      USB\n", "devices    USB\\VID_80EE&PID_CAFE\n", "signed by Microsoft Windows Hardware"]
    {
        assert!(text(&shown).contains(words), "no {words:?} in {}", text(&shown));
    }
}

/// One change each, one reason each.
#[test]
fn what_is_refused() {
    let folder = scratch();
    let Some(package) = vboxusb(folder.path()) else { return };
    let inf = package.join("VBoxUSB.inf");
    let signed = fs::read(&inf).expect("a file");
    let refused = |words: &str| {
        let ended = nano(&[&package], &[]);
        assert_eq!(ended.code, Some(3), "{}", text(&ended));
        assert!(text(&ended).contains("REFUSED"), "{}", text(&ended));
        assert!(text(&ended).contains(words), "no {words:?} in {}", text(&ended));
    };
    let lines = String::from_utf8(signed.clone()).expect("text").replace("\r\n", "\n");
    fs::write(&inf, lines).expect("a file");
    refused("has line ends LF, and was signed with CRLF");
    let mut changed = signed.clone();
    changed.extend(b"; x\r\n");
    fs::write(&inf, changed).expect("a file");
    refused("VBoxUSB.inf is not the file that was signed");
    fs::write(&inf, &signed).expect("a file");
    let program = package.join("VBoxUSB.sys");
    let whole = fs::read(&program).expect("a file");
    let mut bytes = whole.clone();
    bytes[0x1000] ^= 1;
    fs::write(&program, &bytes).expect("a file");
    refused("VBoxUSB.sys is not the file that was signed");
    fs::remove_file(&program).expect("a file");
    refused("its file VBoxUSB.sys is not there");
    // Not even then: Windows could not install it.
    assert_eq!(nano(&[&package], &["--allow-unsigned"]).code, Some(3));
    fs::write(&program, &whole).expect("a file");
    fs::remove_file(package.join("VBoxUSB.cat")).expect("a file");
    refused("its catalog VBoxUSB.cat is not there");
    let found = json(nano(&[&package], &["--json"]));
    assert_eq!(
        (&found["good"], &found["sources"][0]["drivers"][0]["outcome"]),
        (&false.into(), &"refused".into())
    );
    let found = json(nano(&[&package], &["--json", "--allow-unsigned"]).well());
    assert_eq!(
        (&found["good"], &found["sources"][0]["drivers"][0]["outcome"]),
        (&true.into(), &"taken".into())
    );
}

#[test]
fn what_is_no_source() {
    let folder = scratch();
    let file = folder.path().join("file");
    for (bytes, code, words) in [
        (&b"MZ\x90"[..], 4, "is a program; unpack it first"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1", 4, "is a Windows Installer package"),
        (b"MSWIM\0\0\0", 4, "is a Windows image"),
        (b"text", 4, "is no folder with drivers"),
        (b"MSCF", 1, "cabinet"),
        (b"PK\x03\x04", 1, "file"),
    ] {
        fs::write(&file, bytes).expect("a file");
        wimforge(args!["driver", "info", &file]).badly(&[code]).says(&[words]);
    }
    fs::write(&file, b"").expect("a file");
    wimforge(args!["driver", "info", &file]).badly(&[4]);
    wimforge(args!["driver", "info", folder.path()]).badly(&[4]).says(&["has no driver package"]);
    wimforge(args!["driver", "info", &folder.path().join("none")]).badly(&[1]);
    wimforge(args!["driver", "check", folder.path()]).badly(&[2]).says(&["--build"]);
    wimforge(args!["driver", "check", folder.path(), "--build", "14393", "--for", "x"]).badly(&[2]);
    let empty = nano(&[folder.path()], &[]);
    assert_eq!(empty.code, Some(3));
    assert!(text(&empty).contains("nothing of "), "{}", text(&empty));
    // Nothing leads out of the folder.
    let outside = unsigned(folder.path(), "outside", "NTamd64");
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).expect("a folder");
    std::os::unix::fs::symlink(outside.join("outside.inf"), inside.join("a.inf")).expect("a link");
    std::os::unix::fs::symlink(&outside, inside.join("b")).expect("a link");
    wimforge(args!["driver", "info", &inside]).badly(&[4]);
    if let Some(python) = tool("python3") {
        let zip = folder.path().join("out.zip");
        python.run(args![
            "-c",
            "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr('../a.inf', 'x')",
            &zip
        ]);
        wimforge(args!["driver", "info", &zip]).badly(&[1]).says(&["is no path inside an archive"]);
    }
}

/// A real SYSTEM hive (10.0.10240), to which nothing has to be replayed: its header is made to say so.
fn system() -> Option<Vec<u8>> {
    let path = samples()?.join("hives/SYSTEM_B.xz");
    let mut hive = tool("xz")?.run(args!["-dc", &path]).stdout;
    hive.copy_within(4..8, 8);
    let words = hive[..508].chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four")));
    let sum = words.fold(0, |sum, word| sum ^ word);
    hive[508..512].copy_from_slice(&sum.to_le_bytes());
    Some(hive)
}

/// Two packages in one image: a signed one that Windows installs when it finds the device, and an unsigned one that Windows
/// could start from.
#[test]
fn in_an_image() {
    let folder = scratch();
    let (Some(signed), Some(system)) = (vboxusb(folder.path()), system()) else { return };
    let own = unsigned(folder.path(), "owndisk", "NTamd64.10.0");
    let mut image = WindowsImage::nano();
    image.files.push(("System32/config/SYSTEM".to_owned(), system));
    image.files.push(("INF/oem7.inf".to_owned(), b"; of a package that is gone".to_vec()));
    let (wim, disk) = (folder.path().join("nano.wim"), folder.path().join("nano.raw"));
    let Some(()) = image.save(&wim) else { return };

    let checked = wimforge(args!["driver", "check", &signed, &own, "--for", &wim]);
    assert_eq!(checked.code, Some(3));
    let said = text(&checked);
    assert!(said.starts_with("for Windows 10.0.14393 amd64 (server)\n"), "{said}");
    assert!(said.contains("taken       VBoxUSB.inf") && said.contains("REFUSED     owndisk.inf"), "{said}");
    let build = args!["build", &wim, "-o", &disk, "--json", "--driver", &signed, "--driver", &own];
    wimforge(build).badly(&[3]).says(&["owndisk.inf is refused: there is no catalog"]);
    assert!(!disk.exists());

    let report = json(wimforge([&build[..], &args!["--allow-unsigned"]].concat()).well());
    let drivers = report["build"]["customized"]["drivers"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    let [usb, own_report] = &drivers[..] else { panic!("{drivers:?}") };
    assert_eq!((&usb["boot_critical"], &own_report["boot_critical"]), (&false.into(), &true.into()));
    let names = [usb, own_report].map(|it| it["published"].as_str().expect("a name").to_owned());
    let packages = [usb, own_report].map(|it| it["package"].as_str().expect("a name").to_owned());
    assert!(!names.contains(&"oem7.inf".to_owned()) && names[0] != names[1], "{names:?}");

    let on = |path: &str| {
        let place = format!("{}:2/Windows/{path}", disk.display());
        wimforge(args!["cat", &place]).well().stdout
    };
    let here = |file: &Path| fs::read(file).expect("a file");
    for (package, source, inf) in [(&packages[0], &signed, "VBoxUSB"), (&packages[1], &own, "owndisk")] {
        for end in ["inf", "sys"] {
            let name = format!("{inf}.{end}");
            let found = on(&format!("System32/DriverStore/FileRepository/{package}/{name}"));
            assert!(found == here(&source.join(&name)), "{name}");
        }
    }
    assert!(on(&format!("INF/{}", names[0])) == here(&signed.join("VBoxUSB.inf")));
    let catalog = format!(
        "System32/CatRoot/{{F750E6C3-38EE-11D1-85E5-00C04FC295EE}}/{}",
        names[0].replace(".inf", ".cat")
    );
    assert!(on(&catalog) == here(&signed.join("VBoxUSB.cat")));
    assert!(on("System32/drivers/owndisk.sys") == here(&own.join("owndisk.sys")));
    let absent = format!("{}:2/Windows/System32/drivers/VBoxUSB.sys", disk.display());
    wimforge(args!["cat", &absent]).badly(&[1]);

    let hive = folder.path().join("SYSTEM");
    fs::write(&hive, on("System32/config/SYSTEM")).expect("a file");
    let [usb_inf, own_inf] = [0, 1].map(|it: usize| format!("DriverDatabase\\DriverInfFiles\\{}", names[it]));
    let [usb_package, own_package] =
        [0, 1].map(|it: usize| format!("DriverDatabase\\DriverPackages\\{}", packages[it]));
    let configuration = format!("{own_package}\\Configurations\\i");
    let paths = [
        usb_inf.as_str(),
        &own_inf,
        &usb_package,
        &own_package,
        "DriverDatabase\\DeviceIds\\USB\\VID_80EE&PID_CAFE",
        "DriverDatabase\\DeviceIds\\PCI\\VEN_1AF4&DEV_1001",
        "ControlSet001\\Services\\owndisk",
        "ControlSet001\\Services\\VBoxUSB",
        "DriverDatabase",
        "ControlSet001\\Services",
        &configuration,
    ];
    let Some(keys) = registry::keys(&hive, &paths) else { return };
    let key = |at: usize| keys[at].as_ref().unwrap_or_else(|| panic!("no {}", paths[at]));
    for at in 0..2 {
        assert_eq!(key(at).texts(""), [packages[at].clone()]);
        assert_eq!(key(at).text("Active"), packages[at]);
        assert_eq!(key(2 + at).text(""), names[at]);
        assert_eq!(key(4 + at).data(&names[at], 3), [1, 0xFF, 0, 0]);
    }
    assert_eq!(key(2).text("SignerName"), "Microsoft Windows Hardware Compatibility Publisher");
    assert_eq!((key(2).dword("SignerScore"), key(3).dword("SignerScore")), (0x0D00_0005, 0x8000_0000));
    assert_eq!(key(3).data("Version", 3)[32..40], [4, 0, 3, 0, 2, 0, 1, 0]);
    assert_eq!(key(10).text("Service"), "owndisk");
    let service = key(6);
    assert_eq!((service.dword("Start"), service.dword("Type")), (0, 1));
    let path: String = char::decode_utf16(
        service.data("ImagePath", 2).chunks_exact(2).map(|it| u16::from_le_bytes([it[0], it[1]])),
    )
    .map(|it| it.expect("UTF-16"))
    .collect();
    assert_eq!(path.to_lowercase(), "system32\\drivers\\owndisk.sys\0");
    assert_eq!(service.texts("Owners"), [names[1].clone()]);
    assert!(keys[7].is_none(), "Windows does that when it finds the device");
    let map = key(8).data("OemInfMap", 3);
    for name in &names {
        let number: usize = name[3..name.len() - 4].parse().expect("a number");
        assert!(map[number / 8] & (0x80 >> (number % 8)) != 0, "{name}: {map:02x?}");
    }
    // What `Services` hands down, as entries that say where they come from.
    let entries = |descriptor: &[u8]| {
        let at = u32::from_le_bytes(descriptor[16..20].try_into().expect("four")) as usize;
        let count = u16::from_le_bytes([descriptor[at + 4], descriptor[at + 5]]);
        let mut flags = Vec::new();
        let mut next = at + 8;
        for _ in 0..count {
            flags.push(descriptor[next + 1]);
            next += usize::from(u16::from_le_bytes([descriptor[next + 2], descriptor[next + 3]]));
        }
        flags
    };
    let inherited = entries(&service.security);
    assert!(!inherited.is_empty() && inherited.iter().all(|flags| flags & 0x10 != 0), "{inherited:02x?}");
    assert!(entries(&key(9).security).iter().any(|flags| flags & 0x02 != 0));

    // A second time they are there already, and nothing is done twice.
    let again = folder.path().join("again.raw");
    let twice = args!["build", &wim, "-o", &again, "--json", "--driver", &signed, "--driver", &signed];
    let report = json(wimforge(twice).well());
    assert_eq!(report["build"]["customized"]["drivers"].as_array().map(Vec::len), Some(1));
    // For another Windows, in words.
    let arm = unsigned(folder.path(), "armdisk", "NTarm64");
    wimforge(args!["build", &wim, "-o", &again, "--force", "--driver", &arm])
        .badly(&[4])
        .says(&["has nothing for Windows 10.0.14393 amd64 (server)", "NTarm64"]);
}

//! INF files of others, and hostile ones.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use common::{compiled, nano, parse};
use wimforge_driver::compile::{Action, FileSource, Mode, Root, kind};
use wimforge_driver::{Architecture, Error, Folders, Inbox, Inf, ProductType, Target, compile};

const HEAD: &str = "[Version]\nSignature=\"$Windows NT$\"\nClassGuid={4d36e97d-e325-11ce-bfc1-08002be10318}\n\
                    Provider=me\nDriverVer=01/02/2020,1.2.3.4\n\
                    [Manufacturer]\nme=Models,NTamd64\n[Models.NTamd64]\ndevice=Install,PCI\\X\n";

/// INF files of an image, by name.
struct Files(BTreeMap<&'static str, String>);

impl Inbox for Files {
    fn inf(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(name.to_lowercase().as_str()).map(|text| text.clone().into_bytes()))
    }
}

fn with_inbox(
    text: &str,
    files: &[(&'static str, String)],
) -> Result<wimforge_driver::CompiledDriver, Error> {
    let inf = Inf::parse("test.inf", text.as_bytes())?;
    compile(&inf, &nano(), &Folders::new(&nano(), "test"), &Files(files.iter().cloned().collect()))
}

fn refused(text: &str) -> String {
    with_inbox(text, &[]).unwrap_err().to_string()
}

#[test]
fn vboxusb() {
    let Some(folder) = common::drivers() else { return };
    for (name, architecture) in [("vboxusb-x64", Architecture::Amd64), ("vboxusb-arm64", Architecture::Arm64)]
    {
        let bytes = std::fs::read(folder.join(name).join("VBoxUSB.inf")).unwrap();
        let inf = Inf::parse("VBoxUSB.inf", &bytes).unwrap();
        let target = Target::new(architecture, 17763, ProductType::Workstation);
        let driver = compiled(&inf, &target);
        assert_eq!(driver.version.provider, "Oracle Corporation");
        assert_eq!(driver.version.version, [7, 2, 16, 24877]);
        let ids: Vec<_> = driver.ids().map(|(id, _)| id).collect();
        assert_eq!(ids, [r"USB\VID_80EE&PID_CAFE"]);
        let configuration = &driver.configurations[0];
        assert!(configuration.section.to_lowercase().starts_with("vboxusb_drv.nt"));
        assert_eq!(configuration.service.as_deref(), Some("VBoxUSB"));
        assert_eq!(configuration.files[0].destination, r"Windows\System32\drivers\VBoxUSB.sys");
        // The fourth field of AddService is the section of an event log; this INF file means something else by it, and
        // Windows does what it says.
        let log = configuration.services[0].event_log.as_ref().unwrap();
        assert_eq!((log.log.as_str(), log.registry.len()), ("System", 2));
        // The other architecture has nothing in it.
        let other =
            if architecture == Architecture::Amd64 { Architecture::Arm64 } else { Architecture::Amd64 };
        let target = Target::new(other, 17763, ProductType::Workstation);
        let error = compile(&inf, &target, &Folders::new(&target, "x"), &()).unwrap_err().to_string();
        assert!(error.contains("has no devices for Windows 10.0.17763"), "{error}");
    }
}

/// A bus driver with a KMDF section and an embedded co-installer section, from PyPI's `vgamepad`.
#[test]
fn vigembus() {
    let Some(folder) = fetched("vigembus") else { return };
    let inf = Inf::parse("ViGEmBus.inf", &std::fs::read(folder.join("ViGEmBus.inf")).unwrap()).unwrap();
    let driver = compiled(&inf, &Target::new(Architecture::Amd64, 17763, ProductType::Workstation));
    assert_eq!(driver.configurations[0].service.as_deref(), Some("ViGEmBus"));
    assert!(driver.configurations[0].has.wdf);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (inf, sys, cat) = (read("ViGEmBus.inf"), read("ViGEmBus.sys"), read("ViGEmBus.cat"));
    use wimforge_driver::catalog::{Anchor, File, Verdict, check, trust::Trusted};
    let files = [File { path: "ViGEmBus.inf", bytes: &inf }, File { path: "ViGEmBus.sys", bytes: &sys }];
    match check(Some(&cat), &files, &Trusted::microsoft()).unwrap() {
        Verdict::Signed(by) => assert!(matches!(by.anchor, Anchor::Known(_)), "{by:?}"),
        other => panic!("{other}"),
    }
}

/// A file that `crates/driver/fetch-packages.sh` puts into the cache.
fn fetched(name: &str) -> Option<PathBuf> {
    let path = testkit::cache().join("driver-packages").join(name);
    if !path.exists() {
        testkit::skip("needs driver packages (run crates/driver/fetch-packages.sh)");
        return None;
    }
    Some(path)
}

/// 2,674 lines of everything that an INF file can hold, for no device.
#[test]
fn wine() {
    let Some(path) = fetched("wine.inf") else { return };
    let inf = Inf::parse("wine.inf", &std::fs::read(path).unwrap()).unwrap();
    let driver = compiled(&inf, &nano());
    assert!(driver.devices.is_empty());
    let install = driver.default_install.expect("a default installation");
    let sets = install.driver.iter().filter(|change| matches!(change.action, Action::Set { .. })).count();
    assert!(sets > 500, "{sets}");
    let kinds: std::collections::BTreeSet<u32> = install
        .driver
        .iter()
        .filter_map(|change| match &change.action {
            Action::Set { kind, .. } => Some(*kind),
            _ => None,
        })
        .collect();
    for kind in [kind::SZ, kind::EXPAND_SZ, kind::BINARY, kind::DWORD, kind::MULTI_SZ] {
        assert!(kinds.contains(&kind), "{kind} of {kinds:?}");
    }
    let path = |name: &str| install.driver.iter().find(|change| change.key.ends_with(name));
    assert_eq!(path(r"Session Manager\Environment").map(|change| change.root), Some(Root::LocalMachine));
    // It says what it did not understand, and where.
    assert!(driver.warnings.iter().all(|warning| warning.place.line > 0), "{:?}", driver.warnings);
    assert!(driver.warnings.iter().any(|warning| warning.what.contains("RegisterDlls")));
}

#[test]
fn values_of_every_type() {
    let driver = compiled(
        &parse(&format!(
            "{HEAD}[Install]\nAddReg=r\nDelReg=d\n[r]\n\
             HKR,,a,,text\nHKR,k\\l,b,0x10001,0x1F\nHKR,,c,1,01,ff,0x7\nHKR,,d,0x10000,one,,two\n\
             HKR,,e,0x20000,\"%%SystemRoot%%\\x\"\nHKR,,f,0x20001\nHKR,,g,0xB0001,1,2,3,4,5,6,7,8\n\
             HKR,,h,0x10003,-1\nHKR,,i,0x10008,more\nHKR,,j,0x20,only\nHKR,key,,0x10\nHKR,,k,4\nHKR,key2,,4\n\
             HKR,,l,0x10001,1,0,0,0\nHKR,key3\nHKR,,,,default\nHKLM,Software\\X,m,0x4000,y\nHKR,\"K\",0x00000010\n\
             [d]\nHKR,,a\nHKR,key\nHKR,,d,0x18002,one\nHKLM,Software\\Y\n"
        )),
        &nano(),
    );
    // Deletions come first, wherever they stand.
    let (deletions, changes) = driver.configurations[0].driver.split_at(4);
    let set = |at: usize| match &changes[at].action {
        Action::Set { name, kind, data, mode } => (name.as_str(), *kind, data.clone(), *mode),
        other => panic!("{other:?}"),
    };
    let text = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let plain = Mode::Replace;
    assert_eq!(set(0), ("a", kind::SZ, text("text\0"), plain));
    assert_eq!((set(1), changes[1].key.as_str()), (("b", kind::DWORD, vec![0x1F, 0, 0, 0], plain), r"k\l"));
    assert_eq!(set(2), ("c", kind::BINARY, vec![1, 0xFF, 7], plain));
    assert_eq!(set(3), ("d", kind::MULTI_SZ, text("one\0two\0\0"), plain));
    assert_eq!(set(4), ("e", kind::EXPAND_SZ, text("%SystemRoot%\\x\0"), plain));
    assert_eq!(set(5), ("f", kind::NONE, vec![], plain));
    assert_eq!(set(6), ("g", kind::QWORD, vec![1, 2, 3, 4, 5, 6, 7, 8], plain));
    assert_eq!(set(7), ("h", kind::DWORD, vec![0xFF; 4], Mode::IfAbsent));
    assert_eq!(set(8), ("i", kind::MULTI_SZ, text("more\0\0"), Mode::Append));
    assert_eq!(set(9), ("j", kind::SZ, text("only\0"), Mode::IfPresent));
    assert_eq!((&changes[10].action, changes[10].key.as_str()), (&Action::CreateKey, "key"));
    assert_eq!(changes[11].action, Action::Unset { name: "k".to_owned() });
    assert_eq!((&changes[12].action, changes[12].key.as_str()), (&Action::DeleteKey, "key2"));
    assert_eq!(set(13), ("l", kind::DWORD, vec![1, 0, 0, 0], plain));
    assert_eq!(changes[14].action, Action::CreateKey);
    assert_eq!(set(15), ("", kind::SZ, text("default\0"), plain));
    assert!(changes[16].view_32 && changes[16].root == Root::LocalMachine);
    // A missing comma: the flags are a name. Windows' own `mshdc.inf` has that, and its database the value.
    assert_eq!(set(17), ("0x00000010", kind::SZ, text("\0"), plain));
    assert_eq!(deletions[0].action, Action::Unset { name: "a".to_owned() });
    assert_eq!(deletions[1].action, Action::DeleteKey);
    assert_eq!(deletions[2].action, Action::RemoveText { name: "d".to_owned(), text: "one".to_owned() });
    assert_eq!((&deletions[3].action, deletions[3].root), (&Action::DeleteKey, Root::LocalMachine));
    assert_eq!(driver.warnings, []);
}

#[test]
fn files_come_from_disks_and_go_to_folders() {
    let driver = compiled(
        &parse(&format!(
            "{HEAD}[Install]\nCopyFiles=List,@dll.dll,Store\n[List]\na.sys\nnew.sys,old.sys,,2\n[Store]\nx.bin\n\
             [DestinationDirs]\nDefaultDestDir=11\nlist=12,sub\nStore=13\n\
             [SourceDisksNames]\n1=disk,,,\\root\n[SourceDisksNames.amd64]\n0x2=disk,,,amd64\n\
             [SourceDisksFiles]\na.sys=1,below\ndll.dll=1\n[SourceDisksFiles.amd64]\nold.sys=2\na.sys=2,here\n"
        )),
        &nano(),
    );
    let files: Vec<_> = driver.configurations[0]
        .files
        .iter()
        .map(|file| match &file.source {
            FileSource::Package(path) => (path.as_str(), file.destination.as_str(), file.flags),
            other => panic!("{other:?}"),
        })
        .collect();
    // Disk 2 is named 0x2 there, which nobody finds by its number.
    assert_eq!(
        files,
        [
            (r"here\a.sys", r"Windows\System32\drivers\sub\a.sys", 0),
            ("old.sys", r"Windows\System32\drivers\sub\new.sys", 2),
            (r"root\dll.dll", r"Windows\System32\dll.dll", 0),
            (
                "x.bin",
                r"Windows\System32\DriverStore\FileRepository\test.inf_amd64_0123456789abcdef\x.bin",
                0
            ),
        ]
    );
    assert_eq!(driver.source_files, [r"here\a.sys", "old.sys", r"root\dll.dll"]);
    assert!(driver.warnings.iter().any(|warning| warning.what.contains("there is no source disk 2")));
}

#[test]
fn included_sections() {
    let machine = "[Version]\nSignature=$Windows NT$\n[Base]\nAddReg=reg\nNeeds=More\n[reg]\nHKR,,base,,%who%\n\
                   [More]\nCopyFiles=files\n[files]\ninbox.sys\n[DestinationDirs]\nfiles=12\n[Strings]\nwho=machine\n"
        .to_owned();
    let text = format!(
        "{HEAD}[Install]\nInclude=Machine.inf,absent.inf\nNeeds=Base,Nowhere\nAddReg=own\n[own]\nHKR,,own,,%who%\n\
         [Strings]\nwho=test\n"
    );
    let driver = with_inbox(&text, &[("machine.inf", machine)]).unwrap();
    let configuration = &driver.configurations[0];
    let values: Vec<_> = configuration
        .driver
        .iter()
        .map(|change| match &change.action {
            Action::Set { name, data, .. } => (name.as_str(), data[0]),
            other => panic!("{other:?}"),
        })
        .collect();
    // Every INF file has its own strings.
    assert_eq!(values, [("base", b'm'), ("own", b't')]);
    assert_eq!(
        configuration.files[0].source,
        FileSource::Included { inf: "Machine.inf".to_owned(), name: "inbox.sys".to_owned() }
    );
    assert_eq!(configuration.included_infs, ["Machine.inf", "absent.inf"]);
    let warnings: Vec<_> = driver.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("test.inf:11 [Install]: includes absent.inf"), "{warnings:?}");
    assert!(warnings[1].contains("needs section Nowhere"), "{warnings:?}");
}

#[test]
fn circles_end() {
    let text = format!(
        "{HEAD}[Install]\nInclude=test2.inf\nNeeds=Install,A\nAddReg=r\n[A]\nNeeds=Install,A,B\n[r]\nHKR,,a\n"
    );
    let other = "[Version]\nSignature=$Windows NT$\n[B]\nInclude=test2.inf,test.inf\nNeeds=B,A\n".to_owned();
    let driver = with_inbox(&text, &[("test2.inf", other.clone()), ("test.inf", other)]).unwrap();
    assert_eq!(driver.configurations[0].driver.len(), 1);
    // A chain of sections that is merely long is refused.
    let mut text = format!("{HEAD}[Install]\nNeeds=S0\n");
    for number in 0..100 {
        writeln!(text, "[S{number}]\nNeeds=S{}", number + 1).unwrap();
    }
    assert!(refused(&text).contains("exceeds 32"), "{}", refused(&text));
    // So is an INF file that includes without end.
    struct Endless;
    impl Inbox for Endless {
        fn inf(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
            let number: u32 = name.trim_end_matches(".inf").parse().unwrap_or(0);
            let next = number + 1;
            Ok(Some(format!("[S{number}]\nInclude={next}.inf\nNeeds=S{next}\n").into_bytes()))
        }
    }
    let inf = parse(&format!("{HEAD}[Install]\nInclude=0.inf\nNeeds=S0\n"));
    let error = compile(&inf, &nano(), &Folders::new(&nano(), "x"), &Endless).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

#[test]
fn work_is_bounded() {
    // A thousand configurations that all go through a long list.
    let mut text = HEAD.to_owned();
    for number in 0..2000 {
        writeln!(text, "[Models.NTamd64]\nd=I{number},PCI\\{number}\n[I{number}]\nAddReg=Long").unwrap();
    }
    text.push_str("[Long]\n");
    for number in 0..20_000 {
        writeln!(text, "HKR,,v{number},,x").unwrap();
    }
    assert!(refused(&text).contains("fields to follow"), "{:.200}", refused(&text));
    // Few fields that grow.
    let mut text = format!("{HEAD}[Install]\nAddReg=r\n[Strings]\ns={}\n[r]\n", "z".repeat(60_000));
    for _ in 0..10_000 {
        text.push_str("HKR,,%s%\n");
    }
    assert!(refused(&text).contains("bytes of all texts"), "{:.200}", refused(&text));
    let text = format!("{HEAD}[Install]\nAddReg=r\n[Strings]\ns={}\n[r]\nHKR,,%s%\n", "z".repeat(1 << 20));
    assert!(refused(&text).contains("exceeds 65536"), "{:.200}", refused(&text));
    // A line of a megabyte is one.
    let text = format!("{HEAD}[Install]\nAddReg=r\n[r]\nHKR,,a,0x10000{}\n", ",b".repeat(500_000));
    let driver = with_inbox(&text, &[]).unwrap();
    assert!(
        matches!(&driver.configurations[0].driver[0].action, Action::Set { data, .. } if data.len() == 2_000_002)
    );
    let text = format!("{HEAD}[Install]\n;{}\n\"{}\n", "c".repeat(1 << 20), "q".repeat(1 << 20));
    assert_eq!(with_inbox(&text, &[]).unwrap().warnings.len(), 1);
}

/// What comes from outside the package is not copied, and said to be so.
#[test]
fn files_from_elsewhere() {
    let text = format!("{HEAD}[Install]\nCopyFiles=l\n[l]\nx.sys,C:\\y\nz.sys,..\\..\\etc\\passwd\n");
    let driver = with_inbox(&text, &[]).unwrap();
    assert!(
        driver.configurations[0].files.iter().all(|file| matches!(file.source, FileSource::Elsewhere(_)))
    );
    assert_eq!(driver.warnings.len(), 2, "{:?}", driver.warnings);
}

#[test]
fn what_windows_refuses() {
    let install = |text: &str| refused(&format!("{HEAD}[Install]\n{text}"));
    assert_eq!(refused("[x]\n"), "test.inf: has no [Version] section");
    assert!(refused("[Version]\nSignature=$Windows 95$\n").contains("expected $Windows NT$"));
    assert!(refused("[Version]\n").contains("has no Signature"));
    let version = |line: &str| refused(&format!("[Version]\nSignature=$Windows NT$\n{line}\n"));
    assert_eq!(
        version("ClassGuid={x}"),
        "test.inf:3 [Version]: {x}: not a GUID (expected 32 hexadecimal digits in groups of 8-4-4-4-12)"
    );
    assert!(version("DriverVer=2020-01-02,1").contains("expected mm/dd/yyyy"));
    assert!(version("DriverVer=01/02/2020,1.2.3.4.5").contains("expected w.x.y.z"));
    assert!(install("FeatureScore=100\n").contains("expected 00 to FF"));
    assert!(install("AddReg=r\n[r]\nHKR,,a,xyz\n").contains("xyz is not a number"));
    assert!(install("AddReg=r\n[r]\nHKR,,a,1,100\n").contains("100 is not a byte"));
    assert!(install("AddReg=r\n[r]\nHKR,,a,0x10001,4294967296\n").contains("not a number of 32 bits"));
    assert!(install("AddReg=r\n[r]\nHKR,,a,0x10001,1,2\n").contains("2 bytes for a number of 4"));
    assert!(install("CopyFiles=@..\\..\\evil.sys\n").contains("is no path of a file"));
    assert!(install("[Install.Services]\nAddService=a\\b,2,s\n[s]\n").contains("no name of a service"));
    assert!(install("[Install.Services]\nAddService=a,2,s\n").contains("there is no service section s"));
    assert!(install("[Install.Interfaces]\nAddInterface=x\n").contains("not a GUID"));
    assert!(
        install(&format!("AddReg=r\n[r]\nHKR,{},a\n", "k".repeat(256)))
            .contains("too long for the name of a key")
    );
}

#[test]
fn null_services_filters_and_interfaces() {
    let driver = compiled(
        &parse(&format!(
            "{HEAD}[Install]\nExcludeID=PCI\\Y,PCI\\Z\nFeatureScore=F9\nReboot\n[Install.Services]\nAddService=,2\n\
             [Install.Filters]\nAddFilter=up,,u\n[u]\nFilterPosition=Upper\n[Install.Interfaces]\n\
             AddInterface={{53f5630d-b6bf-11d0-94f2-00a0c91efb8b}},ref,i\n[i]\nAddReg=ir\n[ir]\nHKR,,x,,y\n"
        )),
        &nano(),
    );
    let configuration = &driver.configurations[0];
    assert_eq!(configuration.service.as_deref(), Some(""));
    assert_eq!((configuration.feature_score, configuration.reboot), (0xF9, true));
    assert_eq!(configuration.excluded_ids, ["PCI\\Y", "PCI\\Z"]);
    assert_eq!(configuration.upper_filters, ["up"]);
    assert_eq!(configuration.interfaces[0].reference, "ref");
    assert_eq!(configuration.interfaces[0].registry.len(), 1);
    assert!(configuration.has.services && configuration.has.interfaces && !configuration.has.hw);
}

#[test]
fn sections_for_other_platforms_are_not_taken() {
    let text = format!(
        "{HEAD}[Install.NTx86]\nAddReg=x\n[Install.NT]\nAddReg=nt\n[Install]\nAddReg=any\n[Install.NT.HW]\nAddReg=nt\n\
         [Install.HW]\nAddReg=any\n[nt]\nHKR,,nt\n[any]\nHKR,,any\n[x]\nHKR,,x\n"
    );
    let driver = with_inbox(&text, &[]).unwrap();
    let configuration = &driver.configurations[0];
    assert_eq!(configuration.section, "Install.NT");
    let name = |change: &wimforge_driver::compile::RegistryChange| match &change.action {
        Action::Set { name, .. } => name.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(configuration.driver.iter().map(name).collect::<Vec<_>>(), ["nt"]);
    assert_eq!(configuration.device.iter().map(name).collect::<Vec<_>>(), ["nt"]);
    let text = text.replace("[Install.NT]", "[Install.NTamd64]");
    assert_eq!(with_inbox(&text, &[]).unwrap().configurations[0].section, "Install.NTamd64");
}

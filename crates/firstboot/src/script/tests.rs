use super::*;
use crate::{Account, Https, InstallationType, Interface, PfxFile, Secret, StagedKind, StagedPackage};

const NOTHING: Extra<'static> = Extra { firewall: &[], secrets: &[], services: &[] };

fn about(installation: InstallationType) -> About {
    About { installation, build: 14393, ..About::default() }
}

fn text(wishes: &Wishes, about: &About) -> String {
    let script = script(wishes, about, &NOTHING).unwrap().unwrap();
    assert!(script.content.is_ascii());
    let text = String::from_utf8(script.content).unwrap();
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    text.replace("\r\n", "\n")
}

#[test]
fn nothing_to_do_is_no_script() {
    assert!(script(&Wishes::default(), &About::default(), &NOTHING).unwrap().is_none());
    // An existing script stays as it is then.
    let wishes = Wishes { existing_setup_complete: Some(b"echo".to_vec()), ..Wishes::default() };
    assert!(script(&wishes, &About::default(), &NOTHING).unwrap().is_none());
}

#[test]
fn users_lines_come_last_and_an_existing_script_before_them() {
    let wishes = Wishes {
        setup_complete: vec!["ECHO %PATH% & exit".to_owned()],
        existing_setup_complete: Some(b"\xE4 exit\r\n".to_vec()),
        ..Wishes::default()
    };
    let extra = Extra { secrets: &["Windows\\Panther\\unattend.xml"], ..NOTHING };
    let script = script(&wishes, &About::default(), &extra).unwrap().unwrap();
    assert_eq!(script.existing.as_deref(), Some("Windows\\Setup\\Scripts\\SetupComplete-image.cmd"));
    let expected = "@ECHO OFF
REM Written by wimforge. Windows Setup runs this once, as SYSTEM, before the first logon.
SETLOCAL ENABLEEXTENSIONS DISABLEDELAYEDEXPANSION
SET \"WF_DIR=%SystemRoot%\\Setup\\Scripts\"
SET \"WF_REBOOT=\"
CALL :wf_main >> \"%WF_DIR%\\SetupComplete.log\" 2>&1
cmd.exe /D /C CALL \"%WF_DIR%\\SetupComplete-image.cmd\"
CALL :wf_cleanup >> \"%WF_DIR%\\SetupComplete.log\" 2>&1
CALL :wf_user >> \"%WF_DIR%\\SetupComplete.log\" 2>&1
IF DEFINED WF_REBOOT shutdown.exe /r /t 60
EXIT /B 0

:wf_main
EXIT /B 0

:wf_cleanup
ECHO == files with secrets
IF EXIST \"%SystemDrive%\\Windows\\Panther\\unattend.xml\" DEL /F /Q \"%SystemDrive%\\Windows\\Panther\\unattend.xml\"
EXIT /B 0

:wf_user
ECHO %PATH% & exit
EXIT /B 0
";
    assert_eq!(String::from_utf8(script.content).unwrap().replace("\r\n", "\n"), expected);
}

/// The result of one build is the image of the next one, again and again.
#[test]
fn scripts_in_a_chain_have_names_of_their_own() {
    let mut wishes = Wishes { setup_complete: vec!["ECHO a".to_owned()], ..Wishes::default() };
    let mut names = Vec::new();
    for _ in 0..4 {
        let script = script(&wishes, &About::default(), &NOTHING).unwrap().unwrap();
        names.push(script.existing.map(|path| path.rsplit('\\').next().unwrap().to_owned()));
        wishes.existing_setup_complete = Some(script.content);
    }
    let names: Vec<_> = names.iter().map(Option::as_deref).collect();
    let expected = ["SetupComplete-image.cmd", "SetupComplete-image2.cmd"].map(Some);
    assert_eq!(names[..2], [None, expected[0]]);
    assert_eq!(names[2..], [expected[1], Some("SetupComplete-image3.cmd")]);
}

#[test]
fn wrong_scripts_and_lines_are_refused() {
    let existing = |bytes: &[u8]| {
        let wishes = Wishes {
            existing_setup_complete: Some(bytes.to_vec()),
            setup_complete: vec!["a".to_owned()],
            ..Wishes::default()
        };
        script(&wishes, &About::default(), &NOTHING).map(|_| ())
    };
    assert_eq!(existing(b"a\r\n"), Ok(()));
    assert!(matches!(existing(b"\xFF\xFEa\0"), Err(Error::Malformed { offset: 3, .. })));
    assert!(matches!(existing(&vec![b'a'; MAX_EXISTING + 1]), Err(Error::Limit { .. })));
    for line in ["a\nb", "\u{FC}"] {
        let wishes = Wishes { setup_complete: vec![line.to_owned()], ..Wishes::default() };
        assert!(matches!(script(&wishes, &About::default(), &NOTHING), Err(Error::Wish { .. })));
    }
}

fn network() -> Interface {
    Interface {
        addresses: ["192.168.1.10/24", "192.168.2.10/23", "fd00::10/64", "fd01::10/48"]
            .map(|a| a.parse().unwrap())
            .to_vec(),
        gateways: ["192.168.1.1", "fe80::1"].map(|a| a.parse().unwrap()).to_vec(),
        dns: ["192.168.1.2", "192.168.1.3", "fd00::2"].map(|a| a.parse().unwrap()).to_vec(),
        ..Interface::default()
    }
}

/// The lines of New-NanoServerImage where it has any.
#[test]
fn network_lines() {
    let wishes = Wishes { networks: vec![network()], ..Wishes::default() };
    let text = text(&wishes, &about(InstallationType::Nano));
    let expected = "\
ECHO == network
netsh interface ipv4 set address \"Ethernet\" static 192.168.1.10 255.255.255.0 192.168.1.1
netsh interface ipv4 add address \"Ethernet\" 192.168.2.10 255.255.254.0
netsh interface ipv6 set address \"Ethernet\" fd00::10
netsh interface ipv6 add address \"Ethernet\" fd01::10/48
netsh interface ipv6 add route ::/0 \"Ethernet\" fe80::1
netsh interface ipv4 set dnsservers \"Ethernet\" static 192.168.1.2
netsh interface ipv4 add dnsservers \"Ethernet\" 192.168.1.3 index=2
netsh interface ipv6 set dnsservers \"Ethernet\" static fd00::2
EXIT /B 0
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn an_interface_by_its_hardware_address() {
    let mac = Interface { mac: Some("00:15:5d:00:00:01".to_owned()), ..network() };
    let wishes = Wishes { networks: vec![mac], ..Wishes::default() };
    let text = text(&wishes, &about(InstallationType::ServerCore));
    assert!(text.contains("-eq '00-15-5D-00-00-01' }).ifIndex\"`) DO SET \"WF_IF=%%I\""), "{text}");
    assert_eq!(text.matches("\nIF DEFINED WF_IF netsh ").count(), 8);
}

#[test]
fn impossible_networks_are_refused() {
    type Change = fn(&mut Interface);
    let wrong: [(&str, Change); 9] = [
        ("both", |n| (n.interface, n.mac) = (Some("a".to_owned()), Some("00-00-00-00-00-01".to_owned()))),
        ("hardware address", |n| n.mac = Some("1".to_owned())),
        ("not ASCII", |n| n.interface = Some("Verbindung ü".to_owned())),
        ("empty", |n| n.interface = Some(String::new())),
        ("two gateways", |n| n.gateways.push("192.168.1.9".parse().unwrap())),
        ("none of the addresses", |n| n.gateways[0] = "10.0.0.1".parse().unwrap()),
        ("no IPv4 address", |n| n.addresses.retain(|a| a.address().is_ipv6())),
        ("no address of a machine", |n| n.addresses[0] = "127.0.0.1/8".parse().unwrap()),
        ("neither", |n| *n = Interface::default()),
    ];
    for (name, change) in wrong {
        let mut network = network();
        change(&mut network);
        let wishes = Wishes { networks: vec![network], ..Wishes::default() };
        let error = script(&wishes, &About::default(), &NOTHING).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
}

fn https() -> Https {
    Https {
        pfx: PfxFile(vec![1]),
        password: Secret::new("s3cret"),
        thumbprint: "ab".repeat(20),
        host_name: "nano1".to_owned(),
    }
}

#[test]
fn the_listener_for_https() {
    let wishes = Wishes { https: Some(https()), ..Wishes::default() };
    let nano = text(&wishes, &about(InstallationType::Nano));
    assert!(!nano.contains("s3cret"));
    let import = nano.find("certoc.exe -ImportPFX -p \"%WF_PFX%\" My \"%SystemDrive%\\Windows\\Setup\\Scripts\\wimforge-winrm.pfx\"");
    let delete = nano.find("DEL /F /Q \"%SystemDrive%\\Windows\\Setup\\Scripts\\wimforge-winrm.pfx\"");
    let restart = nano.find("Restart-Service");
    assert!(import.unwrap() < delete.unwrap() && delete.unwrap() < restart.unwrap());
    assert!(nano.contains(&format!("certhash={} appid={{afebb9ad", "AB".repeat(20))));
    assert!(
        text(&wishes, &about(InstallationType::Client))
            .contains("certutil.exe -f -p \"%WF_PFX%\" -importpfx My")
    );
    let wrong: [fn(&mut Https); 4] = [
        |h| h.password = Secret::new(""),
        |h| h.password = Secret::new("a&b"),
        |h| h.thumbprint.truncate(39),
        |h| h.host_name = "a b".to_owned(),
    ];
    for change in wrong {
        let mut https = https();
        change(&mut https);
        let wishes = Wishes { https: Some(https), ..Wishes::default() };
        let error = script(&wishes, &About::default(), &NOTHING).unwrap_err().to_string();
        assert!(!error.contains("a&b"));
    }
}

#[test]
fn packages_features_and_accounts() {
    let package = |path: &str, kind| StagedPackage { name: "p".to_owned(), path: path.to_owned(), kind };
    let wishes = Wishes {
        packages: vec![package("Windows\\Setup\\Packages\\a & b.cab", StagedKind::Cab)],
        features: vec!["NetFx3".to_owned(), "OpenSSH.Server~~~~0.0.1.0".to_owned()],
        accounts: vec![
            Account { name: "vagrant".to_owned(), password_never_expires: true, ..Account::default() },
            Account { name: "Jörg".to_owned(), password_never_expires: true, ..Account::default() },
            Account { name: "other".to_owned(), ..Account::default() },
        ],
        ..Wishes::default()
    };
    let made = text(&wishes, &about(InstallationType::Server));
    for line in [
        "CALL :wf_cab \"%SystemDrive%\\Windows\\Setup\\Packages\\a & b.cab\"\n",
        "CALL :wf_feature \"NetFx3\"\n",
        "CALL :wf_capability \"OpenSSH.Server~~~~0.0.1.0\"\n",
        "Set-LocalUser -Name 'vagrant' -PasswordNeverExpires $true\" || wmic.exe useraccount where \"name='vagrant'\" set PasswordExpires=FALSE\n",
        "Set-LocalUser -Name (''+'J'+[char]246+'rg') -PasswordNeverExpires $true\"\n",
        "IF %WF_TRY% GEQ 3 EXIT /B 1\n",
    ] {
        assert_eq!(made.matches(line).count(), if line.contains("GEQ") { 3 } else { 1 }, "{line}\n{made}");
    }
    assert!(!made.contains("'other'") && !made.contains("wusa"));
    // Every label that is called or jumped to is there once.
    for line in made.lines() {
        for word in line.split_whitespace().filter(|word| word.starts_with(":wf_") || word.starts_with("wf_"))
        {
            let label = format!("\n:{}\n", word.trim_start_matches(':'));
            assert_eq!(made.matches(&label).count(), 1, "{label:?}");
        }
    }
    let msu = Wishes { packages: vec![package("a.msu", StagedKind::Msu)], ..Wishes::default() };
    assert!(text(&msu, &about(InstallationType::Server)).contains("wusa.exe \"%~1\" /quiet /norestart"));
    assert!(matches!(script(&msu, &about(InstallationType::Nano), &NOTHING), Err(Error::Unsupported { .. })));
    for path in ["", "..\\a.cab", "C:\\a.cab", "a\u{E4}.cab", "a\".cab", "%TEMP%\\a.cab"] {
        let wishes = Wishes { packages: vec![package(path, StagedKind::Cab)], ..Wishes::default() };
        assert!(script(&wishes, &About::default(), &NOTHING).is_err(), "{path}");
    }
}

#[test]
fn growing_and_joining() {
    let wishes = Wishes { grow: true, ..Wishes::default() };
    let text_of = text(&wishes, &about(InstallationType::Nano));
    assert!(text_of.contains("Modules\\Storage;") && !text_of.contains("diskpart"));
    // One command in one pair of quotes.
    let line = text_of.lines().find(|line| line.contains("Resize-Partition")).unwrap();
    assert_eq!(line.matches('"').count(), 2);
    assert_eq!(line.matches('%').count(), 2, "only the folder of the program");
    let wishes = Wishes {
        domain_blob: Some(crate::DomainBlob::from_file_bytes("b", b"QUJD").unwrap()),
        ..Wishes::default()
    };
    assert!(text(&wishes, &about(InstallationType::Nano)).contains("djoin.exe /requestodj /loadfile"));
    assert!(script(&wishes, &about(InstallationType::Server), &NOTHING).unwrap().is_none());
}

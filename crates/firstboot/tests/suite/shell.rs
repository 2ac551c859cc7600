//! The script, run by a shell that is not ours: wine's, when it is installed (`apt install wine`). Programs that the script
//! calls are replaced by one that writes down what it was given, so quoting is seen as programs see it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use firstboot::{
    About, Account, Https, InstallationType, Interface, PfxFile, Secret, StagedKind, StagedPackage, Wishes,
};

use crate::support::planned;

const WINE: &str = "/usr/bin/wine-stable";

const PROGRAMS: &[&str] =
    &["netsh", "certoc", "dism", "powershell", "ping", "shutdown", "reg", "djoin", "wmic", "sc"];

fn wishes() -> Wishes {
    Wishes {
        accounts: vec![Account {
            name: "Some One".to_owned(),
            password: Some(Secret::new("geheim")),
            password_never_expires: true,
            ..Account::default()
        }],
        networks: vec![Interface {
            interface: Some("LAN & 100% (^1)".to_owned()),
            addresses: vec!["192.168.1.10/24".parse().expect("good")],
            gateways: vec!["192.168.1.1".parse().expect("good")],
            ..Interface::default()
        }],
        https: Some(Https {
            pfx: PfxFile(vec![1, 2, 3]),
            password: Secret::new("pfx-geheim"),
            thumbprint: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            host_name: "nano1".to_owned(),
        }),
        packages: vec![StagedPackage {
            name: "a".to_owned(),
            path: "Windows\\Setup\\Packages\\a & b (1).cab".to_owned(),
            kind: StagedKind::Cab,
        }],
        features: vec!["NetFx3".to_owned()],
        grow: true,
        existing_setup_complete: Some(
            b"@echo off\r\nset WF_DIR=wrong\r\necho image>%SystemDrive%\\image.txt\r\nexit 7\r\n".to_vec(),
        ),
        setup_complete: vec!["echo user>%SystemDrive%\\user.txt".to_owned(), "exit /b 3".to_owned()],
        ..Wishes::default()
    }
}

#[test]
fn programs_are_given_what_was_meant() {
    if !Path::new(WINE).exists() {
        testkit::skip_here("needs wine (apt install wine)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let prefix = folder.path().join("wine");
    let wine = |args: &[&str]| {
        let mut command = Command::new(WINE);
        command
            .args(args)
            .env("WINEPREFIX", &prefix)
            .env("WINEDEBUG", "-all")
            .env("LOG", &log)
            .env_remove("DISPLAY");
        command.stdin(Stdio::null()).output().expect("wine runs")
    };
    // The first run makes the drive.
    wine(&["cmd", "/c", "exit"]);
    let drive = prefix.join("drive_c");
    if !drive.join("windows/system32").is_dir() {
        testkit::skip_here("needs a wine that works");
        return;
    }
    let stub = folder.path().join("stub");
    fs::write(&stub, "#!/bin/sh\n{ printf '%s' \"${0##*/}\"; printf '<%s>' \"$@\"; echo; } >> \"$LOG\"\n")
        .expect("a file");
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).expect("a program");
    for program in PROGRAMS {
        for folder in ["", "system32/", "system32/WindowsPowerShell/v1.0/"] {
            let path = drive.join(format!("windows/{folder}{program}.exe"));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            let _ = fs::remove_file(&path);
            fs::copy(&stub, &path).expect("a program");
        }
    }
    let about = About { installation: InstallationType::Nano, build: 14393, ..About::default() };
    let plan = planned(&wishes(), &about);
    for file in &plan.files {
        // A Windows is not minding the case of names; the drive is of a system that does.
        let path = drive.join(file.path.replace('\\', "/").replacen("Windows", "windows", 1));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, &file.content).expect("a file");
    }
    let package = drive.join("windows/Setup/Packages/a & b (1).cab");
    fs::create_dir_all(package.parent().expect("a folder")).expect("a folder");
    fs::write(&package, "x").expect("a file");

    wine(&["cmd", "/d", "/c", "C:\\windows\\Setup\\Scripts\\SetupComplete.cmd"]);
    wine(&["wineserver", "-k"]);

    let calls = fs::read_to_string(&log).unwrap_or_default();
    let scripts = drive.join("windows/Setup/Scripts");
    let said = fs::read_to_string(scripts.join("SetupComplete.log")).unwrap_or_default();
    for call in [
        "netsh.exe<interface><ipv4><set><address><LAN & 100% (^1)><static><192.168.1.10><255.255.255.0><192.168.1.1>\n",
        "certoc.exe<-ImportPFX><-p><pfx-geheim><My><C:\\Windows\\Setup\\Scripts\\wimforge-winrm.pfx>\n",
        "reg.exe<add><HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WSMAN\\Listener\\*+HTTPS></f></v><Port></t><REG_DWORD></d><5986>\n",
        "<sddl=D:(A;;GX;;;S-1-5-80-569256582",
        "powershell.exe<-NoProfile><-NonInteractive><-Command><$ErrorActionPreference='Stop'; Import-Module \
         $env:SystemRoot\\System32\\WindowsPowerShell\\v1.0\\Modules\\Microsoft.PowerShell.LocalAccounts; Set-LocalUser -Name \
         'Some One' -PasswordNeverExpires $true>\n",
        "</add-package></packagepath:C:\\Windows\\Setup\\Packages\\a & b (1).cab>\n",
        "</enable-feature></all></featurename:NetFx3>\n",
        "| Remove-Partition -Confirm:$false;",
    ] {
        assert!(calls.contains(call), "{call}\n--- calls\n{calls}\n--- log\n{said}");
    }
    assert!(!calls.contains("shutdown"), "nothing asked for a restart:\n{calls}");
    assert!(drive.join("image.txt").exists() && drive.join("user.txt").exists(), "{said}");
    for gone in [
        "windows/Panther/unattend.xml",
        "windows/Setup/Scripts/wimforge-winrm.pfx",
        "windows/Setup/Scripts/wimforge-winrm.txt",
    ] {
        assert!(!drive.join(gone).exists(), "{gone} is still there\n{said}");
    }
    assert!(!package.exists(), "{said}");
    assert!(!said.contains("geheim"), "{said}");
}

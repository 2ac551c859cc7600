//! Whole plans: which files, who may read them, what is said, and that no secret is.

use firstboot::{
    About, Account, DomainBlob, Error, FirewallRule, Https, InstallationType, PfxFile, Protection, Secret,
    WinRm, Wishes, plan,
};

use crate::support::{bare_system, file, planned, python_sees};

fn nano() -> About {
    About {
        installation: InstallationType::Nano,
        build: 14393,
        languages: vec!["en-US".to_owned()],
        ..About::default()
    }
}

fn full() -> Wishes {
    Wishes {
        computer_name: Some("NANO1".to_owned()),
        administrator_password: Some(Secret::new("Adm1n-geheim")),
        accounts: vec![Account {
            name: "vagrant".to_owned(),
            password: Some(Secret::new("Vag-geheim")),
            groups: vec!["Administrators".to_owned()],
            password_never_expires: true,
            ..Account::default()
        }],
        remote_administrators: true,
        time_zone: Some("UTC".to_owned()),
        product_key: Some(Secret::new("WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY")),
        domain_blob: Some(DomainBlob::from_file_bytes("blob", b"Z2VoZWlt").expect("base64")),
        winrm: Some(WinRm { basic: true, unencrypted: true, public: true }),
        https: Some(Https {
            pfx: PfxFile(b"pfx-geheim".to_vec()),
            password: Secret::new("pfxpw-geheim"),
            thumbprint: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            host_name: "nano1".to_owned(),
        }),
        grow: true,
        firewall: vec![FirewallRule { name: Some("a".to_owned()), ..FirewallRule::default() }],
        setup_complete: vec!["ECHO done".to_owned()],
        existing_setup_complete: Some(b"@echo off\r\n".to_vec()),
        ..Wishes::default()
    }
}

#[test]
fn nothing_asked_for_is_nothing_done() {
    let plan = planned(&Wishes::default(), &nano());
    assert!(
        plan.files.is_empty() && plan.registry.is_empty() && plan.report.is_empty() && plan.notes.is_empty()
    );
    let existing = Wishes { existing_setup_complete: Some(b"echo".to_vec()), ..Wishes::default() };
    assert!(planned(&existing, &nano()).files.is_empty());
}

#[test]
fn the_report_says_what_was_done() {
    let plan = planned(&full(), &nano());
    for line in [
        "computer name NANO1",
        "password of Administrator",
        "account vagrant (Administrators)",
        "time zone UTC",
        "WinRM: HTTP, port 5985 with basic authentication and without encryption",
        "firewall: new rule a",
    ] {
        assert!(plan.report.iter().any(|said| said == line), "{line}: {:#?}", plan.report);
    }
}

/// The documented files hold secrets, and nothing else does: no other file, no registry value, no word of the report.
#[test]
fn secrets_are_where_they_are_said_to_be() {
    let plan = planned(&full(), &nano());
    let mut said: Vec<&str> = plan.secrets.iter().map(|secret| secret.path.as_str()).collect();
    let mut marked: Vec<&str> =
        plan.files.iter().filter(|file| file.holds_secret).map(|file| file.path.as_str()).collect();
    said.sort_unstable();
    marked.sort_unstable();
    assert_eq!(said, marked);
    assert_eq!(
        said,
        [
            "Windows\\Panther\\unattend.xml",
            "Windows\\Setup\\Scripts\\wimforge-domain.txt",
            "Windows\\Setup\\Scripts\\wimforge-winrm.pfx",
            "Windows\\Setup\\Scripts\\wimforge-winrm.txt",
        ]
    );
    for file in &plan.files {
        let protected = file.protection == Protection::SystemAndAdministrators;
        assert_eq!(protected, file.holds_secret, "{}", file.path);
        let text = String::from_utf8_lossy(&file.content).into_owned();
        assert!(file.holds_secret || !text.contains("geheim"), "{}", file.path);
    }
    // The script deletes each of them.
    let script = String::from_utf8_lossy(&file(&plan, "Windows\\Setup\\Scripts\\SetupComplete.cmd").content);
    for path in said {
        let line = format!("IF EXIST \"%SystemDrive%\\{path}\" DEL /F /Q \"%SystemDrive%\\{path}\"\r\n");
        assert!(script.contains(&line), "{path}");
    }
    let shown = format!("{plan:?} {:?} {:?} {:?} {:?}", full(), plan.report, plan.notes, plan.registry);
    for secret in ["geheim", "KHKQY", "Z2VoZWlt"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    let utf16: Vec<u8> = "geheim".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for operation in &plan.registry {
        if let hive::reg::Change::SetValue { data, .. } = &operation.change {
            assert!(!data.windows(utf16.len()).any(|window| window == utf16));
        }
    }
}

#[test]
fn the_domain_blob_is_as_djoin_writes_it() {
    let plan = planned(&full(), &nano());
    let blob = &file(&plan, "Windows\\Setup\\Scripts\\wimforge-domain.txt").content;
    let read = DomainBlob::from_file_bytes("x", blob).expect("what was written");
    assert_eq!(read.expose(), "Z2VoZWlt");
    assert_eq!(blob[..4], [0xFF, 0xFE, b'Z', 0]);
    assert_eq!(blob[blob.len() - 2..], [0, 0]);
    // On others the answer file has it.
    let about = About { installation: InstallationType::Server, ..nano() };
    let plan = planned(&full(), &about);
    assert!(!plan.files.iter().any(|file| file.path.ends_with("domain.txt")));
    let Some(seen) = python_sees(&file(&plan, "Windows\\Panther\\unattend.xml").content) else { return };
    assert!(seen.iter().any(|line| line.ends_with("text 'Z2VoZWlt'")), "{seen:#?}");
}

#[test]
fn keys_of_ssh_are_for_administrators_only() {
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me";
    let wishes = Wishes { ssh_keys: vec![line.to_owned()], ..Wishes::default() };
    let plan = planned(&wishes, &About::default());
    let keys = file(&plan, "ProgramData\\ssh\\administrators_authorized_keys");
    assert_eq!(keys.content, format!("{line}\n").as_bytes());
    assert_eq!(keys.protection, Protection::SystemAndAdministrators);
    assert!(!keys.holds_secret);
}

#[test]
fn wishes_that_cannot_be_fulfilled_are_refused() {
    let account = |name: &str, password: Option<&str>| Account {
        name: name.to_owned(),
        password: password.map(Secret::new),
        ..Account::default()
    };
    type Change = Box<dyn Fn(&mut Wishes)>;
    let wrong: Vec<(&str, Change)> = vec![
        ("computer-name", Box::new(|w| w.computer_name = Some("a b".to_owned()))),
        ("blank passwords", Box::new(|w| w.administrator_password = Some(Secret::new("")))),
        (
            "control character at position 2",
            Box::new(|w| w.administrator_password = Some(Secret::new("a\tgeheim"))),
        ),
        ("the most are 127", Box::new(|w| w.administrator_password = Some(Secret::new("x".repeat(128))))),
        ("neither password-file nor password", Box::new(move |w| w.accounts = vec![account("a", None)])),
        (
            "two accounts",
            Box::new(move |w| w.accounts = vec![account("a", Some("x")), account("A", Some("x"))]),
        ),
        ("account", Box::new(move |w| w.accounts = vec![account("a/b", Some("geheim"))])),
        ("product-key", Box::new(|w| w.product_key = Some(Secret::new("geheim")))),
        ("does not speak de-DE", Box::new(|w| w.locale.ui = Some("de-DE".to_owned()))),
        ("input-locale", Box::new(|w| w.locale.input = Some("german".to_owned()))),
        ("owner", Box::new(|w| w.owner = Some(String::new()))),
        ("Remote Desktop", Box::new(|w| w.rdp = true)),
        ("feature", Box::new(|w| w.features = vec!["a b".to_owned()])),
        ("ssh-key, line 1", Box::new(|w| w.ssh_keys = vec!["x".to_owned()])),
    ];
    for (said, change) in wrong {
        let mut wishes = Wishes::default();
        change(&mut wishes);
        let error = plan(&wishes, &nano(), bare_system().root(), None).expect_err(said);
        assert!(matches!(error, Error::Wish { .. } | Error::Unsupported { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(said) && !error.contains("geheim"), "{said}: {error}");
    }
}

#[test]
fn secrets_are_read_from_files_as_people_save_them() {
    let read =
        |bytes: &[u8]| Secret::from_file_bytes("pw.txt", bytes).map(|secret| secret.expose().to_owned());
    let wide = |text: &str| {
        [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect::<Vec<_>>()
    };
    for bytes in [
        &b"p\xC3\xA4ss"[..],
        b"p\xC3\xA4ss\n",
        b"p\xC3\xA4ss\r\n",
        b"\xEF\xBB\xBFp\xC3\xA4ss\n",
        &wide("päss\r\n"),
    ] {
        assert_eq!(read(bytes).as_deref(), Ok("päss"));
    }
    // One line end is a text editor's; anything else is meant, and refused later.
    assert_eq!(read(b" p \n\n").as_deref(), Ok(" p \n"));
    for bytes in [&b"\xE4geheim"[..], b"\xFF\xFEa"] {
        let error = read(bytes).expect_err("it is no text").to_string();
        assert!(error.contains("pw.txt") && !error.contains("geheim"), "{error}");
    }
    assert!(matches!(read(&vec![b'a'; firstboot::MAX_SECRET_FILE + 1]), Err(Error::Limit { .. })));
    for bytes in [&b""[..], b"\0", b"not base64!", &wide("\u{E4}")] {
        assert!(matches!(DomainBlob::from_file_bytes("b", bytes), Err(Error::Malformed { .. })));
    }
}

#[test]
fn what_users_should_know_is_said() {
    let said = |wishes: &Wishes, installation| {
        let about = About { installation, ..nano() };
        planned(wishes, &about).notes.join("\n")
    };
    let client = InstallationType::Client;
    let password = Wishes { administrator_password: Some(Secret::new("x")), ..Wishes::default() };
    assert!(said(&password, client).contains("keep the account Administrator disabled"));
    assert!(said(&password, client).contains("OEM product key"));
    assert!(said(&Wishes { quiet: true, ..Wishes::default() }, client).contains("still asks for an account"));
    let quiet = Wishes { quiet: true, ..Wishes::default() };
    assert!(said(&quiet, InstallationType::ServerCore).contains("asks for a password of Administrator"));
    assert_eq!(said(&quiet, InstallationType::Nano), "");
    let winrm = Wishes { winrm: Some(WinRm::default()), ..Wishes::default() };
    assert!(said(&winrm, InstallationType::Server).contains("nobody has a password"));
    assert!(said(&full(), InstallationType::Nano).contains("clear text"));
    assert!(
        said(&full(), InstallationType::Nano)
            .contains("kept as Windows\\Setup\\Scripts\\SetupComplete-image.cmd")
    );
}

use std::collections::BTreeMap;

use hive::paths::Mount;
use hive::reg::{self, Change};
use hive::{FileTime, Hive, Value};

use super::*;
use crate::{Architecture, FirewallRule, Https, InstallationType, PfxFile, Secret, WinRm};

/// A SYSTEM hive with a second control set, which is the one that counts.
fn system(rules: &[(&str, &str)]) -> Hive {
    let mut hive = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(1)).unwrap();
    let root = hive.root_mut();
    root.create("ControlSet001").unwrap();
    root.create("Select").unwrap().set("Default", Kind::DWORD, data::dword(2)).unwrap();
    for (service, start) in [("WinRM", 3), ("TermService", 3), ("sshd", 3)] {
        let key = root.create(&format!("ControlSet002\\Services\\{service}")).unwrap();
        key.set("Start", Kind::DWORD, data::dword(start)).unwrap();
    }
    let key = root
        .create("ControlSet002\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules")
        .unwrap();
    for (name, rule) in rules {
        key.set(name, Kind::SZ, data::sz(rule)).unwrap();
    }
    hive
}

const RULES: &[(&str, &str)] = &[
    (
        "WINRM-HTTP-In-TCP",
        "v2.27|Action=Allow|Active=FALSE|Dir=In|Protocol=6|Profile=Public|LPort=5985|RA4=LocalSubnet|RA6=LocalSubnet|App=System|EmbedCtxt=@FirewallAPI.dll,-30267|",
    ),
    (
        "WINRM-HTTP-In-TCP-NoScope",
        "v2.27|Action=Allow|Active=FALSE|Dir=In|Protocol=6|Profile=Domain|Profile=Private|LPort=5985|App=System|EmbedCtxt=@FirewallAPI.dll,-30267|",
    ),
    (
        "WINRM-HTTP-Compat-In-TCP",
        "v2.27|Action=Allow|Active=FALSE|Dir=In|Protocol=6|LPort=80|App=System|EmbedCtxt=@FirewallAPI.dll,-30252|",
    ),
    (
        "RemoteDesktop-UserMode-In-TCP",
        "v2.9|Action=Allow|Active=FALSE|Dir=In|Protocol=6|LPort=3389|EmbedCtxt=@FirewallAPI.dll,-28752|",
    ),
    (
        "FPS-SMB-In-TCP",
        "v2.27|Action=Allow|Active=FALSE|Dir=In|Protocol=6|Profile=Private|LPort=445|RA42=LocalSubnet|EmbedCtxt=@FirewallAPI.dll,-28502|",
    ),
    ("{broken}", "v2.99"),
];

fn about(installation: InstallationType) -> About {
    About { installation, architecture: Architecture::Amd64, build: 17763, ..About::default() }
}

fn made(wishes: &Wishes, about: &About, hive: &Hive) -> Registry {
    registry(wishes, about, hive.root(), None).unwrap()
}

/// Values by their paths, as they would be set.
fn values(registry: &Registry) -> BTreeMap<String, Value> {
    let values = registry.operations.iter().filter_map(|operation| match &operation.change {
        Change::SetValue { name, kind, data } => {
            let value = Value::new(name.clone(), *kind, data.as_slice()).unwrap();
            Some((format!("{}!{name}", operation.key), value))
        }
        _ => None,
    });
    values.collect()
}

fn rule(values: &BTreeMap<String, Value>, id: &str) -> Option<String> {
    let key = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules";
    values.get(&format!("{key}!{id}")).and_then(Value::as_str)
}

#[test]
fn identity() {
    let mut hive = system(&[]);
    let setup = hive.root_mut().create("Setup").unwrap();
    setup.set("UnattendFile", Kind::SZ, data::sz("C:\\other.xml")).unwrap();
    let wishes = Wishes {
        computer_name: Some("Nano1".to_owned()),
        remote_administrators: true,
        private_network: true,
        ..Wishes::default()
    };
    let registry = made(&wishes, &About::default(), &hive);
    // Carried out on the hive, where the control set is found.
    let mount = Mount::of(hive.root());
    let root = hive.root_mut();
    reg::apply(root, &registry.operations, None, &mut |operation| Ok(mount.key(&operation.key).ok()))
        .unwrap();
    let text = |path: &str, value: &str| root.open(path).unwrap().value(value).unwrap().as_str().unwrap();
    assert_eq!(text("ControlSet002\\Control\\ComputerName\\ComputerName", "ComputerName"), "NANO1");
    assert_eq!(text("ControlSet002\\Services\\Tcpip\\Parameters", "Hostname"), "Nano1");
    assert_eq!(text("ControlSet002\\Services\\Tcpip\\Parameters", "NV Hostname"), "Nano1");
    assert!(root.open("Setup").unwrap().value("UnattendFile").is_none());
    let values = values(&registry);
    for (key, number) in [
        ("Microsoft\\Windows\\CurrentVersion\\Policies\\System!LocalAccountTokenFilterPolicy", 1),
        (
            "Policies\\Microsoft\\Windows NT\\CurrentVersion\\NetworkList\\Signatures\\FirstNetwork!Category",
            1,
        ),
    ] {
        assert_eq!(values[&format!("HKEY_LOCAL_MACHINE\\SOFTWARE\\{key}")].as_u32(), Some(number));
    }
    let wishes = Wishes { computer_name: Some("*".to_owned()), ..Wishes::default() };
    assert_eq!(made(&wishes, &About::default(), &system(&[])).operations, []);
}

#[test]
fn winrm_on_clients_and_servers() {
    let winrm = |basic, public| Wishes {
        winrm: Some(WinRm { basic, unencrypted: basic, public }),
        ..Wishes::default()
    };
    let client = values(&made(&winrm(true, true), &about(InstallationType::Client), &system(RULES)));
    let wsman = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WSMAN";
    assert_eq!(
        client["HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\WinRM!Start"].as_u32(),
        Some(2)
    );
    assert_eq!(client[&format!("{wsman}\\Listener\\*+HTTP!Port")].as_u32(), Some(5985));
    assert_eq!(client[&format!("{wsman}\\Listener\\*+HTTP!uriprefix")].as_str().unwrap(), "wsman");
    for value in ["Service!auth_basic", "Service!allow_unencrypted", "Client!auth_basic"] {
        assert_eq!(client[&format!("{wsman}\\{value}")].as_u32(), Some(1));
    }
    let open = "v2.27|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|App=System|EmbedCtxt=@FirewallAPI.dll,-30267|";
    assert_eq!(rule(&client, "WINRM-HTTP-In-TCP").as_deref(), Some(open));
    assert_eq!(rule(&client, "WINRM-HTTP-In-TCP-NoScope").as_deref(), Some(open));
    assert_eq!(rule(&client, "WINRM-HTTP-Compat-In-TCP"), None);

    let mut hive = system(RULES);
    let service = hive.root_mut().open_mut("ControlSet002\\Services\\WinRM").unwrap();
    service.set("Start", Kind::DWORD, data::dword(2)).unwrap();
    let server = values(&made(&winrm(false, false), &about(InstallationType::Server), &hive));
    assert!(!server.keys().any(|key| key.contains("WSMAN") || key.contains("!Start")));
    assert_eq!(rule(&server, "WINRM-HTTP-In-TCP"), Some(RULES[0].1.replace("FALSE", "TRUE")));
    // What is so already is no change.
    let hive = system(&[("WINRM-HTTP-In-TCP", open)]);
    assert!(
        rule(&values(&made(&winrm(false, true), &about(InstallationType::Nano), &hive)), "WINRM-HTTP-In-TCP")
            .is_none()
    );
}

#[test]
fn https_and_rdp() {
    let https = Https {
        pfx: PfxFile(vec![0]),
        password: Secret::new("x"),
        thumbprint: "0".repeat(40),
        host_name: "a".to_owned(),
    };
    let wishes = Wishes { https: Some(https), rdp: true, ..Wishes::default() };
    let values = values(&made(&wishes, &about(InstallationType::Server), &system(RULES)));
    assert_eq!(
        rule(&values, "wimforge-WinRM-5986").as_deref(),
        Some("v2.27|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5986|Name=WinRM 5986|")
    );
    assert_eq!(rule(&values, "RemoteDesktop-UserMode-In-TCP"), Some(RULES[3].1.replace("FALSE", "TRUE")));
    let key = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Terminal Server!fDenyTSConnections";
    assert_eq!(values[key].as_u32(), Some(0));
    let refused = registry(&wishes, &about(InstallationType::Nano), system(RULES).root(), None);
    assert!(matches!(refused.map(|_| ()), Err(crate::Error::Unsupported { .. })));
}

#[test]
fn rules_of_recipes() {
    let wish = |change: fn(&mut FirewallRule)| {
        let mut rule = FirewallRule::default();
        change(&mut rule);
        Wishes { firewall: vec![rule], ..Wishes::default() }
    };
    let set = |change| values(&made(&wish(change), &About::default(), &system(RULES)));
    let all = set(|r| {
        r.name = Some("My rule".to_owned());
        r.ports = vec!["80".parse().unwrap(), "8000-8010".parse().unwrap()];
        r.remote_ports = vec!["1024-65535".parse().unwrap()];
        r.remote_addresses =
            ["LocalSubnet", "10.0.0.0/8", "10.1.2.3", "fd00::/8", "::1"].map(str::to_owned).to_vec();
        r.profiles = vec![crate::Profile::Public, crate::Profile::Domain];
        r.program = Some("%SystemRoot%\\a.exe".to_owned());
        r.service = Some("svc".to_owned());
        r.description = Some("What".to_owned());
        r.action = crate::Action::Block;
        r.direction = crate::Direction::Out;
        r.protocol = crate::Protocol::Udp;
    });
    assert_eq!(
        rule(&all, "wimforge-My-rule").as_deref(),
        Some(
            "v2.27|Action=Block|Active=TRUE|Dir=Out|Protocol=17|Profile=Domain|Profile=Public|LPort=80|LPort2_10=8000-8010|\
             RPort2_10=1024-65535|RA4=LocalSubnet|RA6=LocalSubnet|RA4=10.0.0.0/255.0.0.0|RA4=10.1.2.3|RA6=fd00::/8|RA6=::1|\
             App=%SystemRoot%\\a.exe|Svc=svc|Name=My rule|Desc=What|"
        )
    );
    // A group, everywhere.
    let sharing = set(|r| (r.enable, r.public) = (Some("file-sharing".to_owned()), true));
    assert_eq!(
        rule(&sharing, "FPS-SMB-In-TCP").as_deref(),
        Some("v2.27|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=445|EmbedCtxt=@FirewallAPI.dll,-28502|")
    );
    for enable in ["fps-smb-in-tcp", "@firewallapi.dll,-28502"] {
        let wishes = Wishes {
            firewall: vec![FirewallRule { enable: Some(enable.to_owned()), ..FirewallRule::default() }],
            ..Wishes::default()
        };
        assert_eq!(made(&wishes, &About::default(), &system(RULES)).operations.len(), 1, "{enable}");
    }
    type Change = fn(&mut FirewallRule);
    let wrong: [(&str, Change); 9] = [
        ("expected either", |_| {}),
        ("expected either", |r| (r.name, r.enable) = (Some("a".to_owned()), Some("b".to_owned()))),
        ("did you mean \"file-sharing\"", |r| r.enable = Some("file sharing".to_owned())),
        ("only public", |r| (r.enable, r.ports) = (Some("winrm".to_owned()), vec!["1".parse().unwrap()])),
        ("cannot be the name", |r| r.name = Some("a|b".to_owned())),
        ("cannot be the name", |r| r.name = Some("@a,-1".to_owned())),
        ("public is for", |r| (r.name, r.public) = (Some("a".to_owned()), true)),
        ("neither LocalSubnet", |r| {
            (r.name, r.remote_addresses) = (Some("a".to_owned()), vec!["all".to_owned()])
        }),
        ("have ports", |r| {
            (r.name, r.protocol, r.ports) =
                (Some("a".to_owned()), crate::Protocol::Any, vec!["1".parse().unwrap()]);
        }),
    ];
    for (said, change) in wrong {
        let error =
            registry(&wish(change), &About::default(), system(RULES).root(), None).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
}

/// Two rules of one name get two identifiers, and one that the image has is not taken.
#[test]
fn identifiers_are_free() {
    let rule = FirewallRule { name: Some("a".to_owned()), ..FirewallRule::default() };
    let wishes = Wishes { firewall: vec![rule.clone(), rule], ..Wishes::default() };
    let hive = system(&[("WIMFORGE-A", "v2.1|Dir=In|")]);
    let values = values(&made(&wishes, &About::default(), &hive));
    let ids: Vec<&str> = values.keys().map(|key| key.rsplit('!').next().unwrap()).collect();
    assert_eq!(ids, ["wimforge-a-2", "wimforge-a-3"]);
}

#[test]
fn an_image_without_rules_gets_lines() {
    let wishes = Wishes { remote_management: true, ..Wishes::default() };
    let made = made(&wishes, &about(InstallationType::Nano), &system(&[]));
    assert_eq!(
        made.firewall_lines,
        [
            "netsh advfirewall firewall add rule name=\"WinRM 5985\" protocol=TCP dir=in localport=5985 profile=any action=allow"
        ]
    );
    assert!(made.operations.is_empty());
}

#[test]
fn keys_of_ssh_start_the_server() {
    let kind = "ssh-ed25519";
    let blob = [&(kind.len() as u32).to_be_bytes()[..], kind.as_bytes()].concat();
    let line = format!("{kind} {}", crate::base64::encode(&blob));
    let wishes = |feature: &[&str]| Wishes {
        ssh_keys: vec![format!(" {line} "), "# x".to_owned(), String::new()],
        features: feature.iter().map(|&feature| feature.to_owned()).collect(),
        ..Wishes::default()
    };
    let with = made(&wishes(&[]), &About::default(), &system(RULES));
    assert_eq!(with.ssh_keys.as_deref(), Some(format!("{line}\n").as_bytes()));
    let values = values(&with);
    assert_eq!(
        values["HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\sshd!Start"].as_u32(),
        Some(2)
    );
    assert!(rule(&values, "wimforge-OpenSSH-22").is_some());
    let mut hive = system(RULES);
    hive.root_mut().open_mut("ControlSet002\\Services").unwrap().remove("sshd").unwrap();
    let without = made(&wishes(&[]), &About::default(), &hive);
    assert!(without.operations.is_empty() && without.notes[0].contains("OpenSSH.Server"));
    let feature = made(&wishes(&["OpenSSH.Server~~~~0.0.1.0"]), &About::default(), &hive);
    assert_eq!(feature.services, ["sshd"]);
}

#[test]
fn time_zones() {
    let mut software = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(1)).unwrap();
    // Five hours behind; summer time from the second Sunday of March to the first of November, as in a real hive.
    let mut tzi = Vec::new();
    for bias in [300i32, 0, -60] {
        tzi.extend(bias.to_le_bytes());
    }
    for [month, week] in [[11u16, 1], [3, 2]] {
        tzi.extend([0, month, 0, week, 2, 0, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    }
    for zone in ["UTC", "Eastern Standard Time"] {
        let key = software
            .root_mut()
            .create(&format!("Microsoft\\Windows NT\\CurrentVersion\\Time Zones\\{zone}"))
            .unwrap();
        key.set("TZI", Kind::BINARY, tzi.as_slice()).unwrap();
        key.set("MUI_Std", Kind::SZ, data::sz("@tzres.dll,-112")).unwrap();
        key.set("Dlt", Kind::SZ, data::sz("Eastern Daylight Time")).unwrap();
    }
    let root = Some(software.root());
    assert_eq!(check_time_zone("eastern standard time", root).unwrap(), "Eastern Standard Time");
    let error = check_time_zone("Eastern Standart Time", root).unwrap_err().to_string();
    assert!(error.contains("did you mean \"Eastern Standard Time\""), "{error}");
    assert!(check_time_zone("a\\b", None).is_err());
    assert_eq!(check_time_zone("Anything", None).unwrap(), "Anything");

    let wishes = Wishes { time_zone: Some("Eastern Standard Time".to_owned()), ..Wishes::default() };
    let set = values(&registry(&wishes, &About::default(), system(&[]).root(), root).unwrap());
    let value = |name: &str| {
        set[&format!("HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\TimeZoneInformation!{name}")]
            .clone()
    };
    // The very values of the Windows 10 sample.
    assert_eq!(value("Bias").as_u32(), Some(0x12C));
    assert_eq!(value("DaylightBias").as_u32(), Some(0xFFFF_FFC4));
    assert_eq!(value("StandardBias").as_u32(), Some(0));
    assert_eq!(value("DaylightStart").data(), [0, 0, 3, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(value("StandardStart").data(), [0, 0, 11, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(value("StandardName").as_str().unwrap(), "@tzres.dll,-112");
    assert_eq!(value("DaylightName").as_str().unwrap(), "Eastern Daylight Time");
    assert_eq!(value("TimeZoneKeyName").as_str().unwrap(), "Eastern Standard Time");
    assert_eq!(value("ActiveTimeBias").as_u32(), Some(300));
}

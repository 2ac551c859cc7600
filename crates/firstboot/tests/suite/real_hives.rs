//! Firewall rules of real hives.

use firstboot::{About, FirewallRule, InstallationType, WinRm, Wishes, plan};
use hive::paths::Mount;
use hive::reg::{self, Change};
use hive::{Key, Value};

use crate::support::sample_hive;

const RULES: &str = "ControlSet001\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules";

fn rules(root: &Key) -> Vec<(String, String)> {
    let values = root.open(RULES).expect("rules").values();
    values.map(|value| (value.name().to_string(), value.as_str().expect("text"))).collect()
}

#[test]
fn rules_are_opened_in_the_hives_own_version() {
    let Some(samples) = testkit::samples() else { return };
    for (name, version, start) in [
        ("SYSTEM", "v2.10|", 3),
        ("SYSTEM_2", "v2.22|", 3),
        ("SYSTEM_B", "v2.27|", 3),
        ("SYSTEM_WIN_10_1709", "v2.30|", 3),
    ] {
        let Some(mut hive) = sample_hive(&samples, name) else { return };
        let wishes = Wishes {
            computer_name: Some("TESTBOX".to_owned()),
            winrm: Some(WinRm { basic: true, unencrypted: true, public: true }),
            rdp: true,
            firewall: vec![
                FirewallRule {
                    enable: Some("file-sharing".to_owned()),
                    public: true,
                    ..FirewallRule::default()
                },
                FirewallRule {
                    name: Some("Mine".to_owned()),
                    ports: vec!["8080".parse().expect("a port")],
                    ..FirewallRule::default()
                },
            ],
            ..Wishes::default()
        };
        let about = About { installation: InstallationType::Client, ..About::default() };
        let before = rules(hive.root());
        assert_eq!(
            hive.root()
                .open("ControlSet001\\Services\\WinRM")
                .expect("WinRM")
                .value("Start")
                .and_then(Value::as_u32),
            Some(start)
        );
        let plan = plan(&wishes, &about, hive.root(), None).expect("good wishes");
        let count = plan.registry.len();
        assert!(
            plan.registry.iter().all(|operation| matches!(operation.change, Change::SetValue { .. })),
            "{name}"
        );
        let mount = Mount::of(hive.root());
        reg::apply(hive.root_mut(), &plan.registry, None, &mut |operation| {
            Ok(mount.key(&operation.key).ok())
        })
        .expect("they can be carried out");
        let after = rules(hive.root());
        // Nothing but what was asked for is another.
        assert_eq!(after.len(), before.len() + 1, "{name}");
        let changed: Vec<&(String, String)> = after.iter().filter(|rule| !before.contains(rule)).collect();
        assert!(changed.len() > 6 && changed.len() < 60 && changed.len() < count, "{name}: {changed:#?}");
        for (id, rule) in &changed {
            assert!(rule.contains("|Active=TRUE|"), "{name} {id}");
            let asked = id.starts_with("WINRM-HTTP-In-TCP")
                || rule.contains("@FirewallAPI.dll,-28752")
                || rule.contains("@FirewallAPI.dll,-28502")
                || *id == "wimforge-Mine";
            assert!(asked, "{name} {id}: {rule}");
        }
        let winrm: Vec<_> = after.iter().filter(|(id, _)| id.starts_with("WINRM-HTTP-In-TCP")).collect();
        assert!(winrm.len() >= 2, "{name}");
        for (id, rule) in winrm {
            assert!(
                !rule.contains("RA4=") && !rule.contains("Profile=") && rule.contains("LPort=5985"),
                "{id} {rule}"
            );
        }
        let mine = &after.iter().find(|(id, _)| id == "wimforge-Mine").expect("it was asked for").1;
        assert!(mine.starts_with(version), "{name}: {mine}");
        // Every rule of the hive can be read and written again.
        let start = hive.root().open("ControlSet001\\Services\\WinRM").and_then(|key| key.value("Start"));
        assert_eq!(start.and_then(Value::as_u32), Some(2), "{name}");
        let terminal = hive.root().open("ControlSet001\\Control\\Terminal Server").expect("a key");
        assert_eq!(terminal.value("fDenyTSConnections").and_then(Value::as_u32), Some(0));
        let bytes = hive.to_bytes().expect("it can be written");
        let again = hive::Hive::parse(&bytes).expect("what was written");
        assert!(again.root() == hive.root(), "{name}");
    }
}

//! Tables of recipes, as `serde` reads and writes them.

use firstboot::{Account, FirewallRule, Interface};

// JSON here: the form does not matter, and TOML is the caller's.
fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn accounts() {
    let account: Account =
        read(r#"{"name": "vagrant", "password": "geheim", "password-never-expires": true}"#).expect("good");
    assert_eq!(account.groups, ["Administrators"]);
    assert_eq!(account.password.as_ref().map(firstboot::Secret::expose), Some("geheim"));
    let written = serde_json::to_string(&account).expect("it can be written");
    assert!(!written.contains("geheim") && !format!("{account:?}").contains("geheim"), "{written}");
    assert!(
        read::<Account>(r#"{"name": "a", "pasword": "x"}"#).expect_err("a typing error").contains("pasword")
    );
}

#[test]
fn networks() {
    let network: Interface = read(
        r#"{"addresses": ["192.168.1.10/24", "fd00::1/64"], "gateways": ["192.168.1.1"], "dns": ["::1"]}"#,
    )
    .expect("good");
    assert_eq!(network.addresses[0].mask().expect("IPv4").to_string(), "255.255.255.0");
    assert_eq!(network.addresses[1].mask(), None);
    let again: Interface =
        read(&serde_json::to_string(&network).expect("it can be written")).expect("what was written");
    assert_eq!(again, network);
    for wrong in ["192.168.1.10", "192.168.1.10/33", "fd00::/129", "x/1", "1.2.3.4/-1", "1.2.3.4/255.0.0.0"] {
        let error = read::<Interface>(&format!(r#"{{"addresses": ["{wrong}"]}}"#)).expect_err(wrong);
        assert!(error.contains(wrong), "{error}");
    }
    let mask = |prefix: u8| {
        format!("1.2.3.4/{prefix}").parse::<firstboot::IpPrefix>().expect("good").mask().expect("IPv4")
    };
    assert_eq!(
        [0, 1, 23, 32].map(|prefix| mask(prefix).to_string()),
        ["0.0.0.0", "128.0.0.0", "255.255.254.0", "255.255.255.255"]
    );
}

#[test]
fn firewall_rules() {
    let rule: FirewallRule = read(
        r#"{"name": "a", "ports": [80, "8000-8010", "443"], "protocol": "udp", "profiles": ["private"], "direction": "out"}"#,
    )
    .expect("good");
    assert_eq!(rule.ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["80", "8000-8010", "443"]);
    let again: FirewallRule =
        read(&serde_json::to_string(&rule).expect("it can be written")).expect("what was written");
    assert_eq!(again, rule);
    for wrong in ["0", "65536", "-1", r#""9-8""#, r#""a""#, "1.5", r#""0-5""#] {
        assert!(read::<FirewallRule>(&format!(r#"{{"ports": [{wrong}]}}"#)).is_err(), "{wrong}");
    }
    assert!(read::<FirewallRule>(r#"{"port": 80}"#).is_err());
}

//! The firewall.
//!
//! Its rules are values of `Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules`, one text each. Rules that
//! Windows brings are enabled where they are, so that they keep their translated names; they belong to groups by what
//! `EmbedCtxt` says. New ones are added beside them. An image without rules, which is none that was seen, gets `netsh`
//! lines for its first boot instead.

mod rule;

use std::collections::BTreeMap;

use hive::reg::{KeyPath, Operation};
use hive::{Kind, Value, data};

use super::{Hives, Registry, control_set};
use crate::wishes::{Action, Direction, FirewallRule, IpPrefix, Ports, Profile, Protocol, Wishes};
use crate::{About, Error, Result, checks, script};
use rule::{Rule, Version};

const RULES: &str = "Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules";

/// Names for rules of Windows: groups by their resource, and rules by the start of their identifiers where the group has
/// another number in another release.
const NAMES: &[(&str, &str)] = &[
    ("file-sharing", "@FirewallAPI.dll,-28502"),
    ("remote-desktop", "@FirewallAPI.dll,-28752"),
    ("remote-event-log", "@FirewallAPI.dll,-29252"),
    ("remote-services", "@FirewallAPI.dll,-29502"),
    ("wmi", "@FirewallAPI.dll,-34251"),
    ("winrm", "WINRM-HTTP-In-TCP*"),
    ("ping", "FPS-ICMP4-ERQ-In*"),
    ("ssh", "OpenSSH-Server-In-TCP*"),
];

/// The rules of an image as they will be.
struct Rules {
    /// By identifier in small letters: the identifier, the rule, and whether it was changed.
    rules: BTreeMap<String, (String, Rule, bool)>,
    version: Option<Version>,
    key: KeyPath,
}

pub(super) fn firewall(
    wishes: &Wishes,
    about: &About,
    hives: &Hives<'_>,
    registry: &mut Registry,
) -> Result<()> {
    let mut rules = Rules::read(hives);
    let mut lines = Vec::new();
    if let Some(winrm) = wishes.winrm {
        enable_or_add(
            &mut rules,
            "winrm",
            winrm.public,
            &port("WinRM 5985", 5985, winrm.public),
            &mut lines,
        )?;
        registry.report.push(format!("firewall: WinRM over HTTP, {}", where_from(winrm.public)));
    }
    if wishes.remote_management {
        enable_or_add(&mut rules, "winrm", true, &port("WinRM 5985", 5985, true), &mut lines)?;
        // The later version of the module that made Nano Server images enables it, too.
        if rules.enable("remote-event-log", true) == 0 && !about.is_nano() {
            registry.notes.push("the image has no firewall rules for remote event logs".to_owned());
        }
        registry.report.push("firewall: remote management, from all networks".to_owned());
    }
    if wishes.https.is_some() {
        rules.add(&port("WinRM 5986", 5986, true), "firewall", &mut lines)?;
        registry.report.push("firewall: WinRM over HTTPS, from all networks".to_owned());
    }
    if wishes.rdp {
        if rules.enable("remote-desktop", false) == 0 {
            rules.add(&port("Remote Desktop 3389", 3389, false), "firewall", &mut lines)?;
        }
        registry.report.push("firewall: Remote Desktop".to_owned());
    }
    if registry.ssh_keys.is_some() && hives.service("sshd").is_some() {
        enable_or_add(&mut rules, "ssh", true, &port("OpenSSH 22", 22, true), &mut lines)?;
        registry.report.push("firewall: SSH, from all networks".to_owned());
    }
    for (position, wish) in wishes.firewall.iter().enumerate() {
        let option = format!("[[firewall]] {}", position + 1);
        match (&wish.name, &wish.enable) {
            (Some(name), None) => {
                if wish.public {
                    let reason = "public is for rules of the image (enable); a new rule without profiles counts everywhere";
                    return Err(Error::wish(option, reason));
                }
                rules.add(wish, &option, &mut lines)?;
                registry.report.push(format!("firewall: new rule {name}"));
            }
            (None, Some(name)) => {
                let plain = FirewallRule {
                    enable: wish.enable.clone(),
                    public: wish.public,
                    ..FirewallRule::default()
                };
                if plain != *wish {
                    let reason =
                        "enable takes rules of the image as they are; only public can be said beside it";
                    return Err(Error::wish(option, reason));
                }
                let enabled = rules.enable(name, wish.public);
                if enabled == 0 {
                    return Err(Error::wish(option, rules.unknown(name)));
                }
                let many = if enabled == 1 { "rule" } else { "rules" };
                registry.report.push(format!("firewall: {name} enabled ({enabled} {many})"));
            }
            _ => return Err(Error::wish(option, "expected either name, for a new rule, or enable")),
        }
    }
    registry.operations.extend(rules.operations());
    if !lines.is_empty() {
        registry
            .notes
            .push("the image has no firewall rules; the first boot adds ours with netsh".to_owned());
    }
    registry.firewall_lines.extend(lines);
    Ok(())
}

fn where_from(public: bool) -> &'static str {
    if public { "from all networks" } else { "as far as the image's own rules let in" }
}

/// A rule for a port of the kernel's web server or any program.
fn port(name: &str, port: u16, public: bool) -> FirewallRule {
    let profiles = if public { Vec::new() } else { vec![Profile::Domain, Profile::Private] };
    FirewallRule {
        name: Some(name.to_owned()),
        ports: Ports::one(port).into_iter().collect(),
        profiles,
        ..FirewallRule::default()
    }
}

fn enable_or_add(
    rules: &mut Rules,
    name: &str,
    public: bool,
    new: &FirewallRule,
    lines: &mut Vec<String>,
) -> Result<()> {
    if rules.enable(name, public) == 0 { rules.add(new, "firewall", lines) } else { Ok(()) }
}

impl Rules {
    fn read(hives: &Hives<'_>) -> Self {
        let values =
            hives.control_set.and_then(|set| set.open(RULES)).into_iter().flat_map(|key| key.values());
        let rules = values.filter_map(|value| {
            let rule = Rule::parse(&Value::as_str(value)?)?;
            let id = value.name().to_text()?;
            Some((id.to_lowercase(), (id, rule, false)))
        });
        let rules: BTreeMap<_, _> = rules.collect();
        let version = rules.values().map(|(_, rule, _)| rule.version).max();
        Self { rules, version, key: KeyPath::parse(&control_set(RULES)) }
    }

    /// Enables what a name means; returns how many rules that are.
    fn enable(&mut self, name: &str, public: bool) -> usize {
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let meant = known.map_or(name, |(_, meant)| meant).to_lowercase();
        let mut enabled = 0;
        for (id, (_, rule, changed)) in &mut self.rules {
            let fits = match meant.strip_suffix('*') {
                Some(start) => id.starts_with(start),
                None if meant.starts_with('@') => {
                    rule.field("EmbedCtxt").is_some_and(|group| group.to_lowercase() == meant)
                }
                None => *id == meant,
            };
            if fits {
                let before = rule.clone();
                rule.enable();
                if public {
                    rule.open();
                }
                *changed |= *rule != before;
                enabled += 1;
            }
        }
        enabled
    }

    /// Adds a rule, or a line that does it when the image has none whose version could be taken.
    fn add(&mut self, wish: &FirewallRule, option: &str, lines: &mut Vec<String>) -> Result<()> {
        let name = wish.name.as_deref().unwrap_or_default();
        let text = |what: &str, text: &str| {
            if text.trim().is_empty()
                || text.contains('|')
                || text.chars().any(char::is_control)
                || text.starts_with('@')
            {
                return Err(Error::wish(option, format!("{text:?} cannot be the {what} of a rule")));
            }
            Ok(())
        };
        text("name", name)?;
        for (what, value) in
            [("description", &wish.description), ("program", &wish.program), ("service", &wish.service)]
        {
            value.as_deref().map_or(Ok(()), |value| text(what, value))?;
        }
        let ports = !wish.ports.is_empty() || !wish.remote_ports.is_empty();
        if ports && !matches!(wish.protocol, Protocol::Tcp | Protocol::Udp) {
            return Err(Error::wish(option, "only tcp and udp have ports"));
        }
        let remote: Vec<Remote> = wish
            .remote_addresses
            .iter()
            .map(|address| {
                let reason =
                    || format!("{address:?} is neither LocalSubnet nor an address, with a prefix or without");
                Remote::parse(address).ok_or_else(|| Error::wish(option, reason()))
            })
            .collect::<Result<_>>()?;
        let Some(version) = self.version else {
            lines.push(netsh(wish, name, &remote)?);
            return Ok(());
        };
        let mut rule = Rule::new(version);
        rule.push("Action", if wish.action == Action::Allow { "Allow" } else { "Block" });
        rule.push("Active", "TRUE");
        rule.push("Dir", if wish.direction == Direction::In { "In" } else { "Out" });
        if let Some(number) = number(wish.protocol) {
            rule.push("Protocol", number);
        }
        let profiles =
            [(Profile::Domain, "Domain"), (Profile::Private, "Private"), (Profile::Public, "Public")];
        for (_, name) in profiles.iter().filter(|(profile, _)| wish.profiles.contains(profile)) {
            rule.push("Profile", *name);
        }
        for (list, single, range) in
            [(&wish.ports, "LPort", "LPort2_10"), (&wish.remote_ports, "RPort", "RPort2_10")]
        {
            for ports in list {
                rule.push(if ports.is_range() { range } else { single }, ports.to_string());
            }
        }
        for remote in &remote {
            remote.push(&mut rule);
        }
        for (field, value) in [("App", &wish.program), ("Svc", &wish.service)] {
            value.iter().for_each(|value| rule.push(field, value.as_str()));
        }
        rule.push("Name", name);
        wish.description.iter().for_each(|text| rule.push("Desc", text.as_str()));
        let id = self.free_id(name);
        self.rules.insert(id.to_lowercase(), (id, rule, true));
        Ok(())
    }

    /// An identifier that no rule has yet.
    fn free_id(&self, name: &str) -> String {
        let word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let first = format!("wimforge-{word}");
        let more = (2..).map(|number| format!("{first}-{number}"));
        let free = std::iter::once(first.clone())
            .chain(more)
            .find(|id| !self.rules.contains_key(&id.to_lowercase()));
        free.unwrap_or(first)
    }

    /// What is said of a name that means no rule.
    fn unknown(&self, name: &str) -> String {
        if self.rules.is_empty() {
            return "the image has no firewall rules".to_owned();
        }
        let ids = self.rules.values().map(|(id, ..)| id.as_str());
        let nearest = checks::nearest(name, NAMES.iter().map(|(known, _)| *known).chain(ids));
        let nearest = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"));
        format!("the image has no firewall rule or group {name:?}{nearest}")
    }

    fn operations(&self) -> impl Iterator<Item = Operation> {
        let changed = self.rules.values().filter(|(_, _, changed)| *changed);
        changed.map(|(id, rule, _)| Operation::set(&self.key, id, Kind::SZ, data::sz(&rule.to_string())))
    }
}

const fn number(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Tcp => Some("6"),
        Protocol::Udp => Some("17"),
        Protocol::Icmpv4 => Some("1"),
        Protocol::Icmpv6 => Some("58"),
        Protocol::Any => None,
    }
}

/// Remote addresses of a rule.
enum Remote {
    LocalSubnet,
    Network(IpPrefix),
}

impl Remote {
    fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("LocalSubnet") {
            return Some(Self::LocalSubnet);
        }
        if text.contains('/') {
            return text.parse().ok().map(Self::Network);
        }
        let address: std::net::IpAddr = text.parse().ok()?;
        IpPrefix::new(address, if address.is_ipv4() { 32 } else { 128 }).map(Self::Network)
    }

    /// IPv4 networks have a mask in rules, IPv6 networks a prefix.
    fn push(&self, rule: &mut Rule) {
        match self {
            Self::LocalSubnet => {
                rule.push("RA4", "LocalSubnet");
                rule.push("RA6", "LocalSubnet");
            }
            Self::Network(network) => match network.mask() {
                Some(_) if network.prefix() == 32 => rule.push("RA4", network.address().to_string()),
                Some(mask) => rule.push("RA4", format!("{}/{mask}", network.address())),
                None if network.prefix() == 128 => rule.push("RA6", network.address().to_string()),
                None => rule.push("RA6", network.to_string()),
            },
        }
    }
}

/// The rule as a line for the first boot, in the form that New-NanoServerImage writes it.
fn netsh(wish: &FirewallRule, name: &str, remote: &[Remote]) -> Result<String> {
    let list = |ports: &[Ports]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let protocol = match wish.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Icmpv4 => "icmpv4",
        Protocol::Icmpv6 => "icmpv6",
        Protocol::Any => "any",
    };
    let mut line = format!("netsh advfirewall firewall add rule name={}", script::quoted("firewall", name)?);
    line.push_str(&format!(" protocol={protocol}"));
    line.push_str(if wish.direction == Direction::In { " dir=in" } else { " dir=out" });
    if !wish.ports.is_empty() {
        line.push_str(&format!(" localport={}", list(&wish.ports)));
    }
    if !wish.remote_ports.is_empty() {
        line.push_str(&format!(" remoteport={}", list(&wish.remote_ports)));
    }
    let remote: Vec<String> = remote
        .iter()
        .map(|remote| match remote {
            Remote::LocalSubnet => "localsubnet".to_owned(),
            Remote::Network(network) => network.to_string(),
        })
        .collect();
    if !remote.is_empty() {
        line.push_str(&format!(" remoteip={}", remote.join(",")));
    }
    for (field, value) in [("program", &wish.program), ("service", &wish.service)] {
        if let Some(value) = value {
            line.push_str(&format!(" {field}={}", script::quoted("firewall", value)?));
        }
    }
    let profiles = [(Profile::Domain, "domain"), (Profile::Private, "private"), (Profile::Public, "public")];
    let profiles =
        profiles.iter().filter(|(profile, _)| wish.profiles.contains(profile)).map(|(_, name)| *name);
    let profiles: Vec<&str> = profiles.collect();
    line.push_str(&format!(
        " profile={}",
        if profiles.is_empty() { "any".to_owned() } else { profiles.join(",") }
    ));
    line.push_str(if wish.action == Action::Allow { " action=allow" } else { " action=block" });
    Ok(line)
}

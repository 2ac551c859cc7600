//! Keys for OpenSSH.
//!
//! Its server reads the keys of administrators from one file for all of them, and only if nobody but SYSTEM and the
//! administrators has access to that file.

use hive::{Value, data};

use super::{Hives, Registry, control_set};
use crate::wishes::Wishes;
use crate::{Error, Result, base64};

/// The file.
pub(crate) const KEYS_PATH: &str = "ProgramData\\ssh\\administrators_authorized_keys";

/// Types of keys that OpenSSH knows.
const TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

pub(super) fn ssh(wishes: &Wishes, hives: &Hives<'_>, registry: &mut Registry) -> Result<()> {
    let mut file = String::new();
    let mut keys = 0;
    for (position, line) in wishes.ssh_keys.iter().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        check(line).map_err(|reason| Error::wish(format!("ssh-key, line {}", position + 1), reason))?;
        keys += 1;
        file.push_str(line);
        file.push('\n');
    }
    if keys == 0 {
        return Ok(());
    }
    registry.ssh_keys = Some(file.into_bytes());
    registry.report.push(format!(
        "SSH: {keys} authorised {} for administrators",
        if keys == 1 { "key" } else { "keys" }
    ));
    let capability =
        wishes.features.iter().any(|feature| feature.to_ascii_lowercase().starts_with("openssh.server~"));
    match hives.service("sshd") {
        Some(sshd) if sshd.value("Start").and_then(Value::as_u32) == Some(2) => {}
        Some(_) => {
            let key = control_set("Services\\sshd");
            registry.set(&key, &[("Start", hive::Kind::DWORD, data::dword(2))]);
        }
        None if capability => registry.services.push("sshd"),
        None => registry.notes.push(
            "the image has no SSH server; the feature OpenSSH.Server~~~~0.0.1.0 brings it to Windows 10 and Server 2019"
                .to_owned(),
        ),
    }
    Ok(())
}

/// Whether a line is one of an `authorized_keys` file: options, the type of the key, the key in base64, a comment. The
/// key repeats its type at its start.
fn check(line: &str) -> Result<(), String> {
    if line.chars().any(|character| character.is_control() && character != '\t') {
        return Err("it has a control character in it".to_owned());
    }
    if line.contains("PRIVATE KEY") {
        return Err("it is of a private key; the public one belongs here".to_owned());
    }
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(kind) = words.find(|word| TYPES.contains(word)) else {
        return Err(format!("it has no type of key in it, expected one of {}", TYPES.join(", ")));
    };
    let bytes = words
        .next()
        .and_then(base64::decode)
        .ok_or_else(|| format!("there is no base64 text behind {kind}"))?;
    let inner = bytes
        .split_first_chunk::<4>()
        .and_then(|(length, rest)| rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?));
    if inner != Some(kind.as_bytes()) {
        return Err(format!("what is behind {kind} is no key of that type"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_keys() {
        let key = |kind: &str| {
            let bytes = [&(kind.len() as u32).to_be_bytes()[..], kind.as_bytes(), &[0, 0, 0, 1, 7]].concat();
            base64::encode(&bytes)
        };
        let ed = key("ssh-ed25519");
        for good in [
            format!("ssh-ed25519 {ed}"),
            format!("ssh-ed25519 {ed} me@example"),
            format!("from=\"10.0.0.0/8\",no-pty ssh-ed25519\t{ed} x"),
            format!("ssh-rsa {}", key("ssh-rsa")),
        ] {
            assert_eq!(check(&good), Ok(()), "{good}");
        }
        for bad in [
            "ssh-ed25519".to_owned(),
            format!("ssh-rsa {ed}"),
            format!("ssh-ed25519 {}", &ed[..ed.len() - 1]),
            "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
            ed.clone(),
            "ssh-ed25519 AAAA".to_owned(),
            "ssh-ed25519 /////w==".to_owned(),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
    }
}

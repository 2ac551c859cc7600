//! Remote management: WinRM and Remote Desktop.
//!
//! WinRM keeps its settings in `SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN`. Servers start it and listen; clients have
//! the service at start type 3 and no listener, and what `winrm quickconfig` makes of that is a start type of 2 and a key
//! for the listener, whose two values are the prefix of its addresses and its port (seen in exports). The firewall is
//! [`super::firewall`]'s.

use hive::{Kind, data};

use super::{Hives, Registry, control_set, software};
use crate::wishes::Wishes;
use crate::{About, Error, Result};

const WSMAN: &str = "Microsoft\\Windows\\CurrentVersion\\WSMAN";

/// A service that starts with the machine.
const AUTOMATIC: u32 = 2;

pub(super) fn remote(
    wishes: &Wishes,
    about: &About,
    hives: &Hives<'_>,
    registry: &mut Registry,
) -> Result<()> {
    if let Some(winrm) = wishes.winrm {
        start(hives, registry, "WinRM");
        if about.is_client() {
            let listener = software(&format!("{WSMAN}\\Listener\\*+HTTP"));
            let values =
                [("uriprefix", Kind::SZ, data::sz("wsman")), ("Port", Kind::DWORD, data::dword(5985))];
            registry.set(&listener, &values);
        }
        if winrm.basic {
            registry.set_dwords(&software(&format!("{WSMAN}\\Service")), &[("auth_basic", 1)]);
            registry.set_dwords(&software(&format!("{WSMAN}\\Client")), &[("auth_basic", 1)]);
        }
        if winrm.unencrypted {
            registry.set_dwords(&software(&format!("{WSMAN}\\Service")), &[("allow_unencrypted", 1)]);
        }
        let how = match (winrm.basic, winrm.unencrypted) {
            (true, true) => " with basic authentication and without encryption",
            (true, false) => " with basic authentication",
            (false, true) => " without encryption",
            (false, false) => "",
        };
        registry.report.push(format!("WinRM: HTTP, port 5985{how}"));
        if winrm.basic && winrm.unencrypted {
            registry
                .notes
                .push("WinRM sends passwords over HTTP in clear text: for closed networks only".to_owned());
        }
    }
    if wishes.https.is_some() {
        start(hives, registry, "WinRM");
        // Clients outside Windows have little else, and the connection is encrypted.
        registry.set_dwords(&software(&format!("{WSMAN}\\Service")), &[("auth_basic", 1)]);
        registry.report.push(
            "WinRM: HTTPS, port 5986, with basic authentication, from the end of the first boot".to_owned(),
        );
    }
    if wishes.rdp {
        if about.is_nano() {
            return Err(Error::unsupported("rdp", "Nano Server has no Remote Desktop"));
        }
        registry.set_dwords(&control_set("Control\\Terminal Server"), &[("fDenyTSConnections", 0)]);
        registry.report.push("Remote Desktop: allowed".to_owned());
        if hives.control_set.is_some() && hives.service("TermService").is_none() {
            registry
                .notes
                .push("the image has no service TermService: Remote Desktop will not answer".to_owned());
        }
    }
    Ok(())
}

/// Lets a service start with the machine, if the image has it.
fn start(hives: &Hives<'_>, registry: &mut Registry, service: &str) {
    match hives.service(service) {
        Some(key) if key.value("Start").and_then(hive::Value::as_u32) == Some(AUTOMATIC) => {}
        Some(_) => {
            registry.set_dwords(&control_set(&format!("Services\\{service}")), &[("Start", AUTOMATIC)])
        }
        None => registry.notes.push(format!("the image has no service {service}")),
    }
}

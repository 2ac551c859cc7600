//! The name of the machine, and what leads Windows to its answer file.
//!
//! Reports differ on whether Nano Server heeds the name of an answer file in every pass, and machines came up as `MINWINPC`.
//! So the name is also where a running Windows reads it: `ComputerName` in capitals as NetBIOS has it, and the two values of
//! TCP/IP as it was given. `ActiveComputerName` is made anew by every boot.

use hive::reg::{KeyPath, Operation};
use hive::{Kind, data};

use super::{Hives, Registry, control_set, software};
use crate::wishes::Wishes;

pub(super) fn identity(wishes: &Wishes, hives: &Hives<'_>, registry: &mut Registry) {
    if let Some(name) = wishes.computer_name.as_deref().filter(|name| *name != "*") {
        let netbios = data::sz(&name.to_ascii_uppercase());
        registry
            .set(&control_set("Control\\ComputerName\\ComputerName"), &[("ComputerName", Kind::SZ, netbios)]);
        let host = || data::sz(name);
        let values = [("Hostname", Kind::SZ, host()), ("NV Hostname", Kind::SZ, host())];
        registry.set(&control_set("Services\\Tcpip\\Parameters"), &values);
        if wishes.domain_blob.is_some() {
            registry.notes.push(format!("computer-name {name} has to be the name in the domain blob"));
        }
    }
    if wishes.remote_administrators {
        // Without it, local administrators other than the built-in one get no administrator's rights over the network.
        let key = software("Microsoft\\Windows\\CurrentVersion\\Policies\\System");
        registry.set_dwords(&key, &[("LocalAccountTokenFilterPolicy", 1)]);
        registry.report.push("local administrators are administrators over the network, too".to_owned());
    }
    if wishes.private_network {
        let key = software(
            "Policies\\Microsoft\\Windows NT\\CurrentVersion\\NetworkList\\Signatures\\FirstNetwork",
        );
        registry.set_dwords(&key, &[("Category", 1)]);
        registry.report.push("the first network counts as private".to_owned());
    }
    // This value would lead Windows past the answer file in its usual place.
    let leads_away = hives.system.subkey("Setup").and_then(|setup| setup.value("UnattendFile")).is_some();
    if leads_away {
        let setup = KeyPath::parse("HKEY_LOCAL_MACHINE\\SYSTEM\\Setup");
        registry.operations.push(Operation::unset(&setup, "UnattendFile"));
        registry
            .notes
            .push("SYSTEM\\Setup named another answer file; the value UnattendFile was removed".to_owned());
    }
}

//! `memberships`: services, and the processes that they share.

use hive::{Kind, data};

use super::registry::number;
use super::{Manifest, Notes, RegistryValue, descriptor_of};
use crate::xml::Element;
use crate::{Result, expand};

/// A service or driver that a component makes known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The name of its key.
    pub name: String,
    /// The values of its key.
    pub values: Vec<RegistryValue>,
    /// The name of its own security descriptor (not its key's).
    pub descriptor: Option<String>,
}

/// A service that runs in a process with others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct GroupMember {
    /// The process: the name of a value of `SOFTWARE\Microsoft\Windows NT\CurrentVersion\SvcHost`.
    pub group: String,
    /// The service.
    pub service: String,
    /// Whether it comes before the others.
    pub first: bool,
}

const TYPES: &[(&str, u32)] = &[
    ("kernelDriver", 1),
    ("fileSystemDriver", 2),
    ("recognizerDriver", 8),
    ("win32OwnProcess", 0x10),
    ("win32ShareProcess", 0x20),
];
const STARTS: &[(&str, u32)] =
    &[("boot", 0), ("system", 1), ("auto", 2), ("delayedAuto", 2), ("demand", 3), ("disabled", 4)];
const ERROR_CONTROLS: &[(&str, u32)] = &[("ignore", 0), ("normal", 1), ("severe", 2), ("critical", 3)];
const SID_TYPES: &[(&str, u32)] = &[("none", 0), ("unrestricted", 1), ("restricted", 3)];
const ACTIONS: &[(&str, u32)] =
    &[("none", 0), ("restartService", 1), ("rebootMachine", 2), ("runCommand", 3)];

pub(super) fn read(
    memberships: &Element,
    architecture: &str,
    manifest: &mut Manifest,
    notes: &mut Notes,
) -> Result<()> {
    notes.only(memberships, &[], &["categoryMembership"]);
    for membership in memberships.all("categoryMembership") {
        let notes = &mut notes.below("categoryMembership");
        notes.only(membership, &[], &["id", "categoryInstance"]);
        let kind = membership.child("id").and_then(|id| id.get("typeName")).unwrap_or_default();
        match kind {
            "Service" => {
                for instance in membership.all("categoryInstance") {
                    let notes = &mut notes.below("categoryInstance");
                    notes.only(instance, &["subcategory"], &["serviceData"]);
                    for service in instance.all("serviceData") {
                        let read = read_service(service, architecture, &mut notes.below("serviceData"))?;
                        manifest.services.push(read);
                    }
                }
            }
            "SvcHost" => {
                for instance in membership.all("categoryInstance") {
                    let notes = &mut notes.below("categoryInstance");
                    notes.only(instance, &["subcategory"], &["serviceGroup"]);
                    for member in instance.all("serviceGroup") {
                        let notes = &mut notes.below("serviceGroup");
                        notes.only(member, &["position", "serviceName"], &[]);
                        let first = match member.get("position").unwrap_or("last") {
                            "first" => true,
                            "last" => false,
                            _ => {
                                notes.add("@position");
                                continue;
                            }
                        };
                        let group = instance.need("subcategory")?.to_owned();
                        let service = member.need("serviceName")?.to_owned();
                        manifest.group_members.push(GroupMember { group, service, first });
                    }
                }
            }
            // Packages that only group settings are members of a category that names their kind.
            _ => notes.add(&format!(" {kind:.60}")),
        }
    }
    Ok(())
}

fn read_service(service: &Element, architecture: &str, notes: &mut Notes) -> Result<Service> {
    let name = service.need("name")?.to_owned();
    if name.is_empty() || name.contains(['\\', '/', '\0']) {
        return Err(service.malformed(format!("a service is called {name:?}")));
    }
    notes.only(
        service,
        &[
            "name",
            "displayName",
            "description",
            "errorControl",
            "start",
            "type",
            "dependOnService",
            "dependOnGroup",
            "group",
            "imagePath",
            "objectName",
            "requiredPrivileges",
            "sidType",
            "tag",
        ],
        &["failureActions", "securityDescriptor"],
    );
    let mut values = Vec::new();
    let mut set = |name: &str, kind: Kind, data: Vec<u8>| {
        values.push(RegistryValue { name: name.to_owned(), kind, data });
    };
    for (attribute, value, table, default) in [
        ("type", "Type", TYPES, None),
        ("start", "Start", STARTS, None),
        ("errorControl", "ErrorControl", ERROR_CONTROLS, Some(1)),
        ("sidType", "ServiceSidType", SID_TYPES, None),
    ] {
        match service.get(attribute) {
            Some(word) => match table.iter().find(|(other, _)| *other == word) {
                Some((_, number)) => set(value, Kind::DWORD, data::dword(*number)),
                None => notes.add(&format!("@{attribute} {word:.40}")),
            },
            None => match default {
                Some(number) => set(value, Kind::DWORD, data::dword(number)),
                None if attribute == "sidType" => {}
                None => notes.add(&format!("@{attribute} that is not given")),
            },
        }
    }
    if service.get("start") == Some("delayedAuto") {
        set("DelayedAutostart", Kind::DWORD, data::dword(1));
    }
    if let Some(tag) = service.get("tag") {
        match number(tag).and_then(|tag| u32::try_from(tag).ok()) {
            Some(tag) => set("Tag", Kind::DWORD, data::dword(tag)),
            None => notes.add("@tag"),
        }
    }
    for (attribute, value, kind) in [
        ("imagePath", "ImagePath", Kind::EXPAND_SZ),
        ("displayName", "DisplayName", Kind::SZ),
        ("description", "Description", Kind::SZ),
        ("group", "Group", Kind::SZ),
        ("objectName", "ObjectName", Kind::SZ),
    ] {
        let Some(text) = service.get(attribute).filter(|text| !text.is_empty()) else { continue };
        match expand::absolute(text, architecture) {
            Ok(text) => set(value, kind, data::sz(&text)),
            Err(why) => notes.add(&format!("@{attribute}: {why}")),
        }
    }
    for (attribute, value) in [
        ("dependOnService", "DependOnService"),
        ("dependOnGroup", "DependOnGroup"),
        ("requiredPrivileges", "RequiredPrivileges"),
    ] {
        let texts = service.get(attribute).unwrap_or_default().split(',').map(str::trim);
        let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
        if !texts.is_empty() {
            set(value, Kind::MULTI_SZ, data::multi_sz(texts));
        }
    }
    if let Some(actions) = service.child("failureActions") {
        let bytes = failure_actions(actions, &mut notes.below("failureActions"));
        match bytes {
            Some(bytes) => set("FailureActions", Kind::BINARY, bytes),
            None => notes.add("/failureActions"),
        }
    }
    Ok(Service { name, values, descriptor: descriptor_of(service)? })
}

/// `SERVICE_FAILURE_ACTIONS` as the registry has it, with 32-bit offsets: the actions lie right behind it.
fn failure_actions(element: &Element, notes: &mut Notes) -> Option<Vec<u8>> {
    notes.only(element, &["resetPeriod"], &["actions"]);
    let word = |text: &str| number(text).and_then(|number| u32::try_from(number).ok());
    let mut actions = Vec::new();
    for action in element.all("actions").flat_map(|actions| actions.all("action")) {
        let (_, kind) = ACTIONS.iter().find(|(name, _)| action.get("type") == Some(*name))?;
        actions.push([*kind, word(action.get("delay").unwrap_or("0"))?]);
    }
    let reset = word(element.get("resetPeriod").unwrap_or("0"))?;
    let head = [reset, 0, 0, actions.len() as u32, 20];
    Some(head.into_iter().chain(actions.into_iter().flatten()).flat_map(u32::to_le_bytes).collect())
}

//! `AddService` and the sections that it names.

use super::Label;
use super::context::{Context, Directive};
use super::registry::{self, RegistryChange};
use crate::Result;
use crate::inf::same;

/// When a service is started.
pub mod start_type {
    /// By the boot loader.
    pub const BOOT: u32 = 0;
    /// By the kernel.
    pub const SYSTEM: u32 = 1;
    /// By the service control manager when Windows starts.
    pub const AUTO: u32 = 2;
    /// On demand.
    pub const DEMAND: u32 = 3;
    /// Never.
    pub const DISABLED: u32 = 4;
}

/// A service that an install section makes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Service {
    /// Its name: that of its key below `Services`.
    pub name: String,
    /// `SPSVCINST` bits.
    pub flags: u32,
    /// What its section says.
    pub config: ServiceConfig,
    /// Registry changes; relative ones are for the service's key.
    pub registry: Vec<RegistryChange>,
    /// The log that its events go to.
    pub event_log: Option<EventLog>,
    /// The version of the kernel-mode driver framework it was built for, such as `1.15`, by `.Wdf`.
    pub kmdf_version: Option<String>,
}

/// What a service's section says. Values that it does not have are `None` or empty.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// What people call it.
    pub display_name: Option<Label>,
    /// What it is for.
    pub description: Option<Label>,
    /// `SERVICE_*` type bits: 1 is a driver.
    pub service_type: Option<u32>,
    /// [When](start_type) it is started.
    pub start: Option<u32>,
    /// What happens when it does not start.
    pub error_control: Option<u32>,
    /// Its program: a path from the root of the volume when it lies on that, with backslashes.
    pub binary: Option<String>,
    /// Whether that lies on the volume of Windows; otherwise it is as the INF file has it.
    pub binary_on_volume: bool,
    /// The account that it runs as.
    pub start_name: Option<String>,
    /// The group that it is started with.
    pub load_order_group: Option<String>,
    /// Services that are started before it, and groups, which have a plus sign in front.
    pub dependencies: Vec<String>,
    /// Which disks it is started from in spite of its start type: `CM_SERVICE_*_BOOT_START` bits.
    pub boot_flags: Option<u32>,
    /// How its security identifier is used.
    pub sid_type: Option<u32>,
    /// Whether an automatic start waits until the others have started.
    pub delayed_start: Option<u32>,
    /// Who may do what with it, as SDDL.
    pub security: Option<String>,
}

/// A log that a service's events go to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventLog {
    /// Which: `System`, `Application` or `Security`.
    pub log: String,
    /// The name of its source.
    pub source: String,
    /// Registry changes; relative ones are for the source's key.
    pub registry: Vec<RegistryChange>,
}

/// `SPSVCINST_ASSOCSERVICE`: the service drives the device.
pub(super) const ASSOCIATED: u32 = 2;

/// The service of an `AddService` line; `None` for one that is no service but says that the device needs none.
pub(super) fn add(context: &mut Context<'_>, directive: &Directive) -> Result<(Option<Service>, u32)> {
    let name = context.text(directive, 0)?;
    let flags = context.number(directive, 1)?.unwrap_or(0);
    if name.is_empty() {
        return Ok((None, flags));
    }
    if name.contains(['\\', '/', '\0']) || name.encode_utf16().count() > 255 {
        return Err(directive.error(format!("{name:.60} is no name of a service")));
    }
    let section = context.text(directive, 2)?;
    let mut registry = Vec::new();
    let mut config = ServiceConfig::default();
    match context.directives(&directive.inf, &section)? {
        Some(lines) => {
            for line in lines {
                service_line(context, &line, &mut config, &mut registry)?;
            }
        }
        None if section.is_empty() => {}
        None => return Err(directive.error(format!("there is no service section {section}"))),
    }
    let event_section = context.text(directive, 3)?;
    let event_log = if event_section.is_empty() {
        None
    } else {
        let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
        let log = or(context.text(directive, 4)?, "System");
        let source = or(context.text(directive, 5)?, &name);
        let mut registry = Vec::new();
        match context.directives(&directive.inf, &event_section)? {
            Some(lines) => {
                for line in lines {
                    registry_line(context, &line, &mut registry)?;
                }
            }
            None => context.warn(directive.place(), format!("there is no event log section {event_section}")),
        }
        Some(EventLog { log, source, registry })
    };
    Ok((Some(Service { name, flags, config, registry, event_log, kmdf_version: None }), flags))
}

/// `AddReg` and `DelReg`; anything else is a warning.
pub(super) fn registry_line(
    context: &mut Context<'_>,
    line: &Directive,
    registry: &mut Vec<RegistryChange>,
) -> Result<()> {
    if line.is("AddReg") {
        registry::add(context, line, registry)
    } else if line.is("DelReg") {
        registry::delete(context, line, registry)
    } else {
        not_understood(context, line);
        Ok(())
    }
}

/// Directives that are known, and that do nothing before the device is there.
const FOR_WINDOWS: &[&str] = &[
    // Any class.
    "AddComponent",
    "AddEventProvider",
    "AddPowerSetting",
    "AddProperty",
    "AddSoftware",
    "AddTrigger",
    "BitReg",
    "DelFiles",
    "DelPower",
    "DelProperty",
    "Ini2Reg",
    "LogConfig",
    "LogConfigOverride",
    "ProfileItems",
    "RegisterDlls",
    "RenFiles",
    "UnregisterDlls",
    "UpdateIniFields",
    "UpdateInis",
    "CopyINF",
    "FailureActions",
    // Network adapters, ports, and what their class installers read.
    "*IfConnectorPresent",
    "*IfType",
    "*MediaType",
    "*PhysicalMediaType",
    "BusType",
    "Characteristics",
    "EISACompressedID",
    "PortType",
    "PromptForPort",
    "SyssetupPnPFlags",
];

pub(super) fn not_understood(context: &mut Context<'_>, line: &Directive) {
    let key = line.line.key.as_deref().unwrap_or_else(|| line.line.field(0));
    let what = if FOR_WINDOWS.iter().any(|known| same(known, key)) {
        format!("{key} is left to Windows, which reads it when it installs the device")
    } else {
        format!("{key:.40} is not understood; it is passed over")
    };
    context.warn(line.place(), what);
}

fn service_line(
    context: &mut Context<'_>,
    line: &Directive,
    config: &mut ServiceConfig,
    registry: &mut Vec<RegistryChange>,
) -> Result<()> {
    let Some(key) = line.line.key.as_deref() else {
        not_understood(context, line);
        return Ok(());
    };
    let is = |name: &str| same(key, name);
    if is("DisplayName") {
        config.display_name = Some(context.label(line, line.line.field(0))?);
    } else if is("Description") {
        config.description = Some(context.label(line, line.line.field(0))?);
    } else if is("ServiceType") {
        config.service_type = context.number(line, 0)?;
    } else if is("StartType") {
        config.start = context.number(line, 0)?;
    } else if is("ErrorControl") {
        config.error_control = context.number(line, 0)?;
    } else if is("ServiceBinary") {
        let path = context.text(line, 0)?;
        let relative = context.folders.relative(&path).map(str::to_owned);
        config.binary_on_volume = relative.is_some();
        config.binary = Some(relative.unwrap_or(path)).filter(|path| !path.is_empty());
    } else if is("StartName") {
        config.start_name = Some(context.text(line, 0)?).filter(|text| !text.is_empty());
    } else if is("LoadOrderGroup") {
        config.load_order_group = Some(context.text(line, 0)?).filter(|text| !text.is_empty());
    } else if is("Dependencies") {
        config.dependencies = context.texts(line, 0)?;
    } else if is("BootFlags") {
        config.boot_flags = context.number(line, 0)?;
    } else if is("ServiceSidType") {
        config.sid_type = context.number(line, 0)?;
    } else if is("DelayedAutoStart") {
        config.delayed_start = context.number(line, 0)?;
    } else if is("Security") {
        config.security = Some(context.text(line, 0)?).filter(|text| !text.is_empty());
    } else {
        registry_line(context, line, registry)?;
    }
    Ok(())
}

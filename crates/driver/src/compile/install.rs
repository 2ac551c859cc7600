//! Install sections, and those beside them.

use std::sync::Arc;

use super::context::{Context, Directive};
use super::{Class, Configuration, Interface, files, service};
use crate::inf::same;
use crate::{Place, Result};

/// The feature score of a driver that has none.
const NO_FEATURE_SCORE: u8 = 0xFF;

/// An install section by its undecorated name; `None` when there is none for this platform.
pub(super) fn configuration(context: &mut Context<'_>, name: &str) -> Result<Option<Configuration>> {
    let main = Arc::clone(&context.main);
    let Some(section) = context.for_platform(&main, name, "") else { return Ok(None) };
    let beside = |context: &Context<'_>, extension: &str| {
        // Windows looks under the name that it found. Older INF files have one of these sections for all platforms.
        let exact = format!("{section}{extension}");
        if main.section(&exact).is_some() {
            Some(exact)
        } else {
            context.for_platform(&main, name, extension)
        }
    };
    let place = main.section(&section).map_or_else(Place::default, |found| Place {
        file: main.name().to_owned(),
        section: found.name.clone(),
        line: found.line,
    });
    let mut out = Configuration {
        section: main.section(&section).map_or_else(|| section.clone(), |found| found.name.clone()),
        place,
        feature_score: NO_FEATURE_SCORE,
        ..Configuration::default()
    };
    let mut included = Vec::new();
    for line in context.lines_with_needs(&section, &mut included)? {
        install_line(context, &line, &mut out)?;
    }
    if let Some(hw) = beside(context, ".HW") {
        out.has.hw = true;
        for line in context.lines_with_needs(&hw, &mut included)? {
            service::registry_line(context, &line, &mut out.device)?;
        }
    }
    if let Some(services) = beside(context, ".Services") {
        out.has.services = true;
        for line in context.lines_with_needs(&services, &mut included)? {
            services_line(context, &line, &mut out)?;
        }
    }
    if let Some(co_installers) = beside(context, ".CoInstallers") {
        for line in context.lines_with_needs(&co_installers, &mut included)? {
            if line.is("CopyFiles") {
                files::copy_files(context, &line, &mut out.files)?;
            } else {
                service::registry_line(context, &line, &mut out.driver)?;
            }
        }
    }
    if let Some(interfaces) = beside(context, ".Interfaces") {
        out.has.interfaces = true;
        for line in context.lines_with_needs(&interfaces, &mut included)? {
            if line.is("AddInterface") {
                out.interfaces.push(interface(context, &line)?);
            } else {
                service::not_understood(context, &line);
            }
        }
    }
    if let Some(wdf) = beside(context, ".Wdf") {
        out.has.wdf = true;
        for line in context.lines_with_needs(&wdf, &mut included)? {
            wdf_line(context, &line, &mut out)?;
        }
    }
    if let Some(filters) = beside(context, ".Filters") {
        for line in context.lines_with_needs(&filters, &mut included)? {
            filter_line(context, &line, &mut out)?;
        }
    }
    for extension in [".Components", ".Software", ".Events", ".FactDef", ".LogConfigOverride"] {
        if let Some(name) = beside(context, extension)
            && let Some(found) = main.section(&name)
        {
            let place = Place { file: main.name().to_owned(), section: found.name.clone(), line: found.line };
            context
                .warn(place, "the section is not understood; Windows reads it when it installs the device");
        }
    }
    out.included_infs = included;
    Ok(Some(out))
}

fn install_line(context: &mut Context<'_>, line: &Directive, out: &mut Configuration) -> Result<()> {
    if line.is("CopyFiles") {
        files::copy_files(context, line, &mut out.files)?;
    } else if line.is("ExcludeID") {
        out.excluded_ids.extend(context.texts(line, 0)?);
    } else if line.is("FeatureScore") {
        let text = context.text(line, 0)?;
        // Always hexadecimal, whether it says so or not.
        let digits = text.trim_start_matches("0x").trim_start_matches("0X");
        out.feature_score = u8::from_str_radix(digits, 16)
            .map_err(|_| line.error(format!("{text:.40} is not a feature score, expected 00 to FF")))?;
    } else if line.is("Reboot") || line.is("Restart") || is_word(line, "Reboot") || is_word(line, "Restart") {
        out.reboot = true;
    } else if line.is("DriverVer") {
        // Windows has ignored it in this place since Windows XP.
    } else {
        service::registry_line(context, line, &mut out.driver)?;
    }
    Ok(())
}

fn is_word(line: &Directive, word: &str) -> bool {
    line.line.key.is_none() && same(line.line.field(0), word)
}

fn services_line(context: &mut Context<'_>, line: &Directive, out: &mut Configuration) -> Result<()> {
    if line.is("AddService") {
        let (service, flags) = service::add(context, line)?;
        if flags & service::ASSOCIATED != 0 {
            out.service = Some(service.as_ref().map_or_else(String::new, |service| service.name.clone()));
        }
        out.services.extend(service);
    } else if line.is("DelService") {
        out.deleted_services.push(context.text(line, 0)?);
    } else {
        service::not_understood(context, line);
    }
    Ok(())
}

/// `AddInterface = {class}[,reference[,section[,flags]]]`
fn interface(context: &mut Context<'_>, line: &Directive) -> Result<Interface> {
    let class = context.text(line, 0)?;
    let class = class.trim().parse().map_err(|error| line.error(format!("{class:.60}: {error}")))?;
    let reference = context.text(line, 1)?;
    let section = context.text(line, 2)?;
    let mut registry = Vec::new();
    if !section.is_empty() {
        let found = context.for_platform(&line.inf, &section, "");
        let lines = match found {
            Some(name) => context.directives(&line.inf, &name)?.unwrap_or_default(),
            None => {
                context.warn(line.place(), format!("there is no interface section {section}"));
                Vec::new()
            }
        };
        for line in lines {
            if line.is("CopyFiles") {
                service::not_understood(context, &line);
            } else {
                service::registry_line(context, &line, &mut registry)?;
            }
        }
    }
    Ok(Interface { class, reference, registry })
}

/// `KmdfService = service, section`, where the section says which version of the framework.
fn wdf_line(context: &mut Context<'_>, line: &Directive, out: &mut Configuration) -> Result<()> {
    if !line.is("KmdfService") {
        // User-mode drivers are set up when the device is installed; no boot depends on one.
        return Ok(());
    }
    let (name, section) = (context.text(line, 0)?, context.text(line, 1)?);
    let mut version = None;
    for line in context.lines(&line.inf, &section)?.unwrap_or_default() {
        if line.is("KmdfLibraryVersion") {
            version = Some(context.text(&line, 0)?);
        }
    }
    for service in out.services.iter_mut().filter(|service| same(&service.name, &name)) {
        service.kmdf_version.clone_from(&version);
    }
    Ok(())
}

/// `AddFilter = name, flags, section`, where the section says on which side of the driver.
fn filter_line(context: &mut Context<'_>, line: &Directive, out: &mut Configuration) -> Result<()> {
    if !line.is("AddFilter") {
        service::not_understood(context, line);
        return Ok(());
    }
    let (name, section) = (context.text(line, 0)?, context.text(line, 2)?);
    let mut position = String::new();
    for line in context.lines(&line.inf, &section)?.unwrap_or_default() {
        if line.is("FilterPosition") {
            position = context.text(&line, 0)?;
        } else {
            service::not_understood(context, &line);
        }
    }
    match () {
        () if same(&position, "Upper") => out.upper_filters.push(name),
        () if same(&position, "Lower") => out.lower_filters.push(name),
        () => context.warn(line.place(), format!("filter {name} has no position that is understood")),
    }
    Ok(())
}

/// `[ClassInstall32]`
pub(super) fn class(context: &mut Context<'_>) -> Result<Option<Class>> {
    let main = Arc::clone(&context.main);
    let Some(section) = context.for_platform(&main, "ClassInstall32", "") else { return Ok(None) };
    let line = main.section(&section).map_or(0, |found| found.line);
    let place = Place { file: main.name().to_owned(), section: section.clone(), line };
    let mut class = Class { place, registry: Vec::new(), files: Vec::new() };
    let mut included = Vec::new();
    for line in context.lines_with_needs(&section, &mut included)? {
        if line.is("CopyFiles") {
            files::copy_files(context, &line, &mut class.files)?;
        } else {
            service::registry_line(context, &line, &mut class.registry)?;
        }
    }
    Ok(Some(class))
}

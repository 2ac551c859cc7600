//! The `[Version]` section.

use std::sync::Arc;

use disk::{Calendar, FileTime, Guid};

use super::context::{Context, Directive};
use crate::inf::{Inf, Line, number, same};
use crate::target::Target;
use crate::{Error, Place, Result};

/// What an INF file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// The setup class' name, such as `Net`.
    pub class: String,
    /// The setup class.
    pub class_guid: Option<Guid>,
    /// Who provides it.
    pub provider: String,
    /// Its date: midnight UTC of `DriverVer`.
    pub date: Option<FileTime>,
    /// Its version: the four numbers of `DriverVer`.
    pub version: [u16; 4],
    /// The name of its catalog for this Windows.
    pub catalog: Option<String>,
    /// Whether Windows protects its files (`PnpLockdown`).
    pub lockdown: bool,
    /// What it extends, for an extension INF.
    pub extension_id: Option<Guid>,
}

/// A line of `[Version]` by key, with the platform's decoration if there is one: `CatalogFile.NTamd64`.
pub fn version_line<'i>(inf: &'i Inf, target: &Target, key: &str) -> Option<&'i Line> {
    let section = inf.section("Version")?;
    target.platforms().iter().find_map(|platform| section.line(&format!("{key}{platform}")))
}

pub(super) fn read(context: &mut Context<'_>) -> Result<Version> {
    let inf = Arc::clone(&context.main);
    let whole = |reason: &str| Error::Inf {
        place: Place { file: inf.name().to_owned(), ..Place::default() },
        reason: reason.to_owned(),
    };
    let section = inf.section("Version").ok_or_else(|| whole("has no [Version] section"))?;
    let directive =
        |line: &Line| Directive { inf: Arc::clone(&inf), section: section.name.clone(), line: line.clone() };
    let text = |context: &mut Context<'_>, key: &str| -> Result<Option<(String, Directive)>> {
        let Some(line) = section.line(key) else { return Ok(None) };
        let directive = directive(line);
        Ok(Some((context.text(&directive, 0)?, directive)))
    };
    let Some((signature, at)) = text(context, "Signature")? else {
        return Err(whole("[Version] has no Signature"));
    };
    if !same(&signature, "$Windows NT$") && !same(&signature, "$Chicago$") {
        return Err(at.error(format!("Signature is {signature:.40}, expected $Windows NT$")));
    }
    let guid = |found: Option<(String, Directive)>| match found {
        Some((text, at)) => {
            text.trim().parse::<Guid>().map(Some).map_err(|error| at.error(format!("{text:.60}: {error}")))
        }
        None => Ok(None),
    };
    let class_guid = guid(text(context, "ClassGuid")?)?;
    let extension_id = guid(text(context, "ExtensionId")?)?;
    let class = text(context, "Class")?.map(|(text, _)| text).unwrap_or_default();
    let provider = text(context, "Provider")?.map(|(text, _)| text).unwrap_or_default();
    let lockdown = text(context, "PnpLockdown")?.and_then(|(text, _)| number(&text)) == Some(1);
    let catalog = match version_line(&inf, context.target, "CatalogFile") {
        Some(line) => Some(context.text(&directive(line), 0)?).filter(|name| !name.is_empty()),
        None => None,
    };
    let (mut date, mut version) = (None, [0; 4]);
    if let Some(line) = version_line(&inf, context.target, "DriverVer") {
        let at = directive(line);
        let (day, numbers) = (context.text(&at, 0)?, context.text(&at, 1)?);
        date = Some(
            parse_date(&day)
                .ok_or_else(|| at.error(format!("{day:.40} is not a date, expected mm/dd/yyyy")))?,
        );
        version = parse_version(&numbers)
            .ok_or_else(|| at.error(format!("{numbers:.40} is not a version, expected w.x.y.z")))?;
    }
    Ok(Version { class, class_guid, provider, date, version, catalog, lockdown, extension_id })
}

/// `mm/dd/yyyy`, also with dashes.
fn parse_date(text: &str) -> Option<FileTime> {
    let parts: Vec<&str> = text.trim().split(['/', '-']).collect();
    let [month, day, year] = parts[..] else { return None };
    let [month, day, year] = [month, day, year].map(|part| part.trim().parse::<u16>().ok());
    let (month, day, year) = (month?, day?, year?);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && (1601..=9999).contains(&year);
    in_range.then(|| {
        let (month, day) = (month as u8, day as u8);
        FileTime::from_calendar(Calendar { year: year.into(), month, day, hour: 0, minute: 0, second: 0 })
    })
}

/// `w.x.y.z`; what is missing is zero.
fn parse_version(text: &str) -> Option<[u16; 4]> {
    let mut version = [0; 4];
    let text = text.trim();
    if text.is_empty() {
        return Some(version);
    }
    let mut parts = text.split('.');
    for slot in &mut version {
        let Some(part) = parts.next() else { break };
        *slot = part.trim().parse().ok()?;
    }
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_versions() {
        // 2019-08-02, as pvscsi has it in a real driver database.
        assert_eq!(parse_date("08/02/2019"), Some(FileTime(0x01D5_48C5_3A3B_0000)));
        assert_eq!(parse_date("8-2-2019"), parse_date("08/02/2019"));
        for text in ["", "2019-08-02", "13/01/2019", "08/02", "08/02/2019/1", "+8/02/2019x"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        assert_eq!(parse_version("1.3.15.0"), Some([1, 3, 15, 0]));
        assert_eq!(parse_version("10"), Some([10, 0, 0, 0]));
        assert_eq!(parse_version(""), Some([0; 4]));
        for text in ["1.2.3.4.5", "65536", "a", "1..2"] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }
}

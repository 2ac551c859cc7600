//! The packages of Nano Server by the names that `New-NanoServerImage` has for them, and their cabinets in a folder.
//!
//! Media have a folder `NanoServer\Packages` with a cabinet for every package, and in it one folder, called as the language,
//! with a second cabinet for each. Source of the names: the NanoServerImageGenerator module of Server 2016 and its previews.

use std::io;

use disk::At;

use crate::{Error, Result};

/// A package and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// What options and their users call it: `Compute`.
    pub short: &'static str,
    /// The name of its cabinet without the ending.
    pub package: &'static str,
    /// Other names: of parameters, and of cabinets in previews.
    pub others: &'static [&'static str],
}

const fn known(short: &'static str, package: &'static str) -> Known {
    Known { short, package, others: &[] }
}

/// All packages of the media of Windows Server 2016 and its previews.
pub const KNOWN: &[Known] = &[
    known("BootFromWim", "Microsoft-NanoServer-BootFromWim-Package"),
    Known {
        short: "Clustering",
        package: "Microsoft-NanoServer-FailoverCluster-Package",
        others: &["FailoverCluster"],
    },
    known("Compute", "Microsoft-NanoServer-Compute-Package"),
    known("Containers", "Microsoft-NanoServer-Containers-Package"),
    known("DCB", "Microsoft-NanoServer-DCB-Package"),
    known("Defender", "Microsoft-NanoServer-Defender-Package"),
    known("DNS", "Microsoft-NanoServer-DNS-Package"),
    known("DSC", "Microsoft-NanoServer-DSC-Package"),
    known("Guest", "Microsoft-NanoServer-Guest-Package"),
    known("Host", "Microsoft-NanoServer-Host-Package"),
    known("IIS", "Microsoft-NanoServer-IIS-Package"),
    known("NPDS", "Microsoft-NanoServer-NPDS-Package"),
    Known {
        short: "OEMDrivers",
        package: "Microsoft-NanoServer-OEM-Drivers-Package",
        others: &["OEM-Drivers"],
    },
    known("ReverseForwarders", "Microsoft-OneCore-ReverseForwarders-Package"),
    Known {
        short: "SCVMM",
        package: "Microsoft-NanoServer-SCVMM-Package",
        others: &["Microsoft-Windows-Server-SCVMM-Package"],
    },
    Known {
        short: "SCVMM-Compute",
        package: "Microsoft-NanoServer-SCVMM-Compute-Package",
        others: &["Microsoft-Windows-Server-SCVMM-Compute-Package"],
    },
    known("SecureStartup", "Microsoft-NanoServer-SecureStartup-Package"),
    known("ShieldedVM", "Microsoft-NanoServer-ShieldedVM-Package"),
    known("Storage", "Microsoft-NanoServer-Storage-Package"),
];

/// Where packages are looked for. Paths have slashes; the top is the empty path.
pub trait PackageFolder {
    /// The names in a folder, in any order, each with whether it is a folder.
    ///
    /// # Errors
    /// Why it cannot be listed.
    fn list(&self, folder: &str) -> io::Result<Vec<(String, bool)>>;
}

/// A package and its cabinets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chosen {
    /// The name of the package.
    pub package: String,
    /// The path of its cabinet.
    pub cabinet: String,
    /// The path of the cabinet of its texts, to be installed after it. Some packages have none.
    pub language_cabinet: Option<String>,
}

/// The cabinets of packages, each of which is called by any of its names, in the order in which they can be installed.
///
/// The language is that of the one folder inside of the top; `language` chooses when there are several.
///
/// # Errors
/// [`Error::NotFound`] for a name that is none, with the nearest ones; for a package whose cabinet is not there; when there
/// are several languages. [`Error::Io`] when a folder cannot be listed.
pub fn resolve(folder: &dyn PackageFolder, wanted: &[&str], language: Option<&str>) -> Result<Vec<Chosen>> {
    let io = |source| Error::Io { at: At::new("the folder of packages", 0), source };
    let top = folder.list("").map_err(io)?;
    let mut cabinets: Vec<&str> =
        top.iter().filter(|(_, is_folder)| !is_folder).map(|(name, _)| name.as_str()).collect();
    cabinets.retain(|name| name.to_ascii_lowercase().ends_with(".cab"));
    cabinets.sort_unstable();
    let mut packages = Vec::new();
    for name in wanted {
        let package = find(name, &cabinets)?;
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    // What another needs comes first.
    packages.sort_by_key(|package| order(package));
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let mut languages: Vec<&str> =
        top.iter().filter(|(_, is_folder)| *is_folder).map(|(name, _)| name.as_str()).collect();
    languages.sort_unstable();
    let language = match (language, &languages[..]) {
        (Some(wanted), _) => {
            let found = languages.iter().find(|name| name.eq_ignore_ascii_case(wanted));
            let none = || Error::NotFound(format!("no packages in {wanted}; there are {}", join(&languages)));
            Some(*found.ok_or_else(none)?)
        }
        (None, []) => None,
        (None, [only]) => Some(*only),
        (None, several) => {
            let reason =
                format!("packages are there in several languages, one has to be chosen: {}", join(several));
            return Err(Error::NotFound(reason));
        }
    };
    let texts = language.map(|language| folder.list(language).map_err(io)).transpose()?.unwrap_or_default();
    let chosen = packages.into_iter().map(|package| {
        let stem = &package[..package.len() - ".cab".len()];
        let language_cabinet = language.and_then(|language| {
            // Previews up to the fourth had no language in the name.
            let names = [format!("{stem}_{language}.cab"), package.to_owned()];
            let found = names.iter().find_map(|name| {
                texts.iter().find(|(other, is_folder)| !is_folder && other.eq_ignore_ascii_case(name))
            });
            found.map(|(name, _)| format!("{language}/{name}"))
        });
        Chosen { package: stem.to_owned(), cabinet: package.to_owned(), language_cabinet }
    });
    Ok(chosen.collect())
}

/// The cabinet that a name means.
fn find<'c>(name: &str, cabinets: &[&'c str]) -> Result<&'c str> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let plain = name.len().checked_sub(4).and_then(|at| name.split_at_checked(at));
    let name = plain.filter(|(_, ending)| same(ending, ".cab")).map_or(name, |(stem, _)| stem);
    let known = KNOWN.iter().find(|known| {
        same(known.short, name)
            || same(known.package, name)
            || known.others.iter().any(|other| same(other, name))
    });
    let mut candidates = vec![name];
    if let Some(known) = known {
        candidates.push(known.package);
        candidates.extend(known.others);
    }
    let found = candidates.iter().find_map(|candidate| {
        cabinets.iter().find(|cabinet| {
            cabinet
                .split_at_checked(candidate.len())
                .is_some_and(|(stem, rest)| same(stem, candidate) && same(rest, ".cab"))
        })
    });
    if let Some(cabinet) = found {
        return Ok(cabinet);
    }
    Err(Error::NotFound(match known {
        Some(known) if known.short == "ReverseForwarders" => {
            "there is no cabinet of ReverseForwarders: since the release of Windows Server 2016 it is part of the image"
                .to_owned()
        }
        Some(known) => format!("there is no {}.cab among the packages; there are {}", known.package, join(cabinets)),
        None => format!("no package is called {name}; {}", nearest(name)),
    }))
}

/// Packages that others need come before these: `NPDS` wants Defender.
fn order(cabinet: &str) -> u8 {
    u8::from(cabinet.to_ascii_lowercase().starts_with("microsoft-nanoserver-npds-"))
}

/// Why some packages do not go together, or not into an edition; nothing when they do.
///
/// Names are any that [`resolve`] takes. Source: the documentation of Nano Server, and the module's own checks.
pub fn conflicts(wanted: &[&str], edition: &str) -> Vec<String> {
    let has = |short: &str| {
        let known = KNOWN.iter().find(|known| known.short == short);
        wanted.iter().any(|name| {
            known.is_some_and(|known| {
                [known.short, known.package]
                    .iter()
                    .chain(known.others)
                    .any(|other| other.eq_ignore_ascii_case(name))
            })
        })
    };
    let mut reasons = Vec::new();
    if has("Host") && has("Guest") {
        reasons.push(
            "Host and Guest exclude each other: one is for machines, the other for virtual ones".to_owned(),
        );
    }
    if has("OEMDrivers") && has("Guest") {
        reasons.push(
            "OEMDrivers does not go with Guest, whose drivers are those of virtual machines".to_owned(),
        );
    }
    if has("NPDS") && !has("Defender") {
        reasons.push("NPDS needs Defender".to_owned());
    }
    if has("ShieldedVM") && !edition.is_empty() && !edition.to_ascii_lowercase().contains("datacenter") {
        reasons.push(format!("ShieldedVM is for Datacenter editions, the image is {edition}"));
    }
    reasons
}

fn nearest(name: &str) -> String {
    let name: String = name.chars().take(80).collect::<String>().to_ascii_lowercase();
    let mut names: Vec<(usize, &str)> = KNOWN
        .iter()
        .map(|known| (strsim::levenshtein(&name, &known.short.to_ascii_lowercase()), known.short))
        .collect();
    names.sort_unstable();
    let all = || join(&KNOWN.iter().map(|known| known.short).collect::<Vec<_>>());
    match names[0] {
        (far, short) if far * 2 <= short.len() => format!("did you mean {short}? There are {}", all()),
        _ => format!("there are {}", all()),
    }
}

fn join(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths of files.
    struct Files(&'static [&'static str]);

    impl PackageFolder for Files {
        fn list(&self, folder: &str) -> io::Result<Vec<(String, bool)>> {
            let mut names = Vec::new();
            for path in self.0 {
                let rest =
                    if folder.is_empty() { Some(*path) } else { path.strip_prefix(folder).map(|p| &p[1..]) };
                let Some(rest) = rest else { continue };
                let name = rest
                    .split_once('/')
                    .map_or((rest.to_owned(), false), |(name, _)| (name.to_owned(), true));
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Ok(names)
        }
    }

    const MEDIA: Files = Files(&[
        "Microsoft-NanoServer-Compute-Package.cab",
        "Microsoft-NanoServer-Defender-Package.cab",
        "Microsoft-NanoServer-NPDS-Package.cab",
        "microsoft-nanoserver-oem-drivers-package.CAB",
        "Vendor-Package.cab",
        "en-us/Microsoft-NanoServer-Compute-Package_en-us.cab",
        "en-us/Microsoft-NanoServer-Defender-Package.cab",
        "en-us/Microsoft-NanoServer-OEM-Drivers-Package_en-us.cab",
        "readme.txt",
    ]);

    #[test]
    fn names_and_languages() {
        let chosen = resolve(
            &MEDIA,
            &["NPDS", "compute", "Defender", "OEMDrivers", "Vendor-Package", "Compute"],
            None,
        )
        .unwrap();
        let found: Vec<_> = chosen
            .iter()
            .map(|chosen| (chosen.cabinet.as_str(), chosen.language_cabinet.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                (
                    "Microsoft-NanoServer-Compute-Package.cab",
                    Some("en-us/Microsoft-NanoServer-Compute-Package_en-us.cab")
                ),
                (
                    "Microsoft-NanoServer-Defender-Package.cab",
                    Some("en-us/Microsoft-NanoServer-Defender-Package.cab")
                ),
                (
                    "microsoft-nanoserver-oem-drivers-package.CAB",
                    Some("en-us/Microsoft-NanoServer-OEM-Drivers-Package_en-us.cab")
                ),
                ("Vendor-Package.cab", None),
                ("Microsoft-NanoServer-NPDS-Package.cab", None),
            ]
        );
        assert_eq!(
            resolve(&MEDIA, &["microsoft-nanoserver-compute-package.cab"], Some("EN-US")).unwrap().len(),
            1
        );
        assert_eq!(resolve(&Files(&[]), &[], None).unwrap(), []);
    }

    #[test]
    fn what_is_not_there() {
        let error = |wanted: &str, language| resolve(&MEDIA, &[wanted], language).unwrap_err().to_string();
        assert!(error("Compte", None).contains("did you mean Compute?"));
        assert!(error("nothing like it", None).contains("there are BootFromWim, "));
        assert!(error("Storage", None).contains("no Microsoft-NanoServer-Storage-Package.cab"));
        assert!(error("ReverseForwarders", None).contains("part of the image"));
        assert!(error("Compute", Some("de-de")).contains("there are en-us"));
        let two = Files(&["Microsoft-NanoServer-DNS-Package.cab", "de-de/x", "en-us/x"]);
        assert!(resolve(&two, &["DNS"], None).unwrap_err().to_string().contains("de-de, en-us"));
        for strange in ["", "é", ".cab", "ééé"] {
            resolve(&MEDIA, &[strange], None).unwrap_err();
        }
    }

    #[test]
    fn what_excludes_each_other() {
        assert_eq!(
            conflicts(&["Host", "OEM-Drivers", "NPDS", "Defender", "ShieldedVM"], "ServerDatacenterNano"),
            [""; 0]
        );
        assert_eq!(
            conflicts(&["host", "guest", "OEMDrivers", "NPDS", "ShieldedVM"], "ServerStandardNano").len(),
            4
        );
    }
}

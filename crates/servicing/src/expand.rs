//! `$(runtime.system32)` and the like: places that a manifest does not spell out.

use crate::limits::MAX_EXPANDED;

/// The drive that a Windows calls its own. Setup gives it this letter.
const DRIVE: &str = "C:";

/// The places, from the volume's root. Source: the names in manifests of Windows Server 2016 and later.
const PLACES: &[(&str, &str)] = &[
    ("runtime.bootdrive", ""),
    ("runtime.commonfiles", r"Program Files\Common Files"),
    ("runtime.documentssettings", "Users"),
    ("runtime.drivers", r"Windows\System32\drivers"),
    ("runtime.fonts", r"Windows\Fonts"),
    ("runtime.help", r"Windows\Help"),
    ("runtime.inf", r"Windows\INF"),
    ("runtime.programdata", "ProgramData"),
    ("runtime.programfiles", "Program Files"),
    ("runtime.programfilesx86", "Program Files (x86)"),
    ("runtime.public", r"Users\Public"),
    ("runtime.startmenu", r"ProgramData\Microsoft\Windows\Start Menu"),
    ("runtime.system", r"Windows\System"),
    ("runtime.system32", r"Windows\System32"),
    ("runtime.systemdrive", ""),
    ("runtime.systemroot", "Windows"),
    ("runtime.wbem", r"Windows\System32\wbem"),
    ("runtime.windows", "Windows"),
];

/// A text with its places spelled out as a running Windows would: `C:\Windows\System32`.
///
/// # Errors
/// Which part means nothing here.
pub(crate) fn absolute(text: &str, architecture: &str) -> Result<String, String> {
    replace(text, |name| {
        let place = place(name, architecture)?;
        Some(if place.is_empty() { DRIVE.to_owned() } else { format!("{DRIVE}\\{place}") })
    })
}

/// A path with its places spelled out, from the root of the volume, without backslashes at its ends.
///
/// # Errors
/// Why it is none.
pub(crate) fn path(text: &str, architecture: &str) -> Result<String, String> {
    let path = replace(text, |name| place(name, architecture).map(str::to_owned))?;
    if !text.trim_start().starts_with("$(") {
        return Err(format!("{text:?} does not begin with a place such as $(runtime.system32)"));
    }
    let parts: Vec<&str> = path.split('\\').filter(|part| !part.is_empty()).collect();
    confined(&parts).map_err(|why| format!("{text:?} {why}"))?;
    Ok(parts.join("\\"))
}

/// The name of a file or of files in folders, without backslashes at its ends.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('\\').collect();
    confined(&parts).map_err(|why| format!("{text:?} {why}"))?;
    Ok(parts.join("\\"))
}

fn confined(parts: &[&str]) -> Result<(), &'static str> {
    let bad = |part: &&str| {
        part.is_empty()
            || matches!(*part, "." | "..")
            || part.ends_with(['.', ' '])
            || part.contains(|c: char| c.is_control() || "<>:\"|?*/".contains(c))
    };
    if parts.iter().any(bad) { Err("is no path that stays where it belongs") } else { Ok(()) }
}

fn place(name: &str, architecture: &str) -> Option<&'static str> {
    // Programs of 32 bits on a system of 64 have places of their own.
    if architecture == "wow64" {
        match name.to_ascii_lowercase().as_str() {
            "runtime.system32" => return Some(r"Windows\SysWOW64"),
            "runtime.programfiles" => return Some("Program Files (x86)"),
            "runtime.commonfiles" => return Some(r"Program Files (x86)\Common Files"),
            "runtime.wbem" => return Some(r"Windows\SysWOW64\wbem"),
            "runtime.drivers" => return None,
            _ => {}
        }
    }
    PLACES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, place)| *place)
}

fn replace(text: &str, place: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("$(") {
        let (name, behind) = behind.split_once(')').ok_or_else(|| format!("$({behind:.40} does not end"))?;
        replaced.push_str(before);
        replaced.push_str(&place(name).ok_or_else(|| format!("$({name:.40}) is not known"))?);
        if replaced.len() > MAX_EXPANDED {
            return Err(format!("a text becomes longer than {MAX_EXPANDED} bytes"));
        }
        rest = behind;
    }
    replaced.push_str(rest);
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(
            path(r"$(runtime.system32)\forwarders\", "amd64").unwrap(),
            r"Windows\System32\forwarders"
        );
        assert_eq!(path(r"$(Runtime.Windows)", "amd64").unwrap(), "Windows");
        assert_eq!(path(r"$(runtime.system32)\", "wow64").unwrap(), r"Windows\SysWOW64");
        assert_eq!(absolute(r"x $(runtime.system32)\a", "amd64").unwrap(), r"x C:\Windows\System32\a");
        assert_eq!(absolute(r"$(runtime.systemdrive)\a", "amd64").unwrap(), r"C:\a");
        assert_eq!(absolute("%SystemRoot% $ (a)", "amd64").unwrap(), "%SystemRoot% $ (a)");
        for text in [
            r"C:\x",
            r"$(runtime.windows)\..\..\x",
            "$(runtime.userProfile)",
            "$(runtime.windows",
            r"$(runtime.windows)\a:b",
            "x",
        ] {
            path(text, "amd64").expect_err(text);
        }
    }

    #[test]
    fn names() {
        assert_eq!(name("a.dll").unwrap(), "a.dll");
        assert_eq!(name(r"en-US\a.dll.mui").unwrap(), r"en-US\a.dll.mui");
        for text in ["", r"\a", r"a\", "..", r"a\..\b", "c:a", "a/b", "a "] {
            name(text).expect_err(text);
        }
    }
}

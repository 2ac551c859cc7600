//! `registryKeys`.

use hive::{Kind, data};

use super::{Notes, descriptor_of};
use crate::xml::Element;
use crate::{Result, expand};

/// A key of the registry that a component makes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryKey {
    /// Its path, from `HKEY_LOCAL_MACHINE` on.
    pub path: String,
    /// Values that are set.
    pub values: Vec<RegistryValue>,
    /// The name of its security descriptor.
    pub descriptor: Option<String>,
}

/// A value of the registry that a component sets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryValue {
    /// Its name; empty for the default value.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Its data.
    pub data: Vec<u8>,
}

pub(super) fn read(
    keys: &Element,
    architecture: &str,
    read: &mut Vec<RegistryKey>,
    notes: &mut Notes,
) -> Result<()> {
    notes.only(keys, &[], &["registryKey"]);
    for key in keys.all("registryKey") {
        let notes = &mut notes.below("registryKey");
        // What may be changed later, and how keys are virtualised for programs of old, installs nothing.
        notes.only(
            key,
            &["keyName", "owner", "perUserVirtualization"],
            &["registryValue", "overridable", "securityDescriptor", "systemProtection"],
        );
        let name = key.need("keyName")?;
        let path = match expand::absolute(name, architecture).and_then(|name| path(&name)) {
            Ok(path) => path,
            Err(why) => {
                notes.add(&format!("@keyName: {why}"));
                continue;
            }
        };
        let mut values = Vec::new();
        for value in key.all("registryValue") {
            let notes = &mut notes.below("registryValue");
            notes.only(value, &["name", "valueType", "value", "mutable", "operationHint"], &[]);
            if value.get("operationHint").is_some_and(|hint| hint != "replace") {
                notes.add("@operationHint");
            }
            let (kind, text) = (value.need("valueType")?, value.get("value").unwrap_or_default());
            let read = expand::absolute(text, architecture).and_then(|text| content(kind, &text));
            match read {
                Ok((kind, data)) => {
                    values.push(RegistryValue {
                        name: value.get("name").unwrap_or_default().to_owned(),
                        kind,
                        data,
                    });
                }
                Err(why) => notes.add(&format!(": {why}")),
            }
        }
        read.push(RegistryKey { path, values, descriptor: descriptor_of(key)? });
    }
    Ok(())
}

/// The path of a key that lies in a hive of the image that a build edits.
fn path(name: &str) -> Result<String, String> {
    let name = name.trim_end_matches('\\');
    let (root, rest) = name.split_once('\\').ok_or_else(|| format!("{name:?} is a root"))?;
    let path = match root.to_ascii_uppercase().as_str() {
        "HKEY_LOCAL_MACHINE" => rest.to_owned(),
        "HKEY_CLASSES_ROOT" => format!("SOFTWARE\\Classes\\{rest}"),
        _ => return Err(format!("keys of {root} belong to users or to the running system")),
    };
    let hive = path.split('\\').next().unwrap_or_default();
    if !["SYSTEM", "SOFTWARE"].iter().any(|known| known.eq_ignore_ascii_case(hive)) {
        return Err(format!("keys of the hive {hive} are not written"));
    }
    if path.split('\\').any(|part| part.is_empty() || part.contains('\0')) {
        return Err(format!("{name:?} has a key without a name"));
    }
    Ok(format!("HKEY_LOCAL_MACHINE\\{path}"))
}

/// A value's type and data from what the manifest has. Source of the notations: manifests of Windows 10 and Server 2016.
fn content(kind: &str, text: &str) -> Result<(Kind, Vec<u8>), String> {
    let wrong = || format!("{text:.60?} is no {kind}");
    Ok(match kind {
        "REG_SZ" => (Kind::SZ, data::sz(text)),
        "REG_EXPAND_SZ" => (Kind::EXPAND_SZ, data::sz(text)),
        "REG_MULTI_SZ" => (Kind::MULTI_SZ, data::multi_sz(list(text).ok_or_else(wrong)?)),
        "REG_DWORD" => {
            let number = number(text).and_then(|number| u32::try_from(number).ok());
            (Kind::DWORD, data::dword(number.ok_or_else(wrong)?))
        }
        "REG_QWORD" => (Kind::QWORD, data::qword(number(text).ok_or_else(wrong)?)),
        "REG_BINARY" => (Kind::BINARY, bytes(text).ok_or_else(wrong)?),
        "REG_NONE" => (Kind::NONE, bytes(text).ok_or_else(wrong)?),
        "REG_RESOURCE_REQUIREMENTS_LIST" => {
            (Kind::RESOURCE_REQUIREMENTS_LIST, bytes(text).ok_or_else(wrong)?)
        }
        _ => return Err(format!("the type {kind:.40?}")),
    })
}

/// `0x10` or `16`.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match digits {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()
        }
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// `0102FF`
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// `"one","two"`. Quotes inside of a text have no notation that is known.
fn list(text: &str) -> Option<Vec<&str>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let texts: Vec<&str> = inner.split("\",\"").collect();
    texts.iter().all(|text| !text.is_empty() && !text.contains('"')).then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents() {
        assert_eq!(content("REG_DWORD", "0x000007D0").unwrap(), (Kind::DWORD, vec![0xD0, 7, 0, 0]));
        assert_eq!(content("REG_DWORD", "10").unwrap().1, [10, 0, 0, 0]);
        assert_eq!(content("REG_BINARY", "01fF").unwrap().1, [1, 0xFF]);
        assert_eq!(content("REG_MULTI_SZ", "\"a\",\"b c\"").unwrap().1, data::multi_sz(["a", "b c"]));
        assert_eq!(content("REG_MULTI_SZ", "").unwrap().1, [0, 0]);
        assert_eq!(content("REG_SZ", "").unwrap().1, [0, 0]);
        for (kind, text) in [
            ("REG_DWORD", "0x100000000"),
            ("REG_DWORD", "+1"),
            ("REG_DWORD", ""),
            ("REG_BINARY", "012"),
            ("REG_BINARY", "zz"),
            ("REG_MULTI_SZ", "a,b"),
            ("REG_MULTI_SZ", "\"a\"\"b\""),
            ("REG_MULTI_SZ", "\""),
            ("REG_FANCY", ""),
        ] {
            content(kind, text).expect_err(text);
        }
    }

    #[test]
    fn paths() {
        assert_eq!(path(r"HKEY_LOCAL_MACHINE\System\x\").unwrap(), r"HKEY_LOCAL_MACHINE\System\x");
        assert_eq!(path(r"HKEY_CLASSES_ROOT\.x").unwrap(), r"HKEY_LOCAL_MACHINE\SOFTWARE\Classes\.x");
        for name in [
            r"HKEY_CURRENT_USER\x",
            "HKEY_LOCAL_MACHINE",
            r"HKEY_LOCAL_MACHINE\SAM\x",
            r"HKEY_LOCAL_MACHINE\SYSTEM\\x",
        ] {
            path(name).expect_err(name);
        }
    }
}

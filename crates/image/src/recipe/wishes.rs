//! What a recipe wants of the image besides the disk.

use std::path::PathBuf;
use std::str::FromStr;

use hive::reg::{KeyPath, Operation};
use hive::{Kind, data};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a build changes in the image, besides `.reg` files and hives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customize {
    /// Names, accounts, addresses, what happens at the first boot.
    pub first_boot: firstboot::Wishes,
    /// Folders, INF files, cabinets, ZIP archives and ISO images with drivers.
    pub drivers: Vec<PathBuf>,
    /// Take drivers that are not signed, or whose signature does not hold.
    pub allow_unsigned: bool,
    /// Cabinets and `.msu` files.
    pub packages: Vec<PathBuf>,
    /// Packages by the names of New-NanoServerImage, to be found on the medium: `Compute`, `Guest`.
    pub media_packages: Vec<String>,
    /// Files and folders of the host that are copied into the image.
    pub copies: Vec<CopyChoice>,
    /// Values and keys of the registry.
    pub values: Vec<RegistryValue>,
    /// WinRM over HTTPS.
    pub https: Option<HttpsChoice>,
}

impl Customize {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether what is wanted depends on what Windows it is. Files and registry values do not, so that an image whose hives
    /// cannot be read can have some.
    pub(crate) fn asks_about_windows(&self) -> bool {
        let (copies, values) = (Vec::new(), Vec::new());
        !Self { copies, values, ..self.clone() }.is_empty()
    }
}

/// A certificate for WinRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsChoice {
    /// The PEM file of its private key. If it is not there, a key is made and written to it.
    pub key: PathBuf,
    /// Names and addresses that clients use, besides the computer's name.
    pub names: Vec<String>,
    /// Where the certificate goes, as PEM.
    pub certificate: PathBuf,
}

/// Something of the host that goes into the image: `SRC=DST`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyChoice {
    /// A file or a folder.
    pub from: PathBuf,
    /// Its path in the image, with slashes or backslashes; empty for the root, into which a folder's content goes.
    pub to: String,
}

impl FromStr for CopyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() => Ok(Self { from: from.into(), to: to.to_owned() }),
            _ => Err("expected SRC=DST, as in tools=\\Tools or hosts=Windows/System32/drivers/etc/hosts"
                .to_owned()),
        }
    }
}

/// `[[registry]]`: a value to set, or something to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryValue {
    /// The key, with the root of a registry: `HKLM\SYSTEM\CurrentControlSet\Control`.
    pub key: String,
    /// The value's name; empty for the default value. Without a name, the key itself is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The type. Without one, text is `sz`, a number `dword`, a list `multi-sz`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ValueType>,
    /// The data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Data>,
    /// Delete the value, or without a name the key with all below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueType {
    /// `REG_SZ`: text.
    Sz,
    /// `REG_EXPAND_SZ`: text with `%VARIABLES%`.
    ExpandSz,
    /// `REG_MULTI_SZ`: a list of texts.
    MultiSz,
    /// `REG_DWORD`: a number of 32 bits.
    Dword,
    /// `REG_QWORD`: a number of 64 bits.
    Qword,
    /// `REG_BINARY`: bytes, as hexadecimal digits.
    Binary,
}

/// Data of a value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// A number.
    Number(i64),
    /// Text; for `dword` and `qword` a number as text, such as `0x80000000`; for `binary` hexadecimal digits.
    Text(String),
    /// Texts.
    List(Vec<String>),
}

impl RegistryValue {
    /// The change to the registry.
    ///
    /// # Errors
    /// [`Error::Recipe`] for data that do not fit the type.
    pub fn operation(&self) -> Result<Operation> {
        let wrong = |problem: String| {
            let name = self.name.as_ref().map_or_else(String::new, |name| format!(", {name:?}"));
            Error::Recipe(format!("registry {}{name}: {problem}", self.key))
        };
        let key = KeyPath::parse(&self.key);
        match (&self.name, &self.value, self.delete) {
            (None, None, true) => Ok(Operation::delete(&key)),
            (Some(name), None, true) => Ok(Operation::unset(&key, name)),
            (_, Some(_), true) => Err(wrong("what is deleted has no value".to_owned())),
            (None, None, false) => Ok(Operation::create(&key)),
            (None, Some(_), false) => {
                Err(wrong("a value needs a name; the default value is the one named \"\"".to_owned()))
            }
            (Some(_), None, false) => Err(wrong("it has neither a value nor delete = true".to_owned())),
            (Some(name), Some(data), false) => {
                let kind = self.kind.unwrap_or(match data {
                    Data::Number(_) => ValueType::Dword,
                    Data::Text(_) => ValueType::Sz,
                    Data::List(_) => ValueType::MultiSz,
                });
                let (kind, data) = bytes(kind, data).map_err(wrong)?;
                Ok(Operation::set(&key, name, kind, data))
            }
        }
    }
}

fn bytes(kind: ValueType, value: &Data) -> Result<(Kind, Vec<u8>), String> {
    let number = || match value {
        Data::Number(number) => Ok(i128::from(*number)),
        Data::Text(text) => {
            let text = text.trim();
            let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                Some(digits) => i128::from_str_radix(digits, 16),
                None => text.parse(),
            };
            parsed.map_err(|_| format!("{text:?} is no number"))
        }
        Data::List(_) => Err("a list is no number".to_owned()),
    };
    let text = || match value {
        Data::Text(text) => Ok(data::sz(text)),
        Data::Number(number) => Ok(data::sz(&number.to_string())),
        Data::List(_) => Err("a list is multi-sz".to_owned()),
    };
    Ok(match kind {
        ValueType::Sz => (Kind::SZ, text()?),
        ValueType::ExpandSz => (Kind::EXPAND_SZ, text()?),
        ValueType::MultiSz => match value {
            Data::List(texts) => (Kind::MULTI_SZ, data::multi_sz(texts)),
            Data::Text(text) => (Kind::MULTI_SZ, data::multi_sz([text])),
            Data::Number(_) => return Err("multi-sz is a list of texts".to_owned()),
        },
        ValueType::Dword => {
            let number = number()?;
            // Negative ones are what people write for all bits set.
            let unsigned = u32::try_from(number).or_else(|_| i32::try_from(number).map(i32::cast_unsigned));
            (Kind::DWORD, data::dword(unsigned.map_err(|_| format!("{number} has more than 32 bits"))?))
        }
        ValueType::Qword => {
            let number = number()?;
            let unsigned = u64::try_from(number).or_else(|_| i64::try_from(number).map(i64::cast_unsigned));
            (Kind::QWORD, data::qword(unsigned.map_err(|_| format!("{number} has more than 64 bits"))?))
        }
        ValueType::Binary => match value {
            Data::Text(text) => (Kind::BINARY, hexadecimal(text)?),
            Data::Number(_) | Data::List(_) => {
                return Err("binary is hexadecimal digits, as in \"01 ff\"".to_owned());
            }
        },
    })
}

fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    disk::parse_hex(text).ok_or_else(|| {
        format!("{text:?} are no bytes; expected pairs of hexadecimal digits, as in \"01 ff\"")
    })
}

#[cfg(test)]
mod tests {
    use hive::reg::Change;

    use super::*;

    fn read(toml: &str) -> Result<Operation> {
        toml::from_str::<RegistryValue>(toml).unwrap().operation()
    }

    #[track_caller]
    fn set(toml: &str, kind: Kind, data: Vec<u8>) {
        let Change::SetValue { kind: found, data: bytes, .. } = read(toml).unwrap().change else {
            panic!("{toml}");
        };
        assert_eq!((found, bytes), (kind, data), "{toml}");
    }

    #[test]
    fn values_have_types() {
        set("key='HKLM\\SYSTEM\\X'\nname='a'\nvalue=5", Kind::DWORD, data::dword(5));
        set("key='k'\nname='a'\nvalue='0x80000000'\ntype='dword'", Kind::DWORD, data::dword(1 << 31));
        set("key='k'\nname='a'\nvalue=-1\ntype='dword'", Kind::DWORD, data::dword(u32::MAX));
        set("key='k'\nname='a'\nvalue=-1\ntype='qword'", Kind::QWORD, data::qword(u64::MAX));
        set("key='k'\nname='a'\nvalue='%x%'\ntype='expand-sz'", Kind::EXPAND_SZ, data::sz("%x%"));
        set("key='k'\nname='a'\nvalue='5'", Kind::SZ, data::sz("5"));
        set("key='k'\nname='a'\nvalue=['5','6']", Kind::MULTI_SZ, data::multi_sz(["5", "6"]));
        set("key='k'\nname='a'\nvalue='01,ff 00'\ntype='binary'", Kind::BINARY, vec![1, 255, 0]);
    }

    #[test]
    fn keys_and_deletions() {
        assert_eq!(read("key='k'").unwrap().change, Change::CreateKey);
        assert_eq!(read("key='k'\ndelete=true").unwrap().change, Change::DeleteKey);
        assert!(matches!(read("key='k'\nname=''\ndelete=true").unwrap().change, Change::DeleteValue { .. }));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for toml in [
            "key='k'\nname='a'",
            "key='k'\nvalue=1",
            "key='k'\nname='a'\nvalue=1\ndelete=true",
            "key='k'\nname='a'\nvalue=4294967296\ntype='dword'",
            "key='k'\nname='a'\nvalue='x'\ntype='dword'",
            "key='k'\nname='a'\nvalue='abc'\ntype='binary'",
            "key='k'\nname='a'\nvalue=['a']\ntype='sz'",
        ] {
            let error = read(toml).unwrap_err().to_string();
            assert!(error.starts_with("registry k"), "{toml}: {error}");
        }
    }
}

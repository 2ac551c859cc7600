//! `AddReg` and `DelReg`.

use hive::data::{multi_sz, sz};

use super::context::{Context, Directive};
use crate::Result;
use crate::inf::{number, same};

/// Types of values, as the registry numbers them.
pub mod kind {
    /// No type.
    pub const NONE: u32 = 0;
    /// Text.
    pub const SZ: u32 = 1;
    /// Text with names of variables.
    pub const EXPAND_SZ: u32 = 2;
    /// Bytes.
    pub const BINARY: u32 = 3;
    /// A number of 32 bits.
    pub const DWORD: u32 = 4;
    /// Texts.
    pub const MULTI_SZ: u32 = 7;
    /// A number of 64 bits.
    pub const QWORD: u32 = 11;
}

/// Flags of an `AddReg` or `DelReg` line (`FLG_ADDREG_*` and `FLG_DELREG_*` in `setupapi.h`).
mod flag {
    pub(super) const BINARY: u32 = 0x01;
    pub(super) const NO_CLOBBER: u32 = 0x02;
    pub(super) const DELETE_VALUE: u32 = 0x04;
    pub(super) const APPEND: u32 = 0x08;
    pub(super) const KEY_ONLY: u32 = 0x10;
    pub(super) const OVERWRITE_ONLY: u32 = 0x20;
    /// The same as the last but one, and the key survives the device.
    pub(super) const KEY_ONLY_COMMON: u32 = 0x2000;
    pub(super) const VIEW_32: u32 = 0x4000;
    /// With this bit the flags are those of a deletion.
    pub(super) const DELETE: u32 = 0x8000;
    /// Take a text out of a list.
    pub(super) const DELETE_STRING: u32 = 0x0001_8002;
    /// The type: the upper half and the bit that says whether the value is given as bytes.
    pub(super) const TYPE: u32 = 0xFFFF_0001;
}

/// Where a path of the registry begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// `HKR`: at a key that belongs to what is installed. Which one, the list says that the change is in.
    Relative,
    /// `HKLM`
    LocalMachine,
    /// `HKCR`
    ClassesRoot,
    /// `HKU`
    Users,
    /// `HKCU`
    CurrentUser,
}

/// A change to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryChange {
    /// Where the path begins.
    pub root: Root,
    /// The key's path below that, with backslashes; empty for the root itself.
    pub key: String,
    /// What is done.
    pub action: Action,
    /// Whether it is meant for the registry as 32-bit programs see it.
    pub view_32: bool,
}

/// What is done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make it, unless it is there.
    CreateKey,
    /// Delete it with all below it.
    DeleteKey,
    /// Set a value.
    Set {
        /// Its name; empty for the default value.
        name: String,
        /// Its [type](kind).
        kind: u32,
        /// Its data as the registry stores it.
        data: Vec<u8>,
        /// When, and how.
        mode: Mode,
    },
    /// Delete a value.
    Unset {
        /// Its name; empty for the default value.
        name: String,
    },
    /// Take a text out of a value that is a list of texts, as often as it is in it; case does not matter.
    RemoveText {
        /// The value's name.
        name: String,
        /// The text.
        text: String,
    },
}

/// How a value is set that may be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mode {
    /// It is replaced.
    #[default]
    Replace,
    /// It stays.
    IfAbsent,
    /// It is replaced, and only then set.
    IfPresent,
    /// The texts of a list are added to its own, unless they are among them.
    Append,
    /// A path is added to the value's own, with a semicolon between, unless it is among them. No INF file asks for it.
    AppendPath,
}

/// What the lists do that an `AddReg` directive names.
pub(super) fn add(
    context: &mut Context<'_>,
    directive: &Directive,
    out: &mut Vec<RegistryChange>,
) -> Result<()> {
    each_line(context, directive, out, |context, line, root, key| {
        let name = context.text(line, 2)?;
        let flags = context.number(line, 3)?.unwrap_or(0);
        let view_32 = flags & flag::VIEW_32 != 0;
        let value_given = line.line.fields.len() > 4;
        let action = if flags & flag::DELETE_VALUE != 0 {
            if name.is_empty() { Action::DeleteKey } else { Action::Unset { name } }
        } else if flags & (flag::KEY_ONLY | flag::KEY_ONLY_COMMON) != 0
            || (name.is_empty() && flags & flag::TYPE == 0 && !value_given)
        {
            Action::CreateKey
        } else {
            let mode = if flags & flag::APPEND != 0 {
                Mode::Append
            } else if flags & flag::NO_CLOBBER != 0 {
                Mode::IfAbsent
            } else if flags & flag::OVERWRITE_ONLY != 0 {
                Mode::IfPresent
            } else {
                Mode::Replace
            };
            let (kind, data) = value(context, line, flags & flag::TYPE)?;
            Action::Set { name, kind, data, mode }
        };
        Ok(RegistryChange { root, key, action, view_32 })
    })
}

/// What the lists do that a `DelReg` directive names.
pub(super) fn delete(
    context: &mut Context<'_>,
    directive: &Directive,
    out: &mut Vec<RegistryChange>,
) -> Result<()> {
    each_line(context, directive, out, |context, line, root, key| {
        let name = context.text(line, 2)?;
        let flags = context.number(line, 3)?.unwrap_or(0);
        let view_32 = flags & flag::VIEW_32 != 0;
        let kind = flags & !(flag::VIEW_32 | 0x1000);
        let action = if kind == flag::DELETE_STRING {
            Action::RemoveText { name, text: context.text(line, 4)? }
        } else if name.is_empty() || (kind & flag::DELETE != 0 && kind & flag::KEY_ONLY_COMMON != 0) {
            Action::DeleteKey
        } else {
            Action::Unset { name }
        };
        Ok(RegistryChange { root, key, action, view_32 })
    })
}

fn each_line(
    context: &mut Context<'_>,
    directive: &Directive,
    out: &mut Vec<RegistryChange>,
    change: impl Fn(&mut Context<'_>, &Directive, Root, String) -> Result<RegistryChange>,
) -> Result<()> {
    for name in context.texts(directive, 0)? {
        let Some(lines) = context.lines(&directive.inf, &name)? else {
            context.warn(directive.place(), format!("there is no registry list {name}"));
            continue;
        };
        if directive.inf.section(&format!("{name}.Security")).is_some() {
            context.warn(directive.place(), format!("the security of the keys in {name} is not set"));
        }
        for line in lines {
            let text = context.text(&line, 0)?;
            let Some(root) = root(&text) else {
                context.warn(
                    line.place(),
                    format!("{text:.40} is no root of the registry; the line is passed over"),
                );
                continue;
            };
            let key = context.text(&line, 1)?;
            let key = key.trim_matches('\\').to_owned();
            if let Some(long) = key.split('\\').find(|part| part.encode_utf16().count() > hive::MAX_KEY_NAME)
            {
                return Err(line.error(format!("{long:.40}… is too long for the name of a key")));
            }
            let changed = change(context, &line, root, key)?;
            out.push(changed);
        }
    }
    Ok(())
}

fn root(text: &str) -> Option<Root> {
    let known = [
        ("HKR", Root::Relative),
        ("HKLM", Root::LocalMachine),
        ("HKCR", Root::ClassesRoot),
        ("HKU", Root::Users),
        ("HKCU", Root::CurrentUser),
        ("HKEY_LOCAL_MACHINE", Root::LocalMachine),
        ("HKEY_CLASSES_ROOT", Root::ClassesRoot),
        ("HKEY_USERS", Root::Users),
        ("HKEY_CURRENT_USER", Root::CurrentUser),
    ];
    known.into_iter().find(|(name, _)| same(name, text)).map(|(_, root)| root)
}

/// The type and the data of a value.
fn value(context: &mut Context<'_>, line: &Directive, flags: u32) -> Result<(u32, Vec<u8>)> {
    let (binary, upper) = (flags & flag::BINARY != 0, flags >> 16);
    Ok(match (binary, upper) {
        (false, 0) => (kind::SZ, sz(&context.text(line, 4)?)),
        (false, 1) => {
            let texts: Result<Vec<String>> =
                (4..line.line.fields.len()).map(|at| context.text(line, at)).collect();
            // An empty text would end the list.
            (kind::MULTI_SZ, multi_sz(texts?.iter().filter(|text| !text.is_empty())))
        }
        (false, 2) => (kind::EXPAND_SZ, sz(&context.text(line, 4)?)),
        (true, 0) => (kind::BINARY, bytes(context, line)?),
        (true, 1) => (kind::DWORD, dword(context, line)?),
        (true, 2) => (kind::NONE, bytes(context, line)?),
        (true, kind) => (kind, bytes(context, line)?),
        (false, kind) => {
            context.warn(line.place(), format!("type {kind:#x} is not one for text; taken for it"));
            (kind, sz(&context.text(line, 4)?))
        }
    })
}

/// A number, or its four bytes.
fn dword(context: &mut Context<'_>, line: &Directive) -> Result<Vec<u8>> {
    if line.line.fields.len() > 5 {
        let data = bytes(context, line)?;
        if data.len() == 4 {
            return Ok(data);
        }
        return Err(line.error(format!("{} bytes for a number of 4", data.len())));
    }
    let text = context.text(line, 4)?;
    let value = if text.is_empty() { Some(0) } else { number(&text) };
    let value = value.ok_or_else(|| line.error(format!("{text:.40} is not a number of 32 bits")))?;
    Ok(value.to_le_bytes().to_vec())
}

/// Bytes, in hexadecimal, one in each field.
fn bytes(context: &mut Context<'_>, line: &Directive) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    for at in 4..line.line.fields.len() {
        let text = context.text(line, at)?;
        if text.is_empty() {
            continue;
        }
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
        let valid = digits.len() <= 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = valid.then(|| u8::from_str_radix(digits, 16).ok()).flatten();
        data.push(byte.ok_or_else(|| line.error(format!("{text:.40} is not a byte in hexadecimal")))?);
    }
    Ok(data)
}

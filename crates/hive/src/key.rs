use std::slice;
use std::sync::Arc;

use disk::FileTime;

use crate::error::{Error, Result};
use crate::name::{compare, equal};
use crate::value::check_size;
use crate::{Kind, Name, Value};

/// Code units of the longest name of a key.
pub const MAX_KEY_NAME: usize = 255;

/// Keys on the longest path, the root included.
pub const MAX_DEPTH: usize = 512;

/// Bytes of the longest class name: its length field has 16 bits, and it holds UTF-16.
pub const MAX_CLASS_SIZE: usize = 0xFFFE;

/// Flags of a key.
pub mod flags {
    /// The key exists until the hive is unloaded. It has no business in a file.
    pub const VOLATILE: u16 = 0x01;
    /// Another hive hangs here.
    pub const HIVE_EXIT: u16 = 0x02;
    /// The root of a hive.
    pub const HIVE_ENTRY: u16 = 0x04;
    /// Cannot be deleted.
    pub const NO_DELETE: u16 = 0x08;
    /// A symbolic link: the value `SymbolicLinkValue` holds its target.
    pub const SYMLINK: u16 = 0x10;
    /// The name is stored as Latin-1. The writer decides that by the name.
    pub const LATIN1_NAME: u16 = 0x20;
    /// A predefined handle stands for the values.
    pub const PREDEFINED: u16 = 0x40;
    /// What the root of a hive has, besides [`LATIN1_NAME`].
    pub const ROOT: u16 = HIVE_ENTRY | NO_DELETE;
}

/// A key with its subkeys and values.
///
/// Subkeys are always in the order of the hive, and no two have the same name when case is ignored; so finding one is a
/// binary search. Values keep the order they are stored in. Replacing a whole `Key` through a mutable reference can break
/// that order; [`Hive::to_bytes`](crate::Hive::to_bytes) then refuses.
///
/// Nothing here reads a clock: [`written`](Self::written) changes when [`set_written`](Self::set_written) is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub(crate) name: Name,
    pub(crate) written: FileTime,
    pub(crate) flags: u16,
    pub(crate) extra: Extra,
    pub(crate) class: Option<Box<[u16]>>,
    pub(crate) security: Arc<[u8]>,
    pub(crate) subkeys: Vec<Key>,
    pub(crate) values: Vec<Value>,
}

/// Fields of a key's record that are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// Access bits and layer semantics.
    pub(crate) access: u32,
    /// User and virtualization flags (two nibbles) and the debug byte.
    pub(crate) bits: [u8; 2],
    /// The predefined handle, where [`flags::PREDEFINED`] is set.
    pub(crate) handle: u32,
}

impl Key {
    /// A key without subkeys, values and class. `security` is a self-relative security descriptor.
    ///
    /// # Errors
    /// [`Error::Name`] when the name is empty, longer than [`MAX_KEY_NAME`] units or has a backslash.
    pub fn new(name: impl Into<Name>, security: Arc<[u8]>, written: FileTime) -> Result<Self> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self {
            name,
            written,
            flags: 0,
            extra: Extra::default(),
            class: None,
            security,
            subkeys: Vec::new(),
            values: Vec::new(),
        })
    }

    /// The name.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The same key under another name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn renamed(self, name: impl Into<Name>) -> Result<Self> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self { name, ..self })
    }

    /// The subkeys in the order of the hive: ascending by upper-cased UTF-16 units.
    pub fn subkeys(&self) -> slice::Iter<'_, Self> {
        self.subkeys.iter()
    }

    /// The same, to change them.
    pub fn subkeys_mut(&mut self) -> slice::IterMut<'_, Self> {
        self.subkeys.iter_mut()
    }

    fn find(&self, units: impl Iterator<Item = u16> + Clone) -> Result<usize, usize> {
        self.subkeys.binary_search_by(|key| compare(key.name.units().iter().copied(), units.clone()))
    }

    /// The subkey of a name; case does not matter.
    pub fn subkey(&self, name: &str) -> Option<&Self> {
        self.find(name.encode_utf16()).ok().map(|at| &self.subkeys[at])
    }

    /// The same, to change it.
    pub fn subkey_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.find(name.encode_utf16()).ok().map(|at| &mut self.subkeys[at])
    }

    /// The subkey of a name that may not be Unicode.
    pub fn subkey_named(&self, name: &Name) -> Option<&Self> {
        self.find(name.units().iter().copied()).ok().map(|at| &self.subkeys[at])
    }

    /// The same, to change it.
    pub fn subkey_named_mut(&mut self, name: &Name) -> Option<&mut Self> {
        self.find(name.units().iter().copied()).ok().map(|at| &mut self.subkeys[at])
    }

    /// The key at a path below this one, its names divided by backslashes. `""` is this key; empty names are passed
    /// over.
    pub fn open(&self, path: &str) -> Option<&Self> {
        components(path).try_fold(self, |key, name| key.subkey(name))
    }

    /// The same, to change it.
    pub fn open_mut(&mut self, path: &str) -> Option<&mut Self> {
        components(path).try_fold(self, |key, name| key.subkey_mut(name))
    }

    /// The key at a path, which is created with the keys on the way to it as far as they do not exist.
    ///
    /// A new key has the security descriptor and the time of its parent, and no class.
    ///
    /// # Errors
    /// [`Error::Name`] as for [`new`](Self::new), [`Error::Limit`] when the path has [`MAX_DEPTH`] names or more. Then
    /// nothing is created.
    pub fn create(&mut self, path: &str) -> Result<&mut Self> {
        let depth = components(path).count();
        if depth >= MAX_DEPTH {
            return Err(Error::limit("depth of a key", depth as u64 + 1, MAX_DEPTH as u64));
        }
        for name in components(path) {
            check_name(&Name::new(name))?;
        }
        let mut key = self;
        for name in components(path) {
            let at = match key.find(name.encode_utf16()) {
                Ok(at) => at,
                Err(at) => {
                    let new = Self::new(name, Arc::clone(&key.security), key.written)?;
                    key.subkeys.insert(at, new);
                    at
                }
            };
            key = &mut key.subkeys[at];
        }
        Ok(key)
    }

    /// Adds a subkey, in place of the one of that name, which is returned.
    ///
    /// # Errors
    /// [`Error::Name`] when the key was the root of a hive and its name is not one for a subkey.
    pub fn insert(&mut self, mut key: Self) -> Result<Option<Self>> {
        check_name(&key.name)?;
        key.flags &= !flags::ROOT;
        Ok(match self.find(key.name.units().iter().copied()) {
            Ok(at) => Some(std::mem::replace(&mut self.subkeys[at], key)),
            Err(at) => {
                self.subkeys.insert(at, key);
                None
            }
        })
    }

    /// Takes a subkey out, with all below it.
    pub fn remove(&mut self, name: &str) -> Option<Self> {
        self.find(name.encode_utf16()).ok().map(|at| self.subkeys.remove(at))
    }

    /// The same for a name that may not be Unicode.
    pub fn remove_named(&mut self, name: &Name) -> Option<Self> {
        self.find(name.units().iter().copied()).ok().map(|at| self.subkeys.remove(at))
    }

    /// The values in the order they are stored in. The default value has an empty name.
    pub fn values(&self) -> slice::Iter<'_, Value> {
        self.values.iter()
    }

    fn position(&self, name: &[u16]) -> Option<usize> {
        self.values.iter().position(|value| equal(value.name.units(), name))
    }

    fn position_of(&self, name: &str) -> Option<usize> {
        self.position(&name.encode_utf16().collect::<Vec<u16>>())
    }

    /// The value of a name; case does not matter. `""` is the default value.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.position_of(name).map(|at| &self.values[at])
    }

    /// The same for a name that may not be Unicode.
    pub fn value_named(&self, name: &Name) -> Option<&Value> {
        self.position(name.units()).map(|at| &self.values[at])
    }

    /// Sets a value: type and data are replaced, or a new value comes after the others. As in Windows, a name that
    /// exists keeps its case.
    ///
    /// # Errors
    /// As [`Value::new`].
    pub fn set(&mut self, name: &str, kind: Kind, data: impl Into<Vec<u8>>) -> Result<()> {
        match self.position_of(name) {
            Some(at) => {
                let data = data.into();
                check_size(&data)?;
                let value = &mut self.values[at];
                (value.kind, value.data) = (kind, data);
            }
            None => self.values.push(Value::new(name, kind, data)?),
        }
        Ok(())
    }

    /// Sets a value, in place of the one of that name, which is returned.
    pub fn set_value(&mut self, value: Value) -> Option<Value> {
        match self.position(value.name.units()) {
            Some(at) => {
                let name = self.values[at].name.clone();
                Some(std::mem::replace(&mut self.values[at], Value { name, ..value }))
            }
            None => {
                self.values.push(value);
                None
            }
        }
    }

    /// Takes a value out.
    pub fn unset(&mut self, name: &str) -> Option<Value> {
        self.position_of(name).map(|at| self.values.remove(at))
    }

    /// The same for a name that may not be Unicode.
    pub fn unset_named(&mut self, name: &Name) -> Option<Value> {
        self.position(name.units()).map(|at| self.values.remove(at))
    }

    /// Takes all subkeys and values out.
    pub fn clear(&mut self) {
        self.subkeys.clear();
        self.values.clear();
    }

    /// The class name.
    pub fn class(&self) -> Option<&[u16]> {
        self.class.as_deref()
    }

    /// Sets or takes away the class name; an empty one is none.
    ///
    /// # Errors
    /// [`Error::Limit`] for more than [`MAX_CLASS_SIZE`] bytes.
    pub fn set_class(&mut self, class: Option<&[u16]>) -> Result<()> {
        let class = class.filter(|units| !units.is_empty());
        if let Some(units) = class
            && 2 * units.len() > MAX_CLASS_SIZE
        {
            return Err(Error::limit("size of a class name", 2 * units.len() as u64, MAX_CLASS_SIZE as u64));
        }
        self.class = class.map(Into::into);
        Ok(())
    }

    /// The self-relative security descriptor. Keys share them.
    pub const fn security(&self) -> &Arc<[u8]> {
        &self.security
    }

    /// Sets the security descriptor of this key, not of those below it.
    pub fn set_security(&mut self, security: impl Into<Arc<[u8]>>) {
        self.security = security.into();
    }

    /// When the key was last written.
    pub const fn written(&self) -> FileTime {
        self.written
    }

    /// Sets that time.
    pub const fn set_written(&mut self, time: FileTime) {
        self.written = time;
    }

    /// The [`flags`], without the one that says how the name is stored.
    pub const fn flags(&self) -> u16 {
        self.flags
    }

    /// Whether the key is a symbolic link.
    pub const fn is_symlink(&self) -> bool {
        self.flags & flags::SYMLINK != 0
    }

    /// Makes the key a symbolic link, or none. Its target is the value `SymbolicLinkValue` of type
    /// [`LINK`](Kind::LINK).
    pub const fn set_symlink(&mut self, symlink: bool) {
        if symlink {
            self.flags |= flags::SYMLINK;
        } else {
            self.flags &= !flags::SYMLINK;
        }
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|name| !name.is_empty())
}

/// Whether a name is one for a key that Windows would create.
pub(crate) fn check_name(name: &Name) -> Result<()> {
    let units = name.units();
    let reason = match () {
        () if units.is_empty() => "is empty",
        () if units.len() > MAX_KEY_NAME => "is longer than 255 characters, the longest of a key",
        () if units.contains(&u16::from(b'\\')) => "has a backslash, which divides the names of a path",
        () => return Ok(()),
    };
    Err(Error::Name { name: name.to_string(), reason })
}

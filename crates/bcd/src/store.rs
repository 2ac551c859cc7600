//! A store: a hive of version 1.3 with a key `Objects`, and in it a key per object.
//!
//! The model holds what it understands; the hive it was read from stays beside it. Writing changes only what the model
//! says differently: a number that is stored in three bytes, a firmware variable, leavings behind a NUL, keys that are
//! no objects and security descriptors of their own all survive an edit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use disk::{FileTime, Guid};
use hive::{Hive, Key, Kind};

use crate::element::braced;
use crate::{Element, ElementType, Error, Object, ObjectType, Result, names};

/// The name that Windows gives to the root key of a store.
const ROOT_NAME: &str = "NewStoreRoot";
/// Hives of stores are of version 1.3.
pub(crate) const MINOR: u32 = 3;

/// A BCD store.
#[derive(Clone)]
pub struct Store {
    hive: Hive,
    objects: Vec<Object>,
    /// Where each object is in `objects`.
    places: BTreeMap<Guid, usize>,
}

/// Objects that are looked at for what one inherits. Windows' entries inherit from six; a hostile store could let
/// everybody inherit from everybody.
const MAX_INHERITED: usize = 64;

/// Tells apart stores that a boot manager starts from and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreRole {
    /// The store that a machine starts from: Windows mounts it as `HKLM\BCD00000000`.
    System,
    /// Another, as `bcdedit /createstore` makes them.
    Plain,
}

impl Store {
    /// A store without objects, all keys of which were last written at `time`.
    ///
    /// # Errors
    /// None in practice; those of [`hive`].
    pub fn new(role: StoreRole, time: FileTime) -> Result<Self> {
        let mut hive = Hive::new(MINOR, ROOT_NAME, &descriptor(ADMINISTRATORS_READ), time)?;
        let root = hive.root_mut();
        root.create("Objects")?;
        let description = root.create("Description")?;
        description.set_security(descriptor(ADMINISTRATORS_ALL));
        match role {
            StoreRole::System => {
                description.set("KeyName", Kind::SZ, hive::data::sz("BCD00000000"))?;
                description.set("System", Kind::DWORD, hive::data::dword(1))?;
                description.set("TreatAsSystem", Kind::DWORD, hive::data::dword(1))?;
            }
            StoreRole::Plain => description.set("KeyName", Kind::SZ, hive::data::sz("BCD00000001"))?,
        }
        Ok(Self { hive, objects: Vec::new(), places: BTreeMap::new() })
    }

    /// The store in the bytes of a hive file.
    ///
    /// # Errors
    /// Those of [`Hive::parse`], and [`Error::NotAStore`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::from_hive(Hive::parse(bytes)?)
    }

    /// The store in a hive.
    ///
    /// # Errors
    /// [`Error::NotAStore`] when it has no key `Objects`.
    pub fn from_hive(hive: Hive) -> Result<Self> {
        let Some(objects) = hive.root().subkey("Objects") else {
            return Err(Error::NotAStore("the hive has no key Objects".to_owned()));
        };
        let objects: Vec<Object> = objects.subkeys().filter_map(object).collect();
        let places = objects.iter().enumerate().map(|(at, object)| (object.id, at)).collect();
        Ok(Self { hive, objects, places })
    }

    /// The objects: those that were read in the order of their GUIDs, then those that were added.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// An object. `{default}` is the boot manager's default entry.
    pub fn object(&self, id: Guid) -> Option<&Object> {
        let id = self.resolve(id)?;
        self.exactly(id)
    }

    /// An object, to be changed. `{default}` is the boot manager's default entry.
    pub fn object_mut(&mut self, id: Guid) -> Option<&mut Object> {
        let id = self.resolve(id)?;
        let at = *self.places.get(&id)?;
        Some(&mut self.objects[at])
    }

    /// The object of that GUID; aliases are not resolved.
    pub(crate) fn exactly(&self, id: Guid) -> Option<&Object> {
        self.places.get(&id).map(|at| &self.objects[*at])
    }

    /// Adds an object; returns the one with its GUID that it replaces.
    pub fn insert(&mut self, object: Object) -> Option<Object> {
        match self.places.get(&object.id) {
            Some(at) => Some(std::mem::replace(&mut self.objects[*at], object)),
            None => {
                self.places.insert(object.id, self.objects.len());
                self.objects.push(object);
                None
            }
        }
    }

    /// Takes an object out; references to it stay. `{default}` is the boot manager's default entry.
    pub fn remove(&mut self, id: Guid) -> Option<Object> {
        let id = self.resolve(id)?;
        let at = self.places.remove(&id)?;
        for place in self.places.values_mut().filter(|place| **place > at) {
            *place -= 1;
        }
        Some(self.objects.remove(at))
    }

    /// Takes every reference to an object out of the others: from lists its place, else the whole element. Returns how
    /// many there were. The options of devices stay: without them, another device would be meant.
    pub fn remove_references(&mut self, id: Guid) -> usize {
        let mut removed = 0;
        for object in &mut self.objects {
            object.elements.retain(|_, element| match element {
                Element::Object(found) if *found == id => {
                    removed += 1;
                    false
                }
                Element::ObjectList(ids) if ids.contains(&id) => {
                    removed += 1;
                    ids.retain(|found| *found != id);
                    !ids.is_empty()
                }
                _ => true,
            });
        }
        removed
    }

    /// The boot manager's default entry.
    pub fn default_entry(&self) -> Option<Guid> {
        self.exactly(names::BOOTMGR)?.references(ElementType::DEFAULT).first().copied()
    }

    /// The GUID behind an alias: of `{default}` that of the default entry, of `{current}` none, because a store that
    /// is not in use has no entry that was started.
    fn resolve(&self, id: Guid) -> Option<Guid> {
        match id {
            names::DEFAULT => self.default_entry(),
            names::CURRENT => None,
            id => Some(id),
        }
    }

    /// An object and those it inherits from, the nearest first: at most 64. Objects that do not exist, and circles, are
    /// passed over as the boot manager does.
    pub fn lineage(&self, id: Guid) -> Vec<&Object> {
        self.walk_lineage(id).0
    }

    /// The lineage, and whether the object inherits from itself.
    pub(crate) fn walk_lineage(&self, id: Guid) -> (Vec<&Object>, bool) {
        let (mut lineage, mut circle): (Vec<&Object>, bool) = (Vec::new(), false);
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<Guid> = self.resolve(id).into_iter().collect();
        for _ in 0..16 * MAX_INHERITED {
            let Some(id) = waiting.pop().filter(|_| lineage.len() < MAX_INHERITED) else { break };
            if !seen.insert(id) {
                circle |= lineage.first().is_some_and(|first| first.id == id);
                continue;
            }
            let Some(object) = self.exactly(id) else { continue };
            lineage.push(object);
            let inherited = object.references(ElementType::INHERIT);
            waiting.extend(inherited.iter().take(MAX_INHERITED).rev());
        }
        (lineage, circle)
    }

    /// The value that counts for an object: its own, or the nearest that it inherits.
    pub fn effective(&self, id: Guid, element: ElementType) -> Option<&Element> {
        self.lineage(id).into_iter().find_map(|object| object.get(element))
    }

    /// The hive with everything that the model says.
    ///
    /// # Errors
    /// [`Error::Impossible`] when an element holds a value of another format or one that cannot be stored; those of
    /// [`hive`].
    pub fn to_hive(&self) -> Result<Hive> {
        let mut hive = self.hive.clone();
        let objects = hive.root_mut().create("Objects")?;
        let gone: Vec<String> = objects
            .subkeys()
            .filter_map(object)
            .filter(|old| !self.places.contains_key(&old.id))
            .map(|old| braced(old.id))
            .collect();
        for name in gone {
            objects.remove(&name);
        }
        for object in &self.objects {
            write_object(objects, object)?;
        }
        Ok(hive)
    }

    /// The bytes of the hive file.
    ///
    /// # Errors
    /// Those of [`to_hive`](Self::to_hive).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.to_hive()?.to_bytes()?)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("objects", &self.objects).finish_non_exhaustive()
    }
}

/// The GUID that a key of an object is called by.
pub(crate) fn object_id(key: &Key) -> Option<Guid> {
    let name = key.name().to_text()?;
    // One pair of braces: `{{…}}` would be read, too, and be another key for the same object.
    if name.len() != 38 {
        return None;
    }
    name.strip_prefix('{')?.strip_suffix('}')?.parse().ok()
}

/// The type that an object's description gives it.
pub(crate) fn object_type(key: &Key) -> Option<ObjectType> {
    let value = key.subkey("Description")?.value("Type")?;
    if value.kind() != Kind::DWORD {
        return None;
    }
    value.as_u32().map(ObjectType)
}

/// An object, if its name is a GUID and it has a type: without, the boot manager does not see it, either.
fn object(key: &Key) -> Option<Object> {
    let mut object = Object::new(object_id(key)?, object_type(key)?);
    for key in key.subkey("Elements").into_iter().flat_map(Key::subkeys) {
        if let Some((kind, element)) = element(key) {
            object.elements.insert(kind, element);
        }
    }
    Some(object)
}

fn element(key: &Key) -> Option<(ElementType, Element)> {
    let kind = ElementType::from_key_name(&key.name().to_text()?)?;
    let value = key.value("Element")?;
    Some((kind, Element::parse(kind, value.kind(), value.data())))
}

fn write_object(objects: &mut Key, object: &Object) -> Result<()> {
    let key = objects.create(&braced(object.id))?;
    if object_type(key) != Some(object.kind) {
        let description = key.create("Description")?;
        description.set("Type", Kind::DWORD, hive::data::dword(object.kind.0))?;
    }
    let elements = key.create("Elements")?;
    let gone: Vec<String> = elements
        .subkeys()
        .filter_map(element)
        .filter(|(kind, _)| !object.elements.contains_key(kind))
        .map(|(kind, _)| kind.to_string())
        .collect();
    for name in gone {
        elements.remove(&name);
    }
    for (kind, value) in &object.elements {
        if value.format().is_some_and(|format| format != kind.format()) {
            let object = names::object_name(object.id);
            return Err(Error::Impossible(format!("{kind} of {object} cannot hold {value:?}")));
        }
        let name = kind.to_string();
        if elements.subkey(&name).and_then(element).is_some_and(|(_, old)| old == *value) {
            continue;
        }
        let (registry, data) = value.to_registry()?;
        elements.create(&name)?.set("Element", registry, data)?;
    }
    Ok(())
}

/// `KEY_ALL_ACCESS`.
const ADMINISTRATORS_ALL: u32 = 0x000F_003F;
/// Read, change permissions, query: what Administrators may do below the root.
const ADMINISTRATORS_READ: u32 = 0x0006_0019;

/// A self-relative security descriptor as on keys of every store that Windows made: owner Administrators, group and
/// full access SYSTEM, `administrators` for Administrators ([MS-DTYP] 2.4.6).
fn descriptor(administrators: u32) -> Vec<u8> {
    const BUILTIN_ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0];
    const LOCAL_SYSTEM: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 5, 0x12, 0, 0, 0];
    const ACL_AT: u32 = 20;
    const ACL_LEN: u16 = 8 + 24 + 20;
    let owner_at = ACL_AT + u32::from(ACL_LEN);
    let group_at = owner_at + BUILTIN_ADMINISTRATORS.len() as u32;
    let mut sd = Vec::with_capacity(100);
    // Revision 1; self-relative, with a DACL.
    sd.extend([1, 0, 0x04, 0x80]);
    sd.extend([owner_at, group_at, 0, ACL_AT].iter().flat_map(|offset| offset.to_le_bytes()));
    // ACL revision 2, two entries.
    sd.extend([2, 0]);
    sd.extend([ACL_LEN, 2, 0].iter().flat_map(|field| field.to_le_bytes()));
    for (mask, sid) in [(administrators, &BUILTIN_ADMINISTRATORS[..]), (0x000F_003F, &LOCAL_SYSTEM[..])] {
        // Access allowed, not inherited: in all samples every key has its own.
        sd.extend([0, 0]);
        sd.extend((8 + sid.len() as u16).to_le_bytes());
        sd.extend(mask.to_le_bytes());
        sd.extend(sid);
    }
    sd.extend(BUILTIN_ADMINISTRATORS);
    sd.extend(LOCAL_SYSTEM);
    sd
}

//! `\Windows\System32\config\BCD-Template`: the store that bcdboot makes entries from, and Windows when it repairs
//! itself.
//!
//! It holds entries for BIOS and UEFI under GUIDs of their own, and the objects that all inherit. Elements of class 4
//! tell the maker what to do (which path to fill in, what to leave out) and are not copied.

use disk::Guid;

use crate::{Element, ElementClass, ElementType as E, Object, ObjectType, Options, Result, Store, names};

/// The entries of a template that stand for loaders.
const TEMPLATE_LOADERS: &[Guid] = &[names::TEMPLATE_OS_PCAT, names::TEMPLATE_OS_EFI];

/// Elements that say which disk, file or entry is meant: a store has its own, a template's are placeholders.
const OF_THE_STORE: &[E] = &[
    E::DEVICE,
    E::PATH,
    E::DESCRIPTION,
    E::LOCALE,
    E::INHERIT,
    E::RECOVERY_SEQUENCE,
    E::RECOVERY_ENABLED,
    E::OS_DEVICE,
    E::SYSTEM_ROOT,
    E::RESUME_OBJECT,
    E::TIMEOUT,
    E::ISOLATED_CONTEXT,
];

/// Copies the settings of an image's template into its store: those of the loader and the resume loader that fit the
/// store's firmware into its entries, those of objects that are inherited into the object with the same GUID, which is
/// made if it is missing. The template's values win; devices, paths, names and references stay the store's.
///
/// Returns how many elements the store did not have like this before.
pub fn merge_template(store: &mut Store, template: &Store) -> usize {
    let uefi = is_uefi(store);
    let (os, resume) = match uefi {
        true => (names::TEMPLATE_OS_EFI, names::TEMPLATE_RESUME_EFI),
        false => (names::TEMPLATE_OS_PCAT, names::TEMPLATE_RESUME_PCAT),
    };
    let loader = store.default_entry();
    let resume_entry = loader
        .and_then(|loader| store.object(loader))
        .and_then(|loader| loader.references(E::RESUME_OBJECT).first().copied());
    let mut changed = 0;
    for (from, to) in [(os, loader), (resume, resume_entry)] {
        if let (Some(from), Some(to)) = (template.object(from), to.and_then(|to| store.object_mut(to))) {
            changed += copy(from, to);
        }
    }
    for from in template.objects().iter().filter(|object| is_shared(object)) {
        if store.object(from.id).is_none() {
            let mut object = Object::new(from.id, from.kind);
            object.elements.extend(from.get(E::INHERIT).cloned().map(|inherit| (E::INHERIT, inherit)));
            store.insert(object);
        }
        let to = store.object_mut(from.id).expect("it was made if it was missing");
        changed += copy(from, to);
    }
    changed
}

/// Objects that others inherit, and the boot manager.
fn is_shared(object: &Object) -> bool {
    object.kind.0 >> 28 == 2 || object.id == names::BOOTMGR && object.kind == ObjectType::BOOT_MANAGER
}

fn copy(from: &Object, to: &mut Object) -> usize {
    // What refers to other objects of the template, or to a disk, would mean nothing here.
    let settings = from.elements.iter().filter(|(kind, value)| {
        !matches!(kind.class(), ElementClass::Template)
            && !OF_THE_STORE.contains(kind)
            && !matches!(value, Element::Device(_) | Element::Object(_) | Element::ObjectList(_))
    });
    let mut changed = 0;
    for (kind, value) in settings {
        if to.get(*kind) != Some(value) {
            to.elements.insert(*kind, value.clone());
            changed += 1;
        }
    }
    changed
}

/// Whether the entries of a store are for UEFI: only there the boot manager's entry names its file.
fn is_uefi(store: &Store) -> bool {
    let path = |id: Guid| store.object(id).and_then(|object| object.string(E::PATH)).unwrap_or_default();
    let efi = |path: &str| path.to_ascii_lowercase().ends_with(".efi");
    efi(path(names::BOOTMGR)) || efi(path(names::DEFAULT))
}

/// Makes an image's template agree with wishes, so that entries made from it later have them, too.
///
/// # Errors
/// [`Error::Impossible`](crate::Error::Impossible) for wishes that Windows would not take.
pub fn edit_template(template: &mut Store, options: &Options) -> Result<()> {
    options.apply(template, TEMPLATE_LOADERS)
}

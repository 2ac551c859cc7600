use super::{DentryId, Image};

fn is_separator(unit: u16) -> bool {
    unit == u16::from(b'\\') || unit == u16::from(b'/')
}

/// Approximately what `$UpCase` does: characters outside the first plane, and those whose upper case is several
/// characters, stay.
pub(super) fn upcase(unit: u16) -> u16 {
    if unit < 0x80 {
        return u16::from((unit as u8).to_ascii_uppercase());
    }
    let Some(c) = char::from_u32(u32::from(unit)) else { return unit };
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => u16::try_from(u32::from(upper)).unwrap_or(unit),
        _ => unit,
    }
}

fn equal_ignoring_case(a: &[u16], b: &[u16]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| a == b || upcase(a) == upcase(b))
}

impl Image {
    /// The path of a dentry: `\Windows\System32\drivers`, `\` for the root. For people: unpaired surrogates are
    /// replaced.
    ///
    /// # Panics
    /// When the id is of another image and not in this one.
    pub fn path(&self, id: DentryId) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while at != self.root() {
            let dentry = self.dentry(at);
            names.push(&dentry.name);
            at = dentry.parent;
        }
        if names.is_empty() {
            return "\\".to_owned();
        }
        names.iter().rev().flat_map(|name| ["\\".to_owned(), String::from_utf16_lossy(name)]).collect()
    }

    /// The dentry that a path names. Separators are `\` and `/`, one or several; the path begins at the root with or
    /// without one. An exact name wins over one that is equal but for case.
    pub fn lookup(&self, path: &str) -> Option<DentryId> {
        let path: Vec<u16> = path.encode_utf16().collect();
        let names = path.split(|&unit| is_separator(unit)).filter(|name| !name.is_empty());
        names.into_iter().try_fold(self.root(), |directory, name| self.child(directory, name))
    }

    /// The dentry of that name in a directory, by the same rule.
    ///
    /// # Panics
    /// When the id is of another image and not in this one.
    pub fn child(&self, directory: DentryId, name: &[u16]) -> Option<DentryId> {
        let mut similar = None;
        for id in self.children(directory) {
            let found = &*self.dentry(id).name;
            if found == name {
                return Some(id);
            }
            if similar.is_none() && equal_ignoring_case(found, name) {
                similar = Some(id);
            }
        }
        similar
    }
}

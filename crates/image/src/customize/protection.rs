//! Who may do what with what a build adds.

use security::{Creator, Descriptor, Kind};

/// The descriptor of a new file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// What its parent hands down, as if the system made it.
    Inherit,
    /// Only the system and administrators: for what holds secrets.
    Secret,
    /// This one, self-relative ([MS-DTYP] 2.4.6).
    Descriptor(Vec<u8>),
}

/// What something new gets from the descriptor of its parent. A parent that cannot be read hands down its own: it is what
/// the image has there, and better than nothing.
pub(crate) fn inherited(parent: &[u8], kind: Kind) -> Vec<u8> {
    let made = Descriptor::parse(parent).map(|parent| parent.inherit(kind, &Creator::system()));
    made.and_then(|made| made.to_bytes()).unwrap_or_else(|_| parent.to_vec())
}

/// Full control for the system and administrators, and nothing for anybody else.
pub(super) fn secret(kind: Kind) -> Vec<u8> {
    Descriptor::secret(kind).to_bytes().expect("it has two entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_open_to_whom_the_folder_says() {
        let parent =
            Descriptor::from_sddl("O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)(A;;FA;;;BA)").unwrap();
        let file = inherited(&parent.to_bytes().unwrap(), Kind::File);
        assert_eq!(security::sddl(&file).as_deref(), Some("O:BAG:SYD:AI(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BU)"));
        assert_eq!(inherited(b"nonsense", Kind::File), b"nonsense");
    }
}

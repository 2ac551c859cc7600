use std::fmt;
use std::sync::Arc;

use disk::FileTime;

use crate::error::{Error, Result};
use crate::key::{Key, flags};
use crate::layout::BaseBlock;
use crate::name::units_of;

/// The oldest and the newest minor version: Windows NT 4 and Windows 10. The major version is always 1.
pub const MINOR_VERSIONS: std::ops::RangeInclusive<u32> = 3..=6;

/// A hive in memory: a tree of keys, and what its header says besides.
///
/// Equality compares all that [`to_bytes`](Self::to_bytes) writes.
#[derive(Clone, PartialEq, Eq)]
pub struct Hive {
    pub(crate) base: BaseBlock,
    pub(crate) root: Key,
}

impl Hive {
    /// A hive with nothing but its root. `security` is the root's self-relative security descriptor, which keys that
    /// are created below it inherit; `time` goes into the header and the root.
    ///
    /// Windows writes 1.5 for SYSTEM and SOFTWARE, 1.3 for BCD stores and users' hives.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when `minor` is none of [`MINOR_VERSIONS`], [`Error::Name`] for an impossible name.
    pub fn new(minor: u32, root_name: &str, security: &[u8], time: FileTime) -> Result<Self> {
        if !MINOR_VERSIONS.contains(&minor) {
            return Err(Error::unsupported(
                "base block",
                0x18,
                format!("version 1.{minor}, expected 1.3 to 1.6"),
            ));
        }
        let mut root = Key::new(root_name, Arc::from(security), time)?;
        root.flags = flags::ROOT;
        Ok(Self { base: BaseBlock::new(minor, time), root })
    }

    /// The root key.
    pub const fn root(&self) -> &Key {
        &self.root
    }

    /// The same, to change it.
    pub const fn root_mut(&mut self) -> &mut Key {
        &mut self.root
    }

    /// The minor version, one of [`MINOR_VERSIONS`].
    pub const fn minor(&self) -> u32 {
        self.base.minor
    }

    /// The sequence number that both fields get when the hive is written.
    pub const fn sequence(&self) -> u32 {
        self.base.primary
    }

    /// Sets that number.
    pub const fn set_sequence(&mut self, sequence: u32) {
        (self.base.primary, self.base.secondary) = (sequence, sequence);
    }

    /// When the hive was last written, by its header.
    pub const fn written(&self) -> FileTime {
        FileTime(self.base.written)
    }

    /// Sets that time.
    pub const fn set_written(&mut self, time: FileTime) {
        self.base.written = time.0;
    }

    /// The end of the path that the hive was loaded from, as the header has it: at most 32 units.
    pub fn file_name(&self) -> String {
        let units = units_of(&self.base.file_name).unwrap_or_default();
        let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
        String::from_utf16_lossy(&units[..end])
    }

    /// Sets it. Of a longer one, the last 31 units are kept, as Windows does it.
    pub fn set_file_name(&mut self, name: &str) {
        let units: Vec<u16> = name.encode_utf16().collect();
        self.base.file_name = [0; 64];
        let last = &units[units.len().saturating_sub(31)..];
        for (bytes, unit) in self.base.file_name.chunks_exact_mut(2).zip(last) {
            bytes.copy_from_slice(&unit.to_le_bytes());
        }
    }
}

/// The header and the number of subkeys, not the whole tree.
impl fmt::Debug for Hive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hive")
            .field("minor", &self.minor())
            .field("sequence", &self.sequence())
            .field("written", &self.written())
            .field("file_name", &self.file_name())
            .field("root", &self.root.name)
            .field("subkeys", &self.root.subkeys.len())
            .finish_non_exhaustive()
    }
}

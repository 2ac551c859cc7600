#![doc = include_str!("../README.md")]

mod entry;
mod error;
mod file;
mod iso;
mod iso9660;
pub mod limits;
mod names;
mod source;
mod udf;
mod walk;

pub use entry::{Entry, EntryKind};
pub use error::{Error, Result};
pub use file::{IsoFile, Run};
pub use iso::{Iso, TreeKind, is_iso};
pub use names::same_name;
pub use udf::crc16;
pub use walk::{Step, Walk};

#![doc = include_str!("../README.md")]

mod check;
pub mod compressed;
mod entry;
mod inflate;
pub mod layout;
mod open;
mod options;
pub mod plain;
mod read;
mod snapshot;

pub use check::Usage;
pub use codec::Effort as Level;
pub use disk::ContainerError as Error;
pub use open::{Compression, ParentReference};
pub use options::{CLUSTER_SIZE, MAX_SIZE, Options};
pub use read::{Qcow2, is_qcow2};
pub use snapshot::Snapshot;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there can be no such qcow2 file.
fn impossible(reason: impl Into<String>) -> Error {
    Error::impossible("qcow2 file", reason)
}

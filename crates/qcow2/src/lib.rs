#![doc = include_str!("../README.md")]

mod check;
pub mod compressed;
mod entry;
mod error;
mod inflate;
pub mod layout;
mod open;
mod options;
pub mod plain;
mod read;
mod snapshot;

pub use check::Usage;
pub use error::{Error, Result};
pub use open::{Compression, ParentReference};
pub use options::{CLUSTER_SIZE, Level, MAX_SIZE, Options};
pub use read::{Qcow2, is_qcow2};
pub use snapshot::Snapshot;

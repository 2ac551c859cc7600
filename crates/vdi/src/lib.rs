#![doc = include_str!("../README.md")]

mod check;
pub mod dynamic;
pub mod fixed;
pub mod layout;
mod options;
mod read;

pub use check::Usage;
pub use disk::ContainerError as Error;
pub use options::{BLOCK_SIZE, MAX_SIZE, Options};
pub use read::{Identity, Kind, Vdi, is_vdi};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there can be no such VDI.
fn impossible(reason: impl Into<String>) -> Error {
    Error::impossible("VDI", reason)
}

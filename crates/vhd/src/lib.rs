#![doc = include_str!("../README.md")]

mod blocks;
mod check;
pub mod dynamic;
pub mod fixed;
mod geometry;
pub mod layout;
mod options;
mod parent;
mod read;

pub use check::Usage;
pub use disk::ContainerError as Error;
pub use geometry::Geometry;
pub use options::{DEFAULT_BLOCK_SIZE, MAX_SIZE, Options, time_of, timestamp};
pub use parent::ParentReference;
pub use read::{Kind, Vhd, is_vhd};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there can be no such VHD.
fn impossible(reason: impl Into<String>) -> Error {
    Error::impossible("VHD", reason)
}

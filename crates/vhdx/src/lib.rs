#![doc = include_str!("../README.md")]

mod check;
mod crc32c;
pub mod layout;
mod locator;
mod log;
mod open;
mod options;
mod overlay;
mod plan;
mod read;
mod table;
mod write;

pub use check::Usage;
pub use disk::ContainerError as Error;
pub use locator::ParentReference;
pub use log::Replay;
pub use open::is_vhdx;
pub use options::{DEFAULT_BLOCK_SIZE, MAX_SIZE, Options};
pub use read::{Kind, Vhdx};
pub use write::{file_size, ordered, positioned};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there can be no such VHDX.
fn impossible(reason: impl Into<String>) -> Error {
    Error::impossible("VHDX", reason)
}

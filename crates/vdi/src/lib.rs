#![doc = include_str!("../README.md")]

mod check;
pub mod dynamic;
mod error;
pub mod fixed;
pub mod layout;
mod options;
mod read;

pub use check::Usage;
pub use error::{Error, Result};
pub use options::{BLOCK_SIZE, MAX_SIZE, Options};
pub use read::{Identity, Kind, Vdi, is_vdi};

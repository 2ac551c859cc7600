#![doc = include_str!("../README.md")]

mod blocks;
mod check;
pub mod dynamic;
mod error;
pub mod fixed;
mod geometry;
pub mod layout;
mod options;
mod parent;
mod read;

pub use check::Usage;
pub use error::{Error, Result};
pub use geometry::Geometry;
pub use options::{DEFAULT_BLOCK_SIZE, MAX_SIZE, Options, timestamp};
pub use parent::ParentReference;
pub use read::{Kind, Vhd, is_vhd};

#![doc = include_str!("../README.md")]

pub mod check;
mod error;
mod extents;
mod geometry;
pub mod layout;
mod name;
mod plan;
mod read;
mod time;
pub mod unused;

pub use error::{Error, Result};
pub use extents::Areas;
pub use name::same_name;
pub use plan::{Data, Node, Options, Plan};
pub use read::{Directory, Entry, File, FileStart, Kind, Target, Volume};

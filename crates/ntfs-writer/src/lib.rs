#![doc = include_str!("../README.md")]

mod attribute;
pub mod check;
mod error;
mod index;
mod inode;
mod layout;
mod model;
mod names;
mod node;
mod options;
mod pack;
pub mod parse;
mod place;
mod plan;
pub mod read;
pub mod resize;
mod runs;
mod secure;
mod short_names;
mod system;
mod tree;
pub mod unused;
mod upcase;
mod volume;

pub use error::{Error, Result};
pub use node::{
    DescriptorId, Ea, Name, NamedStream, Node, NodeId, Note, ObjectId, ReadBlob, Reparse, Source, Times,
};
pub use options::{BOOT_CODE_LEN, Geometry, Options};
pub use plan::Plan;
pub use tree::Builder;
pub use volume::Volume;

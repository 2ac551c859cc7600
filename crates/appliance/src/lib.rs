#![doc = include_str!("../README.md")]

mod error;
mod guest;
pub mod gzip;
mod machine;
pub mod oci;
pub mod ovf;
mod package;
mod padding;
pub mod tar;
pub mod vagrant;
mod xml;

pub use error::{Error, Result};
pub use guest::{Architecture, Edition, Guest};
pub use machine::{Controller, Firmware, Machine, Remote, Transport};
pub use package::{Compressed, CompressedWriter, DiskKind, Kind, Package, Stored, StoredWriter};
pub use vagrant::Provider;

#![doc = include_str!("../README.md")]

mod archive;
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

pub use archive::{Archive, DiskWriter};
pub use error::{Error, Result};
pub use guest::{Architecture, Edition, Guest};
pub use machine::{Controller, Firmware, Machine, Remote, Transport};
pub use package::{DiskKind, Kind, Package};
pub use vagrant::Provider;

#![doc = include_str!("../README.md")]

mod cache;
mod check;
mod descriptor;
mod error;
mod extent;
mod files;
mod grain;
mod kind;
pub mod layout;
mod open;
mod options;
mod read;
mod sparse;
mod sparse_stream;
mod split;
mod stream;

pub use check::Usage;
pub use descriptor::{DescribedExtent, Descriptor};
pub use error::{Error, Result};
pub use files::{ExtentFile, extent_files};
pub use kind::Kind;
pub use open::is_vmdk;
pub use options::{Adapter, GRAIN_SIZE, Level, MAX_FLAT_SIZE, MAX_SIZE, Options};
pub use read::{ExtentOpener, ParentReference, Vmdk};
pub use sparse::{monolithic_sparse, monolithic_sparse_size};
pub use sparse_stream::monolithic_sparse_ordered;
pub use split::{Split, split, split_size};
pub use stream::{StreamOptimized, stream_optimized};

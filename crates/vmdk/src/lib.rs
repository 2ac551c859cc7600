#![doc = include_str!("../README.md")]

mod cache;
mod check;
mod descriptor;
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
pub use codec::Effort as Level;
pub use descriptor::{DescribedExtent, Descriptor};
pub use disk::ContainerError as Error;
pub use files::{ExtentFile, extent_files};
pub use kind::Kind;
pub use open::is_vmdk;
pub use options::{Adapter, GRAIN_SIZE, MAX_FLAT_SIZE, MAX_SIZE, Options};
pub use read::{ExtentOpener, ParentReference, Vmdk};
pub use sparse::{monolithic_sparse, monolithic_sparse_size};
pub use sparse_stream::monolithic_sparse_ordered;
pub use split::{Split, split, split_size};
pub use stream::{StreamOptimized, stream_optimized};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there can be no such VMDK.
fn impossible(reason: impl Into<String>) -> Error {
    Error::impossible("VMDK", reason)
}

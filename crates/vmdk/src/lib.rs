#![doc = include_str!("../README.md")]

mod check;
mod descriptor;
mod error;
mod grain;
pub mod layout;
mod open;
mod options;
mod read;
mod sparse;
mod stream;

pub use check::Usage;
pub use descriptor::{DescribedExtent, Descriptor};
pub use error::{Error, Result};
pub use open::is_vmdk;
pub use options::{Adapter, GRAIN_SIZE, Level, MAX_SIZE, Options};
pub use read::{Kind, Vmdk};
pub use sparse::{MonolithicSparse, monolithic_sparse, monolithic_sparse_size};
pub use stream::{StreamOptimized, stream_optimized};

#![doc = include_str!("../README.md")]

mod descriptor;
mod error;
mod grain;
pub mod layout;
mod options;
mod sparse;
mod stream;

pub use descriptor::Descriptor;
pub use error::{Error, Result};
pub use options::{Adapter, GRAIN_SIZE, Level, MAX_SIZE, Options};
pub use sparse::{MonolithicSparse, monolithic_sparse, monolithic_sparse_size};
pub use stream::{StreamOptimized, stream_optimized};

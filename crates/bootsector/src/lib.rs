#![doc = include_str!("../README.md")]

mod chs;
mod error;
mod gpt;
pub mod layout;
mod logical;
mod mbr;
mod place;

pub use chs::Chs;
pub use error::{Error, Result};
pub use gpt::{Gpt, GptPartition};
pub use mbr::{Mbr, Partition, PartitionType, SECTOR_LEN};
pub use place::{ALIGNMENT, Size, place, smallest_disk};

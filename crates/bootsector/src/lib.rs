#![doc = include_str!("../README.md")]

mod chs;
mod error;
pub mod layout;
mod mbr;
mod place;

pub use chs::Chs;
pub use error::{Error, Result};
pub use mbr::{Mbr, Partition, PartitionType, SECTOR_LEN};
pub use place::{ALIGNMENT, Size, place, smallest_disk};

#![doc = include_str!("../README.md")]

mod boot_code;
mod chs;
mod error;
mod gpt_read;
mod gpt_write;
pub mod layout;
mod logical;
mod mbr;
mod place;

pub use boot_code::{NTFS_BOOT_RECORD_LEN, find_mbr_code, find_ntfs_code, mbr_boot_code, ntfs_boot_record};
pub use chs::Chs;
pub use error::{Error, Result};
pub use gpt_read::{Gpt, GptKind, GptPartition};
pub use gpt_write::GptBytes;
pub use mbr::{Mbr, Partition, PartitionType, SECTOR_LEN};
pub use place::{ALIGNMENT, Size, place, smallest_disk};

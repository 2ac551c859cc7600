#![doc = include_str!("../README.md")]

mod at;
mod block_map;
mod container_error;
mod durable;
mod extent;
mod filetime;
mod guid;
mod hex;
mod io;
mod lba;
mod planned;
mod runs;
mod seed;
mod severity;
mod sink;
pub mod upcase;
mod zero;

pub use at::At;
pub use block_map::{BlockMap, MappedRange, RangeKind, RawDisk};
pub use container_error::ContainerError;
pub use durable::{sync_directory_of, try_lock};
pub use extent::{Allocated, Content, Extent, ExtentMap, Label, NO_NODE, Piece, PieceContent};
pub use filetime::{Calendar, FileTime};
pub use guid::Guid;
pub use hex::{hex, parse_hex};
pub use io::{ReadAt, SubRange, WriteAt};
pub use lba::{Lba, SectorSize};
pub use planned::{FrontToBack, PlannedFile, PlannedStream, Verbatim};
pub use runs::{Misplaced, Run, Runs};
pub use seed::Seed;
pub use severity::Severity;
pub use sink::{OrderedSink, PositionedSink, Sink, UnitEncoder};
pub use zero::is_zero;

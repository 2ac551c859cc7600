#![doc = include_str!("../README.md")]

mod cells;
pub mod check;
pub mod data;
mod emit;
mod error;
pub mod file;
mod hive;
mod key;
mod layout;
mod log;
mod marvin;
mod name;
mod parse;
pub mod paths;
pub mod reg;
mod value;

pub use check::check;
pub use disk::FileTime;
pub use error::{Error, Result};
pub use hive::{Hive, MINOR_VERSIONS};
pub use key::{Key, MAX_CLASS_SIZE, MAX_DEPTH, MAX_KEY_NAME, flags};
pub use log::{LogFormat, LogUse, Recovery, replay};
pub use name::Name;
pub use value::{Kind, MAX_VALUE_NAME, MAX_VALUE_SIZE, Value};

#![doc = include_str!("../README.md")]

pub mod cabinet;
mod error;
pub mod limits;

pub use cabinet::Cabinet;
pub use error::{Error, Result};

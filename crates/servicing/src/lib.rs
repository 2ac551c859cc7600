#![doc = include_str!("../README.md")]

mod about;
mod assess;
pub mod cabinet;
mod error;
mod expand;
pub mod identity;
pub mod limits;
pub mod manifest;
pub mod mum;
pub mod names;
mod package;
pub mod payload;
pub mod plan;
mod xml;

pub use about::About;
pub use assess::{Assessment, Verdict, Way};
pub use cabinet::Cabinet;
pub use error::{Error, Result};
pub use identity::{Identity, Version};
pub use package::{Package, PackageKind};

#![doc = include_str!("../README.md")]

pub mod catalog;
pub mod compile;
mod error;
pub mod find;
mod folders;
mod image_state;
pub mod inf;
mod package;
pub mod plan;
mod target;
pub mod validate;

pub use compile::{CompiledDriver, Inbox, compile};
pub use error::{Error, Place, Result, Warning};
pub use folders::Folders;
pub use image_state::ImageState;
pub use inf::Inf;
pub use package::Package;
pub use plan::{Plan, Refused, plan};
pub use target::{Architecture, ProductType, Target};

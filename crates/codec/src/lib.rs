#![doc = include_str!("../README.md")]

mod error;
mod lzx_format;
pub mod reference;
mod token;
mod xpress_format;

pub use error::{Code, Error};
pub use reference::{Lzx, Xpress};
pub use token::Token;

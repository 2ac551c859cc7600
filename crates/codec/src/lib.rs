#![doc = include_str!("../README.md")]

mod bits;
mod copy;
mod e8;
mod error;
mod huffman;
mod lzx;
mod lzx_format;
pub mod reference;
mod token;
mod xpress_format;

pub use error::{Code, Error};
pub use lzx::Lzx;
pub use reference::Xpress;
pub use token::Token;

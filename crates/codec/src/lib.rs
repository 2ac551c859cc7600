#![doc = include_str!("../README.md")]

mod bits;
mod copy;
mod deflate;
mod e8;
mod encode;
mod error;
mod failure;
mod huffman;
mod lzms;
mod lzms_code;
mod lzms_format;
mod lzms_x86;
mod lznt1;
mod lzx;
mod lzx_entry;
mod lzx_format;
mod lzx_repeats;
pub mod reference;
mod token;
mod xpress;
mod xpress_encode;
mod xpress_format;

pub use deflate::{Deflater, Effort, Note, Tokens};
pub use error::{Code, Error};
pub use lzms::Lzms;
pub use lznt1::lznt1;
pub use lzx::Lzx;
pub use token::Token;
pub use xpress::Xpress;
pub use xpress_encode::{Level, XpressEncoder};

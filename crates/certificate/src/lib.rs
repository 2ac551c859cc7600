#![doc = include_str!("../README.md")]

mod authority;
mod der;
mod error;
mod key;
mod key_file;
mod oid;
mod pkcs12;
mod rsa;

pub use authority::{Certificate, DEFAULT_DAYS, Request};
pub use error::{Error, Result};
pub use key::Key;
pub use key_file::{read_key, readable_by_others, write_key};
pub use pkcs12::pkcs12;

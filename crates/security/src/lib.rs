#![doc = include_str!("../README.md")]

mod ace;
mod descriptor;
mod error;
mod inherit;
mod sddl;
mod sid;

pub use ace::{Ace, AceKind, Acl, Trustee, flags};
pub use descriptor::{Descriptor, control};
pub use error::{Error, Result};
pub use inherit::{Creator, Kind};
pub use sddl::sddl;
pub use sid::Sid;

#![doc = include_str!("../README.md")]

mod blob;
mod cache;
mod error;
mod hash_index;
mod header;
mod image;
mod integrity;
mod kept;
pub mod layout;
mod limits;
mod reader;
mod resource;
mod solid;
mod stored;
pub mod verify;
mod warning;
mod wim;
mod xml;

pub use blob::{Blob, BlobId};
pub use error::{Error, Result};
pub use header::{Codec, Header};
pub use image::{
    Dentry, DentryId, ExtendedAttribute, ExtendedAttributes, Image, ImageParts, Inode, InodeId, Links,
    NamedStream, ObjectId, Reparse, StreamRef, TaggedItem, attributes,
};
pub use limits::Limits;
pub use reader::BlobReader;
pub use resource::Storage;
pub use stored::StoredHasher;
pub use warning::Warning;
pub use wim::{Source, Wim};
pub use xml::{Architecture, ImageInfo, Version, Xml};

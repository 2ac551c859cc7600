#![doc = include_str!("../README.md")]

pub mod check;
mod create;
mod device;
mod element;
mod error;
pub mod names;
mod object;
mod options;
mod store;
mod template;
mod text;

pub use check::{check, check_bytes, check_hive};
pub use create::{
    DeviceKind, Edition, Firmware, Generation, Recovery, Setup, create, create_from, create_recovery_store,
};
pub use device::{Device, DeviceElement, FileDevice, LocateBy, Partition};
pub use element::{Element, ElementClass, ElementType, Format};
pub use error::{Error, Result};
pub use object::{Application, Object, ObjectKind, ObjectType};
pub use options::{BootMenuPolicy, Debug, Ems, Options};
pub use store::{Store, StoreRole};
pub use template::{edit_template, merge_template};
pub use text::{parse_value, value_lines};

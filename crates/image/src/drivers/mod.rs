//! Drivers for an image: where they come from, which of them it takes, and putting them there.
//!
//! `driver` knows what Windows makes of a package; here are the files around it. [`DriverSource`] opens what people have
//! (folders, INF files, cabinets, archives, ISO images), [`examine`] says what a Windows would take of it and what it would
//! refuse, and `inject` carries that out. Everything is read and checked before the first change.

mod archive;
mod describe;
mod examine;
mod inject;
mod source;

pub use driver::{Architecture, ProductType, Target};

pub use self::describe::{DriverFit, DriverInfo, Outcome, describe, fits, target_of};
pub use self::examine::{Examination, Examined, examine};
pub use self::inject::DriverReport;
pub(crate) use self::inject::inject;
pub use self::source::{DriverSource, SourceKind};

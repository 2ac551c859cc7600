#![doc = include_str!("../README.md")]

mod about;
mod answer;
mod base64;
mod checks;
mod error;
mod plan;
mod registry;
mod script;
mod secret;
mod wishes;
mod xml;

pub use about::{About, Architecture, InstallationType};
pub use error::{Error, Result};
pub use plan::{File, Plan, Protection, SecretFile, plan};
pub use secret::{AnswerFile, DomainBlob, MAX_DOMAIN_BLOB, MAX_SECRET_FILE, Secret};
pub use wishes::{
    Account, Action, Direction, FirewallRule, Https, Interface, IpPrefix, Locale, PfxFile, Ports, Profile,
    Protocol, StagedKind, StagedPackage, WinRm, Wishes,
};

//! What hives this crate reads and writes, held against other people's readers, a model, damage and a checker.
#![expect(clippy::unwrap_used, reason = "tests")]

mod damage;
mod faults;
mod file;
mod fixture;
mod logs;
mod model;
mod oracles;
mod raw;
mod samples;
mod tree;

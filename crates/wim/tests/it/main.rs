//! The reader from outside: against hand-made files that are wrong, damaged files, and files that wimlib wrote.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;
mod damage;
mod hostile;
mod solid;
mod split;
mod structures;
mod tokens;
mod wimlib;

//! The program as its users meet it, judged by other people's tools.
//!
//! `proof` builds disks and has everybody else read them; `bad_input` gives it what it must refuse; `manners` holds it
//! to what it promises about outputs, exit codes and determinism.

mod bad_input;
mod ids;
mod manners;
mod proof;
mod support;

//! The program as its users meet it, judged by other people's tools.
//!
//! `proof` builds disks and has everybody else read them; `boot` starts them, `chain` breaks what starts them;
//! `commands` compares what `info`, `ls`, `cat` and `extract` say; `bad_input` gives the program what it must refuse;
//! `containers` takes disks into every container and out, judged by others; `convert` is the command itself; `iso` looks
//! into ISO images; `packages` unpacks boxes, OVA and OCI images; `recipe` builds from recipes; `manners` holds it to what
//! it promises about outputs, exit codes and determinism; `help`, `json`, `suggestions`, `exit_codes` and `terminal` are
//! about how it speaks.

mod bad_input;
mod bcd;
mod boot;
mod chain;
mod commands;
mod compact;
mod containers;
mod convert;
mod determinism;
mod disk_paths;
mod driver;
mod exit_codes;
mod explain;
mod gpt;
mod help;
mod hostile;
mod ids;
mod iso;
mod json;
mod manners;
mod nano;
mod packages;
mod proof;
mod random;
mod recipe;
mod reg;
mod scale_out;
mod shrink;
mod suggestions;
mod support;
mod terminal;

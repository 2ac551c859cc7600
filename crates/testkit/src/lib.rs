//! Oracles and fixtures for the tests of this workspace.
//!
//! A reader and a writer from the same hands agree even when both are wrong, so what matters here is proved with
//! other people's tools: wimlib, ntfs-3g, sleuthkit, 7-Zip, qemu and a Linux kernel. This crate finds them, runs
//! them, and compares what they say with what was meant. It never ships.
//!
//! A tool that is not installed makes its test skip *visibly* (a `SKIPPED:` line on standard error); with
//! `REQUIRE_TOOLS=1`, as `.ci/run` sets it, the same absence fails the test.

#![warn(missing_docs)]

pub mod asm;
pub mod container;
pub mod content;
pub mod descriptor;
pub mod disk;
pub mod disk_reader;
pub mod efi_app;
pub mod faults;
pub mod fixture;
pub mod hostile;
pub mod kernel;
pub mod libfsntfs;
pub mod ovmf;
pub mod patch;
pub mod payload;
mod places;
pub mod program;
pub mod qemu;
pub mod random;
pub mod reader;
pub mod registry;
pub mod seeds;
mod tool;
pub mod tree;
pub mod vmdk_stream;
pub mod wimfile;
pub mod windows_image;

pub use places::{cache, samples, testdata};
pub use tool::{Tool, skip, skip_here, tool, tools_required};

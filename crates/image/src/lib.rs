#![doc = include_str!("../README.md")]

mod blobs;
mod boot;
mod build;
pub mod chain;
mod check_disk;
mod chosen;
mod compact;
mod compare;
mod container;
mod convert;
mod customize;
mod differ;
mod disk_file;
mod disk_layout;
mod disk_source;
pub mod drivers;
mod edit;
mod error;
mod esp;
mod explain;
mod extract;
mod glob;
mod hive_changes;
mod hive_set;
mod iso_source;
mod late;
mod link;
mod oci;
mod output;
pub mod pipeline;
mod planner;
mod prepass;
pub mod recipe;
pub mod registry;
pub mod resize;
mod source;
mod split_set;
mod spool;
pub mod tree;
mod tree_index;
pub mod unused;
mod volume;
mod watched;

pub use boot::BootSummary;
pub use build::{PartitionSummary, Plan, Run, Summary, Usage};
pub use check_disk::{VolumeCheck, check_disk};
pub use compact::CompactSummary;
pub use compare::{CompareOptions, Comparison, Difference, MAX_LISTED, compare, compare_with_record};
pub use convert::{Conversion, Converted, convert};
pub use customize::report::{CertificateReport, CopyReport, HiveReport, PackageReport, SecretReport};
pub use customize::{About, Report};
pub use differ::{DiskComparison, FirstDifference, compare_disks};
pub use disk_file::{
    Container, ContainerCheck, DiskFile, DiskInfo, FileKind, FileSystemInfo, Parents, PartitionInfo, Stamp,
    TableInfo,
};
pub use disk_layout::TypeId;
pub use disk_source::{
    DiskBlobs, DiskPartition, DiskPlace, DiskVolume, PartitionKind, Partitions, PartitionsInfo, Scope,
    TableKind, VolumeInfo, VolumeOptions, VolumeReport,
};
pub use edit::{Action, Change};
pub use error::{Error, ErrorKind, Result};
pub use explain::{ExplainOptions, explain, explain_plan};
pub use extract::{ExtractOptions, Extracted, copy_blob, extract};
pub use fat::check::Report as FatReport;
pub use iso_source::{IsoBlobs, IsoInfo, IsoSource, IsoWim, WimChoice};
pub use link::reparse_target;
pub use ntfs_writer::check::{Report as CheckReport, Severity as CheckSeverity};
pub use oci::{LayerPlan, LayerSummary};
pub use output::PartialFile;
pub use pipeline::{Counters, Profile, Stage, ThreadProfile};
pub use recipe::{
    Algorithm, BcdDevice, Boot, BootCode, BootMenu, Compact, CompactOs, CopyChoice, Customize, Format,
    ImageChoice, Layout, Level, MachineWish, Output, Platform, Recipe, RecipeFile, Size, Spelled,
    did_you_mean, nearest,
};
pub use security::sddl;
pub use source::{WimBlobs, WimSource};
pub use tree_index::{NameId, TreeIndex};

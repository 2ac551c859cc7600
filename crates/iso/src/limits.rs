//! What an image may ask of its reader. Windows media need a small part of each: about a thousand files, 40 directories,
//! none deeper than ten, and one run for every file.

/// Bytes of one directory. Its entries take at least 34 (ISO 9660) or 40 (UDF) bytes each.
pub const DIRECTORY_BYTES: u64 = 16 << 20;

/// Entries of all directories that a [`Walk`](crate::Walk) enters.
pub const ENTRIES: u64 = 1 << 20;

/// Directories inside each other that a [`Walk`](crate::Walk) enters, and components of a path that is looked up. A path
/// of ISO 9660 has at most 8 levels (relaxed everywhere), one of UDF at most 1,023 bytes (UDF 2.60, 2.1).
pub const DEPTH: usize = 512;

/// Runs of one file after those that touch became one; a file of 4.5 GB on Windows media has one.
pub const RUNS: usize = 1 << 16;

/// Allocation extent descriptors that continue the description of one UDF file. Each holds some 250 extents of up to
/// 1 GiB, so it does not bound files.
pub const CONTINUATIONS: usize = 4096;

/// Descriptors in a volume descriptor sequence or set.
pub const DESCRIPTORS: u64 = 256;

/// Partition maps of a UDF logical volume.
pub const PARTITION_MAPS: u32 = 64;

/// Rock Ridge continuation areas of one directory record.
pub const ROCK_RIDGE_CONTINUATIONS: usize = 64;

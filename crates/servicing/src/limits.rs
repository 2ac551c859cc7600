//! What is accepted. Memory follows these, never a field of a file.

/// Bytes of one file that [`Cabinet::read`](crate::Cabinet::read) returns. The largest files of real packages are a few
/// hundred MiB.
pub const MAX_FILE_SIZE: u64 = 512 << 20;

/// Bytes of a file's name in a cabinet. The format's own limit is 255 and a NUL; packages exceed it, because a name begins
/// with a component's folder.
pub const MAX_NAME_SIZE: usize = 512;

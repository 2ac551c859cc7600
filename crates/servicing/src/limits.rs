//! What is accepted. Memory follows these, never a field of a file.

/// Bytes of one file that [`Cabinet::read`](crate::Cabinet::read) returns. The largest files of real packages are a few
/// hundred MiB.
pub const MAX_FILE_SIZE: u64 = 512 << 20;

/// Bytes of a file's name in a cabinet. The format's own limit is 255 and a NUL; packages exceed it, because a name begins
/// with a component's folder.
pub const MAX_NAME_SIZE: usize = 512;

/// Bytes of one XML document. The largest of Windows are below 1 MiB.
pub const MAX_XML_SIZE: u64 = 16 << 20;

/// Elements inside of each other. Those of Windows: 13.
pub const MAX_XML_DEPTH: u64 = 64;

/// Elements of one document.
pub const MAX_XML_ELEMENTS: u64 = 500_000;

/// Attributes of one element.
pub const MAX_XML_ATTRIBUTES: u64 = 64;

/// Bytes of all XML documents of a package together.
pub const MAX_PACKAGE_XML: u64 = 256 << 20;

/// Packages inside of each other.
pub const MAX_PACKAGE_DEPTH: usize = 16;

/// Characters of a text after its `$(...)` have been replaced.
pub const MAX_EXPANDED: usize = 1 << 16;

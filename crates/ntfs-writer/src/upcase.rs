//! `$UpCase`: the volume's own copy of the table by which names are compared.

pub(crate) use disk::upcase::{CRC64, table};

/// Its length in bytes.
pub(crate) const LEN: usize = 2 * 0x1_0000;

//! Tar: headers of ustar, with sizes in GNU's form where octal digits end (8 GiB), and PAX records where there is more to
//! say than a header can.
//!
//! Everything that a header says and nobody asked for is the same in every archive: owner 0, mode 0644.

use crate::{Error, Result};

/// Headers, and what they stand before, are whole blocks.
pub const BLOCK: u64 = 512;

/// What ends an archive.
pub const END: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// The bytes after `len` bytes of content up to the next header.
pub fn padding(len: u64) -> u64 {
    (BLOCK - len % BLOCK) % BLOCK
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// Another name of a file that came before.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// PAX records for the member that follows.
    Pax,
}

impl Kind {
    fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::Directory => b'5',
            Self::Pax => b'x',
        }
    }
}

/// A header of one block.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// Path inside the archive, at most 100 bytes; no PAX record is made of a longer one here.
    pub name: &'a str,
    /// Where a link leads, at most 100 bytes.
    pub link: &'a str,
    /// Bytes of content that follow.
    pub size: u64,
    /// Seconds since 1970 UTC.
    pub mtime: u64,
    /// What it is.
    pub kind: Kind,
}

/// The longest name and link of a header.
pub const MAX_NAME: usize = 100;

impl<'a> Header<'a> {
    /// The header of a file.
    pub fn file(name: &'a str, size: u64, mtime: u64) -> Self {
        Self { name, link: "", size, mtime, kind: Kind::File }
    }

    /// Its block.
    ///
    /// # Errors
    /// [`Error::Limit`] for a name or link that is too long.
    pub fn to_block(&self) -> Result<[u8; BLOCK as usize]> {
        let mut block = [0; BLOCK as usize];
        for (what, text, at) in [("length of a name", self.name, 0), ("length of a link", self.link, 157)] {
            let bytes = text.as_bytes();
            if bytes.len() > MAX_NAME {
                return Err(Error::Limit { what, found: bytes.len() as u64, limit: MAX_NAME as u64 });
            }
            block[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let mode = if self.kind == Kind::Directory { 0o755 } else { 0o644 };
        number(&mut block[100..108], mode);
        number(&mut block[108..116], 0);
        number(&mut block[116..124], 0);
        number(&mut block[124..136], self.size);
        number(&mut block[136..148], self.mtime);
        block[156] = self.kind.flag();
        block[257..265].copy_from_slice(b"ustar\x0000");
        number(&mut block[329..337], 0);
        number(&mut block[337..345], 0);
        // The sum counts its own field as spaces, and is followed by NUL and a space.
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        number(&mut block[148..155], sum);
        Ok(block)
    }
}

/// Octal digits and a NUL; or, for what does not fit, GNU's form: the number itself, big-endian, after a byte of 0x80.
fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    if value >> (3 * digits).min(63) == 0 {
        field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
        field[digits] = 0;
    } else {
        field.fill(0);
        field[0] = 0x80;
        let at = field.len() - 8;
        field[at..].copy_from_slice(&value.to_be_bytes());
    }
}

/// PAX records as the content of a [`Kind::Pax`] member. Values are bytes, names are not checked.
pub fn pax_records<'a>(records: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        // The length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while rest + len.to_string().len() != len {
            len = rest + len.to_string().len();
        }
        out.extend_from_slice(format!("{len} {key}=").as_bytes());
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_past_octal_are_binary() {
        let octal = Header::file("a", (8 << 30) - 1, 0).to_block().unwrap();
        assert_eq!(&octal[124..136], b"77777777777\0");
        let binary = Header::file("a", 8 << 30, 0).to_block().unwrap();
        assert_eq!(&binary[124..136], b"\x80\0\0\0\0\0\0\x02\0\0\0\0");
    }

    #[test]
    fn records_count_themselves() {
        assert_eq!(pax_records([("a", &b"b"[..])]), b"6 a=b\n");
        // 95 + "NN " would be 98; three digits make it one longer.
        for len in 1..300 {
            let value = vec![b'x'; len];
            let record = pax_records([("path", &value[..])]);
            let text = std::str::from_utf8(&record).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn long_names_are_refused() {
        let name = "n".repeat(101);
        assert!(Header::file(&name, 0, 0).to_block().is_err());
        Header::file(&name[..100], 0, 0).to_block().unwrap();
    }
}

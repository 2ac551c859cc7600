//! What a file of Windows is in a layer's tar.
//!
//! Facts: Microsoft's go-winio (`backuptar`), which makes and reads these layers on Windows, and hcsshim
//! (`internal/wclayer`), which says what a base layer holds: `Files`, and `UtilityVM/Files` if containers are to run in
//! virtual machines. The registry's `Hives/*_Base`, the `layout` file and the rest are made by Windows when it takes the
//! layer (`ProcessBaseLayer`), and are in the way if they are there already.
//!
//! Beyond what tar knows, PAX records say: `MSWINDOWS.fileattr`, the attributes as a decimal number; `MSWINDOWS.rawsd`,
//! the self-relative security descriptor in base64; `LIBARCHIVE.creationtime`; `MSWINDOWS.xattr.NAME`, an extended
//! attribute; `MSWINDOWS.mountpoint`, for a symbolic link that is a junction. A named stream is a member of its own behind
//! its file, called `file:stream`. There is no place for short names, object ids and other reparse points.

use disk::FileTime;

use crate::Result;
use crate::tar::{self, Header, Kind, MAX_NAME};

/// A file, directory, link or stream of a layer.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its path in the layer, with slashes: `Files/Windows/notepad.exe`.
    pub path: &'a str,
    /// What it is.
    pub kind: EntryKind<'a>,
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// When it was created.
    pub created: FileTime,
    /// When it was last written.
    pub written: FileTime,
    /// When it was last accessed.
    pub accessed: FileTime,
    /// Its self-relative security descriptor.
    pub security: Option<&'a [u8]>,
    /// Its extended attributes.
    pub extended: Vec<(&'a str, &'a [u8])>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind<'a> {
    /// A directory.
    Directory,
    /// A file of so many bytes, which follow its header.
    File {
        /// Bytes.
        size: u64,
    },
    /// A named stream of the file before, of so many bytes; its path ends in `:name`.
    Stream {
        /// Bytes.
        size: u64,
    },
    /// Another name of a file that came before.
    HardLink {
        /// That file's path in the layer.
        to: &'a str,
    },
    /// A symbolic link.
    Symlink {
        /// The target, as Windows prints it.
        target: &'a str,
        /// Whether it is a junction.
        junction: bool,
    },
}

impl EntryKind<'_> {
    /// Bytes of content that follow the header.
    pub fn size(self) -> u64 {
        match self {
            Self::File { size } | Self::Stream { size } => size,
            _ => 0,
        }
    }
}

/// Seconds since 1970 with up to nine digits behind the point, and none that say nothing.
fn pax_time(time: FileTime) -> String {
    let (seconds, nanoseconds) = time.to_unix();
    // Before 1970 the fraction counts towards the past, too.
    let (sign, seconds, nanoseconds) = match (seconds < 0, nanoseconds) {
        (true, 1..) => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds),
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        (false, _) => ("", seconds.unsigned_abs(), nanoseconds),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            let filler = digit > chunk.len();
            text.push(if filler { '=' } else { char::from(ALPHABET[value as usize]) });
        }
    }
    text
}

/// A name that fits a header, for readers that know no PAX: the end of it, without what is not ASCII.
fn short(path: &str, most: usize) -> String {
    let ascii: String = path.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    ascii[ascii.len().saturating_sub(most)..].trim_start_matches('/').to_owned()
}

impl Entry<'_> {
    /// What stands before its content: a PAX member and a header. Zeros up to a multiple of [`tar::BLOCK`] follow the content.
    ///
    /// # Errors
    /// None that a valid entry could have.
    pub fn header(&self) -> Result<Vec<u8>> {
        let mut records: Vec<(String, Vec<u8>)> = Vec::new();
        let mut record = |key: &str, value: Vec<u8>| records.push((key.to_owned(), value));
        let path = match self.kind {
            EntryKind::Directory => format!("{}/", self.path),
            _ => self.path.to_owned(),
        };
        let (kind, link) = match self.kind {
            EntryKind::Directory => (Kind::Directory, ""),
            EntryKind::File { .. } | EntryKind::Stream { .. } => (Kind::File, ""),
            EntryKind::HardLink { to } => (Kind::HardLink, to),
            EntryKind::Symlink { target, .. } => (Kind::Symlink, target),
        };
        let plain = |text: &str| text.is_ascii() && text.len() <= MAX_NAME;
        if !plain(&path) {
            record("path", path.clone().into_bytes());
        }
        if !plain(link) {
            record("linkpath", link.to_owned().into_bytes());
        }
        let size = self.kind.size();
        if size >= 1 << 33 {
            record("size", size.to_string().into_bytes());
        }
        record("mtime", pax_time(self.written).into_bytes());
        record("atime", pax_time(self.accessed).into_bytes());
        // A WIM has no time of the last change of metadata; the last write is the latest that is sure.
        record("ctime", pax_time(self.written).into_bytes());
        if !matches!(self.kind, EntryKind::Stream { .. }) {
            record("LIBARCHIVE.creationtime", pax_time(self.created).into_bytes());
            record("MSWINDOWS.fileattr", self.attributes.to_string().into_bytes());
            if !matches!(self.kind, EntryKind::HardLink { .. }) {
                if let Some(security) = self.security {
                    record("MSWINDOWS.rawsd", base64(security).into_bytes());
                }
                for (name, value) in &self.extended {
                    record(&format!("MSWINDOWS.xattr.{name}"), base64(value).into_bytes());
                }
            }
            if let EntryKind::Symlink { junction: true, .. } = self.kind {
                record("MSWINDOWS.mountpoint", b"1".to_vec());
            }
        }
        records.sort();
        let pax = tar::pax_records(records.iter().map(|(key, value)| (&**key, &**value)));
        let mtime = u64::try_from(self.written.to_unix().0).unwrap_or(0);
        let name = format!("PaxHeaders.0/{}", short(&path, MAX_NAME - 13));
        let pax_header = Header { name: &name, link: "", size: pax.len() as u64, mtime, kind: Kind::Pax };
        let mut out = pax_header.to_block()?.to_vec();
        out.extend_from_slice(&pax);
        out.resize(out.len() + tar::padding(pax.len() as u64) as usize, 0);
        let (name, link) = (short(&path, MAX_NAME), short(link, MAX_NAME));
        out.extend_from_slice(&Header { name: &name, link: &link, size, mtime, kind }.to_block()?);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_count_backwards() {
        let time = |seconds, ticks| FileTime(FileTime::from_unix_seconds(seconds).0 + ticks);
        for (time, text) in [
            (time(0, 0), "0"),
            (time(10, 0), "10"),
            (time(1, 5_000_000), "1.5"),
            (time(1, 1), "1.0000001"),
            (time(-2, 5_000_000), "-1.5"),
            (time(-1, 9_999_999), "-0.0000001"),
            (time(-20, 0), "-20"),
            (FileTime(0), "-11644473600"),
        ] {
            assert_eq!(pax_time(time), text);
        }
    }

    #[test]
    fn base64_of_every_remainder() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe\xfd", "//79")]
        {
            assert_eq!(base64(bytes), text);
        }
    }
}

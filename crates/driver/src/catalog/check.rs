//! Whether the files of a package are those that its catalog covers.

use super::digest::Digests;
use super::trust::Trusted;
use super::{Catalog, SignedBy, pe};
use crate::{Error, Result};

/// A file of a package.
#[derive(Clone, Copy, Debug)]
pub struct File<'f> {
    /// Its path from the folder of the INF file, with backslashes.
    pub path: &'f str,
    /// What is in it.
    pub bytes: &'f [u8],
}

/// How a file is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// It has another hash than the catalog has for a file of its name.
    Changed,
    /// The same, and with other line ends it would have the right one.
    LineEnds {
        /// Whether the right ones are carriage returns with line feeds.
        should_be_crlf: bool,
    },
}

/// What a catalog says of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The catalog covers every file, and this is who signed it.
    Signed(SignedBy),
    /// A file is not what was signed.
    Mismatch {
        /// The file.
        file: String,
        /// How it is wrong.
        which: Which,
    },
    /// The catalog knows no file of that name and none of that hash: it may be one of another package.
    NotListed {
        /// The file.
        file: String,
    },
    /// The signature of the catalog is not good.
    BadSignature {
        /// What is wrong with it.
        reason: String,
    },
    /// There is no catalog.
    Unsigned,
}

/// Plain words, for a message.
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signed(by) => {
                write!(f, "signed by {} (issued by {})", by.subject, by.issuer)?;
                match &by.anchor {
                    super::Anchor::Known(_) => Ok(()),
                    super::Anchor::Unknown(issuer) => {
                        write!(f, "; whether by the real {issuer} was not checked")
                    }
                }
            }
            Self::Mismatch { file, which: Which::Changed } => {
                write!(f, "{file} is not the file that was signed: the catalog has another hash for it")
            }
            Self::Mismatch { file, which: Which::LineEnds { should_be_crlf } } => {
                let (found, expected) = if *should_be_crlf { ("LF", "CRLF") } else { ("CRLF", "LF") };
                write!(
                    f,
                    "{file} has line ends {found}, and was signed with {expected}; a tool such as git has converted it"
                )
            }
            Self::NotListed { file } => {
                write!(
                    f,
                    "{file} is not in the catalog, by its hash or by its name; the catalog may be of another package"
                )
            }
            Self::BadSignature { reason } => write!(f, "the signature of the catalog is not good: {reason}"),
            Self::Unsigned => f.write_str("there is no catalog"),
        }
    }
}

/// Checks the files of a package against its catalog.
///
/// The first file that is wrong decides; files come before the signature, since a wrong file is what happens. A catalog
/// that cannot be read is one with a bad signature.
///
/// # Errors
/// [`Error::Limit`] for catalogs that are made to exhaust their reader.
pub fn check(catalog: Option<&[u8]>, files: &[File<'_>], trusted: &Trusted) -> Result<Verdict> {
    let Some(catalog) = catalog else { return Ok(Verdict::Unsigned) };
    let catalog = match Catalog::parse(catalog) {
        Ok(catalog) => catalog,
        Err(error) => return Verdict::of_error(error),
    };
    match files.iter().find_map(|file| catalog.wrong(file)) {
        Some(wrong) => Ok(wrong),
        None => catalog.verdict(trusted),
    }
}

impl Verdict {
    pub(crate) fn of_error(error: Error) -> Result<Self> {
        match error {
            Error::Malformed { .. } | Error::Unsupported { .. } => {
                Ok(Self::BadSignature { reason: error.to_string() })
            }
            error => Err(error),
        }
    }
}

impl Catalog<'_> {
    /// Who signed the catalog, or what is wrong with its signature. The files are looked at by [`wrong`](Self::wrong).
    ///
    /// # Errors
    /// As [`check`].
    pub fn verdict(&self, trusted: &Trusted) -> Result<Verdict> {
        self.verify(trusted).map_or_else(Verdict::of_error, |signed| Ok(Verdict::Signed(signed)))
    }

    /// What is wrong with a file; `None` when the catalog covers it.
    pub fn wrong(&self, file: &File<'_>) -> Option<Verdict> {
        wrong(self, file)
    }
}

fn wrong(catalog: &Catalog<'_>, file: &File<'_>) -> Option<Verdict> {
    let has = |digests: &Digests| catalog.members.iter().any(|member| digests.have(&member.digest));
    if has(&Digests::of([file.bytes])) {
        return None;
    }
    // What only begins like a program is a file like any other.
    if pe::read(file.bytes).is_ok_and(|program| has(&program.digests) || has(&program.padded)) {
        return None;
    }
    let name = file.path.rsplit('\\').next().unwrap_or(file.path).to_lowercase();
    let listed = catalog.members.iter().any(|member| {
        let known = member.file.as_deref().unwrap_or_default();
        known.rsplit('\\').next() == Some(name.as_str())
    });
    let file_name = file.path.to_owned();
    // Line ends are looked at for names that the catalog does not have, too: old ones name no files.
    if let Some(should_be_crlf) = line_ends(file.bytes, has) {
        return Some(Verdict::Mismatch { file: file_name, which: Which::LineEnds { should_be_crlf } });
    }
    Some(if listed {
        Verdict::Mismatch { file: file_name, which: Which::Changed }
    } else {
        Verdict::NotListed { file: file_name }
    })
}

/// Whether other line ends would make it a file of the catalog, and which.
fn line_ends(bytes: &[u8], has: impl Fn(&Digests) -> bool) -> Option<bool> {
    let width = if bytes.starts_with(&[0xFF, 0xFE]) { 2 } else { 1 };
    if width == 1 && bytes.contains(&0) {
        return None; // no text
    }
    let is = |unit: &[u8], c: u8| unit[0] == c && unit[1..].iter().all(|&high| high == 0);
    let carriage_return = &[b'\r', 0][..width];
    let (mut lf, mut crlf) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len()));
    let mut units = bytes.chunks(width).peekable();
    while let Some(unit) = units.next() {
        if is(unit, b'\r') && units.peek().is_some_and(|next| is(next, b'\n')) {
            continue;
        }
        if is(unit, b'\n') {
            crlf.extend(carriage_return);
        }
        lf.extend(unit);
        crlf.extend(unit);
    }
    let others = [(crlf, true), (lf, false)].into_iter().filter(|(text, _)| text != bytes);
    others
        .into_iter()
        .find(|(text, _)| has(&Digests::of([&text[..]])))
        .map(|(_, should_be_crlf)| should_be_crlf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(text: &[u8]) -> Digests {
        Digests::of([text])
    }

    #[test]
    fn line_ends_of_both_kinds() {
        let wide = |text: &str| {
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            [0xFF, 0xFE].into_iter().chain(units).collect::<Vec<u8>>()
        };
        for (right, wrong, crlf) in [
            (b"a\r\nb\r\n".to_vec(), b"a\nb\n".to_vec(), true),
            (b"a\nb\n".to_vec(), b"a\r\nb\r\n".to_vec(), false),
            (wide("a\r\nb\u{A0A}\r\n"), wide("a\nb\u{A0A}\n"), true),
            (wide("a\nb\u{D0A}"), wide("a\r\nb\u{D0A}"), false),
        ] {
            let wanted = digests(&right);
            assert_eq!(line_ends(&wrong, |found| *found == wanted), Some(crlf), "{right:02x?}");
            assert_eq!(line_ends(b"other\n", |found| *found == wanted), None);
        }
        assert_eq!(line_ends(b"a\0\n", |_| true), None);
    }
}

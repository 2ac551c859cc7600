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
/// The first file that is wrong decides; files come before the signature, since a wrong file is what happens.
///
/// # Errors
/// [`Error`] when the catalog cannot be read, or when a program cannot be.
pub fn check(catalog: Option<&[u8]>, files: &[File<'_>], trusted: &Trusted) -> Result<Verdict> {
    let Some(catalog) = catalog else { return Ok(Verdict::Unsigned) };
    let catalog = Catalog::parse(catalog)?;
    for file in files {
        if let Some(wrong) = check_file(&catalog, file)? {
            return Ok(wrong);
        }
    }
    Ok(match catalog.verify(trusted) {
        Ok(signed) => Verdict::Signed(signed),
        Err(error @ (Error::Malformed { .. } | Error::Unsupported { .. })) => {
            Verdict::BadSignature { reason: error.to_string() }
        }
        Err(error) => return Err(error),
    })
}

fn check_file(catalog: &Catalog<'_>, file: &File<'_>) -> Result<Option<Verdict>> {
    let has = |digests: &Digests| catalog.members.iter().any(|member| digests.have(&member.digest));
    let flat = Digests::of([file.bytes]);
    if has(&flat) {
        return Ok(None);
    }
    if pe::is_program(file.bytes) {
        let program = pe::read(file.bytes)?;
        if has(&program.digests) || has(&program.padded) {
            return Ok(None);
        }
    }
    let name = file.path.rsplit('\\').next().unwrap_or(file.path).to_lowercase();
    let listed = catalog.members.iter().any(|member| {
        let known = member.file.as_deref().unwrap_or_default();
        known.rsplit('\\').next() == Some(name.as_str())
    });
    let file_name = file.path.to_owned();
    // Line ends are looked at for names that the catalog does not have, too: old ones name no files.
    if let Some(should_be_crlf) = line_ends(file.bytes, has) {
        return Ok(Some(Verdict::Mismatch { file: file_name, which: Which::LineEnds { should_be_crlf } }));
    }
    Ok(Some(if listed {
        Verdict::Mismatch { file: file_name, which: Which::Changed }
    } else {
        Verdict::NotListed { file: file_name }
    }))
}

/// Whether other line ends would make it a file of the catalog, and which.
fn line_ends(bytes: &[u8], has: impl Fn(&Digests) -> bool) -> Option<bool> {
    if bytes.contains(&0) && !bytes.starts_with(&[0xFF, 0xFE]) {
        return None; // no text
    }
    let mut lf = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        // In UTF-16, a line feed behind a carriage return has a zero in front.
        if !(byte == b'\r' && (after.starts_with(b"\n") || after.starts_with(b"\0\n\0"))) {
            lf.push(byte);
            rest = after;
        } else if after.starts_with(b"\n") {
            rest = after;
        } else {
            rest = &after[1..];
        }
    }
    let wide = bytes.starts_with(&[0xFF, 0xFE]);
    let mut crlf = Vec::with_capacity(lf.len() + lf.len() / 16);
    for (at, &byte) in lf.iter().enumerate() {
        if byte == b'\n' && !(wide && at % 2 == 1) {
            crlf.push(b'\r');
            if wide {
                crlf.push(0);
            }
        }
        crlf.push(byte);
    }
    [(crlf, true), (lf, false)]
        .into_iter()
        .find(|(text, _)| text != bytes && has(&Digests::of([&text[..]])))
        .map(|(_, crlf)| crlf)
}

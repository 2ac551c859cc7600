//! Text that must not be seen.
//!
//! A secret has no `Display` and no `Serialize`, and its `Debug` says nothing of it, not even its length. The text is
//! reachable by [`Secret::expose`] only, so every place that uses one can be found.

use std::fmt;

use serde::Deserialize;

use crate::{Error, Result};

/// Bytes of the largest file that a password is read from.
pub const MAX_SECRET_FILE: usize = 64 << 10;

/// A password or the like.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A secret that is known to the caller already.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The content of a file that holds nothing but the secret: UTF-8, with or without a byte order mark, or UTF-16 with
    /// one. One line end at the end does not belong to it. `what` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Limit`] for more than [`MAX_SECRET_FILE`] bytes, [`Error::Malformed`] for other encodings.
    pub fn from_file_bytes(what: &str, bytes: &[u8]) -> Result<Self> {
        let mut text = decode(what, bytes, MAX_SECRET_FILE)?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(Self(text))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it can be a password of a local account: not empty, because WinRM and RDP refuse blank passwords; at most
    /// 127 characters, the most that Windows' own dialogs take; no control characters. `what` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Wish`].
    pub fn check_password(&self, what: &str) -> Result<()> {
        if self.0.is_empty() {
            let reason = "the password is empty: Windows does not let accounts with blank passwords in from the network";
            return Err(Error::wish(what, reason));
        }
        if let Some(position) = self.0.chars().position(char::is_control) {
            let reason = format!("the password has a control character at position {}", position + 1);
            return Err(Error::wish(what, reason));
        }
        let units = self.0.encode_utf16().count();
        if units > 127 {
            return Err(Error::wish(what, format!("the password has {units} characters, the most are 127")));
        }
        Ok(())
    }
}

/// What `djoin /provision /savefile` writes: the account of a computer in its domain, with the account's password.
#[derive(Clone, PartialEq, Eq)]
pub struct DomainBlob(Secret);

impl fmt::Debug for DomainBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DomainBlob(..)")
    }
}

/// Bytes of the largest file of `djoin` that is read. They have a few KiB; those with certificates some dozens.
pub const MAX_DOMAIN_BLOB: usize = 4 << 20;

impl DomainBlob {
    /// The content of the file: base64 in UTF-16 with a byte order mark and often a NUL at its end, or in ASCII.
    ///
    /// # Errors
    /// [`Error::Limit`] for more than [`MAX_DOMAIN_BLOB`] bytes, [`Error::Malformed`] for what is not base64.
    pub fn from_file_bytes(what: &str, bytes: &[u8]) -> Result<Self> {
        let text = decode(what, bytes, MAX_DOMAIN_BLOB)?;
        let text: String = text.trim_end_matches('\0').split_ascii_whitespace().collect();
        let malformed =
            |reason: &str| Error::Malformed { what: what.to_owned(), offset: 0, reason: reason.to_owned() };
        if text.is_empty() {
            return Err(malformed("it is empty, expected what djoin /provision /savefile writes"));
        }
        if crate::base64::decode(&text).is_none() {
            return Err(malformed("it is not base64, expected what djoin /provision /savefile writes"));
        }
        Ok(Self(Secret(text)))
    }

    /// The base64 text, without white space.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A user's answer file as it is. It may hold passwords, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// What errors call it: usually its path.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for AnswerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Text of a file in UTF-8, or in UTF-16 with a byte order mark.
pub(crate) fn decode(what: &str, bytes: &[u8], limit: usize) -> Result<String> {
    if bytes.len() > limit {
        let (found, limit) = (bytes.len() as u64, limit as u64);
        return Err(Error::Limit { what: format!("bytes of {what}"), found, limit });
    }
    let malformed = |offset: usize, reason: &str| Error::Malformed {
        what: what.to_owned(),
        offset: offset as u64,
        reason: reason.to_owned(),
    };
    let wide = |read: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        if !rest.is_empty() {
            return Err(malformed(bytes.len() - 1, "half a character of UTF-16"));
        }
        String::from_utf16(&pairs.iter().map(|&pair| read(pair)).collect::<Vec<_>>())
            .map_err(|_| malformed(2, "it begins with the mark of UTF-16 and is not UTF-16"))
    };
    match bytes {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        _ => {
            let start = if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) { 3 } else { 0 };
            let text = std::str::from_utf8(&bytes[start..]);
            let text = text.map_err(|error| {
                malformed(
                    start + error.valid_up_to(),
                    "it is neither UTF-8 nor UTF-16 with a byte order mark",
                )
            })?;
            Ok(text.to_owned())
        }
    }
}

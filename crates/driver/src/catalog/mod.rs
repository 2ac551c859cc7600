//! Catalogs: who vouches for which files of a driver package.
//!
//! A catalog (`.cat`) is a PKCS #7 `SignedData` whose content is a list of hashes, a `CertificateTrustList`
//! ([MS-OSHARED] and [MS-CAESO] describe its relatives; the layout here was measured on real catalogs). A file is covered
//! when its hash is in the list: that of its bytes, or for a program its [Authenticode hash](pe).
//!
//! | checked | |
//! |---|---|
//! | every file's SHA-1 or SHA-256 against the list | yes |
//! | the signature over the list, with the certificate in the catalog | yes: RSA, PKCS #1 v1.5, SHA-1 to SHA-512 |
//! | the certificates in the catalog against each other | yes |
//! | their last issuer | against hashes of keys: see [`trust`] |
//! | dates, time stamps, revocation | no: there is no clock here and no network |
//!
//! Windows checks the rest when it loads the driver.

mod check;
mod der;
mod digest;
pub mod pe;
mod signature;
pub mod trust;
mod x509;

use disk::{At, Calendar, FileTime};

pub use self::check::{File, Verdict, Which, check};
use self::der::{Element, Reader, tag, utf16};
pub use self::digest::{Digest, Digests};
pub use self::signature::{Anchor, SignedBy};
use crate::{Error, Result};

/// Bytes of the largest catalog that is read. Those of whole Windows packages have about 5 MB.
pub const MAX_CATALOG_SIZE: usize = 64 << 20;

/// Object identifiers, as their encoded bytes.
mod oid {
    pub(super) const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2];
    /// 1.3.6.1.4.1.311.10.1
    pub(super) const TRUST_LIST: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 10, 1];
    /// 1.3.6.1.4.1.311.12.1.1
    pub(super) const CATALOG: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 12, 1, 1];
    /// 1.3.6.1.4.1.311.12.2.1: a name and a value.
    pub(super) const NAME_VALUE: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 12, 2, 1];
    /// 1.3.6.1.4.1.311.2.1.4: a hash with its algorithm.
    pub(super) const INDIRECT_DATA: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 4];
}

/// A catalog.
#[derive(Clone, Debug)]
pub struct Catalog<'d> {
    /// The files that it covers; one may be in it under several hashes.
    pub members: Vec<Member>,
    /// What it says of all of them, as pairs of name and value: `OS`, `Submission ID`, …
    pub attributes: Vec<(String, String)>,
    /// When the list was made, to the second.
    pub made: Option<FileTime>,
    signed: signature::Signed<'d>,
}

/// A file that a catalog covers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The file's hash.
    pub digest: Digest,
    /// The file's name, lower-case, if the catalog says it.
    pub file: Option<String>,
    /// The systems that it is for, as `2:10.0`; several with commas between.
    pub systems: Option<String>,
}

impl<'d> Catalog<'d> {
    /// Reads a catalog. Nothing is verified yet.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the place of the first thing that is not as it should be, [`Error::Unsupported`] for
    /// something else than a signed catalog, [`Error::Limit`] for more than [`MAX_CATALOG_SIZE`].
    pub fn parse(bytes: &'d [u8]) -> Result<Self> {
        if bytes.len() > MAX_CATALOG_SIZE {
            let (found, limit) = (bytes.len() as u64, MAX_CATALOG_SIZE as u64);
            return Err(Error::Limit { what: "size of a catalog in bytes".to_owned(), found, limit });
        }
        let mut outer = Reader::new(bytes, "catalog").get(tag::SEQUENCE)?.inside("catalog");
        is_kind(&outer.get(tag::OID)?, oid::SIGNED_DATA, "PKCS #7 signed data")?;
        let mut signed =
            outer.get(tag::context(0))?.inside("signed data").get(tag::SEQUENCE)?.inside("signed data");
        signed.get(tag::INTEGER)?; // the version
        signed.get(tag::SET)?; // the algorithms of the signers, again
        let mut content = signed.get(tag::SEQUENCE)?.inside("content");
        is_kind(&content.get(tag::OID)?, oid::TRUST_LIST, "a certificate trust list")?;
        let list = content.get(tag::context(0))?.inside("trust list").get(tag::SEQUENCE)?;
        let signed = signature::Signed::parse(&list, signed)?;
        let mut catalog = Self { members: Vec::new(), attributes: Vec::new(), made: None, signed };
        catalog.read_list(&list)?;
        Ok(catalog)
    }

    fn read_list(&mut self, list: &Element<'d>) -> Result<()> {
        let mut list = list.inside("trust list");
        list.optional(tag::INTEGER)?; // the version, when it is not 1
        let usage = list.get(tag::SEQUENCE)?;
        is_kind(&usage.inside("usage").get(tag::OID)?, oid::CATALOG, "a list of files")?;
        list.optional(tag::OCTET_STRING)?; // an identifier
        list.optional(tag::INTEGER)?; // a sequence number
        let time = list.any()?;
        self.made = parse_time(&time)?;
        for later in [tag::UTC_TIME, tag::GENERALIZED_TIME] {
            list.optional(later)?;
        }
        list.get(tag::SEQUENCE)?; // how members are identified
        if list.peek() == Some(tag::SEQUENCE) {
            for member in list.get(tag::SEQUENCE)?.inside("member").each() {
                self.members.extend(member_of(&member?)?);
            }
        }
        let Some(extensions) = list.optional(tag::context(0))? else { return Ok(()) };
        for extension in extensions.inside("extensions").get(tag::SEQUENCE)?.inside("extensions").each() {
            let extension = extension?;
            let mut parts = extension.inside("extension");
            let kind = parts.get(tag::OID)?;
            parts.optional(tag::BOOLEAN)?;
            let value = parts.get(tag::OCTET_STRING)?;
            if kind.body == oid::NAME_VALUE {
                let pair = value.inside("attribute").get(tag::SEQUENCE)?;
                self.attributes.push(name_value(&pair)?);
            }
        }
        Ok(())
    }

    /// Who signed the list, after checking that.
    ///
    /// # Errors
    /// [`Error::Malformed`] for signers or certificates that cannot be read, and when the signature is not one of this
    /// list.
    pub fn verify(&self, trusted: &trust::Trusted) -> Result<SignedBy> {
        self.signed.verify(trusted)
    }

    /// Whether the catalog says that it is for a version of Windows; `None` when it says nothing, or nothing that is
    /// understood. Windows looks at this before it trusts a driver.
    pub fn is_for(&self, major: u32, minor: u32) -> Option<bool> {
        // 2 is Windows NT.
        let wanted = format!("2:{major}.{minor}");
        let mut systems = self.members.iter().filter_map(|member| member.systems.as_deref()).peekable();
        systems.peek()?;
        let mut each = systems.flat_map(|list| list.split(',')).map(str::trim);
        let mut understood = true;
        let found = each.any(|system| {
            understood &= system
                .strip_prefix("2:")
                .is_some_and(|rest| rest.split('.').all(|part| part.parse::<u32>().is_ok()));
            system == wanted
        });
        if found { Some(true) } else { understood.then_some(false) }
    }

    /// A value that the catalog says of all files; case does not matter.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| crate::inf::same(known, name))
            .map(|(_, value)| value.as_str())
    }
}

fn is_kind(found: &Element<'_>, wanted: &[u8], what: &'static str) -> Result<()> {
    if found.body == wanted {
        return Ok(());
    }
    Err(Error::Unsupported { at: At::new("catalog", 0), reason: format!("holds something else than {what}") })
}

/// A member; `None` for one whose hash is of an algorithm that Windows does not use for files.
fn member_of(element: &Element<'_>) -> Result<Option<Member>> {
    let mut parts = element.inside("member");
    let identifier = parts.get(tag::OCTET_STRING)?;
    let mut member = Member { digest: Digest::Sha1([0; 20]), file: None, systems: None };
    let mut digest = identity(identifier.body);
    if let Some(attributes) = parts.optional(tag::SET)? {
        for attribute in attributes.inside("attribute").each() {
            let attribute = attribute?;
            let mut pair = attribute.inside("attribute");
            let (kind, values) = (pair.get(tag::OID)?, pair.get(tag::SET)?);
            let mut values = values.inside("attribute");
            if kind.body == oid::NAME_VALUE {
                let (name, value) = name_value(&values.get(tag::SEQUENCE)?)?;
                match name.as_str() {
                    "File" => member.file = Some(value.to_lowercase()),
                    "OSAttr" => member.systems = Some(value),
                    _ => {}
                }
            } else if kind.body == oid::INDIRECT_DATA {
                let mut data = values.get(tag::SEQUENCE)?.inside("indirect data");
                data.get(tag::SEQUENCE)?; // what sort of file it is
                let mut hash = data.get(tag::SEQUENCE)?.inside("indirect data");
                hash.get(tag::SEQUENCE)?; // the algorithm, which the length tells as well
                digest = Digest::from_bytes(hash.get(tag::OCTET_STRING)?.body).or(digest);
            }
        }
    }
    Ok(digest.map(|digest| Member { digest, ..member }))
}

/// The hash that an identifier of a member is: raw in new catalogs, in hexadecimal UTF-16 in old ones.
fn identity(bytes: &[u8]) -> Option<Digest> {
    if let Some(digest) = Digest::from_bytes(bytes) {
        return Some(digest);
    }
    let text = utf16(bytes, u16::from_le_bytes);
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    Digest::from_bytes(&bytes)
}

/// A name, flags, and a value: text in UTF-16 for all that is of use here.
fn name_value(element: &Element<'_>) -> Result<(String, String)> {
    let mut parts = element.inside("attribute");
    let name = parts.get(tag::BMP_STRING)?.text();
    parts.get(tag::INTEGER)?;
    let value = utf16(parts.get(tag::OCTET_STRING)?.body, u16::from_le_bytes);
    Ok((name, value))
}

/// A time to the second, in UTC; `None` for one with parts that are not digits.
fn parse_time(element: &Element<'_>) -> Result<Option<FileTime>> {
    let text = element.text();
    let (century, digits) = match element.tag {
        tag::UTC_TIME => {
            let year = text.get(..2).and_then(|year| year.parse::<u32>().ok()).unwrap_or(0);
            (if year < 50 { "20" } else { "19" }, text)
        }
        tag::GENERALIZED_TIME => ("", text),
        found => return Err(element.malformed(format!("tag {found:#x}, expected a time"))),
    };
    let text = format!("{century}{digits}");
    let part = |from: usize, len: usize| text.get(from..from + len).and_then(|part| part.parse::<u8>().ok());
    let year = text.get(..4).and_then(|year| year.parse::<i64>().ok());
    let calendar = || {
        Some(Calendar {
            year: year?,
            month: part(4, 2)?,
            day: part(6, 2)?,
            hour: part(8, 2)?,
            minute: part(10, 2)?,
            second: part(12, 2)?,
        })
    };
    Ok(calendar().map(FileTime::from_calendar))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_identifiers_are_text() {
        let hash: [u8; 20] = std::array::from_fn(|at| at as u8 * 13);
        let text = hash.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let old: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        assert_eq!(identity(&old), Some(Digest::Sha1(hash)));
        assert_eq!(identity(&hash), Some(Digest::Sha1(hash)));
        assert_eq!(identity(&old[..8]), None);
        assert_eq!(identity(b""), None);
    }
}

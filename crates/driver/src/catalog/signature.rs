//! Who signed a catalog's list: `SignerInfo`s and the certificates beside them (RFC 5652, RFC 2315).

use disk::At;

use super::der::{Element, Reader, tag};
use super::digest::Algorithm;
use super::trust::Trusted;
use super::x509::{Certificate, algorithm, common_name};
use crate::{Error, Result};

/// Certificates that are looked at; catalogs have two or three.
const MAX_CERTIFICATES: usize = 32;

/// Signers that are looked at; catalogs have one.
const MAX_SIGNERS: usize = 8;

/// Certificates on the way from a signer to the last issuer.
const MAX_CHAIN: usize = 8;

mod oid {
    pub(super) const CONTENT_TYPE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 3];
    pub(super) const MESSAGE_DIGEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 4];
}

/// Where a chain of certificates ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anchor {
    /// At a key that is known, by this name.
    Known(String),
    /// At a certificate that names this issuer, which is not in the catalog. Nothing vouches for the chain.
    Unknown(String),
}

/// Who signed a catalog. The signature is good; how much it says depends on the anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedBy {
    /// The common name in the signer's certificate.
    pub subject: String,
    /// That of its issuer.
    pub issuer: String,
    /// Where the chain ends.
    pub anchor: Anchor,
    /// Whether a SHA-1 hash is what is signed, as in catalogs before 2016.
    pub is_sha1: bool,
}

/// The content, and what is said about who signed it.
#[derive(Clone, Debug)]
pub(super) struct Signed<'d> {
    /// The content without its tag and length: that is what is hashed.
    content: &'d [u8],
    certificates: Option<Element<'d>>,
    signers: Element<'d>,
}

impl<'d> Signed<'d> {
    /// Takes what comes behind the content.
    pub(super) fn parse(content: &Element<'d>, mut rest: Reader<'d>) -> Result<Self> {
        let certificates = rest.optional(tag::context(0))?;
        rest.optional(tag::context(1))?; // revocation lists
        let signers = rest.get(tag::SET)?;
        Ok(Self { content: content.body, certificates, signers })
    }

    pub(super) fn verify(&self, trusted: &Trusted) -> Result<SignedBy> {
        let mut certificates = Vec::new();
        if let Some(set) = self.certificates {
            for element in set.inside("certificate").each() {
                let element = element?;
                if certificates.len() == MAX_CERTIFICATES {
                    return Err(limit("certificates in a catalog", MAX_CERTIFICATES));
                }
                // Other sorts of certificates have other tags.
                if element.tag == tag::SEQUENCE {
                    certificates.push(Certificate::parse(&element)?);
                }
            }
        }
        let mut first_error = None;
        let mut signers = 0;
        for element in self.signers.inside("signer").each() {
            let element = element?;
            signers += 1;
            if signers > MAX_SIGNERS {
                return Err(limit("signers of a catalog", MAX_SIGNERS));
            }
            match self.verify_signer(&element, &certificates, trusted) {
                Ok(signed) => return Ok(signed),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| self.signers.malformed("nobody signed the catalog")))
    }

    fn verify_signer(
        &self,
        signer: &Element<'d>,
        certificates: &[Certificate<'d>],
        trusted: &Trusted,
    ) -> Result<SignedBy> {
        let mut parts = signer.inside("signer");
        parts.get(tag::INTEGER)?; // the version
        let mut identity = parts.get(tag::SEQUENCE)?.inside("signer");
        let (issuer, serial) = (identity.get(tag::SEQUENCE)?, identity.get(tag::INTEGER)?);
        let algorithm = algorithm(&parts.get(tag::SEQUENCE)?)?
            .ok_or_else(|| signer.malformed("an algorithm that is not known made the hash"))?;
        let attributes = parts.optional(tag::context(0))?;
        parts.get(tag::SEQUENCE)?; // RSA, with or without the name of the hash
        let signature = parts.get(tag::OCTET_STRING)?;
        let certificate = certificates
            .iter()
            .find(|certificate| certificate.issuer == issuer.whole && certificate.serial == serial.body)
            .ok_or_else(|| signer.malformed("the certificate of the signer is not in the catalog"))?;
        let good = match attributes {
            Some(attributes) => {
                self.check_attributes(&attributes, algorithm)?;
                // They are signed as a set, and stored under another tag.
                let header = attributes.whole.len() - attributes.body.len();
                let length = &attributes.whole[1..header];
                certificate.signed(algorithm, &[&[tag::SET], length, attributes.body], signature.body)
            }
            None => certificate.signed(algorithm, &[self.content], signature.body),
        };
        if !good {
            return Err(
                signature.malformed("the signature was not made with the key of the signer's certificate")
            );
        }
        Ok(SignedBy {
            subject: common_name(certificate.subject)?,
            issuer: common_name(certificate.issuer)?,
            anchor: anchor(certificate, certificates, trusted)?,
            is_sha1: algorithm == Algorithm::Sha1,
        })
    }

    /// The signed attributes have to name the content's type, and its hash.
    fn check_attributes(&self, attributes: &Element<'d>, algorithm: Algorithm) -> Result<()> {
        let (mut has_digest, mut has_type) = (false, false);
        for attribute in attributes.inside("signed attribute").each() {
            let attribute = attribute?;
            let mut pair = attribute.inside("signed attribute");
            let (kind, mut values) = (pair.get(tag::OID)?, pair.get(tag::SET)?.inside("signed attribute"));
            if kind.body == oid::MESSAGE_DIGEST {
                let found = values.get(tag::OCTET_STRING)?;
                if found.body != algorithm.hash(&[self.content]) {
                    return Err(
                        found.malformed("the list was changed after it was signed: its hash is another")
                    );
                }
                has_digest = true;
            } else if kind.body == oid::CONTENT_TYPE {
                if values.get(tag::OID)?.body != super::oid::TRUST_LIST {
                    return Err(attribute.malformed("something else than this list was signed"));
                }
                has_type = true;
            }
        }
        if has_digest && has_type {
            Ok(())
        } else {
            Err(attributes.malformed("the signed attributes lack the hash or the type of the list"))
        }
    }
}

fn limit(what: &str, limit: usize) -> Error {
    Error::Limit { what: what.to_owned(), found: limit as u64 + 1, limit: limit as u64 }
}

/// Where the chain of a certificate ends.
fn anchor(certificate: &Certificate<'_>, all: &[Certificate<'_>], trusted: &Trusted) -> Result<Anchor> {
    let mut current = certificate;
    for _ in 0..MAX_CHAIN {
        if trusted.knows(current.public_key) {
            return Ok(Anchor::Known(common_name(current.subject)?));
        }
        let issuer = all.iter().find(|other| {
            other.is_authority && other.subject != current.subject && current.is_signed_by(other)
        });
        match issuer {
            Some(issuer) => current = issuer,
            None => return Ok(Anchor::Unknown(common_name(current.issuer)?)),
        }
    }
    Err(Error::Malformed {
        at: At::new("certificate", 0),
        reason: format!("more than {MAX_CHAIN} certificates from the signer to the last issuer"),
    })
}

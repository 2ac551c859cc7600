//! A certificate that a server signs for itself.

use std::net::IpAddr;

use disk::FileTime;
use pem_rfc7468::LineEnding;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::der::{self, Der, tag};
use crate::{Error, Key, Result, oid};

/// How long a certificate is valid unless something else is asked for: 30 years. Builds that are to be the same again
/// take their time from the image, and the images are old: a server of 2016 with ten years would be refused today.
pub const DEFAULT_DAYS: u32 = 10_957;

const DAY: u64 = 86_400 * 10_000_000;

/// The most names and addresses; they are sent with every connection.
const MOST_NAMES: usize = 100;
/// The longest common name, `ub-common-name` of RFC 5280 A.1.
const LONGEST_COMMON_NAME: usize = 64;
/// The longest DNS name and label, RFC 1035 2.3.4.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// DNS names: ASCII letters, digits, `-` and `_` between dots; the first label may be `*`. The first name is the
    /// subject, of at most 64 characters: Windows wants it to be the host name of the WinRM listener.
    pub names: Vec<String>,
    /// Addresses by which clients reach the server.
    pub addresses: Vec<IpAddr>,
    /// The first second in which it is valid; fractions are dropped.
    pub not_before: FileTime,
    /// How many days after that it ends, at least one.
    pub days: u32,
}

impl Request {
    /// For one name, valid for [`DEFAULT_DAYS`] from the day before `time`: clocks of new machines are off by time zones.
    pub fn new(name: impl Into<String>, time: FileTime) -> Self {
        let not_before = FileTime(time.0.saturating_sub(DAY));
        Self { names: vec![name.into()], addresses: Vec::new(), not_before, days: DEFAULT_DAYS }
    }

    fn check(&self) -> Result<&str> {
        let Some(first) = self.names.first() else {
            return Err(Error::Request("nobody: it needs a name".to_owned()));
        };
        let count = self.names.len() + self.addresses.len();
        for (what, found, limit) in [
            ("number of names and addresses", count, MOST_NAMES),
            ("length of the first name of a certificate", first.len(), LONGEST_COMMON_NAME),
        ] {
            if found > limit {
                return Err(Error::Limit { what, found: found as u64, limit: limit as u64 });
            }
        }
        for name in &self.names {
            check_name(name).map_err(|why| Error::Request(format!("the name {name:?}: {why}")))?;
        }
        Ok(first)
    }

    fn not_after(&self) -> Result<FileTime> {
        let end = u64::from(self.days).checked_mul(DAY).and_then(|span| self.not_before.0.checked_add(span));
        let end = end.map(FileTime).filter(|end| self.days > 0 && end.to_calendar().year <= 9999);
        end.ok_or_else(|| {
            Error::Request(format!("{} days: it would end before it begins, or after 9999", self.days))
        })
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err("a name has 1 to 253 characters");
    }
    for (index, label) in name.split('.').enumerate() {
        if label == "*" && index == 0 && name.len() > 2 {
            continue;
        }
        if label.is_empty() || label.len() > LONGEST_LABEL {
            return Err("between its dots are 1 to 63 characters");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err("it has other characters than letters, digits, `-` and `_` (others go as `xn--`)");
        }
    }
    Ok(())
}

/// A certificate by X.509, version 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: String,
}

impl Certificate {
    /// A certificate for the public half of `key`, signed by `key` itself with SHA-256. The same key and request give the
    /// same bytes: the serial number is a hash of them.
    ///
    /// It is a server's (`serverAuth`) and no authority's (`CA:FALSE`): who trusts it trusts this server alone.
    ///
    /// # Errors
    /// [`Error::Request`] and [`Error::Limit`] for names and times that cannot be.
    pub fn self_signed(key: &Key, request: &Request) -> Result<Self> {
        let subject = request.check()?;
        let validity = der::sequence(&[&time(request.not_before), &time(request.not_after()?)]);
        let algorithm = der::sequence(&[&der::oid(oid::SHA256_WITH_RSA), &der::null()]);
        let common_name = der::element(tag::UTF8_STRING, &[subject.as_bytes()]);
        let name =
            der::sequence(&[&der::set(&[&der::sequence(&[&der::oid(oid::COMMON_NAME), &common_name])])]);
        let (key_algorithm, public) = key.public();
        let public_info = der::sequence(&[&key_algorithm, &der::bits(&public)]);
        let extensions = extensions(request, &public);
        let rest = [
            &algorithm[..],
            &name,
            &validity,
            &name,
            &public_info,
            &der::element(tag::constructed(3), &[&extensions]),
        ];
        let serial = serial(&rest);
        // [0] version: 2 means 3.
        let version = der::element(tag::constructed(0), &[&der::unsigned(&[2])]);
        let parts = [&[&version[..], &serial], &rest[..]].concat();
        let to_sign = der::sequence(&parts);
        let signature = der::bits(&key.sign(&to_sign));
        let der = der::sequence(&[&to_sign, &algorithm, &signature]).to_vec();
        Ok(Self { der, subject: subject.to_owned() })
    }

    /// The certificate as DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The first name: the common name of the subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The certificate as PEM, with the line ends of Unix.
    pub fn to_pem(&self) -> String {
        pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, &self.der)
            .expect("a certificate is far below the limit of PEM")
    }

    /// What Windows calls it by: the SHA-1 of the DER in 40 upper-case hexadecimal digits.
    pub fn thumbprint(&self) -> String {
        Sha1::digest(&self.der).iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

/// 16 bytes of a hash over everything else, positive and not zero, as RFC 5280 4.1.2.2 asks.
fn serial(rest: &[&[u8]]) -> Der {
    let mut hash = Sha256::new();
    for part in rest {
        hash.update(part);
    }
    let mut bytes: [u8; 32] = hash.finalize().into();
    bytes[0] = bytes[0] & 0x7F | 0x40;
    der::unsigned(&bytes[..16])
}

/// `Time` of RFC 5280 4.1.2.5: two digits of the year up to 2049.
fn time(time: FileTime) -> Der {
    let at = time.to_calendar();
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", at.month, at.day, at.hour, at.minute, at.second);
    match at.year {
        1950..=2049 => der::element(tag::UTC_TIME, &[format!("{:02}{rest}", at.year % 100).as_bytes()]),
        year => der::element(tag::GENERALIZED_TIME, &[format!("{year:04}{rest}").as_bytes()]),
    }
}

fn extensions(request: &Request, public: &[u8]) -> Der {
    let critical = der::element(tag::BOOLEAN, &[&[0xFF]]);
    let extension =
        |id, critical: &[u8], value: &[u8]| der::sequence(&[&der::oid(id), critical, &der::octets(value)]);
    let mut names: Vec<Der> = Vec::new();
    for name in &request.names {
        names.push(der::element(tag::primitive(2), &[name.as_bytes()]));
    }
    for address in &request.addresses {
        names.push(match address {
            IpAddr::V4(address) => der::element(tag::primitive(7), &[&address.octets()]),
            IpAddr::V6(address) => der::element(tag::primitive(7), &[&address.octets()]),
        });
    }
    let names: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
    // digitalSignature and keyEncipherment, bits 0 and 2 of 3: key exchange with and without Diffie-Hellman.
    let usage = der::element(tag::BIT_STRING, &[&[5, 0b1010_0000]]);
    let identifier = Sha1::digest(public);
    der::sequence(&[
        &extension(oid::BASIC_CONSTRAINTS, &critical, &der::sequence(&[])),
        &extension(oid::KEY_USAGE, &critical, &usage),
        &extension(oid::EXTENDED_KEY_USAGE, &[], &der::sequence(&[&der::oid(oid::SERVER_AUTH)])),
        &extension(oid::SUBJECT_ALT_NAME, &[], &der::sequence(&names)),
        &extension(oid::SUBJECT_KEY_IDENTIFIER, &[], &der::octets(&identifier)),
    ])
}

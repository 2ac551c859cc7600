//! Object identifiers, as the bodies of their DER elements.

/// 1.2.840.113549.1.1.1, RFC 8017 C.
pub(crate) const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];
/// 1.2.840.113549.1.1.11, RFC 8017 C.
pub(crate) const SHA256_WITH_RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 11];
/// 2.16.840.1.101.3.4.2.1, RFC 8017 B.1.
pub(crate) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
/// 1.3.14.3.2.26, RFC 8017 B.1.
pub(crate) const SHA1: &[u8] = &[0x2B, 14, 3, 2, 26];

/// 2.5.4.3, RFC 5280 A.1.
pub(crate) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// 2.5.29.14, RFC 5280 4.2.1.2.
pub(crate) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 29, 14];
/// 2.5.29.15, RFC 5280 4.2.1.3.
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 29, 15];
/// 2.5.29.17, RFC 5280 4.2.1.6.
pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 29, 17];
/// 2.5.29.19, RFC 5280 4.2.1.9.
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
/// 2.5.29.37, RFC 5280 4.2.1.12.
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37];
/// 1.3.6.1.5.5.7.3.1, RFC 5280 4.2.1.12.
pub(crate) const SERVER_AUTH: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 3, 1];

/// 1.2.840.113549.1.7.1, RFC 5652 4.
pub(crate) const DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
/// 1.2.840.113549.1.7.6, RFC 5652 8.
pub(crate) const ENCRYPTED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 6];
/// 1.2.840.113549.1.9.20, RFC 2985 5.5.1.
pub(crate) const FRIENDLY_NAME: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 20];
/// 1.2.840.113549.1.9.21, RFC 2985 5.5.2.
pub(crate) const LOCAL_KEY_ID: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 21];
/// 1.2.840.113549.1.9.22.1, RFC 7292 4.2.3.
pub(crate) const X509_CERTIFICATE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 22, 1];
/// 1.2.840.113549.1.12.1.3, RFC 7292 C.
pub(crate) const PBE_SHA1_3DES: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 12, 1, 3];
/// 1.2.840.113549.1.12.10.1.2, RFC 7292 4.2.2.
pub(crate) const SHROUDED_KEY_BAG: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 12, 10, 1, 2];
/// 1.2.840.113549.1.12.10.1.3, RFC 7292 4.2.3.
pub(crate) const CERTIFICATE_BAG: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 12, 10, 1, 3];

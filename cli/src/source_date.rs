//! `SOURCE_DATE_EPOCH`: the time that reproducible builds agree on, in seconds since 1970 (reproducible-builds.org).
//!
//! No command asks a clock for what it writes. Where nothing else says a time (a file that is added to an image, the key
//! of a hive, a container's own date, a certificate's validity) it is the source's, and this variable's when it is set.

use std::ffi::OsStr;

use disk::FileTime;
use image::Error;

const NAME: &str = "SOURCE_DATE_EPOCH";
/// 9999-12-31 23:59:59, the last second that certificates and ISO 8601 can say.
const LAST: i64 = 253_402_300_799;

/// What the environment says.
///
/// # Errors
/// A value that is no such number is wrong usage, not no value: a build that was meant to be reproducible would not be.
pub(crate) fn from_environment() -> Result<Option<FileTime>, Error> {
    std::env::var_os(NAME).map(|text| parse(&text)).transpose()
}

fn parse(text: &OsStr) -> Result<FileTime, Error> {
    let digits = text.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(seconds @ 0..=LAST) => Ok(FileTime::from_unix_seconds(seconds)),
        _ => Err(Error::Recipe(format!(
            "{NAME} is {text:?}; expected whole seconds since 1970-01-01 00:00 UTC, at most {LAST} (`date +%s` prints them)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_and_nothing_else() {
        for (text, seconds) in [("0", 0), ("1472000000", 1_472_000_000), ("0007", 7), ("253402300799", LAST)]
        {
            assert_eq!(parse(text.as_ref()).unwrap(), FileTime::from_unix_seconds(seconds), "{text}");
        }
        for text in
            ["", " 1", "1 ", "-1", "+1", "1.5", "0x10", "now", "253402300800", "99999999999999999999", "٣"]
        {
            let error = parse(text.as_ref()).expect_err(text);
            assert_eq!(error.kind(), image::ErrorKind::Usage, "{text:?}");
        }
    }
}

//! Values as they were written, beside what they mean: so that a recipe can be printed the way its author spells things.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A value, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled<T> {
    text: String,
    /// What it means.
    pub value: T,
}

impl<T> Spelled<T> {
    /// Writes it another way, after the value was changed.
    pub(super) fn spell(&mut self, text: String) {
        self.text = text;
    }
}

impl<T: FromStr<Err: fmt::Display>> FromStr for Spelled<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = text.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self { text: text.to_owned(), value })
    }
}

/// As it was written.
impl<T> fmt::Display for Spelled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<T> Serialize for Spelled<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// From text, or from a number that is taken as its digits.
impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Spelled<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber)?.parse().map_err(D::Error::custom)
    }
}

struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// A number of bytes as people type it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    /// `4096`, `0x1000`, `64K`, `64KiB`, `4G`, `4GiB`; units are binary. Decimal units are refused, since a disk of "40GB"
    /// is a guess either way.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return u64::from_str_radix(digits, 16)
                .map(Self)
                .map_err(|_| "expected hexadecimal digits after 0x".to_owned());
        }
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let number: u64 =
            digits.parse().map_err(|_| "expected a size such as 4096, 64K or 40GiB".to_owned())?;
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            "kb" | "mb" | "gb" | "tb" => {
                return Err(format!(
                    "{unit} is ambiguous; write {}iB",
                    &unit.trim()[..1].to_ascii_uppercase()
                ));
            }
            _ => {
                return Err(format!(
                    "unknown unit {unit:?}; known: K, M, G, T (binary), also as KiB, MiB, GiB, TiB"
                ));
            }
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| "larger than 2^64 bytes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse().map(|Size(bytes)| bytes);
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("0x1000", 4096),
            ("64K", 65536),
            ("64KiB", 65536),
            ("64 kib", 65536),
            ("4GiB", 4 << 30),
            ("1T", 1 << 40),
            ("12b", 12),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1.5G", "40GB", "1X", "0xzz", "99999999999999999999", "17179869184G"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(size("40GB").unwrap_err().contains("GiB"));
    }
}

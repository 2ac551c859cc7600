//! Sizes as people type and read them.

/// Parses `4096`, `0x1000`, `64K`, `64KiB`, `4G`, `4GiB`; units are binary. Decimal units are refused, since a disk of
/// "40GB" is a guess either way.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16)
            .map_err(|_| "expected hexadecimal digits after 0x".to_owned());
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| "expected a size such as 4096, 64K or 40GiB".to_owned())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        "kb" | "mb" | "gb" | "tb" => {
            return Err(format!("{unit} is ambiguous; write {}iB", &unit.trim()[..1].to_ascii_uppercase()));
        }
        _ => {
            return Err(format!(
                "unknown unit {unit:?}; known: K, M, G, T (binary), also as KiB, MiB, GiB, TiB"
            ));
        }
    };
    number.checked_mul(1 << shift).ok_or_else(|| "larger than 2^64 bytes".to_owned())
}

/// `1234567` as `1.2 MiB`.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} {}", if bytes == 1 { "byte" } else { UNITS[0] })
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
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
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "K", "-1", "1.5G", "40GB", "1X", "0xzz", "99999999999999999999", "17179869184G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_size("40GB").unwrap_err().contains("GiB"));
    }

    #[test]
    fn for_people() {
        assert_eq!(human(0), "0 bytes");
        assert_eq!(human(1), "1 byte");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(4 << 30), "4.0 GiB");
        assert_eq!(human(u64::MAX), "16.0 EiB");
    }
}

/// Bytes as hexadecimal digits, lower case, without anything between: how every message and report here shows hashes.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// The bytes that pairs of hexadecimal digits of either case stand for, as people write them: white space and commas
/// between digits do not count. `None` for anything else.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().filter(|c| !c.is_whitespace() && *c != ',').map(|c| c.to_digit(16));
    let digits: Vec<u32> = digits.collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        let text = hex(&all);
        assert!(text.starts_with("000102") && text.contains("7f80") && text.ends_with("fdfeff"), "{text}");
        assert_eq!(parse_hex(&text).as_deref(), Some(&*all));
        assert_eq!(parse_hex(&text.to_uppercase()), Some(all));
        assert_eq!(parse_hex(""), Some(Vec::new()));
        assert_eq!(parse_hex("01, fF\n2 0"), Some(vec![1, 255, 32]));
        for text in ["0", "0g", "+1", "0x", "é", " 1", "1 ", "01;02"] {
            assert_eq!(parse_hex(text), None, "{text:?}");
        }
    }
}

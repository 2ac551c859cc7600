//! Sizes and names as people read them.

use std::borrow::Cow;

/// `1234567` as `1.2 MiB`.
pub fn human(bytes: u64) -> String {
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

/// A share in per cent; what is there at all is never shown as nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let share = share(part, whole) * 100.0;
    match part {
        0 => "0%".to_owned(),
        _ if share < 0.1 => "<0.1%".to_owned(),
        _ if share < 9.95 => format!("{share:.1}%"),
        _ => format!("{share:.0}%"),
    }
}

/// A share between 0 and 1.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Text as it can be shown, names from inside a file above all: as escapes whatever could move a terminal's cursor,
/// change its colours, end the line, or turn the direction of writing so that a name looks like another.
pub fn printable(text: &str) -> Cow<'_, str> {
    fn is_tricky(c: char) -> bool {
        // Bidirectional marks, embeddings, overrides and isolates; line and paragraph separator.
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }
    if !text.contains(is_tricky) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_tricky(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(human(0), "0 bytes");
        assert_eq!(human(1), "1 byte");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(4 << 30), "4.0 GiB");
        assert_eq!(human(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn shares_of_anything() {
        assert_eq!(percent(0, 0), "0%");
        assert_eq!(percent(1, 1 << 40), "<0.1%");
        assert_eq!(percent(1, 80), "1.2%");
        assert_eq!(percent(80, 80), "100%");
        assert_eq!(percent(90, 80), "100%");
    }

    #[test]
    fn what_moves_the_cursor_is_shown_as_text() {
        assert_eq!(printable("Köln \u{1d11e}.txt"), "Köln \u{1d11e}.txt");
        assert_eq!(printable("\u{1b}[2J\u{9b}\r\n\u{7f}"), "\\u{1b}[2J\\u{9b}\\r\\n\\u{7f}");
        assert_eq!(printable("\u{202e}txt.exe"), "\\u{202e}txt.exe");
    }
}

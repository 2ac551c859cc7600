//! How wide a label is, without a font.
//!
//! A drawing is shown with whatever font its viewer has, so a label has to fit with the widest of those that are common.
//! That is DejaVu Sans (and Verdana, which it was made after): the table has its advance widths, rounded up. For other
//! scripts nothing of the kind can be said; such a label is given its length in the drawing, and the viewer keeps to it.

/// Advance widths of the characters from space to `~`, in hundredths of the font's size.
const WIDTHS: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    34, 34, 84, 84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75, 79, 61, 79, 70, 64,
    62, 74, 69, 99, 69, 62, 69, 40, 34, 40, 84, 50, 50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98,
    64, 62, 64, 64, 42, 53, 40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84,
];

fn hundredths(c: char) -> u32 {
    match c {
        ' '..='~' => u32::from(WIDTHS[c as usize - 0x20]),
        '\u{a0}'..='\u{17f}' | '…' | '–' | '→' | '✓' | '✕' => 100,
        '\u{180}'..='\u{52f}' => 145,
        _ => 110,
    }
}

/// Whether the table says how wide a text is. If not, it has to be given its length.
pub(crate) fn is_known(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' '..='~' | '\u{a0}'..='\u{52f}' | '…' | '–' | '→' | '✓' | '✕'))
}

/// The width of a text, at least.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    f64::from(text.chars().map(hundredths).sum::<u32>()) / 100.0 * size
}

/// As much of a text as fits, dots for the rest; `None` when not even three characters would.
pub(crate) fn fitted(text: &str, size: f64, room: f64) -> Option<String> {
    if width(text, size) <= room {
        return Some(text.to_owned());
    }
    let dots = width("…", size);
    let (mut used, mut shown) = (0.0, String::new());
    for c in text.chars() {
        used += f64::from(hundredths(c)) / 100.0 * size;
        if used + dots > room {
            break;
        }
        shown.push(c);
    }
    let kept = shown.trim_end();
    (kept.chars().count() >= 3).then(|| format!("{kept}…"))
}

/// As [`fitted`], with the end of the text.
pub(crate) fn fitted_end(text: &str, size: f64, room: f64) -> Option<String> {
    if width(text, size) <= room {
        return Some(text.to_owned());
    }
    let mut used = width("…", size);
    let mut from = text.len();
    for (at, c) in text.char_indices().rev() {
        used += f64::from(hundredths(c)) / 100.0 * size;
        if used > room {
            break;
        }
        from = at;
    }
    let kept = text[from..].trim_start();
    (kept.chars().count() >= 3).then(|| format!("…{kept}"))
}

/// A text in lines that fit; what does not fit the last of them is cut off.
pub(crate) fn wrapped(text: &str, size: f64, room: f64, lines: usize) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.peek() {
        let longer = if line.is_empty() { (*word).to_owned() } else { format!("{line} {word}") };
        if width(&longer, size) <= room {
            line = longer;
            words.next();
            continue;
        }
        if done.len() + 1 == lines {
            let rest: Vec<&str> = words.collect();
            let whole = if line.is_empty() { rest.join(" ") } else { format!("{line} {}", rest.join(" ")) };
            done.extend(fitted(&whole, size, room));
            return done;
        }
        if !line.is_empty() {
            done.push(std::mem::take(&mut line));
            continue;
        }
        // A word that is longer than a line.
        let mut pieces = broken(word, size, room, lines - done.len());
        words.next();
        let is_cut = pieces.last().is_none_or(|last| last.ends_with('…'));
        if !is_cut {
            line = pieces.pop().unwrap_or_default();
        }
        done.extend(pieces);
        if done.len() >= lines {
            return done;
        }
    }
    if !line.is_empty() && done.len() < lines {
        done.push(line);
    }
    done
}

/// Letters before a break within a word, at least.
const SHORTEST: usize = 6;

/// A name in lines that fit, broken where its parts end if they are not too short for that; what does not fit the last of
/// them is cut off.
pub(crate) fn broken(text: &str, size: f64, room: f64, lines: usize) -> Vec<String> {
    let mut done = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && done.len() + 1 < lines && width(rest, size) > room {
        let mut used = 0.0;
        let (mut end, mut soft) = (0, 0);
        for (at, c) in rest.char_indices() {
            used += f64::from(hundredths(c)) / 100.0 * size;
            if used > room {
                break;
            }
            end = at + c.len_utf8();
            if matches!(c, '\\' | '/' | '-' | '_' | '.' | ' ' | ',' | '}') {
                soft = end;
            }
        }
        let end = if soft > 0 && soft * 2 >= end { soft } else { end };
        // Few letters of a word are none.
        if end != soft && rest[..end].chars().count() < SHORTEST {
            break;
        }
        done.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    match fitted(rest, size, room).filter(|_| done.len() < lines) {
        Some(last) => done.push(last),
        None if rest.is_empty() => {}
        // A beginning that does not say that it goes on is another name.
        None => return fitted(text.trim(), size, room).into_iter().take(lines).collect(),
    }
    done.retain(|line| !line.is_empty());
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_fits() {
        for text in
            ["Windows", "Wwwwwwwwwwwwwwwwww", "iiiiiiiiiiiiiiiiiiiiiiiiiiii", "日本語のファイル名", "", "a"]
        {
            for room in [0.0, 10.0, 30.0, 55.5, 200.0] {
                for shown in [fitted(text, 12.0, room), fitted_end(text, 12.0, room)].into_iter().flatten() {
                    assert!(width(&shown, 12.0) <= room, "{text} in {room}: {shown}");
                }
                for lines in [1, 2, 3] {
                    let all = [wrapped(text, 12.0, room, lines), broken(text, 12.0, room, lines)];
                    for shown in all {
                        assert!(shown.len() <= lines, "{text} in {room}: {shown:?}");
                        for line in shown {
                            assert!(width(&line, 12.0) <= room, "{text} in {room}: {line}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn lines_hold_all_words_when_there_is_room() {
        let text = "the disk starts from partition 2 and the entry names partition 3";
        let lines = wrapped(text, 12.0, 150.0, 9);
        assert_eq!(lines.join(" "), text);
        assert!(lines.len() > 2);
        assert_eq!(wrapped(text, 12.0, 150.0, 2).len(), 2);
    }

    #[test]
    fn a_long_name_is_broken_where_its_parts_end() {
        let id = "{9eeb43ea-269c-4b3a-985b-f99e6d913426}";
        let lines = wrapped(&format!("entry {id}"), 12.0, 180.0, 4);
        assert_eq!(lines.concat().replace("entry", ""), id);
        assert!(lines[1].ends_with('-'), "{lines:?}");
        assert_eq!(broken("amd64_component.manifest", 12.0, 100.0, 3), ["amd64_", "component.", "manifest"]);
        assert_eq!(broken("Wwwwwwwwwwwwwwww", 12.0, 80.0, 2).len(), 2);
        assert_eq!(
            broken("SYSTEM", 12.0, 50.0, 2),
            fitted("SYSTEM", 12.0, 50.0).into_iter().collect::<Vec<_>>()
        );
        assert!(broken("amd64_component", 12.0, 24.0, 3).iter().all(|line| line.ends_with('…')));
    }
}

//! Text in a batch file.
//!
//! A batch file is read in the code page of the machine, which nobody knows beforehand, so only ASCII goes in. Inside
//! double quotes `& | < > ^ ( )` are ordinary characters; `%` is one when doubled, anywhere in a batch file; a double quote
//! cannot be written at all. `!` is ordinary while delayed expansion is off, which our scripts see to.
//!
//! PowerShell is handed to the shell inside double quotes. Its own strings are in single quotes, and what is not ASCII is
//! put together from numbers.

use crate::{Error, Result};

/// Characters of the longest line that the shell runs (Microsoft: 8191).
pub(crate) const MAX_LINE: usize = 8191;

/// `text` in double quotes, for the command line of a program. `what` is what errors call it.
pub(crate) fn quoted(what: &str, text: &str) -> Result<String> {
    if let Some(bad) = text.chars().find(|&character| !(' '..='~').contains(&character) || character == '"') {
        let reason = format!("{text:?} has {bad:?} in it, which cannot be written into SetupComplete.cmd");
        return Err(Error::wish(what, reason));
    }
    // A backslash in front of the last quote would make it a part of the text for the program.
    let slashes = text.len() - text.trim_end_matches('\\').len();
    Ok(format!("\"{}{}\"", text.replace('%', "%%"), "\\".repeat(slashes)))
}

/// A line of the user's, as it is: a command, so nothing of it is quoted.
pub(crate) fn line(what: &str, text: &str) -> Result<()> {
    let bad = text.chars().find(|&character| !(' '..='~').contains(&character) && character != '\t');
    if let Some(bad) = bad {
        let reason =
            format!("{text:?} has {bad:?} in it; batch files are written in ASCII, a command on each line");
        return Err(Error::wish(what, reason));
    }
    if text.len() > MAX_LINE {
        let (found, limit) = (text.len() as u64, MAX_LINE as u64);
        return Err(Error::Limit { what: format!("characters of a line of {what}"), found, limit });
    }
    Ok(())
}

/// `text` as an expression of PowerShell, for a command in double quotes in a batch file.
pub(crate) fn powershell(text: &str) -> String {
    let plain = |character: char| (' '..='~').contains(&character) && character != '"';
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if plain(first) {
            let end = rest.find(|character| !plain(character)).unwrap_or(rest.len());
            parts.push(format!("'{}'", rest[..end].replace('\'', "''").replace('%', "%%")));
            rest = &rest[end..];
        } else {
            let mut units = [0; 2];
            parts.extend(first.encode_utf16(&mut units).iter().map(|unit| format!("[char]{unit}")));
            rest = &rest[first.len_utf8()..];
        }
    }
    match parts.as_slice() {
        [] => "''".to_owned(),
        [one] if one.starts_with('\'') => one.clone(),
        // A string in front, or characters would be added up as numbers.
        _ => format!("(''+{})", parts.join("+")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_quotes() {
        assert_eq!(quoted("", "a & b | <c> ^ (d) !e! 100%").unwrap(), "\"a & b | <c> ^ (d) !e! 100%%\"");
        assert_eq!(quoted("", "C:\\a\\").unwrap(), "\"C:\\a\\\\\"");
        for bad in ["a\"b", "ä", "a\nb", "\u{7F}", "\0"] {
            assert!(quoted("x", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lines() {
        assert!(line("x", "reg add \"HKLM\\a\" & echo %PATH%\t").is_ok());
        for bad in ["a\r", "a\nb", "ä", "\u{1A}"] {
            assert!(line("x", bad).is_err(), "{bad:?}");
        }
        assert!(matches!(line("x", &"a".repeat(MAX_LINE + 1)), Err(Error::Limit { .. })));
    }

    #[test]
    fn powershell_strings() {
        assert_eq!(powershell("vagrant"), "'vagrant'");
        assert_eq!(powershell("o'neil 5%"), "'o''neil 5%%'");
        assert_eq!(powershell("Jörg"), "(''+'J'+[char]246+'rg')");
        assert_eq!(powershell("ö"), "(''+[char]246)");
        assert_eq!(powershell("😀\""), "(''+[char]55357+[char]56832+[char]34)");
        assert_eq!(powershell(""), "''");
    }
}

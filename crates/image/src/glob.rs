//! Patterns for names: `*`, `?` and `[a-z]`, as shells have them, ignoring case as Windows does.

use disk::upcase::upcase;

/// A pattern for one path component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    Many,
    /// One of these ranges, or none of them.
    Class {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

impl Pattern {
    /// Whether a path component holds anything special.
    pub(crate) fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Every text is a pattern; a bracket that is not closed stands for itself.
    pub(crate) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().map(fold).collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&c) = text.get(at) {
            at += 1;
            tokens.push(match c {
                '*' if tokens.last() == Some(&Token::Many) => continue,
                '*' => Token::Many,
                '?' => Token::Any,
                '[' => match class(&text[at..]) {
                    Some((token, len)) => {
                        at += len;
                        token
                    }
                    None => Token::Char('['),
                },
                c => Token::Char(c),
            });
        }
        Self(tokens)
    }

    /// Whether the whole name fits. Takes at most pattern × name steps: after a mismatch only the last `*` is retried.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().map(fold).collect();
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.0.get(token) {
                Some(Token::Many) => {
                    retry = Some((token, at));
                    token += 1;
                }
                Some(found) if found.takes(name[at]) => {
                    token += 1;
                    at += 1;
                }
                _ => match &mut retry {
                    Some((many, from)) => {
                        *from += 1;
                        token = *many + 1;
                        at = *from;
                    }
                    None => return false,
                },
            }
        }
        self.0[token..].iter().all(|token| *token == Token::Many)
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::Any => true,
            Self::Many => false,
            Self::Class { ranges, negated } => {
                ranges.iter().any(|&(first, last)| (first..=last).contains(&c)) != *negated
            }
        }
    }
}

/// Upper case as Windows has it, which leaves what takes two code units as it is.
fn fold(c: char) -> char {
    let unit = u16::try_from(u32::from(c)).ok();
    unit.and_then(|unit| char::from_u32(upcase(unit).into())).unwrap_or(c)
}

/// The class behind an opening bracket, and how many characters it takes, the closing bracket included.
fn class(text: &[char]) -> Option<(Token, usize)> {
    let negated = matches!(text.first(), Some('!' | '^'));
    let start = usize::from(negated);
    // A bracket that closes nothing yet is a member.
    let end = start + 1 + text.get(start + 1..)?.iter().position(|&c| c == ']')?;
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        if at + 2 < end && text[at + 1] == '-' {
            ranges.push((text[at], text[at + 2]));
            at += 3;
        } else {
            ranges.push((text[at], text[at]));
            at += 1;
        }
    }
    Some((Token::Class { ranges, negated }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything.dll", true),
            ("*.DLL", "ntdll.dll", true),
            ("*.dll", "ntdll.dll.mui", false),
            ("n?dll.*", "NTDLL.dll", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("[a-c]x", "Bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("[x", "x", false),
            ("**a**", "bab", true),
            ("?", "ü", true),
            ("Ü*", "über", true),
            // Other names to Windows, whatever Unicode makes of them in upper case.
            ("info*", "\u{131}nfo.txt", false),
            ("s*", "\u{17F}.txt", false),
            ("*.t\u{1F4BE}t", "a.t\u{1F4BE}t", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), fits, "{pattern:?} on {name:?}");
        }
    }

    #[test]
    fn a_pattern_of_stars_does_not_explode() {
        let name = "a".repeat(255);
        assert!(!Pattern::new(&format!("{}b", "*a".repeat(100))).matches(&name));
    }
}

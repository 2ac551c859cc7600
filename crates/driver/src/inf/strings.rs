//! `%tokens%`: keys of `[Strings]` and numbers of folders.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Inf, MAX_FIELD, Section, fold};
use crate::{Error, Result};

/// Text whose tokens were replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded<'t> {
    /// The text.
    pub text: Cow<'t, str>,
    /// The first token that nothing stands for; it is left in the text as it was.
    pub unknown: Option<&'t str>,
}

/// The tables of all `[Strings]` sections, by language.
pub(super) fn tables(sections: &[Section]) -> BTreeMap<Option<u16>, BTreeMap<String, String>> {
    let mut tables: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for section in sections {
        let name = fold(&section.name);
        let language = match name.strip_prefix("strings") {
            Some("") => None,
            Some(rest) => match rest.strip_prefix('.').and_then(|hex| u16::from_str_radix(hex, 16).ok()) {
                Some(language) => Some(language),
                None => continue,
            },
            None => continue,
        };
        let table = tables.entry(language).or_default();
        for line in &section.lines {
            if let Some(key) = &line.key {
                table.entry(fold(key)).or_insert_with(|| line.field(0).to_owned());
            }
        }
    }
    tables
}

impl Inf {
    /// The text of a key of `[Strings]`: in `language` (a Windows language identifier such as 0x0409), in another
    /// variety of it, or in the section without a language.
    pub fn string(&self, language: u16, key: &str) -> Option<&str> {
        let key = fold(key);
        let variety = |found: &u16| found & 0x3FF == language & 0x3FF;
        let related = self.strings.iter().filter(|(found, _)| found.as_ref().is_some_and(variety));
        let exact = self.strings.get(&Some(language)).into_iter();
        let tables = exact.chain(related.map(|(_, table)| table)).chain(self.strings.get(&None));
        tables.filter_map(|table| table.get(&key)).map(String::as_str).next()
    }

    /// Replaces the tokens of a field. `folder` says what stands for the number of a folder.
    ///
    /// `%%` is a percent sign; a token that nothing stands for, and a percent sign without a second one, stay.
    ///
    /// # Errors
    /// [`Error::Limit`] when the result is longer than [`MAX_FIELD`].
    pub fn expand<'t>(
        &self,
        language: u16,
        text: &'t str,
        folder: &dyn Fn(u32) -> Option<String>,
    ) -> Result<Expanded<'t>> {
        let limit = |found: usize| {
            let what = format!("bytes of a field of {}", self.name);
            if found > MAX_FIELD {
                Err(Error::Limit { what, found: found as u64, limit: MAX_FIELD as u64 })
            } else {
                Ok(())
            }
        };
        limit(text.len())?;
        if !text.contains('%') {
            return Ok(Expanded { text: Cow::Borrowed(text), unknown: None });
        }
        let (mut out, mut unknown, mut rest) = (String::with_capacity(text.len()), None, text);
        while let Some(start) = rest.find('%') {
            out.push_str(&rest[..start]);
            let after = &rest[start + 1..];
            let Some(len) = after.find('%') else {
                out.push_str(&rest[start..]);
                rest = "";
                break;
            };
            let token = &after[..len];
            if token.is_empty() {
                out.push('%');
            } else if let Some(value) = self.string(language, token) {
                out.push_str(value);
            } else if let Some(path) = super::number(token).and_then(folder) {
                out.push_str(&path);
            } else {
                out.push_str(&rest[start..start + len + 2]);
                unknown = unknown.or(Some(token));
            }
            limit(out.len())?;
            rest = &after[len + 1..];
        }
        out.push_str(rest);
        limit(out.len())?;
        Ok(Expanded { text: Cow::Owned(out), unknown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inf() -> Inf {
        let text = "[Strings]\na = \"one, two\"\nloop = %loop%\nonly = x\n\
                    [Strings.0407]\nA = eins\n[strings.0009]\na = English\n";
        Inf::parse("x.inf", text.as_bytes()).unwrap()
    }

    fn expand(language: u16, text: &str) -> (String, Option<String>) {
        let inf = inf();
        let folder = |number| (number == 12).then(|| "C:\\D".to_owned());
        let expanded = inf.expand(language, text, &folder).unwrap();
        (expanded.text.into_owned(), expanded.unknown.map(str::to_owned))
    }

    #[test]
    fn languages() {
        assert_eq!(expand(0x0407, "%a%-%ONLY%").0, "eins-x");
        assert_eq!(expand(0x0C07, "%a%").0, "eins"); // Austria
        assert_eq!(expand(0x0409, "%a%").0, "English");
        assert_eq!(expand(0x040C, "%a%").0, "one, two");
    }

    #[test]
    fn percent_signs() {
        assert_eq!(expand(0x040C, "%%SystemRoot%%\\x 50% off"), ("%SystemRoot%\\x 50% off".into(), None));
        assert_eq!(expand(0x040C, "%12%\\x.sys").0, "C:\\D\\x.sys");
        assert_eq!(expand(0x040C, "%13%%nobody%"), ("%13%%nobody%".into(), Some("13".into())));
        // What stands for a token is not looked at again.
        assert_eq!(expand(0x040C, "%loop%").0, "%loop%");
    }

    #[test]
    fn growth_is_bounded() {
        let text = format!("[Strings]\na = {}\n[s]\nx = {}\n", "z".repeat(1 << 20), "%a%".repeat(1000));
        let inf = Inf::parse("x.inf", text.as_bytes()).unwrap();
        let error = inf.expand(0x0409, inf.line("s", "x").unwrap().field(0), &|_| None).unwrap_err();
        assert!(matches!(error, Error::Limit { limit: 65536, .. }), "{error}");
    }
}

//! The text of a firewall rule: a version, then fields with bars between them (MS-GPFAS 2.2.2.19).
//!
//! Versions differ between releases of Windows, and a rule of a later one is not understood; so new rules carry the latest
//! version that the image uses itself. Fields are kept in their order, also those that nobody here knows.

use std::fmt;

/// Fields that limit a rule to remote addresses. Those with a 2 are of Windows 8 and later.
const REMOTE_ADDRESSES: &[&str] = &["RA4", "RA6", "RA42", "RA62"];

/// A version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u16,
    minor: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) version: Version,
    /// Names and values; no value for what has no `=`.
    fields: Vec<(String, Option<String>)>,
}

impl Rule {
    /// Reads a rule; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_suffix('|')?.split('|');
        let (major, minor) = fields.next()?.strip_prefix('v')?.split_once('.')?;
        let version = Version { major: major.parse().ok()?, minor: minor.parse().ok()? };
        let fields = fields.map(|field| match field.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (field.to_owned(), None),
        });
        Some(Self { version, fields: fields.collect() })
    }

    /// A rule that has no field yet.
    pub(super) fn new(version: Version) -> Self {
        Self { version, fields: Vec::new() }
    }

    /// Adds a field at the end. The value must not contain a bar.
    pub(super) fn push(&mut self, name: &str, value: impl Into<String>) {
        self.fields.push((name.to_owned(), Some(value.into())));
    }

    /// The first field of a name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// Makes the rule count.
    pub(super) fn enable(&mut self) {
        match self.fields.iter_mut().find(|(name, _)| name == "Active") {
            Some((_, value)) => *value = Some("TRUE".to_owned()),
            None => self.push("Active", "TRUE"),
        }
    }

    /// Lets the rule count on every kind of network and for every remote address: a rule without profiles counts on all,
    /// one without addresses for all.
    pub(super) fn open(&mut self) {
        self.fields.retain(|(name, _)| name != "Profile" && !REMOTE_ADDRESSES.contains(&name.as_str()));
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|", self.version)?;
        for (name, value) in &self.fields {
            match value {
                Some(value) => write!(f, "{name}={value}|")?,
                None => write!(f, "{name}|")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_changed_and_written() {
        let text = "v2.27|Action=Allow|Active=FALSE|Dir=In|Protocol=6|Profile=Private|Profile=Public|LPort=5985|RA4=LocalSubnet|\
                    RA6=LocalSubnet|RA42=Intranet|App=System|Name=@a,-1|New|EmbedCtxt=@a,-2|";
        let mut rule = Rule::parse(text).unwrap();
        assert_eq!(rule.to_string(), text);
        rule.enable();
        assert_eq!(rule.to_string(), text.replace("FALSE", "TRUE"));
        rule.open();
        assert_eq!(
            rule.to_string(),
            "v2.27|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|App=System|Name=@a,-1|New|EmbedCtxt=@a,-2|"
        );
        let mut bare = Rule::parse("v2.0|Dir=In|").unwrap();
        bare.enable();
        assert_eq!(bare.to_string(), "v2.0|Dir=In|Active=TRUE|");
        for wrong in ["", "|", "v2|", "2.0|a=b|", "v2.0|a=b", "vx.y|"] {
            assert_eq!(Rule::parse(wrong), None, "{wrong}");
        }
        assert!(Version { major: 2, minor: 9 } < Version { major: 2, minor: 10 });
    }
}

//! What assemblies (packages, components) are called: in XML, in the names of packages, and in the component store.

use std::fmt;

use crate::xml::Element;
use crate::{Error, Result};

/// The key that signs what belongs to Windows.
pub const WINDOWS_TOKEN: &str = "31bf3856ad364e35";

/// Four numbers. `10.0.14393.0`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub [u16; 4]);

impl Version {
    /// From text: up to four numbers, separated by dots.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = [0; 4];
        let mut parts = text.split('.');
        for (number, part) in numbers.iter_mut().zip(&mut parts) {
            *number = Some(part).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        }
        parts.next().is_none().then_some(Self(numbers))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

/// An `assemblyIdentity`.
///
/// Values are as they were written; comparisons that Windows makes ignore case, see [`is_same_package`](Self::is_same_package).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `Microsoft-NanoServer-Compute-Package`.
    pub name: String,
    /// `10.0.14393.0`, or `*`.
    pub version: String,
    /// `amd64`, `x86`, `wow64`, `arm64`, or `*`.
    pub architecture: String,
    /// `en-US`, `neutral`, or `*`.
    pub language: String,
    /// 16 hexadecimal digits.
    pub token: String,
    /// `release`.
    pub build_type: Option<String>,
    /// `dualModeDriver`, usually absent.
    pub kind: Option<String>,
    /// `typeName`, rarely there.
    pub type_name: Option<String>,
    /// `nonSxS`.
    pub version_scope: Option<String>,
}

impl Identity {
    pub(crate) fn read(element: &Element) -> Result<Self> {
        let text = |name: &str| element.get(name).map(str::to_owned);
        let name = element.need("name")?.to_owned();
        if name.is_empty()
            || !name.chars().all(|c| c.is_ascii_graphic() || c == ' ')
            || name.contains(['\\', '/', ':'])
        {
            return Err(element.malformed(format!("an assembly is called {name:?}")));
        }
        for (attribute, value) in &element.attributes {
            let fits = value.len() <= 260
                && !value.contains(['\\', '/', ':'])
                && value.chars().all(|c| !c.is_control());
            if !fits {
                return Err(element.malformed(format!("the {attribute} of {name} is {value:?}")));
            }
        }
        let or_neutral = |value: Option<String>| value.unwrap_or_else(|| "neutral".to_owned());
        Ok(Self {
            name,
            version: text("version").unwrap_or_default(),
            architecture: or_neutral(text("processorArchitecture")),
            language: or_neutral(text("language")),
            token: text("publicKeyToken").unwrap_or_default(),
            build_type: text("buildType"),
            kind: text("type"),
            type_name: text("typeName"),
            version_scope: text("versionScope"),
        })
    }

    /// The name of a package in `servicing\Packages`: `name~token~architecture~language~version`, without a language when
    /// it is neutral.
    pub fn package_id(&self) -> String {
        let language = if self.is_neutral() { "" } else { self.language.as_str() };
        format!("{}~{}~{}~{language}~{}", self.name, self.token, self.architecture, self.version)
    }

    /// From the name of a package: a file of `servicing\Packages` without its ending, or a key of the registry.
    pub fn from_package_id(id: &str) -> Option<Self> {
        let mut parts = id.split('~');
        let mut next = || parts.next().map(str::to_owned);
        let (name, token, architecture, language, version) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() || name.is_empty() {
            return None;
        }
        let language = if language.is_empty() { "neutral".to_owned() } else { language };
        Some(Self { name, version, architecture, language, token, ..Self::default() })
    }

    /// Whether it is for all languages.
    pub fn is_neutral(&self) -> bool {
        matches!(self.language.as_str(), "" | "*") || self.language.eq_ignore_ascii_case("neutral")
    }

    /// The version as numbers; `None` for a pattern.
    pub fn version_numbers(&self) -> Option<Version> {
        Version::parse(&self.version)
    }

    /// Whether both are the same package, in any version.
    pub fn is_same_package(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b) || a == "*" || b == "*";
        same(&self.name, &other.name)
            && same(&self.token, &other.token)
            && same(&self.architecture, &other.architecture)
            && (self.language == "*"
                || other.language == "*"
                || (self.is_neutral() && other.is_neutral())
                || self.language.eq_ignore_ascii_case(&other.language))
    }

    /// Whether it is a driver: `dual_*.inf`.
    pub fn is_driver(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("dualModeDriver"))
    }

    /// The name in the component store: of its folder in `WinSxS`, and of its manifest without the ending.
    ///
    /// `architecture_name_token_version_culture_hash`. The name is in lower case, without spaces and parentheses, and
    /// shortened to 19 characters, two dots and 19 characters if it has more than 40. Source: observed on Windows Server
    /// 2016 to 2025, and the vectors in the tests.
    pub fn keyform(&self) -> String {
        let lower = |text: &str| text.to_ascii_lowercase();
        let name: Vec<char> = lower(&self.name).chars().filter(|c| !" ()".contains(*c)).collect();
        let name: String = if name.len() > 40 {
            name[..19].iter().chain(&['.', '.']).chain(&name[name.len() - 19..]).collect()
        } else {
            name.into_iter().collect()
        };
        let culture = if self.is_neutral() { "none".to_owned() } else { lower(&self.language) };
        let (architecture, token) = (lower(&self.architecture), lower(&self.token));
        format!("{architecture}_{name}_{token}_{}_{culture}_{:016x}", self.version, self.keyform_hash())
    }

    /// The number at the end of [`keyform`](Self::keyform).
    pub fn keyform_hash(&self) -> u64 {
        let culture = if self.is_neutral() { "none" } else { self.language.as_str() };
        let attributes = [
            ("name", Some(self.name.as_str())),
            ("culture", Some(culture)),
            ("typename", self.type_name.as_deref()),
            ("type", self.kind.as_deref()),
            ("version", Some(self.version.as_str())),
            ("publickeytoken", Some(self.token.as_str())),
            ("processorarchitecture", Some(self.architecture.as_str())),
            ("versionscope", self.version_scope.as_deref()),
        ];
        let mut hash = 0_u64;
        for (attribute, value) in attributes {
            let Some(value) = value.filter(|value| !value.is_empty()).map(str::to_ascii_lowercase) else {
                continue;
            };
            if value != "none" {
                let both = text_hash(&value).wrapping_add(text_hash(attribute).wrapping_mul(0x1_FFFF_FFF7));
                hash = both.wrapping_add(hash.wrapping_mul(0x1_FFFF_FFF7));
            }
        }
        hash
    }
}

/// `name, version 10.0.14393.0, amd64` and the language, unless it is neutral.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.version, self.architecture)?;
        if self.is_neutral() { Ok(()) } else { write!(f, " {}", self.language) }
    }
}

/// Every fourth byte makes a polynomial, and the four make one number.
fn text_hash(text: &str) -> u64 {
    let mut lanes = [0_u32; 4];
    for (at, byte) in text.bytes().enumerate() {
        let lane = &mut lanes[at % 4];
        *lane = lane.wrapping_mul(0x1_003F).wrapping_add(u32::from(byte));
    }
    let [a, b, c, d] = lanes.map(u64::from);
    a.wrapping_mul(0x1E5_FFFF_FD27)
        .wrapping_add(b.wrapping_mul(0xFFFF_FFDC_0000_0051))
        .wrapping_add(c.wrapping_mul(0x1_FFFF_FFF7))
        .wrapping_add(d)
}

/// What a document says it is itself: not a pattern, and fit for the names of files and keys.
pub(crate) fn own_identity(element: &Element) -> Result<Identity> {
    let identity = identity_of(element)?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_name = |name: &str| !name.contains(|c| "<>:\"|?*~".contains(c)) && !name.starts_with(['.', ' ']);
    let fits = identity.version_numbers().is_some()
        && is_name(&identity.name)
        && [&identity.architecture, &identity.language, &identity.token].iter().all(|text| plain(text));
    if fits {
        Ok(identity)
    } else {
        Err(element.malformed(format!(
            "it calls itself {identity} with the key {:?}, which is no name",
            identity.token
        )))
    }
}

/// The identity that an element has as its child.
pub(crate) fn identity_of(element: &Element) -> Result<Identity> {
    let child = element.child("assemblyIdentity");
    let child =
        child.ok_or_else(|| element.malformed(format!("<{}> has no assemblyIdentity", element.name)))?;
    Identity::read(child)
}

/// A file's hash as the XML has it.
pub(crate) fn need_sha256(element: &Element) -> Result<[u8; 32], Error> {
    let bytes = base64(&element.text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| element.malformed(format!("{:?} is no SHA-256 in Base64", element.text)))
}

/// The bytes that Base64 stands for.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let (groups, rest) = digits.as_chunks::<4>();
    if !rest.is_empty() || digits.len() > 1 << 10 {
        return None;
    }
    let mut bytes = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let filled = group.iter().take_while(|byte| **byte != b'=').count();
        let is_last = at + 1 == groups.len();
        if group[filled..].iter().any(|byte| *byte != b'=') || filled < 2 || (filled < 4 && !is_last) {
            return None;
        }
        let mut number = 0_u32;
        for byte in &group[..filled] {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            number = number << 6 | u32::from(digit);
        }
        number <<= 6 * (4 - filled);
        bytes.extend_from_slice(&number.to_be_bytes()[1..filled]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str, language: &str, kind: Option<&str>) -> Identity {
        Identity {
            name: name.to_owned(),
            version: "10.0.26100.1".to_owned(),
            architecture: "amd64".to_owned(),
            language: language.to_owned(),
            token: WINDOWS_TOKEN.to_owned(),
            kind: kind.map(str::to_owned),
            version_scope: Some("nonSxS".to_owned()),
            ..Identity::default()
        }
    }

    /// Names of folders of Windows Server 2025 and Windows 11, as public test data and logs name them.
    #[test]
    fn names_in_the_component_store() {
        let named = |name: &str, architecture: &str, version: &str, kind| Identity {
            architecture: architecture.to_owned(),
            version: version.to_owned(),
            ..identity(name, "neutral", kind)
        };
        for (identity, keyform) in [
            (
                named("Microsoft-Windows-Core", "amd64", "10.0.26100.1", None),
                "amd64_microsoft-windows-core_31bf3856ad364e35_10.0.26100.1_none_a943f5e781a44c5c",
            ),
            (
                named("dual_netvg63a.inf", "amd64", "10.0.26100.1", Some("dualModeDriver")),
                "amd64_dual_netvg63a.inf_31bf3856ad364e35_10.0.26100.1_none_9162a10543917fc7",
            ),
            (
                named("Microsoft-Windows-StartMenuExperienceHost.AppxMain", "amd64", "10.0.26100.7309", None),
                "amd64_microsoft-windows-s..riencehost.appxmain_31bf3856ad364e35_10.0.26100.7309_none_9707d6de62619e8c",
            ),
            (
                named("Microsoft-Windows-OneCoreUAPCommonProxyStub", "wow64", "10.0.26100.7309", None),
                "wow64_microsoft-windows-o..euapcommonproxystub_31bf3856ad364e35_10.0.26100.7309_none_38de5e2364a9fd20",
            ),
        ] {
            assert_eq!(identity.keyform(), keyform);
        }
        // The hash is of the whole name, whose spaces only the visible part lacks.
        let spaced = named("a b (c)", "AMD64", "1.0", None);
        assert!(spaced.keyform().starts_with("amd64_abc_31bf3856ad364e35_1.0_none_"));
        assert_ne!(spaced.keyform_hash(), named("abc", "amd64", "1.0", None).keyform_hash());
    }

    #[test]
    fn package_ids() {
        let nano = identity("Microsoft-NanoServer-Compute-Package", "neutral", None);
        assert_eq!(
            nano.package_id(),
            "Microsoft-NanoServer-Compute-Package~31bf3856ad364e35~amd64~~10.0.26100.1"
        );
        let back = Identity::from_package_id(&nano.package_id()).unwrap();
        assert!(back.is_same_package(&nano) && back.version == nano.version && back.is_neutral());
        let english = identity("Microsoft-NanoServer-Compute-Package", "en-US", None);
        assert!(english.package_id().ends_with("~amd64~en-US~10.0.26100.1"));
        assert!(!english.is_same_package(&nano));
        assert_eq!(Identity::from_package_id("a~b~c~d"), None);
        assert_eq!(Identity::from_package_id("a~b~c~d~e~f"), None);
    }

    #[test]
    fn versions() {
        assert_eq!(Version::parse("10.0.14393.0"), Some(Version([10, 0, 14393, 0])));
        assert_eq!(Version::parse("10.0").unwrap().to_string(), "10.0.0.0");
        for text in ["", "*", "1.2.3.4.5", "70000", "1..2", "+1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_in_base64() {
        assert_eq!(base64("AQID").unwrap(), [1, 2, 3]);
        assert_eq!(base64("AQI=").unwrap(), [1, 2]);
        assert_eq!(base64("/+8=").unwrap(), [255, 239]);
        for text in ["A", "A===", "AQ=D", "AQ==AQID", "A!ID"] {
            assert_eq!(base64(text), None, "{text}");
        }
    }
}

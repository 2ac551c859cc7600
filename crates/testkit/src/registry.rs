//! Other people's readers of registry hives: hivex, regipy and python-registry.
//!
//! `crates/testkit/fetch-registry-readers.sh` puts the last two into a virtual environment of the [cache](crate::cache)
//! (or `REGISTRY_PYTHON` names a Python that has them).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Tool, tool};

/// Prints all that a reader finds.
const SCRIPT: &str = include_str!("registry.py");

/// Print some keys, by python-registry and by hivex.
const KEYS_PYTHON: &str = include_str!("registry_keys.py");
const KEYS_PERL: &str = include_str!("registry_keys.pl");

/// The readers that are Python libraries.
pub const READERS: [&str; 2] = ["regipy", "python-registry"];

/// The Python that has them: `REGISTRY_PYTHON`, else the one in the cache.
///
/// `None`, with a visible `SKIPPED:` line, when there is none.
///
/// # Panics
/// When it is missing although `REQUIRE_TOOLS=1`.
pub fn python() -> Option<PathBuf> {
    let given = std::env::var_os("REGISTRY_PYTHON").map(PathBuf::from);
    let path = given.unwrap_or_else(|| crate::cache().join("registry/bin/python"));
    if path.is_file() {
        return Some(path);
    }
    crate::skip("needs regipy and python-registry (bash crates/testkit/fetch-registry-readers.sh)");
    None
}

/// What one of [`READERS`] finds in a hive: a line for each key and value, in its order. `None` when it is not installed.
///
/// A key's line is `K`, its depth, its name and its time, its class name and the SHA-1 of its security descriptor (or
/// `-`); a value's is `V`, its name, type and size and the SHA-1 of its data. Names are hexadecimal UTF-16.
///
/// # Panics
/// When the reader fails.
#[track_caller]
pub fn dump(reader: &str, hive: &Path) -> Option<String> {
    Some(run(Command::new(python()?).args(["-c", SCRIPT, reader]).arg(hive)))
}

/// Applies a log to a dirty hive with regipy: writes the recovered hive. `false` when it is not installed.
///
/// # Panics
/// When regipy fails.
#[track_caller]
pub fn recover(hive: &Path, log: &Path, output: &Path) -> bool {
    let Some(python) = python() else { return false };
    let script = "import sys; from regipy.recovery import apply_transaction_logs as apply\n\
                  apply(sys.argv[1], sys.argv[2], restored_hive_path=sys.argv[3])";
    run(Command::new(python).args(["-c", script]).args([hive, log, output]));
    true
}

/// The XML that `hivexml` makes of a hive, without the places of cells. `None` when it is not installed.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn xml(hive: &Path) -> Option<String> {
    let tool: Tool = tool("hivexml")?;
    let xml = tool.text([hive]);
    // A hive that is written anew has its cells elsewhere.
    let mut rest = xml.as_str();
    let mut kept = String::with_capacity(xml.len());
    while let Some((before, after)) = rest.split_once("<byte_runs>") {
        kept.push_str(before);
        rest = after.split_once("</byte_runs>").expect("the end of the element").1;
    }
    kept.push_str(rest);
    Some(kept)
}

/// A key as other people's readers see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The names of its subkeys, as they are spelled.
    pub subkeys: Vec<String>,
    /// Its values: type and data, by name. The default value has no name.
    pub values: BTreeMap<String, (u32, Vec<u8>)>,
    /// Its security descriptor, self-relative.
    pub security: Vec<u8>,
}

impl Key {
    /// The data of a value of this type.
    ///
    /// # Panics
    /// When there is no such value, or one of another type.
    #[track_caller]
    pub fn data(&self, name: &str, kind: u32) -> &[u8] {
        match self.values.get(name) {
            Some((found, data)) if *found == kind => data,
            found => panic!("{name:?} is {found:?}, of {:?}", self.values.keys()),
        }
    }

    /// The text of a `REG_SZ`, without the zero at its end, which has to be there.
    ///
    /// # Panics
    /// As [`data`](Self::data).
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let text = utf16(self.data(name, 1));
        text.strip_suffix('\0').unwrap_or_else(|| panic!("{name:?} does not end: {text:?}")).to_owned()
    }

    /// The number of a `REG_DWORD`.
    ///
    /// # Panics
    /// As [`data`](Self::data).
    #[track_caller]
    pub fn dword(&self, name: &str) -> u32 {
        u32::from_le_bytes(self.data(name, 4).try_into().expect("four bytes"))
    }

    /// The texts of a `REG_MULTI_SZ`.
    ///
    /// # Panics
    /// As [`data`](Self::data).
    #[track_caller]
    pub fn texts(&self, name: &str) -> Vec<String> {
        let text = utf16(self.data(name, 7));
        text.split('\0').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// Keys of a hive by their paths (`Select`, `ControlSet001\Control`; empty for the root), `None` for those that are not
/// there. python-registry and hivex both look, and have to see the same. `None` when one of them is not installed.
///
/// # Panics
/// When a reader fails, or they differ.
#[track_caller]
pub fn keys(hive: &Path, paths: &[&str]) -> Option<Vec<Option<Key>>> {
    let (python, perl) = (python()?, tool("perl")?);
    tool("hivexregedit")?; // of the package that has the binding
    let first = run(Command::new(python).args(["-c", KEYS_PYTHON]).arg(hive).args(paths));
    let second = run(perl.command().args(["-e", KEYS_PERL]).arg(hive).args(paths));
    let (first, mut second) = (parse(&first), parse(&second));
    for (key, other) in first.iter().zip(&mut second) {
        if let (Some(key), Some(other)) = (key, other) {
            other.security.clone_from(&key.security);
        }
    }
    assert_eq!((first.len(), &first), (paths.len(), &second), "{paths:?} of {}", hive.display());
    Some(first)
}

fn parse(lines: &str) -> Vec<Option<Key>> {
    let bytes = |digits: &str| -> Vec<u8> {
        let digits = digits.trim_start_matches('-');
        let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
        (0..digits.len()).step_by(2).map(pair).collect()
    };
    let text = |digits: &str| String::from_utf8(bytes(digits)).expect("UTF-8");
    let mut keys: Vec<Option<Key>> = Vec::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let key = keys.last_mut().and_then(Option::as_mut);
        match (words.as_slice(), key) {
            (["K", "present"], _) => keys.push(Some(Key::default())),
            (["K", "absent"], _) => keys.push(None),
            (["D", digits], Some(key)) => key.security = bytes(digits),
            (["S", name], Some(key)) => key.subkeys.push(text(name)),
            (["V", name, kind, data], Some(key)) => {
                let value = (kind.parse().expect("a type"), bytes(data));
                assert!(key.values.insert(text(name), value).is_none(), "{} twice", text(name));
            }
            _ => panic!("an unknown line: {line}"),
        }
    }
    keys
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.env("PYTHONIOENCODING", "utf-8").output().expect("Python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("ASCII")
}

//! Other people's readers of registry hives: hivex, regipy and python-registry.
//!
//! `crates/testkit/fetch-registry-readers.sh` puts the last two into a virtual environment of the [cache](crate::cache)
//! (or `REGISTRY_PYTHON` names a Python that has them).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Tool, tool};

/// Prints all that a reader finds.
const SCRIPT: &str = include_str!("registry.py");

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

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.env("PYTHONIOENCODING", "utf-8").output().expect("Python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("ASCII")
}

//! The same inputs give the same bytes: on this machine and others, today and later.
//!
//! `digests.txt` is a script and its result: command lines, and below each the SHA-256 of every file that it wrote, or of
//! what it printed. [`script`] runs it. The first test compares with what is committed, so that a change of one byte of
//! any output has to be meant; `surroundings` runs it again in a world where everything is different that must not matter;
//! `sources` looks for clocks and randomness in the code itself.
//!
//! `WIMFORGE_DIGESTS=write` writes the file anew. `WIMFORGE_PROGRAM` names another program to try, with words that come
//! before its arguments: a release build, another machine's (`qemu-aarch64 -L /usr/aarch64-linux-gnu target/…/wimforge`).

mod script;
mod sources;
mod surroundings;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::testdata;

use self::script::{Script, Surroundings};
use crate::support::{PROGRAM, names};

/// The folder of this module.
fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/determinism")
}

/// The program under test.
fn program() -> Command {
    let words = std::env::var("WIMFORGE_PROGRAM").unwrap_or_else(|_| PROGRAM.to_owned());
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words);
    command
}

/// Puts everything that the script names into a folder.
fn put_inputs(folder: &Path) {
    copy(&here().join("inputs"), folder, &|names| names.sort());
    // A note says when others can read a secret, and git keeps no such permissions.
    for name in names(&folder.join("secrets")) {
        let path = folder.join("secrets").join(name);
        fs::set_permissions(path, Permissions::from_mode(0o600)).expect("permissions");
    }
    for name in ["nano-small.wim", "nano-small-two.wim"] {
        fs::copy(testdata(name), folder.join(name)).expect("copied");
    }
    let small = fs::read(testdata("nano-small.wim")).expect("a WIM");
    fs::write(folder.join("nano.wim"), described(small)).expect("written");
}

/// Copies what is in a folder, in the order that `order` gives.
pub(crate) fn copy(from: &Path, to: &Path, order: &dyn Fn(&mut Vec<PathBuf>)) {
    fs::create_dir_all(to).expect("a folder");
    let entries = fs::read_dir(from).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    order(&mut paths);
    for path in paths {
        let target = to.join(path.file_name().expect("it has one"));
        if path.is_dir() {
            copy(&path, &target, order);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// The WIM with a description of a Nano Server, without which nobody knows which drivers it takes: new XML data at its end.
fn described(mut wim: Vec<u8>) -> Vec<u8> {
    const WINDOWS: &str = "<WINDOWS><ARCH>9</ARCH><EDITIONID>ServerStandardNano</EDITIONID>\
        <INSTALLATIONTYPE>Nano Server</INSTALLATIONTYPE><PRODUCTTYPE>ServerNT</PRODUCTTYPE>\
        <LANGUAGES><LANGUAGE>en-US</LANGUAGE><DEFAULT>en-US</DEFAULT></LANGUAGES>\
        <VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR><BUILD>14393</BUILD><SPBUILD>0</SPBUILD></VERSION>\
        <SYSTEMROOT>WINDOWS</SYSTEMROOT></WINDOWS>";
    // The header's resource entry of the XML data: size and flags, offset, size.
    let word = |wim: &[u8], at: usize| u64::from_le_bytes(wim[at..at + 8].try_into().expect("eight"));
    let (size, offset) = (word(&wim, 0x48) & ((1 << 56) - 1), word(&wim, 0x50));
    let (flags, end) = (wim[0x4F], wim.len() as u64);
    let units: Vec<u16> = wim[offset as usize..(offset + size) as usize]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let xml = String::from_utf16(&units).expect("UTF-16");
    let (before, rest) = xml.split_once("<WINDOWS>").expect("a description");
    let (_, after) = rest.split_once("</WINDOWS>").expect("its end");
    let xml = format!("{before}{WINDOWS}{after}");
    wim.extend(xml.encode_utf16().flat_map(u16::to_le_bytes));
    let size = wim.len() as u64 - end;
    for (at, word) in [(0x48, size), (0x50, end), (0x58, size)] {
        wim[at..at + 8].copy_from_slice(&u64::to_le_bytes(word));
    }
    wim[0x4F] = flags;
    wim
}

/// If this fails, outputs have other bytes than before. When that is meant, it is a change that users see (their caches
/// and signatures): write the new digests with `WIMFORGE_DIGESTS=write` and say so in CHANGELOG.md.
#[test]
fn every_output_has_the_committed_digest() {
    let path = here().join("digests.txt");
    let committed = Script::read(&path);
    let found = committed.run(&Surroundings::default());
    if std::env::var_os("WIMFORGE_DIGESTS").is_some_and(|value| value == "write") {
        return found.write(&path);
    }
    let differences = committed.differences(&found);
    assert!(
        differences.is_empty(),
        "other bytes than committed in {}:\n{}\nWhen that is meant:\n  \
         WIMFORGE_DIGESTS=write cargo test -p wimforge --test suite every_output_has\nand a line in CHANGELOG.md",
        path.display(),
        differences.join("\n")
    );
}

/// Whatever can be built is in the script.
#[test]
fn nothing_is_left_out() {
    let script = fs::read_to_string(here().join("digests.txt")).expect("the script");
    let words: Vec<&str> = script.split_whitespace().collect();
    let said = |option: &str, value: &str| words.windows(2).any(|pair| pair == [option, value]);
    for format in image::Format::ALL {
        assert!(said("--format", format.name()), "no --format {format}");
    }
    for layout in image::Layout::ALL {
        assert!(said("--layout", layout.name()), "no --layout {layout}");
    }
    for algorithm in image::Algorithm::ALL {
        let option = format!("--compact-os={algorithm}");
        assert!(words.contains(&option.as_str()), "no {option}");
    }
}

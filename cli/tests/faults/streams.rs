//! Standard output that is full or closed.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use crate::inputs::{Inputs, PROGRAM, inputs, scratch};

/// What each of these writes to standard output.
const COMMANDS: &[&[&str]] = &[
    &["build", "tiny.wim", "-o", "-", "-f", "raw", "-l", "mbr1", "--size", "8MiB", "--no-boot-files"],
    &["build", "tiny.wim", "-o", "-", "-f", "vmdk", "-l", "mbr1", "--size", "8MiB", "--no-boot-files"],
    &["build", "tiny.wim", "-o", "-", "-f", "vhd", "-l", "mbr1", "--size", "8MiB", "--no-boot-files"],
    &["convert", "disk.vhdx", "-", "-f", "raw"],
    &["compact", "rubbish.raw", "-", "-f", "vmdk"],
    &["cat", "tiny.wim", "noise.bin"],
    &["info", "tiny.wim"],
    &["info", "disk.vhdx", "--json"],
    &["ls", "-R", "tiny.wim"],
    &["verify", "tiny.wim"],
    &["check", "disk.vhdx", "--no-boot"],
    &["map", "disk.vhdx"],
    &["reg", "export", "SYSTEM"],
    &["reg", "get", "SYSTEM", "ControlSet001"],
    &["bcd", "show", "BCD"],
];

fn prepared(inputs: &Inputs) -> tempfile::TempDir {
    let folder = scratch();
    for name in ["tiny.wim", "disk.vhdx", "rubbish.raw", "SYSTEM", "BCD"] {
        inputs.put(name, folder.path());
    }
    folder
}

#[test]
fn a_full_device_is_an_error() {
    let Some(inputs) = inputs() else { return };
    let folder = prepared(inputs);
    for args in COMMANDS {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let output =
            Command::new(PROGRAM).args(*args).current_dir(&folder).stdout(full).output().expect("a run");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains("error: ") && stderr.contains("No space left"), "{args:?}: {stderr}");
        assert!(stderr.contains("standard output"), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

/// Whoever closes the pipe has seen enough.
#[test]
fn a_closed_pipe_is_success() {
    let Some(inputs) = inputs() else { return };
    let folder = prepared(inputs);
    for args in COMMANDS {
        let mut child = Command::new(PROGRAM)
            .args(*args)
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a run");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("a run");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("error: "), "{args:?}: {stderr}");
    }
}

/// A descriptor that is not there at all.
#[test]
fn no_standard_output() {
    let Some(inputs) = inputs() else { return };
    let folder = prepared(inputs);
    for args in COMMANDS {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" >&- 2>err", "sh", PROGRAM]).args(*args).current_dir(&folder);
        let status = command.status().expect("a run");
        let stderr = std::fs::read_to_string(folder.path().join("err")).expect("a file");
        // Rust opens /dev/null in its place, so all is well; what matters is that no file of ours gets the number.
        assert_eq!(status.code(), Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

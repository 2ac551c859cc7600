//! Finding and running other people's programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where each tool comes from on Debian. A tool that is not listed is its own package.
const PACKAGES: &[(&str, &str)] = &[
    ("wimlib-imagex", "wimtools"),
    ("mkntfs", "ntfs-3g"),
    ("ntfs-3g", "ntfs-3g"),
    ("ntfscat", "ntfs-3g"),
    ("ntfscp", "ntfs-3g"),
    ("ntfsfix", "ntfs-3g"),
    ("ntfsinfo", "ntfs-3g"),
    ("ntfsls", "ntfs-3g"),
    ("fls", "sleuthkit"),
    ("istat", "sleuthkit"),
    ("icat", "sleuthkit"),
    ("fsstat", "sleuthkit"),
    ("7zz", "7zip"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("fusermount3", "fuse3"),
    ("umount", "mount"),
    ("mount", "mount"),
    ("losetup", "mount"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
    ("fsck.fat", "dosfstools"),
    ("mkfs.fat", "dosfstools"),
    ("mcopy", "mtools"),
    ("mdel", "mtools"),
    ("mmd", "mtools"),
    ("grub-mkimage", "grub-common"),
    ("hivexregedit", "libwin-hivex-perl"),
    ("hivexsh", "libhivex-bin"),
    ("setfattr", "attr"),
    ("getfattr", "attr"),
    ("hivexml", "libhivex-bin"),
    ("xz", "xz-utils"),
    ("kill", "procps"),
    ("mkudffs", "udftools"),
    ("certtool", "gnutls-bin"),
    ("bsdtar", "libarchive-tools"),
    ("xmllint", "libxml2-utils"),
    ("sha256sum", "coreutils"),
];

/// Directories that hold administrators' tools and are not in every user's `PATH`.
const MORE_PLACES: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// An installed program.
#[derive(Clone, Debug)]
pub struct Tool {
    path: PathBuf,
}

/// The program `name` from `PATH` or the usual system directories.
///
/// `None` when it is not there; a line on standard error then says so and names the package that has it.
///
/// # Panics
/// When it is missing although `REQUIRE_TOOLS=1`.
pub fn tool(name: &str) -> Option<Tool> {
    if let Some(path) = find(name) {
        return Some(Tool { path });
    }
    let package = PACKAGES.iter().find(|(tool, _)| *tool == name).map_or(name, |(_, package)| package);
    skip(&format!("needs {name} (apt install {package})"));
    None
}

/// Says on standard error that a test, or a part of it, does not run, and why: for what can be installed.
///
/// # Panics
/// With `REQUIRE_TOOLS=1`, where skipping is not accepted.
pub fn skip(reason: &str) {
    assert!(!tools_required(), "REQUIRE_TOOLS=1, but this test {reason}");
    skip_here(reason);
}

/// Says the same, and is always accepted: for what no installation gives to a machine that has it not, such as loop
/// devices inside a container, or samples that cannot be published.
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
pub fn skip_here(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// Whether `REQUIRE_TOOLS=1` forbids to skip.
pub fn tools_required() -> bool {
    std::env::var_os("REQUIRE_TOOLS").is_some_and(|value| value == "1")
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_PLACES.iter().map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

impl Tool {
    /// Where the program lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs the program with messages in English and names in UTF-8.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env("LC_ALL", "C.UTF-8").env("LANG", "C.UTF-8").stdin(std::process::Stdio::null());
        command
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not succeed; the message carries all that it printed.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.command();
        command.args(args);
        succeed(&mut command)
    }

    /// Like [`run`](Self::run), and returns what it printed on standard output.
    #[track_caller]
    pub fn text<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        String::from_utf8_lossy(&self.run(args).stdout).into_owned()
    }
}

/// Arguments of different types as one list for [`Tool::run`].
#[macro_export]
macro_rules! args {
    ($($arg:expr),* $(,)?) => {
        [$(::std::convert::AsRef::<::std::ffi::OsStr>::as_ref($arg)),*]
    };
}

/// Runs `command` to its end.
///
/// # Panics
/// When it cannot be started or does not succeed; the message carries all that it printed.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?} does not start: {error}"),
    };
    assert!(
        output.status.success(),
        "{command:?} failed ({})\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_system_has() {
        let sh = tool("sh").expect("a shell");
        assert_eq!(sh.text(["-c", "echo $LC_ALL"]), "C.UTF-8\n");
    }

    #[test]
    fn failure_shows_what_the_tool_said() {
        let sh = tool("sh").expect("a shell");
        let panic =
            std::panic::catch_unwind(|| sh.run(["-c", "echo words >&2; exit 3"])).expect_err("a panic");
        let text = panic.downcast_ref::<String>().expect("a message");
        assert!(text.contains("words") && text.contains("exit status: 3"), "{text}");
    }

    #[test]
    fn absence_is_none_or_refused() {
        let absent = std::panic::catch_unwind(|| tool("no-such-tool-anywhere").is_none());
        assert_eq!(absent.is_err(), tools_required());
        assert!(absent.unwrap_or(true));
    }
}

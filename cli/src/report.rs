//! Errors as people read them, and exit codes.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use image::ErrorKind;
use picture::printable;

/// Wrong arguments, or a recipe that contradicts itself.
pub(crate) const USAGE: u8 = 2;
/// Content that is not what it should be.
pub(crate) const VERIFICATION: u8 = 3;
const FAILED: u8 = 1;
const UNSUPPORTED: u8 = 4;
const INTERRUPTED: u8 = 130;

/// Prints an error with its causes, and says which exit code it deserves.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<image::Error>()) {
        // The errors of several lines: each of them is ours, what is in them is not.
        Some(image::Error::ImageChoice { .. } | image::Error::PartitionChoice { .. }) => {
            say_lines(&format!("error: {error:#}"));
        }
        // All files are named where they are opened; what has no name is what a command prints.
        _ if error.chain().next().is_some_and(|head| head.is::<io::Error>()) => {
            say(&format!("error: writing standard output: {error:#}"))
        }
        _ => say(&format!("error: {error:#}{}", near_file(error))),
    }
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<image::Error>()).map(image::Error::kind);
    match kind {
        Some(ErrorKind::Usage) => USAGE,
        Some(ErrorKind::Verification) => VERIFICATION,
        Some(ErrorKind::Unsupported) => UNSUPPORTED,
        Some(ErrorKind::Cancelled) => INTERRUPTED,
        Some(ErrorKind::Failed) | None => FAILED,
    }
    .into()
}

/// How a command that judges its input ends. What the host did not let be read is no judgement on what is stored.
pub(crate) fn verdict(sound: bool, read_error: Option<image::Error>) -> anyhow::Result<ExitCode> {
    match read_error {
        Some(error) => Err(error.into()),
        None if sound => Ok(ExitCode::SUCCESS),
        None => Ok(VERIFICATION.into()),
    }
}

/// The file that was probably meant by a name of which there is none: the most similar one in the same folder.
fn near_file(error: &anyhow::Error) -> String {
    let missing = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    if !missing.map(io::Error::kind).any(|kind| kind == io::ErrorKind::NotFound) {
        return String::new();
    }
    // The path is what the message begins with, whoever made it.
    let text = format!("{error}");
    let path = Path::new(text.strip_prefix("writing ").unwrap_or(&text));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.try_exists().unwrap_or(true) {
        return String::new();
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return format!("; there is no folder {}", folder.display());
    };
    let mut names: Vec<String> =
        entries.take(MOST_NAMES).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match image::nearest(&name, names.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean {}?", path.with_file_name(near).display()),
        None => String::new(),
    }
}

/// Names of a folder that are compared with one that is not there.
const MOST_NAMES: usize = 10_000;

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds.map(io::Error::kind).any(|kind| kind == io::ErrorKind::BrokenPipe)
}

/// Lines on standard error. Who made them has taken care that every line feed is one of ours.
pub(crate) fn say_lines(text: &str) {
    text.lines().for_each(say);
}

/// A line on standard error, [`printable`]. When nobody listens there is nobody to tell.
pub(crate) fn say(line: &str) {
    use io::Write;
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

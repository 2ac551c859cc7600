//! Errors as people read them, and exit codes.

use std::io;
use std::process::ExitCode;

use image::ErrorKind;

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
    say(&format!("error: {error:#}"));
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

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds.map(io::Error::kind).any(|kind| kind == io::ErrorKind::BrokenPipe)
}

/// A line on standard error. When nobody listens there is nobody to tell.
pub(crate) fn say(line: &str) {
    use io::Write;
    let _ = writeln!(io::stderr().lock(), "{line}");
}

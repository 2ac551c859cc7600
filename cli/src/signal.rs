//! Ctrl-C and termination: the first asks the work to stop and clean up, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

static CANCEL: AtomicBool = AtomicBool::new(false);

/// Installs the handler and returns the flag that it sets.
pub(crate) fn cancel_flag() -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if CANCEL.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("installing the interrupt handler")?;
    Ok(&CANCEL)
}

/// As [`cancel_flag`], for commands that are done in a moment: what they write is finished or not begun.
pub(crate) fn hold() -> anyhow::Result<()> {
    cancel_flag().map(|_| ())
}

/// Stops a command that was told to.
pub(crate) fn check() -> Result<(), image::Error> {
    if CANCEL.load(Ordering::Relaxed) { Err(image::Error::Cancelled) } else { Ok(()) }
}

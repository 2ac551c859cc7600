//! Where passwords come from: files, descriptors (`/dev/fd/3`), standard input, the terminal. Never from arguments.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use anyhow::Context;
use image::recipe::file::read_secret;

/// More is no password.
const MAX: u64 = 64 << 10;

/// Reads files, and for `-` standard input, once: on a terminal it asks, without showing what is typed.
pub(crate) fn reader() -> impl FnMut(&Path) -> image::Result<Vec<u8>> {
    let mut asked = None;
    move |path| {
        if path.as_os_str() != "-" {
            return read_secret(path);
        }
        if asked.is_none() {
            asked = Some(standard_input().map_err(|source| image::Error::Read {
                path: "standard input".into(),
                source: io::Error::other(format!("{source:#}")),
            })?);
        }
        Ok(asked.clone().unwrap_or_default())
    }
}

fn standard_input() -> anyhow::Result<Vec<u8>> {
    if io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").context("asking for the password")?;
        let again = rpassword::prompt_password("Once more: ").context("asking for the password")?;
        anyhow::ensure!(first == again, "the two passwords are not the same");
        return Ok(first.into_bytes());
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

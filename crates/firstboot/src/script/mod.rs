//! `Windows\Setup\Scripts\SetupComplete.cmd`: what Windows Setup runs as SYSTEM at its end, before the first logon.
//!
//! Everything that a running Windows is needed for happens there, in this order: the network, the domain, the HTTPS
//! listener, accounts, packages, features, the disk, what the image had in its own `SetupComplete.cmd`, then everything
//! secret is deleted, then the user's lines run, and last the machine restarts if something asked for it.
//!
//! * Nobody looks at the screen and Setup does not look at exit codes, so each step goes on whatever happened to those
//!   before it, and says so in a log beside the script.
//! * An existing script is kept as a file of its own and run by a shell of its own. A script that ends with `exit`, changes
//!   variables or jumps to labels cannot disturb ours, and keeps its bytes whatever code page they are in.
//! * Setup is still at work when it runs the script; Microsoft warns that a restart in the middle leaves a bad state. The
//!   one restart is therefore the last line, and a minute away.
//! * Nano Server has no diskpart, certutil, cscript and wmic, and PowerShell finds no modules by itself at that time, so
//!   they are loaded by path. certoc, dism, djoin, netsh, reg and shutdown it has.

mod quote;
mod steps;

use crate::wishes::Wishes;
use crate::{About, Error, Result};

pub(crate) use quote::quoted;

/// The script.
pub(crate) const PATH: &str = "Windows\\Setup\\Scripts\\SetupComplete.cmd";
/// Where the script goes that the image had, with a number behind it when there is one of the kind already.
const EXISTING: &str = "SetupComplete-image";
/// The certificate of the HTTPS listener with its key.
pub(crate) const PFX: &str = "Windows\\Setup\\Scripts\\wimforge-winrm.pfx";
/// The password of that file.
pub(crate) const PFX_PASSWORD: &str = "Windows\\Setup\\Scripts\\wimforge-winrm.txt";
/// The computer's account in its domain, for Nano Server.
pub(crate) const DOMAIN_BLOB: &str = "Windows\\Setup\\Scripts\\wimforge-domain.txt";

/// Bytes of the largest existing script that is taken over.
pub(crate) const MAX_EXISTING: usize = 4 << 20;

/// What the script does besides the wishes.
pub(crate) struct Extra<'a> {
    /// Lines of the firewall for images without rules.
    pub(crate) firewall: &'a [String],
    /// Files to delete at the end because they hold secrets.
    pub(crate) secrets: &'a [&'a str],
    /// Services to start that a feature brings.
    pub(crate) services: &'a [&'a str],
}

/// The script, and what it does in plain words.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) content: Vec<u8>,
    /// Where the script has to go that the image had.
    pub(crate) existing: Option<String>,
    pub(crate) report: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// The script that carries out `wishes`; `None` when there is nothing for it to do.
pub(crate) fn script(wishes: &Wishes, about: &About, extra: &Extra<'_>) -> Result<Option<Script>> {
    let existing = existing(wishes)?;
    for text in &wishes.setup_complete {
        quote::line("setup-complete", text)?;
    }
    let steps = steps::steps(wishes, about, extra)?;
    if steps.sections.is_empty() && wishes.setup_complete.is_empty() && extra.secrets.is_empty() {
        return Ok(None);
    }
    let mut out = Lines::default();
    out.push("@ECHO OFF");
    out.push("REM Written by wimforge. Windows Setup runs this once, as SYSTEM, before the first logon.");
    out.push("SETLOCAL ENABLEEXTENSIONS DISABLEDELAYEDEXPANSION");
    out.push("SET \"WF_DIR=%SystemRoot%\\Setup\\Scripts\"");
    out.push("SET \"WF_REBOOT=\"");
    out.push("CALL :wf_main >> \"%WF_DIR%\\SetupComplete.log\" 2>&1");
    if let Some(name) = &existing {
        out.push(&format!("cmd.exe /D /C CALL \"%WF_DIR%\\{name}\""));
    }
    if !extra.secrets.is_empty() {
        out.push("CALL :wf_cleanup >> \"%WF_DIR%\\SetupComplete.log\" 2>&1");
    }
    if !wishes.setup_complete.is_empty() {
        out.push("CALL :wf_user >> \"%WF_DIR%\\SetupComplete.log\" 2>&1");
    }
    // Setup is to be done with its own work by then.
    out.push("IF DEFINED WF_REBOOT shutdown.exe /r /t 60");
    out.push("EXIT /B 0");
    out.push("");
    out.push(":wf_main");
    for (title, lines) in &steps.sections {
        out.push(&format!("ECHO == {title}"));
        lines.iter().for_each(|line| out.push(line));
    }
    out.push("EXIT /B 0");
    for lines in steps.subroutines {
        out.push("");
        lines.iter().for_each(|line| out.push(line));
    }
    if !extra.secrets.is_empty() {
        out.push("");
        out.push(":wf_cleanup");
        out.push("ECHO == files with secrets");
        for path in extra.secrets {
            let path = format!("%SystemDrive%\\{path}");
            out.push(&format!("IF EXIST \"{path}\" DEL /F /Q \"{path}\""));
        }
        out.push("EXIT /B 0");
    }
    if !wishes.setup_complete.is_empty() {
        out.push("");
        out.push(":wf_user");
        wishes.setup_complete.iter().for_each(|line| out.push(line));
        out.push("EXIT /B 0");
    }
    let content = out.finish()?;
    let existing = existing.map(|name| format!("Windows\\Setup\\Scripts\\{name}"));
    Ok(Some(Script { content, existing, report: steps.report, notes: steps.notes }))
}

/// The name that the image's script gets, if it has one.
fn existing(wishes: &Wishes) -> Result<Option<String>> {
    let Some(bytes) = &wishes.existing_setup_complete else { return Ok(None) };
    let what = || PATH.to_owned();
    if bytes.len() > MAX_EXISTING {
        let (found, limit) = (bytes.len() as u64, MAX_EXISTING as u64);
        return Err(Error::Limit { what: format!("bytes of the image's {PATH}"), found, limit });
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        let reason = "a byte of zero: it is no batch file".to_owned();
        return Err(Error::Malformed { what: what(), offset: at as u64, reason });
    }
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    // An image that was built from an image that was built: the script runs another one, which has to stay where it is.
    let text = String::from_utf8_lossy(bytes);
    let used = text.split(EXISTING).skip(1).map(|behind| {
        let digits: String = behind.chars().take_while(char::is_ascii_digit).take(9).collect();
        digits.parse::<u32>().unwrap_or(1)
    });
    Ok(Some(match used.max() {
        None => format!("{EXISTING}.cmd"),
        Some(last) => format!("{EXISTING}{}.cmd", last + 1),
    }))
}

/// Lines of a batch file.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push_str("\r\n");
    }

    fn finish(self) -> Result<Vec<u8>> {
        for line in self.0.lines() {
            quote::line("SetupComplete.cmd", line)?;
        }
        Ok(self.0.into_bytes())
    }
}

#[cfg(test)]
mod tests;

//! A PC in an emulator: starts a disk by its BIOS and shows what the programs on it say.
//!
//! The serial port COM1 is the only output. What programs write to the screen through the BIOS can be had there, too:
//! SeaBIOS sends its console to COM1 when it is told that there is no display. A program ends the machine through the
//! `isa-debug-exit` device; one that stops without doing so is known by its last words, or by the end of our patience.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::payload::EXIT_PORT;
use crate::tool;

/// What the disk hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// PIIX IDE.
    Ide,
    /// AHCI (SATA).
    Ahci,
    /// virtio-blk on PCI.
    VirtioBlk,
    /// virtio-scsi on PCI.
    VirtioScsi,
    /// NVMe.
    Nvme,
    /// A USB stick on an XHCI controller.
    Usb,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ide, Self::Ahci, Self::VirtioBlk, Self::VirtioScsi, Self::Nvme, Self::Usb];

    fn devices(self) -> &'static [&'static str] {
        match self {
            Self::Ide => &["ide-hd,drive=disk"],
            Self::Ahci => &["ahci,id=ahci", "ide-hd,drive=disk,bus=ahci.0"],
            Self::VirtioBlk => &["virtio-blk-pci,drive=disk"],
            Self::VirtioScsi => &["virtio-scsi-pci", "scsi-hd,drive=disk"],
            Self::Nvme => &["nvme,drive=disk,serial=1"],
            Self::Usb => &["qemu-xhci", "usb-storage,drive=disk"],
        }
    }
}

/// A machine to be started.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// The disk's file. Writes to it are thrown away.
    pub disk: &'a Path,
    /// The file's format, as QEMU calls it.
    pub format: &'a str,
    /// What the disk hangs on.
    pub controller: Controller,
    /// Words after which nothing more is expected. They may be anywhere in the text.
    pub last_words: &'a [&'a str],
    /// Whether what is written to the screen through the BIOS is wanted. It comes with a delay, in between what programs
    /// write to COM1 themselves.
    pub screen: bool,
    /// When to give up.
    pub patience: Duration,
    /// More arguments of QEMU.
    pub more: &'a [&'a str],
}

/// How a machine ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// All that was said on COM1, without the terminal's control sequences.
    pub text: String,
    /// QEMU's exit status, when a program ended the machine. `None`: it was stopped, after the last words or in the end.
    pub status: Option<i32>,
    /// Where the machine was in memory when patience ended: the linear address of its next instruction.
    pub instruction: Option<u64>,
    /// Whether the last words came.
    pub said_last_words: bool,
    /// For how long it ran.
    pub time: Duration,
}

impl<'a> Machine<'a> {
    /// A machine with a raw disk on an IDE controller.
    pub fn new(disk: &'a Path) -> Self {
        let patience = Duration::from_secs(120);
        Self {
            disk,
            format: "raw",
            controller: Controller::Ide,
            last_words: &[],
            screen: false,
            patience,
            more: &[],
        }
    }

    /// Runs it to its end. `None`, visibly, without QEMU.
    ///
    /// # Panics
    /// When QEMU does not start.
    pub fn run(&self) -> Option<Ended> {
        let qemu = tool("qemu-system-x86_64")?;
        let file = self.disk.display().to_string().replace(',', ",,");
        let drive = format!("if=none,id=disk,format={},snapshot=on,file={file}", self.format);
        let exit = format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4");
        let machine = if self.screen { "pc,graphics=off" } else { "pc" };
        let mut args: Vec<OsString> =
            ["-machine", machine, "-accel", "tcg", "-m", "64", "-nodefaults", "-no-user-config"]
                .map(OsString::from)
                .into();
        args.extend(["-no-reboot", "-display", "none", "-monitor", "stdio", "-device"].map(OsString::from));
        args.extend([exit.into(), "-drive".into(), drive.into()]);
        for device in self.controller.devices() {
            args.extend(["-device".into(), OsString::from(device)]);
        }
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let serial = scratch.path().join("serial");
        args.extend([
            "-chardev".into(),
            "file,id=serial,path=".into(),
            "-serial".into(),
            "chardev:serial".into(),
        ]);
        let path = args.len() - 3;
        args[path].push(serial.as_os_str());
        args.extend(self.more.iter().map(OsString::from));
        let mut command = qemu.command();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut ended = self.watch(child, &serial);
        ended.time = start.elapsed();
        Some(ended)
    }

    fn watch(&self, mut child: Child, serial: &Path) -> Ended {
        let text = || plain(&std::fs::read(serial).unwrap_or_default());
        let start = Instant::now();
        let mut ended = Ended {
            text: String::new(),
            status: None,
            instruction: None,
            said_last_words: false,
            time: Duration::ZERO,
        };
        loop {
            if let Some(end) = child.try_wait().expect("a child of ours") {
                ended.status = end.code();
                break;
            }
            if !self.last_words.is_empty() {
                let text = text();
                if self.last_words.iter().any(|words| text.contains(words)) {
                    ended.said_last_words = true;
                    break;
                }
            }
            if start.elapsed() >= self.patience {
                ended.instruction = instruction(&mut child);
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let output = child.wait_with_output().expect("a child of ours");
        ended.text = text();
        ended.text.push_str(&String::from_utf8_lossy(&output.stderr));
        ended
    }
}

/// Asks the machine, through its monitor, for the address of its next instruction.
fn instruction(child: &mut Child) -> Option<u64> {
    child.stdin.as_mut()?.write_all(b"info registers\nquit\n").ok()?;
    let mut text = String::new();
    child.stdout.as_mut()?.read_to_string(&mut text).ok()?;
    let number = |digits: &str| u64::from_str_radix(digits.split_whitespace().next()?, 16).ok();
    let pointer = number(text.split_once("EIP=")?.1)?;
    // The selector, then the base.
    let base = number(text.split_once("CS =")?.1.trim_start().split_once(' ')?.1)?;
    Some(base + pointer)
}

/// Terminal output without control sequences and carriage returns.
fn plain(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut chars = bytes.iter().map(|&byte| char::from(byte)).peekable();
    while let Some(char) = chars.next() {
        match char {
            '\x1b' => {
                // ESC [ parameters letter; ESC c and the like.
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|char| !char.is_ascii_alphabetic()).is_some() {}
                }
                chars.next();
            }
            '\r' => {}
            '\n' | ' '..='~' => out.push(char),
            _ => out.push('\u{FFFD}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_no_text() {
        assert_eq!(plain(b"\x1bc\x1b[?7l\x1b[2J\x1b[0mBooting\x1b[1;31m!\r\n\xff"), "Booting!\n\u{FFFD}");
    }
}

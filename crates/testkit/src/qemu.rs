//! A PC in an emulator: starts a disk by its BIOS and shows what the programs on it say.
//!
//! The serial port COM1 is the only output. What programs write to the screen through the BIOS can be had there, too:
//! SeaBIOS sends its console to COM1 when it is told that there is no display. A program ends the machine through the
//! `isa-debug-exit` device; one that stops without doing so is known by its last words, or by the end of our patience.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
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
            Self::Ide => &["ide-hd,drive=disk,bootindex=0"],
            Self::Ahci => &["ahci,id=ahci", "ide-hd,drive=disk,bus=ahci.0,bootindex=0"],
            Self::VirtioBlk => &["virtio-blk-pci,drive=disk,bootindex=0"],
            Self::VirtioScsi => &["virtio-scsi-pci", "scsi-hd,drive=disk,bootindex=0"],
            Self::Nvme => &["nvme,drive=disk,serial=1,bootindex=0"],
            Self::Usb => &["qemu-xhci", "usb-storage,drive=disk,bootindex=0"],
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
        args.extend(["-no-reboot", "-display", "none", "-serial", "stdio", "-device"].map(OsString::from));
        args.extend([exit.into(), "-drive".into(), drive.into()]);
        for device in self.controller.devices() {
            args.extend(["-device".into(), OsString::from(device)]);
        }
        args.extend(self.more.iter().map(OsString::from));
        let mut command = qemu.command();
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut ended = self.watch(child);
        ended.time = start.elapsed();
        Some(ended)
    }

    fn watch(&self, mut child: Child) -> Ended {
        let output: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut readers = Vec::new();
        let mut collect = |mut from: Box<dyn std::io::Read + Send>| {
            let output = Arc::clone(&output);
            readers.push(std::thread::spawn(move || {
                let mut buf = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut buf) {
                    output.lock().expect("nothing panics with it").extend_from_slice(&buf[..read]);
                }
            }));
        };
        collect(Box::new(child.stdout.take().expect("piped")));
        collect(Box::new(child.stderr.take().expect("piped")));
        let text = || plain(&output.lock().expect("nothing panics with it"));

        let start = Instant::now();
        let mut status = None;
        let mut said_last_words = false;
        while start.elapsed() < self.patience {
            if let Some(end) = child.try_wait().expect("a child of ours") {
                status = end.code();
                break;
            }
            if !self.last_words.is_empty() {
                let text = text();
                if self.last_words.iter().any(|words| text.contains(words)) {
                    said_last_words = true;
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        for reader in readers {
            let _ = reader.join();
        }
        Ended { text: text(), status, said_last_words, time: Duration::ZERO }
    }
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

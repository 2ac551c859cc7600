//! The `ntfs3` driver of a Linux kernel, in an emulated machine, as a reader and writer of our volumes.
//!
//! The machine has a copy of the volume as its first disk, and a result disk.
//! Its only program mounts the volume, hashes every file, creates and deletes thousands of files in one directory,
//! mounts again, lists that directory, and writes all of it down together with what the driver complained about.
//! What it left of the volume is there to be checked.
//! Plain emulation is fast enough, and KVM is absent or broken in too many of the places where tests run (it hung
//! inside a nested machine), so it is not even tried.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tree::Tree;
use crate::wimfile::Hash;
use crate::{args, cache, skip, tool};

/// How many files the driver creates, and deletes again.
pub const CREATED: usize = 2_000;
/// Every how manieth of the files that were there it deletes.
pub const DELETED_STEP: usize = 7;

const PATIENCE: Duration = Duration::from_secs(600);
const RESULT_SIZE: u64 = 256 << 20;

/// What the driver saw and did.
#[derive(Debug, Default)]
pub struct Report {
    /// Every regular file by path (`/dir/name`) and the SHA-1 of its content.
    pub files: BTreeMap<String, Hash>,
    /// Everything else: directories, links, special files.
    pub others: Vec<String>,
    /// The names in the tried directory: at first; after files were created; after these, and every
    /// [`DELETED_STEP`]th of the first names, were deleted. The volume was mounted anew before each listing.
    pub listings: [Vec<String>; 3],
    /// What does not look right: failed commands, and the kernel's messages about the volume.
    pub complaints: Vec<String>,
    scratch: Option<TempDir>,
}

/// The copy of the volume, in the report's directory.
const WRITTEN: &str = "volume.img";

/// Lets `ntfs3` read `volume` (a bare NTFS volume) and write to a copy of it, in the directory `tried` (`dir/name`,
/// empty for the root). `None`, visibly, when the machine cannot be had.
///
/// # Panics
/// When it does not come to an end; the message has its console.
pub fn ntfs3(volume: &Path, tried: &str) -> Option<Report> {
    let (qemu, busybox) = (tool("qemu-system-x86_64")?, tool("busybox")?);
    let kernel = cache().join("ntfs3");
    if !kernel.join("vmlinuz").exists() {
        skip("needs a Linux kernel with ntfs3 (run crates/testkit/fetch-kernel.sh)");
        return None;
    }
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let result = scratch.path().join("result.img");
    File::create(&result).and_then(|file| file.set_len(RESULT_SIZE)).expect("a sparse file");

    let mut initrd = Initrd::default();
    for directory in ["bin", "dev", "proc", "sys", "mnt", "tmp"] {
        initrd.add(directory, 0o040_755, &[]);
    }
    let read =
        |path: &Path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    initrd.add("bin/busybox", 0o100_755, &read(busybox.path()));
    for module in ["virtio_blk.ko", "ntfs3.ko"] {
        initrd.add(module, 0o100_644, &read(&kernel.join(module)));
    }
    initrd.add("init", 0o100_755, script(tried).as_bytes());
    let initrd_path = scratch.path().join("initrd");
    std::fs::write(&initrd_path, initrd.finish()).expect("the temporary directory has room");
    let written = scratch.path().join(WRITTEN);
    copy_sparse(volume, &written).unwrap_or_else(|error| panic!("{}: {error}", volume.display()));

    let console_path = scratch.path().join("console");
    let drive = |path: &Path| {
        format!("file={},format=raw,if=virtio,cache=unsafe", path.display().to_string().replace(',', ",,"))
    };
    let console = File::create(&console_path).expect("a file in the temporary directory");
    let mut command = qemu.command();
    command
        .args(args![
            "-machine",
            "q35",
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "1024",
            "-nographic",
            "-nodefaults"
        ])
        .args(args!["-no-reboot", "-serial", "stdio"])
        .args(args!["-kernel", &kernel.join("vmlinuz"), "-initrd", &initrd_path])
        // An emulated timer is late on a busy machine, and the kernel would take it for broken.
        .args(args!["-append", "console=ttyS0 panic=-1 loglevel=4 mitigations=off no_timer_check"])
        .args(args!["-drive", &drive(&written), "-drive", &drive(&result)])
        .stdout(console.try_clone().expect("a second handle"))
        .stderr(console)
        .stdin(Stdio::null());
    let status = wait(&mut command);
    match output(&result) {
        Some(text) if status.is_some_and(|status| status.success()) => {
            Some(Report { scratch: Some(scratch), ..Report::parse(&text) })
        }
        _ => {
            let console = read(&console_path);
            let console = String::from_utf8_lossy(&console);
            panic!("the machine that runs ntfs3 did not come to its end, {status:?}:\n{}", tail(&console));
        }
    }
}

/// Copies what is not zero.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut block = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            return to.set_len(at);
        }
        if block[..read].iter().any(|&byte| byte != 0) {
            to.seek(SeekFrom::Start(at))?;
            to.write_all(&block[..read])?;
        }
        at += read as u64;
    }
}

/// Runs `command` until it ends by itself, or `None` when patience does.
fn wait(command: &mut Command) -> Option<ExitStatus> {
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(6_000);
    &text[(start..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0)..]
}

/// What the machine wrote on the result disk, if it came to its end.
fn output(result: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let mut file = File::open(result).expect("made before");
    let mut block = vec![0; 1 << 20];
    while let Ok(read @ 1..) = file.read(&mut block) {
        bytes.extend_from_slice(&block[..read]);
        if block[read - 1] == 0 {
            break;
        }
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.ends_with("== end\n").then_some(text)
}

/// What the machine runs. `busybox` has no `set -e` that reaches into pipelines, so failures are written down.
fn script(tried: &str) -> String {
    let quoted = tried.replace('\'', r"'\''");
    format!(
        r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin LC_ALL=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
insmod /virtio_blk.ko; insmod /ntfs3.ko
complain() {{ echo "$*" >> /tmp/complaints; }}
up() {{ mount -t ntfs3 -o iocharset=utf8,"$1" /dev/vda /mnt || complain "mount $1 failed"; }}
down() {{ cd /; umount /mnt || complain "umount failed"; }}
section() {{ echo "== $1" >> /tmp/out; }}
# Not ls, which shows what it cannot print as question marks.
names() {{ find . -mindepth 1 -maxdepth 1 | sed 's,^\./,,'; }}
touch /tmp/complaints

up ro
cd /mnt
section files
find . -xdev -type f -print0 | xargs -0 sha1sum >> /tmp/out 2>> /tmp/complaints
section others
find . -xdev ! -type f >> /tmp/out 2>> /tmp/complaints
down

up rw
cd /mnt/'{quoted}' || complain "no directory {quoted}"
section listing
names > /tmp/first; cat /tmp/first >> /tmp/out
i=0
while [ $i -lt {CREATED} ]; do
    echo "content $i" > "created by ntfs3 $i.tmp" || complain "create $i"
    i=$((i + 1))
done
down

up rw
cd /mnt/'{quoted}'
section listing
names >> /tmp/out
i=0
while [ $i -lt {CREATED} ]; do
    read -r line < "created by ntfs3 $i.tmp"
    [ "$line" = "content $i" ] || complain "read $i: $line"
    i=$((i + 1))
done
rm -f created\ by\ ntfs3\ *.tmp || complain "delete what was created"
awk 'NR % {DELETED_STEP} == 0' /tmp/first | tr '\n' '\0' | xargs -0 rm -rf -- || complain "delete what was there"
down

up ro
cd /mnt/'{quoted}'
section listing
names >> /tmp/out
down

section complaints
cat /tmp/complaints >> /tmp/out
dmesg | grep -E 'ntfs|NTFS|I/O error|BUG:|WARNING:|Oops' >> /tmp/out
section end
cat /tmp/out > /dev/vdb
sync
poweroff -f
"#
    )
}

/// What `ntfs3` says of itself when it is loaded.
fn harmless(line: &str) -> bool {
    let text = line.split_once("] ").map_or(line, |(_, text)| text);
    text.starts_with("ntfs3: Enabled") || text.starts_with("ntfs3: Max link count")
}

impl Report {
    fn parse(text: &str) -> Self {
        let mut report = Self::default();
        let mut section = "";
        let mut listings = 0;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("== ") {
                section = title;
                listings += usize::from(title == "listing");
                continue;
            }
            match section {
                "files" => match line.split_once("  .").map(|(hash, path)| (parse_hash(hash), path)) {
                    Some((Some(hash), path)) => {
                        report.files.insert(path.to_owned(), hash);
                    }
                    _ => report.complaints.push(line.to_owned()),
                },
                "others" => report.others.push(line.strip_prefix('.').unwrap_or(line).to_owned()),
                "listing" => report.listings[listings - 1].push(line.to_owned()),
                _ if harmless(line) => {}
                _ => report.complaints.push(line.to_owned()),
            }
        }
        report
    }

    /// The volume as the driver left it; gone when the report is.
    ///
    /// # Panics
    /// When the report is not of a machine.
    pub fn written(&self) -> PathBuf {
        self.scratch.as_ref().expect("a machine made it").path().join(WRITTEN)
    }

    /// What is not as `tree` says and what the driver failed to do, in words; empty when all is well.
    pub fn faults(&self, tree: &Tree) -> Vec<String> {
        let mut faults = self.complaints.clone();
        faults.extend(tree.seen_as(&self.files, &self.others));
        let [first, created, last] = &self.listings;
        let mut expected: Vec<String> = first.clone();
        expected.extend((0..CREATED).map(|index| format!("created by ntfs3 {index}.tmp")));
        compare_names("after creating", expected, created, &mut faults);
        let kept = first.iter().enumerate().filter(|(index, _)| (index + 1) % DELETED_STEP != 0);
        compare_names("after deleting", kept.map(|(_, name)| name.clone()).collect(), last, &mut faults);
        faults
    }
}

fn compare_names(when: &str, mut meant: Vec<String>, found: &[String], faults: &mut Vec<String>) {
    let mut found = found.to_vec();
    meant.sort();
    found.sort();
    if meant != found {
        let mut text = format!("{when}, {} names instead of {}", found.len(), meant.len());
        if let Some(at) = (0..meant.len().max(found.len())).find(|&at| meant.get(at) != found.get(at)) {
            let _ = write!(text, ": {:?} instead of {:?}", found.get(at), meant.get(at));
        }
        faults.push(text);
    }
}

fn parse_hash(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 40 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..40).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

/// A cpio archive in the "newc" form, which the kernel unpacks as its first file system.
#[derive(Default)]
struct Initrd {
    bytes: Vec<u8>,
    inode: u32,
}

impl Initrd {
    fn add(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.inode += 1;
        let fields: [u32; 13] = [
            self.inode,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(data.len()).expect("modules are small"),
            0,
            0,
            0,
            0,
            u32::try_from(name.len() + 1).expect("names are short"),
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

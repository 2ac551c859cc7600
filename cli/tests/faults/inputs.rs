//! What the commands work on: small, and made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;
use testkit::faults::Shim;
use testkit::wimfile::{Entry, WimFile};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wimforge");

/// The inputs, and the shim.
pub(crate) struct Inputs {
    folder: TempDir,
    pub(crate) shim: Shim,
}

/// A folder for a test: in memory where there is room, since every run waits for its `fsync`s otherwise.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let df = Command::new("df").args(["--output=avail", "-B1", "/dev/shm"]).output();
    let free = df.ok().and_then(|df| {
        let text = String::from_utf8_lossy(&df.stdout).into_owned();
        text.lines().nth(1)?.trim().parse::<u64>().ok()
    });
    match free {
        Some(free) if free > 2 << 30 => tempfile::tempdir_in(memory),
        _ => tempfile::tempdir(),
    }
    .expect("a temporary directory")
}

/// The inputs; `None`, visibly, where no faults can be injected.
pub(crate) fn inputs() -> Option<&'static Inputs> {
    static INPUTS: OnceLock<Option<Inputs>> = OnceLock::new();
    INPUTS.get_or_init(make).as_ref()
}

/// A command that has to succeed.
pub(crate) fn run(folder: &Path, args: &[&str]) {
    let output = Command::new(PROGRAM).args(args).current_dir(folder).output().expect("the program");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Inputs {
    /// Puts an input into a folder.
    pub(crate) fn put(&self, name: &str, folder: &Path) {
        fs::copy(self.folder.path().join(name), folder.join(name)).expect(name);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Bytes that do not compress, and repeat after 4 GiB only.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut x = seed | 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..len).map(next).collect()
}

fn make() -> Option<Inputs> {
    let shim = Shim::new()?;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let at = folder.path();

    // Files of every kind of place: in a record, in clusters, large, empty, with a stream, with two names.
    let mut wim = WimFile::new();
    let image = wim.image("Faults");
    let root = image.root();
    image.add(root, Entry::file("empty.txt", ""));
    image.add(root, Entry::file("small.txt", "in its record"));
    image.add(root, Entry::file("noise.bin", noise(40_000, 1)));
    let folder_id = image.add(root, Entry::directory("folder"));
    image.add(folder_id, Entry::file("text.txt", "many words ".repeat(2000).into_bytes()));
    let streamed = Entry::file("streams.txt", "main").stream("other", noise(3000, 2));
    let streamed = image.add(folder_id, streamed);
    image.link(streamed, root, "second name.txt");
    image.secure_with_default();
    wim.save(&at.join("tiny.wim"));

    testkit::windows_image::WindowsImage::nano().wim().save(&at.join("windows.wim"));
    fs::copy(testkit::testdata("hives").join("SYSTEM"), at.join("SYSTEM")).expect("the fixture");
    let reg = "Windows Registry Editor Version 5.00\r\n\r\n\
        [HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\Vendor]\r\n\"Start\"=dword:00000003\r\n\
        \"Path\"=\"C:\\\\Vendor\"\r\n";
    fs::write(at.join("vendor.reg"), reg).expect("a file");
    fs::write(at.join("copied.bin"), noise(9000, 3)).expect("a file");

    let small = ["-l", "mbr1", "--size", "8MiB", "--no-boot-files", "--quiet"];
    for out in ["disk.raw", "disk.vhdx", "old.raw"] {
        let seed: &[&str] = if out == "old.raw" { &["--seed", "old"] } else { &[] };
        run(at, &[&["build", "tiny.wim", "-o", out][..], &small[..], seed].concat());
    }
    // Two files of at most 2 GiB, and the descriptor.
    let split = ["-l", "mbr1", "--size", "2100MiB", "--no-boot-files", "--quiet", "-f", "vmdk-split"];
    run(at, &[&["build", "tiny.wim", "-o", "split.vmdk"][..], &split[..]].concat());
    run(at, &["bcd", "create", "--firmware", "bios", "BCD"]);

    // The key of a certificate, which is made of chance.
    let https =
        ["--computer-name", "FAULTS", "--winrm-https", "--winrm-key", "key.pem", "-l", "mbr1", "--quiet"];
    run(at, &[&["build", "windows.wim", "-o", "windows.vmdk"][..], &https[..]].concat());
    fs::remove_file(at.join("windows.vmdk")).expect("was just made");

    // What is unused of this one is not zero.
    let mut used = fs::read(at.join("disk.raw")).expect("was just made");
    let free = longest_zeros(&used[1 << 20..7 << 20]);
    let free = free.start + (1 << 20) + 4096..free.end + (1 << 20) - 4096;
    let len = free.len();
    assert!(len > 256 << 10, "{len}");
    used[free].copy_from_slice(&noise(len, 4));
    fs::write(at.join("rubbish.raw"), used).expect("a file");
    run(at, &["check", "rubbish.raw", "--no-boot"]);
    Some(Inputs { folder, shim })
}

/// The longest run of blocks of zeros.
fn longest_zeros(bytes: &[u8]) -> std::ops::Range<usize> {
    let (mut best, mut start) = (0..0, 0);
    for (at, block) in (0..).step_by(4096).zip(bytes.chunks(4096)) {
        if block.iter().any(|&byte| byte != 0) {
            start = at + 4096;
        } else if at + 4096 - start > best.len() {
            best = start..at + 4096;
        }
    }
    best
}

//! Files that stay compressed on the disk (`--compact-os`), read back by others and held against the WIM.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::content::{Random, text};
use testkit::fixture::Folders;
use testkit::tree::Tree;
use testkit::wimfile::{Entry, WimFile};
use testkit::{args, disk, fixture, libfsntfs, reader, testdata};

use crate::support::{compressed, scratch, wimforge};

const SYSTEM: &str = "Windows/System32";

/// A few files of every kind that matters here, and the driver that Windows needs to read them.
fn windows_like() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Windows-like");
    let security = fixture::security(image);
    let mut folders = Folders::new(image, Some(security.system));
    let mut put = |folder: &str, name: &str, data: Vec<u8>| {
        let folder = folders.get(folder);
        folders.image.add(folder, Entry::file(name, data).secured(security.system))
    };
    put(&format!("{SYSTEM}/drivers"), "wof.sys", text(1, 60_000));
    put(&format!("{SYSTEM}/drivers"), "disk.sys", text(2, 100_000));
    put(SYSTEM, "ntoskrnl.exe", text(3, 300_000));
    put(&format!("{SYSTEM}/config"), "SYSTEM", text(4, 200_000));
    for (number, len) in
        [1, 700, 3000, 4096, 4097, 32_767, 32_768, 32_769, 65_536, 1 << 20].into_iter().enumerate()
    {
        put("Program Files/sizes", &format!("text of {len} bytes.txt"), text(10 + number as u64, len));
    }
    put("Program Files/sizes", "nothing.txt", Vec::new());
    put("Program Files/sizes", "zeros.bin", vec![0; 500_000]);
    put("Program Files/sizes", "noise.bin", Random::new(5).bytes(200_000));
    put("Program Files", "large.txt", text(6, 5_000_000));
    let twice = put("Program Files", "the same twice.txt", text(7, 90_000));
    put("Users", "the same again.txt", text(7, 90_000));
    let late = put("Windows/WinSxS/amd64_late", "late.sys", text(8, 80_000));
    let drivers = folders.get(&format!("{SYSTEM}/drivers"));
    folders.image.link(late, drivers, "late.sys");
    let users = folders.get("Users");
    folders.image.link(twice, users, "a link.txt");
    let with = Entry::file("with a stream.txt", text(9, 50_000)).stream("more", text(20, 30_000));
    folders.image.add(users, with.secured(security.system));
    wim
}

/// Builds; returns what the build said of its files.
#[track_caller]
fn build(wim: &Path, out: &Path, flags: &[&str]) -> Value {
    // Small, because every byte of it is looked at several times.
    let mut all = args!["build", wim, "-o", out, "--force", "--json", "--quiet", "--layout", "mbr1"].to_vec();
    all.extend(args!["--size", "128MiB"]);
    all.extend(flags.iter().map(std::ffi::OsStr::new));
    let ended = wimforge(all).well();
    serde_json::from_slice::<Value>(&ended.stdout).expect("JSON")["build"].take()
}

/// What the disk holds is what the WIM holds: by our reader, by our checker, and by libfsntfs where that can.
#[track_caller]
fn proof(wim: &Path, disk: &Path, theirs: bool) {
    wimforge(args!["verify", disk, "--against", wim]).well();
    wimforge(args!["check", disk, "--strict", "--no-boot"]).well();
    let volume = disk.with_extension("volume");
    if disk::cut(disk, None, &volume).is_some() {
        reader::ntfsprogs(&volume);
        if theirs {
            let tree = Tree::of_wim(wim, 1).expect("wimlib is there, it made the WIM");
            libfsntfs::reads(&volume, &tree);
        }
    }
}

fn raw(scratch: &tempfile::TempDir) -> PathBuf {
    scratch.path().join("disk.raw")
}

#[test]
fn lzx_is_copied() {
    let scratch = scratch();
    let Some(wim) = compressed(&windows_like(), "LZX", scratch.path()) else { return };
    let built = build(&wim, &raw(&scratch), &["--compact-os"]);
    let compact = &built["compact"];
    assert_eq!(compact["algorithm"], "lzx");
    assert_eq!(compact["copied"], compact["stored"]);
    // wof.sys, disk.sys, ntoskrnl.exe, SYSTEM and late.sys, which has a second name among the drivers.
    assert_eq!(compact["early_files"], 5);
    assert!(compact["files"].as_u64() > Some(10), "{compact}");
    assert!(2 * compact["stored"].as_u64().expect("a number") < compact["bytes"].as_u64().expect("a number"));
    // libfsntfs refuses codes of LZX without codewords, which wimlib writes and Windows reads.
    proof(&wim, &raw(&scratch), false);
    let plain = scratch.path().join("plain.raw");
    let stored = build(&wim, &plain, &[])["stored"].as_u64();
    assert!(built["stored"].as_u64() < stored);
    // Without decoding the same bytes come out.
    let unverified = scratch.path().join("unverified.raw");
    build(&wim, &unverified, &["--compact-os=lzx", "--no-verify-source"]);
    assert!(std::fs::read(&unverified).expect("the disk") == std::fs::read(raw(&scratch)).expect("the disk"));
}

#[test]
fn xpress_is_made() {
    let scratch = scratch();
    let wims = [("LZX", "xpress4k"), ("XPRESS", "xpress8k"), ("none", "xpress16k"), ("LZMS", "xpress8k")];
    for (codec, algorithm) in wims {
        let Some(wim) = compressed(&windows_like(), codec, scratch.path()) else { return };
        let flag = format!("--compact-os={algorithm}");
        let built = build(&wim, &raw(&scratch), &[&flag, "-j", "1"]);
        let compact = &built["compact"];
        assert_eq!((&compact["algorithm"], &compact["copied"]), (&Value::from(algorithm), &Value::from(0)));
        proof(&wim, &raw(&scratch), true);
        let again = scratch.path().join("again.raw");
        build(&wim, &again, &[&flag, "-j", "3"]);
        assert!(std::fs::read(&again).expect("the disk") == std::fs::read(raw(&scratch)).expect("the disk"));
        std::fs::remove_file(&wim).expect("was just made");
    }
}

#[test]
fn every_cluster_size() {
    let scratch = scratch();
    let Some(wim) = compressed(&windows_like(), "LZX", scratch.path()) else { return };
    for size in ["512", "8KiB", "64KiB", "2MiB"] {
        build(&wim, &raw(&scratch), &["--compact-os=lzx", "--cluster-size", size]);
        wimforge(args!["verify", &raw(&scratch), "--against", &wim]).well();
        wimforge(args!["check", &raw(&scratch), "--strict", "--no-boot"]).well();
    }
}

#[test]
fn what_windows_could_not_read_is_refused() {
    let scratch = scratch();
    let out = raw(&scratch);
    let small = testdata("nano-small.wim");
    wimforge(args!["build", &small, "-o", &out, "--compact-os"])
        .badly(&[4])
        .says(&["wof.sys", "--assume-wof"]);
    if let Some(wim) = compressed(&windows_like(), "XPRESS", scratch.path()) {
        wimforge(args!["build", &wim, "-o", &out, "--compact-os=lzx"]).badly(&[4]).says(&["xpress"]);
    }
    wimforge(args!["build", &small, "-o", &out, "--assume-wof"]).badly(&[2]);
    wimforge(args!["build", &small, "-o", &out, "--compact-os=zip"]).badly(&[2]).says(&["xpress16k"]);
    assert!(!out.exists());
}

#[test]
fn a_damaged_source_is_found() {
    let scratch = scratch();
    let Some(wim) = compressed(&windows_like(), "LZX", scratch.path()) else { return };
    let sound = std::fs::read(&wim).expect("the WIM");
    // Somewhere in the stored form of the largest file.
    let at = sound.len() / 2;
    let mut damaged = sound;
    damaged[at] ^= 0x10;
    std::fs::write(&wim, damaged).expect("the WIM");
    let out = raw(&scratch);
    wimforge(args!["build", &wim, "-o", &out, "--compact-os"]).badly(&[3]);
    assert!(!out.exists());
    wimforge(args!["build", &wim, "-o", &out, "--compact-os=xpress8k"]).badly(&[3]);
    assert!(!out.exists());
}

#[test]
fn a_changed_disk_is_not_the_same() {
    let scratch = scratch();
    let wim = testdata("nano-small.wim");
    let out = raw(&scratch);
    build(&wim, &out, &["--no-boot-files"]);
    wimforge(args!["verify", &out, "--against", &wim]).well();
    let other = testdata("nano-small-two.wim");
    assert_eq!(wimforge(args!["verify", &out, "--against", &other, "-i", "2"]).code, Some(3));
    let mut bytes = std::fs::read(&out).expect("the disk");
    // A byte of a file: the first that repeats what the WIM holds raw or compressed is hard to know, so one of each
    // non-zero page of the data area, one at a time, until some page is a file's.
    let mut noticed = 0;
    for page in (2 << 20..bytes.len() - 4096)
        .step_by(4096)
        .filter(|&at| bytes[at] != 0)
        .collect::<Vec<_>>()
        .iter()
        .take(40)
    {
        bytes[*page] ^= 1;
        std::fs::write(&out, &bytes).expect("the disk");
        let compared = wimforge(args!["verify", &out, "--against", &wim]).code;
        let checked = wimforge(args!["check", &out, "--strict", "--no-boot"]).code;
        assert!(compared != Some(101) && checked != Some(101), "a panic");
        noticed += usize::from(compared != Some(0) || checked != Some(0));
        bytes[*page] ^= 1;
    }
    assert!(noticed >= 30, "{noticed} of 40 changes were noticed");
}

//! Outputs, exit codes, determinism: what the program promises whatever it is given.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{args, fixture, testdata, tool};

use crate::support::{PROGRAM, build, compressed, names, scratch, shell, wimforge};

const FORMATS: [&str; 5] = ["raw", "vhd", "vhd-fixed", "vmdk", "vmdk-sparse"];

#[test]
fn the_same_bytes_with_any_number_of_threads() {
    let scratch = scratch();
    let Some(rich) = compressed(&fixture::two_images(), "XPRESS", scratch.path()) else { return };
    let small = testdata("nano-small.wim");
    for (wim, image) in [(&rich, "2"), (&small, "1")] {
        for format in FORMATS {
            // A VMDK says its own name, so the name stays and the directory changes.
            let make = |directory: &str, options: &[&str]| {
                let directory = scratch.path().join(directory);
                std::fs::create_dir_all(&directory).expect("a directory");
                let out = directory.join("disk");
                let common =
                    ["--format", format, "--image", image, "--layout", "mbr1", "--size", "64MiB", "--force"];
                build(wim, &out, &[&common[..], options].concat()).well();
                std::fs::read(out).expect("the disk")
            };
            let first = make("first", &["-j", "1"]);
            for options in [&["-j", "2"][..], &["-j", "7"], &["-j", "1", "--memory", "16MiB"], &[]] {
                assert!(make("other", options) == first, "{format} with {options:?} differs");
            }
            let seeded = make("first", &["--seed", "one"]);
            assert!(seeded != first, "{format}: the seed changes nothing");
            assert!(make("other", &["--seed", "one"]) == seeded, "{format}: the seed does not decide");
        }
    }
}

#[test]
fn standard_output_gets_the_same_bytes() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    for format in ["raw", "vhd-fixed", "vmdk"] {
        let out = scratch.path().join("disk.vmdk"); // what a VMDK without a name calls itself
        let size = ["--layout", "mbr1", "--size", "32MiB", "--force", "--format", format];
        build(&wim, &out, &size).well();
        let ended = wimforge(
            args!["build", &wim, "-o", "-"].into_iter().chain(size.iter().map(std::ffi::OsStr::new)),
        );
        let ended = ended.well();
        assert!(ended.stdout == std::fs::read(&out).expect("the disk"), "{format}");
    }
    // What needs to go back cannot be a stream, and nothing may be guessed from `-`.
    wimforge(args!["build", &wim, "-o", "-"]).badly(&[2]).says(&["--format"]);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let wim = testdata("nano-small.wim");
    for command in
        ["build \"$2\" -o - --format raw", "ls -R \"$2\"", "cat \"$2\" Windows/System32/kernel.exe"]
    {
        let line = format!("(\"$1\" {command}; echo $? >&2) | head -c 10 > /dev/null");
        let ended = shell(&line, args![&wim]);
        assert_eq!(ended.stderr.lines().last(), Some("0"), "{command}: {}", ended.stderr);
    }
}

#[test]
fn an_output_that_exists_is_kept() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    for format in FORMATS {
        let out = scratch.path().join("precious");
        std::fs::write(&out, "precious").expect("written");
        build(&wim, &out, &["--format", format]).badly(&[1, 2]).says(&["precious", "--force"]);
        assert_eq!(std::fs::read(&out).expect("still there"), b"precious");
        // A build that fails keeps it even with --force.
        build(&wim, &out, &["--format", format, "--force", "--size", "1MiB"]).badly(&[1, 2]);
        assert_eq!(std::fs::read(&out).expect("still there"), b"precious");
        build(&wim, &out, &["--format", format, "--force"]).well();
        assert_ne!(std::fs::read(&out).expect("the disk").len(), 8);
        assert_eq!(names(scratch.path()), ["precious"]);
        std::fs::remove_file(&out).expect("the disk");
    }
}

/// Not even with --force: nobody who types that wants the WIM gone.
#[test]
fn the_source_is_never_the_output() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    let source = scratch.path().join("source.wim");
    std::fs::copy(&wim, &source).expect("copied");
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(&source, &link).expect("a link");
    for (from, to) in [(&source, &source), (&link, &source), (&source, &link)] {
        build(from, to, &["--format", "raw", "--force"]).badly(&[1, 2]).says(&["source"]);
        assert_eq!(std::fs::read(&source).expect("still there"), std::fs::read(&wim).expect("the fixture"));
    }
}

/// A device is overwritten in place, zeros included, and only when that is asked for.
#[test]
fn a_block_device_is_overwritten_in_place() {
    let Some(losetup) = tool("losetup") else { return };
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    let (raw, backing) = (scratch.path().join("disk.raw"), scratch.path().join("device"));
    build(&wim, &raw, &["--size", "900MiB"]).well();
    // What lies there beforehand must not show through.
    std::fs::write(&backing, vec![0x5A; 901 << 20]).expect("a backing file");
    let attached = losetup.command().args(["--find", "--show"]).arg(&backing).output().expect("losetup runs");
    if !attached.status.success() {
        return testkit::skip_here(&format!(
            "no loop devices here: {}",
            String::from_utf8_lossy(&attached.stderr)
        ));
    }
    let device = PathBuf::from(String::from_utf8_lossy(&attached.stdout).trim());
    let refused = build(&wim, &device, &["--size", "900MiB"]);
    let too_large = build(&wim, &device, &["--size", "902MiB", "--force"]);
    let written = build(&wim, &device, &["--size", "900MiB", "--force"]);
    losetup.run(args!["--detach", &device]);
    refused.badly(&[2]).says(&["block device", "--force"]);
    too_large.badly(&[2]).says(&["holds"]);
    written.well();
    let (found, meant) = (std::fs::read(&backing).expect("read"), std::fs::read(&raw).expect("read"));
    assert!(found.starts_with(&meant), "the device does not hold the disk");
    assert!(found[meant.len()..].iter().all(|&byte| byte == 0x5A), "written past the disk");
}

#[test]
fn a_dry_run_writes_nothing() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    for format in FORMATS {
        let out = scratch.path().join("disk");
        let ended = build(&wim, &out, &["--format", format, "--dry-run", "--json"]).well();
        let report: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        assert_eq!(report["build"]["disk_size"], 4_u64 << 30, "{report}");
        assert_eq!(names(scratch.path()), [""; 0]);
    }
}

#[test]
fn exit_codes_of_wrong_usage() {
    let wim = testdata("nano-small.wim");
    let scratch = scratch();
    let out = scratch.path().join("disk.raw");
    let refuse = |options: &[&str]| {
        let ended = build(&wim, &out, options);
        assert_eq!(ended.code, Some(2), "{options:?}: {}", ended.stderr);
    };
    refuse(&["--no-such-option"]);
    refuse(&["--format", "floppy"]);
    refuse(&["--layout", "gpt5"]);
    refuse(&["--size", "many"]);
    refuse(&["--size", "5000000"]); // not whole mebibytes
    refuse(&["--cluster-size", "3000"]);
    refuse(&["-j", "0"]);
    assert_eq!(wimforge::<&str>([]).code, Some(2));
    wimforge(["--version"]).well();
    for words in [&["--help"][..], &["build", "--help"]] {
        let ended = wimforge(words).well();
        assert!(String::from_utf8_lossy(&ended.stdout).contains("Usage: wimforge"), "{words:?}");
    }
    let two = testdata("nano-small-two.wim");
    build(&two, &out, &[]).badly(&[2]).says(&["First edition", "Second edition", "--image"]);
    build(&two, &out, &["--image", "3"]).badly(&[1, 2]).says(&["First edition", "Second edition"]);
    assert_eq!(names(scratch.path()), [""; 0]);
}

#[test]
fn unsupported_input_is_code_four() {
    let scratch = scratch();
    let old = scratch.path().join("vista-beta.wim");
    let mut bytes = std::fs::read(testdata("nano-small.wim")).unwrap();
    bytes[0x0C..0x10].copy_from_slice(&0x1_0A00_u32.to_le_bytes());
    std::fs::write(&old, bytes).unwrap();
    build(&old, &scratch.path().join("disk.raw"), &[])
        .badly(&[4])
        .says(&["vista-beta.wim", "version 0x10a00"]);
    assert_eq!(names(scratch.path()), ["vista-beta.wim"]);
}

/// Interrupted in the middle, the program ends with 130 and takes its partial output with it.
#[test]
fn interruption_leaves_nothing() {
    let scratch = scratch();
    let Some(kill) = tool("kill") else { return };
    let wim = scratch.path().join("many.wim");
    fixture::many(60_000).save(&wim);
    for (signal, code, format) in [("-INT", 130, "vmdk"), ("-INT", 130, "raw"), ("-TERM", 130, "vhd")] {
        let mut interrupted = false;
        for _ in 0..20 {
            let directory = scratch.path().join("out");
            std::fs::create_dir_all(&directory).expect("a directory");
            let out = directory.join("disk");
            let mut child = Command::new(PROGRAM)
                .args(args!["build", &wim, "-o", &out, "--format", format, "--quiet", "-j", "1"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program runs");
            let start = Instant::now();
            while !has_partial(&directory) && start.elapsed() < Duration::from_secs(60) {
                if child.try_wait().expect("a child of ours").is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            kill.command().args([signal, &child.id().to_string()]).output().expect("kill");
            let status = child.wait().expect("a child of ours");
            if status.code() == Some(code) {
                assert_eq!(names(&directory), [""; 0], "{signal} {format}");
                interrupted = true;
                break;
            }
            // It was faster than the signal.
            assert_eq!(status.code(), Some(0), "{signal} {format}: {status:?}");
            std::fs::remove_dir_all(&directory).expect("removed");
        }
        assert!(interrupted, "{signal} {format} never came in time");
    }
}

/// So do all commands that take long. When a signal comes in time is found by trying.
#[test]
fn whatever_takes_long_can_be_interrupted() {
    let scratch = scratch();
    let Some(kill) = tool("kill") else { return };
    fixture::many(60_000).save(&scratch.path().join("many.wim"));
    build(&scratch.path().join("many.wim"), &scratch.path().join("disk.vhd"), &[]).well();
    let out = scratch.path().join("out");
    for line in [
        "extract many.wim -C out/files",
        "verify many.wim",
        "convert disk.vhd out/disk.vmdk --level best",
        "compact disk.vhd out/disk.vmdk --level best",
        "explain many.wim --sample --html out/page.html",
    ] {
        let (mut early, mut late, mut delay) = (Duration::ZERO, None, Duration::from_millis(10));
        let mut interrupted = false;
        for _ in 0..40 {
            std::fs::create_dir_all(&out).expect("a directory");
            let child = Command::new(PROGRAM)
                .args(line.split(' '))
                .current_dir(scratch.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program runs");
            std::thread::sleep(delay);
            kill.command().args(["-INT", &child.id().to_string()]).output().expect("kill");
            let output = child.wait_with_output().expect("a child of ours");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let left = names(&out);
            std::fs::remove_dir_all(&out).expect("removed");
            match output.status.code() {
                Some(130) => {
                    assert!(said.contains("cancelled") && output.stdout.is_empty(), "{line}: {said}");
                    // Files that were extracted are whole; anything else is gone.
                    assert!(line.starts_with("extract") || left.is_empty(), "{line}: {left:?}");
                    interrupted = true;
                    break;
                }
                // Before the program asked for the signal it ends like any other.
                None => early = delay,
                Some(0) => late = Some(delay),
                other => panic!("{line}: {other:?}: {said}"),
            }
            delay = match late {
                None => delay * 2,
                Some(late) if late > early + Duration::from_micros(200) => (early + late) / 2,
                // The machine is not as fast as it was.
                Some(_) => {
                    (early, late) = (Duration::ZERO, None);
                    delay / 2
                }
            };
        }
        assert!(interrupted, "{line} was never interrupted in time");
    }
}

fn has_partial(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// The levels of a VMDK: the same disk, smaller and smaller, at any number of threads, whatever the WIM is compressed with.
#[test]
fn levels_differ_in_size_alone() {
    use testkit::disk::{Format, same};

    let scratch = scratch();
    let rich = fixture::two_images();
    for codec in ["LZX", "XPRESS"] {
        let Some(wim) = compressed(&rich, codec, scratch.path()) else { return };
        let common = ["--image", "2", "--layout", "mbr1", "--size", "64MiB", "--force"];
        let raw = scratch.path().join("disk.raw");
        build(&wim, &raw, &common).well();
        let mut sizes = Vec::new();
        for level in ["fast", "default", "best"] {
            let out = scratch.path().join("disk.vmdk");
            let make = |threads: &str| {
                build(&wim, &out, &[&common[..], &["--level", level, "-j", threads]].concat()).well();
                std::fs::read(&out).expect("the disk")
            };
            let one = make("1");
            assert!(one == make("3"), "{codec} {level}: other bytes with more threads");
            same(&raw, Format::Raw, &out, Format::Vmdk);
            sizes.push(one.len());
        }
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{codec}: {sizes:?}");
        assert!(sizes[2] < sizes[0], "{codec}: {sizes:?}");
    }
}

#[test]
fn a_profile_has_a_column_for_each_thread() {
    let scratch = scratch();
    let (wim, out) = (testdata("nano-small.wim"), scratch.path().join("disk.vmdk"));
    let ended = build(&wim, &out, &["--profile", "-j", "2"]).well();
    ended.says(&["seconds", "main", "read, decode", "encode", "wait to write", "in all"]);
    let ended = build(&wim, &out, &["--profile", "--json", "--force", "-j", "2"]).well();
    assert!(!ended.stderr.contains("in all"), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let threads = report["profile"].as_array().expect("threads");
    let names: Vec<&str> = threads.iter().filter_map(|thread| thread["thread"].as_str()).collect();
    assert_eq!(names, ["main", "worker", "worker"]);
    assert!(threads[1]["seconds"].as_array().is_some_and(|stages| !stages.is_empty()), "{report}");
    let ended = build(&wim, &out, &["--json", "--force"]).well();
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert!(report["profile"].is_null(), "only when asked");
}

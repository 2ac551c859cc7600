//! The shim held against the kernel's own account: nothing that a command does to files passes by it, but for what is
//! called without the C library, and that fails in its own way here (`strace -e inject`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use testkit::faults::Class;
use testkit::{Tool, tool};

use crate::campaign::Stage;
use crate::folder;
use crate::inputs::{PROGRAM, inputs};
use crate::scene::{self, Leaves, Scene};

/// `rustix` calls the kernel itself: for holes (`SEEK_DATA`, `PUNCH_HOLE`) and for the lock of a file in the making.
const RAW: [&str; 3] = ["lseek", "fallocate", "flock"];

fn class_of(call: &str) -> Option<Class> {
    Some(match call {
        "read" | "pread64" | "readv" | "preadv" | "preadv2" => Class::Read,
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => Class::Write,
        "open" | "openat" | "creat" => Class::Open,
        "fsync" | "fdatasync" | "sync_file_range" => Class::Sync,
        "rename" | "renameat" | "renameat2" => Class::Rename,
        "ftruncate" | "truncate" => Class::Truncate,
        "stat" | "lstat" | "fstat" | "newfstatat" | "statx" | "readlink" | "readlinkat" => Class::Stat,
        "unlink" | "unlinkat" | "rmdir" => Class::Unlink,
        "mkdir" | "mkdirat" | "link" | "linkat" | "symlink" | "symlinkat" => Class::Make,
        "fcntl" => Class::Dup,
        "chmod" | "fchmod" | "fchmodat" | "fchown" | "utimensat" => Class::Attributes,
        "getdents64" => Class::List,
        _ => return None,
    })
}

/// Calls that cannot fail a command: what is closed was flushed before.
const HARMLESS: [&str; 5] = ["close", "execve", "mmap", "getcwd", "access"];

/// Runs a scene under strace; `None`, visibly, where processes may not be traced.
fn traced(strace: &Tool, stage: &Stage<'_>, options: &[&str]) -> Option<(Output, String)> {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut command = Command::new(strace.path());
    command.args(["-f", "-qq", "-y", "-s", "4096", "-o"]).arg(log.path()).args(options).arg(PROGRAM);
    let output = command.args(stage.scene.args).current_dir(stage.folder()).output().expect("strace");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("Operation not permitted") && stderr.contains("strace") {
        testkit::skip_here("traces a process, which is not permitted here");
        return None;
    }
    Some((output, std::fs::read_to_string(log.path()).expect("the log")))
}

/// The calls on files of a folder, by name.
fn calls(log: &str, folder: &Path) -> BTreeMap<String, u64> {
    let folder = folder.to_str().expect("a path");
    let mut calls = BTreeMap::new();
    for line in log.lines() {
        let line = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
        let Some((name, arguments)) = line.split_once('(') else { continue };
        if name.starts_with(['<', '+', '-']) {
            continue;
        }
        let cwd = format!("AT_FDCWD<{folder}>, ");
        let at_cwd = arguments.strip_prefix(&cwd);
        let path = at_cwd.unwrap_or(arguments);
        let ours = match path.strip_prefix('"') {
            // A path: below the folder, or relative to it.
            Some(path) => path.starts_with(folder) || !path.starts_with('/') && !path.starts_with('"'),
            // A descriptor.
            None => path.split_once('<').is_some_and(|(_, path)| path.starts_with(folder)),
        };
        let duplicate = name != "fcntl" || arguments.contains("F_DUPFD");
        if ours && duplicate {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

#[test]
fn nothing_passes_by_the_shim() {
    let (Some(inputs), Some(strace)) = (inputs(), tool("strace")) else { return };
    let scenes = [
        scene::build_raw(),
        scene::build_vmdk_split_over(),
        scene::build_customised(),
        scene::build_compact_os(),
        scene::convert(),
        scene::compact_in_place(),
        scene::reg_set(),
        scene::bcd_create(),
        scene::extract(),
    ];
    for scene in &scenes {
        let stage = Stage::new(scene, inputs);
        let shimmed = stage.run(None, scene.args);
        assert_eq!(shimmed.code, Some(0), "{}", shimmed.stderr);
        stage.restore(&shimmed.after);
        let folder = stage.folder().canonicalize().expect("a folder");
        let Some((output, log)) = traced(&strace, &stage, &["-e", "trace=%file,%desc"]) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let calls = calls(&log, &folder);
        let mut counts: BTreeMap<Class, u64> = BTreeMap::new();
        for (name, count) in &calls {
            match class_of(name) {
                Some(class) => *counts.entry(class).or_default() += count,
                None => {
                    let known = RAW.contains(&name.as_str()) || HARMLESS.contains(&name.as_str());
                    assert!(
                        known,
                        "{}: {count} calls of {name}, of which the shim knows nothing",
                        scene.name
                    );
                }
            }
        }
        // A folder is listed by calls for many entries at once.
        counts.remove(&Class::List);
        for (class, count) in counts {
            let seen = shimmed.seen.count(class);
            // A call of the library may be others of the kernel: a path that is resolved, a folder that is opened to be listed.
            let several = matches!(class, Class::Stat | Class::Open);
            assert!(
                seen == count || several && seen.abs_diff(count) <= 4,
                "{}: {count} of {}, of which the shim saw {seen}: {calls:?}",
                scene.name,
                class.name()
            );
        }
    }
}

/// What an order of calls promises after a loss of power, which nothing here can play: a file is on the disk before it gets
/// its name, the name is before the program ends, and what it replaced goes after that.
#[test]
fn what_gets_a_name_is_on_the_disk() {
    let (Some(inputs), Some(strace)) = (inputs(), tool("strace")) else { return };
    for scene in [
        scene::build_raw_over(),
        scene::build_vmdk_split_over(),
        scene::build_customised(),
        scene::convert_catalog(),
        scene::compact_copy(),
        scene::reg_set(),
        scene::reg_export(),
        scene::bcd_create(),
    ] {
        let stage = Stage::new(&scene, inputs);
        let folder = stage.folder().canonicalize().expect("a folder");
        let Some((output, log)) = traced(&strace, &stage, &["-e", "trace=%file,%desc"]) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (mut flushed, mut unsure, mut renames) = (BTreeSet::new(), Vec::new(), 0);
        for line in log.lines() {
            let call = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
            let Some((name, arguments)) = call.split_once('(') else { continue };
            // The file of the descriptor that comes first, and the paths in quotes; all from the folder on.
            let of_folder = |path: &str| folder.join(path).strip_prefix(&folder).ok().map(Path::to_path_buf);
            let descriptor = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
            let descriptor = descriptor.and_then(|(path, _)| of_folder(path));
            let mut paths = arguments.split('"').skip(1).step_by(2).filter_map(of_folder);
            match (name, descriptor) {
                ("fsync" | "fdatasync", Some(path)) if path.as_os_str().is_empty() => unsure.clear(),
                ("fsync" | "fdatasync", Some(path)) => {
                    flushed.insert(path);
                }
                ("write" | "pwrite64" | "writev" | "ftruncate" | "copy_file_range", Some(path)) => {
                    flushed.remove(&path);
                }
                ("rename", _) => {
                    let (Some(from), Some(to)) = (paths.next(), paths.next()) else { continue };
                    if from.extension().is_some_and(|extension| extension == "partial") {
                        assert!(flushed.contains(&from), "{}: {call} before it is flushed", scene.name);
                        unsure.push(to);
                        renames += 1;
                    }
                }
                ("unlink" | "unlinkat" | "rmdir", _) => {
                    let replaced = paths.any(|path| path.starts_with("out.vmdk.replaced"));
                    assert!(!replaced || unsure.is_empty(), "{}: {call} while {unsure:?} may go", scene.name);
                }
                _ => {}
            }
        }
        assert!(renames > 0, "{}: nothing gets its name", scene.name);
        assert!(unsure.is_empty(), "{}: {unsure:?} may not outlast a loss of power", scene.name);
    }
}

/// Fails each of the calls that the shim does not see.
fn raw_calls_fail(scene: &Scene, call: &str, errors: &[(&str, i32)]) {
    let (Some(inputs), Some(strace)) = (inputs(), tool("strace")) else { return };
    let stage = Stage::new(scene, inputs);
    let trace = format!("trace={call}");
    let Some((output, log)) = traced(&strace, &stage, &["-e", &trace]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reference = folder::read(stage.folder());
    stage.restore(&reference);
    let folder = stage.folder().canonicalize().expect("a folder");
    let count = calls(&log, &folder).get(call).copied().unwrap_or_default();
    assert!(count > 0, "{} calls no {call}", scene.name);
    for n in 1..=count {
        for (error, number) in errors {
            let inject = format!("inject={call}:error={error}:when={n}");
            let Some((output, _)) = traced(&strace, &stage, &["-e", &trace, "-e", &inject]) else { return };
            let after = folder::read(stage.folder());
            let stderr = String::from_utf8_lossy(&output.stderr);
            let what = format!("{}, {inject}: {stderr}", scene.name);
            assert!(!stderr.contains("panicked"), "{what}");
            match output.status.code() {
                Some(0) => assert_eq!(folder::differences(&reference, &after), [""; 0], "{what}"),
                Some(1) => {
                    assert!(stderr.contains(&format!("os error {number}")), "{what}");
                    if scene.leaves == Leaves::Nothing {
                        assert_eq!(folder::differences(&stage.before, &after), [""; 0], "{what}");
                    }
                }
                code => panic!("{code:?}: {what}"),
            }
            stage.restore(&after);
        }
    }
}

/// Where holes cannot be asked for, all is data; where none can be made, zeros are written.
#[test]
fn holes_that_fail() {
    raw_calls_fail(&scene::convert_size(), "lseek", &[("EIO", 5), ("EINVAL", 22)]);
    raw_calls_fail(&scene::compact_in_place(), "fallocate", &[("EIO", 5), ("EOPNOTSUPP", 95), ("EINTR", 4)]);
}

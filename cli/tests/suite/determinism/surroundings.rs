//! The script once more, where everything is different that must not matter: threads, memory, time of day, time zone,
//! locale, user, the mask of new files' permissions, the folder, and the inputs' own times and order.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use testkit::{args, tool};

use super::script::{Script, Surroundings};
use crate::support::{names, scratch, shell, wimforge};

/// As [`put_inputs`](super::put_inputs), but made in the other order, with other times, and with other permissions.
fn put_inputs_otherwise(folder: &Path) {
    let mut other = folder.to_owned();
    other.set_extension("first");
    super::put_inputs(&other);
    super::copy(&other, folder, &|paths| {
        paths.sort();
        paths.reverse();
    });
    fs::remove_dir_all(other).expect("removed");
    age(folder, 0);
}

/// Gives files times of long ago, each its own, and takes away what nobody needs to read them.
fn age(folder: &Path, mut seconds: u64) {
    for name in names(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            age(&path, seconds + 1_000_000);
        }
        seconds += 86_401;
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        let times = FileTimes::new().set_accessed(time).set_modified(time);
        File::open(&path).expect("it opens").set_times(times).expect("times are set");
        let mode = if path.is_dir() { 0o700 } else { 0o400 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("permissions");
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn environment(pairs: &[(&str, &[u8])]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), OsStr::from_bytes(value).to_owned())).collect()
}

/// Memory as a file system, where it is one: other order of directory entries, other sizes of blocks.
fn another_file_system() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

#[track_caller]
fn same(surroundings: &Surroundings) {
    let committed = Script::read(&super::here().join("digests.txt"));
    let differences = committed.differences(&committed.run(surroundings));
    assert!(differences.is_empty(), "other bytes:\n{}", differences.join("\n"));
}

#[test]
fn one_thread_in_kathmandu() {
    same(&Surroundings {
        environment: environment(&[
            ("TZ", b"Asia/Kathmandu"),
            ("LANG", b"tr_TR.UTF-8"),
            ("LC_ALL", b"tr_TR.UTF-8"),
            ("USER", b"somebody"),
            ("HOSTNAME", b"elsewhere"),
            ("COLUMNS", b"20"),
            ("RUST_BACKTRACE", b"1"),
        ]),
        resources: vec!["-j", "1", "--memory", "16MiB"],
        ..Surroundings::default()
    });
}

#[test]
fn more_threads_than_processors_and_an_odd_environment() {
    let place = another_file_system().join(format!("wimforge Köln {}", std::process::id()));
    fs::create_dir(&place).expect("a folder");
    let surroundings = Surroundings {
        place: place.clone(),
        put_inputs: put_inputs_otherwise,
        wrapper: words(&["sh", "-c", "umask 077; exec \"$0\" \"$@\""]),
        environment: environment(&[
            ("TZ", b":/no/such/zone"),
            ("LC_ALL", b"\xff\xfe"),
            ("LANG", b"C"),
            ("HOME", b"/nonexistent"),
            ("RAYON_NUM_THREADS", b"1"),
            ("NO_COLOR", b"1"),
        ]),
        resources: vec!["-j", "13", "--memory", "1GiB"],
        ..Surroundings::default()
    };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| same(&surroundings)));
    fs::remove_dir_all(place).expect("removed");
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Whoever asks for the time gets another one.
#[test]
fn another_day() {
    let Some(faketime) = tool("faketime") else { return };
    for (day, threads) in [("1999-12-31 23:59:58", "2"), ("2038-02-01 12:00:00", "3")] {
        let told = faketime.text(args![day, "date", "+%Y"]);
        assert_eq!(told.trim(), &day[..4], "faketime has no effect");
        same(&Surroundings {
            wrapper: words(&["faketime", day]),
            environment: environment(&[("PATH", b"/usr/local/bin:/usr/bin:/bin")]),
            resources: vec!["-j", threads, "--memory", "64MiB"],
            sections: vec!["customised", "stores"],
            ..Surroundings::default()
        });
    }
}

/// Inputs by absolute paths, from another folder, and the source through standard output: the disk is the same. (What
/// reports and records say of inputs is what the user called them.)
#[test]
fn names_of_inputs_do_not_matter() {
    let scratch = scratch();
    let desk = scratch.path().join("desk");
    super::put_inputs(&desk);
    let options = ["--format", "vhd-fixed"];
    let here = desk.join("disk.vhd");
    let build = "cd \"$2\" && exec \"$1\" build -r recipe.toml";
    let run = |line: &str| shell(line, args![&desk]).well();
    run(&format!("{build} {} -o disk.vhd", options.join(" ")));
    let meant = fs::read(&here).expect("the disk");
    // Moved to another place, where the recipe is called otherwise, and named from above.
    let moved = scratch.path().join("another desk").join("deeper");
    fs::create_dir_all(moved.parent().expect("it has one")).expect("a folder");
    super::copy(&desk, &moved, &|paths| paths.sort());
    fs::rename(moved.join("recipe.toml"), moved.join("r.toml")).expect("renamed");
    fs::rename(moved.join("nano.wim"), moved.join("renamed.wim")).expect("renamed");
    let (recipe, source, out) =
        (moved.join("r.toml"), moved.join("renamed.wim"), scratch.path().join("else.vhd"));
    wimforge(args!["build", &source, "-r", &recipe, "-o", &out].into_iter().chain(options.map(OsStr::new)))
        .well();
    assert!(fs::read(&out).expect("the disk") == meant, "paths show");
    let streamed = shell(
        "cd \"$2\" && exec \"$1\" build -r r.toml renamed.wim -o - --format vhd-fixed --winrm-key secrets/winrm.key | cat",
        args![&moved],
    );
    assert!(streamed.well().stdout == meant, "standard output gets something else");
}

/// What is in the variable counts, and nothing but a number is taken.
#[test]
fn source_date_epoch() {
    let scratch = scratch();
    super::put_inputs(&scratch.path().join("desk"));
    let desk = scratch.path().join("desk");
    let dated = |value: &str, command: &str| {
        shell(
            &format!("cd \"$2\" && export SOURCE_DATE_EPOCH='{value}' && exec \"$1\" {command} --force"),
            args![&desk],
        )
    };
    let build = "build nano.wim -o disk.vhd --layout mbr1 --size 64MiB --copy commands.txt=Windows/";
    // A file that is added is of that time, one that was there keeps its own.
    dated("1472000000", build).well();
    let times = |path: &str| {
        let listed =
            wimforge(args!["ls", &format!("{}:1/{path}", desk.join("disk.vhd").display()), "-l"]).well();
        String::from_utf8(listed.stdout).expect("UTF-8")
    };
    let (added, old) = (times("Windows/commands.txt"), times("Windows/System32/config/SAM"));
    assert!(added.contains("2016-08-24"), "{added}");
    assert!(!old.contains("2016-08-24"), "{old}");
    let first = fs::read(desk.join("disk.vhd")).expect("the disk");
    dated("1472000001", build).well();
    assert!(fs::read(desk.join("disk.vhd")).expect("the disk") != first, "a second later it is the same");

    for value in ["", "yesterday", "-1", "1.5", " 1", "253402300800"] {
        for command in [build, "convert disk.vhd disk.vhdx", "bcd create BCD --firmware bios"] {
            dated(value, command).badly(&[2]).says(&["SOURCE_DATE_EPOCH", "date +%s"]);
        }
    }
    assert!(!desk.join("disk.vhdx").exists() && !desk.join("BCD").exists());
}

/// A key that is made is random, and is the only thing that is.
#[test]
fn secrets_are_random_until_they_are_inputs() {
    let scratch = scratch();
    let mut disks = Vec::new();
    for name in ["one", "two"] {
        let desk = scratch.path().join(name);
        super::put_inputs(&desk);
        fs::remove_file(desk.join("secrets/winrm.key")).expect("it was there");
        let build = || {
            shell("cd \"$2\" && exec \"$1\" build -r recipe.toml -o disk.vhd --force", args![&desk]).well();
            fs::read(desk.join("disk.vhd")).expect("the disk")
        };
        let first = build();
        assert!(build() == first, "the key of the first build was not taken");
        disks.push((first, fs::read(desk.join("secrets/winrm.key")).expect("the key")));
    }
    assert!(disks[0].1 != disks[1].1, "two keys are equal");
    assert!(disks[0].0 != disks[1].0, "two disks with different keys are equal");
}

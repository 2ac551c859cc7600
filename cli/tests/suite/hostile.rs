//! The files of `testdata/hostile` through every command: the exit code that the README promises, an error in words, in
//! little address space, and nothing outside the directory that is extracted to.

use std::path::Path;

use testkit::hostile::{self, Answer, Family, Fixture};
use testkit::{args, testdata};

use crate::support::{Ended, confined, names, scratch};

/// How a command ended that has to fail with `code`, or succeed.
#[track_caller]
fn ended(fixture: &Fixture, command: &str, ended: Ended, code: i32) -> Ended {
    let name = format!("{} {}, {command}", fixture.class, fixture.name);
    assert_eq!(ended.code, Some(code), "{name}: {}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{name}: {}", ended.stderr);
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned() + &ended.stderr;
    let raw = printed.chars().find(|&c| c.is_control() && c != '\n');
    assert_eq!(raw, None, "{name}: {printed:?}");
    assert!(!printed.lines().any(|line| line.starts_with("error not real")), "{name}: {printed}");
    if code != 0 && code != 3 {
        assert!(ended.stderr.lines().any(|line| line.starts_with("error: ")), "{name}: {}", ended.stderr);
    }
    ended
}

/// What an error of a family, in front of everything else, is for the exit code.
fn code_of(family: Family) -> i32 {
    match family {
        Family::Unsupported => 4,
        Family::Malformed | Family::Hash => 3,
        Family::Limit | Family::MissingPart => 1,
    }
}

fn run(fixture: &Fixture) {
    let path = testdata("hostile").join(&fixture.paths()[0]);
    if fixture.name == "magic" {
        // Some commands are for disks, too: what is not a WIM by its signature may be no kind of file that they know.
        for command in ["info", "ls", "verify"] {
            confined(args![command, &path]).badly(&[1, 4]).says(&["magic.wim"]);
        }
        return;
    }
    let scratch = scratch();
    let outside = scratch.path().join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    let out = outside.join("inside");
    let image = match fixture.answer {
        Answer::Refused(family, _) | Answer::NoImage(family, _) => code_of(family),
        Answer::Damaged(_) | Answer::Recovered(_) => 0,
    };
    let says = |ended: Ended, words: &str| {
        let printed = String::from_utf8_lossy(&ended.stdout).into_owned() + &ended.stderr;
        assert!(printed.contains(words), "{} {}: {printed}", fixture.class, fixture.name);
        printed
    };
    let info = if let Answer::Refused(..) = fixture.answer { image } else { 0 };
    ended(fixture, "info", confined(args!["info", &path]), info);
    let json = ended(fixture, "info --json", confined(args!["info", &path, "--json"]), info);
    assert!(info != 0 || json.stdout.starts_with(b"{"));
    // A file without images is a fine file; only the image is not there.
    let no_image = fixture.name == "metadata-refcount-0";
    let image = if no_image { 1 } else { image };
    let ls = ended(fixture, "ls", confined(args!["ls", "-R", &path]), image);
    let listed = String::from_utf8_lossy(&ls.stdout).into_owned();
    let long = ended(fixture, "ls -l", confined(args!["ls", "-lR", &path]), image);
    if let Answer::Damaged(words) = fixture.answer
        && words.starts_with("content with SHA-1")
    {
        assert!(String::from_utf8_lossy(&long.stdout).contains(" missing "), "{:?}", fixture.name);
        says(long, "is not in the WIM");
    }
    ended(fixture, "ls --detailed", confined(args!["ls", "-R", "--detailed", &path]), image);

    let (extract, verify) = match fixture.answer {
        Answer::Refused(..) => (image, image),
        Answer::NoImage(..) => (image, 3),
        Answer::Damaged(_) => (3, 3),
        Answer::Recovered(_) => (image, 0),
    };
    let extracted = ended(fixture, "extract", confined(args!["extract", &path, "-C", &out]), extract);
    assert!(names(&outside).iter().all(|name| name == "inside"), "{}: {:?}", fixture.name, names(&outside));
    let verified = ended(fixture, "verify", confined(args!["verify", &path, "--memory", "64MiB"]), verify);
    match fixture.answer {
        Answer::Refused(_, words) => {
            says(ls, words);
        }
        Answer::NoImage(_, words) => {
            says(ls, words);
            says(verified, words);
        }
        Answer::Damaged(words) => {
            says(verified, words);
            // The honest file is there, the other is listed and is not.
            assert!(listed.contains("honest.txt") || listed.contains("present.txt"), "{listed}");
            let printed = says(extracted, "");
            assert!(printed.contains("odd.bin") || printed.contains("missing.bin"), "{printed}");
            let honest = if listed.contains("honest.txt") { "honest.txt" } else { "present.txt" };
            assert!(out.join(honest).is_file(), "{:?}", names(&out));
            assert!(!out.join("odd.bin").exists());
            ended(fixture, "cat", confined(args!["cat", &path, honest]), 0);
        }
        Answer::Recovered(words) => {
            says(verified, words);
        }
    }
    let dry = confined(args!["build", &path, "-o", &scratch.path().join("disk.vmdk"), "--dry-run"]);
    ended(fixture, "build --dry-run", dry, fixture.build.unwrap_or(image));
}

macro_rules! classes {
    ($($name:ident = $class:literal),* $(,)?) => {$(
        #[test]
        fn $name() {
            hostile::fixtures().iter().filter(|fixture| fixture.class == $class).for_each(run);
        }
    )*};
}

classes! {
    headers = 1,
    blob_tables = 2,
    chunk_tables = 3,
    bombs = 4,
    dentries = 5,
    lzx = 6,
    xpress = 7,
    lzms = 8,
    xml = 9,
    split_sets = 10,
}

/// A pipe cannot be read at any offset: that is said, and nobody waits for its other end. Nor are a directory and a
/// device without content WIMs.
#[test]
fn what_is_no_file() {
    let scratch = scratch();
    let fifo = scratch.path().join("fifo.wim");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    for command in ["info", "ls", "verify"] {
        if made.as_ref().is_ok_and(std::process::ExitStatus::success) {
            confined(args![command, &fifo]).badly(&[4]).says(&["fifo.wim", "not a regular file"]);
        }
        confined(args![command, scratch.path()]).badly(&[4]).says(&["directory"]);
        confined(args![command, Path::new("/dev/null")]).badly(&[1, 4]);
    }
}

//! Conversions that are stopped at any moment with a signal that nobody can catch: nothing is there under the name of the
//! output but a whole disk, and the next run is not disturbed by what was left.
//!
//! `WIMFORGE_KILL_ROUNDS` says how often in all (100 before a release); by default each format is stopped once.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::args;

use super::FORMATS;
use super::source::{Source, noise};
use crate::support::{PROGRAM, names, scratch, wimforge};

const KILL: i32 = 9;

#[test]
fn nothing_is_left_under_the_name() {
    let rounds = std::env::var("WIMFORGE_KILL_ROUNDS").ok().map(|rounds| rounds.parse().expect("a number"));
    let rounds: usize = rounds.unwrap_or(FORMATS.len());
    let directory = scratch();
    let source = Source::mixed();
    let raw = directory.path().join("source.raw");
    source.write(&raw).expect("a raw disk");
    let moments = noise(rounds as u64, rounds * 2);
    let mut killed = 0;
    let mut whole: [Option<Duration>; FORMATS.len()] = [None; FORMATS.len()];
    for round in 0..rounds {
        let index = round % FORMATS.len();
        let format = FORMATS[index];
        let place = directory.path().join(format.name);
        std::fs::create_dir_all(&place).expect("a directory");
        let out = place.join(format!("disk.{}", format.extension));
        let command = || {
            let mut command = Command::new(PROGRAM);
            command.args(args!["convert", &raw, &out, "--format", format.name]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        // How long it takes when it may; the last moments are the renames.
        let whole = *whole[index].get_or_insert_with(|| {
            let started = Instant::now();
            assert!(command().status().expect("the program").success());
            let took = started.elapsed();
            for name in names(&place) {
                std::fs::remove_file(place.join(name)).expect("an output");
            }
            took
        });
        let part = u32::from(u16::from_le_bytes([moments[round * 2], moments[round * 2 + 1]]));
        let mut child = command().spawn().expect("the program");
        std::thread::sleep(whole * part / 65_536);
        child.kill().expect("a process of ours");
        let status = child.wait().expect("its end");
        assert!(status.success() || status.signal() == Some(KILL), "{status}");
        if status.signal() == Some(KILL) && !out.exists() {
            killed += 1;
            // Extents get their names before the descriptor: without it there is no disk, and the next run says what is in
            // the way.
            for name in names(&place).iter().filter(|name| !name.ends_with(".partial")) {
                assert!(name.starts_with("disk-"), "{name}");
                std::fs::remove_file(place.join(name)).expect("an extent");
            }
            wimforge(args!["convert", &raw, &out, "--format", format.name]).well();
        }
        // What has the name is whole, also when the signal came after the rename.
        wimforge(args!["compare", "--strict", &out, &raw]).well();
        let left = names(&place);
        assert!(!left.iter().any(|name| name.ends_with(".partial")), "{left:?}");
        for name in left {
            std::fs::remove_file(place.join(name)).expect("an output");
        }
    }
    println!("{killed} of {rounds} were stopped");
    assert!(killed > 0, "not one of {rounds} was stopped: the moments are too late");
}

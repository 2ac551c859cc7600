//! Passwords are in the image's documented files and nowhere else: not in what a build says, writes beside the disk, or
//! leaves when it is stopped.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::disk::Format;
use testkit::{args, tool};

use super::recipe::{ADMINISTRATOR, WORKER, put};
use super::secrets::{Secret, files, pieces};
use super::seen::Seen;
use super::world::{Desk, medium};
use crate::support::{PROGRAM, wimforge};

/// Inputs, which may hold them.
const INPUTS: &[&str] = &["secrets"];

fn secrets() -> [Secret; 2] {
    [Secret::new(ADMINISTRATOR), Secret::new(WORKER)]
}

#[track_caller]
fn clean(what: &str, bytes: &[u8]) {
    for secret in secrets() {
        assert_eq!(secret.found(bytes), None, "{what}: {}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn nothing_tells() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    put(&desk, &medium);
    let (recipe, disk, log) = (desk.path("nano.toml"), desk.path("nano.vhd"), desk.path("nano.log"));
    let record = desk.path("record.json");
    let mut said = Vec::new();
    for options in [
        &args!["--dry-run"][..],
        &args!["--dry-run", "--json"],
        &args!["--manifest", "--log", &log, "--record", &record, "--json"],
        &args!["--manifest", "--log", &log, "--record", &record, "--force"],
        // Refused: the output is there. And a recipe that is wrong behind the passwords.
        &args!["-o", &disk],
        &args!["--force", "--time-zone", "none such"],
        &args!["--force", "--account", "name=x,password-file=missing"],
    ] {
        let all = [&args!["build", "--recipe", &recipe, "-o", &disk][..], options].concat();
        let all = if options.len() == 2 && options[0] == "-o" {
            [&args!["build", "--recipe", &recipe][..], options].concat()
        } else {
            all
        };
        let ended = wimforge(all);
        clean("standard output", &ended.stdout);
        clean("standard error", ended.stderr.as_bytes());
        said.extend(ended.stdout);
        said.extend(ended.stderr.into_bytes());
    }
    // What was written, and then shown by other commands.
    for file in files(desk.folder(), INPUTS) {
        if file != disk {
            let bytes = fs::read(&file).expect("a file");
            clean(&file.display().to_string(), &bytes);
            said.extend(bytes);
        }
    }
    for command in ["info", "check", "ls"] {
        let ended = wimforge(args![command, &disk, "--json"]);
        clean(command, &ended.stdout);
        said.extend(ended.stdout);
    }

    // In the image: in the files that the report names, and nowhere else on the disk.
    let Some(seen) = Seen::of(&disk, Format::Vpc) else { return };
    let manifest: Value =
        serde_json::from_slice(&fs::read(desk.path("nano.vhd.json")).expect("a manifest")).expect("JSON");
    let reported = manifest["build"]["customized"]["secrets"].as_array().expect("a list").clone();
    let reported: Vec<String> =
        reported.iter().map(|file| file["path"].as_str().expect("a path").to_lowercase()).collect();
    assert!(reported.contains(&"windows\\panther\\unattend.xml".to_owned()), "{reported:?}");
    let volume = fs::read(&seen.volume).expect("the volume");
    let pieces = pieces(&volume);
    let contents: Vec<(String, Vec<u8>)> =
        seen.files().map(|path| (path.to_lowercase(), seen.read(&path))).collect();
    for secret in secrets() {
        let holders: Vec<_> = contents.iter().map(|(path, content)| (path, secret.count(content))).collect();
        let holders: Vec<_> = holders.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(holders, [(&"windows\\panther\\unattend.xml".to_owned(), 1)], "{}", secret.text);
        assert!(reported.contains(holders[0].0));
        let anywhere: usize = pieces.iter().map(|piece| secret.count(piece)).sum();
        assert_eq!(anywhere, 1, "outside of files");
    }
    // From a hash of the answer file, whose other lines anybody can know, a password is guessed offline.
    let answer = desk.put("answer.xml", seen.read("Windows\\Panther\\unattend.xml"));
    for program in ["sha1sum", "sha256sum", "md5sum"] {
        let Some(program) = tool(program) else { return };
        let hash = program.text(args![&answer]);
        let hash = hash.split_whitespace().next().expect("a hash");
        let told = String::from_utf8_lossy(&said).to_lowercase().contains(hash);
        assert!(!told, "the hash {hash} of the answer file is told");
    }
}

/// A build that is stopped leaves nothing; one that is killed leaves what nobody else can read.
#[test]
fn nothing_stays_behind() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    put(&desk, &medium);
    let (recipe, disk) = (desk.path("nano.toml"), desk.path("nano.raw"));
    let before = files(desk.folder(), &[]);
    let mut stopped = 0;
    for round in 0..12_u64 {
        let signal = if round % 2 == 0 { "TERM" } else { "KILL" };
        let mut child = Command::new(PROGRAM)
            .args(args!["build", "--recipe", &recipe, "-o", &disk, "--force", "-j", "1", "--size", "8GiB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        // Later each time, and at the latest when the disk grows.
        let start = Instant::now();
        let partial = desk.path("nano.raw.partial");
        while start.elapsed() < Duration::from_millis(30 * round) && !partial.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(3 * round));
        tool("kill")
            .expect("of every system")
            .command()
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .expect("kill");
        let status = child.wait().expect("it ends");
        stopped += u32::from(!status.success());
        if status.signal() == Some(9) {
            // The disk in the making is a disk, with its answer file. Its owner may read it, and deletes it. So is the disk
            // itself, where the signal came between its renaming and the end of the program.
            for path in files(desk.folder(), &["secrets"]) {
                if !before.contains(&path) && path != partial && path != disk {
                    clean(&path.display().to_string(), &fs::read(&path).expect("a file"));
                }
            }
            let _ = fs::remove_file(&partial);
        }
        let _ = fs::remove_file(&disk);
        let mut after = files(desk.folder(), &[]);
        // The key is kept, and the certificate once the disk is there.
        after.retain(|path| !path.to_string_lossy().contains(".winrm."));
        assert_eq!(after, before, "round {round}");
    }
    assert!(stopped > 0, "all builds were faster");
}

//! Exit codes, as `wimforge --help` and docs/cli.md state them, each provoked for the commands that can end with it.

use std::fs;

use testkit::testdata;

use crate::support::{build, scratch, shell, wimforge};

#[test]
fn help_and_document_state_them() {
    let help = String::from_utf8(wimforge(["--help"]).well().stdout).expect("UTF-8");
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).expect("docs/cli.md");
    for code in ["0", "1", "2", "3", "4", "130"] {
        assert!(help.lines().any(|line| line.trim_start().split(' ').next() == Some(code)), "{code}: {help}");
        assert!(page.lines().any(|line| line.starts_with(&format!("| {code} |"))), "{code} in docs/cli.md");
    }
}

#[test]
fn each_is_what_it_says() {
    let scratch = scratch();
    let here = |name: &str| scratch.path().join(name);
    fs::copy(testdata("nano-small.wim"), here("nano.wim")).expect("copied");
    fs::copy(testdata("hives/SYSTEM"), here("SYSTEM")).expect("copied");
    let mut wim = fs::read(here("nano.wim")).expect("the WIM");
    wim[60_000..60_008].fill(b'x');
    fs::write(here("bad.wim"), &wim).expect("written");
    wim[0x0C..0x10].copy_from_slice(&0x1_0A00_u32.to_le_bytes());
    fs::write(here("old.wim"), wim).expect("written");
    build(&here("nano.wim"), &here("disk.raw"), &["--layout", "mbr1", "--size", "48MiB"]).well();
    build(&here("nano.wim"), &here("disk.vhd"), &[]).well();
    let mut disk = fs::read(here("disk.raw")).expect("the disk");
    let volume = 1 << 20;
    let clusters = u64::from_le_bytes(disk[volume + 0x30..][..8].try_into().expect("the place of the $MFT"));
    disk[volume + clusters as usize * 4096 + 100 * 1024..][..512].fill(0x11);
    fs::write(here("broken.raw"), disk).expect("written");
    let mut hive = fs::read(here("SYSTEM")).expect("the hive");
    hive[4096 + 32..4096 + 40].fill(0xFF);
    fs::write(here("BADHIVE"), hive).expect("written");
    fs::write(here("text"), "text").expect("written");
    for (code, line) in [
        (0, "--help"),
        (0, "--version"),
        (0, "help reg set"),
        (0, "info nano.wim"),
        (0, "verify nano.wim"),
        (0, "check disk.vhd"),
        (0, "compare disk.vhd disk.vhd"),
        (0, "reg check SYSTEM"),
        // Failed: what was named is not there, or cannot be written.
        (1, "info nosuch"),
        (1, "ls nosuch"),
        (1, "cat nano.wim nosuch"),
        (1, "extract nano.wim nosuch -C out"),
        (1, "verify nosuch"),
        (1, "check nosuch"),
        (1, "convert nosuch x.vhd"),
        (1, "compact nosuch x.vhd"),
        (1, "compare disk.vhd nosuch"),
        (1, "map nosuch"),
        (1, "build nano.wim -o nodir/x.vhd"),
        (1, "build --recipe nosuch.toml"),
        (1, "reg get SYSTEM nosuch"),
        (1, "reg import SYSTEM nosuch.reg"),
        (1, "bcd show nosuch"),
        (1, "driver info nosuch"),
        (1, "man --out nano.wim/x"),
        // Usage, also what is found out late.
        (2, ""),
        (2, "nosuch"),
        (2, "build"),
        (2, "build nano.wim -o x.vhd --format nosuch"),
        (2, "build nano.wim -o x.nosuch"),
        (2, "build nano.wim -o disk.vhd"),
        (2, "build nano.wim -o x.vhd --size 1MiB"),
        (2, "build nano.wim -o x.vhd --computer-name a/b"),
        (2, "build nano.wim -o x.vmdk --for azure"),
        (2, "ls nano.wim -i 9"),
        (2, "ls disk.vhd:9"),
        (2, "check disk.vhd:9"),
        (2, "cat nano.wim"),
        (2, "convert disk.vhd disk.raw"),
        (2, "convert disk.vhd x.nosuch"),
        (2, "compact disk.vhd"),
        (2, "preset nosuch"),
        (2, "completions nosuch"),
        (2, "man nosuch"),
        (2, "bcd show disk.vhd {nosuch}"),
        (2, "reg set SYSTEM a b --type nosuch c"),
        // Damage and differences.
        (3, "verify bad.wim"),
        (3, "build bad.wim -o x.vhd"),
        (3, "extract bad.wim -C bad"),
        (3, "check broken.raw"),
        (3, "reg check BADHIVE"),
        (3, "compare disk.vhd disk.raw"),
        (3, "verify disk.raw --against bad.wim"),
        // Not supported.
        (4, "build old.wim -o x.vhd"),
        (4, "build text -o x.vhd"),
        (4, "build disk.vhd -o x.vhd"),
        (4, "info text"),
        (4, "check nano.wim"),
        (4, "verify disk.vhd"),
        (4, "convert nano.wim x.vhd"),
        (4, "compact nano.wim x.vhd"),
        (4, "map nano.wim"),
    ] {
        let words = line.split(' ').filter(|word| !word.is_empty());
        let mut command = std::process::Command::new(crate::support::PROGRAM);
        let output = command.args(words).current_dir(scratch.path()).output().expect("the program runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
        assert!(!stderr.contains("panicked"), "{line}: {stderr}");
        if matches!(code, 1 | 4) {
            assert!(
                stderr.lines().filter(|line| line.starts_with("error: ")).count() == 1,
                "{line}: {stderr}"
            );
        }
    }
}

/// Whoever reads goes away: that is no failure of ours, whatever the command.
#[test]
fn a_closed_pipe_is_success() {
    let wim = testdata("nano-small.wim");
    for command in [
        "info \"$2\" --json",
        "info \"$2\" --xml",
        "ls -R \"$2\" --json",
        "--help",
        "man build",
        "completions bash",
        "preset vagrant",
    ] {
        let line = format!("(sleep 0.1; \"$1\" {command}; echo $? >&2) | exec true");
        let ended = shell(&line, [&wim]);
        assert_eq!(ended.stderr.lines().last(), Some("0"), "{command}: {}", ended.stderr);
    }
}

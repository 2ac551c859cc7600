//! A slip of the hand gets an answer that says what was meant: whatever was misspelt, the nearest that there is.

use std::fs;

use testkit::{args, testdata};

use crate::support::{build, scratch, wimforge};

#[test]
fn what_was_meant() {
    let scratch = scratch();
    let here = |name: &str| scratch.path().join(name);
    for (from, to) in
        [("nano-small.wim", "nano.wim"), ("nano-small-two.wim", "two.wim"), ("hives/SYSTEM", "SYSTEM")]
    {
        fs::copy(testdata(from), here(to)).expect("copied");
    }
    build(&here("nano.wim"), &here("disk.vhd"), &[]).well();
    wimforge(args!["bcd", "create", &here("BCD"), "--firmware", "bios"]).well();
    fs::write(here("recipe.toml"), "source = 'nano.wim'\noutput = 'x.vhd'\ncomputr-name = 'a'\n")
        .expect("written");
    fs::write(here("format.toml"), "source = 'nano.wim'\noutput = 'x.vhd'\nformat = 'vdhx'\n")
        .expect("written");
    let ask = |line: &str| {
        let mut command = std::process::Command::new(crate::support::PROGRAM);
        let output =
            command.args(line.split(' ')).current_dir(scratch.path()).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (line, code, says) in [
        // Commands and options.
        ("buidl nano.wim -o x.vhd", 2, "'build'"),
        ("reg exprot SYSTEM", 2, "'export'"),
        ("build nano.wim -o x.vhd --computr-name a", 2, "'--computer-name'"),
        ("help biuld", 2, "'build'"),
        ("man biuld", 2, "did you mean \"build\"?"),
        ("completions bsh", 2, "'bash'"),
        ("nano.wim", 2, "`wimforge info nano.wim`"),
        ("compact disk.vhd", 2, "--in-place"),
        ("build nano.wim", 2, "<OUT>"),
        // Values.
        ("build nano.wim -o x.vhd --format vdhx", 2, "did you mean \"vhdx\"?"),
        ("convert disk.vhd x.vhd --format qcow", 2, "did you mean \"qcow2\"?"),
        ("build nano.wim -o x.vhd --for virtualbx", 2, "did you mean \"virtualbox\"?"),
        ("build nano.wim -o x.vhd --layout gtp", 2, "did you mean \"gpt\"?"),
        ("build nano.wim -o x.vhd --level bst", 2, "did you mean \"best\"?"),
        ("build nano.wim -o x.vhd --compact-os=xpres8k", 2, "did you mean \"xpress8k\"?"),
        ("build nano.wim -o x.vhd --boot-code form-image", 2, "did you mean \"from-image\"?"),
        ("build nano.wim -o x.vhd --bcd-device loacte", 2, "did you mean \"locate\"?"),
        ("build nano.wim -o x.vhd --preset vagrnt", 2, "did you mean \"vagrant\"?"),
        ("preset vagrnt", 2, "did you mean \"vagrant\"?"),
        ("reg set SYSTEM a b --type dwrod 1", 2, "did you mean \"dword\"?"),
        ("build nano.wim -o x.vhdd", 2, "did you mean x.vhd?"),
        // Recipes.
        (
            "build --recipe recipe.toml",
            2,
            "recipe.toml:3: unknown key \"computr-name\"; did you mean \"computer-name\"?",
        ),
        ("build --recipe format.toml", 2, "did you mean \"vhdx\"?"),
        ("build --recipe recpie.toml", 1, "did you mean recipe.toml?"),
        // Names of packages are looked up in the medium, which a single WIM has not.
        ("build nano.wim -o x.vhd --packages Compte", 4, "there is no folder Packages"),
        // Files of this machine.
        ("info nanno.wim", 1, "did you mean nano.wim?"),
        ("build nno.wim -o x.vhd", 1, "did you mean nano.wim?"),
        ("check dsik.vhd", 1, "did you mean disk.vhd?"),
        ("build nano.wim -o nodir/x.vhd", 1, "there is no folder nodir"),
        ("reg get SYSTME", 1, "did you mean SYSTEM?"),
        ("convert disc.vhd x.vmdk", 1, "did you mean disk.vhd?"),
        // Paths, images, partitions.
        ("cat nano.wim Windos/System32/kernel.exe", 1, "did you mean \"Windows/System32/kernel.exe\"?"),
        ("ls nano.wim Windows/Sytem32", 1, "did you mean \"Windows/System32\"?"),
        ("cat nano.wim /windows/System32/kernle.exe", 1, "did you mean \"windows/System32/kernel.exe\"?"),
        ("ls disk.vhd:2/Windws", 1, "did you mean \"Windows\"?"),
        ("cat disk.vhd:2/Windws/System32/kernel.exe", 1, "did you mean \"Windows\"?"),
        ("cat nano.wim Windos/Sytem32/kernle.exe", 1, "did you mean \"Windows/System32/kernel.exe\"?"),
        ("extract nano.wim Widnows -C out", 1, "did you mean \"Windows\"?"),
        ("ls two.wim -i First", 2, "1  First edition"),
        ("ls two.wim -i First_edition", 2, "did you mean \"First edition\"?"),
        ("ls nano.wim -i 3", 2, "1  Nano-shaped test image"),
        ("ls disk.vhd -i Windos", 2, "did you mean \"Windows\"?"),
        ("ls disk.vhd:7", 2, "has no partition 7"),
        ("check disk.vhd:7", 2, "  2  "),
        // Keys and values, objects and elements.
        ("reg get SYSTEM Selct", 1, "did you mean \"Select\"?"),
        ("reg get SYSTEM Select Currnt", 1, "did you mean \"Current\"?"),
        ("bcd set BCD {default} testsining on", 2, "did you mean \"testsigning\"?"),
        ("bcd delete BCD {default} descripton", 1, "did you mean \"description\"?"),
        ("bcd show disk.vhd {bootmg}", 2, "did you mean {bootmgr}?"),
    ] {
        let (found, stderr) = ask(line);
        assert_eq!(found, Some(code), "{line}: {stderr}");
        assert!(stderr.contains(says), "{line}: {stderr}");
    }
    // Where nothing is like it, nothing is guessed.
    for line in [
        "info elephant.iso",
        "cat nano.wim elephant",
        "reg get SYSTEM elephant",
        "build nano.wim -o x.vhd --format floppy",
    ] {
        let (_, stderr) = ask(line);
        assert!(!stderr.contains("did you mean"), "{line}: {stderr}");
    }
}

/// `build` has its output behind `-o`, `convert` and `compact` have it behind the source: whoever mixes them up is understood.
#[test]
fn an_output_is_taken_in_either_place() {
    let scratch = scratch();
    let here = |name: &str| scratch.path().join(name);
    let wim = testdata("nano-small.wim");
    wimforge(args!["build", &wim, &here("a.vhd")]).well();
    wimforge(args!["convert", &here("a.vhd"), "-o", &here("b.vhdx")]).well();
    wimforge(args!["compact", &here("b.vhdx"), "-o", &here("c.vmdk")]).well();
    wimforge(args!["compare", &here("a.vhd"), &here("b.vhdx")]).well();
    assert!(here("c.vmdk").is_file());
    wimforge(args!["build", &wim, &here("d.vhd"), "-o", &here("e.vhd")]).badly(&[2]);
    wimforge(args!["convert", &here("a.vhd"), &here("d.vhd"), "-o", &here("e.vhd")]).badly(&[2]);
    wimforge(args!["convert", &here("a.vhd")]).badly(&[2]).says(&["<OUT>"]);
}

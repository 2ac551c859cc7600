//! What shows people the way: examples that run, manual pages, completion in real shells.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{args, testdata, tool};

use crate::support::{Ended, PROGRAM, build, scratch, wimforge};

/// Examples that need what a test has not: a network, a device, drivers, other names of images.
const NOT_HERE: &[&str] = &[
    "ssh ",
    "/dev/sdx",
    "virtio-win",
    "netkvm",
    "drivers.zip",
    "drivers/",
    "SERVERSTANDARD",
    "--recipe nano.toml",
    "child.avhdx",
    "upload.vhd",
    "~/",
    "$PROFILE",
    "> _wimforge",
    "/usr/share",
    "man -l",
    "xxd",
    "BCD-Template",
    "-GUID",
    "{a…}",
    "--preset vagrant",
    "disk.raw:2",
    "*.exe",
    "Zone.Identifier",
    "-i 2 Windows/win.ini",
    "--compact-os",
    "Windows/INF",
];

#[test]
fn examples_run() {
    let scratch = scratch();
    let Some(world) = World::new(scratch.path()) else { return };
    let mut run = 0;
    for command in commands(&[]) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let help =
            String::from_utf8(wimforge(words.iter().copied().chain(["--help"])).well().stdout).unwrap();
        let help = help.split_once("Examples:\n").expect("examples").1.replace("\\\n", " ");
        for line in help.lines().map_while(|line| line.strip_prefix("  ")) {
            if !line.starts_with("wimforge ") || NOT_HERE.iter().any(|word| line.contains(word)) {
                continue;
            }
            // What comes behind is said in words.
            let line = example(line);
            // What an example makes is not there beforehand.
            let words: Vec<&str> = line.split_whitespace().collect();
            let made = match words[..] {
                [_, "convert" | "compact", _, out, ..] => Some(out),
                [_, "bcd", "create", out, ..] => Some(out),
                _ => words.windows(2).find(|pair| pair[0] == "-o").map(|pair| pair[1]),
            };
            if let Some(made) = made {
                let _ = fs::remove_file(world.folder.join(made));
            }
            let ended = world.run(&line);
            assert!(matches!(ended.code, Some(0 | 3)), "{line}\n{:?} {}", ended.code, ended.stderr);
            world.tidy();
            run += 1;
        }
    }
    assert!(run > 60, "{run}");
}

/// An example without its explanation, which is two spaces away.
fn example(line: &str) -> String {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        quoted ^= c == '\'';
        if !quoted && line[at..].starts_with("  ") && !line[at..].trim_start().starts_with("--") {
            return line[..at].to_owned();
        }
    }
    line.to_owned()
}

/// Every command and subcommand, by the help of those above.
fn commands(above: &[String]) -> Vec<Vec<String>> {
    let help = wimforge(above.iter().map(String::as_str).chain(["--help"])).well();
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let mut found = vec![above.to_vec()];
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return found };
    for line in list.lines().take_while(|line| !line.is_empty()) {
        // A description that goes on in the next line is indented further.
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '));
        let Some(name) = name.and_then(|rest| rest.split_whitespace().next()).filter(|name| *name != "help")
        else {
            continue;
        };
        let below: Vec<String> = above.iter().cloned().chain([name.to_owned()]).collect();
        found.extend(commands(&below));
    }
    found
}

/// A folder with files by the names that examples use.
struct World {
    folder: PathBuf,
    pristine: PathBuf,
}

impl World {
    fn new(scratch: &Path) -> Option<Self> {
        let genisoimage = tool("genisoimage")?;
        let (folder, pristine) = (scratch.join("here"), scratch.join("pristine"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(pristine.join("iso/sources")).unwrap();
        fs::create_dir_all(pristine.join("iso/NanoServer")).unwrap();
        fs::create_dir_all(pristine.join("iso/support")).unwrap();
        let put = |from: &Path, to: &str| {
            fs::copy(from, pristine.join(to)).unwrap_or_else(|error| panic!("{to}: {error}"));
        };
        let nano = testdata("nano-small.wim");
        let two = testdata("nano-small-two.wim");
        ["nano.wim", "core.wim", "iso/NanoServer/NanoServer.wim"].iter().for_each(|name| put(&nano, name));
        ["install.wim", "iso/sources/install.wim", "iso/sources/boot.wim"]
            .iter()
            .for_each(|name| put(&two, name));
        fs::write(pristine.join("iso/sources/idwbinfo.txt"), "[BUILDINFO]\r\n").unwrap();
        fs::write(pristine.join("iso/support/read.me"), "support").unwrap();
        let iso = pristine.join("server.iso");
        genisoimage.run(args!["-quiet", "-udf", "-J", "-r", "-o", &iso, &pristine.join("iso")]);
        fs::remove_dir_all(pristine.join("iso")).unwrap();
        for name in ["SYSTEM", "SOFTWARE"] {
            put(&testdata("hives").join(name), name);
        }
        let small = ["--layout", "mbr1", "--size", "48MiB"];
        build(&nano, &pristine.join("disk.raw"), &small).well();
        fs::write(pristine.join("win.ini"), "; for 16-bit app support\r\n").unwrap();
        let ini = pristine.join("win.ini").display().to_string();
        let [copy, log] = ["win.ini", "Logs/a.log"].map(|to| format!("--copy={ini}=Windows/{to}"));
        let atapi =
            r"--registry=key=HKLM\SYSTEM\CurrentControlSet\Services\atapi,name=Start,type=dword,value=0";
        let vendor = r"--registry=key=HKLM\SOFTWARE\Vendor,name=Path,value=x";
        let first = pristine.join("nano.vhd");
        build(&nano, &first, &[&copy, &log, atapi, vendor]).well();
        for name in ["disk.vhd", "before.vhd", "after.vhd"] {
            fs::hard_link(&first, pristine.join(name)).unwrap();
        }
        for name in ["disk.vmdk", "disk.vhdx", "core.vhdx"] {
            wimforge(args!["convert", &first, &pristine.join(name)]).well();
        }
        let bcd = pristine.join("BCD");
        wimforge(args!["bcd", "create", &bcd, "--firmware", "bios", "--test-signing"]).well();
        let vendor = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\";
        let value = "]\r\n\"Path\"=\"x\"\r\n\r\n";
        for (name, key) in [
            ("drivers.reg", r"SYSTEM\ControlSet001\Services\x"),
            ("more.reg", r"SYSTEM\Setup"),
            ("tweak.reg", r"OFFLINE\Vendor"),
        ] {
            fs::write(pristine.join(name), format!("{vendor}{key}{value}")).unwrap();
        }
        put(&testdata("hives/SOFTWARE"), "vendor.hiv");
        put(&testdata("hives/SOFTWARE"), "loaded.hiv");
        put(&testdata("hives/SOFTWARE"), "NEW");
        let world = Self { folder, pristine };
        for line in [
            r"wimforge reg set SOFTWARE 'Vendor\Product' Path x",
            r"wimforge reg set SYSTEM Setup OOBEInProgressDriverUpdatesPostponed x",
            r"wimforge reg set SYSTEM 'ControlSet001\Services\atapi' Start --type dword 0",
        ] {
            world.run_in(&world.pristine, line).well();
        }
        fs::write(world.pristine.join("pw.txt"), "A-long-Passw0rd\n").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(world.pristine.join("pw.txt"), fs::Permissions::from_mode(0o600)).unwrap();
        }
        world.tidy();
        Some(world)
    }

    fn run(&self, line: &str) -> Ended {
        self.run_in(&self.folder, line)
    }

    fn run_in(&self, folder: &Path, line: &str) -> Ended {
        let path = std::env::var("PATH").unwrap();
        let place = Path::new(PROGRAM).parent().unwrap().display();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", line]).current_dir(folder).env("PATH", format!("{place}:{path}"));
        command.stdin(std::process::Stdio::null()).output().unwrap().into()
    }

    /// As it was before.
    fn tidy(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder).unwrap();
        for entry in fs::read_dir(&self.pristine).unwrap() {
            let entry = entry.unwrap();
            let to = self.folder.join(entry.file_name());
            // What commands change in place is copied, large disks that they only read are linked.
            let changes = entry.metadata().unwrap().len() < 4 << 20 || entry.file_name() == "disk.raw";
            if changes { fs::copy(entry.path(), to).map(drop) } else { fs::hard_link(entry.path(), to) }
                .unwrap();
        }
    }
}

#[test]
fn help_of_a_command_has_three_ways() {
    for command in commands(&[]).into_iter().filter(|command| !command.is_empty()) {
        let ways = [
            [&["help".to_owned()][..], &command].concat(),
            [&command[..], &["--help".to_owned()]].concat(),
            [&command[..], &["-h".to_owned()]].concat(),
        ];
        let texts = ways.map(|way| wimforge(way).well().stdout);
        assert!(texts.iter().all(|text| text.len() > 200), "{command:?}");
        assert!(texts[0] == texts[1], "{command:?}: help and --help differ");
    }
}

/// mandoc reads them without a complaint, and there is one for each command.
#[test]
fn manual_pages_are_sound() {
    let scratch = scratch();
    let folder = scratch.path().join("man1");
    wimforge(args!["man", "--out", &folder]).well();
    let mut expected: Vec<String> = commands(&[])
        .iter()
        .map(|command| {
            let words = std::iter::once("wimforge").chain(command.iter().map(String::as_str));
            format!("{}.1", words.collect::<Vec<_>>().join("-"))
        })
        .collect();
    expected.sort();
    assert_eq!(crate::support::names(&folder), expected);
    // The one that is printed is the one that is written.
    let printed = wimforge(["man", "reg", "set"]).well().stdout;
    assert_eq!(fs::read(folder.join("wimforge-reg-set.1")).unwrap(), printed);
    wimforge(["man", "biuld"]).badly(&[2]).says(&["did you mean \"build\"?"]);
    let Some(mandoc) = tool("mandoc") else { return };
    for name in expected {
        let page = folder.join(&name);
        let lint = mandoc.command().args(["-T", "lint", "-W", "warning"]).arg(&page).output().unwrap();
        let said = String::from_utf8_lossy(&lint.stdout);
        assert!(lint.status.success() && said.trim().is_empty(), "{name}: {said}");
        let shown = mandoc.command().args(["-T", "utf8", "-O", "width=100"]).arg(&page).output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).replace(['\u{8}', '_'], "");
        assert!(shown.contains("EEXXAAMMPPLLEESS") || shown.contains("EXAMPLES"), "{name}: {shown}");
    }
}

#[test]
fn bash_completes() {
    let Some(bash) = tool("bash") else { return };
    let scratch = scratch();
    let script = scratch.path().join("wimforge.bash");
    fs::write(&script, wimforge(["completions", "bash"]).well().stdout).unwrap();
    let complete = |line: &str| -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let set = format!(
            "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; COMPREPLY=(); \
             _wimforge wimforge \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1
        );
        let output =
            bash.command().args(["--norc", "-c", &set]).current_dir(scratch.path()).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    };
    assert_eq!(complete("wimforge comp"), ["compact", "compare", "completions"]);
    assert_eq!(complete("wimforge build --compu"), ["--computer-name"]);
    assert_eq!(complete("wimforge build --format vhd"), ["vhd", "vhd-fixed", "vhdx", "vhdx-fixed"]);
    assert_eq!(complete("wimforge build --for hyp"), ["hyperv", "hyperv-gen1"]);
    assert_eq!(complete("wimforge build --preset winrm-"), ["winrm-https"]);
    assert_eq!(complete("wimforge reg se"), ["set"]);
    assert_eq!(complete("wimforge preset vag"), ["vagrant"]);
    fs::write(scratch.path().join("nano.wim"), "").unwrap();
    assert_eq!(complete("wimforge build --recipe nan"), ["nano.wim"]);
}

#[test]
fn other_shells_take_their_completions() {
    let scratch = scratch();
    let file = |shell: &str| {
        let path = scratch.path().join(shell);
        fs::write(&path, wimforge(["completions", shell]).well().stdout).unwrap();
        path
    };
    for shell in ["powershell", "elvish"] {
        let text = fs::read_to_string(file(shell)).unwrap();
        assert!(text.contains("hyperv-gen1") || text.contains("--for"), "{shell}");
    }
    if let Some(zsh) = tool("zsh") {
        zsh.run(args!["-n", &file("zsh")]);
    }
    if let Some(fish) = tool("fish") {
        let path = file("fish");
        fish.run(args!["--no-execute", &path]);
        let line = format!("source '{}'; complete -C 'wimforge build --for hyp'", path.display());
        let output = fish.command().args(["--no-config", "-c", &line]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("hyperv-gen1"), "{said} {}", String::from_utf8_lossy(&output.stderr));
    }
    wimforge(["completions", "bsh"]).says(&["bash"]);
}

//! The examples of `docs/scale-out.md`, as far as they run without their platforms: the Kubernetes job's own command line,
//! index by index, and the Makefile and the script over the same recipes. All make the disks that the plain command makes.
//! `examples/scale-out/check` runs the rest: Bazel, and the files' own linters.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{args, testdata, tool};

use crate::support::{PROGRAM, names, scratch, shell, wimforge};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/scale-out")
}

/// The items of the list that follows the first line with this content, of a YAML file as ours are.
fn list(yaml: &str, key: &str) -> Vec<String> {
    let mut lines = yaml.lines().skip_while(|line| line.trim() != key);
    let indent = lines.next().expect("the key").find(|c| c != ' ').expect("it says something");
    let items = lines.take_while(|line| line.find(|c| c != ' ').is_some_and(|at| at > indent));
    items.map(|line| line.trim().trim_start_matches("- ").trim_matches('"').to_owned()).collect()
}

/// The files of a ConfigMap whose values are literal blocks.
fn config_map(yaml: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = None;
    for line in yaml.lines().skip_while(|line| *line != "data:").skip(1) {
        if let Some(name) = line.strip_prefix("  ").and_then(|line| line.strip_suffix(": |")) {
            open = Some(name.to_owned());
        } else {
            let text: &mut String = files.entry(open.clone().expect("a file comes first")).or_default();
            text.push_str(line.strip_prefix("    ").expect("a line of a block"));
            text.push('\n');
        }
    }
    files
}

/// What a node does with a pod: variables in arguments, mounts, an environment of its own, a status.
fn pod(job: &str, index: usize, volumes: &[(&str, &Path)]) -> Command {
    let mut command = Command::new(PROGRAM);
    for argument in list(job, "args:") {
        let argument = argument.replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
        let mounted =
            volumes.iter().find_map(|(mount, folder)| Some(folder.join(argument.strip_prefix(mount)?)));
        command.arg(mounted.map_or(argument.into(), PathBuf::into_os_string));
    }
    // No home, no path, no temporary folder: nothing but what the file says.
    command.env_clear().env("SOURCE_DATE_EPOCH", "1472000000").env("JOB_COMPLETION_INDEX", index.to_string());
    command
}

#[test]
fn every_index_of_the_job_builds_what_the_command_builds() {
    let scratch = scratch();
    let job = fs::read_to_string(examples().join("kubernetes/job.yaml")).expect("the job");
    assert!(job.contains("value: \"1472000000\""), "the environment is that of the file");
    let recipes =
        config_map(&fs::read_to_string(examples().join("kubernetes/recipes.yaml")).expect("the recipes"));
    let completions =
        job.lines().find_map(|line| line.trim().strip_prefix("completions: ")).expect("a number");
    assert_eq!(recipes.len().to_string(), completions);
    let [folder, media, out, plain] =
        ["recipes", "media", "out", "plain"].map(|name| scratch.path().join(name));
    for folder in [&folder, &media, &out, &plain] {
        fs::create_dir(folder).expect("a folder");
    }
    fs::copy(testdata("nano-small.wim"), media.join("nano.wim")).expect("copied");
    for (name, text) in &recipes {
        fs::write(folder.join(name), text).expect("written");
    }
    let volumes = [("/recipes/", &*folder), ("/media/", &*media), ("/out/", &*out)];
    for index in 0..recipes.len() {
        let ended = pod(&job, index, &volumes).output().expect("it runs");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let (recipe, disk) = (folder.join(format!("{index}.toml")), format!("{index}.vmdk"));
        let line = "SOURCE_DATE_EPOCH=1472000000 exec \"$@\"";
        shell(line, args!["build", "--recipe", &recipe, &media.join("nano.wim"), "-o", &plain.join(&disk)])
            .well();
        assert!(fs::read(out.join(&disk)).unwrap() == fs::read(plain.join(&disk)).unwrap(), "{disk} differs");
    }
    assert!(fs::read(out.join("0.vmdk")).unwrap() != fs::read(out.join("1.vmdk")).unwrap());
    assert_eq!(names(&out), ["0.vmdk", "0.vmdk.json", "1.vmdk", "1.vmdk.json"]);
}

/// What the job does with exit codes is what they mean: those that come again fail the index, the other is tried again.
#[test]
fn the_job_knows_the_exit_codes() {
    let scratch = scratch();
    let job = fs::read_to_string(examples().join("kubernetes/job.yaml")).expect("the job");
    let line = job.lines().find_map(|line| line.trim().strip_prefix("values: [")).expect("the codes");
    let final_codes: Vec<i32> =
        line.trim_end_matches(']').split(", ").map(|code| code.parse().unwrap()).collect();
    assert_eq!(final_codes, [2, 3, 4]);
    let [recipes, media, out] = ["recipes", "media", "out"].map(|name| scratch.path().join(name));
    for folder in [&recipes, &media, &out] {
        fs::create_dir(folder).expect("a folder");
    }
    let mut damaged = fs::read(testdata("nano-small.wim")).expect("a WIM");
    damaged[0x1000] ^= 1;
    let mut beta = fs::read(testdata("nano-small.wim")).expect("a WIM");
    beta[0x0C..0x10].copy_from_slice(&0x1_0A00_u32.to_le_bytes());
    let good = fs::read(testdata("nano-small.wim")).expect("a WIM");
    for (recipe, wim, code) in [
        ("size = 'large'\n", Some(&good), 2),
        ("", Some(&damaged), 3),
        ("", Some(&beta), 4),
        // Storage that is not there yet.
        ("", None, 1),
    ] {
        fs::write(recipes.join("7.toml"), recipe).expect("written");
        let _ = fs::remove_file(media.join("nano.wim"));
        if let Some(wim) = wim {
            fs::write(media.join("nano.wim"), wim).expect("written");
        }
        let ended =
            pod(&job, 7, &[("/recipes/", &recipes), ("/media/", &media), ("/out/", &out)]).output().unwrap();
        assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(names(&out), [""; 0], "nothing is left for the next attempt");
    }
}

#[test]
fn make_and_a_script_build_what_the_command_builds() {
    let Some(make) = tool("make") else { return };
    let scratch = scratch();
    let desk = scratch.path().join("desk");
    crate::determinism::copy(&examples().join("plain"), &desk, &|paths| paths.sort());
    fs::copy(testdata("nano-small.wim"), desk.join("nano.wim")).expect("copied");
    let make = |options: &[&str]| {
        make.command()
            .args(["--silent", "-C"])
            .arg(&desk)
            .args(options)
            .env("WIMFORGE", PROGRAM)
            .output()
            .unwrap()
    };
    assert!(make(&["-j2"]).status.success());
    assert!(make(&["--question"]).status.success(), "nothing changed, and yet there is work");
    let script = Command::new(desk.join("build-all"))
        .args(["nano.wim", "all", "recipes/web1.toml", "recipes/web2.toml", "recipes/web3.toml"])
        .current_dir(&desk)
        .env("WIMFORGE", PROGRAM)
        .output()
        .unwrap();
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    fs::create_dir(desk.join("plain")).expect("a folder");
    for name in ["web1", "web2", "web3"] {
        let (recipe, disk) = (desk.join(format!("recipes/{name}.toml")), format!("{name}.vmdk"));
        let plain = desk.join("plain").join(&disk);
        wimforge(args!["build", "-r", &recipe, &desk.join("nano.wim"), "-o", &plain]).well();
        for folder in ["out", "all"] {
            assert!(
                fs::read(desk.join(folder).join(&disk)).unwrap() == fs::read(&plain).unwrap(),
                "{folder}/{disk}"
            );
        }
    }
    // One that fails is seen, and the others are made.
    fs::write(desk.join("recipes/web2.toml"), "x").expect("written");
    fs::write(desk.join("recipes/web4.toml"), "computer-name = 'web4'\n").expect("written");
    assert!(!make(&["--keep-going"]).status.success());
    assert_eq!(names(&desk.join("out")), ["web1.vmdk", "web2.vmdk", "web3.vmdk", "web4.vmdk"]);
}

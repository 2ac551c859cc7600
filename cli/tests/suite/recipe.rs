//! Recipes: what they say is what is built; what is wrong with them is said with its line; what a build leaves beside its
//! disk. What customising does to an image is seen by others' readers in `nano`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use testkit::{args, testdata};

use crate::support::{PROGRAM, scratch, shell, wimforge};

const SMALL: &str = "nano-small.wim";

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
    fs::write(&path, text).expect("a file");
    path
}

/// A folder with a recipe whose paths are relative to it.
fn recipe(folder: &Path, more: &str) -> std::path::PathBuf {
    fs::copy(testdata(SMALL), folder.join("small.wim")).expect("a copy");
    write(folder, "r.toml", &format!("source = \"small.wim\"\noutput = \"out.vhd\"\n{more}"))
}

#[test]
fn a_recipe_builds_what_the_options_build() {
    let folder = scratch();
    write(folder.path(), "files/a.txt", "hello");
    let path = recipe(
        folder.path(),
        "size = '5GiB'\nlayout = 'mbr1'\ncopy = ['files=\\Tools']\nseed = 'x'\n\
         [[registry]]\nkey = 'HKLM\\SOFTWARE\\X'\nname = 'a'\nvalue = 7\n",
    );
    wimforge(args!["build", "--recipe", &path]).well();
    let by_options = folder.path().join("other.vhd");
    let copy = format!("{}=\\Tools", folder.path().join("files").display());
    wimforge(args![
        "build",
        &testdata(SMALL),
        "-o",
        &by_options,
        "--size",
        "5GiB",
        "-l",
        "mbr1",
        "--copy",
        &copy,
        "--seed",
        "x",
        "--registry",
        r"key=HKLM\SOFTWARE\X,name=a,value=7,type=dword",
    ])
    .well();
    let disk = folder.path().join("out.vhd");
    assert!(fs::read(&disk).unwrap() == fs::read(&by_options).unwrap(), "the disks differ");
    let read = wimforge(args!["cat", &format!("{}:1/Tools/a.txt", disk.display())]).well();
    assert_eq!(read.stdout, b"hello");
}

#[test]
fn what_the_command_line_says_goes_on_top() {
    let folder = scratch();
    let path = recipe(folder.path(), "size = '5GiB'\nowner = 'a'\npreset = ['ems', './mine.toml']\n");
    write(folder.path(), "mine.toml", "owner = 'b'\norganization = 'c'\nsize = '9GiB'\n");
    let output = folder.path().join("else.vmdk");
    let ended = wimforge(args!["build", "-r", &path, "-o", &output, "--size", "6GiB", "--dry-run"]).well();
    let text = String::from_utf8(ended.stdout).unwrap();
    let resolved = text.split("\nwould build").next().unwrap();
    for line in ["size = \"6GiB\"", "owner = \"a\"", "organization = \"c\"", "ems = \"1,115200\""] {
        assert!(resolved.contains(line), "no {line} in {resolved}");
    }
    assert!(!output.exists());
    // What is printed is a recipe, and means the same.
    let printed = write(folder.path(), "printed.toml", resolved);
    let again = wimforge(args!["build", "-r", &printed, "--dry-run"]).well();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
}

#[test]
fn mistakes_are_named_with_their_line() {
    let folder = scratch();
    for (more, says) in [
        ("computer-nam = 'x'\n", "r.toml:3: unknown key \"computer-nam\"; did you mean \"computer-name\"?"),
        ("size = '40GB'\n", "r.toml:3"),
        ("[[account]]\nname = 'a'\npasword = 'b'\n", "did you mean \"password\"?"),
        ("preset = ['vagrent']\n", "no preset \"vagrent\""),
        ("x", "r.toml:3"),
    ] {
        let path = recipe(folder.path(), more);
        wimforge(args!["build", "-r", &path]).badly(&[2]).says(&[says]);
    }
    wimforge(args!["build", "-r", &folder.path().join("none.toml")]).badly(&[1]).says(&["none.toml"]);
    let path = write(folder.path(), "empty.toml", "");
    wimforge(args!["build", "-r", &path]).badly(&[2]).says(&["source"]);
}

#[test]
fn presets_can_be_read() {
    let list = wimforge(args!["preset"]).well();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().count() >= 6 && list.contains("winrm-https"), "{list}");
    let folder = scratch();
    let text = wimforge(args!["preset", "vagrant"]).well().stdout;
    let copy = write(folder.path(), "v.toml", std::str::from_utf8(&text).unwrap());
    let path = recipe(folder.path(), "");
    let dry = |preset: &std::ffi::OsStr| {
        let ended = wimforge(args!["build", "-r", &path, "--preset", preset, "--dry-run", "--json"]);
        serde_json::from_slice::<Value>(&ended.stdout).unwrap_or(Value::Null)["recipe"].clone()
    };
    assert_eq!(dry("vagrant".as_ref()), dry(copy.as_os_str()));
    wimforge(args!["preset", "nothing"]).badly(&[2]).says(&["winrm-https"]);
}

#[test]
fn a_certificate_is_made_once() {
    let folder = scratch();
    let path = recipe(folder.path(), "computer-name = 'n1'\nwinrm-https = true\n");
    let (key, pem) = (folder.path().join("out.winrm.key"), folder.path().join("out.winrm.pem"));
    // A dry run leaves nothing.
    wimforge(args!["build", "-r", &path, "--dry-run"]).well();
    assert!(!key.exists() && !pem.exists());
    wimforge(args!["build", "-r", &path]).well();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read(folder.path().join("out.vhd")).unwrap();
    let (first_key, first_pem) = (fs::read(&key).unwrap(), fs::read(&pem).unwrap());
    wimforge(args!["build", "-r", &path, "--force", "-j1"]).well();
    assert!(first == fs::read(folder.path().join("out.vhd")).unwrap(), "the same key makes another disk");
    assert!(first_key == fs::read(&key).unwrap() && first_pem == fs::read(&pem).unwrap());
    // Another certificate in the way is not written over.
    fs::write(&pem, "somebody's").unwrap();
    wimforge(args!["build", "-r", &path, "-o", &folder.path().join("out.vmdk")])
        .badly(&[2])
        .says(&["out.winrm.pem"]);
    assert!(!folder.path().join("out.vmdk").exists());
    // Nobody knows for whom.
    let path = recipe(folder.path(), "winrm-https = true\n");
    wimforge(args!["build", "-r", &path, "--force"]).badly(&[2]).says(&["computer-name"]);
}

#[test]
fn the_manifest_says_what_went_in() {
    let folder = scratch();
    write(folder.path(), "pw", "Secret-1234\n");
    write(folder.path(), "files/a.txt", "hello");
    let path = recipe(folder.path(), "copy = ['files=\\Tools']\nadmin-password-file = 'pw'\n");
    let log = folder.path().join("log");
    wimforge(args!["build", "-r", &path, "--manifest", "--log", &log]).well();
    let manifest = fs::read_to_string(folder.path().join("out.vhd.json")).unwrap();
    let json: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(json["schema"], "wimforge.manifest/1");
    let sum = shell(&format!("sha256sum {}", folder.path().join("out.vhd").display()), [""; 0]).well();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(json["output"]["sha256"], sum.split(' ').next().unwrap());
    let input = |option: &str| {
        let inputs = json["inputs"].as_array().unwrap();
        inputs.iter().find(|input| input["option"] == option).unwrap_or_else(|| panic!("no {option}")).clone()
    };
    assert_eq!(input("source")["size"], fs::metadata(testdata(SMALL)).unwrap().len());
    assert_eq!(input("copy")["size"], 5);
    // Not even a hash of what is secret.
    assert_eq!(input("admin-password-file")["sha256"], Value::Null);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("copied ") && log.contains("password of Administrator"), "{log}");
    for text in [&manifest, &log] {
        assert!(!text.contains("Secret-1234"));
    }
}

#[test]
fn passwords_come_from_descriptors_and_standard_input() {
    let folder = scratch();
    let path = recipe(folder.path(), "");
    let build = |how: &str, name: &str| {
        let output = folder.path().join(name);
        let command = format!(
            "{how} {PROGRAM} build -r {} -o {} --admin-password-file",
            path.display(),
            output.display()
        );
        (command, output)
    };
    let (stdin, by_stdin) = build("printf 'Pass-word1\\n' |", "a.vhd");
    shell(&format!("{stdin} -"), [""; 0]).well();
    let password = write(folder.path(), "pw", "Pass-word1");
    let (descriptor, by_descriptor) = build(&format!("exec 3<{};", password.display()), "b.vhd");
    shell(&format!("{descriptor} /dev/fd/3"), [""; 0]).well();
    assert!(fs::read(by_stdin).unwrap() == fs::read(by_descriptor).unwrap(), "the disks differ");
    let (empty, _) = build("", "c.vhd");
    shell(&format!("{empty} - </dev/null"), [""; 0]).badly(&[2]).says(&["empty"]);
    // There is no option that takes one.
    let refused = wimforge(args!["build", "-r", &path, "--account", "name=a,password=Pass-word2"]);
    assert!(!refused.stderr.contains("Pass-word2"), "{}", refused.stderr);
    refused.badly(&[2]).says(&["password-file"]);
}

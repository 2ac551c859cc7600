//! `info`, `ls`, `cat` and `extract`: what they say is compared with what wimlib, 7-Zip, qemu and sfdisk say, and what they
//! write with what wimlib and 7-Zip write.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use disk::FileTime;
use serde_json::Value;
use testkit::disk::{Format, inspect, partitions};
use testkit::tree::{Tree, hash, show};
use testkit::wimfile::{Entry, Layout, REPARSE_POINT, TAG_SYMLINK, WimFile, symlink_data};
use testkit::{args, content, fixture, samples, testdata, tool};

use crate::support::{PROGRAM, build, names, scratch, shell, wimforge};

const SMALL: &str = "nano-small.wim";
const TWO: &str = "nano-small-two.wim";

#[track_caller]
fn json(arguments: &[&std::ffi::OsStr]) -> Value {
    let ended = wimforge(arguments).well();
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

/// What lies in a directory, by path from it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Directory { written: (i64, i64) },
    File { data: Vec<u8>, written: (i64, i64), links: u64 },
    Link(PathBuf),
}

fn walk(root: &Path) -> BTreeMap<String, Found> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("it is there");
            let written = (metadata.mtime(), metadata.mtime_nsec());
            let name = path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_owned();
            let what = if metadata.is_symlink() {
                Found::Link(std::fs::read_link(&path).expect("a link"))
            } else if metadata.is_dir() {
                directories.push(path);
                Found::Directory { written }
            } else {
                Found::File { data: std::fs::read(&path).expect("a file"), written, links: metadata.nlink() }
            };
            found.insert(name, what);
        }
    }
    found
}

/// Extracts `wim` with `options` to `to`.
#[track_caller]
fn extract(wim: &Path, to: &Path, options: &[&str]) -> crate::support::Ended {
    wimforge(args!["extract", wim, "-C", to].into_iter().chain(options.iter().map(std::ffi::OsStr::new)))
}

fn save(wim: &WimFile, directory: &Path) -> PathBuf {
    let path = directory.join("made.wim");
    wim.save(&path);
    path
}

#[test]
fn extracts_what_wimlib_and_seven_zip_extract() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    for (wim, index) in [(SMALL, "1"), (TWO, "2")] {
        let wim = testdata(wim);
        let scratch = scratch();
        let (ours, theirs) = (scratch.path().join("ours"), scratch.path().join("theirs"));
        let ended = extract(&wim, &ours, &["--image", index]).well();
        let meant = Tree::of_wim(&wim, index.parse().expect("a number")).expect("wimlib is there");
        wimlib.run(args!["apply", "--quiet", &wim, index, &theirs]);
        let (ours, theirs) = (walk(&ours), walk(&theirs));

        let (mut files, mut links) = (0, 0);
        let mut left_out = Vec::new();
        for (path, node) in &meant.nodes {
            let path = show(path).trim_start_matches('/').to_owned();
            if path.is_empty() {
                continue;
            }
            match (ours.get(&path), theirs.get(&path)) {
                (None, _) => left_out.push(path),
                (Some(Found::Link(ours)), Some(Found::Link(theirs))) => {
                    assert!(node.reparse.is_some());
                    // wimlib writes absolute links with the directory that it extracts to.
                    if theirs.is_relative() {
                        assert_eq!(ours, theirs, "{path}");
                    }
                    links += 1;
                }
                (Some(ours), Some(theirs)) => {
                    assert!(ours == theirs, "{path} differs");
                    files += 1;
                }
                (Some(_), None) => panic!("{path}: only we have it"),
            }
        }
        assert!(files > 120 && links == 4, "{files} files, {links} links");
        assert_eq!(left_out, ["ProgramData/unknown tag"]);
        for said in ["/ProgramData/unknown tag: reparse point left out", "named streams", "8.3 names"] {
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
        }
        // Nothing more than the image has.
        assert_eq!(ours.len() + 1 + left_out.len(), meant.nodes.len());

        let links = |path: &str| match &ours[path] {
            Found::Link(target) => target.to_str().expect("UTF-8").to_owned(),
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(links("Documents and Settings"), "Users");
        assert_eq!(links("Users/All Users"), "../ProgramData");
        assert_eq!(links("Users/Public/relative directory link"), "../Public/Documents");

        let Some(seven_zip) = tool("7zz") else { return };
        let unpacked = scratch.path().join("unpacked");
        // It fails over the reparse points that it does not know, after all else.
        let to = format!("-o{}", unpacked.display());
        seven_zip.command().args(args!["x", "-y", "-bd", &to, &wim]).output().expect("7-Zip runs");
        // 7-Zip gives each image of several a directory.
        let unpacked = if wim.ends_with(TWO) { unpacked.join(index) } else { unpacked };
        let unpacked = walk(&unpacked);
        let mut same = 0;
        for (path, found) in &ours {
            if let (Found::File { data, .. }, Some(Found::File { data: theirs, .. })) =
                (found, unpacked.get(path))
            {
                assert!(data == theirs, "{path} differs from 7-Zip's");
                same += 1;
            }
        }
        assert!(same > 100, "{same}");
    }
}

#[test]
fn hard_links_and_times_are_kept() {
    let scratch = scratch();
    let out = scratch.path().join("out");
    extract(&testdata(SMALL), &out, &[]).well();
    let inode = |path: &str| std::fs::metadata(out.join(path)).expect("a file").ino();
    assert_eq!(inode("Windows/WinSxS/Backup/kernel copy.exe"), inode("Windows/System32/kernel.exe"));
    assert_eq!(inode("Windows/System32/drivers/k"), inode("Windows/System32/kernel.exe"));
    // 1468675137.1234567 s for all that were given no other time.
    let readme = std::fs::metadata(out.join("readme.txt")).expect("a file");
    assert_eq!((readme.mtime(), readme.mtime_nsec()), (1_468_675_137, 123_456_700));
    let directory = std::fs::metadata(out.join("Windows/System32")).expect("a directory");
    assert_eq!((directory.mtime(), directory.mtime_nsec()), (1_468_675_137, 123_456_700));
}

#[test]
fn a_second_extraction_replaces_only_by_force() {
    let wim = testdata(SMALL);
    let scratch = scratch();
    let out = scratch.path().join("out");
    let options = ["Users", "Documents and Settings"];
    extract(&wim, &out, &options).well();
    let before = walk(&out);
    extract(&wim, &out, &["Users"]).badly(&[2]).says(&["exists", "--force"]);
    extract(&wim, &out, &["Documents and Settings"]).badly(&[2]).says(&["exists", "--force"]);
    let documents = out.join("Users/Public/Documents");
    std::fs::write(documents.join("text 100.txt"), "changed").expect("written");
    std::fs::write(documents.join("mine.txt"), "mine").expect("written");
    // A link in a file's place goes, what it leads to stays.
    let precious = scratch.path().join("precious");
    std::fs::write(&precious, "precious").expect("written");
    std::fs::remove_file(documents.join("text 500.txt")).expect("a file");
    symlink(&precious, documents.join("text 500.txt")).expect("a link");
    extract(&wim, &out, &[&options[..], &["--force"]].concat()).well();
    assert_eq!(std::fs::read(&precious).expect("still there"), b"precious");
    assert_eq!(std::fs::read(documents.join("mine.txt")).expect("still there"), b"mine");
    let after = walk(&out);
    for (path, before) in &before {
        assert!(after.get(path) == Some(before), "{path} is another");
    }

    // A directory is never replaced by a file, nor gone through when it is a link, nor is a file by a directory.
    std::fs::remove_file(documents.join("text 500.txt")).expect("a file");
    std::fs::create_dir(documents.join("text 500.txt")).expect("a directory");
    extract(&wim, &out, &["Users", "--force"]).badly(&[1]).says(&["text 500.txt", "directory"]);
    let elsewhere = scratch.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a directory");
    let other = scratch.path().join("other");
    std::fs::create_dir(&other).expect("a directory");
    symlink(&elsewhere, other.join("Users")).expect("a link");
    extract(&wim, &other, &["Users", "--force"]).badly(&[1]).says(&["Users", "a link is where a directory"]);
    assert_eq!(names(&elsewhere), [""; 0]);
    std::fs::write(other.join("Windows"), "a file").expect("written");
    extract(&wim, &other, &["Windows", "--force"])
        .badly(&[1])
        .says(&["Windows", "a file is where a directory"]);
}

#[test]
fn where_nothing_can_be_written() {
    let wim = testdata(SMALL);
    let scratch = scratch();
    let file = scratch.path().join("file");
    std::fs::write(&file, "a file").expect("written");
    extract(&wim, &file, &[]).badly(&[1]).says(&["file"]);
    extract(&wim, &file.join("below"), &[]).badly(&[1]).says(&["below"]);
    extract(&wim, Path::new("/proc/wimforge"), &[]).badly(&[1]).says(&["/proc/wimforge"]);
    assert_eq!(std::fs::read(file).expect("still there"), b"a file");
    // A file system that is full: no half file.
    let out = scratch.path().join("out");
    let line = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    shell(line, args!["extract", &wim, "-C", &out, "-j1"]).badly(&[1]).says(&["writing"]);
    let found = walk(&out);
    let Some(tree) = Tree::of_wim(&wim, 1) else { return };
    let whole = walk_of_image(&wim, scratch.path());
    assert!(tree.nodes.len() > found.len());
    for (path, found) in found {
        if let (Found::File { data, .. }, Found::File { data: meant, .. }) = (found, &whole[&path]) {
            assert!(data == *meant, "{path} is not whole");
        }
    }
}

fn walk_of_image(wim: &Path, scratch: &Path) -> BTreeMap<String, Found> {
    let out = scratch.join("whole");
    extract(wim, &out, &[]).well();
    walk(&out)
}

#[test]
fn parts_of_an_image_go_to_their_own_places() {
    let wim = testdata(SMALL);
    let scratch = scratch();
    let whole = walk_of_image(&wim, scratch.path());
    let part = |paths: &[&str]| {
        let out = tempfile::tempdir_in(scratch.path()).expect("a directory");
        let ended = extract(&wim, out.path(), paths).well();
        let found = walk(out.path());
        for (path, found) in &found {
            // Fewer names of a file were asked for, perhaps.
            let same = match (found, &whole[path]) {
                (Found::File { data, written, .. }, Found::File { data: meant, written: time, .. }) => {
                    data == meant && written == time
                }
                (found, meant) => found == meant,
            };
            assert!(same, "{paths:?}: {path}");
        }
        (found.into_keys().collect::<BTreeSet<_>>(), ended)
    };
    let meant = |wanted: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        whole.keys().filter(|path| wanted(path)).cloned().collect()
    };
    let above = |path: &str| ["Windows", "Windows/System32"].contains(&path);
    let (modules, ended) = part(&["windows\\SYSTEM32\\Module?.dll"]);
    assert_eq!(modules, meant(&|path| above(path) || path.starts_with("Windows/System32/module")));
    assert_eq!(modules.len(), 10);
    assert!(ended.stdout.starts_with(b"extracted 8 files, 2 directories, 0 hard links"));
    assert_eq!(part(&["Windows/System32/module[1-3].dll"]).0.len(), 5);
    // Roots inside each other, and twice, in any order.
    let system = meant(&|path| path == "Windows" || path.starts_with("Windows/"));
    for roots in [
        &["Windows"][..],
        &["Windows/System32/kernel.exe", "Windows/System32", "Windows", "Windows/*"],
        &["Windows", "Windows", "windows/System32/kernel.exe"],
    ] {
        assert_eq!(part(roots).0, system, "{roots:?}");
    }
    assert_eq!(part(&["/"]).0, whole.keys().cloned().collect());
    assert_eq!(part(&["readme.txt", "/"]).0, whole.keys().cloned().collect());
    // One of two names: a file of its own.
    let (one, _) = part(&["Windows/System32/drivers/k"]);
    assert_eq!(one.len(), 4);
    // Short names do, too.
    assert!(part(&["DOCUME~1"]).0.contains("Documents and Settings"));

    let ended = extract(&wim, &scratch.path().join("none"), &["readme.txt", "no/such/*"]).badly(&[1]);
    ended.says(&["no/such/*", "`wimforge ls`"]);
    assert!(!scratch.path().join("none").exists());
    let report = json(&args!["extract", &wim, "Windows", "-C", &scratch.path().join("json"), "--json"]);
    assert_eq!(report["schema"], "wimforge.extract/1");
    assert_eq!(report["extracted"]["files"].as_u64().expect("a number"), 8 + 1 + 12 + 24 + 6 + 5 + 3 + 41);
    assert_eq!(report["extracted"]["hard_links"], 8 + 3);
    assert_eq!(report["extracted"]["copied_links"], 0);
}

/// Links of an image, and what is written through them: nothing, and none leads outside, not even over another.
#[test]
fn links_lead_nowhere_else() {
    let scratch = scratch();
    let mut wim = WimFile::new();
    let image = wim.image("Links");
    let root = image.root();
    let link = |name: &str, target: &str| Entry::reparse_point(name, TAG_SYMLINK, symlink_data(target));
    for target in
        ["..", "../x", "a\\..\\..\\x", "/etc/passwd", "\\etc", "\\??\\UNC\\server\\share", "\\??\\C:\\..\\x"]
    {
        let name: String = target.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        image.add(root, link(&format!("out {name}"), target));
    }
    let first = image.add(root, Entry::directory("first"));
    let second = image.add(first, Entry::directory("second"));
    image.add(second, link("up", "..\\.."));
    // After `up` each `..` would lead out of the destination.
    image.add(root, link("over", "first\\second\\up\\..\\..\\..\\escape"));
    image.add(root, link("over and in", "first\\second\\up\\..\\..\\x"));
    // A link, and a directory of the same name with files to be written through it.
    image.add(root, link("twice", "\\??\\C:\\first").attributes(REPARSE_POINT));
    let twice = image.add(root, Entry::directory("twice"));
    image.add(twice, Entry::file("through.txt", "through"));
    image.add(root, link("Twice", "first"));
    let other = image.add(root, Entry::directory("TWICE"));
    image.add(other, Entry::file("through.txt", "through"));
    let wim = save(&wim, scratch.path());

    let out = scratch.path().join("1/2/3/out");
    let ended = extract(&wim, &out, &[]).well();
    let found = walk(&out);
    let real = out.canonicalize().expect("a directory");
    for (path, what) in &found {
        if let Found::Link(target) = what {
            let from = out.join(path);
            let to = from.parent().expect("a directory").canonicalize().expect("real").join(target);
            // Where it leads, or would, if all that is missing were directories.
            let to = to.canonicalize().unwrap_or_else(|_| lexical(&to));
            assert!(to.starts_with(&real), "{path} -> {} leads to {}", target.display(), to.display());
        }
    }
    assert_eq!(found["first/second/up"], Found::Link("../..".into()));
    assert_eq!(found["over and in"], Found::Link("first/x".into()));
    assert_eq!(found["over"], Found::Link("escape".into()));
    assert_eq!(found["out _etc"], Found::Link("etc".into()));
    assert_eq!(ended.stderr.matches("reparse point left out").count(), 6, "{}", ended.stderr);
    assert!(ended.stderr.contains("/out _etc_passwd: reparse point left out"), "{}", ended.stderr);
    assert_eq!(names(&scratch.path().join("1/2/3")), ["out"]);
    assert_eq!(names(&out.join("first")), ["second"]);
    assert!(matches!(found["TWICE/through.txt"], Found::File { .. }));
    // The second extraction meets the links of the first.
    extract(&wim, &out, &["--force"]).well();
    assert_eq!(walk(&out), found);
}

fn lexical(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        if part == std::path::Component::ParentDir {
            path.pop();
        } else {
            path.push(part);
        }
        path
    })
}

#[test]
fn names_that_the_host_cannot_have_are_changed_and_said() {
    let scratch = scratch();
    let mut wim = WimFile::new();
    let image = wim.image("Names");
    let root = image.root();
    let mut add = |units: Vec<u16>, data: &str| {
        let mut entry = Entry::file("x", data);
        entry.name = units;
        image.add(root, entry);
    };
    add(vec![0xD800], "one");
    add(vec![0xDC00], "two");
    add(vec![0xFFFD], "three");
    add("ű".repeat(255).encode_utf16().collect(), "four");
    add(("ű".repeat(254) + "x").encode_utf16().collect(), "five");
    add("\u{1b}[31mred\n".encode_utf16().collect(), "six");
    for name in ["CON", "trailing dot.", "C:", "a:b", "case", "CASE"] {
        add(name.encode_utf16().collect(), name);
    }
    let wim = save(&wim, scratch.path());
    let out = scratch.path().join("out");
    let ended = extract(&wim, &out, &[]).well();
    let mut contents: Vec<String> = walk(&out)
        .into_values()
        .map(|found| match found {
            Found::File { data, .. } => String::from_utf8(data).expect("text"),
            other => panic!("{other:?}"),
        })
        .collect();
    contents.sort();
    let mut meant =
        ["one", "two", "three", "four", "five", "six", "CON", "trailing dot.", "C:", "a:b", "case", "CASE"];
    meant.sort_unstable();
    assert_eq!(contents, meant);
    assert_eq!(std::fs::read(out.join("\u{FFFD}")).expect("the honest one"), b"three");
    assert_eq!(ended.stderr.matches("written as").count(), 4, "{}", ended.stderr);
    // One alone gets the same name, and no terminal is moved by one.
    let alone = scratch.path().join("alone");
    extract(&wim, &alone, &["C:", "ű*x"]).well();
    assert!(names(&alone).iter().all(|name| out.join(name).exists()), "{:?}", names(&alone));
    let listed = wimforge(args!["ls", &wim]).well();
    assert_eq!(listed.stdout.iter().filter(|&&byte| byte == b'\n').count(), 12);
    assert!(!listed.stdout.contains(&0x1B));
    assert_eq!(wimforge(args!["cat", &wim, "C:"]).well().stdout, b"C:");
    assert_eq!(wimforge(args!["cat", &wim, "a:b"]).well().stdout, b"a:b");
}

#[test]
fn encrypted_files_and_their_links_are_left_out() {
    let scratch = scratch();
    let mut wim = WimFile::new();
    let image = wim.image("Encrypted");
    let root = image.root();
    let file = image.add(root, Entry::file("secret", "ciphertext").attributes(0x4020));
    image.link(file, root, "secret too");
    let directory = image.add(root, Entry::directory("folder").attributes(0x4010));
    image.add(directory, Entry::file("plain.txt", "plain"));
    let wim = save(&wim, scratch.path());
    let out = scratch.path().join("out");
    let ended = extract(&wim, &out, &[]).well();
    assert_eq!(walk(&out).into_keys().collect::<Vec<_>>(), ["folder", "folder/plain.txt"]);
    for name in ["/secret: encrypted", "/secret too: encrypted"] {
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
    }
}

#[test]
fn empty_images_and_times_out_of_range() {
    let scratch = scratch();
    let mut wim = WimFile::new();
    wim.image("Empty");
    let image = wim.image("Times");
    let root = image.root();
    for (name, time) in [("zero", 0), ("one", 1), ("largest", u64::MAX), ("signed", i64::MAX as u64)] {
        image.add(root, Entry::file(name, "x").times(time, time, time));
        image.add(root, Entry::directory(&format!("directory {name}")).times(time, time, time));
    }
    let wim = save(&wim, scratch.path());
    let out = scratch.path().join("out");
    extract(&wim, &out, &["-i", "1"]).well();
    assert_eq!(names(&out), [""; 0]);
    assert_eq!(wimforge(args!["ls", "-R", &wim, "-i", "1"]).well().stdout, b"");
    let listed = json(&args!["ls", &wim, "-i", "1", "--json"]);
    assert_eq!(listed["entries"], serde_json::json!([]));
    extract(&wim, &out, &["-i", "Times"]).well();
    assert_eq!(names(&out).len(), 8);
}

#[test]
fn damaged_content_is_code_three_and_not_left_behind() {
    let source = testdata(SMALL);
    let mut bytes = std::fs::read(&source).expect("the fixture");
    let Some(tree) = Tree::of_wim(&source, 1) else { return };
    let random = tree
        .nodes
        .iter()
        .find(|(path, _)| show(path).ends_with("/random.bin"))
        .map(|(_, node)| node.data)
        .expect("the fixture has it");
    let layout = Layout::of(&source);
    let resource = layout.resources.iter().find(|resource| resource.hash == random).expect("its blob");
    bytes[usize::try_from((resource.range.start + resource.range.end) / 2).expect("small")] ^= 1;
    let scratch = scratch();
    let wim = scratch.path().join("damaged.wim");
    std::fs::write(&wim, bytes).expect("written");
    let path = "Users/Public/Documents/random.bin";
    wimforge(args!["cat", &wim, path]).badly(&[3]).says(&["damaged.wim", "random.bin", "SHA-1"]);
    let out = scratch.path().join("out");
    extract(&wim, &out, &[path]).badly(&[3]).says(&["damaged.wim", "random.bin"]);
    assert_eq!(names(&out.join("Users/Public/Documents")), [""; 0]);
    // The rest can be had.
    extract(&wim, &out, &["Windows", "readme.txt"]).well();
    wimforge(args!["ls", "-R", &wim]).well();
}

#[test]
fn an_interrupted_extraction_leaves_whole_files() {
    let Some(kill) = tool("kill") else { return };
    let scratch = scratch();
    let wim = scratch.path().join("many.wim");
    fixture::many(10_000).save(&wim);
    let sizes: BTreeMap<String, u64> = json(&args!["ls", "-R", "--json", &wim])["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| Some((entry["path"].as_str()?.to_owned(), entry["size"].as_u64()?)))
        .collect();
    assert_eq!(sizes.len(), 10_000);
    for attempt in 0..20 {
        let out = scratch.path().join(format!("out {attempt}"));
        let mut child = Command::new(PROGRAM)
            .args(args!["extract", &wim, "-C", &out, "-j", "1", "--quiet"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let start = Instant::now();
        while !out.join("part 000").exists() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
        kill.command().args(["-INT", &child.id().to_string()]).output().expect("kill");
        let status = child.wait().expect("a child of ours");
        if status.code() == Some(130) {
            let found = walk(&out);
            for (path, found) in &found {
                if let Found::File { data, .. } = found {
                    assert_eq!(data.len() as u64, sizes[&format!("/{path}")], "{path}");
                }
            }
            return;
        }
        assert_eq!(status.code(), Some(0), "{status:?}");
    }
    panic!("the signal never came in time");
}

/// Every field of every path, against a reader of metadata that is not ours and wimlib's own listing.
#[test]
fn lists_what_wimlib_lists() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let scratch = scratch();
    let ids = scratch.path().join("ids.wim");
    fixture::ids_and_attributes().save(&ids);
    for (wim, index) in [(testdata(SMALL), 1), (testdata(TWO), 2), (ids, 1)] {
        let number = index.to_string();
        let tree = Tree::of_wim(&wim, index).expect("wimlib is there");
        let theirs = wimlib.text(args!["dir", &wim, &number]);
        let theirs: BTreeSet<&str> = theirs.lines().filter(|path| *path != "/").collect();
        let ours = wimforge(args!["ls", "-R", &wim, "-i", &number]).well();
        let ours = String::from_utf8(ours.stdout).expect("UTF-8");
        assert_eq!(ours.lines().collect::<BTreeSet<_>>(), theirs);

        let listed = json(&args!["ls", "-R", &wim, "-i", &number, "--json"]);
        assert_eq!(listed["schema"], "wimforge.ls/1");
        let entries: BTreeMap<&str, &Value> = listed["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| (entry["path"].as_str().expect("a path"), entry))
            .collect();
        assert_eq!(entries.len() + 1, tree.nodes.len());
        let groups = tree.link_groups();
        for (path, node) in &tree.nodes {
            let units = path;
            let path = show(path);
            if path == "/" {
                continue;
            }
            let entry = entries[path.as_str()];
            assert_eq!(entry["attributes"], node.attributes, "{path}");
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            assert_eq!(text("short_name"), show(&node.short_name), "{path}");
            for (name, time) in [("created", 0), ("accessed", 1), ("written", 2)] {
                assert_eq!(text(name), FileTime(node.times[time]).to_string(), "{path}");
            }
            let of = |found: &testkit::wimfile::Hash| {
                if *found == [0; 20] { String::new() } else { hash(found) }
            };
            if node.reparse.is_none() {
                assert_eq!(text("sha1"), of(&node.data), "{path}");
            }
            let streams: BTreeMap<String, String> = entry["streams"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|stream| {
                    let text = |name: &str| stream[name].as_str().unwrap_or_default().to_owned();
                    (text("name"), text("sha1"))
                })
                .collect();
            let meant: BTreeMap<String, String> =
                node.streams.iter().map(|(name, hash)| (show(name), of(hash))).collect();
            assert_eq!(streams, meant, "{path}");
            match &node.reparse {
                Some((tag, data)) => {
                    assert_eq!(entry["reparse"]["tag"], format!("{tag:#010x}"), "{path}");
                    assert_eq!(entry["reparse"]["sha1"], hash(data), "{path}");
                }
                None => assert_eq!(entry["reparse"], Value::Null, "{path}"),
            }
            assert_eq!(entry["security"].is_null(), node.security.is_none(), "{path}");
            let links: BTreeSet<String> = entry["other_links"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|link| link.as_str().expect("a path").to_owned())
                .chain([path.clone()])
                .collect();
            let group = groups.iter().find(|group| group.contains(units));
            let meant = group.map_or([path.clone()].into(), |group| group.iter().map(|p| show(p)).collect());
            assert_eq!(links, meant, "{path}");
            assert_eq!(entry["links"].as_u64().expect("a number"), links.len() as u64, "{path}");
            let object_ids = node.tagged.iter().filter(|(tag, _)| *tag == testkit::wimfile::ITEM_OBJECT_ID);
            assert_eq!(usize::from(!entry["object_id"].is_null()), object_ids.count(), "{path}");
            let eas = entry["extended_attributes"].as_array().expect("a list").len();
            assert_eq!(
                eas > 0,
                node.tagged.iter().any(|(tag, _)| *tag == testkit::wimfile::ITEM_EXTENDED_ATTRIBUTES),
                "{path}"
            );
        }
    }
}

#[test]
fn what_a_long_and_a_detailed_list_show() {
    let wim = testdata(SMALL);
    let text = |arguments: &[&str]| {
        let ended = wimforge([&["ls", wim.to_str().expect("UTF-8")], arguments].concat()).well();
        String::from_utf8(ended.stdout).expect("UTF-8")
    };
    // Descriptors as text: the words of SDDL, by hand from testkit's lists of entries.
    const INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
    for (path, security) in [
        (
            "Windows/System32/kernel.exe",
            format!(
                "O:{INSTALLER}G:{INSTALLER}D:(A;;FA;;;{INSTALLER})(A;;0x1200a9;;;SY)(A;;0x1200a9;;;BA)(A;;0x1200a9;;;BU)"
            ),
        ),
        ("Users/Public/PLAIN.TXT", "O:BAG:BAD:(A;OICI;FA;;;BU)(D;;SD;;;WD)".to_owned()),
        (
            "Windows/System32/config/readonly",
            "O:SYG:BAD:(A;;FA;;;SY)(A;OICIIO;GA;;;CO)S:(ML;;NW;;;HI)".to_owned(),
        ),
        ("DOCUME~1", "O:SYG:SYD:".to_owned()),
        ("Windows/System32/config/1874", "O:WDG:WDD:NO_ACCESS_CONTROL".to_owned()),
    ] {
        let shown = text(&[path, "--detailed"]);
        let line = shown.lines().find_map(|line| line.strip_prefix("  security     ")).expect("a descriptor");
        // wimlib and the file system may have set the bit that says how the list came about.
        assert_eq!(line.replace("D:AI(", "D:("), security, "{path}");
    }
    let detailed = text(&["Users/Public/Documents/streams.txt", "--detailed"]);
    for line in ["(data)", ":Zone.Identifier", ":large", ":empty", ":Ünïcode ☃"] {
        assert!(
            detailed.lines().any(|found| found.starts_with("  stream") && found.ends_with(line)),
            "{detailed}"
        );
    }
    let detailed = text(&["Documents and Settings", "--detailed"]);
    assert!(detailed.contains("tag 0xa0000003 \\??\\C:\\Users"), "{detailed}");
    assert!(text(&["Windows/System32/kernel.exe", "--detailed"]).matches("  also  ").count() == 3);
    assert_eq!(
        text(&["Windows/System32/kernel.exe", "-l"]),
        "---sa-----       150000 2016-07-16T13:18:57.1234567Z kernel.exe\n"
    );
    assert_eq!(text(&["users\\public\\document[s]"]), text(&["Users/Public/Documents"]));
    assert_eq!(text(&["Windows/System32/*.DLL"]).lines().count(), 8 + 5);
    assert!(
        text(&["Windows/System32/mod*", "-l"]).lines().all(|line| line.contains(" /Windows/System32/module"))
    );
    assert_eq!(text(&["*/System32/module[!0-6].dll"]), "module7.dll\n");
    wimforge(args!["ls", &wim, "Windows/nothing"]).badly(&[1]).says(&["Windows/nothing", "`wimforge ls`"]);
    wimforge(args!["ls", &wim, "noth[i]ng*"]).badly(&[1]).says(&["noth[i]ng*"]);
}

#[test]
fn cats_what_wimlib_extracts() {
    let wim = testdata(SMALL);
    let cat = |path: &str| wimforge(args!["cat", &wim, path]);
    let documents = "Users/Public/Documents";
    // What was put in.
    assert_eq!(cat(&format!("{documents}/streams.txt")).well().stdout, b"the unnamed one");
    for (stream, data) in [
        ("Zone.Identifier", b"[ZoneTransfer]\r\nZoneId=3\r\n".to_vec()),
        ("zone.identifier:$data", b"[ZoneTransfer]\r\nZoneId=3\r\n".to_vec()),
        ("large", content::text(500, 90_000)),
        ("empty", Vec::new()),
        ("Ünïcode ☃", b"snow".to_vec()),
        ("", b"the unnamed one".to_vec()),
        (":$DATA", b"the unnamed one".to_vec()),
    ] {
        assert!(cat(&format!("{documents}/streams.txt:{stream}")).well().stdout == data, "{stream:?}");
    }
    assert_eq!(cat("Users/Public/streams on a directory:resident").well().stdout, b"short");
    assert_eq!(cat("/users\\PUBLIC/LONGFI~1.TXT").well().stdout, b"Long file name.txt");
    assert_eq!(cat(&format!("{documents}/empty.txt")).well().stdout, b"");
    cat(&format!("{documents}/streams.txt:no"))
        .badly(&[1])
        .says(&["no stream \"no\"", "\"Zone.Identifier\""]);
    cat("readme.txt:no").badly(&[1]).says(&["it has no named streams"]);
    cat("no.txt").badly(&[1]).says(&["no.txt", "`wimforge ls`"]);
    cat("Windows").badly(&[1]).says(&["is a directory", "`wimforge ls`"]);

    let Some(wimlib) = tool("wimlib-imagex") else { return };
    for path in [
        "readme.txt",
        "Windows/System32/kernel.exe",
        "Windows/System32/module6.dll",
        "Windows/System32/de-DE/𝄞 clef 🎼.txt",
        "Users/Public/Documents/zeros.bin",
        "Users/Public/Documents/text 4097.txt",
    ] {
        let theirs =
            wimlib.run(args!["extract", &wim, "1", &format!("/{path}"), "--to-stdout", "--quiet"]).stdout;
        assert!(cat(path).well().stdout == theirs, "{path}");
    }
}

#[test]
fn one_image_of_several() {
    let wim = testdata(TWO);
    let cat = |image: &[&str]| {
        let path = wim.to_str().expect("UTF-8");
        wimforge([&["cat", path, "second.txt"], image].concat())
    };
    for choice in ["2", "Second edition", "second EDITION"] {
        assert_eq!(cat(&["-i", choice]).well().stdout, b"only in the second image\r\n", "{choice}");
    }
    cat(&["-i", "1"]).badly(&[1]).says(&["second.txt"]);
    for choice in [&[][..], &["-i", "0"], &["-i", "3"], &["-i", "Third edition"]] {
        cat(choice).badly(&[2]).says(&["1  First edition", "2  Second edition", "--image"]);
    }
    let scratch = scratch();
    let out = scratch.path().join("out");
    wimforge(args!["ls", &wim]).badly(&[2]).says(&["holds 2 images"]);
    extract(&wim, &out, &[]).badly(&[2]).says(&["holds 2 images"]);
    assert!(!out.exists());
}

#[test]
fn info_says_what_wimlib_says() {
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    for wim in [SMALL, TWO].map(testdata) {
        let ours = json(&args!["info", &wim, "--json"]);
        assert_eq!(ours["schema"], "wimforge.info.wim/1");
        let theirs = wimlib.text(args!["info", &wim]);
        let field = |text: &str, name: &str| -> Option<String> {
            let line =
                text.lines().find(|line| line.split(':').next().is_some_and(|title| title.trim() == name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let mut parts = theirs.split("\nIndex:");
        let header = parts.next().expect("the header");
        let header = |name: &str| field(header, name).unwrap_or_else(|| panic!("no {name}: {header}"));
        assert_eq!(header("Image Count"), ours["images"].as_array().expect("a list").len().to_string());
        assert_eq!(header("Chunk Size"), format!("{} bytes", ours["chunk_size"]));
        assert_eq!(header("Compression"), ours["codec"].as_str().expect("text"));
        assert_eq!(header("Part Number"), format!("{}/{}", ours["part"], ours["parts"]));
        assert_eq!(header("Boot Index"), ours["boot_index"].as_u64().unwrap_or(0).to_string());
        // wimlib prints the bytes, we the GUID: three fields of which are stored from the last byte to the first.
        let guid = header("GUID").trim_start_matches("0x").to_owned();
        let shown = ours["guid"].as_str().expect("text").to_lowercase();
        let digits: String = shown.chars().filter(char::is_ascii_hexdigit).collect();
        let order = [6, 4, 2, 0, 10, 8, 14, 12, 16, 18, 20, 22, 24, 26, 28, 30];
        assert_eq!(order.map(|at| &digits[at..at + 2]).concat(), guid);
        for (image, ours) in parts.zip(ours["images"].as_array().expect("a list")) {
            let image = format!("Index:{image}");
            let theirs = |name: &str| field(&image, name).unwrap_or_else(|| panic!("no {name}: {image}"));
            assert_eq!(theirs("Name"), ours["name"].as_str().expect("text"));
            for (title, name) in [
                ("Index", "index"),
                ("Directory Count", "directories"),
                ("File Count", "files"),
                ("Total Bytes", "total_bytes"),
                ("Hard Link Bytes", "hard_link_bytes"),
            ] {
                assert_eq!(theirs(title), ours[name].to_string(), "{title}");
            }
        }
        let text = String::from_utf8(wimforge(args!["info", &wim]).well().stdout).expect("UTF-8");
        for image in ours["images"].as_array().expect("a list") {
            assert!(text.contains(image["name"].as_str().expect("text")), "{text}");
        }
        let xml = wimforge(args!["info", &wim, "--xml"]).well().stdout;
        let theirs = wimlib.run(args!["info", &wim, "--xml"]).stdout;
        let units: Vec<u16> =
            theirs.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let theirs = String::from_utf16(&units).expect("UTF-16");
        let ours = String::from_utf8(xml).expect("UTF-8");
        assert_eq!(ours.trim_matches(['\u{feff}', '\n']), theirs.trim_matches(['\u{feff}', '\n']));
    }
}

#[test]
fn info_of_disks_that_were_built() {
    let wim = testdata(SMALL);
    let scratch = scratch();
    let raw = scratch.path().join("disk.raw");
    build(&wim, &raw, &["--size", "1GiB"]).well();
    let table = partitions(&raw);
    for (format, qemu) in [
        ("raw", Format::Raw),
        ("vhd", Format::Vpc),
        ("vhd-fixed", Format::Vpc),
        ("vmdk", Format::Vmdk),
        ("vmdk-sparse", Format::Vmdk),
    ] {
        let disk = scratch.path().join("any name");
        build(&wim, &disk, &["--size", "1GiB", "--format", format, "--force"]).well();
        let info = json(&args!["info", &disk, "--json"]);
        assert_eq!(info["schema"], "wimforge.info.disk/1");
        let info = &info["disk"];
        assert_eq!(info["container"]["format"], format);
        assert!(info["container"]["details"].is_object());
        assert_eq!(info["disk_size"], 1_u64 << 30, "{format}");
        assert!(info["stored"].as_u64().expect("a number") > 4 << 20);
        assert_eq!(info["partition_problem"], Value::Null);
        if let Some(theirs) = inspect(&disk, qemu) {
            assert_eq!(theirs["virtual-size"], info["disk_size"], "{format}");
        }
        let partitions = info["partition_table"]["partitions"].as_array().expect("a list");
        assert_eq!(info["partition_table"]["boot_code"], true);
        assert_eq!(info["partition_table"]["protective"], false);
        assert_eq!(partitions.len(), 3);
        for partition in partitions {
            assert_eq!(partition["file_system"]["name"], "NTFS");
            assert_eq!(partition["file_system"]["cluster_size"], 4096);
            assert_eq!(partition["file_system"]["boot_code"], true);
        }
        if let Some(table) = &table {
            let id = info["partition_table"]["disk_signature"].as_u64().expect("a number");
            assert_eq!(format!("{id:#010x}"), table.id, "{format}");
            for (ours, theirs) in partitions.iter().zip(&table.partitions) {
                assert_eq!(ours["start"], theirs.start * 512);
                assert_eq!(ours["size"], theirs.size * 512);
                assert_eq!(ours["active"], theirs.bootable);
                let kind = ours["kind"].as_u64().expect("a number");
                assert_eq!(format!("{kind:x}"), theirs.kind);
            }
        }
        let text = String::from_utf8(wimforge(args!["info", &disk]).well().stdout).expect("UTF-8");
        for words in [
            "1.0 GiB",
            "MBR, disk signature",
            "NTFS",
            "active",
            "boot code: in the MBR and in the active partition",
        ] {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
        wimforge(args!["info", &disk, "--xml"]).badly(&[2]).says(&["only a WIM"]);
        // Several volumes: what there is to choose from.
        let text = String::from_utf8(wimforge(args!["ls", &disk]).well().stdout).expect("UTF-8");
        for volume in ["System", "Windows", "Recovery"] {
            assert!(text.contains(volume), "no {volume:?} in {text}");
        }

        // Cut anywhere, and filled with anything: an error in words, or the truth about a raw disk.
        let bytes = std::fs::metadata(&disk).expect("the disk").len();
        let head = {
            use std::io::Read;
            let mut head = Vec::new();
            let file = std::fs::File::open(&disk).expect("the disk");
            file.take(bytes.min(9 << 20)).read_to_end(&mut head).expect("read");
            head
        };
        let cut = scratch.path().join("cut");
        for len in [1, 4, 511, 512, 513, 1024, 1536, 2048, 65_536, 66_000, 1 << 20, head.len() - 1] {
            std::fs::write(&cut, &head[..len.min(head.len() - 1)]).expect("written");
            let ended = wimforge(args!["info", &cut]);
            if ended.code != Some(0) {
                ended.badly(&[1, 3, 4]).says(&["cut"]);
            }
        }
        let mut noise = content::Random::new(7);
        for _ in 0..60 {
            let mut bytes = head[..head.len().min(70_000)].to_vec();
            for _ in 0..4 {
                let at = noise.below(2_048.min(bytes.len()));
                bytes[at] = noise.next_u64() as u8;
            }
            std::fs::write(&cut, bytes).expect("written");
            let ended = wimforge(args!["info", &cut]);
            assert!(
                ended.code.is_some_and(|code| [0, 1, 3, 4].contains(&code)),
                "{:?} {}",
                ended.code,
                ended.stderr
            );
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        }
    }
}

#[test]
fn info_of_disks_of_other_products() {
    let Some(samples) = samples() else { return };
    let scratch = scratch();
    let mut described = 0;
    for name in names(&samples.join("disks")) {
        let source = samples.join("disks").join(&name);
        let unpack = match name.rsplit('.').next() {
            Some("gz") => Some("gzip"),
            Some("bz2") => Some("bzip2"),
            _ => None,
        };
        let plain = scratch.path().join(name.trim_end_matches(".gz").trim_end_matches(".bz2"));
        match unpack {
            Some(program) => {
                let Some(program) = tool(program) else { return };
                let bytes = program.run(args!["-dc", &source]).stdout;
                std::fs::write(&plain, bytes).expect("written");
            }
            None => drop(std::fs::copy(&source, &plain).expect("copied")),
        }
        let ended = wimforge(args!["info", &plain, "--json"]);
        if ended.code == Some(0) {
            let info: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
            let format = match () {
                () if name.contains(".vhdx") => Format::Vhdx,
                () if name.contains(".vhd") => Format::Vpc,
                () => Format::Vmdk,
            };
            // What has a log to be replayed, qemu does not open for reading.
            let replayed = info["disk"]["container"]["warnings"].to_string().contains("replayed");
            if let Some(theirs) = (!replayed).then(|| inspect(&plain, format)).flatten() {
                // qemu believes a VHD's geometry before its size, unless it knows the creator.
                let (ours, theirs) = (info["disk"]["disk_size"].as_u64(), theirs["virtual-size"].as_u64());
                let (ours, theirs) = (ours.expect("a size"), theirs.expect("a size"));
                assert!(ours.abs_diff(theirs) <= 16 * 255 * 512, "{name}: {ours}, {theirs}");
            }
            described += 1;
        } else {
            ended.badly(&[4]);
        }
        std::fs::remove_file(plain).expect("was just made");
    }
    assert!(described >= 14, "{described}");
}

#[test]
fn what_is_neither_a_wim_nor_a_disk() {
    let scratch = scratch();
    let odd = scratch.path().join("odd");
    let mut vdi = vec![0; 1 << 20];
    vdi[0x40..0x44].copy_from_slice(b"\x7F\x10\xDA\xBE");
    for (bytes, word) in [
        (&b""[..], "odd"),
        (b"Just some text.\n", "neither a WIM, an ISO nor a disk"),
        (&vdi, "VDI"),
        (b"QFI\xFB\0\0\0\x03", "qcow2"),
        (b"\x1F\x8B\x08\0", "gzip"),
    ] {
        std::fs::write(&odd, bytes).expect("written");
        // What says that it is a qcow2 and is none is damaged, the rest is not for us.
        let code = if word == "qcow2" { 3 } else { 4 };
        wimforge(args!["info", &odd]).badly(&[code]).says(&["odd", word]);
        wimforge(args!["ls", &odd]).badly(&[1, 3, 4]).says(&["odd"]);
    }
    wimforge(args!["info", &scratch.path().join("gone")]).badly(&[1]).says(&["gone"]);
    wimforge(args!["info", scratch.path()]).badly(&[1, 4]);
    // A table that protects a GPT may say anything, a disk of zeros is a disk.
    let mut disk = vec![0; 1 << 20];
    std::fs::write(&odd, &disk).expect("written");
    wimforge(args!["info", &odd]).well();
    disk[0x1BE + 4] = 0xEE;
    disk[0x1BE + 8..0x1BE + 16].copy_from_slice(&[0xF0, 0xFF, 0xFF, 0xFF, 5, 0, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xAA]);
    std::fs::write(&odd, &disk).expect("written");
    let ended = wimforge(args!["info", &odd]).well();
    assert!(String::from_utf8_lossy(&ended.stdout).contains("protects a GPT"));
}

#[test]
fn a_reader_that_leaves_early() {
    let wim = testdata(SMALL);
    let scratch = scratch();
    let disk = scratch.path().join("disk.raw");
    build(&wim, &disk, &[]).well();
    for command in [
        "ls -R --json \"$2\"",
        "ls -R --detailed \"$2\"",
        "cat \"$2\" Users/Public/Documents/zeros.bin",
        "info --json \"$2\"",
        "info --xml \"$2\"",
        "info \"$3\"",
        "extract \"$2\" --json -C \"$4\"",
    ] {
        let line = format!("(\"$1\" {command}; echo $? >&2) | head -c 1 > /dev/null");
        let ended = shell(&line, args![&wim, &disk, &scratch.path().join("out")]);
        assert_eq!(ended.stderr.lines().last(), Some("0"), "{command}: {}", ended.stderr);
    }
}

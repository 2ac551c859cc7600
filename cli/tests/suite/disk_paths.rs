//! `ls`, `cat`, `extract` and `info` on disks: what they say of volumes made by Windows, mkntfs and Linux is held against
//! ntfs-3g and sleuthkit, what they say of ours against the WIM, and what they refuse is said so.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use testkit::reader::Mount;
use testkit::{args, content, fixture, samples, testdata, tool};

use crate::support::{build, scratch, wimforge};

#[track_caller]
fn json(arguments: &[&std::ffi::OsStr]) -> Value {
    let ended = wimforge(arguments).well();
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

/// The entries of `ls -R --json`, by path, without what a disk does not have and what NTFS does not keep.
#[track_caller]
fn entries(arguments: &[&std::ffi::OsStr]) -> BTreeMap<String, Value> {
    let all = arguments.iter().copied().chain(["-R".as_ref(), "--json".as_ref()]);
    let listed = json(&[&["ls".as_ref()][..], &all.collect::<Vec<_>>()].concat());
    let entries = listed["entries"].as_array().expect("a list").clone();
    let by_path = |mut entry: Value| {
        entry["sha1"] = Value::Null;
        if entry["reparse"].is_object() {
            entry["reparse"]["sha1"] = Value::Null;
        }
        for list in ["streams", "other_links"] {
            let values = entry[list].as_array_mut().expect("a list");
            values.iter_mut().filter(|value| value.is_object()).for_each(|value| value["sha1"] = Value::Null);
            values.sort_by_key(ToString::to_string);
        }
        // FILE_ATTRIBUTE_NORMAL says that there is no other.
        entry["attributes"] = (entry["attributes"].as_u64().expect("a number") & !0x80).into();
        (entry["path"].as_str().expect("text").to_owned(), entry)
    };
    entries.into_iter().map(by_path).collect()
}

/// What was built is what was meant, field by field.
#[track_caller]
fn same_as_wim(wim: &Path, image: &str, disk: &Path) {
    let meant = entries(&args![wim, "--image", image]);
    let mut place = disk.as_os_str().to_owned();
    place.push(":2");
    let found = entries(&args![&place]);
    assert!(meant.keys().eq(found.keys()), "{:?}", meant.keys().zip(found.keys()).find(|(a, b)| a != b));
    for (path, entry) in &meant {
        assert_eq!(entry, &found[path], "{path}");
    }
}

/// Files below a directory of the host and what they hold; directories and links are there without content.
fn files(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let kind = path.symlink_metadata().expect("it is there").file_type();
            let name = path.strip_prefix(root).expect("below").display().to_string();
            let data = kind.is_file().then(|| fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}")));
            if kind.is_dir() {
                pending.push(path);
            }
            found.insert(name, data);
        }
    }
    found
}

#[test]
fn what_was_built_reads_back() {
    let scratch = scratch();
    let (small, rich) = (testdata("nano-small.wim"), scratch.path().join("rich.wim"));
    fixture::rich().save(&rich);
    let disk = scratch.path().join("disk");
    for size in ["512", "1KiB", "2KiB", "4KiB", "8KiB", "16KiB", "32KiB", "64KiB"] {
        for wim in [&small, &rich] {
            // The larger one once.
            if *wim == rich && size != "4KiB" {
                continue;
            }
            eprintln!("clusters of {size}, {}", wim.display());
            build(wim, &disk, &["--format", "raw", "--cluster-size", size, "--force"]).well();
            same_as_wim(wim, "1", &disk);
        }
    }
    for format in ["vhd", "vhd-fixed", "vmdk", "vmdk-sparse"] {
        build(&rich, &disk, &["--format", format, "--force"]).well();
        same_as_wim(&rich, "1", &disk);
        let (a, b) = (scratch.path().join("of the WIM"), scratch.path().join("of the disk"));
        wimforge(args!["extract", "-q", &rich, "-C", &a]).well();
        wimforge(args!["extract", "-q", &disk, "-i", "Windows", "-C", &b]).well();
        let (a, b) = (files(&a), files(&b));
        assert!(a.keys().eq(b.keys()), "{format}");
        a.iter().for_each(|(path, data)| assert!(b[path] == *data, "{format}: {path}"));
        fs::remove_dir_all(scratch.path().join("of the WIM")).expect("was just made");
        fs::remove_dir_all(scratch.path().join("of the disk")).expect("was just made");
    }
}

#[test]
fn every_way_to_name_a_file() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.vhd");
    let wim = scratch.path().join("two.wim");
    fixture::two_images().save(&wim);
    build(&wim, &disk, &["-i", "1"]).well();
    let place = |suffix: &str| format!("{}{suffix}", disk.display());
    let meant = wimforge(args!["cat", &wim, "-i", "1", "Windows/System32/kernel.exe"]).well().stdout;
    for arguments in [
        &[&place(":2/Windows/System32/kernel.exe")[..]][..],
        &[&place(":2"), "Windows/System32/kernel.exe"],
        &[&place(":2/windows"), "SYSTEM32/KERNEL.EXE"],
        &[&place(":2\\Windows\\System32\\kernel.exe")],
        &[&place(""), "2/Windows/System32/kernel.exe"],
        &[&place(""), "/2/Windows/System32/kernel.exe"],
        &[&place(""), "Windows/System32/kernel.exe", "--image", "2"],
        &[&place(""), "Windows/System32/kernel.exe", "--image", "windows"],
    ] {
        let found = wimforge(["cat"].iter().chain(arguments)).well().stdout;
        assert!(found == meant, "{arguments:?}");
    }
    let stream = wimforge(args!["cat", &wim, "-i", "1", "Users/Public/Documents/streams.txt:large"]).well();
    let found = wimforge(args!["cat", &place(":2/Users/Public/Documents/streams.txt:large")]).well();
    assert!(!stream.stdout.is_empty() && stream.stdout == found.stdout);

    // Without a choice.
    let listed = wimforge(args!["ls", &disk]).well().stdout;
    let listed = String::from_utf8(listed).expect("text");
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let labels: Vec<&str> = lines.iter().map(|line| *line.last().expect("a label")).collect();
    assert_eq!(labels, ["System", "Windows", "Recovery"]);
    assert!(lines.iter().all(|line| line[1] == "NTFS"));
    let partitions = json(&args!["ls", &disk, "--json"]);
    assert_eq!(partitions["partitions"][1]["label"], "Windows");
    for command in [&["cat", "Windows/System32/kernel.exe"][..], &["ls", "Windows"], &["extract", "-C", "x"]]
    {
        let ended =
            wimforge(args![command[0], &disk].into_iter().chain(command[1..].iter().map(AsRef::as_ref)));
        ended.badly(&[2]).says(&["holds 3 NTFS volumes", "\n  2  NTFS \"Windows\"\n"]);
    }
    for (arguments, code, words) in [
        (vec!["ls".to_owned(), place(":9")], 2, "has no partition 9"),
        (vec!["ls".to_owned(), place(""), "-i".to_owned(), "Data".to_owned()], 2, "labelled \"Data\""),
        (vec!["ls".to_owned(), place(":2"), "-i".to_owned(), "2".to_owned()], 2, "both choose"),
        (vec!["cat".to_owned(), place(":2")], 2, "which file"),
        (vec!["cat".to_owned(), place(":2/Windows")], 1, "is a directory"),
        (vec!["cat".to_owned(), place(":2/Windows/nothing")], 1, "no \"/Windows/nothing\" in the volume"),
        (vec!["ls".to_owned(), place(":x/y")], 1, ":x/y"),
        (
            ["extract", &place(""), "2/Windows", "1/x", "-C", "x"].map(ToOwned::to_owned).to_vec(),
            2,
            "different partitions",
        ),
    ] {
        wimforge(&arguments).badly(&[code]).says(&[words]);
    }
    // Parts of a volume are listed as the whole is.
    let whole = wimforge(args!["ls", &place(":2"), "-R"]).well().stdout;
    let whole = String::from_utf8(whole).expect("text");
    for path in ["Windows", "users/PUBLIC", "Windows/System32"] {
        let part =
            String::from_utf8(wimforge(args!["ls", &place(":2"), path, "-R"]).well().stdout).expect("text");
        let below = |line: &&str| line.to_lowercase().starts_with(&format!("/{}/", path.to_lowercase()));
        assert!(part.lines().count() > 3 && part.lines().eq(whole.lines().filter(below)), "{path}");
    }
    // A volume is in the order of its directories, an image in that of whoever made it.
    let sorted = |arguments: &[&OsStr]| {
        let listed = wimforge(arguments).well().stdout;
        let mut lines: Vec<Vec<u8>> = listed.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    let pattern = sorted(&args!["ls", &place(":2/Windows/System32/*.exe")]);
    let theirs = sorted(&args!["ls", &wim, "-i", "1", "Windows/System32/*.exe"]);
    assert!(pattern.len() > 2 && pattern == theirs);
}

/// Copies without the zeros.
fn sparse_copy(mut from: impl Read, to: &Path) {
    let mut out = File::create(to).expect("created");
    let mut part = vec![0; 1 << 20];
    let mut len = 0;
    loop {
        let mut filled = 0;
        while filled < part.len() {
            match from.read(&mut part[filled..]).expect("read") {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            break;
        }
        if part[..filled].iter().any(|&byte| byte != 0) {
            out.seek(SeekFrom::Start(len)).expect("a place");
            out.write_all(&part[..filled]).expect("written");
        }
        len += filled as u64;
    }
    out.set_len(len).expect("a length");
}

/// The disk or volume in a packed sample.
fn unpack(sample: &Path, folder: &Path) -> Option<PathBuf> {
    let name = sample.file_name().expect("a name").to_string_lossy().into_owned();
    if name.contains(".tar.") || name.ends_with(".tgz") {
        tool("tar")?.run(args!["-xSf", sample, "-C", folder]);
        return fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).next();
    }
    let out = folder.join("volume.img");
    if name.ends_with(".gz") {
        let mut gzip = tool("gzip")?.command();
        let mut child = gzip.arg("-dc").arg(sample).stdout(Stdio::piped()).spawn().expect("it starts");
        sparse_copy(child.stdout.take().expect("piped"), &out);
        assert!(child.wait().expect("it ends").success());
    } else {
        fs::copy(sample, &out).expect("copied");
    }
    Some(out)
}

/// Compares every name and every byte with sleuthkit and with ntfs-3g. Returns how many streams were compared.
#[track_caller]
fn read_by_others(disk: &Path, folder: &Path) -> Option<usize> {
    let (fls, icat) = (tool("fls")?, tool("icat")?);
    let out = folder.join("extracted");
    wimforge(args!["extract", "-q", disk, "-C", &out]).well();
    let ours = files(&out);
    let listed = String::from_utf8(wimforge(args!["ls", disk, "-R"]).well().stdout).expect("text");
    let listed: BTreeSet<&str> = listed.lines().map(|line| &line[1..]).collect();
    let info = json(&args!["info", disk, "--json"]);
    let partition = &info["volumes"]["partitions"][0];
    let number = |value: &Value| value.as_u64().expect("a number");
    let (start, len) = (number(&partition["start"]), number(&partition["size"]));
    let mut compared = 0;

    // sleuthkit does not read clusters of more than 64 KiB.
    if number(&partition["volume"]["cluster_size"]) <= 65_536 {
        let sector = (start / 512).to_string();
        let text = fls.text(args!["-r", "-p", "-f", "ntfs", "-o", &sector, disk]);
        let mut theirs = BTreeSet::new();
        for line in text.lines() {
            let (kind, path) = line.split_once(":\t").expect("a name");
            let node = kind.rsplit(' ').next().expect("a number");
            let record: u64 =
                node.split('-').next().and_then(|number| number.parse().ok()).expect("a number");
            let system =
                record < 16 || ["$Extend/", "$OrphanFiles"].iter().any(|name| path.starts_with(name));
            if kind.contains('*') || system || kind.starts_with("V/") {
                continue;
            }
            if node.split('-').nth(1) == Some("128") {
                let meant = icat.run(args!["-f", "ntfs", "-o", &sector, disk, node]).stdout;
                let found = match ours.get(path) {
                    Some(Some(data)) => data.clone(),
                    // A named stream: no path of the host.
                    _ => wimforge(args!["cat", disk, path]).well().stdout,
                };
                assert!(found == meant, "{path}: {} bytes, icat has {}", found.len(), meant.len());
                compared += 1;
            }
            theirs.insert(path.split_once(':').map_or(path, |(path, _)| path));
        }
        // fls gives up at some depth; a volume that chkdsk repaired has directories far below.
        let shallow = |path: &&&str| path.matches('/').count() < 100;
        let odd: Vec<_> = theirs.symmetric_difference(&listed).filter(shallow).take(5).collect();
        assert!(odd.is_empty(), "not in both lists: {odd:?}");
    }
    if len < 16 << 30 {
        let volume = folder.join("cut.img");
        let mut from = File::open(disk).expect("opened");
        from.seek(SeekFrom::Start(start)).expect("a place");
        sparse_copy(from.take(len), &volume);
        let mount = Mount::new(&volume, "ro")?;
        let theirs = files(mount.path());
        let same = theirs.keys().map(String::as_str).eq(listed.iter().copied());
        assert!(same, "ntfs-3g lists {:?}", theirs.keys().take(20).collect::<Vec<_>>());
        for (path, data) in theirs.iter().filter(|(_, data)| data.is_some()) {
            assert!(ours[path] == *data, "{path}: not what ntfs-3g reads");
            compared += 1;
        }
    }
    fs::remove_dir_all(out).expect("was just made");
    Some(compared)
}

#[test]
fn volumes_of_windows_read_as_others_read_them() {
    let Some(samples) = samples() else { return };
    let folder = samples.join("ntfs/windows");
    let names = fs::read_dir(&folder).expect("samples").map(|entry| entry.expect("an entry").path());
    let mut names: Vec<PathBuf> = names.filter(|path| !path.to_string_lossy().contains(".mft.")).collect();
    names.extend([samples.join("ntfs/testfs1.img"), samples.join("ntfs/ntfs3_attrlist.raw.gz")]);
    names.sort();
    let mut streams = 0;
    for sample in names {
        eprintln!("{}", sample.display());
        let scratch = scratch();
        let packed = scratch.path().join("unpacked");
        fs::create_dir(&packed).expect("a folder");
        let Some(disk) = unpack(&sample, &packed) else { return };
        let Some(compared) = read_by_others(&disk, scratch.path()) else { return };
        let info = json(&args!["info", &disk, "--json"]);
        let volume = &info["volumes"]["partitions"][0]["volume"];
        assert_eq!(volume["version"], "3.1", "{info}");
        assert!(volume["used_clusters"].as_u64() < volume["clusters"].as_u64());
        streams += compared;
    }
    assert!(streams > 500, "{streams}");
}

/// Whatever the fault, there is an answer and no panic, and what can be listed is.
#[test]
fn damaged_volumes_are_answered() {
    let Some(samples) = samples() else { return };
    let folder = samples.join("ntfs/corrupt");
    for sample in fs::read_dir(&folder).expect("samples").map(|entry| entry.expect("an entry").path()) {
        let scratch = scratch();
        let Some(disk) = unpack(&sample, scratch.path()) else { return };
        for command in [&["ls", "-R", "--detailed"][..], &["info"]] {
            let ended = crate::support::confined(
                args![command[0], &disk].into_iter().chain(command[1..].iter().map(AsRef::as_ref)),
            );
            let name = sample.display();
            assert!(ended.code.is_some_and(|code| [0, 1, 3, 4].contains(&code)), "{name}: {:?}", ended.code);
            assert!(!ended.stderr.contains("panicked"), "{name}: {}", ended.stderr);
            let complains = ended.stderr.contains("error: ") || ended.stderr.contains("damaged: ");
            assert_eq!(ended.code == Some(0), !complains, "{name}: {}", ended.stderr);
        }
    }
}

/// Files that ntfs-3g compressed with LZNT1.
#[test]
fn compressed_files_are_decompressed() {
    let (Some(mkntfs), Some(setfattr)) = (tool("mkntfs"), tool("setfattr")) else { return };
    let scratch = scratch();
    for cluster in ["512", "1024", "4096"] {
        let volume = scratch.path().join("volume.img");
        File::create(&volume).expect("created").set_len(64 << 20).expect("a length");
        mkntfs.run(args!["-Q", "-F", "-q", "-C", "-c", cluster, "-L", "packed", &volume]);
        let Some(mount) = Mount::new(&volume, "rw,compression") else { return };
        let folder = mount.path().join("packed");
        fs::create_dir(&folder).expect("created");
        // FILE_ATTRIBUTE_COMPRESSED, so that what is created in it is compressed.
        setfattr.run(args!["-h", "-n", "system.ntfs_attrib", "-v", "0x10080000", &folder]);
        let mut meant = BTreeMap::new();
        for (number, len) in
            [0, 1, 500, 3000, 4096, 65_535, 65_536, 65_537, 200_000, 1_000_000].into_iter().enumerate()
        {
            let seed = number as u64;
            let mixed: Vec<u8> = [content::text(seed, len / 3), vec![0; len / 3], {
                content::Random::new(seed).bytes(len - 2 * (len / 3))
            }]
            .concat();
            for (kind, data) in [
                ("text", content::text(seed, len)),
                ("noise", content::Random::new(seed).bytes(len)),
                ("zeros", vec![0; len]),
                ("program", content::program(seed, len)),
                ("mixed", mixed),
            ] {
                let name = format!("packed/{kind} {len}");
                fs::write(mount.path().join(&name), &data).expect("written");
                meant.insert(name, data);
            }
        }
        drop(mount);
        let out = scratch.path().join("out");
        wimforge(args!["extract", "-q", &volume, "-C", &out]).well();
        let found = files(&out);
        for (name, data) in &meant {
            assert!(found[name].as_ref() == Some(data), "{name}, clusters of {cluster}");
        }
        let list =
            String::from_utf8(wimforge(args!["ls", "-l", &volume, "packed"]).well().stdout).expect("text");
        let packed =
            list.lines().filter(|line| line.split(' ').next().is_some_and(|bits| bits.contains('c')));
        assert!(packed.count() > 40, "{list}");
        // Compressed they are: less than half of what the files have is in use.
        let info = json(&args!["info", &volume, "--json"]);
        let volume_info = &info["volumes"]["partitions"][0]["volume"];
        let used = volume_info["used_clusters"].as_u64().expect("a number")
            * cluster.parse::<u64>().expect("a number");
        let total: usize = meant.values().map(Vec::len).sum();
        assert!(used < 3 << 21 || used < total as u64, "{used} of {total}");
        fs::remove_dir_all(&out).expect("was just made");
    }
}

/// Puts volumes into partitions of every kind of table.
#[test]
fn tables_of_every_kind() {
    let Some(sfdisk) = tool("sfdisk") else { return };
    let scratch = scratch();
    let (raw, disk) = (scratch.path().join("built.raw"), scratch.path().join("disk.raw"));
    build(&testdata("nano-small.wim"), &raw, &["--layout", "mbr1", "--size", "128MiB"]).well();
    let list = |place: &str| wimforge(args!["ls", place, "-R", "-l"]).well().stdout;
    let meant = list(raw.to_str().expect("UTF-8"));
    let start = json(&args!["info", &raw, "--json"])["disk"]["partition_table"]["partitions"][0]["start"]
        .as_u64()
        .expect("a number");
    let len = raw.metadata().expect("it is there").len() - start - (1 << 20);
    for (script, number, sector, sector_size) in [
        (
            "label: gpt\nstart=2048, size=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=ESP\n\
          start=8192, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name=\"Basic data\"",
            2,
            8192u64,
            512u64,
        ),
        (
            "label: dos\n1: start=2048, size=2048, type=c\n2: start=4096, size=EXTENDED, type=f\n\
             5: start=6144, size=1000, type=7\n6: start=10240, type=7",
            6,
            10_240,
            512,
        ),
    ] {
        let file = File::create(&disk).expect("created");
        file.set_len(len + (16 << 20)).expect("a length");
        let extended = (len + (16 << 20)) / 512 - 4096;
        let script = script.replace("EXTENDED", &extended.to_string());
        let mut child = sfdisk
            .command()
            .args(args!["--quiet", &disk])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("written");
        assert!(child.wait().expect("it ends").success(), "{script}");
        let mut from = File::open(&raw).expect("opened");
        from.seek(SeekFrom::Start(start)).expect("a place");
        let volume = scratch.path().join("volume.img");
        sparse_copy(from.take(len), &volume);
        let to = tool("dd").expect("coreutils");
        let seek = format!("seek={}", sector * sector_size);
        let (input, output) = (format!("if={}", volume.display()), format!("of={}", disk.display()));
        to.run([
            "bs=1M".to_owned(),
            "oflag=seek_bytes".to_owned(),
            "conv=notrunc,sparse".to_owned(),
            seek,
            input,
            output,
        ]);
        let place = format!("{}:{number}", disk.display());
        assert!(list(&place) == meant, "{script}");
        // The only one that holds NTFS needs no number.
        assert!(list(disk.to_str().expect("UTF-8")) == meant, "{script}");
        let info = wimforge(args!["info", &disk]).well();
        let info = String::from_utf8(info.stdout).expect("text");
        assert!(info.contains(&format!("volume {number}: NTFS 3.1 \"Windows\"")), "{info}");
        let ended = wimforge(args!["ls", &format!("{}:1", disk.display())]);
        ended.badly(&[4]).says(&["partition 1 holds no file system"]);
        // A volume without a table.
        assert!(list(volume.to_str().expect("UTF-8")) == meant);
    }
}

/// What is neither NTFS nor FAT is named, and what only calls itself FAT.
#[test]
fn other_file_systems_are_named() {
    let scratch = scratch();
    let disk = scratch.path().join("disk.img");
    for (at, signature, word, code) in [
        (3, &b"-FVE-FS-"[..], "BitLocker", 4),
        (3, b"EXFAT   ", "exFAT", 4),
        // Nothing else of FAT is there.
        (0x52, b"FAT32   ", "malformed FAT boot sector", 3),
        (0x36, b"FAT16   ", "malformed FAT boot sector", 3),
    ] {
        let mut bytes = vec![0; 1 << 20];
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        bytes[at..at + signature.len()].copy_from_slice(signature);
        fs::write(&disk, &bytes).expect("written");
        for command in [&["ls"][..], &["cat", "x"], &["extract", "-C", "x"]] {
            let arguments =
                args![command[0], &disk].into_iter().chain(command[1..].iter().map(AsRef::as_ref));
            wimforge(arguments).badly(&[code]).says(&["partition 1", word]);
        }
        wimforge(args!["info", &disk]).well();
    }
}

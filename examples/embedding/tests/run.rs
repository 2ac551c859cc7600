//! Runs every example, and holds what it made against other people's tools, or against what is known of the input.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use disk::ReadAt as _;
use testkit::{args, testdata, tool};

macro_rules! example {
    ($name:literal $(, $arg:expr)*) => {{
        #[allow(unused_mut, reason = "without arguments")]
        let mut command = Command::new(env!(concat!("CARGO_BIN_EXE_", $name)));
        $(command.arg($arg);)*
        command
    }};
}

#[track_caller]
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it says on standard error.
#[track_caller]
fn fail(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    stderr
}

fn small_wim() -> PathBuf {
    testdata("nano-small.wim")
}

/// A folder for a test's files, and a path in it.
fn place(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

fn same_disk(a: &Path, b: &Path) {
    if let Some(qemu_img) = tool("qemu-img") {
        qemu_img.run(args!["compare", a, b]);
    }
}

#[test]
fn every_example_is_run_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = fs::read_to_string(folder.join("tests/run.rs")).unwrap();
    for example in fs::read_dir(folder.join("src/bin")).unwrap() {
        let path = example.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(tests.contains(&format!("example!(\"{name}\"")), "{name} is not run");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() <= 80, "{name} is too long to be read at a glance");
        let readme = fs::read_to_string(folder.join("../README.md")).unwrap();
        assert!(
            readme.contains(&format!("embedding/src/bin/{name}.rs")),
            "{name} is not in examples/README.md"
        );
    }
}

#[test]
fn list_wim() {
    let listed = succeed(example!("list-wim", &small_wim()));
    assert!(listed.starts_with("image 1\n"), "{listed}");
    let mut ours: Vec<&str> =
        listed.lines().filter_map(|line| line.split_once(" \\")).map(|(_, path)| path).collect();
    ours.sort_unstable();
    assert!(ours.len() > 20, "{listed}");
    let Some(wimlib) = tool("wimlib-imagex") else { return };
    let theirs = wimlib.text(args!["dir", &small_wim(), "1"]).replace('/', "\\");
    let mut theirs: Vec<&str> = theirs.lines().filter_map(|line| line.strip_prefix('\\')).collect();
    theirs.retain(|path| !path.is_empty());
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

#[test]
fn extract_file() {
    let (_folder, path) = place("readme.txt");
    succeed(example!("extract-file", &small_wim(), "1", "/README.TXT", &path));
    if let Some(wimlib) = tool("wimlib-imagex") {
        let theirs = wimlib.run(args!["extract", &small_wim(), "1", "/readme.txt", "--to-stdout"]);
        assert_eq!(fs::read(&path).unwrap(), theirs.stdout);
    }
    // Nothing is replaced, and nothing is left behind when it fails.
    let said = fail(example!("extract-file", &small_wim(), "1", "/readme.txt", &path));
    assert!(said.contains("exists"), "{said}");
    let missing = path.with_extension("none");
    let said = fail(example!("extract-file", &small_wim(), "1", "/no such file", &missing));
    assert!(said.contains("no /no such file"), "{said}");
    assert!(!missing.exists());
}

#[test]
fn ntfs_from_memory() {
    let (_folder, path) = place("volume.ntfs");
    let said = succeed(example!("ntfs-from-memory", &path));
    assert!(said.contains("16777216 bytes, 0 findings"), "{said}");
    let large: Vec<u8> = (0..5_000_000u64).map(|position| (position / 512) as u8).collect();
    if let Some(ntfscat) = tool("ntfscat") {
        assert_eq!(ntfscat.run(args!["-f", &path, "docs/large.bin"]).stdout, large);
        assert_eq!(ntfscat.text(args!["-f", &path, "README"]), "made of nothing but a program\n");
    }
    if let Some(ntfsfix) = tool("ntfsfix") {
        let said = ntfsfix.text(args!["-n", &path]);
        assert!(said.contains("processed successfully"), "{said}");
    }
}

#[test]
fn vhdx_from_blocks() {
    let (folder, path) = place("disk.vhdx");
    let mut command = example!("vhdx-from-blocks");
    command.stdout(Stdio::from(fs::File::create_new(&path).unwrap()));
    succeed(command);
    assert!(path.metadata().unwrap().len() < 32 << 20, "five blocks of 2 MiB and the tables");

    let raw = folder.path().join("disk.raw");
    let expected = fs::File::create_new(&raw).unwrap();
    expected.set_len(64 << 30).unwrap();
    for number in 0..5u8 {
        disk::WriteAt::write_all_at(&expected, &vec![number + 1; 64 << 10], u64::from(number) << 30).unwrap();
    }
    let Some(qemu_img) = tool("qemu-img") else { return };
    qemu_img.run(args!["check", &path]);
    same_disk(&path, &raw);
}

#[test]
fn edit_hive() {
    let (folder, path) = place("SYSTEM");
    fs::copy(testdata("hives/SYSTEM"), &path).unwrap();
    let key = r"ControlSet001\Services\example";
    let edit = |text: &str| succeed(example!("edit-hive", &path, key, "Motto", text));
    assert_eq!(edit("first"), "was not there\n");
    assert_eq!(edit("then"), "was \"first\"\n");
    let Some(hivexsh) = tool("hivexsh") else { return };
    let script = folder.path().join("script");
    fs::write(&script, format!("cd {key}\nlsval Motto\n")).unwrap();
    assert_eq!(hivexsh.text(args!["-f", &script, &path]).trim(), "then");
}

#[test]
fn create_bcd() {
    let (folder, path) = place("BCD");
    let listed = succeed(example!("create-bcd", &path));
    assert!(listed.lines().count() > 5 && !listed.contains("error"), "{listed}");
    let Some(hivexsh) = tool("hivexsh") else { return };
    let script = folder.path().join("script");
    // Of the boot manager, how long it waits.
    let key = r"\Objects\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\Elements\25000004";
    fs::write(&script, format!("cd {key}\nlsval Element\n")).unwrap();
    let text = hivexsh.text(args!["-f", &script, &path]);
    // A number of eight bytes, which hivexsh prints as they are.
    assert!(text.starts_with("\u{5}\0"), "{text:?}");
}

#[test]
fn build_convert_and_read() {
    let (folder, vmdk) = place("disk.vmdk");
    let said = succeed(example!("build-image", &small_wim(), &vmdk));
    assert!(said.contains("Windows: "), "{said}");
    let wim = wim::Wim::open(std::sync::Arc::new(fs::File::open(small_wim()).unwrap())).unwrap();
    assert!(said.contains(" bytes of content checked"), "{said}");
    let said = fail(example!("build-image", &small_wim(), &vmdk));
    assert!(said.contains("Exists"), "{said}");

    // The same from a disk that comes in ranges.
    let raw = folder.path().join("disk.raw");
    succeed(example!("build-image", &small_wim(), &raw));
    same_disk(&vmdk, &raw);
    let vhd = folder.path().join("converted.vhd");
    let said = succeed(example!("convert-remote", &raw, &vhd));
    assert!(said.contains(" of 4294967296 bytes are stored"), "{said}");
    same_disk(&raw, &vhd);
    let read = vhd::Vhd::open(std::sync::Arc::new(fs::File::open(&vhd).unwrap())).unwrap();
    let mut sector = [0; 2];
    read.read_exact_at(&mut sector, 510).unwrap();
    assert_eq!(sector, [0x55, 0xAA]);

    // A file out of the disk is that of the WIM.
    let output = example!("read-from-vmdk", &vmdk, "readme.txt").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let image = wim.image(1).unwrap();
    let inode = image.inode(image.dentry(image.lookup("readme.txt").unwrap()).inode);
    let Some(wim::StreamRef::Blob { id, .. }) = inode.data else { panic!("it is not empty") };
    assert_eq!(output.stdout, wim.reader().read_all(id, 1 << 20).unwrap());
    let said = fail(example!("read-from-vmdk", &vmdk, "no such file"));
    assert!(said.contains("no such file"), "{said}");
}

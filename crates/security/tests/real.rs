//! Descriptors that Windows wrote, in real hives and volumes: read, written again, put into words, and compared with what
//! their parents would have given them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use hive::{Hive, Key};
use ntfs_writer::read::{Budget, File, Options, Volume};
use testkit::{args, tool};
use wimforge_security::{Ace, Acl, Creator, Descriptor, Kind, Sid, control};

const HIVES: [&str; 6] =
    ["SYSTEM", "SYSTEM_2", "SYSTEM_B", "SYSTEM_WIN_10_1709", "NTUSER.DAT", "transactions_NTUSER.DAT"];
const VOLUMES: [&str; 6] = [
    "ntfs-2m.raw.gz",
    "ntfs-lastaccess.raw.gz",
    "ntfs-ptrn.raw.gz",
    "ntfs-ramslack.raw.gz",
    "ntfs-si-vs-fn.raw.gz",
    "file_4k.bin.gz",
];

/// A child and its parent.
struct Pair {
    path: String,
    kind: Kind,
    parent: Arc<[u8]>,
    child: Arc<[u8]>,
}

fn hive(name: &str) -> Option<Hive> {
    let path = testkit::samples()?.join("hives").join(format!("{name}.xz"));
    let bytes = tool("xz")?.run(args!["-dc", &path]).stdout;
    Some(Hive::parse_without_logs(&bytes).expect("a hive"))
}

fn keys(prefix: &str, key: &Key, out: &mut Vec<Pair>) {
    for child in key.subkeys() {
        let path = format!("{prefix}\\{}", child.name());
        keys(&path, child, out);
        let (parent, child) = (Arc::clone(key.security()), Arc::clone(child.security()));
        out.push(Pair { path, kind: Kind::Key, parent, child });
    }
}

fn volume(name: &str) -> Option<Volume> {
    let path = testkit::samples()?.join("ntfs/windows").join(name);
    let mut bytes = tool("gzip")?.run(args!["-dc", &path]).stdout;
    // Some are whole disks.
    let start = bytes.chunks(512).position(|sector| sector[3..].starts_with(b"NTFS    ")).expect("a volume");
    bytes.drain(..start * 512);
    Some(Volume::open(Arc::new(bytes), Options::default()).expect("a volume"))
}

fn security(volume: &Volume, file: &File) -> Option<Arc<[u8]>> {
    if let Some(own) = file.own_descriptor(volume, &mut Budget::new(1 << 20)).unwrap() {
        return Some(Arc::from(own));
    }
    let id = file.standard_information().unwrap().security;
    volume.descriptor(id).ok().map(Arc::from)
}

fn files(volume: &Volume, prefix: &str, directory: &File, seen: &mut BTreeSet<u64>, out: &mut Vec<Pair>) {
    let Some(parent) = security(volume, directory) else { return };
    for entry in volume.entries(directory).unwrap() {
        if entry.target & 0xFFFF_FFFF_FFFF < 24 || !seen.insert(entry.target) {
            continue;
        }
        let file = volume.file(entry.target).unwrap();
        let path = format!("{prefix}\\{}", String::from_utf16_lossy(&entry.name));
        if file.is_directory() {
            files(volume, &path, &file, seen, out);
        }
        let Some(child) = security(volume, &file) else { continue };
        let kind = if file.is_directory() { Kind::Directory } else { Kind::File };
        out.push(Pair { path, kind, parent: Arc::clone(&parent), child });
    }
}

/// All pairs of all samples. None without samples.
fn pairs() -> &'static [Pair] {
    static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| read().unwrap_or_default());
    &PAIRS
}

fn read() -> Option<Vec<Pair>> {
    let mut all = Vec::new();
    for name in HIVES {
        keys(name, hive(name)?.root(), &mut all);
    }
    for name in VOLUMES {
        let volume = volume(name)?;
        files(&volume, name, &volume.root().unwrap(), &mut BTreeSet::new(), &mut all);
    }
    Some(all)
}

/// Each descriptor once.
fn descriptors() -> BTreeSet<&'static [u8]> {
    pairs().iter().flat_map(|pair| [&pair.parent[..], &pair.child[..]]).collect()
}

/// Which rule a child was made by, as far as one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Made {
    /// Parent and child know what is inherited, and for the child everything is.
    Automatic,
    /// None of them knows.
    Plain,
    /// The child was given rights of its own: nothing to compare.
    Otherwise,
}

fn made(parent: &Descriptor, child: &Descriptor) -> Made {
    let knows = |it: &Descriptor| it.control & control::DACL_AUTO_INHERITED != 0;
    let some = child.dacl.as_ref().is_some_and(|dacl| dacl.entries.iter().any(|it| it.flags & 0x10 != 0));
    match (knows(parent), knows(child)) {
        _ if child.control & control::DACL_PROTECTED != 0 => Made::Otherwise,
        (true, true) if child.is_all_inherited() => Made::Automatic,
        (false, false) if !some => Made::Plain,
        _ => Made::Otherwise,
    }
}

/// The list without the right of keys that versions of Windows differ in: see `Kind::map`.
fn without_links(descriptor: &Descriptor) -> Option<Vec<Ace>> {
    let mut entries = descriptor.dacl.as_ref()?.entries.clone();
    entries.iter_mut().filter(|it| it.mask & 0xFFFF_FFC0 == 0x2_0000).for_each(|it| it.mask &= !0x20);
    entries.iter_mut().filter(|it| it.mask & 0xFFFF_FFC0 == 0x3_0000).for_each(|it| it.mask &= !0x20);
    Some(entries)
}

/// What Windows wrote is what we compute from the parent. The rest was moved there, or set by programs that inherit in
/// ways of their own (profiles of users, upgrades, entries from a time when the parent had another list).
#[test]
fn inherited_as_windows_does() {
    let mut found: BTreeMap<Made, (usize, usize, usize)> = BTreeMap::new();
    // Most pairs occur many times.
    let mut all = BTreeMap::new();
    for pair in pairs() {
        let is_file = pair.kind == Kind::File;
        all.entry((&pair.parent, &pair.child, is_file)).or_insert((0_usize, pair)).0 += 1;
    }
    for (times, pair) in all.into_values() {
        let (parent, child) =
            (Descriptor::parse(&pair.parent).unwrap(), Descriptor::parse(&pair.child).unwrap());
        let (Some(owner), Some(group)) = (child.owner, child.group) else { panic!("{}", pair.path) };
        let new = parent.inherit(pair.kind, &Creator::new(owner, group));
        let count = found.entry(made(&parent, &child)).or_default();
        count.0 += times;
        let same_bits = (new.control ^ child.control) & control::DACL_AUTO_INHERITED == 0;
        count.1 += times * usize::from(new.dacl == child.dacl && same_bits);
        count.2 += times * usize::from(without_links(&new) == without_links(&child) && same_bits);
    }
    if found.is_empty() {
        return;
    }
    // How many there are, how many are equal, how many but for the right to make links.
    assert_eq!(found[&Made::Automatic], (57_484, 57_159, 57_438));
    assert_eq!(found[&Made::Plain], (61_399, 61_263, 61_263));
}

/// Every descriptor is read, and written to the same bytes.
#[test]
fn read_and_written() {
    let all = descriptors();
    let mut same_bytes = 0;
    for bytes in &all {
        let descriptor = Descriptor::parse(bytes).unwrap();
        let again = descriptor.to_bytes().unwrap();
        assert_eq!(Descriptor::parse(&again).unwrap(), descriptor);
        // The others have room behind the entries of a list.
        same_bytes += usize::from(again == *bytes);
        if let Some(text) = descriptor.to_sddl() {
            let read = Descriptor::from_sddl(&text).unwrap();
            // What there is no list for has no words.
            let mut known = control::SELF_RELATIVE;
            for (present, its) in [(control::DACL_PRESENT, 0x1504), (control::SACL_PRESENT, 0x2A10)] {
                known |= if descriptor.control & present != 0 { its } else { 0 };
            }
            assert_eq!(read.to_sddl().unwrap(), text);
            assert_eq!((read.owner, read.group), (descriptor.owner, descriptor.group), "{text}");
            assert_eq!(read.control, descriptor.control & known, "{text}");
            let entries = |list: &Option<Acl>| list.as_ref().map(|list| list.entries.clone());
            assert_eq!(entries(&read.dacl), entries(&descriptor.dacl), "{text}");
            assert_eq!(entries(&read.sacl), entries(&descriptor.sacl), "{text}");
        }
    }
    if !all.is_empty() {
        assert_eq!((all.len(), same_bytes), (949, 939));
    }
}

/// Samba reads the descriptors and their texts as we do.
#[test]
fn as_samba_reads_them() {
    let all = descriptors();
    if all.is_empty() {
        return;
    }
    let Some(python) = samba_python() else { return };
    let mut input = String::new();
    let mut expected = Vec::new();
    for bytes in &all {
        let descriptor = Descriptor::parse(bytes).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let again = descriptor.to_bytes().unwrap();
        // Samba's text has no word for a list that is there and empty of itself.
        let text =
            descriptor.to_sddl().filter(|text| !text.contains("NO_ACCESS_CONTROL")).unwrap_or_default();
        input += &format!("{}|{}|{text}\n", hex(bytes), hex(&again));
        expected.push(dump(&descriptor));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/descriptors.py");
    let output = std::process::Command::new(python).arg(script).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = String::from_utf8(output.stdout).unwrap();
    let (found, texts) = found.trim_end().rsplit_once('\n').unwrap();
    for (found, expected) in found.lines().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.len());
    assert_eq!(texts, "745");
}

/// A Python that has Samba's modules: Debian's, whatever other Pythons there are.
fn samba_python() -> Option<&'static str> {
    let found =
        std::process::Command::new("/usr/bin/python3").args(["-c", "import samba.dcerpc.security"]).output();
    if found.is_ok_and(|found| found.status.success()) {
        return Some("/usr/bin/python3");
    }
    testkit::skip("needs Samba's Python modules (apt install python3-samba)");
    None
}

fn dump(descriptor: &Descriptor) -> String {
    let sid = |sid: Option<Sid>| sid.map_or("None".to_owned(), |sid| sid.to_string());
    let list = |list: &Option<Acl>| {
        list.as_ref().map_or("None".to_owned(), |list| {
            let entries = list.entries.iter().map(|it| {
                let trustee = it.sid().map_or("?".to_owned(), ToString::to_string);
                format!("({},{},{},{trustee})", it.kind.byte(), it.flags, it.mask)
            });
            entries.collect()
        })
    };
    format!(
        "{} {} {} {} {}",
        descriptor.control,
        sid(descriptor.owner),
        sid(descriptor.group),
        list(&descriptor.dacl),
        list(&descriptor.sacl)
    )
}

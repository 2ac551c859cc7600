//! The trees that the tests build disks from.
//!
//! Each is described here once, as a [`WimFile`]. [`through_wimlib`] then lets wimlib apply it to a volume made by
//! mkntfs and capture that volume again, so that the WIM under test is wimlib's work from end to end, and holds
//! only what NTFS can hold.

use std::path::Path;

use crate::content::{Random, program, text};
use crate::descriptor::{FULL, READ, descriptor, sid};
use crate::program::Program;
use crate::wimfile::{
    ARCHIVE, Content, DIRECTORY, Entry, EntryId, HIDDEN, ITEM_EXTENDED_ATTRIBUTES, ITEM_OBJECT_ID, Image,
    NOT_CONTENT_INDEXED, READONLY, REPARSE_POINT, SYSTEM, TAG_MOUNT_POINT, TAG_SYMLINK, WimFile,
    extended_attributes, filetime, junction_data, symlink_data,
};
use crate::{args, tool};

/// The security descriptors that every fixture has, by their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Security {
    /// Inherited by all below the root.
    pub root: u32,
    /// TrustedInstaller owns, all may read.
    pub system: u32,
    /// Users may do all but delete.
    pub user: u32,
    /// With an integrity label in its SACL.
    pub labelled: u32,
    /// An empty list.
    pub nobody: u32,
    /// A null list.
    pub anyone: u32,
    /// More than 4 KB.
    pub long: u32,
}

/// Adds them to `image`.
pub fn security(image: &mut Image) -> Security {
    let add =
        |image: &mut Image, owner, dacl: Option<&[_]>| image.security(&descriptor(owner, owner, None, dacl));
    let root = add(
        image,
        sid::TRUSTED_INSTALLER,
        Some(&[
            (0, 0, FULL, sid::SYSTEM),
            (0, 0x0B, 0x1000_0000, sid::SYSTEM),
            (0, 0, FULL, sid::ADMINISTRATORS),
            (0, 0x0B, 0x1000_0000, sid::ADMINISTRATORS),
            (0, 0x03, READ, sid::USERS),
        ]),
    );
    let system = add(
        image,
        sid::TRUSTED_INSTALLER,
        Some(&[
            (0, 0, FULL, sid::TRUSTED_INSTALLER),
            (0, 0, READ, sid::SYSTEM),
            (0, 0, READ, sid::ADMINISTRATORS),
            (0, 0, READ, sid::USERS),
        ]),
    );
    let user =
        add(image, sid::ADMINISTRATORS, Some(&[(0, 3, FULL, sid::USERS), (1, 0, 0x1_0000, sid::EVERYONE)]));
    let labelled = image.security(&descriptor(
        sid::SYSTEM,
        sid::ADMINISTRATORS,
        Some(&[(0x11, 0, 1, sid::HIGH_LABEL)]),
        Some(&[(0, 0, FULL, sid::SYSTEM), (0, 0x0B, 0x1000_0000, sid::CREATOR_OWNER)]),
    ));
    let nobody = add(image, sid::SYSTEM, Some(&[]));
    let anyone = add(image, sid::EVERYONE, None);
    let trustees: Vec<String> =
        (0..90).map(|n| format!("S-1-5-21-1004336348-1177238915-682003330-{}", 1000 + n)).collect();
    let aces: Vec<_> = trustees.iter().map(|trustee| (0, 3, READ, trustee.as_str())).collect();
    let long = add(image, sid::ADMINISTRATORS, Some(&aces));
    Security { root, system, user, labelled, nobody, anyone, long }
}

/// Directories by path, made when first asked for.
#[derive(Debug)]
pub struct Folders<'a> {
    /// The image they are in.
    pub image: &'a mut Image,
    known: std::collections::HashMap<String, EntryId>,
    security: Option<u32>,
}

impl<'a> Folders<'a> {
    /// Only the root so far; directories will have the descriptor `security`.
    pub fn new(image: &'a mut Image, security: Option<u32>) -> Self {
        let known = [(String::new(), image.root())].into();
        Self { image, known, security }
    }

    /// The directory `path` (`a/b`), made with all above it if it is not there.
    pub fn get(&mut self, path: &str) -> EntryId {
        if let Some(&id) = self.known.get(path) {
            return id;
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.get(parent);
        let mut entry = Entry::directory(name);
        entry.security = self.security;
        let id = self.image.add(parent, entry);
        self.known.insert(path.to_owned(), id);
        id
    }
}

/// The Windows-shaped tree of `testdata/nano-small.wim`: little data, and one of everything that a WIM can carry
/// onto NTFS with wimlib's help.
pub fn small() -> WimFile {
    let mut wim = WimFile::new();
    windows_shaped(wim.image("Nano-shaped test image"), 1);
    wim
}

/// Two images that share most of their blobs.
pub fn two_images() -> WimFile {
    let mut wim = WimFile::new();
    windows_shaped(wim.image("First edition"), 1);
    let second = wim.image("Second edition");
    windows_shaped(second, 2);
    let root = second.root();
    second.add(root, Entry::file("second.txt", "only in the second image\r\n").secured(0));
    wim
}

fn windows_shaped(image: &mut Image, edition: u64) {
    let sec = security(image);
    let root = image.root();
    *image.entry(root) = Entry::directory("").secured(sec.root).attributes(DIRECTORY | HIDDEN | SYSTEM);
    let old = filetime(-3_000_000_000, 7_654_321); // 1874
    let first = 1; // 100 ns after the beginning of time
    let future = filetime(7_000_000_000, 9_999_999); // 2191

    let mut folders = Folders::new(image, Some(sec.system));
    let system32 = folders.get("Windows/System32");
    let drivers = folders.get("Windows/System32/drivers");
    let config = folders.get("Windows/System32/config");
    let backup = folders.get("Windows/WinSxS/Backup");
    let store =
        folders.get("Windows/WinSxS/amd64_wimforge-test_31bf3856ad364e35_10.0.1.0_none_0123456789abcdef");
    let manifests = folders.get("Windows/WinSxS/Manifests");
    let german = folders.get("Windows/System32/de-DE");
    let program_data = folders.get("ProgramData");
    let users = folders.get("Users");
    let public = folders.get("Users/Public");
    let documents = folders.get("Users/Public/Documents");
    folders.get("Program Files");
    folders.get("Windows/Temp");
    starts(&mut folders, sec.system, edition);
    let image = folders.image;

    // Programs: resident, one cluster, many chunks; each once in the component store and linked from its place.
    let sizes = [600, 3_000, 32_768, 32_769, 65_536, 70_001, 200_000, 90_000];
    for (index, size) in sizes.into_iter().enumerate() {
        let name = format!("module{index}.dll");
        let entry = Entry::file(&name, program(10 * edition + index as u64, size)).secured(sec.system).times(
            filetime(1_400_000_000 + i64::from(index as u32), 1),
            filetime(1_600_000_000, 2),
            old + index as u64,
        );
        let stored = image.add(store, entry);
        image.link(stored, system32, &name);
    }
    let kernel =
        Entry::file("kernel.exe", program(90, 150_000)).secured(sec.system).attributes(ARCHIVE | SYSTEM);
    let kernel = image.add(system32, kernel);
    for (directory, name) in [(backup, "kernel copy.exe"), (store, "kernel.exe"), (drivers, "k")] {
        image.link(kernel, directory, name);
    }
    for index in 0..12 {
        let entry =
            Entry::file(&format!("driver{index}.sys"), program(200 + index, 2_000 + 900 * index as usize));
        image.add(drivers, entry.secured(sec.system));
    }
    for index in 0..24 {
        let name =
            format!("amd64_component-{index}_31bf3856ad364e35_10.0.1.{index}_none_fedcba9876543210.manifest");
        image.add(
            manifests,
            Entry::file(&name, text(300 + index, 300 + 97 * index as usize)).secured(sec.system),
        );
    }

    // Text whose sizes straddle what fits into a file record.
    for size in [1, 2, 100, 500, 600, 640, 680, 700, 720, 740, 760, 800, 1_000, 4_095, 4_096, 4_097] {
        image.add(
            documents,
            Entry::file(&format!("text {size}.txt"), text(400 + size as u64, size)).secured(sec.user),
        );
    }
    image.add(documents, Entry::file("empty.txt", "").secured(sec.user));
    image.add(documents, Entry::file("random.bin", Random::new(5).bytes(40_000)).secured(sec.user));
    image.add(documents, Entry::file("zeros.bin", vec![0; 100_000]).secured(sec.user));
    let copy: Content = text(77, 20_000).into();
    image.add(documents, Entry::file("same 1.txt", copy.clone()).secured(sec.user));
    image.add(documents, Entry::file("same 2.txt", copy).secured(sec.long));

    // Short names, and names that need none.
    let named = [
        ("Long file name.txt", "LONGFI~1.TXT"),
        ("Long file name 2.txt", "LONGFI~2.TXT"),
        ("no extension at all", "NOEXTE~1"),
        ("dots.in.the.name.txt", "DOTSIN~1.TXT"),
    ];
    for (name, short) in named {
        image.add(public, Entry::file(name, name).short(short).secured(sec.user));
    }
    image.add(public, Entry::directory("Directory with a short name").short("DIRECT~1").secured(sec.user));
    for name in ["PLAIN.TXT", "lower.txt", "noext", "NoShort name.dat", "a", "+,;=[].txt", "trailing.dots.."]
    {
        image.add(public, Entry::file(name, name).secured(sec.user));
    }

    // Names outside ASCII: Latin, Greek, Cyrillic, CJK, combining marks, and beyond the first plane.
    let names = [
        "Grüße aus Köln.txt",
        "Ελληνικά.txt",
        "Файл.txt",
        "日本語のファイル.txt",
        "e\u{301}.txt",
        "𝄞 clef 🎼.txt",
    ];
    for name in names {
        image.add(german, Entry::file(name, name).secured(sec.system));
    }
    image.add(german, Entry::directory("Überordner").secured(sec.system));

    // Attributes, times.
    let attributes = [
        ("readonly", READONLY),
        ("hidden", HIDDEN),
        ("system", SYSTEM),
        ("all", READONLY | HIDDEN | SYSTEM | ARCHIVE | NOT_CONTENT_INDEXED),
        ("none", 0),
    ];
    for (name, bits) in attributes {
        image.add(
            config,
            Entry::file(name, format!("attributes {bits:#x}").as_str())
                .attributes(bits)
                .secured(sec.labelled),
        );
    }
    image.add(
        config,
        Entry::directory("hidden directory").attributes(DIRECTORY | HIDDEN | READONLY).secured(sec.nobody),
    );
    let times = [
        ("1601", [first, first + 1, first + 2]),
        ("1874", [old, old + 1, old + 2]),
        ("2191", [future, future, old]),
    ];
    for (name, [created, accessed, written]) in times {
        image.add(config, Entry::file(name, name).times(created, accessed, written).secured(sec.anyone));
    }

    // Named streams: resident and not, beside empty data, on directories, with odd names.
    image.add(
        documents,
        Entry::file("streams.txt", "the unnamed one")
            .stream("Zone.Identifier", "[ZoneTransfer]\r\nZoneId=3\r\n")
            .stream("large", text(500, 90_000))
            .stream("empty", "")
            .stream("Ünïcode ☃", "snow")
            .secured(sec.user),
    );
    image
        .add(documents, Entry::file("only streams.txt", "").stream("s", "with empty data").secured(sec.user));
    image.add(
        public,
        Entry::directory("streams on a directory")
            .stream("resident", "short")
            .stream("not resident", text(501, 9_000))
            .secured(sec.user),
    );

    // Reparse points: relative and absolute links to files and directories, junctions, an unknown tag.
    let link = |name: &str, target: &str| Entry::reparse_point(name, TAG_SYMLINK, symlink_data(target));
    let hidden_junction = DIRECTORY | REPARSE_POINT | HIDDEN | SYSTEM | NOT_CONTENT_INDEXED;
    image.add(
        root,
        Entry::reparse_point("Documents and Settings", TAG_MOUNT_POINT, junction_data("C:\\Users"))
            .attributes(hidden_junction)
            .short("DOCUME~1")
            .secured(sec.nobody),
    );
    image.add(
        users,
        link("All Users", "\\??\\C:\\ProgramData")
            .attributes(hidden_junction)
            .short("ALLUSE~1")
            .secured(sec.labelled),
    );
    image.add(public, link("relative link", "Documents\\text 100.txt").secured(sec.user));
    image.add(
        public,
        link("relative directory link", "..\\Public\\Documents")
            .attributes(DIRECTORY | REPARSE_POINT)
            .secured(sec.user),
    );
    // Tag of an IIS cache file: Microsoft's bit is set, no GUID, any data.
    image.add(
        program_data,
        Entry::reparse_point("unknown tag", 0xA000_0010, vec![1, 2, 3, 4, 5]).secured(sec.system),
    );
    image.add(root, Entry::file("readme.txt", text(600, 1_500)).secured(sec.long));
}

/// What a disk needs to start: boot managers that say that they were reached, everything else as far as it can be checked
/// without being run.
fn starts(folders: &mut Folders<'_>, security: u32, edition: u64) {
    boot_files(folders, security, edition);
    for name in ["SYSTEM", "SOFTWARE", "SECURITY", "SAM", "DEFAULT"] {
        let config = folders.get("Windows/System32/config");
        folders.image.add(config, Entry::file(name, hive(name)).secured(security));
    }
}

/// A hive of `testdata/hives`.
pub(crate) fn hive(name: &str) -> Vec<u8> {
    let path = crate::testdata("hives").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What of that does not depend on the registry, and the drivers that every registry names.
pub(crate) fn boot_files(folders: &mut Folders<'_>, security: u32, edition: u64) {
    let stand_in = |number: u64, size: usize| program(edition * 1000 + number, size);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |path: &str, content: Vec<u8>| files.push((format!("Windows/{path}"), content));
    add("Boot/PCAT/bootmgr", crate::payload::greeter());
    add("Boot/PCAT/bootnxt", stand_in(1, 1));
    add("Boot/PCAT/memtest.exe", stand_in(2, 9_000));
    add("Boot/PCAT/en-US/bootmgr.exe.mui", stand_in(3, 3_000));
    add("Boot/EFI/bootmgfw.efi", crate::efi_app::greeter());
    add("Boot/EFI/greeting.txt", b"hello from a file of the image, on its EFI system partition\r\n".to_vec());
    add("Boot/EFI/memtest.efi", stand_in(4, 8_000));
    add("Boot/EFI/en-US/bootmgfw.efi.mui", stand_in(5, 3_000));
    add("Boot/EFI_EX/bootmgfw_EX.efi", crate::efi_app::greeter());
    add("Boot/Fonts/wgl4_boot.ttf", stand_in(6, 20_000));
    add("Boot/Resources/bootres.dll", stand_in(7, 12_000));
    let code_page = |number| stand_in(number, 66_000);
    add("System32/c_437.nls", code_page(8));
    add("System32/c_1252.nls", code_page(9));
    for name in ["winload", "winresume"] {
        add(&format!("System32/{name}.exe"), Program::x64().size(20_000).to_bytes());
        add(&format!("System32/{name}.efi"), Program::x64().efi().size(21_000).to_bytes());
    }
    let libraries = ["HAL.dll", "KDCOM.dll", "BOOTVID.dll", "CI.dll", "CLFS.SYS"];
    add("System32/ntoskrnl.exe", Program::x64().imports(&libraries).size(100_000).to_bytes());
    for name in ["hal", "kdcom", "bootvid", "ci", "apisetschema"] {
        add(&format!("System32/{name}.dll"), Program::x64().to_bytes());
    }
    for (name, imports) in [
        ("pci", &["ntoskrnl.exe", "hal.dll"][..]),
        ("partmgr", &["ntoskrnl.exe"]),
        ("disk", &["classpnp.sys"]),
        ("classpnp", &[]),
        ("volmgr", &[]),
        ("volsnap", &[]),
        ("mountmgr", &[]),
        ("storahci", &["storport.sys"]),
        ("storport", &[]),
        ("clfs", &[]),
        ("fltmgr", &[]),
        ("ntfs", &["fltmgr.sys"]),
        ("tcpip", &["ntoskrnl.exe"]),
    ] {
        add(&format!("System32/drivers/{name}.sys"), Program::x64().imports(imports).to_bytes());
    }
    for (path, content) in files {
        let (directory, name) = path.rsplit_once('/').expect("it is below the root");
        let directory = folders.get(directory);
        folders.image.add(directory, Entry::file(name, content).secured(security));
    }
}

/// A tree with the awkward extremes: a directory of 30,000 names, a file with 300 names and 60 streams, 40 levels,
/// names of 255 units, thousands of short names, a large file of many chunks.
pub fn rich() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Feature-rich");
    windows_shaped(image, 1);
    let root = image.root();

    let many = image.add(root, Entry::directory("30000 names"));
    for index in 0..30_000_u64 {
        // Not in order, so that sorting has something to do; half of them with short names.
        let number = index * 7_919 % 30_000;
        let mut entry = Entry::file(&format!("File number {number:05}.dat"), number.to_string().as_str());
        if number % 2 == 0 {
            entry = entry.short(&format!("F~{number:05}.DAT"));
        }
        if number % 100 == 0 {
            entry.data = text(number, 5_000).into();
        }
        image.add(many, entry);
    }

    let links = image.add(root, Entry::directory("300 links"));
    let mut file = Entry::file("link 000", program(1000, 100_000)).short("LINK00~1");
    for stream in 0..60 {
        file = file.stream(&format!("stream number {stream}"), text(stream, 10 + 100 * stream as usize));
    }
    let file = image.add(links, file);
    for index in 1..300 {
        let (parent, name) = if index % 3 == 0 {
            (root, format!("link at the root {index}"))
        } else {
            (links, format!("link {index:03} {}", "x".repeat(index % 100)))
        };
        image.link(file, parent, &name);
    }
    let directory = (0..60).fold(Entry::directory("directory with 60 streams"), |entry, stream| {
        entry.stream(&format!("stream number {stream}"), text(stream + 1_000, 5 + 150 * stream as usize))
    });
    image.add(links, directory);

    let mut deep = image.add(root, Entry::directory("deep"));
    for level in 1..40 {
        image.add(deep, Entry::file("file.txt", format!("level {level}").as_str()));
        deep = image.add(deep, Entry::directory(&format!("level {level:02}")));
    }
    image.add(deep, Entry::file("bottom.txt", "the bottom"));

    let long = image.add(root, Entry::directory(&"d".repeat(255)));
    for index in 0..40 {
        image.add(long, Entry::file(&format!("{index:03}{}", "n".repeat(252)), text(index, 700)));
        let wide: String = format!("{index:03}") + &"ű".repeat(252);
        image.add(long, Entry::file(&wide, text(index + 50, 3_000)).short(&format!("WIDE~{index:03}")));
    }
    image.add(long, Entry::file("stream of 255 units", "x").stream(&"s".repeat(255), "y"));
    image.add(root, Entry::file("large.bin", large(12_000_000)));

    // Names that differ only in case.
    let case = image.add(root, Entry::directory("case"));
    for name in ["same", "Same", "SAME", "sAME"] {
        image.add(case, Entry::file(name, name));
    }
    image.secure_the_rest(0);
    wim
}

/// Runs of text, programs, zeros and noise.
fn large(size: usize) -> Vec<u8> {
    let mut random = Random::new(99);
    let mut out = Vec::with_capacity(size + 400_000);
    while out.len() < size {
        let length = 1 + random.below(400_000);
        match random.below(4) {
            0 => out.extend(text(random.next_u64(), length)),
            1 => out.extend(program(random.next_u64(), length)),
            2 => out.extend(vec![0; length]),
            _ => out.extend(random.bytes(length / 8)),
        }
    }
    out.truncate(size);
    out
}

/// `count` files in directories of 500, most of them small.
pub fn many(count: usize) -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Many files");
    let sec = security(image);
    let mut random = Random::new(3);
    let mut directory = image.root();
    for index in 0..count {
        if index % 500 == 0 {
            if index % 10_000 == 0 {
                let root = image.root();
                directory = image
                    .add(root, Entry::directory(&format!("part {:03}", index / 10_000)).secured(sec.root));
            } else {
                directory =
                    image.add(directory, Entry::directory(&format!("folder {index:07}")).secured(sec.system));
            }
        }
        let size = match random.below(20) {
            0 => 2_000 + random.below(8_000),
            1..8 => random.below(900),
            _ => random.below(200),
        };
        let entry = Entry::file(&format!("file {index:07}.txt"), text(index as u64, size)).secured(sec.user);
        image.add(directory, if index % 3 == 0 { entry.short(&format!("F{index:07}.TXT")) } else { entry });
    }
    image.secure_the_rest(sec.root);
    wim
}

/// What wimlib cannot put on a volume: object ids and extended attributes. Small files `object id N` and `ea N`.
pub fn ids_and_attributes() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Object ids and extended attributes");
    let root = image.root();
    for index in 0..20_u8 {
        let mut id = [index; 16];
        id[0] = 0xF0 ^ index;
        let mut item = id.to_vec();
        if index % 2 == 0 {
            item.extend([0x40 + index; 48]); // birth volume, birth object, domain
        }
        image.add(
            root,
            Entry::file(&format!("object id {index}"), text(index.into(), 900)).tagged(ITEM_OBJECT_ID, item),
        );
    }
    image.add(root, Entry::directory("directory with an object id").tagged(ITEM_OBJECT_ID, vec![0xDD; 16]));
    let lists: [&[(&str, u8, &[u8])]; 4] = [
        &[("$LXUID", 0, &[1, 2, 3, 4])],
        &[("FIRST", 0, b"one"), ("SECOND", 0x80, b"")],
        &[("LARGE", 0, &[7; 3_000])],
        &[
            ("A", 0, b"a"),
            ("BB", 0, b"bb"),
            ("CCC", 0, b"ccc"),
            ("DDDD", 0, b"dddd"),
            ("EEEEE", 0x80, &[5; 300]),
        ],
    ];
    for (index, list) in lists.into_iter().enumerate() {
        let item = extended_attributes(list);
        image.add(root, Entry::file(&format!("ea {index}"), "data").tagged(ITEM_EXTENDED_ATTRIBUTES, item));
    }
    wim
}

/// Applies `wim`, image by image, to NTFS volumes of `volume_size` bytes and captures these into `out` with
/// `compress` (as wimlib's option takes it: `LZX`, `XPRESS`, `none`). `None`, visibly, when a tool is missing.
///
/// # Panics
/// When a tool fails.
pub fn through_wimlib(
    wim: &Path,
    images: &[&str],
    volume_size: u64,
    compress: &str,
    out: &Path,
) -> Option<()> {
    let (wimlib, mkntfs) = (tool("wimlib-imagex")?, tool("mkntfs")?);
    let scratch = tempfile::tempdir().expect("a temporary directory");
    for (index, name) in images.iter().enumerate() {
        let volume = scratch.path().join("volume.img");
        let file = std::fs::File::create(&volume).expect("a file in the temporary directory");
        file.set_len(volume_size).expect("a sparse file");
        drop(file);
        mkntfs.run(args!["-q", "-F", "-T", "-s", "512", "-p", "2048", "-H", "255", "-S", "63", &volume]);
        let number = (index + 1).to_string();
        wimlib.run(args!["apply", "--quiet", wim, &number, &volume, "--strict-acls"]);
        if index == 0 {
            let compress = format!("--compress={compress}");
            wimlib.run(args!["capture", "--quiet", &volume, out, *name, "--strict-acls", &compress]);
        } else {
            wimlib.run(args!["append", "--quiet", &volume, out, *name, "--strict-acls"]);
        }
        std::fs::remove_file(&volume).expect("the volume");
    }
    Some(())
}

//! Which files of an image start it, and where firmware and boot manager look for them.
//!
//! An image carries its boot files in `\Windows\Boot`: `PCAT` for BIOS machines, `EFI` for UEFI ones, and for both
//! `Fonts` and `Resources`. What goes where is what bcdboot leaves behind (observed: listings of such partitions; the
//! attributes too). With `EFI_EX` and `Fonts_EX` come the same files signed by another authority ("Windows UEFI CA 2023");
//! their names carry `_EX` there and lose it on the way.

use crate::recipe::Layout;
use crate::tree::{Node, NodeId};
use crate::tree_index::TreeIndex;

const READONLY: u32 = 0x1;
const HIDDEN: u32 = 0x2;
const SYSTEM: u32 = 0x4;
const ARCHIVE: u32 = 0x20;

/// What starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firmware {
    Bios,
    Uefi,
}

/// The second store of UEFI machines, which starts no system.
pub(super) const RECOVERY_STORE: &str = "\\EFI\\Microsoft\\Recovery\\BCD";

impl Firmware {
    /// What starts disks of this layout.
    pub(crate) fn of(layout: Layout) -> Self {
        match layout {
            Layout::Mbr3 | Layout::Mbr1 => Self::Bios,
            Layout::Gpt => Self::Uefi,
        }
    }

    /// Its name in summaries.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }

    /// How programs that it leads to are called.
    pub(super) fn program_extension(self) -> &'static str {
        match self {
            Self::Bios => "exe",
            Self::Uefi => "efi",
        }
    }

    /// Where the image has the boot manager.
    pub(super) fn manager_in_image(self) -> &'static str {
        match self {
            Self::Bios => "\\Windows\\Boot\\PCAT\\bootmgr",
            Self::Uefi => "\\Windows\\Boot\\EFI\\bootmgfw.efi",
        }
    }

    /// Where the memory test goes.
    pub(super) fn memory_test(self) -> &'static str {
        match self {
            Self::Bios => "\\Boot\\memtest.exe",
            Self::Uefi => "\\EFI\\Microsoft\\Boot\\memtest.efi",
        }
    }

    /// The directory of the boot manager's store and files.
    pub(super) fn directory(self) -> &'static str {
        match self {
            Self::Bios => "\\Boot",
            Self::Uefi => "\\EFI\\Microsoft\\Boot",
        }
    }

    /// The store.
    pub(crate) fn store(self) -> &'static str {
        match self {
            Self::Bios => "\\Boot\\BCD",
            Self::Uefi => "\\EFI\\Microsoft\\Boot\\BCD",
        }
    }

    /// What firmware or boot code starts.
    pub(crate) fn manager(self) -> &'static str {
        match self {
            Self::Bios => "\\bootmgr",
            Self::Uefi => "\\EFI\\Microsoft\\Boot\\bootmgfw.efi",
        }
    }
}

/// A file that is copied to the partition that firmware starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootFile {
    /// Where it goes, with backslashes.
    pub(super) path: String,
    /// Where it is in the image, for the record.
    pub(super) from: String,
    /// `FILE_ATTRIBUTE_*` that it gets.
    pub(super) attributes: u32,
    /// The file of the image.
    pub(super) node: NodeId,
}

/// A directory that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootDirectory {
    /// Where, with backslashes.
    pub(super) path: String,
    /// `FILE_ATTRIBUTE_*` besides that of directories.
    pub(super) attributes: u32,
    /// The directory of the image that it is like.
    pub(super) like: NodeId,
}

/// All that an image has for one kind of firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BootFiles {
    /// Parents before what they hold.
    pub(super) directories: Vec<BootDirectory>,
    /// In path order.
    pub(super) files: Vec<BootFile>,
}

impl BootFiles {
    /// The file that goes to `path`.
    pub(super) fn get(&self, path: &str) -> Option<&BootFile> {
        self.files.iter().find(|file| file.path.eq_ignore_ascii_case(path))
    }

    /// What the image has for `firmware`; `ex` takes the files of the newer authority where there are some.
    pub(super) fn of(index: &TreeIndex<'_>, firmware: Firmware, ex: bool) -> Self {
        let mut found = Self::default();
        let to = firmware.directory();
        let own = match firmware {
            Firmware::Bios => "PCAT",
            Firmware::Uefi => "EFI",
        };
        for (from, to, ex_from) in [
            (own.to_owned(), to.to_owned(), Some(format!("{own}_EX"))),
            ("Fonts".to_owned(), format!("{to}\\Fonts"), Some("Fonts_EX".to_owned())),
            ("Resources".to_owned(), format!("{to}\\Resources"), None),
        ] {
            found.copy(index, &from, &to);
            if let Some(ex_from) = ex_from.filter(|_| ex) {
                found.copy(index, &ex_from, &to);
            }
        }
        if firmware == Firmware::Bios {
            for file in &mut found.files {
                match file.path.to_ascii_lowercase().as_str() {
                    "\\boot\\bootmgr" => {
                        file.path = "\\bootmgr".to_owned();
                        file.attributes = READONLY | HIDDEN | SYSTEM | ARCHIVE;
                    }
                    "\\boot\\bootnxt" => {
                        file.path = "\\BOOTNXT".to_owned();
                        file.attributes = HIDDEN | SYSTEM | ARCHIVE;
                    }
                    _ => {}
                }
            }
            for directory in found.directories.iter_mut().filter(|found| found.path == to) {
                directory.attributes = HIDDEN | SYSTEM;
            }
        }
        found.files.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// Adds `\Windows\Boot\<from>` and all below it.
    fn copy(&mut self, index: &TreeIndex<'_>, from: &str, to: &str) {
        let from = format!("\\Windows\\Boot\\{from}");
        let Some((_, root)) = index.find(&from) else { return };
        let mut open = vec![(root, from, to.to_owned())];
        while let Some((directory, from, to)) = open.pop() {
            // What has another file's or no children is no directory to look into.
            let node = &index.tree().nodes[directory.0 as usize];
            if !node.is_directory() || node.reparse.is_some() {
                continue;
            }
            if !self.directories.iter().any(|known| known.path == to) {
                self.directories.push(BootDirectory { path: to.clone(), attributes: 0, like: directory });
            }
            for &name in index.children(directory) {
                let node = index.tree().names[name.0 as usize].node;
                let text = index.text(name);
                let (from, to) = (format!("{from}\\{text}"), format!("{to}\\{}", without_ex(&text)));
                match &index.tree().nodes[node.0 as usize] {
                    found if found.is_directory() => open.push((node, from, to)),
                    found if is_plain(found) => {
                        self.put(BootFile { path: to, from, attributes: ARCHIVE, node })
                    }
                    _ => {}
                }
            }
        }
        self.directories.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The later of two for one place wins.
    fn put(&mut self, file: BootFile) {
        match self.files.iter_mut().find(|known| known.path.eq_ignore_ascii_case(&file.path)) {
            Some(known) => *known = BootFile { path: std::mem::take(&mut known.path), ..file },
            None => self.files.push(file),
        }
    }

    /// Adds a copy of the UEFI boot manager where firmware looks when nobody told it where to.
    pub(super) fn add_fallback(&mut self, machine: Machine) {
        let Some(manager) = self.get(Firmware::Uefi.manager()).cloned() else { return };
        let like = self.directories.first().map_or(NodeId::ROOT, |directory| directory.like);
        let path = format!("\\EFI\\Boot\\{}", machine.fallback());
        self.files.push(BootFile { path, ..manager });
        for path in ["\\EFI", "\\EFI\\Boot", "\\EFI\\Microsoft"] {
            self.directories.push(BootDirectory { path: path.to_owned(), attributes: 0, like });
        }
        self.directories.sort_by(|a, b| a.path.cmp(&b.path));
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

/// `bootmgfw_EX.efi` → `bootmgfw.efi`.
fn without_ex(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    match stem.strip_suffix("_EX").or_else(|| stem.strip_suffix("_ex")) {
        Some(stem) if !extension.is_empty() => format!("{stem}.{extension}"),
        _ => name.to_owned(),
    }
}

/// A file whose unnamed stream is what it says.
fn is_plain(node: &Node) -> bool {
    node.reparse.is_none() && node.data.is_some()
}

/// What a boot program is compiled for, by the machine field of its PE header (PE format, "Machine Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86,
    X64,
    Arm64,
}

impl Machine {
    /// Looks at a program.
    pub(super) fn of(program: &[u8]) -> Option<Self> {
        const PE_OFFSET: usize = 0x3C;
        let header: [u8; 4] = program.get(PE_OFFSET..PE_OFFSET + 4)?.try_into().ok()?;
        let header = usize::try_from(u32::from_le_bytes(header)).ok()?;
        match program.get(header..header.checked_add(6)?)? {
            [b'P', b'E', 0, 0, 0x4C, 0x01] => Some(Self::X86),
            [b'P', b'E', 0, 0, 0x64, 0x86] => Some(Self::X64),
            [b'P', b'E', 0, 0, 0x64, 0xAA] => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The name that firmware looks for on a disk nobody told it about (UEFI 2.10, 3.5.1.1).
    fn fallback(self) -> &'static str {
        match self {
            Self::X86 => "bootia32.efi",
            Self::X64 => "bootx64.efi",
            Self::Arm64 => "bootaa64.efi",
        }
    }
}

#[cfg(test)]
mod tests {
    use disk::FileTime;

    use super::*;
    use crate::edit::{Editor, Hashes, Style};
    use crate::tree::{Content, Times, Tree};

    struct NoHashes;
    impl Hashes for NoHashes {
        fn sha1(&self, _: u32) -> [u8; 20] {
            [0; 20]
        }
    }

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::empty(Times::default());
        let mut editor = Editor::new(&mut tree, &NoHashes, 1);
        let style = Style::new(ARCHIVE, FileTime(5), None);
        for (number, path) in (1..).zip(paths) {
            editor.directory(path.rsplit_once('\\').unwrap().0, &style, "").unwrap();
            editor.file(path, Content::Blob { blob: number, len: 100 }, &style, "").unwrap();
        }
        editor.finish();
        tree
    }

    fn listing(files: &BootFiles) -> Vec<(&str, u32, &str)> {
        files.files.iter().map(|file| (&*file.path, file.attributes, &*file.from)).collect()
    }

    const IMAGE: &[&str] = &[
        "\\Windows\\Boot\\PCAT\\bootmgr",
        "\\Windows\\Boot\\PCAT\\bootnxt",
        "\\Windows\\Boot\\PCAT\\memtest.exe",
        "\\Windows\\Boot\\PCAT\\de-DE\\bootmgr.exe.mui",
        "\\Windows\\Boot\\EFI\\bootmgfw.efi",
        "\\Windows\\Boot\\EFI\\boot.stl",
        "\\Windows\\Boot\\EFI\\de-DE\\bootmgfw.efi.mui",
        "\\Windows\\Boot\\EFI_EX\\bootmgfw_EX.efi",
        "\\Windows\\Boot\\Fonts\\wgl4_boot.ttf",
        "\\Windows\\Boot\\Fonts_EX\\wgl4_boot_EX.ttf",
        "\\Windows\\Boot\\Resources\\bootres.dll",
        "\\Windows\\Boot\\DVD\\PCAT\\boot.sdi",
    ];

    #[test]
    fn bios_files_go_to_boot_and_the_manager_to_the_root() {
        let tree = tree(IMAGE);
        let found = BootFiles::of(&TreeIndex::new(&tree), Firmware::Bios, false);
        assert_eq!(
            listing(&found),
            [
                ("\\BOOTNXT", 0x26, "\\Windows\\Boot\\PCAT\\bootnxt"),
                ("\\Boot\\Fonts\\wgl4_boot.ttf", 0x20, "\\Windows\\Boot\\Fonts\\wgl4_boot.ttf"),
                ("\\Boot\\Resources\\bootres.dll", 0x20, "\\Windows\\Boot\\Resources\\bootres.dll"),
                ("\\Boot\\de-DE\\bootmgr.exe.mui", 0x20, "\\Windows\\Boot\\PCAT\\de-DE\\bootmgr.exe.mui"),
                ("\\Boot\\memtest.exe", 0x20, "\\Windows\\Boot\\PCAT\\memtest.exe"),
                ("\\bootmgr", 0x27, "\\Windows\\Boot\\PCAT\\bootmgr"),
            ]
        );
        let directories: Vec<_> =
            found.directories.iter().map(|found| (&*found.path, found.attributes)).collect();
        let expected = [("\\Boot", 6), ("\\Boot\\Fonts", 0), ("\\Boot\\Resources", 0), ("\\Boot\\de-DE", 0)];
        assert_eq!(directories, expected);
    }

    #[test]
    fn uefi_files_have_a_fallback_and_another_signature_on_request() {
        let tree = tree(IMAGE);
        let index = TreeIndex::new(&tree);
        let mut found = BootFiles::of(&index, Firmware::Uefi, false);
        found.add_fallback(Machine::Arm64);
        let manager = "\\Windows\\Boot\\EFI\\bootmgfw.efi";
        assert_eq!(listing(&found)[0], ("\\EFI\\Boot\\bootaa64.efi", 0x20, manager));
        assert_eq!(found.get("\\EFI\\MICROSOFT\\Boot\\boot.stl").unwrap().attributes, 0x20);
        assert_eq!(found.directories[0].path, "\\EFI");

        let found = BootFiles::of(&index, Firmware::Uefi, true);
        let ex = "\\Windows\\Boot\\EFI_EX\\bootmgfw_EX.efi";
        assert_eq!(found.get(Firmware::Uefi.manager()).unwrap().from, ex);
        let font = found.get("\\EFI\\Microsoft\\Boot\\Fonts\\wgl4_boot.ttf").unwrap();
        assert_eq!(font.from, "\\Windows\\Boot\\Fonts_EX\\wgl4_boot_EX.ttf");
        assert_eq!(found.files.len(), 5);
        assert_eq!(
            BootFiles::of(&TreeIndex::new(&Tree::empty(Times::default())), Firmware::Uefi, true),
            BootFiles::default()
        );
    }

    #[test]
    fn a_program_says_what_it_runs_on() {
        let mut program = vec![0; 0x90];
        program[0x3C] = 0x80;
        program[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
        assert_eq!(Machine::of(&program), Some(Machine::X64));
        program[0x85] = 0xAA;
        assert_eq!(Machine::of(&program), Some(Machine::Arm64));
        assert_eq!(Machine::of(&program[..0x85]), None);
        program[0x3C..0x40].copy_from_slice(&[0xFF; 4]);
        assert_eq!(Machine::of(&program), None);
    }
}

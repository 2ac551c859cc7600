//! Disks to draw: one as usual, one that means harm, and any number at random.

use wimforge_picture::{
    Cell, Cells, Chain, Change, ChangedFolder, ChangedHive, ChangedKey, ChangedValue, Changes, Class,
    Container, Done, Explained, Export, Extension, Item, ItemKind, LargeFile, Link, LinkState, Packing, Part,
    Place, PlaceKind, Sample, Tally, Volume,
};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn item(name: &str, kind: ItemKind, bytes: u64, items: Vec<Item>) -> Item {
    Item { name: name.to_owned(), kind, bytes, size: bytes, files: 3, plain: bytes, packed: bytes / 3, items }
}

fn place(number: u32, name: &str, start: u64, size: u64) -> Place {
    Place {
        kind: PlaceKind::Partition,
        number: Some(number),
        name: name.to_owned(),
        detail: "type 0x07, NTFS".to_owned(),
        start,
        size,
        used: Some(size / 3),
        stored: size / 4,
        problem: None,
    }
}

fn cells(size: u64, count: u64) -> Cells {
    let unit = (size / count).max(1);
    let cell = |number: u64| Cell {
        class: Class::ALL[(number / 7 % 12) as usize],
        used: if number.is_multiple_of(5) { 0 } else { unit * (number % 8) / 7 },
        stored: unit * (number / 16 % 2),
    };
    Cells { unit, cells: (0..count).map(cell).collect() }
}

fn volume(partition: u32, tree: Item) -> Volume {
    let part = |class: Class, label: &str, bytes| Part {
        class,
        label: label.to_owned(),
        bytes,
        stored: bytes,
        pieces: 2,
        first: Some(4096),
    };
    let large = |path: &str| LargeFile {
        path: path.to_owned(),
        bytes: 40 * MIB,
        size: 41 * MIB,
        packed: Some(20 * MIB),
    };
    Volume {
        partition,
        label: "Windows".to_owned(),
        file_system: "NTFS".to_owned(),
        cluster_size: 4096,
        size: 3 * GIB,
        used: GIB,
        parts: vec![
            part(Class::Files, "file data", GIB / 2),
            part(Class::Records, "$MFT", 40 * MIB),
            part(Class::Free, "free", 2 * GIB),
        ],
        cells: cells(3 * GIB, 1200),
        files: 9300,
        resident: 1200,
        directories: 900,
        fragmented: 2,
        largest: vec![
            large("\\Windows\\System32\\config\\SOFTWARE"),
            large(&format!("\\{}", "a long name ".repeat(30))),
        ],
        extensions: vec![
            Extension {
                name: ".dll".to_owned(),
                files: 4000,
                bytes: 400 * MIB,
                plain: 400 * MIB,
                packed: 130 * MIB,
            },
            Extension { name: String::new(), files: 40, bytes: 4 * MIB, plain: 0, packed: 0 },
        ],
        packing: Some(Packing {
            method: "length of each file in the WIM (LZX, chunks of 32 KiB)".to_owned(),
            files: 8000,
            plain: 500 * MIB,
            packed: 170 * MIB,
            worst: vec![large("\\a.cab")],
            incompressible: 30 * MIB,
        }),
        notes: vec!["something is damaged".to_owned()],
        tree,
    }
}

fn chain(firmware: &str, state: LinkState, detail: &str) -> Chain {
    let names = [
        "partition table",
        "boot code",
        "system partition",
        "boot record",
        "file system",
        "boot manager",
        "boot store",
        "boot entry",
        "devices",
        "loader",
        "SYSTEM hive",
        "control set",
        "kernel",
        "boot drivers",
        "disk drivers",
        "registry",
    ];
    let link = |(number, name): (usize, &&str)| Link {
        name: (*name).to_owned(),
        state: if number == 6 {
            state
        } else if number > 6 && state == LinkState::Broken {
            LinkState::NotReached
        } else {
            LinkState::Ok
        },
        detail: detail.to_owned(),
        findings: if number == 6 && state != LinkState::Ok {
            vec![format!("{detail} is wrong. To do: {}", "mend it ".repeat(60))]
        } else {
            Vec::new()
        },
    };
    Chain {
        firmware: firmware.to_owned(),
        starts: state != LinkState::Broken,
        verdict: "the disk starts as far as can be told".to_owned(),
        links: names.iter().enumerate().map(link).collect(),
    }
}

/// A disk with Windows on it.
pub(crate) fn ordinary() -> Explained {
    let others = item("400 others", ItemKind::Others, 20 * MIB, Vec::new());
    let system32 = item(
        "System32",
        ItemKind::Folder,
        300 * MIB,
        vec![
            item("drivers", ItemKind::Folder, 80 * MIB, Vec::new()),
            item(
                "config",
                ItemKind::Folder,
                60 * MIB,
                vec![
                    item("SOFTWARE", ItemKind::File, 40 * MIB, Vec::new()),
                    item("SYSTEM", ItemKind::File, 20 * MIB, Vec::new()),
                ],
            ),
            item("300 others", ItemKind::Others, 160 * MIB, Vec::new()),
        ],
    );
    let windows = item(
        "Windows",
        ItemKind::Folder,
        480 * MIB,
        vec![system32, item("WinSxS", ItemKind::Folder, 160 * MIB, Vec::new()), others],
    );
    let tree = item(
        "",
        ItemKind::Folder,
        512 * MIB,
        vec![windows, item("Users", ItemKind::Folder, 32 * MIB, Vec::new())],
    );
    Explained {
        title: "nano.vhd".to_owned(),
        subtitle: vec!["disk in vhd".to_owned()],
        planned: true,
        disk_size: 4 * GIB,
        places: vec![
            place(1, "System", MIB, 350 * MIB),
            place(2, "Windows", 351 * MIB, 3 * GIB),
            Place {
                kind: PlaceKind::Gap,
                number: None,
                name: "unallocated".to_owned(),
                detail: String::new(),
                used: None,
                ..place(0, "", 3423 * MIB, 200 * MIB)
            },
            place(3, "Recovery", 3623 * MIB, 472 * MIB),
        ],
        cells: cells(4 * GIB, 500),
        volumes: vec![volume(2, tree)],
        export: Export {
            container: "vhd".to_owned(),
            stored: GIB,
            file_size: Some(GIB),
            stored_free: 10 * MIB,
            containers: vec![
                Container { name: "raw, as a sparse file".to_owned(), bytes: GIB },
                Container { name: "vhd, vhdx".to_owned(), bytes: GIB + GIB / 9 },
            ],
            sample: Some(Sample {
                method: "a few pieces".to_owned(),
                plain: GIB,
                packed: GIB / 3,
                estimate: GIB / 3,
            }),
        },
        changes: Some(changes()),
        chains: vec![chain("BIOS", LinkState::Ok, "MBR, 3 partitions, disk signature 0x12345678")],
        notes: vec!["a note".to_owned()],
    }
}

fn changes() -> Changes {
    let tally = |files, bytes| Tally { files, folders: 1, bytes };
    let folder = |partition, path: &str, added, changed| ChangedFolder {
        partition,
        path: path.to_owned(),
        added: tally(added, added * MIB),
        changed: tally(changed, changed * MIB / 2),
        removed: tally(1, 0),
        reasons: vec!["answer file".to_owned(), "first boot".to_owned()],
        more_reasons: 2,
    };
    let value = |name: &str, number| ChangedValue {
        name: name.to_owned(),
        action: if name == "Old" { "deleted" } else { "set" }.to_owned(),
        kind: "REG_DWORD".to_owned(),
        size: 4,
        number,
    };
    let key = |number: usize| ChangedKey {
        path: format!("ControlSet001\\Services\\service number {number}\\Parameters"),
        action: ["made", "changed", "deleted"][number % 3].to_owned(),
        values: ["Start", "Old", "", "A longer name of a value"][..number % 5]
            .iter()
            .map(|name| value(name, number.is_multiple_of(2).then_some(7)))
            .collect(),
        more: number as u64 % 2 * 5,
    };
    Changes {
        added: tally(2, 3 * MIB),
        changed: tally(1, MIB),
        removed: tally(1, 0),
        folders: vec![
            folder(2, "\\Windows\\System32\\DriverStore\\FileRepository with a long name", 9, 3),
            folder(2, "\\Windows\\Panther", 1, 0),
            folder(1, "\\", 0, 1),
        ],
        more_folders: 7,
        files: vec![Change {
            partition: 2,
            path: "\\Windows\\Panther\\unattend.xml".to_owned(),
            action: "added".to_owned(),
            size: Some(2048),
            reason: "answer file".to_owned(),
        }],
        more_files: 3,
        registry: vec![ChangedHive {
            hive: "SYSTEM".to_owned(),
            by: vec!["first boot".to_owned(), "v.reg".to_owned()],
            keys_created: 1,
            keys_deleted: 0,
            values_set: 3,
            values_deleted: 0,
            keys: (0..12).map(key).collect(),
            more: 4,
        }],
        done: vec![
            Done { what: "first boot".to_owned(), lines: vec!["computer name web1".to_owned(); 9] },
            Done { what: "files with secrets".to_owned(), lines: vec!["a long sentence ".repeat(30)] },
        ],
    }
}

/// Every name on it means harm.
pub(crate) fn hostile() -> Explained {
    const BAD: &str = "</title></text><script onload=alert(1)>\"'&\u{202e}\u{0}\u{1b}[2J\u{ffff}\u{fffd}مرحبا שלום 日本\u{fdfd}";
    let mut explained = ordinary();
    let long = format!("{BAD}{}", "W".repeat(255));
    explained.title = long.clone();
    explained.subtitle = vec![BAD.to_owned(), "javascript:url(http)".replace("http", "x")];
    explained.notes = vec![long.clone()];
    for place in &mut explained.places {
        place.name.clone_from(&long);
        place.detail = BAD.to_owned();
        place.problem = Some(long.clone());
    }
    fn spoil(item: &mut Item, name: &str) {
        item.name = name.to_owned();
        item.items.iter_mut().for_each(|item| spoil(item, name));
    }
    for volume in &mut explained.volumes {
        volume.label = long.clone();
        volume.notes = vec![long.clone()];
        volume.largest.iter_mut().for_each(|file| file.path = format!("\\{long}\\{BAD}"));
        volume.extensions[0].name = BAD.to_owned();
        spoil(&mut volume.tree, &long);
    }
    if let Some(changes) = &mut explained.changes {
        changes.files[0].path = long.clone();
        changes.files[0].reason = BAD.to_owned();
        changes.done[0].lines[0] = long.clone();
        changes.folders[0].path = long.clone();
        changes.folders[0].reasons[0] = BAD.to_owned();
        let hive = &mut changes.registry[0];
        hive.hive = BAD.to_owned();
        hive.by[0] = long.clone();
        hive.keys[4].path = long.clone();
        hive.keys[4].values[0].name = long.clone();
    }
    explained.chains = vec![chain("UEFI", LinkState::Broken, &long)];
    explained
}

/// Numbers that a seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Of any magnitude.
    fn size(&mut self) -> u64 {
        let bits = self.below(44);
        self.below(1 << bits)
    }

    fn name(&mut self) -> String {
        const LETTERS: [char; 20] = [
            'a',
            'W',
            'i',
            'm',
            '.',
            ' ',
            '<',
            '&',
            '"',
            'ä',
            '日',
            'م',
            '\u{202e}',
            '\n',
            '~',
            'l',
            'M',
            '-',
            '\u{1f600}',
            'Ж',
        ];
        let len = match self.below(8) {
            0 => self.below(255),
            _ => self.below(14),
        };
        (0..=len).map(|_| LETTERS[self.below(20) as usize]).collect()
    }

    fn items(&mut self, whole: u64, depth: u32) -> Vec<Item> {
        let mut left = whole;
        let count = self.below(if depth == 0 { 30 } else { 12 });
        let mut items = Vec::new();
        for _ in 0..count {
            let bytes = self.below(left + 1);
            left -= bytes;
            let inside =
                if depth < 4 && self.below(2) == 0 { self.items(bytes, depth + 1) } else { Vec::new() };
            let kind = [ItemKind::Folder, ItemKind::File, ItemKind::Others][self.below(3) as usize];
            items.push(item(&self.name(), kind, bytes, inside));
        }
        items
    }
}

/// Any disk, sensible or not.
pub(crate) fn random(seed: u64) -> Explained {
    let mut dice = Dice(seed);
    let mut explained = ordinary();
    explained.title = dice.name();
    explained.disk_size = dice.size();
    explained.places.clear();
    for number in 0..dice.below(40) {
        let (start, size) = (dice.below(explained.disk_size + 1), dice.size());
        let mut found = place(number as u32, &dice.name(), start, size);
        if dice.below(4) == 0 {
            found.problem = Some(dice.name().repeat(9));
        }
        found.kind = [PlaceKind::Partition, PlaceKind::Gap, PlaceKind::Table][dice.below(3) as usize];
        explained.places.push(found);
    }
    explained.places.sort_by_key(|place| place.start);
    let count = dice.below(500) + 1;
    explained.cells = cells(explained.disk_size, count);
    explained.volumes.clear();
    for number in 0..dice.below(4) {
        let whole = dice.size();
        let inside = dice.items(whole, 0);
        let mut found = volume(number as u32, item("", ItemKind::Folder, whole, inside));
        found.label = dice.name();
        let count = dice.below(1300);
        found.cells = cells(dice.size(), count.max(1));
        explained.volumes.push(found);
    }
    let state = [LinkState::Ok, LinkState::Warning, LinkState::Broken][dice.below(3) as usize];
    explained.chains = vec![chain("BIOS", state, &dice.name().repeat(4))];
    explained.chains[0].links.truncate(dice.below(17) as usize);
    explained.chains[0].verdict = dice.name().repeat(20);
    explained
}

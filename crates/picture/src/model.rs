//! What is drawn: a disk as plain data, sizes in bytes. `explain --json` is this, so a field that changes its meaning
//! changes the schema's number.

use serde::Serialize;

use crate::Changes;

/// A disk, and what there is to say of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explained {
    /// What it is called: a file's name.
    pub title: String,
    /// What it is, in a few words.
    pub subtitle: Vec<String>,
    /// Whether it is a plan: nothing of it has been written.
    pub planned: bool,
    /// Size of the disk.
    pub disk_size: u64,
    /// What lies on it, from the first byte to the last.
    pub places: Vec<Place>,
    /// The disk, cut into equal pieces.
    pub cells: Cells,
    /// The volumes that could be read.
    pub volumes: Vec<Volume>,
    /// What the file that holds the disk stores.
    pub export: Export,
    /// What differs from the image on purpose; of plans only.
    pub changes: Option<Changes>,
    /// How it starts.
    pub chains: Vec<Chain>,
    /// What else was noticed.
    pub notes: Vec<String>,
}

/// What bytes of a disk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A partition table.
    Table,
    /// Sectors that a start passes through.
    Boot,
    /// Where the records of all files lie.
    Records,
    /// The copy of their beginning.
    Mirror,
    /// The log.
    Log,
    /// What says which clusters are in use.
    Allocation,
    /// Names.
    Directories,
    /// Other structures of the file system.
    Metadata,
    /// What files hold.
    Files,
    /// What files hold, compressed by Windows.
    Packed,
    /// What files hold beside it.
    Streams,
    /// In use, and by nothing that was read.
    Unknown,
    /// Free.
    Free,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = 13;
    /// All of them, in the order of legends.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Files,
        Self::Packed,
        Self::Streams,
        Self::Directories,
        Self::Records,
        Self::Mirror,
        Self::Log,
        Self::Allocation,
        Self::Metadata,
        Self::Boot,
        Self::Table,
        Self::Unknown,
        Self::Free,
    ];

    /// What it is, in a legend.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Table => "partition table",
            Self::Boot => "boot sectors",
            Self::Records => "$MFT",
            Self::Mirror => "$MFTMirr",
            Self::Log => "$LogFile",
            Self::Allocation => "$Bitmap, FAT",
            Self::Directories => "directories",
            Self::Metadata => "other metadata",
            Self::Files => "file data",
            Self::Packed => "compressed file data",
            Self::Streams => "named streams",
            Self::Unknown => "in use, not read",
            Self::Free => "free",
        }
    }
}

/// A range of the disk that has a name.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// The number of a partition.
    pub number: Option<u32>,
    /// Its name.
    pub name: String,
    /// What its table says of it, and its file system.
    pub detail: String,
    /// First byte on the disk.
    pub start: u64,
    /// Length.
    pub size: u64,
    /// Bytes in use, where that can be told.
    pub used: Option<u64>,
    /// Bytes that the container stores.
    pub stored: u64,
    /// Why it could not be read.
    pub problem: Option<String>,
}

/// What a [`Place`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A partition table, or what is kept clear for it.
    Table,
    /// A partition.
    Partition,
    /// What no partition takes.
    Gap,
}

/// A range cut into pieces of one size. The last may be cut short.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cells {
    /// Bytes in a piece.
    pub unit: u64,
    /// The pieces, in order.
    pub cells: Vec<Cell>,
}

/// A piece of a disk or a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What most of its used bytes are; [`Class::Free`] when none is used.
    pub class: Class,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that the container stores.
    pub stored: u64,
}

/// A volume.
#[derive(Clone, Debug, Serialize)]
pub struct Volume {
    /// The partition it lies in.
    pub partition: u32,
    /// Its label.
    pub label: String,
    /// `NTFS`, `FAT32`.
    pub file_system: String,
    /// Bytes in a cluster.
    pub cluster_size: u32,
    /// Bytes of all clusters.
    pub size: u64,
    /// Bytes of those in use.
    pub used: u64,
    /// What its bytes are.
    pub parts: Vec<Part>,
    /// The volume, cut into equal pieces.
    pub cells: Cells,
    /// Files.
    pub files: u64,
    /// Of these, such as lie in their file record and take no cluster.
    pub resident: u64,
    /// Directories.
    pub directories: u64,
    /// Files and streams that lie in several pieces.
    pub fragmented: u64,
    /// Its files, as a tree in which small ones are joined.
    pub tree: Item,
    /// The files that take most.
    pub largest: Vec<LargeFile>,
    /// Files by the ending of their names, those that take most first.
    pub extensions: Vec<Extension>,
    /// How well its files are compressed, wherever that can be told without reading them.
    pub packing: Option<Packing>,
    /// What is damaged or was left out.
    pub notes: Vec<String>,
}

/// How much of a volume is of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// The kind.
    pub class: Class,
    /// In the words of the file system.
    pub label: String,
    /// Bytes of clusters.
    pub bytes: u64,
    /// Those that the container stores.
    pub stored: u64,
    /// Pieces that they lie in.
    pub pieces: u64,
    /// Where on the volume the first lies.
    pub first: Option<u64>,
}

/// A file or folder, or several.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Item {
    /// Its name; empty for the root.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// Bytes of clusters, of all that is below it.
    pub bytes: u64,
    /// Bytes as programs see them.
    pub size: u64,
    /// Files below it.
    pub files: u64,
    /// Lengths of those whose compressed length is known.
    pub plain: u64,
    /// Their compressed length.
    pub packed: u64,
    /// What is in it, the largest first.
    pub items: Vec<Item>,
}

/// What an [`Item`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A folder.
    #[default]
    Folder,
    /// A file.
    File,
    /// Small files and folders, joined.
    Others,
}

/// A large file.
#[derive(Clone, Debug, Serialize)]
pub struct LargeFile {
    /// Its path, from the root of the volume.
    pub path: String,
    /// Bytes of clusters.
    pub bytes: u64,
    /// Bytes as programs see them.
    pub size: u64,
    /// Its compressed length, where that is known.
    pub packed: Option<u64>,
}

/// Files whose names end alike.
#[derive(Clone, Debug, Serialize)]
pub struct Extension {
    /// The ending in lower case, with its dot; empty for names without, `others` for the rest.
    pub name: String,
    /// Files.
    pub files: u64,
    /// Bytes of clusters.
    pub bytes: u64,
    /// Lengths of those whose compressed length is known.
    pub plain: u64,
    /// Their compressed length.
    pub packed: u64,
}

/// How well files are compressed.
#[derive(Clone, Debug, Serialize)]
pub struct Packing {
    /// Where the numbers are from.
    pub method: String,
    /// Files that have both lengths.
    pub files: u64,
    /// Their length.
    pub plain: u64,
    /// Their compressed length.
    pub packed: u64,
    /// The largest that hardly get smaller.
    pub worst: Vec<LargeFile>,
    /// Length of all that hardly get smaller.
    pub incompressible: u64,
}

/// What the file that holds the disk stores.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Export {
    /// The container.
    pub container: String,
    /// Bytes of the disk that it stores.
    pub stored: u64,
    /// Bytes that its file takes, of disks that exist.
    pub file_size: Option<u64>,
    /// Stored bytes of which no file system makes use: `compact` takes them out.
    pub stored_free: u64,
    /// What containers of various blocks would store; of plans only.
    pub containers: Vec<Container>,
    /// What compression makes of it, when that was asked for.
    pub sample: Option<Sample>,
}

/// A kind of container.
#[derive(Clone, Debug, Serialize)]
pub struct Container {
    /// Formats whose blocks are of one size.
    pub name: String,
    /// Bytes that it would store.
    pub bytes: u64,
}

/// An estimate from a few pieces.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// How it was made.
    pub method: String,
    /// Bytes that were compressed.
    pub plain: u64,
    /// What became of them.
    pub packed: u64,
    /// What that means for all that is stored.
    pub estimate: u64,
}

/// A way in which the disk starts.
#[derive(Clone, Debug, Serialize)]
pub struct Chain {
    /// `BIOS` or `UEFI`.
    pub firmware: String,
    /// Whether nothing breaks it.
    pub starts: bool,
    /// What becomes of a start.
    pub verdict: String,
    /// Its links, in order.
    pub links: Vec<Link>,
}

/// A link of a chain.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: LinkState,
    /// What was found, in a line.
    pub detail: String,
    /// What is wrong with it, and what to do.
    pub findings: Vec<String>,
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// In order.
    Ok,
    /// Unusual.
    Warning,
    /// A start ends here.
    Broken,
    /// Not looked at.
    NotReached,
}

impl LinkState {
    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Broken => "BROKEN",
            Self::NotReached => "not reached",
        }
    }
}

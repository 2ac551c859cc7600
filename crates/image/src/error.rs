use std::io;
use std::path::{Path, PathBuf};

use disk::ContainerError;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a build or an inspection. Where a file is at fault, the message is its name and the cause is
/// the [`source`](std::error::Error::source): printing the chain joined by `: ` gives the whole sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading an input failed.
    #[error("{}", path.display())]
    Read {
        /// The input.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The WIM is damaged, unsupported or past a limit.
    #[error("{}", path.display())]
    Wim {
        /// The WIM.
        path: PathBuf,
        /// Why.
        #[source]
        source: wim::Error,
    },
    /// The container of a disk is damaged or unsupported, or cannot be made as asked.
    #[error("{}", path.display())]
    Container {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ContainerError,
    },
    /// No box or OVA can be made around a disk.
    #[error("{}", path.display())]
    Appliance {
        /// The box or OVA.
        path: PathBuf,
        /// Why.
        #[source]
        source: appliance::Error,
    },
    /// An ISO image, or a file in it, is damaged or unsupported.
    #[error("{}", path.display())]
    Iso {
        /// The image; of a file inside, with its path behind a colon.
        path: PathBuf,
        /// Why.
        #[source]
        source: iso::Error,
    },
    /// A partition table is damaged, or cannot be made as asked.
    #[error("partition table")]
    PartitionTable {
        /// Why.
        #[source]
        source: bootsector::Error,
    },
    /// A volume cannot be made from this tree.
    #[error("{volume} volume")]
    Volume {
        /// Which volume.
        volume: &'static str,
        /// Why.
        #[source]
        source: ntfs_writer::Error,
    },
    /// The boot configuration data cannot be made as asked.
    #[error("boot configuration data")]
    Bcd {
        /// Why.
        #[source]
        source: bcd::Error,
    },
    /// A registry hive is damaged, or cannot be changed as asked.
    #[error("{}", path.display())]
    Hive {
        /// The hive; of one inside an image, the image and the path inside.
        path: PathBuf,
        /// Why.
        #[source]
        source: hive::Error,
    },
    /// A cabinet or archive with drivers is damaged.
    #[error("{}", path.display())]
    DriverFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Drivers cannot be read.
    #[error("{}", path.display())]
    Driver {
        /// What they are in.
        path: PathBuf,
        /// Why, and in which file of it.
        #[source]
        source: Box<driver::Error>,
    },
    /// A driver package is refused.
    #[error("{}: {inf} is refused: {reason}", path.display())]
    DriverRefused {
        /// What it is in.
        path: PathBuf,
        /// Its INF file in there.
        inf: String,
        /// Why.
        reason: String,
    },
    /// A `.reg` file cannot be read, or asks for what cannot be done.
    #[error("{}", path.display())]
    Reg {
        /// The file.
        path: PathBuf,
        /// Why, and in which line.
        #[source]
        source: hive::reg::Error,
    },
    /// A file's content does not have the hash that the WIM states.
    #[error(
        "{}: {name}: content does not match its SHA-1 (expected {expected}, found {found}); the WIM is damaged",
        path.display()
    )]
    HashMismatch {
        /// The WIM.
        path: PathBuf,
        /// The file inside, or what else the blob is.
        name: String,
        /// The hash stated, in hexadecimal.
        expected: String,
        /// The hash of what was read.
        found: String,
    },
    /// A file's content cannot be read from the WIM.
    #[error("{}: {name}", path.display())]
    Blob {
        /// The WIM.
        path: PathBuf,
        /// The file inside, or what else the blob is.
        name: String,
        /// Why.
        #[source]
        source: wim::Error,
    },
    /// A file's content is not in the WIM.
    #[error("{}: {name}: its content (SHA-1 {sha1}) is not in the blob table; the WIM is incomplete", path.display())]
    MissingBlob {
        /// The WIM.
        path: PathBuf,
        /// The file inside.
        name: String,
        /// The hash that the blob table lacks, in hexadecimal.
        sha1: String,
    },
    /// The WIM holds several images and none was chosen, or the chosen one is not there.
    #[error("{}: {problem}; choose one with --image:{list}", path.display())]
    ImageChoice {
        /// The WIM.
        path: PathBuf,
        /// What is wrong with the choice.
        problem: String,
        /// The images, one a line, each line preceded by a line feed.
        list: String,
    },
    /// A volume of a disk is damaged or unsupported.
    #[error("{}: partition {partition}", path.display())]
    Disk {
        /// The disk.
        path: PathBuf,
        /// The number of the partition.
        partition: u32,
        /// Why.
        #[source]
        source: ntfs_writer::read::Error,
    },
    /// A volume is damaged, so that it cannot be told what of it is unused.
    #[error("{}: {what}", path.display())]
    Unsound {
        /// The disk.
        path: PathBuf,
        /// Which partitions, and what is wrong.
        what: String,
    },
    /// The partition table of an existing disk is damaged.
    #[error("{}", path.display())]
    DiskTable {
        /// The disk.
        path: PathBuf,
        /// Why.
        #[source]
        source: bootsector::Error,
    },
    /// The disk holds several volumes and none was chosen, or the chosen one is not there.
    #[error("{}: {problem}; say which, as in {}:2{list}", path.display(), path.display())]
    PartitionChoice {
        /// The disk.
        path: PathBuf,
        /// What is wrong with the choice.
        problem: String,
        /// The partitions, one a line, each line preceded by a line feed.
        list: String,
    },
    /// The disk is too small for what goes on it.
    #[error(
        "a disk of {found} bytes is too small: it must be at least {needed} bytes (--size {}MiB)",
        needed.div_ceil(1 << 20)
    )]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes given.
        found: u64,
    },
    /// The output is there already.
    #[error("{} exists; --force replaces it", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The output is a block device, which is overwritten only when that is confirmed.
    #[error("{} is a block device; --force overwrites what it holds", path.display())]
    BlockDevice {
        /// The device.
        path: PathBuf,
    },
    /// A disk cannot have another size.
    #[error("{}", path.display())]
    Resize {
        /// The disk.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<crate::resize::Error>,
    },
    /// Writing the output failed.
    #[error("writing {}", path.display())]
    Write {
        /// The output as the user named it, empty until it is known.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An EFI system partition cannot be made from these files.
    #[error("EFI system partition")]
    Fat {
        /// Why.
        #[source]
        source: fat::Error,
    },
    /// A FAT volume of a disk is damaged or unsupported.
    #[error("{}: partition {partition}", path.display())]
    DiskFat {
        /// The disk.
        path: PathBuf,
        /// The number of the partition.
        partition: u32,
        /// Why.
        #[source]
        source: fat::Error,
    },
    /// The temporary file that holds compressed files failed.
    #[error("temporary file")]
    Temporary {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The options contradict each other or ask for what cannot be.
    #[error("{0}")]
    Recipe(String),
    /// A recipe cannot be understood.
    #[error("{}:{line}: {problem}", path.display())]
    RecipeFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
        /// What is wrong with it.
        problem: String,
    },
    /// What is to be set up for the first boot cannot be.
    #[error("first boot")]
    FirstBoot {
        /// Why.
        #[source]
        source: Box<firstboot::Error>,
    },
    /// A package cannot be read.
    #[error("{}", path.display())]
    Package {
        /// Its file, or the folder that packages are looked for in.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<servicing::Error>,
    },
    /// The certificate for WinRM, or its key, cannot be made or used.
    #[error("winrm-https")]
    Certificate {
        /// Why.
        #[source]
        source: Box<certificate::Error>,
    },
    /// The input is of a kind that this version does not handle.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The input.
        path: PathBuf,
        /// What it is, and what to do.
        what: String,
    },
    /// Something was looked for inside a file and is not there.
    #[error("{}: {what}", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// Who is at fault, for exit codes and for callers who only want to know what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The options are wrong.
    Usage,
    /// The input does not hold what it says it holds.
    Verification,
    /// The input is of a kind that is not supported.
    Unsupported,
    /// The caller stopped the work.
    Cancelled,
    /// Anything else.
    Failed,
}

impl Error {
    /// Writing failed; the path is added by [`at_output`](Self::at_output), where it is known.
    pub(crate) fn writing(source: io::Error) -> Self {
        Self::Write { path: PathBuf::new(), source }
    }

    /// The temporary file failed.
    pub(crate) fn temporary(source: io::Error) -> Self {
        Self::Temporary { source }
    }

    /// The same error with the output's name, unless it has one.
    pub(crate) fn at_output(self, output: &Path) -> Self {
        match self {
            Self::Write { path, source } if path.as_os_str().is_empty() => {
                Self::Write { path: output.to_owned(), source }
            }
            other => other,
        }
    }

    /// Who is at fault.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::FirstBoot { source } if matches!(**source, firstboot::Error::Wish { .. }) => {
                ErrorKind::Usage
            }
            Self::Cancelled => ErrorKind::Cancelled,
            Self::HashMismatch { .. }
            | Self::MissingBlob { .. }
            | Self::DriverRefused { .. }
            | Self::Unsound { .. } => ErrorKind::Verification,
            Self::Wim { source, .. } | Self::Blob { source, .. } => match source.root() {
                wim::Error::Malformed { .. } | wim::Error::Hash { .. } => ErrorKind::Verification,
                wim::Error::Unsupported { .. } => ErrorKind::Unsupported,
                _ => ErrorKind::Failed,
            },
            Self::Package { source, .. } => of_package(source),
            Self::Driver { source, .. } => match **source {
                driver::Error::Malformed { .. } => ErrorKind::Verification,
                driver::Error::Unsupported { .. } => ErrorKind::Unsupported,
                _ => ErrorKind::Failed,
            },
            Self::Disk { source: ntfs_writer::read::Error::Malformed { .. }, .. }
            | Self::Hive { source: hive::Error::Malformed { .. } | hive::Error::Dirty { .. }, .. } => {
                ErrorKind::Verification
            }
            Self::Resize { source, .. } => of_resizing(source),
            // It may be about an extent, and wrapped in that.
            Self::Container { source, .. } => match source.root() {
                ContainerError::Malformed { .. } => ErrorKind::Verification,
                ContainerError::Unsupported { .. } => ErrorKind::Unsupported,
                ContainerError::Impossible { .. } => ErrorKind::Usage,
                _ => ErrorKind::Failed,
            },
            Self::DiskTable { source: bootsector::Error::Malformed { .. }, .. }
            | Self::PartitionTable { source: bootsector::Error::Malformed { .. } }
            | Self::Bcd { source: bcd::Error::Malformed { .. } }
            | Self::DiskFat { source: fat::Error::Malformed { .. }, .. }
            | Self::Iso { source: iso::Error::Malformed { .. }, .. } => ErrorKind::Verification,
            Self::Unsupported { .. }
            | Self::DiskFat { source: fat::Error::Unsupported { .. }, .. }
            | Self::Disk { source: ntfs_writer::read::Error::Unsupported { .. }, .. }
            | Self::Iso { source: iso::Error::Unsupported { .. }, .. }
            | Self::Hive { source: hive::Error::Unsupported { .. }, .. }
            | Self::Reg { source: hive::reg::Error::Unsupported(_), .. }
            | Self::Volume { source: ntfs_writer::Error::Unsupported { .. }, .. } => ErrorKind::Unsupported,
            Self::Appliance {
                source: appliance::Error::Impossible(_) | appliance::Error::Limit { .. },
                ..
            }
            | Self::Volume { source: ntfs_writer::Error::Option { .. }, .. }
            | Self::Bcd { source: bcd::Error::Impossible(_) }
            | Self::Recipe(_)
            | Self::RecipeFile { .. }
            | Self::ImageChoice { .. }
            | Self::PartitionChoice { .. }
            | Self::TooSmall { .. }
            | Self::Exists { .. }
            | Self::BlockDevice { .. } => ErrorKind::Usage,
            _ => ErrorKind::Failed,
        }
    }
}

/// A package that cannot be read, or a file in it.
fn of_package(error: &servicing::Error) -> ErrorKind {
    match error {
        servicing::Error::InFile { source, .. } => of_package(source),
        servicing::Error::Malformed { .. } => ErrorKind::Verification,
        servicing::Error::Unsupported { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Failed,
    }
}

/// What cannot have another size.
fn of_resizing(error: &crate::resize::Error) -> ErrorKind {
    use crate::resize::Error::{Impossible, Io, Table, TooSmall, Volume};
    use ntfs_writer::resize::Error as OfVolume;
    use ntfs_writer::{read, unused::Reason};
    match error {
        TooSmall { .. } => ErrorKind::Usage,
        Io(_) => ErrorKind::Failed,
        Table(bootsector::Error::Malformed { .. }) => ErrorKind::Verification,
        Volume { source, .. } => match source {
            OfVolume::Refused { reason: Reason::Unsound, .. }
            | OfVolume::Read(read::Error::Malformed { .. }) => ErrorKind::Verification,
            OfVolume::Read(read::Error::Io { .. }) => ErrorKind::Failed,
            _ => ErrorKind::Unsupported,
        },
        Table(_) | Impossible(_) => ErrorKind::Unsupported,
    }
}

impl From<firstboot::Error> for Error {
    fn from(source: firstboot::Error) -> Self {
        Self::FirstBoot { source: Box::new(source) }
    }
}

/// An error with all its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::Error;

    /// The heading of docs/troubleshooting.md under which each error is explained. The compiler refuses a table that leaves one
    /// out.
    macro_rules! headings {
        ($($variant:ident => $heading:literal,)+) => {
            const HEADINGS: &[&str] = &[$($heading),+];

            fn heading(error: &Error) -> &'static str {
                match error {
                    $(Error::$variant { .. } => $heading,)+
                }
            }
        };
    }

    headings! {
        Read => "cannot be read",
        Wim => "A WIM: `malformed header`",
        Container => "A VHD, VHDX, VMDK, VDI or qcow2",
        Appliance => "A box or an OVA that cannot be made",
        Iso => "An ISO: ",
        PartitionTable => "A partition table that cannot be read, or made",
        DiskTable => "A partition table that cannot be read, or made",
        Volume => "A volume or an EFI system partition that cannot be made",
        Fat => "A volume or an EFI system partition that cannot be made",
        Bcd => "Boot configuration data that cannot be made",
        Hive => "A hive: ",
        DriverFile => "Drivers that cannot be read",
        Driver => "Drivers that cannot be read",
        DriverRefused => "`is refused: `",
        Reg => "A .reg file",
        HashMismatch => "`content does not match its SHA-1`",
        Blob => "A file in the WIM cannot be decoded",
        MissingBlob => "`is not in the blob table; the WIM is incomplete`",
        ImageChoice => "choose one with --image",
        Disk => "A volume that cannot be read",
        DiskFat => "A volume that cannot be read",
        Unsound => "A volume that cannot be read",
        PartitionChoice => "say which, as in disk.vhd:2",
        TooSmall => "`a disk of N bytes is too small`",
        Exists => "`exists; --force replaces it`",
        BlockDevice => "`is a block device; --force overwrites what it holds`",
        Resize => "A disk cannot have another size",
        Write => "`writing OUT: ",
        Temporary => "`temporary file`",
        Recipe => "Options that contradict each other",
        RecipeFile => "unknown key",
        FirstBoot => "`first boot: `",
        Package => "A package that cannot be read",
        Certificate => "`winrm-https`",
        Unsupported => "is neither a WIM, an ISO nor a disk image",
        NotFound => "did you mean",
        Cancelled => "`cancelled`",
    }

    #[test]
    fn every_error_is_in_the_troubleshooting_page() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md"));
        let page = page.expect("the page");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("### ")).collect();
        for heading in HEADINGS {
            assert!(headings.iter().any(|line| line.contains(heading)), "no heading with {heading:?}");
        }
        // Headings quote messages: those that say all by themselves say it in these words.
        for error in [
            Error::Cancelled,
            Error::Exists { path: "x".into() },
            Error::BlockDevice { path: "x".into() },
            Error::MissingBlob { path: "x".into(), name: "y".into(), sha1: "z".into() },
        ] {
            let quoted = heading(&error).trim_matches('`');
            assert!(error.to_string().contains(quoted), "{error}: {quoted}");
        }
    }

    /// Errors cross threads, and end up in `Box<dyn Error + Send + Sync>` and `anyhow::Error`.
    #[test]
    fn errors_of_all_crates_can_be_sent_and_kept() {
        fn holds<E: std::error::Error + Send + Sync + 'static>() {}
        holds::<super::Error>();
        holds::<crate::resize::Error>();
        holds::<appliance::Error>();
        holds::<bcd::Error>();
        holds::<bootsector::Error>();
        holds::<certificate::Error>();
        holds::<codec::Error>();
        holds::<driver::Error>();
        holds::<fat::Error>();
        holds::<fat::unused::Error>();
        holds::<firstboot::Error>();
        holds::<hive::Error>();
        holds::<hive::paths::Error>();
        holds::<hive::reg::Error>();
        holds::<iso::Error>();
        holds::<ntfs_writer::Error>();
        holds::<ntfs_writer::read::Error>();
        holds::<ntfs_writer::resize::Error>();
        holds::<ntfs_writer::unused::Error>();
        holds::<qcow2::Error>();
        holds::<security::Error>();
        holds::<servicing::Error>();
        holds::<vdi::Error>();
        holds::<vhd::Error>();
        holds::<vhdx::Error>();
        holds::<vmdk::Error>();
        holds::<wim::Error>();
    }
}

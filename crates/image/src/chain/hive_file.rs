//! Registry hives as loaders take them: header, then logs when it was not closed, then the tree.

use hive::Hive;

use super::report::Link;
use super::volume::{Storage, Volume};

/// The largest SYSTEM hive or store that is read: real ones have up to 30 MiB.
const MAX_HIVE: u64 = 128 << 20;
/// The largest log: Windows makes them no larger than the hive.
const MAX_LOG: u64 = 64 << 20;

/// Why a hive cannot be loaded.
pub(super) enum Fault {
    /// There is none.
    Missing,
    /// The boot library cannot read the file.
    Unreadable(String),
    /// It is damaged.
    Damaged(String),
}

/// What keeps boot programs from reading a file: they know NTFS and its own compression, and what `wof` says of that of
/// Compact OS. `None` when nothing does.
pub(super) fn unreadable(storage: &Storage, wof: Wof) -> Option<String> {
    use ntfs_writer::parse::WofCodec;
    if storage.encrypted {
        return Some("is encrypted (EFS), which boot programs cannot read".to_owned());
    }
    if let Some(tag) = storage.reparse {
        return Some(format!("is a reparse point (tag {tag:#010x}), which boot programs do not follow"));
    }
    match (storage.wof, wof) {
        (None, _) | (Some(WofCodec::Xpress4k), Wof::Xpress4k) => None,
        (Some(codec), Wof::Xpress4k) => Some(format!(
            "is compressed by Compact OS as {}; boot programs read no other form than XPRESS4K",
            codec_name(codec)
        )),
        (Some(codec), Wof::None) => {
            Some(format!("is compressed by Compact OS ({}), which this cannot read", codec_name(codec)))
        }
    }
}

/// How a codec is called on command lines.
fn codec_name(codec: ntfs_writer::parse::WofCodec) -> &'static str {
    use ntfs_writer::parse::WofCodec;
    match codec {
        WofCodec::Xpress4k => "XPRESS4K",
        WofCodec::Xpress8k => "XPRESS8K",
        WofCodec::Xpress16k => "XPRESS16K",
        WofCodec::Lzx => "LZX",
    }
}

/// What a reader knows of Compact OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wof {
    /// Nothing: loaders before Windows 10, and whoever reads what must not be compressed.
    None,
    /// Its weakest form: loaders since Windows 10.
    Xpress4k,
}

/// Reads a hive; what is unusual about it goes to `link`.
///
/// # Errors
/// Why a loader would not take it.
pub(super) fn read(link: &mut Link, volume: &Volume, path: &str) -> Result<Hive, Fault> {
    let file = match volume.find(path) {
        Ok(Some(file)) if !file.directory => file,
        Ok(_) => return Err(Fault::Missing),
        Err(error) => return Err(Fault::Unreadable(error)),
    };
    if let Some(why) = unreadable(&file.storage, Wof::None) {
        return Err(Fault::Unreadable(format!("{path} {why}")));
    }
    let bytes =
        volume.read_all(&file, MAX_HIVE).map_err(|error| Fault::Unreadable(format!("{path}: {error}")))?;
    let damaged = |why: String| Fault::Damaged(format!("{path}: {why}"));
    let error = match Hive::parse(&bytes) {
        Ok(hive) => {
            check_header(&bytes).map_err(damaged)?;
            rules(link, path, &bytes);
            return Ok(hive);
        }
        Err(error) => error,
    };
    let logs: Vec<Vec<u8>> = LOGS
        .iter()
        .filter_map(|suffix| {
            let log = volume.find(&format!("{path}.{suffix}")).ok()??;
            volume.read_all(&log, MAX_LOG).ok()
        })
        .filter(|log| !log.is_empty())
        .collect();
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    match (Hive::recover(&bytes, &logs), error) {
        (Ok((hive, recovery)), _) if recovery.dirty && hive.minor() <= MAX_MINOR => {
            link.warn(
                format!("{path} was not closed; the logs beside it complete it"),
                "keep its .LOG1 and .LOG2 with it; Windows puts it in order when it starts",
            );
            Ok(hive)
        }
        (_, hive::Error::Dirty { .. }) if logs.is_empty() => {
            Err(damaged("it was not closed, and there is no log beside it to complete it".to_owned()))
        }
        (Err(error), hive::Error::Dirty { .. }) => Err(damaged(error.to_string())),
        (_, error) => Err(damaged(error.to_string())),
    }
}

/// What breaks the rules of hives without keeping a reader from it: loaders drop such keys, or give up.
fn rules(link: &mut Link, path: &str, bytes: &[u8]) {
    let report = hive::check(bytes);
    let errors = report.findings.iter().filter(|finding| finding.severity == hive::check::Severity::Error);
    for finding in errors.take(SHOWN) {
        let place = finding.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("root");
        link.warn(
            format!("{path}: {place}: {} (offset {:#x})", finding.text, finding.offset),
            "Windows may drop such keys: export the hive and import it anew (`wimforge reg check` tells all)",
        );
    }
}

/// Findings of the checker that are shown.
const SHOWN: usize = 5;
/// What logs are called.
const LOGS: [&str; 3] = ["LOG1", "LOG2", "LOG"];
/// The newest minor version that boot loaders accept.
const MAX_MINOR: u32 = 5;

/// What boot loaders want of a header beyond what every reader of hives wants ([research/boot-registry.md] §3.1: ReactOS'
/// and Quibble's loaders).
pub(super) fn check_header(bytes: &[u8]) -> Result<(), String> {
    let word = |at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.first_chunk()).map(|word| u32::from_le_bytes(*word))
    };
    let missing = || format!("{} bytes, a hive has at least 8192", bytes.len());
    if !bytes.starts_with(b"regf") {
        return Err("is no hive (it does not begin with \"regf\")".to_owned());
    }
    let minor = word(0x18).ok_or_else(missing)?;
    if minor > MAX_MINOR {
        return Err(format!("version 1.{minor}; boot loaders accept 1.3 to 1.5"));
    }
    let length = word(0x28).ok_or_else(missing)?;
    if length == 0 || !length.is_multiple_of(4096) {
        return Err(format!("{length:#x} bytes of bins, expected a multiple of 0x1000"));
    }
    match word(0x2C) {
        Some(1) => Ok(()),
        cluster => Err(format!("clustering factor {}, expected 1", cluster.unwrap_or_default())),
    }
}

/// Whether the header of a hive is in order, for those that are too large to be read for this.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn glance(volume: &Volume, path: &str) -> Result<(), Fault> {
    let file = match volume.find(path) {
        Ok(Some(file)) if !file.directory => file,
        Ok(_) => return Err(Fault::Missing),
        Err(error) => return Err(Fault::Unreadable(error)),
    };
    let head = volume.read(&file, 0, 4096).map_err(|error| Fault::Unreadable(format!("{path}: {error}")))?;
    let damaged = |why: String| Err(Fault::Damaged(format!("{path}: {why}")));
    if head.len() < 4096 || !head.starts_with(b"regf") {
        return damaged(
            "is no hive (it does not begin with \"regf\", or ends before its header does)".to_owned(),
        );
    }
    let words: Vec<u32> = head[..512]
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let sum = match words[..127].iter().fold(0, |sum, word| sum ^ word) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    };
    let clean = words[1] == words[2];
    let logged = || LOGS.iter().any(|suffix| volume.has(&format!("{path}.{suffix}")));
    if sum != words[127] && !logged() {
        return damaged(format!("checksum {:#010x}, expected {sum:#010x}", words[127]));
    }
    if !clean && !logged() {
        return damaged("was not closed, and there is no log beside it".to_owned());
    }
    let needed = u64::from(words[10]) + 4096;
    if clean && file.size < needed {
        return damaged(format!("{} bytes, its header says {needed}", file.size));
    }
    Ok(())
}

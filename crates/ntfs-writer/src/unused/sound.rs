//! Whether a volume is sound and at rest: only then does what says that something is free mean it.

use std::sync::Arc;

use disk::ReadAt;

use super::{Error, Options, Reason, Result};
use crate::check::{self, Code, Finding, Severity};
use crate::parse::flags;
use crate::read::{self, File, Stream, Volume};

/// Faults that move no byte: names, descriptors, and what is repeated elsewhere. With any other error, what is used
/// cannot be told. (Clusters that belong to nobody are used as far as `$Bitmap` says, and stay.)
const HARMLESS: [Code; 20] = [
    Code::AttrDef,
    Code::UpCase,
    Code::ClusterUsed,
    Code::StandardFlags,
    Code::LinkCount,
    Code::FileName,
    Code::Namespace,
    Code::NameCollision,
    Code::IndexCopy,
    Code::IndexNamespace,
    Code::SecurityId,
    Code::SecurityDescriptor,
    Code::SdsHash,
    Code::SdsMirror,
    Code::ReparsePoint,
    Code::ReparseIndex,
    Code::ObjectIdIndex,
    Code::QuotaIndex,
    Code::Ea,
    Code::Wof,
];

/// What a finding refuses the volume for.
fn reason(finding: &Finding) -> Option<Reason> {
    match (finding.code, finding.severity) {
        (_, Severity::Note) => None,
        (Code::VolumeFlags, _) => Some(Reason::Dirty),
        (Code::LogFile, _) => Some(Reason::Log),
        (code, Severity::Error) if !HARMLESS.contains(&code) => Some(Reason::Unsound),
        _ => None,
    }
}

/// Opens a volume that is found sound.
pub(crate) fn open(volume: &Arc<dyn ReadAt>) -> Result<Volume> {
    // BitLocker and what is no NTFS at all are better said by the reader.
    let opened = match Volume::open(volume.clone(), read::Options { raw: true }) {
        Ok(opened) => opened,
        Err(error @ read::Error::Unsupported { .. }) => {
            return Err(Error::Refused { reason: Reason::BitLocker, text: error.to_string() });
        }
        Err(error) => return Err(error.into()),
    };
    let report = check::check(volume.as_ref(), &check::Options::default())
        .map_err(|error| Error::unsound(error.to_string()))?;
    if let Some(what) = report.not_checked.first() {
        return Err(Error::Refused { reason: Reason::Limit, text: format!("not checked: {what}") });
    }
    let faults: Vec<(Reason, &Finding)> =
        report.findings.iter().filter_map(|finding| Some((reason(finding)?, finding))).collect();
    let unsound = faults.iter().filter(|fault| fault.0 == Reason::Unsound).count();
    match faults.first() {
        None => Ok(opened),
        Some((reason, finding)) => {
            let more = match unsound.saturating_sub(1) {
                0 => String::new(),
                more => format!(", and {more} more; `check` shows them"),
            };
            Err(Error::Refused { reason: *reason, text: format!("{finding}{more}") })
        }
    }
}

/// Refuses a volume on which a session of Windows sleeps. `hiberfil.sys` begins with `wake` once it was resumed, and is
/// zero after it was given up; whatever else it begins with is taken for a session.
pub(crate) fn check_awake(volume: &Volume, options: &Options) -> Result<()> {
    const LOOKED_AT: u64 = 4096;
    let Some(file) = find(volume, "hiberfil.sys")? else { return Ok(()) };
    if options.hiberfil && droppable(volume, &file)?.is_some() {
        return Ok(());
    }
    let mut reader = match file.open(volume, &[]) {
        Ok(reader) => reader,
        Err(read::Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut head = vec![0; reader.size().min(LOOKED_AT) as usize];
    reader.read_at(0, &mut head)?;
    let resumed = head.get(..4).is_some_and(|magic| magic.eq_ignore_ascii_case(b"wake"));
    if resumed || head.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    let text =
        "\\hiberfil.sys holds a session of Windows that sleeps (hibernation or fast startup), which still \
                has the volume as it was"
            .to_owned();
    Err(Error::Refused { reason: Reason::Hibernated, text })
}

/// The stream of a file whose content can be made zero; `None` when that could be another file's, or zeros would not be
/// its content.
pub(super) fn droppable(volume: &Volume, file: &File) -> Result<Option<Stream>> {
    let Some(stream) = file.raw_stream(volume, &[])? else { return Ok(None) };
    let own = file.names()?.iter().filter(|name| name.namespace != crate::names::DOS).count() == 1;
    let plain = stream.flags() & (flags::COMPRESSION | flags::ENCRYPTED) == 0 && !stream.is_resident();
    let reparse = file.reparse(volume)?.is_some();
    Ok((own && plain && !reparse && !file.is_directory()).then_some(stream))
}

/// A file of the root directory.
pub(super) fn find(volume: &Volume, name: &str) -> Result<Option<File>> {
    match volume.find(name) {
        Ok(file) => Ok(Some(file)),
        Err(read::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

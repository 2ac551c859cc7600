//! `CopyFiles`, and where files come from and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::{Context, Directive};
use crate::Result;
use crate::inf::{Inf, number};

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileSource {
    /// The package: a path from the folder of its INF file, with backslashes.
    Package(String),
    /// Somewhere else: no path in the package. Nobody copies it.
    Elsewhere(String),
    /// An INF file of the image that was included. The file is part of that package, so it is in the image already.
    Included {
        /// The INF file.
        inf: String,
        /// The file's name.
        name: String,
    },
}

/// A file to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileCopy {
    /// Where it comes from.
    pub source: FileSource,
    /// Where it goes: a path from the root of the volume, with backslashes.
    pub destination: String,
    /// The number of the folder that it goes to; 0xFFFF_FFFF for an absolute path.
    pub dirid: u32,
    /// `COPYFLG` bits.
    pub flags: u32,
}

/// The folder that stands for absolute paths, and its other number.
const ABSOLUTE: [u32; 2] = [u32::MAX, 65_535];

/// The folder that files go to when nothing says where: System32.
const DEFAULT_DIRID: u32 = 11;

/// The files that a `CopyFiles` directive names.
pub(super) fn copy_files(
    context: &mut Context<'_>,
    directive: &Directive,
    out: &mut Vec<FileCopy>,
) -> Result<()> {
    for name in context.texts(directive, 0)? {
        if let Some(file) = name.strip_prefix('@') {
            let folder = destination_folder(context, directive, None)?;
            copy(context, directive, folder, file, file, 0, out)?;
            continue;
        }
        let Some(lines) = context.lines(&directive.inf, &name)? else {
            context.warn(directive.place(), format!("there is no file list {name}"));
            continue;
        };
        let folder = destination_folder(context, directive, Some(&name))?;
        for line in lines {
            let destination = context.text(&line, 0)?;
            let source = Some(context.text(&line, 1)?).filter(|text| !text.is_empty());
            let flags = context.number(&line, 3)?.unwrap_or(0);
            let source = source.as_ref().unwrap_or(&destination);
            copy(context, &line, folder.clone(), &destination, source, flags, out)?;
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Folder {
    dirid: u32,
    /// `None` when nobody knows.
    path: Option<String>,
}

/// Where the files of a list go: what `[DestinationDirs]` says of it, or of all others.
fn destination_folder(context: &mut Context<'_>, at: &Directive, list: Option<&str>) -> Result<Folder> {
    let section = at.inf.section("DestinationDirs");
    let line = section.and_then(|section| {
        list.and_then(|name| section.line(name)).or_else(|| section.line("DefaultDestDir"))
    });
    let Some((section, line)) = section.zip(line) else {
        return Ok(Folder { dirid: DEFAULT_DIRID, path: context.folders.path(DEFAULT_DIRID) });
    };
    let line = Directive { inf: Arc::clone(&at.inf), section: section.name.clone(), line: line.clone() };
    let Some(dirid) = context.number(&line, 0)? else {
        return Err(line.error("names no folder"));
    };
    let subfolder = context.text(&line, 1)?;
    let path = if ABSOLUTE.contains(&dirid) {
        context.folders.relative(&format!("{subfolder}\\")).map(str::to_owned)
    } else {
        context.folders.path(dirid).map(|base| join(&base, &subfolder))
    };
    if path.is_none() {
        context.warn(line.place(), format!("nobody knows where folder {} lies in an image", dirid as i32));
    }
    Ok(Folder { dirid, path })
}

fn copy(
    context: &mut Context<'_>,
    at: &Directive,
    folder: Folder,
    destination: &str,
    source: &str,
    flags: u32,
    out: &mut Vec<FileCopy>,
) -> Result<()> {
    let Some(base) = folder.path else { return Ok(()) };
    let path = join(&base, destination);
    if destination.is_empty() || !is_inside(&path) {
        return Err(at.error(format!("{path:.80} is no path of a file")));
    }
    let source = if Arc::ptr_eq(&at.inf, &context.main) {
        source_path(context, at, source)?
    } else {
        FileSource::Included { inf: at.inf.name().to_owned(), name: source.to_owned() }
    };
    out.push(FileCopy { source, destination: path, dirid: folder.dirid, flags });
    Ok(())
}

/// A path below another; neither has backslashes at its ends afterwards.
fn join(base: &str, path: &str) -> String {
    let (base, path) = (base.trim_matches('\\'), path.trim_matches('\\'));
    if base.is_empty() || path.is_empty() { format!("{base}{path}") } else { format!("{base}\\{path}") }
}

/// Whether a path stays below the folder that it begins in, and names files as Windows does.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.split('\\').all(|part| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.contains(['/', ':', '\0', '*', '?', '"', '<', '>', '|'])
        })
}

/// Where a file lies in the package: what `[SourceDisksNames]` and `[SourceDisksFiles]` say.
fn source_path(context: &mut Context<'_>, at: &Directive, name: &str) -> Result<FileSource> {
    let inf = Arc::clone(&at.inf);
    let found = context
        .for_architecture(&inf, "SourceDisksFiles")
        .find_map(|section| section.line(name).map(|line| (section, line)));
    let Some((section, line)) = found else { return Ok(in_package(context, at, name.to_owned())) };
    let line = Directive { inf: Arc::clone(&inf), section: section.name.clone(), line: line.clone() };
    listed_path(context, &line, name)
}

fn listed_path(context: &mut Context<'_>, line: &Directive, name: &str) -> Result<FileSource> {
    let disk = context.text(line, 0)?;
    let subfolder = context.text(line, 1)?;
    let inf = Arc::clone(&line.inf);
    let found = context.for_architecture(&inf, "SourceDisksNames").find_map(|section| {
        // `01` means disk 1, too.
        let plain = number(&disk).map(|number| number.to_string());
        let line = section.line(&disk).or_else(|| section.line(plain.as_deref()?));
        line.map(|line| (section, line))
    });
    let mut folder = String::new();
    if let Some((section, disk_line)) = found {
        let at = Directive { inf: Arc::clone(&inf), section: section.name.clone(), line: disk_line.clone() };
        folder = context.text(&at, 3)?;
        let cabinet = context.text(&at, 1)?;
        if cabinet.to_ascii_lowercase().ends_with(".cab") {
            context.warn(
                at.place(),
                format!("{name} lies in cabinet {cabinet}, which has to be unpacked beside the INF"),
            );
        }
    } else {
        context.warn(line.place(), format!("there is no source disk {disk}"));
    }
    Ok(in_package(context, line, join(&join(&folder, &subfolder), name)))
}

/// A path is one in the package if it stays in its folder.
fn in_package(context: &mut Context<'_>, at: &Directive, path: String) -> FileSource {
    if is_inside(&path) {
        return FileSource::Package(path);
    }
    context.warn(at.place(), format!("{path:.80} is no path of a file in the package; it is not copied"));
    FileSource::Elsewhere(path)
}

/// Every file of the package by `[SourceDisksFiles]`, and the files named by lists that it does not mention.
pub(super) fn source_files(context: &mut Context<'_>) -> Result<Vec<String>> {
    let inf: Arc<Inf> = Arc::clone(&context.main);
    let mut files = BTreeSet::new();
    let mut names = BTreeSet::new();
    for section in
        [format!("SourceDisksFiles.{}", context.target.architecture), "SourceDisksFiles".to_owned()]
    {
        for line in context.lines(&inf, &section)?.unwrap_or_default() {
            let name = match &line.line.key {
                Some(key) => context.expand(&line, key)?,
                None => context.text(&line, 0)?,
            };
            if names.insert(crate::inf::fold(&name))
                && let FileSource::Package(path) = listed_path(context, &line, &name)?
            {
                files.insert(path);
            }
        }
    }
    Ok(files.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_folder_are_none() {
        for path in ["", "..\\x", "a\\..\\b", "a\\\\b", "C:\\x", "a/b", ".", "a\\.", "x\0", "a:stream"] {
            assert!(!is_inside(path), "{path}");
        }
        assert!(is_inside(r"Windows\System32\drivers\x.sys"));
        assert_eq!(join("", "\\a\\"), "a");
        assert_eq!(join("a\\", "b"), "a\\b");
    }
}

//! Links of the image, as links of the host: only to what lies inside the destination.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::{copy_blob, missing};
use crate::Result;
use crate::link::{MAX_REPARSE, TAG_MOUNT_POINT, TAG_SYMLINK, reparse_target, without_prefix};
use crate::pipeline::{BlobRead, BlobStore};
use crate::tree::{Content, Node};

/// Where a symbolic link or junction of the image leads, as a relative host path, when that lies inside the image.
/// `depth` is how many directories lie between the root and the link.
pub(super) fn link_target(
    node: &Node,
    depth: usize,
    blobs: &dyn BlobStore,
    reader: &mut dyn BlobRead,
) -> Result<Option<PathBuf>> {
    let Some(reparse) = &node.reparse else { return Ok(None) };
    let is_link = matches!(reparse.tag, TAG_SYMLINK | TAG_MOUNT_POINT);
    if !cfg!(unix) || !is_link || reparse.data.len() > MAX_REPARSE {
        return Ok(None);
    }
    let mut data = Vec::new();
    match &reparse.data {
        Content::Empty | Content::Hole { .. } => {}
        Content::Bytes(bytes) => data.extend_from_slice(bytes),
        Content::Missing { sha1 } => return Err(missing(sha1)),
        &Content::Blob { blob, .. } => copy_blob(blobs, reader, blob, &mut Vec::new(), &mut |part| {
            data.extend_from_slice(part);
            Ok(())
        })?,
    }
    Ok(parse_target(reparse.tag, &data, depth))
}

/// Where the target lies on the host, seen from the link.
fn parse_target(tag: u32, data: &[u8], depth: usize) -> Option<PathBuf> {
    let (text, relative) = reparse_target(tag, data).filter(|(text, _)| !text.is_empty())?;
    let rest = if !relative {
        // `\??\C:\Windows\x`: whatever the drive, the image's own root is meant.
        let (drive, rest) = without_prefix(&text).split_at_checked(2)?;
        if !drive.ends_with(':') || !drive.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        rest
    } else if text.starts_with(r"\\") {
        return None;
    } else if text.starts_with('\\') {
        // Relative to the drive.
        &text
    } else {
        return inside(text.split('\\'), depth);
    };
    let up = std::iter::repeat_n("..", depth);
    inside(up.chain(rest.split('\\')), depth)
}

/// The path, unless it leaves the root on its way.
///
/// `..` takes away the name before it, as Windows understands it; only at the start it stays. After a name it would
/// lead to wherever that name, another link, leads: two links that stay inside could lead outside together.
fn inside<'a>(parts: impl Iterator<Item = &'a str>, depth: usize) -> Option<PathBuf> {
    let mut above = 0;
    let mut path = PathBuf::new();
    for part in parts.filter(|part| !part.is_empty() && *part != ".") {
        if part.contains(['/', '\0']) {
            return None;
        }
        if part != ".." {
            path.push(part);
        } else if matches!(path.components().next_back(), Some(Component::Normal(_))) {
            path.pop();
        } else if above < depth {
            above += 1;
            path.push(part);
        } else {
            return None;
        }
    }
    Some(if path.as_os_str().is_empty() { PathBuf::from(".") } else { path })
}

#[cfg(unix)]
pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
pub(super) fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reparse(tag: u32, relative: bool, target: &str) -> Vec<u8> {
        let name: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut data =
            [0u16, name.len() as u16, 0, 0].iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<u8>>();
        if tag == TAG_SYMLINK {
            data.extend(u32::from(relative).to_le_bytes());
        }
        data.extend(name);
        data
    }

    #[test]
    fn links_lead_only_to_places_inside() {
        let relative = |target, depth| {
            parse_target(TAG_SYMLINK, &reparse(TAG_SYMLINK, true, target), depth)
                .map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(relative(r"..\b", 1).as_deref(), Some("../b"));
        assert_eq!(relative(r"..\b", 0), None);
        assert_eq!(relative(r"a\..\..\b", 0), None);
        assert_eq!(relative(r"a\..\b", 0).as_deref(), Some("b"));
        assert_eq!(relative(r"..\a\..\..\b", 2).as_deref(), Some("../../b"));
        assert_eq!(relative(r"a\b\..\..\..\c", 1).as_deref(), Some("../c"));
        assert_eq!(relative(r".\", 0).as_deref(), Some("."));
        assert_eq!(relative(r"\a\b", 2).as_deref(), Some("../../a/b"));
        assert_eq!(relative(r"\a\..\..\b", 2), None);
        assert_eq!(relative(r"\\server\share", 2), None);
        assert_eq!(relative("/etc/passwd", 0), None);
        assert_eq!(relative("", 0), None);
        let absolute = |target, depth| {
            parse_target(TAG_MOUNT_POINT, &reparse(TAG_MOUNT_POINT, false, target), depth)
                .map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(absolute(r"\??\C:\Users", 2).as_deref(), Some("../../Users"));
        assert_eq!(absolute(r"\??\C:\", 1).as_deref(), Some(".."));
        assert_eq!(absolute(r"\??\C:\a\..\..\b", 1), None);
        assert_eq!(absolute(r"\??\Volume{x}\", 0), None);
        assert_eq!(absolute(r"\\server\share", 0), None);
    }

    #[test]
    fn damaged_reparse_data_is_no_link() {
        let whole = reparse(TAG_SYMLINK, true, "target");
        for len in 0..whole.len() {
            assert_eq!(parse_target(TAG_SYMLINK, &whole[..len], 3), None, "{len}");
        }
    }
}

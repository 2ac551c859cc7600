//! What is put into an image and is too large to be kept in memory: drivers, packages, files of the host. Copied to a
//! temporary file without a name while the disk is planned, so that what was planned is what is written, whatever
//! becomes of the original meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use disk::{ReadAt as _, WriteAt as _};
use sha1::{Digest, Sha1};

use crate::blobs::Form;
use crate::recipe::Output;
use crate::tree::{Content, as_u32};
use crate::{Error, Result};

/// Contents up to this size stay in memory: most lie in a file record in the end.
const SMALL: usize = 2048;
/// How much is copied at once.
const PIECE: usize = 1 << 20;

/// A file without a name, where the output will be: there is room, or there would not be for the output either.
pub(crate) fn temporary(output: &Output) -> Result<File> {
    let file = match output {
        Output::File(path) if path.parent().is_some_and(|parent| !parent.starts_with("/dev")) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            tempfile::tempfile_in(parent.unwrap_or(Path::new(".")))
        }
        _ => tempfile::tempfile(),
    };
    file.map_err(Error::temporary)
}

/// See the module. Its blobs are numbered from that of the source's blobs on.
#[derive(Debug)]
pub(crate) struct Spool {
    base: u32,
    output: Output,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// There from the first blob on.
    file: Option<Arc<File>>,
    end: u64,
    forms: Vec<Form>,
}

impl Spool {
    /// `base` is how many blobs the source has.
    pub(crate) fn new(base: u32, output: &Output) -> Self {
        Self { base, output: output.clone(), held: Mutex::default() }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all that `from` gives, at most `limit` bytes; `Ok(None)` when there is more.
    ///
    /// # Errors
    /// The inner error is of `from`, the outer of the temporary file.
    pub(crate) fn take(&self, from: &mut dyn Read, limit: u64) -> Result<io::Result<Option<Content>>> {
        let mut content = self.begin();
        let mut piece = Vec::new();
        loop {
            piece.clear();
            if let Err(error) = from.take(PIECE as u64).read_to_end(&mut piece) {
                return Ok(Err(error));
            }
            if piece.is_empty() {
                return content.end().map(|content| Ok(Some(content)));
            }
            if content.len + piece.len() as u64 > limit {
                return Ok(Ok(None));
            }
            content.add(&piece)?;
        }
    }

    /// A content that comes piece by piece. Until it is [ended](Growing::end), no other may be begun.
    pub(crate) fn begin(&self) -> Growing<'_> {
        Growing { spool: self, small: Vec::new(), len: 0, hash: Sha1::new() }
    }

    /// Takes bytes.
    pub(crate) fn take_bytes(&self, mut bytes: &[u8]) -> Result<Content> {
        let taken = self.take(&mut bytes, u64::MAX)?.map_err(Error::temporary)?;
        Ok(taken.expect("there is no limit"))
    }

    /// The content of one of its blobs; `None` for one of the source.
    pub(crate) fn read(&self, blob: u32) -> Option<Result<Vec<u8>>> {
        let held = self.held();
        let Form::Added { file, offset, len, .. } = held.forms.get(blob.checked_sub(self.base)? as usize)?
        else {
            return None;
        };
        let mut bytes = vec![0; usize::try_from(*len).unwrap_or(usize::MAX)];
        Some(file.read_exact_at(&mut bytes, *offset).map(|()| bytes).map_err(Error::temporary))
    }

    /// The SHA-1 of one of its blobs; `None` for one of the source.
    pub(crate) fn sha1(&self, blob: u32) -> Option<[u8; 20]> {
        match self.held().forms.get(blob.checked_sub(self.base)? as usize)? {
            Form::Added { sha1, .. } => Some(*sha1),
            Form::Copied { .. } | Form::Pressed { .. } => None,
        }
    }

    /// All that it holds.
    pub(crate) fn forms(&self) -> Vec<Form> {
        self.held().forms.clone()
    }
}

/// A content that is not whole yet. Dropped, it leaves nothing behind.
pub(crate) struct Growing<'s> {
    spool: &'s Spool,
    /// All of it, while it is small.
    small: Vec<u8>,
    len: u64,
    hash: Sha1,
}

impl Growing<'_> {
    /// The next piece.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<()> {
        let small = self.small.len() as u64 == self.len;
        self.len += piece.len() as u64;
        if small {
            self.small.extend_from_slice(piece);
            if self.small.len() > SMALL {
                let all = std::mem::take(&mut self.small);
                self.write(&all, 0)?;
            }
            return Ok(());
        }
        self.write(piece, self.len - piece.len() as u64)
    }

    fn write(&mut self, piece: &[u8], at: u64) -> Result<()> {
        let mut held = self.spool.held();
        let file = match &held.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(held.file.insert(Arc::new(temporary(&self.spool.output)?))),
        };
        self.hash.update(piece);
        file.write_all_at(piece, held.end + at).map_err(Error::temporary)
    }

    /// The content, whole.
    pub(crate) fn end(self) -> Result<Content> {
        if self.len == 0 {
            return Ok(Content::Empty);
        }
        if self.small.len() as u64 == self.len {
            return Ok(Content::Bytes(self.small.into()));
        }
        let mut held = self.spool.held();
        let file = Arc::clone(held.file.as_ref().expect("it was written to"));
        let (offset, len) = (held.end, self.len);
        held.end += len;
        let blob = self.spool.base + as_u32(held.forms.len());
        held.forms.push(Form::Added { file, offset, len, sha1: self.hash.finalize().into() });
        Ok(Content::Blob { blob, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool() -> Spool {
        Spool::new(10, &Output::Stdout)
    }

    #[test]
    fn small_contents_stay_in_memory() {
        let spool = spool();
        assert_eq!(spool.take_bytes(b"").unwrap(), Content::Empty);
        assert_eq!(spool.take_bytes(b"abc").unwrap(), Content::Bytes(b"abc"[..].into()));
        assert!(spool.read(10).is_none());
        assert!(spool.forms().is_empty());
    }

    #[test]
    fn large_contents_are_blobs_behind_those_of_the_source() {
        let spool = spool();
        let contents: Vec<Vec<u8>> =
            [SMALL + 1, PIECE, PIECE + 1, 3 * PIECE - 1].iter().map(|&len| vec![len as u8; len]).collect();
        for (blob, content) in (10..).zip(&contents) {
            let len = content.len() as u64;
            assert_eq!(spool.take_bytes(content).unwrap(), Content::Blob { blob, len });
        }
        for (blob, content) in (10..).zip(&contents) {
            assert!(spool.read(blob).unwrap().unwrap() == *content);
            let sha1: [u8; 20] = Sha1::digest(content).into();
            assert_eq!(spool.sha1(blob), Some(sha1));
        }
        assert!(spool.read(9).is_none());
        assert!(spool.sha1(14).is_none());
    }

    #[test]
    fn limits_and_errors_of_what_is_read() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        let spool = spool();
        assert!(spool.take(&mut Broken, 1).unwrap().is_err());
        let mut long = io::repeat(1).take(2 * PIECE as u64);
        assert_eq!(spool.take(&mut long, 2 * PIECE as u64 - 1).unwrap().unwrap(), None);
        // What was not taken leaves nothing behind.
        let next = spool.take_bytes(&[7; 5000]).unwrap();
        assert_eq!(next, Content::Blob { blob: 10, len: 5000 });
        assert_eq!(spool.read(10).unwrap().unwrap(), [7; 5000]);
    }
}

//! Whether the host let an input be read.
//!
//! What looks at a volume or at a WIM as a whole goes on past what it cannot read, and tells of it as of other faults. But a
//! device that fails, or a network that is gone, says nothing of what is stored: whoever judges an input asks
//! `read_error` before calling it damaged, or unsound. One failure is enough for that, since all that is said later
//! may follow from it.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use disk::{BlockMap, MappedRange, ReadAt};

use crate::Error;

/// The first error of the host's, shared by all that read an input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<OnceLock<(io::ErrorKind, String)>>);

impl Trouble {
    /// As an error of the input called `path`.
    pub(crate) fn error(&self, path: &Path) -> Option<Error> {
        let (kind, text) = self.0.get()?;
        Some(Error::Read { path: path.to_owned(), source: io::Error::new(*kind, text.clone()) })
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && is_hosts(error)
        {
            self.0.get_or_init(|| (error.kind(), text(error)));
        }
        result
    }
}

/// Whether the system said it, to whoever it was.
fn is_hosts(error: &io::Error) -> bool {
    if error.raw_os_error().is_some() {
        return true;
    }
    // What an `io::Error` was made of is not its source, but the source of that is.
    let first = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    let mut causes = std::iter::successors(first, |&cause| cause.source());
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_hosts))
}

fn text(error: &io::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// An input that takes note of the host's errors.
#[derive(Debug)]
pub(crate) struct Watched<R> {
    inner: R,
    trouble: Trouble,
}

impl<R> Watched<R> {
    pub(crate) fn new(inner: R, trouble: &Trouble) -> Self {
        Self { inner, trouble: trouble.clone() }
    }
}

impl<R: ReadAt> ReadAt for Watched<R> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.trouble.note(self.inner.read_exact_at(buf, offset))
    }

    fn size(&self) -> io::Result<u64> {
        self.trouble.note(self.inner.size())
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        self.trouble.note(self.inner.stored_at(offset))
    }
}

impl BlockMap for Watched<Arc<dyn BlockMap>> {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        self.trouble.note(self.inner.range_at(offset))
    }
}

#[cfg(test)]
mod tests {
    use disk::ContainerError;

    use super::*;

    /// Fails as it is told.
    struct Failing(fn() -> io::Error);

    impl ReadAt for Failing {
        fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            Err((self.0)())
        }

        fn size(&self) -> io::Result<u64> {
            Ok(1)
        }
    }

    #[test]
    fn only_what_the_system_said_counts() {
        let after = |error: fn() -> io::Error| {
            let trouble = Trouble::default();
            let watched = Watched::new(Failing(error), &trouble);
            assert!(trouble.error(Path::new("disk")).is_none());
            watched.read_exact_at(&mut [0], 0).unwrap_err();
            trouble.error(Path::new("disk")).map(|error| format!("{error}: {}", error.source().unwrap()))
        };
        let eio = || io::Error::from_raw_os_error(5);
        let said = after(eio).unwrap();
        assert!(said.starts_with("disk: ") && said.ends_with("(os error 5)"), "{said}");
        // As containers pass it on, in a file of several.
        let wrapped = || -> io::Error {
            let error = ContainerError::reading("grain", 512)(io::Error::from_raw_os_error(5));
            ContainerError::in_extent("a-s001.vmdk")(error).into()
        };
        let said = after(wrapped).unwrap();
        assert!(said.contains("a-s001.vmdk") && said.ends_with("(os error 5)"), "{said}");
        // Damage of the input's own.
        assert_eq!(after(|| ContainerError::malformed("grain", 512, "it is odd").into()), None);
        assert_eq!(after(|| io::ErrorKind::UnexpectedEof.into()), None);
    }
}

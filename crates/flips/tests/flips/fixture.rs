//! What is changed: files, how a user reads them, and what the format says of every byte.

use std::ops::Range;
use std::sync::Arc;

use crate::file::Changed;

/// How files of a format are read, as a user would: all that they hold, with all checks that need not be asked for.
pub(crate) trait Subject: Sync {
    /// Opens the files, or says why not. The same bytes give the same answer.
    fn open(&self, files: &[Arc<Changed>]) -> Result<Box<dyn Opened + '_>, String>;
}

/// Files that were opened. Each part is read independently of all others: what it gives depends on what opening read and on
/// what it reads itself, and on nothing else.
pub(crate) trait Opened {
    /// What opening showed.
    fn shown(&self) -> Seen;
    /// How many parts there are.
    fn parts(&self) -> usize;
    /// Reads a part, or says why not.
    fn part(&self, index: usize) -> Result<Seen, String>;
    /// What the command that checks such files finds.
    fn check(&self) -> Vec<String>;
}

/// What a user gets to see.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What the file says of itself: identities, times, creators.
    pub(crate) told: String,
    /// Content: a disk's bytes, the names and attributes of files as well as what is in them, keys and values.
    pub(crate) data: Vec<u8>,
    /// Warnings, which nobody asked for.
    pub(crate) warnings: Vec<String>,
}

impl Seen {
    pub(crate) fn told(told: String) -> Self {
        Self { told, ..Self::default() }
    }

    pub(crate) fn len(&self) -> u64 {
        (self.told.len() + self.data.len()) as u64
    }
}

/// What stands between a changed byte and other data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guard {
    /// A hash, a checksum, a second copy, or what else the words say: no change goes unnoticed.
    By(&'static str),
    /// No reader asks for it, or it has one meaning whatever it holds.
    Unused,
    /// Nothing in the format, or not enough. The words say what a change can do.
    Nobody(&'static str),
}

/// Bytes of a file that mean something together.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) range: Range<usize>,
    pub(crate) name: &'static str,
    pub(crate) guard: Guard,
}

/// A file, or files that belong together.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) subject: Box<dyn Subject>,
    pub(crate) files: Vec<Arc<Vec<u8>>>,
    /// By file: sorted, without gaps.
    pub(crate) fields: Vec<Vec<Field>>,
}

impl Fixture {
    pub(crate) fn new(
        name: impl Into<String>,
        subject: impl Subject + 'static,
        files: Vec<(Vec<u8>, Fields)>,
    ) -> Self {
        let mut fixture =
            Self { name: name.into(), subject: Box::new(subject), files: Vec::new(), fields: Vec::new() };
        for (bytes, fields) in files {
            fixture.fields.push(fields.finish(bytes.len()));
            fixture.files.push(Arc::new(bytes));
        }
        fixture
    }

    /// The field that a byte belongs to.
    pub(crate) fn field(&self, file: usize, offset: usize) -> &Field {
        let fields = &self.fields[file];
        &fields[fields.partition_point(|field| field.range.end <= offset)]
    }
}

/// Fields as they are found.
#[derive(Debug)]
pub(crate) struct Fields {
    list: Vec<Field>,
    between: &'static str,
}

impl Fields {
    /// Of a file in which what is no field is called `between`, and is unused.
    pub(crate) fn new(between: &'static str) -> Self {
        Self { list: Vec::new(), between }
    }

    pub(crate) fn add(&mut self, range: Range<usize>, name: &'static str, guard: Guard) {
        if !range.is_empty() {
            self.list.push(Field { range, name, guard });
        }
    }

    /// Fields one after the other: where each begins, relative to `start`. The last ends at `end`.
    pub(crate) fn run(&mut self, start: usize, end: usize, fields: &[(usize, &'static str, Guard)]) {
        for (index, (at, name, guard)) in fields.iter().enumerate() {
            let next = fields.get(index + 1).map_or(end, |(at, ..)| start + at);
            self.add(start + at..next, name, *guard);
        }
    }

    /// # Panics
    /// When two fields share bytes or one ends behind the file: then the test is wrong.
    fn finish(mut self, len: usize) -> Vec<Field> {
        self.list.sort_by_key(|field| field.range.start);
        let mut all: Vec<Field> = Vec::new();
        let mut end = 0;
        for field in self.list {
            assert!(end <= field.range.start, "{field:x?} begins before {end:#x}, after {:x?}", all.last());
            if end < field.range.start {
                all.push(Field { range: end..field.range.start, name: self.between, guard: Guard::Unused });
            }
            end = field.range.end;
            all.push(field);
        }
        assert!(end <= len, "the last field ends at {end:#x}, the file at {len:#x}");
        if end < len {
            all.push(Field { range: end..len, name: self.between, guard: Guard::Unused });
        }
        all
    }
}

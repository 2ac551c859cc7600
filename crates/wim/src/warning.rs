use std::fmt;

use disk::At;

/// Warnings kept of one file, or of one image of it.
const KEPT: usize = 100;

/// Something that is not as it should be and that the reader could work around.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Where.
    pub at: At,
    /// What was found and what was made of it.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

/// A list of warnings that a hostile file cannot make longer than [`KEPT`] and one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings {
    list: Vec<Warning>,
    left_out: usize,
}

impl Warnings {
    pub(crate) fn push(&mut self, what: &'static str, offset: u64, text: impl FnOnce() -> String) {
        if self.list.len() < KEPT {
            self.list.push(Warning { at: At::new(what, offset), text: text() });
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn into_list(mut self) -> Vec<Warning> {
        if let (Some(last), 1..) = (self.list.last(), self.left_out) {
            let text = format!("and {} more warnings", self.left_out);
            self.list.push(Warning { at: last.at, text });
        }
        self.list
    }
}

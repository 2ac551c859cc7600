use std::fmt;

use disk::Guid;
pub use disk::Severity;

use crate::{ElementType, names};

/// What a check found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What is wrong or unusual, in the order of the store. Of more than 1000 findings only the number is kept.
    pub findings: Vec<Finding>,
    /// Objects that were looked at.
    pub objects: usize,
    /// How many errors there are.
    pub errors: u64,
    /// How many warnings.
    pub warnings: u64,
    /// How many notes.
    pub notes: u64,
}

/// A hostile hive could hold a hundred thousand broken elements.
const MAX_FINDINGS: usize = 1000;

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule.
    pub code: Code,
    /// In which object.
    pub object: Option<Guid>,
    /// In which of its elements.
    pub element: Option<ElementType>,
    /// What was found, and what was expected.
    pub text: String,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// The hive itself.
    Hive,
    /// The store as a whole.
    Store,
    /// An object's keys, type or GUID.
    Object,
    /// An element's key.
    Element,
    /// An element's value: type, length, range.
    Value,
    /// An element's value in an unusual form.
    Form,
    /// A device.
    Device,
    /// An object that is referred to.
    Reference,
    /// Inheritance.
    Inherit,
    /// What an entry needs to start.
    Entry,
    /// The boot manager's object.
    Manager,
    /// A path.
    Path,
    /// An element that is not known.
    Unknown,
}

impl Report {
    /// Whether there are no errors.
    pub const fn is_clean(&self) -> bool {
        self.errors == 0
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        code: Code,
        object: Option<Guid>,
        element: Option<ElementType>,
        text: String,
    ) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Note => self.notes += 1,
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { severity, code, object, element, text });
        }
    }
}

impl Code {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hive => "hive",
            Self::Store => "store",
            Self::Object => "object",
            Self::Element => "element",
            Self::Value => "value",
            Self::Form => "form",
            Self::Device => "device",
            Self::Reference => "reference",
            Self::Inherit => "inherit",
            Self::Entry => "entry",
            Self::Manager => "boot-manager",
            Self::Path => "path",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.severity, self.code)?;
        if let Some(object) = self.object {
            write!(f, "{}", names::object_name(object))?;
            if let Some(element) = self.element {
                write!(f, " {element}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.text)
    }
}

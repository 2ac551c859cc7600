//! What all parts of the compiler share: the INF files, the strings, the limits, the warnings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Inbox, Label};
use crate::folders::Folders;
use crate::inf::{Inf, Line, Section, fold, number};
use crate::target::Target;
use crate::{Error, Place, Result, Warning};

/// Fields that are looked at in all; one counts as often as sections lead to it, and more when it is long.
const MAX_STEPS: u64 = 4 << 20;

/// Bytes of all fields after tokens were replaced.
const MAX_EXPANDED: u64 = 64 << 20;

/// INF files that one may include, those included by them counted.
const MAX_INCLUDED: usize = 64;

/// Sections deep that `Needs` may lead.
const MAX_NEEDS: usize = 32;

/// Warnings that are kept.
const MAX_WARNINGS: usize = 1000;

/// A line and where it comes from, which decides what its tokens mean.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) inf: Arc<Inf>,
    pub(super) section: String,
    pub(super) line: Line,
}

impl Directive {
    pub(super) fn place(&self) -> Place {
        Place { file: self.inf.name().to_owned(), section: self.section.clone(), line: self.line.number }
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.line.key.as_deref().is_some_and(|found| crate::inf::same(found, key))
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Inf { place: self.place(), reason: reason.into() }
    }
}

pub(super) struct Context<'c> {
    pub(super) main: Arc<Inf>,
    pub(super) target: &'c Target,
    pub(super) folders: &'c Folders,
    inbox: &'c dyn Inbox,
    /// By lower-case name; `None` for one that is not there.
    included: BTreeMap<String, Option<Arc<Inf>>>,
    warnings: BTreeSet<Warning>,
    steps: u64,
    expanded: u64,
}

/// `SetupAPI` deletes from the registry before it adds to it, in whatever order the directives stand.
fn deletions_first(directives: &mut [Directive]) {
    directives.sort_by_key(|directive| !directive.is("DelReg"));
}

impl<'c> Context<'c> {
    pub(super) fn new(inf: &Inf, target: &'c Target, folders: &'c Folders, inbox: &'c dyn Inbox) -> Self {
        Self {
            main: Arc::new(inf.clone()),
            target,
            folders,
            inbox,
            included: BTreeMap::new(),
            warnings: BTreeSet::new(),
            steps: 0,
            expanded: 0,
        }
    }

    pub(super) fn warn(&mut self, place: Place, what: impl Into<String>) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.insert(Warning { place, what: what.into() });
        }
    }

    /// The warnings, by place.
    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_iter().collect()
    }

    fn step(&mut self, work: usize) -> Result<()> {
        self.steps += work as u64;
        if self.steps > MAX_STEPS {
            let what = format!("fields to follow in {}", self.main.name());
            return Err(Error::Limit { what, found: self.steps, limit: MAX_STEPS });
        }
        Ok(())
    }

    /// The lines of a section. `None` when there is none.
    pub(super) fn lines(&mut self, inf: &Arc<Inf>, section: &str) -> Result<Option<Vec<Directive>>> {
        let Some(found) = inf.section(section) else { return Ok(None) };
        // Lines are copied, so what they hold counts.
        let size = |line: &Line| 1 + line.fields.iter().map(|field| 1 + field.len() / 64).sum::<usize>();
        self.step(1 + found.lines.iter().map(size).sum::<usize>())?;
        let directive =
            |line: &Line| Directive { inf: Arc::clone(inf), section: found.name.clone(), line: line.clone() };
        Ok(Some(found.lines.iter().map(directive).collect()))
    }

    /// The lines of a section that may need others: `Needs` is replaced by the lines of those sections, from
    /// the same INF file or from one that `Include` names. `included` gets the names of these files.
    pub(super) fn lines_with_needs(
        &mut self,
        section: &str,
        included: &mut Vec<String>,
    ) -> Result<Vec<Directive>> {
        let main = Arc::clone(&self.main);
        let mut out = Vec::new();
        self.follow(&main, section, &mut BTreeSet::new(), 0, included, &mut out)?;
        deletions_first(&mut out);
        Ok(out)
    }

    /// The directives of a section that needs no others, in the order in which they are carried out. `None` when there
    /// is no such section.
    pub(super) fn directives(&mut self, inf: &Arc<Inf>, section: &str) -> Result<Option<Vec<Directive>>> {
        let mut lines = self.lines(inf, section)?;
        if let Some(lines) = &mut lines {
            deletions_first(lines);
        }
        Ok(lines)
    }

    fn follow(
        &mut self,
        inf: &Arc<Inf>,
        section: &str,
        seen: &mut BTreeSet<(String, String)>,
        depth: usize,
        included: &mut Vec<String>,
        out: &mut Vec<Directive>,
    ) -> Result<()> {
        // What was processed already is not processed again: so circles end.
        if !seen.insert((fold(inf.name()), fold(section))) {
            return Ok(());
        }
        if depth > MAX_NEEDS {
            let what = format!("sections deep that Needs leads in {}", self.main.name());
            return Err(Error::Limit { what, found: depth as u64, limit: MAX_NEEDS as u64 });
        }
        let lines = self.lines(inf, section)?.unwrap_or_default();
        let mut sources = vec![Arc::clone(inf)];
        for directive in &lines {
            if !directive.is("Include") {
                continue;
            }
            for name in self.texts(directive, 0)? {
                if let Some(other) = self.include(&name, directive)? {
                    sources.push(other);
                }
                if !included.iter().any(|known| crate::inf::same(known, &name)) {
                    included.push(name);
                }
            }
        }
        for directive in lines {
            if directive.is("Include") {
                continue;
            }
            if !directive.is("Needs") {
                out.push(directive);
                continue;
            }
            for name in self.texts(&directive, 0)? {
                match sources.iter().find(|source| source.section(&name).is_some()).cloned() {
                    Some(source) => self.follow(&source, &name, seen, depth + 1, included, out)?,
                    None => {
                        self.warn(directive.place(), format!("needs section {name}, which is nowhere"));
                    }
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, name: &str, directive: &Directive) -> Result<Option<Arc<Inf>>> {
        let key = fold(name);
        if let Some(known) = self.included.get(&key) {
            return Ok(known.clone());
        }
        if self.included.len() >= MAX_INCLUDED {
            let what = format!("INF files that {} includes", self.main.name());
            return Err(Error::Limit { what, found: MAX_INCLUDED as u64 + 1, limit: MAX_INCLUDED as u64 });
        }
        // A name with a path could read files that are no INF files of the image.
        let plain = !name.is_empty() && !name.contains(['/', '\\', ':', '\0']);
        let bytes = if plain { self.inbox.inf(name) } else { Ok(None) };
        let bytes = bytes.map_err(|source| Error::Io { path: name.to_owned(), source })?;
        let inf = match bytes {
            Some(bytes) => {
                let inf = Inf::parse(name, &bytes)?;
                self.step(inf.sections().len())?;
                Some(Arc::new(inf))
            }
            None => {
                self.warn(
                    directive.place(),
                    format!("includes {name}, which is not among the INF files of the image"),
                );
                None
            }
        };
        self.included.insert(key, inf.clone());
        Ok(inf)
    }

    /// A text with its tokens replaced.
    pub(super) fn expand(&mut self, directive: &Directive, text: &str) -> Result<String> {
        let folders = self.folders;
        let expanded = directive.inf.expand(self.target.language, text, &|dirid| folders.absolute(dirid))?;
        self.expanded += expanded.text.len() as u64;
        if self.expanded > MAX_EXPANDED {
            let what = format!("bytes of all texts of {}", self.main.name());
            return Err(Error::Limit { what, found: self.expanded, limit: MAX_EXPANDED });
        }
        let text = expanded.text.into_owned();
        if let Some(token) = expanded.unknown {
            let token: String = token.chars().take(40).collect();
            self.warn(directive.place(), format!("nothing stands for %{token}%"));
        }
        Ok(text)
    }

    /// A field, from 0, with its tokens replaced; empty when there are not so many.
    pub(super) fn text(&mut self, directive: &Directive, field: usize) -> Result<String> {
        self.expand(directive, directive.line.field(field))
    }

    /// The fields from one on that are not empty, with their tokens replaced.
    pub(super) fn texts(&mut self, directive: &Directive, from: usize) -> Result<Vec<String>> {
        let fields = directive.line.fields.iter().skip(from);
        let texts: Result<Vec<_>> = fields.map(|field| self.expand(directive, field)).collect();
        Ok(texts?.into_iter().filter(|text| !text.is_empty()).collect())
    }

    /// The number in a field; `None` for an empty one.
    pub(super) fn number(&mut self, directive: &Directive, field: usize) -> Result<Option<u32>> {
        let text = self.text(directive, field)?;
        if text.is_empty() {
            return Ok(None);
        }
        let value = number(&text).ok_or_else(|| directive.error(format!("{text:.40} is not a number")))?;
        Ok(Some(value))
    }

    /// A text that may be one key of `[Strings]`.
    pub(super) fn label(&mut self, directive: &Directive, text: &str) -> Result<Label> {
        let inside = text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
        let key = inside
            .filter(|key| !key.contains('%') && directive.inf.string(self.target.language, key).is_some());
        let key = key.map(str::to_owned);
        Ok(Label { text: self.expand(directive, text)?, key })
    }

    /// The name of the section for this Windows' platform: the name with `.NTamd64`, with `.NT`, or as it is.
    pub(super) fn for_platform(&self, inf: &Inf, name: &str, extension: &str) -> Option<String> {
        let named = |platform: &String| format!("{name}{platform}{extension}");
        let names = self.target.platforms().map(|platform| named(&platform));
        names.into_iter().find(|name| inf.section(name).is_some())
    }

    /// The section of the main file for this architecture, then the one for all: `[SourceDisksFiles.amd64]`.
    pub(super) fn for_architecture<'i>(&self, inf: &'i Inf, name: &str) -> impl Iterator<Item = &'i Section> {
        let names = [format!("{name}.{}", self.target.architecture), name.to_owned()];
        names.into_iter().filter_map(|name| inf.section(&name))
    }
}

//! What came of a campaign, as a table.

use std::collections::BTreeMap;
use std::fmt;

use crate::campaign::{Counts, Outcomes};
use crate::fixture::Guard;

/// The outcomes of all fixtures.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// In the order of the formats: name of the fixture, and what came of it.
    fixtures: Vec<(String, Outcomes)>,
}

impl Table {
    /// The rows that a document about this lacks.
    pub(crate) fn missing_from(&self, document: &str) -> Vec<String> {
        let all =
            self.fixtures.iter().flat_map(|(name, outcomes)| outcomes.keys().map(move |key| (name, key)));
        let heads = all.map(|(name, (field, guard))| format!("| {} |", head(format_of(name), field, *guard)));
        heads.filter(|head| !document.contains(head)).collect()
    }

    /// What is said to be guarded by nobody and never came out other.
    pub(crate) fn never_different(&self) -> Vec<(&'static str, Guard)> {
        let mut all = Outcomes::new();
        for (field, counts) in self.fixtures.iter().flat_map(|(_, outcomes)| outcomes) {
            all.entry(*field).or_default().add(counts);
        }
        let nobody = all.into_iter().filter(|((_, guard), _)| matches!(guard, Guard::Nobody(_)));
        nobody.filter(|(_, counts)| counts.first.is_none()).map(|(field, _)| field).collect()
    }

    pub(crate) fn add(&mut self, fixture: &str, outcomes: Outcomes) {
        self.fixtures.push((fixture.to_owned(), outcomes));
    }
}

/// The first cells of a row.
fn head(format: &str, field: &str, guard: Guard) -> String {
    let guard = match guard {
        Guard::By(what) => what.to_owned(),
        Guard::Unused => "not read".to_owned(),
        Guard::Nobody(what) => format!("**nothing**: {what}"),
    };
    format!("{format} | {field} | {guard}")
}

/// The name of a fixture begins with its format.
fn format_of(name: &str) -> &str {
    name.split(',').next().unwrap_or(name)
}

fn row(f: &mut fmt::Formatter<'_>, first: &str, counts: &Counts) -> fmt::Result {
    let [refused, reported, same, described, different] = counts.by_outcome;
    writeln!(
        f,
        "| {first} | {} | {refused} | {reported} | {same} | {described} | {different} |",
        counts.bytes
    )
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n| file | bytes | refused | reported | same | described | different |\n|---|---|---|---|---|---|---|"
        )?;
        let mut formats: BTreeMap<(&str, &str, Guard), Counts> = BTreeMap::new();
        for (name, outcomes) in &self.fixtures {
            let mut all = Counts::default();
            let format = format_of(name);
            for ((field, guard), counts) in outcomes {
                all.add(counts);
                formats.entry((format, field, *guard)).or_default().add(counts);
            }
            row(f, name, &all)?;
        }
        writeln!(
            f,
            "\n| format | what | protected by | bytes | refused | reported | same | described | different |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for ((format, field, guard), counts) in &formats {
            row(f, &head(format, field, *guard), counts)?;
            if let Some(first) = counts.first.filter(|_| std::env::var_os("WIMFORGE_FLIPS_FIRST").is_some()) {
                writeln!(f, "    first: {first:x?}")?;
            }
        }
        Ok(())
    }
}

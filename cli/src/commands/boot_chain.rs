//! The part of `check` that speaks of starting the disk.

use std::io::{self, Write};

use image::chain::{Chain, ChainReport, Finding, Link, Outcome, State};

use crate::report::printable;

/// Columns that the text of a link begins after.
const INDENT: usize = 29;
/// Columns of a line.
const WIDTH: usize = 110;

/// Every link in a line; what is wrong with it, and what to do, below.
pub(crate) fn text(report: &ChainReport, out: &mut dyn Write) -> io::Result<()> {
    for chain in &report.chains {
        writeln!(out, "boot chain by {}", chain.firmware)?;
        chain.links.iter().try_for_each(|link| one(link, out))?;
        verdict(chain, out)?;
    }
    report.notes.iter().try_for_each(|note| writeln!(out, "{}", printable(note)))
}

fn one(link: &Link, out: &mut dyn Write) -> io::Result<()> {
    let state = match link.state {
        State::NotReached => "-",
        state => state.name(),
    };
    let detail = match link.state {
        State::NotReached => format!("not reached: {}", link.detail),
        _ => link.detail.clone(),
    };
    writeln!(out, "  {state:<8} {:<17} {}", link.step.name(), printable(&detail))?;
    link.findings.iter().try_for_each(|finding| explain(finding, out))
}

fn explain(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let code = finding.code.map_or_else(String::new, |code| format!(" [{code}]"));
    paragraph("! ", &format!("{}{code}", finding.text), out)?;
    finding.advice.iter().try_for_each(|advice| paragraph("> ", advice, out))
}

/// Text in lines of bearable length, behind a mark.
fn paragraph(mark: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let text = printable(text);
    let mut line = String::new();
    let mut mark = mark;
    for word in text.split(' ') {
        if !line.is_empty() && INDENT + mark.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{:INDENT$}{mark}{line}", "")?;
            line.clear();
            mark = "  ";
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{:INDENT$}{mark}{line}", "")
}

fn verdict(chain: &Chain, out: &mut dyn Write) -> io::Result<()> {
    let verdict = &chain.verdict;
    writeln!(out, "  verdict: {}", printable(&verdict.text))?;
    match (verdict.outcome, &verdict.advice) {
        (Outcome::Broken, Some(advice)) => writeln!(out, "  to do: {}", printable(advice)),
        _ => Ok(()),
    }
}

//! The part of `check` that speaks of starting the disk.

use std::io::{self, Write};

use image::chain::{Chain, ChainReport, Finding, Link, Outcome, State};
use picture::printable;

/// Columns that the text of a link begins after.
const INDENT: usize = 29;
/// Columns of a line.
const WIDTH: usize = 110;

/// Every link in a line; what is wrong with it, and what to do, below.
pub(crate) fn text(report: &ChainReport, out: &mut dyn Write) -> io::Result<()> {
    for chain in &report.chains {
        writeln!(out, "boot chain by {}", chain.firmware)?;
        // Links that nothing leads to for the same reason are one line.
        let same =
            |a: &Link, b: &Link| a.state == State::NotReached && b.state == a.state && a.detail == b.detail;
        chain.links.chunk_by(same).try_for_each(|links| one(links, out))?;
        verdict(chain, out)?;
    }
    report.notes.iter().try_for_each(|note| writeln!(out, "{}", printable(note)))
}

fn one(links: &[Link], out: &mut dyn Write) -> io::Result<()> {
    let (Some(link), Some(last)) = (links.first(), links.last()) else { return Ok(()) };
    if link.state == State::NotReached {
        let range = match links.len() {
            1 => link.step.name().to_owned(),
            _ => format!("{} to {}", link.step.name(), last.step.name()),
        };
        return writeln!(out, "  -        {range:<17} not reached: {}", printable(&link.detail));
    }
    writeln!(out, "  {:<8} {:<17} {}", link.state.name(), link.step.name(), printable(&link.detail))?;
    for (number, finding) in link.findings.iter().enumerate() {
        let next = link.findings.get(number + 1);
        explain(finding, next.is_some_and(|next| next.advice == finding.advice), out)?;
    }
    Ok(())
}

/// A finding; the advice of several that want the same comes after the last.
fn explain(finding: &Finding, again: bool, out: &mut dyn Write) -> io::Result<()> {
    let code = finding.code.map_or_else(String::new, |code| format!(" [{code}]"));
    paragraph("! ", &format!("{}{code}", finding.text), out)?;
    match &finding.advice {
        Some(advice) if !again => paragraph("> ", advice, out),
        _ => Ok(()),
    }
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

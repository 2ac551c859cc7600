//! The boot chain, as `check` found it, for drawing.

use picture::{Chain, Link, LinkState};

use crate::chain::{ChainReport, Finding, Outcome, State};

/// The chains; what there is to say when there is none is noted.
pub(super) fn of(report: &ChainReport, notes: &mut Vec<String>) -> Vec<Chain> {
    notes.extend(report.notes.iter().cloned());
    let link = |link: &crate::chain::Link| Link {
        name: link.step.name().to_owned(),
        state: match link.state {
            State::Ok => LinkState::Ok,
            State::Warning => LinkState::Warning,
            State::Broken => LinkState::Broken,
            State::NotReached => LinkState::NotReached,
        },
        detail: link.detail.clone(),
        findings: link.findings.iter().map(finding).collect(),
    };
    let chain = |chain: &crate::chain::Chain| Chain {
        firmware: chain.firmware.to_string(),
        starts: chain.verdict.outcome != Outcome::Broken,
        verdict: chain.verdict.text.clone(),
        links: chain.links.iter().map(link).collect(),
    };
    report.chains.iter().map(chain).collect()
}

fn finding(finding: &Finding) -> String {
    let code = finding.code.map_or_else(String::new, |code| format!(" [{code}]"));
    let advice = finding.advice.as_ref().map_or_else(String::new, |advice| format!("; to do: {advice}"));
    format!("{}{code}{advice}", finding.text)
}

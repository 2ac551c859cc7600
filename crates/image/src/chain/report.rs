//! What the check found, link by link.

use std::fmt;

use serde::Serialize;

use super::WindowsError;

/// What starts a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// A BIOS, or a UEFI that plays one.
    Bios,
    /// A UEFI.
    Uefi,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bios => "BIOS",
            Self::Uefi => "UEFI",
        })
    }
}

/// A link of the chain, in the order in which a start passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// The table that says where partitions are.
    PartitionTable,
    /// The master boot record's code (BIOS).
    BootCode,
    /// The partition that the BIOS starts from, or the EFI system partition.
    SystemPartition,
    /// The first sectors of that partition (BIOS).
    BootRecord,
    /// The file system as far as it leads to the root directory.
    FileSystem,
    /// `BOOTMGR`, or `bootmgfw.efi` and the name that firmware looks for.
    BootManager,
    /// The file of the boot configuration data.
    BootStore,
    /// The entry that is started when nobody chooses another.
    BootEntry,
    /// The partitions that the entry names.
    Devices,
    /// `winload`.
    Loader,
    /// The registry file that the loader reads.
    SystemHive,
    /// The control set that is started from.
    ControlSet,
    /// The kernel, and what it is linked with.
    Kernel,
    /// Drivers that the loader loads.
    BootDrivers,
    /// Those of them that reach the disk.
    DiskDrivers,
    /// The registry files that the kernel loads next.
    Registry,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 16] = [
        Self::PartitionTable,
        Self::BootCode,
        Self::SystemPartition,
        Self::BootRecord,
        Self::FileSystem,
        Self::BootManager,
        Self::BootStore,
        Self::BootEntry,
        Self::Devices,
        Self::Loader,
        Self::SystemHive,
        Self::ControlSet,
        Self::Kernel,
        Self::BootDrivers,
        Self::DiskDrivers,
        Self::Registry,
    ];

    /// Its name, as people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PartitionTable => "partition table",
            Self::BootCode => "boot code",
            Self::SystemPartition => "system partition",
            Self::BootRecord => "boot record",
            Self::FileSystem => "file system",
            Self::BootManager => "boot manager",
            Self::BootStore => "boot store",
            Self::BootEntry => "boot entry",
            Self::Devices => "devices",
            Self::Loader => "loader",
            Self::SystemHive => "SYSTEM hive",
            Self::ControlSet => "control set",
            Self::Kernel => "kernel",
            Self::BootDrivers => "boot drivers",
            Self::DiskDrivers => "disk drivers",
            Self::Registry => "registry",
        }
    }

    /// Whether a start by this firmware passes it.
    pub const fn is_part_of(self, firmware: Firmware) -> bool {
        match self {
            Self::BootCode | Self::BootRecord => matches!(firmware, Firmware::Bios),
            _ => true,
        }
    }
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In order.
    Ok,
    /// It could not be looked at, because of an earlier link, or because it lies where this check does not look.
    NotReached,
    /// It holds, but something is unusual, or fails on some machines.
    Warning,
    /// A start ends here.
    Broken,
}

impl State {
    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotReached => "not reached",
            Self::Warning => "warning",
            Self::Broken => "BROKEN",
        }
    }
}

/// Something that is wrong with a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// [`State::Warning`] or [`State::Broken`].
    pub state: State,
    /// What was found, and what was expected.
    pub text: String,
    /// What a user would see.
    pub code: Option<WindowsError>,
    /// What to do.
    pub advice: Option<String>,
}

/// A link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Link {
    /// Which.
    pub step: Step,
    /// The worst of its findings.
    pub state: State,
    /// What was found, in a line.
    pub detail: String,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

impl Link {
    /// A link that nothing is wrong with so far.
    pub(super) fn new(step: Step) -> Self {
        Self { step, state: State::Ok, detail: String::new(), findings: Vec::new() }
    }

    /// The same, described.
    pub(super) fn ok(step: Step, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::new(step) }
    }

    /// One that was not looked at.
    pub(super) fn not_reached(step: Step, why: impl Into<String>) -> Self {
        Self { state: State::NotReached, ..Self::ok(step, why) }
    }

    /// Adds something that is unusual.
    pub(super) fn warn(&mut self, text: impl Into<String>, advice: &str) {
        self.add(State::Warning, text.into(), None, advice.to_owned());
    }

    /// Adds what ends a start here.
    pub(super) fn broken(
        &mut self,
        text: impl Into<String>,
        code: impl Into<Option<WindowsError>>,
        advice: impl Into<String>,
    ) {
        self.add(State::Broken, text.into(), code.into(), advice.into());
    }

    fn add(&mut self, state: State, text: String, code: Option<WindowsError>, advice: String) {
        self.state = self.state.max(state);
        let advice = Some(advice).filter(|advice| !advice.is_empty());
        // One hostile disk must not make a report that nobody can print; but what breaks the link is in it.
        let first = state == State::Broken && !self.findings.iter().any(|finding| finding.state == state);
        if self.findings.len() < MAX_FINDINGS || first {
            self.findings.push(Finding { state, text, code, advice });
        }
    }

    /// Whether a start ends here.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }
}

/// Findings of a link that are kept.
const MAX_FINDINGS: usize = 100;

/// How a chain is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every link is in order, as far as can be told from the disk alone.
    Whole,
    /// It holds; links have warnings, or lie where this check does not look.
    Doubtful,
    /// A start ends at a link.
    Broken,
}

/// What to expect of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// In a word.
    pub outcome: Outcome,
    /// The first link that is broken.
    pub step: Option<Step>,
    /// What a user would see.
    pub code: Option<WindowsError>,
    /// In a sentence.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// The way from one kind of firmware to a running kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Chain {
    /// Who begins.
    pub firmware: Firmware,
    /// All links, in order.
    pub links: Vec<Link>,
    /// What it comes to.
    pub verdict: Verdict,
}

impl Chain {
    /// Completes the links: those that were not looked at are there, too.
    pub(super) fn new(firmware: Firmware, mut links: Vec<Link>) -> Self {
        let broken = links.iter().find(|link| link.is_broken()).map(|link| link.step);
        for step in Step::ALL {
            if step.is_part_of(firmware) && !links.iter().any(|link| link.step == step) {
                let why = match broken {
                    Some(broken) if broken < step => format!("the chain is broken at: {}", broken.name()),
                    _ => "nothing leads there".to_owned(),
                };
                links.push(Link::not_reached(step, why));
            }
        }
        links.sort_by_key(|link| link.step);
        let verdict = verdict(firmware, &links);
        Self { firmware, links, verdict }
    }

    /// A link.
    pub fn link(&self, step: Step) -> Option<&Link> {
        self.links.iter().find(|link| link.step == step)
    }
}

fn verdict(firmware: Firmware, links: &[Link]) -> Verdict {
    let first = links.iter().find(|link| link.is_broken());
    let finding = first.and_then(|link| link.findings.iter().find(|finding| finding.state == State::Broken));
    if let (Some(link), Some(finding)) = (first, finding) {
        let (step, code) = (link.step, finding.code);
        let seen = match code {
            Some(code) => format!("{code}: {}", code.meaning()),
            None => "no message, or none that can be foretold".to_owned(),
        };
        let text = format!("does not start by {firmware}: {} ({seen})", step.name());
        return Verdict {
            outcome: Outcome::Broken,
            step: Some(step),
            code,
            text,
            advice: finding.advice.clone(),
        };
    }
    let doubts = links.iter().filter(|link| link.state != State::Ok);
    let doubts: Vec<&str> = doubts.map(|link| link.step.name()).collect();
    let (outcome, text) = match doubts.is_empty() {
        true => (Outcome::Whole, format!("starts by {firmware}, as far as the disk alone can tell")),
        false => (
            Outcome::Doubtful,
            format!("nothing found that stops it from starting by {firmware}; see {}", doubts.join(", ")),
        ),
    };
    Verdict { outcome, step: None, code: None, text, advice: None }
}

/// Whether and how a disk starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainReport {
    /// A chain for each kind of firmware that the disk was made for; none on a disk that was made for none.
    pub chains: Vec<Chain>,
    /// Why there are none, or what was noticed besides.
    pub notes: Vec<String>,
}

impl ChainReport {
    /// Whether any chain is broken.
    pub fn is_broken(&self) -> bool {
        self.chains.iter().any(|chain| chain.verdict.outcome == Outcome::Broken)
    }

    /// The chain of a kind of firmware.
    pub fn chain(&self, firmware: Firmware) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.firmware == firmware)
    }
}

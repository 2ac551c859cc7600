//! A whole chain, then one fault at a time: each must be found at its link, with what a user would see.

#![allow(clippy::unwrap_used)]

mod bios;
mod configuration;
mod samples;
mod uefi;
mod windows;
mod world;

use self::world::{Disk, World};
use super::{ChainReport, Firmware, Outcome, State, Step, WindowsError};

/// A fault and where it must be found.
struct Case {
    name: &'static str,
    firmware: Firmware,
    change: fn(&mut World),
    damage: fn(&Disk),
    step: Step,
    code: Option<WindowsError>,
    /// Words that the finding must hold.
    says: &'static str,
}

impl Case {
    /// A fault of what the disk is made of.
    const fn new(
        name: &'static str,
        step: Step,
        code: WindowsError,
        says: &'static str,
        change: fn(&mut World),
    ) -> Self {
        Self { name, firmware: Firmware::Bios, change, damage: |_| {}, step, code: Some(code), says }
    }

    /// A fault of the finished disk.
    const fn damage(
        name: &'static str,
        step: Step,
        code: WindowsError,
        says: &'static str,
        damage: fn(&Disk),
    ) -> Self {
        Self { name, firmware: Firmware::Bios, change: |_| {}, damage, step, code: Some(code), says }
    }

    const fn uefi(self) -> Self {
        Self { firmware: Firmware::Uefi, ..self }
    }

    const fn silent(self) -> Self {
        Self { code: None, ..self }
    }

    fn report(&self) -> ChainReport {
        let mut world = World::new(self.firmware);
        (self.change)(&mut world);
        let disk = world.disk();
        (self.damage)(&disk);
        disk.check()
    }
}

/// Every fault breaks its link, and is what the verdict speaks of.
#[track_caller]
fn broken(cases: &[Case]) {
    for case in cases {
        let report = case.report();
        let name = case.name;
        assert!(report.is_broken(), "{name}: nothing found: {report:#?}");
        let chain = report.chain(case.firmware).unwrap_or_else(|| panic!("{name}: no chain: {report:#?}"));
        let verdict = &chain.verdict;
        assert_eq!((verdict.step, verdict.code), (Some(case.step), case.code), "{name}: {chain:#?}");
        let link = chain.link(case.step).unwrap();
        let finding = link.findings.iter().find(|finding| finding.text.contains(case.says));
        let finding = finding.unwrap_or_else(|| panic!("{name}: no {:?} in {link:#?}", case.says));
        assert_eq!(finding.state, State::Broken, "{name}: {finding:?}");
        assert!(finding.advice.is_some(), "{name}: no advice: {finding:?}");
    }
}

/// Name, firmware, link, words of the finding, and what is changed.
type Doubt<'a> = (&'a str, Firmware, Step, &'a str, fn(&mut World));

/// Every fault is a warning of its link, and breaks nothing.
#[track_caller]
fn warned(cases: &[Doubt<'_>]) {
    for (name, firmware, step, says, change) in cases {
        let mut world = World::new(*firmware);
        change(&mut world);
        let report = world.disk().check();
        assert!(!report.is_broken(), "{name}: {report:#?}");
        let chain = report.chain(*firmware).unwrap_or_else(|| panic!("{name}: no chain"));
        assert_eq!(chain.verdict.outcome, Outcome::Doubtful, "{name}");
        let link = chain.link(*step).unwrap();
        assert!(
            link.findings.iter().any(|finding| finding.text.contains(says)),
            "{name}: no {says:?} in {link:#?}"
        );
    }
}

#[test]
fn a_whole_chain_is_whole() {
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let report = World::new(firmware).disk().check();
        assert_eq!(report.chains.len(), 1, "{report:#?}");
        let chain = &report.chains[0];
        assert_eq!(chain.firmware, firmware);
        for link in &chain.links {
            assert_eq!(link.state, State::Ok, "{link:#?}");
            assert!(!link.detail.is_empty(), "{link:#?}");
        }
        assert_eq!(chain.verdict.outcome, Outcome::Whole);
        let steps: Vec<Step> = chain.links.iter().map(|link| link.step).collect();
        let expected: Vec<Step> = Step::ALL.into_iter().filter(|step| step.is_part_of(firmware)).collect();
        assert_eq!(steps, expected);
    }
}

#[test]
fn a_disk_without_windows_and_boot_manager_has_no_chain() {
    let mut world = World::new(Firmware::Bios);
    world.system.clear();
    world.system.insert("\\Boot\\BCD".to_owned(), (Vec::new(), world::Form::Plain));
    world.windows.clear();
    let report = world.disk().check();
    assert!(report.chains.is_empty() && !report.is_broken(), "{report:#?}");
    assert!(report.notes[0].starts_with("no boot chain: "), "{report:#?}");
}

#[test]
fn windows_without_anything_that_starts_it_is_broken() {
    let mut world = World::new(Firmware::Bios);
    world.system.clear();
    world.system.insert("\\Boot\\BCD".to_owned(), (Vec::new(), world::Form::Plain));
    let report = world.disk().check();
    let verdict = &report.chain(Firmware::Bios).unwrap().verdict;
    assert_eq!((verdict.step, verdict.code), (Some(Step::BootManager), Some(WindowsError::BootmgrMissing)));
    // Nothing leads to it; it is looked at all the same.
    assert_eq!(report.chains[0].link(Step::BootDrivers).unwrap().state, State::Ok, "{report:#?}");
}

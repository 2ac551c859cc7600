//! What Windows is told before its first boot: the answer file, the script that runs at its end, and the registry values
//! that go with them. `firstboot` says what; here it is put into the image.

use firstboot::{Protection as FirstBootProtection, StagedPackage};
use hive::paths::KnownHive;

use super::about::About;
use super::report::{Report, SecretReport};
use super::{Protection, Session};
use crate::recipe::Customize;
use crate::{Error, Result};

/// Where Windows looks for the script that runs when it has been set up.
const SETUP_COMPLETE: &str = "Windows\\Setup\\Scripts\\SetupComplete.cmd";
/// The largest script that is extended, in bytes.
const LARGEST_SCRIPT: u64 = 1 << 20;

/// Puts it there.
pub(super) fn apply(
    session: &mut Session<'_>,
    customize: &Customize,
    packages: Vec<StagedPackage>,
    https: Option<firstboot::Https>,
    about: &About,
    report: &mut Report,
) -> Result<()> {
    let mut wishes = customize.first_boot.clone();
    wishes.packages.extend(packages);
    if https.is_some() {
        wishes.https = https;
    }
    if wishes == firstboot::Wishes::default() {
        return Ok(());
    }
    wishes.existing_setup_complete = session.read(SETUP_COMPLETE, LARGEST_SCRIPT)?;
    let software = session.hive(KnownHive::Software)?.cloned();
    let plan = match session.hive(KnownHive::System)? {
        Some(system) => firstboot::plan(&wishes, &about.first_boot(), system, software.as_ref())?,
        None => {
            let problem = "the image has no SYSTEM hive, so nothing can be set up in it for the first boot";
            return Err(Error::Recipe(problem.to_owned()));
        }
    };
    for file in plan.files {
        let protection = match file.protection {
            FirstBootProtection::Inherit => Protection::Inherit,
            FirstBootProtection::SystemAndAdministrators => Protection::Secret,
        };
        let content = session.keep_bytes(&file.content)?;
        session.put(&file.path, content, &protection, "first boot")?;
    }
    session.registry("first boot", &plan.registry)?;
    session.notes.extend(plan.notes);
    report.first_boot = plan.report;
    report.secrets.extend(plan.secrets.into_iter().map(|secret| SecretReport {
        path: secret.path,
        what: secret.what,
        until: secret.until,
    }));
    Ok(())
}

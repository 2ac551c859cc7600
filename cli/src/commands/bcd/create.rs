//! `wimforge bcd create`

use std::fs;
use std::io::Write;
use std::process::ExitCode;

use bcd::{Options, Recovery, Setup, Store, create_from, create_recovery_store};
use disk::Seed;
use image::{Error, PartialFile};

use super::wrap;
use crate::args::bcd::BcdCreate;
use crate::signal;

pub(super) fn run(args: &BcdCreate) -> anyhow::Result<ExitCode> {
    let seed = match &args.seed {
        Some(text) => Seed::new(text.as_bytes()),
        // Everything that was asked for, so that other stores get other GUIDs.
        None => {
            let identity = format!(
                "{:?} {:?} {:?} {:?} {:?} {:?}",
                args.firmware, args.device, args.osdevice, args.recovery, args.name, args.systemroot
            );
            Seed::new(identity.as_bytes()).child("BCD store")
        }
    };
    // Without a time to agree on none, so that the same options always make the same store.
    let time = crate::source_date::from_environment()?.unwrap_or_default();
    let mut setup = Setup::new(args.firmware, args.device, args.osdevice, seed, time);
    setup.generation = args.generation;
    setup.edition = args.edition;
    setup.name = args.name.clone();
    setup.locale = args.locale.clone();
    setup.system_root = args.systemroot.clone();
    setup.timeout = args.timeout;
    setup.resume = !args.no_resume;
    setup.memory_test = !args.no_memtest;
    setup.recovery = args.recovery.map(Recovery::on);
    setup.options = Options {
        ems: args.ems,
        debug: args.debug.clone(),
        test_signing: args.test_signing,
        no_integrity_checks: args.no_integrity_checks,
        boot_menu: args.boot_menu,
    };
    let template = match &args.template {
        Some(path) => {
            let bytes = fs::read(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            Some(Store::parse(&bytes).map_err(|error| wrap(path, error))?)
        }
        None => None,
    };
    let store = if args.recovery_store {
        create_recovery_store(&setup)
    } else {
        create_from(&setup, template.as_ref())
    };
    let bytes = store.and_then(|store| store.to_bytes()).map_err(|error| wrap(&args.output, error))?;
    signal::hold()?;
    let output = PartialFile::create(&args.output, args.force)?;
    let write = |source| Error::Write { path: args.output.clone(), source };
    output.file()?.write_all(&bytes).map_err(write)?;
    signal::check()?;
    output.commit()?;
    Ok(ExitCode::SUCCESS)
}

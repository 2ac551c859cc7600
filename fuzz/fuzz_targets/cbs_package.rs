//! Any description and manifest is read or refused. A package of such is drivers, applied, staged or refused; what is planned
//! stays where it belongs, and is planned as a whole.
//!
//! An input is files, each behind a line `=== path`; they become a cabinet without compression.
#![no_main]

#[path = "../support/package.rs"]
mod package;

use std::collections::BTreeSet;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use package::{cabinet, files};
use servicing::manifest::Manifest;
use servicing::mum::Mum;
use servicing::{About, Package, Version, Way, plan};

fn is_confined(path: &str) -> bool {
    path.split('\\').all(|part| {
        !part.is_empty()
            && !part.ends_with(['.', ' '])
            && !part.contains(|c: char| c.is_control() || "<>:\"|?*/".contains(c))
    })
}

fuzz_target!(|data: &[u8]| {
    let _ = Mum::parse(data);
    if let Ok(manifest) = Manifest::parse(data) {
        assert!(is_confined(&manifest.identity.keyform()), "{}", manifest.identity.keyform());
    }
    let files = files(data);
    if files.is_empty() || files.len() > 200 {
        return;
    }
    let Ok(package) = Package::open(Arc::new(cabinet(&files)), "a\\b c.cab") else { return };
    let mut about = About {
        architecture: "amd64".to_owned(),
        version: Version([10, 0, 14393, 0]),
        edition: "ServerDatacenterNano".to_owned(),
        packages: Vec::new(),
    };
    let Ok(assessment) = package.assess(&about) else { return };
    let cabinet = package.cabinet().expect("it is one");
    match &assessment.way {
        Way::Drivers(plan) => {
            assert!(assessment.not_drivers.is_empty() && !assessment.not_applied.is_empty());
            for driver in &plan.drivers {
                assert!(driver.files.contains(&driver.inf));
                assert!(driver.files.iter().chain(&driver.catalogs).all(|path| cabinet.find(path).is_some()));
            }
        }
        Way::Apply(plan) => {
            assert!(assessment.not_applied.is_empty() && !assessment.not_drivers.is_empty());
            let mut taken = BTreeSet::new();
            for path in plan.destinations() {
                assert!(is_confined(path) && taken.insert(path.to_uppercase()), "{path}");
            }
            assert!(plan.files.iter().all(|file| cabinet.find(&file.source).is_some()));
            assert!(plan.folders.iter().all(|folder| is_confined(&folder.path)));
            for operation in plan.registry.iter().chain(&plan.registration) {
                let names: Vec<_> =
                    operation.key.names().iter().take(2).filter_map(|name| name.to_text()).collect();
                assert_eq!(names[0], "HKEY_LOCAL_MACHINE");
                assert!(["SYSTEM", "SOFTWARE"].contains(&names[1].to_uppercase().as_str()));
            }
        }
        Way::Stage(_) => assert!(!assessment.not_drivers.is_empty() && !assessment.not_applied.is_empty()),
        _ => {}
    }
    let staged = assessment.stage_instead(&package, "a test".to_owned());
    let Way::Stage(stage) = staged.way else { panic!("it was asked for") };
    let mut taken = BTreeSet::new();
    for (path, _) in plan::stage_paths(&[stage]) {
        assert!(is_confined(&path) && path.is_ascii() && taken.insert(path.to_uppercase()), "{path}");
    }
    about.add_package(&package);
    let _ = package.assess(&about);
});

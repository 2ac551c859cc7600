//! Hives of real Windows systems: read, checked, written again.

use std::path::Path;

use wimforge_hive::check::{Code, Severity};
use wimforge_hive::{Error, Hive, Key, Name, check, replay};

/// The dirty hives, and their logs if there are any.
const DIRTY: [(&str, [&str; 2]); 4] = [
    ("SYSTEM_2", ["", ""]),
    ("SYSTEM_B", ["SYSTEM_B.LOG1", "SYSTEM_B.LOG2"]),
    ("SYSTEM_WIN_10_1709", ["", ""]),
    ("transactions_NTUSER.DAT", ["transactions_ntuser.dat.log1", "transactions_ntuser.dat.log2"]),
];

/// A file of the samples' `hives`, unpacked.
pub(crate) fn unpacked(samples: &Path, name: &str) -> Option<Vec<u8>> {
    let xz = testkit::tool("xz")?;
    Some(xz.run(["-dc".as_ref(), samples.join("hives").join(format!("{name}.xz")).as_os_str()]).stdout)
}

/// The hives with their logs applied, or as they are if there are none. Those that are not meant to be read are left out.
pub(crate) fn hives() -> Option<Vec<(String, Vec<u8>, Hive)>> {
    let samples = testkit::samples()?;
    let mut hives = Vec::new();
    for entry in std::fs::read_dir(samples.join("bcd")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        hives.push((path.file_name().unwrap().to_string_lossy().into_owned(), bytes));
    }
    for name in ["BCD", "NTUSER.DAT", "SYSTEM"].into_iter().chain(DIRTY.map(|(name, _)| name)) {
        hives.push((name.to_owned(), unpacked(&samples, name)?));
    }
    Some(
        hives
            .into_iter()
            .map(|(name, bytes)| {
                let hive = Hive::parse_without_logs(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
                (name, bytes, hive)
            })
            .collect(),
    )
}

/// A dirty hive with its logs.
pub(crate) fn dirty(samples: &Path, name: &str) -> Option<(Vec<u8>, [Vec<u8>; 2])> {
    let (_, logs) = DIRTY.iter().find(|(dirty, _)| *dirty == name)?;
    Some((unpacked(samples, name)?, [unpacked(samples, logs[0])?, unpacked(samples, logs[1])?]))
}

fn count(key: &Key) -> (usize, usize) {
    key.subkeys().map(count).fold((1, key.values().len()), |sum, below| (sum.0 + below.0, sum.1 + below.1))
}

#[test]
fn are_read_and_written() {
    let Some(hives) = hives() else { return };
    assert_eq!(hives.len(), 16);
    let mut keys = 0;
    for (name, bytes, hive) in hives {
        let report = check(&bytes);
        let serious = report.findings.iter().any(|found| match found.severity {
            Severity::Error => true,
            Severity::Warning => found.code != Code::Dirty,
            Severity::Note => false,
        });
        assert!(!serious, "{name}: {report}");
        assert_eq!((report.keys as usize, report.values as usize), count(hive.root()), "{name}");
        keys += report.keys;
        let written = hive.to_bytes().unwrap();
        assert!(Hive::parse(&written).unwrap() == hive, "{name}: the same tree");
        let report = check(&written);
        assert!(report.findings.is_empty(), "{name}: {report}");
        assert!(written.len() <= bytes.len(), "{name}: {} bytes, then {}", bytes.len(), written.len());
        assert!(report.free < 4096 + report.bins_size / 200, "{name}: {} free bytes", report.free);
    }
    assert_eq!(keys, 132_274);
}

#[test]
fn dirty_ones_need_their_logs() {
    let Some(samples) = testkit::samples() else { return };
    for (name, _) in DIRTY {
        let Some(bytes) = unpacked(&samples, name) else { return };
        assert!(matches!(Hive::parse(&bytes), Err(Error::Dirty { .. })), "{name}");
        let error = Hive::recover(&bytes, &[&[], &[]]).unwrap_err();
        assert!(error.to_string().ends_with("its logs are missing or empty"), "{name}: {error}");
        assert!(check(&bytes).has(Code::Dirty, Severity::Warning));
    }
}

#[test]
fn logs_are_replayed() {
    let Some(samples) = testkit::samples() else { return };
    let expected = [
        (
            "SYSTEM_B",
            "dirty; log 1: applied 2107 to 2110, 40960 bytes; log 2: applied 2111 to 2130, 2633728 bytes",
        ),
        (
            "transactions_NTUSER.DAT",
            "dirty; log 2: not applied, 0 bytes (begins with 562, and the hive has 566 already); \
             log 1: applied 566 to 588, 1032192 bytes",
        ),
    ];
    for (name, done) in expected {
        let Some((bytes, [first, second])) = dirty(&samples, name) else { return };
        let (recovered, recovery) = replay(&bytes, &[&first, &second]).unwrap();
        assert_eq!(recovery.to_string(), done);
        let report = check(&recovered);
        assert!(report.is_clean() && report.warnings == 0, "{name}: {report}");
        // In the other order it is the same.
        assert_eq!(replay(&bytes, &[&second, &first]).unwrap().0, recovered);
        // With one of its logs missing, what the other has is applied if it comes next.
        let (_, partly) = replay(&bytes, &[&first]).unwrap();
        assert!(partly.logs[0].applied.is_some());
    }
    // A torn entry ends the replay: the other log must not go on behind the gap.
    let Some((bytes, [mut first, second])) = dirty(&samples, "SYSTEM_B") else { return };
    first[0x4100] ^= 1;
    let (_, partly) = replay(&bytes, &[&first, &second]).unwrap();
    assert_eq!(
        partly.to_string(),
        "dirty; log 1: applied 2107, 12288 bytes (at 0x4000: checksum of the entry is wrong); \
         log 2: not applied, 0 bytes (begins with 2111, expected 2108)"
    );
}

#[test]
fn a_base_block_comes_back_from_a_log() {
    let Some(samples) = testkit::samples() else { return };
    let Some((mut bytes, [first, _])) = dirty(&samples, "transactions_NTUSER.DAT") else { return };
    let (whole, _) = replay(&bytes, &[&first]).unwrap();
    let whole = whole.into_owned();
    bytes[0x28] ^= 1;
    assert!(Hive::parse(&bytes).is_err());
    let (recovered, recovery) = replay(&bytes, &[&first]).unwrap();
    assert!(recovery.base_restored);
    assert!(Hive::parse(&recovered).unwrap().root() == Hive::parse(&whole).unwrap().root());
}

#[test]
fn a_corrupted_one_is_an_error() {
    let Some(samples) = testkit::samples() else { return };
    let Some(bytes) = unpacked(&samples, "corrupted_system_hive") else { return };
    let error = Hive::parse(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "malformed bin at 0x1a000: signature \"\\x00\\x00\\x00\\x00\", expected \"hbin\""
    );
    let report = check(&bytes);
    assert!(!report.is_clean() && report.has(Code::Bin, Severity::Error), "{report}");
}

#[test]
fn what_windows_wrote_is_found() {
    let Some(samples) = testkit::samples() else { return };
    let Some(bytes) = unpacked(&samples, "SYSTEM") else { return };
    let hive = Hive::parse(&bytes).unwrap();
    assert_eq!((hive.minor(), hive.file_name().as_str()), (5, "SYSTEM"));
    let root = hive.root();
    assert_eq!(root.name().to_string(), "CMI-CreateHive{F10156BE-0E87-4EFB-969E-5DA29D131144}");
    let current = root.open("select").unwrap().value("CURRENT").unwrap().as_u32().unwrap();
    let set = root.subkey(&format!("ControlSet{current:03}")).unwrap();
    let disk = set.open(r"services\disk").unwrap();
    assert_eq!(disk.value("ImagePath").unwrap().as_str().unwrap(), r"system32\DRIVERS\disk.sys");
    let order = set.open(r"Control\ServiceGroupOrder").unwrap().value("List").unwrap().as_multi().unwrap();
    assert!(order.contains(&"SCSI miniport".to_owned()), "{order:?}");
    // Every key is found by its name.
    fn all(key: &Key) {
        for child in key.subkeys() {
            let lower = Name::new(&child.name().to_string().to_ascii_lowercase());
            assert!(std::ptr::eq(key.subkey_named(&lower).unwrap(), child));
            all(child);
        }
    }
    all(root);
}

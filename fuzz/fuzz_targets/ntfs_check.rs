//! The checker never panics, and its report is sorted and bounded, whatever the volume: raw bytes, or a good volume
//! with patches. Patches of file records and index blocks keep their update sequences right, so that what lies behind
//! that first hurdle is reached.
#![no_main]

#[path = "../support/ntfs.rs"]
mod ntfs;

use disk::ReadAt;
use libfuzzer_sys::fuzz_target;
use ntfs::Patched;
use ntfs_writer::check::{Code, Options, check};

fn judge(volume: &dyn ReadAt, options: &Options) {
    let report = check(volume, options).expect("a size");
    assert!(report.findings.is_sorted());
    assert!(report.findings.len() as u64 <= 3 * options.per_code * Code::ALL.len() as u64);
    let more: u64 = report.more.iter().map(|more| more.count).sum();
    assert_eq!(report.errors + report.warnings + report.notes, report.findings.len() as u64 + more);
    let _ = report.to_string();
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let mut options = if mode & 1 == 0 { Options::default() } else { Options::ours() };
    options.per_code = 4;
    if mode & 2 != 0 {
        return judge(&rest.to_vec(), &options);
    }
    judge(&Patched::new(rest), &options);
});

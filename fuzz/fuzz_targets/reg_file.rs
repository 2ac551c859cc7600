//! Any bytes are a `.reg` file or are refused with a place in them. What is read can be carried out on a hive, or is
//! refused; what is then exported is read again, and makes the same hive.
#![no_main]

use hive::paths::{self, Mount};
use hive::reg::{self, Error, Form, KeyPath, Operation, RegFile};
use hive::{FileTime, Hive};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = match RegFile::parse(data) {
        Ok(file) => file,
        Err(Error::Malformed { line, column, .. } | Error::TooLong { line, column, .. }) => {
            assert!(line as usize <= data.len() + 1 && column as usize <= data.len() + 1);
            return;
        }
        Err(_) => return,
    };
    for operation in &file.operations {
        let _ = paths::locate(&operation.key);
    }
    let hive = || Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(1)).expect("a good name");
    let mut first = hive();
    let mount = Mount::of(first.root());
    let mut as_mounted = |operation: &Operation| Ok(mount.key(&operation.key).ok());
    if reg::apply(first.root_mut(), &file.operations, None, &mut as_mounted).is_err() {
        return;
    }
    let mut text = Vec::new();
    let root = KeyPath::default();
    // Names with line ends cannot be expressed.
    let exported = reg::export(first.root(), &root, Form::V5, &mut text).expect("writing to memory");
    if exported.is_err() {
        return;
    }
    let again = RegFile::parse(&text).expect("what was written can be read");
    let mut second = hive();
    let mut as_written = |operation: &Operation| Ok(Some(operation.key.clone()));
    reg::apply(second.root_mut(), &again.operations, None, &mut as_written)
        .expect("what was written can be done");
    assert!(first.root() == second.root(), "an export makes another hive");
});

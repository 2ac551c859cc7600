//! Checks the volume in a file: `cargo run --example check_volume -- [--ours] FILE`.

use std::fs::File;
use std::process::ExitCode;

use wimforge_ntfs_writer::check::{Options, check};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]
fn main() -> ExitCode {
    let mut options = Options::default();
    let mut clean = true;
    for argument in std::env::args().skip(1) {
        if argument == "--ours" {
            options = Options::ours();
            continue;
        }
        let outcome = File::open(&argument).map_err(|error| error.to_string());
        match outcome.and_then(|file| check(&file, &options).map_err(|error| error.to_string())) {
            Ok(report) => {
                println!("{argument}\n{report}");
                clean &= report.is_clean();
            }
            Err(error) => {
                eprintln!("{argument}: {error}");
                clean = false;
            }
        }
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

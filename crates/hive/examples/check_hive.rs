//! Checks hives, as they lie in their files.
#![expect(clippy::print_stdout, reason = "a program")]

fn main() -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        let report = wimforge_hive::check(&std::fs::read(&path)?);
        println!("{}: {report}", path.display());
    }
    Ok(())
}

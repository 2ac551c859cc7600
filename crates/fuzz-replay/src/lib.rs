//! Nothing to call: `tests/replay.rs` includes the fuzz targets of `fuzz/fuzz_targets` as they are and runs each on the
//! inputs in `fuzz/corpus` and `fuzz/artifacts`, so that what fuzzing once found stays found with a stable compiler and
//! plain `cargo test`.

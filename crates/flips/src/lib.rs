//! Nothing to call: `tests/flips` changes every byte of a file of every format that wimforge reads, one at a time, and looks
//! at what the readers make of it. `docs/robustness.md` has the outcome.

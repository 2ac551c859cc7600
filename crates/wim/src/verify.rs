//! Checking everything a file promises.

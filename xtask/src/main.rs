//! Repository chores: tidy, generators, benches.
fn main() {}

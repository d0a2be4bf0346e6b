//! The `perfwright` binary: arguments, terminal output and exit codes. No analysis lives here.
fn main() {}

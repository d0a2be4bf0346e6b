//! Tests that need the crate's inside.

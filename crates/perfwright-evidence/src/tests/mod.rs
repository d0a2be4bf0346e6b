//! Tests that need the crate's inside: vectors, planted faults, kills and full disks.

mod answers;
mod bytes;
mod cases;
mod demo;
mod forge;
mod limits;
mod moments;
mod planted;
mod sharing;
#[expect(unreachable_pub, reason = "an integration test includes the same file")]
#[path = "../../tests/common/vector.rs"]
mod vector;

//! What verify reads is bounded, and nothing that it reads makes it panic.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::demo::{FAST, registry, spec, started};
use super::vector::scratch;
use crate::{DifferenceKind, Limits, Rule, RunError, RunWriter, Status, VerifyOptions, verify};

#[test]
fn every_limit_is_named_when_it_is_passed() {
    let root = scratch();
    let dir = root.path().join("run");
    started(&dir).finish(&[FAST], Rule::AllPassV1).expect("closed");
    let default = Limits::default();
    for (what, place, limits) in [
        ("entries", ".", Limits { max_entries: 5, ..default }),
        ("one file", "contract.json", Limits { max_file_bytes: 40, ..default }),
        ("all files", ".", Limits { max_total_bytes: 60, ..default }),
        ("ledger", "ledger.jsonl", Limits { max_ledger_bytes: 100, ..default }),
        ("events", "ledger.jsonl:4", Limits { max_events: 3, ..default }),
        ("line", "ledger.jsonl:1", Limits { max_line_bytes: 100, ..default }),
        ("gates", "manifest.json", Limits { max_gates: 0, ..default }),
    ] {
        let report =
            verify(&dir, &registry(), &VerifyOptions { limits, hash_references: true }).expect("a run");
        assert_eq!(report.status, Status::Tampered, "{what}");
        let named =
            report.differences.iter().any(|d| d.kind == DifferenceKind::LimitExceeded && d.place == place);
        assert!(named, "{what}: {:?}", report.differences);
    }
    for (what, kind, limits) in [
        ("manifest", DifferenceKind::ManifestMalformed, Limits { max_manifest_bytes: 100, ..default }),
        ("name", DifferenceKind::BadName, Limits { max_name_bytes: 10, ..default }),
        ("depth", DifferenceKind::EventUnparsable, Limits { max_json_depth: 2, ..default }),
    ] {
        let report =
            verify(&dir, &registry(), &VerifyOptions { limits, hash_references: true }).expect("a run");
        let named =
            report.differences.iter().any(|d| d.kind == kind || d.kind == DifferenceKind::ManifestHash);
        assert!(named && report.exit_code == 6, "{what}: {:?}", report.differences);
    }
    let few = VerifyOptions {
        limits: Limits { max_differences: 1, max_line_bytes: 100, ..default },
        hash_references: true,
    };
    let report = verify(&dir, &registry(), &few).expect("a run");
    assert_eq!(report.differences.len(), 1);
    assert!(report.left_off > 0);
}

/// A writer keeps to the limits, and what it wrote up to there can be closed.
#[test]
fn a_writer_stops_at_the_limits() {
    let root = scratch();
    let dir = root.path().join("run");
    let mut spec = spec();
    spec.limits = Limits { max_events: 20, max_line_bytes: 2000, ..Limits::default() };
    let mut run = RunWriter::create(&dir, &spec).expect("created");
    let long = run.event("note", &json!("x".repeat(3000))).expect_err("too long");
    assert!(matches!(long, RunError::TooLarge { .. }), "{long}");
    let mut written = 0;
    while run.event("note", &json!(written)).is_ok() {
        written += 1;
        assert!(written < 20, "no limit was met");
    }
    run.finish(&[], Rule::AllPassV1).expect("closed");
    let options = VerifyOptions { limits: spec.limits, hash_references: true };
    assert_eq!(verify(&dir, &registry(), &options).expect("a run").status, Status::Clean);
}

proptest! {
    #[test]
    fn arbitrary_files_never_panic(
        manifest in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        with in proptest::collection::vec(any::<u8>(), 0..10),
        whole in any::<bool>(),
    ) {
        let root = scratch();
        let dir = root.path().join("run");
        started(&dir).finish(&[FAST], Rule::AllPassV1).expect("closed");
        let path = dir.join("manifest.json");
        let mut bytes = fs::read(&path).expect("a manifest");
        let at = at.index(bytes.len());
        if whole { bytes = manifest } else { drop(bytes.splice(at..(at + 5).min(bytes.len()), with)) }
        let changed = bytes != fs::read(&path).expect("a manifest");
        // Bound by a fitting hash, so that what lies behind the hash check is reached.
        fs::write(&path, &bytes).expect("written");
        let ledger = dir.join("ledger.jsonl");
        let report = verify(&dir, &registry(), &VerifyOptions::default()).expect("a run");
        prop_assert_eq!(report.exit_code == 6, changed);
        let lines = fs::read_to_string(&ledger).expect("a ledger");
        let kept: Vec<&str> = lines.split_inclusive('\n').collect();
        let (closing, before) = kept.split_last().expect("lines");
        let closing: serde_json::Value = serde_json::from_str(closing).expect("JSON");
        let prev = closing["prev"].as_str().expect("a hash");
        let event = json!({"kind": "close", "manifest_sha256": crate::sha256_hex(&bytes)});
        let raw = crate::ledger::line(before.len() as u64, "2026-01-02T03:04:05.678Z", prev, &event).expect("canonical");
        let text = before.concat() + &String::from_utf8(raw).expect("text") + "\n";
        fs::write(&ledger, text).expect("written");
        let _ = verify(&dir, &registry(), &VerifyOptions::default()).expect("a run");
    }
}

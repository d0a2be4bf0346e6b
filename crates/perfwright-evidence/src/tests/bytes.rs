//! A changed byte in any file of a run folder is named.

use std::fs;
use std::path::{Path, PathBuf};

use super::demo::{FAST, HEALTHY, registry, started};
use super::vector::scratch;
use crate::name::LEDGER;
use crate::verify::walk::walk;
use crate::{Basis, EvidenceMeta, Limits, Rule, Status, VerifyOptions, verify};

fn closed(root: &Path) -> PathBuf {
    let dir = root.join("run");
    let mut run = started(&dir);
    let blob: Vec<u8> =
        (0..300_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
    run.add_bytes("profiles/a.bin", &blob, &EvidenceMeta::new("application/octet-stream", Basis::Measured))
        .expect("recorded");
    run.finish(&[FAST, HEALTHY], Rule::AnsweredV1).expect("closed");
    dir
}

#[test]
fn every_changed_byte_is_named() {
    let root = scratch();
    let dir = closed(root.path());
    let (registry, options) = (registry(), VerifyOptions::default());
    assert_eq!(verify(&dir, &registry, &options).expect("a run").status, Status::Clean);
    let mut tried = 0;
    for (name, length) in walk(&dir, &Limits::default()).expect("readable").files {
        let path = dir.join(&name);
        let bytes = fs::read(&path).expect("a file");
        let length = usize::try_from(length).expect("small");
        // Every byte of small files; of large ones the ends and places all over.
        let places: Vec<usize> = if length < 8000 {
            (0..length).collect()
        } else {
            (0..length).step_by(length / 40).chain([length - 1]).collect()
        };
        for at in places {
            let mut changed = bytes.clone();
            changed[at] ^= if at % 2 == 0 { 0x01 } else { 0x20 };
            fs::write(&path, &changed).expect("written");
            let report = verify(&dir, &registry, &options).expect("a run");
            assert_eq!(report.exit_code, 6, "{name} at {at}");
            let named = |place: &str| place == name || (name == LEDGER && place.starts_with("ledger.jsonl:"));
            assert!(
                report.differences.iter().any(|d| named(&d.place)),
                "{name} at {at}: {:?}",
                report.differences
            );
            tried += 1;
        }
        fs::write(&path, &bytes).expect("written");
    }
    assert_eq!(verify(&dir, &registry, &options).expect("a run").status, Status::Clean);
    println!("{tried} changed bytes, each named");
}

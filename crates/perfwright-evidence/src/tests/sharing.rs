//! Seal, bundle, statement and row proofs of real small runs.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::demo::{FAST, RESULT, registry, started};
use crate::{
    Limits, Redactor, RowProof, Rule, ShareError, Status, VerifyOptions, attest, check_row, pack, prove_row,
    seal, sha256_hex, verify,
};

const ROWS: &str = "benchmark/candidates.jsonl";

fn closed(dir: &Path) {
    let mut run = started(dir);
    let meta = crate::EvidenceMeta::new("application/jsonl", crate::Basis::Measured);
    run.add_bytes(ROWS, b"{\"id\":1}\n{\"id\":2}\n{\"id\":3}", &meta).expect("recorded");
    run.finish(&[FAST], Rule::AllPassV1).expect("closed");
}

#[test]
fn a_seal_names_the_last_line_and_a_rewritten_run_has_another_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("a"), folder.path().join("b"));
    closed(&first);
    let limits = Limits::default();
    let sealed = seal(&first, &limits).expect("sealed");
    let ledger = fs::read_to_string(first.join("ledger.jsonl")).expect("a ledger");
    assert_eq!(sealed.head, sha256_hex(ledger.lines().last().expect("lines").as_bytes()));

    let mut run = started(&second);
    run.event("rewritten", &serde_json::json!({})).expect("noted");
    run.finish(&[FAST], Rule::AllPassV1).expect("closed");
    let mut report = verify(&second, &registry(), &VerifyOptions::default()).expect("a run");
    assert_eq!(report.status, Status::Clean);
    report.expect_head(&sealed.head);
    assert_eq!((report.status, report.exit_code), (Status::Tampered, 6));
    let mut same = verify(&first, &registry(), &VerifyOptions::default()).expect("a run");
    same.expect_head(&sealed.head);
    assert_eq!(same.exit_code, 0);
}

#[test]
fn every_row_of_every_file_is_proved_and_no_changed_proof_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    closed(&dir);
    let limits = Limits::default();
    let root = seal(&dir, &limits).expect("sealed").merkle_root;
    for (name, lines) in [(ROWS, 3), (RESULT, 1), ("ledger.jsonl", 7), ("contract.json", 1)] {
        for line in 1..=lines {
            let proof = prove_row(&dir, name, line, &limits).expect("proved");
            assert_eq!(check_row(&proof, &root), Ok(()), "{name}:{line}");
        }
        let error = prove_row(&dir, name, lines + 1, &limits).expect_err("no such line");
        assert!(matches!(error, ShareError::NoSuchRow(_)), "{error}");
    }
    let proof = prove_row(&dir, ROWS, 2, &limits).expect("proved");
    assert_eq!(proof.text, "{\"id\":2}");
    let changes: [fn(&mut RowProof); 8] = [
        |p| p.text.push('x'),
        |p| p.line = 1,
        |p| p.file_rows = 4,
        |p| p.file = "benchmark/other.jsonl".into(),
        |p| p.file_bytes += 1,
        |p| p.file_sha256 = sha256_hex(b""),
        |p| p.row_path[0].hash = sha256_hex(b""),
        |p| {
            p.file_path.pop();
        },
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut changed = proof.clone();
        change(&mut changed);
        assert!(check_row(&changed, &root).is_err(), "change {i}");
    }
    assert!(check_row(&proof, &sha256_hex(b"another root")).is_err());
}

#[test]
fn a_statement_names_every_file_by_its_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    closed(&dir);
    let stated = attest(&dir, &Limits::default()).expect("stated");
    for subject in &stated.subject {
        let bytes = fs::read(dir.join(&subject.name)).expect("a stored file");
        assert_eq!(subject.digest["sha256"], sha256_hex(&bytes), "{}", subject.name);
    }
    assert_eq!(stated.subject.len(), 5, "manifest, contract, log, result, rows");
    assert_eq!(stated.predicate.merkle.root, seal(&dir, &Limits::default()).expect("sealed").merkle_root);
}

#[test]
fn a_bundle_unpacks_to_a_clean_run_and_is_the_same_every_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    closed(&dir);
    let (a, b) = (folder.path().join("a.tar"), folder.path().join("b.tar"));
    let none = Redactor::new(&[], &[]);
    let report = pack(&dir, &a, &none, &Limits::default()).expect("packed");
    assert_eq!(report.files.len(), 6);
    pack(&dir, &b, &none, &Limits::default()).expect("packed");
    assert_eq!(fs::read(&a).expect("a bundle"), fs::read(&b).expect("a bundle"));
    let again = pack(&dir, &a, &none, &Limits::default()).expect_err("nothing is overwritten");
    assert!(matches!(again, ShareError::Io { .. }));

    let out = folder.path().join("unpacked");
    tar::Archive::new(fs::File::open(&a).expect("a bundle")).unpack(&out).expect("a tar archive");
    let report = verify(&out.join("run"), &registry(), &VerifyOptions::default()).expect("a run");
    assert_eq!(report.exit_code, 0);
    let mut about = String::new();
    fs::File::open(out.join("REDACTION.json"))
        .and_then(|mut f| f.read_to_string(&mut about))
        .expect("a report");
    assert!(about.contains(&report.head.expect("a head")));
}

#[test]
fn a_secret_refuses_the_bundle_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let mut run = started(&dir);
    let meta = crate::EvidenceMeta::new("text/plain", crate::Basis::Measured);
    run.add_bytes("note.txt", b"the value is correct-horse-battery-9", &meta).expect("recorded");
    run.finish(&[FAST], Rule::AllPassV1).expect("closed");
    let env = [("SERVICE_PASSWORD".to_owned(), "correct-horse-battery-9".to_owned())];
    let to = folder.path().join("x.tar");
    let error = pack(&dir, &to, &Redactor::new(&[], &env), &Limits::default()).expect_err("refused");
    assert!(matches!(&error, ShareError::Secrets { first, count: 1 } if first == "note.txt"), "{error}");
    for entry in fs::read_dir(folder.path()).expect("a folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(!name.contains("x.tar"), "{name}");
    }
}

#[test]
fn a_run_that_is_open_or_changed_is_not_shared() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let run = started(&dir);
    drop(run);
    let limits = Limits::default();
    let open = seal(&dir, &limits).expect_err("open");
    assert!(matches!(open, ShareError::NotIntact { status: Status::Interrupted, .. }), "{open}");

    let other = folder.path().join("other");
    closed(&other);
    fs::write(other.join(ROWS), b"{\"id\":1}\n{\"id\":2}\n{\"id\":4}").expect("written");
    for error in [
        seal(&other, &limits).expect_err("changed"),
        attest(&other, &limits).map(|_| ()).expect_err("changed"),
        prove_row(&other, ROWS, 1, &limits).map(|_| ()).expect_err("changed"),
    ] {
        assert!(
            matches!(&error, ShareError::NotIntact { status: Status::Tampered, detail, .. } if detail.contains(ROWS)),
            "{error}"
        );
    }
}

//! The vectors: current, and answered as they say.

use std::fs;

use super::cases::cases;
use super::demo::registry;
use super::vector::{Vector, folder, load, scratch};
use crate::{VerifyOptions, verify};

/// The exit code and the differences, as a vector states them. A folder that is no run ends with 4.
pub(super) fn answer(vector: &Vector) -> (u8, Vec<(String, String)>) {
    let root = scratch();
    let dir = vector.materialise(root.path());
    match verify(&dir, &registry(), &VerifyOptions::default()) {
        Err(_) => (4, Vec::new()),
        Ok(report) => {
            let mut differences: Vec<(String, String)> = report
                .differences
                .iter()
                .map(|d| {
                    (
                        serde_json::to_value(d.kind).expect("JSON").as_str().expect("a name").to_owned(),
                        d.place.clone(),
                    )
                })
                .collect();
            differences.sort();
            (report.exit_code, differences)
        }
    }
}

#[test]
fn every_vector_gets_the_answer_it_states() {
    let vectors = load();
    assert!(vectors.len() >= 40, "only {} vectors", vectors.len());
    let mut wrong = Vec::new();
    for vector in &vectors {
        let found = answer(vector);
        let expected = (vector.expect.perfwright.exit, vector.expect.perfwright.differences.clone());
        if found != expected {
            wrong.push(format!("{}\n  expected {expected:?}\n  found    {found:?}", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} vectors:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
    println!("{} vectors answered as stated", vectors.len());
}

/// With `PERFWRIGHT_BLESS=1` this writes the vectors instead; see `tests/vectors/README.md`.
#[test]
fn committed_vectors_are_those_of_the_generator() {
    let bless = std::env::var_os("PERFWRIGHT_BLESS").is_some();
    let cases = cases();
    if bless {
        for vector in load() {
            fs::remove_file(folder().join(format!("{}.json", vector.name))).expect("removed");
        }
        for case in &cases {
            let text = serde_json::to_string_pretty(case).expect("JSON") + "\n";
            fs::write(folder().join(format!("{}.json", case.name)), text).expect("written");
        }
    }
    let committed = load();
    let names = |vectors: &[Vector]| vectors.iter().map(|v| v.name.clone()).collect::<Vec<_>>();
    let mut generated = cases;
    generated.sort_by(|a, b| format!("{}.json", a.name).cmp(&format!("{}.json", b.name)));
    assert_eq!(names(&generated), names(&committed));
    for (generated, committed) in generated.iter().zip(&committed) {
        assert_eq!(generated, committed, "regenerate tests/vectors");
    }
}

//! The vectors' generator. The expected answers are stated here by hand; nothing is asked of verify.

mod folder;
mod good;
mod ledger;
mod verdict;

use super::vector::{Answer, Entry, Expect, SCHEMA, ScriptAnswer, Vector};

/// Every vector.
pub(super) fn cases() -> Vec<Vector> {
    let mut all = Vec::new();
    good::cases(&mut all);
    ledger::cases(&mut all);
    folder::cases(&mut all);
    verdict::cases(&mut all);
    all
}

/// One vector whose verifiers may differ.
fn case_of(
    all: &mut Vec<Vector>,
    name: &str,
    about: &str,
    exits: (u8, u8),
    differences: &[(&str, &str)],
    entries: Vec<Entry>,
) {
    let mut differences: Vec<(String, String)> =
        differences.iter().map(|(kind, place)| ((*kind).to_owned(), (*place).to_owned())).collect();
    differences.sort();
    all.push(Vector {
        schema: SCHEMA.to_owned(),
        name: name.to_owned(),
        about: about.to_owned(),
        expect: Expect {
            perfwright: Answer { exit: exits.0, differences },
            script: ScriptAnswer { exit: exits.1 },
        },
        entries,
    });
}

/// Both verifiers accept.
fn accept(all: &mut Vec<Vector>, name: &str, about: &str, entries: Vec<Entry>) {
    case_of(all, name, about, (0, 0), &[], entries);
}

/// Both verifiers call the run interrupted.
fn interrupted(all: &mut Vec<Vector>, name: &str, about: &str, entries: Vec<Entry>) {
    case_of(all, name, about, (3, 3), &[], entries);
}

/// Both verifiers call the run tampered.
fn reject(all: &mut Vec<Vector>, name: &str, about: &str, differences: &[(&str, &str)], entries: Vec<Entry>) {
    case_of(all, name, about, (6, 6), differences, entries);
}

//! Folders whose files are not those that were recorded.

use serde_json::json;

use super::super::demo::{INPUT, RESULT};
use super::super::forge::{Forge, text};
use super::super::vector::{Entry, Vector, What};
use super::reject;
use crate::name::{CONTRACT, MANIFEST};

pub(super) fn cases(all: &mut Vec<Vector>) {
    contracts(all);
    files(all);
    special(all);
    names(all);
}

fn contracts(all: &mut Vec<Vector>) {
    let mut forge = Forge::closed();
    forge.replace_file(CONTRACT, br#"{"model":"demo-1b","precision":"bf16","threshold":0.1}"#);
    let differences = [("contract_hash", CONTRACT)];
    reject(
        all,
        "contract-replaced",
        "an easier contract, recorded as if it had been there",
        &differences,
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.manifest()["contract_sha256"] = json!("ab".repeat(32));
    reject(all, "contract-renamed", "the manifest names another contract", &differences, forge.seal());

    let mut forge = Forge::closed();
    let bytes = br#"{"model": "demo-1b","precision":"bf16","threshold":0.01}"#;
    forge.replace_file(CONTRACT, bytes);
    let hash = json!(crate::sha256_hex(bytes));
    forge.manifest()["contract_sha256"] = hash.clone();
    forge.events[0].1["contract_sha256"] = hash;
    let differences = [("contract_not_canonical", CONTRACT)];
    reject(all, "contract-style", "a contract with a space in it", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events.remove(1);
    forge.manifest()["evidence"].as_array_mut().expect("a list").remove(0);
    forge.files.remove(CONTRACT);
    reject(
        all,
        "contract-missing",
        "a closed run without a contract",
        &[("file_missing", CONTRACT)],
        forge.seal(),
    );
}

fn files(all: &mut Vec<Vector>) {
    let mut forge = Forge::closed();
    forge.files.insert(RESULT.into(), br#"{"ms":1.5}"#.to_vec());
    reject(all, "file-changed", "one digit of the result", &[("file_changed", RESULT)], forge.seal());

    let mut forge = Forge::closed();
    forge.files.insert(INPUT.into(), b"ready".to_vec());
    reject(all, "file-shorter", "one byte less", &[("file_size", INPUT)], forge.seal());

    let mut forge = Forge::closed();
    forge.edit_record(INPUT, |entry| entry["bytes"] = json!(7));
    reject(
        all,
        "file-size-forged",
        "a wrong size beside the right hash",
        &[("file_size", INPUT)],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.edit_record(INPUT, |entry| entry["sha256"] = json!("AB".repeat(32)));
    reject(all, "file-hash-style", "a hash in capitals", &[("manifest_malformed", INPUT)], forge.seal());

    let mut forge = Forge::closed();
    forge.files.remove(INPUT);
    reject(all, "file-missing", "a recorded file is gone", &[("file_missing", INPUT)], forge.seal());

    let mut forge = Forge::closed();
    forge.files.insert("benchmark/better.json".into(), b"{}".to_vec());
    let differences = [("file_unlisted", "benchmark/better.json")];
    reject(all, "file-unlisted", "a file that nothing records", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.files.insert("benchmark/.result.json.pw-tmp".into(), b"{}".to_vec());
    let differences = [("file_unlisted", "benchmark/.result.json.pw-tmp")];
    reject(all, "file-temporary", "a temporary file in a closed run", &differences, forge.seal());

    let mut entries = Forge::closed().seal();
    entries.push(Entry { path: "empty".into(), what: What::Directory });
    reject(
        all,
        "directory-unlisted",
        "a folder that holds nothing",
        &[("directory_unlisted", "empty")],
        entries,
    );
}

fn special(all: &mut Vec<Vector>) {
    let mut forge = Forge::closed();
    forge.files.remove(INPUT);
    let mut entries = forge.seal();
    entries.push(text("../server.log", "ready\n".to_owned()));
    entries.push(Entry { path: INPUT.into(), what: What::Symlink("../../server.log".into()) });
    reject(
        all,
        "symlink-file",
        "a link to the very bytes that were recorded",
        &[("not_regular", INPUT)],
        entries,
    );

    let mut forge = Forge::closed();
    forge.files.remove(INPUT);
    let mut entries = forge.seal();
    entries.push(text("../outside/server.log", "ready\n".to_owned()));
    entries.push(Entry { path: "inputs".into(), what: What::Symlink("../outside".into()) });
    reject(all, "symlink-folder", "a link in place of a folder", &[("not_regular", "inputs")], entries);

    let mut entries: Vec<Entry> = Forge::closed().seal().into_iter().filter(|e| e.path != MANIFEST).collect();
    entries.push(Entry { path: MANIFEST.into(), what: What::Symlink("../manifest.json".into()) });
    let differences = [("manifest_missing", MANIFEST), ("not_regular", MANIFEST)];
    reject(all, "symlink-manifest", "a link in place of the manifest", &differences, entries);

    let mut entries = Forge::closed().seal();
    entries.push(Entry { path: "benchmark/pipe".into(), what: What::Fifo });
    reject(all, "pipe", "a pipe among the evidence", &[("not_regular", "benchmark/pipe")], entries);
}

/// The same bytes under a name that is not allowed, recorded everywhere.
fn names(all: &mut Vec<Vector>) {
    for (case, about, name, at) in [
        ("name-outside", "a name that leaves the folder", "../server.log", Some("../server.log")),
        ("name-dotted", "a name with a detour", "inputs/../inputs/server.log", None),
        ("name-hidden", "a name that begins with a dot", ".server.log", Some(".server.log")),
        ("name-backslash", "a name with a backslash", "inputs\\server.log", Some("inputs\\server.log")),
    ] {
        let mut forge = Forge::closed();
        let bytes = forge.files.remove(INPUT).expect("the log");
        forge.edit_record(INPUT, |entry| entry["name"] = json!(name));
        let mut entries = forge.seal();
        let path = at.unwrap_or(INPUT);
        entries.push(text(path, String::from_utf8(bytes).expect("text")));
        let mut differences = vec![("bad_name", name)];
        if at.is_none() {
            differences.push(("file_unlisted", INPUT));
        }
        reject(all, case, about, &differences, entries);
    }
    let mut forge = Forge::closed();
    forge.files.remove(INPUT);
    forge.edit_record(INPUT, |entry| entry["name"] = json!("/dev/null"));
    reject(all, "name-absolute", "an absolute name", &[("bad_name", "/dev/null")], forge.seal());

    let mut forge = Forge::closed();
    forge.edit_record(INPUT, |entry| entry["name"] = json!("ledger.jsonl"));
    let differences = [("bad_name", "ledger.jsonl"), ("file_unlisted", INPUT)];
    reject(all, "name-reserved", "the ledger as evidence", &differences, forge.seal());

    let mut forge = Forge::closed();
    let at =
        forge.events.iter().position(|(_, body)| body["evidence"]["name"] == INPUT).expect("the log's event");
    let event = forge.events[at].clone();
    forge.events.insert(at + 1, event);
    let list = forge.manifest()["evidence"].as_array_mut().expect("a list");
    let entry = list.iter().find(|e| e["name"] == INPUT).expect("the log").clone();
    list.insert(2, entry);
    reject(all, "name-twice", "a name that is listed twice", &[("duplicate_name", INPUT)], forge.seal());
}

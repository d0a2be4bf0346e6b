//! Ledgers and manifests that somebody changed.

use serde_json::{Value, json};

use super::super::demo::{INPUT, RESULT};
use super::super::forge::{Edit, Forge, text};
use super::super::vector::{Entry, Vector};
use super::reject;
use crate::name::{LEDGER, MANIFEST};

pub(super) fn cases(all: &mut Vec<Vector>) {
    edited(all);
    forged(all);
    endings(all);
    manifests(all);
}

/// Name, what it is about, differences, and the edit of the ledger's lines.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], fn(&mut Vec<String>));

/// Lines of the closed run: 1 open, 2 contract, 3 warmup, 4 log, 5 result, 6 close.
fn edited(all: &mut Vec<Vector>) {
    let closed = Forge::closed();
    let cases: [Case; 8] = [
        (
            "ledger-event-edited",
            "one digit of an event",
            &[("event_hash", "ledger.jsonl:3"), ("event_chain", "ledger.jsonl:4")],
            |lines| lines[2] = lines[2].replace("\"rounds\":3", "\"rounds\":4"),
        ),
        (
            "ledger-close-edited",
            "the closing event parses and does not hash",
            &[("event_hash", "ledger.jsonl:6")],
            |lines| lines[5] = lines[5].replace("2026-01-02", "2026-01-03"),
        ),
        (
            "ledger-close-unparsable",
            "a closed run's last line is cut and ended",
            &[("event_unparsable", "ledger.jsonl:6")],
            |lines| {
                let half = lines[5].len() / 2;
                lines[5].replace_range(half.., "\n");
            },
        ),
        (
            "ledger-close-line-feed",
            "the last line feed is another byte",
            &[("event_unparsable", "ledger.jsonl:6")],
            |lines| lines[5] = lines[5].replace('\n', "x"),
        ),
        (
            "ledger-line-removed",
            "an event is missing",
            &[
                ("event_chain", "ledger.jsonl:3"),
                ("event_seq", "ledger.jsonl:3"),
                ("event_seq", "ledger.jsonl:4"),
                ("event_seq", "ledger.jsonl:5"),
            ],
            |lines| drop(lines.remove(2)),
        ),
        (
            "ledger-lines-swapped",
            "two events in the wrong order",
            &[
                ("event_chain", "ledger.jsonl:3"),
                ("event_chain", "ledger.jsonl:4"),
                ("event_chain", "ledger.jsonl:5"),
                ("event_seq", "ledger.jsonl:3"),
                ("event_seq", "ledger.jsonl:4"),
            ],
            |lines| lines.swap(2, 3),
        ),
        (
            "ledger-after-close-torn",
            "half a line after the closing event",
            &[("event_after_close", "ledger.jsonl:7")],
            |lines| lines.push("{\"at\":\"20".to_owned()),
        ),
        (
            "ledger-blank-line",
            "an empty line between two events",
            &[
                ("event_unparsable", "ledger.jsonl:3"),
                ("event_chain", "ledger.jsonl:4"),
                ("event_seq", "ledger.jsonl:4"),
                ("event_seq", "ledger.jsonl:5"),
                ("event_seq", "ledger.jsonl:6"),
                ("event_seq", "ledger.jsonl:7"),
            ],
            |lines| lines.insert(2, "\n".to_owned()),
        ),
    ];
    for (name, about, differences, edit) in cases {
        reject(all, name, about, differences, closed.seal_then(edit));
    }
    reject(
        all,
        "ledger-lone-surrogate",
        "a string that is not Unicode",
        &[("event_unparsable", "ledger.jsonl:3"), ("event_chain", "ledger.jsonl:4")],
        closed.seal_then(|lines| lines[2] = lines[2].replace("\"warmup\"", "\"warmup\\ud800\"")),
    );
}

fn on(line: usize, edit: impl Fn(&mut Value) + 'static) -> Edit {
    Box::new(move |i, value| {
        if i + 1 == line {
            edit(value);
        }
    })
}

/// Every other hash fits, so that only one check can see it.
fn forged(all: &mut Vec<Vector>) {
    let mut forge = Forge::closed();
    forge.before_hash = on(3, |line| line["seq"] = json!(7));
    reject(
        all,
        "forged-seq",
        "a wrong seq with fitting hashes",
        &[("event_seq", "ledger.jsonl:3")],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.before_hash = on(3, |line| line["prev"] = json!("ab".repeat(32)));
    reject(
        all,
        "forged-prev",
        "a wrong prev with fitting hashes",
        &[("event_chain", "ledger.jsonl:3")],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.after_hash = on(3, |line| line["hash"] = json!("ab".repeat(32)));
    reject(
        all,
        "forged-hash",
        "a wrong hash in a fitting chain",
        &[("event_hash", "ledger.jsonl:3")],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.raw = Box::new(|i, raw| {
        let text = String::from_utf8(raw).expect("text");
        if i == 5 { text.replacen(',', ", ", 1).into_bytes() } else { text.into_bytes() }
    });
    let differences = [("event_not_canonical", "ledger.jsonl:6")];
    reject(all, "forged-style", "the closing line with a space in it", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.raw = Box::new(|i, raw| {
        let text = String::from_utf8(raw).expect("text");
        if i == 2 { text.replace("\"seq\":2", "\"seq\":2,\"seq\":2").into_bytes() } else { text.into_bytes() }
    });
    let differences = [("event_unparsable", "ledger.jsonl:3")];
    reject(all, "forged-repeated-key", "a repeated key in an event", &differences, forge.seal());

    let mut forge = Forge::closed();
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    forge.events[2].1["data"] = deep;
    let differences = [("event_unparsable", "ledger.jsonl:3")];
    reject(all, "forged-depth", "an event nested 70 deep", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events[2].1["data"] = json!("a".repeat((1 << 20) + 1));
    let differences = [("limit_exceeded", "ledger.jsonl:3")];
    reject(all, "forged-long-line", "an event of more than a mebibyte", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events[2].0 = "2026-01-02 03:04:05".to_owned();
    let differences = [("event_malformed", "ledger.jsonl:3")];
    reject(all, "forged-time", "a time stamp of another form", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events[2].1 = json!("not an object");
    let differences = [("event_malformed", "ledger.jsonl:3")];
    reject(all, "forged-shape", "an event that is not an object with a kind", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events[2].1["kind"] = json!("open");
    let differences = [("event_malformed", "ledger.jsonl:3")];
    reject(all, "forged-second-open", "a second opening event", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events.remove(0);
    let differences = [("event_malformed", "ledger.jsonl:1")];
    reject(all, "forged-no-open", "the first event does not open the run", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events[2].1["data"]["rounds"] = json!(9_007_199_254_740_993_u64);
    let differences = [("event_not_canonical", "ledger.jsonl:3"), ("event_hash", "ledger.jsonl:3")];
    reject(all, "forged-big-integer", "an integer that a double would change", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events.push(("2026-01-02T03:04:09.000Z".into(), json!({"kind": "note", "data": 1})));
    let differences = [("event_after_close", "ledger.jsonl:7")];
    reject(all, "forged-after-close", "an event after the closing one", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.events[0].1.as_object_mut().expect("an object").remove("contract_sha256");
    let differences = [("event_malformed", "ledger.jsonl:1")];
    reject(
        all,
        "forged-open-without-contract",
        "an opening that names no contract",
        &differences,
        forge.seal(),
    );

    let mut forge = Forge::open();
    forge.events.push(("2026-01-02T03:04:09.000Z".into(), json!({"kind": "evidence", "evidence": null})));
    let differences = [("event_malformed", "ledger.jsonl:6")];
    reject(
        all,
        "forged-null-evidence",
        "an unclosed run whose last event records nothing",
        &differences,
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.events[0].1["host"] = json!({"gpus": {"devices": "none"}});
    forge.manifest()["host"] = json!({"gpus": {"devices": "none"}});
    let differences = [("event_malformed", "ledger.jsonl:1"), ("manifest_malformed", MANIFEST)];
    reject(all, "forged-host", "a host of another shape", &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.edit_record(RESULT, |entry| entry["basis"] = json!("guessed"));
    let differences =
        [("event_malformed", "ledger.jsonl:5"), ("manifest_malformed", MANIFEST), ("file_unlisted", RESULT)];
    reject(all, "forged-basis", "evidence of an unknown basis", &differences, forge.seal());
}

fn endings(all: &mut Vec<Vector>) {
    reject(
        all,
        "open-last-line-edited",
        "the last line of an unclosed run parses and does not hash: tampering, not a torn tail",
        &[("event_hash", "ledger.jsonl:5")],
        Forge::open().seal_then(|lines| lines[4] = lines[4].replace("demo --rounds 3", "demo --rounds 4")),
    );
    reject(
        all,
        "open-last-line-edited-no-line-feed",
        "the same without its line feed",
        &[("event_hash", "ledger.jsonl:6")],
        Forge::closed().seal_then(|lines| lines[5] = lines[5].trim_end().replace("2026-01-02", "2026-01-03")),
    );
    reject(
        all,
        "open-foreign-tail",
        "a tail that is no beginning of an event",
        &[("event_unparsable", "ledger.jsonl:6")],
        Forge::open().seal_then(|lines| lines.push("hello".to_owned())),
    );
    reject(
        all,
        "open-torn-in-the-middle",
        "a torn line that is not the last one",
        &[("event_unparsable", "ledger.jsonl:3"), ("event_chain", "ledger.jsonl:4")],
        Forge::open().seal_then(|lines| lines[2] = format!("{}\n", &lines[2][..60])),
    );
    reject(
        all,
        "open-acknowledged-line-cut",
        "an event is cut although its file already has its final name, so it had been on the disk",
        &[("file_unlisted", RESULT)],
        Forge::open().seal_then(|lines| {
            let half = lines[4].len() / 2;
            lines[4].truncate(half);
        }),
    );
    let mut changed = Forge::open();
    changed.files.insert(INPUT.into(), b"READY\n".to_vec());
    reject(
        all,
        "open-file-changed",
        "an unclosed run's evidence is checked too",
        &[("file_changed", INPUT)],
        changed.seal(),
    );
    let mut stranger = Forge::open();
    stranger.files.insert("extra.txt".into(), b"x".to_vec());
    reject(
        all,
        "open-file-unlisted",
        "a final name that no event records",
        &[("file_unlisted", "extra.txt")],
        stranger.seal(),
    );
}

fn manifests(all: &mut Vec<Vector>) {
    let edit = |edit: &dyn Fn(&mut String)| -> Vec<Entry> {
        let mut entries = Forge::closed().seal();
        for entry in entries.iter_mut().filter(|e| e.path == MANIFEST) {
            if let super::super::vector::What::Text(text) = &mut entry.what {
                edit(text);
            }
        }
        entries
    };
    let differences = [("manifest_hash", MANIFEST)];
    reject(
        all,
        "manifest-edited",
        "one letter of the manifest",
        &differences,
        edit(&|t| *t = t.replace("Example CPU", "Example CPV")),
    );
    let ended = |t: &mut String| {
        let at = t.find("\"ended\"").expect("the end") + 10;
        t.replace_range(at..at + 4, "2027");
    };
    reject(
        all,
        "manifest-end-edited",
        "a field that only the closing event protects",
        &differences,
        edit(&ended),
    );
    let without: Vec<Entry> = Forge::closed().seal().into_iter().filter(|e| e.path != MANIFEST).collect();
    reject(
        all,
        "manifest-missing",
        "a closed run without its manifest",
        &[("manifest_missing", MANIFEST)],
        without,
    );
    let without: Vec<Entry> = Forge::closed().seal().into_iter().filter(|e| e.path != LEDGER).collect();
    reject(all, "ledger-missing", "a manifest without a ledger", &[("ledger_missing", LEDGER)], without);

    let mut forge = Forge::closed();
    forge.manifest_raw =
        Box::new(|t| t.replacen("\"procedure\":", "\"procedure\": \"x\",\n  \"procedure\":", 1));
    reject(
        all,
        "manifest-repeated-key",
        "a repeated key under a fitting hash",
        &[("manifest_malformed", MANIFEST)],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.manifest_raw = Box::new(|t| t + "{}");
    reject(
        all,
        "manifest-two-values",
        "text after the manifest",
        &[("manifest_malformed", MANIFEST)],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.manifest().as_object_mut().expect("an object").remove("gates");
    reject(
        all,
        "manifest-field-missing",
        "no list of gates",
        &[("manifest_malformed", MANIFEST)],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    let gate = forge.manifest()["gates"][0].clone();
    forge.manifest()["gates"].as_array_mut().expect("a list").push(gate);
    reject(
        all,
        "manifest-gate-twice",
        "a gate is listed twice",
        &[("manifest_malformed", MANIFEST)],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.manifest()["argv"] = json!(["perfwright", "demo", "bench", "--easier"]);
    reject(
        all,
        "manifest-other-argv",
        "another command line than the first event's",
        &[("manifest_ledger", MANIFEST)],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.files.insert("extra.json".into(), b"{}".to_vec());
    let entry = json!({
        "name": "extra.json", "bytes": 2, "media_type": "application/json", "basis": "measured",
        "sha256": crate::sha256_hex(b"{}"),
    });
    forge.manifest()["evidence"].as_array_mut().expect("a list").push(entry);
    reject(
        all,
        "manifest-extra-evidence",
        "evidence that no event records",
        &[("manifest_ledger", MANIFEST)],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.manifest()["evidence"].as_array_mut().expect("a list").retain(|e| e["name"] != INPUT);
    forge.files.remove(INPUT);
    reject(
        all,
        "manifest-evidence-dropped",
        "evidence dropped from folder and manifest",
        &[("manifest_ledger", MANIFEST)],
        forge.seal(),
    );

    let entries = vec![text("notes.txt", "no run\n".to_owned())];
    super::case_of(all, "not-a-run", "neither ledger nor manifest", (4, 4), &[], entries);
}

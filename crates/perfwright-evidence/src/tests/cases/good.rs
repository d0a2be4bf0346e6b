//! Runs that are as they should be, and runs that a kill left.

use serde_json::json;

use super::super::demo::{FAST, HEALTHY, RESULT, add_log, add_result, spec};
use super::super::forge::{Forge, text};
use super::super::vector::{Entry, Vector, What};
use super::{accept, interrupted};
use crate::name::{LEDGER, MANIFEST};
use crate::{Basis, EvidenceMeta, Rule, RunWriter};

pub(super) fn cases(all: &mut Vec<Vector>) {
    accepted(all);
    killed(all);
}

fn accepted(all: &mut Vec<Vector>) {
    let closed = |rule, gates: &[crate::Gate]| Forge::of(rule, gates, |_| {}).seal();
    accept(
        all,
        "accept-measured-pass",
        "a measured result passes its gate",
        closed(Rule::AllPassV1, &[FAST]),
    );
    accept(
        all,
        "accept-answered",
        "a question on imported evidence is answered",
        closed(Rule::AnsweredV1, &[HEALTHY]),
    );
    accept(
        all,
        "accept-imported-inconclusive",
        "imported evidence alone leaves a claim inconclusive",
        closed(Rule::AllPassV1, &[FAST, HEALTHY]),
    );
    accept(all, "accept-no-gates", "no gate, nothing decided", closed(Rule::AllPassV1, &[]));
    let slow = Forge::written(|dir| {
        let mut run = RunWriter::create(dir, &spec()).expect("created");
        add_result(&mut run, 12.5, Basis::Measured);
        run.finish(&[FAST, HEALTHY], Rule::AllPassV1).expect("closed");
    });
    accept(all, "accept-fail", "a failed gate and one that does not apply", slow.seal());
    let down = Forge::written(|dir| {
        let mut run = RunWriter::create(dir, &spec()).expect("created");
        add_log(&mut run, "no\n");
        run.finish(&[HEALTHY, FAST], Rule::AllPassV1).expect("closed");
    });
    accept(all, "accept-hard-stop", "a hard stop decides", down.seal());
    let resumed = Forge::written(|dir| {
        drop(RunWriter::create(dir, &spec()).expect("created"));
        let mut run = RunWriter::resume(dir, &spec()).expect("resumed");
        add_result(&mut run, 1.0, Basis::Measured);
        run.finish(&[FAST], Rule::AllPassV1).expect("closed");
    });
    accept(all, "accept-resumed", "interrupted, resumed and closed", resumed.seal());
    let data = json!({
        "numbers": [0.1, 1e21, 1e-7, -0.0, 5e-324, 1.7976931348623157e308, 333333333.3333333, 100, 1e20, 4.5],
        "\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": "\u{7f}\u{1}\n\"\\/",
    });
    let odd = Forge::of(Rule::AllPassV1, &[FAST], |run| {
        run.event("odd.numbers", &data).expect("noted");
        let meta = EvidenceMeta::new("text/markdown", Basis::Declared);
        run.add_bytes("rounds/1/notes/r\u{e9}sum\u{e9} 1.md", b"", &meta).expect("recorded");
    });
    accept(
        all,
        "accept-odd-but-right",
        "numbers, keys and names on which verifiers could differ; an empty file",
        odd.seal(),
    );
    let secret = Forge::of(Rule::AllPassV1, &[FAST], |run| {
        let meta = EvidenceMeta::new("text/plain", Basis::Imported);
        run.add_bytes("logs/a.log", b"Authorization: Bearer abc123\n", &meta).expect("recorded");
    });
    accept(all, "accept-redacted", "a secret was replaced and counted", secret.seal());
    let mut referenced = Forge::of(Rule::AllPassV1, &[FAST], |run| {
        let meta = EvidenceMeta::new("application/json", Basis::Imported);
        run.add_bytes("inputs/big.json", b"{}", &meta).expect("recorded");
    });
    referenced.edit_record("inputs/big.json", |e| e["reference"] = json!("/nonexistent/big.json"));
    referenced.files.remove("inputs/big.json");
    accept(
        all,
        "accept-reference-gone",
        "an input by reference that is not there any more",
        referenced.seal(),
    );
    let mut extra = Forge::closed();
    extra.manifest()["note"] = json!({"a later version": "may add fields"});
    accept(all, "accept-unknown-field", "a field that this version does not know", extra.seal());
}

fn killed(all: &mut Vec<Vector>) {
    interrupted(all, "interrupted-empty", "killed before the first event", Vec::new());
    interrupted(
        all,
        "interrupted-first-line",
        "killed inside the first event",
        vec![text(LEDGER, "{\"at\":\"2026-01-02T03:0".to_owned())],
    );
    interrupted(all, "interrupted-no-close", "killed between two events", Forge::open().seal());
    interrupted(
        all,
        "interrupted-torn-line",
        "killed inside an event",
        Forge::open().seal_then(|lines| {
            let half = lines[2][..70].to_owned();
            lines.push(half);
        }),
    );
    interrupted(
        all,
        "interrupted-torn-close",
        "killed inside the closing event, with the manifest in place",
        Forge::closed().seal_then(|lines| cut_last(lines, 60)),
    );
    interrupted(
        all,
        "interrupted-no-line-feed",
        "the closing event lacks its line feed, so it was never acknowledged",
        Forge::closed().seal_then(|lines| cut_last(lines, 1)),
    );
    let mut manifest = Forge::closed();
    manifest.events.pop();
    interrupted(
        all,
        "interrupted-manifest",
        "killed between the manifest and the closing event",
        manifest.seal(),
    );
    let mut leftover = Forge::open();
    leftover.files.insert("analysis/.table.csv.pw-tmp".into(), b"half a ta".to_vec());
    leftover.files.insert(".manifest.json.pw-tmp".into(), b"{".to_vec());
    let mut entries = leftover.seal();
    entries.push(Entry { path: "charts".into(), what: What::Directory });
    interrupted(all, "interrupted-leftovers", "temporary files and an empty folder", entries);
    let mut pending = Forge::open();
    let bytes = pending.files.remove(RESULT).expect("the result");
    pending.files.insert("benchmark/.result.json.pw-tmp".into(), bytes);
    interrupted(all, "interrupted-pending-rename", "recorded, not yet renamed", pending.seal());
    let stale: Vec<Entry> =
        Forge::open().seal().into_iter().chain([text(MANIFEST, "not even JSON".to_owned())]).collect();
    interrupted(all, "interrupted-stale-manifest", "an unclosed run says nothing about its manifest", stale);
}

fn cut_last(lines: &mut [String], bytes: usize) {
    if let Some(last) = lines.last_mut() {
        last.truncate(last.len() - bytes);
    }
}

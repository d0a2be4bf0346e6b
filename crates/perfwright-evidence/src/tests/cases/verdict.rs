//! Verdicts that do not follow from what was recorded, and things this version does not know.

use serde_json::json;

use super::super::demo::{FAST, HEALTHY};
use super::super::forge::Forge;
use super::super::vector::Vector;
use super::case_of;
use crate::Rule;
use crate::name::MANIFEST;

pub(super) fn cases(all: &mut Vec<Vector>) {
    combined_wrongly(all);
    evaluated_wrongly(all);
    unknown(all);
}

/// Both verifiers recombine, so both say 1.
fn combined_wrongly(all: &mut Vec<Vector>) {
    let verdict = [("verdict_differs", "verdict")];
    let mut forge = Forge::closed();
    forge.manifest()["verdict"]["outcome"] = json!("fail");
    case_of(all, "verdict-worse", "a failed verdict over passing gates", (1, 1), &verdict, forge.seal());

    let mut forge = Forge::of(Rule::AllPassV1, &[FAST, HEALTHY], |_| {});
    forge.manifest()["verdict"] = json!({
        "rule": "all-pass/v1", "outcome": "pass", "basis": "imported", "because": ["demo.fast/v1", "demo.healthy/v2"],
    });
    let about = "imported evidence alone is said to support a pass";
    case_of(all, "verdict-imported-pass", about, (1, 1), &verdict, forge.seal());

    let mut forge = Forge::closed();
    forge.manifest()["verdict"]["because"] = json!([]);
    case_of(all, "verdict-because", "the deciding gate is left out", (1, 1), &verdict, forge.seal());

    let mut forge = Forge::answered();
    forge.manifest()["verdict"]["basis"] = json!("measured");
    case_of(all, "verdict-basis", "a stronger basis than the gates have", (1, 1), &verdict, forge.seal());

    let mut forge = Forge::of(Rule::AllPassV1, &[HEALTHY], |_| {});
    forge.manifest()["gates"][0]["basis"] = json!("measured");
    forge.manifest()["verdict"] = json!({"rule": "all-pass/v1", "outcome": "pass", "basis": "measured", "because": ["demo.healthy/v2"]});
    let differences = [("gate_differs", "gate demo.healthy/v2"), ("verdict_differs", "verdict")];
    case_of(all, "gate-basis", "a gate calls imported evidence measured", (1, 1), &differences, forge.seal());

    let mut forge = Forge::closed();
    forge.manifest()["gates"][0]["used"] = json!(["benchmark/elsewhere.json"]);
    let differences = [("gate_differs", "gate demo.fast/v1")];
    case_of(all, "gate-used", "a gate names evidence that is not there", (1, 1), &differences, forge.seal());
}

/// Only the binary evaluates gates, so the script is content.
fn evaluated_wrongly(all: &mut Vec<Vector>) {
    let mut forge = Forge::closed();
    forge.manifest()["gates"][0]["measured"] = json!(3.5);
    let gate = ("gate_differs", "gate demo.fast/v1");
    case_of(
        all,
        "gate-measured",
        "another measured value than the evidence gives",
        (1, 0),
        &[gate],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.replace_file("benchmark/result.json", br#"{"ms":12.5}"#);
    let differences = [gate, ("verdict_differs", "verdict")];
    case_of(
        all,
        "gate-outcome",
        "the evidence fails the gate, the record says it passes",
        (1, 0),
        &differences,
        forge.seal(),
    );
}

fn unknown(all: &mut Vec<Vector>) {
    let mut forge = Forge::closed();
    forge.manifest()["gates"][0]["id"] = json!("later.gate");
    forge.manifest()["verdict"]["because"] = json!(["later.gate/v1"]);
    let differences = [("gate_unknown", "gate later.gate/v1")];
    case_of(
        all,
        "unknown-gate",
        "a gate that this version does not know",
        (3, 0),
        &differences,
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.manifest()["verdict"]["rule"] = json!("most-pass/v1");
    case_of(
        all,
        "unknown-rule",
        "a rule that this version does not know",
        (3, 3),
        &[("rule_unknown", "verdict")],
        forge.seal(),
    );

    let mut forge = Forge::closed();
    forge.manifest()["schema"] = json!("perfwright.manifest/v2");
    let differences = [("schema_unknown", MANIFEST)];
    case_of(all, "unknown-schema", "a manifest of a later version", (3, 3), &differences, forge.seal());
}

//! Which gates a campaign has: those of the catalogue, changed and added to by the plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::OnFail;
use crate::plan::{Op, Where};
use crate::state::Phase;

/// Kinds of gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Branch, growth of history, stash.
    History,
    /// Nothing uncommitted.
    GitClean,
    /// Plan, contract and protected files unchanged.
    Locked,
    /// Path boundaries of the difference.
    Paths,
    /// Sizes of the files in the difference.
    LargeFiles,
    /// Refs of remotes.
    Push,
    /// Processes, ports and tree after a round.
    CleanUp,
    /// The agent's list of todos.
    Todos,
    /// Background tasks of the agent.
    Background,
    /// Questions of the reviewer.
    Questions,
    /// GPUs and disk.
    Resources,
    /// A file that tracks the criteria.
    Tracker,
    /// A command that must exit 0.
    Command,
    /// A command whose JSON answer must be a pass under the locked contract.
    Benchmark,
    /// A number that must reach a threshold.
    Accuracy,
    /// Files that must be there.
    Evidence,
}

impl Kind {
    /// Whether the gate runs or measures something. Only such a gate carries a campaign to its end.
    #[must_use]
    pub fn is_machine(self) -> bool {
        matches!(self, Self::Command | Self::Benchmark | Self::Accuracy)
    }

    /// The name as it is stored.
    #[must_use]
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        }
    }
}

/// One gate as the catalogue or a plan states it. What is not given is taken from the catalogue or a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GateSpec {
    /// The name, unique in the campaign.
    pub id: String,
    /// What kind of check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What holds when it passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where the catalogue knows it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What a failure leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_fail: Option<OnFail>,
    /// Phases in which it is evaluated; all without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<Vec<Phase>>,
    /// Why it is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off: Option<String>,
    /// Command, for `sh -c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Where the command runs.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<Where>,
    /// Time for the command, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Files relative to the repository's top: evidence that must be there, or the file that a number stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    /// The locked contract of a benchmark: a protected file whose hash its answer must repeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// Where the number stands, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// How it is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// With what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Lines of the largest file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lines: Option<u64>,
    /// Bytes of the largest file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// One gate of a campaign, with nothing left open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// The name.
    pub id: String,
    /// What kind of check.
    pub kind: Kind,
    /// What holds when it passes.
    pub title: String,
    /// What a failure leads to.
    pub on_fail: OnFail,
    /// Phases; empty for all.
    pub phases: Vec<Phase>,
    /// Why it is switched off.
    pub off: Option<String>,
    /// Command.
    pub run: Option<String>,
    /// Where it runs.
    #[serde(rename = "where")]
    pub place: Where,
    /// Time for it, in seconds.
    pub timeout_s: u64,
    /// Files.
    pub files: Vec<String>,
    /// The benchmark's contract.
    pub contract: Option<String>,
    /// JSON pointer.
    pub pointer: Option<String>,
    /// Comparison.
    pub op: Option<Op>,
    /// Threshold.
    pub value: Option<f64>,
    /// Lines.
    pub max_lines: u64,
    /// Bytes.
    pub max_bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    gate: Vec<GateSpec>,
}

/// The gates that are compiled in.
///
/// # Errors
/// The compiled-in text is no catalogue; a test keeps that from being released.
pub fn builtin() -> Result<Vec<GateSpec>, toml::de::Error> {
    let catalogue: Catalogue = toml::from_str(include_str!("../../../../catalog/loop/gates.toml"))?;
    Ok(catalogue.gate)
}

/// The gates of a campaign whose plan states `own`.
///
/// # Errors
/// What is wrong with them, in one sentence.
pub fn resolve(own: &[GateSpec]) -> Result<Vec<Resolved>, String> {
    let mut specs = builtin().map_err(|e| e.to_string())?;
    let mut seen = Vec::new();
    for gate in own {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if gate.id.is_empty() || gate.id.len() > 64 || !gate.id.chars().all(plain) {
            return Err(format!("gate id {:?} is not made of a-z, 0-9, - and _", gate.id));
        }
        if seen.contains(&&gate.id) {
            return Err(format!("gate {} is stated twice", gate.id));
        }
        seen.push(&gate.id);
        match specs.iter_mut().find(|g| g.id == gate.id) {
            Some(there) if gate.kind.is_some() && gate.kind != there.kind => {
                return Err(format!("gate {} is of another kind in the catalogue", gate.id));
            }
            Some(there) => change(there, gate),
            None => specs.push(gate.clone()),
        }
    }
    specs.iter().map(finish).collect()
}

fn change(there: &mut GateSpec, gate: &GateSpec) {
    fn take<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    take(&mut there.title, &gate.title);
    take(&mut there.on_fail, &gate.on_fail);
    take(&mut there.phases, &gate.phases);
    take(&mut there.off, &gate.off);
    take(&mut there.run, &gate.run);
    take(&mut there.place, &gate.place);
    take(&mut there.timeout_s, &gate.timeout_s);
    take(&mut there.files, &gate.files);
    take(&mut there.contract, &gate.contract);
    take(&mut there.pointer, &gate.pointer);
    take(&mut there.op, &gate.op);
    take(&mut there.value, &gate.value);
    take(&mut there.max_lines, &gate.max_lines);
    take(&mut there.max_bytes, &gate.max_bytes);
}

fn finish(gate: &GateSpec) -> Result<Resolved, String> {
    let kind = gate.kind.ok_or_else(|| format!("gate {} states no kind", gate.id))?;
    let lacks = |what: &str| Err(format!("gate {} ({}) states no {what}", gate.id, kind.name()));
    let files = gate.files.clone().unwrap_or_default();
    match kind {
        Kind::Command | Kind::Benchmark if gate.run.is_none() => return lacks("run"),
        Kind::Accuracy if gate.run.is_none() => return lacks("run"),
        Kind::Accuracy if gate.pointer.is_none() || gate.op.is_none() || gate.value.is_none() => {
            return lacks("pointer, op or value");
        }
        Kind::Evidence | Kind::Tracker if files.is_empty() => return lacks("files"),
        _ => {}
    }
    if gate.off.as_ref().is_some_and(|why| why.trim().is_empty()) {
        return Err(format!("gate {} is switched off without a reason", gate.id));
    }
    let title = gate.title.clone().unwrap_or_else(|| match kind {
        Kind::Command => "the command exits 0".to_owned(),
        Kind::Benchmark => "the benchmark passes under the locked contract".to_owned(),
        Kind::Accuracy => "the number reaches its threshold".to_owned(),
        Kind::Evidence => "the files are there".to_owned(),
        other => other.name(),
    });
    Ok(Resolved {
        id: gate.id.clone(),
        kind,
        title,
        on_fail: gate.on_fail.unwrap_or(if kind == Kind::Resources { OnFail::Wait } else { OnFail::Block }),
        phases: gate.phases.clone().unwrap_or_default(),
        off: gate.off.clone(),
        run: gate.run.clone(),
        place: gate.place.unwrap_or_default(),
        timeout_s: gate.timeout_s.unwrap_or(3600),
        files,
        contract: gate.contract.clone(),
        pointer: gate.pointer.clone(),
        op: gate.op,
        value: gate.value,
        max_lines: gate.max_lines.unwrap_or(2000),
        max_bytes: gate.max_bytes.unwrap_or(1 << 20),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_whole_and_plans_change_it() {
        let all = resolve(&[]).expect("catalogue");
        assert!(builtin().expect("catalogue").iter().all(|g| g.source.as_ref().is_some_and(|s| s.len() > 3)));
        assert!(all.iter().all(|g| !g.kind.is_machine()), "what runs comes from plans");
        let off = GateSpec { id: "todos".to_owned(), off: Some("no list".to_owned()), ..GateSpec::default() };
        let own = GateSpec {
            id: "tests".to_owned(),
            kind: Some(Kind::Command),
            run: Some("true".to_owned()),
            ..GateSpec::default()
        };
        let gates = resolve(&[off, own.clone()]).expect("resolves");
        assert_eq!(gates.len(), all.len() + 1);
        assert_eq!(gates.iter().find(|g| g.id == "todos").and_then(|g| g.off.as_deref()), Some("no list"));
        for bad in [
            GateSpec { run: None, ..own.clone() },
            GateSpec { id: "Bad id".to_owned(), ..own.clone() },
            GateSpec { kind: None, ..own.clone() },
            GateSpec { off: Some(" ".to_owned()), ..own.clone() },
            GateSpec { id: "todos".to_owned(), ..own.clone() },
            GateSpec { kind: Some(Kind::Accuracy), ..own.clone() },
        ] {
            assert!(resolve(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
        assert!(resolve(&[own.clone(), own]).is_err());
    }
}

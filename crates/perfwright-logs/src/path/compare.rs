//! The comparison: pure, over statements only.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{CORE, Field};
use super::statement::{Origin, Standing, Statement};
use crate::report::Fallback;

/// One measurement, one server or one profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Its name in messages.
    pub name: String,
    /// What is said about its path.
    pub statements: Vec<Statement>,
    /// Paths that it left.
    #[serde(default)]
    pub fallbacks: Vec<Fallback>,
}

/// What the contract says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allowed {
    /// Fields that have one value on every side.
    #[serde(default)]
    pub required: BTreeMap<Field, String>,
    /// Fields that sides may differ in, because they are what is compared.
    #[serde(default)]
    pub varies: BTreeSet<Field>,
    /// Fallbacks after the start that are accepted: text that is in their line.
    #[serde(default)]
    pub fallbacks: Vec<String>,
}

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldState {
    /// Every side states it, and nothing disagrees.
    Proven,
    /// Nothing states it.
    NotStated,
    /// Something disagrees or is missing: see the stops.
    Stopped,
}

/// A field and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldVerdict {
    /// The field.
    pub field: Field,
    /// What became of it.
    pub state: FieldState,
    /// The values, where there are any: one, or several where sides may differ.
    pub values: Vec<String>,
}

/// Why a comparison stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// Two values for one field.
    Differs,
    /// It is asked for or stated elsewhere, and this side does not prove it.
    Unproven,
    /// A path was left after the start.
    FallbackAfterStart,
    /// Paths were left that the other side kept.
    FallbackDiffers,
}

/// A value with who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The side, or `contract`.
    pub side: String,
    /// Who: `contract`, `flags`, `log`, `server_info`, `profile`.
    pub origin: String,
    /// Where: `line 12`, `--tp`, a key.
    pub place: String,
    /// The value; none where nothing is said.
    pub value: Option<String>,
}

/// One reason to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// Of which kind.
    pub kind: StopKind,
    /// The field; none for a fallback.
    pub field: Option<Field>,
    /// The values that do not go together.
    pub told: Vec<Told>,
    /// In one sentence.
    pub reason: String,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathReport {
    /// What was allowed.
    pub allowed: Allowed,
    /// What was compared.
    pub sides: Vec<Side>,
    /// Every core field, and every other that somebody states.
    pub fields: Vec<FieldVerdict>,
    /// Reasons to stop, by field.
    pub stops: Vec<Stop>,
    /// Every core field is proven on every side and nothing stops.
    pub proven: bool,
}

/// Compares sides with the contract and with each other.
///
/// Within a side, what was asked for, what the engine resolved and what it says that happened have to agree, and what
/// it does after it was ready has to be what it did before. A field that anything states has to be proven - resolved
/// or observed - on every side, and be equal on all of them unless it may vary.
#[must_use]
pub fn compare(allowed: Allowed, sides: Vec<Side>) -> PathReport {
    let mut fields: BTreeSet<Field> = CORE.into_iter().chain(allowed.required.keys().copied()).collect();
    fields.extend(sides.iter().flat_map(|s| s.statements.iter().map(|t| t.field)));
    let mut stops = Vec::new();
    let mut verdicts = Vec::new();
    for field in fields {
        let before = stops.len();
        let values = one_field(field, &allowed, &sides, &mut stops);
        let state = if stops.len() > before {
            FieldState::Stopped
        } else if values.is_empty() {
            FieldState::NotStated
        } else {
            FieldState::Proven
        };
        verdicts.push(FieldVerdict { field, state, values });
    }
    fallbacks(&allowed, &sides, &mut stops);
    let core = |v: &FieldVerdict| !CORE.contains(&v.field) || v.state == FieldState::Proven;
    let proven = stops.is_empty() && !sides.is_empty() && verdicts.iter().all(core);
    PathReport { allowed, sides, fields: verdicts, stops, proven }
}

fn told(side: &Side, s: &Statement) -> Told {
    let origin = match s.origin {
        Origin::Flags => "flags",
        Origin::Log => "log",
        Origin::ServerInfo => "server_info",
        Origin::Profile => "profile",
    };
    Told {
        side: side.name.clone(),
        origin: origin.to_owned(),
        place: s.place.clone(),
        value: Some(s.value.clone()),
    }
}

fn say(told: &Told) -> String {
    let value = told.value.as_deref().unwrap_or("nothing");
    let at = if told.place.is_empty() { String::new() } else { format!(", {}", told.place) };
    if told.side == told.origin {
        format!("{value} ({}{at})", told.side)
    } else {
        format!("{value} ({}: {}{at})", told.side, told.origin)
    }
}

fn differs(field: Field, a: Told, b: Told) -> Stop {
    let reason = format!("{} is {} and {}", field.name(), say(&a), say(&b));
    Stop { kind: StopKind::Differs, field: Some(field), told: vec![a, b], reason }
}

fn one_field(field: Field, allowed: &Allowed, sides: &[Side], stops: &mut Vec<Stop>) -> Vec<String> {
    let required = allowed.required.get(&field).map(|v| Told {
        side: "contract".to_owned(),
        origin: "contract".to_owned(),
        place: String::new(),
        value: Some(field.normal(v).unwrap_or_else(|| v.to_ascii_lowercase())),
    });
    let stated = required.is_some() || sides.iter().any(|s| s.statements.iter().any(|t| t.field == field));
    if !stated {
        return Vec::new();
    }
    let mut values: Vec<String> = Vec::new();
    let mut first: Option<(Vec<&str>, Told)> = None;
    for side in sides {
        let of = |standing: Standing| {
            side.statements.iter().filter(move |s| s.field == field && s.standing == standing)
        };
        let asked = of(Standing::Asked).next();
        let resolved: Vec<&Statement> = of(Standing::Resolved).collect();
        let early: Vec<&Statement> = of(Standing::Observed).filter(|s| !s.after_ready).collect();
        let late: Vec<&Statement> = of(Standing::Observed).filter(|s| s.after_ready).collect();
        // Parts of one engine may use several backends from the start (a draft model); a change after it is another.
        let effective: Vec<&Statement> = if !early.is_empty() {
            early.clone()
        } else if !late.is_empty() {
            vec![late[0]]
        } else {
            resolved.clone()
        };
        let Some(shown) = effective.first().copied() else {
            // Nothing proves it; who states it?
            let by = required
                .clone()
                .or_else(|| asked.map(|a| told(side, a)))
                .or_else(|| elsewhere(field, side, sides));
            // What the contract lets vary is owed only where this very side asks for it.
            if allowed.varies.contains(&field) && asked.is_none() && required.is_none() {
                continue;
            }
            let missing = Told {
                side: side.name.clone(),
                origin: "evidence".to_owned(),
                place: String::new(),
                value: None,
            };
            if let Some(by) = by {
                let reason =
                    format!("{} is {}, and nothing proves it for {}", field.name(), say(&by), side.name);
                stops.push(Stop {
                    kind: StopKind::Unproven,
                    field: Some(field),
                    told: vec![by, missing],
                    reason,
                });
            }
            continue;
        };
        let against = |other: &Statement, stops: &mut Vec<Stop>| {
            let fine = effective.iter().any(|e| e.value == other.value);
            if !fine {
                stops.push(differs(field, told(side, other), told(side, shown)));
            }
        };
        for other in asked.iter().chain(&resolved).chain(&late) {
            against(other, stops);
        }
        let mut set: Vec<&str> = effective.iter().map(|e| e.value.as_str()).collect();
        set.sort_unstable();
        set.dedup();
        // Two settings that were both resolved are a restart with others; two that were observed may be two parts.
        if set.len() > 1 && early.is_empty() && late.is_empty() {
            let other = effective.iter().find(|e| e.value != shown.value).copied().unwrap_or(shown);
            stops.push(differs(field, told(side, shown), told(side, other)));
        }
        if let Some(required) = &required {
            let wrong = effective.iter().find(|e| Some(&e.value) != required.value.as_ref());
            if let Some(wrong) = wrong {
                stops.push(differs(field, required.clone(), told(side, wrong)));
            }
        }
        for value in &set {
            if !values.iter().any(|v| v == value) {
                values.push((*value).to_owned());
            }
        }
        match &first {
            None => first = Some((set, told(side, shown))),
            Some((expected, from)) if *expected != set && !allowed.varies.contains(&field) => {
                let other = effective
                    .iter()
                    .find(|e| !expected.contains(&e.value.as_str()))
                    .copied()
                    .unwrap_or(shown);
                stops.push(differs(field, from.clone(), told(side, other)));
            }
            Some(_) => {}
        }
    }
    values
}

fn elsewhere(field: Field, side: &Side, sides: &[Side]) -> Option<Told> {
    sides.iter().filter(|s| s.name != side.name).find_map(|s| {
        s.statements.iter().find(|t| t.field == field && t.standing != Standing::Asked).map(|t| told(s, t))
    })
}

fn fallbacks(allowed: &Allowed, sides: &[Side], stops: &mut Vec<Stop>) {
    let accepted = |text: &str| allowed.fallbacks.iter().any(|a| !a.is_empty() && text.contains(a.as_str()));
    let place = |side: &Side, f: &Fallback| Told {
        side: side.name.clone(),
        origin: "log".to_owned(),
        place: format!("line {}", f.seen.line),
        value: Some(f.seen.text.clone()),
    };
    for side in sides {
        for fallback in side.fallbacks.iter().filter(|f| f.after_ready && !accepted(&f.seen.text)) {
            let told = place(side, fallback);
            let reason = format!("a path was left after the start: {}", say(&told));
            stops.push(Stop { kind: StopKind::FallbackAfterStart, field: None, told: vec![told], reason });
        }
    }
    // A side that states nothing from a log cannot be said to have kept a path.
    let logged: Vec<&Side> =
        sides.iter().filter(|s| s.statements.iter().any(|t| t.origin == Origin::Log)).collect();
    let Some((first, others)) = logged.split_first() else { return };
    let ids = |s: &Side| -> BTreeSet<String> {
        s.fallbacks
            .iter()
            .filter(|f| !f.after_ready && !accepted(&f.seen.text))
            .map(|f| f.seen.signature.clone())
            .collect()
    };
    for other in others {
        let (a, b) = (ids(first), ids(other));
        let Some(id) = a.symmetric_difference(&b).next() else { continue };
        let (with, without) = if a.contains(id) { (*first, *other) } else { (*other, *first) };
        let Some(fallback) = with.fallbacks.iter().find(|f| f.seen.signature == *id) else { continue };
        let told = place(with, fallback);
        let reason = format!("{} left a path that {} kept: {}", with.name, without.name, say(&told));
        stops.push(Stop { kind: StopKind::FallbackDiffers, field: None, told: vec![told], reason });
    }
}

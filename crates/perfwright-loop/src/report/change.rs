//! The description of a campaign's change, from evidence only: every sentence names what it rests on.

use std::fmt::Write as _;

use perfwright_evidence::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::{Account, Recorded};
use super::page::{shown, usd};
use super::status::Standing;
use crate::error::LoopError;
use crate::event::Event;
use crate::plan::Where;
use crate::review::{Answer, Bundle};

/// Schema name of [`Change`].
pub const CHANGE_SCHEMA: &str = "perfwright.loop-change/v1";

/// A description of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// [`CHANGE_SCHEMA`].
    pub schema: String,
    /// A few words.
    pub title: String,
    /// What is said, in its order.
    pub sentences: Vec<Sentence>,
    /// What it rests on.
    pub evidence: Vec<Cited>,
}

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sentence {
    /// Heading that it stands under.
    pub section: String,
    /// The sentence.
    pub text: String,
    /// Ids of what it rests on; at least one.
    pub evidence: Vec<String>,
}

/// Something in the run folder that a sentence rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cited {
    /// `E1`, `E2`, ...
    pub id: String,
    /// A file of the run, or `ledger.jsonl:LINE`.
    pub place: String,
    /// SHA-256 of the file, or of the ledger's last line, which holds every line before it.
    pub sha256: String,
}

struct Writer<'a> {
    account: &'a Account,
    change: Change,
    section: &'static str,
}

impl Writer<'_> {
    fn cite(&mut self, place: String, sha256: &str) -> String {
        let all = &mut self.change.evidence;
        if let Some(there) = all.iter().find(|c| c.place == place) {
            return there.id.clone();
        }
        let id = format!("E{}", all.len() + 1);
        all.push(Cited { id: id.clone(), place, sha256: sha256.to_owned() });
        id
    }

    fn file(&mut self, recorded: &Recorded) -> String {
        self.cite(recorded.evidence.name.clone(), &recorded.evidence.sha256)
    }

    fn named(&mut self, name: &str) -> Option<String> {
        let found = self.account.evidence.iter().rfind(|r| r.evidence.name == name)?.clone();
        Some(self.file(&found))
    }

    fn line(&mut self, line: u64) -> String {
        let head = self.account.chain.head.clone();
        self.cite(format!("ledger.jsonl:{line}"), &head)
    }

    fn say(&mut self, text: String, evidence: Vec<String>) {
        let section = self.section.to_owned();
        self.change.sentences.push(Sentence { section, text, evidence });
    }
}

/// Describes the change of a campaign that is done on the tree that stands there.
///
/// # Errors
/// It is not done, so there is no change to hand in; or a file of the run cannot be read.
pub fn change(account: &Account) -> Result<Change, LoopError> {
    let (spec, status) = (&account.spec, &account.status);
    let (Standing::Done, Some(judged)) = (status.verdict.standing, &status.verdict.judged) else {
        return Err(LoopError::NotDone(
            status.verdict.reason.clone().unwrap_or_else(|| status.phase.name().to_owned()),
        ));
    };
    let title = spec.title.clone();
    let change =
        Change { schema: CHANGE_SCHEMA.to_owned(), title, sentences: Vec::new(), evidence: Vec::new() };
    let mut w = Writer { account, change, section: "What" };
    let started = account.moments.first().map_or(1, |m| m.line);
    let plan: Vec<String> = w.named("plan.md").into_iter().collect();
    let first = w.line(started);
    let plan = if plan.is_empty() { vec![first.clone()] } else { plan };
    w.say(format!("The goal: {}", sentence(&spec.goal)), plan.clone());
    let judging = account.moments.iter().rev().find_map(|m| match &m.event {
        Event::Judged { mark, gates, .. } if mark.tree == judged.tree => Some((m.line, gates)),
        _ => None,
    });
    let Some((judging, gates)) = judging else {
        return Err(LoopError::NotDone("no judgement of the tree is recorded".to_owned()));
    };
    let judging = w.line(judging);
    w.say(
        format!(
            "The change goes from commit {} to commit {} (tree {}).",
            spec.base.commit, judged.commit, judged.tree
        ),
        vec![first, judging.clone()],
    );
    // What the reviewer was given is the engine's own list of paths, not anybody's account of them.
    let named = |end: &'static str| {
        account.evidence.iter().rfind(move |r| {
            let name = &r.evidence.name;
            name.contains("/review-")
                && name.ends_with(end)
                && (end == ".bundle.json" || !name.ends_with(".bundle.json"))
        })
    };
    if let Some(recorded) = named(".bundle.json") {
        let bundle: Bundle = read(account, recorded)?;
        if bundle.mark.tree == judged.tree {
            let id = w.file(recorded);
            let (n, shown) =
                (bundle.changed.len(), bundle.changed.iter().take(20).cloned().collect::<Vec<_>>());
            let rest = if n > shown.len() { format!(" and {} more", n - shown.len()) } else { String::new() };
            w.say(format!("It touches {n} {}: {}{rest}.", plural(n, "file"), shown.join(", ")), vec![id]);
        }
    }
    w.section = "Checked";
    for gate in gates.iter().filter(|g| g.machine && g.outcome == Outcome::Pass) {
        let mut text = format!("Gate {} passed: {}", gate.id, gate.reason);
        let value = |v: &serde_json::Value| shown(Some(v)).shown().into_owned();
        match (&gate.measured, &gate.threshold) {
            (Some(m), Some(t)) => text.push_str(&format!(", measured {} against {}", value(m), value(t))),
            (Some(m), None) => text.push_str(&format!(", measured {}", value(m))),
            _ => {}
        }
        text.push('.');
        let mut evidence = vec![judging.clone()];
        let file = format!("/{}.out", gate.id);
        let out = account.evidence.iter().rfind(|r| r.evidence.name.ends_with(&file)).cloned();
        evidence.extend(out.map(|out| w.file(&out)));
        w.say(text, evidence);
    }
    if let Some(recorded) = named(".json") {
        let answer: Answer = read(account, recorded)?;
        if answer.tree == judged.tree {
            let id = w.file(recorded);
            for criterion in answer.criteria.iter().filter(|c| c.met) {
                let shown = criterion.evidence.as_deref().unwrap_or("nothing named");
                let text =
                    format!("{} is met by the reviewer's word; it shows: {}", criterion.id, sentence(shown));
                w.say(text, vec![id.clone()]);
            }
            let open = answer.findings.len();
            w.say(format!("The last review left {open} {}.", plural(open, "finding")), vec![id]);
        }
    }
    w.section = "On the way";
    let refusals: Vec<(u64, u32, Vec<String>)> = account
        .moments
        .iter()
        .filter_map(|m| match &m.event {
            Event::Judged { gates, .. } => {
                let refused: Vec<String> =
                    gates.iter().filter(|g| g.refuses()).map(|g| g.id.clone()).collect();
                (!refused.is_empty()).then_some((m.line, m.round, refused))
            }
            _ => None,
        })
        .collect();
    for (line, round, refused) in refusals {
        let id = w.line(line);
        w.say(format!("Round {round} was refused by {}.", refused.join(", ")), vec![id]);
    }
    let s = &account.state;
    let last = account.moments.last().map_or(1, |m| m.line);
    let last = w.line(last);
    w.say(
        format!(
            "It took {} rounds, {} reviews, {} tokens, {} and {} ms of work.",
            s.round + 1,
            s.reviews,
            s.usage.tokens(),
            usd(s.usage.micro_usd),
            s.usage.wall_ms
        ),
        vec![last],
    );
    w.section = "To do it again";
    for gate in spec.gates.iter().filter(|g| g.off.is_none()) {
        if let Some(run) = &gate.run {
            let place = match gate.place {
                Where::Clean => "in a fresh copy of the commit",
                Where::Tree => "in the work tree",
            };
            w.say(format!("Gate {} runs `{run}` {place}.", gate.id), plan.clone());
        }
    }
    Ok(w.change)
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { what.to_owned() } else { format!("{what}s") }
}

/// Text as one sentence on one line.
fn sentence(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.ends_with(['.', '!', '?']) { line } else { format!("{line}.") }
}

fn read<T: serde::de::DeserializeOwned>(account: &Account, recorded: &Recorded) -> Result<T, LoopError> {
    let path = std::path::Path::new(&account.status.run_dir).join(&recorded.evidence.name);
    let bytes = std::fs::read(&path).map_err(|e| LoopError::io(&path, e))?;
    if perfwright_evidence::sha256_hex(&bytes) != recorded.evidence.sha256 {
        return Err(LoopError::Tampered(format!("{}: not the recorded bytes", path.display())));
    }
    serde_json::from_slice(&bytes).map_err(|e| LoopError::Tampered(format!("{}: {e}", path.display())))
}

/// The description as Markdown.
#[must_use]
pub fn change_text(change: &Change) -> String {
    let shown = |text: &str| perfwright_report::text::visible(text).into_owned();
    let mut out = format!("# {}\n", shown(&change.title));
    let mut section = "";
    for s in &change.sentences {
        if s.section != section {
            section = &s.section;
            let _ = write!(out, "\n## {section}\n\n");
        }
        let _ = writeln!(out, "- {} [{}]", shown(&s.text), s.evidence.join(", "));
    }
    out.push_str("\n## Evidence\n\n");
    for cited in &change.evidence {
        let _ = writeln!(out, "- {}: `{}` sha256 {}", cited.id, shown(&cited.place), cited.sha256);
    }
    out
}

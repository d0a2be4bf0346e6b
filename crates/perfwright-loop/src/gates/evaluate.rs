//! Evaluating the gates of a round in their order.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use perfwright_evidence::{GateResult, Outcome};

use super::catalogue::{Kind, Resolved};
use super::{files, machine, push, resources, tree};
use crate::error::LoopError;
use crate::event::{ChildTime, GateLine, GateTime, Mark};
use crate::git;
use crate::spec::Spec;
use crate::state::State;

/// What a session's host said when it stopped.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionFacts {
    /// The agent's list: text and status.
    pub(crate) todos: Option<Vec<(String, String)>>,
    /// Tasks in the background.
    pub(crate) background: Option<u64>,
}

/// What the gates look at.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) root: &'a Path,
    pub(crate) run_dir: &'a Path,
    pub(crate) plan: &'a [u8],
    pub(crate) spec: &'a Spec,
    pub(crate) state: &'a State,
    pub(crate) mark: &'a Mark,
    pub(crate) scratch: &'a Path,
    pub(crate) session: &'a SessionFacts,
    /// Where programs are looked for.
    pub(crate) path: &'a str,
    /// When the judgement began.
    pub(crate) since: Instant,
    /// What [`Scene::uncommitted`] found.
    pub(crate) seen: OnceCell<Vec<String>>,
}

impl Scene<'_> {
    /// Paths that are changed or untracked, asked for once: for gates that run nothing, so that nothing of ours lies
    /// between one's look and the next one's.
    pub(super) fn uncommitted(&self) -> Result<&[String], LoopError> {
        if self.seen.get().is_none() {
            let _ = self.seen.set(git::changed(self.root, &self.ours())?);
        }
        Ok(self.seen.get().map_or(&[], Vec::as_slice))
    }

    /// Milliseconds since the judgement began.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Folders of ours that may lie untracked in the work tree.
    pub(crate) fn ours(&self) -> Vec<PathBuf> {
        let mut ours = vec![self.run_dir.to_owned()];
        if let Some(parent) = self.run_dir.parent() {
            ours.push(parent.join(".perfwright-locks"));
        }
        ours
    }
}

/// A gate's outputs besides its result.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Names and bytes for the run folder.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// The command that it ran.
    pub(super) child: Option<ChildTime>,
}

/// What the gates say, when each was evaluated, and names and bytes for the run folder.
pub(crate) type Evaluated = (Vec<GateLine>, Vec<GateTime>, Vec<(String, Vec<u8>)>);

/// Evaluates every gate of the phase. After one that refuses because of form, gates that run commands are left out:
/// they would measure a tree that is not going to be judged.
pub(crate) fn evaluate(scene: &Scene) -> Result<Evaluated, LoopError> {
    let mut lines: Vec<GateLine> = Vec::new();
    let (mut times, mut files) = (Vec::new(), Vec::new());
    let phase = scene.state.phase;
    let due = |g: &&Resolved| g.phases.is_empty() || g.phases.contains(&phase);
    let (form, machine): (Vec<&Resolved>, Vec<&Resolved>) =
        scene.spec.gates.iter().filter(due).partition(|g| !g.kind.is_machine() && g.kind != Kind::CleanUp);
    // Clean-up comes last, so that it also sees what the commands of gates left behind.
    let (last, machine): (Vec<&Resolved>, Vec<&Resolved>) =
        machine.into_iter().partition(|g| g.kind == Kind::CleanUp);
    for gate in form.into_iter().chain(machine).chain(last) {
        let refused = lines.iter().any(GateLine::refuses);
        let mut kept = Kept::default();
        let start_ms = scene.now_ms();
        let result = if let Some(why) = &gate.off {
            GateResult::not_applicable(format!("switched off by the plan: {why}"))
        } else if gate.kind.is_machine() && refused {
            GateResult::not_applicable("not run, because an earlier gate refuses")
        } else {
            one(scene, gate, &mut kept)?
        };
        lines.push(line(gate, result));
        let wall_ms = scene.now_ms().saturating_sub(start_ms);
        times.push(GateTime { id: gate.id.clone(), start_ms, wall_ms, child: kept.child });
        files.extend(kept.files);
    }
    Ok((lines, times, files))
}

fn line(gate: &Resolved, result: GateResult) -> GateLine {
    GateLine {
        id: gate.id.clone(),
        kind: gate.kind.name(),
        outcome: result.outcome,
        on_fail: gate.on_fail,
        machine: gate.kind.is_machine() && result.outcome != Outcome::NotApplicable,
        measured: result.measured,
        threshold: result.threshold,
        reason: result.reason.chars().take(600).collect(),
    }
}

fn one(scene: &Scene, gate: &Resolved, kept: &mut Kept) -> Result<GateResult, LoopError> {
    Ok(match gate.kind {
        Kind::History => tree::history(scene),
        Kind::GitClean => tree::clean(scene)?,
        Kind::Locked => files::locked(scene),
        Kind::Paths => tree::paths(scene)?,
        Kind::LargeFiles => tree::large(scene, gate)?,
        Kind::Push => push::pushed(scene)?,
        Kind::CleanUp => resources::clean_up(scene)?,
        Kind::Todos => todos(scene.session),
        Kind::Background => background(scene.session),
        Kind::Questions => questions(scene.state),
        Kind::Resources => resources::gate(scene.spec, scene.root, scene.scratch),
        Kind::Tracker => files::tracker(scene, gate),
        Kind::Evidence => files::evidence(scene, gate),
        Kind::Command => machine::command(scene, gate, kept)?,
        Kind::Benchmark => machine::benchmark(scene, gate, kept)?,
        Kind::Accuracy => machine::accuracy(scene, gate, kept)?,
    })
}

fn todos(session: &SessionFacts) -> GateResult {
    let Some(todos) = &session.todos else {
        return GateResult::not_applicable("the host states no list");
    };
    let open: Vec<&str> = todos
        .iter()
        .filter(|(_, status)| !matches!(status.as_str(), "completed" | "cancelled" | "deleted"))
        .map(|(text, _)| text.as_str())
        .collect();
    match open.first() {
        None => GateResult::pass("nothing is open").measured(0),
        Some(first) => {
            let first: String = first.chars().take(80).collect();
            GateResult::fail(format!("{} open, first {first:?}", open.len()))
                .measured(open.len())
                .threshold(0)
        }
    }
}

fn background(session: &SessionFacts) -> GateResult {
    match session.background {
        None => GateResult::not_applicable("the host states no background tasks"),
        Some(0) => GateResult::pass("none").measured(0),
        Some(n) => {
            GateResult::fail(format!("{n} at work; wait for them or end them")).measured(n).threshold(0)
        }
    }
}

fn questions(state: &State) -> GateResult {
    match state.questions.first() {
        None => GateResult::pass("no question is open").measured(0),
        Some(first) => {
            let first: String = first.chars().take(200).collect();
            GateResult::fail(format!("open: {first}")).measured(state.questions.len()).threshold(0)
        }
    }
}

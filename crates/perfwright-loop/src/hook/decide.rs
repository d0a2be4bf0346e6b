//! From an event and the state of a campaign to the host's answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::input::{Input, parse};
use super::{guard, stop};
use crate::journal::{Journal, Surroundings, read_campaign};
use crate::registry::{HeadFile, Look, Registry, Word};

/// The events that are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEvent {
    /// The session wants to end its turn.
    Stop,
    /// A tool is about to be called.
    PreToolUse,
    /// A tool was called.
    PostToolUse,
    /// A person wrote something.
    UserPromptSubmit,
    /// A session begins, or goes on after a compaction.
    SessionStart,
}

impl HookEvent {
    /// Every event with its name on our command line.
    pub const ALL: [(&'static str, Self); 5] = [
        ("stop", Self::Stop),
        ("pre-tool-use", Self::PreToolUse),
        ("post-tool-use", Self::PostToolUse),
        ("user-prompt-submit", Self::UserPromptSubmit),
        ("session-start", Self::SessionStart),
    ];

    /// The event of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, event)| *event)
    }

    /// The name that both hosts use.
    #[must_use]
    pub fn host_name(self) -> &'static str {
        match self {
            Self::Stop => "Stop",
            Self::PreToolUse => "PreToolUse",
            Self::PostToolUse => "PostToolUse",
            Self::UserPromptSubmit => "UserPromptSubmit",
            Self::SessionStart => "SessionStart",
        }
    }
}

/// One call of a hook.
#[derive(Debug)]
pub struct HookCall<'a> {
    /// The event; none where the command line names no event that is known.
    pub event: Option<HookEvent>,
    /// `claude` or `codex`.
    pub host: &'a str,
    /// What came on standard input.
    pub input: &'a [u8],
    /// Working directory of this process.
    pub cwd: &'a Path,
    /// The host's own word on the project folder.
    pub project: Option<PathBuf>,
}

/// The answer: exit code 0 or 2, and the two streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookAnswer {
    /// 0 or 2.
    pub code: u8,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl HookAnswer {
    pub(super) fn allow() -> Self {
        Self::default()
    }

    pub(super) fn note(text: &str) -> Self {
        Self { stderr: format!("perfwright: {text}\n"), ..Self::default() }
    }

    pub(super) fn deny(text: &str) -> Self {
        Self { code: 2, stderr: format!("perfwright: {}\n", clip(text)), ..Self::default() }
    }

    pub(super) fn json(value: &serde_json::Value) -> Self {
        Self { stdout: format!("{value}\n"), ..Self::default() }
    }
}

/// Hosts freeze or cut off on long answers, so a reason is at most 2000 characters; the rest is in a file.
pub(super) fn clip(text: &str) -> String {
    if text.chars().count() <= 2000 {
        text.to_owned()
    } else {
        text.chars().take(1990).chain(" [...]".chars()).collect()
    }
}

/// Answers a hook. It never fails: what goes wrong is an answer too.
#[must_use]
pub fn hook(call: &HookCall, surroundings: &Surroundings) -> HookAnswer {
    let registry = Registry::new(&surroundings.state_dir);
    let parsed = match call.event {
        Some(event) => parse(call.input, event).map(|input| (event, input)),
        None => Err("the hook's event is not one of stop, pre-tool-use, post-tool-use, user-prompt-submit, \
                     session-start"
            .to_owned()),
    };
    let look = find(&registry, call, parsed.as_ref().ok().map(|(_, input)| input));
    let head = match look {
        Look::None => {
            return match parsed {
                Ok(_) => HookAnswer::allow(),
                Err(why) => HookAnswer::note(&format!(
                    "the host's message is not understood ({why}); no campaign here"
                )),
            };
        }
        Look::Damaged { root, why } => {
            return HookAnswer::deny(&format!(
                "the records of the campaign in {} are damaged: {why}. This is not the end of the campaign. A person \
                 looks at `perfwright loop status` there.",
                root.display()
            ));
        }
        Look::Known(head) => head,
    };
    let under_way = !head.closed && !head.phase.is_terminal();
    let (event, input) = match parsed {
        Ok(parsed) => parsed,
        Err(why) if under_way => {
            return HookAnswer::deny(&format!("the host's message is not understood ({why})"));
        }
        Err(why) => return HookAnswer::note(&format!("the host's message is not understood ({why})")),
    };
    if head.closed {
        return HookAnswer::allow();
    }
    let owner = head.session.as_deref() == Some(input.session.as_str());
    match event {
        HookEvent::Stop => stop::answer(call, &input, &head, owner, &registry, surroundings),
        HookEvent::PreToolUse => {
            let cwd = input.cwd.clone().unwrap_or_else(|| call.cwd.to_owned());
            let refused = if under_way {
                guard::refuse(&head, owner, &cwd, &input.tool, &input.tool_input)
            } else {
                None
            };
            match refused {
                Some(why) => HookAnswer::deny(&why),
                None => count(owner, &registry, &head),
            }
        }
        HookEvent::PostToolUse | HookEvent::UserPromptSubmit => {
            claim(call, &input, &head, &registry, surroundings)
        }
        HookEvent::SessionStart => remind(owner, &head),
    }
}

/// The campaign that the call is about: the session's own, else the nearest one of the folders it stands in.
fn find(registry: &Registry, call: &HookCall, input: Option<&Input>) -> Look {
    let own = input.and_then(|input| registry.of_session(&input.session));
    let places = [own, input.and_then(|i| i.cwd.clone()), call.project.clone(), Some(call.cwd.to_owned())];
    let mut known = Look::None;
    for place in places.into_iter().flatten() {
        match registry.look(&place) {
            Look::None => {}
            damaged @ Look::Damaged { .. } => return damaged,
            found if known == Look::None => known = found,
            _ => {}
        }
    }
    known
}

fn count(owner: bool, registry: &Registry, head: &HeadFile) -> HookAnswer {
    // A call that cannot be counted is no reason to refuse it: the count only tells idle stops from busy ones.
    if owner && let Err(error) = registry.count_call(&head.root) {
        return HookAnswer::note(&format!("the call is not counted: {error}"));
    }
    HookAnswer::allow()
}

/// What the word that gives a campaign to a session begins with.
pub const CLAIM: &str = "perfwright-claim-";

/// A campaign without a session is claimed by the first one that shows its word, in a prompt or in what a tool
/// printed. Nothing else claims it: not the folder, not an empty id.
fn claim(
    call: &HookCall,
    input: &Input,
    head: &HeadFile,
    registry: &Registry,
    surroundings: &Surroundings,
) -> HookAnswer {
    if head.session.is_some() || head.phase.is_terminal() {
        return HookAnswer::allow();
    }
    let text = String::from_utf8_lossy(call.input);
    let shown = text.match_indices(CLAIM).map(|(at, _)| {
        let rest = &text[at + CLAIM.len()..];
        &rest[..rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len())]
    });
    if !shown.into_iter().any(|word| registry.is_word(&head.root, Word::Claim, word)) {
        return HookAnswer::allow();
    }
    let claimed = Journal::open(head, surroundings, Duration::from_secs(10))
        .and_then(|mut journal| journal.claim(&input.session, call.host));
    match claimed {
        Ok(()) => HookAnswer::note(&format!("this session now owns the campaign {}", head.campaign)),
        Err(error) => HookAnswer::deny(&format!("the campaign cannot be claimed: {error}")),
    }
}

/// After a compaction the session has forgotten goal and gates: they are said again.
fn remind(owner: bool, head: &HeadFile) -> HookAnswer {
    if !owner {
        let text = format!("a campaign ({}) is under way here; it belongs to another session", head.campaign);
        return HookAnswer::note(&text);
    }
    let read = match read_campaign(&head.run_dir, Some(head)) {
        Ok(read) => read,
        Err(error) => return HookAnswer::deny(&format!("the campaign's records are damaged: {error}")),
    };
    let (state, spec) = (&read.state, &read.spec);
    let mut text = format!(
        "Campaign {} is under way: round {}, phase {}. Goal: {}. Plan: {} (locked). Open criteria: {}.",
        spec.campaign,
        state.round,
        state.phase.name(),
        spec.goal.split_whitespace().collect::<Vec<_>>().join(" "),
        spec.plan_path.clone().unwrap_or_else(|| head.run_dir.join("plan.md").display().to_string()),
        state.open_criteria.join(", "),
    );
    let contract = head.run_dir.join("contract.json");
    text.push_str(&format!(" Contract: {}.", contract.display()));
    if !spec.paths.allow.is_empty() {
        text.push_str(&format!(" Stay below {}.", spec.paths.allow.join(", ")));
    }
    match (&state.judged, state.refusing().first()) {
        (Some(mark), Some(gate)) => {
            text.push_str(&format!(" Last gates refused tree {}: {} ({}).", mark.tree, gate.id, gate.reason));
        }
        (Some(mark), None) => text.push_str(&format!(" Last gates passed on tree {}.", mark.tree)),
        (None, _) => text.push_str(" No gate was evaluated yet."),
    }
    text.push_str(" Only gates and reviewer end it.");
    HookAnswer::json(&json!({
        "hookSpecificOutput": { "hookEventName": "SessionStart", "additionalContext": clip(&text) }
    }))
}

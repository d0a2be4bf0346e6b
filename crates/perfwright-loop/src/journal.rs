//! The campaign as a process holds it: the run folder's writer, the state that its ledger gives, and the head outside.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use perfwright_evidence::json::{JsonLimits, read};
use perfwright_evidence::{
    Basis, CONTRACT, Clock, EvidenceMeta, Host, LedgerView, Limits, LockError, LockPlace, RunError, RunSpec,
    RunWriter, read_ledger, sha256_hex,
};
use serde_json::Value;

use crate::error::LoopError;
use crate::event::Event;
use crate::registry::{HEAD_SCHEMA, HeadFile, Registry};
use crate::spec::Spec;
use crate::state::State;
use crate::transition::{advance, apply};

/// Kind of our ledger events.
pub(crate) const KIND: &str = "loop";
/// The procedure that the run folder names.
pub const PROCEDURE: &str = "loop start";

/// What the caller knows of the process: nothing here reads command line or environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The user's state folder.
    pub state_dir: PathBuf,
    /// Version of the program.
    pub version: String,
    /// Command line.
    pub argv: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// For tests: the process ends itself by SIGKILL before the head is written or the event appended for the n-th
    /// time, counted together from 1.
    pub fault: Option<u64>,
}

/// Why a campaign's records are not whole, or what they say.
pub(crate) struct Read {
    pub(crate) state: State,
    /// The newest event.
    pub(crate) last: Option<Event>,
    pub(crate) spec: Spec,
    pub(crate) plan: Vec<u8>,
}

/// The ledger of a campaign, whole and ending where the head outside says, where there is one.
pub(crate) fn checked_ledger(run_dir: &Path, head: Option<&HeadFile>) -> Result<LedgerView, LoopError> {
    let view = read_ledger(run_dir, &Limits::default()).map_err(|e| LoopError::io(run_dir, e))?;
    if let Some(first) = view.differences.first() {
        return Err(LoopError::Tampered(format!("{}: {}", first.place, first.detail)));
    }
    if let Some(head) = head {
        let now = (view.lines, &view.head);
        let written = now == (head.events, &head.head);
        let before = now == (head.events.saturating_sub(1), &head.previous);
        if !written && !before {
            return Err(LoopError::Tampered(format!(
                "the ledger ends after {} events at {}, it was left after {} at {}",
                view.lines, view.head, head.events, head.head
            )));
        }
    }
    Ok(view)
}

/// Reads a campaign's run folder without writing.
pub(crate) fn read_campaign(run_dir: &Path, head: Option<&HeadFile>) -> Result<Read, LoopError> {
    read_checked(run_dir, &checked_ledger(run_dir, head)?)
}

/// As [`read_campaign`], with a ledger that was checked.
pub(crate) fn read_checked(run_dir: &Path, view: &LedgerView) -> Result<Read, LoopError> {
    let mut state = State::new();
    let mut last = None;
    // One event at a time: a long campaign is never held as a whole.
    for (at, event) in events_of(view).enumerate() {
        let event = event?;
        advance(&mut state, &event).map_err(|source| LoopError::Replay { at, source })?;
        last = Some(event);
    }
    let path = run_dir.join(CONTRACT);
    let bytes = fs::read(&path).map_err(|e| LoopError::io(&path, e))?;
    let spec: Spec = serde_json::from_slice(&bytes)
        .map_err(|e| LoopError::Tampered(format!("{}: {e}", path.display())))?;
    let plan_path = run_dir.join("plan.md");
    let plan = fs::read(&plan_path).map_err(|e| LoopError::io(&plan_path, e))?;
    Ok(Read { state, last, spec, plan })
}

/// The campaign's events in a ledger.
pub(crate) fn events_of(view: &LedgerView) -> impl Iterator<Item = Result<Event, LoopError>> {
    view.events.iter().filter(|e| e.kind == KIND).map(|event| {
        event.data.read().map_err(|e| {
            LoopError::Tampered(format!("line {} of the ledger is no event of a campaign: {e}", event.line))
        })
    })
}

/// A campaign that this process writes. The run folder's lock is held for as long as the value lives.
pub struct Journal {
    pub(crate) run: RunWriter,
    pub(crate) state: State,
    pub(crate) spec: Spec,
    pub(crate) plan: Vec<u8>,
    pub(crate) registry: Registry,
    pub(crate) head: Rc<RefCell<HeadFile>>,
    /// Where programs are looked for.
    pub(crate) path: String,
    fault: Rc<RefCell<Option<u64>>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("campaign", &self.spec.campaign).finish_non_exhaustive()
    }
}

fn run_spec(surroundings: &Surroundings, contract: Value) -> RunSpec {
    let mut spec = RunSpec::new(PROCEDURE, &surroundings.version, contract);
    spec.argv.clone_from(&surroundings.argv);
    spec.env.clone_from(&surroundings.env);
    spec.clock = Clock::System;
    spec.lock = LockPlace::Folder(surroundings.state_dir.join("loop").join("locks"));
    spec
}

impl Journal {
    /// Begins a campaign: run folder, contract, plan, head outside, pointer in the repository.
    pub(crate) fn create(
        run_dir: &Path,
        spec: Spec,
        plan: &[u8],
        surroundings: &Surroundings,
    ) -> Result<Self, LoopError> {
        let fail = |e| LoopError::run(run_dir, e);
        let registry = Registry::new(&surroundings.state_dir);
        let root = PathBuf::from(&spec.root);
        let contract = serde_json::to_value(&spec).map_err(|e| LoopError::Precondition(e.to_string()))?;
        let mut with = run_spec(surroundings, contract);
        with.host = Host::capture(Path::new("/"));
        let mut run = RunWriter::create(run_dir, &with).map_err(fail)?;
        run.add_bytes("plan.md", plan, &EvidenceMeta::new("text/markdown", Basis::Declared)).map_err(fail)?;
        let run_dir = run_dir.canonicalize().map_err(|e| LoopError::io(run_dir, e))?;
        let stored = fs::read(run_dir.join("plan.md")).map_err(|e| LoopError::io(&run_dir, e))?;
        if stored != plan {
            return Err(LoopError::Precondition(
                "the plan holds a secret; take it out, plans are recorded".to_owned(),
            ));
        }
        let mut protected = vec![run_dir.clone(), surroundings.state_dir.clone()];
        protected.extend(spec.plan_path.iter().map(|p| root.join(p)));
        protected.extend(spec.protected.keys().map(|p| root.join(p)));
        let end = run.head();
        let head = HeadFile {
            schema: HEAD_SCHEMA.to_owned(),
            campaign: spec.campaign.clone(),
            root: root.clone(),
            run_dir,
            events: end.events,
            head: end.head,
            previous: end.previous,
            phase: crate::state::Phase::Plan,
            round: 0,
            session: None,
            protected,
            allow: spec.paths.allow.clone(),
            deny: spec.paths.deny.clone(),
            closed: false,
        };
        let io = |e| LoopError::io(&root, e);
        let _ = fs::remove_file(registry.place(&root).join("calls"));
        registry.forget_words(&root);
        registry.point(&root, &spec.campaign).map_err(io)?;
        registry.write(&head).map_err(io)?;
        Ok(Self::new(run, State::new(), spec, plan.to_vec(), registry, head, surroundings))
    }

    /// Goes on with a campaign. While another process writes it, waits for up to `patience`.
    ///
    /// # Errors
    /// Its records are damaged, another process keeps writing it, or the run folder cannot be written.
    pub fn open(head: &HeadFile, surroundings: &Surroundings, patience: Duration) -> Result<Self, LoopError> {
        let path = head.run_dir.join(CONTRACT);
        let bytes = fs::read(&path).map_err(|e| LoopError::Tampered(format!("{}: {e}", path.display())))?;
        let limits = JsonLimits { max_bytes: 1 << 20, max_depth: 64 };
        let contract =
            read(&bytes, &limits).map_err(|e| LoopError::Tampered(format!("{}: {e}", path.display())))?;
        let since = Instant::now();
        let spec = run_spec(surroundings, contract);
        let run = loop {
            match RunWriter::attach(&head.run_dir, &spec) {
                Err(RunError::Lock(LockError::Held { .. })) if since.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(
                    e @ (RunError::Broken { .. } | RunError::Strangers(_) | RunError::ContractDiffers { .. }),
                ) => {
                    return Err(LoopError::Tampered(e.to_string()));
                }
                other => break other.map_err(|e| LoopError::run(&head.run_dir, e))?,
            }
        };
        // Whoever held the lock has moved the head on. What counts is where the ledger ended before attaching repaired
        // anything: at the head, or one event before it.
        let registry = Registry::new(&surroundings.state_dir);
        let head = registry
            .head(&head.root)
            .ok_or_else(|| LoopError::Tampered("the campaign's head file is not what it was".to_owned()))?;
        let found = (run.found().events, run.found().head.clone());
        let written = found == (head.events, head.head.clone());
        let before = found == (head.events.saturating_sub(1), head.previous.clone());
        if !written && !before {
            return Err(LoopError::Tampered("the ledger does not end where it was left".to_owned()));
        }
        let Read { state, spec, plan, .. } = read_campaign(&head.run_dir, None)?;
        let mut journal = Self::new(run, state, spec, plan, registry, head, surroundings);
        journal.settle()?;
        Ok(journal)
    }

    fn new(
        mut run: RunWriter,
        state: State,
        spec: Spec,
        plan: Vec<u8>,
        registry: Registry,
        head: HeadFile,
        surroundings: &Surroundings,
    ) -> Self {
        let head = Rc::new(RefCell::new(head));
        let fault = Rc::new(RefCell::new(surroundings.fault));
        let (told, outside, kill) = (Rc::clone(&head), registry.clone(), Rc::clone(&fault));
        run.watch(move |coming| {
            count_down(&kill);
            let mut head = told.borrow_mut();
            head.events = coming.events;
            head.head.clone_from(&coming.head);
            head.previous.clone_from(&coming.previous);
            outside.write(&head)?;
            count_down(&kill);
            Ok(())
        });
        let path = surroundings
            .env
            .iter()
            .find(|(name, _)| name == "PATH")
            .map_or_else(String::new, |(_, v)| v.clone());
        Self { run, state, spec, plan, registry, head, path, fault }
    }

    /// Brings the head outside in line with the ledger after a kill between the two, and with the state.
    fn settle(&mut self) -> Result<(), LoopError> {
        let end = self.run.head();
        let mut head = self.head.borrow_mut();
        let stale = head.head != end.head || head.phase != self.state.phase || head.round != self.state.round;
        if stale {
            head.events = end.events;
            head.head.clone_from(&end.head);
            head.previous.clone_from(&end.head);
            head.phase = self.state.phase;
            head.round = self.state.round;
            head.session = self.state.session.as_ref().map(|s| s.id.clone());
            self.registry.write(&head).map_err(|e| LoopError::io(&head.root, e))?;
        }
        Ok(())
    }

    /// Where the campaign stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The contract.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Top of the work tree.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        PathBuf::from(&self.spec.root)
    }

    /// Folder for copies and streams, outside of the work tree.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.registry.place(&self.root()).join("scratch")
    }

    /// Appends an event. It is in the ledger, and the state is the next one, when this returns.
    ///
    /// # Errors
    /// The event does not belong here, or writing failed.
    pub fn append(&mut self, event: &Event) -> Result<(), LoopError> {
        let next = apply(&self.state, event)?;
        {
            let mut head = self.head.borrow_mut();
            head.phase = next.phase;
            head.round = next.round;
            head.session = next.session.as_ref().map(|s| s.id.clone());
        }
        let data = serde_json::to_value(event).map_err(|e| LoopError::Tampered(e.to_string()))?;
        self.run.event(KIND, &data).map_err(|e| LoopError::run(self.run.dir(), e))?;
        self.state = next;
        Ok(())
    }

    /// Records bytes as evidence, under another name where that one is taken, and gives the name. Equal bytes are not
    /// recorded twice.
    ///
    /// # Errors
    /// Writing failed.
    pub(crate) fn keep(&mut self, name: &str, bytes: &[u8], media: &str) -> Result<String, LoopError> {
        let meta = EvidenceMeta::new(media, Basis::Measured);
        let hash = sha256_hex(bytes);
        for n in 1_u32.. {
            let name = if n == 1 { name.to_owned() } else { again(name, n) };
            match self.run.evidence().iter().find(|e| e.name == name) {
                Some(there) if there.sha256 == hash => return Ok(name),
                Some(_) => continue,
                None => {}
            }
            match self.run.add_bytes(&name, bytes, &meta) {
                // Binary output with something like a secret in it is left out, not the campaign ended.
                Err(RunError::Secret(_)) => {
                    self.run.add_bytes(&name, b"(left out: binary, with what looks like a secret)\n", &meta)
                }
                other => other,
            }
            .map_err(|e| LoopError::run(self.run.dir(), e))?;
            return Ok(name);
        }
        Ok(name.to_owned())
    }

    /// The run folder.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.run.dir()
    }

    /// Kills this process where a test asked for it.
    pub(crate) fn point(&self) {
        count_down(&self.fault);
    }
}

/// `a/b.out` as `a/b.2.out`.
fn again(name: &str, n: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, end)) if !end.contains('/') => format!("{stem}.{n}.{end}"),
        _ => format!("{name}.{n}"),
    }
}

fn count_down(fault: &Rc<RefCell<Option<u64>>>) {
    let mut left = fault.borrow_mut();
    match *left {
        Some(1) => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        Some(n) => *left = Some(n - 1),
        None => {}
    }
}

//! Beginning a campaign: what must hold, what is locked, and what ends it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::LoopError;
use crate::event::{Driver, Event};
use crate::gates::{self, hash_of, remote_refs};
use crate::git;
use crate::glob;
use crate::journal::{Journal, Surroundings};
use crate::plan::{self, Plan, Weight};
use crate::registry::{Look, Registry};
use crate::spec::{SPEC_SCHEMA, Spec, Target};

/// What a campaign is started with.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// The plan.
    pub plan: PathBuf,
    /// A folder in the repository.
    pub dir: PathBuf,
    /// A new folder for the run.
    pub run_dir: PathBuf,
    /// Who moves it on.
    pub driver: Driver,
    /// The executor's command, for the owner driver.
    pub executor: Option<String>,
    /// The reviewer's command.
    pub reviewer: String,
    /// `NAME=VALUE` budgets over those of the plan.
    pub budgets: Vec<String>,
    /// Session that owns it from the start, with its host.
    pub session: Option<(String, String)>,
}

/// Most protected files.
const MAX_PROTECTED: usize = 10_000;

/// Reads a plan file; a link is refused, because what it leads to is not what is locked.
///
/// # Errors
/// The file cannot be read or is no plan.
pub fn read_plan(path: &Path) -> Result<(Plan, Vec<u8>), LoopError> {
    let io = |e| LoopError::io(path, e);
    let meta = fs::symlink_metadata(path).map_err(io)?;
    if meta.is_symlink() {
        return Err(LoopError::Precondition(format!("{} is a link; name the plan itself", path.display())));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(io)?.take(2 << 20).read_to_end(&mut bytes).map_err(io)?;
    Ok((plan::parse(&bytes)?, bytes))
}

/// Begins a campaign.
///
/// # Errors
/// A precondition does not hold; nothing was written then.
pub fn start(options: &StartOptions, surroundings: &Surroundings) -> Result<Journal, LoopError> {
    let root = git::top(&options.dir)?;
    let (plan, bytes) = read_plan(&options.plan)?;
    let registry = Registry::new(&surroundings.state_dir);
    refuse_second(&root, &registry, surroundings)?;
    let report = plan::lint(&plan, &options.plan.to_string_lossy());
    if let Some(first) = report.findings.iter().find(|f| f.weight == Weight::Error) {
        return Err(LoopError::Precondition(format!(
            "the plan is not ready: {} ({}); `loop plan --lint` lists everything",
            first.message, first.rule
        )));
    }
    let spec = spec(options, &root, &plan)?;
    let mut journal = Journal::create(&options.run_dir, spec, &bytes, surroundings)?;
    journal.begin()?;
    if let Some((session, host)) = &options.session {
        journal.claim(session, host)?;
    }
    Ok(journal)
}

impl Journal {
    /// The first event: what the contract holds comes into force.
    pub(crate) fn begin(&mut self) -> Result<(), LoopError> {
        let started = Event::Started {
            driver: self.spec.driver,
            limits: self.spec.limits.clone(),
            base: self.spec.base.clone(),
            criteria: self.spec.criteria.iter().map(|c| c.id.clone()).collect(),
        };
        self.append(&started)
    }

    /// Gives the campaign to a session.
    ///
    /// # Errors
    /// Another session has it, or the id is empty.
    pub fn claim(&mut self, session: &str, host: &str) -> Result<(), LoopError> {
        self.append(&Event::Claimed { session: session.to_owned(), host: host.to_owned() })?;
        let root = self.root();
        self.registry.claim(session, &root).map_err(|e| LoopError::io(&root, e))
    }
}

fn refuse_second(root: &Path, registry: &Registry, surroundings: &Surroundings) -> Result<(), LoopError> {
    match registry.look(root) {
        Look::None => Ok(()),
        Look::Damaged { why, .. } => Err(LoopError::Tampered(why)),
        Look::Known(head) if head.closed => Ok(()),
        Look::Known(head) if head.phase.is_terminal() && head.root == root => {
            Journal::open(&head, surroundings, std::time::Duration::ZERO)?.close().map(|_| ())
        }
        Look::Known(head) => Err(LoopError::UnderWay(head.root.clone())),
    }
}

fn spec(options: &StartOptions, root: &Path, plan: &Plan) -> Result<Spec, LoopError> {
    let front = &plan.front;
    let base = git::mark(root)?;
    let not = |text: String| Err(LoopError::Precondition(text));
    if options.driver == Driver::Owner && options.executor.is_none() {
        return not("the owner driver needs an executor".to_owned());
    }
    let mut ours = vec![options.run_dir.clone()];
    if let (Some(parent), Some(name)) = (options.run_dir.parent(), options.run_dir.file_name())
        && let Ok(parent) = parent.canonicalize()
    {
        ours.push(parent.join(name));
        ours.push(parent.join(".perfwright-locks"));
    }
    let changed = git::changed(root, &ours)?;
    if let Some(first) = changed.first() {
        return not(format!(
            "the work tree is not clean: {first:?} ({} in all); commit or ignore it",
            changed.len()
        ));
    }
    let full = options.plan.canonicalize().map_err(|e| LoopError::io(&options.plan, e))?;
    let plan_path = full.strip_prefix(root).ok().map(|p| p.to_string_lossy().into_owned());
    let mut limits = front.limits.clone();
    for budget in &options.budgets {
        limits.set(budget).map_err(LoopError::Precondition)?;
    }
    if let Some(problem) = limits.problem() {
        return not(problem.to_owned());
    }
    let gates = gates::resolve(&front.gates).map_err(LoopError::Precondition)?;
    let protected = protect(root, &front.paths.protect)?;
    for gate in gates.iter().filter(|g| g.off.is_none()) {
        if let Some(contract) = &gate.contract
            && !protected.contains_key(contract)
        {
            return not(format!(
                "gate {}: its contract {contract:?} is not among the protected files",
                gate.id
            ));
        }
    }
    let id = crate::judge::random_hex()?;
    Ok(Spec {
        schema: SPEC_SCHEMA.to_owned(),
        campaign: format!("{}-{}", base.commit.get(..8).unwrap_or_default(), &id[..8]),
        title: if front.title.is_empty() { plan.heading.clone() } else { front.title.clone() },
        goal: plan.goal(),
        criteria: plan
            .criteria
            .iter()
            .map(|c| Target {
                id: c.id.clone(),
                text: c.text.clone(),
                positive: c.positive.clone(),
                negative: c.negative.clone(),
            })
            .collect(),
        root: root.to_string_lossy().into_owned(),
        plan_sha256: plan.sha256.clone(),
        plan_path,
        driver: options.driver,
        executor: options.executor.clone(),
        executor_timeout_s: front.executor_timeout_s.unwrap_or(4 * 3600),
        reviewer: options.reviewer.clone(),
        review_timeout_s: front.review.timeout_s,
        branch: git::branch(root),
        stash: git::git_text(root, &["rev-parse", "--verify", "--quiet", "refs/stash"]).ok(),
        limits,
        paths: front.paths.clone(),
        protected,
        push: front.push.clone(),
        remote_refs: remote_refs(root, front.push.ask_remotes)?,
        resources: front.resources.clone(),
        clean: front.clean.clone(),
        gates,
        base,
    })
}

/// Hashes of the tracked files that the patterns name. A pattern that names nothing is an error: it would protect
/// nothing and look as if it did.
fn protect(root: &Path, patterns: &[String]) -> Result<BTreeMap<String, String>, LoopError> {
    let mut found = BTreeMap::new();
    if patterns.is_empty() {
        return Ok(found);
    }
    let listed = git::git(root, &["ls-files", "-z"])?;
    let files: Vec<String> = listed
        .split(|&b| b == 0)
        .filter(|p| !p.is_empty())
        .map(|p| String::from_utf8_lossy(p).into_owned())
        .collect();
    for pattern in patterns {
        let before = found.len();
        for file in files.iter().filter(|f| glob::matches(pattern, f)) {
            let hash = hash_of(root, file).map_err(LoopError::Precondition)?;
            found.insert(file.clone(), hash);
            if found.len() > MAX_PROTECTED {
                return Err(LoopError::Precondition(format!("more than {MAX_PROTECTED} protected files")));
            }
        }
        if found.len() == before && !files.iter().any(|f| glob::matches(pattern, f)) {
            return Err(LoopError::Precondition(format!("protected {pattern:?} names no tracked file")));
        }
    }
    Ok(found)
}

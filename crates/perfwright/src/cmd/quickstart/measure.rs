//! Measurements of a quickstart: each is a run of its own in the work folder, and goes on after a kill.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use perfwright_bench::decide::paired::{Answer, Terms as AbTerms};
use perfwright_bench::live::ab::{AbPlan, Contender, Event, PROCEDURE, ServerOf, run as measure};
use perfwright_bench::live::{Executor, Machine, Quiet, Setup, hashes, workloads};
use perfwright_bench::plan::{FrameworkPlan, Plan, read_plan};
use perfwright_bench::render::shlex;
use perfwright_bench::rows::Framework;
use perfwright_bench::search::deliver::deliver;
use perfwright_bench::search::journal::JournalError;
use perfwright_bench::search::{self, Conditions, Journal, Trial};
use perfwright_bench::sla::Sla;
use perfwright_evidence::{Basis, MANIFEST, RunError, sha256_hex};
use perfwright_logs::Catalog;
use serde_json::{Value, json};

use super::super::bench_search_live::{broken, failed, hardware};
use super::terms::{COMPETITOR, METRIC, MODEL, TARGET, THRESHOLD, Terms};
use super::trees::read;
use crate::codes;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::record::spec;

/// Seconds until a server has to be ready.
const READY: u64 = 120;

/// What a side is started with.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// The framework.
    pub framework: String,
    /// The candidate: a commit, or what the search calls it.
    pub candidate: String,
    /// The command, with `{port}` and `{model}`.
    pub command: String,
    /// Flags of the search.
    pub flags: Vec<(String, Value)>,
    /// This program.
    pub program: String,
}

impl Side {
    fn plan(&self) -> FrameworkPlan {
        FrameworkPlan {
            name: self.framework.clone(),
            kind: Framework::Generic,
            enabled: true,
            server_command: self.command.clone(),
            base: Vec::new(),
            space: Vec::new(),
            env: BTreeMap::from([("PERFWRIGHT".to_owned(), self.program.clone())]),
        }
    }

    fn contender(&self) -> Contender {
        Contender {
            framework: self.framework.clone(),
            candidate: self.candidate.clone(),
            server: ServerOf::Command {
                framework: Box::new(self.plan()),
                model: MODEL.to_owned(),
                flags: self.flags.clone(),
            },
        }
    }
}

/// The command of the target in the tree of a commit.
pub(super) fn target_command(tree: &Path) -> String {
    let script = shlex::quote(&tree.join("serve.sh").to_string_lossy());
    format!("sh {script} --model {{model}} --port {{port}} --threads 1 {{flags}}")
}

/// The command of the competitor.
pub(super) const COMPETITOR_COMMAND: &str =
    "perfwright lab serve --ops fused --model {model} --port {port} --threads 1 {flags}";

/// The search plan: the same budget and the same knob for both.
pub(super) fn search_plan(terms: &Terms, tree: &Path, program: &str) -> Value {
    let framework = |command: &str| {
        json!({
            "server_command": command,
            "env": {"PERFWRIGHT": program},
            "search_space": {"chunked_prefill_size": [512, 128]},
        })
    };
    json!({
        "model": {"name": MODEL},
        "dataset": {
            "num_prompts": terms.requests,
            "scenario_names": ["chat"],
            "input_len": [terms.input_len],
            "output_len": [terms.output_len],
        },
        "benchmark": {
            "endpoint": "/v1/completions",
            "max_concurrency": [terms.concurrency],
            "sla": {"min_success_rate": 1.0},
        },
        "search": {"tier": 1, "max_candidates_per_framework": 2, "repeats": 1, "seed": 1},
        "frameworks": {
            TARGET: framework(&target_command(tree)),
            COMPETITOR: framework(COMPETITOR_COMMAND),
        },
    })
}

/// What servers are started with.
pub(super) struct Rig<'a> {
    pub catalog: &'a Catalog,
    pub stop: &'a AtomicBool,
    pub program: String,
}

impl Rig<'_> {
    fn machine(&self, journal: &Journal, dir: &Path, context: &Context) -> Result<Machine<'_>, Diagnostic> {
        let mark = journal.identity().map_err(|e| broken(dir, &e))?;
        Ok(Machine {
            catalog: self.catalog,
            env: context.env.text_pairs(),
            this_program: self.program.clone(),
            scratch: std::env::temp_dir().join(format!("perfwright-{mark}")),
            ready_limit: Duration::from_secs(READY),
            // Somebody else's load is recorded with every row and widens the interval; a demonstration does not refuse.
            quiet: Quiet { over: Duration::from_millis(100), allow_busy: true, ..Quiet::default() },
            token: None,
            stop: self.stop,
        })
    }

    /// Searches both frameworks, or finds that it is done.
    pub(super) fn search(&self, dir: &Path, plan: &Value, context: &Context) -> Result<(), Diagnostic> {
        if dir.join(MANIFEST).is_file() {
            return Ok(());
        }
        let text = format!("{plan:#}\n");
        let parsed: Plan = read_plan(&text).map_err(|faults| {
            let start = Diagnostic::new(codes::INTERNAL, "the plan of the search is not valid");
            faults.iter().fold(start, |d, f| d.cause(format!("{f:?}")))
        })?;
        let loads = workloads(&parsed, Path::new("")).map_err(|e| {
            Diagnostic::new(codes::INTERNAL, "the plan of the search is not valid").cause(e.to_string())
        })?;
        let plan_sha256 = sha256_hex(text.as_bytes());
        let workload_sha256 = hashes(&parsed, &loads);
        let contract = json!({
            "question": "bench search", "plan_sha256": plan_sha256, "workload_sha256": workload_sha256,
            "ready_timeout_s": READY,
        });
        let run_spec = spec(dir, "bench search", contract, context)?;
        let mut journal = Journal::open(dir, &run_spec, Basis::Measured).map_err(|e| broken(dir, &e))?;
        journal
            .derived("inputs/plan.yaml", text.as_bytes(), "application/yaml")
            .map_err(|e| broken(dir, &e))?;
        let conditions = Conditions {
            plan_sha256,
            workload_sha256,
            engine_versions: BTreeMap::new(),
            hardware: hardware(&run_spec),
        };
        let machine = self.machine(&journal, dir, context)?;
        let setup = Setup { plan: &parsed, workloads: loads, machine };
        let mut executor = Executor::new(setup, &mut journal).map_err(|e| failed(dir, e))?;
        let execute = |trial: &Trial, journal: &mut Journal| executor.execute(trial, journal, &mut |_, _| ());
        let searched = search::run(&parsed, &conditions, &mut journal, |_| None, execute);
        let stopped = executor.finish(&mut journal);
        searched.and(stopped).map_err(|e| failed(dir, e))?;
        deliver(&parsed, &conditions, journal).map(|_| ()).map_err(|e| failed(dir, e))
    }

    /// Measures B against A in turn, or finds that it is done. The answer as it is recorded.
    pub(super) fn ab(
        &self,
        dir: &Path,
        (a, b): (&Side, &Side),
        (load, terms): (&Value, AbTerms),
        tell: &mut dyn FnMut(&str),
        context: &Context,
    ) -> Result<Value, Diagnostic> {
        if !dir.join(MANIFEST).is_file() {
            let load = serde_json::from_value(load.clone()).map_err(|e| {
                Diagnostic::new(codes::QUICKSTART_STOPPED, "the workload cannot be read").cause(e.to_string())
            })?;
            let mut run_spec = spec(dir, PROCEDURE, Value::Null, context)?;
            let plan = AbPlan {
                a: a.contender(),
                b: b.contender(),
                load,
                bounds: Sla::default(),
                terms,
                valid_for: hardware(&run_spec),
            };
            run_spec.contract = plan.contract();
            let journal = match Journal::open(dir, &run_spec, Basis::Measured) {
                Err(JournalError::Run(RunError::Closed(_))) => return answer(dir),
                other => other.map_err(|e| broken(dir, &e))?,
            };
            let machine = self.machine(&journal, dir, context)?;
            let mut show = |event: Event<'_>| {
                if let Event::Measured(slot, side, row) = event {
                    let series = if slot.control { "control" } else { "block" };
                    let figure = row.metric(METRIC).map_or_else(
                        || row.failure_reason.clone().unwrap_or_default(),
                        |v| format!("{v:.0} tokens/s"),
                    );
                    let name = side.candidate.get(..12).unwrap_or(&side.candidate);
                    tell(&format!("{series} {}: {} {name}: {figure}", slot.block + 1, side.framework));
                }
            };
            let (said, _) = measure(&plan, machine, journal, &mut show).map_err(|e| failed(dir, e))?;
            if let Answer::Refused(faults) = said {
                let start = Diagnostic::new(codes::BENCH_SIDES_DIFFER, "the two sides cannot be compared");
                return Err(faults.into_iter().fold(start.file(dir), Diagnostic::cause));
            }
        }
        answer(dir)
    }
}

fn answer(dir: &Path) -> Result<Value, Diagnostic> {
    let path = dir.join(perfwright_bench::gate::AB_ANSWER);
    serde_json::from_slice(&read(&path)?).map_err(|e| {
        Diagnostic::new(codes::QUICKSTART_STOPPED, "the answer of an A/B cannot be read")
            .file(path)
            .cause(e.to_string())
    })
}

/// Terms of an A/B.
pub(super) fn ab_terms(terms: &Terms, control: bool, budget_s: f64) -> AbTerms {
    AbTerms {
        metric: METRIC.to_owned(),
        threshold: THRESHOLD,
        blocks: terms.blocks,
        control_blocks: if control { terms.control_blocks } else { 0 },
        budget_s: Some(budget_s),
        launch_spread: None,
    }
}

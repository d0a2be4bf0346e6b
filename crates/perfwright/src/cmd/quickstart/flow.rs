//! The stages of a quickstart, driven by where its campaign stands. A killed one goes on with the same command.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use perfwright_bench::live::ab::{Contender, ServerOf};
use perfwright_bench::plan::read_plan;
use perfwright_evidence::{LEDGER, MANIFEST, RunError};
use perfwright_logs::Catalog;
use perfwright_loop::sota::accuracy::{self, Outputs};
use perfwright_loop::sota::campaign::{Campaign, CampaignError, contract};
use perfwright_loop::sota::event::{Idea, SotaEvent, Stage, Stop};
use perfwright_loop::sota::explain::{Explained, Explanation, explain};
use perfwright_loop::sota::gap::{Gap, compared};
use perfwright_loop::sota::technique::Failure;
use perfwright_loop::sota::{amdahl, compose, gate as checks, kernel, names, prompts, proof};
use perfwright_process::kill_marked;
use serde_json::{Value, json};

use super::super::bench_run::watch_for_interrupt;
use super::analyse::{Asked, compared as compare_traces, layers, profile, tables};
use super::gate::{STEP, Step, results};
use super::measure::{COMPETITOR_COMMAND, Rig, Side, ab_terms, search_plan, target_command};
use super::scripts::{operators, setting};
use super::setup;
use super::terms::{COMPETITOR, METRIC, TARGET, Terms};
use super::told::told;
use super::trees::{Places, copy, read, write};
use super::{attempt, page};
use crate::cli::quickstart::QuickstartArgs;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::output;
use crate::record::{diagnostic, run_dir, spec as run_spec};

/// The question in the contract.
pub(super) const QUESTION: &str = "quickstart";

/// Runs a quickstart to its end, or one gate of its rounds.
pub(crate) fn run(args: &QuickstartArgs, context: &mut Context) -> Outcome {
    let catalog = Catalog::builtin().map_err(|e| Diagnostic::new(codes::INTERNAL, e.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    watch_for_interrupt(&stop);
    let program = std::env::current_exe().map_err(|e| {
        Diagnostic::new(codes::QUICKSTART_STOPPED, "cannot find this program").cause(e.to_string())
    })?;
    let program = program.to_string_lossy().into_owned();
    let rig = Rig { catalog: &catalog, stop: &stop, program };
    if let (Some(gate), Some(dir)) = (args.gate, &args.run_dir) {
        return super::gate::run(gate, dir, &rig, context);
    }
    let dir = run_dir(args.run_dir.as_deref(), QUESTION, "lab", context);
    let places = Places::of(&dir)?;
    if places.run.join(MANIFEST).is_file() {
        return told(&places.run, context);
    }
    // Before anything is made beside it.
    if places.run.exists() && !places.run.join(LEDGER).is_file() {
        let refused = Diagnostic::new(codes::RUN_FOREIGN_FOLDER, "the folder cannot take this run");
        return Err(refused.file(&places.run).help("name a new folder with --run-dir"));
    }
    let terms = if args.short { Terms::SHORT } else { Terms::FULL };
    say(
        context,
        "perfwright quickstart: a fair benchmark, a gap, its cause, a change, the proof. No network, no model.",
    )?;
    if !kill_marked(&places.mark(), Duration::from_secs(20)) {
        return Err(Diagnostic::new(
            codes::QUICKSTART_STOPPED,
            "a server that a killed quickstart left cannot be ended",
        ));
    }
    let baseline = setup::target(&places, &terms)?;
    let host = perfwright_evidence::Host::capture(Path::new("/"));
    let hardware =
        format!("{} logical CPUs, {}", host.logical_cpus.unwrap_or(0), host.cpu.unwrap_or_default());
    let fixed = setup::contract(&places, &baseline, &hardware)?;
    let with = run_spec(&places.run, QUESTION, contract(QUESTION, &fixed), context)?;
    let campaign = Campaign::open(&places.run, &with, fixed).map_err(|e| refused(&places.run, e))?;
    let mut flow = Flow { places, terms, short: args.short, campaign, rig };
    let workload = read(&copy(&flow.places, &baseline)?.join(setup::WORKLOAD))?;
    flow.keep(names::WORKLOAD, &workload, "application/json")?;
    say(context, &format!("run      {}", flow.places.run.display()))?;
    say(context, &format!("target   {} at {}", flow.places.target.display(), short(&baseline)))?;
    say(
        context,
        &format!(
            "contract workload {} locked; {METRIC}, threshold 1 %",
            short(&flow.campaign.spec().workload_sha256)
        ),
    )?;
    while let Some(()) = flow.next(context)? {}
    flow.end(context)
}

pub(super) fn say(context: &mut Context, line: &str) -> Result<(), Diagnostic> {
    let blank =
        if line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("verdict") { "\n" } else { "" };
    context.text(&format!("{blank}{}\n", perfwright_report::text::visible(line)))
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A campaign's error with its code.
fn refused(dir: &Path, e: CampaignError) -> Diagnostic {
    match e {
        CampaignError::Run(e) => diagnostic(dir, &e),
        CampaignError::History(..) => {
            Diagnostic::new(codes::RUN_TAMPERED, "the recorded events are no history of a campaign")
                .file(dir)
                .cause(e.to_string())
        }
        other => Diagnostic::new(codes::QUICKSTART_STOPPED, "the campaign cannot go on")
            .file(dir)
            .cause(other.to_string()),
    }
}

struct Flow<'a> {
    places: Places,
    terms: Terms,
    short: bool,
    campaign: Campaign,
    rig: Rig<'a>,
}

impl Flow<'_> {
    fn keep(&mut self, name: &str, bytes: &[u8], media: &str) -> Result<(), Diagnostic> {
        self.campaign.keep(name, bytes, media).map_err(|e| refused(&self.places.run, e))
    }

    fn keep_json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), Diagnostic> {
        self.campaign.keep_json(name, value).map_err(|e| refused(&self.places.run, e))
    }

    fn add(&mut self, event: SotaEvent) -> Result<(), Diagnostic> {
        self.campaign.add(event).map_err(|e| refused(&self.places.run, e))
    }

    fn embed(&mut self, prefix: &str, dir: &Path) -> Result<(), Diagnostic> {
        self.campaign.embed(prefix, dir).map_err(|e| refused(&self.places.run, e))
    }

    fn recorded(&self, name: &str) -> Result<Value, Diagnostic> {
        self.campaign.read_json(name).map_err(|e| refused(&self.places.run, e))
    }

    fn baseline(&self) -> String {
        self.campaign.spec().baseline.commit.clone()
    }

    /// Does the stage that is due; nothing where the campaign has to end.
    fn next(&mut self, context: &mut Context) -> Result<Option<()>, Diagnostic> {
        if self.campaign.state().due_stop(self.campaign.spec()).is_some() {
            return Ok(None);
        }
        match self.campaign.stage() {
            Stage::Search => self.search(context)?,
            Stage::Gap => self.gap(context)?,
            Stage::Profile | Stage::Explain => self.explain(context)?,
            Stage::Attempts => return self.attempt(context),
            Stage::Compose => self.compose(context)?,
            Stage::Boundary | Stage::End => return Ok(None),
        }
        Ok(Some(()))
    }

    fn plan(&self) -> Result<Value, Diagnostic> {
        Ok(search_plan(&self.terms, &copy(&self.places, &self.baseline())?, &self.rig.program))
    }

    fn search(&mut self, context: &mut Context) -> Result<(), Diagnostic> {
        say(context, "1 search: two real servers, the same budget and the same knob for both")?;
        let (dir, plan) = (self.places.at("search"), self.plan()?);
        self.rig.search(&dir, &plan, context)?;
        self.embed(names::SEARCH, &dir)?;
        let name = format!("{}/benchmark/candidates.jsonl", names::SEARCH);
        let bytes = self.campaign.read(&name).map_err(|e| refused(&self.places.run, e))?;
        let rows: Vec<Value> =
            bytes.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
        for framework in [TARGET, COMPETITOR] {
            if self.campaign.state().winners.contains_key(framework) {
                continue;
            }
            let own: Vec<&Value> =
                rows.iter().filter(|r| r["framework"] == framework && r["status"] == "ok").collect();
            let figure = |r: &Value| r["metrics"][METRIC].as_f64().unwrap_or(0.0);
            let best = own.iter().max_by(|a, b| figure(a).total_cmp(&figure(b)));
            let best = best.ok_or_else(|| {
                Diagnostic::new(codes::QUICKSTART_STOPPED, "no candidate of a framework could be measured")
                    .cause(framework)
            })?;
            let text = |key: &str| best[key].as_str().unwrap_or("").to_owned();
            let (winner, command) = (text("candidate_id"), text("server_command"));
            say(
                context,
                &format!(
                    "  {framework}: {} candidates, best {winner}, {:.0} tokens/s",
                    own.len(),
                    figure(best)
                ),
            )?;
            self.add(SotaEvent::Searched {
                framework: framework.to_owned(),
                winner,
                command,
                candidates: own.len() as u64,
                run: names::SEARCH.to_owned(),
            })?;
        }
        Ok(())
    }

    /// Flags of a framework's winner.
    fn flags(&self, framework: &str) -> Result<Vec<(String, Value)>, Diagnostic> {
        let odd = |cause: String| {
            Diagnostic::new(codes::QUICKSTART_STOPPED, "the winner is not in the plan").cause(cause)
        };
        let plan = read_plan(&self.plan()?.to_string()).map_err(|f| odd(format!("{f:?}")))?;
        let won = self.campaign.state().winners.get(framework).ok_or_else(|| odd(framework.to_owned()))?;
        match Contender::planned(&plan, framework, &won.candidate).map_err(odd)?.server {
            ServerOf::Command { flags, .. } => Ok(flags),
            ServerOf::Url(url) => Err(odd(url)),
        }
    }

    fn side(&self, framework: &str) -> Result<Side, Diagnostic> {
        let (candidate, command) = if framework == TARGET {
            let baseline = self.baseline();
            let tree = copy(&self.places, &baseline)?;
            (baseline, target_command(&tree))
        } else {
            let won = self.campaign.state().winners.get(framework);
            (won.map(|w| w.candidate.clone()).unwrap_or_default(), COMPETITOR_COMMAND.to_owned())
        };
        Ok(Side {
            framework: framework.to_owned(),
            candidate,
            command,
            flags: self.flags(framework)?,
            program: self.rig.program.clone(),
        })
    }

    fn gap(&mut self, context: &mut Context) -> Result<(), Diagnostic> {
        say(context, "2 gap: the winners in turn, with a restart before every measurement")?;
        let (a, b) = (self.side(TARGET)?, self.side(COMPETITOR)?);
        let load = self.campaign.spec().workload["load"].clone();
        let mut found = None;
        for n in 1..=self.terms.tries {
            let name = if n == 1 { "gap".to_owned() } else { format!("gap-{n}") };
            let dir = self.places.at(&name);
            let terms = ab_terms(&self.terms, false, self.terms.gap_s);
            let answer = self.rig.ab(&dir, (&a, &b), (&load, terms), &mut progress(context), context)?;
            let prefix = format!("{}/{name}", names::RUNS);
            self.embed(&prefix, &dir)?;
            let compared = compared(&answer).ok_or_else(|| {
                Diagnostic::new(codes::QUICKSTART_STOPPED, "the answer of an A/B cannot be read").file(&dir)
            })?;
            let gap = compared.gap(self.campaign.spec().threshold);
            let range = compared.gain.map_or_else(|| "no interval".to_owned(), |g| g.percent());
            let blocks = answer["blocks"].as_u64().unwrap_or(0);
            say(context, &format!("  {}: the competitor gains {range}, {blocks} blocks", gap.name()))?;
            for reason in &compared.reasons {
                say(context, &format!("  not stronger: {reason}"))?;
            }
            found = Some((gap, compared.gain, prefix));
            if gap != Gap::Open {
                break;
            }
        }
        let Some((gap, gain, run)) = found else { return Ok(()) };
        self.add(SotaEvent::GapDecided { competitor: COMPETITOR.to_owned(), gap, gain, run })
    }

    fn explain(&mut self, context: &mut Context) -> Result<(), Diagnostic> {
        say(context, "3 cause: both profiled, tables and layers, held against each other")?;
        let target = Asked::target(
            &self.places,
            &copy(&self.places, &self.baseline())?,
            &self.rig.program,
            &self.flags(TARGET)?,
        );
        let competitor = Asked::competitor(&self.places, &self.rig.program, &self.flags(COMPETITOR)?);
        let spec = self.campaign.spec().clone();
        let mut last: Option<(PathBuf, PathBuf, Value, Explanation)> = None;
        for _ in 0..self.terms.tries.max(1) {
            let a = profile(&target, &self.terms, &self.places.at("profile-target"))?;
            let b = profile(&competitor, &self.terms, &self.places.at("profile-competitor"))?;
            let answer = compare_traces(&a, &b)?;
            let found = explain(&answer, spec.explained_share, spec.carrier_share).map_err(|e| {
                Diagnostic::new(codes::QUICKSTART_STOPPED, "the profiles cannot be compared").cause(e)
            })?;
            let done = found.answer == Explained::Explained;
            last = Some((a, b, answer, found));
            if done {
                break;
            }
        }
        let Some((a, b, answer, found)) = last else { return Ok(()) };
        for (side, trace, triage, pipeline) in [
            ("target", &a, names::TARGET_TRIAGE, names::TARGET_PIPELINE),
            ("competitor", &b, names::COMPETITOR_TRIAGE, names::COMPETITOR_PIPELINE),
        ] {
            let value = tables(trace)?;
            if side == "target" {
                write(&self.places.work, "target-triage.json", &value.to_string())?;
            }
            self.keep_json(triage, &value)?;
            self.keep_json(pipeline, &layers(trace)?)?;
            self.trace(side, trace)?;
            self.add(SotaEvent::Profiled {
                side: side.to_owned(),
                triage: triage.to_owned(),
                pipeline: Some(pipeline.to_owned()),
            })?;
        }
        self.keep_json(names::COMPARE, &answer)?;
        self.keep_json(names::EXPLANATION, &found)?;
        for part in found.parts.iter().filter(|p| p.share.abs() >= 0.02).take(6) {
            let mark = if part.shown { "" } else { " (its interval does not show it)" };
            say(
                context,
                &format!(
                    "  {:8} {:12} {:5.1} % of the gap{mark}",
                    part.class,
                    part.category,
                    100.0 * part.share
                ),
            )?;
        }
        say(context, &format!("  {}: {}", found.answer.name(), found.reason))?;
        let kernels = kernel::eligible(&self.recorded(names::TARGET_TRIAGE)?, &found.carriers, true)
            .map_err(|e| Diagnostic::new(codes::QUICKSTART_STOPPED, "the tables lack something").cause(e))?;
        self.keep_json("analysis/eligible-kernels.json", &kernels)?;
        self.keep(
            names::EXPLANATION_TEXT,
            format!("# Root cause\n\n{}\n", found.reason).as_bytes(),
            "text/markdown",
        )?;
        self.add(SotaEvent::GapExplained {
            answer: found.answer,
            carriers: found.carriers,
            evidence: names::EXPLANATION.to_owned(),
        })
    }

    /// Records a trace; one that looks as if it held a secret is left out and that is said.
    fn trace(&mut self, side: &str, trace: &Path) -> Result<(), Diagnostic> {
        let name = format!("profiles/{side}.trace.json.gz");
        match self.campaign.keep(&name, &read(trace)?, "application/gzip") {
            Err(CampaignError::Run(RunError::Secret(_))) => self.add(SotaEvent::NotAvailable {
                what: name,
                why: "its compressed bytes look like a secret; the tables made of it are recorded".to_owned(),
            }),
            other => other.map_err(|e| refused(&self.places.run, e)),
        }
    }

    /// The categories that the engine has operators for.
    fn categories(&self) -> Vec<String> {
        let carriers = &self.campaign.state().carriers;
        let own =
            |c: &&perfwright_loop::sota::explain::Carrier| c.kernels && !operators(&c.category).is_empty();
        carriers.iter().filter(own).map(|c| c.category.clone()).collect()
    }

    fn attempt(&mut self, context: &mut Context) -> Result<Option<()>, Diagnostic> {
        say(
            context,
            "4 change: rounds of work, gates and review; scripted executor and reviewer, no model involved",
        )?;
        let spec = self.campaign.spec().clone();
        let categories = self.categories();
        let technique = format!("fused operators: {}", categories.join(", "));
        if self.campaign.state().open.is_none() {
            if categories.is_empty() {
                let reason = "no category that carries the gap has an operator of its own".to_owned();
                self.add(SotaEvent::AttemptRefused { technique, reason })?;
                return Ok(None);
            }
            let explanation: Explanation = serde_json::from_value(self.recorded(names::EXPLANATION)?)
                .map_err(|e| {
                    Diagnostic::new(codes::QUICKSTART_STOPPED, "the explanation cannot be read")
                        .cause(e.to_string())
                })?;
            let bound =
                amdahl::bound(&self.recorded(names::COMPARE)?, &explanation, &categories, spec.threshold)
                    .map_err(|e| {
                        Diagnostic::new(codes::QUICKSTART_STOPPED, "no bound can be given").cause(e)
                    })?;
            say(
                context,
                &format!(
                    "  bound: {:.0} % at most, {:.0} % if as fast as the competitor, {:.0} % asked for",
                    100.0 * bound.at_most,
                    100.0 * bound.as_competitor,
                    100.0 * bound.threshold
                ),
            )?;
            if !bound.starts {
                let reason = format!("{:.2} % at most", 100.0 * bound.at_most);
                self.add(SotaEvent::AttemptRefused { technique, reason })?;
                return Ok(None);
            }
            let attempt = self.campaign.state().attempts + 1;
            let idea = Idea {
                source: names::COMPARE.to_owned(),
                says: format!("the competitor spends less in {}", categories.join(" and ")),
            };
            let parent = spec.baseline.commit.clone();
            self.add(SotaEvent::AttemptOpened { attempt, technique, bound, idea, parent })?;
            for (name, text) in prompts::all(&spec, self.campaign.state()) {
                self.keep(name, text.as_bytes(), "text/markdown")?;
            }
            for (what, why) in [
                (
                    "kernel task",
                    "operators of the lab are switched, not written; kernel tasks are not built yet",
                ),
                ("capacity check", "the capacity explainer is not built yet"),
                ("change history", "the history index is not built yet"),
            ] {
                self.add(SotaEvent::NotAvailable { what: what.to_owned(), why: why.to_owned() })?;
            }
        }
        let step = Step {
            short: self.short,
            spec: spec.clone(),
            flags: self.flags(TARGET)?,
            categories: categories.clone(),
        };
        write(&self.places.work, STEP, &json!(step).to_string())?;
        let prompt = prompts::rlcr(&spec, self.campaign.state());
        let mut lines = Vec::new();
        let setting = setting(&categories);
        let parts = (self.rig.program.as_str(), setting.as_str(), prompt.as_str());
        let mut tell = |line: &str| {
            lines.push(line.to_owned());
            output::stderr(&format!("note: {}\n", perfwright_report::text::visible(line)));
        };
        let rounds = attempt::rounds(&self.places, &spec, parts, &mut tell, context)?;
        for (_, what) in &rounds.refused {
            say(context, &format!("  refused: {what}"))?;
        }
        self.embed(names::ROUNDS, &self.places.at("rounds"))?;
        self.judged(rounds, context)
    }

    /// Records what the rounds came to.
    fn judged(&mut self, rounds: attempt::Rounds, context: &mut Context) -> Result<Option<()>, Diagnostic> {
        let attempt = self.campaign.state().attempts;
        let evidence = format!("{}/campaign/events.json", names::ROUNDS);
        for (failure, signature) in rounds.refused.iter().filter(|(f, _)| *f == Failure::Invalid) {
            let event = SotaEvent::Failed {
                attempt,
                failure: *failure,
                signature: signature.clone(),
                evidence: evidence.clone(),
            };
            // A kill between two of these leaves some recorded already.
            if !self.campaign.events().contains(&event) {
                self.add(event)?;
            }
        }
        let Some(commit) = rounds.accepted else {
            say(context, &format!("  not accepted: {}", rounds.reason))?;
            let signature = rounds.reason;
            self.add(SotaEvent::Failed { attempt, failure: Failure::Scientific, signature, evidence })?;
            return Ok(None);
        };
        let dir = results(&self.places, &commit);
        self.embed(names::REVALIDATION, &dir.join("revalidation"))?;
        let parse = |path: &Path| -> Result<Value, Diagnostic> {
            serde_json::from_slice(&read(path)?).map_err(|e| {
                Diagnostic::new(codes::QUICKSTART_STOPPED, "a gate's record cannot be read")
                    .file(path)
                    .cause(e.to_string())
            })
        };
        let after = parse(&dir.join("triage.json"))?;
        self.keep_json(names::CANDIDATE_TRIAGE, &after)?;
        let trace = PathBuf::from(String::from_utf8_lossy(&read(&dir.join("trace.path"))?).into_owned());
        self.trace("candidate", &trace)?;
        let categories =
            self.campaign.state().open.as_ref().map(|o| o.categories.clone()).unwrap_or_default();
        let proof =
            proof::prove(&self.recorded(names::TARGET_TRIAGE)?, &after, &categories, &[]).map_err(|e| {
                Diagnostic::new(codes::QUICKSTART_STOPPED, "the profiles cannot be compared").cause(e)
            })?;
        self.keep_json(names::EXECUTION, &proof)?;
        let outputs: Outputs = serde_json::from_value(parse(&dir.join("outputs.json"))?).map_err(|e| {
            Diagnostic::new(codes::QUICKSTART_STOPPED, "the answers cannot be read").cause(e.to_string())
        })?;
        let terms = self.campaign.spec().accuracy.clone();
        let accuracy = accuracy::judge(&outputs, &terms.prompts, terms.min_same);
        self.keep_json(names::OUTPUTS, &outputs)?;
        self.keep_json(names::ACCURACY, &accuracy)?;
        let answer = self.recorded(&format!("{}/benchmark/ab.json", names::REVALIDATION))?;
        let found = compared(&answer).and_then(|c| c.gain);
        let gain = found
            .ok_or_else(|| Diagnostic::new(codes::QUICKSTART_STOPPED, "the revalidation has no gain"))?;
        let pipeline = None;
        self.add(SotaEvent::Profiled {
            side: "candidate".to_owned(),
            triage: names::CANDIDATE_TRIAGE.to_owned(),
            pipeline,
        })?;
        say(context, &format!("  accepted {}: {}", short(&commit), gain.percent()))?;
        say(context, &format!("  execution: {}", proof.reason))?;
        say(context, &format!("  accuracy: {}", accuracy.reason))?;
        self.add(SotaEvent::Accepted {
            attempt,
            change: setting(&categories),
            commit,
            gain,
            run: names::REVALIDATION.to_owned(),
            launches: proof.new_launches,
        })?;
        Ok(Some(()))
    }

    fn compose(&mut self, context: &mut Context) -> Result<(), Diagnostic> {
        let state = self.campaign.state();
        let changes: BTreeSet<String> = state.accepted.iter().map(|c| c.change.clone()).collect();
        let measured = checks::measured_sets(&changes, self.campaign.events());
        let off_is_baseline = self.recorded(names::ACCURACY)?["off_is_baseline"] == true;
        let off = if off_is_baseline { changes.clone() } else { BTreeSet::new() };
        let found = compose::compose(&changes, &measured, &off, self.campaign.spec().threshold);
        say(context, &format!("5 composition: {}; changes: {}", found.reason, changes.len()))?;
        self.keep_json(names::COMPOSITION, &found)?;
        self.add(SotaEvent::Composed {
            holds: found.holds,
            together: found.together,
            evidence: names::COMPOSITION.to_owned(),
        })
    }

    /// Closes the run, verifies it and prints where the report is.
    fn end(self, context: &mut Context) -> Outcome {
        let Self { places, campaign, .. } = self;
        let due = campaign.state().due_stop(campaign.spec());
        let failed = campaign.state().register.failures.contains_key(&Failure::Scientific);
        let (stop, reason) = due.unwrap_or_else(|| {
            if failed {
                (Stop::Inconclusive, "the change was not proven".to_owned())
            } else {
                (Stop::NoDefensiblePatch, "no patch is left that could reach the threshold".to_owned())
            }
        });
        let argv = context.argv.join(" ");
        let made = |campaign: &Campaign| page::files(campaign, stop, &reason, &argv);
        campaign.close(stop, &reason, made).map_err(|e| refused(&places.run, e))?;
        // What is recorded does not need it any more; that it cannot be removed changes nothing.
        let _ = std::fs::remove_dir_all(&places.work);
        told(&places.run, context)
    }
}

/// Tells on standard error how a measurement goes, unless asked to be quiet.
fn progress(context: &Context) -> impl FnMut(&str) + use<> {
    let quiet = context.settings.quiet;
    move |line: &str| {
        if !quiet {
            output::stderr(&format!("note: {}\n", perfwright_report::text::visible(line)));
        }
    }
}

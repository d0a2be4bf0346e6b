//! A search in a process that is killed with SIGKILL at random moments: the same call ends with the same rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use perfwright_bench::plan::{Plan, read_plan};
use perfwright_bench::rows::{Basis, Requests, Status};
use perfwright_bench::search::deliver::deliver;
use perfwright_bench::search::summary::summary;
use perfwright_bench::search::{Conditions, Journal, SearchError, Trial, Trialled, run};
use perfwright_evidence::{
    Basis as Recorded, Outcome, Registry, RunSpec, Status as RunStatus, VerifyOptions, verify,
};

const TARGET: &str = "PERFWRIGHT_TEST_SEARCH_IN";

const PLAN: &str = r"
model: {name: m}
hardware: {gpu_count: 1}
dataset: {num_prompts: 64, scenario_names: [chat, long], input_len: [100, 800], output_len: [50, 50]}
benchmark: {qps: {lower: 0.5, upper: 16, tolerance: 0.5}, sla: {max_p50_ttft_ms: 100}}
search: {max_candidates_per_framework: 6, repeats: 2}
frameworks:
  lab: {server_command: 'lab {model}', search_space: {batch: [1, 2, 4, 8], chunk: [1, 2, 3]}}
  vllm: {search_space: {max_num_seqs: [16, 32]}}
";

fn plan() -> Plan {
    read_plan(PLAN).expect("valid")
}

fn conditions() -> Conditions {
    Conditions { plan_sha256: "p".into(), hardware: "h".into(), ..Conditions::default() }
}

/// A server that does not exist, with noise that belongs to the trial. One setting runs out of memory.
fn measured(trial: &Trial) -> Trialled {
    let noise = f64::from(u8::from_str_radix(&trial.key[..2], 16).expect("hex")) / 255.0 - 0.5;
    let flag = |name: &str| {
        trial.candidate.flags.iter().find(|(k, _)| k == name).and_then(|(_, v)| v.as_f64()).unwrap_or(1.0)
    };
    let capacity = 3.0 + flag("batch").sqrt() + 0.1 * flag("chunk") + flag("max_num_seqs") / 32.0;
    let rate = trial.load.request_rate.unwrap_or(capacity);
    let ttft = 20.0 + 80.0 * (rate / capacity).powi(4) * (1.0 + 0.06 * noise);
    let oom = flag("batch") == 8.0;
    Trialled {
        status: if oom { Status::Oom } else { Status::Ok },
        reason: oom.then(|| "out of memory".to_owned()),
        metrics: BTreeMap::from([
            ("p50_ttft_ms".to_owned(), ttft),
            ("request_throughput".to_owned(), rate.min(capacity)),
        ]),
        requests: Some(Requests { sent: trial.num_prompts, succeeded: trial.num_prompts }),
        launch: Some(1),
        ..Trialled::ended(Status::Ok, "")
    }
}

fn search(dir: &Path, mut each: impl FnMut(&Trial)) -> Result<Journal, SearchError> {
    let spec = RunSpec::new("bench search", "0.1.0", serde_json::json!({"plan": PLAN}));
    let mut journal = Journal::open(dir, &spec, Recorded::Measured).map_err(SearchError::Journal)?;
    run(
        &plan(),
        &conditions(),
        &mut journal,
        |_| None,
        |trial, _| {
            each(trial);
            Ok(measured(trial))
        },
    )?;
    Ok(journal)
}

fn rows_on_disk(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(dir.join("benchmark/rows")) else { return BTreeMap::new() };
    let named = entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()));
    // Names with a dot in front are being written.
    let done = named.filter(|n| n.ends_with(".json") && !n.starts_with('.'));
    done.map(|n| (n.clone(), std::fs::read(dir.join("benchmark/rows").join(&n)).expect("readable"))).collect()
}

/// The searching process; as a test of its own it is a whole search.
#[test]
fn searching_process() {
    match std::env::var_os(TARGET) {
        Some(dir) => {
            let measured_here = std::sync::atomic::AtomicUsize::new(0);
            search(Path::new(&dir), |trial| {
                std::thread::sleep(Duration::from_millis(2));
                measured_here.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                println!("measured {}", trial.key);
            })
            .expect("searched");
        }
        None => {
            let root = tempfile::tempdir().expect("a folder");
            let mut keys = Vec::new();
            let journal = search(&root.path().join("run"), |t| keys.push(t.key.clone())).expect("searched");
            assert_eq!(keys.len(), journal.lines().len());
            let rows =
                summary(&plan(), &conditions(), journal.done(), journal.screenings()).expect("complete");
            let of = |status: Status| rows.iter().filter(|r| r.status == status).count();
            assert!(of(Status::Oom) == 1 && of(Status::Skipped) > 0 && of(Status::Ok) > 0, "{rows:#?}");
            assert!(rows.iter().all(|r| r.status == Status::Ok || r.failure_reason.is_some()));
            assert!(rows.iter().all(|r| r.basis == Basis::Measured));
            // Every candidate is there.
            let ids: std::collections::BTreeSet<_> =
                rows.iter().map(|r| (&r.framework, &r.candidate_id)).collect();
            assert_eq!(ids.len(), 6 + 2);
            let best = rows.iter().filter_map(|r| r.objective.as_ref()).map(|o| o.value).fold(0.0, f64::max);
            assert!((4.5..5.6).contains(&best), "the lab's best holds about 5.2 requests per second: {best}");
            drop(journal);
            // A second call measures nothing.
            let dir = root.path().join("run");
            let journal = search(&dir, |t| panic!("measured again: {t:?}")).expect("nothing to do");
            let (answer, finished) = deliver(&plan(), &conditions(), journal).expect("delivered");
            assert_eq!(finished.gates[0].outcome, Outcome::Pass, "{:?}", finished.gates);
            let chat = answer.scenarios.iter().find(|s| s.scenario == "chat").expect("there");
            assert!(chat.ranking[0].objective.is_some() && chat.ranking[0].framework == "lab", "{chat:#?}");
            let registry = Registry::new(perfwright_bench::gate::GATES.iter().copied()).expect("gates");
            let report = verify(&dir, &registry, &VerifyOptions::default()).expect("a run");
            assert_eq!((report.status, report.exit_code), (RunStatus::Clean, 0), "{:?}", report.differences);
        }
    }
}

#[test]
fn the_largest_concurrency_is_found_too() {
    let text =
        PLAN.replace("qps: {lower: 0.5, upper: 16, tolerance: 0.5}", "concurrency: {lower: 1, upper: 64}");
    let plan = read_plan(&text).expect("valid");
    let root = tempfile::tempdir().expect("a folder");
    let spec = RunSpec::new("bench search", "0.1.0", serde_json::json!({"plan": text}));
    let mut journal = Journal::open(&root.path().join("run"), &spec, Recorded::Measured).expect("opened");
    run(
        &plan,
        &conditions(),
        &mut journal,
        |_| None,
        |trial, _| {
            let load = trial.load.max_concurrency.expect("a cap") as f64;
            let mut result = measured(trial);
            result.metrics.insert("p50_ttft_ms".to_owned(), 100.0 * load / 23.5);
            Ok(result)
        },
    )
    .expect("searched");
    let rows = summary(&plan, &conditions(), journal.done(), journal.screenings()).expect("complete");
    let found: Vec<_> = rows.iter().filter_map(|r| r.objective.as_ref()).collect();
    assert!(!found.is_empty());
    assert!(found.iter().all(|o| o.kind == "max_concurrency" && o.value == 23.0), "{found:?}");
}

#[test]
fn killed_at_random_moments() {
    let root = tempfile::tempdir().expect("a folder");
    let whole = search(&root.path().join("whole"), |_| {}).expect("searched");
    let expected = summary(&plan(), &conditions(), whole.done(), whole.screenings()).expect("complete");
    let dir = root.path().join("killed");
    let (mut state, mut kills, mut kept) = (0x9e37_79b9_u64, 0, BTreeMap::new());
    loop {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "searching_process", "--nocapture"])
            .env(TARGET, &dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(5 + (state >> 33) % 120));
        let ended = child.try_wait().expect("asked").is_some();
        if !ended && kills < 12 {
            child.kill().expect("killed");
        }
        child.wait().expect("ended");
        let now = rows_on_disk(&dir);
        for (name, bytes) in &kept {
            assert_eq!(now.get(name), Some(bytes), "{name} was finished before a kill");
        }
        kept = now;
        if ended || kills >= 12 {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 3, "only {kills} kills");
    let journal = search(&dir, |t| panic!("a row was lost: {t:?}")).expect("complete");
    let strip = |mut rows: Vec<perfwright_bench::rows::Row>| {
        rows.iter_mut().for_each(|r| r.source = Default::default());
        rows
    };
    let rows = summary(&plan(), &conditions(), journal.done(), journal.screenings()).expect("complete");
    assert_eq!(strip(rows), strip(expected));
    assert_eq!(journal.lines(), whole.lines(), "the same rows in the same order");
    assert_eq!(journal.screenings(), whole.screenings());
}

#[test]
fn a_recorded_screening_is_not_decided_again() {
    let root = tempfile::tempdir().expect("a folder");
    let whole = search(&root.path().join("whole"), |_| {}).expect("searched");
    let first = whole.screenings().values().next().expect("a round").clone();
    let (best, worst) = (&first.scored[0].candidate, &first.scored.last().expect("several").candidate);
    // What an earlier process decided stands, whatever this one would have decided.
    let dir = root.path().join("other");
    let spec = RunSpec::new("bench search", "0.1.0", serde_json::json!({"plan": PLAN}));
    let mut journal = Journal::open(&dir, &spec, Recorded::Measured).expect("opened");
    let mut other = first.clone();
    other.kept.retain(|c| c != best);
    other.kept.push(worst.clone());
    journal.decide(other.clone()).expect("recorded");
    drop(journal);
    let journal = search(&dir, |_| {}).expect("searched");
    assert_eq!(journal.screenings()[&(first.framework.clone(), first.rung)], other);
    let rows = summary(&plan(), &conditions(), journal.done(), journal.screenings()).expect("complete");
    let of = |id: &String| rows.iter().find(|r| r.candidate_id == *id && r.framework == first.framework);
    let reason = of(best).and_then(|r| r.failure_reason.clone()).expect("a reason");
    assert!(reason.starts_with("screened out: place 1 of"), "{reason}");
    // And whoever verifies sees that the rows do not give it.
    let (_, finished) = deliver(&plan(), &conditions(), journal).expect("delivered");
    let gate = finished.gates.iter().find(|g| g.id == "bench.screened").expect("there");
    assert_eq!(gate.outcome, Outcome::Fail, "{gate:?}");
}

//! From recorded evidence to the answer.

use std::collections::BTreeMap;

use perfwright_logs::path::{FieldState, PATH_EVIDENCE, PathReport, compare};
use perfwright_stats::percentile::sorted;

use super::cache::{Counters, prefix_cache, speculation};
use super::certify::{latency, share, success};
use super::dist::Dist;
use super::facts::{ClientFacts, ServerFacts};
use super::gate::names;
use super::record::{Phase, Record, ms, read_records};
use super::report::*;
use super::sla::Sla;
use super::validity::validity;
use super::warmup::leading_slow;
use crate::load::{Conditions, Salt};
use crate::workload::Spec;
use crate::workload::declared_cached_share;

/// What a run folder holds.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The contract.
    pub conditions: Conditions,
    /// The records.
    pub records: Vec<Record>,
    /// What the client used.
    pub client: ClientFacts,
    /// What the server told.
    pub server: ServerFacts,
    /// Its counters before and after.
    pub counters: Option<(String, String)>,
    /// What was stated of its path, where anything was.
    pub path: Option<PathReport>,
}

/// Evidence that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FiguresError {
    /// It is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// It is not what it should be.
    #[error("{name}: {cause}")]
    Malformed {
        /// The evidence.
        name: String,
        /// The cause.
        cause: String,
    },
}

impl Evidence {
    /// Reads the evidence through `read`, which gives the bytes of a name.
    ///
    /// # Errors
    /// Something is missing or malformed.
    pub fn load(
        contract: &'static str,
        read: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, FiguresError> {
        fn json<T: serde::de::DeserializeOwned>(
            name: &'static str,
            bytes: Option<Vec<u8>>,
        ) -> Result<T, FiguresError> {
            serde_json::from_slice(&bytes.ok_or(FiguresError::Missing(name))?)
                .map_err(|e| FiguresError::Malformed { name: name.to_owned(), cause: e.to_string() })
        }
        let records = read(names::RECORDS).ok_or(FiguresError::Missing(names::RECORDS))?;
        let records = read_records(&records).map_err(|(line, e)| FiguresError::Malformed {
            name: names::RECORDS.to_owned(),
            cause: format!("line {line}: {e}"),
        })?;
        let text = |name| read(name).map(|b| String::from_utf8_lossy(&b).into_owned());
        Ok(Self {
            conditions: json(contract, read(contract))?,
            records,
            client: json(names::CLIENT, read(names::CLIENT))?,
            server: json(names::SERVER, read(names::SERVER))?,
            counters: text(names::BEFORE).zip(text(names::AFTER)),
            path: match read(PATH_EVIDENCE) {
                None => None,
                bytes => Some(json(PATH_EVIDENCE, bytes)?),
            },
        })
    }
}

/// The answer that the evidence gives.
pub fn figures(e: &Evidence) -> BenchRun {
    let c = &e.conditions;
    let of = |phase| e.records.iter().filter(move |r: &&Record| r.phase == phase);
    let mut measured: Vec<&Record> = of(Phase::Measured).collect();
    measured.sort_by_key(|r| (r.intended_ns, r.session, r.turn));
    let starts: Vec<f64> = measured.iter().filter(|r| r.is_ok()).filter_map(|r| r.ttft_ms()).collect();
    let slow = leading_slow(&starts);
    if c.cut_warmup && slow > 0 {
        let mut left = slow;
        // Failures in between are cut with the slow ones, so that what is left is one stretch of time.
        let first = measured.iter().position(|r| {
            left -= usize::from(r.is_ok() && left > 0);
            left == 0
        });
        measured.drain(..=first.unwrap_or(0));
    }
    let ok: Vec<&Record> = measured.iter().copied().filter(|r| r.is_ok()).collect();
    let failed = (measured.len() - ok.len()) as u64;
    let counters = e.counters.as_ref().map(|(before, after)| Counters::new(before, after));
    let offered = offered(c, &measured);
    let validity = validity(&c.limits, &offered, &measured, &e.client);
    let series = Series::of(&ok);
    let throughput = throughput(&measured, &ok);
    let cache = prefix_cache(
        &ok,
        counters.as_ref(),
        declared_cached_share(&c.workload, c.sessions as usize),
        c.salt == Salt::Unique,
    );
    let tokens = tokens(&ok);
    let sla: Vec<SlaResult> =
        c.sla.iter().map(|s| requirement(s, &series, ok.len() as u64, failed)).collect();
    let goodput = goodput(&c.sla, &ok, measured.len() as u64, throughput.duration_s);
    let mut warnings = warnings(e, &measured, &tokens, &cache);
    if slow > 0 && !c.cut_warmup {
        warnings.push(format!(
            "the first {slow} requests look like a warm-up and count; --warmup sends more before, --cut-warmup leaves them out"
        ));
    }
    BenchRun {
        schema: BENCH_RUN_SCHEMA.to_owned(),
        url: c.url.clone(),
        endpoint: c.endpoint.clone(),
        model: e.server.model.clone(),
        workload: WorkloadFigures {
            name: c.workload.name().to_owned(),
            requests: measured.len() as u64,
            lengths: if matches!(c.workload, Spec::Exact { .. }) { "exact" } else { "nominal" }.to_owned(),
            input_nominal: Dist::of(measured.iter().map(|r| r.input_nominal as f64).collect()),
            output_asked: Dist::of(measured.iter().map(|r| r.output_asked as f64).collect()),
            seed: c.seed,
        },
        validity,
        offered,
        success_rate: ok.len() as f64 / measured.len().max(1) as f64,
        success: share(ok.len() as u64, measured.len() as u64),
        goodput,
        sla,
        failures: failures(&measured),
        tokens,
        prefix_cache: cache,
        speculation: speculation(&ok, counters.as_ref()),
        warmup: Warmup {
            sent: of(Phase::Warmup).count() as u64,
            failed: of(Phase::Warmup).filter(|r| !r.is_ok()).count() as u64,
            leading_slow: slow as u64,
            cut: c.cut_warmup && slow > 0,
        },
        client: client(&e.client, &measured),
        path: path(e),
        server: ServerFigures {
            scraped: counters.is_some(),
            queue_ms_mean: counters.as_ref().and_then(Counters::queue_ms),
            notes: e.server.notes.clone(),
        },
        metrics: series.metrics(),
        throughput,
        definitions: definitions(),
        warnings,
    }
}

/// What the recorded statements prove, compared anew.
fn path(e: &Evidence) -> Path {
    let stated = e.server.told.keys().cloned().collect();
    let Some(stored) = &e.path else {
        return Path { proven: false, stated, fields: BTreeMap::new(), stops: Vec::new() };
    };
    let report = compare(stored.allowed.clone(), stored.sides.clone());
    let proven = |f: &&perfwright_logs::path::FieldVerdict| f.state == FieldState::Proven;
    let fields = report.fields.iter().filter(proven);
    let fields = fields.map(|f| (f.field.name().to_owned(), f.values.join(", "))).collect();
    let stops = report.stops.iter().map(|s| s.reason.clone()).collect();
    Path { proven: report.proven, stated, fields, stops }
}

/// Values of successful requests, milliseconds.
struct Series {
    ttft: Vec<f64>,
    tpot: Vec<f64>,
    itl: Vec<f64>,
    e2e: Vec<f64>,
    ttft_from_send: Vec<f64>,
    e2e_from_send: Vec<f64>,
    ttfo: Vec<f64>,
    queue: Vec<f64>,
}

impl Series {
    fn of(ok: &[&Record]) -> Self {
        let each = |f: &dyn Fn(&Record) -> Option<f64>| ok.iter().filter_map(|r| f(r)).collect();
        Self {
            ttft: each(&Record::ttft_ms),
            tpot: each(&Record::tpot_ms),
            itl: ok.iter().flat_map(|r| &r.gaps_ns).map(|g| *g as f64 / 1e6).collect(),
            e2e: each(&Record::e2e_ms),
            ttft_from_send: each(&|r| ms(r.sent_ns?, r.first_token_ns)),
            e2e_from_send: each(&|r| ms(r.sent_ns?, r.end_ns)),
            ttfo: each(&|r| ms(r.intended_ns, r.first_content_ns)),
            queue: each(&|r| r.queue_ms),
        }
    }

    fn metrics(self) -> Metrics {
        Metrics {
            ttft_ms: Dist::of(self.ttft),
            tpot_ms: Dist::of(self.tpot),
            itl_ms: Dist::of(self.itl),
            e2e_ms: Dist::of(self.e2e),
            ttft_from_send_ms: Dist::of(self.ttft_from_send),
            e2e_from_send_ms: Dist::of(self.e2e_from_send),
            ttfo_ms: Dist::of(self.ttfo),
            queue_ms: Dist::of(self.queue),
        }
    }
}

fn offered(c: &Conditions, measured: &[&Record]) -> Offered {
    let gap = |at: &dyn Fn(&Record) -> u64| {
        let times = || measured.iter().filter(|r| r.turn == 0).map(|r| at(r));
        let span = times().max().zip(times().min()).map(|(a, b)| (a - b) as f64 / 1e9);
        let gaps = times().count().saturating_sub(1) as f64;
        span.filter(|s| *s > 0.0).map(|s| gaps / s)
    };
    let between = |a: u64, b: u64| b.saturating_sub(a) as f64 / 1e6;
    Offered {
        arrival: c.arrival.name().to_owned(),
        scheduled_rate: c.arrival.is_open().then(|| gap(&|r| r.intended_ns)).flatten(),
        delivered_rate: gap(&|r| r.picked_ns),
        lateness_ms: Dist::of(measured.iter().map(|r| between(r.intended_ns, r.picked_ns)).collect()),
        held_ms: Dist::of(measured.iter().map(|r| between(r.picked_ns, r.started_ns)).collect()),
    }
}

fn throughput(measured: &[&Record], ok: &[&Record]) -> Throughput {
    let start = measured.iter().map(|r| r.intended_ns).min().unwrap_or(0);
    let end = measured.iter().map(|r| r.end_ns.or(r.sent_ns).unwrap_or(r.started_ns)).max().unwrap_or(start);
    let duration_s = end.saturating_sub(start) as f64 / 1e9;
    let rate = |n: u64| if duration_s > 0.0 { n as f64 / duration_s } else { 0.0 };
    let input: u64 = ok.iter().map(|r| r.input_tokens()).sum();
    let output: u64 = ok.iter().map(|r| r.output_tokens()).sum();
    Throughput {
        duration_s,
        requests: rate(ok.len() as u64),
        output_tokens: rate(output),
        input_tokens: rate(input),
        total_tokens: rate(input + output),
    }
}

fn requirement(sla: &Sla, series: &Series, ok: u64, failed: u64) -> SlaResult {
    let values = match sla.metric.as_str() {
        "ttft_ms" => &series.ttft,
        "tpot_ms" => &series.tpot,
        "itl_ms" => &series.itl,
        "e2e_ms" => &series.e2e,
        _ => return success(sla, ok, ok + failed),
    };
    latency(sla, &sorted(values), failed)
}

/// A request is good when it succeeded and its own TTFT, TPOT and end-to-end time are within every bound on them.
fn goodput(slas: &[Sla], ok: &[&Record], sent: u64, seconds: f64) -> Option<Goodput> {
    let own = |s: &&Sla| matches!(s.metric.as_str(), "ttft_ms" | "tpot_ms" | "e2e_ms");
    slas.iter().find(own)?;
    let good = |r: &&&Record| {
        slas.iter().filter(own).all(|s| {
            let value = match s.metric.as_str() {
                "ttft_ms" => r.ttft_ms(),
                // A single token has no time per further token.
                "tpot_ms" => Some(r.tpot_ms().unwrap_or(0.0)),
                _ => r.e2e_ms(),
            };
            value.is_some_and(|v| v <= s.bound)
        })
    };
    let count = ok.iter().filter(good).count() as u64;
    let requests = if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    Some(Goodput { requests, attainment: share(count, sent) })
}

fn failures(measured: &[&Record]) -> Vec<FailureRow> {
    let mut classes: BTreeMap<&str, FailureRow> = BTreeMap::new();
    for r in measured {
        let Some(class) = r.failure.as_deref() else { continue };
        let row = classes.entry(class).or_insert_with(|| FailureRow {
            class: class.to_owned(),
            count: 0,
            example: r.detail.clone().unwrap_or_default(),
        });
        row.count += 1;
    }
    let mut rows: Vec<FailureRow> = classes.into_values().collect();
    rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.class.cmp(&b.class)));
    rows
}

fn tokens(ok: &[&Record]) -> Tokens {
    let stated = ok.iter().filter(|r| r.completion_tokens.is_some()).count();
    let basis = match stated {
        n if n == ok.len() => "usage",
        0 => "chunks",
        _ => "mixed",
    };
    let output: u64 = ok.iter().map(|r| r.output_tokens()).sum();
    let chunks: u64 = ok.iter().map(|r| r.content_chunks + r.reasoning_chunks).sum();
    // A later turn's prompt holds the earlier ones, which are not in its nominal length.
    let firsts = || ok.iter().filter(|r| r.turn == 0 && r.prompt_tokens.is_some());
    let nominal: u64 = firsts().map(|r| r.input_nominal).sum();
    let told: u64 = firsts().filter_map(|r| r.prompt_tokens).sum();
    Tokens {
        input: ok.iter().map(|r| r.input_tokens()).sum(),
        output,
        basis: basis.to_owned(),
        short: ok.iter().filter(|r| r.output_tokens() < r.output_asked).count() as u64,
        input_per_nominal: (nominal > 0).then(|| told as f64 / nominal as f64),
        per_chunk: (chunks > 0).then(|| output as f64 / chunks as f64),
        without_done: ok.iter().filter(|r| !r.done).count() as u64,
    }
}

fn client(facts: &ClientFacts, measured: &[&Record]) -> ClientFigures {
    ClientFigures {
        cpu_seconds: facts.cpu_seconds,
        cpu_us_per_event: (facts.events > 0).then(|| facts.cpu_seconds * 1e6 / facts.events as f64),
        busiest_core: facts.busiest_core,
        threads: facts.threads,
        events: facts.events,
        connections: facts.connections,
        reused: measured.iter().filter(|r| r.reused).count() as u64,
        retries: measured.iter().map(|r| u64::from(r.retries)).sum(),
    }
}

fn warnings(e: &Evidence, measured: &[&Record], tokens: &Tokens, cache: &PrefixCache) -> Vec<String> {
    let mut out = Vec::new();
    if cache.verdict == "contaminated" {
        out.push(format!(
            "{:.0} % of the prompt tokens came from a prefix cache, {:.0} % were declared: flush the cache, or let each trial have its own prompts",
            cache.usage_share.or(cache.counter_share).unwrap_or(0.0) * 100.0,
            cache.declared_share.unwrap_or(0.0) * 100.0
        ));
    }
    if tokens.basis != "usage" && !measured.is_empty() {
        out.push(format!(
            "output tokens are counted by {}: the server states no usage for each answer",
            tokens.basis
        ));
    }
    if tokens.short > 0 {
        out.push(format!("{} answers have fewer tokens than were asked for", tokens.short));
    }
    if tokens.per_chunk.is_some_and(|t| t > 1.05) {
        out.push("events carry more than one token each, so ITL is a gap between events".to_owned());
    }
    let missing = e
        .client
        .planned_requests
        .saturating_sub(e.records.iter().filter(|r| r.phase == Phase::Measured).count() as u64);
    if missing > 0 {
        let why = if e.client.interrupted {
            "the run was stopped"
        } else {
            "an earlier turn of the session failed"
        };
        out.push(format!("{missing} planned requests were not made or not finished: {why}"));
    }
    out
}

fn definitions() -> BTreeMap<String, String> {
    [
        ("ttft_ms", "intended send time to the first event that carries a token, content or reasoning; a role alone, null or empty text does not count"),
        ("tpot_ms", "(e2e - ttft) / (output tokens - 1) of each request; none for a single token"),
        ("itl_ms", "time between events that carry tokens, all gaps of all successful requests together"),
        ("e2e_ms", "intended send time to the last event"),
        ("intended send time", "open loop: the time of the drawn schedule; closed loop: when the slot was free"),
        ("percentiles", "linear interpolation between observations (NumPy's default)"),
        ("throughput", "of successful requests, over the time from the first intended send time to the last event"),
        ("output tokens", "the server's usage where stated, else events that carry a token"),
        ("certified", "order statistics as distribution-free bounds, one-sided 99 %; a failed request counts as slower than any"),
        ("success", "HTTP 200, an event stream read to [DONE] or a finish reason, at least one token, usage that contradicts neither the request nor the events"),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .collect()
}

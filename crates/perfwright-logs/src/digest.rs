//! Findings to a report. Memory is bounded whatever the log holds.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Class};
use crate::collective::Collectives;
use crate::failure::Firsts;
use crate::hit::{Event, Hit, Sink, Value};
use crate::load::LoadWatch;
use crate::path::{Field, Origin, Standing, Statement, Statements};
use crate::reader::Reader;
use crate::report::{Fallback, Incident, LogReport, Oom, Ready, Seen, Startup};
use crate::repr;
use crate::stack::{StackKind, StackWatch};

const MAX_TEXT: usize = 400;
const MAX_OOMS: usize = 64;
const MAX_FALLBACKS: usize = 64;

/// Collects findings. It can be asked at any moment: a live log is ready when [`Digest::ready`] is there.
#[derive(Debug, Default)]
pub struct Digest {
    engines: BTreeMap<String, u64>,
    version: Option<String>,
    ready: Option<Ready>,
    incidents: Firsts,
    startups: Firsts,
    ooms: Vec<Oom>,
    collectives: Collectives,
    stack: StackWatch,
    load: LoadWatch,
    statements: Statements,
    pending: Vec<(String, bool, Seen)>,
    fallbacks: Vec<Fallback>,
    signatures: BTreeMap<String, Seen>,
    loading: bool,
    /// Line of the first order to stop.
    stopped: Option<u64>,
}

/// Argument lines kept; each engine process writes one.
const MAX_ARG_LINES: usize = 16;

impl Sink for Digest {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Hit(hit) => self.hit(hit),
            Event::Follow { text, .. } => self.stack.frame(text),
        }
    }
}

impl Digest {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether and where the engine said that it takes requests.
    #[must_use]
    pub fn ready(&self) -> Option<&Ready> {
        self.ready.as_ref()
    }

    /// Whether something was seen after which the engine will not become ready.
    #[must_use]
    pub fn failed(&self) -> Option<&str> {
        let fatal = |c: &&str| crate::failure::depth(c).is_some_and(|d| d >= 28);
        self.startups
            .by_line()
            .first()
            .map(|(c, _)| *c)
            .or_else(|| self.incidents.ranked().into_iter().map(|(c, _)| c).find(fatal))
    }

    fn hit(&mut self, hit: &Hit<'_>) {
        let s = hit.signature;
        if s.engine != "any" {
            *self.engines.entry(s.engine.clone()).or_default() += 1;
        }
        if hit.prefix.trtllm {
            *self.engines.entry("tensorrt-llm".to_owned()).or_default() += 1;
        }
        match self.signatures.get_mut(&s.id) {
            Some(known) => known.count += 1,
            None => {
                self.signatures.insert(s.id.clone(), seen(hit));
            }
        }
        if let (Class::Engine, Some(version)) = (s.class, hit.value("version")) {
            self.version.get_or_insert_with(|| version.text());
        }
        if s.id == "any.shutdown" {
            self.stopped.get_or_insert(hit.line);
        }
        // Processes that end after somebody told the engine to stop did not crash.
        let told = self.stopped.is_some();
        let ends = |class: &str| matches!(class, "crash.engine_dead" | "crash.child_process");
        if let Some(class) = s.incident.as_ref().filter(|c| !(told && ends(c))) {
            self.incidents.add(class, seen(hit));
        }
        if let Some(class) = &s.startup {
            self.startups.add(class, seen(hit));
        }
        match s.class {
            Class::Readiness => match &mut self.ready {
                Some(ready) => ready.count += 1,
                None => self.ready = Some(Ready { first: seen(hit), count: 1 }),
            },
            Class::Oom => self.oom(hit),
            Class::Load => self.load.take(hit),
            Class::Fallback => self.fallback(hit),
            Class::Args if self.pending.len() < MAX_ARG_LINES => {
                self.pending.push((hit.text.to_owned(), s.asked, seen(hit)));
                self.loading = true;
            }
            Class::Memory => self.loading = true,
            _ => {}
        }
        if s.id.starts_with("any.nccl-") {
            self.collectives.take(hit);
        }
        let text_of = |name: &str| hit.value(name).map(Value::text).unwrap_or_default();
        match s.id.as_str() {
            "any.pyspy-thread" => {
                self.stack.thread(hit.line, &text_of("thread_state"), &text_of("thread_name"));
            }
            // faulthandler names no states; the current thread is the one that stands there.
            "any.faulthandler-thread" => self.stack.thread(hit.line, "active", ""),
            _ => self.stack.frame(hit.text),
        }
        for state in &s.states {
            let value = match (&state.value, &state.from) {
                (Some(value), _) => value.clone(),
                (None, Some(from)) => match hit.value(from) {
                    Some(value) => value.text(),
                    None => continue,
                },
                (None, None) => continue,
            };
            self.state(state.field, &value, Standing::Observed, &seen(hit));
        }
    }

    fn state(&mut self, field: Field, value: &str, standing: Standing, seen: &Seen) {
        let after_ready = self.ready.as_ref().is_some_and(|r| r.first.line < seen.line);
        self.statements.add(Statement::new(field, value, standing, Origin::Log, after_ready, Some(seen)));
    }

    fn oom(&mut self, hit: &Hit<'_>) {
        if self.ooms.len() < MAX_OOMS {
            self.ooms.push(Oom {
                line: hit.line,
                device: hit.int("device"),
                tried: hit.int("tried"),
                total: hit.int("total"),
                free: hit.int("free"),
                process: hit.int("process"),
                allocated: hit.int("allocated"),
                reserved: hit.int("reserved"),
            });
        }
    }

    fn fallback(&mut self, hit: &Hit<'_>) {
        let after_ready = self.ready.is_some();
        let new = seen(hit);
        // One entry for each wording: numbers differ from rank to rank.
        let shape = |t: &str| t.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let same =
            |f: &&mut Fallback| f.after_ready == after_ready && shape(&f.seen.text) == shape(&new.text);
        let full = self.fallbacks.len() >= MAX_FALLBACKS;
        match self.fallbacks.iter_mut().find(same) {
            Some(known) => known.seen.count += 1,
            None if !full => self.fallbacks.push(Fallback { seen: new, after_ready }),
            None => {}
        }
    }

    /// The engine that writes: the one most lines belong to.
    #[must_use]
    pub fn engine(&self) -> Option<&str> {
        self.engines.iter().max_by_key(|(_, n)| **n).map(|(e, _)| e.as_str())
    }

    /// What the path is, as far as the log says.
    #[must_use]
    pub fn statements(&self, catalog: &Catalog) -> Statements {
        let mut all = self.statements.clone();
        let observed = |field, value: &str, line: Option<u64>| {
            let seen = line.map(|line| Seen {
                signature: "load".to_owned(),
                line,
                offset: 0,
                time: None,
                ranks: crate::prefix::Ranks::default(),
                text: String::new(),
                count: 1,
            });
            Statement::new(field, value, Standing::Observed, Origin::Log, true, seen.as_ref())
        };
        if let Some(engine) = self.engine() {
            all.add(observed(Field::Engine, engine, None));
        }
        if let Some(version) = &self.version {
            all.add(observed(Field::EngineVersion, version, None));
        }
        for (text, asked, seen) in &self.pending {
            let standing = if *asked { Standing::Asked } else { Standing::Resolved };
            let inner = ["ServerArgs(", "Namespace(", "with config:"]
                .iter()
                .find_map(|mark| text.split_once(mark).map(|(_, inner)| inner));
            let args = repr::args(inner.unwrap_or(text));
            let after_ready = self.ready.as_ref().is_some_and(|r| r.first.line < seen.line);
            crate::path::from_args(
                catalog,
                self.engine(),
                &args,
                &mut |field, value| {
                    all.add(Statement::new(field, value, standing, Origin::Log, after_ready, Some(seen)));
                },
                standing,
            );
        }
        // Graphs that were captured and never run are a path of their own. A short run of large batches proves nothing.
        let load = &self.load.sums;
        if load.decode_graph > 0 {
            all.add(observed(Field::CudaGraph, "on", load.first_decode));
        } else if load.decode_no_graph >= 3 {
            all.add(observed(Field::CudaGraph, "off", load.first_decode));
        }
        all
    }

    /// What the log says so far.
    #[must_use]
    pub fn report(&self, reader: &Reader<'_>) -> LogReport {
        let (memory_looking, memory_known) = reader.memory_coverage();
        LogReport {
            engine: self.engine().map(str::to_owned),
            version: self.version.clone(),
            ready: self.ready.clone(),
            incident: self.incident(),
            startup: self.startup(),
            ooms: self.ooms.clone(),
            collectives: self.collectives.ranks(),
            stack: self.stack.decided().map(|(kind, _)| kind),
            load: self.load.sums.clone(),
            statements: self.statements(reader.catalog()).into_vec(),
            fallbacks: self.fallbacks.clone(),
            signatures: self.signatures.values().cloned().collect(),
            lines: reader.line_count(),
            bytes: reader.bytes(),
            dropped_bytes: reader.dropped(),
            memory_looking,
            memory_known,
        }
    }

    fn incident(&self) -> Incident {
        let mut all = Firsts::default();
        for (class, seen) in self.incidents.ranked() {
            all.add(class, seen.clone());
        }
        // Classes that a single line does not show.
        let derived = |line: u64, what: &str, like: Option<&Seen>| Seen {
            signature: what.to_owned(),
            line,
            offset: like.map_or(0, |s| s.offset),
            time: like.and_then(|s| s.time),
            ranks: like.map(|s| s.ranks).unwrap_or_default(),
            text: like.map(|s| s.text.clone()).unwrap_or_default(),
            count: 1,
        };
        if let Some(line) = self.collectives.mismatch() {
            let like = all.get("hang.collective_timeout").cloned();
            all.add("hang.collective_mismatch", derived(line, "collective.ranks-disagree", like.as_ref()));
        }
        if let (Some(watchdog), Some((StackKind::PythonLoop, line))) =
            (all.get("hang.scheduler_watchdog").cloned(), self.stack.decided())
        {
            all.add("hang.cpu_python_loop", derived(line, "stack.python-loop", Some(&watchdog)));
        }
        if let Some(line) = self.load.queueing() {
            all.add("slow.queueing", derived(line, "load.queue-grows", None));
        }
        let mut ranked = all.ranked().into_iter().map(|(c, s)| (c.to_owned(), s.clone()));
        match ranked.next() {
            Some((class, seen)) => {
                Incident { class, line: Some(seen.line), evidence: Some(seen), secondary: ranked.collect() }
            }
            None => {
                let works =
                    self.load.sums.decode_lines + self.load.sums.prefill_lines > 0 || self.ready.is_some();
                let class = if works && self.startups.is_empty() { "healthy" } else { "unknown" };
                Incident { class: class.to_owned(), line: None, evidence: None, secondary: Vec::new() }
            }
        }
    }

    /// The first cause is the one that ended the start; classes that only repeat it come later in a log.
    fn startup(&self) -> Option<Startup> {
        let classes = self.startups.by_line();
        let specific = classes.iter().filter(|(c, _)| *c != "other");
        // A more telling message about one event may come after the bare CUDA message.
        let telling =
            ["warmup_oom", "graph_capture_oom"].iter().find_map(|c| classes.iter().find(|(k, _)| k == c));
        let first = specific.clone().next();
        let chosen = match (first, telling) {
            (Some((class, _)), Some(telling)) if *class == "runtime_oom" => Some(telling),
            (first, _) => first,
        };
        if let Some((class, seen)) = chosen.or(classes.first()) {
            // A failure long after the start is an incident and not a failed start.
            if self.ready.as_ref().is_some_and(|r| r.first.line < seen.line) && *class != "runtime_oom" {
                return None;
            }
            return Some(Startup { class: (*class).to_owned(), evidence: Some((*seen).clone()) });
        }
        let stopped = self.loading
            && self.ready.is_none()
            && self.load.sums.decode_lines + self.load.sums.prefill_lines == 0;
        let failed =
            self.incidents.ranked().iter().any(|(c, _)| crate::failure::depth(c).is_some_and(|d| d >= 28));
        match (stopped, failed) {
            (true, false) => Some(Startup { class: "stopped_mid_load".to_owned(), evidence: None }),
            (true, true) => Some(Startup { class: "other".to_owned(), evidence: None }),
            _ => None,
        }
    }
}

fn seen(hit: &Hit<'_>) -> Seen {
    let text = &hit.text[..hit.text.floor_char_boundary(MAX_TEXT)];
    Seen {
        signature: hit.signature.id.clone(),
        line: hit.line,
        offset: hit.offset,
        time: hit.prefix.time,
        ranks: hit.prefix.ranks,
        text: text.to_owned(),
        count: 1,
    }
}

//! Profiles of a quickstart and what they say.

use std::path::{Path, PathBuf};

use perfwright_trace::compare::{CompareOptions, compare};
use perfwright_trace::pipeline::{PipelineOptions, pipeline};
use perfwright_trace::triage::{Catalogs, TriageOptions, triage};
use serde_json::Value;

use super::super::trace::diagnostic;
use super::lab::Server;
use super::terms::{MODEL, Terms};
use super::trees::Places;
use crate::codes;
use crate::diagnostic::Diagnostic;

/// Prompts of one batch of a profile.
const BATCH: usize = 4;

/// How a side is started to be asked directly: the command, without model, port and threads, and its environment.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    /// What its processes carry.
    pub mark: String,
}

impl Asked {
    /// The target in the tree of a commit.
    pub(super) fn target(places: &Places, tree: &Path, program: &str, flags: &[(String, Value)]) -> Self {
        let mut argv = vec!["sh".to_owned(), tree.join("serve.sh").to_string_lossy().into_owned()];
        argv.extend(words(flags));
        Self { argv, env: vec![("PERFWRIGHT".to_owned(), program.to_owned())], mark: places.mark() }
    }

    /// The same with its changes switched off.
    pub(super) fn off(mut self) -> Self {
        self.env.push(("ENGINE_OPS".to_owned(), "naive".to_owned()));
        self
    }

    /// The competitor.
    pub(super) fn competitor(places: &Places, program: &str, flags: &[(String, Value)]) -> Self {
        let mut argv: Vec<String> = [program, "lab", "serve", "--ops", "fused"].map(str::to_owned).to_vec();
        argv.extend(words(flags));
        Self { argv, env: Vec::new(), mark: places.mark() }
    }

    /// Starts it, writing its log and profiles below `dir`.
    pub(super) fn start(&self, dir: &Path) -> Result<Server, Diagnostic> {
        std::fs::create_dir_all(dir).map_err(|e| Diagnostic::reading(dir, &e))?;
        let mut argv = self.argv.clone();
        let folder = dir.to_string_lossy().into_owned();
        let more = ["--model", MODEL, "--port", "0", "--threads", "1", "--profile-dir", &folder];
        argv.extend(more.map(str::to_owned));
        Server::start(&argv, &self.env, &self.mark, &dir.join("server.log"))
    }
}

fn words(flags: &[(String, Value)]) -> Vec<String> {
    let one = |(name, value): &(String, Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        [format!("--{}", name.replace('_', "-")), text]
    };
    flags.iter().flat_map(one).collect()
}

/// Prompts as long as those of the workload.
fn prompts(terms: &Terms) -> Vec<String> {
    let words = ["serve", "batch", "cache", "token", "layer", "query"];
    let one = |n: usize| {
        let text: Vec<&str> =
            (0..terms.input_len as usize).map(|i| words[(i * 7 + n) % words.len()]).collect();
        format!("{n} {}", text.join(" "))
    };
    (0..BATCH).map(one).collect()
}

/// Records a profile of a side.
pub(super) fn profile(asked: &Asked, terms: &Terms, dir: &Path) -> Result<PathBuf, Diagnostic> {
    let _ = std::fs::remove_dir_all(dir);
    let server = asked.start(dir)?;
    let trace = server.profile(&prompts(terms), terms.output_len, dir);
    let stopped = server.stop();
    let trace = trace?;
    stopped.map(|()| trace)
}

/// The catalogues that are compiled in.
pub(super) fn catalogs() -> Result<Catalogs, Diagnostic> {
    super::super::trace::catalogs(None)
}

fn value(answer: impl serde::Serialize) -> Result<Value, Diagnostic> {
    serde_json::to_value(answer).map_err(|e| Diagnostic::new(codes::INTERNAL, e.to_string()))
}

/// The three tables of a trace.
pub(super) fn tables(trace: &Path) -> Result<Value, Diagnostic> {
    value(triage(trace, &catalogs()?, &TriageOptions::default()).map_err(|e| diagnostic(&e))?)
}

/// The layers of a trace.
pub(super) fn layers(trace: &Path) -> Result<Value, Diagnostic> {
    value(pipeline(trace, &catalogs()?, &PipelineOptions::default()).map_err(|e| diagnostic(&e))?)
}

/// Two traces, target first.
pub(super) fn compared(a: &Path, b: &Path) -> Result<Value, Diagnostic> {
    value(compare(a, b, &catalogs()?, &CompareOptions::default()).map_err(|e| diagnostic(&e))?)
}

//! Writing an answer into a run folder.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use perfwright_evidence::{
    Basis, Clock, EvidenceMeta, Gate, Host, LockError, Registry, Rule, RunError, RunSpec, RunWriter,
    VerdictOutcome, default_run_dir_name,
};
use serde_json::Value;

use crate::codes;
use crate::context::Context;
use crate::diagnostic::Diagnostic;

/// Every gate this binary can evaluate.
///
/// # Errors
/// Two crates exporting one gate under one version is a bug.
pub(crate) fn registry() -> Result<Registry, Diagnostic> {
    Registry::new(
        [perfwright_trace::gate::GATES, perfwright_loop::GATES, perfwright_loop::IMPORT_GATES].concat(),
    )
    .map_err(|e| Diagnostic::new(codes::INTERNAL, e.to_string()))
}

/// Where a run goes: the folder that was asked for, or a new one below the runs folder.
pub(crate) fn run_dir(asked: Option<&Path>, noun: &str, slug: &str, context: &Context) -> PathBuf {
    match asked {
        Some(dir) => dir.to_owned(),
        None => {
            let random = RandomState::new().hash_one(std::process::id()) as u16;
            context.settings.runs_dir.join(default_run_dir_name(Clock::System.now_ms(), noun, slug, random))
        }
    }
}

/// A run that is being written.
pub(crate) struct Recording {
    run: RunWriter,
    dir: PathBuf,
}

impl Recording {
    /// Starts a run, or goes on with an interrupted one of the same procedure and contract.
    pub(crate) fn start(
        dir: &Path,
        procedure: &str,
        contract: Value,
        context: &Context,
    ) -> Result<Self, Diagnostic> {
        let mut spec = RunSpec::new(procedure, env!("PW_VERSION"), contract);
        spec.argv.clone_from(&context.argv);
        spec.env = context.env.text_pairs();
        spec.host = Host::capture(Path::new("/"));
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|e| not_writable(parent, &e))?;
        }
        let run = RunWriter::create_or_resume(dir, &spec).map_err(|e| diagnostic(dir, &e))?;
        Ok(Self { run, dir: dir.to_owned() })
    }

    /// Records an input file: a copy, or a reference where it is large.
    pub(crate) fn input(&mut self, name: &str, path: &Path) -> Result<(), Diagnostic> {
        if self.has(name) {
            return Ok(());
        }
        let gzip = std::fs::File::open(path).is_ok_and(|mut f| {
            let mut magic = [0; 2];
            std::io::Read::read_exact(&mut f, &mut magic).is_ok() && magic == [0x1f, 0x8b]
        });
        let media = if gzip { "application/gzip" } else { "application/json" };
        let meta = EvidenceMeta::new(media, Basis::Imported);
        self.run.add_input(name, path, &meta).map(|_| ()).map_err(|e| diagnostic(&self.dir, &e))
    }

    /// Records bytes that were computed from imported evidence.
    pub(crate) fn derived(
        &mut self,
        name: &str,
        bytes: &[u8],
        media: &str,
        schema: Option<&str>,
    ) -> Result<(), Diagnostic> {
        if self.has(name) {
            return Ok(());
        }
        let mut meta = EvidenceMeta::new(media, Basis::Imported);
        meta.schema = schema.map(str::to_owned);
        self.run.add_bytes(name, bytes, &meta).map_err(|e| diagnostic(&self.dir, &e))
    }

    /// An interrupted run may hold the file already; its contract names the same input, so it is the same.
    fn has(&self, name: &str) -> bool {
        self.run.evidence().iter().any(|e| e.name == name)
    }

    /// Evaluates the gates, closes the run, and says where it is.
    pub(crate) fn finish(self, gates: &[Gate], context: &Context) -> Result<VerdictOutcome, Diagnostic> {
        let dir = self.dir;
        let finished = self.run.finish(gates, Rule::AnsweredV1).map_err(|e| diagnostic(&dir, &e))?;
        context.note(0, &format!("recorded in {}", dir.display()));
        Ok(finished.verdict.outcome)
    }
}

fn not_writable(path: &Path, e: &std::io::Error) -> Diagnostic {
    Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "cannot write the run").file(path).cause(e.to_string())
}

/// A run error with its code.
pub(crate) fn diagnostic(dir: &Path, e: &RunError) -> Diagnostic {
    let (code, message) = match e {
        RunError::Io { path, source } => return not_writable(path, source),
        RunError::Source { path, source } => return Diagnostic::reading(path, source),
        RunError::Lock(LockError::Held { .. }) => (codes::RUN_LOCKED, "another process writes to the run"),
        RunError::Lock(LockError::Io { .. }) | RunError::Watcher { .. } | RunError::Poisoned => {
            (codes::OUTPUT_NOT_WRITABLE, "cannot write the run")
        }
        RunError::ContractDiffers { .. } => {
            (codes::RUN_CONTRACT_DIFFERS, "the run was begun under another contract")
        }
        RunError::Broken { .. } | RunError::Strangers(_) => {
            (codes::RUN_TAMPERED, "recorded evidence differs from what was recorded")
        }
        RunError::TooLarge { .. } | RunError::Secret(_) | RunError::Canonical(_) => {
            (codes::INPUT_READ_FAILED, "the input cannot be recorded")
        }
        _ => (codes::RUN_FOREIGN_FOLDER, "the folder cannot take this run"),
    };
    Diagnostic::new(code, message)
        .file(dir)
        .cause(e.to_string())
        .help("name a new folder with --run-dir, or look at this one with `perfwright run show`")
}

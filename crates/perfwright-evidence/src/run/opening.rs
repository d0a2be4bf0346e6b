//! What a run is started with, and the first event that keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::git::{Repo, RepoState};
use crate::hash::sha256_hex;
use crate::host::{Gpu, Gpus, Host};
use crate::json::{CanonicalError, canonical};
use crate::limits::Limits;
use crate::lock::LockPlace;
use crate::model::LEDGER_SCHEMA;
use crate::redact::Redactor;
use crate::time::Clock;

/// What a run is started with. The library reads neither the command line nor the environment: both come in here,
/// whole, and leave their secrets here.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// The procedure, e.g. `trace triage`. A run is resumed only by its own procedure.
    pub procedure: String,
    /// Version of the program.
    pub version: String,
    /// The command line, secrets and all.
    pub argv: Vec<String>,
    /// The whole environment; the allow-listed part of it is kept.
    pub env: Vec<(String, String)>,
    /// The locked conditions.
    pub contract: Value,
    /// The machine.
    pub host: Host,
    /// Git state of repositories.
    pub repos: Vec<Repo>,
    /// Where time stamps come from.
    pub clock: Clock,
    /// Where the lock lies.
    pub lock: LockPlace,
    /// The limits of the format.
    pub limits: Limits,
}

impl RunSpec {
    /// A spec with an empty command line, environment and host, the system clock and the default lock and limits.
    #[must_use]
    pub fn new(procedure: &str, version: &str, contract: Value) -> Self {
        Self {
            procedure: procedure.to_owned(),
            version: version.to_owned(),
            argv: Vec::new(),
            env: Vec::new(),
            contract,
            host: Host::default(),
            repos: Vec::new(),
            clock: Clock::System,
            lock: LockPlace::Beside,
            limits: Limits::default(),
        }
    }

    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::new(&self.argv, &self.env)
    }

    /// The contract as it is stored, and its hash.
    pub(crate) fn contract_bytes(&self, redactor: &Redactor) -> Result<(Vec<u8>, String), CanonicalError> {
        let bytes = canonical(&redactor.value(&self.contract))?;
        let hash = sha256_hex(&bytes);
        Ok((bytes, hash))
    }
}

/// The first event, and the part of the manifest that is known from the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) kind: String,
    pub(crate) schema: String,
    pub(crate) perfwright: String,
    pub(crate) procedure: String,
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) host: Host,
    pub(crate) repos: Vec<Repo>,
    pub(crate) contract_sha256: String,
}

impl Opening {
    /// The fields that the manifest repeats.
    pub(crate) const SHARED: [&str; 7] =
        ["perfwright", "procedure", "argv", "env", "host", "repos", "contract_sha256"];

    pub(crate) fn new(spec: &RunSpec, redactor: &Redactor, contract_sha256: &str) -> Self {
        Self {
            kind: "open".to_owned(),
            schema: LEDGER_SCHEMA.to_owned(),
            perfwright: redactor.text(&spec.version),
            procedure: redactor.text(&spec.procedure),
            argv: redactor.argv(&spec.argv),
            env: redactor.env(&spec.env),
            host: host(&spec.host, redactor),
            repos: spec.repos.iter().map(|r| repo(r, redactor)).collect(),
            contract_sha256: contract_sha256.to_owned(),
        }
    }
}

// Field by field rather than over the JSON: a secret that happens to be the word `devices` must not change a key.

fn host(host: &Host, redactor: &Redactor) -> Host {
    let text = |t: &Option<String>| t.as_ref().map(|t| redactor.text(t));
    let devices = host.gpus.devices.iter().map(|gpu| Gpu {
        name: redactor.text(&gpu.name),
        memory_bytes: gpu.memory_bytes,
        driver: text(&gpu.driver),
    });
    Host {
        cpu: text(&host.cpu),
        logical_cpus: host.logical_cpus,
        memory_bytes: host.memory_bytes,
        kernel: text(&host.kernel),
        gpus: Gpus {
            devices: devices.collect(),
            versions: host.gpus.versions.iter().map(|(k, v)| (k.clone(), redactor.text(v))).collect(),
            reason: text(&host.gpus.reason),
        },
    }
}

fn repo(repo: &Repo, redactor: &Redactor) -> Repo {
    let state = match &repo.state {
        RepoState::Commit { commit, branch, changed_paths } => RepoState::Commit {
            commit: redactor.text(commit),
            branch: branch.as_ref().map(|b| redactor.text(b)),
            changed_paths: *changed_paths,
        },
        RepoState::Unavailable { reason } => RepoState::Unavailable { reason: redactor.text(reason) },
    };
    Repo { name: redactor.text(&repo.name), path: redactor.text(&repo.path), state }
}

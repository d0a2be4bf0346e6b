//! What a run folder's JSON files hold.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::git::Repo;
use crate::host::Host;

/// The `schema` field of `manifest.json`.
pub const MANIFEST_SCHEMA: &str = "perfwright.manifest/v1";
/// The `schema` field of a ledger's first event.
pub const LEDGER_SCHEMA: &str = "perfwright.ledger/v1";

/// `manifest.json`: what a closed run was, what it holds and what it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote the run.
    pub perfwright: String,
    /// The procedure, e.g. `trace triage`.
    pub procedure: String,
    /// The command line, without secrets.
    pub argv: Vec<String>,
    /// UTC time of the first event.
    pub started: String,
    /// UTC time of the end, before the closing event.
    pub ended: String,
    /// The machine.
    pub host: Host,
    /// Git state of the repositories that the caller named.
    pub repos: Vec<Repo>,
    /// Allow-listed environment variables, without secrets.
    pub env: BTreeMap<String, String>,
    /// SHA-256 of `contract.json`, which is canonical JSON.
    pub contract_sha256: String,
    /// Every evidence file, in the order of recording.
    pub evidence: Vec<Evidence>,
    /// Every gate that was evaluated, in the order of evaluation.
    pub gates: Vec<GateRecord>,
    /// The combination of the gates.
    pub verdict: VerdictRecord,
}

/// Where evidence comes from. The order is the strength: measured here is the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Somebody said so.
    Declared,
    /// Measured elsewhere and brought here, or computed from such a file.
    Imported,
    /// Measured by this run.
    Measured,
}

/// One recorded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Relative path in the run folder, or the name of a referenced input.
    pub name: String,
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Media type, e.g. `application/json`.
    pub media_type: String,
    /// Schema of the content, e.g. `perfwright.trace-triage/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The command that made it, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Where it comes from.
    pub basis: Basis,
    /// How many secrets were replaced in the bytes; such a copy differs from its source.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redacted: u64,
    /// Path of an input that is not stored here because of its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What the caller says of evidence that it records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceMeta {
    /// Media type, e.g. `application/json`.
    pub media_type: String,
    /// Schema of the content, if it has one.
    pub schema: Option<String>,
    /// The command that made it, if one did.
    pub command: Option<String>,
    /// Where it comes from.
    pub basis: Basis,
}

impl EvidenceMeta {
    /// Evidence without schema and command.
    #[must_use]
    pub fn new(media_type: &str, basis: Basis) -> Self {
        Self { media_type: media_type.to_owned(), schema: None, command: None, basis }
    }

    /// With a schema name.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.to_owned());
        self
    }

    /// With the command that made it.
    #[must_use]
    pub fn command(mut self, command: &str) -> Self {
        self.command = Some(command.to_owned());
        self
    }
}

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The condition holds.
    Pass,
    /// The condition does not hold.
    Fail,
    /// The evidence would not be trustworthy.
    HardStop,
    /// Nothing in the evidence speaks of this condition.
    NotApplicable,
}

/// A gate's result as the manifest stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateRecord {
    /// The gate's name, e.g. `trace.usable`.
    pub id: String,
    /// The gate's version; a change of what it computes or says is a new version.
    pub version: u32,
    /// What it says.
    pub outcome: Outcome,
    /// The measured value, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Value>,
    /// The threshold it was compared with, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Value>,
    /// Why, in one sentence.
    pub reason: String,
    /// Names of the evidence whose bytes the gate read, sorted.
    pub used: Vec<String>,
    /// The strongest basis among `used`; none where nothing was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
}

impl GateRecord {
    /// `id/vN`, as verdicts name gates.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}/v{}", self.id, self.version)
    }
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictOutcome {
    /// A claim holds on evidence measured here.
    Pass,
    /// A question has its answer; nothing is claimed.
    Answered,
    /// The answer is no.
    Fail,
    /// The evidence would not be trustworthy.
    HardStop,
    /// The evidence does not decide.
    Inconclusive,
}

impl VerdictOutcome {
    /// The exit code of a command with this verdict.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass | Self::Answered => 0,
            Self::Fail | Self::Inconclusive => 1,
            Self::HardStop => 3,
        }
    }
}

/// The verdict as the manifest stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictRecord {
    /// The combination rule, e.g. `all-pass/v1`.
    pub rule: String,
    /// What the run comes to.
    pub outcome: VerdictOutcome,
    /// The weakest basis among the passing gates; none where no gate passes on evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// The gates that decided, as `id/vN`.
    pub because: Vec<String>,
}

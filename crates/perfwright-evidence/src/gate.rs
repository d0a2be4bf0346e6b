//! Gates: named pure checks over recorded evidence.
//!
//! A capability crate exports its gates as plain [`Gate`] values; the binary puts them into one [`Registry`].
//!
//! ```
//! use perfwright_evidence::{EvidenceSet, Gate, GateResult};
//!
//! fn trace_usable(evidence: &EvidenceSet) -> GateResult {
//!     let Ok(report) = evidence.json("analysis/triage.json") else {
//!         return GateResult::hard_stop("the run holds no readable triage report");
//!     };
//!     match report["totals"]["kernel"]["count"].as_u64() {
//!         Some(n) if n > 0 => GateResult::pass("the trace holds GPU kernels").measured(n),
//!         _ => GateResult::hard_stop("the trace holds no GPU kernels").measured(0),
//!     }
//! }
//!
//! pub const GATES: &[Gate] = &[Gate { id: "trace.usable", version: 1, eval: trace_usable }];
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::disk::open_regular;
use crate::hash::sha256_hex;
use crate::json::{JsonError, read};
use crate::limits::Limits;
use crate::model::{Evidence, GateRecord, Outcome};
use crate::verdict::basis_of;

/// A named check. It must be a pure function of the evidence: no clock, no environment, no randomness.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// The name, e.g. `trace.usable`.
    pub id: &'static str,
    /// Counted up whenever the result for some evidence would change, the wording of `reason` included.
    pub version: u32,
    /// The check.
    pub eval: fn(&EvidenceSet) -> GateResult,
}

/// What a gate's function returns.
#[derive(Debug, Clone, PartialEq)]
pub struct GateResult {
    /// What the gate says.
    pub outcome: Outcome,
    /// The measured value, where there is one.
    pub measured: Option<Value>,
    /// The threshold, where there is one.
    pub threshold: Option<Value>,
    /// Why, in one sentence.
    pub reason: String,
}

impl GateResult {
    fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { outcome, measured: None, threshold: None, reason: reason.into() }
    }

    /// The condition holds.
    pub fn pass(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Pass, reason)
    }

    /// The condition does not hold.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Fail, reason)
    }

    /// The evidence would not be trustworthy.
    pub fn hard_stop(reason: impl Into<String>) -> Self {
        Self::new(Outcome::HardStop, reason)
    }

    /// Nothing in the evidence speaks of this condition.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::new(Outcome::NotApplicable, reason)
    }

    /// With the measured value.
    #[must_use]
    pub fn measured(mut self, value: impl Into<Value>) -> Self {
        self.measured = Some(value.into()).filter(|v| !v.is_null());
        self
    }

    /// With the threshold it was compared with.
    #[must_use]
    pub fn threshold(mut self, value: impl Into<Value>) -> Self {
        self.threshold = Some(value.into()).filter(|v| !v.is_null());
        self
    }
}

/// Why a gate cannot have some evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The run records nothing under that name.
    #[error("the run holds no evidence {0:?}")]
    Missing(String),
    /// The evidence is an input by reference; gates read the stored extract instead.
    #[error("{0:?} is recorded by reference only")]
    ByReference(String),
    /// The bytes are not those that were recorded.
    #[error("{0:?} differs from its record")]
    Changed(String),
    /// Reading failed.
    #[error("cannot read {name:?}: {source}")]
    Io {
        /// The evidence.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// The bytes are not strict JSON.
    #[error("{name:?} is not JSON: {source}")]
    Json {
        /// The evidence.
        name: String,
        /// The cause and place.
        source: JsonError,
    },
}

/// The recorded evidence of one run, as gates see it. It remembers what was read, so that the basis of a result is
/// what the gate looked at and not what it says it looked at.
#[derive(Debug)]
pub struct EvidenceSet {
    dir: PathBuf,
    entries: Vec<Evidence>,
    limits: Limits,
    used: RefCell<BTreeSet<String>>,
}

impl EvidenceSet {
    /// The evidence `entries` of the run folder `dir`.
    #[must_use]
    pub fn new(dir: &Path, entries: Vec<Evidence>, limits: Limits) -> Self {
        Self { dir: dir.to_owned(), entries, limits, used: RefCell::default() }
    }

    /// The records, in the order of recording. Looking at them does not count as use.
    #[must_use]
    pub fn entries(&self) -> &[Evidence] {
        &self.entries
    }

    /// The bytes of one evidence file, checked against its record.
    ///
    /// # Errors
    /// Missing, recorded by reference, changed, or not readable.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, EvidenceError> {
        let entry = self
            .entries
            .iter()
            .find(|e| e.name == name)
            .ok_or_else(|| EvidenceError::Missing(name.to_owned()))?;
        if entry.reference.is_some() {
            return Err(EvidenceError::ByReference(name.to_owned()));
        }
        let io = |source| EvidenceError::Io { name: name.to_owned(), source };
        let file = open_regular(&self.dir.join(name)).map_err(io)?;
        let limit = entry.bytes.min(self.limits.max_file_bytes);
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 != entry.bytes || sha256_hex(&bytes) != entry.sha256 {
            return Err(EvidenceError::Changed(name.to_owned()));
        }
        self.used.borrow_mut().insert(name.to_owned());
        Ok(bytes)
    }

    /// One evidence file as strict JSON.
    ///
    /// # Errors
    /// As [`EvidenceSet::bytes`], or not JSON within the limits.
    pub fn json(&self, name: &str) -> Result<Value, EvidenceError> {
        let bytes = self.bytes(name)?;
        read(&bytes, &self.limits.gate_json())
            .map_err(|source| EvidenceError::Json { name: name.to_owned(), source })
    }

    /// Evaluates one gate and records what it used.
    #[must_use]
    pub fn evaluate(&self, gate: &Gate) -> GateRecord {
        self.used.borrow_mut().clear();
        let GateResult { outcome, measured, threshold, reason } = (gate.eval)(self);
        let used: Vec<String> = self.used.take().into_iter().collect();
        let basis = basis_of(&used, &self.entries).unwrap_or(None);
        GateRecord {
            id: gate.id.to_owned(),
            version: gate.version,
            outcome,
            measured,
            threshold,
            reason,
            used,
            basis,
        }
    }

    /// The evidence of a run that was recorded whole below the folder `prefix` of this one, under its own names.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        let inner = |e: &Evidence| {
            let name = e.name.strip_prefix(prefix)?.strip_prefix('/')?.to_owned();
            Some(Evidence { name, ..e.clone() })
        };
        let entries = self.entries.iter().filter_map(inner).collect();
        Self::new(&self.dir.join(prefix), entries, self.limits)
    }

    /// What `gate` says of the run that was recorded whole below `prefix`. What it reads counts as read from here.
    #[must_use]
    pub fn evaluate_below(&self, prefix: &str, gate: &Gate) -> GateRecord {
        let record = self.below(prefix).evaluate(gate);
        self.used.borrow_mut().extend(record.used.iter().map(|name| format!("{prefix}/{name}")));
        record
    }
}

/// Two gates have one name and version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gate {id}/v{version} is registered twice")]
pub struct DuplicateGate {
    /// The name.
    pub id: &'static str,
    /// The version.
    pub version: u32,
}

/// The gates that a program knows. Old versions stay registered for as long as their runs shall verify.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    gates: Vec<Gate>,
}

impl Registry {
    /// A registry of these gates.
    ///
    /// # Errors
    /// Two gates of one name and version.
    pub fn new(gates: impl IntoIterator<Item = Gate>) -> Result<Self, DuplicateGate> {
        let mut registry = Self::default();
        for gate in gates {
            if registry.find(gate.id, gate.version).is_some() {
                return Err(DuplicateGate { id: gate.id, version: gate.version });
            }
            registry.gates.push(gate);
        }
        Ok(registry)
    }

    /// The gate of that name and version.
    #[must_use]
    pub fn find(&self, id: &str, version: u32) -> Option<&Gate> {
        self.gates.iter().find(|g| g.id == id && g.version == version)
    }

    /// Every gate, in the order of registration.
    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }
}

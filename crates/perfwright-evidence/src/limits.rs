//! How much a verifier reads at most. A writer keeps to the same numbers, so a run beyond them is not well formed.

use crate::json::JsonLimits;

/// Bounds of the run folder format, version 1. `docs/verification.md` lists the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and directories below the run folder.
    pub max_entries: usize,
    /// Components of an evidence name.
    pub max_name_components: usize,
    /// Bytes of an evidence name.
    pub max_name_bytes: usize,
    /// Bytes of one evidence file.
    pub max_file_bytes: u64,
    /// Bytes of all evidence files together.
    pub max_total_bytes: u64,
    /// Bytes of `manifest.json`.
    pub max_manifest_bytes: usize,
    /// Bytes of `contract.json`.
    pub max_contract_bytes: usize,
    /// Bytes of `ledger.jsonl`.
    pub max_ledger_bytes: u64,
    /// Lines of `ledger.jsonl`.
    pub max_events: usize,
    /// Bytes of one ledger line without its line feed.
    pub max_line_bytes: usize,
    /// Gates that a manifest stores.
    pub max_gates: usize,
    /// Nesting of any JSON the verifier reads.
    pub max_json_depth: usize,
    /// Bytes of evidence that a gate may read as one JSON value.
    pub max_gate_json_bytes: usize,
    /// Bytes of a referenced input that verify is willing to hash.
    pub max_reference_bytes: u64,
    /// Differences that a report lists; the rest is counted.
    pub max_differences: usize,
}

/// Inputs above this are recorded by reference: 64 MiB.
pub const REFERENCE_ABOVE_BYTES: u64 = 64 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 20_000,
            max_name_components: 16,
            max_name_bytes: 512,
            max_file_bytes: 1 << 30,
            max_total_bytes: 16 << 30,
            max_manifest_bytes: 16 << 20,
            max_contract_bytes: 1 << 20,
            max_ledger_bytes: 64 << 20,
            max_events: 100_000,
            max_line_bytes: 1 << 20,
            max_gates: 1000,
            max_json_depth: 64,
            max_gate_json_bytes: 256 << 20,
            max_reference_bytes: 64 << 30,
            max_differences: 1000,
        }
    }
}

impl Limits {
    pub(crate) fn line_json(&self) -> JsonLimits {
        JsonLimits { max_bytes: self.max_line_bytes, max_depth: self.max_json_depth }
    }

    pub(crate) fn manifest_json(&self) -> JsonLimits {
        JsonLimits { max_bytes: self.max_manifest_bytes, max_depth: self.max_json_depth }
    }

    pub(crate) fn contract_json(&self) -> JsonLimits {
        JsonLimits { max_bytes: self.max_contract_bytes, max_depth: self.max_json_depth }
    }

    pub(crate) fn gate_json(&self) -> JsonLimits {
        JsonLimits { max_bytes: self.max_gate_json_bytes, max_depth: self.max_json_depth }
    }
}

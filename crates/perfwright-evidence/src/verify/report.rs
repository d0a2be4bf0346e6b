//! What verify says, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::VerdictRecord;
use crate::name::LEDGER;

/// The `schema` field of a [`VerifyReport`].
pub const VERIFY_SCHEMA: &str = "perfwright.run-verify/v1";

/// The answer of `run verify`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct VerifyReport {
    /// [`VERIFY_SCHEMA`].
    pub schema: String,
    /// The run folder as it was given.
    pub dir: String,
    /// The answer in one word.
    pub status: Status,
    /// 0 clean, 1 a verdict differs, 3 cannot be recomputed or interrupted, 6 tampered.
    pub exit_code: u8,
    /// The procedure, from the first event.
    pub procedure: Option<String>,
    /// The contract's hash, from the first event.
    pub contract_sha256: Option<String>,
    /// SHA-256 of the last complete ledger line: the value to publish or compare.
    pub head: Option<String>,
    /// What was read.
    pub checked: Checked,
    /// The verdict that the manifest stores.
    pub stored_verdict: Option<VerdictRecord>,
    /// The verdict that its gates give, evaluated again where nothing was tampered with.
    pub recomputed_verdict: Option<VerdictRecord>,
    /// One row for each stored gate.
    pub gates: Vec<GateCheck>,
    /// Everything that differs, each with its place.
    pub differences: Vec<Difference>,
    /// Differences beyond the limit, counted only.
    pub left_off: u64,
    /// State of a run without closing event.
    pub interrupted: Option<Interrupted>,
    /// Inputs recorded by reference, and whether they are still there.
    pub references: Vec<ReferenceCheck>,
}

impl VerifyReport {
    /// Compares the head with one that was published when the run ended. A rewritten run has another head, however
    /// well it holds together.
    pub fn expect_head(&mut self, published: &str) {
        if self.head.as_deref() == Some(published) {
            return;
        }
        let detail = format!("the head is {}, not {published}", self.head.as_deref().unwrap_or("missing"));
        self.differences.insert(0, Difference::new(DifferenceKind::HeadDiffers, LEDGER, detail));
        (self.status, self.exit_code) = (Status::Tampered, 6);
    }
}

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is as recorded and recomputes.
    Clean,
    /// The bytes are as recorded; a gate or the verdict comes out differently.
    Differs,
    /// The bytes are as recorded; this version does not know a gate, a rule or a schema.
    CannotRecompute,
    /// The run never ended; what it recorded is intact.
    Interrupted,
    /// Bytes, chain or file list differ.
    Tampered,
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checked {
    /// Complete ledger lines.
    pub events: u64,
    /// Evidence files whose bytes were hashed.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// What became of one gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GateCheck {
    /// The gate's name.
    pub id: String,
    /// The gate's version.
    pub version: u32,
    /// What became of it.
    pub state: GateState,
}

/// What became of one gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Evaluated again with the same result.
    Same,
    /// Evaluated again with another result.
    Differs,
    /// This version does not know it.
    Unknown,
    /// Not evaluated, because the evidence is not intact.
    NotEvaluated,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// What kind of thing.
    pub kind: DifferenceKind,
    /// A file, `ledger.jsonl:LINE`, or `gate ID/vN`.
    pub place: String,
    /// What was found and what was recorded, in words.
    pub detail: String,
}

impl Difference {
    pub(crate) fn new(kind: DifferenceKind, place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, place: place.into(), detail: detail.into() }
    }
}

/// The kinds of difference; `docs/verification.md` lists them with their exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The head is not the one that was published.
    HeadDiffers,
    /// A manifest without a ledger.
    LedgerMissing,
    /// A ledger line that is not strict JSON.
    EventUnparsable,
    /// A ledger line that is not canonical JSON.
    EventNotCanonical,
    /// A ledger line without the required fields, or an event where it must not be.
    EventMalformed,
    /// An event whose `hash` is not that of its line.
    EventHash,
    /// An event whose `prev` is not the hash of the line before.
    EventChain,
    /// An event whose `seq` is not its position.
    EventSeq,
    /// A line, torn or whole, after the closing event.
    EventAfterClose,
    /// A closed run without a manifest.
    ManifestMissing,
    /// The manifest's bytes are not those that the closing event names.
    ManifestHash,
    /// The manifest is not strict JSON of its schema.
    ManifestMalformed,
    /// The manifest and the ledger disagree.
    ManifestLedger,
    /// The contract is not the one that the run names.
    ContractHash,
    /// The contract is not canonical JSON.
    ContractNotCanonical,
    /// A file's bytes are not those recorded.
    FileChanged,
    /// A file's length is not the one recorded.
    FileSize,
    /// A recorded file is not there.
    FileMissing,
    /// A file that nothing records.
    FileUnlisted,
    /// A directory that holds nothing recorded.
    DirectoryUnlisted,
    /// A symbolic link, pipe, socket or device.
    NotRegular,
    /// An evidence name that could leave the folder or hide in it.
    BadName,
    /// An evidence name that is listed twice.
    DuplicateName,
    /// More, larger or deeper than the format allows.
    LimitExceeded,
    /// A file that cannot be read.
    Unreadable,
    /// A gate comes out differently.
    GateDiffers,
    /// The verdict comes out differently.
    VerdictDiffers,
    /// A gate that this version does not know.
    GateUnknown,
    /// A combination rule that this version does not know.
    RuleUnknown,
    /// A schema that this version does not know.
    SchemaUnknown,
}

impl DifferenceKind {
    /// The exit code that one such difference leads to.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::GateDiffers | Self::VerdictDiffers => 1,
            Self::GateUnknown | Self::RuleUnknown | Self::SchemaUnknown => 3,
            _ => 6,
        }
    }
}

/// A run that never ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Interrupted {
    /// Time of the last complete event.
    pub last_at: Option<String>,
    /// Bytes of an unfinished last ledger line, which a resumed run cuts.
    pub torn_bytes: u64,
    /// Evidence that is recorded and whose rename had not happened; a resumed run finishes it.
    pub pending: Option<String>,
    /// Temporary files, a manifest without closing event, and empty directories, which a resumed run removes.
    pub leftovers: Vec<String>,
}

/// An input by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReferenceCheck {
    /// The evidence name.
    pub name: String,
    /// Where the input was.
    pub path: String,
    /// What is there now.
    pub state: ReferenceState,
}

/// What became of a referenced input. None of these makes a run unclean: the input lies outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceState {
    /// There, with the recorded hash.
    Present,
    /// Not there any more.
    Gone,
    /// Something else is there.
    Changed,
    /// Larger than verify is willing to hash, or hashing was not asked for.
    NotChecked,
}

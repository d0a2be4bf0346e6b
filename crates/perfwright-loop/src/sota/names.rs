//! Where a campaign's run keeps what.

/// The recorded events.
pub const EVENTS: &str = "campaign/sota-events.json";
/// The locked workload, byte for byte as it lies in the target repository.
pub const WORKLOAD: &str = "inputs/workload.json";
/// Runs that were recorded whole, one folder each.
pub const RUNS: &str = "runs";
/// The search over all frameworks.
pub const SEARCH: &str = "runs/search";
/// Target against the best competitor.
pub const GAP: &str = "runs/gap";
/// Baseline against the changed target.
pub const REVALIDATION: &str = "runs/revalidation";
/// The rounds of work and review.
pub const ROUNDS: &str = "runs/rounds";
/// Table answers of the target before the change.
pub const TARGET_TRIAGE: &str = "analysis/target/triage.json";
/// Layers of the target before the change.
pub const TARGET_PIPELINE: &str = "analysis/target/pipeline.json";
/// Table answers of the competitor.
pub const COMPETITOR_TRIAGE: &str = "analysis/competitor/triage.json";
/// Layers of the competitor.
pub const COMPETITOR_PIPELINE: &str = "analysis/competitor/pipeline.json";
/// Both held against each other.
pub const COMPARE: &str = "analysis/compare.json";
/// Which parts carry the gap.
pub const EXPLANATION: &str = "analysis/root-cause.json";
/// The same for people.
pub const EXPLANATION_TEXT: &str = "analysis/root-cause.md";
/// Table answers of the changed target.
pub const CANDIDATE_TRIAGE: &str = "analysis/candidate/triage.json";
/// The proof that the new path ran.
pub const EXECUTION: &str = "analysis/execution.json";
/// Answers of baseline, changed target, and changed target switched off.
pub const OUTPUTS: &str = "accuracy/outputs.json";
/// The judgement on them.
pub const ACCURACY: &str = "accuracy/accuracy.json";
/// Accepted changes together and each left out.
pub const COMPOSITION: &str = "analysis/composition.json";
/// The final report.
pub const REPORT: &str = "final_report.md";
/// The change description.
pub const CHANGE: &str = "change.md";
/// The page.
pub const PAGE: &str = "report.html";

//! The path that each launch of a candidate ran on, and whether all of them are one.

use perfwright_logs::path::{Allowed, CORE, PathReport, Side, Stop, StopKind, compare};
use perfwright_logs::{Catalog, Digest, Reader};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::measure::{self, PathFacts};

/// What one trial saw of its server's path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TrialPath {
    /// The framework.
    pub framework: String,
    /// The candidate.
    pub candidate: String,
    /// What was stated until the trial's end.
    pub side: Side,
}

/// What command, log and `/server_info` say up to now.
pub(super) fn side(
    catalog: &Catalog,
    name: &str,
    argv: &[String],
    log: (&Digest, &Reader<'_>),
    server_info: Option<&Value>,
) -> Side {
    let told: Vec<(&Value, &str)> = server_info.into_iter().map(|info| (info, "/server_info")).collect();
    measure::side(catalog, &PathFacts { name, argv, log: Some(log), told: &told })
}

/// Compares the trials of one candidate: what its flags ask for is the contract, and all its launches have to keep it.
pub(super) fn judge(sides: Vec<Side>) -> (PathReport, Vec<String>) {
    let report = compare(Allowed::default(), sides);
    let stops = report.stops.iter().filter(|s| counts(s)).map(|s| s.reason.clone()).collect();
    (report, stops)
}

/// Fields outside the core that nothing proves are a gap in what an engine logs, not another path.
fn counts(stop: &Stop) -> bool {
    stop.kind != StopKind::Unproven || stop.field.is_some_and(|f| CORE.contains(&f))
}

#[cfg(test)]
mod tests {
    use perfwright_logs::path::{Field, Origin, Standing, Statement};

    use super::*;

    fn launch(name: &str, backend: &str) -> Side {
        let said = |f, v: &str, standing, origin| Statement::told(f, v, standing, origin, "x");
        let statements = [
            said(Field::AttentionBackend, backend, Standing::Resolved, Origin::ServerInfo),
            said(Field::Model, "m", Standing::Asked, Origin::Flags),
        ];
        Side { name: name.into(), statements: statements.into_iter().flatten().collect(), fallbacks: vec![] }
    }

    #[test]
    fn launches_of_one_candidate_keep_its_path() {
        let (report, stops) = judge(vec![launch("launch 1", "fa3"), launch("launch 2", "fa3")]);
        assert!(stops.is_empty() && !report.stops.is_empty(), "an unproven model is no stop: {stops:?}");
        let (_, stops) = judge(vec![launch("launch 1", "fa3"), launch("launch 2", "triton")]);
        assert_eq!(stops.len(), 1);
        assert!(stops[0].contains("attention_backend") && stops[0].contains("launch 2"), "{stops:?}");
    }
}

//! The path gate over recorded evidence.

use perfwright_evidence::{EvidenceError, EvidenceSet, Gate, GateResult};

use super::compare::{FieldState, PathReport, compare};

/// Where a run keeps its comparison of paths, a [`PathReport`].
pub const PATH_EVIDENCE: &str = "analysis/path.json";

/// Every gate that this crate exports.
pub const GATES: &[Gate] = &[PATH_GATE];

/// The path measured is the path meant. It compares the recorded statements anew.
pub const PATH_GATE: Gate = Gate { id: "path.same", version: 1, eval: path };

/// Reasons named in the result.
const SHOWN: usize = 5;

fn path(evidence: &EvidenceSet) -> GateResult {
    let value = match evidence.json(PATH_EVIDENCE) {
        Ok(value) => value,
        Err(EvidenceError::Missing(_)) => return GateResult::not_applicable("the run states no path"),
        Err(e) => return GateResult::hard_stop(format!("the path cannot be read: {e}")),
    };
    match serde_json::from_value::<PathReport>(value) {
        Ok(stored) => judge(&compare(stored.allowed, stored.sides)),
        Err(e) => GateResult::hard_stop(format!("the path cannot be read: {e}")),
    }
}

/// The gate's answer for one comparison.
fn judge(report: &PathReport) -> GateResult {
    if !report.stops.is_empty() {
        let mut reasons: Vec<&str> = report.stops.iter().take(SHOWN).map(|s| s.reason.as_str()).collect();
        let more = report.stops.len().saturating_sub(SHOWN);
        let rest = format!("{more} more");
        if more > 0 {
            reasons.push(&rest);
        }
        return GateResult::hard_stop(reasons.join("; ")).measured(report.stops.len()).threshold(0);
    }
    if report.proven {
        return GateResult::pass("every side ran on the path that is stated").measured(0).threshold(0);
    }
    let open: Vec<&str> =
        report.fields.iter().filter(|f| f.state == FieldState::NotStated).map(|f| f.field.name()).collect();
    GateResult::not_applicable(format!("nothing states {}", open.join(", ")))
}

#[cfg(test)]
mod tests {
    use perfwright_evidence::Outcome;

    use super::super::compare::{Allowed, Side};
    use super::super::statement::{Origin, Standing, Statement};
    use super::super::{CORE, Field};
    use super::*;

    fn side(name: &str, value: &str) -> Side {
        let statements = CORE
            .into_iter()
            .filter_map(|f| Statement::told(f, value, Standing::Observed, Origin::Log, "line 1"))
            .collect();
        Side { name: name.to_owned(), statements, fallbacks: Vec::new() }
    }

    #[test]
    fn outcomes() {
        let of = |sides| judge(&compare(Allowed::default(), sides));
        assert_eq!(of(vec![side("a", "x"), side("b", "x")]).outcome, Outcome::Pass);
        assert_eq!(of(vec![side("a", "x"), side("b", "y")]).outcome, Outcome::HardStop);
        assert_eq!(of(vec![Side::default()]).outcome, Outcome::NotApplicable);
        assert_eq!(of(vec![]).outcome, Outcome::NotApplicable);
        let mut open = side("a", "x");
        open.statements.retain(|s| s.field != Field::Tp);
        let result = of(vec![open]);
        assert_eq!((result.outcome, result.reason.as_str()), (Outcome::NotApplicable, "nothing states tp"));
    }
}

//! A plan as text: front matter, sections, acceptance criteria with their tests, decisions that are pending.

use std::collections::BTreeSet;

use perfwright_evidence::sha256_hex;

use super::front::Front;

/// The largest plan, in bytes.
const MAX_PLAN: usize = 1 << 20;

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not UTF-8, or with control characters.
    #[error("the plan is not text")]
    NotText,
    /// Too long.
    #[error("the plan is larger than {MAX_PLAN} bytes")]
    TooLarge,
    /// `+++` without its end.
    #[error("line {line}: the front matter is not closed by a line `+++`")]
    Open {
        /// Where it begins.
        line: usize,
    },
    /// The front matter is not what it has to be.
    #[error("front matter: {0}")]
    Front(#[from] toml::de::Error),
    /// An id occurs twice.
    #[error("line {line}: {id} occurs twice")]
    Twice {
        /// The second place.
        line: usize,
        /// The id.
        id: String,
    },
}

/// One acceptance criterion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criterion {
    /// `AC-1` or `AC-1.2`.
    pub id: String,
    /// What holds when it is met.
    pub text: String,
    /// What must pass.
    pub positive: Vec<String>,
    /// What must fail.
    pub negative: Vec<String>,
    /// Line in the document, from 1.
    pub line: usize,
}

/// A plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// SHA-256 of the document.
    pub sha256: String,
    /// The typed part; defaults where the document has none.
    pub front: Front,
    /// Whether the document has a typed part.
    pub typed: bool,
    /// Title of the first heading.
    pub heading: String,
    /// Sections: title, line and text.
    pub sections: Vec<Section>,
    /// Acceptance criteria in order.
    pub criteria: Vec<Criterion>,
    /// Decisions that a person still has to make: id and line.
    pub pending: Vec<(String, usize)>,
    /// Lines with content: no heading, comment or blank.
    pub content_lines: usize,
}

/// One section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Title without the number signs.
    pub title: String,
    /// Line, from 1.
    pub line: usize,
    /// The text below it.
    pub text: String,
}

impl Plan {
    /// The text of the first section whose title begins with one of `names`, without regard to case.
    #[must_use]
    pub fn section(&self, names: &[&str]) -> Option<&Section> {
        self.sections.iter().find(|s| {
            let title = s.title.to_lowercase();
            names.iter().any(|name| title.starts_with(name))
        })
    }

    /// The goal in the plan's words.
    #[must_use]
    pub fn goal(&self) -> String {
        self.section(&["goal"]).map(|s| s.text.trim().to_owned()).unwrap_or_default()
    }
}

/// Reads a plan.
///
/// # Errors
/// It is no text, too large, or its front matter is not valid.
pub fn parse(bytes: &[u8]) -> Result<Plan, PlanError> {
    if bytes.len() > MAX_PLAN {
        return Err(PlanError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PlanError::NotText)?;
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(PlanError::NotText);
    }
    let mut plan = Plan { sha256: sha256_hex(bytes), ..Plan::default() };
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    if lines.first().is_some_and(|l| l.trim_end() == "+++") {
        let end =
            lines.iter().skip(1).position(|l| l.trim_end() == "+++").ok_or(PlanError::Open { line: 1 })?;
        plan.front = toml::from_str(&lines[1..=end].join("\n"))?;
        plan.typed = true;
        at = end + 2;
    }
    body(&mut plan, &lines, at)?;
    Ok(plan)
}

/// What the list items below a criterion belong to.
#[derive(Clone, Copy, PartialEq)]
enum Below {
    Text,
    Positive,
    Negative,
}

fn body(plan: &mut Plan, lines: &[&str], from: usize) -> Result<(), PlanError> {
    let (mut fenced, mut comment) = (false, false);
    let mut below = Below::Text;
    let mut in_criteria = false;
    let mut seen = BTreeSet::new();
    for (n, raw) in lines.iter().enumerate().skip(from) {
        let line = raw.trim();
        if comment {
            comment = !line.contains("-->");
            continue;
        }
        if !fenced && line.starts_with("<!--") {
            comment = !line.contains("-->");
            continue;
        }
        let fence = line.starts_with("```");
        fenced ^= fence;
        if !fenced && line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_owned();
            if plan.heading.is_empty() {
                plan.heading.clone_from(&title);
            }
            let deep = line.starts_with("###");
            if !deep || !in_criteria {
                in_criteria = title.to_lowercase().contains("acceptance criteria");
            }
            plan.sections.push(Section { title, line: n + 1, text: String::new() });
            continue;
        }
        if let Some(section) = plan.sections.last_mut() {
            section.text.push_str(raw);
            section.text.push('\n');
        }
        if line.is_empty() {
            continue;
        }
        plan.content_lines += 1;
        if fenced || fence {
            continue;
        }
        let item = line.trim_start_matches(['-', '*', '+']).trim().trim_start_matches("**");
        if let Some((id, rest)) = numbered(item, "DEC-") {
            if rest.to_uppercase().contains("PENDING") {
                plan.pending.push((id, n + 1));
            }
            continue;
        }
        if !in_criteria {
            continue;
        }
        if let Some((id, rest)) = numbered(item, "AC-") {
            if !seen.insert(id.clone()) {
                return Err(PlanError::Twice { line: n + 1, id });
            }
            plan.criteria.push(Criterion { id, text: rest, line: n + 1, ..Criterion::default() });
            below = Below::Text;
        } else if let Some(criterion) = plan.criteria.last_mut() {
            item_of(criterion, item, &mut below);
        }
    }
    Ok(())
}

fn item_of(criterion: &mut Criterion, item: &str, below: &mut Below) {
    let lower = item.to_lowercase();
    let label = [("positive test", Below::Positive), ("negative test", Below::Negative)]
        .into_iter()
        .find(|(name, _)| lower.starts_with(name));
    if let Some((_, kind)) = label {
        *below = kind;
        let rest =
            item.split_once(':').map(|(_, rest)| rest.trim_start_matches('*').trim()).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        return push(criterion, kind, rest);
    }
    push(criterion, *below, item);
}

fn push(criterion: &mut Criterion, below: Below, text: &str) {
    match below {
        Below::Positive => criterion.positive.push(text.to_owned()),
        Below::Negative => criterion.negative.push(text.to_owned()),
        Below::Text => {
            criterion.text.push(' ');
            criterion.text.push_str(text);
        }
    }
}

/// `AC-1.2: text` as `AC-1.2` and `text`.
fn numbered(item: &str, prefix: &str) -> Option<(String, String)> {
    let rest = item.strip_prefix(prefix)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let number = rest[..digits].trim_end_matches('.');
    if number.is_empty() || !number.starts_with(|c: char| c.is_ascii_digit()) || number.len() > 12 {
        return None;
    }
    let text = rest[number.len()..].trim_start_matches([':', '*', '.', ' ', ')']).trim().to_owned();
    Some((format!("{prefix}{number}"), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "+++\nschema = \"perfwright.plan/v1\"\ntitle = \"t\"\n[[gate]]\nid = \"tests\"\nkind = \"command\"\nrun = \"true\"\n+++\n# Plan\n\n## Goal Description\nMake hello.\n\n## Acceptance Criteria\n- AC-1: hello.txt exists\n  - Positive Tests: cat works\n  - Negative Tests (must fail):\n    - missing file\n- **AC-1.1**: says hello\n<!-- AC-9: no -->\n```\n- AC-8: no\n```\n\n## Pending User Decisions\n- DEC-1: name? PENDING\n- DEC-2: place: here\n";

    #[test]
    fn a_plan_is_read() {
        let plan = parse(PLAN.as_bytes()).expect("plan");
        assert!(plan.typed);
        assert_eq!(plan.goal(), "Make hello.");
        let ids: Vec<&str> = plan.criteria.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["AC-1", "AC-1.1"]);
        assert_eq!(plan.criteria[0].positive, ["cat works"]);
        assert_eq!(plan.criteria[0].negative, ["missing file"]);
        assert_eq!(plan.criteria[1].text, "says hello");
        assert_eq!(plan.pending, [("DEC-1".to_owned(), 26)]);
        assert_eq!(plan.front.gates[0].id, "tests");
    }

    #[test]
    fn what_is_no_plan_says_why() {
        assert!(matches!(parse(b"+++\nx"), Err(PlanError::Open { line: 1 })));
        assert!(matches!(parse(b"+++\nnonsense = 1\n+++\n"), Err(PlanError::Front(_))));
        assert!(matches!(parse(&[0xff]), Err(PlanError::NotText)));
        assert!(matches!(parse(b"a\0b"), Err(PlanError::NotText)));
        let twice = "## Acceptance Criteria\n- AC-1: a\n- AC-1: b\n";
        assert!(matches!(parse(twice.as_bytes()), Err(PlanError::Twice { line: 3, .. })));
    }
}

//! Rules about the text of files: length, machine paths, unfinished places.

use std::path::Path;

use super::{Outcome, Violation};

/// A Rust file of more lines than this has more than one idea in it.
const LINE_LIMIT: usize = 600;
/// Larger files are data, not text somebody writes.
const READ_LIMIT: u64 = 4 << 20;

/// Reads every text file once and applies the rules to it.
pub(super) fn check(root: &Path, files: &[String], outcome: &mut Outcome) {
    for path in files {
        let full = root.join(path);
        if std::fs::metadata(&full).map_or(true, |m| m.len() > READ_LIMIT) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&full) else { continue };
        if path.ends_with(".rs") {
            outcome.violations.extend(length(path, &text));
        }
        outcome.violations.extend(machine_path(path, &text));
        outcome.violations.extend(unfinished(path, &text));
    }
}

fn length(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    if lines <= LINE_LIMIT {
        return None;
    }
    let excuse = "// tidy: one-table \u{2014}";
    let excused =
        text.lines().take(5).filter_map(|l| l.strip_prefix(excuse)).any(|why| !why.trim().is_empty());
    let advice = format!(
        "{lines} lines; split it below {LINE_LIMIT}, or write `{excuse} reason` first if it is one table"
    );
    (!excused).then(|| Violation::new(path, "file-size", advice))
}

/// Needles are put together here, so that this file does not find itself.
fn home_folders() -> [String; 3] {
    ["home", "root", "work"].map(|name| format!("/{name}/"))
}

fn machine_path(path: &str, text: &str) -> Option<Violation> {
    let inner = |c: char| c.is_alphanumeric() || "._-~}$*/".contains(c);
    let component = |c: char| c.is_alphanumeric() || "._-".contains(c);
    for (number, line) in text.lines().enumerate() {
        for needle in home_folders() {
            let hit = line.match_indices(&needle).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + needle.len()..].chars().next();
                !before.is_some_and(inner) && after.is_some_and(component)
            });
            if hit {
                let advice =
                    format!("line {} names a folder of one machine; use a relative path", number + 1);
                return Some(Violation::new(path, "machine-path", advice));
            }
        }
    }
    None
}

fn unfinished(path: &str, text: &str) -> Option<Violation> {
    let fix = ["FIX", "ME"].concat();
    let code = [["to", "do!"].concat(), ["unimpl", "emented!"].concat()];
    for (number, line) in text.lines().enumerate() {
        let marked = line.contains(&fix) || path.ends_with(".rs") && code.iter().any(|c| line.contains(c));
        if marked {
            let advice = format!("line {} is unfinished; finish it or open an issue", number + 1);
            return Some(Violation::new(path, "unfinished", advice));
        }
    }
    None
}

//! Early refusals for tools that name the file they write. They save a round; what holds is the check by hash at the
//! stop. Commands of a shell are not parsed: whatever they do is seen in files, refs and processes afterwards.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::glob;
use crate::registry::HeadFile;

/// Tools that only look.
const READERS: [&str; 12] = [
    "Read",
    "Grep",
    "Glob",
    "LS",
    "WebFetch",
    "WebSearch",
    "TodoWrite",
    "NotebookRead",
    "Bash",
    "BashOutput",
    "view_image",
    "update_plan",
];

/// Fields in which tools name files.
const FIELDS: [&str; 8] =
    ["file_path", "notebook_path", "path", "filePath", "file", "filename", "target", "destination"];

/// Why a tool call is refused, if it is. `owner` is whether the session is the campaign's own.
pub(crate) fn refuse(
    head: &HeadFile,
    owner: bool,
    cwd: &Path,
    tool: &str,
    input: &Map<String, Value>,
) -> Option<String> {
    if READERS.contains(&tool) {
        return None;
    }
    for path in named(tool, input) {
        let full = resolve(cwd, Path::new(&path));
        if let Some(there) = head.protected.iter().find(|p| full.starts_with(p)) {
            return Some(format!(
                "{path:?} is locked by the campaign {} ({}); a change is found by its hash at the stop",
                head.campaign,
                there.display()
            ));
        }
        if !owner {
            continue;
        }
        let Ok(inside) = full.strip_prefix(&head.root) else { continue };
        let inside = inside.to_string_lossy();
        if head.deny.iter().any(|p| glob::matches(p, &inside)) {
            return Some(format!("{path:?} is outside of what the plan lets the change touch"));
        }
        if !head.allow.is_empty() && !head.allow.iter().any(|p| glob::matches(p, &inside)) {
            return Some(format!("{path:?} is outside of the boundary: {}", head.allow.join(", ")));
        }
    }
    None
}

/// The files that a call names.
fn named(tool: &str, input: &Map<String, Value>) -> Vec<String> {
    let mut found: Vec<String> =
        FIELDS.iter().filter_map(|f| input.get(*f)).filter_map(Value::as_str).map(str::to_owned).collect();
    for edit in input.get("edits").and_then(Value::as_array).into_iter().flatten() {
        found.extend(FIELDS.iter().filter_map(|f| edit[*f].as_str()).map(str::to_owned));
    }
    if tool == "apply_patch" {
        // The patch is a format of its own, not a shell's.
        let texts =
            ["input", "patch", "command"].iter().filter_map(|f| input.get(*f)).filter_map(Value::as_str);
        for line in texts.flat_map(str::lines) {
            let marks = ["*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: "];
            found.extend(marks.iter().filter_map(|m| line.strip_prefix(m)).map(|p| p.trim().to_owned()));
        }
    }
    found
}

/// The path that is meant, with links of folders that exist followed.
pub(crate) fn resolve(cwd: &Path, path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in cwd.join(path).components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    for above in plain.ancestors() {
        if let Ok(real) = above.canonicalize() {
            let rest = plain.strip_prefix(above).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    plain
}

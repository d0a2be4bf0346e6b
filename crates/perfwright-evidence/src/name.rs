//! Evidence names: relative paths that cannot leave the run folder or hide in it.

use crate::limits::Limits;

/// The ledger's file name.
pub const LEDGER: &str = "ledger.jsonl";
/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";
/// The contract's evidence name.
pub const CONTRACT: &str = "contract.json";

const TEMP_SUFFIX: &str = ".pw-tmp";

/// Why a name cannot name evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than the limit, or more components than the limit.
    #[error("too long")]
    TooLong,
    /// Empty, absolute, or with an empty component.
    #[error("empty, absolute or with an empty component")]
    Shape,
    /// A component begins with a dot: `.`, `..`, hidden and temporary names.
    #[error("a component begins with a dot")]
    Dot,
    /// A backslash or a control character.
    #[error("holds a backslash or a control character")]
    Character,
    /// The ledger and the manifest are not evidence.
    #[error("reserved")]
    Reserved,
}

/// Checks a name against the rules of `docs/verification.md`, section 5.
///
/// # Errors
/// The first rule that is broken.
pub fn check_name(name: &str, limits: &Limits) -> Result<(), NameError> {
    if name.len() > limits.max_name_bytes || name.split('/').count() > limits.max_name_components {
        return Err(NameError::TooLong);
    }
    if name == LEDGER || name == MANIFEST {
        return Err(NameError::Reserved);
    }
    if name.chars().any(|c| c == '\\' || c.is_control()) {
        return Err(NameError::Character);
    }
    for component in name.split('/') {
        if component.is_empty() {
            return Err(NameError::Shape);
        }
        if component.starts_with('.') {
            return Err(NameError::Dot);
        }
        if component.len() > 200 {
            return Err(NameError::TooLong);
        }
    }
    Ok(())
}

/// The temporary name beside `name` that a write goes to first.
pub(crate) fn temp_name(name: &str) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/.{file}{TEMP_SUFFIX}"),
        None => format!(".{name}{TEMP_SUFFIX}"),
    }
}

/// The name whose temporary file `found` is, if it is one.
pub(crate) fn name_of_temp(found: &str, limits: &Limits) -> Option<String> {
    let (folder, file) = match found.rsplit_once('/') {
        Some((folder, file)) => (Some(folder), file),
        None => (None, found),
    };
    let file = file.strip_prefix('.')?.strip_suffix(TEMP_SUFFIX)?;
    let name = folder.map_or_else(|| file.to_owned(), |folder| format!("{folder}/{file}"));
    (name == MANIFEST || check_name(&name, limits).is_ok()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_pass() {
        let limits = Limits::default();
        for good in ["a", "analysis/triage.json", "rounds/1/notes.md", "a b/\u{e9}.txt"] {
            assert_eq!(check_name(good, &limits), Ok(()), "{good}");
            let temp = temp_name(good);
            assert_eq!(check_name(&temp, &limits), Err(NameError::Dot));
            assert_eq!(name_of_temp(&temp, &limits).as_deref(), Some(good));
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "./a",
            ".hidden",
            "a\\b",
            "a\0",
            "manifest.json",
            "ledger.jsonl",
        ] {
            assert!(check_name(bad, &limits).is_err(), "{bad}");
        }
        assert!(check_name(&"a/".repeat(40), &limits).is_err());
        assert!(check_name(&"a".repeat(600), &limits).is_err());
        assert_eq!(name_of_temp(".manifest.json.pw-tmp", &limits).as_deref(), Some("manifest.json"));
        assert_eq!(name_of_temp(".x", &limits), None);
    }
}

//! Every diagnostic code is in the catalogue, every entry of the catalogue is a code, and every entry says something.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use perfwright::codes::{ALL, Catalogue, Severity};

fn catalogue() -> Catalogue {
    Catalogue::load().expect("catalog/codes/codes.toml parses")
}

#[test]
fn constants_and_catalogue_are_the_same_list() {
    let constants: Vec<(&str, Severity, u8)> =
        ALL.iter().map(|code| (code.id, code.severity, code.exit.number())).collect();
    let catalogue = catalogue();
    let entries: Vec<(&str, Severity, u8)> =
        catalogue.code.iter().map(|entry| (entry.id.as_str(), entry.severity, entry.exit)).collect();
    assert_eq!(constants, entries, "same codes, severities, exit codes and order on both sides");
}

#[test]
fn codes_ascend_belong_to_a_group_and_say_something() {
    let catalogue = catalogue();
    for pair in catalogue.code.windows(2) {
        assert!(pair[0].id < pair[1].id, "{} comes before {}", pair[0].id, pair[1].id);
    }
    for entry in &catalogue.code {
        let digits = entry.id.strip_prefix("PW").expect("codes start with PW");
        assert!(digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{}", entry.id);
        let groups = catalogue.group.iter().filter(|group| entry.id.starts_with(&group.prefix)).count();
        assert_eq!(groups, 1, "{} belongs to one group", entry.id);
        for text in [&entry.title, &entry.meaning, &entry.action] {
            assert!(text.trim().len() >= 8, "{} has a text that says nothing: {text:?}", entry.id);
        }
        let word = if entry.severity == Severity::Error { "error" } else { "warning" };
        assert!(
            entry.example.starts_with(&format!("{word}[{}]: ", entry.id)),
            "the example of {} starts with another code: {}",
            entry.id,
            entry.example
        );
        assert_eq!(entry.exit == 0, entry.severity == Severity::Warning, "{}", entry.id);
    }
}

/// A code in a string or a comment of any crate, or in the documents, must exist. Catches typing errors and codes that
/// went away.
#[test]
fn codes_mentioned_in_sources_and_documents_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let known: BTreeSet<&str> = ALL.iter().map(|code| code.id).collect();
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "docs", "catalog"] {
        collect(&root.join(folder), &mut files);
    }
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        files.push(root.join(name));
    }
    let mut seen = 0;
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for (at, _) in text.match_indices("PW") {
            let code = text.get(at..at + 6).unwrap_or_default();
            if code.len() == 6 && code.bytes().skip(2).all(|byte| byte.is_ascii_digit()) {
                seen += 1;
                // The tests of `explain` ask for a code that does not exist.
                assert!(known.contains(code) || code == "PW9999", "{} names {code}", file.display());
            }
        }
    }
    assert!(seen > ALL.len(), "the search found only {seen} mentions");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs" || ext == "md" || ext == "toml") {
            files.push(path);
        }
    }
}

#[test]
fn find_takes_what_people_type() {
    let catalogue = catalogue();
    for typed in ["PW0201", "pw0201", "0201", " PW0201 "] {
        assert_eq!(catalogue.find(typed).map(|entry| entry.id.as_str()), Some("PW0201"), "{typed:?}");
    }
    for typed in ["", "PW", "PW201", "PWPW0201", "0"] {
        assert!(catalogue.find(typed).is_none(), "{typed:?}");
    }
}

//! The list of open changes that touch the hot files, out of a text that a file or a command gives.
//!
//! One change a line: `ID TITLE: FILE FILE ...`. Lines that begin with `#` say nothing. `none: REASON` states that there
//! is none; an empty list says nothing at all, and does not pass.

use super::spec::OpenChange;

/// What such a text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenChanges {
    /// Changes that touch a hot file.
    pub touching: Vec<OpenChange>,
    /// Changes that touch none.
    pub others: usize,
    /// Why there is none.
    pub none_because: Option<String>,
}

/// Reads the text, and keeps what touches `hot_files`.
///
/// # Errors
/// A line that is none of these.
pub fn open_changes(text: &str, hot_files: &[String]) -> Result<OpenChanges, String> {
    let mut out = OpenChanges::default();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(reason) = line.strip_prefix("none:") {
            out.none_because = Some(reason.trim().to_owned());
            continue;
        }
        let parts = line.rsplit_once(": ").and_then(|(head, files)| Some((head.split_once(' ')?, files)));
        let ((id, title), files) = parts.ok_or_else(|| format!("line {}: not `ID TITLE: FILES`", n + 1))?;
        let files: Vec<String> = files
            .split_whitespace()
            .filter(|f| hot_files.iter().any(|h| h == f))
            .map(str::to_owned)
            .collect();
        if files.is_empty() {
            out.others += 1;
            continue;
        }
        out.touching.push(OpenChange { id: id.to_owned(), title: title.to_owned(), files });
    }
    if out.touching.is_empty() && out.none_because.is_none() && out.others > 0 {
        out.none_because = Some(format!("none of {} open changes touches a hot file", out.others));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_say_what_touches_hot_files() {
        let hot = ["a.py".to_owned()];
        let found = open_changes("# list\n12 Fuse norms: a.py b.py\n13 Docs: c.md\n", &hot).unwrap();
        assert_eq!((found.touching.len(), found.others, &found.none_because), (1, 1, &None));
        assert_eq!(found.touching[0].files, ["a.py"]);
        let none = open_changes("none: nobody works on it\n", &hot).unwrap();
        assert_eq!(none.none_because.as_deref(), Some("nobody works on it"));
        assert!(open_changes("13 Docs: c.md", &hot).unwrap().none_because.unwrap().contains("1 open"));
        assert_eq!(open_changes("", &hot).unwrap(), OpenChanges::default(), "an empty list gives no reason");
        assert!(open_changes("nonsense", &hot).is_err());
    }
}

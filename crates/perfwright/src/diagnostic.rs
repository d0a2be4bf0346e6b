//! What goes wrong, in one form: a code, a message, where, why, and what to do.

use std::fmt::Write as _;
use std::io;

use perfwright_report::text::visible;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes::{self, Code, Severity};

/// Schema name of [`ErrorReport`].
pub const ERROR_SCHEMA: &str = "perfwright.error/v1";

/// One error or warning. Messages are lower-case fragments without a full stop.
///
/// It is the error type of every command, so its texts are boxed to keep results small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The code, which also decides the exit code.
    pub code: Code,
    /// What is wrong.
    pub message: Box<str>,
    /// The file concerned.
    pub file: Option<Box<str>>,
    /// Where in the file: `byte 1024`, `line 3`, `event 17`.
    pub place: Option<Box<str>>,
    /// Why, from the nearest cause to the last.
    pub causes: Vec<String>,
    /// What to do about it.
    pub help: Option<Box<str>>,
}

impl Diagnostic {
    /// A diagnostic with nothing but its message.
    pub fn new(code: Code, message: impl Into<Box<str>>) -> Self {
        Self { code, message: message.into(), file: None, place: None, causes: Vec::new(), help: None }
    }

    /// An input that the system would not let us read, with the code that fits the error.
    pub fn reading(path: impl AsRef<std::path::Path>, error: &io::Error) -> Self {
        let (code, message) = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                (codes::INPUT_NOT_FOUND, "no such file or folder")
            }
            io::ErrorKind::PermissionDenied => (codes::INPUT_PERMISSION, "permission denied"),
            _ => {
                return Self::new(codes::INPUT_READ_FAILED, "cannot read the input")
                    .file(path)
                    .cause(error.to_string());
            }
        };
        Self::new(code, message).file(path)
    }

    /// Names the file.
    #[must_use]
    pub fn file(mut self, file: impl AsRef<std::path::Path>) -> Self {
        self.file = Some(file.as_ref().to_string_lossy().into());
        self
    }

    /// Names the place in the file.
    #[must_use]
    pub fn place(mut self, place: impl Into<Box<str>>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds a cause behind those already there.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds an error's chain of sources, without the error itself: its own text is the message.
    #[must_use]
    pub fn causes_of(mut self, error: &dyn std::error::Error) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            self.causes.push(cause.to_string());
            source = cause.source();
        }
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The text for standard error, ending with a newline. Names and messages may come from outside, so steering
    /// characters are made visible.
    pub fn render(&self, color: bool) -> String {
        let (word, style) = match self.code.severity {
            Severity::Error => ("error", "\x1b[1;31m"),
            Severity::Warning => ("warning", "\x1b[1;33m"),
        };
        let (style, cyan, reset) = if color { (style, "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        let mut out = format!("{style}{word}[{}]{reset}: {}\n", self.code.id, visible(&self.message));
        match (&self.file, &self.place) {
            (Some(file), Some(place)) => {
                let _ = writeln!(out, "  {cyan}-->{reset} {}: {}", visible(file), visible(place));
            }
            (Some(only), None) | (None, Some(only)) => {
                let _ = writeln!(out, "  {cyan}-->{reset} {}", visible(only));
            }
            (None, None) => {}
        }
        for cause in &self.causes {
            let _ = writeln!(out, "  {cyan}cause{reset}: {}", visible(cause));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  {cyan}help{reset}: {}", visible(help));
        }
        out
    }

    /// The object that takes the place of the command's own JSON when it could give no answer.
    pub fn report(&self) -> ErrorReport {
        let message = std::iter::once(&*self.message).chain(self.causes.iter().map(String::as_str));
        ErrorReport {
            schema: ERROR_SCHEMA.to_owned(),
            error: ErrorBody {
                code: self.code.id.to_owned(),
                message: message.collect::<Vec<_>>().join(": "),
                file: self.file.as_deref().map(str::to_owned),
                place: self.place.as_deref().map(str::to_owned),
                hint: self.help.as_deref().map(str::to_owned),
            },
        }
    }
}

/// Standard output of a command that ended with exit code 4 or 5 under `--format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReport {
    /// `perfwright.error/v1`.
    pub schema: String,
    /// What went wrong.
    pub error: ErrorBody,
}

/// The error inside an [`ErrorReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Code that `perfwright explain` explains.
    pub code: String,
    /// What is wrong, with its causes.
    pub message: String,
    /// The file concerned.
    pub file: Option<String>,
    /// Where in the file.
    pub place: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Diagnostic {
        Diagnostic::new(codes::INPUT_NOT_JSON, "this is not JSON")
            .file("a\x1b[2J.json")
            .place("byte 17")
            .cause("expected a value")
            .help("pass the file the profiler wrote")
    }

    #[test]
    fn text_has_code_place_cause_and_help() {
        insta::assert_snapshot!(sample().render(false), @r#"
error[PW0104]: this is not JSON
  --> a\x1b[2J.json: byte 17
  cause: expected a value
  help: pass the file the profiler wrote
"#);
        assert!(sample().render(true).contains("\x1b[1;31merror[PW0104]\x1b[0m"));
    }

    #[test]
    fn read_errors_get_the_code_that_fits() {
        let dir = tempfile::tempdir().unwrap();
        let code = |path: &std::path::Path| Diagnostic::reading(path, &std::fs::read(path).unwrap_err()).code;
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(code(&dir.path().join("none")), codes::INPUT_NOT_FOUND);
        assert_eq!(code(&dir.path().join("file/below")), codes::INPUT_NOT_FOUND);
        assert_eq!(code(dir.path()), codes::INPUT_READ_FAILED);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Diagnostic::reading("x", &denied).code, codes::INPUT_PERMISSION);
    }

    #[test]
    fn json_has_the_same_parts() {
        let json = serde_json::to_string(&sample().report()).unwrap();
        insta::assert_snapshot!(json, @r#"{"schema":"perfwright.error/v1","error":{"code":"PW0104","message":"this is not JSON: expected a value","file":"a\u001b[2J.json","place":"byte 17","hint":"pass the file the profiler wrote"}}"#);
    }
}

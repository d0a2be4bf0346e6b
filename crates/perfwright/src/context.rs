//! What a command gets: settings, environment, and the two ways to say something.

use perfwright_report::text::visible;
use perfwright_report::{Document, csv, html, json, markdown, terminal};
use serde::Serialize;

use crate::codes::Severity;
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{self, Stdout};
use crate::settings::{DEFAULT_WIDTH, Format, Settings};

/// How a command ends: with an exit code, or with a diagnostic that carries one.
pub(crate) type Outcome = Result<Exit, Diagnostic>;

/// The surroundings of one command.
pub(crate) struct Context {
    /// The resolved settings.
    pub(crate) settings: Settings,
    /// The environment, for colours now and for whoever records it in a run.
    pub(crate) env: Environment,
    /// The command line, for whoever records it in a run.
    pub(crate) argv: Vec<String>,
    stdout: Stdout,
}

impl Context {
    pub(crate) fn new(settings: Settings, env: Environment, argv: Vec<String>) -> Self {
        Self { settings, env, argv, stdout: Stdout::new() }
    }

    /// Prints an answer in the form that was asked for: `document` as text, Markdown or CSV, `value` as JSON. The
    /// row limit applies to text and Markdown; JSON and CSV hold every row.
    pub(crate) fn answer(
        &mut self,
        mut document: Document,
        value: &impl Serialize,
    ) -> Result<(), Diagnostic> {
        if let (Format::Table | Format::Markdown | Format::Html, Some(limit)) =
            (self.settings.format, self.settings.limit)
        {
            document.limit(limit);
        }
        match self.settings.format {
            Format::Table => {
                let options = terminal::Options { width: self.width(), color: self.color(false) };
                self.stdout.text(&terminal::document(&document, options))
            }
            Format::Markdown => {
                self.stdout.text(&markdown::document(&document, markdown::Options::default()))
            }
            Format::Csv => self.stdout.text(&csv::document(&document)),
            Format::Html => self.stdout.text(&html::document(&document)),
            Format::Json => self.json(value),
        }
    }

    /// Prints one JSON value.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Diagnostic> {
        self.stdout.with(|out| json::write(out, value))
    }

    /// Prints text that has one form only, such as a completion script.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Diagnostic> {
        self.stdout.text(text)
    }

    /// Tells a diagnostic and goes on: a warning, unless asked to be quiet, or the reason for a hard stop whose JSON
    /// the command prints itself.
    pub(crate) fn tell(&self, diagnostic: &Diagnostic) {
        if diagnostic.code.severity == Severity::Error || !self.settings.quiet {
            output::stderr(&diagnostic.render(self.color(true)));
        }
    }

    /// Tells something to those who asked for `-v` at least `level` times.
    pub(crate) fn note(&self, level: u8, text: &str) {
        if self.settings.verbose >= level && !self.settings.quiet {
            output::stderr(&format!("note: {}\n", visible(text)));
        }
    }

    /// Tells the error a command ended with, and gives its exit code.
    pub(crate) fn fail(&mut self, error: &Diagnostic) -> Exit {
        self.tell(error);
        if self.settings.format == Format::Json && error.code.exit.has_error_object() {
            // The error is already on standard error; that standard output cannot take it changes nothing.
            let _ = self.json(&error.report());
        }
        error.code.exit
    }

    fn color(&self, to_stderr: bool) -> bool {
        output::wants_color(self.settings.color, &self.env, to_stderr)
    }

    /// Columns of text output: as set, else the terminal's, else a fixed width.
    pub(crate) fn width(&self) -> Option<usize> {
        match self.settings.width {
            Some(0) => None,
            Some(width) => Some(width),
            None => Some(output::terminal_width().unwrap_or(DEFAULT_WIDTH)),
        }
    }
}

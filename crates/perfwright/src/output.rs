//! Standard output and standard error. The only module that writes to them.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::environment::{CLICOLOR_FORCE, Environment, NO_COLOR, TERM};
use crate::settings::ColorChoice;

/// Standard output: data and nothing else.
pub(crate) struct Stdout {
    out: BufWriter<io::Stdout>,
    /// The reader has gone away (`| head`). Nobody is left to tell, so the rest is dropped in silence.
    gone: bool,
}

impl Stdout {
    pub(crate) fn new() -> Self {
        Self { out: BufWriter::with_capacity(64 * 1024, io::stdout()), gone: false }
    }

    /// Writes through `write`; a reader that went away is no error, a full disk is.
    pub(crate) fn with(
        &mut self,
        write: impl FnOnce(&mut BufWriter<io::Stdout>) -> io::Result<()>,
    ) -> Result<(), Diagnostic> {
        if self.gone {
            return Ok(());
        }
        let result = write(&mut self.out).and_then(|()| self.out.flush());
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            Err(error) => {
                self.gone = true;
                Err(not_writable("standard output", &error))
            }
            Ok(()) => Ok(()),
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), Diagnostic> {
        self.with(|out| out.write_all(text.as_bytes()))
    }
}

/// The diagnostic for output that could not be written.
pub(crate) fn not_writable(file: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "cannot write the output")
        .file(file)
        .cause(error.to_string())
        .help("check free space and permissions, then run the same command again")
}

/// Writes to standard error. A closed standard error leaves nobody to tell, so failures are dropped.
pub(crate) fn stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether standard output, or standard error, should be styled.
pub(crate) fn wants_color(choice: ColorChoice, env: &Environment, to_stderr: bool) -> bool {
    let terminal = if to_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    decide_color(choice, env, terminal)
}

fn decide_color(choice: ColorChoice, env: &Environment, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            if env.get(NO_COLOR.name).is_some() {
                false
            } else if env.get(CLICOLOR_FORCE.name).is_some_and(|value| value != "0") {
                true
            } else {
                terminal && env.get(TERM.name).is_none_or(|value| value != "dumb")
            }
        }
    }
}

/// Columns of the terminal that standard output is, where it is one.
pub(crate) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_follows_the_documented_order() {
        let none = Environment::default();
        let no = Environment::from_pairs([("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]);
        let empty = Environment::from_pairs([("NO_COLOR", "")]);
        let force = Environment::from_pairs([("CLICOLOR_FORCE", "1")]);
        let zero = Environment::from_pairs([("CLICOLOR_FORCE", "0")]);
        let dumb = Environment::from_pairs([("TERM", "dumb")]);
        for (choice, env, terminal, expected) in [
            (ColorChoice::Auto, &none, true, true),
            (ColorChoice::Auto, &none, false, false),
            (ColorChoice::Auto, &no, true, false),
            (ColorChoice::Auto, &empty, true, true),
            (ColorChoice::Auto, &force, false, true),
            (ColorChoice::Auto, &zero, false, false),
            (ColorChoice::Auto, &dumb, true, false),
            (ColorChoice::Always, &no, false, true),
            (ColorChoice::Never, &force, true, false),
        ] {
            assert_eq!(decide_color(choice, env, terminal), expected, "{choice:?} {env:?} {terminal}");
        }
    }
}

//! From the process to a command and back to an exit code.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use perfwright_report::text::visible;

use crate::cli::{Cli, Command};
use crate::cmd;
use crate::codes;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{self, Stdout};
use crate::settings::{ColorChoice, Settings};

/// The whole program.
pub fn main() -> ExitCode {
    let env = Environment::from_process();
    let args: Vec<OsString> = std::env::args_os().collect();
    // Hosts call hooks at every tool call: they are answered before anything else is set up.
    let word = |n: usize| args.get(n).and_then(|a| a.to_str());
    if word(1) == Some("loop") && word(2) == Some("hook") && !matches!(word(3), Some("-h" | "--help")) {
        return cmd::hook::main(&args[3..], &env);
    }
    run_guarded(|| run(&args, env)).into()
}

/// Runs `work`; a panic in it becomes a diagnostic that asks for a report, and [`Exit::Internal`].
pub fn run_guarded(work: impl FnOnce() -> Exit) -> Exit {
    std::panic::set_hook(Box::new(|info| output::stderr(&bug_report(info).render(false))));
    // The process ends with the answer, so nothing can observe what a panic left half done.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Exit::Internal)
}

/// The diagnostic for a panic.
fn bug_report(info: &PanicHookInfo<'_>) -> Diagnostic {
    let message = info.payload_as_str().unwrap_or("no message");
    let diagnostic = Diagnostic::new(codes::INTERNAL, format!("internal error: {message}"))
        .cause(format!("this is a bug in perfwright {}", env!("PW_VERSION")))
        .help("please report it with the command line, this text and, where possible, the input");
    match info.location() {
        Some(place) => diagnostic.file(place.file()).place(format!("line {}", place.line())),
        None => diagnostic,
    }
}

fn run(args: &[OsString], env: Environment) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error, args, &env),
    };
    let start = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let (settings, warnings) = match Settings::resolve(&cli.global, &env, &start) {
        Ok(resolved) => resolved,
        Err(error) => {
            let choice = cli.global.color.unwrap_or(ColorChoice::Auto);
            output::stderr(&error.render(output::wants_color(choice, &env, true)));
            return error.code.exit;
        }
    };
    let argv = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut context = Context::new(settings, env, argv);
    for warning in &warnings {
        context.tell(warning);
    }
    if let Some(file) = &context.settings.file {
        context.note(1, &format!("settings file {}", file.display()));
    }
    let outcome = match cli.command {
        Command::Loop(args) => cmd::loops::run(&args, &mut context),
        Command::Quickstart(args) => cmd::quickstart::run(&args, &mut context),
        Command::Run(args) => cmd::run::run(&args, &mut context),
        Command::Trace(args) => cmd::trace::run(&args, &mut context),
        Command::Bench(args) => cmd::bench::run(&args, &mut context),
        Command::Model(args) => cmd::model::run(&args, &mut context),
        Command::Lab(args) => cmd::lab::run(&args, &mut context),
        Command::Explain(args) => cmd::explain::run(&args, &mut context),
        Command::Completions(args) => cmd::completions::run(&args, &mut context),
        Command::Man(args) => cmd::man::run(&args, &mut context),
        Command::MarkdownHelp => cmd::markdown_help::run(&mut context),
        Command::Schemas(args) => cmd::schemas::run(&args),
    };
    outcome.unwrap_or_else(|error| context.fail(&error))
}

/// Help and version go to standard output; everything else clap has to say is a usage error.
fn not_a_command(error: &clap::Error, args: &[OsString], env: &Environment) -> Exit {
    let choice = color_flag(args);
    let styled = |color: bool| {
        let text = error.render();
        if color { text.ansi().to_string() } else { text.to_string() }
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match Stdout::new().text(&styled(output::wants_color(choice, env, false))) {
                Ok(()) => Exit::Done,
                Err(error) => {
                    output::stderr(&error.render(output::wants_color(choice, env, true)));
                    error.code.exit
                }
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::stderr(&styled(output::wants_color(choice, env, true)));
            Exit::Usage
        }
        _ => {
            let color = output::wants_color(choice, env, true);
            let text = error.render().to_string();
            let (message, rest) = usage_message(&text);
            output::stderr(&Diagnostic::new(codes::USAGE, message).render(color));
            output::stderr(&rest);
            Exit::Usage
        }
    }
}

/// Splits clap's text into its first line and the choices, tips and usage below it. They repeat what was typed, so
/// they are made harmless line by line.
fn usage_message(text: &str) -> (&str, String) {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
    let rest = rest.trim_end().lines().map(|line| format!("{}\n", visible(line))).collect();
    (message, rest)
}

/// The `--color` of a command line that did not parse.
fn color_flag(args: &[OsString]) -> ColorChoice {
    let mut choice = ColorChoice::Auto;
    let mut args = args.iter().filter_map(|arg| arg.to_str());
    while let Some(arg) = args.next() {
        let value = if arg == "--color" { args.next() } else { arg.strip_prefix("--color=") };
        match value {
            Some("always") => choice = ColorChoice::Always,
            Some("never") => choice = ColorChoice::Never,
            _ => {}
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_text_is_split_after_its_first_line() {
        assert_eq!(usage_message("error: bad\n  a\x1b\n\nUse\n\n"), ("bad", "  a\\x1b\n\nUse\n".to_owned()));
        assert_eq!(usage_message("error: bad\n"), ("bad", String::new()));
    }
}

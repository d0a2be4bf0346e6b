//! The command line as clap types, and nothing else: no file is opened and no variable read here.
//!
//! Doc comments are the help texts, so they end without a full stop where clap shows them in a list.

pub mod bench;
pub mod bench_accuracy;
pub mod bench_decide;
pub mod bench_path;
pub mod bench_run;
pub mod lab;
pub mod loops;
pub mod model;
pub mod record;
pub mod run;
pub mod trace;
pub mod trace_capture;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::settings::{ColorChoice, Format};

/// Turn GPU-serving performance claims into runs that somebody else can check
///
/// A claim becomes a run: preconditions are checked, conditions are locked, evidence is collected, gates are
/// evaluated and a verdict is computed. `perfwright run verify` recomputes it from the run folder alone.
#[derive(Debug, Parser)]
#[command(
    name = "perfwright",
    version = env!("PW_VERSION"),
    arg_required_else_help = true,
    subcommand_required = true,
    infer_subcommands = false,
    max_term_width = 110,
    after_long_help = "\
Examples:
  perfwright trace triage decode.trace.json.gz
  perfwright explain
  perfwright explain PW0201
  perfwright completions bash > ~/.local/share/bash-completion/completions/perfwright

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 hard stop, 4 bad input,
5 something outside failed, 6 tampered evidence, 101 bug, 130 interrupted.
`perfwright explain CODE` explains a diagnostic."
)]
pub struct Cli {
    /// Flags every command knows.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags every command knows. A flag that is not given is decided by [`crate::settings`].
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Form of the data on standard output [default: table]
    ///
    /// The default is `table` in a pipe too, so that a command prints the same wherever it runs.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// Rows per table in `table` and `markdown`; 0 shows all [default: 50]
    #[arg(long, global = true, value_name = "N")]
    pub limit: Option<usize>,

    /// Columns of `table` output; 0 shortens nothing [default: the terminal's, else 120]
    #[arg(long, global = true, value_name = "N")]
    pub width: Option<usize>,

    /// When to style output [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<ColorChoice>,

    /// No warnings and notes on standard error; errors stay
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Tell more on standard error; twice for even more
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The nouns, and the few commands that stand alone.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read profiler traces
    Trace(trace::TraceArgs),
    /// Measure serving engines, compare, search and decide
    Bench(bench::BenchArgs),
    /// What a model must compute and hold, from its config.json
    Model(model::ModelArgs),
    /// Run the lab, a small serving engine on the CPU
    Lab(lab::LabArgs),
    /// Campaigns: rounds of work that gates and a reviewer judge
    Loop(loops::LoopArgs),
    /// Look at recorded runs and verify them
    Run(run::RunArgs),
    /// Explain a diagnostic code, or list all of them
    Explain(ExplainArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages into a folder
    Man(ManArgs),
    /// Print the command reference in Markdown (docs/cli.md)
    #[command(hide = true)]
    MarkdownHelp,
    /// Write every JSON Schema into a folder (schemas/)
    #[command(hide = true)]
    Schemas(SchemasArgs),
}

/// Arguments of `schemas`.
#[derive(Debug, Args)]
pub struct SchemasArgs {
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = "schemas")]
    pub dir: PathBuf,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright explain                        list every code
  perfwright explain PW0201                 what it means and what to do
  perfwright explain PW0201 --format json   the same for a program")]
pub struct ExplainArgs {
    /// Code from a diagnostic, such as PW0201; without it every code is listed
    pub code: Option<String>,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright completions bash > ~/.local/share/bash-completion/completions/perfwright
  perfwright completions zsh > ~/.zfunc/_perfwright
  perfwright completions fish > ~/.config/fish/completions/perfwright.fish")]
pub struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright man | man -l -                       read the main page
  perfwright man --dir ~/.local/share/man/man1    install all pages")]
pub struct ManArgs {
    /// Folder to write all pages into; it is created where missing
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The whole command line as clap sees it, for generators.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn definition_is_consistent() {
        super::command().debug_assert();
    }
}

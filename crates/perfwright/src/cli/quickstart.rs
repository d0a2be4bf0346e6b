//! Arguments of `quickstart`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright quickstart
  perfwright quickstart --run-dir runs/first && perfwright run verify runs/first

Beside the run folder DIR stays the repository that was worked on, DIR.target. The last line printed is the path of
report.html. Exit code 0 is a proven gain whose record verifies; 1 an honest \"not proven\".")]
pub struct QuickstartArgs {
    /// Folder for the run; an interrupted quickstart in it goes on
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,

    /// The same steps with next to no load, for tests
    #[arg(long, hide = true)]
    pub short: bool,

    /// One gate of the rounds, as the loop runs it
    #[arg(long, hide = true, value_enum, requires = "run_dir")]
    pub gate: Option<StepGate>,
}

/// Gates of the rounds that run something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StepGate {
    /// The engine starts and answers
    Starts,
    /// It answers what the baseline answers
    Accuracy,
    /// The new path ran
    Execution,
    /// It is faster
    Revalidation,
}

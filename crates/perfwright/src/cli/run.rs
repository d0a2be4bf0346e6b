//! `perfwright run`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Look at recorded runs and verify them
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to do with the runs.
    #[command(subcommand)]
    pub verb: RunVerb,
}

/// What to do with recorded runs.
#[derive(Debug, Subcommand)]
pub enum RunVerb {
    /// List the runs below a folder
    List(RunListArgs),
    /// Show what a run holds
    Show(RunShowArgs),
    /// Check every hash of a run and recompute its verdict
    Verify(RunVerifyArgs),
    /// Compare two runs
    Diff(RunDiffArgs),
}

/// Arguments of `run list`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright run list
  perfwright run list /data/runs --format json")]
pub struct RunListArgs {
    /// Folder that holds runs [default: the runs_dir setting, runs/]
    pub root: Option<PathBuf>,
}

/// Arguments of `run show`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright run show runs/20260301T120000.000Z-trace-triage-a1b2")]
pub struct RunShowArgs {
    /// Run folder
    pub dir: PathBuf,
}

/// Arguments of `run verify`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes: 0 clean, 1 a verdict differs on recomputation, 3 a gate this version does not
know or a run that was never closed, 6 bytes or chain differ.

Examples:
  perfwright run verify runs/20260301T120000.000Z-trace-triage-a1b2
  perfwright run verify runs/20260301T120000.000Z-trace-triage-a1b2 --format json")]
pub struct RunVerifyArgs {
    /// Run folder
    pub dir: PathBuf,
}

/// Arguments of `run diff`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright run diff runs/before runs/after")]
pub struct RunDiffArgs {
    /// First run folder
    pub a: PathBuf,
    /// Second run folder
    pub b: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;

    fn parse(line: &str) -> Result<RunVerb, clap::Error> {
        let command = RunArgs::augment_args(clap::Command::new("run"));
        let matches = command.try_get_matches_from(line.split_whitespace())?;
        RunArgs::from_arg_matches(&matches).map(|args| args.verb)
    }

    #[test]
    fn every_verb_takes_its_documented_arguments() {
        assert!(matches!(parse("run list"), Ok(RunVerb::List(RunListArgs { root: None }))));
        assert!(matches!(parse("run list x"), Ok(RunVerb::List(RunListArgs { root: Some(_) }))));
        assert!(matches!(parse("run show x"), Ok(RunVerb::Show(_))));
        assert!(matches!(parse("run verify x"), Ok(RunVerb::Verify(_))));
        assert!(matches!(parse("run diff a b"), Ok(RunVerb::Diff(_))));
        assert!(parse("run verify").is_err());
        assert!(parse("run diff a").is_err());
    }
}

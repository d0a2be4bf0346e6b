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
    /// Print the head to publish, so that a rewritten run can be told
    Seal(RunSealArgs),
    /// Put a run into one file, after searching it for secrets
    Pack(RunPackArgs),
    /// State a run in the in-toto form, or prove one row of it
    Attest(RunAttestArgs),
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
    /// Head that `run seal` printed when the run ended; another one is tampering
    #[arg(long, value_name = "SHA256", value_parser = sha256)]
    pub head: Option<String>,
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

/// Arguments of `run seal`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The head names every byte of the run. Publish it where the run's author cannot change it, and
check later with `perfwright run verify DIR --head SHA256`.

Exit codes: 0 sealed, 3 the run was never closed, 6 bytes or chain differ.

Examples:
  perfwright run seal runs/20260301T120000.000Z-trace-triage-a1b2")]
pub struct RunSealArgs {
    /// Run folder
    pub dir: PathBuf,
}

/// Arguments of `run pack`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The bundle is a plain tar archive: REDACTION.json and the run folder. Every file is searched
for secrets again, with those of this environment; a find refuses the bundle. Inputs that the
run only refers to are left out and listed.

Exit codes: 0 packed, 3 never closed or secrets found, 5 not writable, 6 bytes or chain differ.

Examples:
  perfwright run pack runs/20260301T120000.000Z-trace-triage-a1b2
  perfwright run pack runs/20260301T120000.000Z-trace-triage-a1b2 --output evidence.tar")]
pub struct RunPackArgs {
    /// Run folder
    pub dir: PathBuf,
    /// File to write; it must not exist [default: the folder's name with .tar, in the working directory]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `run attest`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The output is JSON whatever --format says: an in-toto statement that can be signed, with a
Merkle root over every file and line of the run. With --row, the proof that one line belongs to
that root; with --check, no run is needed.

Exit codes: 0 stated or proved, 1 a proof does not hold, 3 the run was never closed, 6 bytes or
chain differ.

Examples:
  perfwright run attest runs/20260301T120000.000Z-trace-triage-a1b2
  perfwright run attest runs/20260301T120000.000Z-bench-search-a1b2 --row benchmark/candidates.jsonl:3
  perfwright run attest --check proof.json --root 55d8b0b7b5f1ccf2a1f0e7c2d8a0fb1b1e4c0a7d3f0b7d6d5e0c9a8b7f6e5d4c")]
pub struct RunAttestArgs {
    /// Run folder
    #[arg(required_unless_present = "check", conflicts_with = "check")]
    pub dir: Option<PathBuf>,
    /// Prove one line of one file
    #[arg(long, value_name = "FILE:LINE", value_parser = file_and_line)]
    pub row: Option<(String, u64)>,
    /// Check a proof that --row printed
    #[arg(long, value_name = "PROOF", requires = "root")]
    pub check: Option<PathBuf>,
    /// Published Merkle root that the proof must lead to
    #[arg(long, value_name = "SHA256", value_parser = sha256, requires = "check")]
    pub root: Option<String>,
}

fn sha256(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    if perfwright_evidence::is_sha256_hex(&text) {
        Ok(text)
    } else {
        Err("a SHA-256 has 64 hexadecimal digits".to_owned())
    }
}

fn file_and_line(text: &str) -> Result<(String, u64), String> {
    let parts = text.rsplit_once(':').filter(|(name, _)| !name.is_empty());
    let line = parts.and_then(|(name, line)| Some((name.to_owned(), line.parse().ok().filter(|n| *n > 0)?)));
    line.ok_or_else(|| "expected FILE:LINE with lines counted from 1".to_owned())
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
        assert!(matches!(parse("run seal x"), Ok(RunVerb::Seal(_))));
        assert!(matches!(
            parse("run pack x -o y.tar"),
            Ok(RunVerb::Pack(RunPackArgs { output: Some(_), .. }))
        ));
        let Ok(RunVerb::Attest(args)) = parse("run attest x --row a/b.jsonl:3") else { panic!("parses") };
        assert_eq!(args.row, Some(("a/b.jsonl".to_owned(), 3)));
        for wrong in [
            "run verify x --head abc",
            "run attest",
            "run attest x --row a:0",
            "run attest x --row :1",
            "run attest --check p",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

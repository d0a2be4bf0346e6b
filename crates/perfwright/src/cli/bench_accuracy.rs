//! `perfwright bench accuracy`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::bench_run::EndpointArg;
use super::record::RecordArgs;

/// A question set that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GenerateArg {
    /// Sums, differences and products of whole numbers
    Arithmetic,
}

/// How a choice is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ByArg {
    /// The letter that the answer names
    Letter,
    /// The likeliest letter among the 20 likeliest first tokens
    Logprob,
}

/// Arguments of `bench accuracy`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Question sets are JSON lines of `question` and `answer`, as GSM8K is published; with `choices` (MMLU) the answer is a
letter, an index from 0 or the text of a choice. `id` names a question, else its place does.

Numbers are right when the last number of the answer is the last number of the set's. Failed requests are counted apart
and are in no share; answers that hold no number or letter are counted apart and are not right.

The interval of a share is Wilson's (95 %). A baseline is compared question by question where both sides state their
answers: better or worse when the interval lies beyond --threshold, same when it lies within it, or holds zero and lies
within --margin, else inconclusive.

Examples:
  perfwright bench accuracy --url http://127.0.0.1:30000 --questions gsm8k.jsonl --task gsm8k --shots 5 \\
      --shots-file gsm8k-train.jsonl --run-dir runs/before
  perfwright bench accuracy --url http://127.0.0.1:30001 --questions gsm8k.jsonl --task gsm8k --shots 5 \\
      --shots-file gsm8k-train.jsonl --baseline runs/before
  perfwright bench accuracy --url 127.0.0.1:8000 --questions mmlu.jsonl --by logprob
  perfwright bench accuracy --url 127.0.0.1:8000 --generate arithmetic --count 200
  perfwright bench accuracy --from after/results.json --baseline before/results.json --task gsm8k

Exit codes: 0 measured, and better or the same where there is a baseline; 1 worse or inconclusive; 3 too many requests
failed, too many answers hold nothing to judge, or the sides may not be compared; 5 the server cannot be reached.")]
pub struct AccuracyArgs {
    /// Address of the server to ask
    #[arg(long, value_name = "URL", required_unless_present = "from", conflicts_with = "from")]
    pub url: Option<String>,

    /// Result to read instead of asking: a run, or a file of lm-eval, SGLang's or vLLM's accuracy scripts
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// Result to compare with, likewise
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// Endpoint that generates
    #[arg(long, value_enum, default_value = "completions")]
    pub endpoint: EndpointArg,

    /// Name of the model in requests [default: the first that the server lists]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub model: String,

    /// Environment variable that holds a bearer token
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,

    /// Question set: JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Questions", conflicts_with = "from")]
    pub questions: Option<PathBuf>,

    /// Draw a question set from --seed
    #[arg(long, value_enum, help_heading = "Questions", conflicts_with_all = ["questions", "from"])]
    pub generate: Option<GenerateArg>,

    /// Questions of a drawn set
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Questions", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,

    /// Ask this many of the set, drawn by --seed
    #[arg(long, value_name = "N", help_heading = "Questions", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Name of the task; of an imported file the one that is meant [default: the name of the file]
    #[arg(long, value_name = "NAME", help_heading = "Questions")]
    pub task: Option<String>,

    /// Worked examples before each question, drawn by --seed
    #[arg(long, value_name = "K", default_value_t = 0, help_heading = "Questions", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub shots: u32,

    /// Set that examples are drawn from; without it they come from the questions, which are then not asked
    #[arg(long, value_name = "FILE", help_heading = "Questions")]
    pub shots_file: Option<PathBuf>,

    /// How a choice is read
    #[arg(long, value_enum, default_value = "letter", help_heading = "Questions")]
    pub by: ByArg,

    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 512, help_heading = "Questions", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_tokens: u32,

    /// Seed of what is drawn, and of sampling where the endpoint takes one
    #[arg(long, value_name = "S", default_value_t = 1, help_heading = "Questions")]
    pub seed: u64,

    /// JSON object whose fields are added to every request
    #[arg(long, value_name = "JSON", help_heading = "Questions")]
    pub extra_body: Option<String>,

    /// Requests at once
    #[arg(long, value_name = "C", default_value_t = 8, help_heading = "Questions", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub concurrency: u32,

    /// Longest wait for a connection, ms
    #[arg(long, value_name = "MS", default_value_t = 10_000, help_heading = "Questions")]
    pub connect_timeout_ms: u64,

    /// Longest wait for an answer, ms
    #[arg(long, value_name = "MS", default_value_t = 600_000, help_heading = "Questions")]
    pub timeout_ms: u64,

    /// Metric and filter of an lm-eval file, such as exact_match,strict-match
    #[arg(long, value_name = "NAME", help_heading = "Files")]
    pub metric: Option<String>,

    /// Questions of a file that does not state them
    #[arg(long, value_name = "N", help_heading = "Files")]
    pub n: Option<u64>,

    /// Part of the requests that may fail, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, help_heading = "Decision")]
    pub max_failed: f64,

    /// Part of the answers that may hold nothing to judge, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 50.0, help_heading = "Decision")]
    pub max_unanswered: f64,

    /// Difference that matters to nobody, in points
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, help_heading = "Decision")]
    pub threshold: f64,

    /// How far the interval of equal results may reach, in points
    #[arg(long, value_name = "POINTS", default_value_t = 3.0, help_heading = "Decision")]
    pub margin: f64,

    /// Say what would be asked, and ask nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

//! `perfwright loop`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Campaigns: rounds of work that gates and a reviewer judge
///
/// A plan becomes a contract; an executor works in rounds; gates that are run here and a separate reviewer decide. The
/// run folder's ledger is the authority, and its head is kept outside of the work tree.
#[derive(Debug, Args)]
pub struct LoopArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: LoopVerb,
}

/// What to do with a campaign.
#[derive(Debug, Subcommand)]
pub enum LoopVerb {
    /// Make a plan from a draft, refine it by comments, check it, or print its goal form
    Plan(PlanArgs),
    /// Lock a plan and begin its campaign
    Start(StartArgs),
    /// Where the campaign of a folder stands
    Status(DirArgs),
    /// Go on with a campaign that was interrupted, waits, or came to a limit
    Resume(ResumeArgs),
    /// End a campaign, by a person's word
    Cancel(CancelArgs),
    /// Whether the campaign is done on the tree that is there now
    Check(DirArgs),
    /// The campaign's report; with --close its verdict is recorded and the work tree given free
    Report(ReportArgs),
    /// Answer a hook of an agent's host: its JSON on standard input, exit code 0 or 2
    Hook(HookArgs),
    /// Read a .humanize/rlcr/<time>/ folder into a run
    Import(ImportArgs),
}

/// Arguments of `loop plan`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright loop plan --from-draft draft.md --out plan.md
  perfwright loop plan --refine plan.md --out plan-2.md    comments become pending decisions
  perfwright loop plan plan.md                             what it lacks; exit 1 if it cannot start
  perfwright loop plan --goal plan.md                      the same plan as one goal text")]
pub struct PlanArgs {
    /// The plan, or the draft with --from-draft
    pub file: PathBuf,
    /// Make the frame of a plan from a draft; what the draft leaves open is marked as pending
    #[arg(long, conflicts_with_all = ["refine", "goal"])]
    pub from_draft: bool,
    /// Take comments (CMT: .. ENDCMT, <cmt>, <comment>) out and list them as pending decisions
    #[arg(long, conflicts_with = "goal")]
    pub refine: bool,
    /// Print the goal form
    #[arg(long)]
    pub goal: bool,
    /// Check it; this is what happens without another flag
    #[arg(long)]
    pub lint: bool,
    /// Title of a plan made from a draft
    #[arg(long, default_value = "Campaign")]
    pub title: String,
    /// New file for the plan; standard output without
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Who moves a campaign on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriverArg {
    /// This command starts executor and reviewer, round after round
    Owner,
    /// The stop hook of an agent's session
    Hooks,
    /// A goal in an agent's session; `loop check` judges
    Goal,
}

/// Hosts of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HostArg {
    /// Claude Code
    Claude,
    /// Codex
    Codex,
}

impl HostArg {
    /// The name as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }
}

/// Arguments of `loop start`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The executor gets the round's prompt on standard input and works in the work tree. The reviewer works in a read-only
copy of the commit, gets its task on standard input and the bundle's path in PERFWRIGHT_LOOP_BUNDLE, and prints one JSON
object of schemas/perfwright.loop-review.v1.json (its path is in PERFWRIGHT_LOOP_SCHEMA).

Exit codes: 0 done, 1 ended without success or at a limit, 3 waits for something or cannot start,
6 the campaign's records were changed.

Examples:
  perfwright loop start plan.md --executor 'claude -p --output-format json' \\
      --reviewer 'codex exec --json -s read-only --output-schema \"$PERFWRIGHT_LOOP_SCHEMA\" -'
  perfwright loop start plan.md --executor ./work.sh --reviewer ./review.sh --max-rounds 5 --budget usd=2.50
  perfwright loop start plan.md --driver hooks --reviewer ./review.sh")]
pub struct StartArgs {
    /// The plan
    pub plan: PathBuf,
    /// Command that works, for `sh -c`
    #[arg(long, value_name = "CMD")]
    pub executor: Option<String>,
    /// Command that reviews, for `sh -c`
    #[arg(long, value_name = "CMD")]
    pub reviewer: String,
    /// Who moves the campaign on
    #[arg(long, value_enum, default_value = "owner")]
    pub driver: DriverArg,
    /// Most rounds, instead of the plan's
    #[arg(long, value_name = "N")]
    pub max_rounds: Option<u32>,
    /// A limit instead of the plan's: tokens=N, usd=X, wall=30m, reviews=N
    #[arg(long, value_name = "NAME=VALUE")]
    pub budget: Vec<String>,
    /// Session that owns the campaign, for hooks; without it the first one that shows the claim word
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Host of that session
    #[arg(long, value_enum, default_value = "claude")]
    pub host: HostArg,
    /// New folder for the run
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// New file for the word by which a person without a terminal cancels or raises limits
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Ends this process before the n-th change on the disk, for tests
    #[arg(long, hide = true, value_name = "N")]
    pub fault: Option<u64>,
}

/// Arguments of verbs that only need the folder.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright loop status --format json
  perfwright loop check && echo done")]
pub struct DirArgs {
    /// A folder in the repository [default: the working directory]
    pub dir: Option<PathBuf>,
}

/// Arguments of `loop resume`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright loop resume
  perfwright loop resume --answer 'use the small model'
  perfwright loop resume --budget usd=10 --token-file token")]
pub struct ResumeArgs {
    /// A folder in the repository [default: the working directory]
    pub dir: Option<PathBuf>,
    /// Answer to the reviewer's question
    #[arg(long, value_name = "TEXT")]
    pub answer: Option<String>,
    /// Raise a limit: tokens=N, usd=X, wall=30m, reviews=N, rounds=N
    #[arg(long, value_name = "NAME=VALUE")]
    pub budget: Vec<String>,
    /// File with the word of `loop start --token-file`
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Ends this process before the n-th change on the disk, for tests
    #[arg(long, hide = true, value_name = "N")]
    pub fault: Option<u64>,
}

/// Arguments of `loop cancel`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright loop cancel                       asks on the terminal
  perfwright loop cancel --token-file token")]
pub struct CancelArgs {
    /// A folder in the repository [default: the working directory]
    pub dir: Option<PathBuf>,
    /// File with the word of `loop start --token-file`
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Arguments of `loop report`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright loop report
  perfwright loop report --close && perfwright run verify runs/...
  perfwright loop report --format html > runs/.../report.html    beside the files that it links to
  perfwright loop report --perfetto --with runs/search > timeline.json
  perfwright loop report --pr > description.md")]
pub struct ReportArgs {
    /// A folder in the repository [default: the working directory]
    pub dir: Option<PathBuf>,
    /// Record the verdict of an ended campaign and close its run
    #[arg(long)]
    pub close: bool,
    /// Print a trace of the campaign for Perfetto: rounds, gates and child processes on one clock
    #[arg(long, conflicts_with = "pr")]
    pub perfetto: bool,
    /// Another run on the same clock, with its servers
    #[arg(long, value_name = "RUN", requires = "perfetto")]
    pub with: Vec<PathBuf>,
    /// Print the description of the change: evidence only, every sentence with what it rests on; exit 1 unless done
    #[arg(long)]
    pub pr: bool,
}

/// Arguments of `loop hook`. It is answered before the command line is parsed; this is its description.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Events: stop, pre-tool-use, post-tool-use, user-prompt-submit, session-start.

Whatever is not understood blocks (exit 2) where a campaign is under way or its records are damaged, and passes with a
note on standard error elsewhere. A stop may take as long as tests and reviewer do: give it a long time-out.

Examples:
  hooks.json of either host:
  {\"hooks\":{\"Stop\":[{\"hooks\":[{\"type\":\"command\",\"command\":\"perfwright loop hook stop\",\"timeout\":21600}]}],
            \"PreToolUse\":[{\"matcher\":\"*\",\"hooks\":[{\"type\":\"command\",\"command\":\"perfwright loop hook pre-tool-use\"}]}]}}")]
pub struct HookArgs {
    /// The event
    pub event: String,
    /// The host
    #[arg(long, value_enum, default_value = "claude")]
    pub host: HostArg,
}

/// Arguments of `loop import`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright loop import .humanize/rlcr/2026-11-22_07-42-43")]
pub struct ImportArgs {
    /// The folder
    pub from: PathBuf,
    /// New folder for the run
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
}

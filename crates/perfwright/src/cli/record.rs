//! Whether an answer becomes a run: the same flags in every command that can be recorded.

use std::path::PathBuf;

use clap::Args;

/// Whether the answer becomes a run.
#[derive(Debug, Default, Clone, Args)]
pub struct RecordArgs {
    /// Write the answer as a run into this new folder
    #[arg(long, value_name = "DIR", conflicts_with = "record")]
    pub run_dir: Option<PathBuf>,

    /// Write the answer as a run into a new folder below runs/
    #[arg(long)]
    pub record: bool,
}

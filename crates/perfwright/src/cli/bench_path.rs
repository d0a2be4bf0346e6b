//! What the path of a server must be: the same flags wherever a running server is measured or profiled.

use std::path::PathBuf;

use clap::Args;

/// What the path of a server must be.
#[derive(Debug, Default, Clone, Args)]
pub struct PathArgs {
    /// The server's log; what it says of backends, graphs, quantisation and fallbacks is proof
    #[arg(long, value_name = "FILE", help_heading = "Path")]
    pub log: Option<PathBuf>,

    /// What a part of the path must be, such as attention_backend=fa3 or tp=8; may be repeated
    #[arg(long = "path", value_name = "FIELD=VALUE", help_heading = "Path")]
    pub fields: Vec<String>,

    /// The command that the server was started with; what its flags ask for must be what runs
    #[arg(long, value_name = "COMMAND", help_heading = "Path")]
    pub server_command: Option<String>,

    /// A fallback after the start that is accepted: text that is in its line; may be repeated
    #[arg(long, value_name = "TEXT", help_heading = "Path")]
    pub accept_fallback: Vec<String>,

    /// A recorded run whose path it must be
    #[arg(long, value_name = "RUN", help_heading = "Path")]
    pub same_path_as: Option<PathBuf>,
}

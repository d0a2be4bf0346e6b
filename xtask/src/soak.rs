//! `cargo xtask soak NAME`: what the tests do for seconds, for as long as a fault needs to show.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs the soak `NAME`, for `SECONDS`.
pub(crate) fn run(root: &Path, rest: &[String]) -> Result<ExitCode, String> {
    let (name, seconds) = match rest {
        [name] => (name, "60"),
        [name, seconds] => (name, seconds.as_str()),
        _ => return Err("usage: cargo xtask soak lab [SECONDS]".to_owned()),
    };
    if name != "lab" {
        return Err(format!("no soak `{name}`; known: lab"));
    }
    seconds.parse::<u64>().map_err(|e| format!("{seconds}: {e}"))?;
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(["test", "--release", "-p", "perfwright", "--test", "lab", "soak", "--", "--nocapture"])
        .current_dir(root)
        .env("PERFWRIGHT_SOAK_SECONDS", seconds)
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

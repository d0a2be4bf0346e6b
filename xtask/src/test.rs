//! `cargo xtask test`: all tests, and an honest last line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode};

use xtask::testrun::{Tally, engine_summary, summary};

/// The engine that `tests/engines/install.sh` installs, and why it could not.
const ENGINE: &str = "target/engines/llamacpp/bin/python";
const ENGINE_MISSING: &str = "target/engines/llamacpp.missing";

/// Runs cargo, passes its output on and counts results. The flag says whether cargo was content.
fn cargo(root: &Path, args: &[&str]) -> Result<(Tally, bool), String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // One pipe for both streams keeps "Running ..." before the results of that program.
    let (reader, writer) = std::io::pipe().map_err(|e| format!("pipe: {e}"))?;
    let other = writer.try_clone().map_err(|e| format!("pipe: {e}"))?;
    let mut command = Command::new(program);
    command.args(args).current_dir(root).env("CARGO_TERM_COLOR", "never").stdout(writer).stderr(other);
    let mut child = command.spawn().map_err(|e| format!("cargo: {e}"))?;
    // The command holds the writing ends; the pipe ends when only the child's are left and closed.
    drop(command);
    let mut tally = Tally::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(|e| format!("cargo: {e}"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.running(&line);
        tally.line(&line);
    }
    let status = child.wait().map_err(|e| format!("cargo: {e}"))?;
    if !status.success() && tally.failed == 0 {
        // A program that did not build or died gave no result line; it must not look like success.
        tally.failed = 1;
    }
    Ok((tally, status.success()))
}

/// Runs everything; extra arguments go to cargo.
pub(crate) fn run(root: &Path, extra: &[String]) -> Result<ExitCode, String> {
    let extra: Vec<&str> = extra.iter().map(String::as_str).collect();
    let (first, mut good) =
        cargo(root, &[&["test", "--workspace", "--no-fail-fast"], extra.as_slice()].concat())?;
    let mut second = None;
    // Where nothing was built there is nothing to run a second time.
    let built = good || first.programs > 0;
    if built && root.join("../shared/data").is_dir() {
        println!("\n../shared/data is here: now the tests that are ignored without it");
        let ignored = ["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"];
        let (tally, fine) =
            cargo(root, &[&ignored, extra.as_slice(), &["--", "--ignored", "--skip", "engine_"]].concat())?;
        good &= fine;
        second = Some(tally);
    }
    let mut engines = None;
    if built && root.join(ENGINE).is_file() {
        println!("\nllama.cpp is here: now the tests that measure it");
        // As the whole workspace, so that nothing is built again with other features.
        let tests = ["test", "--workspace", "--test", "engine_llamacpp"];
        let (tally, fine) = cargo(root, &[&tests, extra.as_slice(), &["--", "--ignored"]].concat())?;
        good &= fine;
        engines = Some(tally);
    }
    let missing = std::fs::read_to_string(root.join(ENGINE_MISSING)).ok();
    let engine_line = engine_summary(engines.as_ref(), missing.as_deref());
    let [counts, real] = summary(&first, second.as_ref(), engines.as_ref());
    println!("\n{engine_line}\n{counts}\n{real}");
    let failed = first.failed + second.map_or(0, |t| t.failed) + engines.map_or(0, |t| t.failed);
    Ok(if good && failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! `cargo xtask NAME`: the repository's chores.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line for developers")]

mod generate;
mod page;
mod soak;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use xtask::tidy;

const USAGE: &str = "usage: cargo xtask NAME ...
  test                            every test; with ../shared/data also those that need it
  soak lab [SECONDS]              load on the lab, 60 s where no time is given; needs a release build
  tidy                            rules about the repository
  page [--screenshots FOLDER] FILE...  open pages in a headless Chromium, wide and narrow
  gen-examples                    the traces under examples/
  gen-trace OUT [OPTIONS]         a realistic trace and OUT.truth.json (.gz by name); `gen-trace --help` lists options
  gen-capture OUT [OPTIONS]       the graph-capture trace that belongs to a --graph-decode trace of the same options
  gen-worst OUT [--frames N] [--launches N]
  gen-odd list | gen-odd NAME OUT [--mb N] | gen-odd all FOLDER";

/// The repository's root: cargo says where xtask lies, one folder below it.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("xtask"), PathBuf::from);
    here.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn run_tidy() -> Result<ExitCode, String> {
    let outcome = tidy::check(&root(), tidy::GENERATORS)?;
    for note in &outcome.notes {
        println!("tidy: {note}");
    }
    for violation in &outcome.violations {
        println!("{violation}");
    }
    println!("tidy: {} violations", outcome.violations.len());
    Ok(if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn dispatch(name: &str, rest: &[String]) -> Result<ExitCode, String> {
    match name {
        "test" => return test::run(&root(), rest),
        "soak" => return soak::run(&root(), rest),
        "tidy" => return run_tidy(),
        "page" => return page::run(rest),
        "gen-examples" => xtask::examples::write_all(&root())?,
        "gen-trace" => generate::trace(rest, false)?,
        "gen-capture" => generate::trace(rest, true)?,
        "gen-worst" => generate::worst(rest)?,
        "gen-odd" => generate::odd(rest)?,
        "help" | "--help" | "-h" => println!("{USAGE}"),
        _ => return Err(format!("no chore `{name}`\n{USAGE}")),
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("help", &[][..]), |(n, rest)| (n.as_str(), rest));
    dispatch(name, rest).unwrap_or_else(|e| {
        eprintln!("xtask {name}: {e}");
        ExitCode::from(2)
    })
}

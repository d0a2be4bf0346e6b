//! `cargo xtask NAME`: the repository's chores.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line for developers")]

use std::path::Path;
use std::process::ExitCode;

use xtask::tracegen::{self, Options};

fn gen_trace(args: &[String], capture: bool) -> Result<(), String> {
    let (out, options) = args.split_first().ok_or("OUT(.json|.json.gz) missing")?;
    let mut o = Options::parse(options)?;
    if capture {
        o = tracegen::capture_options(&o);
    }
    let truth = tracegen::generate_file(&o, Path::new(out)).map_err(|e| format!("{out}: {e}"))?;
    println!("{out}: {} bytes of JSON, {} events, {} passes", truth.bytes, truth.events, truth.steps.len());
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        eprintln!("cargo xtask gen-trace|gen-capture");
        return ExitCode::from(2);
    };
    let result = match name.as_str() {
        "gen-trace" => gen_trace(rest, false),
        "gen-capture" => gen_trace(rest, true),
        _ => Err("unknown".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(2)
        }
    }
}

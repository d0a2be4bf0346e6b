//! `perfwright loop hook`: dispatched before arguments, settings and catalogues, and never ending with another exit
//! code than 0 or 2.

use std::ffi::OsString;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use perfwright_loop::{HookAnswer, HookCall, HookEvent, Surroundings, hook};

use crate::environment::{CLAUDE_PROJECT_DIR, Environment};
use crate::output::{Stdout, stderr};
use crate::settings::state_dir;

/// One byte more than is read of standard input is refused as too large by the reader itself.
const MAX_INPUT: u64 = (32 << 20) + 1;

/// Answers a hook. `args` are those after `loop hook`.
pub(crate) fn main(args: &[OsString], env: &Environment) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let answer = catch_unwind(AssertUnwindSafe(|| answer(args, env))).unwrap_or_else(|_| HookAnswer {
        code: 2,
        stdout: String::new(),
        stderr: "perfwright: internal error in a hook; please report it\n".to_owned(),
    });
    stderr(&answer.stderr);
    let told = Stdout::new().text(&answer.stdout);
    // An answer that nobody could read is none.
    ExitCode::from(if told.is_err() { 2 } else { answer.code })
}

fn answer(args: &[OsString], env: &Environment) -> HookAnswer {
    let words: Vec<&str> = args.iter().filter_map(|a| a.to_str()).collect();
    let host = match words.iter().position(|w| *w == "--host") {
        Some(at) => words.get(at + 1).copied().unwrap_or("claude"),
        None => words.iter().find_map(|w| w.strip_prefix("--host=")).unwrap_or("claude"),
    };
    let event = words.first().and_then(|name| HookEvent::by_name(name));
    let mut input = Vec::new();
    if std::io::stdin().take(MAX_INPUT).read_to_end(&mut input).is_err() {
        input.clear();
    }
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let Some(state_dir) = state_dir(env) else {
        // Without HOME nobody knows where campaigns are; the pointer in the repository still tells of one.
        let call = HookCall { event, host, input: &input, cwd: &cwd, project: None };
        return hook(&call, &surroundings(PathBuf::from("/nonexistent"), env));
    };
    let project = env.get(CLAUDE_PROJECT_DIR.name).map(PathBuf::from);
    let call = HookCall { event, host, input: &input, cwd: &cwd, project };
    hook(&call, &surroundings(state_dir, env))
}

fn surroundings(state_dir: PathBuf, env: &Environment) -> Surroundings {
    Surroundings {
        state_dir,
        version: env!("PW_VERSION").to_owned(),
        argv: vec!["perfwright".to_owned(), "loop".to_owned(), "hook".to_owned()],
        env: env.text_pairs(),
        fault: env.get(FAULT).and_then(|n| n.to_str()).and_then(|n| n.parse().ok()),
    }
}

/// Ends a stop hook before the n-th change on the disk, for tests.
const FAULT: &str = "PERFWRIGHT_TEST_FAULT";

//! `perfwright completions`.

use crate::cli::{CompletionsArgs, command};
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Prints the completion script.
pub(crate) fn run(args: &CompletionsArgs, context: &mut Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "perfwright", &mut script);
    context.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

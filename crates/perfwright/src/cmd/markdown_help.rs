//! `perfwright markdown-help`, the hidden source of `docs/cli.md`.

use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::reference::cli_reference;

/// Prints the command reference.
pub(crate) fn run(context: &mut Context) -> Outcome {
    context.text(&cli_reference())?;
    Ok(Exit::Done)
}

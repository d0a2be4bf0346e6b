//! `perfwright man`.

use std::io;
use std::path::Path;

use crate::cli::{ManArgs, command};
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::output::not_writable;

/// Prints the main page, or writes all pages.
pub(crate) fn run(args: &ManArgs, context: &mut Context) -> Outcome {
    match &args.dir {
        None => {
            let page = render(command()).map_err(|error| not_writable("manual page", &error))?;
            context.text(&page)?;
        }
        Some(dir) => write_all(dir)?,
    }
    Ok(Exit::Done)
}

fn render(command: clap::Command) -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Writes `perfwright.1`, `perfwright-explain.1` and so on.
fn write_all(dir: &Path) -> Result<(), Diagnostic> {
    let failed = |error: io::Error| not_writable(&dir.to_string_lossy(), &error);
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(command(), dir).map_err(failed)
}

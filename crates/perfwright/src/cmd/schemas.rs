//! `perfwright schemas`, the hidden source of `schemas/`.

use std::fs;
use std::path::Path;

use crate::cli::SchemasArgs;
use crate::codes;
use crate::context::Outcome;
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::reference::schemas;

/// Writes the files.
pub(crate) fn run(args: &SchemasArgs) -> Outcome {
    let failed = |path: &Path, e: &std::io::Error| {
        Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "cannot write a schema").file(path).cause(e.to_string())
    };
    fs::create_dir_all(&args.dir).map_err(|e| failed(&args.dir, &e))?;
    for (name, text) in schemas() {
        let path = args.dir.join(name);
        fs::write(&path, text).map_err(|e| failed(&path, &e))?;
    }
    Ok(Exit::Done)
}

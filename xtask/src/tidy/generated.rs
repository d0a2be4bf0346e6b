//! Committed files that a generator makes must be what the generator makes now.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::Violation;
use crate::scratch::Scratch;

/// How a generator is run.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// A function of this crate that writes below the folder it is given.
    Function(fn(&Path) -> Result<(), String>),
    /// A program run at the root; `{dir}` in an argument stands for the folder, and its standard output is written to
    /// `stdout` below the folder where that is named.
    Program {
        /// Program and arguments.
        argv: &'static [&'static str],
        /// File below the folder that takes the standard output.
        stdout: Option<&'static str>,
    },
}

/// One generator and what it owns.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    /// What it makes.
    pub name: &'static str,
    /// How.
    pub run: Run,
    /// Files or folders, relative to the root and to the folder of a run alike; a folder is owned whole.
    pub outputs: &'static [&'static str],
    /// The command that brings the committed files up to date.
    pub fix: &'static str,
}

/// Every generator whose output is committed.
pub const GENERATORS: &[Generator] = &[
    Generator {
        name: "example traces",
        run: Run::Function(crate::examples::write_all),
        outputs: &["examples"],
        fix: "cargo xtask gen-examples",
    },
    Generator {
        name: "command reference",
        run: Run::Program {
            argv: &["cargo", "run", "--quiet", "--package", "perfwright", "--", "markdown-help"],
            stdout: Some("docs/cli.md"),
        },
        outputs: &["docs/cli.md"],
        fix: "cargo run --package perfwright -- markdown-help > docs/cli.md",
    },
    Generator {
        name: "JSON Schemas",
        run: Run::Program {
            argv: &[
                "cargo",
                "run",
                "--quiet",
                "--package",
                "perfwright",
                "--",
                "schemas",
                "--dir",
                "{dir}/schemas",
            ],
            stdout: None,
        },
        outputs: &["schemas"],
        fix: "cargo run --package perfwright -- schemas",
    },
];

fn run(root: &Path, dir: &Path, generator: &Generator) -> Result<(), String> {
    match generator.run {
        Run::Function(f) => f(dir),
        Run::Program { argv, stdout } => {
            let place = dir.to_string_lossy();
            let mut words = argv.iter().map(|a| a.replace("{dir}", &place));
            let program = words.next().ok_or("no program named")?;
            let output = Command::new(&program)
                .args(words)
                .current_dir(root)
                .output()
                .map_err(|e| format!("{program}: {e}"))?;
            if !output.status.success() {
                return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
            }
            if let Some(name) = stdout {
                let path = dir.join(name);
                let parent = path.parent().unwrap_or(dir);
                std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
                std::fs::write(&path, output.stdout).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            Ok(())
        }
    }
}

/// The files of an output, relative to `base`.
fn listing(base: &Path, output: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = vec![output.to_owned()];
    while let Some(path) = rest.pop() {
        let full = base.join(&path);
        if full.is_file() {
            found.insert(path);
        } else if let Ok(entries) = std::fs::read_dir(&full) {
            rest.extend(entries.flatten().map(|e| format!("{path}/{}", e.file_name().to_string_lossy())));
        }
    }
    found
}

/// Runs each generator into a folder of its own and compares.
pub(super) fn check(root: &Path, generators: &[Generator]) -> Result<Vec<Violation>, String> {
    let mut found = Vec::new();
    for generator in generators {
        let dir = Scratch::new("generated");
        run(root, dir.path(), generator).map_err(|e| format!("generator of {}: {e}", generator.name))?;
        for output in generator.outputs {
            let (made, kept) = (listing(dir.path(), output), listing(root, output));
            for path in made.union(&kept) {
                let what = match (made.contains(path), kept.contains(path)) {
                    (true, false) => "is missing",
                    (false, true) => "is not made by the generator",
                    _ if std::fs::read(dir.path().join(path)).ok() == std::fs::read(root.join(path)).ok() => {
                        continue;
                    }
                    _ => "is out of date",
                };
                let advice = format!("{what} ({}); run `{}`", generator.name, generator.fix);
                found.push(Violation::new(path, "generated", advice));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_files(dir: &Path) -> Result<(), String> {
        std::fs::create_dir_all(dir.join("schemas/deep")).map_err(|e| e.to_string())?;
        std::fs::write(dir.join("schemas/a.json"), "{}").map_err(|e| e.to_string())?;
        std::fs::write(dir.join("schemas/deep/b.json"), "[]").map_err(|e| e.to_string())
    }

    const FUNCTION: Generator =
        Generator { name: "schemas", run: Run::Function(two_files), outputs: &["schemas"], fix: "make" };
    const PROGRAM: Generator = Generator {
        name: "reference",
        run: Run::Program { argv: &["echo", "text"], stdout: Some("docs/cli.md") },
        outputs: &["docs/cli.md"],
        fix: "make",
    };

    fn advice(root: &Scratch, generator: Generator) -> Vec<String> {
        check(root.path(), &[generator]).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn current_files_pass_and_each_kind_of_difference_is_named() {
        let root = Scratch::new("root");
        two_files(root.path()).unwrap();
        assert_eq!(advice(&root, FUNCTION), Vec::<String>::new());
        root.write("schemas/a.json", "{ }");
        root.write("schemas/old.json", "1");
        std::fs::remove_file(root.path().join("schemas/deep/b.json")).unwrap();
        assert_eq!(
            advice(&root, FUNCTION),
            [
                "schemas/a.json: generated: is out of date (schemas); run `make`",
                "schemas/deep/b.json: generated: is missing (schemas); run `make`",
                "schemas/old.json: generated: is not made by the generator (schemas); run `make`",
            ]
        );
    }

    #[test]
    fn the_output_of_a_program_is_compared_and_its_failure_is_an_error() {
        let root = Scratch::new("root");
        assert_eq!(advice(&root, PROGRAM), ["docs/cli.md: generated: is missing (reference); run `make`"]);
        root.write("docs/cli.md", "text\n");
        assert_eq!(advice(&root, PROGRAM), Vec::<String>::new());
        let failing = Generator { run: Run::Program { argv: &["false"], stdout: None }, ..PROGRAM };
        assert!(check(root.path(), &[failing]).is_err());
    }
}

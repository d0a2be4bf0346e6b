//! Every command block of the README is run, and where its output is shown, that is what comes out.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A fenced block: what stands behind the fence, and the lines, without the fence's own indent.
struct Block {
    info: String,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for line in markdown.lines() {
        let body = line.trim_start();
        match &mut open {
            Some((_, block)) if body == "```" => {
                found.push(Block {
                    info: std::mem::take(&mut block.info),
                    text: std::mem::take(&mut block.text),
                });
                open = None;
            }
            Some((indent, block)) => {
                block.text.push_str(line.get(*indent..).unwrap_or(body));
                block.text.push('\n');
            }
            None => {
                if let Some(info) = body.strip_prefix("```") {
                    let block = Block { info: info.trim().to_owned(), text: String::new() };
                    open = Some((line.len() - body.len(), block));
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

#[test]
fn every_command_of_the_readme_runs_and_prints_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut last = String::new();
    let (mut ran, mut compared) = (0, 0);
    for block in blocks(&readme) {
        match block.info.as_str() {
            "sh" => {
                for command in block.text.lines() {
                    let command = command.replace("{dir}", &folder.path().display().to_string());
                    if command == "cargo xtask test" {
                        // It runs this very test; that CI runs it word for word is what can be checked here.
                        assert!(ci.lines().any(|l| l == command), "CI does not run {command:?}");
                        continue;
                    }
                    let args = command
                        .strip_prefix("perfwright ")
                        .or_else(|| command.strip_prefix("cargo run --release -- "))
                        .unwrap_or_else(|| panic!("no way to run {command:?}"));
                    let output = Command::new(env!("CARGO_BIN_EXE_perfwright"))
                        .args(args.split_whitespace())
                        .current_dir(root())
                        .env_remove("PERFWRIGHT_FORMAT")
                        .env("PERFWRIGHT_CACHE_DIR", folder.path().join("cache"))
                        .output()
                        .unwrap();
                    assert!(
                        output.status.success(),
                        "{command}: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                    last = String::from_utf8(output.stdout).unwrap();
                    ran += 1;
                }
            }
            "text output" => {
                assert_eq!(block.text.trim_end(), last.trim_end(), "the output shown in the README is old");
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(ran >= 5 && compared >= 1, "{ran} commands ran, {compared} outputs were compared");
}

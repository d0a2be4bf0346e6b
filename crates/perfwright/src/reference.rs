//! Generated texts: the command reference and the JSON Schemas. `cargo xtask` writes them to `docs/` and `schemas/`
//! and a test compares them, so what is committed is what the binary does.

use std::fmt::Write as _;

use clap::{Arg, Command};
use perfwright_loop::sota;

use crate::cli;
use crate::cmd::explain::CodesReport;
use crate::diagnostic::ErrorReport;
use crate::environment::FOREIGN;
use crate::exit::Exit;
use crate::settings::SETTINGS;

/// The text of `docs/cli.md`.
pub fn cli_reference() -> String {
    let mut root = cli::command();
    root.build();
    let mut out =
        String::from("# Command reference\n\nGenerated from the command definition; do not edit.\n");
    section(&mut out, &root, &[]);
    out.push_str("\n## Global options\n\nEvery command knows these.\n\n");
    options(&mut out, root.get_arguments().filter(|arg| arg.is_global_set()));
    settings(&mut out);
    exit_codes(&mut out);
    out
}

/// Every JSON Schema of this crate: file name in `schemas/` and text.
pub fn schemas() -> Vec<(String, String)> {
    let texts = [
        ("perfwright.error.v1.json", schemars::schema_for!(ErrorReport)),
        ("perfwright.codes.v1.json", schemars::schema_for!(CodesReport)),
        (
            "perfwright.bench-accuracy-plan.v1.json",
            schemars::schema_for!(perfwright_bench::accuracy::AccuracyPlan),
        ),
        (
            "perfwright.bench-accuracy.v1.json",
            schemars::schema_for!(perfwright_bench::accuracy::AccuracyReport),
        ),
        ("perfwright.bench-run-plan.v1.json", schemars::schema_for!(perfwright_bench::load::BenchPlan)),
        ("perfwright.bench-run.v1.json", schemars::schema_for!(perfwright_bench::measure::BenchRun)),
        (
            "perfwright.bench-compare.v1.json",
            schemars::schema_for!(perfwright_bench::decide::report::Comparison),
        ),
        ("perfwright.bench-ab.v1.json", schemars::schema_for!(perfwright_bench::decide::ab::AbReport)),
        ("perfwright.bench-plan.v1.json", schemars::schema_for!(perfwright_bench::plan::Plan)),
        (
            "perfwright.bench-search-plan.v1.json",
            schemars::schema_for!(perfwright_bench::search::dry::DryRun),
        ),
        ("perfwright.bench-row.v1.json", schemars::schema_for!(perfwright_bench::rows::Row)),
        ("perfwright.loop-change.v1.json", schemars::schema_for!(perfwright_loop::Change)),
        ("perfwright.loop-contract.v1.json", schemars::schema_for!(perfwright_loop::Spec)),
        ("perfwright.loop-goal.v1.json", schemars::schema_for!(perfwright_loop::plan::GoalText)),
        ("perfwright.loop-import.v1.json", schemars::schema_for!(perfwright_loop::Imported)),
        ("perfwright.loop-plan.v1.json", schemars::schema_for!(perfwright_loop::plan::LintReport)),
        ("perfwright.loop-review.v1.json", schemars::schema_for!(perfwright_loop::Answer)),
        ("perfwright.loop-review-bundle.v1.json", schemars::schema_for!(perfwright_loop::Bundle)),
        ("perfwright.loop-status.v1.json", schemars::schema_for!(perfwright_loop::Status)),
        ("perfwright.sota-accuracy.v1.json", schemars::schema_for!(sota::accuracy::Accuracy)),
        ("perfwright.sota-composition.v1.json", schemars::schema_for!(sota::compose::Composition)),
        ("perfwright.sota-contract.v1.json", schemars::schema_for!(sota::spec::SotaSpec)),
        ("perfwright.sota-events.v1.json", schemars::schema_for!(Vec<sota::event::SotaEvent>)),
        ("perfwright.sota-execution.v1.json", schemars::schema_for!(sota::proof::Proof)),
        ("perfwright.sota-explanation.v1.json", schemars::schema_for!(sota::explain::Explanation)),
        ("perfwright.sota-outputs.v1.json", schemars::schema_for!(sota::accuracy::Outputs)),
        ("perfwright.model-memory.v1.json", schemars::schema_for!(perfwright_model::memory::Memory)),
        ("perfwright.model-ops.v1.json", schemars::schema_for!(perfwright_model::report::OpsReport)),
        ("perfwright.model-show.v1.json", schemars::schema_for!(perfwright_model::show::Show)),
        ("perfwright.model-whatif.v1.json", schemars::schema_for!(perfwright_model::whatif::WhatIf)),
        (
            "perfwright.trace-pipeline.v1.json",
            schemars::schema_for!(perfwright_trace::pipeline::report::Pipeline),
        ),
        ("perfwright.trace-capture.v1.json", schemars::schema_for!(perfwright_bench::capture::CaptureReport)),
        ("perfwright.trace-map.v1.json", schemars::schema_for!(perfwright_trace::map::report::TraceMap)),
        ("perfwright.trace-triage.v1.json", schemars::schema_for!(perfwright_trace::report::Triage)),
        (
            "perfwright.trace-compare.v1.json",
            schemars::schema_for!(perfwright_trace::compare::report::Comparison),
        ),
    ];
    let own = texts.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    // `perfwright.run-verify/v1` is kept in `perfwright.run-verify.v1.json`.
    let evidence = perfwright_evidence::schemas()
        .into_iter()
        .map(|(name, s)| (format!("{}.json", name.replace('/', ".")), s));
    own.chain(evidence).map(|(name, schema)| (name, format!("{:#}\n", schema.as_value()))).collect()
}

/// One command and everything below it.
fn section(out: &mut String, command: &Command, above: &[&str]) {
    let path = [above, &[command.get_name()]].concat();
    let _ = writeln!(out, "\n## {}\n", path.join(" "));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = writeln!(out, "{about}\n");
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let _ = writeln!(out, "```text\n{usage}\n```");
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && !is_standing(arg));
    if own().next().is_some() {
        out.push('\n');
        options(out, own());
    }
    let subcommands =
        || command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    if subcommands().next().is_some() {
        out.push_str("\n| Command | What it does |\n| --- | --- |\n");
        for sub in subcommands() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(out, "| `{}` | {about} |", sub.get_name());
        }
    }
    if let Some(after) = command.get_after_long_help() {
        let _ = writeln!(out, "\n```text\n{after}\n```");
    }
    for sub in subcommands() {
        section(out, sub, &path);
    }
}

/// Flags that clap adds to every command.
fn is_standing(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

/// A list of arguments, one item each.
fn options<'a>(out: &mut String, args: impl Iterator<Item = &'a Arg>) {
    for arg in args.filter(|arg| !arg.is_hide_set()) {
        let name = match (arg.get_short(), arg.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}"),
            (None, Some(long)) => format!("--{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, None) => String::new(),
        };
        let value = if arg.get_action().takes_values() {
            let names = arg.get_value_names().unwrap_or_default();
            names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ")
        } else {
            String::new()
        };
        let help =
            arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let help = help.replace("\n\n", ". ").replace('\n', " ");
        let _ = writeln!(out, "- `{}`: {help}", format!("{name} {value}").trim());
        let choices: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| arg.get_action().takes_values() && !value.is_hide_set())
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({help})", value.get_name()),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        if !choices.is_empty() {
            let _ = writeln!(out, "  - one of {}", choices.join(", "));
        }
    }
}

fn settings(out: &mut String) {
    out.push_str(
        "\n## Settings\n\nA setting is taken from the flag, then from the environment variable, then from the first \
         `perfwright.toml`\nfound from the working directory upward, then from the default. Relative paths in the file \
         start at its folder.\nUnknown keys and unknown `PERFWRIGHT_*` variables are warned about.\n\n\
         | Key | Variable | Flag | Default | What it does |\n| --- | --- | --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let flag = if setting.flag.is_empty() { String::new() } else { format!("`{}`", setting.flag) };
        let key = if setting.key.is_empty() { String::new() } else { format!("`{}`", setting.key) };
        let _ =
            writeln!(out, "| {key} | `{}` | {flag} | {} | {} |", setting.env, setting.default, setting.doc);
    }
    out.push_str(
        "\nVariables of others that are respected:\n\n| Variable | What it does here |\n| --- | --- |\n",
    );
    for variable in FOREIGN {
        let _ = writeln!(out, "| `{}` | {} |", variable.name, variable.doc);
    }
}

fn exit_codes(out: &mut String) {
    out.push_str("\n## Exit codes\n\n| Code | Meaning |\n| ---: | --- |\n");
    for exit in Exit::ALL {
        let _ = writeln!(out, "| {} | {} |", exit.number(), exit.meaning());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn schemas_require_the_schema_name() {
        for (name, text) in super::schemas() {
            let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
            // A list of the events of a ledger has no place for a name; its file does.
            if schema["type"] == "array" {
                continue;
            }
            let required = schema["required"].as_array().unwrap();
            // An in-toto statement is versioned by its own `_type`; the predicate in it names our schema.
            let named = ["schema", "_type"].into_iter().any(|key| required.contains(&key.into()));
            assert!(named, "{name}: {required:?}");
        }
    }
}

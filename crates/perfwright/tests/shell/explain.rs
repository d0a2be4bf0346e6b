//! `perfwright explain`.

use crate::Shell;

#[test]
fn one_code_is_a_page() {
    let ran = Shell::new().run(&["explain", "PW0304"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(ran.stdout, @r#"
PW0304: run tampered with
(error, exit code 6: recorded evidence was tampered with)

What it means
  A file of the run is changed, missing or unlisted, or the ledger's chain is broken. The
  run does not prove anything any more, whoever changed it and why.

What to do
  Every difference is named. Restore the files from a copy, or record again. A run that
  was only cut off is PW0307.

Example
  error[PW0304]: recorded evidence differs from what was recorded
    --> runs/a: analysis/triage.json
    cause: SHA-256 is 9f2c..., recorded 41aa...
"#);
}

#[test]
fn all_codes_are_listed_whatever_the_limit() {
    let ran = Shell::new().run(&["explain", "--limit", "3"]);
    assert_eq!(ran.code, 0);
    for code in perfwright::codes::ALL {
        assert!(ran.stdout.contains(code.id), "{}", code.id);
    }
    assert!(!ran.stdout.contains("left off"));
}

#[test]
fn json_has_schema_and_every_entry() {
    let ran = Shell::new().run(&["explain", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["schema"], "perfwright.codes/v1");
    assert_eq!(value["codes"].as_array().unwrap().len(), perfwright::codes::ALL.len());
    let ran = Shell::new().run(&["explain", "0201", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["codes"][0]["id"], "PW0201");
    assert_eq!(value["codes"][0]["exit"], 3);
}

#[test]
fn csv_and_markdown_have_one_row_per_code() {
    let rows = perfwright::codes::ALL.len();
    let csv = Shell::new().run(&["explain", "--format", "csv"]).stdout;
    assert_eq!(csv.lines().count(), rows + 1);
    assert!(csv.starts_with("codes,code,severity,exit,title,group\r\n"));
    let markdown = Shell::new().run(&["explain", "--format", "markdown"]).stdout;
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| PW")).count(), rows);
}

#[test]
fn an_unknown_code_is_a_usage_error() {
    let ran = Shell::new().run(&["explain", "PW9999"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
error[PW0001]: there is no code "PW9999"
  help: `perfwright explain` lists every code
"#);
}

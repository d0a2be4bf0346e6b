//! Where a setting comes from.

use crate::Shell;

/// The form of the answer, seen from outside.
fn form(stdout: &str) -> &'static str {
    match stdout.get(..1) {
        Some("{") => "json",
        Some("#") => "markdown",
        Some("c") => "csv",
        _ => "table",
    }
}

#[test]
fn flag_then_environment_then_file_then_default() {
    let shell = Shell::new();
    let env: &[(&str, &str)] = &[("PERFWRIGHT_FORMAT", "markdown")];
    assert_eq!(form(&shell.run(&["explain"]).stdout), "table");
    shell.settings("format = 'csv'");
    assert_eq!(form(&shell.run(&["explain"]).stdout), "csv");
    assert_eq!(form(&shell.run_with(&["explain"], env).stdout), "markdown");
    assert_eq!(form(&shell.run_with(&["explain", "--format", "json"], env).stdout), "json");
    assert_eq!(form(&shell.run_with(&["--format", "json", "explain"], env).stdout), "json");
}

#[test]
fn the_file_is_found_upward() {
    let shell = Shell::new();
    shell.settings("format = 'json'");
    let deep = shell.dir.path().join("a/b/c");
    std::fs::create_dir_all(&deep).unwrap();
    let output = shell.command(&["explain"]).current_dir(&deep).output().unwrap();
    assert_eq!(output.stdout.first(), Some(&b'{'));
    // A nearer file is the only one read.
    std::fs::write(deep.join("perfwright.toml"), "").unwrap();
    let output = shell.command(&["explain"]).current_dir(&deep).output().unwrap();
    assert_ne!(output.stdout.first(), Some(&b'{'));
}

#[test]
fn a_malformed_file_is_named_with_its_place() {
    let shell = Shell::new();
    shell.settings("limit = 3\nformat = json\n");
    let ran = shell.run(&["explain"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.starts_with("error[PW0010]: cannot use the settings file\n  --> /"), "{}", ran.stderr);
    assert!(ran.stderr.contains("perfwright.toml: line 2, column 10\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("  cause: "), "{}", ran.stderr);
}

#[test]
fn a_file_that_is_not_text_or_far_too_large_is_refused() {
    let shell = Shell::new();
    std::fs::write(shell.dir.path().join("perfwright.toml"), [0xff, 0xfe, 0x00]).unwrap();
    assert_eq!(shell.run(&["explain"]).code, 2);
    std::fs::write(shell.dir.path().join("perfwright.toml"), vec![b'\n'; 2 << 20]).unwrap();
    let ran = shell.run(&["explain"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("the limit is 1048576"), "{}", ran.stderr);
}

#[test]
fn a_wrong_value_is_a_usage_error() {
    let ran = Shell::new().run_with(&["explain"], &[("PERFWRIGHT_LIMIT", "many")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
error[PW0011]: the setting `limit` does not accept "many"; expected a whole number, 0 or more
  --> environment variable PERFWRIGHT_LIMIT
  help: Rows per table in `table` and `markdown`; `0` shows all.
"#);
}

#[test]
fn unknown_names_warn_and_quiet_silences_them() {
    let shell = Shell::new();
    shell.settings("formt = 'json'");
    let ran = shell.run(&["explain", "PW0001"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.starts_with("warning[PW0012]: unknown setting `formt`\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `format`?"), "{}", ran.stderr);
    assert_eq!(shell.run(&["explain", "PW0001", "--quiet"]).stderr, "");
    let ran = shell.run_with(&["explain", "PW0001"], &[("PERFWRIGHT_QUIET", "1"), ("PERFWRIGHT_FORMT", "x")]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn verbose_names_the_settings_file() {
    let shell = Shell::new();
    assert_eq!(shell.run(&["explain", "-v"]).stderr, "");
    shell.settings("");
    let ran = shell.run(&["explain", "-v"]);
    assert!(ran.stderr.starts_with("note: settings file /"), "{}", ran.stderr);
    assert_eq!(shell.run(&["explain"]).stderr, "");
    assert_eq!(shell.run(&["explain", "-v", "-q"]).code, 2, "the two contradict each other");
}

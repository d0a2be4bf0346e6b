//! Help, version, wrong command lines, completions and manual pages.

use crate::Shell;

#[test]
fn an_unknown_command_is_a_usage_error_with_a_code() {
    let ran = Shell::new().run(&["explian"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
error[PW0001]: unrecognized subcommand 'explian'

  tip: a similar subcommand exists: 'explain'

Usage: perfwright [OPTIONS] <COMMAND>

For more information, try '--help'.
"#);
}

#[test]
fn an_unknown_value_names_the_choices() {
    let ran = Shell::new().run(&["explain", "--format", "yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.starts_with("error[PW0001]: invalid value 'yaml' for '--format <FORMAT>'"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("table, markdown, json, csv"), "{}", ran.stderr);
}

#[test]
fn steering_characters_in_arguments_do_not_reach_the_terminal() {
    let ran = Shell::new().run(&["\x1b[2Jx\u{9b}31m"]);
    assert_eq!(ran.code, 2);
    assert!(!ran.stderr.contains(['\x1b', '\u{9b}']), "{:?}", ran.stderr);
    let ran = Shell::new().run(&["explain", "\x1b[2J"]);
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
}

#[test]
fn no_command_prints_help_and_is_a_usage_error() {
    let ran = Shell::new().run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("Usage: perfwright"));
}

/// Every command, found through the definition itself, so that a new one cannot forget its examples.
#[test]
fn help_of_every_command_has_examples() {
    fn walk(command: &clap::Command, path: &[String]) {
        let shell = Shell::new();
        let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
        args.push("--help");
        let ran = shell.run(&args);
        assert_eq!(ran.code, 0, "{args:?}");
        let has_verbs = command.get_subcommands().next().is_some();
        if path.is_empty() || !has_verbs {
            assert!(ran.stdout.contains("Examples:\n"), "{args:?} has no examples");
            assert!(ran.stdout.contains(&format!("perfwright {}", path.join(" "))), "{args:?}");
        }
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            walk(sub, &[path, &[sub.get_name().to_owned()]].concat());
        }
    }
    walk(&perfwright::cli::command(), &[]);
}

#[test]
fn version_is_one_line_with_the_package_version() {
    let ran = Shell::new().run(&["--version"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(ran.stdout.starts_with(concat!("perfwright ", env!("CARGO_PKG_VERSION"))), "{}", ran.stdout);
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Shell::new().run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("explain"), "{shell}");
    }
}

#[test]
fn manual_pages_are_printed_and_written() {
    let shell = Shell::new();
    let page = shell.run(&["man"]).stdout;
    assert!(page.contains(".TH perfwright 1"), "{page}");
    let ran = shell.run(&["man", "--dir", "man/man1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for name in ["perfwright.1", "perfwright-explain.1", "perfwright-man.1"] {
        assert!(shell.dir.path().join("man/man1").join(name).is_file(), "{name}");
    }
}

/// The committed reference is what the binary prints.
#[test]
fn command_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == Shell::new().run(&["markdown-help"]).stdout,
        "docs/cli.md is old; write it anew with `cargo run -p perfwright -- markdown-help > docs/cli.md`"
    );
}

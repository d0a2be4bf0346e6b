//! Colours, width, pipes and disks.

use std::process::Command;

use crate::Shell;

#[test]
fn colors_follow_flag_then_environment() {
    let shell = Shell::new();
    let styled = |args: &[&str], env: &[(&str, &str)]| shell.run_with(args, env).stdout.contains('\x1b');
    assert!(!styled(&["explain"], &[]), "a pipe is not styled");
    assert!(styled(&["explain"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!styled(&["explain"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(styled(&["explain", "--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!styled(&["explain", "--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(styled(&["--help"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!styled(&["--help", "--color=never"], &[("CLICOLOR_FORCE", "1")]));
    let wrong = |env: &[(&str, &str)]| shell.run_with(&["explain", "PW9999"], env).stderr.contains('\x1b');
    assert!(!wrong(&[]));
    assert!(wrong(&[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn json_and_csv_are_never_styled() {
    for format in ["json", "csv", "markdown"] {
        let ran = Shell::new().run(&["explain", "--color", "always", "--format", format]);
        assert!(!ran.stdout.contains('\x1b'), "{format}");
    }
}

#[test]
fn width_bounds_every_line() {
    let shell = Shell::new();
    let widest = |width: &str| {
        let ran = shell.run(&["explain", "--width", width]);
        ran.stdout.lines().map(|line| line.chars().count()).max().unwrap()
    };
    assert!(widest("60") <= 60);
    assert!(widest("20") <= 20);
    assert!(widest("0") > 60);
}

/// As in `perfwright ... | head` after `head` has ended.
#[test]
fn a_closed_pipe_ends_quietly() {
    let shell = Shell::new();
    for args in [&["completions", "bash"][..], &["explain", "--format", "json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(assert_cmd::cargo::cargo_bin!("perfwright"))
            .args(args)
            .env_clear()
            .current_dir(shell.dir.path())
            .stdout(writer)
            .output()
            .unwrap();
        assert_eq!(output.stderr, b"", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_with_a_code() {
    let shell = Shell::new();
    for args in [&["explain"][..], &["--version"], &["explain", "--format", "json"]] {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("perfwright"))
            .args(args)
            .env_clear()
            .current_dir(shell.dir.path())
            .stdout(std::fs::File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(5), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with("error[PW0901]: cannot write the output\n"), "{stderr}");
    }
}

#[test]
fn json_errors_of_codes_4_and_5_are_objects() {
    let shell = Shell::new();
    std::fs::write(shell.dir.path().join("file"), "").unwrap();
    let ran = shell.run(&["man", "--dir", "file/below", "--format", "json"]);
    assert_eq!(ran.code, 5);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["schema"], "perfwright.error/v1");
    assert_eq!(value["error"]["code"], "PW0901");
    assert_eq!(value["error"]["file"], "file/below");
    assert!(ran.stderr.starts_with("error[PW0901]: "));
    let ran = shell.run(&["man", "--dir", "file/below"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""));
}

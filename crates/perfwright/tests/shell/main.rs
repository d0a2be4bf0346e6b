//! The binary as a user meets it: arguments, settings, exit codes, pipes.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

mod bench;
mod explain;
mod inputs;
mod model;
mod output;
mod recorded;
mod settings;
mod share;
mod usage;

use assert_cmd::Command;

/// The binary in an environment without settings, in a folder of its own.
struct Shell {
    dir: tempfile::TempDir,
}

/// What a command left behind.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Shell {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("perfwright"));
        command.env_clear().current_dir(self.dir.path()).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Ran {
        let output = self.command(args).envs(env.iter().copied()).output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn settings(&self, text: &str) {
        std::fs::write(self.dir.path().join("perfwright.toml"), text).unwrap();
    }
}

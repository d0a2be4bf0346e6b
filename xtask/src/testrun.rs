//! Reads what `cargo test` prints, so that one line can say what really ran.

use std::collections::BTreeSet;

/// The reason real-data tests give for being ignored by default.
pub const REAL_DATA: &str = "needs ../shared/data";

/// Counts over one or more test programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were ignored.
    pub ignored: u64,
    /// Test programs that gave a result.
    pub programs: u64,
    /// (program, test) of tests ignored for want of real data.
    pub real_data: BTreeSet<(String, String)>,
    /// (program, test) of tests that ran to an end.
    pub ended: BTreeSet<(String, String)>,
    program: String,
}

fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.find(word).map(|at| &text[at + word.len()..])
}

impl Tally {
    /// Takes a line of standard error, where cargo names the program it runs next.
    pub fn running(&mut self, line: &str) {
        let line = line.trim_start();
        if let Some(name) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            // The hash in the file name differs from build to build, the source path does not.
            self.program = name.split(" (").next().unwrap_or(name).to_owned() + &package_of(name);
        }
    }

    /// Takes a line of standard output.
    pub fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.programs += 1;
            let mut numbers = rest.split([';', '.']).filter_map(|part| {
                let (number, word) = part.trim().split_once(' ')?;
                Some((number.parse::<u64>().ok()?, word.to_owned()))
            });
            for (number, word) in numbers.by_ref() {
                match word.as_str() {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        } else if let Some((name, outcome)) =
            line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        {
            let key = (self.program.clone(), name.to_owned());
            match outcome.trim() {
                "ok" | "FAILED" => drop(self.ended.insert(key)),
                other if after(other, "ignored, ").is_some_and(|why| why.starts_with(REAL_DATA)) => {
                    self.real_data.insert(key);
                }
                _ => {}
            }
        }
    }
}

/// `unittests src/lib.rs (target/debug/deps/perfwright_trace-0a1b)` is told apart by the crate name in the file name.
fn package_of(name: &str) -> String {
    let file = after(name, " (").and_then(|p| p.rsplit(['/', '\\']).next()).unwrap_or("");
    format!(" {}", file.rsplit_once('-').map_or(file, |(stem, _)| stem))
}

/// The two closing lines: what ran, and how much of it used real data.
///
/// `first` is the ordinary run; `second` the run of ignored tests, absent where there is no data folder; `engines` that
/// of tests with third-party engines, absent where there are none.
pub fn summary(first: &Tally, second: Option<&Tally>, engines: Option<&Tally>) -> [String; 2] {
    let (mut passed, mut failed, mut skipped) = (first.passed, first.failed, first.ignored);
    let mut ran = 0;
    if let Some(second) = second {
        passed += second.passed;
        failed += second.failed;
        skipped = skipped.saturating_sub(second.passed + second.failed);
        ran = first.real_data.intersection(&second.ended).count();
    }
    if let Some(engines) = engines {
        passed += engines.passed;
        failed += engines.failed;
        skipped = skipped.saturating_sub(engines.passed + engines.failed);
    }
    [
        format!("{passed} passed, {failed} failed, {skipped} skipped"),
        format!("real-data tests: {ran} ran, {} ignored", first.real_data.len() - ran),
    ]
}

/// The line about third-party engines; `missing` is why there is none.
pub fn engine_summary(engines: Option<&Tally>, missing: Option<&str>) -> String {
    match (engines, missing) {
        (Some(t), _) => format!("llama.cpp tests: {} ran", t.passed + t.failed),
        (None, Some(why)) => format!("llama.cpp tests: ignored, {}", why.trim()),
        (None, None) => "llama.cpp tests: ignored, tests/engines/install.sh installs it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(err_then_out: &[(&str, &str)]) -> Tally {
        let mut tally = Tally::default();
        for (err, out) in err_then_out {
            tally.running(err);
            for line in out.lines() {
                tally.line(line);
            }
        }
        tally
    }

    const FIRST: &[(&str, &str)] = &[
        (
            "     Running unittests src/lib.rs (target/debug/deps/a-1f)",
            "test x::one ... ok\ntest x::two ... ignored, needs ../shared/data\ntest x::three ... ignored, slow\n\
             test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.41s",
        ),
        (
            "     Running unittests src/lib.rs (target/debug/deps/b-2e)",
            "test x::two ... ignored, needs ../shared/data\n\
             test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ),
    ];

    #[test]
    fn without_data_everything_ignored_is_said_to_be() {
        let first = tally(FIRST);
        assert_eq!(first.programs, 2);
        assert_eq!(
            summary(&first, None, None),
            ["4 passed, 1 failed, 3 skipped", "real-data tests: 0 ran, 2 ignored"]
        );
    }

    #[test]
    fn with_data_only_tests_that_ended_count_as_run() {
        let second = tally(&[
            (
                "     Running unittests src/lib.rs (target/debug/deps/a-1f)",
                "test x::two ... ok\ntest x::three ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured",
            ),
            // The second program died before its test ended.
            ("     Running unittests src/lib.rs (target/debug/deps/b-2e)", ""),
        ]);
        assert_eq!(
            summary(&tally(FIRST), Some(&second), None),
            ["6 passed, 1 failed, 1 skipped", "real-data tests: 1 ran, 1 ignored"]
        );
    }
}

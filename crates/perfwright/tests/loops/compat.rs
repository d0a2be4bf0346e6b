//! Behaviours of the known loop (humania-org/humanize 1.16) as named cases on ours. `docs/loop-compat.md` lists each,
//! and where ours differs on purpose; a test holds the two lists together.

use std::fs;

use serde_json::Value;

use crate::{Ran, World, answer, clean, message, writing};

type Case = (&'static str, fn(&World));

const SAY_HELLO: &str =
    "cat >/dev/null\necho hello $PERFWRIGHT_LOOP_ROUND > src/a.txt\ngit commit -qam work || true\n";
const STALLED: &str = "continue";

#[track_caller]
fn blocked(ran: &Ran) {
    assert!(ran.code == Some(0) && ran.stdout.contains("\"decision\":\"block\""), "{ran:?}");
}

/// Starts for hooks and lets a session that did `work` stop.
fn stopped(world: &World, work: fn(&World)) -> Ran {
    world.start_hooks(&clean()).expect(0);
    work(world);
    world.stop("s1")
}

fn reason(status: &Value) -> String {
    status["verdict"]["reason"].as_str().unwrap_or_default().to_owned()
}

fn phase_after(world: &World, reviewer: &str) -> Value {
    world.start(SAY_HELLO, reviewer).json()
}

const SETUP: &[Case] = &[
    ("setup-refuses-missing-plan", |w| {
        fs::remove_file(w.repo().join("plan.md")).unwrap();
        w.commit("gone");
        w.start(SAY_HELLO, &clean()).expect(4);
    }),
    ("setup-refuses-outside-git", |w| {
        fs::remove_dir_all(w.repo().join(".git")).unwrap();
        w.start(SAY_HELLO, &clean()).expect(5);
    }),
    ("setup-refuses-without-commit", |w| {
        fs::remove_dir_all(w.repo().join(".git")).unwrap();
        w.git(&["init", "-q"]);
        w.start(SAY_HELLO, &clean()).expect(5);
    }),
    ("setup-refuses-second-loop", |w| {
        w.start_hooks(&clean()).expect(0);
        w.start(SAY_HELLO, &clean()).expect(2);
    }),
    ("setup-refuses-symlink", |w| {
        fs::rename(w.repo().join("plan.md"), w.repo().join("real.md")).unwrap();
        std::os::unix::fs::symlink("real.md", w.repo().join("plan.md")).unwrap();
        w.commit("link");
        w.start(SAY_HELLO, &clean()).expect(3);
    }),
    ("setup-refuses-dirty-tree", |w| {
        w.write("src/a.txt", "x");
        w.start(SAY_HELLO, &clean()).expect(3);
    }),
    ("setup-refuses-plan-of-headings", |w| {
        w.write("plan.md", "# a\n## b\n### c\n## Goal\n## Acceptance Criteria\n");
        w.commit("headings");
        w.start(SAY_HELLO, &clean()).expect(3);
    }),
    ("setup-refuses-zero-rounds", |w| {
        w.start_with(SAY_HELLO, &clean(), &["--max-rounds", "0"]).expect(3);
    }),
    ("setup-takes-plan-from-outside", |w| {
        fs::copy(w.repo().join("plan.md"), w.dir.path().join("plan.md")).unwrap();
        let (e, r) = (w.script("e.sh", SAY_HELLO), w.script("r.sh", &clean()));
        let run = w.run_dir().to_string_lossy().into_owned();
        w.pw(&["loop", "start", "../plan.md", "--executor", &e, "--reviewer", &r, "--run-dir", &run])
            .expect(0);
    }),
    ("setup-takes-detached-head", |w| {
        w.git(&["checkout", "-q", "--detach"]);
        w.start(SAY_HELLO, &clean()).expect(0);
    }),
    ("setup-locks-plan-copy", |w| {
        w.start_hooks(&clean()).expect(0);
        assert_eq!(fs::read_to_string(w.run_dir().join("plan.md")).unwrap(), w.read("plan.md"));
    }),
    ("cancel-without-loop", |w| {
        w.pw(&["loop", "cancel"]).expect(2);
    }),
];

const STOP: &[Case] = &[
    ("stop-allows-without-loop", |w| {
        assert_eq!(w.stop("s1").expect(0).stdout, "");
    }),
    ("stop-allows-other-session", |w| {
        w.start_hooks(&clean()).expect(0);
        assert_eq!(w.stop("s2").expect(0).stdout, "");
    }),
    ("stop-blocks-other-branch", |w| {
        blocked(&stopped(w, |w| {
            w.work();
            w.git(&["checkout", "-q", "-b", "other"]);
        }));
    }),
    ("stop-blocks-deleted-plan", |w| {
        blocked(&stopped(w, |w| {
            fs::remove_file(w.repo().join("plan.md")).unwrap();
            w.work();
        }));
        assert_eq!(w.gate("locked"), "fail");
    }),
    ("stop-blocks-changed-plan", |w| {
        blocked(&stopped(w, |w| {
            w.work();
            w.write("plan.md", "x");
        }));
    }),
    ("stop-blocks-dirty-tree", |w| {
        blocked(&stopped(w, |w| {
            w.work();
            w.write("src/rest.txt", "x");
        }));
    }),
    ("stop-blocks-large-uncommitted-file", |w| {
        blocked(&stopped(w, |w| {
            w.work();
            w.write("src/large.rs", &"x\n".repeat(2001));
        }));
        assert_eq!(w.gate("large-files"), "fail");
    }),
    ("stop-allows-2000-lines", |w| {
        stopped(w, |w| {
            w.write("src/large.rs", &"x\n".repeat(2000));
            w.work();
        });
        assert_eq!(w.gate("large-files"), "pass");
    }),
    ("stop-ignores-stop-hook-active", |w| {
        w.start_hooks(&clean()).expect(0);
        let again = message("claude", "Stop", "s1", &w.repo())
            .replace("\"stop_hook_active\":false", "\"stop_hook_active\":true");
        blocked(&w.hook("stop", &again));
    }),
    ("stop-blocks-before-work", |w| {
        blocked(&stopped(w, |_| {}));
        assert_eq!(w.gate("tests"), "fail");
    }),
    ("stop-points-to-prompt-file", |w| {
        let ran = stopped(w, |_| {});
        let reason = ran.json()["reason"].as_str().unwrap().to_owned();
        let path = reason.split_whitespace().find(|t| t.contains("/rounds/1/prompt-")).unwrap();
        assert!(fs::read_to_string(path).unwrap().contains("Gates that refused"), "{reason}");
    }),
    ("stop-says-it-is-a-claim-only", |w| {
        // "All done, COMPLETE" in the last message ends nothing.
        blocked(&stopped(w, |_| {}));
        assert_eq!(w.status()["phase"], "rounds");
    }),
];

const REVIEW: &[Case] = &[
    ("review-failing-command-is-no-review", |w| {
        assert_eq!(phase_after(w, "cat >/dev/null; exit 2")["phase"], "blocked");
    }),
    ("review-empty-is-no-review", |w| {
        assert_eq!(phase_after(w, "cat >/dev/null")["phase"], "blocked");
    }),
    ("review-without-progress-is-no-review", |w| {
        assert_eq!(phase_after(w, &clean().replace("\"progress\":\"advanced\",", ""))["phase"], "blocked");
    }),
    ("review-unread-prompt-is-no-failure", |w| {
        assert_eq!(phase_after(w, &clean().replace("cat >/dev/null\n", ""))["phase"], "done");
    }),
    ("review-stalled-twice-asks-for-a-new-plan", |w| {
        w.start(SAY_HELLO, &answer(STALLED, "stalled", "", false)).expect(1);
        let prompt = fs::read_to_string(w.run_dir().join("rounds/2/prompt-3.md")).unwrap();
        assert!(prompt.contains("another way"), "{prompt}");
        let first = fs::read_to_string(w.run_dir().join("rounds/1/prompt-2.md")).unwrap();
        assert!(!first.contains("another way"));
    }),
    ("review-stalled-three-times-stops", |w| {
        let status = phase_after(w, &answer(STALLED, "stalled", "", false));
        assert_eq!((status["phase"].as_str(), status["round"].as_u64()), (Some("stopped"), Some(2)));
        assert!(reason(&status).contains("without progress"));
    }),
    ("review-regressed-counts-as-stalled", |w| {
        assert_eq!(phase_after(w, &answer(STALLED, "regressed", "", false))["phase"], "stopped");
    }),
    ("review-advanced-resets-the-count", |w| {
        let alternating = format!(
            "n=$(cat {0} 2>/dev/null || echo 0); echo $((n + 1)) > {0}\nif [ $((n % 3)) = 2 ]; then\n{1}else\n{2}fi\n",
            w.dir.path().join("count").display(),
            answer(STALLED, "advanced", "", false),
            answer(STALLED, "stalled", "", false)
        );
        assert_eq!(
            phase_after(w, &alternating)["phase"],
            "budget-limited",
            "six rounds, never three stalled in a row"
        );
    }),
    ("review-complete-leads-to-code-review-at-once", |w| {
        w.start(SAY_HELLO, &clean()).expect(0);
        let kinds: Vec<String> = w.events().iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
        let text = kinds.join(" ");
        assert!(text.contains("reviewed review_started reviewed executor_started"), "{text}");
    }),
    ("review-findings-keep-the-review-phase", |w| {
        let once = format!(
            "n=$(cat {0} 2>/dev/null || echo 0); echo $((n + 1)) > {0}\nif [ $n = 1 ]; then\n{1}else\n{2}fi\n",
            w.dir.path().join("count").display(),
            answer("continue", "advanced", r#"{"severity":1,"lane":"blocking","title":"bug"}"#, true),
            clean()
        );
        let status = phase_after(w, &once);
        assert_eq!((status["phase"].as_str(), status["round"].as_u64()), (Some("done"), Some(1)));
        let prompt = fs::read_to_string(w.run_dir().join("rounds/1/prompt-2.md")).unwrap();
        assert!(prompt.contains("phase code-review") && prompt.contains("P1 - bug"), "{prompt}");
    }),
    ("review-clean-leads-to-finalize", |w| {
        w.start_hooks(&clean()).expect(0);
        w.work();
        blocked(&w.stop("s1"));
        assert_eq!(w.status()["phase"], "finalize");
    }),
    ("finalize-without-change-completes", |w| {
        w.start_hooks(&clean()).expect(0);
        w.work();
        w.stop("s1");
        w.stop("s1").expect(0);
        assert_eq!((w.status()["phase"].as_str(), w.reviews()), (Some("done"), 2));
    }),
    ("review-stop-stops", |w| {
        assert_eq!(phase_after(w, &answer("stop", "stalled", "", false))["phase"], "stopped");
    }),
    ("max-rounds-end-implementation", |w| {
        let status = w
            .start_with(SAY_HELLO, &answer("continue", "advanced", "", false), &["--max-rounds", "1"])
            .expect(1)
            .json();
        assert_eq!(status["phase"], "budget-limited");
    }),
    ("max-rounds-end-code-review-too", |w| {
        let never = format!(
            "if [ \"$(grep -c code-review \"$PERFWRIGHT_LOOP_BUNDLE\")\" != 0 ]; then\n{}else\n{}fi\n",
            answer(
                "continue",
                "advanced",
                r#"{"severity":1,"lane":"blocking","title":"'$PERFWRIGHT_LOOP_NONCE'"}"#,
                true
            ),
            clean()
        );
        let status = w.start_with(SAY_HELLO, &never, &["--max-rounds", "3"]).expect(1).json();
        assert_eq!((status["phase"].as_str(), status["round"].as_u64()), (Some("budget-limited"), Some(3)));
    }),
    ("review-sees-no-summary-of-the-executor", |w| {
        let boast = format!("{SAY_HELLO}echo BOAST\necho BOAST >&2\n");
        w.start(&boast, &clean()).expect(0);
        let bundle = fs::read_to_string(w.run_dir().join("rounds/0/review-1.bundle.json")).unwrap();
        assert!(!bundle.contains("BOAST") && bundle.contains("AC-1"));
    }),
];

const TOOLS: &[Case] = &[
    ("tools-cannot-write-prompts", |w| {
        w.start_hooks(&clean()).expect(0);
        let path = w.run_dir().join("rounds/0/prompt-1.md");
        assert_eq!(w.hook("pre-tool-use", &writing("Write", &path, "s1", &w.repo())).code, Some(2));
    }),
    ("tools-cannot-write-state", |w| {
        w.start_hooks(&clean()).expect(0);
        let path = w.run_dir().join("ledger.jsonl");
        assert_eq!(w.hook("pre-tool-use", &writing("Edit", &path, "s1", &w.repo())).code, Some(2));
    }),
    ("tools-cannot-write-plan", |w| {
        w.start_hooks(&clean()).expect(0);
        let path = w.repo().join("plan.md");
        assert_eq!(w.hook("pre-tool-use", &writing("Write", &path, "s1", &w.repo())).code, Some(2));
    }),
    ("tools-may-read-everything", |w| {
        w.start_hooks(&clean()).expect(0);
        let path = w.run_dir().join("rounds/0/prompt-1.md");
        w.hook("pre-tool-use", &writing("Read", &path, "s1", &w.repo())).expect(0);
    }),
    ("tools-may-write-the-project", |w| {
        w.start_hooks(&clean()).expect(0);
        let path = w.repo().join("src/a.txt");
        w.hook("pre-tool-use", &writing("Write", &path, "s1", &w.repo())).expect(0);
    }),
    ("shell-commands-are-not-parsed", |w| {
        w.start_hooks(&clean()).expect(0);
        let push =
            message("claude", "PreToolUse", "s1", &w.repo()).replace("cat a.txt", "git push origin main");
        w.hook("pre-tool-use", &push).expect(0);
    }),
    ("messages-with-nul-block", |w| {
        w.start_hooks(&clean()).expect(0);
        let input = message("claude", "PreToolUse", "s1", &w.repo()).replace("cat", "c\0t");
        assert_eq!(w.hook("pre-tool-use", &input).code, Some(2));
    }),
    ("messages-not-utf8-block", |w| {
        w.start_hooks(&clean()).expect(0);
        let mut input = message("claude", "PreToolUse", "s1", &w.repo()).into_bytes();
        let at = input.windows(3).position(|b| b == b"cat").unwrap();
        input[at] = 0xff;
        assert_eq!(crate::finish(w.command(&["loop", "hook", "pre-tool-use"]), &input).code, Some(2));
    }),
    ("messages-without-tool-name-block", |w| {
        w.start_hooks(&clean()).expect(0);
        let input = message("claude", "PreToolUse", "s1", &w.repo()).replace("\"tool_name\":\"Bash\",", "");
        assert_eq!(w.hook("pre-tool-use", &input).code, Some(2));
    }),
    ("import-reads-a-finished-loop", |w| {
        let from = w.dir.path().join("2026-01-01_00-00-00");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("complete-state.md"), "---\ncurrent_round: 0\n---\n").unwrap();
        fs::write(from.join("round-0-review-result.md"), "Mainline Progress Verdict: ADVANCED\nCOMPLETE\n")
            .unwrap();
        let run = w.run_dir().to_string_lossy().into_owned();
        let told = w
            .pw(&["loop", "import", &from.to_string_lossy(), "--run-dir", &run, "--format", "json"])
            .expect(0)
            .json();
        assert_eq!(
            (told["ended"].as_str(), told["rounds"][0]["end"].as_str()),
            (Some("complete"), Some("COMPLETE"))
        );
        w.pw(&["run", "verify", &run]).expect(0);
    }),
];

fn run(cases: &[Case]) {
    for (name, case) in cases {
        // A failing case is named by its place; the name says which behaviour it stands for.
        let world = World::new();
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&world)));
        assert!(ran.is_ok(), "case {name}");
    }
}

#[test]
fn setup() {
    run(SETUP);
}

#[test]
fn stops() {
    run(STOP);
}

#[test]
fn reviews() {
    run(REVIEW);
}

#[test]
fn tools_and_messages() {
    run(TOOLS);
}

#[test]
fn the_document_lists_every_case_and_no_other() {
    let doc = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/loop-compat.md")).unwrap();
    let mut listed: Vec<&str> =
        doc.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split('`').next()).collect();
    let mut cases: Vec<&str> = [SETUP, STOP, REVIEW, TOOLS].concat().iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    cases.sort_unstable();
    assert_eq!(listed, cases);
    assert!(cases.len() >= 40, "{}", cases.len());
}

//! Every hook event with every kind of message and every state of a campaign, for both hosts.

use std::fs;

use serde_json::Value;

use crate::{World, answer, clean, message};

const EVENTS: [(&str, &str); 5] = [
    ("stop", "Stop"),
    ("pre-tool-use", "PreToolUse"),
    ("post-tool-use", "PostToolUse"),
    ("user-prompt-submit", "UserPromptSubmit"),
    ("session-start", "SessionStart"),
];

/// What each event owes in each case: exit code, and a part of its streams.
fn check(
    case: &str,
    world: impl Fn() -> World,
    session: &str,
    broken: bool,
    owed: &dyn Fn(&str) -> (i32, &'static str),
) {
    for host in ["claude", "codex"] {
        let world = world();
        let before = world.run_dir().join("ledger.jsonl").exists().then(|| world.events().len());
        for (verb, event) in EVENTS {
            let mut input = message(host, event, session, &world.repo());
            if broken {
                input.truncate(input.len() / 2);
            }
            let mut command = world.command(&["loop", "hook", verb, "--host", host]);
            command.env("CLAUDE_PROJECT_DIR", world.repo());
            let ran = crate::finish(command, input.as_bytes());
            let (code, part) = owed(verb);
            assert_eq!(ran.code, Some(code), "{case} {host} {verb}: {ran:?}");
            assert!(format!("{}{}", ran.stdout, ran.stderr).contains(part), "{case} {host} {verb}: {ran:?}");
            if code == 0 && !ran.stdout.is_empty() {
                let _: Value = ran.json();
            }
            if code == 2 {
                assert!(!ran.stderr.is_empty(), "{case} {host} {verb}: a refusal says why");
            }
            assert!(ran.stdout.len() + ran.stderr.len() < 6000, "answers stay short");
            if verb != "stop"
                && let Some(before) = before
            {
                // The stop came first and may have been judged; nothing else writes the ledger.
                let stopped = world.events().iter().filter(|e| e["type"] == "stop_answered").count();
                assert!(stopped > 0 || world.events().len() == before, "{case} {host} {verb}");
            }
        }
    }
}

fn active() -> World {
    let world = World::new();
    world.start_hooks(&answer("continue", "advanced", "", false)).expect(0);
    world.work();
    world
}

fn finished() -> World {
    let world = World::new();
    world.start_hooks(&clean()).expect(0);
    world.work();
    world.stop("s1");
    world.stop("s1");
    assert_eq!(world.status()["phase"], "done");
    world
}

#[test]
fn valid_messages_of_the_owner() {
    check("active", active, "s1", false, &|verb| match verb {
        "stop" => (0, "\"decision\":\"block\""),
        "session-start" => (0, "additionalContext"),
        _ => (0, ""),
    });
}

#[test]
fn foreign_sessions_pass() {
    check("foreign", active, "s2", false, &|verb| match verb {
        "stop" | "session-start" => (0, "another session"),
        _ => (0, ""),
    });
}

#[test]
fn malformed_messages() {
    check("malformed, active", active, "s1", true, &|_| (2, "not understood"));
    check("malformed, finished", finished, "s1", true, &|_| (0, "not understood"));
    check("malformed, none", World::new, "s1", true, &|_| (0, "no campaign here"));
}

#[test]
fn no_campaign_allows_without_a_word() {
    for session in ["s1", "s2"] {
        check("none", World::new, session, false, &|_| (0, ""));
    }
    let world = World::new();
    for (verb, event) in EVENTS {
        let ran = world.hook(verb, &message("claude", event, "s1", &world.repo())).expect(0);
        assert_eq!((ran.stdout, ran.stderr), (String::new(), String::new()), "{verb}");
    }
    assert!(!world.state().exists(), "an idle hook writes nothing");
}

#[test]
fn a_finished_campaign_left_in_place_allows() {
    check("stale", finished, "s1", false, &|verb| match verb {
        "stop" => (0, "done"),
        _ => (0, ""),
    });
    let closed = || {
        let world = finished();
        world.pw(&["loop", "report", "--close"]).expect(0);
        world
    };
    check("closed", closed, "s1", false, &|_| (0, ""));
}

#[test]
fn a_killed_engine_leaves_a_campaign_that_goes_on() {
    // The head was written, the event not: as a kill between the two leaves it.
    let stale = || {
        let world = active();
        let mut command = world.command(&["loop", "hook", "stop"]);
        command.env("PERFWRIGHT_TEST_FAULT", "2");
        let ran = crate::finish(command, message("claude", "Stop", "s1", &world.repo()).as_bytes());
        assert_eq!(ran.code, None);
        world
    };
    check("stale", stale, "s1", false, &|verb| match verb {
        "stop" => (0, "\"decision\":\"block\""),
        _ => (0, ""),
    });
}

#[test]
fn damaged_records_block_everything() {
    let gone = || {
        let world = active();
        fs::remove_file(world.run_dir().join("ledger.jsonl")).unwrap();
        world
    };
    for session in ["s1", "s2"] {
        check("ledger gone", gone, session, false, &|_| (2, "damaged"));
    }
    check("ledger gone, malformed", gone, "s1", true, &|_| (2, "damaged"));
}

#[test]
fn folders_below_count_and_folders_beside_do_not() {
    let world = active();
    let below = world.repo().join("src");
    let mut command = world.command(&["loop", "hook", "pre-tool-use"]);
    command.current_dir(&below);
    assert_eq!(crate::finish(command, b"{").code, Some(2));
    let mut command = world.command(&["loop", "hook", "pre-tool-use"]);
    command.current_dir(world.dir.path());
    assert_eq!(crate::finish(command, b"{").code, Some(0));
}

#[test]
fn calls_are_counted_and_not_ledgered() {
    let world = active();
    let lines = || fs::read_to_string(world.run_dir().join("ledger.jsonl")).unwrap().lines().count();
    let before = lines();
    for _ in 0..25 {
        world.hook("pre-tool-use", &message("claude", "PreToolUse", "s1", &world.repo())).expect(0);
    }
    world.hook("pre-tool-use", &message("claude", "PreToolUse", "s2", &world.repo())).expect(0);
    assert_eq!((world.status()["calls"].as_u64(), lines()), (Some(25), before));
}

#[test]
fn idle_stops_end_the_campaign_below_the_host_s_cap() {
    let world = World::with("[[gate]]\nid = \"never\"\nkind = \"command\"\nrun = \"false\"");
    // Stagnation would end it earlier; here only idleness shall.
    world.write(
        "plan.md",
        &world.read("plan.md").replace("max_rounds = 6", "max_rounds = 40\nstagnant_rounds = 40"),
    );
    world.commit("limits");
    world.start_hooks(&clean()).expect(0);
    world.work();
    let mut blocks = 0;
    while world.stop("s1").stdout.contains("\"decision\":\"block\"") {
        blocks += 1;
        assert!(blocks < 8, "the host would override the ninth");
    }
    let status = world.status();
    assert_eq!(status["phase"], "stopped");
    assert!(status["verdict"]["reason"].as_str().unwrap().contains("refused stops in a row"), "{status}");
    // Work between the stops keeps it going.
    let busy = World::with("[[gate]]\nid = \"never\"\nkind = \"command\"\nrun = \"false\"");
    busy.write(
        "plan.md",
        &busy.read("plan.md").replace("max_rounds = 6", "max_rounds = 40\nstagnant_rounds = 40"),
    );
    busy.commit("limits");
    busy.start_hooks(&clean()).expect(0);
    for _ in 0..9 {
        busy.hook("pre-tool-use", &message("claude", "PreToolUse", "s1", &busy.repo())).expect(0);
        assert!(busy.stop("s1").stdout.contains("\"decision\":\"block\""));
    }
}

#[test]
fn a_compacted_session_hears_goal_contract_and_last_gates_again() {
    let world = World::new();
    world.start_hooks(&clean()).expect(0);
    world.stop("s1");
    let input = message("claude", "SessionStart", "s1", &world.repo()).replace("startup", "compact");
    let said = world.hook("session-start", &input).expect(0).json();
    let text = said["hookSpecificOutput"]["additionalContext"].as_str().unwrap();
    for part in ["Make a say hello", "AC-1", "contract.json", "gates refused", "tests", "src/**"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn messages_of_real_hosts_are_understood() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/loop");
    for (host, file) in
        [("claude", "claude-2.1.197-hook-stdin.jsonl"), ("codex", "codex-0.169.0-hook-stdin.jsonl")]
    {
        let world = active();
        let text = fs::read_to_string(format!("{data}/{file}")).unwrap();
        let mut seen = 0;
        for line in text.lines() {
            let mut value: Value = serde_json::from_str(line).unwrap();
            let event = value["hook"].as_str().unwrap().to_owned();
            let Some((verb, _)) = EVENTS.iter().find(|(_, name)| *name == event) else { continue };
            value["stdin"]["session_id"] = "s1".into();
            value["stdin"]["cwd"] = world.repo().to_string_lossy().into_owned().into();
            let ran = crate::finish(
                world.command(&["loop", "hook", verb, "--host", host]),
                value["stdin"].to_string().as_bytes(),
            );
            // Files of the recorded session lie outside of the boundary or of the repository; both answers are whole.
            assert!(
                matches!(ran.code, Some(0 | 2)) && !ran.stderr.contains("not understood"),
                "{host} {verb}: {ran:?}"
            );
            seen += 1;
        }
        assert!(seen >= 7, "{host}: {seen}");
    }
}

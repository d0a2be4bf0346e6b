//! Killed at every change on the disk: the campaign that goes on comes to the same state.

use serde_json::Value;

use crate::{World, answer, message};

const EXECUTOR: &str = "cat >/dev/null\n\
    case $PERFWRIGHT_LOOP_PHASE-$PERFWRIGHT_LOOP_ROUND in\n\
    rounds-*) echo hello > src/a.txt;;\n\
    finalize-*) echo simpler > src/b.txt;;\n\
    esac\ngit add -A; git commit -q -m work || true\n";

/// What must be equal: where it came to, on which tree, and why. Attempts, reviews and times may differ.
fn came_to(status: &Value) -> Value {
    serde_json::json!({
        "phase": status["phase"], "round": status["round"], "tree": status["verdict"]["judged"]["tree"],
        "standing": status["verdict"]["standing"], "open": status["open_criteria"],
        "gates": status["gates"].as_array().unwrap().iter()
            .filter(|g| g["kind"] != "limit")
            .map(|g| serde_json::json!([g["id"], g["outcome"]])).collect::<Vec<_>>(),
    })
}

#[test]
fn an_owner_killed_at_every_change_comes_to_the_same_state() {
    let reviewer = answer("complete", "advanced", "", true);
    let whole = World::new();
    whole.start(EXECUTOR, &reviewer).expect(0);
    let expected = came_to(&whole.status());
    assert_eq!(expected["phase"], "done");
    let mut points = 0;
    for n in 1.. {
        let world = World::new();
        let fault = n.to_string();
        let first = world.start_with(EXECUTOR, &reviewer, &["--fault", &fault]);
        if first.code.is_some() {
            first.expect(0);
            break;
        }
        points = n;
        let status = world.pw(&["loop", "resume", "--format", "json"]);
        if status.code == Some(2) {
            // Killed before anything was registered, or after everything was closed.
            let again = world.pw(&["loop", "status", "--format", "json"]);
            if again.code == Some(0) && again.json()["closed"] == true {
                assert_eq!(came_to(&again.json()), expected, "point {n}");
            }
            continue;
        }
        let status = status.expect(0).json();
        assert_eq!(came_to(&status), expected, "point {n}");
        world.pw(&["run", "verify", &world.run_dir().to_string_lossy()]).expect(0);
    }
    assert!(points > 40, "only {points} points");
}

#[test]
fn a_stop_hook_killed_at_every_change_is_judged_by_the_next_one() {
    for n in 1.. {
        let world = World::new();
        world.start_hooks(&answer("complete", "advanced", "", true)).expect(0);
        world.work();
        let input = message("claude", "Stop", "s1", &world.repo());
        let mut command = world.command(&["loop", "hook", "stop"]);
        command.env("PERFWRIGHT_TEST_FAULT", n.to_string());
        let killed = crate::finish(command, input.as_bytes()).code.is_none();
        for _ in 0..4 {
            world.stop("s1").expect(0);
        }
        let status = world.status();
        assert_eq!(status["phase"], "done", "point {n}: {status}");
        assert_eq!(status["verdict"]["judged"]["tree"], world.git(&["rev-parse", "HEAD^{tree}"]));
        if !killed {
            assert!(n > 20, "only {n} points");
            break;
        }
    }
}

//! Verbs of `loop` around a campaign: starting, cancelling, reporting, importing.

use std::fs;

use crate::{World, answer, clean};

const SAY_HELLO: &str = "cat >/dev/null\necho hello > src/a.txt\ngit commit -qam work || true\n";

#[test]
fn starting_refuses_what_would_not_be_judged_fairly() {
    type Break = fn(&World);
    let cases: [(&str, i32, Break); 8] = [
        ("dirty tree", 3, |w| w.write("src/a.txt", "changed")),
        ("untracked file", 3, |w| w.write("src/new.txt", "x")),
        ("plan without a machine gate", 3, |w| {
            w.write(
                "plan.md",
                &w.read("plan.md").replace(
                    "kind = \"command\"\nrun = \"grep -q hello src/a.txt\"",
                    "kind = \"evidence\"\nfiles = [\"src/a.txt\"]",
                ),
            );
            w.commit("no machine gate");
        }),
        ("criterion without negative test", 3, |w| {
            w.write("plan.md", &w.read("plan.md").replace("  - Negative Tests: without it grep fails\n", ""));
            w.commit("no negative test");
        }),
        ("pending decision", 3, |w| {
            w.write("plan.md", &format!("{}\n- DEC-1: which? PENDING\n", w.read("plan.md")));
            w.commit("pending");
        }),
        ("protected pattern without a file", 3, |w| {
            w.write("plan.md", &w.read("plan.md").replace("bench/**", "nothing/**"));
            w.commit("nothing");
        }),
        ("link", 3, |w| {
            fs::rename(w.repo().join("plan.md"), w.dir.path().join("plan.md")).unwrap();
            std::os::unix::fs::symlink(w.dir.path().join("plan.md"), w.repo().join("plan.md")).unwrap();
            w.commit("link");
        }),
        ("not a plan", 4, |w| {
            w.write("plan.md", "+++\nunknown = 1\n+++\n");
            w.commit("unknown");
        }),
    ];
    for (name, code, broken) in cases {
        let world = World::new();
        broken(&world);
        let ran = world.start(SAY_HELLO, &clean());
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(!world.run_dir().exists(), "{name}: nothing is written");
        world.pw(&["loop", "status"]).expect(2);
    }
}

#[test]
fn a_campaign_is_driven_to_its_end_and_verifies() {
    let world = World::new();
    let status = world.start(SAY_HELLO, &clean()).expect(0).json();
    assert_eq!((status["phase"].as_str(), status["closed"].as_bool()), (Some("done"), Some(true)));
    assert_eq!(status["schema"], "perfwright.loop-status/v1");
    assert_eq!(status["verdict"]["judged"]["tree"], world.git(&["rev-parse", "HEAD^{tree}"]));
    let run = world.run_dir();
    let verified = world.pw(&["run", "verify", &run.to_string_lossy(), "--format", "json"]).expect(0).json();
    assert_eq!(verified["recomputed_verdict"]["outcome"], "pass");
    world.pw(&["loop", "check"]).expect(0);
    assert!(!world.repo().join(".git/perfwright-loop").exists(), "the work tree is free");
    world.write("src/late.txt", "late");
    world.commit("late");
    world.pw(&["loop", "check"]).expect(1);
    // The next campaign begins where this one ended.
    let again = run.with_file_name("run2").to_string_lossy().into_owned();
    let (executor, reviewer) =
        (world.script("executor.sh", SAY_HELLO), world.script("reviewer.sh", &clean()));
    world
        .pw(&[
            "loop",
            "start",
            "plan.md",
            "--executor",
            &executor,
            "--reviewer",
            &reviewer,
            "--run-dir",
            &again,
        ])
        .expect(0);
    // One changed byte of what it recorded is named.
    let prompt = run.join("rounds/0/prompt-1.md");
    fs::write(&prompt, fs::read_to_string(&prompt).unwrap().replace("hello", "hullo")).unwrap();
    world.pw(&["run", "verify", &run.to_string_lossy()]).expect(6);
}

#[test]
fn a_campaign_without_success_verifies_as_such() {
    let world = World::new();
    world.start(SAY_HELLO, &answer("stop", "regressed", "", false)).expect(1);
    let run = world.run_dir();
    let verified = world.pw(&["run", "verify", &run.to_string_lossy(), "--format", "json"]).expect(0).json();
    assert_eq!(verified["recomputed_verdict"]["outcome"], "fail");
}

#[test]
fn cancelling_is_up_to_a_person() {
    let world = World::new();
    world.start_hooks(&clean()).expect(0);
    world.pw(&["loop", "cancel"]).expect(2);
    let wrong = world.dir.path().join("wrong");
    fs::write(&wrong, "0123").unwrap();
    world.pw(&["loop", "cancel", "--token-file", &wrong.to_string_lossy()]).expect(2);
    assert_eq!(world.status()["phase"], "rounds");
    let token = world.dir.path().join("token").to_string_lossy().into_owned();
    let status = world.pw(&["loop", "cancel", "--token-file", &token, "--format", "json"]).expect(0).json();
    assert_eq!((status["phase"].as_str(), status["closed"].as_bool()), (Some("stopped"), Some(true)));
    world.stop("s1").expect(0);
}

#[test]
fn one_campaign_at_a_time() {
    let world = World::new();
    world.start_hooks(&clean()).expect(0);
    world.pw(&["loop", "report", "--close"]).expect(2);
    let run = world.run_dir().with_file_name("second").to_string_lossy().into_owned();
    let reviewer = world.script("reviewer.sh", &clean());
    world
        .pw(&["loop", "start", "plan.md", "--driver", "hooks", "--reviewer", &reviewer, "--run-dir", &run])
        .expect(2);
}

#[test]
fn the_goal_driver_judges_on_check() {
    let world = World::new();
    let (reviewer, run) =
        (world.script("reviewer.sh", &clean()), world.run_dir().to_string_lossy().into_owned());
    world
        .pw(&["loop", "start", "plan.md", "--driver", "goal", "--reviewer", &reviewer, "--run-dir", &run])
        .expect(0);
    world.pw(&["loop", "check"]).expect(1);
    world.work();
    world.pw(&["loop", "check"]).expect(1);
    assert_eq!(world.pw(&["loop", "check", "--format", "json"]).expect(0).json()["phase"], "done");
    assert_eq!(world.pw(&["loop", "report", "--close", "--format", "json"]).expect(0).json()["closed"], true);
}

#[test]
fn a_run_folder_inside_of_the_repository_is_not_dirt() {
    let world = World::new();
    let (executor, reviewer) =
        (world.script("executor.sh", SAY_HELLO), world.script("reviewer.sh", &clean()));
    world.pw(&["loop", "start", "plan.md", "--executor", &executor, "--reviewer", &reviewer]).expect(0);
    assert!(world.repo().join("runs").is_dir());
    let tracked = World::new();
    let commits = "cat >/dev/null\necho hello > src/a.txt\ngit add -A\ngit commit -qm work || true\n";
    let (executor, reviewer) =
        (tracked.script("executor.sh", commits), tracked.script("reviewer.sh", &clean()));
    let ran = tracked.pw(&["loop", "start", "plan.md", "--executor", &executor, "--reviewer", &reviewer]);
    assert_ne!(ran.code, Some(0), "a tracked run folder is refused: {ran:?}");
}

#[test]
fn secrets_of_commands_do_not_reach_the_disk() {
    let world = World::new();
    let noisy = format!("{SAY_HELLO}echo token sk-ant-api03-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    world.start(&noisy, &clean()).expect(0);
    let out = fs::read_to_string(world.run_dir().join("rounds/0/executor-1.out")).unwrap();
    assert!(!out.contains("sk-ant-api03-AAAA"), "{out}");
}

//! Gates, limits and resources through whole campaigns.

use crate::{World, answer, clean, message};

const SAY_HELLO: &str = "cat >/dev/null\necho hello > src/a.txt\ngit commit -qam work || true\n";

/// The gate's outcome after one stop on this tree.
fn after_stop(world: &World, id: &str) -> String {
    world.stop("s1");
    world.gate(id)
}

#[test]
fn uncommitted_work_and_hidden_changes_are_not_clean() {
    let world = World::new();
    world.start_hooks(&clean()).expect(0);
    world.work();
    world.write("src/new.txt", "x");
    assert_eq!(after_stop(&world, "git-clean"), "fail");
    let world = World::new();
    world.start_hooks(&clean()).expect(0);
    world.work();
    world.git(&["update-index", "--assume-unchanged", "docs/state.md"]);
    world.write("docs/state.md", "changed\n");
    assert_eq!(after_stop(&world, "git-clean"), "fail");
}

#[test]
fn the_change_stays_within_its_boundary() {
    for (path, id) in
        [("other/x.txt", "paths"), ("bench/contract.json", "locked"), ("bench/new.txt", "paths")]
    {
        let world = World::new();
        world.start_hooks(&clean()).expect(0);
        world.write(path, "changed\n");
        world.work();
        assert_eq!(after_stop(&world, id), "fail", "{path}");
        assert_eq!(world.reviews(), 0);
    }
}

#[test]
fn commands_run_on_a_clean_copy_of_the_commit() {
    // An ignored file in the work tree helps the test only there.
    let world =
        World::with("[[gate]]\nid = \"helped\"\nkind = \"command\"\nrun = \"test -e src/helper.tmp\"");
    world.write(".gitignore", "*.tmp\n");
    world.commit("ignore");
    world.start_hooks(&clean()).expect(0);
    world.write("src/helper.tmp", "x");
    world.work();
    assert_eq!(after_stop(&world, "helped"), "fail");
    let world = World::with(
        "[[gate]]\nid = \"helped\"\nkind = \"command\"\nwhere = \"tree\"\nrun = \"test -e src/helper.tmp\"",
    );
    world.write(".gitignore", "*.tmp\n");
    world.commit("ignore");
    world.start_hooks(&clean()).expect(0);
    world.write("src/helper.tmp", "x");
    world.work();
    assert_eq!(after_stop(&world, "helped"), "pass");
}

#[test]
fn a_benchmark_counts_only_under_the_locked_contract() {
    let gate = |run: &str| {
        format!(
            "[[gate]]\nid = \"bench\"\nkind = \"benchmark\"\ncontract = \"bench/contract.json\"\nrun = '''{run}'''"
        )
    };
    for (run, expected) in [
        ("echo '{\"verdict\":\"pass\",\"contract_sha256\":\"'$PERFWRIGHT_LOOP_CONTRACT'\"}'", "pass"),
        (
            "echo '{\"verdict\":{\"outcome\":\"pass\"},\"contract_sha256\":\"'$PERFWRIGHT_LOOP_CONTRACT'\"}'",
            "pass",
        ),
        ("echo '{\"verdict\":\"pass\",\"contract_sha256\":\"abc\"}'", "hard_stop"),
        ("echo '{\"verdict\":\"pass\"}'", "hard_stop"),
        ("echo '{\"verdict\":\"fail\",\"contract_sha256\":\"'$PERFWRIGHT_LOOP_CONTRACT'\"}'; exit 1", "fail"),
        ("echo '{\"verdict\":\"inconclusive\",\"contract_sha256\":\"'$PERFWRIGHT_LOOP_CONTRACT'\"}'", "fail"),
        ("echo faster", "fail"),
    ] {
        let world = World::with(&gate(run));
        world.start_hooks(&clean()).expect(0);
        world.work();
        assert_eq!(after_stop(&world, "bench"), expected, "{run}");
    }
    let world = World::with(&gate("true").replace("bench/contract.json", "src/a.txt"));
    world.start_hooks(&clean()).expect(3);
}

#[test]
fn accuracy_and_evidence_and_tracker() {
    for (gate, id, expected) in [
        (
            "[[gate]]\nid = \"acc\"\nkind = \"accuracy\"\nrun = '''echo '{\"gsm8k\":0.91}' '''\npointer = \"/gsm8k\"\nop = \">=\"\nvalue = 0.9",
            "acc",
            "pass",
        ),
        (
            "[[gate]]\nid = \"acc\"\nkind = \"accuracy\"\nrun = '''echo '{\"gsm8k\":0.89}' '''\npointer = \"/gsm8k\"\nop = \">=\"\nvalue = 0.9",
            "acc",
            "fail",
        ),
        (
            "[[gate]]\nid = \"acc\"\nkind = \"accuracy\"\nrun = '''echo '{}' '''\npointer = \"/gsm8k\"\nop = \">=\"\nvalue = 0.9",
            "acc",
            "fail",
        ),
        ("[[gate]]\nid = \"there\"\nkind = \"evidence\"\nfiles = [\"src/a.txt\"]", "there", "pass"),
        ("[[gate]]\nid = \"there\"\nkind = \"evidence\"\nfiles = [\"src/profile.json\"]", "there", "fail"),
        ("[[gate]]\nid = \"tracker\"\nkind = \"tracker\"\nfiles = [\"docs/tracker.md\"]", "tracker", "pass"),
        ("[[gate]]\nid = \"tracker\"\nkind = \"tracker\"\nfiles = [\"docs/empty.md\"]", "tracker", "fail"),
        ("[[gate]]\nid = \"tracker\"\nkind = \"tracker\"\nfiles = [\"docs/state.md\"]", "tracker", "fail"),
    ] {
        let world = World::with(gate);
        world.write("docs/tracker.md", "AC-1: under way\n");
        world.write("docs/empty.md", "AC-1: [To be decided]\n");
        world.commit("trackers");
        world.start_hooks(&clean()).expect(0);
        world.work();
        assert_eq!(after_stop(&world, id), expected, "{gate}");
    }
}

#[test]
fn todos_and_background_tasks_of_the_session() {
    let world = World::new();
    world.start_hooks(&clean()).expect(0);
    world.work();
    let transcript = world.dir.path().join("t.jsonl");
    let line = |status: &str| {
        format!(
            "{{\"type\":\"assistant\",\"message\":{{\"id\":\"m1\",\"usage\":{{\"input_tokens\":50,\"output_tokens\":7}},\"content\":[{{\"type\":\"tool_use\",\"name\":\"TodoWrite\",\"input\":{{\"todos\":[{{\"content\":\"rest\",\"status\":\"{status}\"}}]}}}}]}}}}\n"
        )
    };
    std::fs::write(&transcript, line("in_progress")).unwrap();
    let absent = world.repo().join("absent.jsonl").to_string_lossy().into_owned();
    let stop = message("claude", "Stop", "s1", &world.repo()).replace(&absent, &transcript.to_string_lossy());
    world.hook("stop", &stop).expect(0);
    assert_eq!(world.gate("todos"), "fail");
    assert_eq!(world.status()["usage"]["input_tokens"], 50, "the transcript's cost is charged");
    std::fs::write(&transcript, line("completed")).unwrap();
    let busy = stop.replace("\"background_tasks\":[]", "\"background_tasks\":[{\"id\":\"b1\"}]");
    world.hook("stop", &busy).expect(0);
    assert_eq!((world.gate("todos").as_str(), world.gate("background").as_str()), ("pass", "fail"));
    assert_eq!(world.status()["usage"]["input_tokens"], 50, "and charged once");
    world.hook("stop", &stop).expect(0);
    assert_eq!(world.status()["phase"], "finalize");
}

#[test]
fn budgets_end_a_campaign_and_only_a_person_raises_them() {
    let cost = format!(
        "{SAY_HELLO}echo '{{\"type\":\"result\",\"result\":\"x\",\"total_cost_usd\":0.5,\"usage\":{{\"input_tokens\":900,\"output_tokens\":100}}}}'\n"
    );
    for budget in ["tokens=999", "usd=0.49"] {
        let world = World::new();
        let token = world.dir.path().join("token");
        let token = token.to_string_lossy().into_owned();
        let ran = world.start_with(&cost, &clean(), &["--budget", budget, "--token-file", &token]).expect(1);
        assert_eq!(ran.json()["phase"], "budget-limited", "{budget}");
        world.pw(&["loop", "resume", "--budget", "tokens=1000000", "--budget", "usd=9"]).expect(2);
        let more = [
            "loop",
            "resume",
            "--budget",
            "tokens=1000000",
            "--budget",
            "usd=9",
            "--token-file",
            &token,
            "--format",
            "json",
        ];
        assert_eq!(world.pw(&more).expect(0).json()["phase"], "done");
    }
    let world = World::new();
    let ran =
        world.start_with(&cost, &answer("continue", "advanced", "", false), &["--max-rounds", "2"]).expect(1);
    assert_eq!(
        (ran.json()["phase"].as_str().unwrap().to_owned(), ran.json()["round"].as_u64()),
        ("budget-limited".to_owned(), Some(2))
    );
    let world = World::new();
    let ran = world.start_with(&cost, &clean(), &["--budget", "reviews=1"]).expect(1);
    assert_eq!(ran.json()["phase"], "budget-limited");
}

#[test]
fn stagnation_and_drift_stop() {
    let world = World::new();
    let ran = world.start("cat >/dev/null\n", &clean()).expect(1).json();
    assert!(ran["verdict"]["reason"].as_str().unwrap().contains("left the tree as it was"), "{ran}");
    let repeated = answer(
        "continue",
        "advanced",
        r#"{"severity":1,"lane":"blocking","title":"the same again","file":"src/a.txt"}"#,
        false,
    );
    let world = World::new();
    let ran = world
        .start(
            "cat >/dev/null\necho hello $PERFWRIGHT_LOOP_ROUND > src/a.txt; git commit -qam w\n",
            &repeated,
        )
        .expect(1)
        .json();
    assert!(ran["verdict"]["reason"].as_str().unwrap().contains("without progress"), "{ran}");
}

#[test]
fn missing_resources_block_and_waiting_ends() {
    let resources = "[resources]\ngpus = 1\ngpu_free_mib = 10\nprobe = \"cat GPUS\"\n[[gate]]\nid = \"more\"\nkind = \"command\"\nrun = \"true\"";
    let gpus = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(gpus.path(), "0, 5, 0\n").unwrap();
    let world = World::with(&resources.replace("GPUS", &gpus.path().to_string_lossy()));
    let ran = world.start(SAY_HELLO, &clean()).expect(3).json();
    assert_eq!(ran["phase"], "blocked");
    assert!(ran["verdict"]["reason"].as_str().unwrap().contains("0 of 1 GPUs"), "{ran}");
    world.pw(&["loop", "resume"]).expect(3);
    std::fs::write(gpus.path(), "0, 50, 0\n").unwrap();
    world.pw(&["loop", "resume"]).expect(0);
}

#[test]
fn what_an_executor_leaves_running_is_found_and_ended() {
    let world = World::new();
    let pid = world.dir.path().join("pid");
    let executor = format!(
        "{SAY_HELLO}if [ $PERFWRIGHT_LOOP_ROUND = 0 ]; then setsid sh -c 'echo $$ > {0}; exec sleep 600' >/dev/null 2>&1 & while [ ! -s {0} ]; do sleep 0.02; done; fi\n",
        pid.display()
    );
    world.start(&executor, &clean()).expect(0);
    let judged: Vec<_> = world.events().into_iter().filter(|e| e["type"] == "judged").collect();
    let gate = |n: usize| {
        judged[n]["gates"].as_array().unwrap().iter().find(|g| g["id"] == "clean-up").unwrap()["outcome"]
            .clone()
    };
    assert_eq!((gate(0), gate(1)), ("fail".into(), "pass".into()));
    let pid: u32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}/exe")).exists(), "process {pid} is left");
}

#[test]
fn an_open_question_waits_for_a_person() {
    let world = World::new();
    let asks = clean().replace("\"criteria\":", "\"questions\":[\"which file?\"],\"criteria\":");
    let asks = asks.replace("cat >/dev/null\n", "text=$(cat)\n");
    let ran = world.start(SAY_HELLO, &asks).expect(3).json();
    assert_eq!(ran["phase"], "blocked");
    assert_eq!(ran["questions"][0], "which file?");
    world.script("reviewer.sh", &clean());
    world.pw(&["loop", "resume", "--answer", "a.txt"]).expect(0);
}

#[test]
fn a_reviewer_that_never_answers_blocks_and_a_word_alone_never_ends() {
    let world = World::new();
    let ran = world.start(SAY_HELLO, "cat >/dev/null; echo COMPLETE").expect(3).json();
    assert_eq!(ran["phase"], "blocked");
    // Complete, but a criterion is open, or has nothing that shows it.
    for review in [
        answer("complete", "stalled", "", false),
        clean().replace("src/a.txt", ""),
        clean().replace("{\"id\":\"AC-1\"", "{\"id\":\"AC-9\""),
    ] {
        let world = World::new();
        let ran = world.start(SAY_HELLO, &review);
        assert_ne!(ran.code, Some(0), "{review}");
    }
}

//! What a campaign is shown as: a timeline, a page, the description of its change. And what its clean-up sees on devices.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use perfwright_evidence::{Basis, EvidenceMeta, RunSpec, RunWriter, sha256_hex};
use serde_json::{Value, json};

use crate::{World, answer, clean};

/// Round 0 leaves the gate unmet, round 1 meets it.
const TWO_ROUNDS: &str = "cat >/dev/null\nif [ \"$PERFWRIGHT_LOOP_ROUND\" = 0 ]; then echo hallo > src/a.txt; else echo hello > src/a.txt; fi\n\
    git commit -qam \"round $PERFWRIGHT_LOOP_ROUND\" || true\n\
    echo '{\"type\":\"result\",\"total_cost_usd\":0.01,\"usage\":{\"input_tokens\":100,\"output_tokens\":20}}'\n";

/// A benchmark that got better and states intervals.
const GAP: &str = r#"
[[gate]]
id = "gap"
kind = "benchmark"
run = "printf '{\"verdict\":\"pass\",\"measured\":{\"estimate\":0.004,\"low\":-0.002,\"high\":0.011},\"threshold\":-0.01}'"
"#;

fn done() -> World {
    let world = World::with(GAP);
    world.start(TWO_ROUNDS, &clean()).expect(0);
    world
}

#[test]
fn a_campaign_lies_on_one_clock() {
    let world = done();
    // Another run with a server, for the same clock.
    let other = world.dir.path().join("search");
    let mut run = RunWriter::create(&other, &RunSpec::new("bench search", "0", json!({}))).unwrap();
    let launch = json!({ "command": "serve", "ready_s": 0.5, "up_s": 2.5 }).to_string();
    let meta = EvidenceMeta::new("application/json", Basis::Measured);
    run.add_bytes("server/launch-0001/launch.json", launch.as_bytes(), &meta).unwrap();
    drop(run);
    let ran = world.pw(&["loop", "report", "--perfetto", "--with", &other.to_string_lossy()]).expect(0);
    let trace = ran.json();
    let events = trace["traceEvents"].as_array().unwrap();
    // Our own reader of traces takes every event of it.
    let store = perfwright_trace::input::read_text(ran.stdout.as_bytes()).unwrap();
    assert_eq!(store.events, events.len() as u64);
    assert!(store.partial.is_none());
    let mut names = BTreeMap::new();
    let mut lanes: BTreeMap<u64, Vec<(u64, u64, String)>> = BTreeMap::new();
    for event in events {
        let tid = event["tid"].as_u64().unwrap();
        match event["ph"].as_str().unwrap() {
            "M" if event["name"] == "thread_name" => {
                names.insert(event["args"]["name"].as_str().unwrap().to_owned(), tid);
            }
            "X" => {
                let (start, wall) = (event["ts"].as_u64().unwrap(), event["dur"].as_u64().unwrap());
                lanes.entry(tid).or_default().push((
                    start,
                    start + wall,
                    event["name"].as_str().unwrap().to_owned(),
                ));
            }
            "M" | "i" | "C" => {}
            other => panic!("{other}"),
        }
    }
    for spans in lanes.values_mut() {
        spans.sort_by_key(|(start, end, _)| (*start, u64::MAX - end));
        let mut open: Vec<u64> = Vec::new();
        for (start, end, name) in spans {
            open.retain(|above| above > start);
            assert!(open.last().is_none_or(|above| *above >= *end), "{name} lies across another span");
            open.push(*end);
        }
    }
    let of = |lane: &str| lanes.get(&names[lane]).map_or(&[][..], Vec::as_slice);
    let all: Vec<Value> = world.events();
    let count = |kind: &str| all.iter().filter(|e| e["type"] == kind).count();
    assert_eq!(of("executor").len(), count("executor_ended"));
    assert_eq!(of("reviewer").len(), count("reviewed"));
    assert!(of("gate commands").iter().any(|(_, _, name)| name == "tests"));
    assert_eq!(of("servers").iter().map(|s| s.1 - s.0).collect::<Vec<_>>(), [2_500_000]);
    let rounds: Vec<&str> = of("rounds").iter().map(|s| s.2.as_str()).collect();
    assert_eq!(rounds, ["round 0", "round 1"]);
}

#[test]
fn a_campaign_is_a_page() {
    let world = done();
    world.pw(&["loop", "report", "--close"]).expect(0);
    let html = world.pw(&["loop", "report", "--format", "html"]).expect(0).stdout;
    for part in [
        "<h1>hello",
        "Round by round",
        "refused by tests",
        "0.004 (-0.002 to 0.011)",
        "run verify",
        "clean",
        "whole",
        "$0.0",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let links: Vec<&str> =
        html.split("<a href=\"./").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        assert!(world.run_dir().join(link).is_file(), "{link}");
    }
}

#[test]
fn a_change_is_described_from_evidence_only() {
    let world = done();
    let change = world.pw(&["loop", "report", "--pr", "--format", "json"]).expect(0).json();
    let ledger = fs::read_to_string(world.run_dir().join("ledger.jsonl")).unwrap();
    let mut known = Vec::new();
    for cited in change["evidence"].as_array().unwrap() {
        let place = cited["place"].as_str().unwrap();
        let hash = match place.strip_prefix("ledger.jsonl:") {
            Some(line) => {
                assert!((1..=ledger.lines().count()).contains(&line.parse().unwrap()), "{place}");
                sha256_hex(ledger.lines().last().unwrap().as_bytes())
            }
            None => sha256_hex(&fs::read(world.run_dir().join(place)).unwrap()),
        };
        assert_eq!(cited["sha256"], hash, "{place}");
        known.push(cited["id"].clone());
    }
    let sentences = change["sentences"].as_array().unwrap();
    for sentence in sentences {
        let rests_on = sentence["evidence"].as_array().unwrap();
        assert!(!rests_on.is_empty() && rests_on.iter().all(|id| known.contains(id)), "{sentence}");
    }
    let text = world.pw(&["loop", "report", "--pr"]).expect(0).stdout;
    for part in
        ["src/a.txt", "Gate tests passed", "against -0.01", "AC-1 is met", "Round 0 was refused by tests"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A file that is not the recorded one any more says nothing.
    let answers = change["evidence"].as_array().unwrap().iter().map(|c| c["place"].as_str().unwrap());
    let review =
        answers.clone().find(|p| p.contains("/review-") && !p.contains("bundle")).unwrap().to_owned();
    fs::write(world.run_dir().join(review), "{}").unwrap();
    let ran = world.pw(&["loop", "report", "--pr"]).expect(6);
    assert_eq!(ran.stdout, "");
}

#[test]
fn what_is_not_done_has_no_description() {
    let world = World::new();
    world.start_hooks(&answer("continue", "advanced", "", false)).expect(0);
    let ran = world.pw(&["loop", "report", "--pr"]).expect(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("PW0507"), "{ran:?}");
    // The tree moves on after the verdict: it does not hold for what stands there now.
    let world = done();
    world.write("src/a.txt", "hello again\n");
    world.commit("later");
    world.pw(&["loop", "report", "--pr"]).expect(1);
}

#[test]
fn memory_left_on_a_device_keeps_a_round_from_passing() {
    let world = World::new();
    let tools = world.dir.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let (tool, used) = (tools.join("nvidia-smi"), world.dir.path().join("used"));
    fs::write(&used, "512").unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *compute-apps*) exit 0;; esac\necho \"0, GPU, GPU-1, 81559, $(cat {}), 0, 550.1, 1980, 1980\"\n",
        used.display()
    );
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    // Round 0 leaves memory behind, round 1 gives it back.
    let executor = format!(
        "cat >/dev/null\necho hello > src/a.txt\ngit commit -qam hello || true\n\
         if [ \"$PERFWRIGHT_LOOP_ROUND\" = 0 ]; then echo 9000 > {0}; else echo 512 > {0}; fi\n",
        used.display()
    );
    let executor = world.script("executor.sh", &executor);
    let reviewer = world.script("reviewer.sh", &clean());
    let run = world.run_dir().to_string_lossy().into_owned();
    let args =
        ["loop", "start", "plan.md", "--executor", &executor, "--reviewer", &reviewer, "--run-dir", &run];
    let mut command = world.command(&args);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", tools.display()));
    crate::finish(command, b"").expect(0);
    let reasons: Vec<String> = world
        .events()
        .iter()
        .filter_map(|e| e["gates"].as_array())
        .flatten()
        .filter(|g| g["id"] == "clean-up")
        .map(|g| g["reason"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reasons[0], "device 0 holds 8488 MiB more than before the round");
    assert_eq!(reasons.last().unwrap(), "nothing is left; memory of 1 devices as before");
    let world = World::new();
    world
        .start(&format!("cat >/dev/null\n{}", "echo hello > src/a.txt\ngit commit -qam hello\n"), &clean())
        .expect(0);
    let status = world.status();
    let gate = status["gates"].as_array().unwrap().iter().find(|g| g["id"] == "clean-up").unwrap();
    let reason = gate["reason"].as_str().unwrap();
    assert!(reason.starts_with("nothing is left; "), "{reason}");
}

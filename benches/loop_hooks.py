#!/usr/bin/env python3
"""Cost of hooks and of replaying a campaign, as ratios to /bin/true and to the limits that are set for them.

    cargo build --release -p perfwright
    python3 benches/loop_hooks.py target/release/perfwright

Prints, for an idle folder and for one with a campaign, CPU and wall time of each hook but stop (limit: CPU p99 5 ms;
wall over /bin/true median 5 ms, p99 10 ms), of a stop whose gates run no command (limit 100 ms), and of `loop status` on
a ledger of 10,000 events less the same on a short one (limit 50 ms).
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = int(os.environ.get("RUNS", "300"))
PLAN = """+++
schema = "perfwright.plan/v1"
title = "bench"
[limits]
max_rounds = 1000000
max_reviews = 1000000
stagnant_rounds = 1000000
[[gate]]
id = "tests"
kind = "command"
run = "true"
+++
# Plan
## Goal
Measure.
Hooks.
## Acceptance Criteria
- AC-1: measured
  - Positive Tests: a number
  - Negative Tests: no number
"""


def message(event, cwd, **more):
    return json.dumps({"session_id": "s1", "transcript_path": str(cwd / "none"), "cwd": str(cwd),
                       "hook_event_name": event, **more}).encode()


def measure(command, stdin, cwd, env, runs):
    cpu, wall = [], []
    for _ in range(runs):
        before, t0 = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, input=stdin, cwd=cwd, env=env, capture_output=True, check=False)
        t1, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e3)
        wall.append((t1 - t0) * 1e3)
    return sorted(cpu), sorted(wall)


def at(values, p):
    return values[min(len(values) - 1, int(len(values) * p))]


def row(name, cpu, wall, base):
    print(f"{name:34} CPU p50 {at(cpu, .5):6.2f}  p99 {at(cpu, .99):6.2f} ms   wall over true p50 "
          f"{at(wall, .5) - at(base, .5):6.2f}  p99 {at(wall, .99) - at(base, .99):6.2f} ms")


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def grow(ledger, head_file, events):
    """Appends rounds that fail their gates until there are `events` more, and moves the head outside along."""
    lines = ledger.read_bytes().splitlines()
    prev, seq = hashlib.sha256(lines[-1]).hexdigest(), len(lines)
    gate = {"id": "tests", "kind": "command", "outcome": "fail", "on_fail": "block", "machine": True, "reason": "exit code 1"}
    out, before, attempt, count = [], prev, 1, 0
    while count < events:
        mark = {"commit": f"{count:040x}", "tree": f"{count:040x}"}
        for event in (
            {"type": "executor_ended", "attempt": attempt, "ended": "turn", "usage": {"input_tokens": 1, "output_tokens": 1, "micro_usd": 0, "wall_ms": 0}, "wall_ms": 1},
            {"type": "judged", "mark": mark, "gates": [gate] * 6, "wall_ms": 1},
            {"type": "stop_answered", "allow": False, "calls": count, "mark": mark},
            {"type": "executor_started", "attempt": attempt + 1, "pid": 0, "pid_start": 0, "mark": mark},
        ):
            body = {"seq": seq, "at": "2026-01-02T03:04:05.678Z", "prev": prev, "event": {"kind": "loop", "data": event}}
            body["hash"] = hashlib.sha256(canonical(body)).hexdigest()
            raw = canonical(body)
            before, prev, seq, count = prev, hashlib.sha256(raw).hexdigest(), seq + 1, count + 1
            out.append(raw)
        attempt += 1
    with ledger.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in out))
    head = json.loads(head_file.read_text())
    head.update(events=seq, head=prev, previous=before)
    head_file.write_text(json.dumps(head))


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        idle, repo = top / "idle", top / "repo"
        env = {"PATH": os.environ["PATH"], "HOME": str(top), "PERFWRIGHT_STATE_DIR": str(top / "state")}
        for path in (idle, repo):
            path.mkdir()
            git = lambda *args: subprocess.run(["git", "-C", str(path), "-c", "user.name=t", "-c", "user.email=t@example.invalid", *args], check=True, capture_output=True)
            git("init", "-q", "-b", "main")
            (path / "plan.md").write_text(PLAN)
            git("add", "-A")
            git("commit", "-qm", "begin")
        _, base = measure(["/bin/true"], b"", idle, env, RUNS)
        print(f"/bin/true: wall p50 {at(base, .5):.2f}, p99 {at(base, .99):.2f} ms; {RUNS} runs each")
        calls = [("pre-tool-use", message("PreToolUse", repo, tool_name="Bash", tool_input={"command": "ls"})),
                 ("post-tool-use", message("PostToolUse", repo, tool_name="Bash", tool_input={"command": "ls"}, tool_response="x" * 2000)),
                 ("user-prompt-submit", message("UserPromptSubmit", repo, prompt="go on")),
                 ("session-start", message("SessionStart", repo, source="compact"))]
        for name, stdin in calls:
            there = stdin.replace(str(repo).encode(), str(idle).encode())
            row(f"{name}, no campaign", *measure([binary, "loop", "hook", name], there, idle, env, RUNS), base)
        start = [binary, "loop", "start", "plan.md", "--driver", "hooks", "--session", "s1", "--reviewer", "false", "--run-dir", str(top / "run")]
        subprocess.run(start, cwd=repo, env=env, check=True, capture_output=True)
        for name, stdin in calls:
            row(f"{name}, campaign", *measure([binary, "loop", "hook", name], stdin, repo, env, RUNS), base)
        status = [binary, "loop", "status", "--format", "json"]
        short_cpu, short = measure(status, b"", repo, env, 10)
        # An uncommitted file refuses before any command is run.
        (repo / "dirt").write_text("x")
        cpu, wall = measure([binary, "loop", "hook", "stop"], message("Stop", repo, background_tasks=[]), repo, env, 5)
        row("stop, gates without a command", cpu, wall, base)
        (repo / "dirt").unlink()
        # A campaign of its own, whose last event is the beginning of an attempt.
        subprocess.run(["rm", "-rf", str(top / "state"), str(repo / ".git" / "perfwright-loop")], check=True)
        start[-1] = str(top / "run2")
        subprocess.run(start, cwd=repo, env=env, check=True, capture_output=True)
        head_file = next((top / "state" / "loop").glob("*/active.json"))
        grow(top / "run2" / "ledger.jsonl", head_file, 10_000)
        done = subprocess.run(status, cwd=repo, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        events = json.loads(done.stdout)["events"]
        long_cpu, long = measure(status, b"", repo, env, 10)
        print(f"replay of {events} events: CPU {at(long_cpu, .5) - at(short_cpu, .5):.1f} ms, wall {at(long, .5) - at(short, .5):.1f} ms over a short one")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Do our figures and those of the SGLang Rust client agree on the same server in the same minutes?

Both clients load one lab server in turn (ours, theirs, theirs, ours, ...) with the same number of prompts, lengths and
concurrency. For each figure the differences of neighbouring rounds give a 99 % t-interval; figures agree when it holds 0,
or when the mean difference is below --tolerance of the figure. A wide interval is said to be wide, not to agree: where it
is wider than --widest of the figure, nothing is concluded. Warm-up requests are left out on both sides.

The peer is the `_bench.cpython-311-*.so` out of the wheel that `pip download --no-deps sglang==0.5.23` gets (client_ceiling.py
measures what both cost); it needs Python 3.11.

usage: benches/client_agreement.py --peer _bench.so [--perfwright target/release/perfwright] [--python python3.11]
                                   [--rounds 10] [--requests 60] [--concurrency 4] [--json FILE]
exit code: 0 all agree, 1 some differ or nothing can be concluded
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import client_ceiling

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Name, where ours is, what theirs is called.
FIGURES = [
    ("mean TTFT [ms]", ("metrics", "ttft_ms", "mean"), "mean_ttft_ms"),
    ("p50 TTFT [ms]", ("metrics", "ttft_ms", "p50"), "median_ttft_ms"),
    ("mean TPOT [ms]", ("metrics", "tpot_ms", "mean"), "mean_tpot_ms"),
    ("mean ITL [ms]", ("metrics", "itl_ms", "mean"), "mean_itl_ms"),
    ("mean E2E [ms]", ("metrics", "e2e_ms", "mean"), "mean_e2e_latency_ms"),
    ("requests/s", ("throughput", "requests"), "request_throughput"),
    ("output tokens/s", ("throughput", "output_tokens"), "output_throughput"),
]
# Two-sided 99 % quantiles of Student's t by degrees of freedom.
T99 = [63.66, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947]


class Lab:
    """The lab's server on a free port."""

    def __init__(self, binary):
        argv = [binary, "lab", "serve", "--port", "0", "--threads", "1", "--served-model-name", "mock"]
        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.child.stdout:
            at = line.find("http://127.0.0.1:")
            if at >= 0:
                self.url = line[at:].split('"')[0].split()[0].rstrip("/.")
                return
        sys.exit("the lab does not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait(timeout=20)


def at(answer, path):
    for key in path:
        answer = answer[key]
    return answer


def judge(ours, theirs, tolerance, widest):
    """Relative difference, half width of its interval, and a word."""
    centre = statistics.mean(ours + theirs)
    gaps = [(a - b) / centre for a, b in zip(ours, theirs)]
    n = len(gaps)
    t = T99[n - 2] if n - 2 < len(T99) else 2.9
    half = t * statistics.stdev(gaps) / math.sqrt(n)
    mean = statistics.mean(gaps)
    if half > widest:
        word = "too noisy"
    elif abs(mean) <= half or abs(mean) <= tolerance:
        word = "agree"
    else:
        word = "differ"
    return mean, half, word


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--perfwright", default=str(ROOT / "target/release/perfwright"))
    parser.add_argument("--python", default="python3.11")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--tolerance", type=float, default=0.01)
    parser.add_argument("--widest", type=float, default=0.25)
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.rounds < 2:
        sys.exit("--rounds must be 2 or more")
    ours, theirs = {}, {}
    with tempfile.TemporaryDirectory() as folder, Lab(args.perfwright) as lab:
        client_ceiling.tokenizer(folder)
        cap = str(args.concurrency)

        def mine():
            answer = client_ceiling.perfwright(args, lab.url, folder, ["--concurrency", cap], args.requests, args.tokens)[1]
            for name, path, _ in FIGURES:
                ours.setdefault(name, []).append(at(answer, path))

        def other():
            answer = client_ceiling.peer(args, lab.url, folder, ["--max-concurrency", cap], args.requests, args.tokens)[1]
            if answer["completed"] != args.requests:
                sys.exit(f"the peer completed {answer['completed']} of {args.requests}")
            for name, _, key in FIGURES:
                theirs.setdefault(name, []).append(answer[key])

        for i in range(args.rounds):
            for run in (mine, other) if i % 2 == 0 else (other, mine):
                run()
    rows = []
    print(f"{'figure':<18} {'ours':>10} {'theirs':>10} {'difference':>11} {'99 % +-':>9}  load average {os.getloadavg()[0]:.1f}")
    for name, _, _ in FIGURES:
        mean, half, word = judge(ours[name], theirs[name], args.tolerance, args.widest)
        a, b = statistics.mean(ours[name]), statistics.mean(theirs[name])
        print(f"{name:<18} {a:>10.3f} {b:>10.3f} {mean:>+10.2%} {half:>9.2%}  {word}", flush=True)
        rows.append({"figure": name, "ours": ours[name], "theirs": theirs[name], "difference": mean, "half_width": half, "word": word})
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(0 if all(r["word"] == "agree" for r in rows) else 1)


if __name__ == "__main__":
    main()

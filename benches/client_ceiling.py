#!/usr/bin/env python3
"""What the load generator costs and how well it keeps a schedule, against a mock server in a process of its own.

Two questions: processor microseconds per streamed token event (200 streams at 25 ms between tokens), and the delivered
part of the scheduled rate at 100, 500 and 1000 requests a second with two-token answers. Processor time is user+sys of
the whole process (wait4). With --peer, the SGLang Rust client (`_bench.cpython-311-*.so` out of the wheel that
`pip download --no-deps sglang==0.5.23` gets) does the same and ratios are printed; it needs Python 3.11. Timings are
never a failure: rows say `within` or `over`; the exit code is 0 unless something could not be run.

usage: benches/client_ceiling.py [--perfwright target/release/perfwright] [--mock target/release/examples/sse_mock]
                                 [--peer _bench.so] [--python python3.11] [--streams 200] [--tokens 100] [--json FILE]
  builds: cargo build --release -p perfwright -p perfwright-client --bin perfwright --example sse_mock
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MUST_US, MUST_RATIO, MUST_OFF = 10.0, 1.5, 0.01
PEER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("_bench", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.run_argv(["sglang-bench"] + sys.argv[2:])
"""


class Mock:
    """The server; it ends when its standard input closes."""

    def __init__(self, binary, ttft, itl):
        self.child = subprocess.Popen([binary, "0", str(ttft), str(itl)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.child.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait(timeout=10)


def cpu_of(argv):
    """Processor seconds, exit code and standard output of one run."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(argv, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return usage.ru_utime + usage.ru_stime, child.returncode, out.read(), err.read()


def perfwright(args, url, folder, load, requests, tokens):
    argv = [args.perfwright, "bench", "run", "--url", url, "--endpoint", "chat", "--workload", "random", "--input-len", "64",
            "--output-len", str(tokens), "--requests", str(requests), "--warmup", "0", "--seed", "1", "--format", "json",
            "--run-dir", os.path.join(folder, f"run-{len(os.listdir(folder))}"), *load]
    cpu, code, out, err = cpu_of(argv)
    if code not in (0, 3):
        sys.exit(f"perfwright ended with {code}: {err}")
    return cpu, json.loads(out)


def peer(args, url, folder, load, requests, tokens):
    port = url.rsplit(":", 1)[1]
    result = os.path.join(folder, "peer.jsonl")
    if os.path.exists(result):
        os.remove(result)
    argv = [args.python, "-c", PEER, args.peer, "--backend", "vllm-chat", "--host", "127.0.0.1", "--port", port, "--model", "mock",
            "--tokenizer", os.path.join(folder, "tokenizer"), "--dataset-name", "random-ids", "--random-range-ratio", "1.0",
            "--random-input-len", "64", "--random-output-len", str(tokens), "--num-prompts", str(requests),
            "--warmup-requests", "0", "--disable-retokenize", "--output-file", result, *load]
    cpu, code, out, err = cpu_of(argv)
    if code != 0 or not os.path.exists(result):
        sys.exit(f"the peer ended with {code}: {(out + err)[-2000:]}")
    with open(result) as lines:
        return cpu, json.loads(lines.readlines()[-1])


def tokenizer(folder):
    """A word-level tokenizer, so that the peer needs no download."""
    path = os.path.join(folder, "tokenizer")
    os.mkdir(path)
    vocab = {"[UNK]": 0, **{f"w{i}": i for i in range(1, 2000)}}
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None, "model": model}
    with open(os.path.join(path, "tokenizer.json"), "w") as out:
        json.dump(whole, out)
    with open(os.path.join(path, "tokenizer_config.json"), "w") as out:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, out)


def row(name, text, ok):
    print(f"{name:<44} {text:<60} {'within' if ok else 'over'}", flush=True)


def slope(run, load, few, many, tokens):
    """Processor microseconds per event between small and large runs (medians of three after one that is not counted), so
    that starting costs drop out."""
    run(load, few, tokens)
    small = statistics.median(run(load, few, tokens)[0] for _ in range(3))
    runs = [run(load, many, tokens) for _ in range(3)]
    large = statistics.median(cpu for cpu, _ in runs)
    return (large - small) / ((many - few) * tokens) * 1e6, large, runs[-1][1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--perfwright", default=str(ROOT / "target/release/perfwright"))
    parser.add_argument("--mock", default=str(ROOT / "target/release/examples/sse_mock"))
    parser.add_argument("--peer")
    parser.add_argument("--python", default="python3.11")
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--json")
    args = parser.parse_args()
    found = {"load_average": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer(folder)
        with Mock(args.mock, 50, 25) as mock:
            n, tokens = 2 * args.streams, args.tokens
            ours = lambda load, requests, t: perfwright(args, mock.url, folder, load, requests, t)
            us, whole, answer = slope(ours, ["--concurrency", str(args.streams)], 4, n, tokens)
            client = answer["client"]
            found["us_per_event"], found["us_per_event_client"] = us, client["cpu_us_per_event"]
            itl, ttft = answer["metrics"]["itl_ms"], answer["metrics"]["ttft_ms"]
            row("CPU per event, whole process", f"{us:.2f} us ({whole:.2f} s for {client['events']} events, {args.streams} streams)", us <= MUST_US)
            row("CPU per event, client threads", f"{client['cpu_us_per_event']:.2f} us", client["cpu_us_per_event"] <= MUST_US)
            print(f"  true TTFT 50, ITL 25 ms: TTFT p50 {ttft['p50']:.2f} p99 {ttft['p99']:.2f}, ITL p50 {itl['p50']:.2f} p99 {itl['p99']:.2f} ms")
            if args.peer:
                theirs = lambda load, requests, t: peer(args, mock.url, folder, load, requests, t)
                peer_us, _, result = slope(theirs, ["--max-concurrency", str(args.streams)], 4, n, tokens)
                if result["total_output_tokens"] != n * tokens:
                    sys.exit(f"the peer read {result['total_output_tokens']} tokens of {n * tokens}")
                found["peer_us_per_event"] = peer_us
                row("ratio to sglang-bench (Rust)", f"{peer_us / us:.2f}x ({peer_us:.2f} us)", peer_us / us >= MUST_RATIO)
                print(f"  sglang-bench: TTFT p50 {result['median_ttft_ms']:.2f}, ITL p50 {result['median_itl_ms']:.2f} ms")
        with Mock(args.mock, 5, 5) as mock:
            for rate in (100, 500, 1000):
                cpu, answer = perfwright(args, mock.url, folder, ["--rate", str(rate), "--arrival", "poisson"], 4 * rate, 2)
                offered = answer["offered"]
                off, late = offered["delivered_rate"] / offered["scheduled_rate"] - 1, offered["lateness_ms"]
                found[f"rate_{rate}"] = {**offered, "verdict": answer["validity"]["verdict"], "cpu_s": cpu}
                text = f"{offered['delivered_rate']:.2f} of {offered['scheduled_rate']:.2f} ({off:+.4%}), late p50 {late['p50']:.3f} p99 {late['p99']:.3f} ms"
                row(f"delivered at {rate}/s", text, abs(off) <= MUST_OFF)
                if args.peer:
                    _, result = peer(args, mock.url, folder, ["--request-rate", str(rate)], 4 * rate, 2)
                    found[f"peer_rate_{rate}"] = result["request_throughput"]
                    print(f"  sglang-bench: {result['request_throughput']:.1f} requests/s completed")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

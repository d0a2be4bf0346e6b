#!/usr/bin/env python3
"""CPU time and memory of `perfwright trace triage` against its limits and peers.

CPU is user+sys of the whole process (wait4), the median of five runs with the cache off; memory is the process's peak.
Inputs are generated into a temporary folder outside the repository and removed at the end. Timings are never a failure:
each row says `within` or `over`; the exit code is 0 unless something could not be run.

usage: benches/triage.py [--binary target/release/perfwright] [--runs 5] [--full] [--mb 100] [--json FILE]
  --full  adds the 1 GB file and eight ranks of 100 MB (needs about 2 GB of temporary space)
"""

import argparse
import gzip
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
REAL_DECODE = ROOT / "../shared/data/trace/sglang/sglang_Qwen3-8B_decode.json.gz"
JSON_LOAD = "import json,sys\nwith open(sys.argv[1]) as f: json.load(f)"


class Failed(Exception):
    """A program did not end as it should, so its figures mean nothing."""


class Usage:
    """What one run took: CPU seconds, peak resident MB, peak anonymous MB."""

    def __init__(self, cpu, peak, anonymous):
        self.cpu, self.peak, self.anonymous = cpu, peak, anonymous


def poll_anonymous(pid, stop, best):
    """Samples RssAnon, which a mapped input file is no part of."""
    path = f"/proc/{pid}/status"
    while not stop.is_set():
        try:
            with open(path) as status:
                for line in status:
                    if line.startswith("RssAnon:"):
                        best[0] = max(best[0], int(line.split()[1]) / 1024)
                        break
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.002)


def once(argv, answers):
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    stop, best = threading.Event(), [0.0]
    poller = threading.Thread(target=poll_anonymous, args=(child.pid, stop, best))
    # Standard error is read to its end, so that a talkative child cannot block.
    said = []
    reader = threading.Thread(target=lambda: said.append(child.stderr.read()))
    poller.start()
    reader.start()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    stop.set()
    poller.join()
    reader.join()
    child.stderr.close()
    if child.returncode not in answers:
        text = said[0].decode(errors="replace").strip()[-300:] if said else ""
        raise Failed(f"{' '.join(map(str, argv))}: exit {child.returncode} {text}")
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, best[0])


def measure(argv, runs, answers=(0,)):
    """The median CPU time and the largest peaks of several runs, after one that warms the page cache."""
    once(argv, answers)
    taken = [once(argv, answers) for _ in range(runs)]
    return Usage(
        statistics.median(u.cpu for u in taken), max(u.peak for u in taken), max(u.anonymous for u in taken)
    )


class Report:
    """Rows of figure, limit and judgement, printed as they come."""

    def __init__(self):
        self.rows = []

    def figure(self, what, value):
        print(f"  {what:<58} {value}", flush=True)
        self.rows.append({"what": what, "value": value})

    def limit(self, what, value, limit, unit, digits=2):
        judgement = "within" if value <= limit else "over"
        text = f"{value:.{digits}f} {unit}".strip()
        most = f"{limit:g} {unit}".strip()
        print(f"  {what:<58} {text:>12}   at most {most:<10} {judgement}", flush=True)
        self.rows.append({"what": what, "value": round(value, 4), "limit": limit, "unit": unit, "judgement": judgement})


def shell(*argv):
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv))}: exit {done.returncode} {done.stderr.strip()[-300:]}")
    return done.stdout


def build():
    shell("cargo", "build", "--quiet", "--release", "--package", "xtask", "--package", "structural-scan")


def xtask(*argv):
    return shell(ROOT / "target/release/xtask", *map(str, argv))


def compress(source, target):
    # Level 6 is what the profiler's gzip uses.
    with open(source, "rb") as plain, gzip.open(target, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(plain, packed, 1 << 20)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/perfwright")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    binary = (ROOT / options.binary).resolve()
    if not os.access(binary, os.X_OK):
        sys.exit(f"benches/triage.py: {binary} is not there; cargo build --release --package perfwright")

    def triage(*paths):
        return [binary, "trace", "triage", *paths, "--no-cache", "--format", "json"]

    report, runs, mb = Report(), options.runs, options.mb
    build()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perfwright-bench-"))
    need = (mb * 1_100_000) + (10 * mb + 9 * mb) * 1_000_000 * options.full
    try:
        if shutil.disk_usage(folder).free < need:
            raise Failed(f"{folder}: needs {need // 1_000_000} MB; set TMPDIR to a larger place")
        plain = folder / "one.json"
        print(f"{mb} MB, median of {runs}, {os.cpu_count()} CPUs")
        xtask("gen-trace", plain, "--mb", mb, "--seed", 77)
        scan_once = json.loads(shell(ROOT / "target/release/structural-scan", plain))
        load = measure([sys.executable, "-c", JSON_LOAD, plain], runs)
        scan = measure([ROOT / "target/release/structural-scan", plain], runs)
        ours = measure(triage(plain), runs)
        report.figure("events", scan_once["objects"])
        best = max(
            json.loads(shell(ROOT / "target/release/structural-scan", plain))["mb_per_s"] for _ in range(runs)
        )
        report.figure("structural scan, MB/s (should reach 600)", best)
        report.figure("json.load, CPU s", round(load.cpu, 3))
        report.figure("structural scan, CPU s", round(scan.cpu, 3))
        report.figure("triage, CPU s", round(ours.cpu, 3))
        report.limit("triage / json.load", ours.cpu / load.cpu, 0.15, "x", 3)
        report.limit("triage / structural scan", ours.cpu / scan.cpu, 4, "x")
        report.limit("triage, peak memory", ours.peak, 160, "MB", 0)

        packed = folder / "one.json.gz"
        compress(plain, packed)
        inflate = measure(["gzip", "-dc", packed], runs)
        ours_packed = measure(triage(packed), runs)
        report.figure("gzip -dc, CPU s", round(inflate.cpu, 3))
        report.figure("triage of the .gz, CPU s", round(ours_packed.cpu, 3))
        report.limit("triage of the .gz / gzip -dc", ours_packed.cpu / inflate.cpu, 2, "x")
        packed.unlink()

        times = []
        for scale in (1, 2):
            worst = folder / f"worst-{scale}.json"
            xtask("gen-worst", worst, "--frames", 40_000 * scale, "--launches", 8_000 * scale)
            times.append(measure(triage(worst), runs).cpu)
            report.figure(f"worst case of {worst.stat().st_size / 1e6:.1f} MB, CPU s", round(times[-1], 3))
        report.limit("worst case, twice the size", times[1] / times[0], 2.3, "x")

        small = REAL_DECODE
        if small.exists():
            unpacked = folder / "decode.json"
            with gzip.open(small) as source, open(unpacked, "wb") as target:
                shutil.copyfileobj(source, target)
        else:
            unpacked = folder / "decode.json"
            xtask("gen-trace", unpacked, "--graph-decode", "--steps", "decode", "--passes", 2, "--gpu", "amd")
        name = "real" if small.exists() else "generated"
        decode = measure(triage(unpacked), runs)
        report.limit(f"{name} decode trace of {unpacked.stat().st_size / 1e6:.1f} MB", decode.cpu, 0.03, "s", 3)

        if options.full:
            plain.unlink()
            large = folder / "large.json"
            xtask("gen-trace", large, "--mb", 10 * mb, "--seed", 77)
            ours_large = measure(triage(large), runs)
            report.figure(f"triage of {10 * mb} MB, CPU s", round(ours_large.cpu, 3))
            report.limit("ten times the size", ours_large.cpu / ours.cpu, 11, "x")
            report.limit("heap over the map (RssAnon)", ours_large.anonymous, 600, "MB", 0)
            large.unlink()
            ranks = folder / "ranks"
            ranks.mkdir()
            for rank in range(8):
                path = ranks / f"bench-TP-{rank}.trace.json"
                xtask("gen-trace", path, "--mb", mb, "--seed", 77, "--tp", 8, "--ranks", 8, "--rank", rank)
                (ranks / f"{path.name}.truth.json").unlink()
            one = measure(triage(ranks / "bench-TP-0.trace.json"), runs)
            eight = measure(triage(ranks), runs)
            report.figure("triage of one rank, CPU s", round(one.cpu, 3))
            report.figure("triage of eight ranks, CPU s", round(eight.cpu, 3))
            report.limit("eight ranks / one", eight.cpu / one.cpu, 9, "x")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"mb": mb, "runs": runs, "rows": report.rows}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"benches/triage.py: {error}")

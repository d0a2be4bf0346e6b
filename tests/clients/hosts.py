#!/usr/bin/env python3
"""The hook adapters under the real programs of both hosts, without network or keys.

    cargo build --release -p perfwright
    python3 tests/clients/hosts.py target/release/perfwright [--prefix DIR] [--host claude|codex] [--keep DIR]

Installs pinned versions of Claude Code and Codex from npm (into --prefix, else into a folder that goes away), and lets
each of them work in a repository with a campaign, against a model that is a script: a server on 127.0.0.1 that both
programs are pointed to with a dummy key. Every other address goes to a proxy that refuses and counts. Checked per host:

  idle       no campaign: hooks change nothing, the turn ends
  session    a session of a campaign begins again and is told goal, contract and last gates
  deny       a tool that would write the locked plan is refused before it runs
  block      a turn cannot end while a gate refuses; the model is told why
  allow      after the work is committed, gates and reviewer let the turn end, and the campaign is done
  damaged    with a damaged head file nothing is let through: prompt, tool call and stop are refused

Exit code 0 when all hold, 1 when one does not, 77 when npm or node is not there (nothing was checked).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKAGES = {"claude": ("@anthropic-ai/claude-code", "2.1.197"), "codex": ("@openai/codex", "0.169.0")}
EVENTS = {"SessionStart": "session-start", "UserPromptSubmit": "user-prompt-submit", "PreToolUse": "pre-tool-use",
          "PostToolUse": "post-tool-use", "Stop": "stop"}
PLAN = """+++
schema = "perfwright.plan/v1"
title = "hello"
[paths]
allow = ["src/**"]
[limits]
max_rounds = 6
max_reviews = 20
[[gate]]
id = "tests"
kind = "command"
run = "grep -q hello src/a.txt"
+++
# Plan
## Goal
Make a say hello.
In one file.
## Acceptance Criteria
- AC-1: a says hello
  - Positive Tests: grep finds it
  - Negative Tests: without it grep fails
"""
REVIEW = """cat >/dev/null
printf '{"schema":"perfwright.loop-review/v1","nonce":"%s","tree":"%s","verdict":"complete","progress":"advanced","findings":[],\
"criteria":[{"id":"AC-1","met":true,"evidence":"src/a.txt"}]}' "$PERFWRIGHT_LOOP_NONCE" "$(git rev-parse 'HEAD^{tree}')"
"""


class Model:
    """A model that answers from a list: text, or a call of a tool, or a function to run before the next of them."""

    def __init__(self):
        self.steps, self.seen, self.refused = [], [], []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_CONNECT(self):
                model.refused.append(self.path)
                self.send_error(403)

            def do_GET(self):
                if self.path.startswith("http"):
                    model.refused.append(self.path)
                    return self.send_error(403)
                self.answer(b'{"data":[],"models":[]}', "application/json")

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path.startswith("http"):
                    model.refused.append(self.path)
                    return self.send_error(403)
                try:
                    request = json.loads(body)
                except ValueError:
                    request = {}
                if "count_tokens" in self.path:
                    return self.answer(b'{"input_tokens":10}', "application/json")
                if "/messages" in self.path:
                    return self.answer(claude(model.next(request), request), "text/event-stream")
                if "/responses" in self.path:
                    return self.answer(codex(model.next(request)), "text/event-stream")
                self.answer(b"{}", "application/json")

            def answer(self, body, kind):
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, request):
        if not request.get("tools"):
            return {"text": "aside"}
        with self.lock:
            self.seen.append(json.dumps(request.get("messages") or request.get("input"), ensure_ascii=False))
            while self.steps and callable(self.steps[0]):
                self.steps.pop(0)()
            return self.steps.pop(0) if self.steps else {"text": "Nothing is left to do."}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"


def events(pairs):
    return b"".join(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode() for kind, data in pairs)


def claude(step, request):
    """An answer in the form of POST /v1/messages, streamed."""
    if "text" in step:
        block, delta, stop = {"type": "text", "text": ""}, {"type": "text_delta", "text": step["text"]}, "end_turn"
    else:
        block = {"type": "tool_use", "id": f"toolu_{len(str(request))}", "name": step["tool"], "input": {}}
        delta, stop = {"type": "input_json_delta", "partial_json": json.dumps(step["input"])}, "tool_use"
    usage = {"input_tokens": 100, "output_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message = {"id": f"msg_{os.urandom(6).hex()}", "type": "message", "role": "assistant", "model": request.get("model", "mock"),
               "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    return events([
        ("message_start", {"message": message}),
        ("content_block_start", {"index": 0, "content_block": block}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 10}}),
        ("message_stop", {}),
    ])


def codex(step):
    """An answer in the form of POST /v1/responses, streamed."""
    call = f"call_{os.urandom(4).hex()}"
    if "text" in step:
        item = {"type": "message", "role": "assistant", "id": "m1", "content": [{"type": "output_text", "text": step["text"]}]}
    elif step["tool"] == "apply_patch":
        item = {"type": "custom_tool_call", "call_id": call, "name": "apply_patch", "input": step["input"]}
    else:
        item = {"type": "function_call", "call_id": call, "name": step["tool"], "arguments": json.dumps(step["input"])}
    usage = {"input_tokens": 100, "input_tokens_details": None, "output_tokens": 10, "output_tokens_details": None, "total_tokens": 110}
    return events([
        ("response.created", {"response": {"id": "r1"}}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": {"id": "r1", "usage": usage}}),
    ])


class World:
    """A repository with a plan, a state folder and one host, pointed to the model."""

    def __init__(self, top, host, perfwright, program, model):
        self.top, self.host, self.perfwright, self.program, self.model = top, host, perfwright, program, model
        self.repo, self.state, self.home = top / "repo", top / "state", top / "home"
        for path in (self.repo / "src", self.home / "codex"):
            path.mkdir(parents=True)
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "PERFWRIGHT_STATE_DIR": str(self.state), "TERM": "dumb",
            "HTTP_PROXY": model.url, "HTTPS_PROXY": model.url, "http_proxy": model.url, "https_proxy": model.url,
            "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
            "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy", "IS_SANDBOX": "1", "DISABLE_TELEMETRY": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
            "CODEX_HOME": str(self.home / "codex"), "MOCK_KEY": "dummy",
        }
        self.git("init", "-q", "-b", "main")
        (self.repo / "plan.md").write_text(PLAN)
        (self.repo / "src/a.txt").write_text("nothing\n")
        self.git("add", "-A")
        self.git("commit", "-qm", "begin")
        (top / "review.sh").write_text(REVIEW)
        (self.home / "codex/config.toml").write_text(
            f'model = "gpt-5.5"\nmodel_provider = "mock"\ncheck_for_update_on_startup = false\n'
            f'[analytics]\nenabled = false\n[features]\napply_patch_freeform = true\n'
            f'[projects."{self.repo}"]\ntrust_level = "trusted"\n'
            f'[model_providers.mock]\nname = "mock"\nbase_url = "{model.url}/v1"\nwire_api = "responses"\nenv_key = "MOCK_KEY"\n')
        self.runs = 0

    def git(self, *args):
        subprocess.run(["git", "-C", str(self.repo), "-c", "user.name=t", "-c", "user.email=t@example.invalid", *args],
                       check=True, capture_output=True)

    def pw(self, *args, code=0):
        done = subprocess.run([self.perfwright, *args], cwd=self.repo, env=self.env, capture_output=True, text=True)
        assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, session):
        self.runs += 1
        self.token = self.top / f"token-{self.runs}"
        self.pw("loop", "start", "plan.md", "--driver", "hooks", "--session", session, "--host", self.host, "--reviewer",
                f"sh {self.top}/review.sh", "--run-dir", str(self.top / f"run-{self.runs}"), "--token-file", str(self.token))

    def status(self):
        return json.loads(self.pw("loop", "status", "--format", "json"))

    def head(self):
        return next((self.state / "loop").glob("*/active.json"))

    def hooks(self, which):
        table = {event: [{**({"matcher": "*"} if "Tool" in event else {}),
                          "hooks": [{"type": "command", "timeout": 120,
                                     "command": f"{self.perfwright} loop hook {EVENTS[event]} --host {self.host}"}]}]
                 for event in which}
        text = json.dumps({"hooks": table})
        (self.home / "settings.json").write_text(text)
        (self.home / "codex/hooks.json").write_text(text)

    def turn(self, prompt, steps, session=None, which=tuple(EVENTS)):
        """One run of the host: what it printed, and what the model was asked."""
        self.hooks(which)
        self.model.steps, self.model.seen = list(steps), []
        if self.host == "claude":
            command = [self.program, "-p", prompt, "--settings", str(self.home / "settings.json"), "--output-format",
                       "stream-json", "--verbose", "--permission-mode", "bypassPermissions"]
            command += ["--resume", session] if session else []
        else:
            command = [self.program, "exec"] + (["resume", session] if session else [])
            command += ["--json", "--dangerously-bypass-approvals-and-sandbox", "--dangerously-bypass-hook-trust", prompt]
        done = subprocess.run(command, cwd=self.repo, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300)
        (self.top / f"turn-{prompt.replace(' ', '-')[:30]}.log").write_text(f"{done.stdout}\n--\n{done.stderr}\n--\n" + "\n".join(self.model.seen))
        return done, "\n".join(self.model.seen)

    def write_plan(self):
        """Steps that change the locked plan, with the tool that the host has for it."""
        path = str(self.repo / "plan.md")
        if self.host == "claude":
            return [{"tool": "Read", "input": {"file_path": path}}, {"tool": "Write", "input": {"file_path": path, "content": "loose"}}]
        patch = "*** Begin Patch\n*** Update File: plan.md\n@@\n-# Plan\n+# Loose\n*** End Patch\n"
        return [{"tool": "apply_patch", "input": patch}]

    def shell(self, command):
        return {"tool": "Bash", "input": {"command": command, "description": "work"}} if self.host == "claude" \
            else {"tool": "exec_command", "input": {"cmd": command}}

    def session_of(self, stdout):
        for line in stdout.splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if found := value.get("session_id") or value.get("thread_id"):
                return found
        raise AssertionError(f"no session in {stdout[:2000]}")


def check(world, found):
    done, _ = world.turn("say hello", [{"text": "Hello."}])
    found("idle", done.returncode == 0 and not (world.state / "loop").exists(), "the turn ended, no state was written")
    session = world.session_of(done.stdout)

    # A campaign of that session: it begins again, is told, refused, blocked, and let go.
    world.start(session)
    work = "echo hello > src/a.txt && git -c user.name=t -c user.email=t@example.invalid commit -qam 'say hello'"
    plan = (world.repo / "plan.md").read_text()
    done, asked = world.turn("go on", [*world.write_plan(), {"text": "All done, COMPLETE."}, world.shell(work),
                                       {"text": "Now it is done."}], session)
    told = [s for s in ("Campaign ", "Goal: Make a say hello", "Contract: ", "No gate was evaluated yet") if s in asked]
    found("session", len(told) == 4, f"the model was told: {', '.join(told)}")
    same = (world.repo / "plan.md").read_text() == plan
    found("deny", same and "is locked by the campaign" in asked, "plan.md is as it was, and the model read \"is locked by the campaign\"")
    found("block", "gate tests: exit code 1" in asked, "the model read \"gate tests: exit code 1\" after it had said COMPLETE")
    status = world.status()
    found("allow", done.returncode == 0 and status["phase"] == "done" and status["verdict"]["standing"] == "done",
          f"phase {status['phase']}, round {status['round']}, {status['calls']} tool calls counted, {status['usage']['input_tokens']} input tokens read from the host")
    world.pw("loop", "report", "--close")
    world.pw("run", "verify", str(world.top / f"run-{world.runs}"))

    # The head file outside is damaged: prompt, tool and stop are refused one by one.
    world.start(session)
    kept = world.head().read_bytes()
    world.head().write_bytes(b"{]")
    done, asked = world.turn("damaged prompt", [{"text": "Hello."}], session, ("UserPromptSubmit",))
    found("damaged prompt", asked == "" and done.returncode == 0, "the prompt never reached the model")
    done, asked = world.turn("damaged tool", [world.shell("echo ran > src/ran.txt"), {"text": "Hello."}], session, ("PreToolUse",))
    found("damaged tool", "are damaged" in asked and not (world.repo / "src/ran.txt").exists(), "the command did not run")

    def mend():
        world.head().write_bytes(kept)
        world.pw("loop", "cancel", "--token-file", str(world.token))

    done, asked = world.turn("damaged stop", [{"text": "Bye."}, mend, {"text": "Bye."}], session, ("Stop",))
    found("damaged stop", "are damaged" in asked and done.returncode == 0, "the turn went on until a person had mended and cancelled")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("perfwright")
    parser.add_argument("--prefix", help="folder for the npm packages; they are installed where they are not there")
    parser.add_argument("--host", choices=PACKAGES)
    parser.add_argument("--keep", help="folder for repositories, streams and what the model was asked")
    args = parser.parse_args()
    if not shutil.which("npm") or not shutil.which("node"):
        print("skipped: npm and node are not there")
        return 77
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(args.prefix or folder).resolve()
        keep = Path(args.keep or folder).resolve()
        for host in [args.host] if args.host else PACKAGES:
            package, version = PACKAGES[host]
            program = prefix / "node_modules" / ".bin" / host
            if not program.exists():
                subprocess.run(["npm", "install", "--prefix", str(prefix), "--no-audit", "--no-fund", "--silent",
                                f"{package}@{version}"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            model = Model()
            world = World(keep / host, host, str(Path(args.perfwright).resolve()), str(program), model)
            says = subprocess.run([str(program), "--version"], env=world.env, capture_output=True, text=True, timeout=120)
            print(f"{host}: {says.stdout.strip()}")

            def found(what, holds, how):
                nonlocal wrong
                wrong += not holds
                print(f"  {'ok   ' if holds else 'WRONG'} {what}: {how}", flush=True)

            check(world, found)
            print(f"  {len(model.refused)} other addresses asked for and refused {sorted(set(model.refused))[:5]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""A second, independent verifier of perfwright run folders (format version 1).

    python3 verify_run.py DIR
    python3 verify_run.py --row PROOF ROOT

It checks integrity - hashes, chain, file list, contract, limits - and recombines the verdict from the stored gate
results, following docs/verification.md and nothing else. It does not evaluate gates: that needs the program.

Exit codes: 0 clean, 1 the stored gates do not give the stored verdict, 3 interrupted or of an unknown schema or rule,
4 not a run folder, 6 bytes, chain or file list differ. Standard library only, Python 3.9 or later.

The second form checks the proof of one row (section 11) against a published root: 0 it holds, 1 it does not.
"""

import hashlib
import json
import math
import os
import re
import stat
import sys

MAX_ENTRIES = 20_000
MAX_COMPONENTS = 16
MAX_NAME_BYTES = 512
MAX_COMPONENT_BYTES = 200
MAX_FILE_BYTES = 1 << 30
MAX_TOTAL_BYTES = 16 << 30
MAX_MANIFEST_BYTES = 16 << 20
MAX_CONTRACT_BYTES = 1 << 20
MAX_LEDGER_BYTES = 64 << 20
MAX_EVENTS = 100_000
MAX_LINE_BYTES = 1 << 20
MAX_GATES = 1000
MAX_DEPTH = 64

LEDGER, MANIFEST, CONTRACT = "ledger.jsonl", "manifest.json", "contract.json"
TEMP_SUFFIX = ".pw-tmp"
LINE_START = b'{"at":"'
SHARED = ["perfwright", "procedure", "argv", "env", "host", "repos"]
BASES = ["declared", "imported", "measured"]
TIME = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z")
HEX64 = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """A text that is not strict JSON, or has no canonical form."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def is_hash(value):
    return isinstance(value, str) and HEX64.fullmatch(value) is not None


def is_time(value):
    return isinstance(value, str) and TIME.fullmatch(value) is not None


def is_count(value):
    return type(value) is int and 0 <= value < 1 << 64


# Strict JSON


def unique(pairs):
    found = {}
    for key, value in pairs:
        if key in found:
            raise Refused("repeated key %r" % key)
        found[key] = value
    return found


def refuse_constant(name):
    raise Refused("%s is not JSON" % name)


def number(text):
    value = float(text)
    if math.isinf(value):
        raise Refused("number out of range")
    return value


def integer(text):
    # Beyond 64 bits an integer is read as a double, as the other verifier does.
    digits = text.lstrip("-")
    if len(digits) <= 20:
        value = int(text)
        if -(1 << 63) <= value < 1 << 64:
            return value
    return number(text)


DECODER = json.JSONDecoder(
    object_pairs_hook=unique, parse_constant=refuse_constant, parse_float=number, parse_int=integer
)


def check_depth(text):
    depth, in_string, escaped = 0, False, False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Refused("nested deeper than %d" % MAX_DEPTH)
        elif char in "]}":
            depth -= 1


def check_unicode(value):
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, list):
        for item in value:
            check_unicode(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            key.encode("utf-8")
            check_unicode(item)


def read_prefix(data):
    """The JSON value at the start of data, and its length in bytes."""
    try:
        text = data.decode("utf-8")
        check_depth(text)
        start = len(text) - len(text.lstrip(" \t\r\n"))
        value, end = DECODER.raw_decode(text, start)
        check_unicode(value)
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from None
    return value, len(text[:end].encode("utf-8"))


def read_json(data):
    value, end = read_prefix(data)
    if data[end:].strip(b" \t\r\n"):
        raise Refused("text after the value")
    return value


# Canonical JSON (RFC 8785)


def canonical(value):
    return canonical_text(value).encode("utf-8")


def canonical_text(value):
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        text = str(value)
        if abs(value) >= 1 << 53 and ecmascript(float(value)) != text:
            raise Refused("the integer %s is not exact as a double" % text)
        return text
    if isinstance(value, float):
        return ecmascript(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(canonical_text(item) for item in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(canonical_text(key) + ":" + canonical_text(value[key]) for key in keys) + "}"


def ecmascript(x):
    if x == 0:
        return "0"
    sign = "-" if x < 0 else ""
    mantissa, _, exponent = repr(abs(x)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    power = "e%s%d" % ("+" if point > 0 else "-", abs(point - 1))
    return sign + digits[0] + ("." + digits[1:] if count > 1 else "") + power


# The folder


def check_name(name):
    """Why a name cannot name evidence, or None."""
    parts = name.split("/")
    if len(name.encode("utf-8")) > MAX_NAME_BYTES or len(parts) > MAX_COMPONENTS:
        return "too long"
    if name in (LEDGER, MANIFEST):
        return "reserved"
    if "\\" in name or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in name):
        return "holds a backslash or a control character"
    for part in parts:
        if not part:
            return "empty, absolute or with an empty component"
        if part.startswith("."):
            return "a component begins with a dot"
        if len(part.encode("utf-8")) > MAX_COMPONENT_BYTES:
            return "too long"
    return None


def temp_of(name):
    folder, slash, base = name.rpartition("/")
    return folder + slash + "." + base + TEMP_SUFFIX


def is_temp(name):
    folder, slash, base = name.rpartition("/")
    if not (base.startswith(".") and base.endswith(TEMP_SUFFIX) and len(base) >= 1 + len(TEMP_SUFFIX)):
        return False
    final = folder + slash + base[1 : -len(TEMP_SUFFIX)]
    return final == MANIFEST or check_name(final) is None


def open_regular(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file")
    return os.fdopen(fd, "rb")


def read_limited(path, limit):
    with open_regular(path) as file:
        return file.read(limit + 1)


def hash_file(path, limit):
    digest, total = hashlib.sha256(), 0
    with open_regular(path) as file:
        while total <= limit:
            chunk = file.read(min(1 << 20, limit + 1 - total))
            if not chunk:
                break
            digest.update(chunk)
            total += len(chunk)
    return digest.hexdigest(), total


def walk(root):
    files, folders, special, todo, count = {}, set(), {}, [""], 0
    while todo:
        folder = todo.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                count += 1
                if count > MAX_ENTRIES:
                    return None
                name = folder + "/" + entry.name if folder else entry.name
                try:
                    name.encode("utf-8")
                except UnicodeEncodeError:
                    special[name] = "its name is not UTF-8"
                    continue
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISREG(mode):
                    files[name] = entry.stat(follow_symlinks=False).st_size
                elif stat.S_ISDIR(mode):
                    if name.count("/") + 1 >= MAX_COMPONENTS:
                        special[name] = "it nests deeper than the limit"
                    else:
                        folders.add(name)
                        todo.append(name)
                else:
                    special[name] = "it is a link, a pipe, a socket or a device"
    return files, folders, special


def parents(name):
    return [name[:i] for i, char in enumerate(name) if char == "/"]


class Run:
    """One folder, and everything that is wrong with it."""

    def __init__(self, root):
        self.root = root
        self.found = []
        self.unknown = []
        self.verdicts = []
        self.lines = 0
        self.events = []
        self.head = "0" * 64
        self.closed = None
        self.torn = 0

    def path(self, name):
        return os.path.join(self.root, name)

    def differ(self, place, why):
        self.found.append("%s: %s" % (place, why))

    # ledger.jsonl

    def read_ledger(self, data):
        rest = data
        while True:
            end = rest.find(b"\n")
            if end < 0:
                break
            if self.lines >= MAX_EVENTS:
                self.differ(LEDGER, "more than %d events" % MAX_EVENTS)
                return
            raw, rest = rest[:end], rest[end + 1 :]
            event = self.check_line(raw)
            if self.closed is not None:
                self.differ("%s:%d" % (LEDGER, self.lines + 1), "after the closing event")
            if event is not None:
                self.accept(event)
            self.lines += 1
            self.head = sha256(raw)
        if rest:
            self.check_tail(rest)

    def check_line(self, raw):
        place = "%s:%d" % (LEDGER, self.lines + 1)
        if len(raw) > MAX_LINE_BYTES:
            self.differ(place, "longer than %d bytes" % MAX_LINE_BYTES)
            return None
        try:
            value = read_json(raw)
        except Refused as error:
            self.differ(place, str(error))
            return None
        try:
            if canonical(value) != raw:
                raise Refused("not canonical JSON")
        except Refused as error:
            self.differ(place, str(error))
        if not (
            isinstance(value, dict)
            and set(value) == {"at", "event", "hash", "prev", "seq"}
            and is_time(value["at"])
            and is_hash(value["hash"])
            and is_hash(value["prev"])
            and is_count(value["seq"])
            and isinstance(value["event"], dict)
            and isinstance(value["event"].get("kind"), str)
        ):
            self.differ(place, "not {at, event: {kind}, hash, prev, seq}")
            return None
        bare = {key: item for key, item in value.items() if key != "hash"}
        try:
            if sha256(canonical(bare)) != value["hash"]:
                raise Refused("its hash is not that of the line")
        except Refused as error:
            self.differ(place, str(error))
        if value["prev"] != self.head:
            self.differ(place, "prev is not the hash of the line before")
        if value["seq"] != self.lines:
            self.differ(place, "seq is not its position")
        if (value["event"]["kind"] == "open") != (self.lines == 0):
            self.differ(place, "exactly the first event is of kind open")
        return value

    def accept(self, value):
        if value["event"]["kind"] == "close":
            if is_hash(value["event"].get("manifest_sha256")):
                self.closed = value["event"]["manifest_sha256"]
            else:
                self.differ("%s:%d" % (LEDGER, self.lines + 1), "close without manifest_sha256")
        self.events.append((self.lines + 1, value))

    def check_tail(self, tail):
        place = "%s:%d" % (LEDGER, self.lines + 1)
        if self.closed is not None:
            self.differ(place, "bytes after the closing event")
            return
        if len(tail) > MAX_LINE_BYTES:
            self.differ(place, "longer than %d bytes" % MAX_LINE_BYTES)
            return
        try:
            _, end = read_prefix(tail)
        except Refused as error:
            begins = tail.startswith(LINE_START) or LINE_START.startswith(tail)
            if begins and min(tail) >= 0x20:
                self.torn = len(tail)
            else:
                self.differ(place, str(error))
            return
        if end != len(tail):
            self.differ(place, "text after the event instead of a line feed")
            return
        breaks = len(self.found)
        self.check_line(tail)
        if len(self.found) == breaks:
            self.torn = len(tail)

    # manifest.json

    def read_manifest(self):
        try:
            data = read_limited(self.path(MANIFEST), MAX_MANIFEST_BYTES)
        except OSError as error:
            self.differ(MANIFEST, str(error))
            return None
        if self.closed is not None and sha256(data) != self.closed:
            self.differ(MANIFEST, "not the bytes that the closing event names")
            return None
        try:
            if len(data) > MAX_MANIFEST_BYTES:
                raise Refused("larger than %d bytes" % MAX_MANIFEST_BYTES)
            manifest = read_json(data)
            if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), str):
                raise Refused("no schema")
            if manifest["schema"] != "perfwright.manifest/v1":
                self.unknown.append("%s: schema %r" % (MANIFEST, manifest["schema"]))
                return None
            check_manifest(manifest)
        except Refused as error:
            self.differ(MANIFEST, str(error))
            return None
        return manifest

    def compare_with_ledger(self, manifest, recorded):
        opening = self.events[0][1]
        for key in SHARED:
            if manifest.get(key) != opening["event"].get(key):
                self.differ(MANIFEST, "%s differs from the first event" % key)
        if manifest["started"] != opening["at"]:
            self.differ(MANIFEST, "started differs from the first event")
        if [plain(entry) for entry in manifest["evidence"]] != [plain(entry) for entry in recorded]:
            self.differ(MANIFEST, "its evidence is not that of the ledger")

    # files

    def check_files(self, files, folders, special, evidence, closed):
        for name, what in sorted(special.items()):
            self.differ(name, what)
        last = None
        if self.events and not closed and self.events[-1][1]["event"]["kind"] == "evidence":
            record = self.events[-1][1]["event"].get("evidence")
            last = record.get("name") if isinstance(record, dict) else None
        seen, total, pending = set(), 0, None
        for entry in evidence:
            name = entry["name"]
            why = check_name(name)
            if why is None and name in seen:
                why = "listed twice"
            if why is None and not is_hash(entry["sha256"]):
                why = "sha256 is not 64 lowercase hexadecimal digits"
            seen.add(name)
            if why is not None:
                self.differ(name, why)
                continue
            if entry.get("reference") is not None or any(p in special for p in parents(name) + [name]):
                continue
            size = files.get(name)
            if size is None:
                if name == last and self.is_pending(entry):
                    pending = name
                else:
                    self.differ(name, "recorded, but not there")
                continue
            total += size
            if size > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES:
                self.differ(name, "beyond the limits")
                continue
            if size != entry["bytes"]:
                self.differ(name, "%d bytes, recorded are %d" % (size, entry["bytes"]))
                continue
            try:
                if hash_file(self.path(name), size) != (entry["sha256"], size):
                    self.differ(name, "not the bytes that were recorded")
            except OSError as error:
                self.differ(name, str(error))
        listed = {entry["name"] for entry in evidence if entry.get("reference") is None}
        for name in sorted(files):
            if name == LEDGER or (name == MANIFEST and closed) or name in listed:
                continue
            if pending is not None and name == temp_of(pending):
                continue
            if closed or not (name == MANIFEST or is_temp(name)):
                self.differ(name, "nothing records this file")
        if closed:
            used = {parent for name in list(files) + sorted(listed) for parent in parents(name)}
            for name in sorted(folders - used):
                self.differ(name, "nothing recorded lies in this folder")

    def is_pending(self, entry):
        try:
            return hash_file(self.path(temp_of(entry["name"])), entry["bytes"]) == (entry["sha256"], entry["bytes"])
        except OSError:
            return False

    def check_contract(self, evidence, manifest, closed):
        entry = next((e for e in evidence if e["name"] == CONTRACT and e.get("reference") is None), None)
        if entry is None:
            if closed:
                self.differ(CONTRACT, "a closed run records its contract")
            return
        named = []
        if self.events and self.events[0][1]["event"]["kind"] == "open":
            named.append(self.events[0][1]["event"].get("contract_sha256"))
        if manifest is not None:
            named.append(manifest["contract_sha256"])
        if any(hash_ != entry["sha256"] for hash_ in named):
            self.differ(CONTRACT, "not the contract that the run names")
        try:
            data = read_limited(self.path(CONTRACT), MAX_CONTRACT_BYTES)
        except OSError:
            return
        if sha256(data) == entry["sha256"]:
            try:
                if len(data) > MAX_CONTRACT_BYTES or canonical(read_json(data)) != data:
                    raise Refused("not canonical JSON")
            except Refused as error:
                self.differ(CONTRACT, str(error))


def plain(entry):
    """An evidence record without fields that only say nothing."""
    kept = {key: entry.get(key) for key in ("name", "sha256", "bytes", "media_type", "basis")}
    for key in ("schema", "command", "reference"):
        if entry.get(key) is not None:
            kept[key] = entry[key]
    kept["redacted"] = entry.get("redacted", 0)
    return kept


def require(condition, what):
    if not condition:
        raise Refused("%s is missing or of another type" % what)


def check_evidence(entry):
    require(isinstance(entry, dict), "evidence")
    for key in ("name", "sha256", "media_type"):
        require(isinstance(entry.get(key), str), "evidence.%s" % key)
    require(is_count(entry.get("bytes")), "evidence.bytes")
    require(entry.get("basis") in BASES, "evidence.basis")
    require(is_count(entry.get("redacted", 0)), "evidence.redacted")
    for key in ("schema", "command", "reference"):
        require(entry.get(key) is None or isinstance(entry[key], str), "evidence.%s" % key)


def strings(value):
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def optional(entry, key, test):
    return entry.get(key) is None or test(entry[key])


def is_text(value):
    return isinstance(value, str)


def is_gpu(gpu):
    return (
        isinstance(gpu, dict)
        and is_text(gpu.get("name"))
        and optional(gpu, "memory_bytes", is_count)
        and optional(gpu, "driver", is_text)
    )


def is_host(host):
    if not isinstance(host, dict) or not isinstance(host.get("gpus"), dict):
        return False
    devices = host["gpus"].get("devices")
    return (
        all(optional(host, key, is_text) for key in ("cpu", "kernel"))
        and all(optional(host, key, is_count) for key in ("logical_cpus", "memory_bytes"))
        and isinstance(devices, list)
        and all(is_gpu(gpu) for gpu in devices)
        and optional(host["gpus"], "reason", is_text)
    )


def is_repo(repo):
    if not (isinstance(repo, dict) and is_text(repo.get("name")) and is_text(repo.get("path"))):
        return False
    state = repo.get("state")
    if not isinstance(state, dict) or len(state) != 1:
        return False
    kind, fields = next(iter(state.items()))
    if not isinstance(fields, dict):
        return False
    if kind == "unavailable":
        return is_text(fields.get("reason"))
    return (
        kind == "commit"
        and is_text(fields.get("commit"))
        and optional(fields, "branch", is_text)
        and is_count(fields.get("changed_paths"))
    )


def check_conditions(value):
    """What the first event and the manifest both hold."""
    for key in ("perfwright", "procedure", "contract_sha256"):
        require(is_text(value.get(key)), key)
    require(strings(value.get("argv")), "argv")
    env = value.get("env")
    require(isinstance(env, dict) and strings(list(env.values())), "env")
    require(is_host(value.get("host")), "host")
    require(isinstance(value.get("repos"), list) and all(is_repo(repo) for repo in value["repos"]), "repos")


def check_manifest(manifest):
    check_conditions(manifest)
    require(is_time(manifest.get("started")) and is_time(manifest.get("ended")), "started or ended")
    for key in ("evidence", "gates"):
        require(isinstance(manifest.get(key), list), key)
    require(len(manifest["evidence"]) <= MAX_ENTRIES and len(manifest["gates"]) <= MAX_GATES, "a list within the limits")
    for entry in manifest["evidence"]:
        check_evidence(entry)
    seen = set()
    for gate in manifest["gates"]:
        require(isinstance(gate, dict), "gate")
        require(isinstance(gate.get("id"), str) and isinstance(gate.get("reason"), str), "gate.id or gate.reason")
        require(is_count(gate.get("version")) and gate["version"] < 1 << 32, "gate.version")
        require(gate.get("outcome") in ("pass", "fail", "hard_stop", "not_applicable"), "gate.outcome")
        require(strings(gate.get("used")), "gate.used")
        require(gate.get("basis") is None or gate["basis"] in BASES, "gate.basis")
        require(label(gate) not in seen, "one gate of each id and version")
        seen.add(label(gate))
    verdict = manifest.get("verdict")
    require(isinstance(verdict, dict) and isinstance(verdict.get("rule"), str), "verdict.rule")
    require(verdict.get("outcome") in ("pass", "answered", "fail", "hard_stop", "inconclusive"), "verdict.outcome")
    require(verdict.get("basis") is None or verdict["basis"] in BASES, "verdict.basis")
    require(strings(verdict.get("because")), "verdict.because")


def label(gate):
    return "%s/v%d" % (gate["id"], gate["version"])


def combine(rule, gates):
    """The verdict that a rule gives, or None for an unknown rule."""
    if rule not in ("all-pass/v1", "answered/v1"):
        return None

    def those(keep):
        return [label(gate) for gate in gates if keep(gate)]

    stopped = those(lambda gate: gate["outcome"] == "hard_stop")
    failed = those(lambda gate: gate["outcome"] == "fail")
    passed = those(lambda gate: gate["outcome"] == "pass")
    unproven = those(lambda gate: gate["outcome"] == "pass" and gate.get("basis") != "measured")
    if stopped:
        outcome, because = "hard_stop", stopped
    elif failed:
        outcome, because = "fail", failed
    elif not passed:
        outcome, because = "inconclusive", []
    elif rule == "answered/v1":
        outcome, because = "answered", passed
    elif unproven:
        outcome, because = "inconclusive", unproven
    else:
        outcome, because = "pass", passed
    bases = [gate.get("basis") for gate in gates if gate["outcome"] == "pass"]
    basis = None
    if bases and None not in bases:
        basis = min(bases, key=BASES.index)
    return {"rule": rule, "outcome": outcome, "basis": basis, "because": because}


def check_verdict(run, manifest):
    basis_of = {entry["name"]: entry["basis"] for entry in reversed(manifest["evidence"])}
    for gate in manifest["gates"]:
        if any(name not in basis_of for name in gate["used"]):
            run.verdicts.append("gate %s: it used evidence that is not there" % label(gate))
            continue
        basis = max((basis_of[name] for name in gate["used"]), key=BASES.index, default=None)
        if gate.get("basis") != basis:
            run.verdicts.append("gate %s: its basis is not that of the evidence it used" % label(gate))
    stored = dict(manifest["verdict"])
    stored.setdefault("basis", None)
    combined = combine(stored["rule"], manifest["gates"])
    if combined is None:
        run.unknown.append("verdict: rule %r" % stored["rule"])
    elif any(stored[key] != combined[key] for key in combined):
        run.verdicts.append("verdict: the stored gates give %s" % combined["outcome"])


def verify(root):
    """(exit code, one word, lines to print)"""
    run = Run(root)
    entries = walk(root)
    if entries is None:
        return 6, "tampered", ["more than %d files and directories" % MAX_ENTRIES]
    files, folders, special = entries
    data = b""
    if LEDGER in files:
        data = read_limited(run.path(LEDGER), MAX_LEDGER_BYTES)
        if len(data) > MAX_LEDGER_BYTES:
            run.differ(LEDGER, "larger than %d bytes" % MAX_LEDGER_BYTES)
            data = b""
    elif MANIFEST in files or LEDGER in special:
        run.differ(LEDGER, "there is no ledger")
    elif files or folders or special:
        return 4, "not a run folder", []
    run.read_ledger(data)
    intact = not run.found
    recorded = []
    for line, value in run.events:
        if value["event"]["kind"] == "evidence":
            try:
                check_evidence(value["event"].get("evidence"))
                recorded.append(value["event"]["evidence"])
            except Refused as error:
                run.differ("%s:%d" % (LEDGER, line), str(error))
    if run.events and run.events[0][1]["event"]["kind"] == "open":
        opening = run.events[0][1]["event"]
        if isinstance(opening.get("schema"), str) and opening["schema"] != "perfwright.ledger/v1":
            run.unknown.append("%s: schema %r" % (LEDGER, opening["schema"]))
        else:
            try:
                require(isinstance(opening.get("schema"), str), "schema")
                check_conditions(opening)
            except Refused as error:
                run.differ("%s:1" % LEDGER, str(error))
    closed = run.closed is not None
    manifest = None
    if closed or (MANIFEST in files and run.lines == 0 and not data):
        manifest = run.read_manifest()
        if manifest is not None and intact and run.events:
            run.compare_with_ledger(manifest, recorded)
    evidence = manifest["evidence"] if manifest is not None else recorded
    run.check_files(files, folders, special, evidence, closed)
    run.check_contract(evidence, manifest, closed)
    if manifest is not None:
        check_verdict(run, manifest)
    lines = run.found + run.verdicts + run.unknown
    if run.found:
        return 6, "tampered", lines
    if run.verdicts:
        return 1, "the verdict differs", lines
    if run.unknown:
        return 3, "cannot be recomputed", lines
    if not closed:
        return 3, "interrupted", lines + ["%d bytes of an unfinished event" % run.torn] * (run.torn > 0)
    return 0, "clean", lines


def climb(leaf, path):
    """The root that a leaf and its siblings give."""
    for step in path:
        require(is_hash(step["hash"]) and step["side"] in ("left", "right"), "path")
        pair = [bytes.fromhex(step["hash"]), leaf]
        leaf = hashlib.sha256(b"\x01" + b"".join(pair if step["side"] == "left" else reversed(pair))).digest()
    return leaf


def index_of(path, leaves):
    """The leaf that a path belongs to, or None."""
    first = 0
    for step in reversed(path):
        if leaves < 2:
            return None
        half = 1 << (leaves - 1).bit_length() - 1
        if step["side"] == "left":
            first, leaves = first + half, leaves - half
        else:
            leaves = half
    return first if leaves == 1 else None


def check_row(path, root):
    """Whether the proof in a file leads to the root."""
    data = read_limited(path, 8 << 20)
    require(len(data) <= 8 << 20, "size")
    proof = read_json(data)
    require(isinstance(proof, dict) and proof.get("schema") == "perfwright.row-proof/v1", "schema")
    for way in ("row_path", "file_path"):
        require(isinstance(proof[way], list) and len(proof[way]) <= 40, way)
    require(is_count(proof["line"]) and is_count(proof["file_rows"]), "line")
    row = hashlib.sha256(b"\x00" + proof["text"].encode()).digest()
    rows_root = climb(row, proof["row_path"])
    require(index_of(proof["row_path"], proof["file_rows"]) == proof["line"] - 1, "line")
    leaf = {
        "bytes": proof["file_bytes"],
        "name": proof["file"],
        "rows": proof["file_rows"],
        "rows_root": rows_root.hex(),
        "sha256": proof["file_sha256"],
    }
    file = hashlib.sha256(b"\x00" + canonical(leaf)).digest()
    require(climb(file, proof["file_path"]).hex() == root, "root")


def row_main(path, root):
    try:
        check_row(path, root)
    except OSError as error:
        print("cannot read %s: %s" % (path, error), file=sys.stderr)
        return 4
    except (Refused, KeyError, TypeError, AttributeError, ValueError) as error:
        print("%s: does not hold: %s" % (path, error))
        return 1
    print("%s: holds" % path)
    return 0


def main(argv):
    if len(argv) == 4 and argv[1] == "--row":
        return row_main(argv[2], argv[3])
    if len(argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    sys.setrecursionlimit(10_000)
    try:
        code, word, lines = verify(argv[1])
    except OSError as error:
        print("cannot read %s: %s" % (argv[1], error), file=sys.stderr)
        return 4
    for line in lines:
        print(line.encode("utf-8", "backslashreplace").decode("utf-8"))
    print("%s: %s" % (argv[1], word))
    print("gates: not re-evaluated")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv))

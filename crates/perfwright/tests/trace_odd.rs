//! `trace triage` on inputs that are odd, broken, missing or not files at all; and answers that must not change with
//! threads, caches or compression.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use xtask::tracegen::odd::{self, Answer, CASES};
use xtask::tracegen::{Class, Extent, Gpu, Options, capture_options, generate_file};

/// Bytes of the `spaces` cases: more than the reader's block, so that blocks full of nothing are read.
const SPACES: u64 = 20 << 20;

/// What a command left behind.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Runs `trace triage` with these arguments, without the user's settings.
fn triage(dir: &Path, args: &[&str]) -> Ran {
    triage_with(dir, args, &[])
}

fn triage_with(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("perfwright"));
    command.env_clear().envs(env.iter().copied()).current_dir(dir).args(["trace", "triage"]).args(args);
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn short() -> Options {
    Options { layers: 2, tp: 2, ranks: 2, ..Options::default() }
}

fn made(dir: &Path, name: &str, o: &Options) -> String {
    generate_file(o, &dir.join(name)).unwrap();
    name.to_owned()
}

/// Exit code 4: one error that names code and file, on both streams.
fn check_error(ran: &Ran, file: &str, what: &str) {
    assert_eq!(ran.code, 4, "{what}: {}", ran.stderr);
    let json = ran.json();
    assert_eq!(json["schema"], "perfwright.error/v1", "{what}");
    let error = &json["error"];
    let code = error["code"].as_str().unwrap();
    assert!(code.starts_with("PW") && code.len() == 6, "{what}: {code}");
    assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{what}");
    assert!(error["file"].as_str().is_some_and(|f| f.ends_with(file)), "{what}: {error}");
    for key in ["place", "hint"] {
        assert!(error.get(key).is_some_and(|v| v.is_null() || v.is_string()), "{what}: {key} of {error}");
    }
    let errors = ran.stderr.lines().filter(|l| l.starts_with("error[")).count();
    assert_eq!(errors, 1, "{what}: {}", ran.stderr);
    assert!(
        ran.stderr.contains(&format!("error[{code}]")) && ran.stderr.contains(file),
        "{what}: {}",
        ran.stderr
    );
    assert!(ran.stderr.lines().count() <= 6 && ran.stderr.len() < 1000, "{what}: {}", ran.stderr);
}

fn kernels(json: &Value) -> (u64, i64) {
    let k = &json["totals"]["kernel"];
    (k["count"].as_u64().unwrap(), k["total_ns"].as_i64().unwrap())
}

#[test]
fn every_odd_input_gets_its_answer() {
    let dir = folder();
    assert!(CASES.len() >= 55, "{}", CASES.len());
    for case in CASES {
        let name = format!("{}.json{}", case.name, if case.gzip { ".gz" } else { "" });
        let mut bytes = Vec::new();
        odd::write(case.name, SPACES, &mut bytes).unwrap();
        std::fs::write(dir.path().join(&name), bytes).unwrap();
        let ran = triage(dir.path(), &[&name, "--no-cache", "--format", "json"]);
        let what = format!("{} ({})", case.name, case.about);
        assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
        if case.answer == Answer::Error {
            check_error(&ran, &name, &what);
            continue;
        }
        let json = ran.json();
        assert_eq!(json["schema"], "perfwright.trace-triage/v1", "{what}");
        match case.answer {
            Answer::NoDevice => {
                assert_eq!(ran.code, 3, "{what}: {}", ran.stderr);
                assert!(
                    json["stop"]["code"].as_str().is_some_and(|c| c.starts_with("PW02")),
                    "{what}: {json}"
                );
                assert!(
                    ran.stderr.contains(json["stop"]["code"].as_str().unwrap()),
                    "{what}: {}",
                    ran.stderr
                );
                assert!(ran.stderr.contains(&name), "{what}: {}", ran.stderr);
                assert_eq!(json["tables"]["kernels"], serde_json::json!([]), "{what}");
            }
            Answer::Partial => {
                // A part without kernels supports no tables; that it is a part is told all the same.
                let wanted = if kernels(&json).0 > 0 { 0 } else { 3 };
                assert_eq!(
                    (ran.code, json.get("stop").is_some()),
                    (wanted, wanted == 3),
                    "{what}: {}",
                    ran.stderr
                );
                let partial = &json["partial"];
                assert!(partial["reason"].as_str().is_some_and(|r| !r.is_empty()), "{what}: {partial}");
                assert!(partial["bytes_read"].as_u64().is_some(), "{what}: {partial}");
                let (count, ns) = kernels(&json);
                // What can be told exactly in plain text; a damaged stream holds at most so much.
                if case.gzip {
                    assert!(count <= case.kernels.0 && ns <= case.kernels.1, "{what}: {count} kernels");
                } else {
                    assert_eq!((count, ns), case.kernels, "{what}");
                }
            }
            Answer::Full | Answer::Error => {
                assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
                assert_eq!(json["partial"], Value::Null, "{what}");
                assert_eq!(kernels(&json), case.kernels, "{what}");
                let rows = json["tables"]["kernels"].as_array().unwrap();
                let sum: i64 = rows.iter().map(|r| r["total_ns"].as_i64().unwrap()).sum();
                assert_eq!(sum, case.kernels.1, "{what}: rows");
            }
        }
    }
}

/// All text before the damage counts, as zlib itself gives it byte by byte.
#[test]
fn damaged_gzip_is_read_up_to_the_damage() {
    let dir = folder();
    let o = Options { extent: Extent::Bytes(1_500_000), ..short() };
    let name = made(dir.path(), "t.json.gz", &o);
    let good = std::fs::read(dir.path().join(&name)).unwrap();
    let places = [good.len() / 5, good.len() / 2, good.len() - 2000];
    let cut = places.map(|at| (true, good[..at].to_vec()));
    let overwritten = places.map(|at| {
        let mut bytes = good.clone();
        bytes[at..at + 64].fill(0xff);
        (false, bytes)
    });
    for (is_cut, bytes) in cut.into_iter().chain(overwritten) {
        let mut text = Vec::new();
        let mut gz = flate2::read::GzDecoder::new(bytes.as_slice());
        let mut byte = [0];
        while std::io::Read::read(&mut gz, &mut byte).is_ok_and(|n| n == 1) {
            text.push(byte[0]);
        }
        std::fs::write(dir.path().join(&name), &bytes).unwrap();
        let json = triage(dir.path(), &[&name, "--no-cache", "--format", "json"]).json();
        assert_eq!(json["inputs"][0]["text_bytes"], text.len(), "cut {is_cut}, {} bytes", bytes.len());
        let done = json["partial"]["bytes_read"].as_u64().unwrap();
        assert!(done > 50_000, "{done}");
        // Damage may inflate to nonsense; a cut text is good up to the event it ends in.
        assert!(!is_cut || text.len() as u64 - done < 5_000, "{done} of {}", text.len());
    }
}

#[test]
fn a_wrong_checksum_is_said_though_all_is_read() {
    let dir = folder();
    let mut bytes = Vec::new();
    odd::write("wrong-crc-gz", 0, &mut bytes).unwrap();
    std::fs::write(dir.path().join("t.json.gz"), bytes).unwrap();
    let json = triage(dir.path(), &["t.json.gz", "--no-cache", "--format", "json"]).json();
    assert_eq!(kernels(&json), (3, 60_000));
    assert_ne!(json["partial"], Value::Null);
}

#[test]
fn what_comes_after_the_document_is_told() {
    let dir = folder();
    let mut bytes = Vec::new();
    odd::write("plain", 0, &mut bytes).unwrap();
    let ask = |tail: &str| {
        std::fs::write(dir.path().join("t.json"), [bytes.as_slice(), tail.as_bytes()].concat()).unwrap();
        triage(dir.path(), &["t.json", "--no-cache", "--format", "json"]).json()
    };
    let clean = ask("\n \n");
    assert_eq!(
        (&clean["partial"], &clean["inputs"][0]["set_aside"]["trailing_bytes"]),
        (&Value::Null, &0.into())
    );
    let json = ask("more text\n");
    assert_eq!(
        (&json["partial"], &json["inputs"][0]["set_aside"]["trailing_bytes"]),
        (&Value::Null, &10.into())
    );
    assert!(json["warnings"][0].as_str().is_some_and(|w| w.contains("10 bytes after the end")), "{json}");
}

#[test]
fn missing_inputs_are_named() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("bare")).unwrap();
    std::fs::write(dir.path().join("bare/config.json"), "{\"a\": 1}").unwrap();
    let trace = made(dir.path(), "t.json", &short());
    let json = ["--no-cache", "--format", "json"];
    let ask = |args: &[&str]| triage(dir.path(), &[args, &json].concat());
    check_error(&ask(&["gone.json"]), "gone.json", "missing file");
    check_error(&ask(&["t.json/below.json"]), "below.json", "a file as a folder");
    check_error(&ask(&["bare"]), "bare", "folder without traces");
    check_error(&ask(&[&trace, "--capture", "gone.json"]), "gone.json", "missing capture");
    check_error(&ask(&[&trace, "--mapping", "gone.json"]), "gone.json", "missing mapping");
    check_error(&ask(&[&trace, "--capture", "bare"]), "bare", "folder as capture");
    check_error(&ask(&[".", "--rank", "7"]), ".", "rank that is not there");
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_an_error() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    made(dir.path(), "t.json", &short());
    let path = dir.path().join("t.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        return; // the superuser may read everything
    }
    let ran = triage(dir.path(), &["t.json", "--no-cache", "--format", "json"]);
    check_error(&ran, "t.json", "no permission");
    assert!(ran.stderr.contains("permission denied"), "{}", ran.stderr);
}

/// Process substitution and `/dev/stdin` hand over pipes; they are read to their end.
#[cfg(unix)]
#[test]
fn a_pipe_is_read_whole() {
    let dir = folder();
    let o = Options { extent: Extent::Bytes(3_000_000), ..short() };
    let trace = made(dir.path(), "t.json", &o);
    let text = std::fs::read(dir.path().join(&trace)).unwrap();
    assert!(text.len() > 3_000_000);
    let whole = triage(dir.path(), &[&trace, "--no-cache", "--format", "json"]).json();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("perfwright"));
    command.env_clear().args(["trace", "triage", "/dev/stdin", "--no-cache", "--format", "json"]);
    let output = command.write_stdin(text).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let piped: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(piped["partial"], Value::Null);
    assert_eq!(piped["totals"], whole["totals"]);
    assert_eq!(piped["tables"], whole["tables"]);
}

#[test]
fn a_capture_that_does_not_fit_stops_with_the_tables_still_there() {
    let dir = folder();
    let replay = Options {
        graph_decode: true,
        gpu: Gpu::Amd,
        pattern: vec![Class::Decode],
        extent: Extent::Passes(2),
        batch: Some(32),
        ..short()
    };
    let trace = made(dir.path(), "t.json", &replay);
    let other = Options { gpu: Gpu::Nvidia, layers: 3, ..replay.clone() };
    let capture = made(dir.path(), "c.json", &capture_options(&other));
    let eager = made(dir.path(), "e.json", &short());
    for (file, code) in [(capture, "PW0204"), (eager, "PW0203")] {
        let ran = triage(dir.path(), &[&trace, "--capture", &file, "--no-cache", "--format", "json"]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        let json = ran.json();
        assert_eq!(json["stop"]["code"], code);
        assert!(json["stop"]["reason"].as_str().is_some_and(|r| !r.is_empty()));
        assert!(ran.stderr.contains(code) && ran.stderr.contains(&file), "{}", ran.stderr);
        assert_eq!(json["schema"], "perfwright.trace-triage/v1");
        assert!(json["totals"]["kernel"]["count"].as_u64().unwrap() > 0);
    }
    let fits = made(dir.path(), "fits.json", &capture_options(&replay));
    let ran = triage(dir.path(), &[&trace, "--capture", &fits, "--no-cache", "--format", "json"]);
    assert_eq!((ran.code, ran.json().get("stop")), (0, None), "{}", ran.stderr);
}

#[test]
fn limits_and_cut_offs_are_for_people_only() {
    let dir = folder();
    let trace = made(dir.path(), "t.json", &Options { moe: true, ..short() });
    let ask = |args: &[&str]| {
        let ran = triage(dir.path(), &[&[trace.as_str(), "--no-cache"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    let json = ask(&["--format", "json", "--limit", "2"]).json();
    let rows = json["tables"]["kernels"].as_array().unwrap();
    assert_eq!(json, ask(&["--format", "json"]).json(), "--limit changes JSON");
    assert!(rows.len() > 30, "{}", rows.len());
    let csv = ask(&["--format", "csv"]).stdout;
    for row in rows {
        let name = row["kernel"].as_str().unwrap();
        assert!(csv.contains(name) || csv.contains(&name.replace('"', "\"\"")), "CSV lacks {name}");
    }
    assert!(!csv.contains("other ") || !csv.contains(" kernels,"), "a sum row in CSV");
    let markdown = ask(&["--format", "markdown"]).stdout;
    assert!(markdown.contains("other ") && markdown.contains("| prefill |"), "{markdown}");
    for format in ["table", "markdown"] {
        let all = ask(&["--format", format, "--limit", "1000"]).stdout;
        let few = ask(&["--format", format, "--limit", "2"]).stdout;
        assert!(few.lines().count() < all.lines().count(), "{format}");
        assert!(few.to_lowercase().contains("left off"), "{format}: {few}");
        assert!(!all.to_lowercase().contains("left off"), "{format}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = folder();
    let graph = Options { graph_decode: true, graph_streams: 2, extent: Extent::Bytes(4_000_000), ..short() };
    for (name, o) in [
        ("eager.json", Options { extent: Extent::Bytes(4_000_000), moe: true, ..short() }),
        ("graph.json", graph),
    ] {
        let trace = made(dir.path(), name, &o);
        for format in ["json", "csv", "markdown", "table"] {
            let args = [trace.as_str(), "--no-cache", "--format", format];
            let first = triage(dir.path(), &args).stdout;
            for threads in ["1", "4"] {
                let again = triage_with(dir.path(), &args, &[("RAYON_NUM_THREADS", threads)]).stdout;
                assert!(first == again, "{name} as {format} differs with {threads} threads");
            }
        }
    }
}

/// The parts of an answer that may not depend on how the bytes came in.
fn answer(mut json: Value) -> Value {
    for input in json["inputs"].as_array_mut().unwrap() {
        for key in ["path", "bytes", "compressed", "from_cache"] {
            assert!(input.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
    }
    json
}

#[test]
fn gzip_and_plain_give_the_same_answer() {
    let dir = folder();
    // Larger than a block of inflated text, so that events lie across its end.
    let o = Options { extent: Extent::Bytes(18_000_000), ..short() };
    let ask = |name: &str| {
        made(dir.path(), name, &o);
        answer(triage(dir.path(), &[name, "--no-cache", "--format", "json"]).json())
    };
    assert!(ask("a.json") == ask("b.json.gz"), "plain and gzip differ");
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(list) = std::fs::read_dir(dir) else { return Vec::new() };
    list.flat_map(|e| {
        let path = e.unwrap().path();
        if path.is_dir() { entries(&path) } else { vec![path] }
    })
    .collect()
}

fn big(dir: &Path) -> String {
    let o = Options { extent: Extent::Bytes(2_000_000), metadata_last: true, ..short() };
    made(dir, "t.json", &o)
}

#[test]
fn the_cache_changes_nothing_but_the_time() {
    let dir = folder();
    let trace = big(dir.path());
    let args = [trace.as_str(), "--cache-dir", "cache", "--format", "json"];
    let plain = triage(dir.path(), &[&trace, "--no-cache", "--format", "json"]).json();
    let (first, second) = (triage(dir.path(), &args).json(), triage(dir.path(), &args).json());
    assert_eq!(
        (&first["inputs"][0]["from_cache"], &second["inputs"][0]["from_cache"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
    let plain = answer(plain);
    assert!(plain == answer(first), "writing the cache changed the answer");
    assert!(plain == answer(second), "reading the cache changed the answer");
    assert_eq!(entries(&dir.path().join("cache")).len(), 1);
    // Content decides: the same bytes under another name are known, other bytes under this name are not.
    std::fs::copy(dir.path().join(&trace), dir.path().join("same.json")).unwrap();
    let same = triage(dir.path(), &["same.json", "--cache-dir", "cache", "--format", "json"]).json();
    assert_eq!(same["inputs"][0]["from_cache"], true);
    let mut text = std::fs::read(dir.path().join(&trace)).unwrap();
    let at = text.windows(6).position(|w| w == b"\"dur\":").unwrap() + 7;
    text[at] = if text[at] == b'1' { b'2' } else { b'1' };
    std::fs::write(dir.path().join(&trace), text).unwrap();
    assert_eq!(triage(dir.path(), &args).json()["inputs"][0]["from_cache"], false);
}

#[test]
fn without_cache_nothing_is_read_or_written() {
    let dir = folder();
    let trace = big(dir.path());
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let home_text = home.to_str().unwrap();
    let cache = home.join("cache");
    let env = [("HOME", home_text), ("XDG_CACHE_HOME", cache.to_str().unwrap())];
    let with = |args: &[&str]| {
        triage_with(dir.path(), &[&[trace.as_str(), "--format", "json"], args].concat(), &env).json()
    };
    with(&["--no-cache"]);
    assert_eq!(entries(&home), Vec::<PathBuf>::new(), "--no-cache wrote something");
    with(&[]);
    assert_eq!(entries(&home).len(), 1, "the cache works by default, in the user's cache folder");
    assert_eq!(with(&[])["inputs"][0]["from_cache"], true);
    assert_eq!(with(&["--no-cache"])["inputs"][0]["from_cache"], false, "--no-cache read the cache");
}

#[test]
fn a_damaged_cache_entry_is_not_believed() {
    let dir = folder();
    let trace = big(dir.path());
    let args = [trace.as_str(), "--cache-dir", "cache", "--format", "json"];
    let good = answer(triage(dir.path(), &args).json());
    let [entry] = <[PathBuf; 1]>::try_from(entries(&dir.path().join("cache"))).unwrap();
    let bytes = std::fs::read(&entry).unwrap();
    let mut changed = Vec::new();
    for at in [0, 9, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        let mut copy = bytes.clone();
        copy[at] ^= 0x41;
        changed.push(copy);
    }
    changed.push(bytes[..bytes.len() / 2].to_vec());
    changed.push(Vec::new());
    changed.push(vec![0xff; 4096]);
    changed.push([bytes.as_slice(), b"more"].concat());
    for (at, copy) in changed.iter().enumerate() {
        std::fs::write(&entry, copy).unwrap();
        let ran = triage(dir.path(), &args);
        assert_eq!(ran.code, 0, "change {at}: {}", ran.stderr);
        let json = ran.json();
        assert_eq!(json["inputs"][0]["from_cache"], false, "change {at} was believed");
        assert!(answer(json) == good, "change {at} changed the answer");
    }
    assert_eq!(
        triage(dir.path(), &args).json()["inputs"][0]["from_cache"],
        true,
        "a good entry took its place"
    );
}

/// A cache that cannot be written is no reason to refuse an answer.
#[test]
fn a_cache_that_cannot_be_written_is_told() {
    let dir = folder();
    let trace = big(dir.path());
    std::fs::write(dir.path().join("cache"), "a file").unwrap();
    let ran = triage(dir.path(), &[&trace, "--cache-dir", "cache", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let json = ran.json();
    assert!(
        json["warnings"].as_array().unwrap().iter().any(|w| w.as_str().unwrap().contains("cache")),
        "{json}"
    );
}

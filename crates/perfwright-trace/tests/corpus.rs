//! The seed corpus of the fuzz targets, and thousands of small changes of it, through the reader, the whole triage and
//! the tables. Seeds are fixed, so a failure is the same everywhere; its message says how to get the input back.

mod common;

use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use common::{catalogs, check_sums};
use perfwright_trace::input::read_text;
use perfwright_trace::names::{Catalog, Symbol};
use perfwright_trace::render::{CUT_OFF, document};
use perfwright_trace::triage::triage_text;
use xtask::tracegen::rng::Rng;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
/// Mutations of the trace corpus. The variable is for long runs by hand.
const ROUNDS: u64 = 2_000;
/// Text that readers and arithmetic may stumble over.
const NASTY: &[&str] = &[
    "-1",
    "0",
    "9223372036854775.807",
    "-9223372036854775.808",
    "9223372036854775807",
    "1e300",
    "NaN",
    "null",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"ph\":\"X\",",
    "\"dur\":-5,",
    "\u{0}",
    "\\ud800",
    "\"cat\":\"kernel\",",
    "execute_context_99999999999999999999(1_1)_generation_1(1)",
    "step[DECODE bs=0 toks=-1]",
    "((((<<<<",
];

fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(CORPUS).join(target);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("corpus").map(|e| e.expect("entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 30, "{} files in {}", paths.len(), folder.display());
    paths.into_iter().map(|p| (p.clone(), std::fs::read(p).expect("file"))).collect()
}

/// Everything that may be asked of a text; the answer's sums must hold whatever the text.
fn all_of(bytes: &[u8]) {
    let read = read_text(bytes);
    let Ok(answer) = triage_text(bytes, catalogs()) else { return };
    assert!(read.is_ok(), "triaged, but not read");
    if answer.stop.is_none() {
        check_sums(&answer, "mutant");
    }
    let _ = document(&answer, Some(CUT_OFF));
    let _ = document(&answer, None);
}

/// A small change of `seed`, or a piece of another file in it.
fn mutate(seed: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(out.len() as u64 + 1) as usize;
        let end = (at + 1 + rng.below(40) as usize).min(out.len());
        match rng.below(8) {
            0 if at < out.len() => out[at] ^= 1 << rng.below(8),
            1 if at < out.len() => out[at] = rng.bits() as u8,
            2 => drop(out.drain(at.min(end)..end)),
            3 => {
                let copy = out[at.min(end)..end].to_vec();
                out.splice(at..at, copy);
            }
            4 => out.truncate(at),
            5 => drop(out.splice(at..at, rng.pick(NASTY).bytes())),
            6 => {
                let from = rng.below(other.len() as u64 + 1) as usize;
                let to = (from + rng.below(400) as usize).min(other.len());
                out.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                // A number becomes a nasty one.
                let digits = |b: &u8| b.is_ascii_digit() || *b == b'.' || *b == b'-';
                let from = out[at..].iter().position(digits).map_or(out.len(), |n| at + n);
                let to = out[from..].iter().position(|b| !digits(b)).map_or(out.len(), |n| from + n);
                out.splice(from..to, rng.pick(NASTY).bytes());
            }
        }
    }
    out
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        // A damaged member gives what it can.
        let _ = flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text);
    }
    if text.is_empty() { bytes.to_vec() } else { text }
}

/// Runs `rounds` mutations; collects the first few inputs that panic.
fn run(target: &str, seeds: &[Vec<u8>], rounds: u64, first: u64, ask: impl Fn(&[u8])) {
    let mut failed = Vec::new();
    for round in first..first + rounds {
        let mut rng = Rng::new(round);
        let seed = &seeds[rng.below(seeds.len() as u64) as usize];
        let other = &seeds[rng.below(seeds.len() as u64) as usize];
        let bytes = mutate(seed, other, &mut rng);
        if catch_unwind(AssertUnwindSafe(|| ask(&bytes))).is_err() {
            let name = std::env::temp_dir().join(format!("perfwright-{target}-{round}"));
            std::fs::write(&name, &bytes).expect("kept");
            failed.push(format!("round {round}: {} bytes kept as {}", bytes.len(), name.display()));
            if failed.len() == 5 {
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// `PERFWRIGHT_MUTATIONS=N` asks for N instead, beginning behind those of the ordinary run.
fn rounds(usual: u64) -> (u64, u64) {
    let asked = std::env::var("PERFWRIGHT_MUTATIONS").ok().and_then(|n| n.parse().ok());
    asked.map_or((usual, 0), |n| (n, usual))
}

#[test]
fn the_trace_corpus_is_read_or_refused() {
    let mut answered = 0;
    for (path, bytes) in files("trace_read") {
        assert!(bytes.len() < 20_000, "{} is too large for a seed", path.display());
        all_of(&bytes);
        answered += usize::from(triage_text(&bytes, catalogs()).is_ok());
    }
    assert!(answered >= 40, "only {answered} seeds hold a trace: mutations of the others find little");
}

#[test]
fn mutated_traces_are_read_or_refused() {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (_, bytes) in files("trace_read") {
        let text = plain(&bytes);
        if text != bytes {
            seeds.push(bytes);
        }
        seeds.push(text);
    }
    let (n, first) = rounds(ROUNDS);
    run("trace_read", &seeds, n, first, all_of);
}

#[test]
fn names_of_the_corpus_and_their_mutations_are_parsed() {
    let catalog = Catalog::builtin().expect("catalogue");
    let ask = |bytes: &[u8]| {
        let name = String::from_utf8_lossy(bytes);
        let symbol = Symbol::parse(&name);
        let _ = catalog.classify(&symbol, Some(&name));
        assert!(symbol.display.len() <= 4096, "{} bytes to show", symbol.display.len());
    };
    let seeds: Vec<Vec<u8>> = files("symbol_parse").into_iter().map(|f| f.1).collect();
    seeds.iter().for_each(|s| ask(s));
    let (n, first) = rounds(ROUNDS);
    run("symbol_parse", &seeds, n, first, ask);
}

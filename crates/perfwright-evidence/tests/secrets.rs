//! A planted secret reaches no byte of a run folder.

use std::fs;
use std::path::Path;

use perfwright_evidence::{Basis, EvidenceMeta, Repo, RepoState, Rule, RunError, RunSpec, RunWriter};
use proptest::prelude::*;
use serde_json::json;

/// In memory where there is such a place: a disk's syncs are not what is tested here.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("tempdir")
}

/// Every byte below `dir`, names included.
fn everything(dir: &Path, out: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("an entry").path();
        out.extend_from_slice(path.as_os_str().as_encoded_bytes());
        out.push(b'\n');
        if path.is_dir() {
            everything(&path, out);
        } else {
            out.extend_from_slice(&fs::read(&path).expect("a file"));
        }
    }
}

fn holds(dir: &Path, secret: &str) -> bool {
    let mut bytes = Vec::new();
    everything(dir, &mut bytes);
    bytes.windows(secret.len()).any(|w| w == secret.as_bytes())
}

/// The ways in which a secret reaches a command.
fn plant(spec: &mut RunSpec, slot: usize, secret: &str) {
    let arg = |spec: &mut RunSpec, args: &[String]| spec.argv.extend_from_slice(args);
    match slot {
        0 => arg(spec, &["--api-key".into(), secret.into()]),
        1 => arg(spec, &[format!("--api-key={secret}")]),
        2 => arg(spec, &[format!("HF_TOKEN={secret}"), "x".into()]),
        3 => arg(spec, &["-H".into(), format!("Authorization: Bearer {secret}")]),
        4 => arg(spec, &["-H".into(), format!("Cookie: session={secret}; theme=dark")]),
        5 => arg(spec, &[format!("https://someone:{secret}@example.invalid/v1")]),
        6 => arg(spec, &["--extra-body".into(), json!({"password": secret}).to_string()]),
        7 => spec.env.push(("OPENAI_API_KEY".into(), secret.into())),
        8 => spec.env.push(("SGLANG_API_KEY".into(), secret.into())),
        9 => spec.env.push(("VLLM_EXTRA".into(), format!("token={secret}"))),
        _ => arg(spec, &["--header".into(), format!("X-Api-Key: {secret}")]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_planted_secret_reaches_no_byte(secret in "[A-Za-z0-9_.+/-]{9,40}", slot in 0_usize..11) {
        // A secret made of the words that the run holds anyway could not be told from them.
        prop_assume!(secret.bytes().any(|b| b.is_ascii_digit()) && secret.bytes().any(|b| b.is_ascii_uppercase()));
        // In a URL a slash ends the authority, so it cannot stand in a password as it is.
        prop_assume!(slot != 5 || !secret.contains('/'));
        let root = scratch();
        let dir = root.path().join("run");
        let mut spec = RunSpec::new("demo", "0.1.0", json!({"server": format!("http://host/{secret}")}));
        spec.argv = vec!["perfwright".into()];
        plant(&mut spec, slot, &secret);
        spec.repos = vec![Repo {
            name: "engine".into(),
            path: format!("/src/{secret}"),
            state: RepoState::Unavailable { reason: format!("no access with {secret}") },
        }];
        let mut run = RunWriter::create(&dir, &spec).expect("created");
        run.event("sent", &json!({"body": [format!("key {secret}")], (secret.clone()): 1})).expect("noted");
        let meta = EvidenceMeta::new("application/json", Basis::Measured).command(&format!("curl -d {secret}"));
        run.add_bytes("a.json", json!({"echo": format!("<{secret}>")}).to_string().as_bytes(), &meta).expect("recorded");
        let source = root.path().join("server.log");
        fs::write(&source, format!("started\nusing {secret}\n")).expect("written");
        run.add_file("logs/server.log", &source, &meta).expect("recorded");
        prop_assert!(run.add_bytes(&format!("{secret}/b.txt"), b"", &meta).is_err(), "a name cannot be replaced");
        let mut binary = vec![0xff, 0xfe];
        binary.extend_from_slice(secret.as_bytes());
        prop_assert!(matches!(run.add_bytes("b.bin", &binary, &meta), Err(RunError::Secret(_))));
        run.finish(&[], Rule::AllPassV1).expect("closed");
        prop_assert!(!holds(&dir, &secret), "slot {slot}");
    }

    #[test]
    fn a_key_by_its_shape_reaches_no_byte(tail in "[A-Za-z0-9]{24,40}", prefix in prop::sample::select(vec!["sk-", "hf_", "ghp_", "nvapi-", "glpat-"])) {
        prop_assume!(tail.bytes().any(|b| b.is_ascii_digit()));
        let secret = format!("{prefix}{tail}");
        let root = scratch();
        let dir = root.path().join("run");
        let mut spec = RunSpec::new("demo", "0.1.0", json!({"note": secret}));
        spec.argv = vec!["perfwright".into(), secret.clone()];
        let mut run = RunWriter::create(&dir, &spec).expect("created");
        let meta = EvidenceMeta::new("text/plain", Basis::Imported);
        run.add_bytes("a.log", format!("line 1\nkey={secret},\"{secret}\"\n").as_bytes(), &meta).expect("recorded");
        run.finish(&[], Rule::AllPassV1).expect("closed");
        prop_assert!(!holds(&dir, &secret));
    }
}

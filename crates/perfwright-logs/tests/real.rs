//! Real logs: every engine recognised, every labelled class as labelled, every refusal explained.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use perfwright_logs::{Catalog, Digest, LogReport, Reader};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

fn bytes(path: &Path) -> Vec<u8> {
    let raw = fs::read(path).expect("a log");
    if path.extension().is_some_and(|e| e == "gz") {
        let mut out = Vec::new();
        flate2::read::MultiGzDecoder::new(&raw[..]).read_to_end(&mut out).expect("gzip");
        return out;
    }
    raw
}

fn report(catalog: &Catalog, bytes: &[u8]) -> LogReport {
    let (mut reader, mut digest) = (Reader::new(catalog), Digest::new());
    reader.feed(bytes, &mut digest);
    reader.finish(&mut digest);
    digest.report(&reader)
}

fn logs(dir: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(format!("{DATA}/{dir}"))
        .expect("the data")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.is_file() && !p.to_string_lossy().ends_with(".json"))
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
#[ignore = "needs ../shared/data"]
fn incident_classes_are_as_labelled() {
    let catalog = Catalog::builtin().expect("the catalogue");
    let labels = fs::read(format!("{DATA}/incident/logs/LABELS.json")).expect("labels");
    let labels: serde_json::Value = serde_json::from_slice(&labels).expect("JSON");
    let mut wrong = Vec::new();
    for entry in labels.as_array().expect("a list") {
        let (file, label) =
            (entry["file"].as_str().expect("a file"), entry["label"].as_str().expect("a label"));
        let report = report(&catalog, &bytes(&Path::new(DATA).join("incident/logs").join(file)));
        if report.incident.class != label {
            wrong.push(format!("{file}: {label}, found {}", report.incident.class));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "needs ../shared/data"]
fn startup_logs_are_recognised_and_refusals_explained() {
    let catalog = Catalog::builtin().expect("the catalogue");
    let expected_failure = |name: &str| {
        [
            ("codellama-codellama-34b", "gpu_in_use"),
            ("google-gemma", "hub_unreachable"),
            ("gemma-4-e4b", "config_rejected"),
            ("tp1pp1dp2", "topology_rejected"),
            ("llama-4-scout", "gpu_in_use"),
            ("phi-2", "config_rejected"),
            ("kimi-dev-72b", "gpu_in_use"),
            ("gpt-oss-20b", "warmup_oom"),
            ("qwen3-14b", "topology_rejected"),
        ]
        .into_iter()
        .rfind(|(part, _)| name.contains(part))
        .map(|(_, class)| class)
    };
    let (mut looking, mut known) = (0, 0);
    let mut wrong = Vec::new();
    for dir in ["model/logs", "model/logs/llmd_vllm_h100"] {
        for path in logs(dir) {
            let name = name(&path);
            let r = report(&catalog, &bytes(&path));
            looking += r.memory_looking;
            known += r.memory_known;
            let engine = if name.contains("sglang") || name.contains("ascend") { "sglang" } else { "vllm" };
            println!(
                "{name}: {:?} {:?} ready {:?} startup {:?} incident {} memory {}/{}",
                r.engine,
                r.version,
                r.ready.as_ref().map(|r| r.first.line),
                r.startup.as_ref().map(|s| &s.class),
                r.incident.class,
                r.memory_known,
                r.memory_looking
            );
            if r.engine.as_deref() != Some(engine) && !name.contains("laguna") {
                wrong.push(format!("{name}: engine {:?}", r.engine));
            }
            if r.engine.is_none() {
                wrong.push(format!("{name}: no engine"));
            }
            if name.contains("FAILED") {
                let class = r.startup.as_ref().map(|s| s.class.as_str());
                if class != expected_failure(&name) {
                    wrong.push(format!("{name}: {class:?}"));
                }
            } else if dir.ends_with("h100") {
                if r.ready.is_none() || r.startup.is_some() || r.incident.class != "healthy" {
                    wrong.push(format!("{name}: ready {:?}, {:?}, {}", r.ready, r.startup, r.incident.class));
                }
                let field = |f: &str| r.statements.iter().any(|s| s.field.name() == f);
                for f in [
                    "attention_backend",
                    "cuda_graph",
                    "quantization",
                    "speculative_algorithm",
                    "tp",
                    "dtype",
                    "kv_dtype",
                ] {
                    if !field(f) {
                        wrong.push(format!("{name}: does not state {f}"));
                    }
                }
            }
        }
    }
    println!("memory-looking lines: {looking}, known: {known}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(known * 10 >= looking * 5, "{known} of {looking} lines about memory are known");
}

//! The path gate end to end: from flags, logs and `/server_info` to a verdict.

use std::collections::BTreeMap;

use perfwright_logs::path::{
    Allowed, Field, PathReport, Side, StopKind, compare, from_argv, from_server_info,
};
use perfwright_logs::{Catalog, Digest, Reader};
use serde_json::json;

const ARGS: &str = "server_args=ServerArgs(model_path='m', tp_size=2, dp_size=1, attention_backend='flashinfer', sampling_backend='flashinfer', quantization=None, disable_cuda_graph=False, speculative_algorithm=None, dtype='auto', kv_cache_dtype='auto')";

fn log(args: &str, after: &str) -> String {
    format!(
        "[2026-11-20 10:00:00] {args}\n\
         [2026-11-20 10:00:09 TP0] Load weight end. elapsed=9.3 s, type=LlamaForCausalLM, quant=None, avail mem=39.1 GB, mem usage=14.2 GB.\n\
         [2026-11-20 10:00:10 TP0] Capture cuda graph begin. This can take up to several minutes. avail mem=15.60 GB\n\
         [2026-11-20 10:00:20] The server is fired up and ready to roll!\n{after}"
    )
}

fn side(name: &str, command: &str, log: &str, info: Option<serde_json::Value>) -> Side {
    let catalog = Catalog::builtin().expect("the catalogue");
    let (mut reader, mut digest) = (Reader::new(&catalog), Digest::new());
    reader.feed(log.as_bytes(), &mut digest);
    reader.finish(&mut digest);
    let report = digest.report(&reader);
    let argv: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let mut statements = from_argv(&catalog, Some("sglang"), &argv);
    statements.extend(report.statements);
    if let Some(info) = info {
        statements.extend(from_server_info(&catalog, &info, "server_info").into_vec());
    }
    Side { name: name.to_owned(), statements: statements.into_vec(), fallbacks: report.fallbacks }
}

fn stops(report: &PathReport) -> Vec<(StopKind, Option<Field>)> {
    report.stops.iter().map(|s| (s.kind, s.field)).collect()
}

const COMMAND: &str = "python -m sglang.launch_server --tp 2 --attention-backend flashinfer";

#[test]
fn healthy_sides_are_proven() {
    let info =
        json!({"model_path": "m", "tp_size": 2, "attention_backend": "flashinfer", "version": "0.5.23"});
    let required =
        BTreeMap::from([(Field::AttentionBackend, "FLASHINFER".to_owned()), (Field::Tp, "2".to_owned())]);
    let sides = vec![
        side("a", COMMAND, &log(ARGS, ""), Some(info.clone())),
        side("b", COMMAND, &log(ARGS, ""), Some(info)),
    ];
    let report = compare(Allowed { required, ..Allowed::default() }, sides);
    assert_eq!(stops(&report), []);
    assert!(report.proven, "{:#?}", report.fields);
}

#[test]
fn a_fallback_after_the_start_stops_and_names_both() {
    let line =
        "[2026-11-20 10:05:00 TP0] FlashInfer attention failed, falling back to triton attention backend\n";
    let report = compare(Allowed::default(), vec![side("a", COMMAND, &log(ARGS, line), None)]);
    assert!(!report.proven);
    let kinds = stops(&report);
    assert!(kinds.contains(&(StopKind::FallbackAfterStart, None)), "{kinds:?}");
    let differs = report.stops.iter().find(|s| s.field == Some(Field::AttentionBackend)).expect("a stop");
    assert!(differs.reason.contains("flashinfer") && differs.reason.contains("triton"), "{}", differs.reason);
    assert!(
        differs.reason.contains("--attention-backend") && differs.reason.contains("line 5"),
        "{}",
        differs.reason
    );
}

#[test]
fn other_flags_another_server_and_an_unproven_flag_stop() {
    let base = || side("a", COMMAND, &log(ARGS, ""), None);
    // Restarted with other flags: the sides differ.
    let other = ARGS.replace("speculative_algorithm=None", "speculative_algorithm='EAGLE'");
    let report = compare(Allowed::default(), vec![base(), side("b", COMMAND, &log(&other, ""), None)]);
    assert_eq!(stops(&report), [(StopKind::Differs, Some(Field::SpeculativeAlgorithm))]);
    // The server answers otherwise than its log.
    let info = json!({"model_path": "m", "tp_size": 4});
    let report = compare(Allowed::default(), vec![side("a", COMMAND, &log(ARGS, ""), Some(info))]);
    assert!(stops(&report).contains(&(StopKind::Differs, Some(Field::Tp))));
    // Asked for, and nothing proves it.
    let report = compare(Allowed::default(), vec![side("a", "server --quantization fp8", "", None)]);
    assert_eq!(stops(&report), [(StopKind::Unproven, Some(Field::Quantization))]);
    // Graphs were captured and no decode step runs one.
    let steps = "[2026-11-20 10:00:21 TP0] Decode batch, #running-req: 4, #token: 9, token usage: 0.01, cuda graph: False, gen throughput (token/s): 5.1, #queue-req: 0,\n".repeat(4);
    let report = compare(Allowed::default(), vec![side("a", COMMAND, &log(ARGS, &steps), None)]);
    assert_eq!(stops(&report), [(StopKind::Differs, Some(Field::CudaGraph))]);
    // What is compared may differ.
    let triton = ARGS.replace("attention_backend='flashinfer'", "attention_backend='triton'");
    let command = COMMAND.replace("flashinfer", "triton");
    let varies = [Field::AttentionBackend].into();
    let report = compare(
        Allowed { varies, ..Allowed::default() },
        vec![base(), side("b", &command, &log(&triton, ""), None)],
    );
    assert_eq!(stops(&report), []);
}

#[test]
fn a_server_that_states_nothing_is_not_proven_and_does_not_stop() {
    let report = compare(Allowed::default(), vec![side("a", "curl", "", None)]);
    assert_eq!((stops(&report), report.proven), (vec![], false));
    // Beside one that does state its path it stops.
    let report = compare(
        Allowed::default(),
        vec![side("a", COMMAND, &log(ARGS, ""), None), side("b", "curl", "", None)],
    );
    assert!(stops(&report).contains(&(StopKind::Unproven, Some(Field::AttentionBackend))));
}

#[test]
fn the_report_survives_json() {
    let report = compare(Allowed::default(), vec![side("a", COMMAND, &log(ARGS, ""), None)]);
    let text = serde_json::to_string(&report).expect("JSON");
    let back: PathReport = serde_json::from_str(&text).expect("the report");
    assert_eq!(compare(back.allowed.clone(), back.sides.clone()), report);
}

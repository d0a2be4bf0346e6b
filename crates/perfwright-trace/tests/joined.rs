//! Traces that were joined, cut or written by strange hands: the answer must stay true.

mod common;

use common::{ask, ask_text};
use perfwright_trace::error::TraceError;
use perfwright_trace::steps::Class;
use perfwright_trace::triage::{TriageOptions, triage};
use xtask::scratch::Scratch;

fn event(cat: &str, name: &str, at: (&str, i64), time: (i64, i64), args: &str) -> String {
    let (pid, tid) = at;
    let (ts, dur) = time;
    format!(
        r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":{pid},"tid":{tid},"ts":{ts},"dur":{dur},"args":{{{args}}}}}"#
    )
}

fn trace(events: &[String]) -> String {
    format!("{{\"traceEvents\":[{}]}}", events.join(",\n"))
}

const DECODE: &str = "execute_context_0(0)_generation_8(8)";
const PREFILL: &str = "execute_context_1(64)_generation_0(0)";

#[test]
fn two_ranks_in_one_file_keep_class_and_source() {
    let mut events = Vec::new();
    for (rank, label) in [DECODE, PREFILL].into_iter().enumerate() {
        let (host, device) = (format!("\"[TP0{rank}] 77\""), format!("\"[TP0{rank}] 0\""));
        let off = rank as i64 * 3;
        events.push(event("user_annotation", label, (&host, 1), (off, 900), "\"External id\":1"));
        events.push(event("gpu_user_annotation", label, (&device, 7), (off + 20, 220), "\"External id\":1"));
        let frame = format!("vllm/rank{rank}.py(1): forward");
        events.push(event("python_function", &frame, (&host, 1), (off + 1, 800), ""));
        for i in 0..20 {
            let ids = format!("\"correlation\":{}", i + 1);
            let (call, work) = ((off + 10 + i * 10, 2), (off + 20 + i * 10, 8));
            events.push(event("cuda_runtime", "cudaLaunchKernel", (&host, 1), call, &ids));
            events.push(event("kernel", &format!("k_rank{rank}"), (&device, 7), work, &ids));
        }
    }
    let t = ask_text(&trace(&events));
    assert_eq!(t.steps.iter().map(|s| s.class).collect::<Vec<_>>(), [Class::Decode, Class::Prefill]);
    for row in &t.tables.kernels {
        let rank = row.kernel.trim_start_matches("k_rank");
        assert_eq!(row.source.as_deref(), Some(format!("vllm/rank{rank}.py:1 forward").as_str()));
        assert_eq!(row.class, if rank == "0" { Class::Decode } else { Class::Prefill });
    }
}

#[test]
fn device_ranges_without_an_id_are_no_second_pass() {
    let mut events = Vec::new();
    for step in 0..4 {
        let t = step * 1000;
        let label = if step % 2 == 0 { DECODE } else { PREFILL };
        events.push(event("user_annotation", label, ("100", 1), (t, 500), ""));
        events.push(event("gpu_user_annotation", label, ("0", 7), (t + 100, 800), ""));
        for i in 0..5 {
            let ids = format!("\"correlation\":{}", step * 10 + i + 1);
            events.push(event("cuda_runtime", "cudaLaunchKernel", ("100", 1), (t + 10 + i * 20, 2), &ids));
            events.push(event("kernel", "gemm_k", ("0", 7), (t + 110 + i * 150, 100), &ids));
        }
    }
    let t = ask_text(&trace(&events));
    let steps: Vec<_> = t.steps.iter().map(|s| (s.class, s.start_ns, s.duration_ns, s.device_ns)).collect();
    let want: Vec<_> = (0..4)
        .map(|i| {
            let class = if i % 2 == 0 { Class::Decode } else { Class::Prefill };
            (class, i * 1_000_000 + 100_000, 800_000, 500_000)
        })
        .collect();
    assert_eq!(steps, want);
}

#[test]
fn times_no_clock_shows_are_set_aside_and_sums_do_not_wrap() {
    let k = |name: &str, ts: i64, dur: i64| event("kernel", name, ("0", 7), (ts, dur), "");
    let t = ask_text(&trace(&[
        k("a", -9_200_000_000_000_000, 1),
        k("b", 0, 5),
        k("c", 9_200_000_000_000_000, 1),
    ]));
    assert_eq!((t.totals.kernel.count, t.inputs[0].set_aside.bad_time), (1, 2));
    assert!(t.budget.iter().all(|b| b.wall_ns == 5_000), "{:?}", t.budget);
    let dir = Scratch::new("sums");
    let century = 3_000_000_000_000_000;
    dir.write("trace.json", &trace(&[k("a", 0, century), k("b", 0, century), k("c", 0, century)]));
    let refused = triage(&dir.path().join("trace.json"), common::catalogs(), &TriageOptions::default());
    assert!(matches!(refused, Err(TraceError::NotTrace { .. })), "{refused:?}");
}

#[test]
fn work_outside_of_steps_may_hide_behind_what_is_there() {
    let k = |name: &str, ts: i64, dur: i64| event("kernel", name, ("0", 7), (ts, dur), "");
    // Ten times gemm, all-reduce: each gemm is next to two all-reduces, and counts once.
    let nccl = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)";
    let mut events: Vec<_> =
        (0..10).flat_map(|i| [k("ampere_sgemm_a", i * 100, 40), k(nccl, i * 100 + 50, 30)]).collect();
    events.push(k("ampere_sgemm_b", 5_000, 700));
    events.push(k("ampere_sgemm_b", 6_000, 100));
    let t = ask_text(&trace(&events));
    let row = t.tables.overlap.iter().find(|r| r.category == "communication").expect("a row");
    assert_eq!(row.exposed_ns, 300_000);
    assert_eq!(row.independent_per_step_ns, 100_000, "all compute but the ten neighbours and the one after");
    assert_eq!(row.bound_per_step_ns, 100_000);
}

#[test]
fn links_to_traces_count_once_and_what_cannot_be_read_is_named() {
    let text = trace(&[event("kernel", "k", ("0", 7), (0, 5), "")]);
    let dir = Scratch::new("links");
    let outside = Scratch::new("links-outside");
    dir.write("a.json", &text);
    outside.write("far.json", &text);
    let link = |from: &std::path::Path, to: &str| {
        std::os::unix::fs::symlink(from, dir.path().join(to)).expect("linked");
    };
    link(&dir.path().join("a.json"), "latest.json");
    link(&outside.path().join("far.json"), "rank3.json");
    link(dir.path(), "circle");
    let t = ask(dir.path());
    assert_eq!((t.inputs.len(), t.totals.kernel.count), (2, 2));
    link(&outside.path().join("gone.json"), "rank4.json");
    assert_eq!(ask(dir.path()).inputs.len(), 2, "a link that leads nowhere is no trace");
}

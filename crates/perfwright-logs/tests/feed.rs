//! Whatever comes, and in whatever pieces.

use std::fmt::Write as _;

use perfwright_logs::{Catalog, Digest, Event, Hit, LogReport, Reader, StackKind};
use proptest::prelude::*;

fn report(catalog: &Catalog, pieces: &[&[u8]]) -> LogReport {
    let (mut reader, mut digest) = (Reader::new(catalog), Digest::new());
    for piece in pieces {
        reader.feed(piece, &mut digest);
    }
    reader.finish(&mut digest);
    digest.report(&reader)
}

fn class(log: &str) -> String {
    let catalog = Catalog::builtin().expect("the catalogue");
    report(&catalog, &[log.as_bytes()]).incident.class
}

#[test]
fn a_deeper_cause_wins_and_symptoms_are_listed() {
    let log = "\
k-1  | [rank1]:[E1120 10:00:09.1 ProcessGroupNCCL.cpp:1664] [PG 1 Rank 1] Process group watchdog thread terminated with exception: CUDA error: an illegal memory access was encountered
2026-11-20T10:10:04.5Z stdout F [rank2]:[E1120 10:10:04.5 ProcessGroupNCCL.cpp:607] [Rank 2] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, NumelIn=4096, NumelOut=4096, Timeout(ms)=600000) ran for 600060 milliseconds before timing out.
[2026-11-20 10:10:09] Subprocess scheduler_1 (pid=4243) crashed with exit code -6. Triggering SIGQUIT for cleanup...
";
    let catalog = Catalog::builtin().expect("the catalogue");
    let report = report(&catalog, &[log.as_bytes()]);
    assert_eq!(
        (report.incident.class.as_str(), report.incident.line),
        ("crash.cuda_illegal_memory_access", Some(1))
    );
    let rest: Vec<&str> = report.incident.secondary.iter().map(|(c, _)| c.as_str()).collect();
    assert_eq!(rest, ["hang.collective_timeout", "crash.child_process"]);
    assert_eq!(report.incident.evidence.expect("evidence").ranks.global, Some(1));
}

#[test]
fn among_equals_the_earliest_time_wins_over_the_earlier_line() {
    let log = "\
[2026-11-20 10:00:05 TP1] torch.AcceleratorError: CUDA error: device-side assert triggered
[2026-11-20 10:00:02 TP0] torch.AcceleratorError: CUDA error: an illegal memory access was encountered
";
    assert_eq!(class(log), "crash.cuda_illegal_memory_access");
}

#[test]
fn ranks_that_disagree_are_a_mismatch() {
    let line = |rank: u32, enqueued: u32| {
        format!(
            "[rank{rank}]:[E1120 10:10:04.5 ProcessGroupNCCL.cpp:1664] [PG 1 Rank {rank}] Exception (either an error or timeout) detected by watchdog at work: 1580, last enqueued NCCL work: {enqueued}, last completed NCCL work: 1579.\n"
        )
    };
    assert_eq!(class(&format!("{}{}", line(0, 1582), line(1, 1582))), "hang.collective_timeout");
    assert_eq!(
        class(&format!("{}{}{}", line(0, 1582), line(1, 1582), line(2, 1580))),
        "hang.collective_mismatch"
    );
}

#[test]
fn a_stack_tells_a_python_loop_from_a_wait() {
    let dump = |state: &str, frame: &str| {
        format!(
            "[2026-11-20 10:05:00 TP0] Pyspy dump for PID 310 (py-spy dump --native --pid 310):\nThread 310 ({state}): \"MainThread\"\n    {frame}\n    event_loop_overlap (scheduler.py:1200)\n[2026-11-20 10:05:00 TP0] Scheduler watchdog timeout (self.watchdog_timeout=300, self.soft=False)\n"
        )
    };
    assert_eq!(class(&dump("active+gil", "match_prefix (radix_cache.py:20)")), "hang.cpu_python_loop");
    let catalog = Catalog::builtin().expect("the catalogue");
    let log = dump("active", "cudaEventSynchronize (libcudart.so.12)");
    let report = report(&catalog, &[log.as_bytes()]);
    assert_eq!(
        (report.incident.class.as_str(), report.stack),
        ("hang.scheduler_watchdog", Some(StackKind::CudaSync))
    );
}

#[test]
fn a_queue_that_grows_is_queueing_and_one_that_drains_is_not() {
    let log = |queue: &[u32]| {
        let mut text = String::new();
        for (i, n) in queue.iter().enumerate() {
            let _ = writeln!(
                text,
                "[2026-11-20 10:00:{i:02} TP0] Decode batch, #running-req: 40, #token: 1160, token usage: 0.51, cuda graph: True, gen throughput (token/s): 512.31, #queue-req: {n},"
            );
        }
        text
    };
    assert_eq!(class(&log(&[0, 12, 40, 90, 160, 300])), "slow.queueing");
    assert_eq!(class(&log(&[500, 500, 500, 500])), "slow.queueing");
    assert_eq!(class(&log(&[0, 3, 9, 4, 1, 0])), "healthy");
    assert_eq!(class(&log(&[0, 0, 0, 0, 1, 1])), "healthy");
    let retract = "[2026-11-20 10:00:00 TP0] KV cache pool is full. Retract requests. #retracted_reqs: 4\n";
    assert_eq!(class(&(log(&[0, 12, 40, 90]) + retract)), "slow.kv_pressure");
}

#[test]
fn an_ordered_stop_is_no_crash() {
    let ready = "INFO:     Application startup complete.\n";
    let dead = "ERROR 08-21 10:24:34 [async_llm.py:704] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n";
    let stop = "(EngineCore pid=5) INFO 08-21 10:24:34 [core.py:1214] [shutdown] EngineCore: trigger received signal=SIGTERM\n";
    assert_eq!(class(&format!("{ready}{stop}{dead}")), "healthy");
    assert_eq!(class(&format!("{ready}{dead}{stop}")), "crash.engine_dead");
    assert_eq!(class("hello\n"), "unknown");
}

#[test]
fn memory_figures_of_an_oom_are_read() {
    let log = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 80.04 GiB. GPU 3 has a total capacity of 79.10 GiB of which 20.08 GiB is free. Process 806478 has 59.01 GiB memory in use. Of the allocated memory 56.90 GiB is allocated by PyTorch, and 125.19 MiB is reserved by PyTorch but unallocated.";
    let catalog = Catalog::builtin().expect("the catalogue");
    let ooms = report(&catalog, &[log.as_bytes()]).ooms;
    let gib = |v: f64| Some((v * 1073741824.0).round() as i64);
    assert_eq!(ooms.len(), 1);
    let o = &ooms[0];
    assert_eq!((o.device, o.tried, o.total, o.free), (Some(3), gib(80.04), gib(79.10), gib(20.08)));
    assert_eq!((o.process, o.allocated, o.reserved), (gib(59.01), gib(56.90), gib(125.19 / 1024.0)));
}

/// Lines of every kind, coloured, glued and torn.
fn corpus(catalog: &Catalog) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> =
        catalog.signatures().iter().flat_map(|s| &s.yes).map(|l| l.clone().into_bytes()).collect();
    for extra in [
        &b"\x1b[0;36m(EngineCore_DP0 pid=1)\x1b[0;0m INFO 01-20 18:50:18 [x.py:1] GPU KV cache size: 1,044 tokens"[..],
        b"Capturing: 10%|\xe2\x96\x88| 1/2 [00:00<?](EngineCore pid=245) DEBUG 04-22 01:36:59 [a.py:1] Graph capturing finished in 4 secs, took 0.67 GiB",
        b"\r 10%\r 20%\r\n\r",
        b"\xff\xfe an illegal memory access was encountered \xf0\x9f",
        b"    cuEventSynchronize (libcuda.so.1)",
    ] {
        lines.push(extra.to_vec());
    }
    lines
}

fn events(catalog: &Catalog, pieces: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    let mut sink = |e: &Event<'_>| match e {
        Event::Hit(Hit { signature, line, offset, prefix, text, values }) => {
            found.push(format!("{} {line} {offset} {prefix:?} {text} {values:?}", signature.id));
        }
        Event::Follow { line, text } => found.push(format!("follow {line} {text}")),
    };
    let mut reader = Reader::new(catalog);
    for piece in pieces {
        reader.feed(piece, &mut sink);
    }
    reader.finish(&mut sink);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cutting_the_input_anywhere_changes_nothing(
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..30),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let catalog = Catalog::builtin().expect("the catalogue");
        let lines = corpus(&catalog);
        let mut log = Vec::new();
        for pick in picks {
            log.extend_from_slice(&lines[pick.index(lines.len())]);
            log.push(b'\n');
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(log.len())).collect();
        cuts.sort_unstable();
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&log[from..cut]);
            from = cut;
        }
        pieces.push(&log[from..]);
        prop_assert_eq!(events(&catalog, &pieces), events(&catalog, &[&log]));
        prop_assert_eq!(report(&catalog, &pieces), report(&catalog, &[&log]));
    }

    #[test]
    fn damaged_lines_never_panic(
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..12),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..60),
    ) {
        let catalog = Catalog::builtin().expect("the catalogue");
        let lines = corpus(&catalog);
        let mut log = Vec::new();
        for pick in picks {
            log.extend_from_slice(&lines[pick.index(lines.len())]);
            log.push(b'\n');
        }
        for (at, byte) in damage {
            let at = at.index(log.len());
            log[at] = byte;
        }
        let _ = report(&catalog, &[&log]);
    }
}

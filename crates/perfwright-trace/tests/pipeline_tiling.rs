//! Whatever the kernels of a trace are, each is in exactly one part of one pass, or outside.

mod common;

use std::fmt::Write as _;

use common::catalogs;
use perfwright_trace::input::read_text;
use perfwright_trace::pipeline::config::ModelLayers;
use perfwright_trace::pipeline::{PipelineOptions, pipeline_store};
use proptest::prelude::*;

const NAMES: [&str; 14] = [
    "vllm::rms_norm_kernel",
    "nvjet_tst_64x64_64x16_2x1_v_bz_TNT",
    "flash_fwd_kernel",
    "flash_fwd_splitkv_combine_kernel",
    "fused_recurrent_gated_delta_rule_fwd_kernel",
    "fused_moe_kernel",
    "vllm::act_and_mul_kernel",
    "softmax_warp_forward",
    "argmax_kernel",
    "vocab_parallel_embedding_kernel",
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL",
    "flash_bwd_kernel",
    "Memcpy HtoD (Host -> Device)",
    "a_kernel_nobody_knows",
];
const LABELS: [&str; 3] = [
    "execute_32_context_0(sq0sk0sqsq0sqsk0)_generation_32(sq32sk32785sqsq32sqsk32785)",
    "execute_512_context_1(sq512sk512sqsq262144sqsk262144)_generation_0(sq0sk0sqsq0sqsk0)",
    "ProfilerStep#3",
];

/// Kernels as (name, duration, gap before, stream, device), with labels after some.
fn text(kernels: &[(usize, i64, i64, i64, i64)], labels: &[(usize, usize)]) -> String {
    let mut out =
        String::from(r#"[{"ph":"X","cat":"cpu_op","name":"aten::empty","pid":9,"tid":9,"ts":1,"dur":1}"#);
    let mut at = 10;
    let mut starts = Vec::new();
    for &(name, dur, gap, stream, device) in kernels {
        at += gap; // less than the work before lasts: streams overlap
        let name = NAMES[name % NAMES.len()];
        let category = if name.starts_with("Memcpy") { "gpu_memcpy" } else { "kernel" };
        let _ = write!(
            out,
            r#",{{"ph":"X","cat":"{category}","name":"{name}","pid":{device},"tid":{stream},"ts":{at},"dur":{dur},"args":{{"stream":{stream}}}}}"#
        );
        starts.push(at);
    }
    for &(label, from) in labels {
        if starts.is_empty() {
            continue;
        }
        let from = from % starts.len();
        let dur = starts[(from + 20).min(starts.len() - 1)] - starts[from] + 1;
        let _ = write!(
            out,
            r#",{{"ph":"X","cat":"gpu_user_annotation","name":"{}","pid":0,"tid":7,"ts":{},"dur":{dur}}}"#,
            LABELS[label % LABELS.len()],
            starts[from]
        );
    }
    out.push(']');
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_kernel_is_in_one_part(
        kernels in prop::collection::vec((0usize..14, 1i64..60, 0i64..40, 7i64..10, 0i64..2), 1..160),
        labels in prop::collection::vec((0usize..3, 0usize..160), 0..4),
        config in prop::option::of(1u32..6),
        anchor in prop::option::of(prop::sample::select(&["rms_norm", "nvjet", "nothing"][..])),
    ) {
        let store = read_text(text(&kernels, &labels).as_bytes()).expect("a trace");
        let total: i64 = store.devices.dur.iter().sum();
        let count = store.devices.len() as u64;
        let plain = config.map(ModelLayers::plain);
        let options = PipelineOptions { config: plain.as_ref(), anchor, ..PipelineOptions::default() };
        let p = pipeline_store(store, catalogs(), &options).expect("an answer");
        let (mut ns, mut n) = (p.outside.total_ns, p.outside.count);
        for pass in &p.passes {
            let of = p.layers.iter().filter(|l| l.pass == pass.index);
            let (mut sum, mut kernels) = (pass.prologue.sum_ns + pass.epilogue.sum_ns, pass.prologue.kernels + pass.epilogue.kernels);
            let mut last = i64::MIN;
            for l in of {
                sum += l.sum_ns;
                kernels += l.kernels;
                prop_assert!(l.kernels > 0 && l.end_ns > l.start_ns);
                prop_assert!(l.start_ns >= last, "layers are in order");
                last = l.start_ns;
            }
            prop_assert_eq!(sum, pass.device_ns);
            prop_assert_eq!(kernels, pass.kernels);
            ns += sum;
            n += kernels;
        }
        prop_assert_eq!((ns, n), (total, count));
        for c in &p.clusters {
            prop_assert!(!c.representative.kernels.is_empty());
        }
    }
}

//! What adjacency means, what is never evidence, and what the search costs.

#![allow(clippy::print_stdout, reason = "figures for the report, shown with --nocapture")]

use std::time::{Duration, Instant};

use perfwright_trace::fusion::{
    FusionCatalog, FusionContext, FusionRow, KernelInfo, LaunchView, State, Vendor, find,
};
use perfwright_trace::names::{Catalog, Symbol};

const NORM: &str = "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(int)";
const QUANT: &str = "void vllm::scaled_fp8_quant_kernel_strided<c10::BFloat16, c10::Float8_e4m3fn>(int)";
const GEMM: &str = "nvjet_tst_128x64_64x8_2x1_v_bz_TNT";
const ALL_REDUCE: &str = "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>(int)";
const ADD_NORM: &str = "void vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(int)";

fn kernels(names: &[&str]) -> Vec<KernelInfo> {
    let catalog = Catalog::builtin().expect("catalogue");
    names
        .iter()
        .map(|name| {
            let symbol = Symbol::parse(name);
            let class = catalog.classify(&symbol, None);
            KernelInfo { symbol, class }
        })
        .collect()
}

fn launch(kernel: u32, at: i64) -> LaunchView {
    LaunchView {
        kernel,
        start_ns: at,
        dur_ns: 1_000,
        stream: 0,
        class: 0,
        step: 0,
        layer: None,
        cpu_op: None,
    }
}

fn search(names: &[&str], launches: &[LaunchView], ctx: &FusionContext) -> Vec<FusionRow> {
    find(&FusionCatalog::builtin().expect("fusions"), &kernels(names), launches, ctx)
}

fn has(rows: &[FusionRow], pattern: &str) -> bool {
    rows.iter().any(|r| r.pattern == pattern)
}

#[test]
fn neighbours_must_share_stream_step_and_layer_with_nothing_between() {
    let names = [NORM, QUANT, GEMM];
    let base = [launch(0, 0), launch(1, 2_000)];
    let unknown = FusionContext::default();
    assert!(has(&search(&names, &base, &unknown), "rmsnorm-quant"));
    let between = [launch(0, 0), launch(2, 2_000), launch(1, 4_000)];
    assert!(!has(&search(&names, &between, &unknown), "rmsnorm-quant"), "a kernel between");
    let mut changed = base;
    changed[1].stream = 1;
    assert!(!has(&search(&names, &changed, &unknown), "rmsnorm-quant"), "another stream");
    let mut changed = base;
    changed[1].step = 1;
    assert!(!has(&search(&names, &changed, &unknown), "rmsnorm-quant"), "another step");
    let mut changed = base;
    (changed[0].layer, changed[1].layer) = (Some(0), Some(1));
    assert!(!has(&search(&names, &changed, &unknown), "rmsnorm-quant"), "another layer");
    changed[1].layer = None;
    assert!(has(&search(&names, &changed, &unknown), "rmsnorm-quant"), "layer unknown on one side");
}

#[test]
fn known_facts_rule_patterns_out_and_unknown_ones_are_stated() {
    let names = [ALL_REDUCE, ADD_NORM];
    let launches = [launch(0, 0), launch(1, 2_000)];
    let rows = search(&names, &launches, &FusionContext::default());
    let row = rows.iter().find(|r| r.pattern == "allreduce-residual-rmsnorm").expect("row");
    assert_eq!(row.state, State::Missing);
    assert!(row.rationale.contains("TP of at least 2"), "{}", row.rationale);
    let single = FusionContext { tp: Some(1), ..FusionContext::default() };
    assert!(!has(&search(&names, &launches, &single), "allreduce-residual-rmsnorm"));
    let amd = FusionContext { tp: Some(8), vendor: Some(Vendor::Amd), framework: None };
    let with_quant = [launch(0, 0), launch(1, 2_000), launch(2, 4_000)];
    assert!(!has(&search(&[ALL_REDUCE, ADD_NORM, QUANT], &with_quant, &amd), "allreduce-norm-quant"));
}

#[test]
fn fused_and_unfused_in_one_class_are_partial() {
    let names =
        [NORM, QUANT, "void vllm::rms_norm_static_fp8_quant_kernel<c10::BFloat16, c10::Float8_e4m3fn>(int)"];
    let mut launches = [launch(0, 0), launch(1, 2_000), launch(2, 4_000)];
    let row = |launches: &[LaunchView]| {
        search(&names, launches, &FusionContext::default())
            .into_iter()
            .filter(|r| r.pattern == "rmsnorm-quant")
            .collect::<Vec<_>>()
    };
    let rows = row(&launches);
    assert_eq!(
        (rows.len(), rows[0].state, rows[0].launches, rows[0].related_ns),
        (1, State::Partial, 3, 3_000)
    );
    // Each class of steps has its own answer.
    launches[2].class = 1;
    launches[2].step = 1;
    let states: Vec<State> = row(&launches).iter().map(|r| r.state).collect();
    assert_eq!(states, [State::Missing, State::Active]);
}

/// The known tool: 72.6 % "RMSNorm + quantisation" because `mxfp4` holds "fp4".
#[test]
fn mxfp4_products_are_no_quantisation() {
    let names = [
        "_matmul_ogs_NNT_bf16xbf16xmxfp4_16x128x256x1_swiglu",
        "_matmul_ogs_NNT_bf16xbf16xmxfp4_16x128x256x1",
        "_ZN7ck_tile6kentryILi1ENS_12Rmsnorm2dFwdINS_27Rmsnorm2dFwdPipelineOnePassIiEEEEEEvT0_",
        "kernel_unified_attention_3d",
        "_topk_forward",
    ];
    let launches: Vec<LaunchView> =
        [2, 3, 2, 4, 0, 1].iter().zip(0..).map(|(k, i)| launch(*k, i * 2_000)).collect();
    let rows = search(&names, &launches, &FusionContext::default());
    assert!(!rows.iter().any(|r| r.pattern.contains("quant")), "{rows:?}");
    let epilogue = rows.iter().find(|r| r.pattern == "gemm-activation-epilogue").expect("row");
    assert_eq!((epilogue.state, epilogue.evidence.as_slice()), (State::Active, &[0][..]));
}

/// The known tool: 60.3 % "fused MoE activation + quant" on a dense bf16 model, from a file path.
#[test]
fn a_dense_bf16_layer_has_no_expert_or_quantisation_rows() {
    let names = [
        "void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(int)",
        GEMM,
        "void rotary_embedding_kernel<c10::BFloat16, true>(int)",
        "void cutlass::device_kernel<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, int> > >(int)",
        "void flashinfer::activation::act_and_mul_kernel<__nv_bfloat16, &(silu(float const&))>(int)",
    ];
    let order = [0, 1, 2, 3, 1, 0, 1, 4, 1];
    let launches: Vec<LaunchView> =
        (0..36).flat_map(|_| order).zip(0..).map(|(k, i)| launch(k, i * 2_000)).collect();
    let rows = search(&names, &launches, &FusionContext::default());
    assert!(!rows.iter().any(|r| r.pattern.contains("moe") || r.pattern.contains("quant")), "{rows:?}");
    // The paged-attention or attention kernel is no evidence for a cache write.
    assert!(!has(&rows, "rope-kv-write"));
}

/// The known tool counts the paged-attention kernel (23.7 %) as part of "QK RoPE + KV write".
#[test]
fn a_cache_write_row_holds_only_the_rope_and_the_write() {
    let names = [
        "void rotary_embedding_kernel<c10::BFloat16, true>(int)",
        "void (anonymous namespace)::store_kvcache<2048l, 4, false, long>(int)",
        "void paged_attention_ll4mi_QKV_mfma16_kernel<0, __hip_bfloat16, __hip_bfloat16, (vllm::Fp8KVCacheDataType)0>(int)",
    ];
    let launches: Vec<LaunchView> = [0, 1, 2].iter().zip(0..).map(|(k, i)| launch(*k, i * 2_000)).collect();
    let rows = search(&names, &launches, &FusionContext::default());
    let row = rows.iter().find(|r| r.pattern == "rope-kv-write").expect("row");
    assert_eq!((row.state, row.related_ns), (State::Missing, 2_000));
    let mut evidence = row.evidence.clone();
    evidence.sort_unstable();
    assert_eq!(evidence, [0, 1]);
    insta::assert_snapshot!(row.rationale, @"1 places where the unfused kernels follow directly on one stream; the cache-write kernel goes");
}

/// An NSA pattern must not match a recommender's embedding training.
#[test]
fn embedding_training_has_no_attention_fusions() {
    let names = [
        "void split_embedding_codegen_forward_unweighted_kernel<float, float, float, long, 2ul>(int)",
        "void fbgemm_gpu::(anonymous namespace)::_compute_FP8_quantize_cuda_kernel<float>(float const*)",
        "void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel<at::native::index_put_kernel_impl<at::native::OpaqueType<4> >(int)>(int)>(int)",
        "ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclWorkElem)",
    ];
    let launches: Vec<LaunchView> = (0..4).map(|i| launch(i, i64::from(i) * 2_000)).collect();
    assert_eq!(search(&names, &launches, &FusionContext::default()), []);
}

#[test]
fn odd_launches_are_passed_over() {
    let mut bad = [launch(0, 0), launch(99, 1), launch(1, i64::MAX - 1)];
    bad[0].dur_ns = i64::MIN;
    bad[2].dur_ns = i64::MAX;
    assert!(search(&[NORM, QUANT], &bad, &FusionContext::default()).len() <= 2);
    assert_eq!(search(&[], &[], &FusionContext::default()), []);
}

/// Release budget for a million launches: 0.1 s. The bound here leaves room for an unoptimised build.
#[test]
fn a_million_launches_are_cheap() {
    let names = [
        ADD_NORM,
        GEMM,
        NORM,
        NORM,
        "void rotary_embedding_kernel<c10::BFloat16, true>(int)",
        QUANT,
        ALL_REDUCE,
    ];
    let infos = kernels(&names);
    let launches: Vec<LaunchView> = (0..1_000_000_u32)
        .map(|i| LaunchView { step: i / 500, ..launch(i % 7, i64::from(i) * 2_000) })
        .collect();
    let fusions = FusionCatalog::builtin().expect("fusions");
    let load = Instant::now();
    drop(FusionCatalog::builtin().expect("fusions"));
    let load = load.elapsed();
    let mut took = Duration::MAX;
    let mut rows = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        rows = find(&fusions, &infos, &launches, &FusionContext::default());
        took = took.min(start.elapsed());
    }
    println!(
        "{} rows over a million launches in {took:?}; {} patterns loaded in {load:?}",
        rows.len(),
        fusions.patterns().len()
    );
    assert!(has(&rows, "qk-norm"));
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// Long runs that every launch could begin anew: memsets, elementwise chains, chains cut at their end.
#[test]
fn runs_of_one_kernel_cost_linear_time() {
    let add = "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, std::array<char*, 3ul> >(int)";
    let infos = kernels(&[
        "Memset (Device)",
        add,
        NORM,
        "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, unsigned int, 2, 128, 1>(int)",
    ]);
    let fusions = FusionCatalog::builtin().expect("fusions");
    for run in [0, 1, 3] {
        let time = |n: i64| {
            let mut launches: Vec<LaunchView> = (0..n).map(|i| launch(run, i * 2_000)).collect();
            launches.push(launch(2, n * 2_000));
            (0..3)
                .map(|_| {
                    let start = Instant::now();
                    let rows = find(&fusions, &infos, &launches, &FusionContext::default());
                    assert!(rows.len() < 9);
                    start.elapsed()
                })
                .min()
                .unwrap_or_default()
        };
        let (short, long) = (time(5_000), time(80_000));
        assert!(long < 64 * short.max(Duration::from_micros(200)), "kernel {run}: {short:?} then {long:?}");
    }
}

//! Where in the engine's Python a kernel is launched, and which frames lead there.

use super::kernels::Role;
use super::options::{Class, Engine, Options};

/// Prefix of SGLang's files as its container shows them.
const SRT: &str = "/sgl-workspace/sglang/python/sglang/srt/";

/// The launching frame of a role (without the engine's prefix) and its `nn.Module` class, empty for none.
struct Site(Role, [&'static str; 3], [&'static str; 3]);

const NONE: [&str; 3] = ["", "", ""];
const LINEAR: [&str; 3] = [
    "layers/quantization/unquant.py(136): apply",
    "model_executor/layers/utils.py(105): default_unquantized_gemm",
    "torch/nn/modules/linear.py(125): forward",
];
const NORM: [&str; 3] = [
    "layers/layernorm.py(142): forward_cuda",
    "model_executor/layers/layernorm.py(171): forward_cuda",
    "models/qwen2/modeling_qwen2.py(218): forward",
];
const RMS: [&str; 3] = ["RMSNorm", "RMSNorm", "Qwen2RMSNorm"];
const ATTENTION: [&str; 3] = [
    "layers/attention/flashattention_backend.py(640): forward_extend",
    "v1/attention/backends/flash_attn.py(581): forward",
    "integrations/sdpa_attention.py(91): sdpa_attention_forward",
];
const ATTENTION_DECODE: [&str; 3] = [
    "layers/attention/flashattention_backend.py(912): forward_decode",
    "v1/attention/backends/flash_attn.py(618): forward",
    "integrations/sdpa_attention.py(91): sdpa_attention_forward",
];
const RADIX: [&str; 3] = ["RadixAttention", "Attention", ""];
const EXPERTS: [&str; 3] = [
    "layers/moe/fused_moe_triton/fused_moe.py(412): fused_experts_impl",
    "model_executor/layers/fused_moe/fused_moe.py(1671): fused_experts_impl",
    "models/qwen3_moe/modeling_qwen3_moe.py(233): forward",
];
const FUSED_MOE: [&str; 3] = ["FusedMoE", "FusedMoE", "Qwen3MoeExperts"];
const REDUCE: [&str; 3] = [
    "distributed/parallel_state.py(520): all_reduce",
    "distributed/parallel_state.py(471): all_reduce",
    "distributed/tensor_parallel.py(88): all_reduce",
];
const QUANT: [&str; 3] = [
    "layers/quantization/fp8_kernel.py(388): sglang_per_token_group_quant_fp8",
    "model_executor/layers/quantization/input_quant_fp8.py(84): forward_cuda",
    "integrations/finegrained_fp8.py(310): act_quant",
];
const HEAD: [&str; 3] = [
    "layers/logits_processor.py(883): _compute_lm_head",
    "model_executor/layers/logits_processor.py(96): _get_logits",
    "models/qwen2/modeling_qwen2.py(455): forward",
];

#[rustfmt::skip]
const SITES: &[Site] = &[
    Site(Role::Metadata, ["model_executor/forward_batch_info.py(1142): compute_position_triton", "v1/worker/block_table.py(133): compute_slot_mapping", "generation/utils.py(1631): _get_initial_cache_position"], NONE),
    Site(Role::Embed, ["layers/vocab_parallel_embedding.py(472): forward", "model_executor/layers/vocab_parallel_embedding.py(461): forward_native", "torch/nn/functional.py(2551): embedding"], ["VocabParallelEmbedding", "VocabParallelEmbedding", "Embedding"]),
    Site(Role::Norm, NORM, RMS),
    Site(Role::AddNorm, NORM, RMS),
    Site(Role::Add, ["layers/layernorm.py(188): forward_native", "model_executor/layers/layernorm.py(122): forward_native", "models/qwen2/modeling_qwen2.py(251): forward"], NONE),
    Site(Role::Qkv, LINEAR, ["QKVParallelLinear", "QKVParallelLinear", "Linear"]),
    Site(Role::QNorm, ["models/utils.py(416): apply_qk_norm", "model_executor/models/qwen3.py(141): forward", "models/qwen3/modeling_qwen3.py(66): forward"], NONE),
    Site(Role::KNorm, ["models/utils.py(421): apply_qk_norm", "model_executor/models/qwen3.py(145): forward", "models/qwen3/modeling_qwen3.py(66): forward"], NONE),
    Site(Role::QkNormRope, ["models/qwen3_moe.py(561): forward_prepare_native", "compilation/qk_norm_rope_fusion.py(152): fused_qk_norm_rope", "models/qwen2/modeling_qwen2.py(60): apply_rotary_pos_emb"], NONE),
    Site(Role::Rope, ["layers/rotary_embedding.py(201): forward_cuda", "model_executor/layers/rotary_embedding/base.py(112): forward_cuda", "models/qwen2/modeling_qwen2.py(60): apply_rotary_pos_emb"], ["RotaryEmbedding", "RotaryEmbedding", ""]),
    Site(Role::RopeKvStore, ["layers/rotary_embedding.py(233): forward_cuda", "v1/attention/backends/flashinfer.py(901): do_rope_and_kv_cache_update", "models/qwen2/modeling_qwen2.py(60): apply_rotary_pos_emb"], ["RotaryEmbedding", "", ""]),
    Site(Role::KvStore, ["mem_cache/memory_pool.py(611): set_kv_buffer", "v1/attention/backends/flash_attn.py(552): forward", "cache_utils.py(119): update"], RADIX),
    Site(Role::AttnPrefill, ATTENTION, RADIX),
    Site(Role::AttnVerify, ATTENTION, RADIX),
    Site(Role::AttnDecode, ATTENTION_DECODE, RADIX),
    Site(Role::AttnCombine, ATTENTION_DECODE, RADIX),
    Site(Role::OProj, LINEAR, ["RowParallelLinear", "RowParallelLinear", "Linear"]),
    Site(Role::AllReduce, REDUCE, NONE),
    Site(Role::AllReduceNorm, ["layers/flashinfer_comm_fusion.py(197): flashinfer_allreduce_residual_rmsnorm", "compilation/collective_fusion.py(466): call_trtllm_fused_allreduce_norm", "distributed/tensor_parallel.py(88): all_reduce"], RMS),
    Site(Role::GateUp, LINEAR, ["MergedColumnParallelLinear", "MergedColumnParallelLinear", "Linear"]),
    Site(Role::ActMul, ["layers/activation.py(64): forward_cuda", "model_executor/layers/activation.py(79): forward_cuda", "models/qwen2/modeling_qwen2.py(46): forward"], ["SiluAndMul", "SiluAndMul", ""]),
    Site(Role::Silu, ["layers/activation.py(58): forward_native", "model_executor/layers/activation.py(71): forward_native", "torch/nn/modules/activation.py(473): forward"], ["SiluAndMul", "SiluAndMul", "SiLU"]),
    Site(Role::Mul, ["layers/activation.py(59): forward_native", "model_executor/layers/activation.py(72): forward_native", "models/qwen2/modeling_qwen2.py(46): forward"], NONE),
    Site(Role::Down, LINEAR, ["RowParallelLinear", "RowParallelLinear", "Linear"]),
    Site(Role::Router, LINEAR, ["ReplicatedLinear", "ReplicatedLinear", "Linear"]),
    Site(Role::TopK, ["layers/moe/topk.py(333): fused_topk", "model_executor/layers/fused_moe/fused_moe.py(1041): fused_topk", "models/qwen3_moe/modeling_qwen3_moe.py(221): forward"], ["TopK", "", ""]),
    Site(Role::MoeAlign, ["layers/moe/fused_moe_triton/moe_align_block_size.py(78): moe_align_block_size", "model_executor/layers/fused_moe/moe_align_block_size.py(76): moe_align_block_size", "models/qwen3_moe/modeling_qwen3_moe.py(226): forward"], FUSED_MOE),
    Site(Role::MoeUp, EXPERTS, FUSED_MOE),
    Site(Role::MoeDown, EXPERTS, FUSED_MOE),
    Site(Role::MoeSum, EXPERTS, FUSED_MOE),
    Site(Role::Quant, QUANT, NONE),
    Site(Role::NormQuant, ["layers/layernorm.py(151): forward_cuda", "compilation/fusion.py(233): fused_add_rms_norm_static_fp8_quant", "models/qwen2/modeling_qwen2.py(218): forward"], RMS),
    Site(Role::LmHead, HEAD, ["LogitsProcessor", "LogitsProcessor", "Linear"]),
    Site(Role::ToFloat, ["layers/logits_processor.py(983): _copy_logits_to_buffer", "model_executor/layers/logits_processor.py(71): forward", "generation/utils.py(2731): _sample"], NONE),
    Site(Role::Argmax, ["layers/sampler.py(83): forward", "v1/sample/sampler.py(131): greedy_sample", "generation/utils.py(2752): _sample"], ["Sampler", "Sampler", ""]),
    Site(Role::VerifyTree, ["speculative/eagle_utils.py(148): verify_tree_greedy_func", "v1/sample/rejection_sampler.py(402): rejection_sample", ""], NONE),
    Site(Role::TreeSample, ["speculative/eagle_info.py(318): verify", "v1/sample/rejection_sampler.py(561): sample_recovered_tokens", ""], NONE),
    Site(Role::DraftPrepare, ["speculative/eagle_worker.py(466): _draft_preprocess_decode", "v1/spec_decode/eagle.py(744): prepare_inputs_padded", ""], NONE),
    Site(Role::DraftFc, ["models/llama_eagle3.py(137): forward", "model_executor/models/llama_eagle3.py(195): combine_hidden_states", ""], ["Linear", "ReplicatedLinear", ""]),
    Site(Role::DraftTopK, ["speculative/spec_utils.py(92): fast_topk", "v1/spec_decode/eagle.py(318): propose", ""], NONE),
    Site(Role::BuildTree, ["speculative/eagle_utils.py(79): build_tree_kernel_efficient", "v1/spec_decode/eagle.py(602): set_inputs_first_pass", ""], NONE),
    Site(Role::Fill, ["model_executor/cuda_graph_runner.py(941): _capture_graph", "v1/worker/gpu_model_runner.py(4021): _dummy_run", "generation/utils.py(2731): _sample"], NONE),
    Site(Role::Copy, ["model_executor/cuda_graph_runner.py(1251): replay_prepare", "v1/worker/gpu_model_runner.py(1297): _prepare_inputs", "generation/utils.py(1713): prepare_inputs_for_generation"], NONE),
];

fn column(engine: Engine) -> usize {
    match engine {
        Engine::Sglang => 0,
        Engine::Vllm => 1,
        Engine::Torch => 2,
    }
}

/// Puts the engine's prefix before a frame unless it names another package.
pub fn frame(engine: Engine, name: &str) -> String {
    let foreign = ["torch/", "threading", "multiprocessing", "<", "nn.Module"];
    if foreign.iter().any(|prefix| name.starts_with(prefix)) {
        return name.to_owned();
    }
    match engine {
        Engine::Sglang => format!("{SRT}{name}"),
        Engine::Vllm => format!("vllm/{name}"),
        Engine::Torch => format!("transformers/{name}"),
    }
}

/// The launching frame of a role, with its prefix.
pub fn launch_frame(role: Role, o: &Options) -> String {
    let name = SITES.iter().find(|s| s.0 == role).map_or("", |s| s.1[column(o.engine)]);
    match (o.fp8, role) {
        (true, Role::Qkv | Role::OProj | Role::GateUp | Role::Down) => frame(
            o.engine,
            match o.engine {
                Engine::Sglang => "layers/quantization/fp8.py(611): apply",
                Engine::Vllm => "model_executor/layers/quantization/fp8.py(540): apply",
                Engine::Torch => "integrations/finegrained_fp8.py(352): forward",
            },
        ),
        _ => frame(o.engine, name),
    }
}

/// The `nn.Module` class around the launching frame, empty for none.
pub fn module(role: Role, o: &Options) -> &'static str {
    SITES.iter().find(|s| s.0 == role).map_or("", |s| s.2[column(o.engine)])
}

/// `path(line): func` as `path:line func`, the spelling of a source in tables.
pub fn as_source(frame: &str) -> String {
    match frame.split_once('(').and_then(|(path, rest)| rest.split_once("): ").map(|(l, f)| (path, l, f))) {
        Some((path, line, function)) => format!("{path}:{line} {function}"),
        None => frame.to_owned(),
    }
}

/// Frames that were open before profiling began and stay open to its end.
pub fn resident_frames(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Sglang => &[
            "<string>(1): <module>",
            "multiprocessing/spawn.py(116): spawn_main",
            "multiprocessing/process.py(108): run",
            "managers/scheduler.py(3932): run_scheduler_process",
            "torch/utils/_contextlib.py(117): decorate_context",
            "managers/scheduler.py(1104): event_loop_overlap",
        ],
        Engine::Vllm => &[
            "<string>(1): <module>",
            "multiprocessing/process.py(108): run",
            "v1/engine/core.py(682): run_engine_core",
            "v1/engine/core.py(709): run_busy_loop",
            "v1/engine/core.py(735): _process_engine_step",
        ],
        Engine::Torch => &[
            "<string>(1): <module>",
            "torch/utils/_contextlib.py(120): decorate_context",
            "generation/utils.py(2552): generate",
        ],
    }
}

/// The frames around the model's forward, outermost first.
pub fn pass_frames(class: Class, graph: bool, o: &Options) -> Vec<&'static str> {
    match o.engine {
        Engine::Sglang => sglang_frames(class, graph),
        Engine::Vllm if class == Class::Capture => vec![
            "v1/worker/gpu_worker.py(388): compile_or_warm_up_model",
            "v1/worker/gpu_model_runner.py(4188): capture_model",
            "v1/worker/gpu_model_runner.py(4271): _capture_cudagraphs",
            "torch/utils/_contextlib.py(120): decorate_context",
            "v1/worker/gpu_model_runner.py(4021): _dummy_run",
            "compilation/cuda_graph.py(229): __call__",
        ],
        Engine::Vllm => {
            let mut frames = vec![
                "v1/worker/gpu_worker.py(532): execute_model",
                "torch/utils/_contextlib.py(120): decorate_context",
                "v1/worker/gpu_model_runner.py(2907): execute_model",
            ];
            if class == Class::Draft {
                frames.push("v1/worker/gpu_model_runner.py(3411): propose_draft_token_ids");
                frames.push("v1/spec_decode/eagle.py(256): propose");
            } else {
                frames.push("v1/worker/gpu_model_runner.py(2726): _model_forward");
            }
            if graph {
                frames.push("compilation/cuda_graph.py(229): __call__");
                frames.push("torch/cuda/graphs.py(139): replay");
            }
            frames
        }
        Engine::Torch => vec!["generation/utils.py(2731): _sample", "torch/utils/generic.py(959): wrapper"],
    }
}

fn sglang_frames(class: Class, graph: bool) -> Vec<&'static str> {
    const WORKER: &str = "managers/tp_worker.py(445): forward_batch_generation";
    const RUNNER: [&str; 2] = [
        "model_executor/model_runner.py(3123): forward",
        "model_executor/model_runner.py(3194): _forward_raw",
    ];
    const SPECULATIVE: &str = "speculative/eagle_worker.py(286): forward_batch_speculative_generation";
    let mut frames = vec!["managers/scheduler.py(2919): _run_batch_inner"];
    match class {
        Class::Capture => {
            return vec![
                "model_executor/model_runner.py(2792): init_device_graphs",
                "model_executor/cuda_graph_runner.py(718): __init__",
                "model_executor/cuda_graph_runner.py(925): capture",
                "model_executor/cuda_graph_runner.py(1201): capture_one_batch_size",
                "model_executor/cuda_graph_runner.py(941): _capture_graph",
                "model_executor/cuda_graph_runner.py(1147): run_once",
                "torch/utils/_contextlib.py(117): decorate_context",
            ];
        }
        Class::Verify => frames.extend([SPECULATIVE, "speculative/eagle_worker.py(655): verify", WORKER]),
        Class::Draft => frames.extend([
            SPECULATIVE,
            "speculative/eagle_worker.py(512): draft",
            "speculative/eagle_worker.py(603): draft_forward",
        ]),
        _ => frames.push(WORKER),
    }
    frames.extend(RUNNER);
    frames.push(match (graph, class) {
        (true, Class::Draft) => "speculative/eagle_draft_cuda_graph_runner.py(371): replay",
        (true, _) => "model_executor/cuda_graph_runner.py(1333): replay",
        (false, Class::Decode | Class::Draft) => "model_executor/model_runner.py(2941): forward_decode",
        (false, _) => "model_executor/model_runner.py(3003): forward_extend",
    });
    frames.push(if graph {
        "torch/cuda/graphs.py(139): replay"
    } else {
        "torch/utils/_contextlib.py(117): decorate_context"
    });
    frames
}

/// Class names of the model's modules: (model, layer, attention, feed-forward) with their `forward` frames.
pub fn model_modules(o: &Options) -> [(&'static str, &'static str); 4] {
    match (o.engine, o.moe) {
        (Engine::Sglang, false) => [
            ("Qwen3Model", "models/qwen2.py(340): forward"),
            ("Qwen3DecoderLayer", "models/qwen3.py(384): forward"),
            ("Qwen3Attention", "models/qwen3.py(263): forward"),
            ("Qwen3MLP", "models/qwen2.py(96): forward"),
        ],
        (Engine::Sglang, true) => [
            ("Qwen3MoeModel", "models/qwen2_moe.py(521): forward"),
            ("Qwen3MoeDecoderLayer", "models/qwen3_moe.py(701): forward"),
            ("Qwen3MoeAttention", "models/qwen3_moe.py(588): forward"),
            ("Qwen3MoeSparseMoeBlock", "models/qwen3_moe.py(161): forward"),
        ],
        (Engine::Vllm, false) => [
            ("Qwen3Model", "model_executor/models/qwen2.py(392): forward"),
            ("Qwen3DecoderLayer", "model_executor/models/qwen3.py(211): forward"),
            ("Qwen3Attention", "model_executor/models/qwen3.py(136): forward"),
            ("Qwen3MLP", "model_executor/models/qwen2.py(111): forward"),
        ],
        (Engine::Vllm, true) => [
            ("Qwen3MoeModel", "model_executor/models/qwen3_moe.py(402): forward"),
            ("Qwen3MoeDecoderLayer", "model_executor/models/qwen3_moe.py(344): forward"),
            ("Qwen3MoeAttention", "model_executor/models/qwen3_moe.py(268): forward"),
            ("Qwen3MoeSparseMoeBlock", "model_executor/models/qwen3_moe.py(171): forward"),
        ],
        (Engine::Torch, _) => [
            ("Qwen2Model", "models/qwen2/modeling_qwen2.py(382): forward"),
            ("Qwen2DecoderLayer", "models/qwen2/modeling_qwen2.py(240): forward"),
            ("Qwen2Attention", "models/qwen2/modeling_qwen2.py(156): forward"),
            ("Qwen2MLP", "models/qwen2/modeling_qwen2.py(46): forward"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_spelled_with_a_colon_and_a_space() {
        let frame = launch_frame(Role::AllReduce, &Options::default());
        assert_eq!(as_source(&frame), format!("{SRT}distributed/parallel_state.py:520 all_reduce"));
        assert_eq!(as_source("<built-in function linear>"), "<built-in function linear>");
    }

    #[test]
    fn class_shows_in_the_frames_of_sglang() {
        let o = Options::default();
        let has = |class, graph, word: &str| pass_frames(class, graph, &o).iter().any(|f| f.ends_with(word));
        assert!(has(Class::Prefill, false, "forward_extend"));
        assert!(has(Class::Decode, false, "forward_decode"));
        assert!(has(Class::Decode, true, "replay"));
        assert!(has(Class::Verify, true, "verify"));
        assert!(has(Class::Draft, true, "draft_forward"));
        assert!(!has(Class::Verify, false, "draft"));
    }
}

//! Fields of a path, and one spelling for what engines spell in many ways.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One property of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The engine.
    Engine,
    /// Its version.
    EngineVersion,
    /// The model.
    Model,
    /// Identity of one server, where a caller knows it.
    Server,
    /// Attention backend.
    AttentionBackend,
    /// Attention backend of prefill, where it is another one.
    PrefillAttentionBackend,
    /// Attention backend of decode, where it is another one.
    DecodeAttentionBackend,
    /// Version of the FlashAttention library.
    FlashAttentionVersion,
    /// Sampling backend.
    SamplingBackend,
    /// Backend of mixture-of-experts layers.
    MoeBackend,
    /// Backend of quantised GEMMs.
    GemmBackend,
    /// Quantisation of the weights.
    Quantization,
    /// The kernel or method that computes quantised layers.
    QuantKernel,
    /// CUDA graphs: `on` or `off`.
    CudaGraph,
    /// Which parts the graphs cover.
    CudaGraphMode,
    /// Speculative algorithm, `none` without.
    SpeculativeAlgorithm,
    /// Draft tokens a step.
    SpeculativeTokens,
    /// Draft steps.
    SpeculativeSteps,
    /// Tensor-parallel size.
    Tp,
    /// Data-parallel size.
    Dp,
    /// Pipeline-parallel size.
    Pp,
    /// Expert-parallel size, or `on` and `off`.
    Ep,
    /// Attention is data parallel: `on` or `off`.
    DpAttention,
    /// Type of the activations.
    Dtype,
    /// Type of the KV cache.
    KvDtype,
}

/// Fields without which a path is not proven.
pub const CORE: [Field; 6] = [
    Field::AttentionBackend,
    Field::SamplingBackend,
    Field::CudaGraph,
    Field::Quantization,
    Field::SpeculativeAlgorithm,
    Field::Tp,
];

impl Field {
    /// The name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::EngineVersion => "engine_version",
            Self::Model => "model",
            Self::Server => "server",
            Self::AttentionBackend => "attention_backend",
            Self::PrefillAttentionBackend => "prefill_attention_backend",
            Self::DecodeAttentionBackend => "decode_attention_backend",
            Self::FlashAttentionVersion => "flash_attention_version",
            Self::SamplingBackend => "sampling_backend",
            Self::MoeBackend => "moe_backend",
            Self::GemmBackend => "gemm_backend",
            Self::Quantization => "quantization",
            Self::QuantKernel => "quant_kernel",
            Self::CudaGraph => "cuda_graph",
            Self::CudaGraphMode => "cuda_graph_mode",
            Self::SpeculativeAlgorithm => "speculative_algorithm",
            Self::SpeculativeTokens => "speculative_tokens",
            Self::SpeculativeSteps => "speculative_steps",
            Self::Tp => "tp",
            Self::Dp => "dp",
            Self::Pp => "pp",
            Self::Ep => "ep",
            Self::DpAttention => "dp_attention",
            Self::Dtype => "dtype",
            Self::KvDtype => "kv_dtype",
        }
    }

    /// The one spelling of a value; none where the value leaves the choice open.
    #[must_use]
    pub fn normal(self, value: &str) -> Option<String> {
        let value = value.trim().trim_matches(['\'', '"']);
        let value: String = value.chars().filter(|c| !c.is_control()).take(200).collect();
        if self == Self::Model {
            let value = value.trim_end_matches('/');
            return (!value.is_empty() && value != "None").then(|| value.to_owned());
        }
        let low = value.to_ascii_lowercase();
        if matches!(low.as_str(), "" | "auto" | "none" | "null" | "default") {
            // `none` is an answer only where a rule says so, by the word `-`.
            return None;
        }
        if low == "-" {
            return Some("none".to_owned());
        }
        Some(match self {
            Self::AttentionBackend | Self::PrefillAttentionBackend | Self::DecodeAttentionBackend => {
                attention(&low)
            }
            Self::Dtype | Self::KvDtype => dtype(&low),
            Self::SpeculativeAlgorithm => low.replace('-', "_"),
            Self::SamplingBackend => match low.as_str() {
                "torch" | "native" | "pytorch_native" | "pytorch-native" => "pytorch".to_owned(),
                _ => low,
            },
            Self::CudaGraph | Self::DpAttention | Self::Ep => match low.as_str() {
                "true" => "on".to_owned(),
                "false" => "off".to_owned(),
                _ => low,
            },
            Self::CudaGraphMode => {
                let word = low.rsplit('.').next().unwrap_or(&low);
                word.split([':', '>']).next().unwrap_or(word).trim().to_owned()
            }
            Self::Quantization => low.replace('-', "_"),
            _ => low,
        })
    }
}

/// Names of the same backend in vLLM's enumeration, its older messages and SGLang's flags.
fn attention(low: &str) -> String {
    let name = low.replace(['-', ' '], "_");
    let name = name.trim_end_matches("_backend").trim_end_matches("_vllm_v1");
    match name {
        "flash_attn" | "flashattention" | "flash_attention" | "flashattentionbackend" => "flash_attn",
        "flashinfer" | "flash_infer" | "flashinferbackend" => "flashinfer",
        "triton" | "triton_attn" | "tritonattention" | "triton_attention" => "triton",
        "torch_sdpa" | "sdpa" | "torch_native" => "torch_sdpa",
        "trtllm" | "tensorrt_llm" => "trtllm",
        "flex_attention" | "flexattention" => "flex_attention",
        _ => name,
    }
    .to_owned()
}

fn dtype(low: &str) -> String {
    let name = low.strip_prefix("torch.").unwrap_or(low);
    match name {
        "bf16" => "bfloat16",
        "fp16" | "half" | "f16" => "float16",
        "fp32" | "float" | "f32" => "float32",
        "fp8" | "float8_e4m3fn" | "float8_e4m3" | "float8_e4m3fnuz" => "fp8_e4m3",
        "float8_e5m2" | "float8_e5m2fnuz" => "fp8_e5m2",
        _ => name,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::Field;

    #[test]
    fn one_spelling() {
        let n = |f: Field, v: &str| f.normal(v).unwrap_or_else(|| "?".to_owned());
        for (field, value, expected) in [
            (Field::AttentionBackend, "FLASH_ATTN", "flash_attn"),
            (Field::AttentionBackend, "Flash Attention", "flash_attn"),
            (Field::AttentionBackend, "TRITON_ATTN", "triton"),
            (Field::AttentionBackend, "fa3", "fa3"),
            (Field::Dtype, "torch.bfloat16", "bfloat16"),
            (Field::KvDtype, "fp8", "fp8_e4m3"),
            (Field::KvDtype, "auto", "?"),
            (Field::Quantization, "None", "?"),
            (Field::Quantization, "-", "none"),
            (Field::Quantization, "compressed-tensors", "compressed_tensors"),
            (Field::CudaGraphMode, "<CUDAGraphMode.FULL_AND_PIECEWISE: (2, 1)>", "full_and_piecewise"),
            (Field::Model, "/models/Qwen/", "/models/Qwen"),
        ] {
            assert_eq!(n(field, value), expected, "{value}");
        }
    }
}

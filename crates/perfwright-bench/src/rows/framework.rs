//! Names of serving frameworks, however they are spelt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A serving framework with commands of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framework {
    /// SGLang.
    Sglang,
    /// vLLM.
    Vllm,
    /// TensorRT-LLM.
    TensorrtLlm,
    /// TokenSpeed.
    Tokenspeed,
    /// Any other server; its command is a template.
    Generic,
}

impl Framework {
    /// Every framework with commands of its own.
    pub const KNOWN: [Self; 4] = [Self::Sglang, Self::Vllm, Self::TensorrtLlm, Self::Tokenspeed];

    /// The name in rows and plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sglang => "sglang",
            Self::Vllm => "vllm",
            Self::TensorrtLlm => "tensorrt_llm",
            Self::Tokenspeed => "tokenspeed",
            Self::Generic => "generic",
        }
    }

    /// The framework meant by a name: case, `-`, `_` and blanks do not matter, and `trtllm` is TensorRT-LLM.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        Some(match plain.as_str() {
            "sglang" | "sgl" => Self::Sglang,
            "vllm" => Self::Vllm,
            "tensorrtllm" | "trtllm" | "trt" | "tensorrt" => Self::TensorrtLlm,
            "tokenspeed" => Self::Tokenspeed,
            "generic" => Self::Generic,
            _ => return None,
        })
    }
}

/// One spelling for each framework: the known name, else what was written, in lower case.
#[must_use]
pub fn canonical(name: &str) -> String {
    Framework::parse(name).map_or_else(|| name.trim().to_ascii_lowercase(), |f| f.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_framework_meet() {
        for name in ["trtllm", "TensorRT-LLM", "tensorrt_llm", "TRT-LLM"] {
            assert_eq!(canonical(name), "tensorrt_llm", "{name}");
        }
        assert_eq!(canonical(" vLLM "), "vllm");
        assert_eq!(canonical("LMDeploy"), "lmdeploy");
    }
}

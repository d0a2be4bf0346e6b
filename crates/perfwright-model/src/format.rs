//! How numbers are stored: weights with their scales, cache entries.

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::Dtype;

/// How weights of one kind are stored and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Format {
    /// Its usual name.
    pub name: &'static str,
    /// Bits of a weight.
    pub bits: u64,
    /// Weights that share a scale; 0 where the scales weigh nothing.
    pub group: u64,
    /// Bits of a scale, and of a zero point where there is one.
    pub scale_bits: u64,
    /// In which precision the products run.
    pub compute: Compute,
}

/// In which precision products run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compute {
    /// fp32 on the tensor cores' tf32 path or slower.
    Fp32,
    /// bf16 or fp16; also weight-only formats, whose weights are widened first.
    Bf16,
    /// fp8 or int8.
    Fp8,
    /// fp4.
    Fp4,
}

impl Format {
    /// Plain elements.
    pub const fn plain(dtype: Dtype) -> Self {
        let (name, bits, compute) = match dtype {
            Dtype::Fp32 => ("fp32", 32, Compute::Fp32),
            Dtype::Bf16 => ("bf16", 16, Compute::Bf16),
            Dtype::Fp16 => ("fp16", 16, Compute::Bf16),
        };
        Self { name, bits, group: 0, scale_bits: 0, compute }
    }

    /// fp8 with one scale per tensor or channel.
    pub const FP8: Self = Self { name: "fp8", bits: 8, group: 0, scale_bits: 0, compute: Compute::Fp8 };
    /// fp8 with an fp32 scale per block of 128 x 128 weights.
    pub const FP8_BLOCK: Self =
        Self { name: "fp8_block", bits: 8, group: 128 * 128, scale_bits: 32, compute: Compute::Fp8 };
    /// MX fp8: a power-of-two scale per 32 weights.
    pub const MXFP8: Self = Self { name: "mxfp8", bits: 8, group: 32, scale_bits: 8, compute: Compute::Fp8 };
    /// int8 weights and activations.
    pub const INT8: Self = Self { name: "int8", bits: 8, group: 0, scale_bits: 0, compute: Compute::Fp8 };
    /// int8 weights, 16-bit activations.
    pub const INT8_WEIGHT: Self =
        Self { name: "w8a16", bits: 8, group: 0, scale_bits: 0, compute: Compute::Bf16 };
    /// 4-bit integer weights with a 16-bit scale per 128, 16-bit activations.
    pub const INT4: Self =
        Self { name: "w4a16", bits: 4, group: 128, scale_bits: 16, compute: Compute::Bf16 };
    /// NVFP4: an fp8 scale per 16 weights, fp4 activations.
    pub const NVFP4: Self = Self { name: "nvfp4", bits: 4, group: 16, scale_bits: 8, compute: Compute::Fp4 };
    /// NVFP4 weights with 16-bit activations.
    pub const NVFP4_WEIGHT: Self =
        Self { name: "w4a16_nvfp4", bits: 4, group: 16, scale_bits: 8, compute: Compute::Bf16 };
    /// MXFP4: a power-of-two scale per 32 weights. Engines multiply by 16-bit activations on Hopper and by fp8 or fp4
    /// ones on Blackwell; a bound must assume the fastest.
    pub const MXFP4: Self = Self { name: "mxfp4", bits: 4, group: 32, scale_bits: 8, compute: Compute::Fp4 };

    /// The format of that name, as `--dtype` takes it.
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::plain(Dtype::Fp32),
            Self::plain(Dtype::Bf16),
            Self::plain(Dtype::Fp16),
            Self::FP8,
            Self::FP8_BLOCK,
            Self::MXFP8,
            Self::INT8,
            Self::INT8_WEIGHT,
            Self::INT4,
            Self::NVFP4,
            Self::NVFP4_WEIGHT,
            Self::MXFP4,
        ];
        let name = match name {
            "int4" | "int4_wo" | "awq" | "gptq" => "w4a16",
            "fp4" => "nvfp4",
            other => other,
        };
        all.into_iter().find(|format| format.name == name)
    }

    /// Bytes of `count` weights with their scales, rounded up.
    pub fn bytes(&self, count: u128) -> u128 {
        let weights = count.saturating_mul(self.bits.into());
        let scales = match self.group {
            0 => 0,
            group => count.div_ceil(group.into()).saturating_mul(self.scale_bits.into()),
        };
        weights.saturating_add(scales).div_ceil(8)
    }
}

/// How the cache of keys and values is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KvDtype {
    /// 32-bit float.
    Fp32,
    /// bf16 or fp16.
    Bf16,
    /// fp8 or int8.
    Fp8,
    /// fp4 with a one-byte scale per 16 values.
    Fp4,
}

impl KvDtype {
    /// The one of that name; engines' spellings are known.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "fp32" | "float32" => Self::Fp32,
            "bf16" | "bfloat16" | "fp16" | "float16" | "auto" => Self::Bf16,
            "fp8" | "fp8_e4m3" | "fp8_e5m2" | "int8" => Self::Fp8,
            "fp4" | "nvfp4" | "fp4_e2m1" => Self::Fp4,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Fp4 => "fp4",
        }
    }

    /// Bytes of `count` values.
    pub fn bytes(self, count: u64) -> u64 {
        match self {
            Self::Fp32 => count.saturating_mul(4),
            Self::Bf16 => count.saturating_mul(2),
            Self::Fp8 => count,
            Self::Fp4 => count.div_ceil(2).saturating_add(count.div_ceil(16)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_weigh_what_they_weigh() {
        assert_eq!(Format::plain(Dtype::Bf16).bytes(1000), 2000);
        assert_eq!(Format::NVFP4.bytes(1600), 800 + 100);
        assert_eq!(Format::MXFP4.bytes(3200), 1600 + 100);
        assert_eq!(Format::FP8_BLOCK.bytes(16384), 16384 + 4);
        assert_eq!(Format::INT4.bytes(1280), 640 + 20);
    }

    #[test]
    fn names_and_spellings() {
        assert_eq!(Format::named("int4_wo").map(|f| f.name), Some("w4a16"));
        assert_eq!(Format::named("fp5"), None);
        assert_eq!(KvDtype::named("FP8_e4m3"), Some(KvDtype::Fp8));
        // Half a byte a value and a byte for 16 of them.
        assert_eq!(KvDtype::Fp4.bytes(1024), 512 + 64);
    }
}

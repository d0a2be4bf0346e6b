//! The part a kernel plays for a model's operators.

use super::report::Precision;
use crate::intern::StrId;
use crate::names::{Category, Symbol};
use crate::part::Meanings;
use crate::pipeline::kind::Kind;
use crate::store::{KERNEL, Store};

/// The part a piece of device work plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Attention,
    /// Prepares or joins attention.
    Helper,
    /// Computes a recurrence or its convolution.
    Recurrence,
    Gemm,
    /// A product with the activation in its end.
    GemmActivation,
    /// Products of experts.
    Experts,
    /// Routing and permutation for experts.
    Routing,
    Activation,
    Norm,
    Rope,
    Communication,
    Embedding,
    Softmax,
    /// No rule knows it.
    Unknown,
    Other,
}

impl Role {
    /// True for kernels that may be the work of a product's operator.
    pub(super) fn may_multiply(self) -> bool {
        matches!(self, Role::Gemm | Role::GemmActivation | Role::Experts | Role::Unknown)
    }

    pub(super) fn is_gemm(self) -> bool {
        matches!(self, Role::Gemm | Role::GemmActivation)
    }

    /// True for work that chooses or orders experts, or is theirs.
    pub(super) fn is_moe(self) -> bool {
        matches!(self, Role::Experts | Role::Routing)
    }
}

/// The role of every name, and the precision that its words prove, by string id.
pub(super) fn roles(
    store: &Store,
    meanings: &Meanings,
    kinds: &[Kind],
) -> (Vec<Role>, Vec<Option<Precision>>) {
    let mut roles = vec![Role::Other; store.strings.len()];
    let mut precisions = vec![None; roles.len()];
    for (&name, symbol) in &meanings.symbols {
        let at = name as usize;
        roles[at] = role(meanings, kinds, name, symbol);
        precisions[at] = precision(&store.strings.text(name));
    }
    // Copies and fills are no kernels, whatever their operator.
    for (&name, &kind) in store.devices.name.iter().zip(&store.devices.kind) {
        if kind != KERNEL {
            roles[name as usize] = Role::Other;
        }
    }
    (roles, precisions)
}

fn role(meanings: &Meanings, kinds: &[Kind], name: StrId, symbol: &Symbol) -> Role {
    let c = &meanings.classified[name as usize];
    match kinds[name as usize] {
        Kind::Attention => return Role::Attention,
        Kind::Linear => return Role::Recurrence,
        Kind::Helper => return Role::Helper,
        Kind::Backward => return Role::Other,
        Kind::Embedding => return Role::Embedding,
        _ => {}
    }
    let ends = || ["finalize", "reduce", "reducegrouped"].iter().any(|word| symbol.words.has(word));
    match c.category {
        Category::Moe if c.has("gemm") && !ends() => Role::Experts,
        Category::Moe => Role::Routing,
        Category::Gemm if c.has("activation") => Role::GemmActivation,
        Category::Gemm => Role::Gemm,
        Category::Activation => Role::Activation,
        Category::Communication => Role::Communication,
        Category::Norm => Role::Norm,
        _ if c.has("norm") => Role::Norm,
        Category::Rope => Role::Rope,
        Category::Softmax => Role::Softmax,
        Category::Unknown => Role::Unknown,
        _ => Role::Other,
    }
}

/// The precision a raw name proves: the narrowest format it names. Names without one prove nothing.
fn precision(name: &str) -> Option<Precision> {
    // The name of a template argument that most kernels fill with "no".
    let name = name.to_ascii_lowercase().replace("fp8kvcachedatatype", "");
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["nvfp4", "mxfp4", "e2m1", "float4", "fp4"]) {
        Some(Precision::Fp4)
    } else if has(&["e4m3", "e5m2", "fp8", "float8", "_f8f8", "int8", "a8w8"]) {
        Some(Precision::Fp8)
    } else if has(&["bf16", "bfloat16", "_bbs_", "fp16", "_hhs_"]) {
        Some(Precision::Bf16)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_prove_the_narrowest_format_they_name() {
        for (name, want) in [
            ("bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x16x256u2_s3", Some(Precision::Fp4)),
            ("_matmul_ogs_NNT_bf16xbf16xmxfp4_16x128x256x1", Some(Precision::Fp4)),
            ("fmhaSm100aKernel_QkvE4m3OBfloat16H64PagedKv", Some(Precision::Fp8)),
            ("void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 24576u>", Some(Precision::Fp8)),
            ("Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs", Some(Precision::Bf16)),
            ("paged_attention_ll4mi<__hip_bfloat16, (vllm::Fp8KVCacheDataType)0>", Some(Precision::Bf16)),
            ("nvjet_tst_64x64_64x16_2x1", None),
        ] {
            assert_eq!(precision(name), want, "{name}");
        }
    }
}

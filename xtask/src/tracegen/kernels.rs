//! The kernels a generated trace can launch: name, operator, true category and typical times.
//!
//! Names are those seen in real traces and engine sources (mid 2026); `a|b` as a category means either is right.

use super::options::{Attention, Comm, Engine, Gpu, Options};

/// What a kernel does in the model; the builder asks by role, the table answers with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Role {
    Metadata,
    Embed,
    Norm,
    AddNorm,
    Add,
    Qkv,
    QNorm,
    KNorm,
    QkNormRope,
    Rope,
    RopeKvStore,
    KvStore,
    AttnPrefill,
    AttnDecode,
    AttnCombine,
    AttnVerify,
    OProj,
    AllReduce,
    AllReduceNorm,
    GateUp,
    ActMul,
    Silu,
    Mul,
    Down,
    Router,
    TopK,
    MoeAlign,
    MoeUp,
    MoeDown,
    MoeSum,
    Quant,
    NormQuant,
    LmHead,
    ToFloat,
    Argmax,
    VerifyTree,
    TreeSample,
    DraftPrepare,
    DraftFc,
    DraftTopK,
    BuildTree,
    Fill,
    Copy,
}

/// One kernel of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Short name for `--slow-kernel`.
    pub key: &'static str,
    /// The name in the trace.
    pub name: &'static str,
    /// True category, `a|b` where either is right.
    pub category: &'static str,
    /// The operator that launches it; empty where none is recorded.
    pub op: &'static str,
    /// Mean time in ns for 8192 prompt tokens.
    pub prefill_ns: i64,
    /// Mean time in ns for a decode batch of 32.
    pub decode_ns: i64,
}

impl Kernel {
    /// Whether the name is a C++ signature; generated (Triton) kernels and assembly have bare names.
    pub fn is_cpp(&self) -> bool {
        self.name.contains('(')
    }

    /// The operator's name in this engine, where engines register the same kernel under different names.
    pub fn op_on(&self, engine: Engine) -> &'static str {
        match (engine, self.op) {
            (Engine::Vllm, "sgl_kernel::fwd") => "_vllm_fa3_C::fwd",
            (Engine::Vllm, "sglang::inplace_fused_experts") => "vllm::moe_forward",
            (Engine::Vllm, "sgl_kernel::fp8_scaled_mm") => "_C::cutlass_scaled_mm",
            (Engine::Vllm, "sglang::deep_gemm_fp8_fp8_bf16_nt") => "vllm::w8a8_deepgemm_block_scaled_mm",
            (Engine::Vllm, "sgl_kernel::all_reduce") => "_C_custom_ar::all_reduce",
            (Engine::Vllm, "sglang::flashinfer_allreduce_residual_rmsnorm") => {
                "vllm::flashinfer_trtllm_fused_allreduce_norm"
            }
            (Engine::Torch, "sglang::inplace_fused_experts") => "aten::_grouped_mm",
            (Engine::Torch, "sgl_kernel::fp8_scaled_mm" | "sglang::deep_gemm_fp8_fp8_bf16_nt") => {
                "aten::_scaled_mm"
            }
            (_, op) => op,
        }
    }
}

const NV: u16 = 1;
const AM: u16 = 1 << 1;
const SG: u16 = 1 << 2;
const VL: u16 = 1 << 3;
const HF: u16 = 1 << 4;
const BF: u16 = 1 << 5;
const F8: u16 = 1 << 6;
const FA: u16 = 1 << 7;
const FI: u16 = 1 << 8;
const GROUPS: [u16; 4] = [NV | AM, SG | VL | HF, BF | F8, FA | FI];

struct Row(Role, u16, Kernel);

const fn k(
    key: &'static str,
    name: &'static str,
    category: &'static str,
    op: &'static str,
    prefill_us: i64,
    decode_ns: i64,
) -> Kernel {
    Kernel { key, name, category, op, prefill_ns: prefill_us * 1000, decode_ns }
}

const COPY_BF16: &str = "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda()#7}::operator()() const::{lambda(float)#1}>(at::TensorIteratorBase&, at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda()#7}::operator()() const::{lambda(float)#1} const&)::{lambda(int)#1}>(int, at::native::gpu_kernel_impl_nocast<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda()#7}::operator()() const::{lambda(float)#1}>(at::TensorIteratorBase&, at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda()#7}::operator()() const::{lambda(float)#1} const&)::{lambda(int)#1})";
const FA3: &str = "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, cute::tuple<cute::C<1>, cute::C<1>, cute::C<1> >, cute::tuple<cute::C<128>, cute::C<128>, cute::C<128> >, 128, cutlass::bfloat16_t, float, cutlass::arch::Sm90, true, false, false, true, true, false, false, false, true, true, false, false, false, false>, flash::CollectiveEpilogueFwd<cute::tuple<cute::C<128>, cute::C<128>, cute::C<128> >, cute::tuple<cute::C<1>, cute::C<1>, cute::C<1> >, cutlass::bfloat16_t, cutlass::arch::Sm90, 256, true, false, false, false>, flash::VarlenDynamicPersistentTileScheduler<128, 256, 128, false, false, true> > > >(flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2> >::Params)";
const FA3_SPLIT: &str = "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, cute::tuple<cute::C<1>, cute::C<1>, cute::C<1> >, cute::tuple<cute::C<64>, cute::C<128>, cute::C<128> >, 128, cutlass::bfloat16_t, float, cutlass::arch::Sm90, true, false, false, true, true, false, false, false, true, true, true, true, false, false>, flash::CollectiveEpilogueFwd<cute::tuple<cute::C<64>, cute::C<128>, cute::C<128> >, cute::tuple<cute::C<1>, cute::C<1>, cute::C<1> >, float, cutlass::arch::Sm90, 128, true, true, true, false>, flash::VarlenDynamicPersistentTileScheduler<64, 128, 128, true, true, true> > > >(flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2> >::Params)";
const FA3_COMBINE: &str = "void cutlass::device_kernel<flash::enable_sm80_or_later<flash::FlashAttnFwdCombine<cute::tuple<cute::C<8>, cute::C<128> >, 7, 256, 1, true, true, cutlass::bfloat16_t, float, cutlass::arch::Sm90> > >(flash::FlashAttnFwdCombine<cute::tuple<cute::C<8>, cute::C<128> >, 7, 256, 1, true, true, cutlass::bfloat16_t, float, cutlass::arch::Sm90>::Params)";
const FI_PREFILL: &str = "void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<(flashinfer::MaskMode)1, 128u, 2u, 2u, 8u, 8u, 4u, 1u, (flashinfer::PosEncodingMode)0, __nv_bfloat16, __nv_bfloat16, __nv_bfloat16, float, int, flashinfer::DefaultAttention<false, false, false, false> >, flashinfer::BatchPrefillPagedParams<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16, int> >(flashinfer::BatchPrefillPagedParams<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16, int>)";
const FI_DECODE: &str = "void flashinfer::BatchDecodeWithPagedKVCacheKernel<(flashinfer::PosEncodingMode)0, 2u, 4u, 8u, 16u, 4u, 2u, flashinfer::DefaultAttention<false, false, false, false>, flashinfer::BatchDecodeParams<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16, int> >(flashinfer::BatchDecodeParams<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16, int>)";
const FI_VERIFY: &str = "void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<(flashinfer::MaskMode)2, 16u, 1u, 4u, 8u, 8u, 1u, 4u, (flashinfer::PosEncodingMode)0, __nv_bfloat16, __nv_bfloat16, __nv_bfloat16, float, int, flashinfer::DefaultAttention<true, false, false, false> >, flashinfer::BatchPrefillPagedParams<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16, int> >(flashinfer::BatchPrefillPagedParams<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16, int>)";
const FI_MERGE: &str = "void flashinfer::PersistentVariableLengthMergeStatesKernel<8u, 16u, 8u, 4u, __nv_bfloat16, __nv_bfloat16, int>(__nv_bfloat16*, float*, int*, __nv_bfloat16*, float*, unsigned int, unsigned int*, unsigned int)";
const FI_ADD_NORM: &str = "void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, unsigned int, unsigned int, unsigned int, float, float)";
const FI_NORM: &str = "void flashinfer::norm::RMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, unsigned int, unsigned int, unsigned int, unsigned int, float, float)";
const ADD: &str = "void at::native::vectorized_elementwise_kernel<8, at::native::CUDAFunctor_add<c10::BFloat16>, std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<c10::BFloat16>, std::array<char*, 3ul>)";
const SILU: &str = "void at::native::vectorized_elementwise_kernel<8, at::native::(anonymous namespace)::silu_kernel(at::TensorIteratorBase&)::{lambda()#1}::operator()() const::{lambda()#3}::operator()() const::{lambda(c10::BFloat16)#1}, std::array<char*, 2ul> >(int, at::native::(anonymous namespace)::silu_kernel(at::TensorIteratorBase&)::{lambda()#1}::operator()() const::{lambda()#3}::operator()() const::{lambda(c10::BFloat16)#1}, std::array<char*, 2ul>)";
const MUL: &str = "void at::native::vectorized_elementwise_kernel<8, at::native::BinaryFunctor<c10::BFloat16, c10::BFloat16, c10::BFloat16, at::native::binary_internal::MulFunctor<float> >, std::array<char*, 3ul> >(int, at::native::BinaryFunctor<c10::BFloat16, c10::BFloat16, c10::BFloat16, at::native::binary_internal::MulFunctor<float> >, std::array<char*, 3ul>)";
const GATHER: &str = "void at::native::(anonymous namespace)::vectorized_gather_kernel<16, long>(char*, char*, long*, int, long, long, long, long, bool)";
const TO_FLOAT: &str = "void at::native::vectorized_elementwise_kernel<4, at::native::bfloat16tofloat32_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda(c10::BFloat16)#1}, std::array<char*, 2ul> >(int, at::native::bfloat16tofloat32_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda(c10::BFloat16)#1}, std::array<char*, 2ul>)";
const ARGMAX: &str = "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::ArgMaxOps<float>, unsigned int, long, 4, 4> >(at::native::ReduceOp<float, at::native::ArgMaxOps<float>, unsigned int, long, 4, 4>)";
const FILL: &str = "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<long>, std::array<char*, 1ul> >(int, at::native::FillFunctor<long>, std::array<char*, 1ul>)";
const AITER_NORM: &str =
    "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb0ELb0ELb1ELi1EEEvPT0_PT_PfS4_S4_S4_diiiiiiib";
const AITER_ADD_NORM: &str =
    "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb1ELb0ELb1ELi1EEEvPT0_PT_PfS4_S4_S4_diiiiiiib";
const AITER_HEAD_NORM: &str =
    "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi64ELi8ELb0ELb0ELb1ELi1EEEvPT0_PT_PfS4_S4_S4_diiiiiiib";
const CK_PREFILL: &str = "_ZN7ck_tile6kentryILi2ENS_38FmhaBatchPrefillWithPagedKVCacheKernelINS_40BlockFmhaBatchPrefillPipelineQRKSVSAsyncIDF16bEEEEJEEEvv";
const PAGED_MFMA: &str = "void paged_attention_ll4mi_QKV_mfma16_kernel<0, __hip_bfloat16, __hip_bfloat16, (vllm::Fp8KVCacheDataType)0, 1, 128, 256, false, 4, 1, ck_tile::ComposedAttention<0u, false> >(__hip_bfloat16 const*, __hip_bfloat16 const*, __hip_bfloat16 const*, float, int const*, int const*, int const*, float const*, int, int, int, int, float*, float*, __hip_bfloat16*, float)";
const PAGED_REDUCE: &str = "void paged_attention_ll4mi_reduce_kernel<__hip_bfloat16, __hip_bfloat16, 128, 128, 256, 3, false>(__hip_bfloat16*, float const*, float const*, __hip_bfloat16 const*, int const*, int const*, int, int, float const*)";
const TENSILE_320: &str = "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT320x224x64_MI16x16x1_SN_LDSB0_AFC1_AFEM1_AFEM1_ASEM1_CLR1_CADS0_DTLA0_DTLB0_DTVA1_DTVB0_EPS0_GRVWA8_GRVWB8_ISA942_WG64_4_1";
const TENSILE_256: &str = "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x192x64_MI16x16x1_SN_LDSB1_AFC1_AFEM1_AFEM1_ASEM1_CLR1_CADS0_DTLA0_DTLB0_DTVA0_DTVB0_EPS0_GRVWA8_GRVWB8_ISA942_WG64_4_1";
const TENSILE_128: &str = "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT128x256x32_MI16x16x1_SN_LDSB1_AFC1_AFEM1_AFEM1_ASEM1_CLR1_CADS0_DTLA0_DTLB0_DTVA0_DTVB0_EPS0_GRVWA8_GRVWB8_ISA942_WG64_4_1";
const TENSILE_64: &str = "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT64x32x256_MI16x16x1_SN_LDSB1_AFC1_AFEM1_AFEM1_ASEM1_CLR1_CADS0_DTLA0_DTLB0_DTVA0_DTVB0_EPS0_GRVWA8_GRVWB8_ISA942_WG16_4_4";
const CUBLAS_XMMA: &str = "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel__5x_cublas";
const FP8_CUTLASS: &str = "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cute::tuple<int, int, int, int>, cutlass::gemm::collective::CollectiveMma<cutlass::gemm::MainloopSm90TmaGmmaWarpSpecializedFP8<7, cute::tuple<cute::C<1>, cute::C<2>, cute::C<1> > >, cute::tuple<cute::C<128>, cute::C<128>, cute::C<128> >, cutlass::float_e4m3_t>, cutlass::epilogue::collective::CollectiveEpilogue<cutlass::epilogue::Sm90TmaWarpSpecialized<4, 2, 16, true, false> > > >(cutlass::gemm::kernel::GemmUniversal<cute::tuple<int, int, int, int> >::Params)";
const DEEP_GEMM: &str = "void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 24576u, 4096u, 1u, 128u, 128u, 128u, 128u, 128u, 128u, 4u, 0u, 128u, 128u, 2u, false, 132u, (deep_gemm::GemmType)0, deep_gemm::EpilogueIdentity>(float*, int*, unsigned int, unsigned int, unsigned int, CUtensorMap_st, CUtensorMap_st, CUtensorMap_st, CUtensorMap_st)";

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row(Role::Metadata, NV|SG, k("position", "compute_position_kernel", "elementwise|memory|unknown", "", 3, 2_100)),
    Row(Role::Metadata, AM|SG, k("position", "create_flashinfer_kv_indices_triton", "memory|attention|unknown", "", 4, 3_000)),
    Row(Role::Metadata, VL, k("slots", "_compute_slot_mapping_kernel", "elementwise|memory|unknown", "", 3, 2_200)),
    Row(Role::Metadata, HF, k("arange", "void (anonymous namespace)::elementwise_kernel_with_index<int, at::native::arange_cuda_out(c10::Scalar const&, c10::Scalar const&, c10::Scalar const&, at::Tensor&)::{lambda()#1}::operator()() const::{lambda()#4}::operator()() const::{lambda(long)#1}>(int, long*)", "elementwise", "aten::arange", 3, 2_000)),
    Row(Role::Embed, 0, k("embed", GATHER, "embedding|memory", "aten::embedding", 20, 2_500)),
    Row(Role::Norm, NV|SG, k("rmsnorm", FI_NORM, "norm", "sgl_kernel::rmsnorm", 20, 3_600)),
    Row(Role::Norm, AM|SG, k("rmsnorm", AITER_NORM, "norm", "aiter::rmsnorm", 24, 4_200)),
    Row(Role::Norm, VL, k("rmsnorm", "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*, c10::BFloat16 const*, long, long, long, long, long, c10::BFloat16 const*, float, int, int)", "norm", "_C::rms_norm", 21, 3_700)),
    Row(Role::Norm, HF, k("rmsnorm", "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0", "norm", "", 30, 5_000)),
    Row(Role::AddNorm, NV|SG, k("addnorm", FI_ADD_NORM, "norm", "sgl_kernel::fused_add_rmsnorm", 28, 4_000)),
    Row(Role::AddNorm, AM|SG, k("addnorm", AITER_ADD_NORM, "norm", "aiter::rmsnorm2d_fwd_with_add", 31, 4_800)),
    Row(Role::AddNorm, VL, k("addnorm", "std::enable_if<(((8)>(0)))&&vllm::_typeConvert<c10::BFloat16>::exists, void>::type vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*, long, c10::BFloat16*, c10::BFloat16 const*, float, int, int)", "norm", "_C::fused_add_rms_norm", 29, 4_100)),
    Row(Role::AddNorm, HF, k("addnorm", "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_2", "norm", "", 33, 5_100)),
    Row(Role::Add, 0, k("residual", ADD, "elementwise", "aten::add", 26, 2_300)),
    Row(Role::Qkv, NV|BF, k("qkv", "nvjet_tst_128x256_64x4_1x2_h_bz_coopA_TNT", "gemm", "aten::mm", 210, 14_000)),
    Row(Role::Qkv, NV|F8, k("qkv", FP8_CUTLASS, "gemm", "sgl_kernel::fp8_scaled_mm", 120, 9_000)),
    Row(Role::Qkv, AM, k("qkv", TENSILE_256, "gemm", "aten::mm", 240, 17_000)),
    Row(Role::QNorm, NV|SG, k("qnorm", FI_NORM, "norm", "sgl_kernel::rmsnorm", 14, 3_000)),
    Row(Role::QNorm, AM|SG, k("qnorm", AITER_HEAD_NORM, "norm", "aiter::rmsnorm", 15, 3_400)),
    Row(Role::QNorm, VL, k("qnorm", "void vllm::rms_norm_kernel<c10::BFloat16, 8, 3>(c10::BFloat16*, c10::BFloat16 const*, long, long, long, long, long, c10::BFloat16 const*, float, int, int)", "norm", "_C::rms_norm", 14, 3_100)),
    Row(Role::QNorm, HF, k("qnorm", "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_1", "norm", "", 18, 3_900)),
    Row(Role::KNorm, NV|SG, k("knorm", FI_NORM, "norm", "sgl_kernel::rmsnorm", 10, 2_800)),
    Row(Role::KNorm, AM|SG, k("knorm", AITER_HEAD_NORM, "norm", "aiter::rmsnorm", 11, 3_100)),
    Row(Role::KNorm, VL, k("knorm", "void vllm::rms_norm_kernel<c10::BFloat16, 8, 3>(c10::BFloat16*, c10::BFloat16 const*, long, long, long, long, long, c10::BFloat16 const*, float, int, int)", "norm", "_C::rms_norm", 10, 2_900)),
    Row(Role::KNorm, HF, k("knorm", "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_1", "norm", "", 12, 3_300)),
    Row(Role::QkNormRope, SG, k("qknormrope", "void (anonymous namespace)::fusedQKNormRopeKernel<128, false>(__nv_bfloat16*, int, int, int, float, __nv_bfloat16 const*, __nv_bfloat16 const*, float, int const*, int)", "norm|rope", "sgl_kernel::fused_qk_norm_rope", 22, 4_300)),
    Row(Role::QkNormRope, VL, k("qknormrope", "void tensorrt_llm::kernels::fusedQKNormRopeKernel<c10::BFloat16, c10::BFloat16, 128, true>(void*, int, int, int, float, void const*, void const*, void const*, long const*, int)", "norm|rope", "_C::fused_qk_norm_rope", 22, 4_300)),
    Row(Role::QkNormRope, HF, k("qknormrope", "triton_red_fused__to_copy_add_cat_cos_mean_mul_neg_pow_rsqrt_sin_4", "norm|rope", "", 26, 4_800)),
    Row(Role::Rope, NV|SG, k("rope", "void flashinfer::BatchQKApplyRotaryPosIdsCosSinCacheEnhancedKernel<false, 128u, 8u, 16u, __nv_bfloat16, long>(__nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, float*, long*, unsigned int, unsigned int, unsigned int, unsigned int)", "rope", "sgl_kernel::apply_rope_pos_ids_cos_sin_cache", 16, 3_200)),
    Row(Role::Rope, AM|SG, k("rope", "void rotary_embedding_kernel<c10::BFloat16, true>(long const*, c10::BFloat16*, c10::BFloat16*, c10::BFloat16 const*, int, long, long, long, int, int, int)", "rope", "sgl_kernel::rotary_embedding", 20, 3_600)),
    Row(Role::Rope, VL, k("rope", "void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*, c10::BFloat16*, c10::BFloat16*, c10::BFloat16 const*, int, long, long, long, int, int, int, long)", "rope", "_C::rotary_embedding", 18, 3_400)),
    Row(Role::Rope, HF, k("rope", "triton_poi_fused_add_cat_cos_mul_neg_sin_3", "rope", "", 24, 3_500)),
    Row(Role::RopeKvStore, 0, k("ropestore", "void flashinfer::RopeQuantizeAppendPagedKVCacheKernel<true, 8u, 16u, __nv_bfloat16, long, int, __nv_bfloat16>(flashinfer::rope_quantize_rope_append_params)", "rope|memory", "flashinfer::rope_append_paged_kv_cache", 24, 4_400)),
    Row(Role::KvStore, SG, k("kvstore", "void (anonymous namespace)::store_kvcache<2048l, 4, false, long>((anonymous namespace)::StoreKVCacheParams)", "memory", "", 12, 2_600)),
    Row(Role::KvStore, VL, k("kvstore", "void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, unsigned char, (vllm::Fp8KVCacheDataType)1>(__nv_bfloat16 const*, __nv_bfloat16 const*, unsigned char*, unsigned char*, long const*, long, long, long, long, long, int, int, int, float const*, float const*)", "memory", "_C_cache_ops::reshape_and_cache_flash", 13, 2_700)),
    Row(Role::KvStore, HF, k("kvstore", "void at::native::(anonymous namespace)::CatArrayBatchedCopy<at::native::(anonymous namespace)::OpaqueType<2u>, unsigned int, 4, 64, 64>(at::native::(anonymous namespace)::OpaqueType<2u>*, at::native::(anonymous namespace)::CatArrInputTensorMetadata<at::native::(anonymous namespace)::OpaqueType<2u>, unsigned int, 64, 64>, at::native::(anonymous namespace)::TensorSizeStride<unsigned int, 4u>, int, unsigned int)", "memory", "aten::cat", 22, 4_000)),
    Row(Role::AttnPrefill, NV|SG|VL|FA, k("attn_prefill", FA3, "attention", "sgl_kernel::fwd", 320, 24_000)),
    Row(Role::AttnPrefill, NV|SG|VL|FI, k("attn_prefill", FI_PREFILL, "attention", "", 340, 26_000)),
    Row(Role::AttnPrefill, AM|SG, k("attn_prefill", CK_PREFILL, "attention", "aiter::mha_batch_prefill", 360, 28_000)),
    Row(Role::AttnPrefill, AM|VL, k("attn_prefill", "kernel_unified_attention_2d", "attention", "", 390, 29_000)),
    Row(Role::AttnPrefill, HF, k("attn_prefill", "void pytorch_flash::flash_fwd_kernel<pytorch_flash::Flash_fwd_kernel_traits<128, 128, 64, 4, false, false, cutlass::bfloat16_t, pytorch_flash::Flash_kernel_traits<128, 128, 64, 4, cutlass::bfloat16_t> >, false, true, false, false, true, true, false, false>(pytorch_flash::Flash_fwd_params)", "attention", "aten::_flash_attention_forward", 420, 30_000)),
    Row(Role::AttnDecode, NV|SG|VL|FA, k("attn_decode", FA3_SPLIT, "attention", "sgl_kernel::fwd", 20, 18_000)),
    Row(Role::AttnDecode, NV|SG|VL|FI, k("attn_decode", FI_DECODE, "attention", "", 20, 19_000)),
    Row(Role::AttnDecode, AM|SG, k("attn_decode", PAGED_MFMA, "attention", "aiter::paged_attention_rocm", 22, 21_000)),
    Row(Role::AttnDecode, AM|VL, k("attn_decode", "kernel_unified_attention_3d", "attention", "", 22, 22_000)),
    Row(Role::AttnDecode, HF, k("attn_decode", "void pytorch_flash::flash_fwd_splitkv_kernel<pytorch_flash::Flash_fwd_kernel_traits<128, 64, 128, 4, false, false, cutlass::bfloat16_t, pytorch_flash::Flash_kernel_traits<128, 64, 128, 4, cutlass::bfloat16_t> >, false, false, false, false, true, false, true, false>(pytorch_flash::Flash_fwd_params)", "attention", "aten::_flash_attention_forward", 21, 20_000)),
    Row(Role::AttnCombine, NV|SG|VL|FA, k("attn_combine", FA3_COMBINE, "attention", "sgl_kernel::fwd", 4, 3_000)),
    Row(Role::AttnCombine, NV|SG|VL|FI, k("attn_combine", FI_MERGE, "attention", "", 4, 3_100)),
    Row(Role::AttnCombine, AM|SG, k("attn_combine", PAGED_REDUCE, "attention", "aiter::paged_attention_rocm", 5, 3_800)),
    Row(Role::AttnCombine, AM|VL, k("attn_combine", "reduce_segments", "attention", "", 5, 3_900)),
    Row(Role::AttnCombine, HF, k("attn_combine", "void pytorch_flash::flash_fwd_splitkv_combine_kernel<pytorch_flash::Flash_fwd_kernel_traits<128, 64, 128, 4, false, false, cutlass::bfloat16_t, pytorch_flash::Flash_kernel_traits<128, 64, 128, 4, cutlass::bfloat16_t> >, 4, 3, true>(pytorch_flash::Flash_fwd_params)", "attention", "aten::_flash_attention_forward", 4, 3_300)),
    Row(Role::AttnVerify, NV|FA, k("attn_verify", FA3, "attention", "sgl_kernel::fwd", 26, 24_000)),
    Row(Role::AttnVerify, NV|FI, k("attn_verify", FI_VERIFY, "attention", "", 27, 25_000)),
    Row(Role::AttnVerify, AM|SG, k("attn_verify", CK_PREFILL, "attention", "aiter::mha_batch_prefill", 29, 28_000)),
    Row(Role::AttnVerify, AM|VL, k("attn_verify", "kernel_unified_attention_2d", "attention", "", 30, 29_000)),
    Row(Role::OProj, NV|BF, k("oproj", "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNN", "gemm", "aten::mm", 160, 10_000)),
    Row(Role::OProj, NV|F8, k("oproj", FP8_CUTLASS, "gemm", "sgl_kernel::fp8_scaled_mm", 95, 7_000)),
    Row(Role::OProj, AM, k("oproj", TENSILE_128, "gemm", "aten::mm", 180, 12_000)),
    Row(Role::AllReduceNorm, 0, k("allreduce_norm", "void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<(flashinfer::trtllm_allreduce_fusion::AllReduceFusionPattern)1, __nv_bfloat16, 2, true, true>(flashinfer::trtllm_allreduce_fusion::AllReduceFusionParams<__nv_bfloat16>)", "communication", "sglang::flashinfer_allreduce_residual_rmsnorm", 190, 12_000)),
    Row(Role::GateUp, NV|BF, k("gateup", CUBLAS_XMMA, "gemm", "aten::mm", 540, 30_000)),
    Row(Role::GateUp, NV|F8, k("gateup", DEEP_GEMM, "gemm", "sglang::deep_gemm_fp8_fp8_bf16_nt", 310, 19_000)),
    Row(Role::GateUp, AM, k("gateup", TENSILE_320, "gemm", "aten::mm", 600, 35_000)),
    Row(Role::ActMul, NV|SG, k("silu_mul", "void flashinfer::activation::act_and_mul_kernel<__nv_bfloat16, &(silu(float const&))>(__nv_bfloat16*, __nv_bfloat16 const*, int)", "activation", "sgl_kernel::silu_and_mul", 40, 3_500)),
    Row(Role::ActMul, AM|SG, k("silu_mul", "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_ES3_S5_EEEEvPS3_PS4_i", "activation", "sgl_kernel::silu_and_mul", 44, 3_900)),
    Row(Role::ActMul, VL, k("silu_mul", "void vllm::act_and_mul_kernel<c10::BFloat16, &(c10::BFloat16 vllm::silu_kernel<c10::BFloat16>(c10::BFloat16 const&)), true>(c10::BFloat16*, c10::BFloat16 const*, int)", "activation", "_C::silu_and_mul", 41, 3_600)),
    Row(Role::ActMul, HF, k("silu_mul", "triton_poi_fused_mul_silu_5", "activation", "", 48, 3_700)),
    Row(Role::Silu, 0, k("silu", SILU, "activation", "aten::silu", 38, 2_900)),
    Row(Role::Mul, 0, k("mul", MUL, "elementwise", "aten::mul", 36, 2_700)),
    Row(Role::Down, NV|BF, k("down", "nvjet_tst_256x128_64x4_2x1_v_bz_coopB_TNT", "gemm", "aten::mm", 280, 16_000)),
    Row(Role::Down, NV|F8, k("down", DEEP_GEMM, "gemm", "sglang::deep_gemm_fp8_fp8_bf16_nt", 165, 11_000)),
    Row(Role::Down, AM, k("down", TENSILE_64, "gemm", "aten::mm", 320, 19_000)),
    Row(Role::Router, NV, k("router", "nvjet_tst_64x8_64x16_4x1_v_bz_splitK_TNT", "gemm|moe", "aten::mm", 24, 6_000)),
    Row(Role::Router, AM, k("router", TENSILE_64, "gemm|moe", "aten::mm", 28, 7_000)),
    Row(Role::TopK, SG, k("topk", "void topkGatingSoftmax<8, 128, 4, 16, (anonymous namespace)::TopKSoftmax>(float const*, bool const*, float*, int, int*, int, int, int, bool)", "moe|reduce_topk", "sgl_kernel::topk_softmax", 12, 3_200)),
    Row(Role::TopK, VL, k("topk", "void vllm::moe::topkGatingSoftmax<8, 128, 4, 16, 32, int, __nv_bfloat16>(__nv_bfloat16 const*, bool const*, float*, int, int*, int*, int, int, int, bool)", "moe|reduce_topk", "_moe_C::topk_softmax", 12, 3_300)),
    Row(Role::TopK, HF, k("topk", "void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>(at::cuda::detail::TensorInfo<float const, unsigned int>, unsigned int, unsigned int, bool, unsigned int, unsigned int)", "reduce_topk|moe", "aten::topk", 18, 5_000)),
    Row(Role::MoeAlign, SG, k("moe_align", "void moe_align_block_size_kernel<int>(int const*, int*, int*, int*, int, int, int, unsigned long, int*, bool, int)", "moe", "sgl_kernel::moe_align_block_size", 9, 4_600)),
    Row(Role::MoeAlign, VL, k("moe_align", "void vllm::moe::moe_align_block_size_kernel<int>(int const*, int*, int*, int*, int, int, int, int, unsigned long, int*, int, int)", "moe", "_moe_C::moe_align_block_size", 9, 4_700)),
    Row(Role::MoeAlign, HF, k("moe_align", "void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel<at::native::index_kernel_impl<at::native::OpaqueType<2> >(at::TensorIteratorBase&, c10::ArrayRef<long>, c10::ArrayRef<long>)::{lambda(char*, char const*, long)#1}> >(long)", "memory|moe", "aten::index", 20, 5_200)),
    Row(Role::MoeUp, 0, k("moe_up", "fused_moe_kernel", "moe|gemm", "sglang::inplace_fused_experts", 620, 46_000)),
    Row(Role::MoeDown, 0, k("moe_down", "fused_moe_kernel", "moe|gemm", "sglang::inplace_fused_experts", 330, 27_000)),
    Row(Role::MoeSum, SG, k("moe_sum", "_moe_sum_reduce_kernel", "moe", "sglang::inplace_fused_experts", 34, 3_900)),
    Row(Role::MoeSum, VL, k("moe_sum", "void vllm::moe::moe_sum_kernel<c10::BFloat16, 8>(c10::BFloat16*, c10::BFloat16 const*, int)", "moe", "_moe_C::moe_sum", 34, 3_800)),
    Row(Role::MoeSum, HF, k("moe_sum", "void at::native::indexFuncLargeIndex<c10::BFloat16, long, unsigned int, 2, 2, -2, true, at::native::ReduceAdd>(at::cuda::detail::TensorInfo<c10::BFloat16, unsigned int>, long, at::native::ReduceAdd)", "moe|memory|elementwise", "aten::index_add_", 40, 5_000)),
    Row(Role::Quant, SG, k("quant", "void per_token_group_quant_8bit_kernel<__nv_bfloat16, __nv_fp8_e4m3, true, false>(__nv_bfloat16 const*, void*, float*, int, int, int, float, float, float, int, int)", "quantize", "sgl_kernel::sgl_per_token_group_quant_8bit", 16, 2_700)),
    Row(Role::Quant, VL, k("quant", "void vllm::scaled_fp8_quant_kernel_strided<c10::BFloat16, c10::Float8_e4m3fn>(c10::Float8_e4m3fn*, c10::BFloat16 const*, float const*, int, long, long)", "quantize", "_C::static_scaled_fp8_quant", 16, 2_700)),
    Row(Role::Quant, HF, k("quant", "triton_poi_fused__to_copy_clamp_mul_6", "quantize", "", 17, 2_800)),
    Row(Role::NormQuant, 0, k("normquant", "void vllm::fused_add_rms_norm_static_fp8_quant_kernel<c10::BFloat16, 8, c10::Float8_e4m3fn>(c10::Float8_e4m3fn*, c10::BFloat16*, int, c10::BFloat16*, c10::BFloat16 const*, float const*, float, int, int)", "norm|quantize", "_C::fused_add_rms_norm_static_fp8_quant", 30, 4_300)),
    Row(Role::LmHead, NV, k("lm_head", "nvjet_tst_64x32_64x16_4x1_v_bz_TNT", "gemm", "aten::mm", 260, 210_000)),
    Row(Role::LmHead, AM, k("lm_head", "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x16x64_MI16x16x1_SN_LDSB1_AFC1_AFEM1_AFEM1_ASEM1_CLR1_CADS0_DTLA0_DTLB0_ISA942_WG64_4_1", "gemm", "aten::mm", 300, 240_000)),
    Row(Role::ToFloat, 0, k("to_float", TO_FLOAT, "elementwise|memory", "aten::copy_", 6, 5_000)),
    Row(Role::Argmax, 0, k("argmax", ARGMAX, "reduce_topk|sampling", "aten::argmax", 22, 20_000)),
    Row(Role::VerifyTree, SG, k("verify_tree", "void VerifyTreeGreedy<int, long>(int*, int*, int*, long*, long*, long*, long*, long*, unsigned int, unsigned int, unsigned int)", "sampling", "sgl_kernel::verify_tree_greedy", 9, 8_200)),
    Row(Role::VerifyTree, VL, k("verify_tree", "rejection_greedy_sample_kernel", "sampling", "", 8, 7_400)),
    Row(Role::TreeSample, SG, k("tree_sample", "void flashinfer::sampling::TreeSpeculativeSamplingTargetOnly<1024u, (cub::BlockScanAlgorithm)2, (cub::BlockReduceAlgorithm)0, 4u, true, float, int, long>(int*, int*, int*, long*, long*, long*, long*, float*, float*, float*, float*, unsigned int, unsigned int, unsigned int, unsigned int, float, float)", "sampling", "sgl_kernel::tree_speculative_sampling_target_only", 32, 30_000)),
    Row(Role::TreeSample, VL, k("tree_sample", "sample_recovered_tokens_kernel", "sampling", "", 30, 28_000)),
    Row(Role::DraftPrepare, SG, k("draft_prepare", "assign_draft_cache_locs", "memory|unknown", "", 3, 2_900)),
    Row(Role::DraftPrepare, VL, k("draft_prepare", "eagle_prepare_inputs_padded_kernel", "memory|unknown", "", 3, 2_900)),
    Row(Role::DraftFc, NV, k("draft_fc", "nvjet_tst_64x8_64x16_2x1_v_bz_TNT", "gemm", "aten::mm", 60, 7_500)),
    Row(Role::DraftFc, AM, k("draft_fc", TENSILE_64, "gemm", "aten::mm", 70, 8_500)),
    Row(Role::DraftTopK, 0, k("draft_topk", "void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>(at::cuda::detail::TensorInfo<float const, unsigned int>, unsigned int, unsigned int, bool, unsigned int, unsigned int, at::cuda::detail::TensorInfo<float, unsigned int>, unsigned int, unsigned int, at::cuda::detail::TensorInfo<long, unsigned int>, unsigned int, float*)", "reduce_topk|sampling", "aten::topk", 30, 26_000)),
    Row(Role::BuildTree, SG, k("build_tree", "build_tree_efficient(long*, long*, int*, bool*, long*, long*, long*, long*, int, int, int, int)", "sampling|memory|unknown", "sgl_kernel::build_tree_kernel_efficient", 5, 4_400)),
    Row(Role::BuildTree, VL, k("build_tree", "copy_and_expand_eagle_inputs_kernel", "sampling|memory|unknown", "", 4, 3_600)),
    Row(Role::Copy, 0, k("copy", COPY_BF16, "elementwise|memory", "aten::copy_", 24, 2_000)),
    Row(Role::Fill, 0, k("fill", FILL, "elementwise|memory", "aten::fill_", 2, 1_700)),
];

/// Collectives by kind; NVIDIA first, AMD second.
#[rustfmt::skip]
const COLLECTIVES: &[(Comm, Kernel, Kernel)] = &[
    (Comm::Nccl, k("allreduce", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "communication", "c10d::allreduce_", 180, 16_000),
        k("allreduce", "ncclDevKernel_Generic_1(ncclDevKernelArgsStorage<4096ul>)", "communication", "c10d::allreduce_", 210, 19_000)),
    (Comm::Rccl, k("allreduce", "void rcclGenericKernel<1, false>(ncclDevKernelArgsStorage<4096ul>)", "communication", "c10d::allreduce_", 200, 18_000),
        k("allreduce", "void rcclGenericKernel<1, false>(ncclDevKernelArgsStorage<4096ul>)", "communication", "c10d::allreduce_", 205, 18_500)),
    (Comm::OneShot, k("allreduce", "void sglang::cross_device_reduce_1stage<__nv_bfloat16, 2>(sglang::RankData*, sglang::RankSignals, sglang::Signal*, __nv_bfloat16*, int, int)", "communication", "sgl_kernel::all_reduce", 170, 11_000),
        k("allreduce", "void aiter::cross_device_reduce_1stage<__hip_bfloat16, 2>(aiter::RankData*, aiter::RankSignals, aiter::Signal*, __hip_bfloat16*, int, int)", "communication", "aiter::all_reduce", 185, 12_500)),
    (Comm::TwoShot, k("allreduce", "void vllm::cross_device_reduce_2stage<__nv_bfloat16, 2>(vllm::RankData*, vllm::RankSignals, vllm::Signal*, __nv_bfloat16*, int, int)", "communication", "_C_custom_ar::all_reduce", 150, 13_000),
        k("allreduce", "void quickreduce::allreduce_prototype_twoshot<quickreduce::AllReduceTwoshot<__hip_bfloat16, quickreduce::CodecFP<__hip_bfloat16, 8>, true>, __hip_bfloat16>(__hip_bfloat16 const*, __hip_bfloat16*, unsigned int, unsigned int, int, unsigned char**, unsigned int, unsigned int)", "communication", "_C_custom_ar::qr_all_reduce", 160, 14_000)),
    (Comm::Multimem, k("allreduce", "void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(c10::BFloat16*, unsigned long, unsigned int**, unsigned long, unsigned long)", "communication", "symm_mem::multimem_all_reduce_", 140, 12_000),
        k("allreduce", "void (anonymous namespace)::two_shot_all_reduce_kernel<c10::BFloat16, 16, 8>(c10::BFloat16**, unsigned long, unsigned long, unsigned int**, unsigned long, unsigned long)", "communication", "symm_mem::two_shot_all_reduce_", 170, 15_000)),
    (Comm::UserBuffers, k("allreduce", "void userbuffers_fp16_sum_inplace_gpu_mc_rs_oop<8>(int, int, int, int, int, int, int, int, void**, void*, unsigned long, void*, unsigned long)", "communication", "tex_ts::bulk_overlap_rs", 150, 13_500),
        k("allreduce", "void userbuffers_fp16_sum_inplace_gpu_rr_rs<8>(int, int, int, int, int, int, int, void**, int, unsigned long)", "communication", "tex_ts::bulk_overlap_rs", 160, 14_500)),
    (Comm::NcclSymmetric, k("allreduce", "ncclSymkDevKernel_AllReduce_RSxLDMC_AGxSTMC_sum_bf16(ncclSymkDevWorkArgs4K)", "communication", "c10d::allreduce_", 140, 11_500),
        k("allreduce", "ncclSymkDevKernel_AllReduce_AGxLLMC_R_sum_bf16(ncclSymkDevWorkArgs4K)", "communication", "c10d::allreduce_", 150, 12_500)),
];

fn bits(o: &Options) -> u16 {
    let gpu = if o.gpu == Gpu::Nvidia { NV } else { AM };
    let engine = match o.engine {
        Engine::Sglang => SG,
        Engine::Vllm => VL,
        Engine::Torch => HF,
    };
    let precision = if o.fp8 { F8 } else { BF };
    let attention = if o.attention == Attention::Fa3 { FA } else { FI };
    gpu | engine | precision | attention
}

/// The kernel of a role under these options; absent where the engine has none.
pub fn kernel(role: Role, o: &Options) -> Option<&'static Kernel> {
    if role == Role::AllReduce {
        let (_, nvidia, amd) = COLLECTIVES.iter().find(|(comm, ..)| *comm == o.comm)?;
        return Some(if o.gpu == Gpu::Nvidia { nvidia } else { amd });
    }
    let have = bits(o);
    let fits = |when: u16| GROUPS.iter().all(|g| when & g == 0 || when & g & have != 0);
    TABLE.iter().find(|row| row.0 == role && fits(row.1)).map(|row| &row.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracegen::options::Class;

    #[test]
    fn every_role_has_a_kernel_on_every_engine_that_uses_it() {
        let all = [
            Role::Metadata,
            Role::Embed,
            Role::Norm,
            Role::AddNorm,
            Role::Add,
            Role::Qkv,
            Role::QNorm,
            Role::KNorm,
            Role::QkNormRope,
            Role::Rope,
            Role::RopeKvStore,
            Role::KvStore,
            Role::AttnPrefill,
            Role::AttnDecode,
            Role::AttnCombine,
            Role::OProj,
            Role::AllReduce,
            Role::AllReduceNorm,
            Role::GateUp,
            Role::ActMul,
            Role::Silu,
            Role::Mul,
            Role::Down,
            Role::Router,
            Role::TopK,
            Role::MoeAlign,
            Role::MoeUp,
            Role::MoeDown,
            Role::MoeSum,
            Role::Quant,
            Role::NormQuant,
            Role::LmHead,
            Role::ToFloat,
            Role::Argmax,
            Role::Fill,
            Role::Copy,
        ];
        let speculative = [
            Role::AttnVerify,
            Role::VerifyTree,
            Role::TreeSample,
            Role::DraftPrepare,
            Role::DraftFc,
            Role::DraftTopK,
            Role::BuildTree,
        ];
        for engine in [Engine::Sglang, Engine::Vllm, Engine::Torch] {
            for gpu in [Gpu::Nvidia, Gpu::Amd] {
                for attention in [Attention::Fa3, Attention::FlashInfer] {
                    for fp8 in [false, true] {
                        let o = Options {
                            engine,
                            gpu,
                            attention,
                            fp8,
                            pattern: vec![Class::Decode],
                            ..Options::default()
                        };
                        for role in all {
                            let found =
                                kernel(role, &o).unwrap_or_else(|| panic!("{role:?} on {engine:?} {gpu:?}"));
                            assert!(found.prefill_ns > 0 && found.decode_ns > 0);
                        }
                        if engine != Engine::Torch {
                            for role in speculative {
                                assert!(kernel(role, &o).is_some(), "{role:?} on {engine:?} {gpu:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}

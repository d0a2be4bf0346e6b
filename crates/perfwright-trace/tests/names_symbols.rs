//! Parsing: which part of a name carries the meaning, and that no input breaks or slows the parser.

use std::time::Instant;

use std::sync::LazyLock;

use perfwright_trace::names::{Catalog, Symbol, normalise};
use proptest::prelude::*;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().expect("catalogue"));

fn base(name: &str) -> String {
    Symbol::parse(name).base
}

#[test]
fn tile_sizes_are_not_addresses() {
    let wide = "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT320x256x64_MI16x16x1_SN_LDSB0_AFC1_AFEM1_AFEM1_ASEM1_CLR1_CADS0_DTLA0";
    let narrow = wide.replace("MT320x256x64", "MT320x128x64");
    let (wide, narrow) = (Symbol::parse(wide), Symbol::parse(&narrow));
    assert!(wide.display.contains("MT320x256x64"), "{}", wide.display);
    assert!(narrow.display.contains("MT320x128x64"), "{}", narrow.display);
    assert_ne!(wide.base, narrow.base);
    assert_eq!(normalise("f<object at 0x7f12ab34cd50>_MT320x256"), "f<object at 0xADDR>_MT320x256");
    assert_eq!(normalise("k 0x256 at 0xdeadbeef"), "k 0x256 at 0xADDR");
    assert_eq!(normalise("MT0x123456789"), "MT0x123456789");
}

#[test]
fn wrappers_give_way_to_what_they_wrap() {
    for (name, expected, wrapper) in [
        (
            "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, cute::tuple<cute::C<1> >, cutlass::bfloat16_t> > > >(flash::Params)",
            "flash::FlashAttnFwdSm90",
            Some("cutlass::device_kernel"),
        ),
        (
            "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_64x64_64x6_tn_align8>(cutlass_80_tensorop_bf16_s16816gemm_bf16_64x64_64x6_tn_align8::Params)",
            "cutlass_80_tensorop_bf16_s16816gemm_bf16_64x64_64x6_tn_align8",
            Some("cutlass::Kernel2"),
        ),
        (
            "_ZN7ck_tile6kentryILi2ENS_38FmhaBatchPrefillWithPagedKVCacheKernelINS_40BlockFmhaBatchPrefillPipelineQRKSVSAsyncIiEEEEEEvT0_",
            "ck_tile::FmhaBatchPrefillWithPagedKVCacheKernel",
            Some("ck_tile::kentry"),
        ),
        (
            "void cutlass::Kernel<cutlass_80_tensorop_s1688gemm_128x128_32x3_nn_align4>",
            "cutlass_80_tensorop_s1688gemm_128x128_32x3_nn_align4",
            Some("cutlass::Kernel"),
        ),
        (
            "void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(c10::BFloat16*, unsigned long)",
            "multimem_all_reduce_kernel",
            None,
        ),
        (
            "std::enable_if<(((8)>(0)))&&vllm::_typeConvert<c10::BFloat16>::exists, void>::type vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*)",
            "vllm::fused_add_rms_norm_kernel",
            None,
        ),
        (
            "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float, false, 7>(int)",
            "internal::gemvx::kernel",
            None,
        ),
        (
            "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi64ELi8ELb0ELb0ELb1ELi1EEEvPT0_PT_PfS4_S4_S4_diiiiiiib",
            "aiter::add_rmsnorm_quant_kernel",
            None,
        ),
        ("nvjet_tst_256x128_64x4_2x1_v_bz_coopB_TNT", "nvjet_tst_256x128_64x4_2x1_v_bz_coopB_TNT", None),
        ("attn_fwd.kd", "attn_fwd", None),
        ("void mine::apply<mine::Functor, 4>(int)", "mine::apply", None),
        ("Memcpy DtoD (Device -> Device)", "Memcpy DtoD (Device -> Device)", None),
    ] {
        let symbol = Symbol::parse(name);
        assert_eq!(symbol.base, expected, "{name}");
        assert_eq!(symbol.wrapper.as_deref(), wrapper, "{name}");
    }
}

#[test]
fn functors_are_found_behind_adaptors() {
    for (name, functor) in [
        (
            "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda()#12}::operator()() const::{lambda(c10::BFloat16)#1}>(at::TensorIteratorBase&, at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3} const&)::{lambda(int)#1}>(int, int)",
            "at::native::direct_copy_kernel_cuda",
        ),
        (
            "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::func_wrapper_t<float, at::native::sum_functor<float, float, float>::operator()(at::TensorIterator&)::{lambda(float, float)#1}>, unsigned int, float, 4> >(int)",
            "at::native::sum_functor",
        ),
        (
            "void flashinfer::activation::act_and_mul_kernel<__nv_bfloat16, &(silu(float const&))>(__nv_bfloat16*, __nv_bfloat16 const*, int)",
            "silu",
        ),
        (
            "void vllm::act_and_mul_kernel<c10::BFloat16, &(c10::BFloat16 vllm::silu_kernel<c10::BFloat16>(c10::BFloat16 const&)), true>(c10::BFloat16*)",
            "vllm::silu_kernel",
        ),
        (
            "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_ES3_S5_EEEEvPS3_PS4_i",
            "silu",
        ),
        (
            "void at::native::elementwise_kernel_manual_unroll<128, 4, at::native::(anonymous namespace)::type_specialized_broadcast_kernel_launcher<1>::apply<at::native::BinaryFunctor<float, float, float, at::native::binary_internal::MulFunctor<float> > >(int)::{lambda(int)#1}>(int)",
            "at::native::binary_internal::MulFunctor",
        ),
    ] {
        assert_eq!(Symbol::parse(name).functor.as_deref(), Some(functor), "{name}");
    }
}

#[test]
fn truncated_and_odd_names_keep_what_is_readable() {
    assert_eq!(
        base("void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<(flashinfer::Ma"),
        "flashinfer::BatchPrefillWithPagedKVCacheKernel"
    );
    assert_eq!(base("_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi2"), "aiter::add_rmsnorm_quant_kernel");
    assert_eq!(base(""), "");
    assert_eq!(base("<<<>>>"), "<<<>>>");
    assert_eq!(base("_Z"), "_Z");
    assert!(!base("核函数<int>(x)").is_empty());
}

#[test]
fn displays_are_short_and_tell_kernels_apart() {
    let long = "bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x16x256u2_s3_et128x16_m128x16x32_cga1x1x1_16dp256b_rM_TN_transOut_schedP2x1x2x3_biasM_bN_tma_tmaOpt_clmp_swiGlu_dynBatch_sm100f";
    let other = long.replace("t128x16x256u2", "t128x32x256u2");
    let (a, b) = (Symbol::parse(long).display, Symbol::parse(&other).display);
    assert!(a.len() <= 90 && b.len() <= 90, "{a} {b}");
    assert_ne!(a, b);
    insta::assert_snapshot!(
        [
            a.as_str(),
            &Symbol::parse("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, at::detail::Array<char*, 3> >(int)").display,
            &Symbol::parse("void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, unsigned char, (vllm::Fp8KVCacheDataType)1>(int)").display,
            &Symbol::parse("void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(int)").display,
        ]
        .join("\n"),
        @r"
    bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x16x256u2_s3_et128x16_m12...p_swiGlu_dynBatch_sm100f#24b9
    native::vectorized_elementwise_kernel<CUDAFunctor_add, 4>#9d6c
    vllm::reshape_and_cache_flash_kernel<bf16, 1>#6381
    norm::FusedAddRMSNormKernel<8u, bf16>#1aa5
    "
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,300}") {
        let symbol = Symbol::parse(&text);
        prop_assert!(symbol.display.len() <= 90);
        let class = CATALOG.classify(&symbol, Some(&text));
        prop_assert_eq!(class.rule.is_none(), class.category.as_str() == "unknown");
    }

    #[test]
    fn any_bracket_soup_has_an_answer(text in "(::|<|>|\\(|\\)|\\{|\\}|,| |operator|operator\\(\\)|\\(anonymous namespace\\)|a|int|at|cutlass::Kernel<|gpu_kernel_impl<|&|'|0x12345678|é){0,120}") {
        let symbol = Symbol::parse(&text);
        prop_assert!(symbol.display.len() <= 90);
        prop_assert!(symbol.args.iter().all(|a| a.len() <= 96));
    }

    #[test]
    fn any_mangled_soup_has_an_answer(text in "_Z(N|I|E|S_|S0_|T_|Li1|L|X|[0-9]{1,3}|a|b|F|P|K|v|dT|sr|cl){0,80}") {
        prop_assert!(Symbol::parse(&text).display.len() <= 90);
    }
}

/// Time per byte must not grow with the length: 16x the text may cost at most 64x the time.
#[test]
fn cost_is_linear_in_the_length() {
    let shapes: [fn(usize) -> String; 6] = [
        |n| "cutlass::Kernel<".repeat(n / 16),
        |n| format!("f<{}>", "gpu_kernel_impl<a, ".repeat(n / 19)),
        |n| format!("void f{}", "(a)::b".repeat(n / 6)),
        |n| "0x123456 ".repeat(n / 9),
        |n| format!("_Z{}", "N1aI".repeat(n / 4)),
        |n| format!("k<{}>", "a<b, c>, ".repeat(n / 9)),
    ];
    for (i, shape) in shapes.iter().enumerate() {
        let time = |n: usize| {
            let text = shape(n);
            (0..5)
                .map(|_| {
                    let start = Instant::now();
                    assert!(Symbol::parse(&text).display.len() <= 90);
                    start.elapsed()
                })
                .min()
                .unwrap_or_default()
        };
        let (short, long) = (time(1_000), time(16_000));
        assert!(long.as_micros() < 64 * short.as_micros().max(20), "shape {i}: {short:?} then {long:?}");
    }
}

//! Names that are known to be mistaken by substring classifiers, and families no trace here holds.

use perfwright_trace::names::{By, Catalog, Comm, Phase, Symbol};

fn category(name: &str, op: Option<&str>) -> String {
    Catalog::builtin().expect("catalogue").classify(&Symbol::parse(name), op).category.to_string()
}

fn all(rows: &[(&str, &str)]) {
    let catalog = Catalog::builtin().expect("catalogue");
    let faults: Vec<String> = rows
        .iter()
        .filter_map(|(name, expected)| {
            let got = catalog.classify(&Symbol::parse(name), None);
            (got.category.as_str() != *expected)
                .then(|| format!("{name}: {expected} expected, {} by {:?}", got.category, got.rule))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Each name contains a word of another category: `cutlass::`, "fill", "gemm", "copy", "quant", "fp8".
#[test]
fn words_inside_other_words_and_types_do_not_decide() {
    all(&[
        (
            "void pytorch_flash::flash_fwd_kernel<pytorch_flash::Flash_fwd_kernel_traits<64, 128, 128, 4, false, false, cutlass::bfloat16_t> >(pytorch_flash::Flash_fwd_params)",
            "attention",
        ),
        (
            "void cutlass::device_kernel<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, cutlass::gemm::Foo> > >(int)",
            "attention",
        ),
        (
            "void flashinfer::BatchPrefillWithRaggedKVCacheKernel<flashinfer::KernelTraits<1>, flashinfer::RaggedParams>(flashinfer::RaggedParams)",
            "attention",
        ),
        (
            "void flashinfer::BatchDecodeWithPagedKVCacheKernel<(flashinfer::PosEncodingMode)0, 2u, 4u>(int)",
            "attention",
        ),
        ("void flashinfer::norm::GemmaRMSNormKernel<8u, __nv_bfloat16>(int)", "norm"),
        ("_gemma_rmsnorm_kernel", "norm"),
        (
            "void split_embedding_codegen_forward_unweighted_kernel<float, float, float, long, 2ul>(int)",
            "embedding",
        ),
        ("triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_3", "norm"),
        ("Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT320x256x64_MI16x16x1_SN", "gemm"),
        ("void wvSplitK_hf_sml_<__hip_bfloat16, 64, 2, 16, 8, 2, 4>(int)", "gemm"),
        ("_ZN5aiter32fmha_fwd_hd128_bf16_causal_groupE", "attention"),
        ("_ZN5aiter26mha_varlen_fwd_hd128_groupE", "attention"),
        ("rcclGenericKernel(ncclDevKernelArgsStorage<4096ul>)", "communication"),
        ("mscclKernel_Sum_bf16_Simple_false(ncclDevComm*)", "communication"),
        (
            "void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, unsigned char, (vllm::Fp8KVCacheDataType)1>(int)",
            "memory",
        ),
        ("_combined_routing_compute", "moe"),
        ("_combined_routing_memset", "moe"),
        ("triton_poi_fused__scaled_dot_product_flash_attention_cat_transpose_view_10", "memory"),
    ]);
}

/// A kernel has one category wherever it is asked; the known tool has two classifiers that disagree.
#[test]
fn one_classifier_for_every_table() {
    for (name, expected) in [
        ("fused_moe_kernel", "moe"),
        ("void vllm::rms_norm_kernel<c10::BFloat16>(int)", "norm"),
        ("void flashinfer::norm::GemmaFusedAddRMSNormKernel<8u, __nv_bfloat16>(int)", "norm"),
    ] {
        assert_eq!(category(name, None), expected);
        assert_eq!(
            category(name, Some("vllm::moe_forward")),
            expected,
            "the operation must not overrule a clear name"
        );
    }
}

#[test]
fn communication_of_every_kind_is_found() {
    let catalog = Catalog::builtin().expect("catalogue");
    for (name, comm) in [
        ("void sglang::cross_device_reduce_1stage<__nv_bfloat16, 8>(int)", Some(Comm::AllReduce)),
        ("void vllm::cross_device_reduce_2stage<__nv_bfloat16, 2>(int)", Some(Comm::AllReduce)),
        ("void aiter::cross_device_reduce_1stage_naive<__hip_bfloat16, 8>(int)", Some(Comm::AllReduce)),
        ("void tensorrt_llm::kernels::oneShotAllReduceKernel<__nv_bfloat16, 8>(int)", Some(Comm::AllReduce)),
        ("void tensorrt_llm::kernels::twoShotAllReduceKernel<__nv_bfloat16, 8>(int)", Some(Comm::AllReduce)),
        ("one_shot_all_reduce_kernel", Some(Comm::AllReduce)),
        ("two_shot_all_reduce_kernel_inplace", Some(Comm::AllReduce)),
        (
            "void tensorrt_llm::kernels::ar_fusion::allreduce_fusion_kernel_twoshot_sync<(tensorrt_llm::kernels::ar_fusion::AllReduceFusionPattern)1, __nv_bfloat16, 8, false>(int)",
            Some(Comm::AllReduce),
        ),
        (
            "void tensorrt_llm::kernels::reduce_fusion::lamport_style_one_shot_all_reduce_norm_kernel<__nv_bfloat16, 8, true, true>(int)",
            Some(Comm::AllReduce),
        ),
        (
            "void tensorrt_llm::kernels::minimax_ar::minimax_reduce_rms_kernel_lamport<__nv_bfloat16, 4>(int)",
            Some(Comm::AllReduce),
        ),
        ("userbuffers_fp16_sum_inplace_gpu_rr_rs_oop", None),
        ("kuserbuffers_pushrecv", None),
        ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", Some(Comm::AllReduce)),
        ("rcclGenericKernel<1, false>(ncclDevKernelArgsStorage<4096ul>)", None),
        (
            "void (anonymous namespace)::multimem_one_shot_all_reduce_kernel<c10::BFloat16, 16>(int)",
            Some(Comm::AllReduce),
        ),
        ("void (anonymous namespace)::multimem_all_gather_kernel<16>(int)", None),
        (
            "void c10d::symmetric_memory::two_shot_all_reduce_kernel<c10::BFloat16, 16, 8>(int)",
            Some(Comm::AllReduce),
        ),
        ("void c10d::symmetric_memory::barrier_kernel(unsigned int**, int)", None),
        (
            "void quickreduce::allreduce_prototype_twoshot<quickreduce::AllReduceTwoshot<__half, quickreduce::CodecQ4>, __half>(int)",
            Some(Comm::AllReduce),
        ),
        ("mscclKernel_Sum_bf16_LL_false(ncclDevComm*, mscclAlgo*, mscclWork*)", None),
        ("void deep_ep::intranode::dispatch<8, 768, 8192>(int4*)", Some(Comm::AllToAll)),
        ("void deep_ep::internode::combine<false, 8, __nv_bfloat16, 8>(int)", Some(Comm::AllToAll)),
        ("void deep_ep::internode_ll::combine<7168, 9>(int)", Some(Comm::AllToAll)),
        ("void mooncake::dispatch_kernel<true>(int)", Some(Comm::AllToAll)),
        ("void mooncake_ep_dispatch<true>(int)", None),
    ] {
        let got = catalog.classify(&Symbol::parse(name), None);
        assert_eq!(got.category.as_str(), "communication", "{name}: {:?}", got.rule);
        if comm.is_some() {
            assert_eq!(got.comm, comm, "{name}: {:?}", got.rule);
        }
    }
}

/// Families of engines and libraries that the given traces do not contain.
#[test]
fn families_without_a_trace_here_are_known() {
    all(&[
        (
            "fmhaSm100aKernel_QkvBfloat16OBfloat16H128PagedKvDenseP64VarSeqQ8Kv128StaticSwapsAbForGen",
            "attention",
        ),
        (
            "kernel_cutlass_kernel_flash_attncuteflash_fwd_sm100FlashAttentionForwardSm100_object_at__tensorptrbf16gmem",
            "attention",
        ),
        (
            "void flash::flash_fwd_splitkv_combine_kernel<Flash_fwd_kernel_traits<64, 64, 256, 4>, 4, 5, true>(Flash_fwd_params)",
            "attention",
        ),
        ("void flash_fwd_mla_combine_kernel<cutlass::bfloat16_t, float, int, 512, 64>(int)", "attention"),
        (
            "void flashinfer::mla::BatchMLAPagedAttentionKernel<flashinfer::mla::KernelTraits<1>, int>(int)",
            "attention",
        ),
        ("mla_a8w8_qh16_qseqlen2_gqaratio16_ps", "attention"),
        ("pa_bf16_pertokenFp8_gqa8_2tg_4w", "attention"),
        ("_fwd_grouped_kernel_stage1", "attention"),
        ("_fwd_kernel_stage2", "attention"),
        (
            "void fmha_cutlassF_bf16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::bfloat16_t>::Params)",
            "attention",
        ),
        (
            "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x128_4x1x1_cga1x1x1_kernel0_0",
            "attention",
        ),
        ("void vllm::merge_attn_states_kernel<__nv_bfloat16, 128u>(int)", "attention"),
        ("fmoe_bf16_blockscaleFp8_g1u1_vs_silu_1tg_ps_32x256", "moe"),
        ("mfma_moe1_silu_mul_afp4_wfp4_bf16_t32x128x256_pm1_async_v32", "moe"),
        ("void ck_tile::kentry<1, ck_tile::MoeFlatmmKernel<ck_tile::Tile<1>, int> >(int)", "moe"),
        ("void ck::kernel_moe_gemm<ck::GridwiseMoeGemm<int>, true>(int)", "moe"),
        ("void moe_align_block_size_kernel<int>(int const*)", "moe"),
        ("void moe_fused_gate_kernel<c10::BFloat16, float, 32>(int)", "moe"),
        ("void vllm::moe::grouped_topk_fused_kernel<float>(int)", "moe"),
        ("void vllm::moe::topkGatingSoftmax<4, 128, 4, 16>(float const*)", "moe"),
        ("void deep_gemm::sm100_fp8_gemm_1d1d_impl<(cute::UMMA::Major)0, 0u>(int)", "gemm"),
        ("bf16gemm_fp32bf16_tn_32x64_splitk_clean", "gemm"),
        ("_ZN5aiter39bf16gemm_fp32bf16_tn_32x64_splitk_cleanE", "gemm"),
        ("void ck::kernel_gemm_xdl_cshuffle_v3<ck::GridwiseGemm_xdl_cshuffle_v3<int>, true>(int)", "gemm"),
        ("void gptq_marlin::Marlin<__nv_bfloat16, 8, 256, 1, 8, 8, false>(int4 const*)", "gemm"),
        ("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x4_tn", "gemm"),
        ("gemmSN_TN_kernel<float, 128, 16, 2, 4, 8, 9, false>(int)", "gemm"),
        ("triton_tem_fused_addmm_3", "gemm"),
        ("_bgmv_shrink_kernel", "gemm"),
        (
            "void vllm::act_and_mul_kernel<c10::BFloat16, &(c10::BFloat16 vllm::silu_kernel<c10::BFloat16>(c10::BFloat16 const&)), true>(int)",
            "activation",
        ),
        ("void aiter::act_and_mul_kernel<__hip_bfloat16, &(silu(float const&)), 8>(int)", "activation"),
        ("_swiglu_kernel", "activation"),
        ("void per_token_group_quant_8bit_kernel<c10::BFloat16, c10::Float8_e4m3fn, true>(int)", "quantize"),
        ("_per_token_group_quant_fp8", "quantize"),
        (
            "void tensorrt_llm::kernels::quantize_with_block_size<(tensorrt_llm::BlockScaleQuantizationType)0, __nv_bfloat16, 16, true>(int)",
            "quantize",
        ),
        ("dynamic_per_group_scaled_quant_kernel", "quantize"),
        ("void cvt_fp16_to_fp4<__nv_bfloat16, false>(int)", "quantize"),
        ("void mrope_kernel<__nv_bfloat16>(int)", "rope"),
        ("_triton_mrope_forward", "rope"),
        ("chunk_gated_delta_rule_fwd_kernel_h_blockdim64", "linear_attention"),
        ("fused_recurrent_gated_delta_rule_packed_decode_kernel", "linear_attention"),
        (
            "void (anonymous namespace)::kda_packed_decode_kernel<8, false>((anonymous namespace)::KdaPackedDecodeParams)",
            "linear_attention",
        ),
        ("_selective_scan_update_kernel", "linear_attention"),
        ("_chunk_scan_fwd_kernel", "linear_attention"),
        ("_causal_conv1d_fwd_kernel", "linear_attention"),
        ("void flashinfer::sampling::TopPSamplingFromProbKernel<1024u, true>(int)", "sampling"),
        ("void aiter::greedy_sample_kernel<float, 1024, 16>(float const*, int*, int, int)", "sampling"),
        ("mix_sample_outer_exponential", "sampling"),
        ("_min_p_kernel", "sampling"),
        ("apply_token_bitmask_inplace_kernel", "sampling"),
        (
            "void implicit_convolve_sgemm<float, float, 1024, 5, 5, 3, 3, 3, 1, false, false, true>(int)",
            "convolution",
        ),
        (
            "void cudnn::cnn::conv2d_grouped_direct_kernel<false, true, false, false, 0, 0, int, float>(int)",
            "convolution",
        ),
        ("miopenSp3AsmConv_v30_3_1_gfx94x_fp16_dot2_edc_f2x3_dilation2", "convolution"),
        ("MIOpenBatchNormFwdTrainSpatialNorm", "norm"),
        (
            "void at::native::(anonymous namespace)::indexSelectSmallIndex<c10::BFloat16, long, unsigned int, 2, 2, -2>(int)",
            "memory",
        ),
        ("void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>(int)", "reduce_topk"),
        (
            "void thrust::cuda_cub::core::_kernel_agent<thrust::cuda_cub::__parallel_for::ParallelForAgent<int>, long>(int)",
            "reduce_topk",
        ),
        ("void vllm::copy_blocks_kernel<__nv_bfloat16>(int)", "memory"),
        ("Memset (Device)", "memory"),
        ("void vllm::persistent_masked_m_silu_mul_quant_kernel<int>(int)", "moe"),
        ("_fwd_kernel_ep_scatter_1", "moe"),
        ("_compute_slot_mapping_kernel", "memory"),
        ("_prepare_pos_seq_lens_kernel", "memory"),
        ("_gumbel_sample_kernel", "sampling"),
        (
            "void tensorrt_llm::kernels::mmha::masked_multihead_attention_kernel<__nv_bfloat16, 128>(int)",
            "attention",
        ),
        ("kernel_mha", "attention"),
        ("void tensorrt_llm::kernels::applyBiasRopeUpdateKVCacheV2<__nv_bfloat16, 128>(int)", "rope"),
        ("void tinygemm_kernel<16, 8, 64>(int)", "gemm"),
        ("f4gemm_bf16_per1x32Fp4_BpreShuffle_192x128", "gemm"),
        ("nvjet_sm100_qqtst_128x256_128x6_2x1_2cta_v_bz_TNN", "gemm"),
        ("ncclSymkDevKernel_AllGather_LL(ncclSymkDevWorkArgs)", "communication"),
        (
            "void flashinfer::trtllm_mnnvl_allreduce::twoshotAllreduceKernel<__nv_bfloat16, 8>(int)",
            "communication",
        ),
        (
            "void cudnn::engines_precompiled::nchwToNhwcKernel<__nv_bfloat16, __nv_bfloat16, float, false>(int)",
            "memory",
        ),
        (
            "sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x64_kernel_cudnn",
            "convolution",
        ),
        ("void at::native::roll_cuda_kernel<c10::BFloat16>(int)", "memory"),
        ("l2norm_fwd_kernel", "norm"),
        ("_bmm_chunk_fwd_kernel", "linear_attention"),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl(at::TensorIteratorBase&, at::native::GeluType)::{lambda()#2}>(int)",
            "activation",
        ),
        ("Cijk_Alik_Bljk_BBS_BH_PostGSU8_VW4", "gemm"),
        ("CopyDeviceToDevice", "memory"),
        ("__amd_rocclr_copyBuffer", "memory"),
        ("__amd_rocclr_fillBufferAligned.kd", "memory"),
    ]);
}

#[test]
fn an_operation_decides_only_where_the_name_does_not() {
    let catalog = Catalog::builtin().expect("catalogue");
    let unknown = Symbol::parse("kernel_0");
    assert_eq!(catalog.classify(&unknown, None).by, By::Nothing);
    let by_op = catalog.classify(&unknown, Some("aten::mm"));
    assert_eq!((by_op.category.as_str(), by_op.by), ("gemm", By::CpuOp));
    assert_eq!(catalog.classify(&unknown, Some("aten.mm")).category.as_str(), "gemm");
    let nvjet = Symbol::parse("nvjet_tst_128x64_64x8_2x1_v_bz_TNT");
    assert_eq!(catalog.classify(&nvjet, Some("aten::mm")).by, By::Name);
    let expert = catalog.classify(&nvjet, Some("vllm::moe_forward"));
    assert_eq!((expert.category.as_str(), expert.by), ("moe", By::CpuOp));
    assert_eq!(catalog.classify(&nvjet, Some("aten::convolution")).category.as_str(), "gemm");
}

#[test]
fn phases_are_stated_only_where_sure() {
    let catalog = Catalog::builtin().expect("catalogue");
    let phase = |name: &str| catalog.classify(&Symbol::parse(name), None).phase;
    assert_eq!(phase("void flashinfer::BatchPrefillWithPagedKVCacheKernel<int>(int)"), Some(Phase::Prefill));
    assert_eq!(phase("void flashinfer::BatchDecodeWithPagedKVCacheKernel<int>(int)"), Some(Phase::Decode));
    assert_eq!(phase("void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128> >(int)"), None);
    assert_eq!(phase("kernel_unified_attention_2d"), None);
}

#[test]
fn fused_operations_follow_template_switches() {
    let catalog = Catalog::builtin().expect("catalogue");
    let tags = |name: &str| {
        catalog.classify(&Symbol::parse(name), None).fused.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        tags("_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi64ELi8ELb0ELb0ELb1ELi1EEEvPT0_"),
        ["norm"]
    );
    assert_eq!(
        tags("_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb1ELb0ELb1ELi1EEEvPT0_"),
        ["norm", "residual"]
    );
    assert!(!tags("_matmul_ogs_NNT_bf16xbf16xmxfp4_16x128x256x1").contains(&"quant".to_owned()));
}

#[test]
fn overrides_replace_and_precede_the_built_in_rules() {
    let mine = r#"
        [[rule]]
        id = "mine.step"
        category = "my_category"
        when = [{ name = ["my_step_kernel"] }]
        source = "here"
        yes = "my_step_kernel"
        no = "other"
        [[rule]]
        id = "gemm.nvjet"
        category = "moe"
        when = [{ prefix = ["nvjet_"] }]
        source = "here"
        yes = "nvjet_a"
        no = "other"
    "#;
    let catalog = Catalog::with_overrides(&[("mine.toml", mine)]).expect("catalogue");
    let of = |name: &str| catalog.classify(&Symbol::parse(name), None).category.to_string();
    assert_eq!(of("my_step_kernel"), "my_category");
    assert_eq!(of("nvjet_tst_1"), "moe");
    assert_eq!(of("fused_moe_kernel"), "moe");
}

#[test]
fn unusable_overrides_name_the_file_and_the_entry() {
    let error =
        |text: &str| Catalog::with_overrides(&[("bad.toml", text)]).err().expect("refused").to_string();
    assert!(error("[[rule]]\nid = 3").contains("bad.toml"));
    let empty = "[[rule]]\nid = \"x.all\"\ncategory = \"gemm\"\nwhen = [{}]\nsource = \"s\"\nyes = \"a\"\nno = \"b\"\n";
    assert!(error(empty).contains("x.all"));
    let word = empty.replace("{}", "{ words = [\"All_Reduce\"] }");
    assert!(error(&word).contains("lower-case"));
}

"""Counts FLOPs of small models with PyTorch's own counter; README.md says how to run it.

Writes one JSON file per architecture: the config, and for each case the FLOPs of matrix products (aten mm, addmm) and
of batched products (aten bmm: eager attention) of one forward pass.
"""

import json
import pathlib
import sys

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

COMMON = {"vocab_size": 320, "hidden_size": 96, "num_hidden_layers": 4, "max_position_embeddings": 4096}
GQA = {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 24, "intermediate_size": 160}
MLA = {
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "q_lora_rank": 48,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
}
CONFIGS = {
    "llama": {**COMMON, **GQA, "tie_word_embeddings": False},
    "qwen2": {**COMMON, **{k: v for k, v in GQA.items() if k != "head_dim"}, "tie_word_embeddings": True},
    "qwen3": {**COMMON, **GQA},
    "mixtral": {**COMMON, **GQA, "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": None},
    "qwen3_moe": {
        **COMMON, **GQA, "num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 40,
        "decoder_sparse_step": 1, "mlp_only_layers": [1],
    },
    "deepseek_v3": {
        **COMMON, **MLA, "intermediate_size": 160, "n_routed_experts": 16, "num_experts_per_tok": 4,
        "moe_intermediate_size": 40, "n_shared_experts": 2, "first_k_dense_replace": 1, "n_group": 4, "topk_group": 2,
    },
    "gemma2": {**COMMON, **GQA, "sliding_window": 16, "query_pre_attn_scalar": 24},
    "gemma3_text": {**COMMON, **GQA, "num_hidden_layers": 7, "sliding_window": 16, "query_pre_attn_scalar": 24},
    "gpt_oss": {**COMMON, **GQA, "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": 16},
    "minimax_m2": {
        **COMMON, **GQA, "num_local_experts": 8, "num_experts_per_tok": 2, "use_qk_norm": True, "rotary_dim": 12,
    },
    "llama4_text": {
        **COMMON, **GQA, "intermediate_size": 48, "intermediate_size_mlp": 160, "num_local_experts": 8,
        "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "attention_chunk_size": 4096,
    },
    "qwen3_next": {
        **COMMON, **GQA, "num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 40,
        "shared_expert_intermediate_size": 40, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "linear_key_head_dim": 16, "linear_value_head_dim": 16, "partial_rotary_factor": 0.5,
    },
    "mamba2": {
        "vocab_size": 320, "hidden_size": 96, "num_hidden_layers": 4, "num_heads": 8, "head_dim": 24, "state_size": 16,
        "n_groups": 2, "conv_kernel": 4, "expand": 2, "chunk_size": 16, "tie_word_embeddings": False,
    },
}
BATCH, TOKENS, CONTEXT = 3, 40, 40


def counts(model, **inputs):
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        out = model(**inputs)
    table = counter.get_flop_counts()
    by_op = {str(op): int(flops) for op, flops in table["Global"].items()}
    # Positions times frequencies is a bmm too; it is no product of the model.
    rotary = sum(
        int(flops)
        for module, ops in table.items()
        if module.split(".")[-1].startswith("rotary_emb")
        for op, flops in ops.items()
        if str(op) == "aten.bmm"
    )
    gemm = sum(by_op.get(op, 0) for op in ("aten.mm", "aten.addmm"))
    return out, {"gemm": gemm, "bmm": by_op.get("aten.bmm", 0) - rotary, "all": by_op}


def absorbed(f):
    """Decode of latent attention as engines do it, written down as plain einsums: scores against the latent."""
    heads, rank, rope = f["num_attention_heads"], f["kv_lora_rank"], f["qk_rope_head_dim"]
    nope, value, keys = f["qk_nope_head_dim"], f["v_head_dim"], CONTEXT + 1
    q, up_k = torch.ones(heads, BATCH, nope), torch.ones(heads, nope, rank)
    up_v = torch.ones(heads, rank, value)
    cache, rotated = torch.ones(BATCH, keys, rank), torch.ones(BATCH, keys, rope)
    counter = FlopCounterMode(display=False)
    with counter:
        latent_q = torch.bmm(q, up_k).transpose(0, 1)
        scores = torch.bmm(latent_q, cache.transpose(1, 2))
        scores = scores + torch.bmm(torch.ones(BATCH, heads, rope), rotated.transpose(1, 2))
        out = torch.bmm(scores, cache).transpose(0, 1)
        torch.bmm(out, up_v)
    flops = counter.get_total_flops() * f["num_hidden_layers"]
    return {"phase": "absorbed_decode", "batch": BATCH, "tokens": 1, "context": CONTEXT, "bmm": int(flops)}


def count(kind, fields):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **fields)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    ids = torch.randint(0, fields["vocab_size"], (BATCH, TOKENS))
    out, prefill = counts(model, input_ids=ids, use_cache=True, logits_to_keep=1)
    cache = getattr(out, "past_key_values", None)
    cases = [{"phase": "prefill", "batch": BATCH, "tokens": TOKENS, "context": 0, **prefill}]
    if cache is not None:
        _, decode = counts(model, input_ids=ids[:, :1], past_key_values=cache, use_cache=True)
        cases.append({"phase": "decode", "batch": BATCH, "tokens": 1, "context": CONTEXT, **decode})
    if kind == "deepseek_v3":
        cases.append(absorbed(fields))
    params = sum(p.numel() for p in model.parameters())
    # Checkpoints hold the router's correction as a tensor; the class registers it as a buffer.
    params += sum(b.numel() for name, b in model.named_buffers() if name.endswith("e_score_correction_bias"))
    written = {**fields, "model_type": kind}
    for name in ("layer_types", "tie_word_embeddings", "hidden_act", "hidden_activation", "no_rope_layers"):
        value = getattr(config, name, None)
        if value is not None and name not in written:
            written[name] = value
    return {"config": written, "params": params, "cases": cases}


def main():
    folder = pathlib.Path(__file__).parent
    wanted = sys.argv[1:] or CONFIGS
    for kind in wanted:
        answer = count(kind, CONFIGS[kind])
        answer["counted_by"] = f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}"
        (folder / f"{kind}.json").write_text(json.dumps(answer, indent=1) + "\n")
        print(kind, answer["params"], [(c["phase"], c["gemm"], c["bmm"], c["all"]) for c in answer["cases"] if "all" in c])


if __name__ == "__main__":
    main()

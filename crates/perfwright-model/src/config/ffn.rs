//! Feed-forward parts.

use super::Reader;
use super::attention::Cache;
use super::fields::{MAX_EXPERTS, MAX_WIDTH};
use super::plan;
use crate::arch::{Ffn, Moe};
use crate::error::ModelError;

/// Most experts per token.
const MAX_TOP_K: u64 = 4096;

impl Cache {
    /// The dense network of layer `index`; nothing where the config takes it out or the model has none.
    pub(crate) fn dense(&mut self, r: &Reader<'_>, index: u64) -> Result<Option<Ffn>, ModelError> {
        if let Some(blocks) = &self.blocks {
            let width = blocks.get(index as usize).and_then(|block| block.intermediate);
            let gated = gated(r)?;
            return Ok(width.map(|intermediate| Ffn::Dense { intermediate, gated, bias: false }));
        }
        if self.dense.is_none() {
            self.dense = dense(r)?;
        }
        Ok(self.dense.clone())
    }

    /// The experts.
    pub(crate) fn moe(&mut self, r: &Reader<'_>) -> Result<Ffn, ModelError> {
        if let Some(moe) = &self.moe {
            return Ok(moe.clone());
        }
        let moe = Ffn::Moe(moe(r)?);
        self.moe = Some(moe.clone());
        Ok(moe)
    }
}

fn dense(r: &Reader<'_>) -> Result<Option<Ffn>, ModelError> {
    let f = &r.f;
    // Llama-4 and MiniMax-M3 use `intermediate_size` for the experts and name the dense width apart.
    let own = f.positive(&["intermediate_size_mlp", "dense_intermediate_size"], MAX_WIDTH)?;
    let width = match own {
        Some(width) => Some(width),
        None => {
            match f.positive(&["intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim"], MAX_WIDTH) {
                Ok(width) => width,
                // Gemma-3n gives one width per layer.
                Err(e) => match f.counts("intermediate_size", MAX_WIDTH)? {
                    Some(list) if list.windows(2).all(|w| w[0] == w[1]) => list.first().copied(),
                    Some(list) => {
                        r.note("intermediate_size differs between layers; the first is used for all");
                        list.first().copied()
                    }
                    None => return Err(e),
                },
            }
        }
    };
    // A pure Mamba model has no feed-forward part; its intermediate_size is the mixer's width.
    let pure_mamba = f.has(&["state_size"]) && !f.has(&["num_attention_heads"]);
    let Some(mut intermediate) = width.filter(|_| !pure_mamba) else {
        if pure_mamba {
            return Ok(None);
        }
        return Err(f.missing(&["intermediate_size"], "the inner width of the feed-forward network"));
    };
    if f.flag(&["block_auto_adjust_ff_dim"])? == Some(true) {
        let multiplier = f.number(&["block_ffn_dim_multiplier"]).filter(|m| (0.0..=100.0).contains(m));
        let multiple = f.positive(&["block_multiple_of"], MAX_WIDTH)?.unwrap_or(1);
        let scaled = (multiplier.unwrap_or(1.0) * (2 * intermediate / 3) as f64) as u64;
        intermediate = scaled.div_ceil(multiple).saturating_mul(multiple).clamp(1, MAX_WIDTH);
    } else {
        let _ = f.has(&["block_multiple_of"]);
    }
    let bias = f.flag(&["mlp_bias"])?.or(r.m.mlp_bias).unwrap_or(false);
    Ok(Some(Ffn::Dense { intermediate, gated: gated(r)?, bias }))
}

/// Whether feed-forward networks have a gate matrix.
fn gated(r: &Reader<'_>) -> Result<bool, ModelError> {
    let act = r.f.text(&["mlp_hidden_act", "hidden_act", "hidden_activation", "activation_function"])?;
    if let Some(gated) = r.m.gated {
        return Ok(gated);
    }
    let act = act.unwrap_or("silu");
    // relu^2 and xIELU networks have two matrices; SiLU and the swiglu variants are used with a gate.
    Ok(match act {
        "relu2" | "relu" | "xielu" => false,
        act if act.starts_with("gelu") || act == "quick_gelu" => {
            r.note(format!(
                "hidden_act `{act}` is used with and without a gate; counted without (two matrices)"
            ));
            false
        }
        _ => true,
    })
}

fn moe(r: &Reader<'_>) -> Result<Moe, ModelError> {
    let f = &r.f;
    // Widths of dense layers, which this model may not have.
    let _ =
        f.has(&["intermediate_size", "intermediate_size_mlp", "dense_intermediate_size", "ffn_hidden_size"]);
    let experts = f.required(plan::experts(), MAX_EXPERTS)?;
    let top_k = f.required(
        &[
            "num_experts_per_tok",
            "num_experts_per_token",
            "experts_per_token",
            "top_k_experts",
            "moe_topk",
            "moe_k",
            "moe_top_k",
        ],
        MAX_TOP_K,
    )?;
    if top_k > experts {
        return Err(f.wrong("num_experts_per_tok", &top_k.into(), &format!("at most the {experts} experts")));
    }
    // Without a size of its own an expert has the width of the feed-forward network (Mixtral, gpt-oss, MiniMax).
    let intermediate = f.required(
        &["moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "intermediate_size"],
        MAX_WIDTH,
    )?;
    let gated = gated(r)?;
    Ok(Moe {
        experts,
        zero_experts: f.count(&["zero_expert_num"], MAX_EXPERTS)?.unwrap_or(0),
        top_k,
        intermediate,
        gated,
        latent: f.positive(&["moe_latent_size", "routed_expert_hidden_size"], MAX_WIDTH)?,
        shared: shared(r, intermediate)?,
        shared_gate: r.m.shared_gate.unwrap_or(false),
        expert_bias: r.m.expert_bias.unwrap_or(false),
        router_bias: f
            .flag(&["use_routing_bias", "use_moe_router_bias"])?
            .or(r.m.router_bias)
            .unwrap_or(false),
    })
}

/// Inner width of all shared experts together.
fn shared(r: &Reader<'_>, expert: u64) -> Result<u64, ModelError> {
    let f = &r.f;
    let count =
        f.count(&["n_shared_experts", "num_shared_experts", "moe_num_shared_experts"], MAX_EXPERTS)?;
    let width = f.count(
        &[
            "shared_expert_intermediate_size",
            "moe_shared_expert_intermediate_size",
            "share_expert_dim",
            "shared_intermediate_size",
        ],
        MAX_WIDTH,
    )?;
    let all = match (count, width) {
        (Some(0), _) | (None, None) => 0,
        // A stated width is that of one shared expert.
        (Some(count), Some(width)) => count.saturating_mul(width),
        (None, Some(width)) => width,
        (Some(count), None) => count.saturating_mul(expert),
    };
    if all == 0 && r.m.shared_expert {
        return f.required(&["intermediate_size"], MAX_WIDTH);
    }
    if all > MAX_WIDTH {
        return Err(f.wrong(
            "n_shared_experts",
            &count.into(),
            &format!("shared experts up to {MAX_WIDTH} wide"),
        ));
    }
    Ok(all)
}

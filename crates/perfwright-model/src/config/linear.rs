//! Recurrences with a state of constant size.

use serde_json::Value;

use super::Reader;
use super::attention::Cache;
use super::fields::{Fields, MAX_DIM, MAX_HEADS, MAX_WIDTH};
use crate::arch::{Linear, Rule};
use crate::error::ModelError;
use crate::family::{LinearWord, MambaWord};

impl Cache {
    /// The linear attention of the model.
    pub(crate) fn linear(&mut self, r: &Reader<'_>) -> Result<Linear, ModelError> {
        if let Some(known) = &self.linear {
            return Ok(known.clone());
        }
        Ok(self.linear.insert(linear(r)?).clone())
    }

    /// Its Mamba.
    pub(crate) fn mamba(&mut self, r: &Reader<'_>) -> Result<Linear, ModelError> {
        if let Some(known) = &self.mamba {
            return Ok(known.clone());
        }
        Ok(self.mamba.insert(mamba(r)?).clone())
    }

    /// Its short convolution.
    pub(crate) fn conv(&mut self, r: &Reader<'_>) -> Result<Linear, ModelError> {
        if let Some(known) = &self.conv {
            return Ok(known.clone());
        }
        let bias = r.f.flag(&["conv_bias"])?.unwrap_or(false);
        let conv = Linear {
            rule: Rule::ShortConv { dim: r.hidden },
            conv: r.f.positive(&["conv_L_cache", "conv_kernel"], MAX_DIM)?.unwrap_or(3),
            conv_bias: bias,
            proj_bias: bias,
            state_bytes: 2,
        };
        Ok(self.conv.insert(conv).clone())
    }
}

/// Bytes of a state element: as stated, else those that engines use.
fn state_bytes(r: &Reader<'_>, default: u64) -> Result<u64, ModelError> {
    let name = r.f.text(&["mamba_ssm_cache_dtype", "mamba_ssm_dtype", "ssm_cache_dtype"])?;
    Ok(match name {
        Some("float32") => 4,
        Some("bfloat16" | "float16") => 2,
        _ => default,
    })
}

fn linear(r: &Reader<'_>) -> Result<Linear, ModelError> {
    let conv = r.f.positive(&["linear_conv_kernel_dim"], MAX_DIM)?.unwrap_or(4);
    let state_bytes = state_bytes(r, 4)?;
    let plain = |rule| Linear { rule, conv, conv_bias: false, proj_bias: false, state_bytes };
    if let Some((_, object)) = r.f.object(&["linear_attn_config"])? {
        let own = Fields::new(std::path::Path::new("config.json"), "linear_attn_config.", object);
        let full_gate = object.get("use_full_rank_gate").and_then(Value::as_bool) == Some(true);
        let rule = Rule::Kda {
            heads: own.required(&["num_heads"], MAX_HEADS)?,
            dim: own.required(&["head_dim"], MAX_DIM)?,
            full_gate,
        };
        let conv = own.positive(&["short_conv_kernel_size"], MAX_DIM)?.unwrap_or(conv);
        return Ok(Linear { conv, ..plain(rule) });
    }
    if r.f.has(&["linear_num_value_heads"]) && r.m.linear != Some(LinearWord::Kda) {
        return Ok(plain(Rule::Gdn {
            key_heads: r.f.required(&["linear_num_key_heads"], MAX_HEADS)?,
            value_heads: r.f.required(&["linear_num_value_heads"], MAX_HEADS)?,
            key_dim: r.f.required(&["linear_key_head_dim"], MAX_DIM)?,
            value_dim: r.f.required(&["linear_value_head_dim"], MAX_DIM)?,
        }));
    }
    if r.f.has(&["linear_num_heads"]) {
        return Ok(plain(Rule::Kda {
            heads: r.f.required(&["linear_num_heads"], MAX_HEADS)?,
            dim: r.f.required(&["linear_head_dim"], MAX_DIM)?,
            full_gate: false,
        }));
    }
    let heads = r.f.required(&["num_attention_heads"], MAX_HEADS)?;
    let dim = r.f.positive(&["head_dim"], MAX_DIM)?.unwrap_or((r.hidden / heads).clamp(1, MAX_DIM));
    if r.m.linear != Some(LinearWord::Lightning) {
        r.note(
            "the fields do not say which linear attention this is; counted as one with the attention's heads",
        );
    }
    Ok(Linear { conv: 0, ..plain(Rule::Lightning { heads, dim }) })
}

fn mamba(r: &Reader<'_>) -> Result<Linear, ModelError> {
    let f = &r.f;
    let state = f.required(&["ssm_state_size", "state_size", "mamba_d_state"], MAX_DIM)?;
    let expand = f.positive(&["expand", "mamba_expand"], MAX_DIM)?.unwrap_or(2);
    let conv = f.positive(&["conv_kernel", "mamba_d_conv"], MAX_DIM)?.unwrap_or(4);
    // `num_heads` means the mixer's heads only where the model has no attention.
    let has_attention = f.has(&["num_attention_heads"]);
    let mut heads = f.positive(&["mamba_num_heads", "mamba_n_heads", "n_mamba_heads"], MAX_HEADS)?;
    let mut dim = f.positive(&["mamba_head_dim", "mamba_d_head", "mamba_headdim"], MAX_DIM)?;
    if heads.is_none() && !has_attention {
        heads = f.positive(&["num_heads"], MAX_HEADS)?;
        dim = dim.or(f.positive(&["head_dim"], MAX_DIM)?);
    }
    let groups = f.positive(&["n_groups", "mamba_n_groups", "mamba_ngroups"], MAX_HEADS)?.unwrap_or(1);
    let inner = expand.saturating_mul(r.hidden).min(MAX_WIDTH);
    let inner = f.positive(&["mamba_d_ssm"], MAX_WIDTH)?.unwrap_or(inner);
    let rule = match (heads, dim) {
        (Some(heads), Some(dim)) if r.m.mamba != Some(MambaWord::Mamba) => {
            Rule::Mamba2 { heads, dim, state, groups }
        }
        _ => {
            let _ = f.has(&["intermediate_size"]);
            let dt_rank = f.positive(&["time_step_rank", "mamba_dt_rank"], MAX_DIM)?;
            Rule::Mamba { inner, state, dt_rank: dt_rank.unwrap_or_else(|| r.hidden.div_ceil(16)) }
        }
    };
    let is_mamba2 = matches!(rule, Rule::Mamba2 { .. });
    Ok(Linear {
        rule,
        conv,
        conv_bias: f.flag(&["use_conv_bias", "mamba_conv_bias"])?.unwrap_or(true),
        proj_bias: f.flag(&["use_bias", "mamba_proj_bias"])?.unwrap_or(false),
        state_bytes: state_bytes(r, if is_mamba2 { 2 } else { 4 })?,
    })
}

//! Which kind of mixer and feed-forward part each layer has.

use super::Reader;
use super::fields::{MAX_LAYERS, MAX_TOKENS};
use crate::error::ModelError;

/// What mixes tokens in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    Attention(Reach),
    Linear,
    Mamba,
    Conv,
    Both(Reach),
    None,
}

/// How far attention reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Full,
    Sliding,
    Chunked,
}

/// The feed-forward part of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Dense,
    Moe,
    None,
}

/// One layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) mix: Mix,
    pub(crate) part: Part,
}

/// All layers.
pub(crate) struct Plan {
    pub(crate) main: Vec<Slot>,
    pub(crate) mtp: Vec<Slot>,
}

const EXPERTS: [&str; 5] =
    ["n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts", "num_routed_experts"];

/// Names of the count of routed experts.
pub(crate) const fn experts() -> &'static [&'static str] {
    &EXPERTS
}

/// Reads the plan.
pub(crate) fn plan(r: &Reader<'_>) -> Result<Plan, ModelError> {
    if let Some(plan) = one_part_per_layer(r)? {
        return Ok(plan);
    }
    let stated = r.f.positive(&["num_hidden_layers", "num_layers", "n_layer", "n_layers"], MAX_LAYERS)?;
    let kinds =
        r.f.texts("layer_types")?.map_or_else(|| r.f.texts("layers_block_type"), |list| Ok(Some(list)))?;
    let drafts = drafts(r)?;
    let count = match (stated, &kinds) {
        (Some(count), _) => count,
        (None, Some(kinds)) if !kinds.is_empty() => kinds.len() as u64,
        _ => return Err(r.f.missing(&["num_hidden_layers", "num_layers"], "a whole number above 0")),
    };
    // Both say the same as the list of kinds where that is there.
    let _ = r.f.has(&["full_attention_interval", "sliding_window_pattern", "_sliding_window_pattern"]);
    let mixes = match kinds {
        Some(kinds) => from_kinds(r, &fitted(r, "layer_types", kinds, count, drafts)?),
        None => mixes(r, count, drafts)?,
    };
    let moe = moe_layers(r, count, drafts)?;
    let part = |moe: bool| if moe { Part::Moe } else { Part::Dense };
    let main: Vec<Slot> =
        mixes.into_iter().zip(moe).map(|(mix, moe)| Slot { mix, part: part(moe) }).collect();
    // A draft layer is built like the last layer, with full attention.
    let last = main.last().map_or(Part::Dense, |slot| slot.part);
    let full = Slot { mix: Mix::Attention(Reach::Full), part: last };
    Ok(Plan { main, mtp: vec![full; drafts as usize] })
}

/// Configs in which each layer is a mixer or a feed-forward part, not both (Nemotron-H).
fn one_part_per_layer(r: &Reader<'_>) -> Result<Option<Plan>, ModelError> {
    let letter = |c: char| match c {
        'M' => Some(Slot { mix: Mix::Mamba, part: Part::None }),
        '*' => Some(Slot { mix: Mix::Attention(Reach::Full), part: Part::None }),
        '-' => Some(Slot { mix: Mix::None, part: Part::Dense }),
        'E' => Some(Slot { mix: Mix::None, part: Part::Moe }),
        _ => None,
    };
    let word = |word: &str| match word {
        "mamba" => letter('M'),
        "attention" => letter('*'),
        "mlp" => letter('-'),
        "moe" => letter('E'),
        _ => None,
    };
    let read = |pattern: &str, list: &str| -> Result<Option<Vec<Slot>>, ModelError> {
        if let Some(text) = r.f.text(&[pattern])? {
            let bars = text.chars().filter(|c| *c != '|');
            let slots: Option<Vec<Slot>> = bars.take(4 * MAX_LAYERS as usize).map(letter).collect();
            let wrong = || r.f.wrong(pattern, &text.into(), "letters M, *, - and E");
            return slots.filter(|s| !s.is_empty()).ok_or_else(wrong).map(Some);
        }
        let Some(words) = r.f.texts(list)? else { return Ok(None) };
        let single = words.iter().any(|w| matches!(*w, "mlp" | "moe"));
        if !single {
            return Ok(None);
        }
        let slots: Option<Vec<Slot>> = words.iter().map(|w| word(w)).collect();
        let wrong = || r.f.wrong(list, &words.join(" ").into(), "mamba, attention, mlp or moe");
        slots.ok_or_else(wrong).map(Some)
    };
    let Some(main) = read("hybrid_override_pattern", "layers_block_type")? else { return Ok(None) };
    let stated = r.f.positive(&["num_hidden_layers"], MAX_LAYERS)?;
    if main.len() as u64 > MAX_LAYERS || stated.is_some_and(|stated| stated != main.len() as u64) {
        let expected = format!("as many layers as the pattern has ({})", main.len());
        return Err(r.f.wrong("num_hidden_layers", &stated.into(), &expected));
    }
    let each = read("mtp_hybrid_override_pattern", "mtp_layers_block_type")?.unwrap_or_default();
    let drafts = if each.is_empty() { 0 } else { drafts(r)? };
    let mtp = (0..drafts).flat_map(|_| each.iter().copied()).take(MAX_LAYERS as usize).collect();
    Ok(Some(Plan { main, mtp }))
}

/// Draft layers.
fn drafts(r: &Reader<'_>) -> Result<u64, ModelError> {
    // MiniMax gives modules and layers per module beside a switch.
    let modules = r.f.count(&["num_mtp_modules"], 64)?;
    let each = r.f.count(&["mtp_transformer_layers"], 64)?;
    let on = r.f.flag(&["use_mtp"])?.unwrap_or(true);
    let plain = r.f.count(&["num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers"], 64)?;
    Ok(match (plain, modules) {
        (Some(plain), _) => plain,
        (None, Some(modules)) if on => modules * each.unwrap_or(1),
        _ => 0,
    })
}

/// A per-layer list cut to the layers; it may also list the drafts.
fn fitted<T>(
    r: &Reader<'_>,
    name: &str,
    mut list: Vec<T>,
    count: u64,
    drafts: u64,
) -> Result<Vec<T>, ModelError> {
    let len = list.len() as u64;
    if len != count && len != count + drafts {
        let found = format!("{len} entries");
        return Err(r.f.wrong(name, &found.into(), &format!("one entry for each of {count} layers")));
    }
    list.truncate(count as usize);
    Ok(list)
}

fn from_kinds(r: &Reader<'_>, kinds: &[&str]) -> Vec<Mix> {
    let mix = |kind: &&str| match *kind {
        "full_attention" | "deepseek_sparse_attention" | "attention" | "global" | "global_attention" => {
            Mix::Attention(Reach::Full)
        }
        "sliding_attention" | "local" | "local_attention" | "sliding_window" => {
            Mix::Attention(Reach::Sliding)
        }
        "chunked_attention" => Mix::Attention(Reach::Chunked),
        // Zamba2 and Bamba write "linear_attention" for their Mamba layers.
        "linear_attention" if r.m.linear.is_none() && r.m.mamba.is_some() => Mix::Mamba,
        "linear_attention" => Mix::Linear,
        "mamba" | "mamba2" | "ssm" => Mix::Mamba,
        "hybrid" => Mix::Both(Reach::Full),
        "conv" | "short_conv" => Mix::Conv,
        other => {
            r.note(format!("layer type `{other}` is not known; counted as full attention"));
            Mix::Attention(Reach::Full)
        }
    };
    kinds.iter().map(mix).collect()
}

/// Mixers where no list of layer types is there.
fn mixes(r: &Reader<'_>, count: u64, drafts: u64) -> Result<Vec<Mix>, ModelError> {
    let full = Mix::Attention(Reach::Full);
    let sliding = Mix::Attention(Reach::Sliding);
    let each = |kind: &dyn Fn(u64) -> Mix| (0..count).map(kind).collect::<Vec<_>>();
    if let Some((_, kda)) = r.f.object(&["linear_attn_config"])? {
        let list = |name: &str| kda.get(name).and_then(|v| v.as_array());
        if let Some(attention) = list("full_attn_layers") {
            // The lists count layers from 1.
            let at: std::collections::BTreeSet<u64> =
                attention.iter().filter_map(serde_json::Value::as_u64).collect();
            return Ok(each(&|i| if at.contains(&(i + 1)) { full } else { Mix::Linear }));
        }
    }
    if let Some(kinds) = r.f.counts("attn_type_list", 1)? {
        let kinds = fitted(r, "attn_type_list", kinds, count, drafts)?;
        return Ok(kinds.iter().map(|softmax| if *softmax == 1 { full } else { Mix::Linear }).collect());
    }
    if let Some(pattern) = r.f.counts("hybrid_layer_pattern", 1)? {
        let pattern = fitted(r, "hybrid_layer_pattern", pattern, count, drafts)?;
        return Ok(pattern.iter().map(|slides| if *slides == 1 { sliding } else { full }).collect());
    }
    if r.f.has(&["full_attn_idxs"]) {
        let at = r.f.counts("full_attn_idxs", MAX_LAYERS)?.unwrap_or_default();
        return Ok(each(&|i| if at.contains(&i) { full } else { Mix::Conv }));
    }
    if let Some(at) = r.f.counts("attn_layer_indices", MAX_LAYERS)? {
        return Ok(each(&|i| if at.contains(&i) { full } else { Mix::Mamba }));
    }
    if let Some(period) = r.f.positive(&["attn_layer_period"], MAX_LAYERS)? {
        let offset = r.f.count(&["attn_layer_offset"], MAX_LAYERS)?.unwrap_or(0);
        return Ok(each(&|i| if i % period == offset % period { full } else { Mix::Mamba }));
    }
    if let Some(interval) = r.f.positive(&["full_attention_interval"], MAX_LAYERS)? {
        return Ok(each(&|i| if (i + 1) % interval == 0 { full } else { Mix::Linear }));
    }
    let heads = r.f.has(&["num_attention_heads", "n_head"]);
    let mamba = r.f.has(&["state_size", "ssm_state_size", "mamba_d_state"]);
    if mamba {
        // Attention and Mamba side by side in every layer (Falcon-H1), or Mamba alone.
        return Ok(vec![if heads { Mix::Both(Reach::Full) } else { Mix::Mamba }; count as usize]);
    }
    windows(r, count)
}

/// Full, sliding or chunked attention from a window and a period.
fn windows(r: &Reader<'_>, count: u64) -> Result<Vec<Mix>, ModelError> {
    let full = Mix::Attention(Reach::Full);
    let each = |kind: &dyn Fn(u64) -> Mix| (0..count).map(kind).collect::<Vec<_>>();
    if r.f.has(&["attention_chunk_size"]) && !r.f.has(&["sliding_window"]) {
        // Llama 4: layers with rotary embedding attend within chunks; every fourth has none and sees everything.
        let rope = r.f.counts("no_rope_layers", 1)?.filter(|list| list.len() as u64 == count);
        let chunked = |i: u64| match &rope {
            Some(rope) => rope.get(i as usize) == Some(&1),
            None => !(i + 1).is_multiple_of(4),
        };
        return Ok(each(&|i| if chunked(i) { Mix::Attention(Reach::Chunked) } else { full }));
    }
    let window = r.f.positive(&["sliding_window"], MAX_TOKENS)?;
    let on = r.f.flag(&["use_sliding_window"])?;
    let every =
        r.f.positive(&["sliding_window_pattern", "_sliding_window_pattern"], MAX_LAYERS)?
            .or(r.m.sliding_every);
    let Some(window) = window.filter(|_| on != Some(false)) else { return Ok(each(&|_| full)) };
    if r.max_context.is_some_and(|max| window >= max) {
        return Ok(each(&|_| full));
    }
    let sliding = Mix::Attention(Reach::Sliding);
    if let Some(every) = every {
        return Ok(each(&|i| if (i + 1) % every == 0 { full } else { sliding }));
    }
    let full_below =
        if on == Some(true) { r.f.count(&["max_window_layers"], MAX_LAYERS)?.unwrap_or(0) } else { 0 };
    Ok(each(&|i| if i < full_below { full } else { sliding }))
}

/// Which layers have experts.
fn moe_layers(r: &Reader<'_>, count: u64, drafts: u64) -> Result<Vec<bool>, ModelError> {
    let all = |moe: bool| vec![moe; count as usize];
    let each = |moe: &dyn Fn(u64) -> bool| (0..count).map(moe).collect::<Vec<_>>();
    let off = r.f.flag(&["enable_moe_block"])? == Some(false);
    if off || r.f.count(&EXPERTS, super::fields::MAX_EXPERTS)?.unwrap_or(0) < 2 {
        return Ok(all(false));
    }
    let first_dense = r.f.count(&["first_k_dense_replace", "num_dense_layers"], MAX_LAYERS)?.unwrap_or(0);
    if let Some(list) = r.f.texts("mlp_layer_types")? {
        let list = fitted(r, "mlp_layer_types", list, count, drafts)?;
        return Ok(list.iter().map(|kind| *kind != "dense").collect());
    }
    if let Some((_, value)) = r.f.get(&["moe_layer_freq"]) {
        if value.is_array() {
            let list = r.f.counts("moe_layer_freq", 1)?.unwrap_or_default();
            let list = fitted(r, "moe_layer_freq", list, count, drafts)?;
            return Ok(list.iter().map(|moe| *moe == 1).collect());
        }
        let every = r.f.positive(&["moe_layer_freq"], MAX_LAYERS)?.unwrap_or(1);
        return Ok(each(&|i| i >= first_dense && i % every == 0));
    }
    if let Some(step) = r.f.positive(&["interleave_moe_layer_step"], MAX_LAYERS)? {
        return Ok(each(&|i| (i + 1) % step == 0));
    }
    if let Some(period) = r.f.positive(&["expert_layer_period"], MAX_LAYERS)? {
        let offset = r.f.count(&["expert_layer_offset"], MAX_LAYERS)?.unwrap_or(0);
        return Ok(each(&|i| i % period == offset % period));
    }
    if let Some(start) = r.f.count(&["moe_layer_start_index"], MAX_LAYERS)? {
        let end = r.f.count(&["moe_layer_end_index"], MAX_LAYERS)?.unwrap_or(count);
        let every = r.f.positive(&["moe_layer_interval"], MAX_LAYERS)?.unwrap_or(1);
        return Ok(each(&|i| i >= start && i <= end && (i + 1) % every == 0));
    }
    let dense: std::collections::BTreeSet<u64> =
        r.f.counts("mlp_only_layers", MAX_LAYERS)?.unwrap_or_default().into_iter().collect();
    let step = r.f.positive(&["decoder_sparse_step"], MAX_LAYERS)?.unwrap_or(1);
    Ok(each(&|i| i >= first_dense && !dense.contains(&i) && (i + 1) % step == 0))
}

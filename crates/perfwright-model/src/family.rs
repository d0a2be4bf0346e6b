//! What fields mean where the fields alone do not tell: `catalog/families`.

use serde::Deserialize;

use crate::error::ModelError;

const FAMILIES: &str = include_str!("../../../catalog/families/families.toml");
const FIELDS: &str = include_str!("../../../catalog/families/fields.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    family: Vec<Entry>,
}

/// One entry; [`Meaning`] explains its statements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    model_type: Vec<String>,
    #[serde(default)]
    architectures: Vec<String>,
    source: String,
    tied: Option<bool>,
    gated: Option<bool>,
    qk_norm: Option<QkNormWord>,
    qkv_bias: Option<bool>,
    out_bias: Option<bool>,
    mlp_bias: Option<bool>,
    output_gate: Option<GateWord>,
    sinks: Option<bool>,
    expert_bias: Option<bool>,
    router_bias: Option<bool>,
    shared_expert: Option<String>,
    shared_gate: Option<bool>,
    norms: Option<u64>,
    norm_bias: Option<bool>,
    sliding_every: Option<u64>,
    linear: Option<LinearWord>,
    dense_beside_moe: Option<bool>,
    double_block: Option<bool>,
    shared_kv: Option<bool>,
    mamba: Option<MambaWord>,
    window_default: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum QkNormWord {
    Head,
    Layer,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GateWord {
    Query,
    Own,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinearWord {
    Gdn,
    Kda,
    Lightning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MambaWord {
    Mamba,
    Mamba2,
}

/// The statements of all entries that apply to a config. The file `catalog/families/families.toml` explains each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meaning {
    pub(crate) names: Vec<String>,
    pub(crate) tied: Option<bool>,
    pub(crate) gated: Option<bool>,
    pub(crate) qk_norm: Option<QkNormWord>,
    pub(crate) qkv_bias: Option<bool>,
    pub(crate) out_bias: Option<bool>,
    pub(crate) mlp_bias: Option<bool>,
    pub(crate) output_gate: Option<GateWord>,
    pub(crate) sinks: Option<bool>,
    pub(crate) expert_bias: Option<bool>,
    pub(crate) router_bias: Option<bool>,
    pub(crate) shared_expert: bool,
    pub(crate) shared_gate: Option<bool>,
    pub(crate) norms: Option<u64>,
    pub(crate) norm_bias: Option<bool>,
    pub(crate) sliding_every: Option<u64>,
    pub(crate) linear: Option<LinearWord>,
    pub(crate) dense_beside_moe: Option<bool>,
    pub(crate) double_block: Option<bool>,
    pub(crate) shared_kv: Option<bool>,
    pub(crate) mamba: Option<MambaWord>,
    pub(crate) window_default: Option<bool>,
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

fn catalogue() -> Result<Vec<Entry>, ModelError> {
    let broken = |cause: String| ModelError::Catalog { file: "families/families.toml".to_owned(), cause };
    let catalogue: Catalogue = toml::from_str(FAMILIES).map_err(|e| broken(e.to_string()))?;
    for entry in &catalogue.family {
        if entry.source.len() < 20 || entry.model_type.is_empty() && entry.architectures.is_empty() {
            return Err(broken(format!("family {} lacks a source or what it applies to", entry.name)));
        }
        if entry.shared_expert.as_deref().is_some_and(|field| field != "intermediate_size") {
            return Err(broken(format!("family {}: shared_expert names an unknown field", entry.name)));
        }
    }
    Ok(catalogue.family)
}

/// What holds for a config with this `model_type` and these `architectures`.
///
/// # Errors
/// Where the catalogue that is compiled in does not follow its form; a test keeps that from being released.
pub(crate) fn meaning(model_types: &[&str], architectures: &[String]) -> Result<Meaning, ModelError> {
    let mut all = Meaning::default();
    for entry in catalogue()? {
        let by_type = entry.model_type.iter().any(|p| model_types.iter().any(|name| matches(p, name)));
        let by_class = entry.architectures.iter().any(|p| architectures.iter().any(|name| matches(p, name)));
        if !by_type && !by_class {
            continue;
        }
        macro_rules! later_wins {
            ($($field:ident),*) => { $(all.$field = entry.$field.or(all.$field);)* };
        }
        later_wins!(
            tied,
            gated,
            qk_norm,
            qkv_bias,
            out_bias,
            mlp_bias,
            output_gate,
            sinks,
            expert_bias,
            router_bias,
            shared_gate,
            norms,
            norm_bias,
            sliding_every,
            linear,
            dense_beside_moe,
            double_block,
            shared_kv,
            mamba,
            window_default
        );
        all.shared_expert |= entry.shared_expert.is_some();
        all.names.push(entry.name);
    }
    Ok(all)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotDimensions {
    not_dimensions: Vec<String>,
    suffixes: Vec<String>,
}

/// Drops from `fields` those that are known not to be dimensions.
///
/// # Errors
/// As [`meaning`].
pub(crate) fn dimensions_only(fields: &mut Vec<String>) -> Result<(), ModelError> {
    let known: NotDimensions = toml::from_str(FIELDS)
        .map_err(|e| ModelError::Catalog { file: "families/fields.toml".to_owned(), cause: e.to_string() })?;
    fields.retain(|field| {
        let name = field.rsplit('.').next().unwrap_or(field);
        !known.not_dimensions.iter().any(|n| n == name) && !known.suffixes.iter().any(|s| name.ends_with(s))
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_follows_its_form() {
        assert!(catalogue().unwrap().len() > 20);
        let mut fields = vec!["text_config.eos_token_id".to_owned(), "text_config.width".to_owned()];
        dimensions_only(&mut fields).unwrap();
        assert_eq!(fields, ["text_config.width"]);
    }

    #[test]
    fn later_entries_win_and_stars_match_any_rest() {
        let gemma3 = meaning(&["gemma3_text"], &[]).unwrap();
        assert_eq!((gemma3.tied, gemma3.norms, gemma3.sliding_every), (Some(true), Some(4), Some(6)));
        assert_eq!(meaning(&["qwen3_5_moe_text"], &[]).unwrap().names, ["qwen3-next"]);
        assert!(meaning(&["nobody_knows"], &[]).unwrap().names.is_empty());
    }
}

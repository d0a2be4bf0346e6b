//! How a checkpoint's weights are stored: `quantization_config` blocks and `hf_quant_config.json`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::{Map, Value};

use crate::arch::Dtype;
use crate::config::Reader;
use crate::config::fields::Fields;
use crate::error::ModelError;
use crate::format::{Format, KvDtype};
use crate::pattern;

/// Patterns that name no layer are tried on every kind of module, so their number is bounded.
const MAX_GENERAL: usize = 4096;

/// How weights are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    /// `quant_method` or `quant_algo`; `None` where nothing is quantised.
    pub method: Option<String>,
    /// Format of what is not quantised.
    pub plain: Format,
    /// Format of linear layers that nothing exempts.
    pub linear: Format,
    /// Format of routed experts, where it differs.
    pub experts: Option<Format>,
    /// Format of the cache that the checkpoint was made for.
    pub kv: Option<KvDtype>,
    /// What was assumed.
    pub notes: Vec<String>,
    rules: Rules,
}

/// Which modules are exempt, and which have a format of their own.
#[derive(Debug, Clone, Default, PartialEq)]
struct Rules {
    /// Only modules with a rule are quantised.
    listed_only: bool,
    /// Patterns for any layer, with a format or `None` for an exemption.
    general: Vec<(String, Option<Format>)>,
    /// Rules of one layer.
    layers: HashMap<u64, BTreeMap<String, Option<Format>>>,
}

impl Quantization {
    /// No quantisation.
    pub fn none(dtype: Dtype) -> Self {
        let plain = Format::plain(dtype);
        Self {
            method: None,
            plain,
            linear: plain,
            experts: None,
            kv: None,
            notes: Vec::new(),
            rules: Rules::default(),
        }
    }

    /// Format of a module of layer `layer`. `modules` are the names it has in checkpoints, without the layer.
    pub fn of(&self, layer: u64, modules: &[&str], is_expert: bool) -> Format {
        if self.method.is_none() {
            return self.plain;
        }
        if let Some(rules) = self.rules.layers.get(&layer) {
            for module in modules {
                // The names of a rule are at most as long as the module; try the exact one first, then patterns.
                if let Some(format) = rules.get(*module) {
                    return format.unwrap_or(self.plain);
                }
            }
            for (pattern, format) in rules {
                if modules.iter().any(|module| pattern::matches(pattern, module)) {
                    return format.unwrap_or(self.plain);
                }
            }
        }
        for (pattern, format) in &self.rules.general {
            if modules.iter().any(|module| pattern::matches(pattern, module)) {
                return format.unwrap_or(self.plain);
            }
        }
        if self.rules.listed_only {
            return self.plain;
        }
        if is_expert { self.experts.unwrap_or(self.linear) } else { self.linear }
    }

    /// Whether every layer has the same rules, so that equal layers have equal formats.
    pub fn is_uniform(&self) -> bool {
        self.rules.layers.is_empty()
    }

    /// The rules of a layer as one text: layers with equal texts have equal formats.
    pub fn signature(&self, layer: u64) -> Option<&BTreeMap<String, Option<Format>>> {
        self.rules.layers.get(&layer)
    }

    /// The same model with every linear layer in `format`; `--dtype` asks for it.
    #[must_use]
    pub fn replaced(&self, format: Format) -> Self {
        let mut all = Self::none(Dtype::Bf16);
        all.plain = if format.bits >= 16 { format } else { self.plain };
        all.linear = format;
        all.method = Some(format.name.to_owned());
        all.kv = self.kv;
        // An override keeps attention outputs and the like in the format too: nothing is exempt but what never is.
        all
    }

    fn rule(&mut self, name: &str, format: Option<Format>) {
        match pattern::split_layer(name) {
            (Some(layer), rest) => {
                self.rules.layers.entry(layer).or_default().insert(rest, format);
            }
            (None, rest) => {
                for alternative in pattern::alternatives(&rest) {
                    if self.rules.general.len() < MAX_GENERAL {
                        self.rules.general.push((alternative, format));
                    } else if !self.notes.iter().any(|n| n.starts_with("more than")) {
                        self.notes.push(format!(
                            "more than {MAX_GENERAL} quantisation patterns; the rest was not read"
                        ));
                    }
                }
            }
        }
    }
}

/// Reads how weights are stored.
pub(crate) fn read(
    r: &Reader<'_>,
    outer: &Fields<'_>,
    dtype: Dtype,
    beside: Option<(&Path, &Value)>,
) -> Result<Quantization, ModelError> {
    let mut q = Quantization::none(dtype);
    let inside = match r.f.object(&["quantization_config", "compression_config"])? {
        Some(found) => Some(found),
        None => outer.object(&["quantization_config", "compression_config"])?,
    };
    if let Some((name, block)) = inside {
        from_block(r, &mut q, name, block)?;
    } else if let Some((path, value)) = beside {
        let expected = || ModelError::Missing {
            path: path.to_owned(),
            field: "quantization".to_owned(),
            expected: "an object with quant_algo".to_owned(),
        };
        let block =
            value.get("quantization").or(Some(value)).and_then(Value::as_object).ok_or_else(expected)?;
        from_block(r, &mut q, "hf_quant_config.json: quantization", block)?;
    }
    if let Some("fp4" | "mxfp4") = r.f.text(&["expert_dtype"])? {
        q.experts = Some(Format::MXFP4);
    }
    Ok(q)
}

fn from_block(
    r: &Reader<'_>,
    q: &mut Quantization,
    name: &str,
    block: &Map<String, Value>,
) -> Result<(), ModelError> {
    let text = |key: &str| block.get(key).and_then(Value::as_str);
    let method = text("quant_method").or(text("quant_algo")).unwrap_or("unknown").to_ascii_lowercase();
    q.method = Some(text("quant_algo").or(text("quant_method")).unwrap_or("unknown").to_owned());
    let algorithm = text("quant_algo").map(str::to_ascii_uppercase);
    let bits = block.get("bits").or_else(|| block.get("w_bit")).and_then(Value::as_u64);
    let group = block.get("group_size").and_then(Value::as_u64);
    let block_scales = block.get("weight_block_size").is_some_and(|v| !v.is_null());
    let fp8 = if block_scales { Format::FP8_BLOCK } else { Format::FP8 };
    let linear = match (algorithm.as_deref(), method.as_str()) {
        (Some("MIXED_PRECISION"), "fp8") => Some(fp8),
        (Some("MIXED_PRECISION"), _) => None,
        (Some(algorithm), _) => by_algorithm(algorithm),
        (None, "fp8" | "fbgemm_fp8") => Some(fp8),
        (None, "mxfp4") => Some(Format::MXFP4),
        (None, "mxfp8") => Some(Format::MXFP8),
        (None, "gptq" | "awq" | "auto-round" | "gptq_marlin" | "awq_marlin") => match bits {
            None | Some(4) => Some(Format { group: group.unwrap_or(128).clamp(1, 1 << 20), ..Format::INT4 }),
            Some(8) => Some(Format::INT8_WEIGHT),
            Some(_) => None,
        },
        (None, "bitsandbytes") if block.get("load_in_4bit").and_then(Value::as_bool) == Some(true) => {
            Some(Format { name: "bnb4", group: 64, scale_bits: 32, ..Format::INT4 })
        }
        (None, "bitsandbytes") => Some(Format::INT8_WEIGHT),
        (None, "compressed-tensors") => by_groups(q, block),
        (None, _) => None,
    };
    let mixed = algorithm.as_deref() == Some("MIXED_PRECISION");
    match linear {
        Some(format) => q.linear = format,
        None if mixed => q.rules.listed_only = true,
        None => r.note(format!(
            "{name}: quantisation `{method}` is not known; weights are counted as {}",
            q.plain.name
        )),
    }
    let mut strange = 0u64;
    for key in ["ignore", "exclude_modules", "modules_to_not_convert", "ignored_layers", "exclude"] {
        for entry in block.get(key).and_then(Value::as_array).into_iter().flatten() {
            match entry.as_str() {
                Some(pattern) => q.rule(pattern, None),
                None => strange += 1,
            }
        }
    }
    for (module, entry) in block.get("quantized_layers").and_then(Value::as_object).into_iter().flatten() {
        let algorithm = entry.get("quant_algo").and_then(Value::as_str).unwrap_or("");
        match by_algorithm(&algorithm.to_ascii_uppercase()) {
            Some(format) => q.rule(module, Some(format)),
            None => strange += 1,
        }
    }
    if strange > 0 {
        r.note(format!(
            "{name}: {strange} entries are no patterns or name an unknown format and were left out"
        ));
    }
    let scheme = block.get("kv_cache_scheme").and_then(|s| s.get("num_bits")).and_then(Value::as_u64);
    let by_name = text("kv_cache_quant_algo").and_then(KvDtype::named);
    q.kv = by_name.or(match scheme {
        Some(8) => Some(KvDtype::Fp8),
        Some(4) => Some(KvDtype::Fp4),
        _ => None,
    });
    Ok(())
}

fn by_algorithm(name: &str) -> Option<Format> {
    Some(match name {
        "FP8" | "FP8_PER_CHANNEL_PER_TOKEN" => Format::FP8,
        "FP8_BLOCK_SCALES" | "FP8_PB_WO" => Format::FP8_BLOCK,
        "NVFP4" | "W4A4_NVFP4" => Format::NVFP4,
        "W4A16_NVFP4" | "NVFP4_AWQ" => Format::NVFP4_WEIGHT,
        "MXFP8" => Format::MXFP8,
        "MXFP4" | "W4A8_MXFP4_FP8" | "W4A16_MXFP4" => Format::MXFP4,
        "W4A16_AWQ" | "W4A16" | "W4A16_GPTQ" | "INT4_AWQ" => Format::INT4,
        "W8A8_SQ_PER_CHANNEL" | "W8A8" | "INT8" => Format::INT8,
        "W8A16" => Format::INT8_WEIGHT,
        _ => return None,
    })
}

/// `config_groups` of compressed-tensors. The first group is the default; a further one holds for its targets.
fn by_groups(q: &mut Quantization, block: &Map<String, Value>) -> Option<Format> {
    let mut first = None;
    for group in block.get("config_groups")?.as_object()?.values() {
        let weights = group.get("weights")?;
        let number = |key: &str| weights.get(key).and_then(Value::as_u64);
        let is_float = weights.get("type").and_then(Value::as_str) == Some("float");
        let widened = group.get("input_activations").is_none_or(Value::is_null);
        let size = number("group_size").filter(|n| (1..=1 << 20).contains(n));
        let format = match (number("num_bits")?, is_float) {
            (4, true) if size == Some(16) && widened => Format::NVFP4_WEIGHT,
            (4, true) if size == Some(16) => Format::NVFP4,
            (4, true) => Format::MXFP4,
            (4, false) => Format { group: size.unwrap_or(128), ..Format::INT4 },
            (8, true) if weights.get("strategy").and_then(Value::as_str) == Some("block") => {
                Format::FP8_BLOCK
            }
            (8, true) => Format::FP8,
            (8, false) if widened => Format::INT8_WEIGHT,
            (8, false) => Format::INT8,
            _ => return first,
        };
        if first.is_none() {
            first = Some(format);
        } else {
            for target in group.get("targets").and_then(Value::as_array).into_iter().flatten() {
                if let Some(target) = target.as_str().filter(|t| *t != "Linear") {
                    q.rule(target, Some(format));
                }
            }
        }
    }
    first
}

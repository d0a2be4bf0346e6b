//! From a Hugging Face `config.json` to an [`Architecture`].
//!
//! The fields decide; where they are ambiguous the entries of `catalog/families` do. Nothing here knows a model by
//! name.

mod attention;
mod ffn;
pub(crate) mod fields;
mod linear;
mod plan;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::arch::{Architecture, Dtype, Layer, Mixer, Tower};
use crate::error::ModelError;
use crate::family::{self, Meaning};
use crate::json;
use crate::quant;
use fields::{Fields, MAX_LAYERS, MAX_TOKENS, MAX_WIDTH};
use plan::{Mix, Part, Slot};

/// Names under which multimodal configs keep the text model.
const TEXT: [&str; 4] = ["text_config", "language_config", "llm_config", "language_model_config"];

/// What every part of the reader needs.
pub(crate) struct Reader<'a> {
    pub(crate) f: Fields<'a>,
    pub(crate) m: Meaning,
    pub(crate) hidden: u64,
    pub(crate) max_context: Option<u64>,
    pub(crate) notes: std::cell::RefCell<Vec<String>>,
}

impl Reader<'_> {
    /// Notes something once.
    pub(crate) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }
}

/// Reads the config at `path` (a file, or a folder that holds `config.json`), with `hf_quant_config.json` and `model.safetensors.index.json` beside it where they
/// are there.
///
/// # Errors
/// Where a file cannot be read, or a field that is needed is missing or holds something else than it must.
pub fn read(path: &Path) -> Result<Architecture, ModelError> {
    let files = files(path);
    let value = json::read(&files.config)?;
    let quant = files.quant.as_deref().map(json::read).transpose()?;
    let mut model = from_value(&files.config, &value, files.quant.as_deref().zip(quant.as_ref()))?;
    if let Some(index) = &files.index {
        let bytes = json::read(index)?.pointer("/metadata/total_size").and_then(Value::as_u64);
        if let Some(bytes) = bytes {
            let of_ours = crate::params::weight_bytes(&model);
            model.notes.push(format!(
                "the checkpoint's index states {bytes} bytes of weights; counted here from the config: {of_ours}"
            ));
        }
    }
    Ok(model)
}

/// The files that describe a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `config.json`.
    pub config: PathBuf,
    /// `hf_quant_config.json` beside it, where it is there.
    pub quant: Option<PathBuf>,
    /// `model.safetensors.index.json` beside it, where it is there.
    pub index: Option<PathBuf>,
}

/// The files that [`read`] reads for `path`, a file or a folder that holds `config.json`.
pub fn files(path: &Path) -> Files {
    let config = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    // `org--name_config.json` has `org--name_hf_quant_config.json` beside it.
    let name = config.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.strip_suffix("config.json").unwrap_or("").to_owned();
    let beside = |name: &str| Some(config.with_file_name(format!("{stem}{name}"))).filter(|f| f.is_file());
    Files { quant: beside("hf_quant_config.json"), index: beside("model.safetensors.index.json"), config }
}

/// As [`read`], from JSON values; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn from_value(
    path: &Path,
    value: &Value,
    quant: Option<(&Path, &Value)>,
) -> Result<Architecture, ModelError> {
    let not_a_config = |found: &Value| ModelError::Field {
        path: path.to_owned(),
        field: "(whole file)".to_owned(),
        expected: "an object of fields such as hidden_size and num_hidden_layers".to_owned(),
        found: found.to_string().chars().take(60).collect(),
    };
    let outer_object = value.as_object().ok_or_else(|| not_a_config(value))?;
    let outer = Fields::new(path, "", outer_object);
    // Omni models keep the language model, with its own vision and audio, in one part beside others.
    let thinker = outer.object(&["thinker_config"])?;
    let part = thinker.map(|(_, object)| Fields::new(path, "thinker_config.", object));
    let (prefix, text) = match (&part, thinker) {
        (Some(part), Some((name, object))) => text_model(part, name, object)?,
        _ => text_model(&outer, "", outer_object)?,
    };
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    let f = Fields::new(path, &prefix, text);

    let architectures: Vec<String> =
        outer.texts("architectures")?.unwrap_or_default().into_iter().map(str::to_owned).collect();
    let model_type = f.text(&["model_type"])?.or(outer.text(&["model_type"])?);
    let outer_type = outer.text(&["model_type"])?;
    let m = family::meaning(&model_type.into_iter().chain(outer_type).collect::<Vec<_>>(), &architectures)?;

    let hidden = f.required(&["hidden_size", "d_model", "n_embd", "dim"], MAX_WIDTH)?;
    let vocab = f.required(&["vocab_size", "padded_vocab_size"], MAX_WIDTH)?;
    let max_context =
        f.count(&["max_position_embeddings", "max_seq_len", "n_positions", "seq_length"], MAX_TOKENS)?;
    let dtype = dtype(&f, &outer)?;
    let tied = match f.flag(&["tie_word_embeddings"])? {
        Some(tied) => tied,
        None => outer.flag(&["tie_word_embeddings"])?.or(m.tied).unwrap_or(false),
    };
    let reader = Reader { f, m, hidden, max_context, notes: std::cell::RefCell::default() };
    let (layers, mtp) = layers(&reader)?;
    // Widths of embeddings per layer, of which the model may have none.
    if reader.f.count(&["hidden_size_per_layer_input"], MAX_WIDTH)? == Some(0) {
        let _ = reader.f.has(&["vocab_size_per_layer_input"]);
    } else if reader.f.has(&["hidden_size_per_layer_input"]) {
        reader.note("embeddings per layer (hidden_size_per_layer_input) are not counted");
    }
    let head_bias = reader.f.flag(&["lm_head_bias"])?.unwrap_or(false);
    let quantization = quant::read(&reader, &outer, dtype, quant)?;
    let towers = towers(thinker.map_or(outer_object, |t| t.1));
    let Reader { f, m, notes, .. } = reader;
    let mut unread = f.unread();
    family::dimensions_only(&mut unread)?;
    let mut notes = notes.into_inner();
    notes.extend(quantization.notes.iter().cloned());
    Ok(Architecture {
        model_type: model_type.map(str::to_owned),
        architectures,
        families: m.names,
        vocab,
        hidden,
        max_context,
        tied,
        head_bias,
        dtype,
        quantization,
        layers,
        mtp,
        towers,
        notes,
        unread,
    })
}

/// The object that describes the text model, with its path.
fn text_model<'a>(
    outer: &Fields<'a>,
    prefix: &str,
    whole: &'a Map<String, Value>,
) -> Result<(String, &'a Map<String, Value>), ModelError> {
    for name in TEXT {
        if let Some((name, found)) = outer.object(&[name])? {
            let dot = if prefix.is_empty() { "" } else { "." };
            return Ok((format!("{prefix}{dot}{name}"), found));
        }
    }
    Ok((prefix.to_owned(), whole))
}

fn dtype<'a>(f: &Fields<'a>, outer: &Fields<'a>) -> Result<Dtype, ModelError> {
    const NAMES: [&str; 2] = ["torch_dtype", "dtype"];
    let (fields, name) = match f.text(&NAMES)? {
        Some(name) => (f, Some(name)),
        None => (outer, outer.text(&NAMES)?),
    };
    match name.map(|name| name.trim_start_matches("torch.")) {
        None | Some("bfloat16" | "auto") => Ok(Dtype::Bf16),
        Some("float16" | "half") => Ok(Dtype::Fp16),
        Some("float32" | "float") => Ok(Dtype::Fp32),
        Some(other) => Err(fields.wrong("torch_dtype", &other.into(), "bfloat16, float16, float32 or auto")),
    }
}

/// The layers of the main model and of the drafts.
fn layers(r: &Reader<'_>) -> Result<(Vec<Layer>, Vec<Layer>), ModelError> {
    let plan = plan::plan(r)?;
    let mut parts = attention::Cache::new(r)?;
    let build = |slot: &Slot, index: u64, parts: &mut attention::Cache| -> Result<Layer, ModelError> {
        let mut mixers = Vec::new();
        match slot.mix {
            Mix::Attention(span) => mixers.push(parts.attention(r, span, index)?),
            Mix::Linear => mixers.push(Mixer::Linear(parts.linear(r)?)),
            Mix::Mamba => mixers.push(Mixer::Linear(parts.mamba(r)?)),
            Mix::Conv => mixers.push(Mixer::Linear(parts.conv(r)?)),
            Mix::Both(span) => {
                mixers.push(parts.attention(r, span, index)?);
                mixers.push(Mixer::Linear(parts.mamba(r)?));
            }
            Mix::None => {}
        }
        let double = r.m.double_block == Some(true);
        if double && let Some(first) = mixers.first().cloned() {
            mixers.push(first);
        }
        let mut ffns = Vec::new();
        match slot.part {
            Part::Dense => ffns.extend(parts.dense(r, index)?),
            Part::Moe => {
                if r.m.dense_beside_moe == Some(true) {
                    ffns.extend(parts.dense(r, index)?);
                }
                if double {
                    ffns.extend(parts.dense(r, index)?);
                    ffns.extend(parts.dense(r, index)?);
                }
                ffns.push(parts.moe(r)?);
            }
            Part::None => {}
        }
        let both = !mixers.is_empty() && !ffns.is_empty();
        let norms =
            if both { r.m.norms.unwrap_or(2) } else { u64::from(!mixers.is_empty() || !ffns.is_empty()) };
        Ok(Layer { mixers, ffns, norms, norm_bias: r.m.norm_bias == Some(true) })
    };
    let mut main = Vec::with_capacity(plan.main.len());
    for (i, slot) in plan.main.iter().enumerate() {
        main.push(build(slot, i as u64, &mut parts)?);
    }
    attention::borrow(r, &mut main)?;
    let start = main.len() as u64;
    let drafts: Result<Vec<Layer>, ModelError> =
        plan.mtp.iter().enumerate().map(|(i, slot)| build(slot, start + i as u64, &mut parts)).collect();
    Ok((main, drafts?))
}

/// Parts beside the text model.
fn towers(outer: &Map<String, Value>) -> Vec<Tower> {
    let number =
        |object: &Map<String, Value>, names: &[&str]| names.iter().find_map(|n| object.get(*n)?.as_u64());
    ["vision", "audio"]
        .iter()
        .filter_map(|kind| {
            let object = outer.get(&format!("{kind}_config"))?.as_object()?;
            Some(Tower {
                kind: (*kind).to_owned(),
                layers: number(object, &["depth", "num_hidden_layers", "vt_num_hidden_layers", "layers"])
                    .filter(|n| *n <= MAX_LAYERS),
                hidden: number(object, &["hidden_size", "vt_hidden_size", "width", "d_model"])
                    .filter(|n| *n <= MAX_WIDTH),
            })
        })
        .collect()
}

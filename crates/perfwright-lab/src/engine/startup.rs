//! From settings to a running engine: loads the model, divides the memory, starts the thread, and logs each step in
//! the form of SGLang's startup log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::handle::EngineHandle;
use super::run::{EngineError, Scheduler};
use super::shared::Shared;
use crate::kineto::writer::Process;
use crate::log::Log;
use crate::settings::{DEFAULT_KV, EngineSettings};
use crate::{KvCache, LabError, Model, ModelConfig, ModelOptions, OpTable, Tokenizer, Weights};

/// Bytes in what SGLang's logs call a GB.
const GB: f64 = (1_u64 << 30) as f64;
/// Budgets that are not given are rounded up to this.
const BUDGET_STEP: u64 = 16 << 20;
/// Class name in logs and profiles.
const MODEL_CLASS: &str = "LabForCausalLM";

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// A shape by name, with weights from a seed.
    Preset {
        /// `tiny` or `small`.
        name: String,
        /// The seed.
        seed: u64,
    },
    /// A folder with `config.json` and safetensors files.
    Folder(PathBuf),
}

/// What the engine is started with.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The model.
    pub model: ModelSource,
    /// Name it is served under; the model's own where `None`.
    pub served_model_name: Option<String>,
    /// Variants of the operators.
    pub ops: OpTable,
    /// Compute threads; 0 takes what there is.
    pub threads: usize,
    /// Scheduling and memory.
    pub settings: EngineSettings,
}

/// How the memory budget is divided. The terms add up to `budget`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Everything.
    pub budget: u64,
    /// Weights, and the table of rotary positions.
    pub weights: u64,
    /// The KV cache.
    pub kv: u64,
    /// Activations of the largest pass.
    pub workspace: u64,
    /// What is left.
    pub free: u64,
}

/// What is fixed once the engine runs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Version of the program.
    pub version: String,
    /// Name in requests.
    pub served_model_name: String,
    /// Preset or folder.
    pub model_path: String,
    /// Class of the model.
    pub architecture: &'static str,
    /// What computes.
    pub device: String,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Tokens of a context.
    pub context_len: usize,
    /// Tokens of a request, answer included.
    pub max_req_len: usize,
    /// Tokens of a prompt.
    pub max_req_input_len: usize,
    /// Tokens in the KV cache.
    pub max_total_num_tokens: usize,
    /// The memory.
    pub memory: Memory,
    /// Resolved settings by SGLang's names, where there is one.
    pub args: Map<String, Value>,
    /// Seconds of the start.
    pub startup_seconds: f64,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model cannot be loaded or used.
    #[error(transparent)]
    Model(#[from] LabError),
    /// The budget does not hold what it must.
    #[error("not enough memory: {what} needs {needed} bytes, the budget leaves {left}")]
    Memory {
        /// What does not fit.
        what: &'static str,
        /// Bytes it needs.
        needed: u64,
        /// Bytes there are.
        left: u64,
    },
    /// A setting has no meaning.
    #[error("{setting}: {cause}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The thread cannot be started.
    #[error("cannot start the scheduler's thread: {0}")]
    Thread(std::io::Error),
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    /// The way to it.
    pub handle: EngineHandle,
    /// What is fixed.
    pub facts: Facts,
    /// Its thread.
    pub thread: JoinHandle<()>,
    /// How it ended.
    pub ended: oneshot::Receiver<Result<(), EngineError>>,
}

/// Starts an engine.
///
/// # Errors
/// When the model cannot be loaded, does not fit, or a setting has no meaning.
pub fn start(options: EngineOptions, version: &str, log: &Log) -> Result<Engine, StartError> {
    let began = Instant::now();
    let settings = options.settings.clone();
    check(&settings)?;
    let (weights, model_path, load_seconds) = load(&options.model)?;
    let config = weights.config().clone();
    let mut model =
        Model::new(weights, ModelOptions { threads: options.threads, ops: options.ops, simd: None })?;
    let context_len = config.max_position_embeddings;
    let pass_tokens = largest_pass(&settings, context_len);
    let (memory, pages) = divide(&model, &config, &settings, pass_tokens)?;
    model.reserve_workspace(pass_tokens);
    let kv = KvCache::new(&config, pages, settings.page_size)?;
    let capacity = kv.capacity_tokens();
    let max_req_len = context_len.min(capacity).saturating_sub(1);
    let mut facts = Facts {
        version: version.to_owned(),
        served_model_name: options.served_model_name.unwrap_or_else(|| config.name.clone()),
        model_path,
        architecture: MODEL_CLASS,
        device: format!("CPU, {} threads, {:?}", model.threads(), model.simd()),
        vocab_size: config.vocab_size,
        context_len,
        max_req_len,
        max_req_input_len: max_req_len.saturating_sub(5).max(1),
        max_total_num_tokens: capacity,
        memory,
        args: Map::new(),
        startup_seconds: 0.0,
    };
    facts.args = args(&facts, &options.model, &settings, &model);
    tell(&facts, &settings, &config, &kv, load_seconds, log);

    let shared = Arc::new(Shared::new(Instant::now()));
    shared.metrics.weight_load.set(load_seconds);
    let (sender, commands) = channel();
    let handle = EngineHandle::new(sender, Arc::clone(&shared), settings.max_queued_requests);
    let process = Process {
        pid: std::process::id(),
        device: facts.device.clone(),
        model_class: MODEL_CLASS.to_owned(),
        model: facts.served_model_name.clone(),
    };
    let (over, ended) = oneshot::channel();
    let scheduler =
        Scheduler::new(model, kv, Tokenizer, settings, Arc::clone(&shared), log.clone(), commands, process);
    let thread = std::thread::Builder::new()
        .name("scheduler".to_owned())
        .spawn(move || {
            let result = scheduler.run();
            shared.ended.store(true, std::sync::atomic::Ordering::Release);
            // The server may have gone already.
            let _ = over.send(result);
        })
        .map_err(StartError::Thread)?;
    facts.startup_seconds = began.elapsed().as_secs_f64();
    handle.shared.metrics.startup.set(facts.startup_seconds);
    Ok(Engine { handle, facts, thread, ended })
}

fn check(settings: &EngineSettings) -> Result<(), StartError> {
    let wrong = |setting, cause: &str| Err(StartError::Setting { setting, cause: cause.to_owned() });
    let one = "must be at least 1";
    if settings.max_running_requests == 0 {
        return wrong("--max-running-requests", one);
    }
    if settings.max_queued_requests == 0 {
        return wrong("--max-queued-requests", one);
    }
    if settings.decode_log_interval == 0 {
        return wrong("--decode-log-interval", one);
    }
    if settings.max_prefill_tokens == 0 {
        return wrong("--max-prefill-tokens", one);
    }
    if !(settings.mem_fraction > 0.0 && settings.mem_fraction < 1.0) {
        return wrong("--mem-fraction-static", "must be between 0 and 1");
    }
    if !(settings.conservativeness > 0.0 && settings.conservativeness <= 10.0) {
        return wrong("--schedule-conservativeness", "must be above 0 and at most 10");
    }
    Ok(())
}

fn load(source: &ModelSource) -> Result<(Weights, String, f64), StartError> {
    let began = Instant::now();
    let (weights, path) = match source {
        ModelSource::Preset { name, seed } => {
            let config = ModelConfig::preset(name).ok_or_else(|| StartError::Setting {
                setting: "--model",
                cause: format!("no model named {name:?}; known: tiny, small"),
            })?;
            (Weights::from_seed(&config, *seed)?, name.clone())
        }
        ModelSource::Folder(dir) => (Weights::from_safetensors(dir)?, dir.display().to_string()),
    };
    Ok((weights, path, began.elapsed().as_secs_f64()))
}

/// Tokens of the largest pass that can come.
fn largest_pass(settings: &EngineSettings, context_len: usize) -> usize {
    let prefill =
        settings.chunked_prefill_size.unwrap_or_else(|| settings.max_prefill_tokens.max(context_len));
    let decode = settings.max_running_requests;
    if settings.mixed_chunk { prefill + decode } else { prefill.max(decode) }
}

/// Divides the budget by SGLang's rule: weights and KV cache share `mem_fraction` of it. Gives the pages, too.
fn divide(
    model: &Model,
    config: &ModelConfig,
    settings: &EngineSettings,
    pass_tokens: usize,
) -> Result<(Memory, usize), StartError> {
    let weights = (model.weights().bytes() + model.rope_bytes()) as u64;
    let workspace = model.workspace_bytes(pass_tokens) as u64;
    let token = KvCache::bytes_per_token(config) as u64;
    let page = token * settings.page_size as u64;
    let fraction = settings.mem_fraction;
    let asked = settings.max_total_tokens.map(|tokens| tokens.div_ceil(settings.page_size.max(1)) as u64);
    // Without a budget the cache has a size of its own, and the budget is what holds it.
    let asked = asked.or_else(|| settings.mem_budget.is_none().then_some(DEFAULT_KV / page.max(1)));
    let budget = settings.mem_budget.unwrap_or_else(|| {
        let kept = asked.unwrap_or(0).saturating_mul(page).saturating_add(weights);
        let least = (kept as f64 / fraction).max(kept.saturating_add(workspace) as f64);
        (least as u64).div_ceil(BUDGET_STEP).saturating_mul(BUDGET_STEP)
    });
    let share = (budget as f64 * fraction) as u64;
    if share < weights + page {
        return Err(StartError::Memory {
            what: "the weights and one page",
            needed: weights + page,
            left: share,
        });
    }
    let profiled = (share - weights) / page.max(1);
    let pages = asked.unwrap_or(profiled).min(profiled).max(1);
    let kv = pages * page;
    let left = budget - weights - kv;
    let free = left.checked_sub(workspace).ok_or(StartError::Memory {
        what: "the activations of the largest pass",
        needed: workspace,
        left,
    })?;
    Ok((Memory { budget, weights, kv, workspace, free }, usize::try_from(pages).unwrap_or(usize::MAX)))
}

/// The settings as they were resolved.
fn args(facts: &Facts, source: &ModelSource, settings: &EngineSettings, model: &Model) -> Map<String, Value> {
    let seed = match source {
        ModelSource::Preset { seed, .. } => Some(*seed),
        ModelSource::Folder(_) => None,
    };
    let size = |n: Option<usize>| n.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX));
    let value = json!({
        "model_path": facts.model_path,
        "tokenizer_path": facts.model_path,
        "served_model_name": facts.served_model_name,
        "host": "127.0.0.1",
        "device": "cpu",
        "dtype": "float32",
        "kv_cache_dtype": "float32",
        "quantization": null,
        "context_length": facts.context_len,
        "mem_fraction_static": settings.mem_fraction,
        "max_running_requests": settings.max_running_requests,
        "max_queued_requests": settings.max_queued_requests,
        "max_total_tokens": settings.max_total_tokens,
        "chunked_prefill_size": size(settings.chunked_prefill_size),
        "max_prefill_tokens": settings.max_prefill_tokens,
        "enable_mixed_chunk": settings.mixed_chunk,
        "schedule_policy": settings.schedule_policy,
        "schedule_conservativeness": settings.conservativeness,
        "page_size": settings.page_size,
        "tp_size": 1, "pp_size": 1, "dp_size": 1, "ep_size": 1,
        "random_seed": seed,
        "attention_backend": format!("lab_{}", model.ops().attention.label()),
        "sampling_backend": format!("lab_{}", model.ops().sampling.label()),
        "disable_radix_cache": true,
        "disable_cuda_graph": true,
        "enable_metrics": true,
        "decode_log_interval": settings.decode_log_interval,
        "speculative_algorithm": null,
        "lab_ops": model.ops().describe(),
        "lab_threads": model.threads(),
        "lab_simd": format!("{:?}", model.simd()),
        "lab_mem_budget": facts.memory.budget,
        "lab_faults": settings.faults.names(),
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The startup log. Its `GB` are GiB, as in SGLang's, with digits enough for a small model.
fn tell(
    facts: &Facts,
    settings: &EngineSettings,
    config: &ModelConfig,
    kv: &KvCache,
    load_seconds: f64,
    log: &Log,
) {
    let memory = &facts.memory;
    let gb = |bytes: u64| format!("{:.6} GB", bytes as f64 / GB);
    let python = |value: &Value| match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        other => other.to_string(),
    };
    let args: Vec<String> =
        facts.args.iter().map(|(key, value)| format!("{key}={}", python(value))).collect();
    log.info(&format!("server_args=ServerArgs({})", args.join(", ")));
    if !settings.faults.names().is_empty() {
        log.warning(&format!("Faults are on: {}", settings.faults));
    }
    let after_weights = memory.budget - memory.weights;
    let after_pool = after_weights - memory.kv;
    log.info(&format!("Load weight begin. avail mem={}", gb(memory.budget)));
    log.info(&format!(
        "Load weight end. elapsed={load_seconds:.2} s, type={MODEL_CLASS}, quant=None, avail mem={}, mem usage={}.",
        gb(after_weights),
        gb(memory.weights)
    ));
    if let Some(asked) = settings.max_total_tokens.filter(|asked| *asked > facts.max_total_num_tokens) {
        log.warning(&format!(
            "max_total_tokens={asked} is larger than the profiled value {}. Use the profiled value instead.",
            facts.max_total_num_tokens
        ));
    }
    log.info(&format!(
        "KV Cache is allocated. dtype: float32, #tokens: {}, K size: {}, V size: {}",
        facts.max_total_num_tokens,
        gb(memory.kv / 2),
        gb(memory.kv / 2)
    ));
    log.info(&format!("Memory pool end. avail mem={}", gb(after_pool)));
    log.info(&format!(
        "Activation workspace is allocated. avail mem={}, mem usage={}.",
        gb(memory.free),
        gb(memory.workspace)
    ));
    log.info(&format!(
        "Memory identity in bytes: budget {} = weights {} + KV cache {} ({} tokens x {}) + activations {} + graph 0 + \
         free {}",
        memory.budget,
        memory.weights,
        memory.kv,
        kv.capacity_tokens(),
        KvCache::bytes_per_token(config),
        memory.workspace,
        memory.free
    ));
    log.info(&format!(
        "max_total_num_tokens={}, chunked_prefill_size={}, max_prefill_tokens={}, max_running_requests={}, \
         context_len={}, available_gpu_mem={}",
        facts.max_total_num_tokens,
        facts.args.get("chunked_prefill_size").unwrap_or(&Value::Null),
        settings.max_prefill_tokens,
        settings.max_running_requests,
        facts.context_len,
        gb(memory.free)
    ));
}

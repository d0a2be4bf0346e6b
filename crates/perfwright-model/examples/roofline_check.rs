//! Holds the lower bound on the time per token against measured serving runs.
//!
//! `cargo run --release -p perfwright-model --example roofline_check -- ../shared/data/model [--all]`
//!
//! Reads `gpu_systems/silicon_sample.csv.gz` and the configs beside it. Prints how many rows joined, why others were
//! left out and how many, the share of rows where the bound holds, every row that breaks it with what would make it
//! hold, and how tight it is. Exits with 1 where a target is missed.
#![expect(clippy::print_stdout, reason = "a command")]
#![expect(
    clippy::unwrap_used,
    reason = "a command over a data set whose form is known; a panic is its error message"
)]

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use perfwright_model::arch::{Architecture, Ffn};
use perfwright_model::format::{Format, KvDtype};
use perfwright_model::hardware::Gpu;
use perfwright_model::ops::{Phase, Step};
use perfwright_model::parallel::Parallel;
use perfwright_model::{config, hardware, kv, ops, params, roofline};

const HOLDS: f64 = 0.99;
const DENSE: f64 = 3.6;
const MOE: f64 = 6.0;

/// Config of equal architecture and storage for a row, and the format that replaces the config's where none stores
/// the weights as the row does. `None`: no config here has that architecture.
fn config_of(model: &str, precision: &str) -> Option<(&'static str, Option<Format>)> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let fp4 = precision == "fp4";
    let quantised = match precision {
        "fp8" => Some(Format::FP8),
        "fp4" => Some(Format::NVFP4),
        _ => None,
    };
    Some(match name {
        "DeepSeek-R1" | "DeepSeek-V3" | "DeepSeek-R1-NVFP4" | "DeepSeek-V3.1-NVFP4" if fp4 => {
            ("nvidia--DeepSeek-V3.1-NVFP4", None)
        }
        "DeepSeek-R1" | "DeepSeek-V3" => ("deepseek-ai--DeepSeek-V3", None),
        "MiniMax-M2.5" if fp4 => ("nvidia--MiniMax-M2.5-NVFP4", None),
        "MiniMax-M2.5" => ("MiniMaxAI--MiniMax-M2.5", None),
        "gpt-oss-120b" => ("openai--gpt-oss-120b", None),
        "Llama-3.1-70B" => ("meta-llama--Meta-Llama-3.1-70B", quantised),
        "Llama-3.1-8B-Instruct" => ("meta-llama--Meta-Llama-3.1-8B", quantised),
        "Llama-3.1-8B-Instruct-FP8" => ("meta-llama--Meta-Llama-3.1-8B", Some(Format::FP8)),
        "Qwen3-32B" if precision == "fp8" => ("Qwen--Qwen3-32B-FP8", None),
        "Qwen3-32B" => ("Qwen--Qwen3-32B", quantised),
        "Qwen3-235B-A22B-FP8" => ("Qwen--Qwen3-235B-A22B-FP8", None),
        "Qwen3.5-397B-A17B" if fp4 => ("nvidia--Qwen3.5-397B-A17B-NVFP4", None),
        "Qwen3.5-397B-A17B" => ("Qwen--Qwen3.5-397B-A17B", quantised),
        "Kimi-K2.5" if fp4 => ("nvidia--Kimi-K2.5-NVFP4", None),
        "Kimi-K2.5" => ("moonshotai--Kimi-K2.5", None),
        "GLM-5" if fp4 => ("nvidia--GLM-5-NVFP4", None),
        "GLM-5" => ("zai-org--GLM-5-FP8", None),
        _ => return None,
    })
}

/// How the ranks of a row share the model, and the requests at a time over all of them.
///
/// Rows of the later dumps carry the product of TP and EP as TP (or as attention DP): the same measurement, to the
/// last digit, stands in the earlier dump with the number of GPUs that the row's name gives (`..._tp4_ep4_...`). For
/// these the name counts.
fn shape(row: &HashMap<&str, &str>) -> Result<(Parallel, u64), String> {
    let number = |key: &str| row[key].parse::<u64>().ok().filter(|n| *n > 0);
    let batch = number("batch_size").ok_or("no batch size")?;
    let (mut tp, mut dp) = (number("tp_size").ok_or("no TP size")?, number("attention_dp_size").unwrap_or(1));
    let (moe_tp, moe_ep) = (number("moe_tp_size").unwrap_or(1), number("moe_ep_size").unwrap_or(1));
    let mut ep = moe_ep;
    let concurrency = row["silicon_data_source"]
        .split("silicon_concurrency=")
        .nth(1)
        .and_then(|rest| rest.split(';').next()?.trim().parse::<u64>().ok())
        .unwrap_or(batch * dp);
    let named = |key: &str| {
        row["id"].split('_').filter_map(|part| part.strip_prefix(key)?.parse::<u64>().ok()).next_back()
    };
    if let (Some(name_tp), Some(name_ep)) = (named("tp"), named("ep"))
        && name_ep > 1
        && tp * dp == name_tp * name_ep
        && tp * dp != name_tp
    {
        (tp, dp) = if dp > 1 { (1, name_tp) } else { (name_tp, 1) };
        ep = name_ep;
    } else if moe_tp * moe_ep != tp * dp {
        if moe_tp * moe_ep > 1 {
            return Err(format!("attention is on {} ranks, experts on {}", tp * dp, moe_tp * moe_ep));
        }
        ep = 1;
    }
    let pp = number("pp_size").unwrap_or(1);
    Ok((Parallel { tp, dp, ep, pp }, concurrency))
}

fn is_moe(model: &Architecture) -> bool {
    model.layers.iter().any(|layer| layer.ffns.iter().any(|ffn| matches!(ffn, Ffn::Moe(_))))
}

struct Joined {
    id: String,
    what: String,
    moe: bool,
    measured_ms: f64,
    ttft_ms: Option<f64>,
    bound_ms: f64,
    group: String,
    model: Rc<Architecture>,
    gpu: Gpu,
    step: Step,
    osl: u64,
}

fn bound_ms(model: &Architecture, gpu: &Gpu, step: &Step) -> Result<f64, String> {
    let list = ops::of(model, step).map_err(|e| e.to_string())?;
    let times: Vec<_> = list.iter().map(|op| roofline::time(op, gpu, 0.0)).collect();
    Ok(roofline::step(&times).time_us / 1e3)
}

/// The largest value of `1..=most` at which `holds`, if any; `holds` is true up to some value and false above it.
fn largest(most: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle) { low = middle } else { high = middle - 1 }
    }
    (low > 0).then_some(low)
}

impl Joined {
    fn holds(&self, step: &Step) -> bool {
        bound_ms(&self.model, &self.gpu, step).is_ok_and(|bound| bound <= self.measured_ms)
    }

    /// What would make the bound hold: each line is one assumption replaced by a figure of the row or of the GPU.
    fn reasons(&self) -> Vec<String> {
        let mut out = Vec::new();
        let (step, p) = (self.step, self.step.parallel);
        let over = (self.bound_ms / self.measured_ms - 1.0) * 100.0;
        if over <= 1.0 {
            out.push(format!("only {over:.2} % over (of the 1 % that is not told apart)"));
        }
        let with_batch = |batch| Step { batch, ..step };
        let said = |holds: bool| if holds { "the bound holds" } else { "the bound still breaks" };
        let at = |batch: u64| {
            let bound = bound_ms(&self.model, &self.gpu, &with_batch(batch)).unwrap_or(f64::MAX);
            format!("{bound:.3} ms at {batch}: {}", said(bound <= self.measured_ms))
        };
        // Requests whose cache fits beside the weights run; the others wait.
        let free =
            u128::from(self.gpu.memory_bytes.value).saturating_sub(params::rank_bytes(&self.model, &p).total);
        let request = kv::on_rank(&self.model, step.kv_dtype, &p).request(step.context);
        let fit = u64::try_from(free / u128::from(request.max(1))).unwrap_or(u64::MAX).saturating_mul(p.dp);
        if fit < step.batch {
            let text = format!("cache of {fit} of {} requests fits beside the weights", step.batch);
            out.push(format!("{text}; {}", at(fit.max(1))));
        }
        // Little's law: of the time a request is in the system, the part in which it decodes.
        if let Some(ttft) = self.ttft_ms {
            let decode = self.measured_ms * self.osl as f64;
            let share = decode / (decode + ttft);
            let active = ((step.batch as f64 * share).round() as u64).max(1);
            let text = format!("{:.1} % of a request's time is decode (TTFT {ttft:.0} ms)", share * 100.0);
            if share < 0.95 {
                out.push(format!("{text}, so {active} of {} decode; {}", step.batch, at(active)));
            }
        }
        let ranks = p.tp * p.dp;
        if self.moe && ranks > 8 && p.dp == 1 {
            let wide = Step { parallel: Parallel { tp: 1, dp: ranks, ep: ranks, pp: p.pp }, ..step };
            if let Ok(bound) = bound_ms(&self.model, &self.gpu, &wide) {
                let text = format!("on {ranks} ranks, with data-parallel attention and wide EP");
                out.push(format!("{text} {bound:.3} ms: {}", said(bound <= self.measured_ms)));
            }
        }
        let batch = largest(step.batch, |batch| self.holds(&with_batch(batch)));
        let context = largest(step.context, |context| self.holds(&Step { context, ..step }));
        let up_to = |found: Option<u64>, assumed: u64| match found {
            Some(n) => format!("up to {n} (assumed {assumed})"),
            None => format!("at none (assumed {assumed})"),
        };
        out.push(format!(
            "holds for an active batch {}, or for a mean context {}",
            up_to(batch, step.batch),
            up_to(context, step.context)
        ));
        out
    }
}

fn join(
    row: &HashMap<&str, &str>,
    configs: &mut HashMap<String, Rc<Architecture>>,
    dir: &Path,
) -> Result<Joined, String> {
    let measured_ms: f64 = row["silicon_tpot_ms"].parse().map_err(|_| "no TPOT")?;
    let (parallel, batch) = shape(row)?;
    let precision = if row["precision"].is_empty() { "bf16" } else { row["precision"] };
    let (name, format) = config_of(row["model_path"], precision).ok_or("no config of equal architecture")?;
    let key = format!("{name} {}", format.map_or("", |f| f.name));
    if !configs.contains_key(&key) {
        let mut model =
            config::read(&dir.join(format!("configs/{name}_config.json"))).map_err(|e| e.to_string())?;
        if let Some(format) = format {
            model.quantization = model.quantization.replaced(format);
        }
        configs.insert(key.clone(), Rc::new(model));
    }
    let model = Rc::clone(&configs[&key]);
    let gpu = hardware::find(row["system"]).map_err(|e| e.to_string())?;
    parallel.check(&model).map_err(|e| format!("the model cannot be cut like that: {e}"))?;
    if params::rank_bytes(&model, &parallel).total > u128::from(gpu.memory_bytes.value) {
        return Err("the weights do not fit on the stated ranks".to_owned());
    }
    let (isl, osl): (u64, u64) = (row["isl"].parse().unwrap(), row["osl"].parse().unwrap());
    let step = Step {
        phase: Phase::Decode,
        batch,
        tokens: 1,
        context: isl + osl / 2,
        parallel,
        kv_dtype: if precision == "bf16" { KvDtype::Bf16 } else { KvDtype::Fp8 },
    };
    let short = row["model_path"].rsplit('/').next().unwrap();
    Ok(Joined {
        id: row["id"].to_owned(),
        what: format!(
            "{short} {precision} on {}, {} {}, isl {isl}, osl {osl}, {batch} requests, TP {} DP {} EP {} PP {}",
            row["system"],
            row["backend"],
            row["backend_version"],
            parallel.tp,
            parallel.dp,
            parallel.ep,
            parallel.pp
        ),
        moe: is_moe(&model),
        measured_ms,
        ttft_ms: row["silicon_ttft_ms"].parse().ok().filter(|ms: &f64| *ms > 0.0),
        bound_ms: bound_ms(&model, &gpu, &step)?,
        group: format!("{short} {precision}"),
        model,
        gpu,
        step,
        osl,
    })
}

fn quantile(ratios: &mut [f64], at: f64) -> Option<f64> {
    ratios.sort_by(f64::total_cmp);
    ratios.get(((ratios.len() as f64 - 1.0) * at).round() as usize).copied()
}

/// Two decimals, or a dash where there are no rows.
fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dir = Path::new(args.first().map_or("../shared/data/model", String::as_str));
    let mut text = String::new();
    let file = std::fs::File::open(dir.join("gpu_systems/silicon_sample.csv.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    // No field of this file is quoted.
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut configs = HashMap::new();
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut joined = Vec::new();
    let mut rows = 0;
    for line in lines {
        rows += 1;
        let row: HashMap<&str, &str> = header.iter().copied().zip(line.split(',')).collect();
        let result = if row["mode"] == "agg" {
            join(&row, &mut configs, dir)
        } else {
            Err("disaggregated".to_owned())
        };
        match result {
            Ok(row) => joined.push(row),
            Err(reason) => *left_out.entry(reason).or_default() += 1,
        }
    }
    let left: usize = left_out.values().sum();
    println!("rows {rows}, joined {}, left out {left}", joined.len());
    println!(
        "assumed: active batch = concurrency; context = isl + osl/2; cache in fp8 where weights are fp8, fp4 or int4, else bf16;"
    );
    println!(
        "         uniform routing; peak rates without derating; operators one after another; TP and EP from the row's name where the columns hold their product"
    );
    for (reason, count) in &left_out {
        println!("left out {count:5}  {reason}");
    }
    let breakers: Vec<&Joined> = joined.iter().filter(|row| row.bound_ms > row.measured_ms).collect();
    let holds = 1.0 - breakers.len() as f64 / joined.len().max(1) as f64;
    println!("bound holds on {:.2} % ({} rows break it)", holds * 100.0, breakers.len());
    for row in &breakers {
        println!("breaks   measured {:8.3} ms, bound {:8.3} ms  {}", row.measured_ms, row.bound_ms, row.id);
        println!("           {}", row.what);
        row.reasons().iter().for_each(|reason| println!("           - {reason}"));
    }
    let ratios = |keep: &dyn Fn(&Joined) -> bool| -> Vec<f64> {
        joined.iter().filter(|row| keep(row)).map(|row| row.measured_ms / row.bound_ms).collect()
    };
    let mut groups: Vec<&str> = joined.iter().map(|row| row.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let mut all = ratios(&|row| row.group == group);
        let mut small = ratios(&|row| row.group == group && row.step.batch <= 8);
        println!(
            "measured/bound {group:32} {:4} rows: p10 {:>5}, median {:>5}; batch <= 8 {:4} rows: median {:>5}",
            all.len(),
            shown(quantile(&mut all, 0.1)),
            shown(quantile(&mut all, 0.5)),
            small.len(),
            shown(quantile(&mut small, 0.5))
        );
    }
    let mut dense = ratios(&|row| !row.moe && row.step.batch <= 8);
    let mut moe = ratios(&|row| row.moe && row.step.batch <= 8);
    let (d, m) = (quantile(&mut dense, 0.5), quantile(&mut moe, 0.5));
    println!(
        "batch <= 8: dense median {} over {} rows (target under {DENSE}), MoE median {} over {} rows (target under {MOE})",
        shown(d),
        dense.len(),
        shown(m),
        moe.len()
    );
    let under = |median: Option<f64>, target| median.is_some_and(|m| m < target);
    if holds >= HOLDS && under(d, DENSE) && under(m, MOE) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

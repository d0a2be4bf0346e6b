//! `perfwright model`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::record::RecordArgs;

/// What a model must compute and hold, from its config.json
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// What to ask about the model.
    #[command(subcommand)]
    pub verb: ModelVerb,
}

/// What to ask about a model.
#[derive(Debug, Subcommand)]
pub enum ModelVerb {
    /// Layers and dimensions, as a table or a Mermaid flowchart
    Show(ShowArgs),
    /// Parameters, weights and bytes of cache per token
    Memory(MemoryArgs),
    /// Operators of a step with FLOPs, bytes, communication and the least time on a GPU
    Ops(OpsArgs),
    /// Memory and least time per token over parallelism, formats, batch and context
    Whatif(WhatifArgs),
}

/// The config.
#[derive(Debug, Clone, Args)]
pub struct ConfigArg {
    /// Hugging Face config.json, or a folder that holds it; hf_quant_config.json and model.safetensors.index.json beside it are read too
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// How ranks share the model.
#[derive(Debug, Clone, Copy, Args)]
pub struct ParallelArgs {
    /// Ranks that share attention and dense parts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub tp: u64,

    /// Groups that hold whole experts; divides TP x DP
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub ep: u64,

    /// Replicas of attention with requests of their own
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub dp: u64,

    /// Stages
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub pp: u64,
}

/// Arguments of `model show`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright model show --config config.json
  perfwright model show --config config.json --mermaid > model.mmd")]
pub struct ShowArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArg,

    /// Print the flowchart alone, in Mermaid
    #[arg(long)]
    pub mermaid: bool,
}

/// Arguments of `model memory`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright model memory --config config.json
  perfwright model memory --config config.json --tp 8 --kv-dtype fp8 --gpu h200 --context 32768
  perfwright model memory --config config.json --format json")]
pub struct MemoryArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArg,

    /// Parallelism.
    #[command(flatten)]
    pub parallel: ParallelArgs,

    /// Format of the cache: bf16, fp16, fp32, fp8, fp4
    #[arg(long, value_name = "DTYPE", default_value = "bf16")]
    pub kv_dtype: String,

    /// Format of the weights instead of the checkpoint's: bf16, fp8, int4, nvfp4, mxfp4, ...
    #[arg(long, value_name = "DTYPE")]
    pub dtype: Option<String>,

    /// GPU of the catalogue whose memory is divided
    #[arg(long, value_name = "NAME")]
    pub gpu: Option<String>,

    /// Share of the GPU's memory for weights and cache
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub fraction: f64,

    /// Tokens of a request, for the number of requests that fit
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<u64>,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PhaseArg {
    /// New tokens of prompts
    Prefill,
    /// Tokens to generate or verify
    Decode,
}

/// Arguments of `model ops`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright model ops --config config.json --phase prefill --batch 1 --tokens 8192 --context 0 --gpu h100
  perfwright model ops --config config.json --phase decode --batch 64 --context 4096 --tp 8 --gpu b200
  perfwright model ops --config config.json --phase decode --batch 1 --context 1024 --gpu h200 --measured-us 9500")]
pub struct OpsArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArg,

    /// What the step does
    #[arg(long, value_enum)]
    pub phase: PhaseArg,

    /// Requests, over all replicas
    #[arg(long, value_name = "N")]
    pub batch: u64,

    /// New tokens of each request
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub tokens: u64,

    /// Tokens of each request in the cache before the step
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub context: u64,

    /// Parallelism.
    #[command(flatten)]
    pub parallel: ParallelArgs,

    /// Format of the weights instead of the checkpoint's: bf16, fp8, int4, nvfp4, mxfp4, ...
    #[arg(long, value_name = "DTYPE")]
    pub dtype: Option<String>,

    /// Format of the cache: bf16, fp16, fp32, fp8, fp4
    #[arg(long, value_name = "DTYPE", default_value = "bf16")]
    pub kv_dtype: String,

    /// GPU of the catalogue
    #[arg(long, value_name = "NAME")]
    pub gpu: String,

    /// Least time of an operator in microseconds; 0 is the ideal
    #[arg(long, value_name = "US", default_value_t = 0.0)]
    pub launch_us: f64,

    /// Measured time of the step in microseconds: gives MFU and MBU
    #[arg(long, value_name = "US")]
    pub measured_us: Option<f64>,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

/// Arguments of `model whatif`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright model whatif --config config.json --gpu h200
  perfwright model whatif --config config.json --gpu b200 --tp 4,8 --kv-dtype bf16,fp8 --batch 16,64,256 --context 8192")]
pub struct WhatifArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArg,

    /// GPU of the catalogue
    #[arg(long, value_name = "NAME")]
    pub gpu: String,

    /// Ranks that share attention and dense parts
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    pub tp: Vec<u64>,

    /// Groups that hold whole experts
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [1])]
    pub ep: Vec<u64>,

    /// Replicas of attention
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [1])]
    pub dp: Vec<u64>,

    /// Stages
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [1])]
    pub pp: Vec<u64>,

    /// Formats of the weights; `checkpoint` is that of the config
    #[arg(long, value_name = "DTYPE,..", value_delimiter = ',', default_value = "checkpoint")]
    pub dtype: Vec<String>,

    /// Formats of the cache
    #[arg(long, value_name = "DTYPE,..", value_delimiter = ',', default_value = "bf16,fp8")]
    pub kv_dtype: Vec<String>,

    /// Requests, over all replicas
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [1, 16, 128])]
    pub batch: Vec<u64>,

    /// Tokens of each request in the cache
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [4096, 32768])]
    pub context: Vec<u64>,

    /// Share of the GPU's memory for weights and cache
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub fraction: f64,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;

    fn parse(line: &str) -> Result<ModelArgs, clap::Error> {
        let command = ModelArgs::augment_args(clap::Command::new("model"));
        command
            .try_get_matches_from(line.split_whitespace())
            .and_then(|matches| ModelArgs::from_arg_matches(&matches))
    }

    #[test]
    fn ops_takes_its_documented_arguments() {
        let line = "model ops --config c.json --phase decode --batch 8 --tokens 1 --context 4096 --tp 8 --ep 8 --gpu h200";
        let ModelVerb::Ops(args) = parse(line).unwrap().verb else { panic!("not ops") };
        assert_eq!((args.batch, args.tokens, args.context), (8, 1, 4096));
        assert_eq!((args.parallel.tp, args.parallel.ep, args.parallel.pp), (8, 8, 1));
        assert_eq!(args.phase, PhaseArg::Decode);
    }

    #[test]
    fn what_must_be_given_must_be_given() {
        assert!(parse("model memory").is_err());
        assert!(parse("model ops --config c.json --phase decode --batch 1").is_err());
        assert!(parse("model ops --config c.json --phase train --batch 1 --gpu h100").is_err());
    }
}

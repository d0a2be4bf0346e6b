//! What is fixed before a capture, and what each framework's profiler is told.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::measure::PathDemand;

/// A framework whose profiler is driven over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framework {
    /// SGLang, and the lab, which speaks the same protocol: the request names folder and steps.
    Sglang,
    /// vLLM: folder and options are fixed when it starts (`--profiler-config`, earlier `VLLM_TORCH_PROFILER_DIR`).
    Vllm,
    /// TensorRT-LLM with the endpoints of its pull request 13872, which takes SGLang's fields; releases without them
    /// profile by `TLLM_PROFILE_START_STOP` and `TLLM_TORCH_PROFILE_TRACE` only.
    TensorrtLlm,
    /// TokenSpeed: folder and options come with the request, and it ends with `/stop_profile`.
    Tokenspeed,
}

/// Which work is profiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Prompts of the full length, one token each.
    Prefill,
    /// Answers under way at full context.
    Decode,
}

impl Stage {
    /// The name, also of its folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// What is fixed before a capture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureConditions {
    /// The server.
    pub url: String,
    /// `completions`, `chat` or `generate`.
    pub endpoint: String,
    /// The model's name in requests; empty: the first that the server lists.
    pub model: String,
    /// The framework.
    pub framework: Framework,
    /// What is profiled, in this order.
    pub stages: Vec<Stage>,
    /// Words of a prompt.
    pub input_len: u32,
    /// Tokens of an answer of the decode workload.
    pub output_len: u32,
    /// Answers under way at once in the decode workload.
    pub batch: u32,
    /// Steps that are wanted. One more is asked for: the profiler may cut the last one.
    pub steps: u32,
    /// Requests of each workload before its profile.
    pub warmup: u32,
    /// Seed of the words.
    pub seed: u64,
    /// The folder for traces, as this machine sees it.
    pub out: PathBuf,
    /// The same folder as the server sees it; for vLLM the folder that it writes to.
    pub server_dir: PathBuf,
    /// Milliseconds for a connection.
    pub connect_timeout_ms: u64,
    /// Milliseconds for a request.
    pub timeout_ms: u64,
    /// Milliseconds until the files are whole.
    pub flush_timeout_ms: u64,
    /// What the path of the server must be.
    #[serde(default, skip_serializing_if = "PathDemand::is_empty")]
    pub path: PathDemand,
}

impl CaptureConditions {
    /// Steps that the profiler is asked for.
    #[must_use]
    pub fn asked_steps(&self) -> u32 {
        self.steps.saturating_add(1)
    }

    /// The body of `/start_profile`; none where the framework takes none.
    pub(super) fn start_body(&self, stage: Stage) -> Option<Value> {
        let dir = self.server_dir.join(stage.name());
        let dir = dir.display().to_string();
        match self.framework {
            Framework::Vllm => None,
            // SGLang's own client sends the number as text.
            Framework::Sglang => Some(json!({
                "output_dir": dir,
                "num_steps": self.asked_steps().to_string(),
                "activities": ["CPU", "GPU"],
                "profile_by_stage": false,
                "merge_profiles": false,
            })),
            Framework::TensorrtLlm => Some(json!({
                "output_dir": dir,
                "num_steps": self.asked_steps(),
                "activities": ["CPU", "GPU"],
            })),
            Framework::Tokenspeed => Some(json!({
                "output_dir": dir,
                "activities": ["CPU", "GPU"],
                "with_stack": true,
                "record_shapes": false,
                "profile_id": format!("perfwright-{}", stage.name()),
            })),
        }
    }

    /// The folder in which the files of a stage appear.
    pub(super) fn watched(&self, stage: Stage) -> PathBuf {
        match self.framework {
            Framework::Vllm => self.server_dir.clone(),
            _ => self.kept(stage),
        }
    }

    /// The folder in which the files of a stage are kept.
    pub(super) fn kept(&self, stage: Stage) -> PathBuf {
        self.out.join(stage.name())
    }
}

/// A name that profilers give to traces.
pub(super) fn is_trace_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    !name.starts_with('.') && (name.ends_with(".json") || name.ends_with(".json.gz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_framework_is_told_in_its_own_words() {
        let mut c = CaptureConditions {
            url: "u".into(),
            endpoint: "completions".into(),
            model: String::new(),
            framework: Framework::Sglang,
            stages: vec![Stage::Prefill],
            input_len: 8,
            output_len: 8,
            batch: 1,
            steps: 5,
            warmup: 0,
            seed: 1,
            out: "here".into(),
            server_dir: "/there".into(),
            connect_timeout_ms: 1,
            timeout_ms: 1,
            flush_timeout_ms: 1,
            path: PathDemand::default(),
        };
        let body = c.start_body(Stage::Decode).unwrap();
        assert_eq!((&body["output_dir"], &body["num_steps"]), (&"/there/decode".into(), &"6".into()));
        assert_eq!(c.watched(Stage::Decode), Path::new("here/decode"));
        c.framework = Framework::Vllm;
        assert_eq!(c.start_body(Stage::Decode), None);
        assert_eq!(
            (c.watched(Stage::Decode), c.kept(Stage::Decode)),
            ("/there".into(), "here/decode".into())
        );
        assert!(is_trace_name(Path::new("a/x-TP-0.trace.json.gz")) && !is_trace_name(Path::new("a/.x.json")));
    }
}

//! What a server tells of itself: models, settings, version, counters. Each is optional; absence is a note.

use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;
use crate::fetch::get;
use crate::metrics::{MAX_TEXT, Metrics};
use crate::pool::Pool;
use crate::target::Target;

/// Longest settings that are read, in bytes.
const MAX_JSON: usize = 4 << 20;
/// How long each question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What a server told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerInfo {
    /// `/v1/models`.
    pub models: Option<Value>,
    /// `/server_info`, under its old name `/get_server_info` where needed (SGLang).
    pub server_info: Option<Value>,
    /// `/model_info`, likewise (SGLang).
    pub model_info: Option<Value>,
    /// `/version` (vLLM, TensorRT-LLM).
    pub version: Option<Value>,
    /// What could not be had, and why.
    pub notes: Vec<String>,
}

impl ServerInfo {
    /// Asks for everything.
    pub async fn fetch(target: &Target, pool: &Pool, token: Option<&str>) -> Self {
        let mut info = Self::default();
        let parts: [(&mut Option<Value>, &[&str]); 4] = [
            (&mut info.models, &["/v1/models"]),
            (&mut info.server_info, &["/server_info", "/get_server_info"]),
            (&mut info.model_info, &["/model_info", "/get_model_info"]),
            (&mut info.version, &["/version"]),
        ];
        for (slot, paths) in parts {
            for path in paths {
                match json(target, pool, path, token).await {
                    Ok(value) => {
                        *slot = Some(value);
                        break;
                    }
                    Err(why) => info.notes.push(format!("{path}: {why}")),
                }
            }
        }
        info
    }

    /// The first model that the server lists.
    pub fn first_model(&self) -> Option<&str> {
        self.models.as_ref()?.pointer("/data/0/id")?.as_str()
    }
}

async fn json(target: &Target, pool: &Pool, path: &str, token: Option<&str>) -> Result<Value, String> {
    let (status, body) =
        get(target, pool, path, token, MAX_JSON, LIMIT).await.map_err(|e: Failure| e.to_string())?;
    if status != 200 {
        return Err(format!("HTTP {status}"));
    }
    serde_json::from_slice(&body).map_err(|e| format!("not JSON: {e}"))
}

/// The text of `/metrics`, when there is one with at least one sample.
///
/// # Errors
/// Why there is none.
pub async fn metrics_text(target: &Target, pool: &Pool, token: Option<&str>) -> Result<String, String> {
    let (status, body) =
        get(target, pool, "/metrics", token, MAX_TEXT, LIMIT).await.map_err(|e| e.to_string())?;
    if status != 200 {
        return Err(format!("HTTP {status}"));
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    if Metrics::parse(&text).samples.is_empty() {
        return Err("no sample in the text".to_owned());
    }
    Ok(text)
}

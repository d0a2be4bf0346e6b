//! Bodies of the control endpoints.

use serde::Deserialize;
use serde_json::Value;

/// `/abort_request`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct AbortRequest {
    #[serde(default)]
    pub(crate) rid: String,
    #[serde(default)]
    pub(crate) abort_all: bool,
}

/// `/start_profile`. Numbers may come as text, which some clients send.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ProfileBody {
    pub(crate) output_dir: Option<String>,
    pub(crate) start_step: Option<Value>,
    pub(crate) num_steps: Option<Value>,
    pub(crate) activities: Option<Vec<String>>,
    pub(crate) profile_by_stage: Option<bool>,
    pub(crate) profile_id: Option<String>,
    pub(crate) profile_prefix: Option<String>,
    pub(crate) merge_profiles: Option<bool>,
}

/// `/configure_logging`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct LoggingBody {
    pub(crate) log_requests: Option<bool>,
    pub(crate) log_requests_level: Option<u8>,
}

/// `?include=..&dp_rank=..&format=..` of `/v1/loads`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct LoadsQuery {
    pub(crate) include: Option<String>,
    pub(crate) dp_rank: Option<usize>,
    pub(crate) format: Option<String>,
}

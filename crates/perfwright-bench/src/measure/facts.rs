//! What is recorded beside the requests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the client used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientFacts {
    /// Threads that sent and received.
    pub threads: u64,
    /// Processor seconds of all client threads.
    pub cpu_seconds: f64,
    /// Part of it that kept the schedule.
    pub dispatcher_cpu_seconds: f64,
    /// Processor seconds per second of the busiest thread that sent and received.
    pub busiest_core: f64,
    /// Seconds from the start to the last answer.
    pub wall_seconds: f64,
    /// Events read.
    pub events: u64,
    /// Connections opened.
    pub connections: u64,
    /// Requests that were planned.
    pub planned_requests: u64,
    /// What made the prompts of this trial its own; zeros for nothing.
    pub salt: String,
    /// The run was stopped before its end.
    pub interrupted: bool,
}

/// What the server told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFacts {
    /// The model's name in requests.
    pub model: String,
    /// Answers of `/v1/models`, `/server_info`, `/model_info`, `/version`.
    pub told: BTreeMap<String, Value>,
    /// What could not be had, and why.
    pub notes: Vec<String>,
}

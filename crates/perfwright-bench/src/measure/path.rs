//! The path of a server that somebody else started: what its log, its own answers and its command say, compared with
//! what was asked for and with other measurements.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perfwright_logs::path::{
    Allowed, Field, PathReport, Side, Statements, compare, from_argv, from_server_info,
};
use perfwright_logs::{Catalog, Digest, Reader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a run demands of its server's path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathDemand {
    /// Fields with the value that they must have.
    #[serde(default)]
    pub required: BTreeMap<Field, String>,
    /// The command that the server was started with; what its flags ask for has to be what runs.
    #[serde(default)]
    pub command: Vec<String>,
    /// Fallbacks after the start that are accepted: text that is in their line.
    #[serde(default)]
    pub fallbacks: Vec<String>,
    /// The server's log.
    #[serde(default)]
    pub log: Option<PathBuf>,
    /// A recorded run whose path it has to be.
    #[serde(default)]
    pub same_as: Option<PathBuf>,
}

impl PathDemand {
    /// Nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of a server at one moment or several.
pub struct PathFacts<'a> {
    /// The side's name in messages.
    pub name: &'a str,
    /// The command.
    pub argv: &'a [String],
    /// The log, read.
    pub log: Option<(&'a Digest, &'a Reader<'a>)>,
    /// Answers of `/server_info`, each with its name in messages.
    pub told: &'a [(&'a Value, &'a str)],
}

/// One side of a comparison.
#[must_use]
pub fn side(catalog: &Catalog, facts: &PathFacts<'_>) -> Side {
    let report = facts.log.map(|(digest, reader)| digest.report(reader));
    let engine = report.as_ref().and_then(|r| r.engine.as_deref());
    let mut all = Statements::default();
    all.extend(from_argv(catalog, engine, facts.argv).into_vec());
    for (info, place) in facts.told {
        all.extend(from_server_info(catalog, info, place).into_vec());
    }
    let mut fallbacks = Vec::new();
    if let Some(report) = report {
        all.extend(report.statements);
        fallbacks = report.fallbacks;
    }
    Side { name: facts.name.to_owned(), statements: all.into_vec(), fallbacks }
}

/// Compares the server with what is demanded and with the sides of the other measurement.
#[must_use]
pub fn demanded(demand: &PathDemand, own: Side, mut others: Vec<Side>) -> PathReport {
    let allowed = Allowed {
        required: demand.required.clone(),
        varies: std::collections::BTreeSet::new(),
        fallbacks: demand.fallbacks.clone(),
    };
    others.push(own);
    compare(allowed, others)
}

/// Whether anybody states anything of a path.
#[must_use]
pub fn is_stated(report: &PathReport) -> bool {
    !report.allowed.required.is_empty()
        || report.sides.iter().any(|s| !s.statements.is_empty() || !s.fallbacks.is_empty())
}

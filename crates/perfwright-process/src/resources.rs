//! What was there before and is there after: the evidence of a clean-up.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::port::listeners;
use crate::procfs::{children_of, marked};

/// Processes and ports at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// Our descendants and marked processes: id, start and name. The start tells processes of one id apart.
    pub processes: BTreeSet<(u32, u64, String)>,
    /// TCP ports that somebody listens on.
    pub ports: BTreeSet<u16>,
}

/// What is there after and was not before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOver {
    /// Processes of ours.
    pub processes: Vec<(u32, u64, String)>,
    /// Those of the ports that were used that somebody listens on.
    pub ports: Vec<u16>,
}

impl LeftOver {
    /// Whether nothing was left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.processes.is_empty() && self.ports.is_empty()
    }
}

/// Looks at the descendants of this process, at the processes with these marks, and at the ports.
#[must_use]
pub fn resources(marks: &[&str]) -> Resources {
    let own = children_of(std::process::id()).into_iter().chain(marks.iter().flat_map(|m| marked(m)));
    Resources { processes: own.map(|p| (p.pid, p.started, p.name)).collect(), ports: listeners() }
}

/// What is left of our processes, and of the ports that our children used. Ports of others are theirs.
#[must_use]
pub fn left_over(before: &Resources, after: &Resources, used_ports: &[u16]) -> LeftOver {
    let mut ports: Vec<u16> =
        used_ports.iter().copied().filter(|p| after.ports.contains(p) && !before.ports.contains(p)).collect();
    ports.sort_unstable();
    ports.dedup();
    LeftOver { processes: after.processes.difference(&before.processes).cloned().collect(), ports }
}

//! Child processes and the machine they run on: process groups with time limits and clean-up, output to bounded files
//! with a live tail, ports, whether the machine is idle, GPUs and their drivers.
//!
//! Nothing here decides what may be shown: command lines and environments are given to the caller as they are, who
//! redacts them before they are written.
//!
//! ```
//! use std::time::Duration;
//! use perfwright_process::{Child, Launch};
//!
//! let dir = std::env::temp_dir().join(format!("perfwright-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&dir)?;
//! let launch = Launch::new(["sh", "-c", "echo ready; sleep 60"]);
//! let mut child = Child::start(&launch, &dir.join("server.log"))?;
//! let mut seen = Vec::new();
//! let ready = child.wait_ready::<()>(Duration::from_secs(20), |bytes| {
//!     seen.extend_from_slice(bytes);
//!     seen.starts_with(b"ready").then_some(Ok(()))
//! })?;
//! assert!(ready.is_ready());
//! let end = child.stop(Duration::from_secs(5))?;
//! assert!(end.group_is_gone);
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod child;
mod error;
mod gpu;
mod idle;
mod launch;
mod output;
mod port;
mod procfs;
mod resources;
mod tool;

pub use child::{Child, Ending, MARK, Stopped, Waited};
pub use error::ProcessError;
pub use gpu::{GpuDevice, GpuProbe, GpuProcess, parse_amd_smi, parse_nvidia_smi, parse_rocm_smi, probe_gpus};
pub use idle::{Idle, IdleLimits, Load, Sample, check_idle, judge, sample, wait_idle};
pub use launch::Launch;
pub use output::OutputStats;
pub use port::{listeners, port_is_free, wait_port_free};
pub use procfs::{
    ProcessInfo, carrying, children_of, group_members, kill_marked, marked, process_info, processes,
};
pub use resources::{LeftOver, Resources, left_over, resources};
pub use tool::{ToolOutput, run_tool};
